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
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use compact_str::CompactString;
use serde::Serialize;

use writer::Writer;

/// Records that may wait for the writer: 100 ms of 160,000 calls ending each second, and about 2.5 MiB of memory.
const QUEUE_LEN_MAX: usize = 16 * 1024;

/// What is kept of an ended call or a failed dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The call's id; none for a dial that failed before it got one.
    pub call_id: Option<CompactString>,
    /// The caller's address.
    pub from: Arc<str>,
    /// The address that was dialled.
    pub to: Arc<str>,
    /// What kind of call it was.
    pub mode: CallMode,
    /// When it was dialled, in milliseconds since 1970 (UTC), as the following.
    pub started_at_ms: u64,
    /// When it was answered, if it was.
    pub answered_at_ms: Option<u64>,
    /// When it ended.
    pub ended_at_ms: u64,
    /// The reason that the parties were given; may come from a party or from another exchange.
    pub end_reason: CompactString,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Messages carried, both ways.
    pub messages: u64,
}

/// Kinds of calls, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallMode {
    /// One call at a time on the callee's side.
    Single,
    /// One of several at once.
    Parallel,
    /// A listener on a broadcast.
    Broadcast,
    /// One leg is on another exchange.
    Forwarded,
}

/// Who ended a call, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndedBy {
    /// The side that dialled.
    Caller,
    /// The side that was dialled.
    Callee,
    /// This exchange: a refused dial, a timer, a link that broke, a stop.
    Exchange,
}

/// Appends `record` to `out` as one JSON object and a newline.
pub fn encode_line(record: &CallRecord, out: &mut Vec<u8>) {
    let line = Line {
        call_id: record.call_id.as_deref(),
        from: &record.from,
        to: &record.to,
        mode: record.mode,
        started_at: record.started_at_ms,
        answered_at: record.answered_at_ms,
        ended_at: record.ended_at_ms,
        end_reason: &record.end_reason,
        ended_by: record.ended_by,
        messages: record.messages,
    };
    serde_json::to_writer(&mut *out, &line)
        .expect("strings and integers always encode, and a Vec takes any write");
    out.push(b'\n');
}

/// The file's schema: names and order of the fields.
#[derive(Serialize)]
struct Line<'a> {
    call_id: Option<&'a str>,
    from: &'a str,
    to: &'a str,
    mode: CallMode,
    started_at: u64,
    answered_at: Option<u64>,
    ended_at: u64,
    end_reason: &'a str,
    ended_by: EndedBy,
    messages: u64,
}

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
}

/// Shared by handles and writer.
#[derive(Debug, Default)]
struct State {
    taken: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
    stopping: AtomicBool,
}

/// The running call log; the operator owns it.
#[derive(Debug)]
pub struct CallLog {
    handle: CallLogHandle,
    thread: JoinHandle<()>,
    /// Closed by the writer when it is done.
    done: Receiver<()>,
}

impl CallLog {
    /// Opens `path` for appending, creating it if it is missing, and starts the writer.
    /// A named pipe (also `/dev/stdout` as one) is never waited for, neither for its reader nor for space.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub fn start(path: &Path) -> Result<Self, CallLogError> {
        let state = Arc::new(State::default());
        let (sender, queue) = mpsc::sync_channel(QUEUE_LEN_MAX);
        let writer = Writer::open(path.to_owned(), queue, Arc::clone(&state))
            .map_err(|source| CallLogError::Open { path: path.to_owned(), source })?;
        let (finished, done) = mpsc::sync_channel(0);
        let thread = std::thread::Builder::new()
            .name("call-log".to_owned())
            .spawn(move || {
                writer.run();
                drop(finished);
            })
            .map_err(CallLogError::Thread)?;
        Ok(Self { handle: CallLogHandle { sender, state }, thread, done })
    }

    /// A handle for a shard.
    pub fn handle(&self) -> CallLogHandle {
        self.handle.clone()
    }

    /// What became of the records so far.
    pub fn counts(&self) -> CallLogCounts {
        self.handle.counts()
    }

    /// Writes what is queued and stops, for at most `limit`; a disk that hangs longer is left to itself. Records that
    /// arrive from now on may be lost, which the returned counts then show.
    pub fn stop(self, limit: Duration) -> CallLogCounts {
        self.handle.state.stopping.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // Nothing is ever sent: this ends when the writer drops its side, or at the limit.
        let _ = self.done.recv_timeout(limit);
        self.handle.counts()
    }
}

/// The shards' side: hands over records and never waits.
#[derive(Clone, Debug)]
pub struct CallLogHandle {
    sender: SyncSender<CallRecord>,
    state: Arc<State>,
}

impl CallLogHandle {
    /// Hands `record` to the writer. When the queue is full, or the log has stopped, the record is lost and counted.
    pub fn record(&self, record: CallRecord) {
        let is_taken = self.sender.try_send(record).is_ok();
        let counter = if is_taken { &self.state.taken } else { &self.state.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that were taken in and are not written yet.
    pub fn waiting(&self) -> u64 {
        let written = self.state.written.load(Ordering::Relaxed);
        self.state.taken.load(Ordering::Relaxed).saturating_sub(written)
    }

    /// What became of the records so far.
    pub fn counts(&self) -> CallLogCounts {
        CallLogCounts {
            written: self.state.written.load(Ordering::Relaxed),
            lost: self.state.lost.load(Ordering::Relaxed),
            failures: self.state.failures.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
