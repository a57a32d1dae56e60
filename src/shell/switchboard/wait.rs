//! How a switchboard sleeps: until a socket, a peer, a handshake or a deadline wants it.
//!
//! Peers and the operator wake it through a waker in its poller. As a rule it sleeps in the poller itself: one system
//! call less in each turn than through the runtime, and the shorter way to the first byte. Handshakes, which run on the
//! same thread, are visited when the poller has news of them, until none of them goes on. Only while the listener pauses,
//! and at a stop, does it sleep in the runtime, which has the poller nested. There a deadline is only armed anew when it
//! has come nearer: one that went farther away costs at most one idle turn.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

use crate::exchange::Tick;

use super::super::clock::Clock;
use super::Switchboard;
use super::stop::STOP_LOOK_MS;

/// The longest sleep: the second's work (stalled and closing connections) has to be looked at.
const SLEEP_MAX_MS: u64 = 1000;
/// After a silence of so long nobody has slept, but the process was stopped.
const STOPPED_MS: u64 = 2 * SLEEP_MAX_MS;
/// How long deadlines then wait for those who have something to say: at 128 sockets in a turn of a millisecond, everybody.
const CATCH_UP_MS: u64 = 1000;
/// Turns of the runtime after anything stirred at the door: it hears of a socket in the first and runs the task that waits
/// for it in the second, which counts as stirring; the rest is for good measure.
pub(super) const RUNTIME_VISITS: u32 = 4;

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
    /// Sleeps unless there is something to do.
    pub(super) async fn wait(&mut self) {
        let needs_runtime = self.lobby.is_pausing() || self.stopping.is_some();
        let is_visited = self.visits_left > 0;
        self.visits_left = self.visits_left.saturating_sub(1);
        if needs_runtime {
            self.wait_in_runtime().await;
            // What the runtime was told of meanwhile is not told again.
            self.visits_left = RUNTIME_VISITS;
            return;
        }
        self.wait_in_poller();
        if is_visited {
            tokio::task::yield_now().await;
            if self.lobby.take_stirred() {
                self.visits_left = RUNTIME_VISITS;
            }
        }
    }

    fn wait_in_poller(&mut self) {
        let must_look = self.visits_left > 0 || self.has_more() || self.spin();
        if must_look || !self.port.prepare_sleep() {
            if !self.polled {
                self.take_events(Some(Duration::ZERO));
            }
            self.polled = true;
            return;
        }
        let limit = self.timepiece.set(self.clock.tick(), self.sleep_until());
        let count = self.take_events(limit);
        if count == 0 {
            // Nobody came: a good moment.
            self.visits_left = RUNTIME_VISITS;
        }
        // A sleep that was interrupted says nothing about the sockets.
        self.polled = count > 0;
        self.port.awake();
    }

    /// Notices, at the begin of a turn, that the process or its machine was stopped and continued. In its sockets there are the
    /// heartbeats and answers of the time between, and whoever sent them must not be cut off unheard.
    pub(super) fn notice_stop(&mut self) {
        let now = self.now.tick;
        if now > self.last_turn.plus_millis(STOPPED_MS) {
            self.catch_up_until = now.plus_millis(CATCH_UP_MS);
            self.polled = false;
        }
        self.last_turn = now;
    }

    /// Whether deadlines have to wait for that.
    pub(super) fn is_catching_up(&self) -> bool {
        self.now.tick < self.catch_up_until && (self.crowded || !self.queues.ready.is_empty())
    }

    /// The next deadline of anything that has one.
    fn sleep_until(&self) -> Tick {
        let latest = if self.stopping.is_some() { STOP_LOOK_MS } else { SLEEP_MAX_MS };
        let latest = self.now.tick.plus_millis(latest);
        let core = self.shard.next_deadline().map(|(tick, _)| tick);
        let greeting = self.log_service.as_ref().and_then(|service| service.next_deadline());
        [core, greeting].into_iter().flatten().fold(latest, Tick::min)
    }

    async fn wait_in_runtime(&mut self) {
        if self.has_more() || self.spin() || !self.port.prepare_sleep() {
            // Handshakes and the listener run on this thread too.
            return tokio::task::yield_now().await;
        }
        self.alarm.arm(self.now.tick, self.sleep_until());
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
            if self.port.has_work() || self.take_events_now() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// Whether the poller has something; what it has is taken in at once.
    fn take_events_now(&mut self) -> bool {
        self.now = self.clock.now();
        self.polled = self.take_events(Some(Duration::ZERO)) > 0;
        self.polled
    }
}
