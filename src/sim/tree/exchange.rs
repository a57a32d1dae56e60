//! One exchange of the tree: its shards in one thread, the trunks between them, and the ports that connections come in by.
//!
//! It plays the shell as `sim/world.rs` does, but speaks the wire: frames go in through the real decoder, with the standing of
//! their line, and notices come out through the real encoder, with the names that other exchanges have given to calls. What
//! comes out is kept in order for the world to carry on. It makes no choices of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::dialect::systemx::{
    Bounds, CallNames, Decoder, Standing, WireError, encode_invalid_address, encode_named, encode_refusal,
};
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Effect, Notice, Outbox};
use crate::exchange::event::{Event, Loss, WakeOutcome};
use crate::exchange::ids::{LineId, ShardId, WakeRun};
use crate::exchange::line::Luggage;
use crate::exchange::shard::{Setup, check_together};
use crate::exchange::tie::Peer;
use crate::exchange::{Limits, Moment, Shard, Tick};

use crate::sim::client::Place;
use crate::sim::dice::Dice;
use crate::sim::trunks::{Parcel, Trunks};

/// The number of a connection at one exchange. It is never used again.
pub type PortNo = usize;

/// Most bytes of metadata: any number that nobody here reaches.
const METADATA_BYTES_MAX: usize = 4096;
/// How many events pass between two looks at a shard's own invariants.
const CHECK_EVERY: u32 = 16;

/// What an exchange does to a connection.
#[derive(Debug)]
pub enum Said {
    /// A shard has been given this frame of the connection. What it caused there follows.
    Handed(Vec<u8>),
    /// The exchange sends a frame.
    Frame(Vec<u8>),
    /// It closes the connection.
    Closed(Cause),
}

/// A connection.
#[derive(Debug)]
struct Port {
    place: Place,
    inbox: VecDeque<Vec<u8>>,
    paused: bool,
    congested: bool,
    /// How it was lost while it moved.
    loss: Option<Loss>,
    /// Whether this exchange has opened it: nobody is told of errors there (section 19.9).
    outbound: bool,
}

/// An exchange.
#[derive(Debug)]
pub struct Exchange {
    shards: Vec<Shard>,
    names: Vec<CallNames>,
    trunks: Trunks,
    decoder: Decoder,
    ports: Vec<Port>,
    lines: BTreeMap<LineId, PortNo>,
    backlog: Vec<PortNo>,
    now: Moment,
    performed: u32,
    /// What was done to connections since somebody last took it.
    pub said: Vec<(PortNo, Said)>,
    /// Wake handlers that were started and have not come to their end, with whom they are to wake.
    pub wakes: Vec<(WakeRun, String)>,
}

/// Setting it up.
impl Exchange {
    /// An exchange of `shards` shards without connections.
    pub fn new(shards: usize, capacity: usize, limits: &Arc<Limits>, dice: &mut Dice) -> Self {
        let shard = |number| {
            let (id, limits) = (ShardId::new(number), Arc::clone(limits));
            Shard::new(Setup { id, shards, seed: dice.seed(), limits })
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            names: (0..shards).map(|_| CallNames::default()).collect(),
            trunks: Trunks::new(shards, capacity),
            decoder: Decoder::new(Bounds { metadata_bytes_max: METADATA_BYTES_MAX, traces: true }),
            ports: Vec::new(),
            lines: BTreeMap::new(),
            backlog: Vec::new(),
            now: moment(Tick::default()),
            performed: 0,
            said: Vec::new(),
            wakes: Vec::new(),
        }
    }

    /// Somebody connects, landing on the shard with this number.
    pub fn open(&mut self, shard: usize) -> PortNo {
        let at = shard % self.shards.len();
        let line = self.shards[at].open_line(self.now, false).expect("a simulation is far from full");
        self.add_port(line, false)
    }

    /// This exchange has connected to another one.
    pub fn open_tie(&mut self, shard: usize, peer: &Arc<Peer>) -> PortNo {
        let at = shard % self.shards.len();
        let mut out = Outbox::default();
        let line = self.shards[at].open_tie(self.now, peer, &mut out);
        let port = self.add_port(line.expect("a simulation is far from full"), true);
        self.perform(ShardId::new(at), out);
        port
    }

    fn add_port(&mut self, line: LineId, outbound: bool) -> PortNo {
        let place = Place::At(line);
        let inbox = VecDeque::new();
        self.ports.push(Port { place, inbox, paused: false, congested: false, loss: None, outbound });
        self.lines.insert(line, self.ports.len() - 1);
        self.ports.len() - 1
    }
}

/// What happens to it.
impl Exchange {
    /// A frame arrives. It is handed to the shard at once, or as soon as that is allowed.
    pub fn receive(&mut self, port: PortNo, frame: Vec<u8>) {
        let entry = &mut self.ports[port];
        if entry.place != Place::Gone && entry.loss.is_none() {
            entry.inbox.push_back(frame);
            self.await_turn(port);
            self.serve_backlog();
        }
    }

    /// A connection is lost.
    pub fn lose(&mut self, port: PortNo, loss: Loss) {
        match self.ports[port].place {
            Place::Gone => {}
            Place::Moving => self.ports[port].loss = self.ports[port].loss.or(Some(loss)),
            Place::At(line) => self.report_loss(port, line, loss),
        }
    }

    /// A connection's output passes one of its marks.
    pub fn congest(&mut self, port: PortNo) {
        let Place::At(line) = self.ports[port].place else { return };
        let congested = !self.ports[port].congested;
        self.ports[port].congested = congested;
        let event = if congested { Event::Congested(line) } else { Event::Drained(line) };
        self.handle(line.shard(), event);
        self.serve_backlog();
    }

    /// A connection's output grows by another step, if it is congested, or beyond its limit.
    pub fn press(&mut self, port: PortNo, is_over: bool) {
        let Place::At(line) = self.ports[port].place else { return };
        if self.ports[port].congested {
            self.handle(line.shard(), Event::Pressed { line, is_over });
            self.serve_backlog();
        }
    }

    /// All connections can be written to again.
    pub fn drain_all(&mut self) {
        for port in 0..self.ports.len() {
            if self.ports[port].congested {
                self.congest(port);
            }
        }
    }

    /// A wake handler comes to its end.
    pub fn end_wake(&mut self, nth: usize, outcome: WakeOutcome) -> String {
        let (run, address) = self.wakes.remove(nth);
        self.handle(run.shard, Event::Woken { run, outcome });
        self.serve_backlog();
        address
    }

    /// The next parcel of the `nth` busy trunk arrives.
    pub fn deliver(&mut self, nth: usize) {
        let Some((from, to, parcel)) = self.trunks.take(nth) else { return };
        match parcel {
            Parcel::Signal(signal) => self.handle(to, Event::Signal { from, signal }),
            Parcel::Move { client, luggage } => self.admit(to, client, luggage),
        }
        self.serve_backlog();
    }

    /// Time passes until `tick`, at which every shard that wants to be woken by then is.
    pub fn pass(&mut self, tick: Tick) {
        self.now = moment(tick);
        for at in 0..self.shards.len() {
            if self.shards[at].next_deadline().is_some_and(|(due, _)| due <= tick) {
                let mut out = Outbox::default();
                self.shards[at].on_deadline(self.now, &mut out);
                self.perform(ShardId::new(at), out);
            }
        }
        self.serve_backlog();
    }
}

/// What can be seen.
impl Exchange {
    /// Whether nothing is under way between its shards.
    pub fn is_quiet(&self) -> bool {
        self.trunks.is_quiet()
    }

    /// When the next shard wants to be woken.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.shards.iter().filter_map(Shard::next_deadline).map(|(tick, _)| tick).min()
    }

    /// The shards.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Whether no call has a name besides its id.
    pub fn knows_no_names(&self) -> bool {
        self.names.iter().all(CallNames::is_empty)
    }

    /// Looks at everything. Nothing may be under way.
    ///
    /// # Panics
    /// If anything disagrees.
    pub fn check(&self) {
        self.shards.iter().for_each(Shard::check);
        check_together(&self.shards);
    }
}

/// What the shell does.
impl Exchange {
    fn handle(&mut self, shard: ShardId, event: Event<'_>) {
        let mut out = Outbox::default();
        self.shards[shard.index()].handle(self.now, event, &mut out);
        self.perform(shard, out);
    }

    fn perform(&mut self, shard: ShardId, out: Outbox<'_>) {
        for effect in out.effects {
            self.perform_one(shard, effect);
        }
        self.performed += 1;
        if self.performed.is_multiple_of(CHECK_EVERY) {
            self.shards[shard.index()].check();
        }
    }

    fn perform_one(&mut self, shard: ShardId, effect: Effect<'_>) {
        match effect {
            Effect::Notify { line, notice } => self.notify(shard, line, &notice),
            Effect::Publish { lines, notice } => {
                lines.iter().for_each(|&line| self.notify(shard, line, &notice));
            }
            Effect::Close { line, cause } => {
                let port = self.port_at(line);
                self.forget(port, line);
                self.said.push((port, Said::Closed(cause)));
            }
            Effect::SendAway { .. } => panic!("nobody drains a tree"),
            Effect::Pause(line) => {
                let port = self.port_at(line);
                self.ports[port].paused = true;
            }
            Effect::Resume(line) => {
                let port = self.port_at(line);
                self.ports[port].paused = false;
                self.await_turn(port);
            }
            Effect::Relocate { line, to, luggage } => {
                let client = self.port_at(line);
                self.lines.remove(&line);
                self.ports[client].place = Place::Moving;
                self.ports[client].paused = false;
                self.trunks.post(shard, to, Parcel::Move { client, luggage });
            }
            Effect::Signal { to, signal } => self.trunks.post(shard, to, Parcel::Signal(signal)),
            Effect::Wake { run, address, handler: _ } => self.wakes.push((run, address.to_string())),
            Effect::CallNamed { call, name } => self.names[shard.index()].add(call, name),
            Effect::CallForgotten(call) => self.names[shard.index()].forget(call),
            Effect::WakeSettled(_)
            | Effect::Record(_)
            | Effect::Tie { .. }
            | Effect::KeysWanted
            | Effect::Stray(_) => {}
        }
    }

    /// The connection that a shard knows as `line`.
    ///
    /// # Panics
    /// If there is none: the core speaks of a line that it should have forgotten.
    fn port_at(&self, line: LineId) -> PortNo {
        *self.lines.get(&line).unwrap_or_else(|| panic!("an effect for {line:?}, which is gone"))
    }

    fn notify(&mut self, shard: ShardId, line: LineId, notice: &Notice<'_>) {
        let port = self.port_at(line);
        let mut frame = Vec::new();
        encode_named(notice, Some(&self.names[shard.index()]), &mut frame);
        self.said.push((port, Said::Frame(frame)));
    }

    fn forget(&mut self, port: PortNo, line: LineId) {
        self.lines.remove(&line);
        self.ports[port].place = Place::Gone;
        self.ports[port].inbox.clear();
    }

    fn report_loss(&mut self, port: PortNo, line: LineId, loss: Loss) {
        self.forget(port, line);
        self.handle(line.shard(), Event::Lost { line, loss });
        self.serve_backlog();
    }

    fn admit(&mut self, shard: ShardId, port: PortNo, luggage: Box<Luggage>) {
        let mut out = Outbox::default();
        let line = self.shards[shard.index()].admit(self.now, luggage, &mut out);
        let line = line.expect("a simulation is far from full");
        self.lines.insert(line, port);
        self.ports[port].place = Place::At(line);
        self.perform(shard, out);
        match (self.ports[port].loss, self.ports[port].place) {
            (Some(loss), Place::At(line)) => self.report_loss(port, line, loss),
            (Some(_), Place::Moving | Place::Gone) => {}
            (None, _) => self.await_turn(port),
        }
    }

    fn await_turn(&mut self, port: PortNo) {
        if !self.backlog.contains(&port) {
            self.backlog.push(port);
        }
    }

    /// Hands over what may be handed over now; what is held back stays in the backlog.
    fn serve_backlog(&mut self) {
        let mut held_back = Vec::new();
        while let Some(port) = self.backlog.pop() {
            if self.serve(port) == Served::HeldBack {
                held_back.push(port);
            }
        }
        self.backlog = held_back;
    }

    fn serve(&mut self, port: PortNo) -> Served {
        while let Place::At(line) = self.ports[port].place
            && !self.ports[port].paused
            && let Some(frame) = self.ports[port].inbox.pop_front()
        {
            if let Some(frame) = self.give(port, line, frame) {
                self.ports[port].inbox.push_front(frame);
                return Served::HeldBack;
            }
        }
        Served::Done
    }

    /// Gives a frame to its shard, or gives it back if it has to wait.
    fn give(&mut self, port: PortNo, line: LineId, frame: Vec<u8>) -> Option<Vec<u8>> {
        let at = line.shard().index();
        let shard = &mut self.shards[at];
        let standing = Standing { registered: shard.is_registered(line), tie: shard.is_tie(line) };
        let mut out = Outbox::default();
        match self.decoder.decode(&frame, standing) {
            Ok(request) => {
                if self.trunks.is_blocked(line.shard(), shard.reaches(line, &request)) {
                    return Some(frame);
                }
                self.said.push((port, Said::Handed(frame.clone())));
                shard.handle(self.now, Event::Request { line, request }, &mut out);
            }
            Err(error) => self.complain(port, &error, &frame),
        }
        self.perform(line.shard(), out);
        None
    }

    fn complain(&mut self, port: PortNo, error: &WireError, frame: &[u8]) {
        if self.ports[port].outbound {
            return;
        }
        let mut answer = Vec::new();
        match error {
            WireError::Refuse(refusal) => encode_refusal(refusal, &mut answer),
            WireError::InvalidAddress => encode_invalid_address(&mut answer),
            WireError::Close(_) => panic!("nobody writes {:?}", super::frame::text(frame)),
        }
        self.said.push((port, Said::Frame(answer)));
    }
}

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Served {
    /// There is nothing more to hand over now, and whatever changes that puts the port on the backlog.
    Done,
    /// A trunk is full.
    HeldBack,
}

/// The moment at a tick of the simulated clock.
fn moment(tick: Tick) -> Moment {
    Moment { tick, wall_ms: crate::sim::world::WALL_START_MS + tick.millis() }
}
