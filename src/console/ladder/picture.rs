//! A ladder ready to be drawn: parties side by side, the exchange between the first two, one rung below the other in the order of time.
//!
//! Shards hand their steps over one by one, so they arrive nearly in order; here they are sorted by the exchange's clock, which
//! all shards share. What a ladder says goes to people as JSON (this, serialised), as SVG and as Mermaid.

use serde::Serialize;

use crate::timestamp::Timestamp;

use super::watch::{Step, Watch, Way};

/// What a ladder shows in the place of the exchange.
pub const EXCHANGE: &str = "exchange";

/// A ladder.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Picture {
    /// What is watched: an address or a call.
    pub subject: String,
    /// Whether it may hold what was said.
    pub payloads: bool,
    /// The columns, from left to right; one of them is the exchange.
    pub parties: Vec<String>,
    /// The frames, in the order of time.
    pub rungs: Vec<Rung>,
    /// The number of the newest rung: while it stays the same, nothing has changed.
    pub newest: u64,
    /// Frames of all watches together that could not be kept, since the start.
    pub lost: u64,
}

/// One frame.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Rung {
    /// Its number, in the order in which the shards handed it over.
    pub number: u64,
    /// When, in RFC 3339.
    pub at: String,
    /// Since the first rung, in microseconds.
    pub since_first_us: u64,
    /// Since the rung above, in microseconds.
    pub since_last_us: u64,
    /// The sender's column.
    pub from: usize,
    /// The receiver's.
    pub to: usize,
    /// Its type.
    pub frame: &'static str,
    /// The call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Whom it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// A reason, a status, a cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What it carries, in bytes.
    pub bytes: usize,
    /// The beginning of that, as far as it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Watched frames, of whichever watch, that came too fast to be kept just before this one: a ladder with a gap says so.
    pub left_out: u32,
}

impl Picture {
    /// Draws steps with their numbers.
    pub(super) fn of<'s>(watch: &Watch, steps: impl Iterator<Item = (u64, &'s Step)>, lost: u64) -> Self {
        let mut steps: Vec<_> = steps.collect();
        steps.sort_by_key(|&(number, step)| (step.at.tick, number));
        let subject = watch.subject.name().to_owned();
        let newest = steps.iter().map(|&(number, _)| number).max().unwrap_or(0);
        let (parties, rungs) = (Vec::new(), Vec::new());
        let mut picture = Self { subject, payloads: watch.payloads, parties, rungs, newest, lost };
        let Some(&(_, first)) = steps.first() else { return picture };
        picture.parties = vec![name_of(first), EXCHANGE.to_owned()];
        let (start, mut last) = (first.at.tick, first.at.tick);
        for (number, step) in steps {
            let party = picture.column(name_of(step));
            let spans = [start, last].map(|from| step.at.tick.micros() - from.micros());
            last = step.at.tick;
            let mut rung = Rung::of(number, step, party, spans);
            // Another watch may have asked for it.
            rung.payload = rung.payload.filter(|_| watch.payloads);
            picture.rungs.push(rung);
        }
        picture
    }

    fn column(&mut self, name: String) -> usize {
        self.parties.iter().position(|party| *party == name).unwrap_or_else(|| {
            self.parties.push(name);
            self.parties.len() - 1
        })
    }
}

/// The column of the exchange.
pub(super) const MIDDLE: usize = 1;

impl Rung {
    fn of(number: u64, step: &Step, party: usize, [since_first_us, since_last_us]: [u64; 2]) -> Self {
        let (from, to) = match step.way {
            Way::In => (party, MIDDLE),
            Way::Out => (MIDDLE, party),
        };
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let payload = step.payload.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Self {
            number,
            at: Timestamp(step.at.wall_ms).to_string(),
            since_first_us,
            since_last_us,
            from,
            to,
            frame: step.frame,
            call: owned(&step.call),
            peer: owned(&step.peer),
            words: owned(&step.words),
            bytes: step.bytes,
            payload,
            left_out: step.left_out,
        }
    }

    /// What stands on it: the frame, whom it names, its words, how much it carries.
    pub(super) fn label(&self) -> String {
        let mut label = match self.left_out {
            0 => self.frame.to_owned(),
            left_out => format!("[{left_out} frames left out] {}", self.frame),
        };
        for part in [&self.peer, &self.words].into_iter().flatten() {
            label.push(' ');
            label.push_str(part);
        }
        if let Some(payload) = &self.payload {
            label.push_str(": ");
            label.push_str(payload);
        } else if self.bytes > 0 {
            label.push_str(&format!(" ({} B)", self.bytes));
        }
        label
    }
}

/// Who a step's connection belongs to. Lines without an address go by their numbers.
fn name_of(step: &Step) -> String {
    if step.who.is_empty() { format!("line {}", step.line) } else { step.who.to_string() }
}

/// A span of time as people read it.
pub(super) fn span(micros: u64) -> String {
    const MICROS_PER_MILLI: u64 = 1000;
    const MICROS_PER_SECOND: u64 = 1_000_000;
    match micros {
        0..MICROS_PER_MILLI => format!("{micros} µs"),
        MICROS_PER_MILLI..MICROS_PER_SECOND => format!("{:.1} ms", micros as f64 / MICROS_PER_MILLI as f64),
        _ => format!("{:.2} s", micros as f64 / MICROS_PER_SECOND as f64),
    }
}
