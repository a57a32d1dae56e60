//! What every scenario is told on the command line, and what it means.
//!
//! Invariant: every option with the value that held is in the results, so that a run can be repeated from its file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::Plan;
use crate::engine::run::{Watch, pin};
use crate::engine::timers::{Clock, Nanos};
use crate::fault::Fault;
use crate::measure::open_loop::Pacing;
use crate::measure::probe::Probe;
use crate::measure::progress::Progress;
use crate::target::Target;
use crate::token;

/// No number of seconds, milliseconds or operations is above this: 31 years of seconds, which the clock can count.
const NUMBER_MAX: f64 = 1e9;
/// What a close frame's answer may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Whether the two ends of a pair are at home on the same shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Route {
    /// On the same.
    Same,
    /// On two.
    Cross,
}

/// Options of every scenario that has an open loop.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Pace {
    /// Operations a second that are due, of all clients together (open loop); without it the next one begins when the
    /// last has ended (closed loop).
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// How operations are laid out in time in an open loop.
    #[arg(long, value_enum, default_value = "poisson")]
    pacing: Pacing,
}

impl Pace {
    /// Rate and pacing of an open loop.
    pub fn open(self) -> Option<(f64, Pacing)> {
        self.rate.map(|rate| (rate, self.pacing))
    }

    /// Adds names and values of what held.
    pub fn say(self, found: &mut BTreeMap<String, String>) {
        if let Some((rate, pacing)) = self.open() {
            found.insert("rate".to_owned(), rate.to_string());
            found.insert("pacing".to_owned(), format!("{pacing:?}").to_lowercase());
        }
    }
}

/// Options of every scenario.
#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// What to drive: ws:// or wss://. May be repeated, or a comma list; clients are spread over all.
    #[arg(long, required = true, value_name = "URL")]
    pub url: Vec<String>,
    /// Trust the certificates in this PEM file instead of the public roots.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    #[command(flatten)]
    pub token: token::Options,
    /// Drive a target outside of loopback. Only say this if you may load it.
    #[arg(long)]
    pub i_own_this_target: bool,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// Processors for the generator, such as `1` or `2,3`.
    #[arg(long, value_delimiter = ',', value_name = "CORES")]
    pub pin: Vec<usize>,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Length of the measured part, in seconds.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = positive)]
    pub duration: f64,
    /// Load before the measured part, in seconds.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = not_negative)]
    pub warmup: f64,
    /// What one operation may take, in seconds.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = positive)]
    pub timeout: f64,
    /// What connecting may take, up to REGISTERED, in seconds.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = positive)]
    pub connect_timeout: f64,
    /// Connections that are under way at the same time.
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub connects: u32,
    /// Shards of the server, so that clients can be given names of a certain home.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: u16,
    /// Whether the ends of a pair are at home on the same shard.
    #[arg(long, value_enum, default_value = "same")]
    pub route: Route,
    /// What the names of all clients end in.
    #[arg(long, default_value = "load.test", value_name = "DOMAIN", value_parser = name_domain)]
    pub name_domain: String,
    /// The server's process, for its processor time and memory.
    #[arg(long, value_name = "N", conflicts_with = "metrics")]
    pub pid: Option<u32>,
    /// The server's metrics page (http, Prometheus text), for the same.
    #[arg(long, value_name = "URL")]
    pub metrics: Option<String>,
    /// Print the results as JSON, or write them to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub json: Option<String>,
    /// Write a page for the browser, complete in itself.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Poll instead of sleeping: waking up costs tens of microseconds, which otherwise are part of every latency. Takes
    /// a processor for each thread.
    #[arg(long)]
    pub spin: bool,
    /// Say nothing while it runs.
    #[arg(long)]
    pub quiet: bool,
    /// The target is the floor: it sends back what it gets.
    #[arg(long, hide = true)]
    pub floor: bool,
}

impl Common {
    /// Resolves and checks everything that has to be right before the first connection.
    pub fn plan(&self) -> Result<Arc<Plan>, Fault> {
        let threads = usize::from(self.threads);
        if self.route == Route::Cross && self.shards < 2 {
            return Err(Fault::BadOption("--route cross needs --shards of 2 or more".to_owned()));
        }
        let shown = self.token.shown()?;
        let bearer = shown.in_handshake.as_ref();
        let target = Target::resolve(&self.url, self.ca.as_deref(), bearer, self.i_own_this_target)?;
        pin(&self.pin)?;
        Ok(Arc::new(Plan {
            target,
            threads,
            seed: self.seed,
            tag: tag(),
            token: shown.in_register,
            domain: self.name_domain.clone(),
            clock: Clock::start(),
            warm_up: nanos(self.warmup),
            duration: nanos(self.duration),
            op_limit: nanos(self.timeout),
            connect_limit: nanos(self.connect_timeout),
            close_limit: CLOSE_LIMIT.as_nanos() as Nanos,
            connects_max: (self.connects as usize).div_ceil(threads),
            spin: self.spin,
            cores: self.pin.clone(),
        }))
    }

    /// Refuses threads that would have no part of the load.
    pub fn check_share(&self, option: &str, number: u32) -> Result<(), Fault> {
        if u32::from(self.threads) <= number {
            return Ok(());
        }
        Err(Fault::BadOption(format!("--threads {} is more than --{option} {number}", self.threads)))
    }

    /// What is watched.
    pub fn watch(&self) -> Result<Watch, Fault> {
        let probe = match (&self.metrics, self.pid) {
            (Some(url), _) => Some(Probe::metrics(url, self.i_own_this_target)?),
            (None, Some(pid)) => Some(Probe::Process(pid)),
            (None, None) => None,
        };
        Ok(Watch { probe, progress: Progress::new(usize::from(self.threads), self.quiet, self.duration) })
    }

    /// Every option with the value that held.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut say = |name: &str, value: String| drop(found.insert(name.to_owned(), value));
        say("url", self.url.join(","));
        say("threads", self.threads.to_string());
        say("seed", self.seed.to_string());
        say("duration", self.duration.to_string());
        say("warmup", self.warmup.to_string());
        say("timeout", self.timeout.to_string());
        say("connect-timeout", self.connect_timeout.to_string());
        say("connects", self.connects.to_string());
        say("shards", self.shards.to_string());
        say("route", if self.route == Route::Same { "same" } else { "cross" }.to_owned());
        say("name-domain", self.name_domain.clone());
        if !self.pin.is_empty() {
            say("pin", self.pin.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
        }
        for (name, set) in
            [("i-own-this-target", self.i_own_this_target), ("floor", self.floor), ("spin", self.spin)]
        {
            if set {
                say(name, set.to_string());
            }
        }
        if let Some(ca) = &self.ca {
            say("ca", ca.display().to_string());
        }
        if let Some(pid) = self.pid {
            say("pid", pid.to_string());
        }
        if let Some(metrics) = &self.metrics {
            say("metrics", metrics.clone());
        }
        self.token.say(&mut found);
        found
    }
}

/// A word of 13 letters that no other run has in its names. Of one length, so that names of any two runs are as long.
fn tag() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:010x}{:03x}", since.as_millis() as u64 & 0xff_ffff_ffff, std::process::id() & 0xfff)
}

fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9) as Nanos
}

/// What names may end in: what an address can have behind its @.
fn name_domain(text: &str) -> Result<String, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("it has to be of letters, digits, dots, hyphens and underscores".to_owned())
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if value > 0.0 && value <= NUMBER_MAX {
        Ok(value)
    } else {
        Err("it has to be above 0, and 1e9 at most".to_owned())
    }
}

/// A number that is not below 0.
pub fn not_negative(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=NUMBER_MAX).contains(&value) {
        Ok(value)
    } else {
        Err("it must not be below 0 or above 1e9".to_owned())
    }
}
