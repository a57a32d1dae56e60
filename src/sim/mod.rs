//! The simulation: a whole exchange in one thread, tormented from a seed (design.md, D10).
//!
//! `systemx sim --seed N --events M` plays lists of random actions in a [`world`] of shards whose trunks are late,
//! whose clients die and whose clock jumps. A [`judge`] checks what must hold in any weather; in calm weather a
//! [`model`] without shards predicts what every client hears, and an exchange of one shard must say the same. It
//! uses the core's public events and effects only, and neither sockets nor clocks.

pub mod actions;
pub mod client;
mod denials;
pub mod dice;
pub mod judge;
pub mod model;
pub mod report;
pub mod run;
pub mod tree;
pub mod trunks;
pub mod twins;
pub mod world;

use std::process::ExitCode;

use clap::Args;

use actions::Weather;
pub use report::{Failure, Summary};
use run::{Scenario, play, shrink};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first seed.
    pub seed: u64,
    /// How many seeds, from that one up.
    pub seeds: u64,
    /// Actions for each.
    pub events: usize,
    /// Shards; `None` = as each seed has it.
    pub shards: Option<usize>,
    /// Whether trunks are late; `None` = as each seed has it.
    pub weather: Option<Weather>,
}

/// Runs simulations, up to the first that breaks a rule.
///
/// # Errors
/// The seed, the broken rule, and a short list of actions that breaks it.
pub fn run(options: &Options) -> Result<Summary, Box<Failure>> {
    let mut summary = Summary::default();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        let scenario = Scenario::new(seed, options.shards, options.weather);
        let script = scenario.script(options.events);
        if let Err(fault) = play(&scenario, &script, &mut summary) {
            let (step, breach) = (fault.at, fault.breach.clone());
            let (actions, fault) = shrink(&scenario, &script, fault);
            let mut told = Summary::storyteller();
            let _same_fault = play(&scenario, &actions, &mut told);
            let story = told.story.unwrap_or_default();
            let (events, shards, shrunk) = (options.events, scenario.shards, fault.breach);
            return Err(Box::new(Failure { seed, events, shards, step, breach, actions, story, shrunk }));
        }
        summary.seeds += 1;
    }
    Ok(summary)
}

/// The arguments of `systemx sim`.
#[derive(Clone, Debug, Args)]
pub struct SimArgs {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many seeds to run, from the first one up
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// Actions for each seed
    #[arg(long, default_value_t = 300)]
    pub events: usize,
    /// Shards of the exchange [default: as each seed has it]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub shards: Option<u8>,
    /// Trees of exchanges that call each other, each with shards as its seed has it
    #[arg(long, conflicts_with = "shards")]
    pub trees: bool,
}

/// `systemx sim`: prints what was checked, or what went wrong and how to see it again.
pub fn main(args: &SimArgs) -> ExitCode {
    let (text, code) = match simulate(args) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn simulate(args: &SimArgs) -> Result<String, String> {
    let SimArgs { seed, seeds, events, shards, trees } = *args;
    if trees {
        let options = tree::Options { seed, seeds, events, weather: None };
        let result = tree::run(&options);
        return result.map(|summary| summary.to_string()).map_err(|failure| format!("{failure}\n"));
    }
    let options = Options { seed, seeds, events, shards: shards.map(usize::from), weather: None };
    run(&options).map(|summary| summary.to_string()).map_err(|failure| format!("{failure}\n"))
}
