//! Shards without a shell: events in, effects out, in one thread.
//!
//! [`Core`] is one shard with its outbox, fed as a switchboard feeds it; [`Exchange`] is several of them, whose signals
//! are carried at once and in order. Nothing here reads a clock: benches set the time. Invariant: buffers of messages
//! are recycled as the switchboard does it, so that no allocation appears that the server does not make.

use std::collections::VecDeque;
use std::sync::Arc;

use systemx::exchange::effect::{Effect, Notice, Outbox, Payload};
use systemx::exchange::event::{Concurrency, Event, Loss, Profile, Registration, Request};
use systemx::exchange::ids::{CallId, LineId, ShardId};
use systemx::exchange::shard::{Setup, Shard};
use systemx::exchange::signal::Signal;
use systemx::exchange::{Address, Limits, Moment, Tick};

/// The wall clock when the exchange starts, in ms since the epoch: any time of today's length.
const EPOCH_MS: u64 = 1_763_000_000_000;

/// One shard.
pub struct Core {
    /// The shard.
    pub shard: Shard,
    /// What it is told the time is.
    pub now: Moment,
    outbox: Outbox<'static>,
}

impl Core {
    /// Shard `id` of `shards`.
    pub fn new(id: usize, shards: usize, limits: Arc<Limits>) -> Self {
        let setup = Setup { id: ShardId::new(id), shards, seed: [id as u8; 32], limits };
        Self { shard: Shard::new(setup), now: moment(0), outbox: Outbox::default() }
    }

    /// A connection that has landed here.
    pub fn open(&mut self) -> LineId {
        self.shard.open_line(self.now, false).expect("the shard has room")
    }

    /// Takes an event. Signals go to `send`, all other effects are shown to `tell`.
    pub fn feed<'a>(
        &mut self,
        event: Event<'a>,
        send: impl FnMut(usize, Signal),
        tell: impl FnMut(&Effect<'a>),
    ) {
        let mut out: Outbox<'a> = std::mem::take(&mut self.outbox).renew();
        self.shard.handle(self.now, event, &mut out);
        perform(&mut out, send, tell);
        self.outbox = out.renew();
    }

    /// Does what is due, if anything is.
    pub fn tick(&mut self, send: impl FnMut(usize, Signal), tell: impl FnMut(&Effect<'_>)) {
        if self.shard.next_deadline().is_some_and(|(tick, _)| tick <= self.now.tick) {
            let mut out = std::mem::take(&mut self.outbox);
            self.shard.on_deadline(self.now, &mut out);
            perform(&mut out, send, tell);
            self.outbox = out;
        }
    }
}

fn perform<'a>(out: &mut Outbox<'a>, mut send: impl FnMut(usize, Signal), mut tell: impl FnMut(&Effect<'a>)) {
    let mut effects = std::mem::take(&mut out.effects);
    for effect in effects.drain(..) {
        match effect {
            Effect::Signal { to, signal } => send(to.index(), signal),
            other => {
                tell(&other);
                if let Effect::Notify {
                    notice: Notice::Message { data: Payload::Owned(spent), .. }, ..
                } = other
                {
                    out.recycle(spent);
                }
            }
        }
    }
    out.effects = effects;
}

/// Several shards in one thread.
pub struct Exchange {
    /// The shards.
    pub cores: Vec<Core>,
    transit: VecDeque<(usize, usize, Signal)>,
}

impl Exchange {
    /// With the limits of [`limits`].
    pub fn new(shards: usize) -> Self {
        Self::with(shards, limits())
    }

    /// With these limits.
    pub fn with(shards: usize, limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let cores = (0..shards).map(|id| Core::new(id, shards, limits.clone())).collect();
        Self { cores, transit: VecDeque::new() }
    }

    /// Sets everybody's clock to so many ms after the start.
    pub fn set_clock(&mut self, millis: u64) {
        self.cores.iter_mut().for_each(|core| core.now = moment(millis));
    }

    /// A connection on the shard where `address` is at home, as after its move.
    pub fn open_at_home_of(&mut self, address: &str) -> LineId {
        let home = systemx::exchange::address::home(address, self.cores.len());
        self.cores[home.index()].open()
    }

    /// A line that holds the address of this registration.
    pub fn registered(&mut self, registration: Registration) -> LineId {
        let line = self.open_at_home_of(registration.address.as_str());
        self.register(line, registration);
        line
    }

    /// Registers a line that is at home already.
    pub fn register(&mut self, line: LineId, registration: Registration) {
        let mut registered = false;
        self.ask(line, Request::Register(Box::new(registration)), |effect| {
            registered |= matches!(effect, Effect::Notify { notice: Notice::Registered { .. }, .. });
        });
        assert!(registered, "{line} holds its address");
    }

    /// A line asks, and everything that follows is carried to its end.
    pub fn ask(&mut self, line: LineId, request: Request<'_>, tell: impl FnMut(&Effect<'_>)) {
        self.happen(line, Event::Request { line, request }, tell);
    }

    /// Something happens to a line, and everything that follows is carried to its end.
    pub fn happen(&mut self, line: LineId, event: Event<'_>, mut tell: impl FnMut(&Effect<'_>)) {
        let (at, transit) = (line.shard().index(), &mut self.transit);
        self.cores[at].feed(event, |to, signal| transit.push_back((at, to, signal)), &mut tell);
        self.carry(tell);
    }

    /// A line's connection is gone.
    pub fn lose(&mut self, line: LineId) {
        self.happen(line, Event::Lost { line, loss: Loss::Vanished }, |_| {});
    }

    /// Does what is due on every shard.
    pub fn tick(&mut self, mut tell: impl FnMut(&Effect<'_>)) {
        for at in 0..self.cores.len() {
            let transit = &mut self.transit;
            self.cores[at].tick(|to, signal| transit.push_back((at, to, signal)), &mut tell);
        }
        self.carry(tell);
    }

    /// Looks at deadlines until nothing is due, because a large bucket of silent lines comes in several turns.
    pub fn meet_deadlines(&mut self) {
        let is_due = |core: &Core| core.shard.next_deadline().is_some_and(|(tick, _)| tick <= core.now.tick);
        while self.cores.iter().any(is_due) {
            self.tick(|_| {});
        }
    }

    fn carry(&mut self, mut tell: impl FnMut(&Effect<'_>)) {
        while let Some((from, at, signal)) = self.transit.pop_front() {
            let (event, transit) = (Event::Signal { from: ShardId::new(from), signal }, &mut self.transit);
            self.cores[at].feed(event, |to, signal| transit.push_back((at, to, signal)), &mut tell);
        }
    }

    /// `caller` dials `to`, whose line rings. Gives the call.
    pub fn ring(&mut self, caller: LineId, to: &str) -> (LineId, CallId) {
        let mut rung = None;
        self.ask(caller, dial(to), |effect| rung = rung.or(ring_in(effect)));
        rung.expect("it rings")
    }

    /// A call of `caller` to `to` that is up.
    pub fn connect(&mut self, caller: LineId, to: &str) -> CallId {
        let (callee, call) = self.ring(caller, to);
        let mut connected = None;
        self.ask(callee, Request::Answer { call }, |effect| connected = connected.or(connected_in(effect)));
        assert_eq!(connected, Some((caller, call)), "the caller hears CONNECTED");
        call
    }
}

/// The time so many ms after the start.
pub fn moment(millis: u64) -> Moment {
    Moment { tick: Tick::from_millis(millis), wall_ms: EPOCH_MS + millis }
}

/// The defaults, without the limit on dials, which benches would reach at once.
pub fn limits() -> Limits {
    Limits { dial_max_attempts: None, ..Limits::default() }
}

/// DIAL without anything else.
pub fn dial(to: &str) -> Request<'_> {
    Request::Dial { to: to.into(), metadata: None, reference: None, trace: None }
}

/// Who is rung, and for which call.
pub fn ring_in(effect: &Effect<'_>) -> Option<(LineId, CallId)> {
    match effect {
        Effect::Notify { line, notice: Notice::Ring { call, .. } } => Some((*line, *call)),
        _ => None,
    }
}

/// Who is connected, in which call.
pub fn connected_in(effect: &Effect<'_>) -> Option<(LineId, CallId)> {
    match effect {
        Effect::Notify { line, notice: Notice::Connected { call, .. } } => Some((*line, *call)),
        _ => None,
    }
}

/// Who hears HANGUP.
pub fn hung_up_in(effect: &Effect<'_>) -> Option<LineId> {
    match effect {
        Effect::Notify { line, notice: Notice::HungUp { .. } } => Some(*line),
        _ => None,
    }
}

/// An address.
pub fn address(text: &str) -> Address {
    Address::parse(text).expect("the form of an address")
}

/// REGISTER with nothing but an address.
pub fn registration(text: &str) -> Registration {
    Registration {
        address: address(text),
        profile: Profile::default(),
        concurrency: Concurrency::Single,
        pool_size: None,
        wake: None,
        credentials: systemx::identity::Credentials::default(),
    }
}

/// Lines that share a domain in [`agent`].
pub const DOMAIN_SIZE: usize = 10;

/// The address of agent `number` (below a million): 30 bytes, the length that design.md counts with. Ten agents share
/// a domain.
pub fn agent(number: usize) -> String {
    format!("agent-{number:06}@unit-{:05}.agents", number / DOMAIN_SIZE)
}
