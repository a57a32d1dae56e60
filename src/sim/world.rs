//! The simulated world: shards in one thread, one clock, trunks that deliver when told to, clients.
//!
//! It plays the shell: it hands events to shards, performs every effect, and keeps the shell's promises (requests
//! of a line in order, none while it is paused, on the move or held back by a full trunk). Whether what comes out
//! is right is judged elsewhere, from the facts it notes. It makes no choices of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exchange::cause::Cause;
use crate::exchange::effect::{CallRecord, Effect, Notice, Outbox};
use crate::exchange::event::{ContentType, DrainOrder, Event, Loss, Request, WakeOutcome};
use crate::exchange::ids::{CallId, LineId, ShardId, WakeRun};
use crate::exchange::line::Luggage;
use crate::exchange::shard::Setup;
use crate::exchange::trace::TraceParent;
use crate::exchange::{Address, Limits, Moment, Shard, Tick};
use crate::identity::Rulebook;

use super::client::{CallRef, Client, ClientNo, Heard, Place, Want};
use super::dice::Dice;
use super::trunks::{Parcel, Trunks};

/// The wall clock at tick 0, in ms since the epoch: any time that is not 0.
pub const WALL_START_MS: u64 = 1_700_000_000_000;
/// How often a shard may ask to be woken for one and the same moment. More is a busy loop.
const WAKEUPS_MAX: usize = 1000;
/// How many events pass between two looks at a shard's own invariants.
const CHECK_EVERY: u32 = 16;

/// Something that happened and that somebody may want to judge.
#[derive(Debug)]
pub enum Fact {
    /// A client has connected.
    Opened(ClientNo),
    /// A shard has been given a client's request. What it caused there follows.
    Handed(ClientNo, Want),
    /// A client has heard something.
    Heard(ClientNo, Heard),
    /// A shard has been told that a client's connection is lost.
    Lost(ClientNo, Loss),
    /// A drain begins.
    Draining {
        /// How it is to go.
        order: DrainOrder,
        /// How many lines there are, by shard.
        lines: Vec<usize>,
    },
    /// The exchange stops.
    Stopping,
    /// A shard sends a client away, which hears of it next.
    SentAway {
        /// Whom.
        client: ClientNo,
        /// Which shard.
        shard: ShardId,
        /// When it is to come back, in ms.
        retry_after_ms: u64,
    },
    /// A wake handler is started.
    WakeStarted,
    /// A record was written.
    Recorded(Box<CallRecord>),
}

/// A wake handler that was started.
#[derive(Debug)]
pub struct WakeTask {
    /// Its name.
    pub run: WakeRun,
    /// Whom it is to wake.
    pub address: String,
    /// Whether its end has been told to the shard.
    pub over: bool,
}

/// The world.
#[derive(Debug)]
pub struct World {
    shards: Vec<Shard>,
    limits: Arc<Limits>,
    now: Moment,
    /// The trunks.
    pub trunks: Trunks,
    /// Everybody who ever connected.
    pub clients: Vec<Client>,
    /// Every wake handler that was ever started.
    pub wakes: Vec<WakeTask>,
    /// What happened since somebody last took it.
    pub facts: Vec<Fact>,
    lines: BTreeMap<LineId, ClientNo>,
    backlog: Vec<ClientNo>,
    last_wakeup: (Tick, usize),
    /// Nobody is let in any more.
    closed: bool,
    /// Whether what one shard says when it is woken arrives before the next one is woken.
    pub prompt: bool,
    /// Events performed so far.
    performed: u32,
}

impl World {
    /// A world of `shards` shards without clients, with room for `capacity` parcels in each trunk.
    pub fn new(shards: usize, capacity: usize, limits: &Arc<Limits>, dice: &mut Dice) -> Self {
        let shard = |number| {
            let (id, limits) = (ShardId::new(number), Arc::clone(limits));
            Shard::new(Setup { id, shards, seed: dice.seed(), limits })
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            limits: Arc::clone(limits),
            now: moment(Tick::default()),
            trunks: Trunks::new(shards, capacity),
            clients: Vec::new(),
            wakes: Vec::new(),
            facts: Vec::new(),
            lines: BTreeMap::new(),
            backlog: Vec::new(),
            last_wakeup: (Tick::default(), 0),
            closed: false,
            prompt: false,
            performed: 0,
        }
    }

    /// The shards, for checks.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The limits of the exchange.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What time it is.
    pub fn now(&self) -> Tick {
        self.now.tick
    }

    /// The clients that are alive.
    pub fn alive(&self) -> Vec<ClientNo> {
        (0..self.clients.len()).filter(|&client| self.clients[client].is_alive()).collect()
    }

    /// A new client connects, landing on the shard with this number. `None` from the beginning of a drain on.
    ///
    /// # Panics
    /// If it is let in then, or is not before.
    pub fn open(&mut self, shard: usize, internal: bool) -> Option<ClientNo> {
        let at = shard % self.shards.len();
        let opened = self.shards[at].open_line(self.now, internal);
        assert_eq!(opened.is_none(), self.closed, "nobody is let in during a drain, and everybody before");
        let line = opened?;
        let client = self.clients.len();
        self.clients.push(Client::new(line, internal));
        self.lines.insert(line, client);
        self.facts.push(Fact::Opened(client));
        Some(client)
    }

    /// A client sends a request. It is handed to the shard at once, or as soon as that is allowed.
    pub fn ask(&mut self, client: ClientNo, want: Want) {
        if self.clients[client].is_alive() {
            self.clients[client].pending.push_back(want);
            self.await_turn(client);
            self.serve_backlog();
        }
    }

    /// A client's connection is lost. While it is on the move, the loss is found out on arrival.
    pub fn lose(&mut self, client: ClientNo, loss: Loss) {
        let entry = &mut self.clients[client];
        match entry.place {
            Place::Gone => {}
            Place::Moving => entry.loss = entry.loss.or(Some(loss)),
            Place::At(line) => self.report_loss(client, line, loss),
        }
    }

    /// A client's output passes one of its marks.
    pub fn congest(&mut self, client: ClientNo) {
        let Place::At(line) = self.clients[client].place else { return };
        let congested = !self.clients[client].congested;
        self.clients[client].congested = congested;
        let event = if congested { Event::Congested(line) } else { Event::Drained(line) };
        self.handle(line.shard(), event);
        self.serve_backlog();
    }

    /// The operator ends a call: his word goes to every shard.
    pub fn cut_call(&mut self, call: CallRef) {
        let call = self.call_id(call);
        for at in 0..self.shards.len() {
            self.handle(ShardId::new(at), Event::CutCall(call));
        }
        self.serve_backlog();
    }

    /// The operator closes a line. One that is on its way between two shards he does not find.
    pub fn cut_line(&mut self, client: ClientNo) {
        let Place::At(line) = self.clients[client].place else { return };
        self.handle(line.shard(), Event::CutLine(line));
        self.serve_backlog();
    }

    /// A wake handler comes to its end.
    pub fn end_wake(&mut self, nth: usize, outcome: WakeOutcome) {
        self.wakes[nth].over = true;
        let run = self.wakes[nth].run;
        self.handle(run.shard, Event::Woken { run, outcome });
        self.serve_backlog();
    }

    /// Up to `count` parcels of the `nth` busy trunk arrive.
    pub fn deliver(&mut self, nth: usize, count: usize) {
        let Some((from, to, parcel)) = self.trunks.take(nth) else { return };
        self.arrive(from, to, parcel);
        for _ in 1..count {
            let Some(parcel) = self.trunks.take_between(from, to) else { break };
            self.arrive(from, to, parcel);
        }
        self.serve_backlog();
    }

    /// Everything that is on its way arrives, and everything that follows from it.
    pub fn deliver_all(&mut self) {
        while !self.trunks.is_quiet() {
            self.deliver(0, 1);
        }
    }

    /// When the next shard wants to be woken.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.shards.iter().filter_map(Shard::next_deadline).map(|(tick, _)| tick).min()
    }

    /// Time passes until `tick`, at which every shard that wants to be woken by then is.
    ///
    /// # Panics
    /// If a shard is never content.
    pub fn pass(&mut self, tick: Tick) {
        let tick = self.now.tick.max(tick);
        self.now = moment(tick);
        self.last_wakeup = if self.last_wakeup.0 == tick { self.last_wakeup } else { (tick, 0) };
        self.last_wakeup.1 += 1;
        assert!(self.last_wakeup.1 < WAKEUPS_MAX, "a shard wants to be woken for {tick:?} again and again");
        for at in 0..self.shards.len() {
            if self.shards[at].next_deadline().is_some_and(|(due, _)| due <= tick) {
                let mut out = Outbox::default();
                self.shards[at].on_deadline(self.now, &mut out);
                self.perform(ShardId::new(at), out);
                self.hurry();
            }
        }
        self.serve_backlog();
    }

    fn hurry(&mut self) {
        if self.prompt {
            self.deliver_all();
        }
    }

    /// These rules hold from now on.
    pub fn rule(&mut self, rules: &Arc<Rulebook>) {
        for at in 0..self.shards.len() {
            self.handle(ShardId::new(at), Event::Rules(Some(Arc::clone(rules))));
        }
    }

    /// The exchange is about to stop.
    pub fn drain(&mut self, order: DrainOrder) {
        self.closed = true;
        let lines = self.shards.iter().map(|shard| shard.counts().lines).collect();
        self.facts.push(Fact::Draining { order, lines });
        for at in 0..self.shards.len() {
            self.handle(ShardId::new(at), Event::Drain(order));
        }
        self.serve_backlog();
    }

    /// The exchange stops.
    pub fn shut_down(&mut self) {
        self.closed = true;
        self.facts.push(Fact::Stopping);
        for at in 0..self.shards.len() {
            self.handle(ShardId::new(at), Event::Shutdown);
            self.hurry();
        }
        self.serve_backlog();
    }

    fn handle(&mut self, shard: ShardId, event: Event<'_>) {
        let mut out = Outbox::default();
        self.shards[shard.index()].handle(self.now, event, &mut out);
        self.perform(shard, out);
    }

    fn perform(&mut self, shard: ShardId, out: Outbox<'_>) {
        for effect in out.effects {
            self.perform_one(shard, effect);
        }
        // A look at everything costs far more than an event, so that only some are followed by one.
        self.performed += 1;
        if self.performed.is_multiple_of(CHECK_EVERY) {
            self.shards[shard.index()].check();
        }
    }

    fn perform_one(&mut self, shard: ShardId, effect: Effect<'_>) {
        match effect {
            Effect::Notify { line, notice } => self.notify(line, &notice),
            Effect::Publish { lines, notice } => lines.iter().for_each(|&line| self.notify(line, &notice)),
            Effect::Close { line, cause } => self.close(line, cause),
            Effect::SendAway { line, retry_after_ms } => {
                let client = self.client_at(line);
                self.facts.push(Fact::SentAway { client, shard, retry_after_ms });
                self.close(line, Cause::Restarting);
            }
            Effect::Pause(line) => {
                let client = self.client_at(line);
                self.clients[client].paused = true;
            }
            Effect::Resume(line) => {
                let client = self.client_at(line);
                self.clients[client].paused = false;
                self.await_turn(client);
            }
            Effect::Relocate { line, to, luggage } => self.send_off(shard, line, to, luggage),
            Effect::Signal { to, signal } => self.trunks.post(shard, to, Parcel::Signal(signal)),
            Effect::Wake { run, address, handler: _ } => {
                assert!(self.wakes.iter().all(|task| task.run != run), "{run:?} is started twice");
                self.wakes.push(WakeTask { run, address: address.to_string(), over: false });
                self.facts.push(Fact::WakeStarted);
            }
            Effect::WakeSettled(run) => {
                assert!(self.wakes.iter().any(|task| task.run == run), "{run:?} was never started");
            }
            Effect::Record(record) => self.facts.push(Fact::Recorded(record)),
            Effect::Stray(_) | Effect::KeysWanted => {}
            Effect::CallNamed { .. } | Effect::CallForgotten(_) | Effect::Tie { .. } => {
                panic!("no other exchange speaks here")
            }
        }
    }

    /// The client whose connection is known to a shard as `line`.
    ///
    /// # Panics
    /// If there is none: the core speaks of a line that it should have forgotten.
    fn client_at(&self, line: LineId) -> ClientNo {
        *self.lines.get(&line).unwrap_or_else(|| panic!("an effect for {line:?}, which is gone"))
    }

    fn notify(&mut self, line: LineId, notice: &Notice<'_>) {
        let client = self.client_at(line);
        if let Notice::Ring { call, listener: Some(listener), .. } = notice {
            self.clients[client].listeners.push((*call, *listener));
        }
        self.hear(client, Heard::from(notice));
    }

    fn hear(&mut self, client: ClientNo, heard: Heard) {
        self.clients[client].hear(heard.clone());
        self.facts.push(Fact::Heard(client, heard));
    }

    fn close(&mut self, line: LineId, cause: Cause) {
        let client = self.client_at(line);
        self.hear(client, Heard::Closed(cause));
        self.forget(client, line);
    }

    fn forget(&mut self, client: ClientNo, line: LineId) {
        self.lines.remove(&line);
        self.clients[client].place = Place::Gone;
        self.clients[client].pending.clear();
    }

    fn report_loss(&mut self, client: ClientNo, line: LineId, loss: Loss) {
        self.forget(client, line);
        self.facts.push(Fact::Lost(client, loss));
        self.handle(line.shard(), Event::Lost { line, loss });
        self.serve_backlog();
    }

    fn send_off(&mut self, from: ShardId, line: LineId, to: ShardId, luggage: Box<Luggage>) {
        let client = self.client_at(line);
        self.lines.remove(&line);
        self.clients[client].place = Place::Moving;
        self.clients[client].paused = false;
        self.trunks.post(from, to, Parcel::Move { client, luggage });
    }

    fn arrive(&mut self, from: ShardId, to: ShardId, parcel: Parcel) {
        match parcel {
            Parcel::Signal(signal) => self.handle(to, Event::Signal { from, signal }),
            Parcel::Move { client, luggage } => self.admit(to, client, luggage),
        }
    }

    fn admit(&mut self, shard: ShardId, client: ClientNo, luggage: Box<Luggage>) {
        let mut out = Outbox::default();
        let line = self.shards[shard.index()].admit(self.now, luggage, &mut out);
        let line = line.expect("a simulation is far from full");
        self.lines.insert(line, client);
        self.clients[client].place = Place::At(line);
        self.perform(shard, out);
        // A client that closed its connection has still said what it said before.
        if self.clients[client].loss == Some(Loss::Closed) {
            self.serve(client);
        }
        match (self.clients[client].loss, self.clients[client].place) {
            (Some(loss), Place::At(line)) => self.report_loss(client, line, loss),
            (Some(_), Place::Moving) | (Some(_), Place::Gone) => {}
            (None, _) => self.await_turn(client),
        }
    }

    fn await_turn(&mut self, client: ClientNo) {
        if !self.backlog.contains(&client) {
            self.backlog.push(client);
        }
    }

    /// Hands over what may be handed over now.
    fn serve_backlog(&mut self) {
        while let Some(at) = self.backlog.iter().position(|&client| self.is_ready(client)) {
            let client = self.backlog.remove(at);
            self.serve(client);
        }
        let clients = &self.clients;
        self.backlog.retain(|&client| !clients[client].pending.is_empty());
    }

    /// Whether a client has something to say that may be handed over now.
    fn is_ready(&self, client: ClientNo) -> bool {
        let entry = &self.clients[client];
        match (entry.place, entry.pending.front()) {
            (Place::At(line), Some(want)) => !entry.paused && !self.is_held_back(client, line, want),
            (Place::At(_), None) | (Place::Moving | Place::Gone, _) => false,
        }
    }

    fn is_held_back(&self, client: ClientNo, line: LineId, want: &Want) -> bool {
        let request = self.request(client, want);
        let targets = self.shards[line.shard().index()].reaches(line, &request);
        self.trunks.is_blocked(line.shard(), targets)
    }

    fn serve(&mut self, client: ClientNo) {
        while let Place::At(line) = self.clients[client].place
            && !self.clients[client].paused
            && let Some(want) = self.clients[client].pending.pop_front()
        {
            if self.is_held_back(client, line, &want) {
                self.clients[client].pending.push_front(want);
                self.await_turn(client);
                return;
            }
            self.note_handed(client, &want);
            let mut out = Outbox::default();
            let request = self.request(client, &want);
            let now = self.now;
            let event = Event::Request { line, request };
            self.shards[line.shard().index()].handle(now, event, &mut out);
            self.perform(line.shard(), out);
        }
    }

    fn note_handed(&mut self, client: ClientNo, want: &Want) {
        match want {
            Want::Answer { call } => {
                let call = self.call_id(*call);
                self.clients[client].note_answer(call);
            }
            Want::HangUp { call, .. } => {
                let call = self.call_id(*call);
                self.clients[client].note_hang_up(call);
            }
            _ => {}
        }
        self.facts.push(Fact::Handed(client, want.clone()));
    }

    /// The id of a call that somebody has heard of.
    pub fn call_id(&self, call: CallRef) -> CallId {
        match call {
            CallRef::Heard { by, nth } => self.clients[by].calls.get(nth).copied().unwrap_or(CallId::NONE),
            CallRef::Guessed => CallId::parse(b"00000100-0000-8000-8000-000000000007"),
        }
    }

    fn request<'a>(&self, client: ClientNo, want: &'a Want) -> Request<'a> {
        let party = |name: &str| Address::parse(name).expect("the simulation's parties have valid names");
        match want {
            Want::Register(registration) => Request::Register(registration.clone()),
            Want::Unregister => Request::Unregister,
            Want::Status { status, auto_sleep } => {
                Request::Status { status: *status, auto_sleep: *auto_sleep }
            }
            Want::Heartbeat => Request::Heartbeat,
            Want::Dial { to, metadata, reference } => Request::Dial {
                to: to.into(),
                metadata: Some(metadata.as_bytes()),
                reference: reference.as_ref().map(Cow::from),
                trace: Some(Box::new(trace_of(metadata, self.now))),
            },
            Want::Answer { call } => Request::Answer { call: self.call_id(*call) },
            Want::HangUp { call, reason } => {
                Request::HangUp { call: self.call_id(*call), reason: reason.as_ref().map(Cow::from) }
            }
            Want::Message { call, data } => Request::Message {
                call: self.call_id(*call),
                data: Some(data.as_bytes()),
                content_type: ContentType::Text,
            },
            Want::Whisper { call, ring, data } => self.whisper(client, *call, *ring, data),
            Want::Presence(query) => Request::Presence(query.clone()),
            Want::SleepAck => Request::SleepAck,
            Want::Join { party: name, create_if_missing } => {
                Request::Join { party: party(name), create_if_missing: *create_if_missing }
            }
            Want::PartyMessage { party, data } => Request::PartyMessage {
                party: party.into(),
                data: Some(data.as_bytes()),
                content_type: Some(ContentType::Text),
            },
            Want::Leave { party } => Request::Leave { party: party.into() },
        }
    }

    fn whisper<'a>(&self, client: ClientNo, call: CallRef, ring: usize, data: &'a str) -> Request<'a> {
        match self.clients[client].listeners.get(ring) {
            Some(&(_, listener)) => {
                Request::Whisper { call: self.call_id(call), listener, data: data.as_bytes() }
            }
            None => Request::Heartbeat,
        }
    }
}

/// The moment at a tick of the simulated clock.
fn moment(tick: Tick) -> Moment {
    Moment { tick, wall_ms: WALL_START_MS + tick.millis() }
}

/// The trace of a dial that is made now: its record can be told by it from those of all others.
pub fn trace_of(metadata: &str, now: Moment) -> TraceParent {
    let mut trace_id = [0; 16];
    trace_id.iter_mut().zip(metadata.bytes()).for_each(|(place, byte)| *place = byte);
    TraceParent { trace_id, span_id: now.tick.micros().to_be_bytes(), flags: 1 }
}
