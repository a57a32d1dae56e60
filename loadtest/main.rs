//! The load generator of SystemX: drives a server over its public wire protocol and says what an operation costs.
//!
//! `engine` runs clients, `scenarios` says what they do, `measure` counts, `results` is what is kept. `floor` serves the
//! yardstick, a relay without protocol work; `vs-floor` starts a hub and a floor, pins them, runs both in turn and prints
//! ratios. Nothing but loopback is driven unless the user says that the target is theirs.
//! Invariant: what is measured is also checked; a wrong or missing frame makes the run fail.

#![allow(clippy::print_stdout, reason = "its results are what it is for")]

mod connects;
mod engine;
mod fan_out;
mod fault;
mod findings;
mod fleet;
mod floor;
mod frames;
mod heartbeats;
mod measure;
mod options;
mod output;
mod results;
mod scenario;
mod scenarios;
mod server;
mod target;
mod versus;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    },
    /// Measure a hub and the floor in turn, pinned, and print the ratios.
    VsFloor(versus::Options),
    #[command(flatten)]
    Scenario(Box<scenarios::Scenarios>),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Floor { port } => floor::serve(port).map(|()| ExitCode::SUCCESS),
        Command::VsFloor(options) => versus::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Scenario(scenario) => load(&scenario),
    };
    result.unwrap_or_else(|fault| {
        eprintln!("error: {fault}");
        ExitCode::FAILURE
    })
}

/// Runs a scenario, says what was found, and succeeds if that was what has to be.
fn load(scenario: &scenarios::Scenarios) -> Result<ExitCode, fault::Fault> {
    let results = scenario.run()?;
    output::publish(&results, scenario.common())?;
    let right = results.faults_total == 0 && results.operations > 0;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
