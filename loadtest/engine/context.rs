//! What a scenario sees of its worker: the time, its clients, its tally and its share of the load.
//!
//! Calls only note what is wanted; bytes leave and news arrive between two callbacks, so that a scenario is never
//! called from inside a call of its own.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use mio::{Poll, Waker};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::link::{Client, Closed, Enter, Link, Slot, State, WayIn};
use super::sources::Sources;
use super::timers::{Alarm, Clock, Nanos, Timers};
use super::wire::{self, CALL_ID_BYTES, CallFrame, Template};
use super::{ALARM, Plan, WAKER};
use crate::fault::Fault;
use crate::measure::tally::{Figures, Tally};

/// Buffers kept for the next client that has something to say.
const SPARE_MAX: usize = 64;
/// Larger ones are given back.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// Connects that begin before the worker looks for answers, so that those who are in are not kept waiting.
const PORTION: usize = 64;

/// Which part of the load a worker has.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Counted from 0.
    pub worker: usize,
    /// Of so many.
    pub workers: usize,
}

impl Share {
    /// The numbers below `total` that are this worker's.
    pub fn of(self, total: usize) -> impl Iterator<Item = usize> {
        (self.worker..total).step_by(self.workers)
    }
}

/// A worker's clients and everything they need.
pub struct Context {
    /// Counts. What they belong to is the engine's business.
    pub tally: Tally,
    /// Chance of this worker alone, from the run's seed.
    pub rng: ChaCha8Rng,
    /// Which part of the load this is.
    pub share: Share,
    pub(super) plan: Arc<Plan>,
    pub(super) figures: Figures,
    pub(super) clock: Clock,
    pub(super) now: Nanos,
    pub(super) poll: Poll,
    pub(super) alarm: Alarm,
    pub(super) slots: Vec<Slot>,
    pub(super) free: Vec<Client>,
    /// Freed in this turn: events of it may still name them.
    pub(super) freed: Vec<Client>,
    /// Who has something to write.
    pub(super) corked: Vec<Client>,
    pub(super) spare: Vec<Vec<u8>>,
    /// Who waits to connect.
    pub(super) waiting: VecDeque<Client>,
    /// Who connects, in the order in which that began, and when.
    pub(super) entering: VecDeque<(Client, Nanos)>,
    pub(super) under_way: usize,
    /// How many may be.
    pub(super) connects_max: usize,
    /// How many begin before the worker looks for answers again.
    pub(super) portion: usize,
    /// Of the client that got in last.
    pub(super) way_in: WayIn,
    /// Who closes, and when that takes too long.
    pub(super) closing: VecDeque<(Client, Nanos)>,
    /// Clients that are gone, for the scenario.
    pub(super) gone: VecDeque<(Client, Closed)>,
    /// Clients to be read although no event says so.
    pub(super) again: Vec<Client>,
    pub(super) timers: Timers,
    pub(super) sources: Sources,
    pub(super) open: u64,
    /// The load is over: who is lost now is not to come back.
    pub(super) over: bool,
    pub(super) waker: Arc<Waker>,
}

impl Context {
    /// No clients yet.
    pub fn new(plan: &Arc<Plan>, figures: Figures, worker: usize) -> Result<Self, Fault> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let seed = plan.seed ^ (worker as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let context = Self {
            tally: Tally::new(figures),
            rng: ChaCha8Rng::seed_from_u64(seed),
            share: Share { worker, workers: plan.threads },
            plan: Arc::clone(plan),
            figures,
            clock: plan.clock,
            now: plan.clock.now(),
            poll,
            alarm,
            slots: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            corked: Vec::new(),
            spare: Vec::new(),
            waiting: VecDeque::new(),
            entering: VecDeque::new(),
            under_way: 0,
            connects_max: plan.connects_max,
            portion: PORTION,
            way_in: WayIn::default(),
            closing: VecDeque::new(),
            gone: VecDeque::new(),
            again: Vec::new(),
            timers: Timers::default(),
            sources: Sources::new(worker, plan.target.is_loopback_v4()),
            open: 0,
            over: false,
            waker,
        };
        Ok(context)
    }

    /// Now, as of the last look at the clock: before the frames of this read, or this timer.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Whether the load is over, so that nothing new should begin.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Ends this worker's sleep from another one: `on_woken` follows here. For scenarios whose parts wait for each other.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// What the run was asked to do.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A new client: connects, upgrades and registers as soon as few enough others do.
    pub fn connect(&mut self, enter: Enter) -> Client {
        let client = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            Client((self.slots.len() - 1) as u32)
        });
        self.slots[client.index()] = Slot::Waiting(Box::new(enter));
        self.waiting.push_back(client);
        client
    }

    /// From now on so many clients of this worker may be on their way in at the same time, and all of them begin before
    /// the worker looks for answers: a crowd does not wait for its first.
    pub fn allow_connects(&mut self, connects_max: usize) {
        self.connects_max = connects_max.max(1);
        self.portion = self.connects_max;
    }

    /// The way in of the client that `on_registered` is called for.
    pub fn way_in(&self) -> WayIn {
        self.way_in
    }

    /// Says ready frames. Nothing happens if the client is not registered.
    pub fn send(&mut self, client: Client, frames: &[u8]) {
        if let Some(out) = self.cork(client) {
            out.extend_from_slice(frames);
        }
    }

    /// Says a frame with its places filled in.
    pub fn send_filled(&mut self, client: Client, template: &Template, values: &[(usize, &[u8])]) {
        if let Some(out) = self.cork(client) {
            template.push(out, values);
        }
    }

    /// Says a frame that names a call.
    pub fn send_about(&mut self, client: Client, frame: &CallFrame, id: &[u8; CALL_ID_BYTES]) {
        if let Some(out) = self.cork(client) {
            frame.push(out, id);
        }
    }

    /// Calls `on_timer` with this token as soon as `when` has come, accurate to some tens of microseconds.
    pub fn at(&mut self, when: Nanos, token: u64) {
        self.timers.at(when, token);
    }

    /// Ends a client's connection in order. `on_closed` follows.
    pub fn close(&mut self, client: Client) {
        const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();
        match self.slots.get_mut(client.index()) {
            Some(Slot::Live(link)) if matches!(link.state, State::Open) => {
                link.state = State::Closing;
                link.paused = false;
                if link.unread {
                    self.again.push(client);
                }
                self.open -= 1;
                self.closing.push_back((client, self.now + self.plan.close_limit));
                self.push_out(client, &wire::control(wire::CLOSE, &NORMAL));
            }
            Some(Slot::Live(link)) if matches!(link.state, State::Closing) => {}
            _ => self.lose(client, Closed::Local),
        }
    }

    /// Ends a client's connection without a word, as a machine that loses its power. `on_closed` follows.
    pub fn cut(&mut self, client: Client) {
        self.lose(client, Closed::Local);
    }

    /// Leaves what the server sends to this client unread, so that it becomes slow.
    pub fn pause_reading(&mut self, client: Client) {
        if let Some(Slot::Live(link)) = self.slots.get_mut(client.index()) {
            link.paused = true;
        }
    }

    /// Reads again.
    pub fn resume_reading(&mut self, client: Client) {
        if let Some(Slot::Live(link)) = self.slots.get_mut(client.index()) {
            link.paused = false;
            if std::mem::take(&mut link.unread) {
                self.again.push(client);
            }
        }
    }

    /// Bytes that a client was to say and its socket has not taken.
    pub fn backlog(&self, client: Client) -> usize {
        match self.slots.get(client.index()) {
            Some(Slot::Live(link)) => link.out.len(),
            _ => 0,
        }
    }

    /// The buffer of a registered client, which is written when the callback has returned.
    fn cork(&mut self, client: Client) -> Option<&mut Vec<u8>> {
        let Some(Slot::Live(link)) = self.slots.get_mut(client.index()) else { return None };
        if !matches!(link.state, State::Open) {
            return None;
        }
        self.tally.traffic.frames_sent += 1;
        Some(append_to(link, client, &mut self.corked, &mut self.spare))
    }

    /// Appends to what a client says, whatever its state.
    pub(super) fn push_out(&mut self, client: Client, bytes: &[u8]) {
        let Some(Slot::Live(link)) = self.slots.get_mut(client.index()) else { return };
        append_to(link, client, &mut self.corked, &mut self.spare).extend_from_slice(bytes);
    }

    /// Writes what has been said.
    pub(super) fn flush(&mut self) {
        let mut at = 0;
        while let Some(&client) = self.corked.get(at) {
            at += 1;
            self.write(client);
        }
        self.corked.clear();
    }

    /// Writes what one client has to say, as far as its socket takes it.
    pub(super) fn write(&mut self, client: Client) {
        let Some(Slot::Live(link)) = self.slots.get_mut(client.index()) else { return };
        link.corked = false;
        if link.blocked {
            return;
        }
        let sent = link.out.len();
        let result = write_out(link);
        self.tally.traffic.bytes_sent += (sent - link.out.len()) as u64;
        if link.out.is_empty() && link.out.capacity() > 0 {
            let buffer = std::mem::take(&mut link.out);
            if self.spare.len() < SPARE_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
                self.spare.push(buffer);
            }
        }
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => link.blocked = true,
            Err(error) => {
                let why = lost_by(link, &error);
                self.lose(client, why);
            }
        }
    }

    /// Takes a client out; its scenario is told at the end of the callback.
    pub(super) fn lose(&mut self, client: Client, why: Closed) {
        let Some(slot) = self.slots.get_mut(client.index()) else { return };
        match std::mem::replace(slot, Slot::Gone) {
            Slot::Free => *slot = Slot::Free,
            Slot::Gone => {}
            Slot::Waiting(_) => self.gone.push_back((client, why)),
            // The socket is closed by dropping it, which also takes it out of the poller.
            Slot::Live(link) => {
                match link.state {
                    State::Entering(_) => self.under_way -= 1,
                    State::Open => self.open -= 1,
                    State::Closing => {}
                }
                self.gone.push_back((client, why));
            }
        }
    }

    /// A client's number may be given to another, from the next turn on.
    pub(super) fn release(&mut self, client: Client) {
        self.slots[client.index()] = Slot::Free;
        self.freed.push(client);
    }
}

fn append_to<'l>(
    link: &'l mut Link,
    client: Client,
    corked: &mut Vec<Client>,
    spare: &mut Vec<Vec<u8>>,
) -> &'l mut Vec<u8> {
    if link.out.capacity() == 0 {
        link.out = spare.pop().unwrap_or_default();
    }
    if !link.corked {
        link.corked = true;
        corked.push(client);
    }
    &mut link.out
}

fn write_out(link: &mut Link) -> io::Result<()> {
    while !link.out.is_empty() {
        match link.transport.write(&link.out) {
            Ok(count) if count == link.out.len() => link.out.clear(),
            Ok(count) => drop(link.out.drain(..count)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    link.transport.push()
}

/// What an error of the socket means for a client, depending on how far it is.
pub(super) fn lost_by(link: &Link, error: &io::Error) -> Closed {
    use super::link::Stage;
    match link.stage() {
        None => Closed::Peer(super::link::CLOSE_ABNORMAL),
        Some(_) if error.kind() == ErrorKind::InvalidData => Closed::Refused("tls", error.to_string()),
        Some(stage) => {
            let what = match stage {
                Stage::Connecting => "connect",
                Stage::Upgrading => "upgrade",
                Stage::Registering => "register",
            };
            Closed::Refused(what, word_for(error.kind()).to_owned())
        }
    }
}

/// A word for each error that sockets give.
pub(super) fn word_for(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => "reset",
        ErrorKind::TimedOut => "timeout",
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => "no_port_left",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "unreachable",
        ErrorKind::UnexpectedEof => "closed",
        _ => "failed",
    }
}
