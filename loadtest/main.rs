//! The load generator of SystemX: drives a server over its public wire protocol and says what an operation costs.
//!
//! `floor` serves the yardstick, a relay without protocol work; `vs-floor` starts a hub and a floor, pins them, runs
//! both in turn and prints ratios. One file for each kind of scenario. Only loopback is ever driven.
//! Invariant: what is measured is also checked; a wrong or missing frame makes the run fail.

#![allow(clippy::print_stdout, reason = "its results are what it is for")]

mod calls;
mod compare;
mod connects;
mod fan_out;
mod fault;
mod fleet;
mod floor;
mod frames;
mod heartbeats;
mod invocation;
mod messages;
mod profile;
mod report;
mod results;
mod scenario;
mod server;
mod versus;

use std::process::ExitCode;

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
    },
    /// Measure a hub and the floor in turn, pinned, and print the ratios.
    VsFloor(versus::Options),
    /// Show kept findings again, on the terminal or as a page.
    Report(report::Options),
    /// Say how a second run differs from a first, and what of that is noise.
    Compare(compare::Options),
    /// Run the steps of a profile, one after the other, and check its thresholds.
    Profile(profile::Options),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Floor { port } => ended(floor::serve(port).map(|()| ExitCode::SUCCESS)),
        Command::VsFloor(options) => ended(versus::run(&options).map(|()| ExitCode::SUCCESS)),
        Command::Report(options) => ended(report::run(&options).map(|()| ExitCode::SUCCESS)),
        Command::Compare(options) => ended(compare::run(&options)),
        Command::Profile(options) => ended(profile::run(&options, &Arguments::command())),
    }
}

fn ended<E: std::fmt::Display>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
