//! What ends a sleep in the poller when nothing else does.
//!
//! A wait with a time limit makes the kernel set a timer before each sleep and take it back after; on a virtual machine both
//! go through the hypervisor and cost more than all else of a wake-up. So a timer of its own (timerfd) stays set in the
//! poller, is only set anew when a deadline has come nearer, and otherwise rings early once a second. On systems other
//! than Linux the wait has a limit.

use std::time::Duration;

use mio::{Registry, Token};

use crate::exchange::Tick;

#[cfg(target_os = "linux")]
use self::timer::Timer;

/// The poller's token of the timer.
pub(super) const TIMER: Token = Token(usize::MAX - 3);

/// A timer that the poller watches.
pub(super) struct Timepiece {
    #[cfg(target_os = "linux")]
    timer: Timer,
    /// When it will ring, if it is set.
    set_to: Option<Tick>,
}

impl Timepiece {
    #[cfg(target_os = "linux")]
    pub(super) fn new(poller: &Registry) -> std::io::Result<Self> {
        Ok(Self { timer: Timer::new(poller)?, set_to: None })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn new(_: &Registry) -> std::io::Result<Self> {
        Ok(Self { set_to: None })
    }

    /// It has rung.
    pub(super) fn rang(&mut self) {
        self.set_to = None;
    }

    /// Sees to it that a sleep that begins `now` ends by `deadline`: by the timer, or else by the limit that is returned.
    pub(super) fn set(&mut self, now: Tick, deadline: Tick) -> Option<Duration> {
        if self.set_to.is_some_and(|set_to| set_to <= deadline) {
            return None;
        }
        let wait = Duration::from_micros(deadline.micros().saturating_sub(now.micros()).max(1));
        self.start(wait, deadline)
    }

    #[cfg(target_os = "linux")]
    fn start(&mut self, wait: Duration, deadline: Tick) -> Option<Duration> {
        match self.timer.start(wait) {
            Ok(()) => {
                self.set_to = Some(deadline);
                None
            }
            Err(_) => Some(wait),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn start(&mut self, wait: Duration, _: Tick) -> Option<Duration> {
        Some(wait)
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::io;
    use std::os::fd::{AsRawFd as _, OwnedFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    /// The kernel's timer. It need not be read: the poller is told of each ring, and setting it forgets the last.
    pub(super) struct Timer(OwnedFd);

    impl Timer {
        pub(super) fn new(poller: &Registry) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            poller.register(&mut SourceFd(&timer.as_raw_fd()), super::TIMER, Interest::READABLE)?;
            Ok(Self(timer))
        }

        /// Has it ring once, after this time.
        pub(super) fn start(&self, wait: Duration) -> io::Result<()> {
            let it_value =
                Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: i64::from(wait.subsec_nanos()) };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sleep(poll: &mut mio::Poll, timepiece: &mut Timepiece, now: u64, deadline: u64) -> Duration {
        let begun = Instant::now();
        let mut events = mio::Events::with_capacity(4);
        let limit = timepiece.set(Tick::from_micros(now), Tick::from_micros(deadline));
        poll.poll(&mut events, limit.or(Some(Duration::from_secs(10)))).unwrap();
        if events.iter().any(|event| event.token() == TIMER) {
            timepiece.rang();
        }
        begun.elapsed()
    }

    #[test]
    fn a_sleep_ends_by_its_deadline_and_one_that_has_come_nearer_counts() {
        let mut poll = mio::Poll::new().unwrap();
        let mut timepiece = Timepiece::new(poll.registry()).unwrap();
        for _ in 0..3 {
            let slept = sleep(&mut poll, &mut timepiece, 0, 2_000);
            assert!(slept >= Duration::from_millis(2) && slept < Duration::from_secs(10), "{slept:?}");
        }
        timepiece.set(Tick::from_micros(0), Tick::from_micros(3_600_000_000));
        let slept = sleep(&mut poll, &mut timepiece, 0, 2_000);
        assert!(slept < Duration::from_secs(10), "the hour before does not count: {slept:?}");
    }

    #[test]
    fn a_deadline_in_the_past_ends_the_sleep_at_once() {
        let mut poll = mio::Poll::new().unwrap();
        let mut timepiece = Timepiece::new(poll.registry()).unwrap();
        assert!(sleep(&mut poll, &mut timepiece, 5_000, 1_000) < Duration::from_secs(10));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_timer_that_rings_early_enough_is_left_alone() {
        let poll = mio::Poll::new().unwrap();
        let mut timepiece = Timepiece::new(poll.registry()).unwrap();
        timepiece.set(Tick::from_micros(0), Tick::from_micros(1_000_000));
        timepiece.set(Tick::from_micros(500), Tick::from_micros(2_000_000));
        assert_eq!(timepiece.set_to, Some(Tick::from_micros(1_000_000)));
        timepiece.set(Tick::from_micros(600), Tick::from_micros(900_000));
        assert_eq!(timepiece.set_to, Some(Tick::from_micros(900_000)));
    }
}
