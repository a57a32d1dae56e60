//! The call log: one JSON line for each ended call or failed dial, appended to a file (specification, section 22).
//!
//! Shards hold a [`CallLogHandle`] and only ever try to put a record into a bounded queue; a thread of its own takes
//! them out (see `writer.rs`). The thread looks by itself a few times a second, so that ending a call costs a shard no
//! system call to wake anybody. The queue is the only place where records are lost, and each lost one is counted.
//! Times come in with the record; no clock is read here.

mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use super::CallRecord;
use super::worker::Worker;
use writer::Writer;

/// Records that may wait for the writer: 100 ms of 160,000 calls ending each second, and about 2.5 MiB of memory.
const QUEUE_LEN_MAX: usize = 16 * 1024;

/// Why the call log could not be started.
#[derive(Debug)]
pub enum CallLogError {
    /// The file cannot be opened for appending. The operator should check directory, owner and mode.
    Open {
        /// The configured path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a thread.
    Thread(io::Error),
}

impl fmt::Display for CallLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => {
                write!(f, "the call log {} cannot be opened for appending: {source}", path.display())
            }
            Self::Thread(source) => write!(f, "the call log's thread cannot be started: {source}"),
        }
    }
}

impl std::error::Error for CallLogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Thread(source) => Some(source),
        }
    }
}

/// What became of the records so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallLogCounts {
    /// Lines handed to the system.
    pub written: u64,
    /// Records lost: the queue was full or the log had stopped.
    pub lost: u64,
    /// Failed attempts to write or to reopen the file. The records concerned are tried again.
    pub failures: u64,
    /// Whether the last attempt failed, so that records wait.
    pub is_failing: bool,
}

/// Shared by handles and writer.
#[derive(Debug, Default)]
struct State {
    written: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
    failing: AtomicBool,
    stopping: AtomicBool,
}

/// The running call log; the operator owns it.
#[derive(Debug)]
pub struct CallLog {
    handle: CallLogHandle,
    worker: Worker,
}

impl CallLog {
    /// Opens `path` for appending, creating it if it is missing, and starts the writer.
    /// A named pipe (also `/dev/stdout` as one) is never waited for, neither for its reader nor for space.
    ///
    /// `node` is what this exchange is called in the lines.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub fn start(path: &Path, node: &str) -> Result<Self, CallLogError> {
        let state = Arc::new(State::default());
        let (sender, queue) = mpsc::sync_channel(QUEUE_LEN_MAX);
        let writer = Writer::open(path.to_owned(), node.into(), queue, Arc::clone(&state))
            .map_err(|source| CallLogError::Open { path: path.to_owned(), source })?;
        let worker = Worker::start("call-log", move || writer.run()).map_err(CallLogError::Thread)?;
        Ok(Self { handle: CallLogHandle { sender, state }, worker })
    }

    /// A handle for a shard.
    pub fn handle(&self) -> CallLogHandle {
        self.handle.clone()
    }

    /// What became of the records so far.
    pub fn counts(&self) -> CallLogCounts {
        self.handle.counts()
    }

    /// Nothing more will come: from now on it writes what is queued and comes to its end.
    pub fn tell_to_stop(&self) {
        self.handle.state.stopping.store(true, Ordering::Release);
    }

    /// Writes what is queued and stops, for at most `limit`; a disk that hangs longer is left to itself. Records that
    /// arrive from now on may be lost, which the returned counts then show.
    pub fn stop(self, limit: Duration) -> CallLogCounts {
        self.tell_to_stop();
        self.worker.finish(limit);
        self.handle.counts()
    }
}

/// The shards' side: hands over records and never waits.
#[derive(Clone, Debug)]
pub struct CallLogHandle {
    sender: SyncSender<Arc<CallRecord>>,
    state: Arc<State>,
}

impl CallLogHandle {
    /// Hands `record` to the writer. When the queue is full, or the log has stopped, the record is lost and counted.
    pub fn record(&self, record: Arc<CallRecord>) {
        if self.sender.try_send(record).is_err() {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of the records so far.
    pub fn counts(&self) -> CallLogCounts {
        CallLogCounts {
            written: self.state.written.load(Ordering::Relaxed),
            lost: self.state.lost.load(Ordering::Relaxed),
            failures: self.state.failures.load(Ordering::Relaxed),
            is_failing: self.state.failing.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
