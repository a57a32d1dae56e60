//! The load generator of SystemX: drives a server over its public wire protocol and says what an operation costs.
//!
//! `engine` runs clients, `scenarios` says what they do, `measure` counts, `results` is what is kept. `floor` serves the
//! yardstick, a relay without protocol work; `versus` starts hubs and floors, pins them, has scenarios drive them in turn and
//! prints the table of targets. Nothing but loopback is driven unless the user says that the target is theirs.
//! Invariant: what is measured is also checked; a wrong or missing frame makes the run fail.

#![allow(clippy::print_stdout, reason = "its results are what it is for")]

mod compare;
mod engine;
mod fault;
mod findings;
mod floor;
mod frames;
mod hints;
mod invocation;
mod measure;
mod options;
mod output;
mod profile;
mod report;
mod results;
mod scenarios;
mod server;
mod target;
mod token;
mod versus;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "systemx-loadtest", about = "Measures a SystemX server", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the floor: upgrade, unmask, re-frame, pass on.
    Floor {
        /// Port on 127.0.0.1.
        #[arg(long)]
        port: u16,
        /// Poll for so long before sleeping, in microseconds, as the hub does with its `--spin-us`.
        #[arg(long, default_value_t = 0)]
        spin_us: u64,
    },
    /// Measure a hub and the floor in turn, pinned, and print the table of targets.
    VsFloor(versus::Options),
    /// Show kept findings again, on the terminal or as a page.
    Report(report::Options),
    /// Say how a second run differs from a first, and what of that is noise.
    Compare(compare::Options),
    /// Run the steps of a profile, one after the other, and check its thresholds.
    Profile(profile::Options),
    #[command(flatten)]
    Scenario(Box<scenarios::Scenarios>),
}

fn main() -> ExitCode {
    match Arguments::try_parse().unwrap_or_else(|error| refuse(&error)).command {
        Command::Floor { port, spin_us } => ended(floor::serve(port, spin_us).map(|()| ExitCode::SUCCESS)),
        Command::VsFloor(options) => ended(versus::run(&options)),
        Command::Report(options) => ended(report::run(&options).map(|()| ExitCode::SUCCESS)),
        Command::Compare(options) => ended(compare::run(&options)),
        Command::Profile(options) => ended(profile::run(&options, &Arguments::command())),
        Command::Scenario(scenario) => ended(load(&scenario)),
    }
}

/// Ends with what is wrong on the command line. That `--json FILE` needs its `=` is not what clap would think of.
fn refuse(error: &clap::Error) -> ! {
    let words: Vec<String> = std::env::args().collect();
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(pair) = words.windows(2).find(|pair| pair[0] == "--json" && !pair[1].starts_with('-'))
    {
        eprintln!("tip: --json={} writes the results to a file; without a file they are printed\n", pair[1]);
    }
    error.exit()
}

/// Runs a scenario, says what was found, and succeeds if that was what has to be.
fn load(scenario: &scenarios::Scenarios) -> Result<ExitCode, fault::Fault> {
    output::check(scenario.common())?;
    let results = scenario.run()?;
    output::publish(&results, scenario.common())?;
    let right = results.faults_total == 0 && results.operations > 0;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ended<E: std::fmt::Display>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_of_a_scenario_are_in_each_others_way() {
        Arguments::command().debug_assert();
    }
}
