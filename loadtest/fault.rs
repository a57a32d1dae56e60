//! Why a run failed.

use std::fmt;
use std::io;

/// Why a run failed.
#[derive(Debug)]
pub enum Fault {
    /// The system refused something.
    Io(io::Error),
    /// The server did not come up.
    NotUp(String),
    /// The upgrade was refused; what the server said.
    NotUpgraded(String),
    /// Another frame was due.
    Unexpected {
        /// What was due.
        due: &'static str,
        /// What came.
        came: String,
    },
    /// Nothing came for too long.
    Stalled,
    /// There are no figures of the server's process.
    NoFigures(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotUp(what) => write!(f, "{what} did not come up"),
            Self::NotUpgraded(answer) => write!(f, "not upgraded: {answer}"),
            Self::Unexpected { due, came } => write!(f, "{due} was due, but this came: {came}"),
            Self::Stalled => write!(f, "the server has said nothing for too long"),
            Self::NoFigures(what) => write!(f, "/proc does not say the server's {what}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What came instead of what was due.
pub fn unexpected(due: &'static str, came: &[u8]) -> Fault {
    const SHOWN_BYTES: usize = 200;
    let came = String::from_utf8_lossy(&came[..came.len().min(SHOWN_BYTES)]).into_owned();
    Fault::Unexpected { due, came }
}
