//! Why a profile cannot be run, with the line and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::report::json::FileError;

/// Why a profile cannot be run.
#[derive(Debug)]
pub enum ProfileError {
    /// The file cannot be read.
    Unreadable {
        /// The profile.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is not TOML.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key or scenario that does not exist.
    Unknown {
        /// The line, from 1.
        line: usize,
        /// Whether it is a key, a scenario or a threshold.
        what: &'static str,
        /// As it was written.
        name: String,
        /// What may stand there.
        allowed: Vec<String>,
    },
    /// A value of a kind that cannot stand there.
    Value {
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What is expected.
        expected: &'static str,
    },
    /// Something is missing.
    Missing {
        /// The line, from 1.
        line: usize,
        /// What.
        what: &'static str,
    },
    /// Two steps have the same name.
    Twice {
        /// The line of the second.
        line: usize,
        /// The name.
        name: String,
    },
    /// `--only` names no step.
    NoSuchStep {
        /// As it was given.
        name: String,
        /// The steps there are.
        steps: Vec<String>,
    },
    /// A folder or file of the report cannot be written, or a program not started.
    System(io::Error),
    /// A file of findings.
    File(FileError),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "cannot read the profile {}: {error}", path.display())
            }
            Self::Syntax { line, message } => write!(f, "line {line}: {message}"),
            Self::Unknown { line, what, name, allowed } => {
                write!(f, "line {line}: unknown {what} `{name}`.{}", nearest(name, allowed))?;
                write!(f, " Allowed: {}", allowed.join(", "))
            }
            Self::Value { line, key, expected } => write!(f, "line {line}: `{key}` has to be {expected}"),
            Self::Missing { line, what } => write!(f, "line {line}: {what}"),
            Self::Twice { line, name } => {
                write!(f, "line {line}: a second run is called `{name}`; give each a `name` of its own")
            }
            Self::NoSuchStep { name, steps } => {
                write!(
                    f,
                    "--only {name}: no such run.{} There are: {}",
                    nearest(name, steps),
                    steps.join(", ")
                )
            }
            Self::System(error) => write!(f, "{error}"),
            Self::File(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ProfileError {}

/// A question about the name that was probably meant, with a space before it; empty if none is near.
pub fn nearest(name: &str, allowed: &[String]) -> String {
    // A slip changes a third of the letters at most.
    let far = name.chars().count().div_ceil(3);
    let distance = |candidate: &String| strsim::damerau_levenshtein(name, candidate);
    let found = allowed.iter().min_by_key(|candidate| distance(candidate));
    found.filter(|it| distance(it) <= far).map_or_else(String::new, |it| format!(" Did you mean `{it}`?"))
}
