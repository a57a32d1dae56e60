//! The watches that are on, and the last steps of each.
//!
//! Bounded in watches, steps and time: a watch that nobody looks at ends by itself, so that a forgotten page does not go on
//! copying. Belongs to the console's thread; no clock is read here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use parking_lot::Mutex;

use crate::exchange::ids::CallId;

use super::picture::Picture;
use super::watch::{STEPS_WAITING_MAX, Step, StepSink, Subject, Watch, WatchList};

/// Watches at a time: more ladders than anybody looks at.
pub const WATCHES_MAX: usize = 16;
/// Steps kept of each: a few screens.
pub const STEPS_MAX: usize = 1000;
/// Calls of a watched address that are followed; the oldest give way.
const CALLS_MAX: usize = 64;
/// A watch that nobody has looked at for so long is over, in milliseconds.
const FORGOTTEN_AFTER_MS: u64 = 15 * 60 * 1000;

/// A watch's number, never used twice.
pub type WatchId = u64;

/// Tells every shard what is watched.
pub type Publish = Box<dyn Fn(WatchList) + Send>;

/// Why something is not watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchError {
    /// There are [`WATCHES_MAX`] watches already.
    TooMany,
}

impl std::fmt::Display for WatchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMany => write!(f, "{WATCHES_MAX} watches are on already; end one of them first"),
        }
    }
}

impl std::error::Error for WatchError {}

/// One watch, as lists show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchView {
    /// Its number.
    pub id: WatchId,
    /// What is watched.
    pub watch: Watch,
    /// Steps that are kept.
    pub steps: usize,
    /// The number of the newest.
    pub newest: u64,
}

/// The ladders, for those who serve readers. Clones are the same. No shard ever waits for it.
#[derive(Clone)]
pub struct LadderDesk(Arc<Mutex<Ladders>>);

impl LadderDesk {
    /// A desk for these.
    pub fn new(ladders: Ladders) -> Self {
        Self(Arc::new(Mutex::new(ladders)))
    }

    /// Does something with them, one reader after the other.
    pub fn with<T>(&self, work: impl FnOnce(&mut Ladders) -> T) -> T {
        work(&mut self.0.lock())
    }
}

struct Kept {
    id: WatchId,
    watch: Watch,
    /// The calls of a watched address, oldest first.
    calls: VecDeque<CallId>,
    /// The last steps with their numbers, in the order in which they came in.
    steps: VecDeque<(u64, Arc<Step>)>,
    looked_at_ms: u64,
}

/// All watches.
pub struct Ladders {
    steps: Receiver<Step>,
    sink: StepSink,
    publish: Publish,
    watches: Vec<Kept>,
    last_id: WatchId,
    last_step: u64,
}

impl Ladders {
    /// No watches yet. `steps` is the other end of `sink`; `publish` tells the shards what is watched.
    pub fn new(sink: StepSink, steps: Receiver<Step>, publish: Publish) -> Self {
        Self { steps, sink, publish, watches: Vec::new(), last_id: 0, last_step: 0 }
    }

    /// Begins to watch, at `now_ms` of any clock.
    ///
    /// # Errors
    /// If there are too many watches.
    pub fn begin(&mut self, watch: Watch, now_ms: u64) -> Result<WatchId, WatchError> {
        self.take_in();
        if self.watches.len() >= WATCHES_MAX {
            return Err(WatchError::TooMany);
        }
        self.last_id += 1;
        let (calls, steps) = (VecDeque::new(), VecDeque::new());
        self.watches.push(Kept { id: self.last_id, watch, calls, steps, looked_at_ms: now_ms });
        self.announce();
        Ok(self.last_id)
    }

    /// Ends a watch and returns what was watched; `None` if there is no such watch.
    pub fn end(&mut self, id: WatchId) -> Option<Watch> {
        let at = self.watches.iter().position(|kept| kept.id == id)?;
        let ended = self.watches.remove(at);
        self.announce();
        Some(ended.watch)
    }

    /// Takes in what the shards have handed over, and ends what nobody looks at any more, which it returns. To be called every
    /// second or so.
    pub fn tend(&mut self, now_ms: u64) -> Vec<Watch> {
        self.take_in();
        let is_forgotten = |kept: &mut Kept| now_ms.saturating_sub(kept.looked_at_ms) >= FORGOTTEN_AFTER_MS;
        let ended: Vec<_> = self.watches.extract_if(.., is_forgotten).map(|kept| kept.watch).collect();
        if !ended.is_empty() {
            self.announce();
        }
        ended
    }

    fn take_in(&mut self) {
        // No more than may wait, or shards that say much could keep this thread here.
        for _ in 0..STEPS_WAITING_MAX {
            let Ok(step) = self.steps.try_recv() else { return };
            self.sink.note_taken();
            self.take(step);
        }
    }

    /// All of them.
    pub fn list(&mut self) -> Vec<WatchView> {
        self.take_in();
        let view = |kept: &Kept| WatchView {
            id: kept.id,
            watch: kept.watch.clone(),
            steps: kept.steps.len(),
            newest: kept.steps.back().map_or(0, |&(number, _)| number),
        };
        self.watches.iter().map(view).collect()
    }

    /// The ladder of one; `None` if there is no such watch.
    pub fn look(&mut self, id: WatchId, now_ms: u64) -> Option<Picture> {
        self.take_in();
        let lost = self.sink.lost();
        let kept = self.watches.iter_mut().find(|kept| kept.id == id)?;
        kept.looked_at_ms = now_ms;
        let steps = kept.steps.iter().map(|(number, step)| (*number, &**step));
        Some(Picture::of(&kept.watch, steps, lost))
    }

    /// Whether the ladder of a watch has rungs beyond this number, or it is a number that never was: the reader knows another
    /// exchange's. `None` if there is no such watch. Asking counts as a look.
    pub fn has_news(&mut self, id: WatchId, known: u64, now_ms: u64) -> Option<bool> {
        self.take_in();
        let kept = self.watches.iter_mut().find(|kept| kept.id == id)?;
        kept.looked_at_ms = now_ms;
        let is_strange = known > self.last_step;
        Some(is_strange || kept.steps.back().is_some_and(|&(number, _)| number > known))
    }

    fn announce(&self) {
        (self.publish)(self.watches.iter().map(|kept| kept.watch.clone()).collect());
    }

    fn take(&mut self, step: Step) {
        self.last_step += 1;
        let (number, step) = (self.last_step, Arc::new(step));
        for kept in &mut self.watches {
            kept.take(number, &step);
        }
    }
}

impl Kept {
    fn take(&mut self, number: u64, step: &Arc<Step>) {
        if !self.wants(step) {
            return;
        }
        if self.steps.len() >= STEPS_MAX {
            self.steps.pop_front();
        }
        self.steps.push_back((number, step.clone()));
    }

    fn wants(&mut self, step: &Step) -> bool {
        match &self.watch.subject {
            // By its id: names that other exchanges gave are not known in every frame, before and after.
            Subject::Call { id, .. } => step.call_id == Some(*id),
            Subject::Address(address) => {
                let is_own = step.who == *address || step.peer.as_ref() == Some(address);
                let Some(call) = step.call_id else { return is_own };
                let is_known = self.calls.contains(&call);
                if is_own && !is_known {
                    if self.calls.len() >= CALLS_MAX {
                        self.calls.pop_front();
                    }
                    self.calls.push_back(call);
                }
                is_own || is_known
            }
        }
    }
}
