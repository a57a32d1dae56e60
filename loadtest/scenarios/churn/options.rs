//! What `churn` is told on the command line, and how it is started.

use std::collections::BTreeMap;

use super::Churn;
use crate::engine::run::{self, Outcome};
use crate::fault::Fault;
use crate::options::{Common, Pace, not_negative};
use crate::scenarios::Load;

/// Which name a client has when it comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Names {
    /// One that was never used.
    Fresh,
    /// Its own, which has to be free again.
    Same,
}

/// Options of `churn`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Clients that come and go, at most so many at a time.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) clients: u32,
    #[command(flatten)]
    pub(super) pace: Pace,
    /// Which name a client has when it comes again.
    #[arg(long, value_enum, default_value = "fresh")]
    pub(super) names: Names,
    /// Time between REGISTERED and the end, in milliseconds.
    #[arg(long, default_value_t = 0.0, value_name = "MS", value_parser = not_negative)]
    pub(super) hold: f64,
    /// How many of the connections end without a close frame, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    pub(super) abrupt: f64,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("clients".to_owned(), self.clients.to_string()),
            ("names".to_owned(), format!("{:?}", self.names).to_lowercase()),
            ("hold".to_owned(), self.hold.to_string()),
            ("abrupt".to_owned(), self.abrupt.to_string()),
        ]);
        self.pace.say(&mut found);
        found
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        common.check_share("clients", self.clients)?;
        let plan = common.plan()?;
        let make = |_, plan: &_| Churn::new(self, plan);
        run::run(&plan, common.watch()?, u64::from(self.clients), make)
    }
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let value = not_negative(text)?;
    if value <= 1.0 { Ok(value) } else { Err("it must not be above 1".to_owned()) }
}
