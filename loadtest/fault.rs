//! Why a run failed, or could not be begun.
//!
//! Only what ends a run is here. What goes wrong for one operation is counted by its reason, and a breach of
//! correctness is written down in the results; after both the run goes on.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::hints::hint;
use crate::report::json::FileError;

/// Why a run failed.
#[derive(Debug)]
pub enum Fault {
    /// The system refused something.
    Io(io::Error),
    /// A file of findings cannot be written.
    File(FileError),
    /// The server did not come up.
    NotUp(String),
    /// There are no figures of the server's process.
    NoFigures(&'static str),
    /// There is no such process, or it is not ours to look at.
    NoProcess(u32, io::Error),
    /// A URL that leads nowhere.
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Load is for loopback unless the user says that the target is theirs.
    NotLoopback {
        /// As given.
        url: String,
        /// What it leads to.
        address: SocketAddr,
    },
    /// A token that cannot be shown; file or reason, never the token.
    BadToken(String),
    /// Certificates that cannot be used; file or reason.
    BadRoots(String),
    /// An address of the target that nobody answers at.
    Unreachable(SocketAddr, io::Error),
    /// More connections than this process may have.
    TooManyClients {
        /// What the scenario opens.
        wanted: u64,
        /// What the system allows.
        allowed: u64,
    },
    /// The clients did not all get in.
    NotReady {
        /// Connections that were open.
        connections: u64,
        /// What went wrong meanwhile, by reason.
        errors: String,
    },
    /// The metrics page could not be read; what is wrong with it.
    NoMetrics(String),
    /// A measurement in which something went wrong; what.
    Spoilt(String),
    /// The user gave up before the load began.
    Interrupted,
    /// A thread of the generator ended before its time.
    WorkerLost,
    /// Options that contradict each other, or a value that cannot be.
    BadOption(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::File(error) => write!(f, "{error}"),
            Self::NotUp(what) => write!(f, "{what} did not come up"),
            Self::NoFigures(what) => write!(f, "/proc does not say the server's {what}"),
            Self::NoProcess(pid, error) => write!(f, "--pid {pid}: no such process can be read ({error})"),
            Self::BadUrl { url, why } => write!(f, "{url}: {why}"),
            Self::NotLoopback { url, address } => write!(
                f,
                "{url} leads to {address}, which is not a loopback address; \
                 add --i-own-this-target if you may load it"
            ),
            Self::BadToken(why) => write!(f, "{why}"),
            Self::BadRoots(why) => write!(f, "--ca: {why}"),
            Self::Unreachable(address, error) => {
                write!(f, "cannot connect to {address}: {error}; is the server up, and is this its address?")
            }
            Self::TooManyClients { wanted, allowed } => {
                write!(
                    f,
                    "{wanted} connections are wanted, but this process may open {allowed}; \
                     raise the limit on open files (ulimit -Hn) or spread them over several generators"
                )
            }
            Self::NotReady { connections, errors } => {
                write!(f, "the clients did not all get ready: {connections} connections are open, ")?;
                match (errors.as_str(), hint(errors)) {
                    ("", _) => write!(f, "and the server does not answer; its log may say why"),
                    (errors, None) => write!(f, "errors: {errors}"),
                    (errors, Some(hint)) => write!(f, "errors: {errors}\n{hint}"),
                }
            }
            Self::NoMetrics(why) => write!(f, "--metrics: {why}"),
            Self::Spoilt(what) => write!(f, "not all went well while measuring: {what}"),
            Self::Interrupted => write!(f, "interrupted before the load began"),
            Self::WorkerLost => write!(f, "a thread of the generator ended before its time"),
            Self::BadOption(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
