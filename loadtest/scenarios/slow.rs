//! `slow`: one speaks, many listen, and some of them stop reading. What it is told on the command line; the rest is the
//! `hall`.
//!
//! Whether the others suffer is seen by comparing their latency before and after; whoever is deaf has to be closed by the
//! server, and nobody else may lose anything.

use std::collections::BTreeMap;

use super::hall::{self, Kind, Settings};
use crate::engine::run::Outcome;
use crate::engine::timers::{Nanos, SECOND};
use crate::fault::Fault;
use crate::measure::open_loop::Pacing;
use crate::options::{Common, not_negative, positive};
use crate::scenarios::Load;

/// Messages that not all have heard: as many as a rate needs whose listeners are held up for a moment.
const IN_FLIGHT: usize = 1024;

/// Options of `slow`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// How one speaks to many.
    #[arg(long, value_enum, default_value = "broadcast")]
    kind: Kind,
    /// Listeners, the deaf ones included.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    listeners: u32,
    /// How many of them stop reading.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    deaf: u32,
    /// When they do, from the beginning of the measured part.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS", value_parser = not_negative)]
    deaf_after: f64,
    /// Bytes of data in a message.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(hall::BYTES_MIN as i64..))]
    bytes: u32,
    /// Messages a second that are due.
    #[arg(long, default_value_t = 500.0, value_parser = positive)]
    rate: f64,
    /// How they are laid out in time.
    #[arg(long, value_enum, default_value = "poisson")]
    pacing: Pacing,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("kind".to_owned(), format!("{:?}", self.kind).to_lowercase()),
            ("listeners".to_owned(), self.listeners.to_string()),
            ("deaf".to_owned(), self.deaf.to_string()),
            ("deaf-after".to_owned(), self.deaf_after.to_string()),
            ("bytes".to_owned(), self.bytes.to_string()),
            ("rate".to_owned(), self.rate.to_string()),
            ("pacing".to_owned(), format!("{:?}", self.pacing).to_lowercase()),
        ])
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        if self.deaf >= self.listeners {
            return Err(Fault::BadOption("--deaf has to leave a listener that reads".to_owned()));
        }
        if self.deaf_after >= common.duration {
            return Err(Fault::BadOption("--deaf-after lies behind the end of --duration".to_owned()));
        }
        let settings = Settings {
            kind: self.kind,
            listeners: self.listeners as usize,
            bytes: self.bytes as usize,
            in_flight: IN_FLIGHT,
            rate: Some((self.rate, self.pacing)),
            deaf: Some((self.deaf as usize, (self.deaf_after * SECOND as f64) as Nanos)),
        };
        settings.run(common)
    }
}
