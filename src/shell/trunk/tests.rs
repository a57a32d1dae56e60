//! Trunks between real threads on real pollers, and the rules of one port step by step.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::*;

/// Ports whose wake-ups are counted instead of performed.
fn counted<T>(shards: usize, capacity: usize) -> (Vec<TrunkPort<T>>, Vec<Arc<AtomicUsize>>) {
    let counts: Vec<Arc<AtomicUsize>> = (0..shards).map(|_| Arc::default()).collect();
    let wakers = counts.iter().cloned().map(|count| -> Wake {
        Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
    });
    (mesh(capacity, wakers.collect()), counts)
}

fn pair<T>(capacity: usize) -> (TrunkPort<T>, TrunkPort<T>, Vec<Arc<AtomicUsize>>) {
    let (mut ports, counts) = counted(2, capacity);
    let second = ports.pop().expect("two ports");
    let first = ports.pop().expect("two ports");
    (first, second, counts)
}

fn received<T>(port: &mut TrunkPort<T>, budget: usize) -> Vec<(usize, T)> {
    let mut messages = Vec::new();
    port.receive(budget, |from, message| messages.push((from, message)));
    messages
}

#[test]
fn messages_arrive_in_order_even_when_some_had_to_wait() {
    let (mut a, mut b, _) = pair(2);
    (0..5).for_each(|i| a.send(1, i));
    assert_eq!((a.outbox_len(1), a.is_blocked(1), a.blocked_mask()), (3, true, 0b10));
    assert_eq!(received(&mut b, 256), [(0, 0), (0, 1)]);
    a.send(1, 5);
    assert_eq!(a.outbox_len(1), 4, "the queue has room, but others wait already");
    assert_eq!(a.flush_outboxes(), 0);
    assert_eq!(received(&mut b, 256), [(0, 2), (0, 3)]);
    assert_eq!(a.flush_outboxes(), 0b10);
    assert!(!a.is_blocked(1));
    assert_eq!(received(&mut b, 256), [(0, 4), (0, 5)]);
}

#[test]
fn a_blocked_destination_does_not_block_the_others() {
    let (mut ports, _) = counted(3, 1);
    (0..3).for_each(|i| ports[0].send(1, i));
    ports[0].send(2, 9);
    assert_eq!(ports[0].blocked_mask(), 0b010);
    assert_eq!(received(&mut ports[2], 256), [(0, 9)]);
}

#[test]
fn a_shard_may_send_to_itself() {
    let (mut a, ..) = pair(4);
    a.send(0, "note");
    assert!(!a.prepare_sleep());
    assert_eq!(received(&mut a, 256), [(0, "note")]);
    assert!(a.prepare_sleep());
}

#[test]
fn every_source_gets_its_budget_and_all_take_turns_in_being_first() {
    let (mut ports, _) = counted(3, 8);
    let mut c = ports.pop().expect("three ports");
    for port in &mut ports {
        (0..4).for_each(|i| port.send(2, i));
    }
    let sources =
        |messages: Vec<(usize, i32)>| messages.into_iter().map(|(from, _)| from).collect::<Vec<_>>();
    assert_eq!(sources(received(&mut c, 2)), [0, 0, 1, 1]);
    assert_eq!(sources(received(&mut c, 1)), [1, 0]);
    assert_eq!(sources(received(&mut c, 256)), [0, 1]);
}

#[test]
fn a_handler_may_send_while_it_receives() {
    let (mut a, mut b, _) = pair(4);
    a.send(1, 1);
    let mut round = b.begin_receive(256);
    while let Some((from, message)) = b.receive_next(&mut round) {
        b.send(from, message + 1);
    }
    assert_eq!(received(&mut a, 256), [(1, 2)]);
}

#[test]
fn a_peer_is_woken_only_if_it_sleeps_and_once_a_turn() {
    let (mut a, mut b, wakes) = pair(8);
    a.send(1, ());
    a.wake_peers();
    assert_eq!(wakes[1].load(Ordering::SeqCst), 0, "awake");
    received(&mut b, 256);
    assert!(b.prepare_sleep());
    (0..3).for_each(|_| a.send(1, ()));
    assert!(a.prepare_sleep());
    assert_eq!(wakes[1].load(Ordering::SeqCst), 1);
    a.awake();
    a.send(1, ());
    a.wake_peers();
    assert_eq!(wakes[1].load(Ordering::SeqCst), 1, "it has been told already");
}

#[test]
fn a_shard_does_not_go_to_sleep_on_a_message() {
    let (mut a, mut b, wakes) = pair(8);
    a.send(1, ());
    assert!(!b.prepare_sleep());
    a.wake_peers();
    assert_eq!(wakes[1].load(Ordering::SeqCst), 0, "it took its announcement back");
}

#[test]
fn a_producer_asleep_on_an_outbox_is_woken_when_there_is_space() {
    let (mut a, mut b, wakes) = pair(1);
    a.send(1, 1);
    a.send(1, 2);
    assert!(a.prepare_sleep(), "no room, nothing to do");
    received(&mut b, 256);
    assert!(b.prepare_sleep());
    assert_eq!(wakes[0].load(Ordering::SeqCst), 1);
    a.awake();
    assert_eq!(a.flush_outboxes(), 0b10);
    assert!(a.prepare_sleep());
    assert_eq!(wakes[1].load(Ordering::SeqCst), 1);
    received(&mut b, 256);
    b.awake();
    b.wake_peers();
    assert_eq!(wakes[0].load(Ordering::SeqCst), 1, "nothing waits for space any more");
}

#[test]
fn a_shard_whose_outbox_would_fit_does_not_go_to_sleep() {
    let (mut a, mut b, _) = pair(1);
    a.send(1, 1);
    a.send(1, 2);
    received(&mut b, 256);
    assert!(!a.prepare_sleep());
}

#[test]
fn counters_tell_what_happened() {
    let (mut a, mut b, _) = pair(1);
    assert!(b.prepare_sleep());
    (0..3).for_each(|i| a.send(1, i));
    a.wake_peers();
    received(&mut b, 256);
    let expected = TrunkCounters { sent: 3, received: 0, full: 1, wakes: 1, outbox_len_max: 2 };
    assert_eq!(a.counters(1), expected);
    assert_eq!(b.counters(0), TrunkCounters { received: 1, ..TrunkCounters::default() });
}

/// What the flooding shards say to each other.
enum Message {
    Request(u32),
    Reply(u32),
}

/// A wait without end would only mean a lost wake-up; this long, the test has failed.
const LOST_WAKE_AFTER: Duration = Duration::from_secs(20);
const REQUESTS: u32 = 100_000;
const FLOOD_CAPACITY: usize = 64;
/// Requests a shard makes in a turn while its peer takes them: no more than a queue holds, like a switchboard, else
/// the outbox of a peer that runs more often would grow with every turn.
const REQUESTS_PER_TURN: u32 = FLOOD_CAPACITY as u32 / 2;

/// One shard of a flood: makes requests to every peer, answers theirs, sleeps in a real poller.
struct Flooder {
    port: TrunkPort<Message>,
    poll: mio::Poll,
    requested: Vec<u32>,
    answered: Vec<u32>,
    replied: Vec<u32>,
}

impl Flooder {
    fn mesh(shards: usize) -> Vec<Self> {
        let polls: Vec<mio::Poll> = (0..shards).map(|_| mio::Poll::new().expect("a poller")).collect();
        let wakers = polls.iter().map(|poll| -> Wake {
            let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
            Box::new(move || waker.wake().expect("an eventfd that takes a wake"))
        });
        let ports = mesh(FLOOD_CAPACITY, wakers.collect());
        let zeros = || vec![0; shards];
        let flooder =
            |(port, poll)| Self { port, poll, requested: zeros(), answered: zeros(), replied: zeros() };
        ports.into_iter().zip(polls).map(flooder).collect()
    }

    fn run(mut self) -> TrunkPort<Message> {
        loop {
            self.port.flush_outboxes();
            self.answer();
            let more = self.request();
            let may_sleep = self.port.prepare_sleep();
            if self.is_done() {
                return self.port;
            }
            if may_sleep {
                self.wait(more);
                self.port.awake();
            }
        }
    }

    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let shard = self.port.shard();
        (0..self.port.shards()).filter(move |&peer| peer != shard)
    }

    fn is_done(&self) -> bool {
        let all = |counts: &[u32], peer: usize| counts[peer] == REQUESTS;
        self.port.blocked_mask() == 0
            && self.peers().all(|peer| all(&self.answered, peer) && all(&self.replied, peer))
    }

    /// Replies are never held back, whatever the outboxes look like.
    fn answer(&mut self) {
        let mut round = self.port.begin_receive(RECEIVE_BUDGET);
        while let Some((from, message)) = self.port.receive_next(&mut round) {
            match message {
                Message::Request(i) => {
                    assert_eq!(i, self.replied[from], "requests arrive once and in order");
                    self.replied[from] += 1;
                    self.port.send(from, Message::Reply(i));
                }
                Message::Reply(i) => {
                    assert_eq!(i, self.answered[from], "replies arrive once and in order");
                    self.answered[from] += 1;
                }
            }
        }
    }

    /// Makes requests to peers that take them, as a shard reads sockets; whether it could make more at once.
    fn request(&mut self) -> bool {
        let mut more = false;
        for to in self.peers() {
            for _ in 0..REQUESTS_PER_TURN {
                if self.port.is_blocked(to) || self.requested[to] == REQUESTS {
                    break;
                }
                self.port.send(to, Message::Request(self.requested[to]));
                self.requested[to] += 1;
            }
            more |= !self.port.is_blocked(to) && self.requested[to] < REQUESTS;
        }
        more
    }

    fn wait(&mut self, more: bool) {
        let limit = if more { Duration::ZERO } else { LOST_WAKE_AFTER };
        let mut events = mio::Events::with_capacity(4);
        self.poll.poll(&mut events, Some(limit)).expect("a poller that polls");
        assert!(more || !events.is_empty(), "shard {} slept without being woken", self.port.shard());
    }
}

fn flood(shards: usize) -> Vec<TrunkPort<Message>> {
    let threads: Vec<_> =
        Flooder::mesh(shards).into_iter().map(|flooder| thread::spawn(move || flooder.run())).collect();
    threads.into_iter().map(|thread| thread.join().expect("a shard that does not panic")).collect()
}

#[test]
fn two_shards_that_flood_each_other_lose_nothing_and_never_stop() {
    for port in flood(2) {
        let peer = 1 - port.shard();
        let counters = port.counters(peer);
        assert_eq!((counters.sent, counters.received), (u64::from(2 * REQUESTS), u64::from(2 * REQUESTS)));
        assert!(counters.full > 0, "the flood never filled a queue of {FLOOD_CAPACITY}");
        // Requests stop at the first that waits; what comes on top are replies to one round, twice at most.
        assert!(counters.outbox_len_max < 4 * RECEIVE_BUDGET as u64, "{counters:?}");
    }
}

#[test]
fn four_shards_on_fewer_processors_lose_nothing_and_never_stop() {
    for port in flood(4) {
        let sent: u64 = (0..4).map(|peer| port.counters(peer).sent).sum();
        assert_eq!(sent, u64::from(3 * 2 * REQUESTS));
    }
}
