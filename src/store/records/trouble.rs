//! What can be wrong with the file, in terms of what is to be done: by the keeper (wait, set aside) and by the operator.
//!
//! Everything that SQLite and the system say is one of these. None of them ever reaches a call; each is told once in the log
//! and stands in the state until it is over.

use std::fmt;
use std::io;

use rusqlite::ErrorCode;

/// Why records cannot be kept at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no room.
    Full,
    /// The file, its folder or the file system cannot be written.
    ReadOnly,
    /// Somebody else holds a lock on the file.
    Locked,
    /// The file cannot be opened or made: its folder is gone, or something else is in its place.
    Unopenable,
    /// What is in the file makes no sense, or is not ours.
    Corrupt,
    /// The file is another program's, or nothing in it says that it is ours.
    Stranger,
    /// A newer version of this program has written the file.
    Newer,
    /// The system failed otherwise; its words.
    System(Box<str>),
}

impl Trouble {
    /// What an error of SQLite means.
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, _) = error else {
            // Rows of other types than we have written.
            return Self::Corrupt;
        };
        match failure.code {
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied => Self::ReadOnly,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                Self::Locked
            }
            ErrorCode::CannotOpen => Self::Unopenable,
            // `Unknown` is SQLITE_ERROR: our own statements fail so only where tables are not as we have made them.
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::SchemaChanged
            | ErrorCode::Unknown => Self::Corrupt,
            _ => Self::System(error.to_string().into()),
        }
    }

    /// What an error of the system means.
    pub(super) fn of_system(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                Self::Unopenable
            }
            _ => Self::System(error.to_string().into()),
        }
    }

    /// Whether the open file may go on being used for the next attempt.
    pub(super) fn keeps_open(&self) -> bool {
        matches!(self, Self::Full | Self::Locked)
    }

    /// Whether it may be over soon without anybody's doing.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Full | Self::Locked | Self::System(_))
    }

    /// What the operator can do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Full => "free some space, or lower SYSTEMX_CALL_RECORDS_MAX_BYTES",
            Self::ReadOnly => "let the exchange's user write the file and its folder",
            Self::Locked => "end the program that holds a lock on it",
            Self::Unopenable => "see that the folder is there and that nothing else is in the file's place",
            Self::Corrupt => "restore a back-up if the old records matter",
            Self::Stranger => "move it away, or set SYSTEMX_CALL_RECORDS to another path",
            Self::Newer => "run the newer version of systemx, or move the file away",
            Self::System(_) => "look at the disk and at the system's log",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no space is left",
            Self::ReadOnly => "it cannot be written",
            Self::Locked => "another program has locked it",
            Self::Unopenable => "it cannot be opened",
            Self::Corrupt => "it is damaged",
            Self::Stranger => "it is not a file of call records, or its first page is damaged",
            Self::Newer => "it is of a newer version of systemx",
            Self::System(words) => words,
        })
    }
}
