//! How a switchboard sleeps: until a socket, a peer, a handshake or a deadline wants it.
//!
//! Peers and the operator wake it through a waker in its poller; handshakes run on the same thread and ring a
//! bell. A deadline is only armed anew when it has come nearer: one that went farther away costs at most one idle
//! turn, and rings are cancelled far more often than they run out.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::Sleep;

use crate::exchange::Tick;

use super::super::clock::Clock;
use super::stop::STOP_LOOK_MS;
use super::{BUSY_MESSAGES_MIN, Switchboard};

/// The longest sleep: the second's work (stalled and closing connections) has to be looked at.
const SLEEP_MAX_MS: u64 = 1000;

/// A bell on the shard's own thread.
#[derive(Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    sleeper: RefCell<Option<Waker>>,
}

impl Bell {
    /// Wakes the sleeper, or keeps it from falling asleep.
    pub(super) fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.sleeper.borrow_mut().take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.rung.take() {
            return Poll::Ready(());
        }
        *self.sleeper.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// The deadline that a sleep ends with.
pub(super) struct Alarm {
    clock: Clock,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Tick>,
}

impl Alarm {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, sleep: None, armed: None }
    }

    /// Sees to it that the next sleep ends at `deadline` at the latest.
    fn arm(&mut self, now: Tick, deadline: Tick) {
        if self.armed.is_some_and(|armed| armed <= deadline && armed > now) {
            return;
        }
        let at = tokio::time::Instant::from_std(self.clock.instant(deadline));
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(at))),
        }
        self.armed = Some(deadline);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        let ready = sleep.as_mut().poll(context);
        if ready.is_ready() {
            self.armed = None;
            self.sleep = None;
        }
        ready
    }
}

impl Switchboard {
    /// Whether the next turn may follow at once. Going to the runtime first would cost a system call more.
    pub(super) fn goes_on(&mut self) -> bool {
        let is_busy = self.messages_per_turn - self.messages_left >= BUSY_MESSAGES_MIN;
        is_busy && self.stopping.is_none() && (self.has_more() || self.peek_events())
    }

    /// Sleeps unless there is something to do.
    pub(super) async fn wait(&mut self) {
        if self.has_more() || self.spin() || !self.port.prepare_sleep() {
            // Handshakes and the listener run on this thread too.
            return tokio::task::yield_now().await;
        }
        let latest = if self.stopping.is_some() { STOP_LOOK_MS } else { SLEEP_MAX_MS };
        let latest = self.now.tick.plus_millis(latest);
        let core = self.shard.next_deadline().map(|(tick, _)| tick);
        let greeting = self.log_service.as_ref().and_then(|service| service.next_deadline());
        let deadline = [core, greeting].into_iter().flatten().fold(latest, Tick::min);
        self.alarm.arm(self.now.tick, deadline);
        std::future::poll_fn(|context| self.poll_wake(context)).await;
        self.port.awake();
    }

    fn poll_wake(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.bell.poll(context).is_ready() || self.alarm.poll(context).is_ready() {
            return Poll::Ready(());
        }
        match self.poller.poll_read_ready_mut(context) {
            // Cleared before the poller is asked, so that whatever comes after that rings again.
            Poll::Ready(Ok(mut guard)) => {
                guard.clear_ready();
                Poll::Ready(())
            }
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Polls for a bounded time instead of sleeping (`--spin-us`); says whether something came.
    fn spin(&mut self) -> bool {
        if self.spin_us == 0 {
            return false;
        }
        self.port.wake_peers();
        let until = self.clock.tick().micros() + self.spin_us;
        while self.clock.tick().micros() < until {
            if self.port.has_work() || self.peek_events() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// Whether the poller has something; what it has is taken in at once.
    fn peek_events(&mut self) -> bool {
        self.now = self.clock.now();
        self.polled = self.take_events() > 0;
        self.polled
    }
}
