//! What `msg` is told on the command line, and how it is started.

use std::collections::BTreeMap;

use super::talk::MessageForm;
use super::{Msg, Settings};
use crate::engine::run::{self, Outcome};
use crate::fault::Fault;
use crate::options::{Common, Pace};
use crate::scenarios::Load;
use crate::scenarios::pairs::Naming;

/// How messages follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Mode {
    /// Each message is answered by one.
    Pingpong,
    /// One way, with many in flight.
    Flood,
    /// One way, due at a rate.
    Open,
}

/// Options of `msg`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Pairs that talk.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) pairs: u32,
    /// How messages follow each other.
    #[arg(long, value_enum, default_value = "pingpong")]
    pub(super) mode: Mode,
    /// Bytes of data in a message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(MessageForm::BYTES_MIN as i64..))]
    pub(super) bytes: u32,
    /// Messages of a pair in flight: 1 to and fro, 32 in a flood and 1024 at a rate if it is not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) in_flight: Option<u32>,
    #[command(flatten)]
    pub(super) pace: Pace,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("pairs".to_owned(), self.pairs.to_string()),
            ("mode".to_owned(), format!("{:?}", self.mode).to_lowercase()),
            ("bytes".to_owned(), self.bytes.to_string()),
            ("in-flight".to_owned(), self.in_flight().to_string()),
        ]);
        self.pace.say(&mut found);
        found
    }

    fn has_pairs(&self) -> bool {
        true
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        if (self.mode == Mode::Open) != self.pace.open().is_some() {
            return Err(Fault::BadOption("--mode open and --rate belong together".to_owned()));
        }
        common.check_share("pairs", self.pairs)?;
        let plan = common.plan()?;
        let settings = Settings {
            mode: self.mode,
            window: self.in_flight(),
            rate: self.pace.open(),
            bytes: self.bytes as usize,
            floor: common.floor,
            deafness: None,
        };
        let make = |_, plan: &_| Msg::new(settings, Naming::new(common, plan, self.pairs as usize));
        run::run(&plan, common.watch()?, u64::from(self.pairs) * 2, make)
    }
}

impl Options {
    /// Messages of a pair that may be under way.
    pub(super) fn in_flight(&self) -> u64 {
        let default = match self.mode {
            Mode::Pingpong => 1,
            Mode::Flood => 32,
            Mode::Open => 1024,
        };
        u64::from(self.in_flight.unwrap_or(default))
    }
}
