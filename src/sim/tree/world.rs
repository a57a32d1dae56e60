//! The whole tree in one thread: exchanges, the connections between them, the phones, one clock.
//!
//! It carries what exchanges say to whom it is for, and tells the judge of everything that phones ask and hear. What happens
//! next is chosen elsewhere; here is only how it happens. Everything is also written down, as the story of the run.

use std::collections::BTreeMap;

use crate::exchange::Tick;
use crate::exchange::event::{Loss, WakeOutcome};

use crate::sim::dice::Dice;
use crate::sim::judge::Breach;

use super::dial::{Phone, PhoneNo};
use super::evil::Evil;
use super::exchange::{Exchange, PortNo, Said};
use super::frame::{Fields, frame, text};
use super::judge::{BYE, Judge};
use super::link::{CALLER, Conn, End, Item, rename_call};
use super::plan::{Plan, Weather};

/// How often phones say that they are alive, in ms.
const HEARTBEAT_MS: u64 = 10_000;
/// How much too early a timer may be, in ms: it is due within a step of the wheel.
const TIMER_GRAIN_MS: u64 = 5;
/// How often an exchange may ask to be woken for one and the same moment. More is a busy loop.
const WAKEUPS_MAX: usize = 1000;
/// How much may be under way before it is a loop, in deliveries without a pause.
const DELIVERIES_MAX: usize = 100_000;
/// How long a woken agent is waited for, in ms; the phones' handlers say so.
pub const WAKE_MS: u64 = 10_000;

/// Whose a connection is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Phone(PhoneNo),
    /// An end of a connection between exchanges.
    Link {
        conn: usize,
        end: usize,
    },
    Evil,
}

/// The world.
#[derive(Debug)]
pub struct World {
    /// What it was built from.
    pub plan: Plan,
    /// The exchanges.
    pub exchanges: Vec<Exchange>,
    /// Every connection between exchanges that there ever was.
    pub conns: Vec<Conn>,
    /// Everybody who ever connected.
    pub phones: Vec<Phone>,
    /// The adversary.
    pub evil: Evil,
    /// The judge.
    pub judge: Judge,
    /// What happened.
    pub story: Vec<String>,
    /// How many frames crossed links.
    pub carried: u64,
    /// What phones have heard, and how often.
    pub tally: BTreeMap<String, u64>,
    owners: BTreeMap<(usize, PortNo), Owner>,
    now: Tick,
}

impl World {
    /// The world of a plan, without connections.
    pub fn new(plan: Plan, dice: &mut Dice) -> Self {
        let exchange = |entry: &super::plan::ExchangePlan| {
            Exchange::new(entry.shards, plan.capacity, &entry.limits, dice)
        };
        let exchanges: Vec<_> = plan.exchanges.iter().map(exchange).collect();
        let rings = plan.exchanges.iter().map(|entry| entry.limits.call_timeout_ms);
        let judge = Judge {
            dials: Vec::new(),
            company: super::company::Company::default(),
            losses: 0,
            presses: 0,
            unsettled: 0,
            now_ms: 0,
            shortest_ring_ms: rings.min().unwrap_or(WAKE_MS).min(WAKE_MS) - TIMER_GRAIN_MS,
            // Twice: a dial that was given up may pass once more before all shards know.
            hops_max: 2 * exchanges.len() * plan.names_max(),
            weather: plan.weather,
            may_loop: plan.has_second_ways || plan.evil_at.is_some(),
        };
        Self {
            plan,
            exchanges,
            conns: Vec::new(),
            phones: Vec::new(),
            evil: Evil::default(),
            judge,
            story: Vec::new(),
            carried: 0,
            tally: BTreeMap::new(),
            owners: BTreeMap::new(),
            now: Tick::default(),
        }
    }

    /// What time it is, in ms.
    pub fn now_ms(&self) -> u64 {
        self.now.millis()
    }

    /// The phones that are alive.
    pub fn alive(&self) -> Vec<PhoneNo> {
        (0..self.phones.len()).filter(|&phone| self.phones[phone].alive).collect()
    }
}

/// What phones do.
impl World {
    /// Somebody connects who wants to hold `address`.
    pub fn open_phone(&mut self, exchange: usize, shard: usize, address: String) -> PhoneNo {
        let port = self.exchanges[exchange].open(shard);
        let phone = self.phones.len();
        self.tell(|| format!("phone {phone} connects at exchange {exchange} for {address}"));
        let (held_since, calls) = (None, Vec::new());
        self.phones.push(Phone { exchange, port, alive: true, address, held_since, calls });
        self.owners.insert((exchange, port), Owner::Phone(phone));
        phone
    }

    /// A phone sends a frame.
    ///
    /// # Errors
    /// The first rule that is broken by what follows.
    pub fn ask(&mut self, phone: PhoneNo, frame: Vec<u8>) -> Result<(), Breach> {
        let Phone { exchange, port, alive, .. } = self.phones[phone];
        if alive {
            self.exchanges[exchange].receive(port, frame);
        }
        self.attend(exchange)
    }

    /// A phone's connection is lost.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn lose_phone(&mut self, phone: PhoneNo, loss: Loss) -> Result<(), Breach> {
        let Phone { exchange, port, alive, .. } = self.phones[phone];
        if alive {
            self.tell(|| format!("phone {phone} is lost: {loss:?}"));
            self.phones[phone].alive = false;
            self.judge.gone(&mut self.phones, phone, "peer_disconnected");
            self.exchanges[exchange].lose(port, loss);
        }
        self.attend(exchange)
    }
}

/// What links do.
impl World {
    /// Whether the exchange that calls has a connection for the link.
    pub fn is_connected(&self, link: usize) -> bool {
        self.conns.iter().any(|conn| conn.link == link && conn.ends[CALLER].open)
    }

    /// The link's exchange calls the other one, if it has no connection.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn connect(&mut self, link: usize, shards: [usize; 2]) -> Result<(), Breach> {
        if self.is_connected(link) {
            return Ok(());
        }
        let conn = self.conns.len();
        let plan = self.plan.links[link].clone();
        self.tell(|| format!("conn {conn}: exchange {} calls {}, link {link}", plan.from, plan.to));
        let called = self.exchanges[plan.to].open(shards[1]);
        let caller = self.exchanges[plan.from].open_tie(shards[0], &plan.peer);
        let end = |exchange, port| End { exchange, port, open: true };
        self.conns.push(Conn::new(link, [end(plan.from, caller), end(plan.to, called)]));
        self.judge.unsettled += 1;
        self.owners.insert((plan.from, caller), Owner::Link { conn, end: CALLER });
        self.owners.insert((plan.to, called), Owner::Link { conn, end: 1 - CALLER });
        self.attend(plan.from)
    }

    /// A connection breaks; its ends find out later.
    pub fn break_off(&mut self, conn: usize) {
        self.tell(|| format!("conn {conn} breaks"));
        self.judge.losses += 1;
        self.conns[conn].break_off();
    }

    /// An end of a broken connection finds out.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn notice(&mut self, conn: usize, end: usize, loss: Loss) -> Result<(), Breach> {
        let End { exchange, port, open } = self.conns[conn].ends[end];
        if !open {
            return Ok(());
        }
        self.tell(|| format!("conn {conn}: end {end} notices {loss:?}"));
        self.shut(conn, end);
        self.exchanges[exchange].lose(port, loss);
        self.attend(exchange)
    }

    /// What is next arrives at an end of a connection.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn deliver(&mut self, conn: usize, end: usize) -> Result<(), Breach> {
        let Some(item) = self.conns[conn].take(end) else { return Ok(()) };
        let End { exchange, port, .. } = self.conns[conn].ends[end];
        match item {
            Item::Frame(frame) => {
                self.carried += 1;
                let renames = self.plan.links[self.conns[conn].link].renames;
                let frame = if renames { rename_call(frame) } else { frame };
                self.exchanges[exchange].receive(port, frame);
                self.attend(exchange)
            }
            Item::Fin => self.notice(conn, end, Loss::Closed),
        }
    }
}

/// The adversary.
impl World {
    /// It connects, if it has no connection, and wants to be a tie line.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn connect_evil(&mut self, shard: usize) -> Result<(), Breach> {
        let Some(exchange) = self.plan.evil_at.filter(|_| self.evil.port.is_none()) else { return Ok(()) };
        self.tell(|| format!("the adversary connects at exchange {exchange}"));
        let port = self.exchanges[exchange].open(shard);
        self.evil.port = Some(port);
        self.owners.insert((exchange, port), Owner::Evil);
        self.send_evil(Evil::introduction())
    }

    /// It sends a frame.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn send_evil(&mut self, frame: Vec<u8>) -> Result<(), Breach> {
        let (Some(exchange), Some(port)) = (self.plan.evil_at, self.evil.port) else { return Ok(()) };
        self.tell(|| format!("the adversary says {}", text(&frame)));
        self.judge.name_taken(&Fields::read(&frame));
        self.exchanges[exchange].receive(port, frame);
        self.attend(exchange)
    }

    /// Its connection is lost.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn lose_evil(&mut self) -> Result<(), Breach> {
        let (Some(exchange), Some(port)) = (self.plan.evil_at, self.evil.port.take()) else { return Ok(()) };
        self.judge.losses += 1;
        self.exchanges[exchange].lose(port, Loss::Vanished);
        self.attend(exchange)
    }
}

/// What exchanges do by themselves.
impl World {
    /// A parcel arrives inside an exchange.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn deliver_inside(&mut self, exchange: usize, nth: usize) -> Result<(), Breach> {
        self.exchanges[exchange].deliver(nth);
        self.attend(exchange)
    }

    /// A wake handler comes to its end. Gives the address of whom it was to wake.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn end_wake(&mut self, exchange: usize, nth: usize, outcome: WakeOutcome) -> Result<String, Breach> {
        let address = self.exchanges[exchange].end_wake(nth, outcome);
        self.tell(|| format!("the handler of {address} ends: {outcome:?}"));
        self.attend(exchange)?;
        Ok(address)
    }

    /// A connection's output passes a mark.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn congest(&mut self, exchange: usize, port: PortNo) -> Result<(), Breach> {
        self.exchanges[exchange].congest(port);
        self.attend(exchange)
    }

    /// A congested connection's output grows.
    ///
    /// # Errors
    /// As for [`World::ask`].
    pub fn press(&mut self, exchange: usize, port: PortNo, is_over: bool) -> Result<(), Breach> {
        self.judge.presses += 1;
        self.exchanges[exchange].press(port, is_over);
        self.attend(exchange)
    }

    /// Everything that can arrive arrives, and everything that follows from it.
    ///
    /// # Errors
    /// As for [`World::ask`].
    ///
    /// # Panics
    /// If that never ends.
    pub fn deliver_all(&mut self) -> Result<(), Breach> {
        for _ in 0..DELIVERIES_MAX {
            if let Some(exchange) = self.exchanges.iter().position(|exchange| !exchange.is_quiet()) {
                self.deliver_inside(exchange, 0)?;
                continue;
            }
            let busy = |&(conn, end): &(usize, usize)| self.conns[conn].is_busy(end);
            let ends = (0..self.conns.len()).flat_map(|conn| [(conn, 0), (conn, 1)]);
            let next = ends.into_iter().find(busy);
            let Some((conn, end)) = next else { return Ok(()) };
            self.deliver(conn, end)?;
        }
        panic!("the exchanges never stop talking");
    }

    /// Time passes, deadline by deadline. If `is_calm`, everything arrives in between.
    ///
    /// # Errors
    /// As for [`World::ask`].
    ///
    /// # Panics
    /// If an exchange is never content.
    pub fn pass(&mut self, millis: u64, is_calm: bool) -> Result<(), Breach> {
        let until = self.now.plus_millis(millis);
        let mut wakeups = 0;
        while self.now < until {
            let deadlines = self.exchanges.iter().filter_map(Exchange::next_deadline).min();
            let heartbeat = Tick::from_millis((self.now.millis() / HEARTBEAT_MS + 1) * HEARTBEAT_MS);
            let next = deadlines.map_or(heartbeat, |deadline| deadline.min(heartbeat)).min(until);
            wakeups = if next <= self.now { wakeups + 1 } else { 0 };
            assert!(wakeups < WAKEUPS_MAX, "somebody wants to be woken for {next:?} again and again");
            self.wake_all(self.now.max(next))?;
            if is_calm {
                self.deliver_all()?;
            }
            if self.now.millis().is_multiple_of(HEARTBEAT_MS) {
                self.say_alive()?;
            }
        }
        Ok(())
    }

    fn wake_all(&mut self, now: Tick) -> Result<(), Breach> {
        self.now = now;
        self.judge.now_ms = now.millis();
        for exchange in 0..self.exchanges.len() {
            self.exchanges[exchange].pass(now);
            self.attend(exchange)?;
        }
        Ok(())
    }

    fn say_alive(&mut self) -> Result<(), Breach> {
        for phone in self.alive() {
            self.ask(phone, frame("HEARTBEAT", &[]))?;
        }
        match self.evil.port {
            Some(_) => self.send_evil(frame("HEARTBEAT", &[])),
            None => Ok(()),
        }
    }

    /// Carries on what an exchange has said.
    fn attend(&mut self, exchange: usize) -> Result<(), Breach> {
        for (port, said) in std::mem::take(&mut self.exchanges[exchange].said) {
            match self.owners[&(exchange, port)] {
                Owner::Phone(phone) => self.attend_phone(phone, said)?,
                Owner::Link { conn, end } => self.attend_link(conn, end, said)?,
                Owner::Evil => self.attend_evil(said),
            }
        }
        Ok(())
    }

    fn attend_phone(&mut self, phone: PhoneNo, said: Said) -> Result<(), Breach> {
        match said {
            Said::Handed(frame) => {
                let fields = Fields::read(&frame);
                if fields.kind != "HEARTBEAT" {
                    self.tell(|| format!("phone {phone} asks  {}", text(&frame)));
                }
                self.judge.asked(&mut self.phones, phone, &fields);
                Ok(())
            }
            Said::Frame(frame) if self.phones[phone].alive => {
                let fields = Fields::read(&frame);
                if fields.kind != "HEARTBEAT_ACK" {
                    self.tell(|| format!("phone {phone} hears {}", text(&frame)));
                }
                let reason = fields.reason.as_deref().filter(|reason| !reason.starts_with(BYE));
                let heard = format!("{} {}", fields.kind, reason.unwrap_or_default());
                *self.tally.entry(heard).or_default() += 1;
                self.evil.overhear(&fields);
                self.judge.heard(&mut self.phones, phone, &fields)
            }
            Said::Frame(_) => Ok(()),
            Said::Closed(cause) => {
                self.tell(|| format!("phone {phone} is closed: {cause}"));
                self.phones[phone].alive = false;
                self.judge.gone(&mut self.phones, phone, cause.name());
                Ok(())
            }
        }
    }

    fn attend_link(&mut self, conn: usize, end: usize, said: Said) -> Result<(), Breach> {
        match said {
            Said::Handed(_) => Ok(()),
            Said::Frame(frame) => {
                self.tell(|| format!("conn {conn} <- end {end}: {}", text(&frame)));
                if frame.starts_with(br#"{"type":"REGISTER"#) && end != CALLER {
                    self.settle(conn);
                }
                let is_dial = frame.starts_with(br#"{"type":"DIAL_FORWARD""#);
                let dial = is_dial.then(|| Fields::read(&frame).dial).flatten();
                self.conns[conn].send(end, Item::Frame(frame));
                self.judge.hops(dial)
            }
            Said::Closed(cause) => {
                self.tell(|| format!("conn {conn}: end {end} closes: {cause}"));
                let is_fair = self.plan.weather == Weather::Rough || self.plan.has_second_ways;
                if !is_fair {
                    return Err(Breach::new("no link is closed in calm weather", cause));
                }
                self.shut(conn, end);
                self.conns[conn].send(end, Item::Fin);
                Ok(())
            }
        }
    }

    fn shut(&mut self, conn: usize, end: usize) {
        self.judge.losses += 1;
        self.conns[conn].shut(end);
        if end != CALLER {
            self.settle(conn);
        }
    }

    /// The exchange that was called has made up its mind about a link, or has lost it. A dial may be under way still that did
    /// not find it ready.
    fn settle(&mut self, conn: usize) {
        if !std::mem::replace(&mut self.conns[conn].settled, true) {
            self.judge.unsettled -= 1;
            self.judge.losses += 1;
        }
    }

    fn attend_evil(&mut self, said: Said) {
        match said {
            Said::Handed(_) => {}
            Said::Frame(frame) => {
                self.tell(|| format!("the adversary hears {}", text(&frame)));
                self.evil.hear(&Fields::read(&frame));
            }
            Said::Closed(_) => {
                self.judge.losses += 1;
                self.evil.port = None;
            }
        }
    }

    /// Writes down what happens.
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        let now = self.now.millis();
        self.story.push(format!("{now:>8} {}", what()));
    }
}
