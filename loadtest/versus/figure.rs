//! What is measured: the figures, and for each the sides that are measured in turn.
//!
//! A side is a server and a scenario as on the command line, nothing else; what follows from the numbers is the business
//! of `targets.rs`. Invariant: the sides of a figure differ in what its name says and in nothing else.

use serde::Serialize;

use super::Options;
use crate::options::Route;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
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
    /// Deliveries to many listeners.
    Fanout,
    /// Anonymous memory of an idle registered connection.
    Idle,
    /// Connect, upgrade, REGISTER, close.
    Connect,
    /// Heartbeats of 64 clients.
    Heartbeat,
    /// From RING to CONNECTED, calls at a rate.
    Latency,
    /// Calls across two shards, and inside one.
    Cross,
    /// Deliveries while one listener does not read.
    Slow,
    /// PRESENCE by domain.
    Presence,
    /// From RING to CONNECTED on a busy day.
    Tail,
}

impl Figure {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 14] = [
        Self::Call,
        Self::Msg64,
        Self::Msg1k,
        Self::Msg16k,
        Self::Flood,
        Self::Fanout,
        Self::Idle,
        Self::Connect,
        Self::Heartbeat,
        Self::Latency,
        Self::Cross,
        Self::Slow,
        Self::Presence,
        Self::Tail,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Msg64 => "msg64",
            Self::Msg1k => "msg1k",
            Self::Msg16k => "msg16k",
            Self::Flood => "flood",
            Self::Fanout => "fanout",
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Heartbeat => "heartbeat",
            Self::Latency => "latency",
            Self::Cross => "cross",
            Self::Slow => "slow",
            Self::Presence => "presence",
            Self::Tail => "tail",
        }
    }

    /// Whether its operations are due at a rate. Then a generator that is the limit spoils what is measured; in a closed
    /// loop it only makes the load smaller.
    pub fn is_open_loop(self) -> bool {
        matches!(self, Self::Latency | Self::Slow | Self::Tail)
    }
}

/// The side of the hub.
pub const HUB: &str = "hub";
/// The side of the floor.
pub const FLOOR: &str = "floor";
/// The hub, polling before it sleeps.
pub const HUB_SPINNING: &str = "hub spinning";
/// The floor, polling before it sleeps.
pub const FLOOR_SPINNING: &str = "floor spinning";
/// Calls across two shards.
pub const CROSS: &str = "cross";
/// Calls inside one.
pub const SAME: &str = "same";
/// One listener stops reading.
pub const ONE_STOPPED: &str = "one stopped";
/// All listeners read.
pub const NONE_STOPPED: &str = "none stopped";
/// How many matches a question has, and the name of that side.
pub const MATCHES: [(u32, &str); 3] = [(10, "10 matches"), (1, "1 match"), (100, "100 matches")];

/// How long a spinning server looks for work before it sleeps, in microseconds: longer than a callee here takes to answer.
const SPIN_US: u32 = 100;
/// Percentiles need many operations: their figures take so many times the seconds of the others.
const LATENCY_LENGTHS: f64 = 5.0;
/// The tail's calls come at this share of the rate that the hub reaches.
const TAIL_SHARE: f64 = 0.7;
/// Phones of the tail: at any moment some two dozen calls are under way.
const TAIL_PHONES: u32 = 256;
/// Visitors a second of the tail.
const TAIL_VISITORS: u32 = 100;
/// Seconds between two heartbeats of an idle line: a third of the server's timeout.
const HEARTBEAT_S: u32 = 20;
/// With it the names of `idle` have 30 bytes: 12 before the run's tag, the tag's 13, the `@` and this.
const IDLE_DOMAIN: &str = "b.cd";
/// What is said to the listeners of whom one stops reading: a third of what the hub can do, and for the silent one
/// within 15 seconds more than the buffers of the system (4 MiB) and the server's own limit take (12 measured).
const SLOW_LOAD: &str = "--bytes 8192 --rate 50 --pacing even";

/// A server, ready to be started.
#[derive(Clone, PartialEq, Debug)]
pub enum Setup {
    /// SystemX.
    Hub {
        /// Its shards.
        shards: u16,
        /// Its processors, as taskset writes them.
        cores: String,
        /// How long it looks for work before it sleeps.
        spin_us: u32,
    },
    /// The yardstick.
    Floor {
        /// Its processor.
        core: String,
        /// As the hub's.
        spin_us: u32,
    },
}

/// What is asked of a server.
#[derive(Clone, PartialEq, Debug)]
pub enum Load {
    /// A scenario as on the command line.
    Scenario(String),
    /// The same, with dials at a share of the rate that a closed loop of calls has just reached.
    OfSaturation {
        /// Above 0, below 1.
        share: f64,
        /// The closed loop.
        closed: String,
        /// The scenario, which has `--calls-per-second`.
        scenario: String,
    },
}

/// One of the things that are measured in turn.
#[derive(Clone, PartialEq, Debug)]
pub struct Side {
    /// What it is called in the raw rows.
    pub name: &'static str,
    /// The server.
    pub server: Setup,
    /// What is asked of it.
    pub load: Load,
    /// The latency that is kept.
    pub latency: &'static str,
    /// Length of the measured part.
    pub seconds: f64,
}

impl Figure {
    /// What is measured in turn.
    pub fn sides(self, options: &Options) -> Vec<Side> {
        let Options { pairs, clients, listeners, rate, .. } = options;
        let versus = |scenario: String, latency| options.hub_and_floor(&scenario, latency);
        let msg = |bytes: u32| versus(format!("msg --pairs {pairs} --bytes {bytes}"), "round_trip");
        match self {
            Self::Call => versus(format!("ring --pairs {pairs}"), RING),
            Self::Msg64 => msg(64),
            Self::Msg1k => msg(1024),
            Self::Msg16k => msg(16_384),
            Self::Flood => versus("msg --mode flood --pairs 16 --in-flight 32".to_owned(), "one_way"),
            Self::Fanout => versus(format!("fanout --listeners {listeners}"), "delivery"),
            Self::Idle => {
                let lines = format!("--connections {clients} --name-domain {IDLE_DOMAIN}");
                // One after the other: what many handshakes at once leave behind is not the lines'.
                let idle = format!("idle {lines} --heartbeat {HEARTBEAT_S} --connects 1");
                vec![options.hub(HUB, idle, "connect")]
            }
            Self::Connect => versus("churn --clients 16 --abrupt 1".to_owned(), "total"),
            Self::Heartbeat => versus(format!("idle --connections {pairs} --heartbeat 0"), "heartbeat"),
            Self::Latency => latency(options, &format!("ring --pairs {pairs} --rate {rate} --spin")),
            Self::Cross => [(CROSS, "cross"), (SAME, "same")].map(|side| across(options, side)).into(),
            Self::Slow => {
                let deaf = format!("slow --deaf 1 --deaf-after 0 --listeners {listeners} {SLOW_LOAD}");
                let none = format!("fanout --listeners {listeners} {SLOW_LOAD}");
                let side = |name, scenario| options.hub(name, scenario, "delivery").longer();
                vec![side(ONE_STOPPED, deaf), side(NONE_STOPPED, none)]
            }
            Self::Presence => MATCHES.map(|matches| presence(options, matches)).into(),
            Self::Tail => vec![tail(options)],
        }
    }
}

/// The latency of calls.
const RING: &str = "ring_to_connected";

impl Options {
    /// The hub as the command line describes it.
    fn hub(&self, name: &'static str, scenario: String, latency: &'static str) -> Side {
        let server = Setup::Hub { shards: self.shards, cores: self.cores.clone(), spin_us: 0 };
        let load = Load::Scenario(self.at_home(&scenario));
        Side { name, server, load, latency, seconds: self.seconds }
    }

    /// A scenario whose clients know the hub's shards.
    fn at_home(&self, scenario: &str) -> String {
        let route = if self.route == Route::Cross { " --route cross" } else { "" };
        format!("{scenario} --shards {}{route}", self.shards)
    }

    fn floor(&self, name: &'static str, scenario: &str, latency: &'static str) -> Side {
        // It has one thread: the hub's first processor is for it.
        let core = self.cores.chars().take_while(char::is_ascii_digit).collect();
        let load = Load::Scenario(format!("{scenario} --floor"));
        Side { name, server: Setup::Floor { core, spin_us: 0 }, load, latency, seconds: self.seconds }
    }

    fn hub_and_floor(&self, scenario: &str, latency: &'static str) -> Vec<Side> {
        vec![self.hub(HUB, scenario.to_owned(), latency), self.floor(FLOOR, scenario, latency)]
    }
}

impl Side {
    fn longer(self) -> Self {
        Self { seconds: self.seconds * LATENCY_LENGTHS, ..self }
    }

    fn spinning(mut self) -> Self {
        match &mut self.server {
            Setup::Hub { spin_us, .. } | Setup::Floor { spin_us, .. } => *spin_us = SPIN_US,
        }
        self
    }
}

fn latency(options: &Options, scenario: &str) -> Vec<Side> {
    let sides = [
        options.hub(HUB, scenario.to_owned(), RING),
        options.floor(FLOOR, scenario, RING),
        options.hub(HUB_SPINNING, scenario.to_owned(), RING).spinning(),
        options.floor(FLOOR_SPINNING, scenario, RING).spinning(),
    ];
    sides.map(Side::longer).into()
}

/// Calls in a hub of two shards, whatever the command line says of shards.
fn across(options: &Options, (name, route): (&'static str, &str)) -> Side {
    let server = Setup::Hub { shards: 2, cores: options.cross_cores.clone(), spin_us: 0 };
    let load = Load::Scenario(format!("ring --pairs {} --shards 2 --route {route}", options.pairs));
    Side { name, server, load, latency: RING, seconds: options.seconds }
}

fn presence(options: &Options, (matches, name): (u32, &'static str)) -> Side {
    let (clients, domains) = (options.clients, (options.clients / matches).max(1));
    let scenario = format!("presence --connections {clients} --domains {domains} --askers 16");
    options.hub(name, scenario, "presence")
}

/// A day with nothing in it but what the target says.
fn tail(options: &Options) -> Side {
    let calls = "--messages-per-call 0 --talk-ms 0 --cancelled 0 --busy 0 --unanswered 0 --unknown 0";
    let idle = format!("--idle {} --heartbeat {HEARTBEAT_S} --churn {TAIL_VISITORS}", options.clients);
    let scenario = options.at_home(&format!("mixed --phones {TAIL_PHONES} {idle} {calls} --spin"));
    let closed = options.at_home(&format!("ring --pairs {}", options.pairs));
    let load = Load::OfSaturation { share: TAIL_SHARE, closed, scenario };
    Side { load, ..options.hub(HUB, String::new(), RING).longer() }
}
