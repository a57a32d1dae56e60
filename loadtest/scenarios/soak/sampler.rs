//! Samples of the server's memory, descriptors and threads, taken by a thread of its own all through a run.
//!
//! Samples are numbers of a few bytes: a day of them, one every ten seconds, is under half a megabyte.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::engine::timers::{Clock, Nanos};
use crate::fault::Fault;
use crate::measure::probe::{Probe, Sample};

/// What was seen, and when.
pub type Seen = Vec<(Nanos, Sample)>;

/// The thread.
pub struct Sampler {
    /// Dropped to end it.
    end: Sender<()>,
    thread: JoinHandle<Seen>,
}

impl Sampler {
    /// Begins. What cannot be read is passed over: a server that is gone is found by its clients.
    pub fn start(probe: Arc<Probe>, clock: Clock, every: Duration) -> Result<Self, Fault> {
        let (end, ended) = channel::<()>();
        let sample = move || {
            let mut seen = Seen::new();
            loop {
                seen.extend(probe.sample().ok().map(|sample| (clock.now(), sample)));
                if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return seen;
                }
            }
        };
        Ok(Self { end, thread: thread::Builder::new().name("sampler".to_owned()).spawn(sample)? })
    }

    /// Ends it and gives all it saw.
    pub fn end(self) -> Result<Seen, Fault> {
        drop(self.end);
        self.thread.join().map_err(|_| Fault::WorkerLost)
    }
}
