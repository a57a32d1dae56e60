//! From the start of the exchange to its end: signals, orders to drain, what the service manager is told.
//!
//! One loop on the program's first thread, which waits for whatever comes next; all work is done by others (`operator.rs`). The states
//! are those of [`ServiceState`]: serving, draining, stopping. SIGTERM drains if `SYSTEMX_DRAIN_SECONDS` says so, and stops otherwise;
//! any SIGTERM or SIGINT during a drain, and any SIGINT, stops at once.

use std::fmt;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;

use crate::config::Config;
use crate::config::process::Supervision;
use crate::console::{Report, ServiceState, StateBoard};
use crate::logging::FeedReader;

use super::operator::{Running, StartError, start_on};
use super::supervisor::Supervisor;

/// How often the state is looked at, and how often while a drain goes on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_AT_DRAIN_EVERY: Duration = Duration::from_millis(50);
/// How often files that may be renewed are looked at; two or three of them.
const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(2);
/// How long a drain lasts at most that somebody orders who does not say, if SIGTERM does not drain. Most calls are shorter.
pub const DRAIN_SECONDS_DEFAULT: u64 = 30;
/// Longest drain that may be ordered: a day, as for the setting.
pub const DRAIN_SECONDS_MAX: u64 = 86_400;

/// An order to drain, given from any thread; whoever holds one sees the state as well.
#[derive(Clone, Debug)]
pub struct DrainDesk {
    state: StateBoard,
    orders: mpsc::Sender<Duration>,
    usual: Duration,
}

/// Why a drain does not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DrainRefused {
    /// One is under way, or the exchange stops.
    Already(ServiceState),
    /// It would last longer than [`DRAIN_SECONDS_MAX`].
    TooLong,
}

impl fmt::Display for DrainRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Already(state) => write!(f, "the exchange is {} already", state.name()),
            Self::TooLong => write!(f, "a drain lasts at most {DRAIN_SECONDS_MAX} seconds"),
        }
    }
}

impl std::error::Error for DrainRefused {}

impl DrainDesk {
    /// A desk, and where its orders arrive. `usual_s` is for how long SIGTERM drains; 0: it does not.
    pub(super) fn new(usual_s: u64, state: StateBoard) -> (Self, mpsc::Receiver<Duration>) {
        // More than one order is one too many.
        let (orders, incoming) = mpsc::channel(1);
        let seconds = if usual_s > 0 { usual_s } else { DRAIN_SECONDS_DEFAULT };
        (Self { state, orders, usual: Duration::from_secs(seconds) }, incoming)
    }

    /// Orders a drain of so many seconds at most, or of as many as is usual here; how many that is. The exchange ends itself
    /// when it is over. Never waits.
    ///
    /// # Errors
    /// If a drain is under way, or the time is beyond all reason.
    pub fn order(&self, seconds: Option<u64>) -> Result<u64, DrainRefused> {
        let limit = seconds.map_or(self.usual, Duration::from_secs);
        if limit.as_secs() > DRAIN_SECONDS_MAX {
            return Err(DrainRefused::TooLong);
        }
        let state = self.state.read();
        if state != ServiceState::Serving {
            return Err(DrainRefused::Already(state));
        }
        // One that is not taken yet is as good as under way.
        self.orders.try_send(limit).map_err(|_| DrainRefused::Already(ServiceState::Draining))?;
        Ok(limit.as_secs())
    }

    /// What the exchange is up to.
    pub fn state(&self) -> ServiceState {
        self.state.read()
    }
}

/// What the exchange is started by, besides its configuration.
#[derive(Default, Debug)]
pub struct Surroundings {
    /// What the service manager wants to be told.
    pub supervision: Supervision,
    /// Sockets that it has opened; empty: the exchange opens its own.
    pub inherited: Vec<TcpListener>,
}

/// Starts an exchange and runs it until it is told to go. SIGHUP reads anew what can be read anew.
///
/// # Errors
/// If it cannot start.
pub fn run(config: &Config, feed: Option<FeedReader>, surroundings: Surroundings) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::System { what: "a runtime", source })?;
    let _guard = runtime.enter();
    // Before the start, so that no signal is lost.
    let signals = Signals::catch()?;
    let supervisor = Supervisor::reach(&surroundings.supervision);
    let mut running = start_on(config, feed, surroundings.inherited)?;
    supervisor.ready();
    let drain_limit = (config.drain_seconds > 0).then(|| Duration::from_secs(config.drain_seconds));
    let mut oversight = Oversight { supervisor, drain_limit, drain: None, said: None };
    let why = runtime.block_on(oversight.watch(&mut running, signals));
    info!(why, "stopping");
    oversight.supervisor.stopping();
    running.stop();
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> Result<Self, StartError> {
        let caught =
            |kind| signal(kind).map_err(|source| StartError::System { what: "a signal handler", source });
        // Unless it is caught, the system ends a process whose file has grown to its limit (`ulimit -f`, `LimitFSIZE=`). Caught, it
        // is an error of writing like any other, and those who write have an answer to it.
        drop(caught(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            hangup: caught(SignalKind::hangup())?,
        })
    }
}

struct Oversight {
    supervisor: Supervisor,
    /// How long SIGTERM drains; `None`: it stops.
    drain_limit: Option<Duration>,
    /// When the drain that is under way is over at the latest.
    drain: Option<Instant>,
    /// When the supervisor was last told how things are.
    said: Option<Instant>,
}

impl Oversight {
    /// Watches the exchange; why it is to stop.
    async fn watch(&mut self, running: &mut Running, mut signals: Signals) -> &'static str {
        let mut looks_at_files = tokio::time::interval(LOOK_AT_FILES_EVERY);
        let mut orders = running.take_orders();
        loop {
            let look_every = if self.drain.is_some() { LOOK_AT_DRAIN_EVERY } else { LOOK_EVERY };
            tokio::select! {
                _ = signals.interrupt.recv() => return "SIGINT",
                _ = signals.terminate.recv() => match self.drain_limit {
                    Some(limit) if self.drain.is_none() => self.begin_drain(running, limit),
                    _ => return "SIGTERM",
                },
                _ = signals.hangup.recv() => {
                    self.supervisor.reloading();
                    running.reload();
                    self.supervisor.ready();
                }
                Some(limit) = orders.recv() => {
                    if self.drain.is_none() {
                        self.begin_drain(running, limit);
                    }
                }
                _ = looks_at_files.tick() => running.look_at_files(),
                () = tokio::time::sleep(look_every.min(self.supervisor.patience())) => {}
            }
            if let Some(why) = self.look(running) {
                return why;
            }
        }
    }

    fn begin_drain(&mut self, running: &mut Running, limit: Duration) {
        info!(limit_s = limit.as_secs(), "draining: nobody is let in any more, idle clients are sent away");
        self.drain = Some(Instant::now() + limit);
        running.drain(limit);
        self.said = None;
    }

    /// Looks how things are and tells the supervisor; why the exchange is to stop now, if it is.
    fn look(&mut self, running: &Running) -> Option<&'static str> {
        let (reports, now) = (running.reports(), Instant::now());
        self.supervisor.beat(&reports, now);
        let is_time = self.said.is_none_or(|said| now.saturating_duration_since(said) >= LOOK_EVERY);
        if is_time {
            self.said = Some(now);
            self.supervisor.status(status(&reports, running.state(), self.drain));
            if self.drain.is_some() {
                self.supervisor.needs_time();
            }
        }
        let until = self.drain?;
        if reports.iter().all(|report| report.is_drained) {
            return Some("the drain is complete");
        }
        (now >= until).then_some("the drain has lasted as long as it may")
    }
}

/// How things are, in one line.
fn status(reports: &[Report], state: ServiceState, until: Option<Instant>) -> String {
    let connections: usize = reports.iter().map(|report| report.connections).sum();
    let calls: usize = reports.iter().map(|report| report.counts.connected_calls).sum();
    let left = until.map(|until| until.saturating_duration_since(Instant::now()).as_secs());
    let left = left.map(|left| format!(", {left} s left")).unwrap_or_default();
    format!("{}: {connections} connections, {calls} calls up{left}", state.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_can_be_ordered_once_and_within_reason() {
        let state = StateBoard::default();
        let (desk, mut orders) = DrainDesk::new(0, state.clone());
        assert_eq!(desk.order(Some(DRAIN_SECONDS_MAX + 1)), Err(DrainRefused::TooLong));
        assert_eq!(desk.order(None), Ok(DRAIN_SECONDS_DEFAULT));
        let already = Err(DrainRefused::Already(ServiceState::Draining));
        assert_eq!(desk.order(Some(5)), already, "one waits to be taken");
        assert_eq!(orders.try_recv(), Ok(Duration::from_secs(DRAIN_SECONDS_DEFAULT)));
        state.advance(ServiceState::Draining);
        assert_eq!(desk.order(Some(5)), already);
        state.advance(ServiceState::Stopping);
        assert_eq!(desk.order(Some(5)), Err(DrainRefused::Already(ServiceState::Stopping)));
        assert_eq!(DrainDesk::new(60, StateBoard::default()).0.order(None), Ok(60));
    }
}
