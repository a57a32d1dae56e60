//! `slow`: some of those who are spoken to stop reading. What it is told on the command line; a broadcast or a party is the
//! `hall`'s, ordinary calls are those of `msg`.
//!
//! Whether the others suffer is seen by comparing their latency before and after; whoever is deaf has to be cut off by the
//! server, and nobody else may lose anything.

use std::collections::BTreeMap;

use super::hall::{self, Settings};
use super::msg::{self, Deafness, Msg};
use super::pairs::Naming;
use crate::engine::run::{self, Outcome};
use crate::engine::timers::{MILLISECOND, Nanos, SECOND};
use crate::fault::Fault;
use crate::measure::open_loop::Pacing;
use crate::options::{Common, not_negative, positive};
use crate::scenarios::Load;

/// Messages that not all have heard: as many as a rate needs whose listeners are held up for a moment.
const IN_FLIGHT: usize = 1024;
/// The error that a listener was not cut off.
const NOT_CLOSED: &str = "deaf:not_closed";
/// Latencies of those who read, by their order in the figures of `hall` and of `msg` with deaf callees.
const BEFORE: usize = 1;
const AFTER: usize = 2;

/// How listeners are spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Kind {
    /// One broadcaster whom all have dialled.
    Broadcast,
    /// A party line that all have joined.
    Party,
    /// Each in an ordinary call with a caller of its own.
    Call,
}

/// Options of `slow`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// How listeners are spoken to.
    #[arg(long, value_enum, default_value = "broadcast")]
    kind: Kind,
    /// Listeners, the deaf ones included.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    listeners: u32,
    /// How many of them stop reading.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    deaf: u32,
    /// When they do, from the beginning of the measured part.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS", value_parser = not_negative)]
    deaf_after: f64,
    /// Bytes of data in a message.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(hall::BYTES_MIN as i64..))]
    bytes: u32,
    /// Messages a second that are due to each listener.
    #[arg(long, default_value_t = 500.0, value_parser = positive)]
    rate: f64,
    /// How they are laid out in time.
    #[arg(long, value_enum, default_value = "poisson")]
    pacing: Pacing,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("kind".to_owned(), format!("{:?}", self.kind).to_lowercase()),
            ("listeners".to_owned(), self.listeners.to_string()),
            ("deaf".to_owned(), self.deaf.to_string()),
            ("deaf-after".to_owned(), self.deaf_after.to_string()),
            ("bytes".to_owned(), self.bytes.to_string()),
            ("rate".to_owned(), self.rate.to_string()),
            ("pacing".to_owned(), format!("{:?}", self.pacing).to_lowercase()),
        ])
    }

    fn has_pairs(&self) -> bool {
        self.kind == Kind::Call
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        if self.deaf >= self.listeners {
            return Err(Fault::BadOption("--deaf has to leave a listener that reads".to_owned()));
        }
        if self.deaf_after >= common.duration {
            return Err(Fault::BadOption(format!(
                "--deaf-after {} lies behind the end of --duration {}: less of the one, or more of the other",
                self.deaf_after, common.duration
            )));
        }
        let mut outcome = match self.kind {
            Kind::Broadcast => self.speak_in_hall(hall::Kind::Broadcast, common),
            Kind::Party => self.speak_in_hall(hall::Kind::Party, common),
            Kind::Call => self.speak_in_calls(common),
        }?;
        outcome.notes.extend(note(&outcome));
        if let Some(kept) = outcome.ledger.errors.get(NOT_CLOSED) {
            outcome.notes.push(format!(
                "{kept} of those who did not read were not cut off: a longer --duration, or more --rate or --bytes, would \
                 show whether they ever are"
            ));
        }
        Ok(outcome)
    }
}

impl Options {
    fn deaf_after(&self) -> Nanos {
        (self.deaf_after * SECOND as f64) as Nanos
    }

    fn speak_in_hall(&self, kind: hall::Kind, common: &Common) -> Result<Outcome, Fault> {
        let settings = Settings {
            kind,
            listeners: self.listeners as usize,
            bytes: self.bytes as usize,
            in_flight: IN_FLIGHT,
            rate: Some((self.rate, self.pacing)),
            deaf: Some((self.deaf as usize, self.deaf_after())),
        };
        settings.run(common)
    }

    fn speak_in_calls(&self, common: &Common) -> Result<Outcome, Fault> {
        common.check_share("listeners", self.listeners)?;
        if common.floor {
            return Err(Fault::BadOption("--kind call: the floor cuts nobody off".to_owned()));
        }
        let pairs = self.listeners as usize;
        let settings = msg::Settings {
            mode: msg::Mode::Open,
            window: IN_FLIGHT as u64,
            rate: Some((self.rate * pairs as f64, self.pacing)),
            bytes: self.bytes as usize,
            floor: false,
            deafness: Some(Deafness { callees: self.deaf as usize, pairs, after: self.deaf_after() }),
        };
        let plan = common.plan()?;
        let make = |_, plan: &_| Msg::new(settings, Naming::new(common, plan, pairs));
        run::run(&plan, common.watch()?, 2 * u64::from(self.listeners), make)
    }
}

/// Whether the others felt it, in a sentence.
fn note(outcome: &Outcome) -> Option<String> {
    let p99 = |latency: usize| {
        let values = &outcome.ledger.latencies[latency];
        let millis = values.value_at_quantile(0.99) as f64 / MILLISECOND as f64;
        (!values.is_empty()).then_some(millis)
    };
    let (before, after) = (p99(BEFORE)?, p99(AFTER)?);
    Some(format!(
        "p99 of the delivery to those who read: {before:.2} ms before the others stopped, {after:.2} ms after"
    ))
}
