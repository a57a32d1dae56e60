//! The hub against the floor: both in turn, pinned, several rounds, medians and ratios.
//!
//! Compare figures only within one run: what else the machine does changes them all alike. What counts is
//! operations for each second of the server's processor time; the closed loop saturates neither side.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::fan_out::FanOut;
use crate::fault::Fault;
use crate::fleet::Fleet;
use crate::heartbeats::{Heartbeats, idle_bytes};
use crate::options::Route;
use crate::results::Results;
use crate::scenario::{Cost, Kind, Target, measure};
use crate::scenarios::Scenarios;
use crate::server::{Cpu, Server};

/// The processor of the generator; servers get the others.
const GENERATOR_CORE: usize = 1;
const PAIRS: usize = 64;
/// The same as an option's value.
const PAIRS_TEXT: &str = "64";
/// Runs before it is measured: buffers grow, caches fill.
const WARM_UP_S: &str = "0.2";
const LISTENERS: usize = 1000;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Figure {
    /// Whole calls, 64 pairs.
    Call,
    /// Messages of 64 B to and fro, 64 pairs.
    Msg64,
    /// The same with 1 KiB.
    Msg1k,
    /// The same with 16 KiB.
    Msg16k,
    /// Messages of 64 B one way, 16 pairs, 32 in flight.
    Flood,
    /// Deliveries to 1000 listeners.
    Fanout,
    /// Connect, upgrade, REGISTER, close.
    Connect,
    /// Heartbeats of 64 clients.
    Heartbeat,
    /// Anonymous memory of an idle registered connection.
    Idle,
}

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// The hub's program.
    #[arg(long, default_value = "target/release/systemx")]
    hub: PathBuf,
    /// Rounds; medians are printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Shards of the hub.
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Processors of the hub, as taskset writes them.
    #[arg(long, default_value = "0")]
    cores: String,
    /// Whether the ends of a pair share a shard.
    #[arg(long, value_enum, default_value = "same")]
    route: Route,
    /// Clients of the idle measurement.
    #[arg(long, default_value_t = 8000)]
    clients: usize,
    /// What to measure; everything if nothing is named.
    #[arg(value_enum)]
    figures: Vec<Figure>,
}

/// Runs the rounds and prints them and the table.
pub fn run(options: &Options) -> Result<(), Fault> {
    prepare()?;
    let all = [
        Figure::Call,
        Figure::Msg64,
        Figure::Msg1k,
        Figure::Msg16k,
        Figure::Flood,
        Figure::Fanout,
        Figure::Connect,
        Figure::Heartbeat,
    ];
    let figures = if options.figures.is_empty() { &all[..] } else { &options.figures };
    println!(
        "figure     round   hub/cpu-s user us  sys us    wall/s | floor/cpu-s user us  sys us    wall/s | ratio"
    );
    let mut table = Vec::new();
    for &figure in figures.iter().filter(|&&figure| figure != Figure::Idle) {
        table.push((figure, compare(options, figure)?));
    }
    println!();
    println!("| figure | hub | floor | hub / floor (median of {} rounds) |", options.rounds);
    println!("|---|---|---|---|");
    for (figure, [hub, floor, ratio]) in table {
        println!("| {figure:?} | {hub:.0} | {floor:.0} | {ratio:.2} |");
    }
    if options.figures.is_empty() || figures.contains(&Figure::Idle) {
        let server = start(options, Kind::Hub)?;
        let target = Target { address: server.address, kind: Kind::Hub };
        let bytes = idle_bytes(target, &server, options.clients)?;
        println!("| Idle, bytes a connection at {} | {bytes:.0} | | |", options.clients);
    }
    Ok(())
}

/// The medians of hub, floor and their ratio.
fn compare(options: &Options, figure: Figure) -> Result<[f64; 3], Fault> {
    let (mut hubs, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        // In turn: neither is always the first.
        let order = if round % 2 == 0 { [Kind::Hub, Kind::Floor] } else { [Kind::Floor, Kind::Hub] };
        let mut costs = [Cost::default(); 2];
        for kind in order {
            let server = start(options, kind)?;
            costs[kind as usize] = measure_figure(options, figure, kind, &server)?;
        }
        let [hub, floor] = costs;
        let ratio = hub.per_cpu_second() / floor.per_cpu_second();
        println!("{:<10} {round:>5} {} | {} | {ratio:.3}", format!("{figure:?}"), row(&hub), row(&floor));
        hubs.push(hub.per_cpu_second());
        floors.push(floor.per_cpu_second());
        ratios.push(ratio);
    }
    Ok([median(hubs), median(floors), median(ratios)])
}

fn row(cost: &Cost) -> String {
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / cost.operations as f64;
    let (user, system) = (each(cost.cpu.user), each(cost.cpu.system));
    let rate = cost.operations as f64 / cost.wall.as_secs_f64();
    format!("{:>11.0} {user:>7.2} {system:>7.2} {rate:>9.0}", cost.per_cpu_second())
}

fn start(options: &Options, kind: Kind) -> Result<Server, Fault> {
    match kind {
        Kind::Floor => {
            let program = std::env::current_exe()?;
            Server::start(&program, "0", &[], |port| {
                ["floor", "--port", &port.to_string()].map(String::from).into()
            })
        }
        Kind::Hub => {
            let environment = [
                ("SYSTEMX_DIAL_MAX_ATTEMPTS", "0".to_owned()),
                ("SYSTEMX_SHARDS", options.shards.to_string()),
                ("SYSTEMX_HOST", "127.0.0.1".to_owned()),
            ];
            Server::start(&options.hub, &options.cores, &environment, |port| {
                ["serve", "--port", &port.to_string()].map(String::from).into()
            })
        }
    }
}

fn measure_figure(options: &Options, figure: Figure, kind: Kind, server: &Server) -> Result<Cost, Fault> {
    let target = Target { address: server.address, kind };
    let mut fleet = Fleet::new()?;
    let fleet = &mut fleet;
    let drive = |words: &[&str]| drive(options, kind, server, words);
    match figure {
        Figure::Call => drive(&["ring", "--pairs", PAIRS_TEXT]),
        Figure::Msg64 => drive(&["msg", "--pairs", PAIRS_TEXT, "--bytes", "64"]),
        Figure::Msg1k => drive(&["msg", "--pairs", PAIRS_TEXT, "--bytes", "1024"]),
        Figure::Msg16k => drive(&["msg", "--pairs", PAIRS_TEXT, "--bytes", "16384"]),
        Figure::Flood => drive(&["msg", "--mode", "flood", "--pairs", "16", "--in-flight", "32"]),
        Figure::Fanout => {
            let mut fan_out = FanOut::join(fleet, target, LISTENERS)?;
            measure(fleet, &mut fan_out, server, options.seconds)
        }
        Figure::Connect => drive(&["churn", "--clients", "16", "--abrupt", "1"]),
        Figure::Heartbeat | Figure::Idle => {
            let mut heartbeats = Heartbeats::join(fleet, target, PAIRS)?;
            measure(fleet, &mut heartbeats, server, options.seconds)
        }
    }
}

/// A scenario of the engine, given as on the command line.
#[derive(clap::Parser)]
struct Line {
    #[command(subcommand)]
    scenario: Scenarios,
}

/// Runs one and says what an operation cost. Anything that went wrong makes the figure worthless.
fn drive(options: &Options, kind: Kind, server: &Server, words: &[&str]) -> Result<Cost, Fault> {
    let (url, pid) = (format!("ws://{}", server.address), server.pid().to_string());
    let (seconds, shards) = (options.seconds.to_string(), options.shards.to_string());
    let common = ["--url", &url, "--pid", &pid, "--duration", &seconds, "--warmup", WARM_UP_S, "--quiet"];
    let of_kind = match (kind, options.route) {
        (Kind::Floor, _) => vec!["--floor"],
        (Kind::Hub, Route::Same) => vec!["--shards", &shards],
        (Kind::Hub, Route::Cross) => vec!["--shards", &shards, "--route", "cross"],
    };
    let line = [&["vs-floor"], words, &common, &of_kind].concat();
    let line = Line::try_parse_from(line).map_err(|error| Fault::BadOption(error.to_string()))?;
    let results = line.scenario.run()?;
    if results.faults_total > 0 || !results.errors.is_empty() || results.operations == 0 {
        return Err(Fault::Spoilt(format!("{:?} {:?}", results.faults, results.errors)));
    }
    cost(&results).ok_or(Fault::NoFigures("times"))
}

fn cost(results: &Results) -> Option<Cost> {
    let server = results.server.as_ref()?;
    let [total, user, system] =
        [server.cpu_s, server.cpu_user_s, server.cpu_system_s].map(Duration::from_secs_f64);
    let wall = Duration::from_secs_f64(results.measured_s);
    Some(Cost { operations: results.operations, wall, cpu: Cpu { total, user, system } })
}

/// Pins the generator and allows it as many sockets as the system grants.
fn prepare() -> Result<(), Fault> {
    let mut cores = CpuSet::new();
    cores.set(GENERATOR_CORE);
    sched_setaffinity(None, &cores).map_err(std::io::Error::from)?;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(std::io::Error::from)?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
