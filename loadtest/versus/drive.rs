//! One measurement: a server of its own is started, a scenario of the engine drives it, the server is ended.
//!
//! A new server for each, so that nothing is carried over. Invariant: a run in which anything went wrong gives no
//! reading.

use std::path::Path;

use clap::Parser as _;

use super::Options;
use super::figure::{Figure, Load, Setup, Side};
use super::reading::Reading;
use crate::fault::Fault;
use crate::results::Results;
use crate::scenarios::Scenarios;
use crate::server::Server;

/// Below this part of the rate that was due, a day was less busy than it was to be.
const RATE_MIN: f64 = 0.95;
/// Whoever stops reading is closed when the buffers are full. In a short run they are not, which harms no figure.
const NOT_YET: &str = "deaf:not_closed";

/// A scenario of the engine, given as on the command line.
#[derive(clap::Parser)]
struct Words {
    #[command(subcommand)]
    scenario: Scenarios,
}

/// Measures a side of a figure in a round.
pub fn measure(options: &Options, figure: Figure, round: usize, side: &Side) -> Result<Reading, Fault> {
    let server = start(&options.hub, &side.server)?;
    let (scenario, due) = match &side.load {
        Load::Scenario(scenario) => (scenario.clone(), None),
        Load::OfSaturation { share, closed, scenario } => {
            let reached = drive(options, &server, closed, options.seconds)?.rate_per_s;
            let due = (reached * share).max(1.0);
            (format!("{scenario} --calls-per-second {due:.0}"), Some(due))
        }
    };
    let mut results = drive(options, &server, &scenario, side.seconds)?;
    let rate = results.rate_per_s;
    if let Some(due) = due.filter(|due| rate < due * RATE_MIN) {
        results.notes.push(format!("{due:.0} calls a second were due, {rate:.0} came about"));
    }
    let reading = Reading::of((figure, round, side.name), side.latency, &results);
    let reading = reading.ok_or(Fault::NoFigures("times"))?;
    Ok(Reading { scenario, ..reading })
}

fn start(hub: &Path, setup: &Setup) -> Result<Server, Fault> {
    match setup {
        Setup::Floor { core, spin_us } => {
            let (program, spin_us) = (std::env::current_exe()?, spin_us.to_string());
            Server::start(&program, core, &[], |port| {
                ["floor", "--port", &port.to_string(), "--spin-us", &spin_us].map(String::from).into()
            })
        }
        Setup::Hub { shards, cores, spin_us } => {
            let environment = [
                ("SYSTEMX_DIAL_MAX_ATTEMPTS", "0".to_owned()),
                ("SYSTEMX_SHARDS", shards.to_string()),
                ("SYSTEMX_SPIN_US", spin_us.to_string()),
                ("SYSTEMX_HOST", "127.0.0.1".to_owned()),
                // Several hubs may run on one machine.
                ("SYSTEMX_ADMIN", "off".to_owned()),
            ];
            Server::start(hub, cores, &environment, |port| {
                ["serve", "--port", &port.to_string()].map(String::from).into()
            })
        }
    }
}

/// Runs a scenario. Anything that went wrong makes its figures worthless.
fn drive(options: &Options, server: &Server, scenario: &str, seconds: f64) -> Result<Results, Fault> {
    let (url, pid) = (format!("ws://{}", server.address), server.pid().to_string());
    let (seconds, warmup) = (seconds.to_string(), options.warmup.to_string());
    let common = ["--url", &url, "--pid", &pid, "--duration", &seconds, "--warmup", &warmup, "--quiet"];
    let words = ["vs-floor"].into_iter().chain(scenario.split_whitespace()).chain(common);
    let words = Words::try_parse_from(words).map_err(|error| Fault::BadOption(error.to_string()))?;
    let results = words.scenario.run()?;
    // Idle lines need not have said anything in a short run.
    let idle = matches!(words.scenario, Scenarios::Idle(_));
    let wrong = results.errors.keys().any(|reason| reason != NOT_YET);
    if results.faults_total > 0 || wrong || results.operations == 0 && !idle {
        return Err(Fault::Spoilt(format!(
            "{} operations, faults {:?}, errors {:?}",
            results.operations, results.faults, results.errors
        )));
    }
    Ok(results)
}
