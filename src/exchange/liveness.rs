//! Who has not been heard for too long: lazy buckets of one second (design.md, D9).
//!
//! Hearing a line is one store into the line. Only when a line's bucket comes due is it looked at again: heard
//! in the meantime, it goes into a later bucket. A line is never cut before its time, and up to two seconds after.

use std::collections::BTreeMap;

use super::ids::LineId;
use super::time::Tick;

/// Most lines looked at in one go, so that a million lines that came in one second do not stall a shard.
pub const LIVENESS_BATCH: usize = 4096;

/// The buckets.
#[derive(Debug)]
pub struct Liveness {
    timeout_ms: u64,
    buckets: BTreeMap<u32, Vec<LineId>>,
}

impl Liveness {
    /// No lines yet; `timeout_ms` 0 means that no line is ever cut.
    pub fn new(timeout_ms: u64) -> Self {
        Self { timeout_ms, buckets: BTreeMap::new() }
    }

    /// The second in which a line heard in second `heard_s` has certainly been silent for too long.
    fn deadline_s(&self, heard_s: u32) -> u32 {
        // A stamp is cut to whole seconds: the line may have been heard 999 ms later than it says.
        (u64::from(heard_s) * 1000 + 999 + self.timeout_ms).div_ceil(1000).min(u64::from(u32::MAX)) as u32
    }

    /// Watches a line from now on; to be called once for each line, and again by whoever finds it alive.
    pub fn watch(&mut self, line: LineId, heard_s: u32) {
        if self.timeout_ms == 0 {
            return;
        }
        self.buckets.entry(self.deadline_s(heard_s)).or_default().push(line);
    }

    /// Whether a line heard in second `heard_s` has been silent for too long.
    pub fn is_over(&self, heard_s: u32, now: Tick) -> bool {
        self.timeout_ms != 0 && self.deadline_s(heard_s) <= now.seconds()
    }

    /// When to look next.
    pub fn next(&self) -> Option<Tick> {
        self.buckets.keys().next().map(|&second| Tick::from_millis(u64::from(second) * 1000))
    }

    /// Takes up to [`LIVENESS_BATCH`] lines whose bucket is due; none if no bucket is.
    pub fn due(&mut self, now: Tick) -> Vec<LineId> {
        let Some(mut bucket) = self.buckets.first_entry().filter(|bucket| *bucket.key() <= now.seconds())
        else {
            return Vec::new();
        };
        let rest = bucket.get().len().saturating_sub(LIVENESS_BATCH);
        let due = bucket.get_mut().split_off(rest);
        if rest == 0 {
            bucket.remove();
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ids::{Handle, ShardId};

    #[test]
    fn a_line_is_never_cut_before_its_time() {
        let liveness = Liveness::new(1500);
        for heard_ms in [0_u64, 1, 500, 999, 1000] {
            let heard_s = Tick::from_millis(heard_ms).seconds();
            let over = (heard_ms..20_000).find(|&now| liveness.is_over(heard_s, Tick::from_millis(now)));
            let silent = over.expect("it is cut some time") - heard_ms;
            assert!((1500..=3500).contains(&silent), "heard at {heard_ms}, cut after {silent}");
        }
    }

    #[test]
    fn many_lines_of_one_second_come_in_batches() {
        let mut liveness = Liveness::new(1000);
        for slot in 0..10_000 {
            liveness.watch(LineId(Handle::new(ShardId::new(0), slot, 0)), 0);
        }
        let now = Tick::from_millis(60_000);
        let sizes: Vec<_> = std::iter::from_fn(|| Some(liveness.due(now).len())).take(4).collect();
        assert_eq!(sizes, [LIVENESS_BATCH, LIVENESS_BATCH, 10_000 - 2 * LIVENESS_BATCH, 0]);
        assert_eq!(liveness.next(), None);
    }
}
