//! `fanout`: one speaks, many listen. What it is told on the command line; the rest is the `hall`.

use std::collections::BTreeMap;

use super::hall::{self, Kind, Settings};
use crate::engine::run::Outcome;
use crate::fault::Fault;
use crate::options::{Common, Pace};
use crate::scenarios::Load;

/// Options of `fanout`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// How one speaks to many.
    #[arg(long, value_enum, default_value = "broadcast")]
    kind: Kind,
    /// Listeners, spread over all threads.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    listeners: u32,
    /// Bytes of data in a message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(hall::BYTES_MIN as i64..))]
    bytes: u32,
    #[command(flatten)]
    pace: Pace,
    /// Messages that not all have heard: 1 in a closed loop and 1024 at a rate if it is not given.
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u32).range(1..=65536))]
    in_flight: Option<u32>,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("kind".to_owned(), format!("{:?}", self.kind).to_lowercase()),
            ("listeners".to_owned(), self.listeners.to_string()),
            ("bytes".to_owned(), self.bytes.to_string()),
            ("in-flight".to_owned(), self.in_flight().to_string()),
        ]);
        self.pace.say(&mut found);
        found
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        let settings = Settings {
            kind: self.kind,
            listeners: self.listeners as usize,
            bytes: self.bytes as usize,
            in_flight: self.in_flight() as usize,
            rate: self.pace.open(),
            deaf: None,
        };
        settings.run(common)
    }
}

impl Options {
    fn in_flight(&self) -> u32 {
        self.in_flight.unwrap_or(if self.pace.open().is_some() { 1024 } else { 1 })
    }
}
