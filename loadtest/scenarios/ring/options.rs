//! What `ring` is told on the command line, and how it is started.

use std::collections::BTreeMap;

use super::Ring;
use crate::engine::run::{self, Outcome};
use crate::fault::Fault;
use crate::options::{Common, Pace, not_negative};
use crate::scenarios::Load;
use crate::scenarios::pairs::Naming;

/// Options of `ring`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Pairs that call.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) pairs: u32,
    #[command(flatten)]
    pub(super) pace: Pace,
    /// Time between CONNECTED and HANGUP, in milliseconds.
    #[arg(long, default_value_t = 0.0, value_name = "MS", value_parser = not_negative)]
    pub(super) hold: f64,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("pairs".to_owned(), self.pairs.to_string()),
            ("hold".to_owned(), self.hold.to_string()),
        ]);
        self.pace.say(&mut found);
        found
    }

    fn has_pairs(&self) -> bool {
        true
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        common.check_share("pairs", self.pairs)?;
        let plan = common.plan()?;
        let make =
            |_, plan: &_| Ring::new(self, common.floor, Naming::new(common, plan, self.pairs as usize));
        run::run(&plan, common.watch()?, u64::from(self.pairs) * 2, make)
    }
}
