//! When a worker has to act without being asked: its deadlines, and a sleep that is exact.
//!
//! epoll waits in whole milliseconds, which would distort a schedule of thousands of operations a second. Here a
//! timer of the kernel wakes the worker shortly before a deadline, and it looks again and again for the rest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Nanoseconds since the run's epoch, which all workers share.
pub type Nanos = u64;

/// Nanoseconds in a second.
pub const SECOND: Nanos = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// The one clock of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Begins to count.
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Time since then.
    pub fn now(&self) -> Nanos {
        self.epoch.elapsed().as_nanos() as Nanos
    }
}

/// What is due when.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
}

impl Timers {
    /// Adds a deadline. Nothing is ever taken back: whoever set it knows whether it still matters.
    pub fn at(&mut self, when: Nanos, token: u64) {
        self.heap.push(Reverse((when, token)));
    }

    /// The next deadline.
    pub fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((when, _))| *when)
    }

    /// Takes out one that is due.
    pub fn due(&mut self, now: Nanos) -> Option<u64> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, token))| token)
    }
}

/// The kernel's timer in a worker's poller.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    armed_for: Option<Nanos>,
}

impl Alarm {
    /// Adds one to a poller.
    pub fn new(registry: &Registry, token: Token) -> Result<Self, io::Error> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, armed_for: None })
    }

    /// Wakes the poller at `when`. Costs nothing if that was the last wish, too.
    pub fn set(&mut self, now: Nanos, when: Nanos) -> Result<(), io::Error> {
        if self.armed_for == Some(when) && when > now {
            return Ok(());
        }
        self.armed_for = Some(when);
        // Zero would switch it off.
        let left = when.saturating_sub(now).max(1);
        let value = Timespec { tv_sec: (left / SECOND) as i64, tv_nsec: (left % SECOND) as i64 };
        let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: interval, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        for (when, token) in [(30, 3), (10, 1), (20, 2), (10, 0)] {
            timers.at(when, token);
        }
        assert_eq!((timers.due(9), timers.next()), (None, Some(10)));
        let mut order = Vec::new();
        while let Some(token) = timers.due(20) {
            order.push(token);
        }
        assert_eq!((order, timers.next()), (vec![0, 1, 2], Some(30)));
    }

    #[test]
    fn an_alarm_wakes_its_poller() {
        let mut poll = mio::Poll::new().expect("epoll is there");
        let mut alarm = Alarm::new(poll.registry(), Token(7)).expect("timers are there");
        let mut events = mio::Events::with_capacity(4);
        let clock = Clock::start();
        for _ in 0..3 {
            let now = clock.now();
            alarm.set(now, now + 300_000).expect("it can be set");
            poll.poll(&mut events, Some(std::time::Duration::from_secs(10))).expect("it can wait");
            assert!(!events.is_empty() && clock.now() >= now + 300_000);
        }
    }
}
