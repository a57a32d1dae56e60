//! One shard's thread: waits, gathers a bounded batch, lets the core handle it, performs the effects.
//!
//! No protocol decision is made here. A turn never waits for anything: what a socket does not take stays in its
//! output, what a trunk does not take stays in its outbox, what is slow goes to the operator's thread. The order
//! of a turn is that of `Switchboard::turn`; `reading.rs` and `inbound.rs` are the way in, `outbound.rs` and `flushing.rs` the way
//! out, `arrivals.rs` where connections come from, `answering.rs` what operators ask, `closing.rs` how they end, `wait.rs` how it sleeps and `stop.rs` how it ends.

mod answering;
mod arrivals;
mod closing;
mod flushing;
mod inbound;
mod journal;
mod outbound;
mod parts;
mod reading;
mod reporting;
mod stop;
mod timepiece;
mod wait;
mod watching;

pub use answering::{CallAnswer, Inquiry, LineAnswer, Reply, SlowConnection};
pub use parts::{ByteBounds, Crossing, Freight, Parts, Post};

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::{Events, Poll, Token};
use tokio::io::unix::AsyncFd;
use tracing::{info, warn};

use crate::console::ladder::{Filter, StepSink};
use crate::console::{Board, Meter};
use crate::dialect::systemx::{Bounds, CallNames, Decoder as Dialect};
use crate::exchange::effect::Outbox;
use crate::exchange::event::{Event, Loss, Verb};
use crate::exchange::ids::{Handle, ShardId};
use crate::exchange::line::Luggage;
use crate::exchange::rack::Rack;
use crate::exchange::shard::Shard;
use crate::exchange::time::{Moment, Tick};
use crate::logging::unfed;
use crate::websocket::Masks;

use super::accepting::{self, Entrance, Porter};
use super::allocator;
use super::clock::{Clock, draw_seed};
use super::connection::{Connection, State};
use super::depot::Depot;
use super::desk::Desk;
use super::lobby::{HANDSHAKE, Lobby};
use super::log_service::LogService;
use super::mailer::Mailer;
use super::output::Spares;
use super::trunk::{RECEIVE_BUDGET, TrunkPort};
use flushing::Mailbag;
use journal::Gags;
use reading::Input;
use stop::Stopping;
use timepiece::{TIMER, Timepiece};
use wait::{Alarm, Bell, RUNTIME_VISITS};

/// One read: more than a socket usually holds, small enough to stay in the processor's cache.
const SCRATCH_BYTES: usize = 64 << 10;
/// Poller events taken at a time.
const EVENTS_MAX: usize = 1024;
/// Most connections read in one turn, so that a turn stays near a millisecond.
const READS_PER_TURN: usize = 128;
/// A shard that has had a call for so long ago has calls to keep fast, in milliseconds.
const CALLS_RECENT_MS: u64 = 2_000;
/// Messages after which a turn writes what it has, so that a ring does not wait for the whole turn (design.md, D4).
const MESSAGES_PER_FLUSH: usize = 128;
/// The same for bytes: of large messages no more are queued than the processor's cache holds beside the rest, and
/// the buffers just written are used again while they are in it.
const BYTES_PER_FLUSH: usize = 128 << 10;
/// Signals that one message usually costs the shard it reaches: an answer, and word of where it went.
const SIGNALS_PER_MESSAGE: usize = 2;
/// Most messages handled in one turn, however many a trunk holds: about half a millisecond's work.
const MESSAGES_PER_TURN_MAX: usize = 1024;
/// Most connections written in one turn on behalf of fan-outs, and most bytes: either is about half a millisecond.
const FAN_OUT_WRITES_PER_TURN: usize = 128;
const FAN_OUT_BYTES_PER_TURN: usize = 512 << 10;
/// A connection that closes counts as so many messages: its close frame, the end of the stream and the end of the socket
/// are several times the work of a message, and thousands may come at the same time.
const MESSAGES_PER_CLOSING: usize = 4;
/// How long a connection that was sent a close frame may take to go, in seconds.
const CLOSING_SECONDS: u32 = 5;
/// The token of the waker that peers and the operator use.
pub const WAKER: Token = Token(usize::MAX);
/// The token of the listener. Accepting is the runtime's; the poller only says when it is worth a look.
const LISTENER: Token = Token(usize::MAX - 1);

/// One shard's thread.
pub struct Switchboard {
    id: ShardId,
    shard: Shard,
    port: TrunkPort<Freight>,
    poller: AsyncFd<Poll>,
    events: Events,
    connections: Rack<Connection>,
    /// The connection of each line, by the line's slot.
    seats: Vec<Handle>,
    dialect: Dialect,
    /// What other exchanges call their calls, where that is no id of ours.
    call_names: Option<Box<CallNames>>,
    scratch: Vec<u8>,
    /// The same for what is still encrypted; empty until somebody comes by TLS.
    wire: Vec<u8>,
    /// What has been read and not been handled yet; empty but for its memory outside of a batch.
    batch: Vec<(Handle, Input)>,
    outbox: Outbox<'static>,
    mailer: Mailer,
    mailbag: Mailbag,
    depot: Depot,
    spares: Spares,
    /// For links to other exchanges that this one has called.
    masks: Masks,
    lobby: Lobby,
    bell: Rc<Bell>,
    alarm: Alarm,
    timepiece: Timepiece,
    mailbox: Receiver<Post>,
    desk: Desk,
    log_service: Option<LogService>,
    clock: Clock,
    now: Moment,
    bounds: ByteBounds,
    spin_us: u64,
    stop_timeout: Duration,
    queues: Queues,
    totals: Totals,
    meter: Meter,
    board: Board,
    /// Dials so far, and when there was last one, or a call.
    dials: u64,
    called: Option<Tick>,
    /// What is watched, and where it is handed over.
    filter: Filter,
    steps: StepSink,
    /// When the last report was written, and when the trunks were last timed.
    reported: Tick,
    stamped: Tick,
    gags: Gags,
    /// The current second of the exchange's clock.
    second: u32,
    /// Messages that clients may still have handled in this turn, and how many each turn begins with.
    messages_left: usize,
    messages_per_turn: usize,
    /// The connection whose bytes are being handled.
    reading: Option<Handle>,
    /// Deliveries of fan-outs so far.
    delivered: usize,
    /// Whether the poller's events have been taken in for the turn to come.
    polled: bool,
    /// When the last turn began.
    last_turn: Tick,
    /// See [`Self::is_catching_up`].
    catch_up_until: Tick,
    /// Turns after which the runtime is still to have one of its own, because somebody is or may be at the door.
    visits_left: u32,
    /// Whether the poller had as many events as fit; it does not ring again for those it kept.
    crowded: bool,
    /// Whether accounts are being settled: what that brings about is settled by the same loop.
    settling: bool,
    stopping: Option<Stopping>,
    /// Whether the last report says that a drain has come to its end.
    said_drained: bool,
    stopped: Arc<AtomicUsize>,
}

/// How many messages a shard takes from its clients in one turn. What they make other shards answer has to fit into a
/// trunk, because that is what a turn takes in at least: else a fast shard's outbox to a slow one would grow for as
/// long as the slow one's clients keep asking.
fn messages_per_turn(trunk_capacity: usize) -> usize {
    (trunk_capacity / SIGNALS_PER_MESSAGE).clamp(1, MESSAGES_PER_TURN_MAX)
}

/// Joins the shard's poller to its runtime.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types whose descriptor may change; a Poll's does not"
)]
fn nest(poll: Poll) -> std::io::Result<AsyncFd<Poll>> {
    AsyncFd::with_interest(poll, tokio::io::Interest::READABLE)
}

/// Connections that something has to be done for.
#[derive(Default)]
struct Queues {
    /// To read.
    ready: VecDeque<Handle>,
    /// To write: what was said to them alone.
    dirty: Vec<Handle>,
    /// To write: what was said to many.
    fanned: VecDeque<Handle>,
    /// With a message that waits for room in a trunk.
    parked: Vec<Handle>,
    /// With more output than the high-water mark.
    congested: Vec<Handle>,
    /// Told to go, and the second by which they have to be gone.
    closing: VecDeque<(u32, Handle)>,
    /// What the core still has to hear about effects performed.
    afterwards: VecDeque<Event<'static>>,
    /// Lines whose output has overflowed.
    overflowed: Vec<Handle>,
    /// Connections that a relocation takes away once the event at hand is over.
    moves: Vec<(Handle, ShardId, Box<Luggage>)>,
    /// Messages since the last flush.
    messages: usize,
    /// Bytes of output since then, to one connection each.
    bytes: usize,
}

impl Queues {
    /// Lists a connection among those with something to write that was said to many, unless it is to be written anyway.
    fn fan(&mut self, handle: Handle, state: &mut State) {
        if !state.dirty && !state.fanned {
            state.fanned = true;
            self.fanned.push_back(handle);
        }
    }
}

/// Bytes held for connections of this shard.
#[derive(Default)]
struct Totals {
    input: usize,
    unregistered: usize,
    output: usize,
}

impl Switchboard {
    /// Runs a shard until it is told to stop; calls `ready` once it can serve. To be called on the shard's own thread.
    ///
    /// # Errors
    /// If the runtime or the poller cannot be set up.
    pub fn run(parts: Parts, ready: impl FnOnce()) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let Entrance { listener, is_shared, ramp } = parts.entrance.again()?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let mut source = mio::unix::SourceFd(&listener.as_raw_fd());
            parts.poll.registry().register(&mut source, LISTENER, mio::Interest::READABLE)?;
            let (limits, door, credentials) =
                (parts.handshakes, parts.door.clone(), parts.credentials.clone());
            let mut switchboard = Self::new(parts)?;
            let porter = Porter { limits, door, credentials, lobby: switchboard.lobby.clone() };
            let accepting = tokio::task::spawn_local(accepting::accept(listener, is_shared, ramp, porter));
            info!(shard = switchboard.id.index(), "shard is up");
            ready();
            switchboard.serve(accepting.abort_handle()).await;
            Ok(())
        })
    }

    fn new(parts: Parts) -> std::io::Result<Self> {
        let bell = Rc::new(Bell::default());
        let ring = bell.clone();
        let now = parts.clock.now();
        let (id, mailer) = (parts.setup.id, parts.mailer());
        let mut switchboard = Self {
            id,
            shard: Shard::new(parts.setup),
            port: parts.port,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Rack::new(id),
            seats: Vec::new(),
            dialect: Dialect::new(Bounds {
                metadata_bytes_max: parts.bounds.metadata_bytes_max,
                traces: parts.desk.recorder.wants_traces(),
            }),
            call_names: None,
            scratch: vec![0; SCRATCH_BYTES],
            wire: Vec::new(),
            batch: Vec::new(),
            outbox: Outbox::default(),
            mailer,
            mailbag: Mailbag::default(),
            depot: parts.depot,
            spares: Spares::default(),
            masks: Masks::new(draw_seed()?),
            lobby: Lobby::new(parts.poll.registry().try_clone()?, Rc::new(move || ring.ring())),
            timepiece: Timepiece::new(parts.poll.registry())?,
            poller: nest(parts.poll)?,
            bell,
            alarm: Alarm::new(parts.clock),
            mailbox: parts.mailbox,
            desk: parts.desk,
            log_service: parts.log_service,
            clock: parts.clock,
            now,
            bounds: parts.bounds,
            spin_us: parts.spin_us,
            stop_timeout: parts.stop_timeout,
            queues: Queues::default(),
            totals: Totals::default(),
            meter: Meter::default(),
            board: parts.board,
            dials: 0,
            called: None,
            filter: Filter::default(),
            steps: parts.steps,
            reported: now.tick,
            stamped: now.tick,
            gags: Gags::default(),
            second: now.tick.seconds(),
            messages_left: 0,
            messages_per_turn: messages_per_turn(parts.trunk_capacity),
            reading: None,
            delivered: 0,
            polled: false,
            last_turn: now.tick,
            catch_up_until: now.tick,
            visits_left: RUNTIME_VISITS,
            crowded: false,
            settling: false,
            stopping: None,
            said_drained: false,
            stopped: parts.stopped,
        };
        // Before anybody is let in.
        switchboard.feed(Event::Rules(parts.rules));
        switchboard.start_log_service();
        Ok(switchboard)
    }

    async fn serve(&mut self, accepting: tokio::task::AbortHandle) {
        loop {
            self.turn();
            if self.stopping.is_some() {
                accepting.abort();
                if self.is_done() {
                    break;
                }
            }
            self.wait().await;
        }
        info!(shard = self.id.index(), "shard is down");
    }

    /// One turn: everything that is ready, up to a budget.
    fn turn(&mut self) {
        self.now = self.clock.now();
        self.notice_stop();
        self.messages_left = self.messages_per_turn;
        let unblocked = self.port.flush_outboxes();
        if unblocked != 0 {
            self.unpark();
        }
        self.receive_freight();
        if !std::mem::take(&mut self.polled) {
            self.take_events(Some(Duration::ZERO));
        }
        self.read_ready();
        self.take_arrivals();
        self.read_mailbox();
        self.serve_log_stream();
        self.meet_deadlines();
        self.flush(FAN_OUT_WRITES_PER_TURN);
        self.depot.balance(&mut self.outbox);
        self.note_calls();
        self.report();
        self.port.wake_peers();
    }

    /// What other shards have sent. Taken in always, even while this shard's own outboxes are full (design.md, D6).
    fn receive_freight(&mut self) {
        let budget = RECEIVE_BUDGET.max(self.messages_per_turn * SIGNALS_PER_MESSAGE);
        let mut round = self.port.begin_receive(budget);
        while let Some((from, freight)) = self.port.receive_next(&mut round) {
            match freight {
                Freight::Signal(signal) => self.feed(Event::Signal { from: ShardId::new(from), signal }),
                Freight::Connection(crossing) => self.take_in(*crossing),
                Freight::Stamp(sent) => self.meter.queue_wait.note_since(sent, self.now.tick),
            }
            self.count_message();
        }
    }

    /// What the poller knows about sockets; waits for it at most so long, if there is a limit. How many there are.
    fn take_events(&mut self, wait: Option<Duration>) -> usize {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        if let Err(error) = self.poller.get_mut().poll(&mut events, wait)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            warn!(shard = self.id.index(), %error, "the poller failed");
        }
        if wait != Some(Duration::ZERO) {
            self.now = self.clock.now();
        }
        let mut count = 0;
        for event in &events {
            count += 1;
            match event.token() {
                WAKER => {}
                TIMER => {
                    self.timepiece.rang();
                    // Nobody else woke the shard: a good moment.
                    self.visits_left = RUNTIME_VISITS;
                }
                LISTENER | HANDSHAKE => self.visits_left = RUNTIME_VISITS,
                _ => self.take_event(event),
            }
        }
        self.crowded = count == EVENTS_MAX;
        self.events = events;
        count
    }

    fn take_event(&mut self, event: &mio::event::Event) {
        let handle = Handle::from_bits(event.token().0 as u64);
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let held = connection.is_held();
        // Bytes and the end of the stream may be announced together.
        connection.state.hung_up |= event.is_read_closed() || event.is_error();
        if event.is_writable() {
            self.unblock(handle);
        }
        if event.is_error() && held {
            // Nobody will read it for now, so nobody would notice.
            self.lose(handle, Loss::Vanished);
        } else if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.mark_readable(handle);
        }
    }

    /// Whether something is left over for the next turn, so that this one must not be followed by sleep.
    fn has_more(&self) -> bool {
        // What the end of a turn says, to those who were called by a connection then given up, is still to be written.
        let to_write = !self.queues.dirty.is_empty() || !self.queues.fanned.is_empty();
        to_write || !self.queues.ready.is_empty() || !self.lobby.is_empty() || self.crowded
    }

    fn read_mailbox(&mut self) {
        while let Ok(post) = self.mailbox.try_recv() {
            match post {
                Post::Woken(run, outcome) => self.feed(Event::Woken { run, outcome }),
                Post::Link(link) => self.take_link(*link),
                Post::Watch(list) => self.watch(list),
                Post::Rules(rules) => self.feed(Event::Rules(Some(rules))),
                Post::Drain(order) => self.drain(order),
                Post::Inquiry(inquiry) => self.answer(*inquiry),
                Post::Stop => self.stop(),
            }
        }
    }

    fn meet_deadlines(&mut self) {
        let is_due = |(tick, _)| tick <= self.now.tick;
        if self.shard.next_deadline().is_some_and(is_due) && !self.is_catching_up() {
            let mut out = std::mem::take(&mut self.outbox);
            self.shard.on_deadline(self.now, &mut out);
            self.perform(&mut out);
            self.outbox = out;
            self.settle_accounts();
        }
        if self.now.tick.seconds() != self.second {
            self.second = self.now.tick.seconds();
            self.give_up_stalled();
            self.give_up_closing();
            allocator::tidy_up();
            // Whatever may wait there unnoticed waits no longer than this.
            self.visits_left = RUNTIME_VISITS;
        }
    }

    /// Calls may be shorter than a turn: dials count as well, for a while.
    fn note_calls(&mut self) {
        let dials = self.shard.tally().requests[Verb::Dial as usize];
        if dials != self.dials || self.shard.has_calls() {
            (self.dials, self.called) = (dials, Some(self.now.tick));
        }
        let is_recent = |called: Tick| self.now.tick < called.plus_millis(CALLS_RECENT_MS);
        self.lobby.note_calls(self.called.is_some_and(is_recent));
    }

    /// Lets the core take an event and performs what follows, to the end.
    fn feed<'a>(&mut self, event: Event<'a>) {
        let mut out: Outbox<'a> = std::mem::take(&mut self.outbox).renew();
        self.shard.handle(self.now, event, &mut out);
        self.perform(&mut out);
        self.outbox = out.renew();
        self.settle_accounts();
    }

    /// What the performing of effects has brought about: overflows, and marks passed. Not nested, or a party of
    /// thousands that overflow together would exhaust the stack.
    fn settle_accounts(&mut self) {
        if self.settling {
            return;
        }
        self.settling = true;
        self.settle_all();
        self.settling = false;
    }

    fn settle_all(&mut self) {
        loop {
            if let Some(event) = self.queues.afterwards.pop_front() {
                let mut out = std::mem::take(&mut self.outbox);
                self.shard.handle(self.now, event, &mut out);
                self.perform(&mut out);
                self.outbox = out;
                continue;
            }
            let Some(handle) = self.queues.overflowed.pop() else { return };
            self.give_up_slow(handle);
        }
    }

    fn start_log_service(&mut self) {
        let Some(service) = &mut self.log_service else { return };
        if let Some(line) = self.shard.open_line(self.now, true) {
            let registration = service.register(line);
            self.feed(registration);
        }
    }

    /// New log lines for those who listen.
    fn serve_log_stream(&mut self) {
        let Some(service) = &mut self.log_service else { return };
        // Nothing that is logged because of log lines may become a log line that is streamed.
        let _guard = unfed();
        for (line, words) in service.speak(self.now) {
            self.feed(words.event(line));
        }
    }
}
