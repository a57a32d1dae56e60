//! Wake handlers (specification, section 15): tells a sleeping agent, by webhook or by starting it, that it is called.
//!
//! Runs on the operator's runtime and never on a shard (design, D11). A shard asks by [`WakeCommand`] through a bounded
//! queue and gets exactly one [`WakeResult`] for each [`WakeCommand::Run`]. Which handler runs when, who waits for it
//! and whether spawning is allowed are the core's and the configuration's decisions; nothing here knows of calls.
//! URLs, payloads and commands are private to their owner: no log line and no `Debug` output shows them.

mod address;
mod connector;
mod runner;
mod spawn;
#[cfg(test)]
mod test_server;
mod webhook;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub(crate) use connector::{ConnectFailure, GuardedConnector};
pub use runner::run;

/// Commands that may wait for the runner. It takes them without ever waiting itself, so this covers a burst, not work.
const COMMANDS_MAX: usize = 1024;

/// A bounded queue for [`run`]: one sender for each shard, the receiver for the operator.
pub fn channel() -> (mpsc::Sender<WakeCommand>, mpsc::Receiver<WakeCommand>) {
    mpsc::channel(COMMANDS_MAX)
}

/// What the caller of [`run`] does with a result. Called on the operator's thread, also while runs are being dropped;
/// must not block or panic.
pub type Report = Arc<dyn Fn(WakeResult) + Send + Sync>;

/// What a shard tells the runner.
#[derive(Debug)]
pub enum WakeCommand {
    /// Run this handler. A lost one leaves its callers waiting until their own timer.
    Run(WakeJob),
    /// The address of this run has been registered: a spawned process lives on past its limit, and a handler that has
    /// not started is not started (its result is [`WakeOutcome::Answered`]). Harmless for unknown or ended runs.
    Settled {
        /// The run's number.
        run: u64,
    },
    /// Nobody waits for this run any more: if it has not started, it never does. One that runs goes on to its limit,
    /// since an agent may be half awake. Harmless for unknown or ended runs.
    Abandoned {
        /// The run's number.
        run: u64,
    },
}

/// One run of a wake handler.
#[derive(Debug)]
pub struct WakeJob {
    /// Names the run in later commands and in its result; unique among the runs whose result is outstanding.
    pub run: u64,
    /// The normalised address to wake.
    pub address: Arc<str>,
    /// What to do.
    pub handler: WakeHandler,
    /// The session that registered it, for the log.
    pub registered_by: Option<Arc<str>>,
    /// The whole time allowed, counted from when the runner takes the command: waiting for a free place, name lookup,
    /// redirects and the answer together.
    pub limit: Duration,
}

/// What brings an agent up.
#[derive(Clone, PartialEq, Eq)]
pub enum WakeHandler {
    /// An HTTP POST; any 2xx answer is success.
    Webhook {
        /// An http or https URL without user name and password; others fail the run.
        url: String,
        /// `payload` of the handler, as valid JSON; sent as `null` when absent.
        payload: Option<Bytes>,
        /// The whole handler as it was registered, as valid JSON.
        source: Bytes,
    },
    /// A program to start, without a shell; exit code 0 is success.
    Spawn {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

impl WakeHandler {
    /// The handler's type as it is written on the wire, for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Spawn { .. } => "spawn",
        }
    }
}

impl fmt::Debug for WakeHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook { source, .. } => write!(f, "Webhook({} bytes)", source.len()),
            Self::Spawn { command } => write!(f, "Spawn({} words)", command.len()),
        }
    }
}

/// The end of a run. Each run has exactly one, also when the runner stops in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeResult {
    /// The run's number.
    pub run: u64,
    /// How it ended.
    pub outcome: WakeOutcome,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeOutcome {
    /// The handler succeeded (or the run was settled first). The agent may still be on its way to register.
    Answered,
    /// The handler failed: BUSY `wake_failed`.
    Failed(WakeFailure),
    /// The limit passed first: BUSY `timeout`.
    TimedOut,
}

impl fmt::Display for WakeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Failed(failure) => write!(f, "failed: {failure}"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

/// Why a handler failed. Holds nothing that the handler's owner wrote, so it may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeFailure {
    /// The webhook's URL, or one it was redirected to, is not a URL.
    InvalidUrl,
    /// A URL is neither http nor https.
    UnsupportedScheme,
    /// A URL carries a user name or a password. Refused as fetch does; a token belongs into the payload or the query.
    Credentials,
    /// A host has no address, or the resolver failed.
    Unresolvable,
    /// A host has only addresses that webhooks may not reach: link-local, cloud metadata, not a single host.
    ForbiddenAddress,
    /// A host accepted no connection.
    Unreachable(io::ErrorKind),
    /// The TLS handshake failed, most often over a certificate that is not trusted.
    Tls,
    /// The connection ended, or what came was not HTTP, before an answer was there.
    BrokenAnswer,
    /// The final answer had this status, not 2xx.
    Status(u16),
    /// More than five redirects.
    TooManyRedirects,
    /// The program could not be started.
    NotStartable(io::ErrorKind),
    /// The program exited with this code, not 0; none when a signal ended it.
    Exited(Option<i32>),
    /// Nobody waited any more when the run's turn came.
    Abandoned,
    /// The runner stopped before the handler was done.
    Stopped,
}

impl fmt::Display for WakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUrl => f.write_str("the URL is not valid"),
            Self::UnsupportedScheme => f.write_str("the URL is neither http nor https"),
            Self::Credentials => f.write_str("the URL carries a user name or password"),
            Self::Unresolvable => ConnectFailure::Unresolvable.fmt(f),
            Self::ForbiddenAddress => ConnectFailure::ForbiddenAddress.fmt(f),
            Self::Unreachable(kind) => ConnectFailure::Unreachable(*kind).fmt(f),
            Self::Tls => f.write_str("the TLS handshake failed"),
            Self::BrokenAnswer => f.write_str("the connection ended without an answer"),
            Self::Status(status) => write!(f, "the answer was {status}"),
            Self::TooManyRedirects => f.write_str("too many redirects"),
            Self::NotStartable(kind) => write!(f, "the program could not be started: {kind}"),
            Self::Exited(Some(code)) => write!(f, "the program exited with {code}"),
            Self::Exited(None) => f.write_str("the program was ended by a signal"),
            Self::Abandoned => f.write_str("nobody waits any more"),
            Self::Stopped => f.write_str("the exchange stops"),
        }
    }
}

impl std::error::Error for WakeFailure {}

impl From<ConnectFailure> for WakeFailure {
    fn from(failure: ConnectFailure) -> Self {
        match failure {
            ConnectFailure::Unresolvable => Self::Unresolvable,
            ConnectFailure::ForbiddenAddress => Self::ForbiddenAddress,
            ConnectFailure::Unreachable(kind) => Self::Unreachable(kind),
        }
    }
}
