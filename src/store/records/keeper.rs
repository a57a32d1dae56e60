//! The thread that keeps records: takes what waits a few times a second, writes it in one transaction, tidies up.
//!
//! A batch that cannot be written is kept for the next attempt and the rest waits on the shards' pads, so memory is bounded and
//! what does not fit there is the only loss. Attempts come at growing pauses and begin with opening the file if need be, so
//! whatever heals heals by itself. A damaged file is set aside and a new one begun. Nothing here is known to a shard.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::file::{self, File};
use super::pad::{self, Pads, Torn};
use super::retention::Retention;
use super::trouble::Trouble;
use super::{Settings, Shared};

/// Between two looks at what waits. A flush follows at once, so a record is on the disk this long after the end of its
/// call, and what the disk takes for a flush.
const TICK: Duration = Duration::from_millis(500);
/// Bytes of records that wait in the keeper's hands, beyond which it takes no more from the shards' pads. A transaction may have a full
/// sheet of each shard besides.
const BATCH_BYTES_MAX: usize = pad::SHEET_BYTES_MAX;
/// Ticks between two looks at the file itself and at what is too old: a second.
const TICKS_PER_LOOK: u32 = 2;
/// Ticks between two warnings about lost records: ten seconds.
const TICKS_PER_WARNING: u32 = 20;
/// Looks at a file that is gone but cannot be let go of, because somebody reads it; with the pauses between them some half a minute.
const LOOKS_GONE_MAX: u32 = 6;
/// Between two attempts at the stop.
const LAST_PAUSE: Duration = Duration::from_millis(100);
/// The first pause after a failed attempt, in ticks; each further one is twice as long, up to the longest (8 s).
const PAUSE_TICKS_MIN: u32 = 1;
const PAUSE_TICKS_MAX: u32 = 16;

pub(super) struct Keeper {
    path: PathBuf,
    node: Box<str>,
    retention: Retention,
    clock_unix_ms: fn() -> u64,
    pads: Arc<Pads>,
    shared: Arc<Shared>,
    file: Option<File>,
    /// Whether the file has been looked through since it came to this path.
    is_checked: bool,
    /// What the next transaction keeps.
    batch: Vec<Torn>,
    tick: u32,
    /// Ticks until the next attempt, and the pause after that one if it fails.
    pause: u32,
    next_pause: u32,
    /// Lost records that a warning has told of.
    lost_told: u64,
    /// Looks at which the file was gone and somebody's reading kept the keeper from letting go of it.
    looks_gone: u32,
}

impl Keeper {
    pub(super) fn new(settings: Settings, pads: Arc<Pads>, shared: Arc<Shared>) -> Self {
        let Settings { path, node, retention, clock_unix_ms } = settings;
        Self {
            path,
            node,
            retention,
            clock_unix_ms,
            pads,
            shared,
            file: None,
            is_checked: false,
            batch: Vec::new(),
            tick: 0,
            pause: 0,
            next_pause: PAUSE_TICKS_MIN,
            lost_told: 0,
            looks_gone: 0,
        }
    }

    /// Works until nothing more comes, then keeps what is left if that can be done at once.
    pub(super) fn run(mut self) {
        loop {
            let is_last = self.pads.is_stopping();
            let has_more = self.turn();
            if is_last {
                return self.finish();
            }
            if !has_more {
                std::thread::park_timeout(TICK);
                self.tick = self.tick.wrapping_add(1);
                self.pause = self.pause.saturating_sub(1);
            }
        }
    }

    /// One round. Whether another should follow at once.
    pub(super) fn turn(&mut self) -> bool {
        self.take();
        if self.tick.is_multiple_of(TICKS_PER_WARNING) {
            self.tell_losses();
        }
        if self.pause > 0 {
            return false;
        }
        if let Err(trouble) = self.keep() {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).min(PAUSE_TICKS_MAX);
            self.note(Err(trouble));
            return false;
        }
        self.next_pause = PAUSE_TICKS_MIN;
        // A step of tidying up goes between any two transactions, so that neither has to wait for the end of the other. If it
        // fails, that is no reason to keep records waiting.
        let outcome = self.tidy();
        let has_more = outcome == Ok(true);
        self.note(outcome.map(drop));
        has_more
    }

    /// Takes what the shards have written since the last time, unless there is still much from then.
    fn take(&mut self) {
        if self.batch.iter().map(|torn| torn.sheet.bytes()).sum::<usize>() < BATCH_BYTES_MAX {
            self.pads.tear_off_into(&mut self.batch);
        }
        let oldest = self.batch.iter().filter_map(|torn| torn.sheet.first_ended_ms()).min();
        self.shared.oldest_ms.store(oldest.unwrap_or_default(), Ordering::Relaxed);
        self.shared.batched.store(self.batched(), Ordering::Relaxed);
    }

    /// Records in its hands.
    fn batched(&self) -> u64 {
        self.batch.iter().map(|torn| torn.sheet.records()).sum()
    }

    /// Writes the batch. A damaged file is set aside, and the batch is the first of the next.
    fn keep(&mut self) -> Result<(), Trouble> {
        match self.try_keep() {
            Err(Trouble::Corrupt) => {
                self.set_aside()?;
                self.try_keep()
            }
            outcome => outcome,
        }
    }

    fn try_keep(&mut self) -> Result<(), Trouble> {
        if self.tick.is_multiple_of(TICKS_PER_LOOK) || self.looks_gone > 0 {
            self.look()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            closed => {
                let file = closed.insert(File::open(&self.path)?);
                if !self.is_checked {
                    file.check()?;
                    self.is_checked = true;
                }
                file
            }
        };
        if self.batch.is_empty() {
            return Ok(());
        }
        file.write(self.batch.iter().map(|torn| &*torn.sheet), &self.node)?;
        self.shared.kept.fetch_add(self.batched(), Ordering::Relaxed);
        self.batch.drain(..).for_each(Torn::done);
        self.shared.oldest_ms.store(0, Ordering::Relaxed);
        self.shared.batched.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Lets go of a file that its name leads away from: what is written there would be lost.
    fn look(&mut self) -> Result<(), Trouble> {
        self.shared.file_bytes.store(file::bytes(&self.path), Ordering::Relaxed);
        let Some(file) = &self.file else { return Ok(()) };
        match file.look() {
            Ok(()) => {
                self.looks_gone = 0;
                Ok(())
            }
            Err(Trouble::Unopenable) => self.let_go(),
            Err(trouble) => Err(trouble),
        }
    }

    /// The file is not where its name leads to: what its write-ahead log holds goes into it, and another is begun. Whoever reads it may
    /// keep that from being done, for a while.
    fn let_go(&mut self) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Ok(()) };
        let is_whole = match file.gather() {
            Err(Trouble::Locked) if self.looks_gone < LOOKS_GONE_MAX => {
                self.looks_gone += 1;
                return Err(Trouble::Locked);
            }
            gathered => gathered.is_ok(),
        };
        (self.file, self.is_checked, self.looks_gone) = (None, false, 0);
        let left = file::part_with_log(&self.path, is_whole, (self.clock_unix_ms)())?;
        let log_kept_as = left.map(|path| path.display().to_string());
        warn!(
            path = %self.path.display(), is_whole, log_kept_as,
            "call records: the file is gone or another is in its place; it is opened anew"
        );
        Ok(())
    }

    fn set_aside(&mut self) -> Result<(), Trouble> {
        let now_ms = (self.clock_unix_ms)();
        let aside = match self.file.take() {
            Some(file) => file.set_aside(now_ms),
            None => file::set_aside(&self.path, now_ms),
        }?;
        self.shared.set_aside.fetch_add(1, Ordering::Relaxed);
        error!(
            path = %self.path.display(), kept_as = %aside.display(),
            "call records: the file was damaged; it is set aside and a new one begun: what it held is not in the new one"
        );
        Ok(())
    }

    /// A step of what is to be deleted, now and then and in each attempt after a failure. Whether there is more to do.
    fn tidy(&mut self) -> Result<bool, Trouble> {
        let Some(file) = self.file.as_ref() else { return Ok(false) };
        if !self.tick.is_multiple_of(TICKS_PER_LOOK) && self.shared.trouble().is_none() {
            return Ok(false);
        }
        match self.retention.step(file.connection(), (self.clock_unix_ms)()) {
            Ok(step) => {
                self.shared.deleted.fetch_add(step.deleted, Ordering::Relaxed);
                Ok(step.is_unfinished)
            }
            // Nothing is kept from the disk by that: what is old can wait.
            Err(Trouble::Locked) => Ok(false),
            // Here the pages are met that nobody else reads.
            Err(Trouble::Corrupt) => self.set_aside().map(|()| false),
            Err(trouble) => Err(trouble),
        }
    }

    /// Counts a failure; logs when trouble begins, changes and is over.
    fn note(&mut self, outcome: Result<(), Trouble>) {
        let before = self.shared.trouble();
        let path = self.path.display();
        match &outcome {
            Ok(()) => {
                if before.is_some() {
                    info!(%path, "call records are kept again");
                }
            }
            Err(trouble) => {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                if !trouble.keeps_open() {
                    self.file = None;
                }
                if before.as_ref() != Some(trouble) {
                    let advice = trouble.advice();
                    warn!(%path, %trouble, advice, "call records cannot be kept; calls go on, and it is tried again");
                }
            }
        }
        self.shared.set_trouble(outcome.err());
    }

    fn tell_losses(&mut self) {
        let lost_total = self.pads.lost();
        if lost_total != self.lost_told {
            warn!(lost = lost_total - self.lost_told, lost_total, "call records lost");
            self.lost_told = lost_total;
        }
    }

    /// Keeps what is left, as long as there is time for that, or counts it.
    fn finish(mut self) {
        let until = Instant::now() + self.pads.stop_limit();
        loop {
            self.take();
            if self.batch.is_empty() {
                break;
            }
            let Err(trouble) = self.keep() else { continue };
            if Instant::now() + LAST_PAUSE < until && trouble.may_pass() {
                std::thread::sleep(LAST_PAUSE);
                continue;
            }
            self.give_up(&trouble);
            break;
        }
        self.tell_losses();
    }

    /// Counts what waits as lost.
    fn give_up(&mut self, trouble: &Trouble) {
        let mut left = 0;
        while !self.batch.is_empty() {
            left += self.batched();
            self.batch.clear();
            self.take();
        }
        warn!(path = %self.path.display(), %trouble, left, "call records cannot be kept at the end");
        self.pads.note_lost(left);
    }
}

#[cfg(test)]
mod tests;
