//! The load generator of SystemX: drives a server over its public wire protocol and says what an operation costs.
//!
//! `floor` serves the yardstick, a relay without protocol work; `vs-floor` starts a hub and a floor, pins them, runs
//! both in turn and prints ratios. One file for each kind of scenario. Only loopback is ever driven.
//! Invariant: what is measured is also checked; a wrong or missing frame makes the run fail.

#![allow(clippy::print_stdout, reason = "its results are what it is for")]

mod calls;
mod connects;
mod fan_out;
mod fault;
mod fleet;
mod floor;
mod frames;
mod heartbeats;
mod messages;
mod scenario;
mod server;
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
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Floor { port } => floor::serve(port),
        Command::VsFloor(options) => versus::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
