//! The hub against the floor: the figures of the table of targets, their sides in turn, pinned, in several rounds.
//!
//! `figure.rs` says what is measured, `targets.rs` what is claimed of it, `drive.rs` measures, `reading.rs` and `table.rs`
//! do the arithmetic. Here are the rounds and where their findings go. Compare only within one run: what else the machine
//! does changes all sides alike. Operations count by the server's processor time; the closed loop saturates neither side.

mod drive;
mod figure;
mod reading;
mod table;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::engine::run::pin;
use crate::fault::Fault;
use crate::measure::machine;
use crate::options::{Route, not_negative, positive};
use crate::report::json;
use crate::results::Machine;
use figure::Figure;
use reading::Reading;
use table::Line;

/// The version of the findings' form; raised when a field changes its meaning.
const FORMAT: u32 = 1;
/// What `--json` without a file means.
const STANDARD_OUTPUT: &str = "-";

/// What to run.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// The hub's program.
    #[arg(long, default_value = "target/release/systemx")]
    hub: PathBuf,
    /// Rounds; medians are printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Length of each measurement; those of percentiles take five times as long.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    seconds: f64,
    /// Load before each, in seconds: buffers grow, caches fill.
    #[arg(long, default_value_t = 0.2, value_name = "SECONDS", value_parser = not_negative)]
    warmup: f64,
    /// Shards of the hub.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: u16,
    /// Processors of the hub, as taskset writes them; the floor has the first of them.
    #[arg(long, default_value = "0")]
    cores: String,
    /// Processors of the hub of two shards in `cross`.
    #[arg(long, default_value = "0,1", value_name = "CORES")]
    cross_cores: String,
    /// The processor of the generator.
    #[arg(long, default_value_t = 1, value_name = "CORE")]
    pin: usize,
    /// Whether the ends of a pair share a shard.
    #[arg(long, value_enum, default_value = "same")]
    route: Route,
    /// Pairs that call, and clients that beat.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Connections of idle, presence and tail.
    #[arg(long, default_value_t = 15_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// Listeners of fanout and slow.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    listeners: u32,
    /// Calls a second of latency.
    #[arg(long, default_value_t = 1000, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Print the findings as JSON, or write them to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = STANDARD_OUTPUT)]
    json: Option<String>,
    /// What to measure; everything if nothing is named.
    #[arg(value_enum)]
    figures: Vec<Figure>,
}

/// Everything that was found.
#[derive(Serialize)]
struct Findings {
    /// [`FORMAT`].
    format: u32,
    generator: &'static str,
    machine: Machine,
    /// What was run, in words.
    conditions: String,
    table: Vec<Line>,
    readings: Vec<Reading>,
    /// Measurements in which something went wrong, with the reason.
    failed: Vec<String>,
}

/// Runs the rounds, prints them and the table. Fails if anything but a target was missed.
pub fn run(options: &Options) -> Result<ExitCode, Fault> {
    let machine = machine::describe();
    prepare(options)?;
    let is_wanted = |figure: &Figure| options.figures.is_empty() || options.figures.contains(figure);
    let figures: Vec<_> = Figure::ALL.into_iter().filter(is_wanted).collect();
    options.say(&table::raw_head());
    let (mut readings, mut failed) = (Vec::new(), Vec::new());
    for &figure in &figures {
        measure(options, figure, &mut readings, &mut failed)?;
    }
    let rows = figures.iter().flat_map(|&figure| targets::rows(figure, options));
    let findings = Findings {
        format: FORMAT,
        generator: concat!("systemx-loadtest ", env!("CARGO_PKG_VERSION")),
        machine,
        conditions: options.conditions(),
        table: rows.map(|row| Line::of(row, &readings)).collect(),
        readings,
        failed,
    };
    publish(options, &findings)?;
    Ok(if findings.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All rounds of a figure. What spoils one measurement is noted, and the next one is made.
fn measure(
    options: &Options,
    figure: Figure,
    readings: &mut Vec<Reading>,
    failed: &mut Vec<String>,
) -> Result<(), Fault> {
    let mut sides = figure.sides(options);
    for round in 0..usize::from(options.rounds) {
        for side in &sides {
            match drive::measure(options, figure, round, side) {
                Ok(reading) => {
                    options.say(&table::raw(&reading));
                    readings.push(reading);
                }
                Err(fault) if spoils_one(&fault) => {
                    let what = format!("{}: {fault}", place(figure, round, side.name));
                    options.say(&what);
                    failed.push(what);
                }
                Err(fault) => return Err(fault),
            }
        }
        // In turn: no side is always the first.
        sides.reverse();
    }
    Ok(())
}

fn place(figure: Figure, round: usize, side: &str) -> String {
    format!("{}, round {round}, {side}", figure.name())
}

/// Whether other measurements may go better.
fn spoils_one(fault: &Fault) -> bool {
    use Fault::{NoFigures, NotReady, Spoilt, TooManyClients, Unreachable};
    matches!(fault, Spoilt(_) | NotReady { .. } | NoFigures(_) | Unreachable(..) | TooManyClients { .. })
}

/// Pins the generator and allows it, and the servers that it starts, as many sockets as the system grants.
fn prepare(options: &Options) -> Result<(), Fault> {
    if !options.hub.is_file() {
        let hub = options.hub.display();
        return Err(Fault::BadOption(format!("--hub: there is no {hub}; cargo build --release makes it")));
    }
    pin(&[options.pin])?;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(std::io::Error::from)?;
    Ok(())
}

fn publish(options: &Options, findings: &Findings) -> Result<(), Fault> {
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(findings).expect("plain data is always JSON");
        if path == STANDARD_OUTPUT {
            println!("{text}");
            return Ok(());
        }
        json::keep(path.as_ref(), &(text + "\n"))?;
    }
    println!("\n{}\n\n{}", findings.conditions, table::markdown(&findings.table));
    for reading in findings.readings.iter().filter(|reading| reading.figure.is_open_loop()) {
        for note in &reading.notes {
            println!("note: {}: {note}", place(reading.figure, reading.round, reading.side));
        }
    }
    for what in &findings.failed {
        println!("failed: {what}");
    }
    Ok(())
}

impl Options {
    /// Tells how far it is. Whoever takes the findings from the standard output gets nothing else there.
    fn say(&self, line: &str) {
        if self.json.as_deref() == Some(STANDARD_OUTPUT) { eprintln!("{line}") } else { println!("{line}") }
    }

    fn conditions(&self) -> String {
        let Self { rounds, seconds, shards, cores, pin, .. } = self;
        let (shards, route) = match (shards, self.route) {
            (1, _) => ("one shard".to_owned(), ""),
            (more, Route::Same) => (format!("{more} shards"), ", pairs inside a shard"),
            (more, Route::Cross) => (format!("{more} shards"), ", pairs across shards"),
        };
        format!(
            "Medians of {rounds} rounds of {seconds} s; hub with {shards} on processor {cores}{route}, generator on {pin}."
        )
    }
}

#[cfg(test)]
fn sample_options(words: &[&str]) -> Options {
    #[derive(clap::Parser)]
    struct Words {
        #[command(flatten)]
        options: Options,
    }
    let words = ["vs-floor"].iter().chain(words);
    <Words as clap::Parser>::try_parse_from(words).expect("they are right").options
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn figures_are_called_what_the_command_line_calls_them() {
        let names = Figure::value_variants().iter().map(|figure| figure.to_possible_value());
        let names: Vec<_> = names.flatten().map(|value| value.get_name().to_owned()).collect();
        assert_eq!(names, Figure::ALL.map(Figure::name));
    }

    #[test]
    fn what_was_run_is_said_in_words() {
        let said = sample_options(&["--shards", "2", "--cores", "0,1", "--route", "cross"]).conditions();
        assert_eq!(
            said,
            "Medians of 5 rounds of 1 s; hub with 2 shards on processor 0,1, pairs across shards, generator on 1."
        );
    }
}
