//! What `storm` is told on the command line, how it is started, and what is said about it at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Storm;
use super::course::{Course, Seen};
use crate::engine::run::{self, Outcome};
use crate::engine::timers::{Nanos, SECOND};
use crate::engine::{Plan, Share};
use crate::fault::Fault;
use crate::options::{Common, not_negative, positive};
use crate::scenarios::Load;
use crate::scenarios::pairs::Naming;

/// A measured part below this part of what was wanted was ended early.
const SHORT: f64 = 0.99;

/// Options of `storm`.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Lines that are registered and then come again all at once.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) connections: u32,
    /// The generator cuts all connections at the same moment (the default).
    #[arg(long, conflicts_with = "wait_for_restart")]
    pub(super) cut: bool,
    /// Wait until the server is restarted by somebody else, and come again with pauses of 50 ms to 5 s, by chance.
    #[arg(long)]
    pub(super) wait_for_restart: bool,
    /// From the beginning of the measured part to the cut, in seconds.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = not_negative)]
    pub(super) after: f64,
    /// Lines that connect at the same time in the storm; without it all of them. --connects holds before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) at_once: Option<u32>,
    /// Pairs that call all the time, from a thread of their own.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) pairs: u32,
    /// Calls a second of those pairs.
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    pub(super) rate: f64,
}

impl Load for Options {
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("connections".to_owned(), self.connections.to_string()),
            ("pairs".to_owned(), self.pairs.to_string()),
            ("after".to_owned(), self.after.to_string()),
        ]);
        if self.wait_for_restart {
            found.insert("wait-for-restart".to_owned(), "true".to_owned());
        }
        if let Some(at_once) = self.at_once {
            found.insert("at-once".to_owned(), at_once.to_string());
        }
        if self.pairs > 0 {
            found.insert("rate".to_owned(), self.rate.to_string());
        }
        found
    }

    fn has_pairs(&self) -> bool {
        true
    }

    fn run(&self, common: &Common) -> Result<Outcome, Fault> {
        common.check_share("connections", self.connections)?;
        if !self.wait_for_restart && self.after >= common.duration {
            return Err(Fault::BadOption("--after leaves nothing of --duration for the storm".to_owned()));
        }
        let mut common = common.clone();
        if self.pairs > 0 {
            // What the storm costs the generator is not to be seen in the calls.
            common.threads += 1;
        }
        let plan = common.plan()?;
        let course = Arc::new(Course::default());
        let clients = u64::from(self.connections) + 2 * u64::from(self.pairs);
        let make = |share, plan: &_| self.part(&common, share, plan, &course);
        let mut outcome = run::run(&plan, common.watch()?, clients, make)?;
        let seen = course.seen(self.connections as usize);
        outcome.notes.extend(note(&seen, self.connections));
        // Whoever ends a run early has not given them their time.
        let was_ended_early = outcome.ledger.measured_s() < common.duration * SHORT;
        if let Some(missing) = course.missing(self.connections).filter(|_| !was_ended_early) {
            outcome.ledger.fault(format!("lost: {missing}"));
        }
        Ok(outcome)
    }
}

impl Options {
    fn part(&self, common: &Common, share: Share, plan: &Plan, course: &Arc<Course>) -> Storm {
        let lines = if self.pairs > 0 { share.workers - 1 } else { share.workers };
        if share.worker < lines {
            let share = Share { workers: lines, ..share };
            return Storm::lines(self, share, plan, Arc::clone(course));
        }
        let naming = Naming::new(common, plan, self.pairs as usize);
        Storm::base(naming, self.rate, Arc::clone(course))
    }
}

/// The storm in a sentence.
fn note(seen: &Seen, connections: u32) -> Vec<String> {
    let Some(begun) = seen.begun else { return vec!["the storm did not begin".to_owned()] };
    let after = |when: Option<Nanos>| {
        when.map_or("not".to_owned(), |when| {
            format!("after {:.3} s", when.saturating_sub(begun) as f64 / SECOND as f64)
        })
    };
    let mut said = format!(
        "{} of {connections} lines were registered again: the first {}, half {}, 99 % {}, all {}",
        seen.again,
        after(seen.first),
        after(seen.half),
        after(seen.most),
        after(seen.all)
    );
    // Those that were refused until the end say little about how many the server takes.
    if let (Some(first), Some(most)) = (seen.first, seen.most.filter(|&most| Some(most) > seen.first)) {
        let seconds = (most - first) as f64 / SECOND as f64;
        let rate = 0.99 * f64::from(connections) / seconds;
        said += &format!("; {rate:.0} a second from the first to 99 %");
    }
    vec![said]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_that_did_not_end_is_told_as_such() {
        let seen = Seen { begun: Some(SECOND), again: 7, first: Some(2 * SECOND), ..Seen::default() };
        let said = note(&seen, 10).concat();
        assert!(said.starts_with("7 of 10 lines") && said.contains("the first after 1.000 s"), "{said}");
        assert!(said.contains("half not, 99 % not, all not"), "{said}");
        assert!(note(&Seen::default(), 10).concat().contains("did not begin"));
    }
}
