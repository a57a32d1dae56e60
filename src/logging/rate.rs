//! A limit for log lines that a peer can provoke: a flood of bad frames must not become a flood of lines. One static per call
//! site; time is passed in, nothing is allocated and nobody waits. Counts are atomic but not exact: two shards that
//! enter a new second together may each write a line more than allowed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

const MS_PER_SECOND: u64 = 1_000;

/// At most so many lines a second from one call site; the first line after a silence says how many were left out.
///
/// ```
/// use systemx::logging::RateLimited;
/// static BAD_FRAMES: RateLimited = RateLimited::per_second(5);
/// # let now_ms = 0;
/// if let Some(suppressed) = BAD_FRAMES.admit(now_ms) {
///     tracing::warn!(suppressed, "bad frame");
/// }
/// ```
#[derive(Debug)]
pub struct RateLimited {
    lines_per_second_max: u32,
    second: AtomicU64,
    admitted: AtomicU32,
    suppressed: AtomicU64,
}

impl RateLimited {
    /// A limit for one call site.
    pub const fn per_second(lines_per_second_max: u32) -> Self {
        // The first second ever seen differs from this one, so it starts with a full allowance.
        let second = AtomicU64::new(u64::MAX);
        Self { lines_per_second_max, second, admitted: AtomicU32::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether a line may be written now (any steady clock). `Some(n)`: write it, `n` lines were left out since the last one;
    /// `None`: leave it out.
    pub fn admit(&self, now_ms: u64) -> Option<u64> {
        let second = now_ms / MS_PER_SECOND;
        if self.second.swap(second, Relaxed) != second {
            self.admitted.store(0, Relaxed);
        }
        // The load keeps a flood from wrapping the counter around within one second.
        if self.admitted.load(Relaxed) >= self.lines_per_second_max {
            self.suppressed.fetch_add(1, Relaxed);
            return None;
        }
        self.admitted.fetch_add(1, Relaxed);
        Some(self.suppressed.swap(0, Relaxed))
    }

    /// Lines left out and not yet spoken of, and forgets them; for a summary when the exchange is quiet or stops.
    pub fn take_suppressed(&self) -> u64 {
        self.suppressed.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_few_lines_and_a_count() {
        let limit = RateLimited::per_second(3);
        let written = (0..1_000).filter(|_| limit.admit(5_000) == Some(0)).count();
        assert_eq!(written, 3);
        assert_eq!(limit.admit(5_999), None);
        assert_eq!(limit.admit(6_000), Some(998));
        assert_eq!(limit.admit(6_001), Some(0));
    }

    #[test]
    fn what_was_left_out_can_be_asked_for_once() {
        let limit = RateLimited::per_second(1);
        assert_eq!((limit.admit(0), limit.admit(0), limit.admit(0)), (Some(0), None, None));
        assert_eq!((limit.take_suppressed(), limit.take_suppressed()), (2, 0));
    }
}
