//! What `mixed` is told on the command line, and how it is started. `soak` has the same words for the same day.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use super::Mixed;
use crate::engine::Plan;
use crate::engine::run::{self, Outcome};
use crate::fault::Fault;
use crate::options::{Common, not_negative, positive};
use crate::scenarios::Load;

/// From one number to another, both included, as `1..5`; or one number alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let number =
            |part: &str| part.parse::<u32>().map(u64::from).map_err(|error| format!("{part}: {error}"));
        let found = Self { least: number(least)?, most: number(most)? };
        if found.least <= found.most { Ok(found) } else { Err("it has to be LEAST..MOST".to_owned()) }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.least, self.most)
    }
}

/// A described day.
#[derive(clap::Args, Clone, Debug)]
pub struct Day {
    /// Lines that are only there, with heartbeats.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub idle: u32,
    /// Lines that call and are called.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub phones: u32,
    /// Dials a second that are due.
    #[arg(long, default_value_t = 20.0, value_name = "R", value_parser = positive)]
    pub calls_per_second: f64,
    /// Messages in a call.
    #[arg(long, default_value = "1..10", value_name = "A..B")]
    pub messages_per_call: Span,
    /// Data of a message, in bytes.
    #[arg(long, default_value_t = 200, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(26..=16_000_000))]
    pub message_bytes: u32,
    /// From CONNECTED to HANGUP, in milliseconds.
    #[arg(long, default_value = "500..3000", value_name = "A..B")]
    pub talk_ms: Span,
    /// Per cent of the dials that the caller takes back while they ring.
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT", value_parser = not_negative)]
    pub cancelled: f64,
    /// Per cent that nobody answers, until the server ends them.
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT", value_parser = not_negative)]
    pub unanswered: f64,
    /// Per cent that go to a line in a call.
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT", value_parser = not_negative)]
    pub busy: f64,
    /// Per cent that go to an address that nobody has.
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT", value_parser = not_negative)]
    pub unknown: f64,
    /// Guests a second that connect, register and leave.
    #[arg(long, default_value_t = 0.0, value_name = "R", value_parser = not_negative)]
    pub churn: f64,
    /// Between two heartbeats of a line, in seconds.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS", value_parser = positive)]
    pub heartbeat: f64,
    /// What a call that nobody answers may ring before the server ends it, in seconds.
    #[arg(long, default_value_t = 90.0, value_name = "SECONDS", value_parser = positive)]
    pub ring_limit: f64,
}

/// Options of `mixed`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    pub(super) day: Day,
}

impl Day {
    /// Names and values.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("idle", self.idle.to_string()),
            ("phones", self.phones.to_string()),
            ("calls-per-second", self.calls_per_second.to_string()),
            ("messages-per-call", self.messages_per_call.to_string()),
            ("message-bytes", self.message_bytes.to_string()),
            ("talk-ms", self.talk_ms.to_string()),
            ("cancelled", self.cancelled.to_string()),
            ("unanswered", self.unanswered.to_string()),
            ("busy", self.busy.to_string()),
            ("unknown", self.unknown.to_string()),
            ("churn", self.churn.to_string()),
            ("heartbeat", self.heartbeat.to_string()),
            ("ring-limit", self.ring_limit.to_string()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Refuses a day that cannot be.
    pub fn check(&self, threads: u16) -> Result<(), Fault> {
        if self.cancelled + self.unanswered + self.busy + self.unknown > 100.0 {
            return Err(Fault::BadOption(
                "--cancelled, --unanswered, --busy and --unknown are more than 100 per cent".to_owned(),
            ));
        }
        if self.phones < 2 * u32::from(threads) {
            return Err(Fault::BadOption("--phones: every one of --threads needs two to call".to_owned()));
        }
        Ok(())
    }

    /// Runs it with this plan.
    pub fn run(&self, common: &Common, plan: &Arc<Plan>) -> Result<Outcome, Fault> {
        // Guests come and go; that more than a second's worth of them is there at once would be an error by itself.
        let clients = u64::from(self.idle) + u64::from(self.phones) + self.churn.ceil() as u64;
        run::run(plan, common.watch()?, clients, |_, plan: &_| Mixed::new(self, plan))
    }
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        self.day.parameters()
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        self.day.check(common.threads)?;
        let plan = common.plan()?;
        self.day.run(common, &plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_are_written() {
        assert_eq!("1..5".parse(), Ok(Span { least: 1, most: 5 }));
        assert_eq!("7".parse::<Span>().map(|span| span.to_string()), Ok("7..7".to_owned()));
        assert!(["5..1", "", "a..2", "-1..2"].iter().all(|text| text.parse::<Span>().is_err()));
    }
}
