//! What `presence` is told on the command line, and how it is started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{By, Presence, check};
use crate::engine::run::{self, Outcome};
use crate::fault::Fault;
use crate::measure::open_loop::Pacing;
use crate::options::{Common, Pace};
use crate::scenarios::Load;

/// Options of `presence`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Lines that can be found.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Domains they are spread over: a query finds one domain's lines.
    #[arg(long, default_value_t = 10, value_name = "D", value_parser = clap::value_parser!(u32).range(1..))]
    domains: u32,
    /// Clients that ask, each one query at a time.
    #[arg(long, default_value_t = 16, value_name = "A", value_parser = clap::value_parser!(u32).range(1..))]
    askers: u32,
    /// What lines are asked for by.
    #[arg(long, value_enum, default_value = "domain")]
    by: By,
    #[command(flatten)]
    pace: Pace,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("connections".to_owned(), self.connections.to_string()),
            ("domains".to_owned(), self.domains.to_string()),
            ("askers".to_owned(), self.askers.to_string()),
            ("by".to_owned(), format!("{:?}", self.by).to_lowercase()),
        ]);
        self.pace.say(&mut found);
        found
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        if common.floor {
            return Err(Fault::BadOption("the floor knows no presence".to_owned()));
        }
        if self.domains > self.connections {
            return Err(Fault::BadOption("--domains is more than there are --connections".to_owned()));
        }
        if u32::from(common.threads) > self.askers {
            return Err(Fault::BadOption("--threads is more than there are --askers".to_owned()));
        }
        let plan = common.plan()?;
        let lost: Arc<[AtomicBool]> = (0..self.connections).map(|_| AtomicBool::new(false)).collect();
        let make = |_, plan: &crate::engine::Plan| {
            let names = check::Plan {
                by: self.by,
                connections: self.connections as usize,
                domains: self.domains as usize,
                tag: plan.tag.clone(),
                domain: plan.domain.clone(),
            };
            Presence::new(self, names, Arc::clone(&lost))
        };
        run::run(&plan, common.watch()?, u64::from(self.connections + self.askers), make)
    }
}

impl Options {
    pub(super) fn askers(&self) -> usize {
        self.askers as usize
    }

    pub(super) fn rate(&self) -> Option<(f64, Pacing)> {
        self.pace.open()
    }
}
