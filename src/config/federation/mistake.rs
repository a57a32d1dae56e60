//! What can be wrong with the description of links to other exchanges. Places are named, contents are not repeated: URLs and
//! tokens may be secret.

use std::fmt;

use crate::config::settings::{FEDERATION_CONFIG, Setting};
use crate::exchange::pattern::PatternError;

use super::{FILE_BYTES_MAX, UrlFault};

/// A mistake that keeps an exchange from being linked with, or a number from being what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// A variable that is required and was not given.
    Missing(&'static str),
    /// The file cannot be had.
    File(FileFault),
    /// The file is not JSON.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Something in the file is not what it must be, or is not there.
    Field {
        /// Where it is, or should be, such as `peers[0].url`.
        place: String,
        /// What must be there.
        must: &'static str,
    },
    /// A URL that cannot be called.
    Url {
        /// The variable or the place in the file.
        place: String,
        /// Why.
        why: UrlFault,
    },
    /// A route that is no pattern.
    Pattern {
        /// The variable or the place in the file.
        place: String,
        /// Why.
        why: PatternError,
    },
    /// There is more than there may be.
    TooMany {
        /// The variable or the place in the file.
        place: String,
        /// Of what.
        what: &'static str,
        /// How much there may be.
        max: usize,
    },
    /// A number out of its range; its default is used.
    Number(&'static Setting),
}

/// Why a file cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFault {
    /// The system's words.
    Unreadable(String),
    /// It has more than [`FILE_BYTES_MAX`] bytes.
    TooLarge,
    /// It is no text.
    NotUtf8,
}

impl Mistake {
    /// Whether something was forgotten, rather than wrong (spec 21 has it warned about).
    pub fn is_omission(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Number(_))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = FEDERATION_CONFIG.env;
        match self {
            Self::Missing(variable) => write!(f, "{variable} is missing")?,
            Self::File(FileFault::Unreadable(why)) => write!(f, "{file}: the file cannot be read: {why}")?,
            Self::File(FileFault::TooLarge) => {
                write!(f, "{file}: the file has more than {FILE_BYTES_MAX} bytes")?
            }
            Self::File(FileFault::NotUtf8) => write!(f, "{file}: the file is not UTF-8")?,
            Self::Syntax { line, column } => {
                write!(f, "{file}: no valid JSON at line {line}, column {column}")?
            }
            Self::Field { place, must } => write!(f, "{file}: {place} must be {must}")?,
            Self::Url { place, why } => write!(f, "{place}: {why}")?,
            Self::Pattern { place, why } => write!(f, "{place}: {why}")?,
            Self::TooMany { place, what, max } => write!(f, "{place} has more than {max} {what}")?,
            Self::Number(setting) => {
                let (allowed, default) = (setting.allowed(), setting.default);
                return write!(f, "{} must be {allowed}; {default} is used", setting.env);
            }
        }
        f.write_str("; federation is off")
    }
}
