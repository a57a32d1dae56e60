//! One dial and what was meant by it: its kind, how far it is, what is said in it.
//!
//! A caller has at most one call, so calls are kept by their caller. What an outcome has to be follows from the kind
//! alone; this file says so and does no I/O.

use super::options::Day;
use crate::engine::timers::Nanos;
use crate::engine::wire::CALL_ID_BYTES;
use crate::scenarios::msg::talk::Way;

/// What is waited for while it rings, in the words of an error.
pub const RINGING_ENDS: &str = "end of ringing";

/// What is meant by a dial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It is answered, and messages are said.
    Talk,
    /// It is taken back while it rings.
    Cancelled,
    /// It rings until the server ends it.
    Unanswered,
    /// It goes to a line in a call.
    Busy,
    /// It goes to nobody.
    Unknown,
}

impl Kind {
    /// By a roll between 0 and 100.
    pub fn of(day: &Day, roll: f64) -> Self {
        let mut left = roll;
        for (share, kind) in [
            (day.cancelled, Self::Cancelled),
            (day.unanswered, Self::Unanswered),
            (day.busy, Self::Busy),
            (day.unknown, Self::Unknown),
        ] {
            if left < share {
                return kind;
            }
            left -= share;
        }
        Self::Talk
    }

    /// Whether the dial has a `ref`, so that its caller learns the call's id while it rings.
    pub fn has_ref(self) -> bool {
        matches!(self, Self::Cancelled | Self::Unanswered)
    }

    /// Whether BUSY with this reason is what was meant.
    pub fn expects_busy(self, reason: &[u8]) -> bool {
        match self {
            Self::Unanswered => reason == b"timeout",
            Self::Busy => matches!(reason, b"busy" | b"already_in_call"),
            Self::Unknown => reason == b"no_such_address",
            Self::Talk | Self::Cancelled => false,
        }
    }
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// RING, or BUSY, is due.
    Dialled,
    /// It rings and nobody is going to answer.
    Ringing,
    /// CONNECTED is due.
    Answered,
    /// It stands.
    Standing,
    /// Hung up or taken back by the caller, or rejected: HANGUP is due at the other end.
    Ending,
}

/// A call, kept by its caller.
#[derive(Debug)]
pub struct Call {
    /// What is meant by it.
    pub kind: Kind,
    /// How far it is.
    pub stage: Stage,
    /// Who is dialled, if it is anybody.
    pub callee: Option<usize>,
    /// Its id, from RING.
    pub id: [u8; CALL_ID_BYTES],
    /// Its id as its caller was told while it rang.
    pub told: Option<[u8; CALL_ID_BYTES]>,
    /// When it was due.
    pub due: Nanos,
    /// When the last step was taken.
    pub since: Nanos,
    /// Answered at the moment at which it is taken back: either may win.
    pub races: bool,
    /// Of an unanswered call, one end knows that it is over.
    pub half_over: bool,
    /// Messages that are still to be said.
    pub left: u64,
    /// Between two of them.
    pub gap: Nanos,
    /// What caller and callee say.
    pub ways: [Way; 2],
}

impl Call {
    /// Just dialled.
    pub fn new(kind: Kind, callee: Option<usize>, due: Nanos, now: Nanos) -> Self {
        Self {
            kind,
            stage: Stage::Dialled,
            callee,
            id: [b'0'; CALL_ID_BYTES],
            told: None,
            due,
            since: now,
            races: false,
            half_over: false,
            left: 0,
            gap: 0,
            ways: [Way::default(), Way::default()],
        }
    }

    /// Messages under way.
    pub fn in_flight(&self) -> u64 {
        self.ways.iter().map(Way::in_flight).sum()
    }

    /// What takes too long, if anything does. `ring_limit` is for calls that nobody answers.
    pub fn is_late(&self, now: Nanos, limit: Nanos, ring_limit: Nanos) -> Option<&'static str> {
        let waited = now.saturating_sub(self.since);
        let is_late = match self.stage {
            Stage::Standing => self.ways.iter().any(|way| way.is_late(now, limit)),
            Stage::Ringing => waited > ring_limit,
            Stage::Dialled | Stage::Answered | Stage::Ending => waited > limit,
        };
        is_late.then(|| self.due())
    }

    /// The frame that has been due since then, if nothing has come meanwhile and its call is not just ringing.
    pub fn waits_since(&self, then: Nanos) -> Option<&'static str> {
        let waits = match self.stage {
            Stage::Standing => self.in_flight() > 0,
            Stage::Ringing => false,
            Stage::Dialled | Stage::Answered | Stage::Ending => self.since <= then,
        };
        waits.then(|| self.due())
    }

    /// What comes next.
    fn due(&self) -> &'static str {
        match self.stage {
            Stage::Standing => "MSG",
            Stage::Ringing => RINGING_ENDS,
            Stage::Dialled => "RING or BUSY",
            Stage::Answered => "CONNECTED",
            Stage::Ending => "HANGUP",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_shares_that_were_asked_for() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            day: Day,
        }
        let words = ["x", "--cancelled", "10", "--unanswered", "20", "--busy", "30", "--unknown", "5"];
        let day = <Line as clap::Parser>::parse_from(words).day;
        let count = |kind| (0..100).filter(|&roll| Kind::of(&day, f64::from(roll)) == kind).count();
        let kinds = [Kind::Cancelled, Kind::Unanswered, Kind::Busy, Kind::Unknown, Kind::Talk];
        assert_eq!(kinds.map(count), [10, 20, 30, 5, 35]);
    }

    #[test]
    fn only_the_reason_that_was_meant_is_right() {
        for (kind, reason) in [
            (Kind::Unanswered, &b"timeout"[..]),
            (Kind::Busy, b"already_in_call"),
            (Kind::Unknown, b"no_such_address"),
        ] {
            assert!(kind.expects_busy(reason) && !kind.expects_busy(b"dnd"));
            assert!(!Kind::Talk.expects_busy(reason) && !Kind::Cancelled.expects_busy(reason));
        }
    }

    #[test]
    fn a_call_is_late_by_what_it_waits_for() {
        let mut call = Call::new(Kind::Talk, Some(1), 0, 100);
        assert_eq!((call.is_late(150, 50, 500), call.is_late(151, 50, 500)), (None, Some("RING or BUSY")));
        call.stage = Stage::Ringing;
        assert_eq!((call.is_late(600, 50, 500), call.is_late(601, 50, 500)), (None, Some(RINGING_ENDS)));
        call.stage = Stage::Standing;
        assert_eq!(call.is_late(9000, 50, 500), None);
        call.ways[0].sent(100);
        assert_eq!(call.is_late(151, 50, 500), Some("MSG"));
    }
}
