//! A thread that keeps records: started with a name, waited for at the stop, but not for ever.
//!
//! A disk or a server that hangs is no reason for the exchange to: a thread that is not done in time is left to itself.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

/// The running thread.
#[derive(Debug)]
pub(super) struct Worker {
    thread: JoinHandle<()>,
    /// Closed by the thread when it is done.
    done: Receiver<()>,
}

impl Worker {
    /// Starts it.
    pub(super) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (finished, done) = mpsc::sync_channel(0);
        let body = move || {
            body();
            drop(finished);
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self { thread, done })
    }

    /// Wakes it, in case it is parked, and waits until it is done, for at most `limit`. It has been told before to come to its end.
    pub(super) fn finish(self, limit: Duration) {
        self.thread.thread().unpark();
        // Nothing is ever sent: this ends when the thread drops its side, or at the limit.
        let _ = self.done.recv_timeout(limit);
    }
}
