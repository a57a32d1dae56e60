//! What can be wrong with an authentication file or with keys, told so that an operator can mend it: where, what, and what is
//! allowed there.
//!
//! Invariant: no error holds a token or a key. Where a value may be secret only its kind is shown.

use std::fmt;

use super::strict::Unread;

/// Why a text is no rulebook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RuleError {
    /// It is not JSON.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A member stands twice in an object: which of the two is meant?
    Repeated {
        /// The line where the second one ends, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A value is not among the allowed ones.
    Value {
        /// Where, as a JSON path.
        path: String,
        /// What stands there, cut; only its kind if it may be secret.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A member that means nothing.
    Unknown {
        /// Where, as a JSON path.
        path: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// Something is missing.
    Missing {
        /// Where, as a JSON path.
        path: String,
        /// What it should be.
        allowed: &'static str,
    },
    /// More of something than is kept.
    TooMany {
        /// Where, as a JSON path.
        path: String,
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column } => write!(f, "line {line}, column {column}: this is not JSON"),
            Self::Repeated { line, column } => {
                write!(f, "line {line}, column {column}: this member is in its object already")
            }
            Self::Value { path, value, allowed } => {
                write!(f, "{path}: {value} is not allowed; it must be {allowed}")
            }
            Self::Unknown { path, allowed } => write!(f, "{path} is unknown; allowed are {allowed}"),
            Self::Missing { path, allowed } => write!(f, "{path} is missing; it must be {allowed}"),
            Self::TooMany { path, what, most } => write!(f, "{path}: more than {most} {what}"),
        }
    }
}

impl From<Unread> for RuleError {
    fn from(Unread { line, column, is_repeated }: Unread) -> Self {
        if is_repeated { Self::Repeated { line, column } } else { Self::Syntax { line, column } }
    }
}

impl std::error::Error for RuleError {}

/// Why a text holds no keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyError {
    /// Neither PEM nor a JWKS.
    Format,
    /// A key of this number, from 1, cannot be read or is of a kind that is not supported.
    Key {
        /// Which.
        number: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// No key that could verify anything.
    NoKeys,
    /// More keys than are tried.
    TooMany {
        /// How many there may be.
        most: usize,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("neither PEM (PUBLIC KEY) nor a JSON Web Key Set"),
            Self::Key { number, fault } => write!(f, "key {number}: {fault}"),
            Self::NoKeys => f.write_str(
                "no usable key: RSA, P-256 and Ed25519 public keys are supported, and `oct` keys in files",
            ),
            Self::TooMany { most } => write!(f, "more than {most} keys"),
        }
    }
}

impl std::error::Error for KeyError {}
