//! The call log's writer: takes records out of the queue in batches and appends them to the file.
//!
//! While the file takes nothing, the batch at hand is kept for the next attempt and the rest stays in the queue, so
//! memory is bounded and the queue's own overflow is the only loss. Every attempt continues where the last one
//! stopped, within a line if need be, so no line is ever torn or written twice. The file is reopened when its name
//! no longer leads to it (rotation). Nothing here is known to a shard.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rustix::fs::OFlags;
use tracing::{info, warn};

use super::super::{CallRecord, encode_line};
use super::State;

/// Pause between looks into the queue. Long enough to make batches, short enough for a reader who follows the file.
const TICK: Duration = Duration::from_millis(50);

/// Ticks between looks at the file's name, and at most one warning about lost records in as many: one second.
const TICKS_PER_CHECK: u32 = 20;

/// A batch is written when it has this many bytes, or when the queue is empty.
const BATCH_LEN: usize = 64 * 1024;

/// Owner and group may read: the file says who called whom.
const FILE_MODE: u32 = 0o640;

pub(super) struct Writer {
    path: PathBuf,
    node: Box<str>,
    file: File,
    queue: Receiver<Arc<CallRecord>>,
    state: Arc<State>,
    /// Encoded lines that the file has not taken yet; begins within a line when `torn`.
    batch: Vec<u8>,
    /// Whether the last byte that the file took was within a line.
    torn: bool,
    /// Whether the last attempt failed; each change is logged once.
    failing: bool,
    /// Whether the file could not be reopened since its name went elsewhere; logged once as well.
    stranded: bool,
    /// Lost records that a warning has told of.
    lost_told: u64,
}

impl Writer {
    pub(super) fn open(
        path: PathBuf,
        node: Box<str>,
        queue: Receiver<Arc<CallRecord>>,
        state: Arc<State>,
    ) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self {
            path,
            node,
            file,
            queue,
            state,
            batch: Vec::new(),
            torn: false,
            failing: false,
            stranded: false,
            lost_told: 0,
        })
    }

    /// Works until the log is stopped, then writes what is left if the file takes it.
    pub(super) fn run(mut self) {
        let mut tick = 0;
        loop {
            let stopping = self.state.stopping.load(Ordering::Acquire);
            self.write_queued();
            if stopping {
                return self.finish();
            }
            tick += 1;
            if tick == TICKS_PER_CHECK {
                tick = 0;
                self.follow_rotation();
                self.tell_losses();
            }
            std::thread::park_timeout(TICK);
        }
    }

    /// Writes everything that is queued, or as much as the file takes.
    pub(super) fn write_queued(&mut self) {
        loop {
            self.fill_batch();
            if self.batch.is_empty() {
                return;
            }
            let outcome = self.write_batch();
            let failed = outcome.is_err();
            self.note(outcome);
            if failed {
                return;
            }
        }
    }

    fn fill_batch(&mut self) {
        while self.batch.len() < BATCH_LEN {
            let Ok(record) = self.queue.try_recv() else { return };
            encode_line(&record, &self.node, &mut self.batch);
        }
    }

    /// Writes the batch and keeps what was not taken.
    fn write_batch(&mut self) -> io::Result<()> {
        let mut taken = 0;
        let outcome = loop {
            match self.file.write(&self.batch[taken..]) {
                Ok(0) if taken < self.batch.len() => break Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => taken += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if taken == self.batch.len() {
                break Ok(());
            }
        };
        let lines = self.batch[..taken].iter().filter(|byte| **byte == b'\n').count();
        self.state.written.fetch_add(lines as u64, Ordering::Relaxed);
        if let Some(last) = self.batch[..taken].last() {
            self.torn = *last != b'\n';
        }
        self.batch.drain(..taken);
        outcome
    }

    /// Reopens the file when its name leads to another one, or to none: somebody rotated it.
    pub(super) fn follow_rotation(&mut self) {
        let current = self.file.metadata();
        let named = std::fs::metadata(&self.path);
        let same =
            matches!((&current, &named), (Ok(current), Ok(named)) if identity(current) == identity(named));
        if same {
            return;
        }
        match open(&self.path) {
            Ok(file) => {
                self.file = file;
                self.stranded = false;
                self.drop_torn_line();
                info!(path = %self.path.display(), "call log reopened");
            }
            Err(error) => self.note_stranded(&error),
        }
    }

    /// The old file stays in use; the next check tries again.
    fn note_stranded(&mut self, error: &io::Error) {
        self.state.failures.fetch_add(1, Ordering::Relaxed);
        if !self.stranded {
            warn!(path = %self.path.display(), %error, "call log cannot be reopened; the old file stays in use");
        }
        self.stranded = true;
    }

    /// The first half of this line went into the old file; its second half would spoil the new one.
    fn drop_torn_line(&mut self) {
        if !self.torn {
            return;
        }
        let end = self.batch.iter().position(|byte| *byte == b'\n').map_or(self.batch.len(), |at| at + 1);
        self.batch.drain(..end);
        self.torn = false;
        self.state.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failure; logs when trouble begins and when it is over, not in between.
    fn note(&mut self, outcome: io::Result<()>) {
        match outcome {
            Ok(()) if self.failing => info!(path = %self.path.display(), "call log is written again"),
            Ok(()) => {}
            Err(ref error) => {
                self.state.failures.fetch_add(1, Ordering::Relaxed);
                if !self.failing {
                    warn!(path = %self.path.display(), %error, "call log cannot be written; will retry");
                }
            }
        }
        self.failing = outcome.is_err();
        self.state.failing.store(self.failing, Ordering::Relaxed);
    }

    fn tell_losses(&mut self) {
        let lost = self.state.lost.load(Ordering::Relaxed);
        if lost != self.lost_told {
            warn!(lost = lost - self.lost_told, lost_total = lost, "call records lost");
            self.lost_told = lost;
        }
    }

    /// Counts what the file did not take before the end.
    fn finish(mut self) {
        let unwritten =
            self.batch.iter().filter(|byte| **byte == b'\n').count() + self.queue.try_iter().count();
        self.state.lost.fetch_add(unwritten as u64, Ordering::Relaxed);
        self.tell_losses();
    }
}

/// Non-blocking, which means something for pipes only: opening one without a reader fails instead of waiting for it,
/// and so does a write to a full one.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(flags).open(path)
}

/// What tells two files apart.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
