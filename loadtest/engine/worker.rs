//! One thread of the generator: waits, hands out what came, and walks through the parts of a run.
//!
//! Invariant: a turn never waits; the only place that does is [`Worker::wait`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use mio::Events;

use super::read::SCRATCH_BYTES;
use super::timers::{Nanos, SECOND};
use super::{ALARM, Client, Context, Scenario, WAKER};
use crate::fault::Fault;
use crate::measure::tally::{Interval, Span};

const EVENTS_MAX: usize = 1024;
/// Before a deadline the worker looks again and again for so long: waking up takes about this.
const SPIN: Nanos = 60_000;
/// What is in flight at the end may take at most so long.
const DRAIN_MAX: Nanos = 10 * SECOND;

/// What the main thread tells its workers.
#[derive(Debug, Default)]
pub struct Shared {
    /// When the load begins; 0: not yet.
    pub start: AtomicU64,
    /// The run ends early, in order.
    pub end_now: AtomicBool,
}

/// What a worker tells the main thread.
pub enum Report {
    /// All is set up.
    Ready,
    /// A second, or less, is over.
    Interval(Box<Interval>),
    /// It is done; nothing more comes.
    Done,
    /// It cannot go on.
    Broken(Fault),
}

/// Which part of the run a worker is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    SetUp { told: bool },
    Load,
    Drain { until: Nanos },
    GoodBye { until: Nanos },
    Over,
}

/// See the module.
pub struct Worker<S> {
    pub(super) ctx: Context,
    pub(super) scenario: S,
    pub(super) scratch: Vec<u8>,
    shared: Arc<Shared>,
    reports: Sender<(usize, Report)>,
    part: Part,
    /// The measured window.
    window: (Nanos, Nanos),
    /// When this interval began and is to end.
    interval: (Nanos, Nanos),
    /// Spent on looking for a deadline, in this interval.
    spun: Nanos,
    /// Processor time of this thread at the beginning of the interval.
    cpu: Nanos,
}

impl<S: Scenario> Worker<S> {
    /// Nothing happens before [`Self::run`].
    pub fn new(ctx: Context, scenario: S, shared: Arc<Shared>, reports: Sender<(usize, Report)>) -> Self {
        let now = ctx.now;
        Self {
            ctx,
            scenario,
            scratch: vec![0; SCRATCH_BYTES],
            shared,
            reports,
            part: Part::SetUp { told: false },
            window: (Nanos::MAX, Nanos::MAX),
            interval: (now, now + SECOND),
            spun: 0,
            cpu: 0,
        }
    }

    /// Runs to the end.
    pub fn run(mut self) {
        let last = match self.run_parts() {
            Ok(()) => Report::Done,
            Err(fault) => Report::Broken(fault),
        };
        self.tell(last);
    }

    fn run_parts(&mut self) -> Result<(), Fault> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.cpu = thread_cpu();
        self.scenario.start(&mut self.ctx);
        while self.part != Part::Over {
            self.ctx.now = self.ctx.clock.now();
            self.ctx.free.append(&mut self.ctx.freed);
            self.fire();
            self.ctx.begin_connects();
            self.settle();
            self.read_those_again();
            self.advance();
            self.settle();
            self.wait(&mut events)?;
            for event in &events {
                if event.token() == WAKER {
                    self.ctx.now = self.ctx.clock.now();
                    self.scenario.on_woken(&mut self.ctx);
                    self.settle();
                    continue;
                }
                if event.token() == ALARM {
                    continue;
                }
                let client = Client(event.token().0 as u32);
                if event.is_writable() {
                    self.ctx.on_writable(client);
                }
                if event.is_readable() || event.is_error() {
                    self.read(client, event.is_read_closed());
                }
            }
        }
        Ok(())
    }

    /// Writes what has been said and tells of clients that are gone, until there is neither.
    pub(super) fn settle(&mut self) {
        loop {
            self.ctx.flush();
            let Some((client, why)) = self.ctx.gone.pop_front() else { return };
            self.scenario.on_closed(&mut self.ctx, client, &why);
            self.ctx.release(client);
        }
    }

    fn nobody_is_left(&self) -> bool {
        self.ctx.slots.iter().all(|slot| matches!(slot, super::link::Slot::Free))
    }

    /// Whether there is nothing more to wait for: whoever has gone before the good-bye does not answer it.
    fn is_at_its_end(&self) -> bool {
        match self.part {
            Part::Over => true,
            Part::GoodBye { .. } => self.nobody_is_left(),
            Part::SetUp { .. } | Part::Load | Part::Drain { .. } => false,
        }
    }

    fn fire(&mut self) {
        while let Some(token) = self.ctx.timers.due(self.ctx.now) {
            self.scenario.on_timer(&mut self.ctx, token);
            self.settle();
            self.ctx.now = self.ctx.clock.now();
        }
    }

    fn read_those_again(&mut self) {
        for client in std::mem::take(&mut self.ctx.again) {
            self.read_again(client);
        }
    }

    /// Waits for events or the next deadline.
    fn wait(&mut self, events: &mut Events) -> Result<(), Fault> {
        let now = self.ctx.clock.now();
        let due = self.ctx.next_deadline().min(self.interval.1);
        let more = !self.ctx.again.is_empty() || self.ctx.may_connect() || self.is_at_its_end();
        let at_once = more || self.ctx.plan().spin || due <= now + SPIN;
        let limit = at_once.then_some(std::time::Duration::ZERO);
        if !at_once {
            self.ctx.alarm.set(now, due - SPIN)?;
        }
        match self.ctx.poll.poll(events, limit) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => events.clear(),
            other => other?,
        }
        if at_once && events.is_empty() {
            self.spun += self.ctx.clock.now() - now;
        }
        Ok(())
    }

    /// Goes to the next part of the run, or the next second of this one, when its time has come.
    fn advance(&mut self) {
        let now = self.ctx.now;
        let ends = now >= self.window.1 || self.shared.end_now.load(Ordering::Relaxed);
        if self.part == Part::Load && ends {
            return self.end_load();
        }
        if now >= self.interval.1 {
            self.scenario.on_second(&mut self.ctx);
            self.next_interval();
        }
        match self.part {
            Part::SetUp { told } => self.advance_set_up(told),
            Part::Drain { until } => {
                if self.scenario.in_flight() == 0 || now >= until {
                    self.say_good_bye();
                }
            }
            Part::GoodBye { until } => {
                if self.nobody_is_left() || now >= until {
                    self.next_interval();
                    self.part = Part::Over;
                }
            }
            Part::Load | Part::Over => {}
        }
    }

    fn advance_set_up(&mut self, told: bool) {
        if self.shared.end_now.load(Ordering::Relaxed) {
            self.part = Part::Over;
            return;
        }
        if !told && self.scenario.is_ready() {
            self.part = Part::SetUp { told: true };
            // With how many are connected.
            self.next_interval();
            self.tell(Report::Ready);
        }
        let start = self.shared.start.load(Ordering::Acquire);
        if start == 0 {
            return;
        }
        if self.ctx.now < start {
            self.interval.1 = start;
            return;
        }
        let begin = start + self.ctx.plan.warm_up;
        self.window = (begin, begin + self.ctx.plan.duration);
        self.part = Part::Load;
        self.next_interval();
        self.scenario.run(&mut self.ctx);
    }

    fn end_load(&mut self) {
        // If the run ends early, so does the window.
        self.window.1 = self.window.1.min(self.ctx.now);
        self.ctx.over = true;
        self.part = Part::Drain { until: self.ctx.now + self.ctx.plan.op_limit.min(DRAIN_MAX) };
        self.next_interval();
        self.scenario.stop(&mut self.ctx);
    }

    fn say_good_bye(&mut self) {
        self.scenario.finish(&mut self.ctx);
        self.ctx.flush();
        for client in 0..self.ctx.slots.len() {
            self.ctx.close(Client(client as u32));
        }
        self.part = Part::GoodBye { until: self.ctx.now + self.ctx.plan.close_limit + SECOND };
        // Looks at once, and again when somebody has gone.
        self.interval.1 = self.ctx.now + self.ctx.plan.close_limit;
    }

    /// Hands over what was counted and begins anew.
    fn next_interval(&mut self) {
        let now = self.ctx.now;
        let (begin, end) = self.window;
        let (span, until) = match self.part {
            Part::Load if now < begin => (Span::Before, begin.min(now + SECOND)),
            Part::Load => {
                let slot = (now - begin) / SECOND;
                (Span::Slot(slot as u32), end.min(begin + (slot + 1) * SECOND))
            }
            Part::SetUp { .. } => (Span::Before, now + SECOND),
            Part::Drain { .. } | Part::GoodBye { .. } | Part::Over => (Span::After, now + SECOND),
        };
        let length = now - self.interval.0;
        let cpu = thread_cpu();
        let used = (cpu - self.cpu).saturating_sub(self.spun);
        let tally = self.ctx.tally.next(self.ctx.figures, span, end);
        let busy = used as f64 / length.max(1) as f64;
        (self.interval, self.cpu, self.spun) = ((now, until), cpu, 0);
        let interval =
            Interval { tally, connections: self.ctx.open, busy, length, ended: now.saturating_sub(begin) };
        self.tell(Report::Interval(Box::new(interval)));
    }

    fn tell(&self, report: Report) {
        // Nobody listens if the run was given up.
        drop(self.reports.send((self.ctx.share.worker, report)));
    }
}

/// Processor time of this thread.
fn thread_cpu() -> Nanos {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as Nanos * SECOND + time.tv_nsec as Nanos
}
