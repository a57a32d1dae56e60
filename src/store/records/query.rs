//! Asking the file: by whom, when and why, and sums over all that fits; for `systemx calls` and the console.
//!
//! Reads only, by a connection of its own, also while the exchange writes: SQLite shows each question the file as it was when
//! it began. Records come one by one, so a question may have any number of answers; sums are kept in bounded memory.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use super::scan;
use super::schema;
use super::sums::Sums;
use super::trouble::Trouble;

pub use super::sums::{Spans, Summary};

/// How long a question waits for somebody who has locked the file as a whole.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often, and how long between, a file is looked at that is in the making; half a second in all.
const MAKING_LOOKS: u32 = 50;
const MAKING_PAUSE: Duration = Duration::from_millis(10);
/// Steps of SQLite between two looks at the clock: some ten blocks, each of which takes 0.2 ms at most.
const STEPS_PER_LOOK: i32 = 100;

/// Which records are asked for; an empty one is for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The address of either side.
    pub address: Option<String>,
    /// The caller's address.
    pub from: Option<String>,
    /// The dialled address.
    pub to: Option<String>,
    /// The domain of either side.
    pub domain: Option<String>,
    /// Ended then or later, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Ended before.
    pub until_ms: Option<u64>,
    /// Ended with this reason.
    pub reason: Option<String>,
    /// Never answered.
    pub failed: bool,
    /// The call's id.
    pub call_id: Option<String>,
}

/// A record as it lies in the file, with texts of its own or with those of the file. Its JSON is that of the call log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields of the call log; `record.rs` explains them")]
pub struct Kept<Text = String> {
    pub call_id: Text,
    pub from: Text,
    pub to: Text,
    pub mode: Text,
    pub started_at: u64,
    pub answered_at: Option<u64>,
    pub ended_at: u64,
    pub end_reason: Text,
    pub ended_by: Text,
    pub messages: u64,
    pub dialect: Text,
    pub node: Text,
    pub ring_us: Option<u64>,
    pub answer_us: Option<u64>,
    pub talk_us: Option<u64>,
    pub messages_to_callee: u64,
    pub messages_to_caller: u64,
    pub bytes_to_callee: u64,
    pub bytes_to_caller: u64,
    pub forwarded: Option<Text>,
    pub link: Option<Text>,
}

impl Kept<Cow<'_, str>> {
    /// The same with texts of its own.
    pub(super) fn into_owned(self) -> Kept {
        Kept {
            call_id: self.call_id.into_owned(),
            from: self.from.into_owned(),
            to: self.to.into_owned(),
            mode: self.mode.into_owned(),
            started_at: self.started_at,
            answered_at: self.answered_at,
            ended_at: self.ended_at,
            end_reason: self.end_reason.into_owned(),
            ended_by: self.ended_by.into_owned(),
            messages: self.messages,
            dialect: self.dialect.into_owned(),
            node: self.node.into_owned(),
            ring_us: self.ring_us,
            answer_us: self.answer_us,
            talk_us: self.talk_us,
            messages_to_callee: self.messages_to_callee,
            messages_to_caller: self.messages_to_caller,
            bytes_to_callee: self.bytes_to_callee,
            bytes_to_caller: self.bytes_to_caller,
            forwarded: self.forwarded.map(Cow::into_owned),
            link: self.link.map(Cow::into_owned),
        }
    }
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last to end first.
    NewestFirst,
    /// The first to end first.
    OldestFirst,
}

/// Why nothing can be asked.
#[derive(Debug)]
pub enum QueryError {
    /// There is no such file.
    Missing(PathBuf),
    /// The file is none of ours.
    Stranger(PathBuf),
    /// The file is of a version that this program does not know how to read.
    Version(PathBuf, usize),
    /// The file cannot be read.
    Trouble(PathBuf, Trouble),
    /// It took longer than whoever asked wants to wait.
    Late,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "there is no file {}; name the one that the exchange was given as SYSTEMX_CALL_RECORDS with --file",
                path.display()
            ),
            Self::Stranger(path) => write!(f, "{} is not a file of call records", path.display()),
            Self::Version(path, version) if *version > schema::VERSION => write!(
                f,
                "{} is of version {version}, this program knows up to {}; use the systemx that wrote it",
                path.display(),
                schema::VERSION
            ),
            Self::Version(path, 0) => {
                write!(f, "{} is empty: the exchange has not written to it yet", path.display())
            }
            Self::Version(path, version) => write!(
                f,
                "{} is of version {version}, which is too old; start this systemx with it once",
                path.display()
            ),
            Self::Trouble(path, trouble) => {
                write!(f, "{} cannot be read: {trouble}; {}", path.display(), trouble.advice())
            }
            Self::Late => f.write_str("the search took too long; name an address or a call, or less time"),
        }
    }
}

/// The file, open for questions.
pub struct Archive {
    connection: Connection,
    path: PathBuf,
    /// Whether whoever asks has waited for long enough.
    is_late: Arc<AtomicBool>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Archive {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// If it is not there, none of ours, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, QueryError> {
        Self::open_with(path, LOCK_WAIT)
    }

    /// The same for one who has no time: waits for nobody's lock, and gives a question up when `goes_on` says no. It is asked every
    /// hundred steps of SQLite, also while that finds nothing.
    ///
    /// # Errors
    /// The same; questions may end in [`QueryError::Late`].
    pub fn open_while(
        path: &Path,
        mut goes_on: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self, QueryError> {
        let mut archive = Self::open_with(path, Duration::ZERO)?;
        let is_late = Arc::clone(&archive.is_late);
        let is_over = move || {
            let is_over = !goes_on();
            is_late.fetch_or(is_over, Ordering::Relaxed);
            is_over
        };
        let handler = archive.connection.progress_handler(STEPS_PER_LOOK, Some(is_over));
        handler.map_err(|error| archive.trouble(Trouble::of(&error)))?;
        Ok(archive)
    }

    fn open_with(path: &Path, lock_wait: Duration) -> Result<Self, QueryError> {
        if !path.is_file() {
            return Err(QueryError::Missing(path.to_owned()));
        }
        let trouble = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => QueryError::Stranger(path.to_owned()),
            _ => QueryError::Trouble(path.to_owned(), Trouble::of(&error)),
        };
        let connection = connect(path, lock_wait).map_err(trouble)?;
        let (id, version) = settled_marks(&connection).map_err(trouble)?;
        let is_blank =
            || connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0));
        if (id, version) == (0, 0) && is_blank().map_err(trouble)? {
            return Err(QueryError::Version(path.to_owned(), 0));
        }
        if id != schema::APPLICATION_ID {
            return Err(QueryError::Stranger(path.to_owned()));
        }
        if version != schema::VERSION {
            return Err(QueryError::Version(path.to_owned(), version));
        }
        Ok(Self { connection, path: path.to_owned(), is_late: Arc::default() })
    }

    /// Hands up to `limit` records to `each`, until that says that it has had enough. How many records that might be among them are
    /// damaged and cannot be read.
    ///
    /// # Errors
    /// If the file cannot be read any further.
    pub fn each(
        &self,
        filter: &Filter,
        order: Order,
        limit: Option<u64>,
        each: impl FnMut(Kept) -> bool,
    ) -> Result<u64, QueryError> {
        let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        scan::each(&self.connection, filter, order, most, each).map_err(|trouble| self.trouble(trouble))
    }

    /// Sums over all records that fit.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn summary(&self, filter: &Filter) -> Result<Summary, QueryError> {
        let mut sums = Sums::default();
        let unreadable = scan::all(&self.connection, filter, |kept| sums.add(&kept))
            .map_err(|trouble| self.trouble(trouble))?;
        Ok(Summary { unreadable, ..sums.summary() })
    }

    fn trouble(&self, trouble: Trouble) -> QueryError {
        if self.is_late.load(Ordering::Relaxed) {
            return QueryError::Late;
        }
        QueryError::Trouble(self.path.clone(), trouble)
    }
}

/// The mark and the version of a file that may be in the making: it is empty for a moment, and then has no tables for another.
fn settled_marks(connection: &Connection) -> rusqlite::Result<(i32, usize)> {
    let look = || Ok((application_id(connection)?, schema::version(connection)?));
    for _ in 0..MAKING_LOOKS {
        match look()? {
            (0 | schema::APPLICATION_ID, 0) => std::thread::sleep(MAKING_PAUSE),
            marks => return Ok(marks),
        }
    }
    look()
}

fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// A connection that has read something. Reading a file in WAL mode needs a place for shared memory beside it; where none can be
/// made and no log is left to be read either, the file by itself is all there is.
fn connect(path: &Path, lock_wait: Duration) -> rusqlite::Result<Connection> {
    let open = |name: &Path| -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(name, flags)?;
        connection.busy_timeout(lock_wait)?;
        application_id(&connection)?;
        Ok(connection)
    };
    let opened = open(path);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match (&opened, path.to_str()) {
        (Err(_), Some(text)) if !Path::new(&log).exists() => {
            let text = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            open(Path::new(&format!("file:{text}?immutable=1"))).or(opened)
        }
        _ => opened,
    }
}

#[cfg(test)]
mod tests;
