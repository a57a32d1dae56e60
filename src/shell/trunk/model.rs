//! Model check of the wake protocol: the very source of `flags.rs`, compiled against loom's atomics, in all
//! interleavings and all reorderings the memory model allows.
//!
//! The queue is a stand-in (crossbeam's is not made for loom): two counters, published and taken with release and
//! acquire only, which leaves all ordering between queue and flags to the fences under test. A sleeper that is
//! never woken is a deadlock to loom, and fails.

#[allow(clippy::duplicate_mod, reason = "the same source with other atomics is the point")]
#[path = "flags.rs"]
mod flags;

/// What `flags.rs` gets in place of the real atomics.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use flags::{Sleeping, WantSpace, publish};

/// A queue of anonymous messages from one producer to one consumer.
struct Queue {
    pushed: AtomicUsize,
    popped: AtomicUsize,
    capacity: usize,
}

impl Queue {
    fn new(capacity: usize) -> Self {
        Self { pushed: AtomicUsize::new(0), popped: AtomicUsize::new(0), capacity }
    }

    fn len(&self) -> usize {
        let popped = self.popped.load(Ordering::Acquire);
        self.pushed.load(Ordering::Acquire) - popped
    }

    /// By the producer only.
    fn push(&self) -> bool {
        let room = self.len() < self.capacity;
        if room {
            self.pushed.fetch_add(1, Ordering::AcqRel);
        }
        room
    }

    /// By the consumer only.
    fn pop(&self) -> bool {
        let any = self.len() > 0;
        if any {
            self.popped.fetch_add(1, Ordering::AcqRel);
        }
        any
    }
}

struct Shard {
    sleeping: Sleeping,
    waker: Notify,
}

impl Shard {
    fn new() -> Self {
        Self { sleeping: Sleeping::new(), waker: Notify::new() }
    }

    fn wake(&self) {
        if self.sleeping.must_be_woken() {
            self.waker.notify();
        }
    }

    /// As `TrunkPort::prepare_sleep`, the wait in the poller, and `awake`.
    fn sleep_unless(&self, has_work: impl Fn() -> bool) {
        self.sleeping.announce();
        if !has_work() {
            self.waker.wait();
        }
        self.sleeping.revoke();
    }
}

struct World {
    queue: Queue,
    want_space: WantSpace,
    producer: Shard,
    consumer: Shard,
}

impl World {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(capacity),
            want_space: WantSpace::new(),
            producer: Shard::new(),
            consumer: Shard::new(),
        })
    }

    /// Sends `count` messages, sleeping whenever the queue is full.
    fn produce(&self, count: usize) {
        let mut outbox = count;
        loop {
            while outbox > 0 && self.queue.push() {
                outbox -= 1;
            }
            publish();
            self.consumer.wake();
            if outbox == 0 {
                return self.want_space.lower();
            }
            self.want_space.raise();
            self.producer.sleep_unless(|| self.queue.len() < self.queue.capacity);
        }
    }

    /// Receives `count` messages, sleeping whenever the queue is empty.
    fn consume(&self, count: usize) {
        let mut received = 0;
        loop {
            while self.queue.pop() {
                received += 1;
            }
            publish();
            if self.want_space.is_raised() {
                self.producer.wake();
            }
            if received == count {
                return;
            }
            self.consumer.sleep_unless(|| self.queue.len() > 0);
        }
    }
}

fn check(messages: usize, capacity: usize) {
    let mut model = loom::model::Builder::new();
    // As many preemptions as the lost wake-ups met so far needed, few enough to be checked within seconds.
    model.preemption_bound = Some(2);
    model.check(move || {
        let world = World::new(capacity);
        let consumer = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.consume(messages))
        };
        world.produce(messages);
        consumer.join().expect("the consumer does not panic");
    });
}

#[test]
fn a_sleeping_consumer_never_misses_a_message() {
    check(2, 2);
}

#[test]
fn a_producer_asleep_on_a_full_queue_never_misses_the_space() {
    check(3, 1);
}
