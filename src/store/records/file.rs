//! The file of call records while it is open: made, checked, written to, set aside.
//!
//! Written in WAL mode with a flush for each transaction (`synchronous=FULL`), so what was committed survives the loss of power
//! as far as the disk keeps its word. The file belongs to its owner alone. It is our file only as long as its name leads
//! to it and its head is whole: both are looked at each second, because SQLite would go on writing into a file that is gone.

use std::fs::{self, File as PlainFile, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row};

use super::pad::Sheet;
use super::schema;
use super::trouble::Trouble;
use crate::timestamp::Timestamp;

/// Only the owner may read: the file says who called whom.
const FILE_MODE: u32 = 0o600;
/// How long one attempt waits for somebody else's lock. Short, because a stop waits as well; there is a next attempt.
const LOCK_WAIT: Duration = Duration::from_millis(250);
/// What a file of SQLite begins with.
const HEAD: &[u8; 16] = b"SQLite format 3\0";
/// Where in the head of a file its `application_id` stands, big end first.
const MARK_AT: usize = 68;
/// Of a page, in bytes: of 4 KiB, blocks take a third more time to write; of 16 KiB, the few records of a quiet exchange twice as
/// many bytes.
const PAGE_BYTES: u32 = 8192;
/// Memory for pages, in KiB as SQLite wants it (negative): all that stands around the records, many times over.
const CACHE_KIB: i32 = -16 * 1024;
/// The write-ahead log is cut to this when it has been copied into the file, in bytes.
const JOURNAL_BYTES_MAX: i64 = 16 << 20;
/// A file up to this size is checked as a whole when it is opened: a second's reading. A larger one is found out as it is used.
const CHECKED_BYTES_MAX: u64 = 256 << 20;

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct File {
    connection: Connection,
    path: PathBuf,
    /// The same file once more, to look at it. Closing any descriptor of a file lets go of all locks that this process has on it, so
    /// this one is opened before the connection and closed after it, and no other may be opened meanwhile.
    plain: PlainFile,
    identity: Identity,
}

/// What tells two files apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity {
    device: u64,
    inode: u64,
}

impl File {
    /// Opens the file at `path`, or makes it, and brings it to our version.
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        let (plain, identity) = make(path).map_err(|error| Trouble::of_system(&error))?;
        match is_ours(path) {
            Ok(true) => {}
            Ok(false) => return Err(Trouble::Stranger),
            // Whatever it is, nothing says that it is ours to rename.
            Err(Trouble::Corrupt) if !bears_our_mark(path) => return Err(Trouble::Stranger),
            Err(trouble) => return Err(trouble),
        }
        let connection = prepare(path)?;
        Ok(Self { connection, path: path.to_owned(), plain, identity })
    }

    /// Whether the whole of a file that is not too large makes sense. Reads all of it.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        if fs::metadata(&self.path).map_or(0, |file| file.len()) > CHECKED_BYTES_MAX {
            return Ok(());
        }
        let word: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| Trouble::of(&error))?;
        if word == "ok" { Ok(()) } else { Err(Trouble::Corrupt) }
    }

    /// Keeps the records on `sheets` for good, or none of them.
    pub(super) fn write<'s>(
        &mut self,
        mut sheets: impl Iterator<Item = &'s Sheet>,
        node: &str,
    ) -> Result<(), Trouble> {
        let mut write = || -> rusqlite::Result<()> {
            let all = self.connection.transaction()?;
            {
                let mut insertion = schema::Insertion::new(&all)?;
                sheets.try_for_each(|sheet| insertion.add(sheet, node))?;
            }
            all.commit()
        };
        write().map_err(|error| Trouble::of(&error))
    }

    /// Copies what the write-ahead log holds into the file, which somebody has moved: the log stays behind, and would be lost.
    pub(super) fn gather(&self) -> Result<(), Trouble> {
        let is_busy = |row: &Row<'_>| row.get::<_, bool>(0);
        let checkpoint = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_busy);
        match checkpoint.map_err(|error| Trouble::of(&error))? {
            false => Ok(()),
            true => Err(Trouble::Locked),
        }
    }

    /// Whether the name still leads to this file, and to a file of SQLite.
    pub(super) fn look(&self) -> Result<(), Trouble> {
        let named = fs::metadata(&self.path).map_err(|_| Trouble::Unopenable)?;
        if identity(&named) != self.identity {
            return Err(Trouble::Unopenable);
        }
        let mut head = [0; HEAD.len()];
        match self.plain.read_exact_at(&mut head, 0) {
            Ok(()) if head == *HEAD => Ok(()),
            Ok(()) => Err(Trouble::Corrupt),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Trouble::Corrupt),
            Err(error) => Err(Trouble::of_system(&error)),
        }
    }

    /// The connection, for what is done beside writing records.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Renames the file and what belongs to it, so that another can be begun. What the write-ahead log holds stays in it.
    pub(super) fn set_aside(self, now_ms: u64) -> Result<PathBuf, Trouble> {
        // Otherwise closing would copy good pages into the bad file. If this cannot be said, it is set aside all the same.
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let path = self.path.clone();
        drop(self);
        set_aside(&path, now_ms)
    }
}

/// Renames the file at `path` and what belongs to it.
pub(super) fn set_aside(path: &Path, now_ms: u64) -> Result<PathBuf, Trouble> {
    let aside = with_suffix(path, &format!(".corrupt-{}", compact(now_ms)));
    // The file last: while it is there, nobody begins a new one beside an old log.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if !suffix.is_empty() && error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome.map_err(|error| Trouble::of_system(&error))?,
        }
    }
    Ok(aside)
}

/// The bytes that the file at `path` and its write-ahead log take on the disk.
pub(super) fn bytes(path: &Path) -> u64 {
    let len = |suffix| fs::metadata(with_suffix(path, suffix)).map_or(0, |file| file.len());
    len("") + len("-wal")
}

/// Parts the name of a file that is gone from its write-ahead log, which may still be there for those who read that file: another one
/// would take it for its own. A log that holds what the file has as well goes; else it is renamed, and its new name returned.
pub(super) fn part_with_log(path: &Path, is_whole: bool, now_ms: u64) -> Result<Option<PathBuf>, Trouble> {
    let log = with_suffix(path, "-wal");
    let kept =
        (!is_whole && log.exists()).then(|| with_suffix(path, &format!(".left-{}-wal", compact(now_ms))));
    let parted = match &kept {
        Some(kept) => fs::rename(&log, kept),
        None => remove(&log),
    };
    // The rest of what belongs to it only says what is in the log.
    parted.and_then(|()| remove(&with_suffix(path, "-shm"))).map_err(|error| Trouble::of_system(&error))?;
    Ok(kept)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// A moment as part of a name.
fn compact(ms: u64) -> String {
    Timestamp(ms).to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}

/// What keeps the exchange from starting with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The folder is not there.
    NoFolder(PathBuf),
    /// Something else than a file is in its place.
    NoFile,
    /// The file is none of ours.
    Stranger,
    /// What is there is no database: somebody else's file, or ours with a damaged head. A mistake, but not one that should keep an
    /// exchange from starting that ran well before.
    Unreadable,
    /// A newer version of this program has made it.
    Newer,
}

/// Whether the file at `path` is one of ours, or could become one, judged before the start. Whatever may pass by itself (a lock,
/// a full disk), and damage to a file of ours, is no reason not to start.
pub(super) fn examine(path: &Path) -> Result<(), Verdict> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Verdict::NoFolder(folder.to_owned()));
    }
    match fs::metadata(path) {
        Err(_) => return Ok(()),
        Ok(metadata) if !metadata.is_file() => return Err(Verdict::NoFile),
        Ok(_) => {}
    }
    match is_ours(path) {
        Err(Trouble::Newer) => Err(Verdict::Newer),
        Ok(false) => Err(Verdict::Stranger),
        Err(Trouble::Corrupt) if !bears_our_mark(path) => Err(Verdict::Unreadable),
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Whether a file is ours, or still empty so that it may become ours.
fn is_ours(path: &Path) -> Result<bool, Trouble> {
    let ask = || -> rusqlite::Result<(i32, usize, u32)> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(LOCK_WAIT)?;
        let id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((id, schema::version(&connection)?, tables))
    };
    let (id, version, tables) = ask().map_err(|error| Trouble::of(&error))?;
    if id == schema::APPLICATION_ID && version > schema::VERSION {
        return Err(Trouble::Newer);
    }
    Ok(id == schema::APPLICATION_ID || (id == 0 && version == 0 && tables == 0))
}

/// Whether the head of a file that cannot be read as a whole says that it is ours.
fn bears_our_mark(path: &Path) -> bool {
    let mut head = [0; MARK_AT + 4];
    let read = PlainFile::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.starts_with(HEAD) && head[MARK_AT..] == schema::APPLICATION_ID.to_be_bytes()
}

/// Makes the file if it is not there, for its owner alone; SQLite gives its other files the same mode.
fn make(path: &Path) -> io::Result<(PlainFile, Identity)> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)?;
    let identity = identity(&file.metadata()?);
    Ok((file, identity))
}

fn prepare(path: &Path) -> Result<Connection, Trouble> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(LOCK_WAIT)?;
        let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if pages == 0 {
            // Later neither can be said any more. Without the second, deleted rows never make a file smaller.
            connection.pragma_update(None, "page_size", PAGE_BYTES)?;
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            // Before the write-ahead log, so that the mark is in the file from its first page on.
            connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
        }
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES_MAX, |_| Ok(()))?;
        schema::migrate(&mut connection)?;
        Ok(connection)
    };
    open().map_err(|error| Trouble::of(&error))
}

fn identity(metadata: &fs::Metadata) -> Identity {
    Identity { device: metadata.dev(), inode: metadata.ino() }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
