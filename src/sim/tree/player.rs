//! One run: what happens next, drawn from the seed, from the first connection on.
//!
//! Phones behave as people do: they dial, answer, talk, hang up and vanish at any time. Links break when the weather allows.
//! What is chosen is chosen here and nowhere else; how a run ends is in `ending.rs`.

use crate::exchange::event::{Loss, WakeOutcome};

use crate::sim::dice::Dice;
use crate::sim::judge::Breach;

use super::dial::{DialNo, PhoneNo, Stage, calls_in};
use super::frame::{frame, frame_with};
use super::judge::BYE;
use super::plan::{EVIL_DOMAIN, Plan, Weather};
use super::world::{WAKE_MS, World};

/// Time that every move takes, in ms.
const STEP_MS: u64 = 17;
/// The longest jump of the clock, in ms. Several of them let a call ring for too long.
const JUMP_MS: u64 = 8000;
/// How many addresses each exchange has.
const ADDRESSES: u64 = 3;
/// How many phones an exchange has at most.
const PHONES_MAX: usize = 5;

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Deliver,
    DeliverAll,
    Jump,
    Open,
    Dial,
    Answer,
    HangUp,
    Say,
    Meddle,
    Status,
    Leave,
    Wake,
    Congest,
    Break,
    Notice,
    Hush,
    Connect,
    Evil,
    Gather,
    LookAround,
    Broadcast,
    CallRadio,
}

/// The moves of phones, with their weights.
const ANY_TIME: [(u32, Move); 13] = [
    (60, Move::Deliver),
    (6, Move::DeliverAll),
    (3, Move::Jump),
    (8, Move::Open),
    (24, Move::Dial),
    (16, Move::Answer),
    (8, Move::HangUp),
    (20, Move::Say),
    (2, Move::Meddle),
    (3, Move::Status),
    (3, Move::Leave),
    (4, Move::Wake),
    (3, Move::Congest),
];
/// Those of links, and of the adversary.
const ROUGH: [(u32, Move); 4] = [(4, Move::Break), (8, Move::Notice), (3, Move::Hush), (8, Move::Connect)];
const EVIL: (u32, Move) = (24, Move::Evil);
/// Those of phones that like company, and how many seeds in a hundred have such phones.
const SOCIABLE: [(u32, Move); 4] =
    [(40, Move::Gather), (6, Move::LookAround), (1, Move::Broadcast), (2, Move::CallRadio)];
const SOCIABLE_PERCENT: u64 = 60;

/// Plays a run.
#[derive(Debug)]
pub struct Player {
    /// Where.
    pub world: World,
    /// What decides.
    pub dice: Dice,
    moves: Vec<(u32, Move)>,
    messages: u64,
}

impl Player {
    /// The player of a seed.
    pub fn new(seed: u64, weather: Option<Weather>) -> Self {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::new(&mut dice, weather);
        // By dice of their own: the others' moves stay those of their seeds.
        plan.is_sociable = Dice::new(!seed).chance(SOCIABLE_PERCENT);
        let mut moves = ANY_TIME.to_vec();
        if plan.weather == Weather::Rough {
            moves.extend(ROUGH);
        }
        moves.extend(plan.evil_at.map(|_| EVIL));
        if plan.is_sociable {
            moves.extend(SOCIABLE);
        }
        let world = World::new(plan, &mut dice);
        Self { world, dice, moves, messages: 0 }
    }

    /// Makes all links, then `events` moves.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn play(&mut self, events: usize) -> Result<(), Breach> {
        for link in 0..self.world.plan.links.len() {
            self.connect(link)?;
        }
        let shard = self.byte();
        self.world.connect_evil(shard)?;
        if self.world.plan.weather == Weather::Calm {
            self.world.deliver_all()?;
        }
        for exchange in 0..self.world.exchanges.len() {
            self.open(exchange)?;
            self.open(exchange)?;
        }
        for _ in 0..events {
            self.world.pass(STEP_MS, false)?;
            let next = self.dice.weighted(&self.moves);
            self.make(next)?;
        }
        Ok(())
    }

    fn make(&mut self, next: Move) -> Result<(), Breach> {
        match next {
            Move::Deliver => self.deliver(),
            Move::DeliverAll => self.world.deliver_all(),
            Move::Jump => self.jump(),
            Move::Open => {
                let exchange = self.below(self.world.exchanges.len());
                self.open(exchange)
            }
            Move::Dial => self.dial(),
            Move::Answer => self.answer(),
            Move::HangUp => self.hang_up(),
            Move::Say => self.say(),
            Move::Meddle => self.meddle(),
            Move::Status => self.status(),
            Move::Leave => self.leave(),
            Move::Wake => self.wake(),
            Move::Congest => self.congest(),
            Move::Break => self.break_off(),
            Move::Notice => self.notice(),
            Move::Hush => self.hush(),
            Move::Connect => {
                let link = self.below(self.world.plan.links.len());
                self.connect(link)
            }
            Move::Evil => self.evil(),
            Move::Gather => self.gather(),
            Move::LookAround => self.look_around(),
            Move::Broadcast => self.broadcast(),
            Move::CallRadio => self.call_radio(),
        }
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.dice.below(bound as u64) as usize
    }

    fn byte(&mut self) -> usize {
        usize::from(self.dice.byte())
    }

    fn loss(&mut self) -> Loss {
        self.dice.pick(&[Loss::Closed, Loss::Vanished, Loss::SlowConsumer])
    }
}

/// What arrives, and time.
impl Player {
    /// Something that is under way arrives, inside an exchange or between two.
    fn deliver(&mut self) -> Result<(), Breach> {
        for _ in 0..=self.below(4) {
            let ends = (0..self.world.conns.len()).flat_map(|conn| [(conn, 0), (conn, 1)]);
            let busy: Vec<_> = ends.filter(|&(conn, end)| self.world.conns[conn].is_busy(end)).collect();
            let exchanges = 0..self.world.exchanges.len();
            let inside: Vec<_> = exchanges.filter(|&at| !self.world.exchanges[at].is_quiet()).collect();
            if busy.is_empty() && inside.is_empty() {
                return Ok(());
            }
            let at = self.below(busy.len() + inside.len());
            if let Some(&(conn, end)) = busy.get(at) {
                self.world.deliver(conn, end)?;
                continue;
            }
            let nth = self.byte();
            self.world.deliver_inside(inside[at - busy.len()], nth)?;
        }
        Ok(())
    }

    fn jump(&mut self) -> Result<(), Breach> {
        let millis = self.dice.below(JUMP_MS);
        let is_calm = self.world.plan.weather == Weather::Calm || self.dice.chance(80);
        if is_calm {
            self.world.deliver_all()?;
        }
        self.world.pass(millis, is_calm)
    }
}

/// What phones do.
impl Player {
    fn address(&mut self, exchange: usize) -> String {
        let domain = self.world.plan.exchanges[exchange].domain;
        format!("p{}@{domain}", self.dice.below(ADDRESSES))
    }

    /// Somebody connects, and wants an address that may be taken.
    pub(super) fn open(&mut self, exchange: usize) -> Result<(), Breach> {
        let address = self.address(exchange);
        let at_home = self.world.phones.iter().filter(|phone| phone.alive && phone.exchange == exchange);
        if at_home.count() >= PHONES_MAX {
            return Ok(());
        }
        let mode = self.dice.below(3);
        self.open_for(exchange, address, mode)
    }

    /// Somebody connects for an address: who answers one call at a time, or several, or can be woken, or broadcasts.
    pub(super) fn open_for(&mut self, exchange: usize, address: String, mode: u64) -> Result<(), Breach> {
        let shard = self.byte();
        let register = |fields: &[(&str, &str)]| frame("REGISTER", fields);
        let own = ("address", address.as_str());
        let register = match mode {
            0 => register(&[own]),
            1 => register(&[own, ("concurrency", "parallel")]),
            3 => register(&[own, ("concurrency", "broadcast")]),
            _ => {
                let handler = format!(
                    r#"{{"type":"webhook","url":"http://127.0.0.1/wake","timeout_seconds":{}}}"#,
                    WAKE_MS / 1000
                );
                frame_with("REGISTER", &[own, ("mode", "wake_on_ring")], "wake_handler", &handler)
            }
        };
        let phone = self.world.open_phone(exchange, shard, address.clone());
        self.world.ask(phone, register)
    }

    pub(super) fn registered(&self) -> Vec<PhoneNo> {
        let mut alive = self.world.alive();
        alive.retain(|&phone| self.world.phones[phone].held_since.is_some());
        alive
    }

    fn dial(&mut self) -> Result<(), Breach> {
        let phones = self.registered();
        if phones.is_empty() {
            return Ok(());
        }
        let phone = self.dice.pick(&phones);
        let exchange = self.below(self.world.exchanges.len());
        let to = match self.dice.below(20) {
            0 => format!("nobody@{}", self.world.plan.exchanges[exchange].domain),
            1 => "x@nowhere.test".to_owned(),
            2 => self.world.phones[phone].address.clone(),
            3 | 4 if self.world.plan.evil_at.is_some() => format!("x@{EVIL_DOMAIN}"),
            _ => self.address(exchange),
        };
        self.dial_to(phone, &to).map(drop)
    }

    /// A phone dials. Gives the dial's number.
    pub(super) fn dial_to(&mut self, phone: PhoneNo, to: &str) -> Result<DialNo, Breach> {
        let from = self.world.phones[phone].address.clone();
        let number = self.world.judge.new_dial(&from, to);
        let (reference, metadata) = (number.to_string(), format!(r#"{{"dial":{number}}}"#));
        let dial = frame_with("DIAL", &[("to", to), ("ref", &reference)], "metadata", &metadata);
        self.world.ask(phone, dial)?;
        Ok(number)
    }

    /// A call that somebody has in one of the stages.
    fn pick_call(&mut self, stages: &[Stage]) -> Option<(PhoneNo, DialNo, usize)> {
        let dials = &self.world.judge.dials;
        let mut calls = Vec::new();
        for phone in self.world.alive() {
            let own = calls_in(&self.world.phones[phone], dials, stages);
            calls.extend(own.into_iter().map(|(dial, end)| (phone, dial, end)));
        }
        (!calls.is_empty()).then(|| self.dice.pick(&calls))
    }

    fn id_of(&self, dial: DialNo, end: usize) -> Option<String> {
        self.world.judge.dials[dial].ends[end].id.clone()
    }

    fn answer(&mut self) -> Result<(), Breach> {
        let Some((phone, dial, end)) = self.pick_call(&[Stage::Ringing]) else { return Ok(()) };
        self.answer_as(phone, dial, end)
    }

    /// A phone answers a call.
    pub(super) fn answer_as(&mut self, phone: PhoneNo, dial: DialNo, end: usize) -> Result<(), Breach> {
        let id = self.id_of(dial, end).unwrap_or_default();
        self.world.ask(phone, frame("ANSWER", &[("call_id", &id)]))
    }

    fn hang_up(&mut self) -> Result<(), Breach> {
        let stages: &[_] =
            self.dice.pick(&[&[Stage::Dialling][..], &[Stage::Ringing], &[Stage::Up], &[Stage::Up]]);
        let Some((phone, dial, end)) = self.pick_call(stages) else { return Ok(()) };
        self.hang_up_as(phone, dial, end)
    }

    /// A phone ends a call.
    pub(super) fn hang_up_as(&mut self, phone: PhoneNo, dial: DialNo, end: usize) -> Result<(), Breach> {
        let Some(id) = self.id_of(dial, end) else { return Ok(()) };
        let words = format!("{BYE} {dial} {end}");
        let fields = [("call_id", id.as_str()), ("reason", words.as_str())];
        let with_words = if self.dice.chance(80) { 2 } else { 1 };
        self.world.ask(phone, frame("HANGUP", &fields[..with_words]))
    }

    fn say(&mut self) -> Result<(), Breach> {
        // Mostly in a call that is up; what is said before is dropped.
        let stages: &[_] =
            if self.dice.chance(90) { &[Stage::Up] } else { &[Stage::Ringing, Stage::Dialling] };
        let Some((phone, dial, end)) = self.pick_call(stages) else { return Ok(()) };
        for _ in 0..=self.below(3) {
            self.say_as(phone, dial, end)?;
        }
        Ok(())
    }

    /// A phone says something that nobody has said before.
    pub(super) fn say_as(&mut self, phone: PhoneNo, dial: DialNo, end: usize) -> Result<(), Breach> {
        let id = self.id_of(dial, end).unwrap_or_else(|| "none".to_owned());
        let data = self.next_message().to_string();
        self.world.ask(phone, frame("MSG", &[("call_id", &id), ("data", &data)]))
    }

    /// The number of a message that nobody has sent before.
    pub(super) fn next_message(&mut self) -> u64 {
        self.messages += 1;
        self.messages
    }

    /// Somebody names a call that is not its own.
    fn meddle(&mut self) -> Result<(), Breach> {
        let stages = [Stage::Dialling, Stage::Ringing, Stage::Up, Stage::Over];
        let Some((_, dial, end)) = self.pick_call(&stages) else { return Ok(()) };
        let alive = self.world.alive();
        let phone = self.dice.pick(&alive);
        let ends = &self.world.judge.dials[dial].ends;
        if ends.iter().any(|end| end.phone == Some(phone)) {
            return Ok(());
        }
        let id = self.id_of(dial, end).unwrap_or_default();
        let verb = self.dice.pick(&["ANSWER", "HANGUP", "MSG"]);
        let fields = [("call_id", id.as_str()), ("reason", "meddling"), ("data", "meddling")];
        if id.is_empty() { Ok(()) } else { self.world.ask(phone, frame(verb, &fields)) }
    }

    fn status(&mut self) -> Result<(), Breach> {
        let phones = self.registered();
        if phones.is_empty() {
            return Ok(());
        }
        let (phone, status) =
            (self.dice.pick(&phones), self.dice.pick(&["dnd", "busy", "available", "available"]));
        self.world.ask(phone, frame("STATUS", &[("status", status)]))
    }

    /// Somebody goes: without a word, with one, or to sleep.
    fn leave(&mut self) -> Result<(), Breach> {
        let alive = self.world.alive();
        if alive.is_empty() {
            return Ok(());
        }
        let phone = self.dice.pick(&alive);
        match self.dice.below(3) {
            0 => self.world.ask(phone, frame("UNREGISTER", &[])),
            _ => {
                let loss = self.dice.pick(&[Loss::Closed, Loss::Vanished]);
                self.world.lose_phone(phone, loss)
            }
        }
    }

    /// A wake handler ends, and perhaps whom it was to wake comes.
    fn wake(&mut self) -> Result<(), Breach> {
        let exchange = self.below(self.world.exchanges.len());
        let count = self.world.exchanges[exchange].wakes.len();
        if count == 0 {
            return Ok(());
        }
        let nth = self.below(count);
        let outcomes = [WakeOutcome::Answered, WakeOutcome::Answered, WakeOutcome::Failed];
        let outcome = self.dice.pick(&outcomes);
        let address = self.world.end_wake(exchange, nth, outcome)?;
        if outcome == WakeOutcome::Answered { self.open_for(exchange, address, 0) } else { Ok(()) }
    }

    /// Somebody's connection, or a link, fills up, goes on filling or empties.
    fn congest(&mut self) -> Result<(), Breach> {
        let alive = self.world.alive();
        let open: Vec<_> =
            self.world.conns.iter().flat_map(|conn| conn.ends).filter(|end| end.open).collect();
        let (exchange, port) = if self.dice.chance(50) && !open.is_empty() {
            let end = self.dice.pick(&open);
            (end.exchange, end.port)
        } else if !alive.is_empty() {
            let phone = &self.world.phones[self.dice.pick(&alive)];
            (phone.exchange, phone.port)
        } else {
            return Ok(());
        };
        if self.dice.chance(50) {
            let is_over = self.dice.chance(30);
            self.world.press(exchange, port, is_over)?;
        }
        self.world.congest(exchange, port)
    }
}

/// What happens to links.
impl Player {
    pub(super) fn connect(&mut self, link: usize) -> Result<(), Breach> {
        let shards = [self.byte(), self.byte()];
        self.world.connect(link, shards)
    }

    fn break_off(&mut self) -> Result<(), Breach> {
        let conns = 0..self.world.conns.len();
        let sound: Vec<_> = conns.filter(|&conn| self.world.conns[conn].is_sound()).collect();
        if sound.is_empty() {
            return Ok(());
        }
        let conn = self.dice.pick(&sound);
        self.world.break_off(conn);
        // Often one end knows at once.
        if self.dice.chance(60) {
            let (end, loss) = (self.below(2), self.loss());
            return self.world.notice(conn, end, loss);
        }
        Ok(())
    }

    fn notice(&mut self) -> Result<(), Breach> {
        let conns = 0..self.world.conns.len();
        let broken = |conn: usize| self.world.conns[conn].broken;
        let ends = conns.filter(|&conn| broken(conn)).flat_map(|conn| [(conn, 0), (conn, 1)]);
        let open: Vec<_> = ends.filter(|&(conn, end)| self.world.conns[conn].ends[end].open).collect();
        if open.is_empty() {
            return Ok(());
        }
        let ((conn, end), loss) = (self.dice.pick(&open), self.loss());
        self.world.notice(conn, end, loss)
    }

    fn hush(&mut self) -> Result<(), Breach> {
        let conns = 0..self.world.conns.len();
        let open: Vec<_> = conns
            .filter(|&conn| !self.world.conns[conn].broken)
            .filter(|&conn| self.world.conns[conn].ends.iter().any(|end| end.open))
            .collect();
        if !open.is_empty() {
            let conn = self.dice.pick(&open);
            let silent = !self.world.conns[conn].silent;
            self.world.tell(|| format!("conn {conn} is silent: {silent}"));
            self.world.conns[conn].silent = silent;
        }
        Ok(())
    }

    fn evil(&mut self) -> Result<(), Breach> {
        if self.dice.chance(2) {
            return self.world.lose_evil();
        }
        let shard = self.byte();
        self.world.connect_evil(shard)?;
        let exchange = self.below(self.world.exchanges.len());
        let to = self.address(exchange);
        let frame = if self.world.plan.is_sociable && self.dice.chance(30) {
            let party = format!("room@{}", self.world.plan.exchanges[exchange].domain);
            self.world.evil.intrude(&mut self.dice, &party, &to)
        } else {
            self.world.evil.choose(&mut self.dice, &to)
        };
        self.world.send_evil(frame)
    }
}
