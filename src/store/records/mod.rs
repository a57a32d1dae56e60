//! Call records in an embedded SQLite file: kept by one thread, asked by `systemx calls` and by anybody's `sqlite3`.
//!
//! Shards write records on pads and know nothing of the rest. Whatever happens to the file (full disk, lock, damage) is a
//! [`Trouble`] in the [`State`], never a reason for a call to wait or for the exchange to stop. Only a path that can never
//! become a file of records keeps it from starting. No clock is read here but the one that is handed in.

mod file;
mod keeper;
mod pad;
pub mod query;
mod retention;
mod row;
mod scan;
mod schema;
mod sums;
mod trouble;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::CallRecord;
use super::worker::Worker;
use keeper::Keeper;
use pad::{Pad, Pads};

pub use file::Verdict;
pub use retention::Retention;
pub use trouble::Trouble;

/// How much sooner than its limit the keeper gives up at the stop, so that it can still say so.
const STOP_RESERVE: Duration = Duration::from_millis(500);

/// What the keeper is told at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// What this exchange is called in the records.
    pub node: Box<str>,
    /// How long records stay.
    pub retention: Retention,
    /// The wall clock, in milliseconds since 1970.
    pub clock_unix_ms: fn() -> u64,
}

/// Why records cannot be kept at this path, ever.
#[derive(Debug)]
pub enum RecordsError {
    /// What is there is not what it must be.
    Verdict {
        /// The configured path.
        path: PathBuf,
        /// What is there instead.
        verdict: Verdict,
    },
    /// The system refused a thread.
    Thread(io::Error),
}

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, verdict) = match self {
            Self::Thread(source) => {
                return write!(f, "the thread that keeps call records cannot be started: {source}");
            }
            Self::Verdict { path, verdict } => (path.display(), verdict),
        };
        match verdict {
            Verdict::NoFolder(folder) => {
                write!(f, "{path}: there is no folder {}; make it, or name another path", folder.display())
            }
            Verdict::NoFile => write!(f, "{path} is not a file; name another path"),
            Verdict::Stranger => write!(
                f,
                "{path} is not a file of call records; name a path that is free, or move what is there away"
            ),
            Verdict::Unreadable => write!(
                f,
                "{path} is not a file of call records, or its first page is damaged; move it away, or name another path"
            ),
            Verdict::Newer => {
                write!(f, "{path} was written by a newer version of systemx; run that, or move the file away")
            }
        }
    }
}

impl std::error::Error for RecordsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(source) => Some(source),
            Self::Verdict { .. } => None,
        }
    }
}

/// Whether records could be kept at `path`, as far as that can be said without writing.
///
/// # Errors
/// If they never could.
pub fn check(path: &Path) -> Result<(), RecordsError> {
    file::examine(path).map_err(|verdict| RecordsError::Verdict { path: path.to_owned(), verdict })
}

/// How it stands with the file, for metrics, readiness and people. Counts are since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Records on the disk.
    pub kept: u64,
    /// Records that will never be: the queue was full, or the exchange stopped while they could not be written.
    pub lost: u64,
    /// Records that wait.
    pub waiting: u64,
    /// How long ago the call of the oldest of them ended, in milliseconds; up to a tick's worth of newer ones do not count.
    pub lag_ms: u64,
    /// Failed attempts.
    pub failures: u64,
    /// Records deleted because of age or size.
    pub deleted: u64,
    /// Damaged files that were set aside.
    pub set_aside: u64,
    /// The bytes that the file and its write-ahead log take.
    pub file_bytes: u64,
    /// Why records cannot be kept now; `None`: they are.
    pub trouble: Option<Trouble>,
}

/// What the keeper says of itself.
#[derive(Debug, Default)]
struct Shared {
    kept: AtomicU64,
    failures: AtomicU64,
    deleted: AtomicU64,
    set_aside: AtomicU64,
    file_bytes: AtomicU64,
    /// Records in the keeper's hands, and the end of the oldest one's call; 0 = none.
    batched: AtomicU64,
    oldest_ms: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

impl Shared {
    fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// The running keeper; the operator owns it.
#[derive(Debug)]
pub struct CallRecords {
    handle: RecordsHandle,
    worker: Worker,
}

impl CallRecords {
    /// Looks at the path and starts the keeper, which opens the file.
    ///
    /// # Errors
    /// If there can never be such a file, or the thread cannot be started.
    pub fn start(settings: Settings) -> Result<Self, RecordsError> {
        match check(&settings.path) {
            // The keeper says so in the log, and begins when it has been moved away.
            Err(RecordsError::Verdict { verdict: Verdict::Unreadable, .. }) => {}
            verdict => verdict?,
        }
        let (pads, shared) = (Arc::new(Pads::default()), Arc::new(Shared::default()));
        let clock_unix_ms = settings.clock_unix_ms;
        let keeper = Keeper::new(settings, Arc::clone(&pads), Arc::clone(&shared));
        let worker = Worker::start("call-records", move || keeper.run()).map_err(RecordsError::Thread)?;
        let pad = pads.add();
        Ok(Self { handle: RecordsHandle { pad, pads, shared, clock_unix_ms }, worker })
    }

    /// A handle for whoever wants to know how it stands.
    pub fn handle(&self) -> RecordsHandle {
        self.handle.clone()
    }

    /// Keeps what waits and stops, for at most `limit`; a disk that hangs longer is left to itself.
    pub fn stop(self, limit: Duration) -> State {
        self.handle.pads.stop(limit.saturating_sub(STOP_RESERVE));
        self.worker.finish(limit);
        self.handle.state()
    }
}

/// The way to the keeper. Clones share one pad, which is right but slow from several threads at once; see
/// [`RecordsHandle::with_own_pad`].
#[derive(Clone, Debug)]
pub struct RecordsHandle {
    pad: Arc<Pad>,
    pads: Arc<Pads>,
    shared: Arc<Shared>,
    clock_unix_ms: fn() -> u64,
}

impl RecordsHandle {
    /// A handle for another shard.
    pub fn with_own_pad(&self) -> Self {
        Self { pad: self.pads.add(), ..self.clone() }
    }

    /// Has a record kept. Never waits; what cannot be taken is counted.
    pub fn record<Text: AsRef<str>>(&self, record: &CallRecord<Text>) {
        self.pad.write(record);
    }

    /// How it stands.
    pub fn state(&self) -> State {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let shared = &self.shared;
        let oldest_ms = count(&shared.oldest_ms);
        let lag_ms = if oldest_ms == 0 { 0 } else { (self.clock_unix_ms)().saturating_sub(oldest_ms) };
        State {
            kept: count(&shared.kept),
            lost: self.pads.lost(),
            waiting: count(&shared.batched) + self.pads.waiting(),
            lag_ms,
            failures: count(&shared.failures),
            deleted: count(&shared.deleted),
            set_aside: count(&shared.set_aside),
            file_bytes: count(&shared.file_bytes),
            trouble: shared.trouble(),
        }
    }
}

#[cfg(test)]
mod tests;
