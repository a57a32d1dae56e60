//! Trunks: the bounded queues by which shards signal each other, with their wake-ups and their backpressure.
//!
//! One `ArrayQueue` per ordered pair of shards, and one [`TrunkPort`] per shard that owns all its ends. Nothing ever
//! blocks: what does not fit waits in a local outbox per destination, in order. A shard is woken at most once per
//! peer and turn, and only if it sleeps. Between shards there is nothing else but the depot
//! of spent parcels; a trunk does not know what it carries.
//! Invariants: messages between two shards arrive once, in order; no shard sleeps while it has a message to receive
//! or an outbox that fits (`trunk/flags.rs` says how).
//!
//! A shard's turn: [`flush_outboxes`](TrunkPort::flush_outboxes), receive everything within the budget (also while
//! outboxes are full, or two flooding shards would wait for each other), read sockets except of lines whose next
//! frame goes to a blocked destination, [`prepare_sleep`](TrunkPort::prepare_sleep), wait in the poller,
//! [`awake`](TrunkPort::awake).

mod flags;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// The atomics of `flags.rs`, which its model replaces by loom's.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use flags::{Sleeping, WantSpace, publish};

/// Most shards of a node: destinations travel as bits of one `u64`.
pub const SHARDS_MAX: usize = 64;
/// Most messages taken from one source in a turn, so that no source delays the others or the sockets for long.
pub const RECEIVE_BUDGET: usize = 256;
/// Slots of a queue. 16 shards of 64-byte messages then take 16 MiB.
pub const CAPACITY_DEFAULT: usize = 1024;
/// Outboxes larger than this are freed when they have drained, in messages.
const OUTBOX_KEPT_MAX: usize = 1024;

/// Wakes a shard out of its poller; must be callable from any thread at any time, and be remembered if the shard is
/// not waiting yet, as `mio::Waker` does.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// Builds the queues between `wakers.len()` shards, of `capacity` messages each; `wakers[i]` wakes shard `i`, which
/// gets the port at the same index.
///
/// # Panics
/// If there are no shards or more than [`SHARDS_MAX`], or if the capacity is 0: errors of construction.
pub fn mesh<T>(capacity: usize, wakers: Vec<Wake>) -> Vec<TrunkPort<T>> {
    let shards = wakers.len();
    assert!((1..=SHARDS_MAX).contains(&shards), "{shards} shards");
    assert!(capacity > 0, "trunks without room");
    let bells: Vec<Arc<Bell>> = wakers.into_iter().map(|wake| Arc::new(Bell::new(wake))).collect();
    let lanes: Vec<Vec<Arc<Lane<T>>>> =
        (0..shards).map(|_| (0..shards).map(|_| Arc::new(Lane::new(capacity))).collect()).collect();
    (0..shards).map(|shard| TrunkPort::new(shard, &lanes, &bells)).collect()
}

/// The queue from one shard to another.
struct Lane<T> {
    queue: ArrayQueue<T>,
    want_space: CachePadded<WantSpace>,
}

impl<T> Lane<T> {
    fn new(capacity: usize) -> Self {
        Self { queue: ArrayQueue::new(capacity), want_space: CachePadded::new(WantSpace::new()) }
    }
}

/// How to wake one shard; shared by all of them.
struct Bell {
    sleeping: CachePadded<Sleeping>,
    wake: Wake,
}

impl Bell {
    fn new(wake: Wake) -> Self {
        Self { sleeping: CachePadded::new(Sleeping::new()), wake }
    }
}

/// What one shard counted about its traffic with one peer since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrunkCounters {
    /// Messages given to `send` for the peer.
    pub sent: u64,
    /// Messages received from the peer.
    pub received: u64,
    /// Times the queue to the peer was found full.
    pub full: u64,
    /// Times the peer was woken from its sleep.
    pub wakes: u64,
    /// Most messages that ever waited in the outbox for the peer.
    pub outbox_len_max: u64,
}

/// Everything one shard has to do with one peer.
struct Peer<T> {
    outbound: Arc<Lane<T>>,
    inbound: Arc<Lane<T>>,
    bell: Arc<Bell>,
    outbox: VecDeque<T>,
    counters: TrunkCounters,
}

/// A shard's ends of all its trunks. Owned by the shard's thread; peers are named by shard index, the shard's own
/// index included, which loops back.
pub struct TrunkPort<T> {
    shard: usize,
    peers: Vec<Peer<T>>,
    /// Peers whose outbox is not empty.
    blocked: u64,
    /// Peers to wake at the end of the turn: they got messages, or space they had asked for.
    to_wake: u64,
    /// Sources from which messages were taken in this turn, so that they may be told of the space.
    drained: u64,
    /// Where the next round of receiving starts, so that every source is first in turn.
    first_source: usize,
}

impl<T> fmt::Debug for TrunkPort<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrunkPort")
            .field("shard", &self.shard)
            .field("blocked", &self.blocked)
            .finish_non_exhaustive()
    }
}

/// One round of receiving: how far it has come. See [`TrunkPort::begin_receive`].
#[derive(Debug)]
#[must_use]
pub struct Round {
    source: usize,
    sources_left: usize,
    budget_left: usize,
    budget: usize,
}

impl<T> TrunkPort<T> {
    fn new(shard: usize, lanes: &[Vec<Arc<Lane<T>>>], bells: &[Arc<Bell>]) -> Self {
        let peer = |peer: usize| Peer {
            outbound: Arc::clone(&lanes[shard][peer]),
            inbound: Arc::clone(&lanes[peer][shard]),
            bell: Arc::clone(&bells[peer]),
            outbox: VecDeque::new(),
            counters: TrunkCounters::default(),
        };
        let peers = (0..lanes.len()).map(peer).collect();
        Self { shard, peers, blocked: 0, to_wake: 0, drained: 0, first_source: 0 }
    }

    /// The index of the shard that owns this port.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Number of shards, this one included.
    pub fn shards(&self) -> usize {
        self.peers.len()
    }

    /// Sends a message; never refuses, never blocks. If the queue is full, or others wait already, it joins the
    /// outbox, whose bound is the caller's: he must stop reading lines that send to a blocked destination.
    ///
    /// # Panics
    /// If there is no shard `to`.
    pub fn send(&mut self, to: usize, message: T) {
        let peer = &mut self.peers[to];
        peer.counters.sent += 1;
        match peer.try_push(message) {
            Ok(()) => self.to_wake |= bit(to),
            Err(message) => {
                peer.wait_in_outbox(message);
                self.blocked |= bit(to);
            }
        }
    }

    /// Messages that wait for room in the queue to a peer.
    pub fn outbox_len(&self, to: usize) -> usize {
        self.peers[to].outbox.len()
    }

    /// Messages in the queue to a peer, which it has not taken yet.
    pub fn queued(&self, to: usize) -> usize {
        self.peers[to].outbound.queue.len()
    }

    /// Whether messages to a peer have to wait.
    pub fn is_blocked(&self, to: usize) -> bool {
        self.blocked & bit(to) != 0
    }

    /// One bit per destination to which messages have to wait.
    pub fn blocked_mask(&self) -> u64 {
        self.blocked
    }

    /// Moves waiting messages into their queues as far as they fit; the destinations that are no longer blocked,
    /// as bits. First thing in a turn.
    pub fn flush_outboxes(&mut self) -> u64 {
        let mut unblocked = 0;
        for to in bits(self.blocked) {
            let peer = &mut self.peers[to];
            if peer.flush() {
                self.to_wake |= bit(to);
            }
            if peer.outbox.is_empty() {
                unblocked |= bit(to);
            }
        }
        self.blocked &= !unblocked;
        unblocked
    }

    /// Receives up to `budget_per_source` messages from every source, which take turns in being first; how many in
    /// all. For callers whose handler needs the port too there is [`begin_receive`](Self::begin_receive).
    pub fn receive(&mut self, budget_per_source: usize, mut handle: impl FnMut(usize, T)) -> usize {
        let mut round = self.begin_receive(budget_per_source);
        let mut received = 0;
        while let Some((from, message)) = self.receive_next(&mut round) {
            received += 1;
            handle(from, message);
        }
        received
    }

    /// Starts a round of receiving, to be followed by [`receive_next`](Self::receive_next) until it gives `None`.
    pub fn begin_receive(&mut self, budget_per_source: usize) -> Round {
        let source = self.first_source;
        self.first_source = (source + 1) % self.peers.len();
        Round {
            source,
            sources_left: self.peers.len(),
            budget_left: budget_per_source,
            budget: budget_per_source,
        }
    }

    /// The next message of a round and the shard it comes from; `None` when every source is empty or over budget.
    pub fn receive_next(&mut self, round: &mut Round) -> Option<(usize, T)> {
        while round.sources_left > 0 {
            let from = round.source;
            if let Some(message) = self.pop_within(from, &mut round.budget_left) {
                return Some((from, message));
            }
            round.source = (from + 1) % self.peers.len();
            round.sources_left -= 1;
            round.budget_left = round.budget;
        }
        None
    }

    /// Wakes every sleeping peer that got messages, or space it had asked for, since the last call: once each.
    /// [`prepare_sleep`](Self::prepare_sleep) includes it; inside a long turn call it when something must not wait.
    pub fn wake_peers(&mut self) {
        if self.drained | self.to_wake == 0 {
            return;
        }
        publish();
        for from in bits(std::mem::take(&mut self.drained)) {
            if self.peers[from].inbound.want_space.is_raised() {
                self.to_wake |= bit(from);
            }
        }
        for to in bits(std::mem::take(&mut self.to_wake)) {
            self.peers[to].wake();
        }
    }

    /// Ends a turn: wakes peers, announces this shard's sleep and looks once more. True if the shard may wait in its
    /// poller without limit as far as trunks are concerned; false if it must take another turn without waiting.
    /// After true, call [`awake`](Self::awake) when the wait is over. A shard that will not wait anyway (sockets left
    /// over from this turn) calls [`wake_peers`](Self::wake_peers) instead.
    #[must_use]
    pub fn prepare_sleep(&mut self) -> bool {
        self.wake_peers();
        if self.has_work() {
            return false;
        }
        for to in bits(self.blocked) {
            self.peers[to].outbound.want_space.raise();
        }
        self.peers[self.shard].bell.sleeping.announce();
        if self.has_work() {
            self.awake();
            return false;
        }
        true
    }

    /// The shard is up, for whatever reason; peers need not wake it until it announces its next sleep.
    pub fn awake(&mut self) {
        self.peers[self.shard].bell.sleeping.revoke();
    }

    /// Whether a turn would receive a message or move one out of an outbox.
    pub fn has_work(&self) -> bool {
        self.peers.iter().any(|peer| !peer.inbound.queue.is_empty())
            || bits(self.blocked).any(|to| !self.peers[to].outbound.queue.is_full())
    }

    /// What was counted about one peer.
    pub fn counters(&self, peer: usize) -> TrunkCounters {
        self.peers[peer].counters
    }

    fn pop_within(&mut self, from: usize, budget_left: &mut usize) -> Option<T> {
        *budget_left = budget_left.checked_sub(1)?;
        let peer = &mut self.peers[from];
        let message = peer.inbound.queue.pop()?;
        peer.counters.received += 1;
        self.drained |= bit(from);
        Some(message)
    }
}

impl<T> Peer<T> {
    /// Gives the message back if it has to wait.
    fn try_push(&mut self, message: T) -> Result<(), T> {
        if !self.outbox.is_empty() {
            return Err(message);
        }
        self.outbound.queue.push(message).inspect_err(|_| self.counters.full += 1)
    }

    fn wait_in_outbox(&mut self, message: T) {
        self.outbox.push_back(message);
        self.counters.outbox_len_max = self.counters.outbox_len_max.max(self.outbox.len() as u64);
    }

    /// Moves waiting messages into the queue; whether any moved.
    fn flush(&mut self) -> bool {
        let before = self.outbox.len();
        while let Some(message) = self.outbox.pop_front() {
            if let Err(message) = self.outbound.queue.push(message) {
                self.counters.full += 1;
                self.outbox.push_front(message);
                break;
            }
        }
        if self.outbox.is_empty() {
            // A flag left up would wake this shard once for nothing.
            self.outbound.want_space.lower();
            self.outbox.shrink_to(OUTBOX_KEPT_MAX);
        }
        self.outbox.len() < before
    }

    fn wake(&mut self) {
        if self.bell.sleeping.must_be_woken() {
            self.counters.wakes += 1;
            (self.bell.wake)();
        }
    }
}

fn bit(shard: usize) -> u64 {
    1 << shard
}

/// The shards whose bits are set, lowest first.
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(lowest)
    })
}
