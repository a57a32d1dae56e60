//! Files of findings: written by `--json`, read by `report` and `compare`.
//!
//! The `format` is looked at before anything else, so that a file of another version is refused by its number, not by
//! the first field that happens to differ.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::results::{FORMAT, Results};

/// Why a file could not be used, with what to do about it.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It cannot be written.
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is not JSON, or JSON of something else.
    NotResults {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        error: serde_json::Error,
    },
    /// It is of another version of the form.
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The version in it.
        format: u64,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "cannot read {}: {error}. Give a file that --json has written", path.display())
            }
            Self::Unwritable { path, error } => {
                write!(
                    f,
                    "cannot write {}: {error}. Choose a folder that exists and is yours",
                    path.display()
                )
            }
            Self::NotResults { path, error } => write!(
                f,
                "{} is no file of findings: {error}. Give a file that --json has written",
                path.display()
            ),
            Self::OtherFormat { path, format } => write!(
                f,
                "{} has format {format}, this program reads format {FORMAT}. Use the systemx-loadtest that wrote \
                 it, or run again",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } | Self::Unwritable { error, .. } => Some(error),
            Self::NotResults { error, .. } => Some(error),
            Self::OtherFormat { .. } => None,
        }
    }
}

/// The findings as indented JSON with a line end.
pub fn text(results: &Results) -> String {
    let mut text = serde_json::to_string_pretty(results).expect("plain data with string keys is always JSON");
    text.push('\n');
    text
}

/// Keeps the findings.
pub fn write(path: &Path, results: &Results) -> Result<(), FileError> {
    keep(path, &text(results))
}

/// Writes any text of a report.
pub fn keep(path: &Path, text: &str) -> Result<(), FileError> {
    std::fs::write(path, text).map_err(|error| FileError::Unwritable { path: path.to_owned(), error })
}

/// Finds out whether a file could be written, and leaves it as it is.
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    let is_new = !path.exists();
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    drop(opened.map_err(|error| FileError::Unwritable { path: path.to_owned(), error })?);
    if is_new {
        // A file that stays is empty and will be written over.
        drop(std::fs::remove_file(path));
    }
    Ok(())
}

/// Reads findings that were kept.
pub fn read(path: &Path) -> Result<Results, FileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| FileError::Unreadable { path: path.to_owned(), error })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Results, FileError> {
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let not_results = |error| FileError::NotResults { path: path.to_owned(), error };
    let Version { format } = serde_json::from_str(text).map_err(not_results)?;
    if format != u64::from(FORMAT) {
        return Err(FileError::OtherFormat { path: path.to_owned(), format });
    }
    serde_json::from_str(text).map_err(not_results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn refusal(content: &str) -> String {
        parse(Path::new("x.json"), content).expect_err("it is refused").to_string()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let results = sample();
        assert_eq!(parse(Path::new("x.json"), &text(&results)).expect("our own file"), results);
    }

    #[test]
    fn another_format_is_refused_by_its_number() {
        let said = refusal(r#"{"format": 7, "generator": 1}"#);
        assert!(said.contains("x.json has format 7") && said.contains("reads format 1"), "{said}");
    }

    #[test]
    fn a_file_of_something_else_is_refused_with_the_place() {
        let said = refusal("{\n  \"name\": \"x\"\n}");
        assert!(said.contains("missing field `format` at line 3"), "{said}");
        assert!(refusal("hello").contains("line 1 column 1"));
    }

    #[test]
    fn a_file_that_can_be_written_is_left_as_it_is() {
        let path = std::env::temp_dir().join(format!("systemx-writable-{}", std::process::id()));
        assert!(check_writable(&path).is_ok() && !path.exists());
        keep(&path, "old").expect("the temporary folder can be written");
        assert!(check_writable(&path).is_ok());
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some("old"));
        std::fs::remove_file(&path).expect("it is ours");
        assert!(check_writable(Path::new("/nowhere/x.json")).is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let said = read(Path::new("/nowhere/x.json")).expect_err("it is not there").to_string();
        assert!(said.starts_with("cannot read /nowhere/x.json:"), "{said}");
    }
}
