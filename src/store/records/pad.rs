//! What a shard writes its records on for the keeper: a pad, of which the keeper tears the sheet off twice a second.
//!
//! Both sides swap one pointer; nobody ever waits, and neither makes a system call. A record is encoded once, straight to where it
//! is written to the file from: that, not the file, is where the time of a call record would go. A sheet is bounded; what does
//! not fit is counted as lost, and nothing else ever is lost here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::atomic::AtomicCell;
use parking_lot::Mutex;

use super::super::CallRecord;
use super::row;
use super::schema::BLOCK_BYTES;

/// Bytes on a sheet at most: some 40,000 records, so half a second of 80,000 calls ending each second on one shard, or 40 s of
/// a thousand a second while the disk is full.
pub(super) const SHEET_BYTES_MAX: usize = 8 << 20;
/// How often the keeper looks for a sheet that a shard is writing on. That takes the shard some 200 ns, but it may have lost its processor
/// meanwhile; to come back half a second later would keep records from the disk for longer than is promised.
const LOOKS: u32 = 1_000;
/// A torn-off sheet goes back to its shard if it has not more room than so many times what was on it, or than a small one.
const SPARE_ROOM: usize = 4;
const SPARE_BYTES: usize = 64 << 10;

/// Some records of one shard, in the order in which their calls ended.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// Each as a JSON array and `,\n`.
    lines: Vec<u8>,
    /// Which of them go into the file together.
    parts: Vec<Part>,
    /// How many there are.
    records: u64,
}

/// Whole lines of a sheet that go into the file as one block.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    end: usize,
    span: Span,
}

/// How many records, and when the first and the last of their calls ended, in milliseconds since 1970, by a clock that may have been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) records: u64,
    pub(super) first_ended_ms: u64,
    pub(super) last_ended_ms: u64,
}

impl Span {
    /// Both together.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            first_ended_ms: self.first_ended_ms.min(other.first_ended_ms),
            last_ended_ms: self.last_ended_ms.max(other.last_ended_ms),
        }
    }
}

impl Sheet {
    /// Adds a record.
    pub(super) fn add<Text: AsRef<str>>(&mut self, record: &CallRecord<Text>) {
        let start = self.lines.len();
        row::encode(record, &mut self.lines);
        self.lines.extend_from_slice(row::SEPARATOR);
        self.records += 1;
        let at = record.ended_at_ms;
        let span = Span { records: 1, first_ended_ms: at, last_ended_ms: at };
        let end = self.lines.len();
        match self.parts.last_mut() {
            Some(part) if part.end - part.start < BLOCK_BYTES => {
                (part.end, part.span) = (end, part.span.with(span));
            }
            _ => self.parts.push(Part { start, end, span }),
        }
    }

    /// The lines of each block that it becomes.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&[u8], Span)> {
        self.parts.iter().map(|part| (&self.lines[part.start..part.end], part.span))
    }

    /// How many records are on it.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// When the first of their calls ended.
    pub(super) fn first_ended_ms(&self) -> Option<u64> {
        self.parts.iter().map(|part| part.span.first_ended_ms).min()
    }

    fn append(&mut self, other: &Self) {
        let offset = self.lines.len();
        self.lines.extend_from_slice(&other.lines);
        let moved = |part: &Part| Part { start: part.start + offset, end: part.end + offset, ..*part };
        self.parts.extend(other.parts.iter().map(moved));
        self.records += other.records;
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.parts.clear();
        self.records = 0;
    }
}

/// One shard's.
#[derive(Default)]
pub(super) struct Pad {
    /// What has been written since the last look; `None` also while the shard writes.
    sheet: AtomicCell<Option<Box<Sheet>>>,
    /// An empty one, to save an allocation.
    spare: AtomicCell<Option<Box<Sheet>>>,
    /// Records on the sheet, as far as known.
    waiting: AtomicU64,
    lost: AtomicU64,
}

impl fmt::Debug for Pad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pad")
            .field("waiting", &self.waiting)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl Pad {
    /// Writes a record down, or counts it as lost.
    pub(super) fn write<Text: AsRef<str>>(&self, record: &CallRecord<Text>) {
        let mut sheet = self.sheet.take().or_else(|| self.spare.take()).unwrap_or_default();
        if sheet.lines.len() < SHEET_BYTES_MAX {
            sheet.add(record);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.waiting.store(sheet.records, Ordering::Relaxed);
        self.put(sheet);
    }

    /// Puts a sheet in its place, together with any that has come there meanwhile: from another thread with a handle to this pad.
    fn put(&self, mut sheet: Box<Sheet>) {
        while let Some(mut other) = self.sheet.swap(Some(sheet)) {
            if let Some(ours) = self.sheet.take() {
                other.append(&ours);
            }
            sheet = other;
        }
    }

    /// Tears the sheet off. `None` if nothing is on it, or the shard was just writing at each look: then there is one the next time.
    fn tear_off(&self) -> Option<Box<Sheet>> {
        let mut looks = 0..LOOKS;
        let sheet = loop {
            match self.sheet.take() {
                Some(sheet) => break sheet,
                None if self.waiting.load(Ordering::Relaxed) == 0 => return None,
                None => looks.next().map(|_| std::thread::yield_now())?,
            }
        };
        self.waiting.store(0, Ordering::Relaxed);
        Some(sheet)
    }

    /// Gives a sheet back that has been copied.
    fn give_back(&self, mut sheet: Box<Sheet>) {
        if sheet.lines.capacity() <= SPARE_BYTES.max(sheet.lines.len() * SPARE_ROOM) {
            sheet.clear();
            self.spare.store(Some(sheet));
        }
    }
}

/// A torn-off sheet, and whose it was.
#[derive(Debug)]
pub(super) struct Torn {
    pub(super) sheet: Box<Sheet>,
    pad: Arc<Pad>,
}

impl Torn {
    /// It has been kept.
    pub(super) fn done(self) {
        self.pad.give_back(self.sheet);
    }
}

/// All pads, and what the keeper could not keep.
#[derive(Debug, Default)]
pub(super) struct Pads {
    /// Locked when a shard begins, by the keeper twice a second, and by whoever asks; never while a record is written.
    pads: Mutex<Vec<Arc<Pad>>>,
    /// Records that were torn off and will never be kept.
    lost: AtomicU64,
    /// Set when the exchange stops: what is written then is the last.
    stopping: AtomicBool,
    stop_limit_ms: AtomicU64,
}

impl Pads {
    /// A pad for another shard.
    pub(super) fn add(&self) -> Arc<Pad> {
        let pad = Arc::new(Pad::default());
        self.pads.lock().push(Arc::clone(&pad));
        pad
    }

    /// Adds what has been written on any of them to `batch`.
    pub(super) fn tear_off_into(&self, batch: &mut Vec<Torn>) {
        let pads = self.pads.lock();
        let torn = |pad: &Arc<Pad>| Some(Torn { sheet: pad.tear_off()?, pad: Arc::clone(pad) });
        batch.extend(pads.iter().filter_map(torn));
    }

    /// How many records wait to be torn off, as far as known.
    pub(super) fn waiting(&self) -> u64 {
        self.pads.lock().iter().map(|pad| pad.waiting.load(Ordering::Relaxed)).sum()
    }

    /// Counts records that will never be kept.
    pub(super) fn note_lost(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// How many could not be kept.
    pub(super) fn lost(&self) -> u64 {
        let on_pads: u64 = self.pads.lock().iter().map(|pad| pad.lost.load(Ordering::Relaxed)).sum();
        on_pads + self.lost.load(Ordering::Relaxed)
    }

    /// Nothing more will come, and what is there may take so long.
    pub(super) fn stop(&self, limit: Duration) {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.stop_limit_ms.store(limit_ms, Ordering::Relaxed);
        self.stopping.store(true, Ordering::Release);
    }

    /// How long the last of it may take.
    pub(super) fn stop_limit(&self) -> Duration {
        Duration::from_millis(self.stop_limit_ms.load(Ordering::Relaxed))
    }

    /// Whether nothing more will come.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::tests::record;
    use super::*;

    fn torn(pads: &Pads) -> Vec<Torn> {
        let mut batch = Vec::new();
        pads.tear_off_into(&mut batch);
        batch
    }

    #[test]
    fn swapping_a_sheet_takes_no_lock() {
        assert!(AtomicCell::<Option<Box<Sheet>>>::is_lock_free());
    }

    #[test]
    fn a_sheet_has_what_was_written_in_order_and_its_times() {
        let pads = Pads::default();
        let pad = pads.add();
        for ended_at_ms in [20, 10, 30] {
            pad.write(&CallRecord { ended_at_ms, ..record(1) });
        }
        assert_eq!(pads.waiting(), 3);
        let batch = torn(&pads);
        let sheet = &batch[0].sheet;
        let span = Span { records: 3, first_ended_ms: 10, last_ended_ms: 30 };
        let parts: Vec<_> = sheet.parts().collect();
        assert_eq!((sheet.records(), parts.len(), parts[0].1), (3, 1, span));
        let mut expected = Sheet::default();
        [20, 10, 30].iter().for_each(|&at| expected.add(&CallRecord { ended_at_ms: at, ..record(1) }));
        assert_eq!(sheet.lines, expected.lines);
        assert_eq!((pads.waiting(), torn(&pads).len()), (0, 0));
    }

    #[test]
    fn a_sheet_is_cut_into_parts_of_whole_lines_that_know_their_times() {
        let mut sheet = Sheet::default();
        (0..1_000).for_each(|at| sheet.add(&CallRecord { ended_at_ms: at, ..record(1) }));
        let mut both = Sheet::default();
        both.add(&CallRecord { ended_at_ms: 7, ..record(1) });
        both.append(&sheet);
        assert_eq!((both.records(), both.first_ended_ms()), (1_001, Some(0)));
        let parts: Vec<_> = both.parts().collect();
        assert_eq!(parts.iter().map(|(lines, _)| lines.len()).sum::<usize>(), both.bytes());
        assert_eq!(parts.iter().map(|(_, span)| span.records).sum::<u64>(), 1_001);
        assert!(parts.len() > 2 && parts.iter().all(|(lines, _)| lines.ends_with(row::SEPARATOR)));
        let (lines, span) = parts[2];
        assert_eq!(parts[1].1.last_ended_ms + 1, span.first_ended_ms);
        assert_eq!(memchr::memchr_iter(b'\n', lines).count() as u64, span.records);
        assert!(parts.iter().all(|(lines, _)| lines.len() < BLOCK_BYTES + 1_000));
    }

    #[test]
    fn a_sheet_that_was_given_back_is_written_on_again_unless_it_is_much_too_large() {
        let pads = Pads::default();
        let pad = pads.add();
        pad.write(&record(1));
        let first = torn(&pads).remove(0);
        let lines = first.sheet.lines.as_ptr();
        first.done();
        pad.write(&record(2));
        let mut second = torn(&pads).remove(0);
        assert_eq!((second.sheet.lines.as_ptr(), second.sheet.records()), (lines, 1));
        second.sheet.lines.reserve(SPARE_BYTES + 1);
        second.done();
        assert!(pad.spare.take().is_none());
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let pads = Pads::default();
        let pad = pads.add();
        let mut full = Box::new(Sheet::default());
        while full.lines.len() < SHEET_BYTES_MAX {
            full.add(&record(1));
        }
        let records = full.records;
        pad.put(full);
        pad.write(&record(2));
        pads.note_lost(2);
        assert_eq!((pads.waiting(), pads.lost()), (records, 3));
    }

    #[test]
    fn threads_that_share_a_pad_with_a_busy_keeper_lose_nothing() {
        const EACH: u64 = 20_000;
        let pads = Pads::default();
        let pad = pads.add();
        let kept = std::thread::scope(|scope| {
            let write = || (0..EACH).for_each(|messages| pad.write(&record(messages)));
            let writers = [scope.spawn(write), scope.spawn(write)];
            let mut kept = 0;
            let mut keep = || {
                for torn in torn(&pads) {
                    kept += torn.sheet.records();
                    torn.done();
                }
            };
            while !writers.iter().all(|writer| writer.is_finished()) {
                keep();
            }
            keep();
            kept
        });
        assert_eq!((kept, pads.lost()), (2 * EACH, 0));
    }
}
