//! Sums over records: how many, why they ended, how long they rang and talked; in bounded memory, however many there are.

use std::borrow::Cow;
use std::collections::HashMap;

use hdrhistogram::Histogram;

use super::query::Kept;

/// Most reasons that a summary names.
const REASONS_MAX: usize = 20;
/// Most different reasons that are counted one by one: parties choose them. Some 10 MiB when all are there.
const REASONS_COUNTED_MAX: usize = 64 * 1024;
/// Decimal digits to which percentiles are exact.
const DIGITS: u8 = 3;

/// Sums over the records that a filter lets through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub calls: u64,
    /// Records beside them that are damaged, so that nobody knows whether they fit.
    pub unreadable: u64,
    /// Those that were answered.
    pub answered: u64,
    /// The most frequent reasons for which they ended, and how often, most first.
    pub reasons: Vec<(String, u64)>,
    /// The calls that ended for other reasons.
    pub other_reasons: u64,
    /// From the dial to the first ring.
    pub ring: Spans,
    /// From the dial to the answer.
    pub answer: Spans,
    /// From the answer to the end.
    pub talk: Spans,
    /// Messages in both directions.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How long something took, in microseconds, in as many calls as had it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spans {
    /// Calls that had it.
    pub count: u64,
    /// The mean.
    pub mean_us: f64,
    /// Half of them were not longer, exact to a thousandth like the next.
    pub p50_us: u64,
    /// All but one in twenty were not longer.
    pub p95_us: u64,
}

/// Sums in the making.
pub(super) struct Sums {
    summary: Summary,
    reasons: HashMap<String, u64>,
    ring: Distribution,
    answer: Distribution,
    talk: Distribution,
}

impl Default for Sums {
    fn default() -> Self {
        let [ring, answer, talk] = [(); 3].map(|()| Distribution::new());
        Self { summary: Summary::default(), reasons: HashMap::new(), ring, answer, talk }
    }
}

impl Sums {
    /// Adds a record.
    pub(super) fn add(&mut self, kept: &Kept<Cow<'_, str>>) {
        let summary = &mut self.summary;
        summary.calls += 1;
        summary.answered += u64::from(kept.answered_at.is_some());
        summary.messages = summary.messages.saturating_add(kept.messages);
        let bytes = kept.bytes_to_callee.saturating_add(kept.bytes_to_caller);
        summary.bytes = summary.bytes.saturating_add(bytes);
        self.ring.add(kept.ring_us);
        self.answer.add(kept.answer_us);
        self.talk.add(kept.talk_us);
        if let Some(often) = self.reasons.get_mut(&*kept.end_reason) {
            *often += 1;
        } else if self.reasons.len() < REASONS_COUNTED_MAX {
            self.reasons.insert(kept.end_reason.clone().into_owned(), 1);
        }
    }

    /// What came of them.
    pub(super) fn summary(self) -> Summary {
        let mut reasons: Vec<_> = self.reasons.into_iter().collect();
        reasons.sort_unstable_by(|(one, often), (other, oftener)| oftener.cmp(often).then(one.cmp(other)));
        reasons.truncate(REASONS_MAX);
        let named: u64 = reasons.iter().map(|(_, often)| often).sum();
        Summary {
            other_reasons: self.summary.calls - named,
            reasons,
            ring: self.ring.spans(),
            answer: self.answer.spans(),
            talk: self.talk.spans(),
            ..self.summary
        }
    }
}

/// How long something took.
struct Distribution {
    values: Histogram<u64>,
    sum_us: u128,
}

impl Distribution {
    fn new() -> Self {
        Self { values: Histogram::new(DIGITS).expect("so many digits are allowed"), sum_us: 0 }
    }

    fn add(&mut self, span_us: Option<u64>) {
        let Some(span_us) = span_us else { return };
        // What would take more memory than there is, is not counted; no time does.
        if self.values.record(span_us).is_ok() {
            self.sum_us += u128::from(span_us);
        }
    }

    fn spans(&self) -> Spans {
        let count = self.values.len();
        if count == 0 {
            return Spans::default();
        }
        let [p50_us, p95_us] = [0.50, 0.95].map(|part| self.values.value_at_quantile(part));
        Spans { count, mean_us: self.sum_us as f64 / count as f64, p50_us, p95_us }
    }
}
