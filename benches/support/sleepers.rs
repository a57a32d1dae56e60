//! How threads that own a trunk port wait for each other: in a poller with the real wake-up, or awake.
//!
//! The sleep is the switchboard's (`prepare_sleep`, the poller's wait, `awake`, a `mio::Waker` that writes an eventfd),
//! without tokio around it. Invariant: a thread that sleeps is woken by nothing but its peers or [`Stop`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use mio::{Events, Poll, Token, Waker};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use systemx::shell::trunk::{TrunkPort, Wake, mesh};

/// How a thread waits when it has nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// It goes on looking.
    Awake,
    /// It sleeps until it is woken.
    Asleep,
}

impl Rest {
    /// For the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Asleep => "sleeping",
        }
    }
}

/// Where one thread sleeps.
pub struct Bed {
    poll: Poll,
    events: Events,
    looks: u32,
}

/// A thread that stays awake gives way after so many looks: where threads share a processor, the one that is waited for
/// must get it. The price is spread over too many looks to show.
const LOOKS_MAX: u32 = 2000;

impl Bed {
    /// Waits for freight, unless there is some.
    pub fn rest<T>(&mut self, port: &mut TrunkPort<T>, rest: Rest) {
        match rest {
            Rest::Awake => {
                port.wake_peers();
                self.looks = self.looks.wrapping_add(1);
                if self.looks.is_multiple_of(LOOKS_MAX) {
                    std::thread::yield_now();
                }
                std::hint::spin_loop();
            }
            Rest::Asleep => {
                if port.prepare_sleep() {
                    self.poll.poll(&mut self.events, None).expect("the poller waits");
                    port.awake();
                }
            }
        }
    }
}

/// Binds this thread to one of the processors that the process may use, as `--pin` does with shards. Without it two
/// threads that wake each other end up on one processor or on two as the kernel likes, and a wake-up costs 3 or 20 us.
pub fn pin(number: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    ALLOWED.get_or_init(|| allowed);
    let cores: Vec<usize> = ALLOWED
        .get()
        .map_or(Vec::new(), |allowed| (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect());
    let Some(&core) = cores.get(number % cores.len().max(1)) else { return };
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("a thread may stay on a processor that it may use");
}

/// What the process may use. The first thread to be pinned knows; threads that it starts inherit its one processor.
static ALLOWED: OnceLock<CpuSet> = OnceLock::new();

/// Ends the thread of one port.
#[derive(Clone)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// Says it and wakes the thread.
    pub fn say(&self) {
        self.flag.store(true, Ordering::Release);
        self.waker.wake().expect("a thread can be woken");
    }

    /// Whether it was said.
    pub fn is_said(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }
}

/// The trunks between so many threads, as the operator makes them: for each its port, its bed, its end.
pub fn threads<T>(count: usize, capacity: usize) -> Vec<(TrunkPort<T>, Bed, Stop)> {
    let (mut beds, mut stops, mut wakes) = (Vec::new(), Vec::new(), Vec::<Wake>::new());
    for _ in 0..count {
        let poll = Poll::new().expect("the system has a poller");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a poller has a waker"));
        let bell = waker.clone();
        wakes.push(Box::new(move || bell.wake().expect("a peer can be woken")));
        beds.push(Bed { poll, events: Events::with_capacity(8), looks: 0 });
        stops.push(Stop { flag: Arc::default(), waker });
    }
    let ports = mesh(capacity, wakes);
    ports.into_iter().zip(beds).zip(stops).map(|((port, bed), stop)| (port, bed, stop)).collect()
}
