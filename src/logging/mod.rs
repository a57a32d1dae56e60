//! Logs: one line per event, as text or JSON (spec 22), and the feed of the log stream (spec 20). The rest of the program calls
//! the macros of `tracing` with fields and a constant message; it never prints.
//!
//! What holds: logging never blocks the thread that logs (bounded queues, losses counted and reported); a level that is
//! switched off costs one comparison and formats nothing; what a peer sent cannot break out of its line; payloads, tokens and
//! wake commands travel in [`Private`]; lines a peer can provoke go through [`RateLimited`].

pub mod desk;
pub mod feed;
mod kept;
mod layer;
mod private;
mod rate;
mod render;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;
use std::sync::Arc;

use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

pub use crate::timestamp::Timestamp;
pub use desk::{LogDesk, LoggedLine, desk};
pub use feed::{Drained, FeedReader, LOG_STREAM_TARGET, LogFeed, log_feed, unfed};
pub use private::Private;
pub use rate::RateLimited;
pub use writer::LogGuard;

/// Events with this target say what an operator has done. They are written whatever the level is, and kept out of the log stream,
/// which anybody may read.
pub const AUDIT_TARGET: &str = "audit";

/// Events with this target say where the exchange can be reached. They are written whatever the level is: with port 0 nothing else tells. The
/// log stream hears them as its level has it.
pub const START_TARGET: &str = "systemx::start";

use layer::LogLayer;
use writer::{LogWriter, Sinks};

/// Least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Every message.
    Debug,
    /// Lines, calls, links, start and stop.
    Info,
    /// Somebody lost something.
    Warn,
    /// An operator must act.
    Error,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `[LEVEL] message {json context}` (spec 22).
    Text,
    /// One JSON object per line.
    Json,
}

/// How this process logs.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// Least level that is logged.
    pub level: LogLevel,
    /// Form of the lines on standard output and error.
    pub format: LogFormat,
    /// Whether lines are also kept for the log stream.
    pub stream: bool,
    /// The wall clock, milliseconds since 1970; handed in, because only the shell reads clocks.
    pub clock_unix_ms: fn() -> u64,
}

/// What the start gets back from [`init`].
pub struct Logging {
    /// To be dropped last: it waits for lines that are not written yet.
    pub guard: LogGuard,
    /// For the log service; `None` if the log stream is off.
    pub feed: Option<FeedReader>,
}

/// Why logging cannot start.
#[derive(Debug)]
pub enum LogError {
    /// The writer thread cannot be started.
    Thread(io::Error),
    /// This process logs already.
    AlreadyStarted,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Thread(error) => write!(f, "cannot start the log writer: {error}"),
            LogError::AlreadyStarted => f.write_str("this process has a log already"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Thread(error) => Some(error),
            LogError::AlreadyStarted => None,
        }
    }
}

/// Starts logging for the whole process. Once; a second call is refused.
pub fn init(settings: LogSettings) -> Result<Logging, LogError> {
    let desk = Arc::new(LogDesk::new(settings.level));
    let (subscriber, logging) = build(settings, Sinks::process(), &desk).map_err(LogError::Thread)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadyStarted)?;
    desk::install(&desk);
    Ok(logging)
}

/// Everything but the installation, so that tests can log into buffers.
fn build(
    settings: LogSettings,
    sinks: Sinks,
    desk: &Arc<LogDesk>,
) -> io::Result<(impl tracing::Subscriber + Send + Sync, Logging)> {
    let LogSettings { level: _, format, stream, clock_unix_ms } = settings;
    let (writer, guard) = LogWriter::start(sinks, format, clock_unix_ms)?;
    let (feed, reader) = stream.then(log_feed).unzip();
    let layer = LogLayer { desk: Arc::clone(desk), format, clock_unix_ms, writer, feed };
    Ok((Registry::default().with(layer), Logging { guard, feed: reader }))
}
