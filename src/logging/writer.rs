//! The thread that writes log lines. Whoever logs only puts a line into a bounded queue and never waits: if stdout is blocked
//! (a full pipe, a stopped terminal), lines are dropped and counted, and the count is written when it moves again.
//! Standard output and error are opened here and nowhere else in the server.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::Level;

use super::LogFormat;
use super::render::Rendered;
use crate::timestamp::Timestamp;

/// Lines waiting for the writer: at some 200 bytes each under a megabyte, at the longest possible about 150 MB.
pub(super) const QUEUE_LINES_MAX: usize = 4_096;
/// Lines written with one system call per stream.
const BATCH_LINES_MAX: usize = 256;
/// Dropping the guard waits this long for the queue: the operator's stop has a limit and a blocked terminal must not exceed it.
const FLUSH_ON_DROP_LIMIT: Duration = Duration::from_secs(1);

/// Where a line goes (spec 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Debug and info.
    Out,
    /// Warn and error.
    Err,
}

impl Stream {
    pub(super) fn of(level: Level) -> Self {
        // tracing orders levels by verbosity: WARN and ERROR are the least.
        if level <= Level::WARN { Stream::Err } else { Stream::Out }
    }
}

/// The two places lines are written to.
pub(super) struct Sinks {
    pub(super) out: Box<dyn Write + Send>,
    pub(super) err: Box<dyn Write + Send>,
}

impl Sinks {
    pub(super) fn process() -> Self {
        Self { out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }
}

struct Line {
    stream: Stream,
    text: String,
}

#[derive(Default)]
struct Progress {
    /// Lines that entered the queue.
    queued: AtomicU64,
    /// Lines that did not fit and have not been spoken of.
    lost: AtomicU64,
    /// Lines written; behind a mutex because flushing waits for it.
    written: Mutex<u64>,
    moved: Condvar,
}

/// The producers' end: any number of threads, none of which ever waits.
#[derive(Clone)]
pub(super) struct LogWriter {
    lines: SyncSender<Line>,
    progress: Arc<Progress>,
}

impl LogWriter {
    /// Starts the writer thread. `clock` gives the wall time for the line that reports losses.
    pub(super) fn start(
        sinks: Sinks,
        format: LogFormat,
        clock_unix_ms: fn() -> u64,
    ) -> io::Result<(Self, LogGuard)> {
        let (lines, queue) = sync_channel(QUEUE_LINES_MAX);
        let progress = Arc::new(Progress::default());
        let worker = Worker { queue, sinks, format, clock_unix_ms, progress: Arc::clone(&progress) };
        thread::Builder::new().name("systemx-log".to_owned()).spawn(|| worker.run())?;
        Ok((Self { lines, progress: Arc::clone(&progress) }, LogGuard { progress }))
    }

    /// Queues a finished line, or counts it as lost.
    pub(super) fn write(&self, stream: Stream, text: String) {
        let counter = match self.lines.try_send(Line { stream, text }) {
            Ok(()) => &self.progress.queued,
            Err(_) => &self.progress.lost,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Keeps the end of the log: dropped last in `main`, it waits a moment for lines that are not written yet.
#[must_use = "dropping the guard early ends nothing, but lines written just before the exit would be lost"]
pub struct LogGuard {
    progress: Arc<Progress>,
}

impl LogGuard {
    /// Waits until every line logged before is written, at most `limit`. False if the limit came first.
    pub fn flush(&self, limit: Duration) -> bool {
        let target = self.progress.queued.load(Relaxed);
        let mut written = self.progress.written.lock();
        !self.progress.moved.wait_while_for(&mut written, |written| *written < target, limit).timed_out()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.flush(FLUSH_ON_DROP_LIMIT);
    }
}

/// The writer thread's state.
struct Worker {
    queue: Receiver<Line>,
    sinks: Sinks,
    format: LogFormat,
    clock_unix_ms: fn() -> u64,
    progress: Arc<Progress>,
}

impl Worker {
    /// Ends when the last producer is gone, which in the program is never.
    fn run(mut self) {
        let (mut out, mut err) = (String::new(), String::new());
        while let Ok(first) = self.queue.recv() {
            let count = self.gather(first, &mut out, &mut err);
            self.gather_losses(&mut err);
            write_all(&mut self.sinks.out, &mut out);
            write_all(&mut self.sinks.err, &mut err);
            *self.progress.written.lock() += count;
            self.progress.moved.notify_all();
        }
    }

    /// Appends the first line and those that are ready to the two texts; returns how many.
    fn gather(&self, first: Line, out: &mut String, err: &mut String) -> u64 {
        let mut next = Ok::<_, TryRecvError>(first);
        let mut count = 0;
        while let Ok(line) = next {
            match line.stream {
                Stream::Out => out.push_str(&line.text),
                Stream::Err => err.push_str(&line.text),
            }
            count += 1;
            if count == BATCH_LINES_MAX as u64 {
                break;
            }
            next = self.queue.try_recv();
        }
        count
    }

    /// A loss happens only while the queue is full, so there is always a batch after it that speaks of it.
    fn gather_losses(&self, err: &mut String) {
        let lost = self.progress.lost.swap(0, Relaxed);
        if lost == 0 {
            return;
        }
        let message = format!("{lost} log lines lost");
        let rendered = Rendered { message, context: format!("\"lost\":{lost}"), internal: true };
        err.push_str(&match self.format {
            LogFormat::Text => rendered.text(Level::WARN),
            LogFormat::Json => rendered.json(Level::WARN, Timestamp((self.clock_unix_ms)())),
        });
    }
}

/// Writes and empties the text. A closed pipe is nothing a log could report anywhere, so errors end here.
fn write_all(sink: &mut Box<dyn Write + Send>, text: &mut String) {
    if text.is_empty() {
        return;
    }
    let _ = sink.write_all(mem::take(text).as_bytes()).and_then(|()| sink.flush());
}

#[cfg(test)]
mod tests {
    use super::super::testing::Captured;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn writer(out: &Captured, err: &Captured) -> (LogWriter, LogGuard) {
        let sinks = Sinks { out: Box::new(out.clone()), err: Box::new(err.clone()) };
        LogWriter::start(sinks, LogFormat::Text, || 0).expect("a thread can be started")
    }

    #[test]
    fn lines_reach_their_stream_in_order() {
        let (out, err) = (Captured::default(), Captured::default());
        let (writer, guard) = writer(&out, &err);
        for number in 0..1_000 {
            writer.write(Stream::Out, format!("{number}\n"));
        }
        writer.write(Stream::Err, "bad\n".to_owned());
        assert!(guard.flush(LIMIT));
        let expected: String = (0..1_000).map(|number| format!("{number}\n")).collect();
        assert_eq!((out.text(), err.text()), (expected, "bad\n".to_owned()));
    }

    #[test]
    fn a_blocked_stream_stalls_nobody_and_losses_are_reported_when_it_moves() {
        let (out, err) = (Captured::default(), Captured::default());
        let (writer, guard) = writer(&out, &err);
        let gate = out.block();
        let sent = 3 * QUEUE_LINES_MAX;
        for _ in 0..sent {
            writer.write(Stream::Out, "x\n".to_owned());
        }
        assert!(!guard.flush(Duration::ZERO));
        drop(gate);
        assert!(guard.flush(LIMIT));
        let written = out.text().lines().count();
        let lost: usize = err.text().lines().map(lost_of).sum();
        assert!(lost > 0);
        assert_eq!(written + lost, sent);
    }

    /// The count in `[WARN] 12 log lines lost {"lost":12}`.
    fn lost_of(line: &str) -> usize {
        let count = line
            .strip_prefix("[WARN] ")
            .and_then(|rest| rest.split_once(" log lines lost"))
            .map(|parts| parts.0);
        count.expect("only losses go to this stream").parse().expect("the count is a number")
    }

    #[test]
    fn dropping_the_guard_writes_what_is_queued() {
        let (out, err) = (Captured::default(), Captured::default());
        let (writer, guard) = writer(&out, &err);
        writer.write(Stream::Out, "last words\n".to_owned());
        drop(guard);
        assert_eq!(out.text(), "last words\n");
    }
}
