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

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::run::Outcome;
use crate::fault::Fault;
use crate::findings::{self, Run};
use crate::options::{Common, Route};
use crate::results::Results;

/// What a scenario is told beside what all are told, and how it is run.
pub trait Load {
    /// Names and values of the options that only this scenario has.
    fn parameters(&self) -> BTreeMap<String, String>;
    /// Whether it has pairs that can be placed on shards.
    fn has_pairs(&self) -> bool {
        false
    }
    /// Runs it to the end.
    fn run(&self, common: &Common) -> Result<Outcome, Fault>;
}

/// Options of a scenario behind those that all have.
#[derive(clap::Args, Clone, Debug)]
pub struct With<Own: clap::Args> {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    own: Own,
}

impl<Own: clap::Args + Load> With<Own> {
    fn named(&self, name: &'static str) -> (&'static str, &Common, &dyn Load) {
        (name, &self.common, &self.own)
    }
}

/// A scenario with its options.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Scenarios {
    /// Pairs that call: DIAL, RING, ANSWER, CONNECTED, HANGUP, and again.
    Ring(With<ring::Options>),
    /// Messages in calls that stand: to and fro, in a flood, or at a rate.
    Msg(With<msg::Options>),
    /// One speaks and many listen: a broadcast or a party line.
    Fanout(With<fanout::Options>),
    /// Who is there: PRESENCE by domain, capability or place among many lines.
    Presence(With<presence::Options>),
    /// Lines that are registered and do nothing but beat.
    Idle(With<idle::Options>),
    /// One speaks and many listen, of whom some stop reading.
    Slow(With<slow::Options>),
    /// Clients that come and go: connect, upgrade, REGISTER, close, and again.
    Churn(With<churn::Options>),
    /// All lines lose their connections at once and come again.
    Storm(With<storm::Options>),
    /// A described day: idle lines, calls at a rate, messages, and dials that come to nothing.
    Mixed(With<mixed::Options>),
    /// The same day for hours, with a check that the server keeps no more and more.
    Soak(With<soak::Options>),
}

impl Scenarios {
    /// Its name, the options that all have, and the rest.
    fn parts(&self) -> (&'static str, &Common, &dyn Load) {
        match self {
            Self::Ring(with) => with.named("ring"),
            Self::Msg(with) => with.named("msg"),
            Self::Fanout(with) => with.named("fanout"),
            Self::Presence(with) => with.named("presence"),
            Self::Idle(with) => with.named("idle"),
            Self::Slow(with) => with.named("slow"),
            Self::Churn(with) => with.named("churn"),
            Self::Storm(with) => with.named("storm"),
            Self::Mixed(with) => with.named("mixed"),
            Self::Soak(with) => with.named("soak"),
        }
    }

    /// The options that all have.
    pub fn common(&self) -> &Common {
        self.parts().1
    }

    /// Refuses options that would say something about a run and have no effect on it.
    fn check(&self) -> Result<(), Fault> {
        let (_, common, own) = self.parts();
        if common.route == Route::Cross && !own.has_pairs() {
            return Err(Fault::BadOption(
                "--route cross: only ring, msg, storm and slow --kind call have pairs to place".to_owned(),
            ));
        }
        Ok(())
    }

    /// Runs it and says what was found.
    pub fn run(&self) -> Result<Results, Fault> {
        self.check()?;
        let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (name, common, own) = self.parts();
        let outcome = own.run(common)?;
        let mut parameters = common.parameters();
        parameters.extend(own.parameters());
        let (metrics, sees_server) = (common.metrics.is_some(), common.pid.is_some());
        Ok(findings::results(Run { name, parameters, started_unix_s, metrics, sees_server }, &outcome))
    }
}
