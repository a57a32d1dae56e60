//! Which traces are sent: those whose caller keeps them, and of the rest a share.
//!
//! The share is taken by the rightmost 56 bits of the trace's id, as OpenTelemetry's samplers and W3C trace context (level 2) have it.
//! So all who share a ratio keep the same traces, and whoever has a greater one keeps them too. The rest of an id may be anything: a
//! call id holds numbers of shard and slot there.

use crate::exchange::trace::TraceParent;

/// How many bits of an id count, and how many values they have.
const RANDOM_BITS: u32 = 56;
const RANDOM_VALUES: u64 = 1 << RANDOM_BITS;

/// A share of all traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// How many of the values of an id's random bits are not kept.
    refused: u64,
}

impl Ratio {
    /// All of them.
    pub const ALL: Self = Self { refused: 0 };
    /// None of them.
    pub const NONE: Self = Self { refused: RANDOM_VALUES };

    /// The share `ratio`; `None` unless it is from 0 to 1.
    pub fn new(ratio: f64) -> Option<Self> {
        let share = (0.0..=1.0).contains(&ratio).then_some(ratio)?;
        Some(Self { refused: RANDOM_VALUES - (share * RANDOM_VALUES as f64) as u64 })
    }

    fn keeps(self, trace_id: [u8; 16]) -> bool {
        let random = u128::from_be_bytes(trace_id) as u64 % RANDOM_VALUES;
        random >= self.refused
    }
}

/// Which traces are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Whether it is the caller who decides, of a call that has one in the trace.
    pub heeds_parent: bool,
    /// The share that is sent of the others.
    pub ratio: Ratio,
}

impl Sampling {
    /// Whether the span of a call is sent. What its trace is, is only asked if it matters.
    pub fn keeps(self, parent: Option<&TraceParent>, trace_id: impl FnOnce() -> [u8; 16]) -> bool {
        match parent {
            Some(parent) if self.heeds_parent => parent.is_sampled(),
            _ if self.ratio == Ratio::ALL => true,
            _ => self.ratio.keeps(trace_id()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ids::{CallId, Handle, LegId, ShardId};

    fn ratio(ratio: f64) -> Ratio {
        Ratio::new(ratio).expect("it is one")
    }

    fn id(random: u64) -> [u8; 16] {
        // What stands before the random bits does not count.
        (u128::MAX << RANDOM_BITS | u128::from(random)).to_be_bytes()
    }

    #[test]
    fn only_numbers_from_0_to_1_are_shares() {
        assert_eq!((ratio(1.0), ratio(0.0)), (Ratio::ALL, Ratio::NONE));
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Ratio::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_greatest_ids_are_kept_and_of_a_greater_share_all_that_a_lesser_one_keeps() {
        let kept = |share: f64| {
            [0, RANDOM_VALUES / 2 - 1, RANDOM_VALUES / 2, RANDOM_VALUES - 1]
                .map(|n| ratio(share).keeps(id(n)))
        };
        assert_eq!(kept(0.0), [false; 4]);
        assert_eq!(kept(1e-9), [false, false, false, true]);
        assert_eq!(kept(0.5), [false, false, true, true]);
        assert_eq!(kept(0.500_001), [false, true, true, true]);
        assert_eq!(kept(1.0), [true; 4]);
    }

    #[test]
    fn of_calls_that_this_exchange_names_the_share_is_what_was_asked_for() {
        let mut dice = 1_u128;
        let calls = (0..10_000_u32).filter(|&number| {
            dice = dice.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(7);
            let leg = LegId(Handle::new(ShardId::new(number as usize % 4), number % 100, number));
            ratio(0.1).keeps(CallId::mint(leg, dice ^ dice >> 64).bits().to_be_bytes())
        });
        let count = calls.count();
        assert!((900..1_100).contains(&count), "{count}");
    }

    #[test]
    fn whoever_is_in_a_trace_decides_unless_nobody_heeds_it() {
        let parent = |flags| TraceParent { trace_id: id(0), span_id: [1; 8], flags };
        let keeps = |heeds_parent, share, flags| {
            let sampling = Sampling { heeds_parent, ratio: ratio(share) };
            sampling.keeps(Some(&parent(flags)), || id(0))
        };
        assert!(keeps(true, 0.0, 1) && !keeps(true, 1.0, 0));
        assert!(!keeps(false, 0.0, 1) && keeps(false, 1.0, 0));
        let alone = |share| Sampling { heeds_parent: true, ratio: ratio(share) }.keeps(None, || id(0));
        assert!(alone(1.0) && !alone(0.5));
    }
}
