//! The kinds of load: one folder each, all driven by the engine through its [`Scenario`](crate::engine::Scenario) trait.
//!
//! `ring` is whole calls, `msg` messages in standing calls; `pairs.rs` is what scenarios of two share. `fanout` and `slow`
//! meet in `hall`, `presence` and `idle` have a `crowd`. To add one: write its folder, add a variant here.

mod churn;
mod crowd;
mod fanout;
mod hall;
mod idle;
mod mixed;
mod msg;
mod pairs;
mod presence;
mod ring;
mod rota;
mod slow;
mod soak;
mod storm;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::fault::Fault;
use crate::findings::{self, Run};
use crate::options::{Common, Route};
use crate::results::Results;

/// A scenario with its options.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Scenarios {
    /// Pairs that call: DIAL, RING, ANSWER, CONNECTED, HANGUP, and again.
    Ring(ring::Options),
    /// Messages in calls that stand: to and fro, in a flood, or at a rate.
    Msg(msg::Options),
    /// One speaks and many listen: a broadcast or a party line.
    Fanout(fanout::Options),
    /// Who is there: PRESENCE by domain, capability or place among many lines.
    Presence(presence::Options),
    /// Lines that are registered and do nothing but beat.
    Idle(idle::Options),
    /// One speaks and many listen, of whom some stop reading.
    Slow(slow::Options),
    /// Clients that come and go: connect, upgrade, REGISTER, close, and again.
    Churn(churn::Options),
    /// All lines lose their connections at once and come again.
    Storm(storm::Options),
    /// A described day: idle lines, calls at a rate, messages, and dials that come to nothing.
    Mixed(mixed::Options),
    /// The same day for hours, with a check that the server keeps no more and more.
    Soak(soak::Options),
}

impl Scenarios {
    /// The options that all have.
    pub fn common(&self) -> &Common {
        match self {
            Self::Ring(options) => &options.common,
            Self::Msg(options) => &options.common,
            Self::Fanout(options) => &options.common,
            Self::Presence(options) => &options.common,
            Self::Idle(options) => &options.common,
            Self::Slow(options) => &options.common,
            Self::Churn(options) => &options.common,
            Self::Storm(options) => &options.common,
            Self::Mixed(options) => &options.common,
            Self::Soak(options) => &options.common,
        }
    }

    /// Refuses options that would say something about a run and have no effect on it.
    fn check(&self) -> Result<(), Fault> {
        let has_pairs = matches!(self, Self::Ring(_) | Self::Msg(_) | Self::Storm(_));
        if !has_pairs && self.common().route == Route::Cross {
            return Err(Fault::BadOption(
                "--route cross: only ring, msg and storm have pairs to place".to_owned(),
            ));
        }
        Ok(())
    }

    /// Runs it and says what was found.
    pub fn run(&self) -> Result<Results, Fault> {
        self.check()?;
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (name, own, outcome) = match self {
            Self::Ring(options) => ("ring", options.parameters(), options.run()?),
            Self::Msg(options) => ("msg", options.parameters(), options.run()?),
            Self::Fanout(options) => ("fanout", options.parameters(), options.run()?),
            Self::Presence(options) => ("presence", options.parameters(), options.run()?),
            Self::Idle(options) => ("idle", options.parameters(), options.run()?),
            Self::Slow(options) => ("slow", options.parameters(), options.run()?),
            Self::Churn(options) => ("churn", options.parameters(), options.run()?),
            Self::Storm(options) => ("storm", options.parameters(), options.run()?),
            Self::Mixed(options) => ("mixed", options.parameters(), options.run()?),
            Self::Soak(options) => ("soak", options.parameters(), options.run()?),
        };
        let mut parameters = self.common().parameters();
        parameters.extend(own);
        let metrics = self.common().metrics.is_some();
        let (started_unix_s, sees_server) = (started.as_secs(), self.common().pid.is_some());
        Ok(findings::results(Run { name, parameters, started_unix_s, metrics, sees_server }, &outcome))
    }
}
