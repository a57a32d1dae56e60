//! What a simulation has to say at its end: what was checked, or what went wrong.

use std::collections::BTreeMap;
use std::fmt;

use crate::exchange::event::Loss;

use super::actions::Action;
use super::client::{Heard, verb_name};
use super::judge::Breach;
use super::trunks::Trunks;
use super::twins::Twins;
use super::world::Fact;

/// How many actions of a failing list are printed.
const TAIL: usize = 60;

/// What a simulation has gone through.
#[derive(Clone, Default, Debug)]
pub struct Summary {
    /// Runs.
    pub seeds: u64,
    /// Actions.
    pub events: u64,
    /// Parcels that crossed trunks.
    pub parcels: u64,
    /// The longest that an outbox has been.
    pub outbox_len_max: usize,
    /// Notices that were the same on one shard.
    pub agreed: u64,
    /// Notices that the model has predicted.
    pub predicted: u64,
    /// Lines that went during a drain, or at its limit, as the model says that they do.
    pub sent_away: u64,
    /// Runs in which something happened whose order is left open, and comparing stopped.
    pub undecided: u64,
    /// What happened, if that is wanted.
    pub story: Option<Vec<String>>,
    asked: BTreeMap<String, u64>,
    heard: BTreeMap<String, u64>,
}

impl Summary {
    /// One that also keeps the story.
    pub fn storyteller() -> Self {
        Self { story: Some(Vec::new()), ..Self::default() }
    }

    /// Counts a fact.
    pub fn note(&mut self, fact: &Fact) {
        if let Some(story) = &mut self.story {
            story.push(format!("{fact:?}"));
        }
        match fact {
            Fact::Opened(_) => count(&mut self.asked, "connect".to_owned()),
            Fact::Handed(_, want) => count(&mut self.asked, verb_name(want.verb()).to_owned()),
            Fact::Lost(_, Loss::Closed) => count(&mut self.asked, "close".to_owned()),
            Fact::Lost(_, Loss::Vanished) => count(&mut self.asked, "vanish".to_owned()),
            Fact::Lost(_, Loss::SlowConsumer) => count(&mut self.asked, "overflow".to_owned()),
            Fact::Heard(_, heard) => count(&mut self.heard, name(heard)),
            Fact::Draining { .. } => count(&mut self.asked, "drain".to_owned()),
            Fact::Stopping => count(&mut self.asked, "stop".to_owned()),
            Fact::WakeStarted => count(&mut self.heard, "(wake handler)".to_owned()),
            Fact::SentAway { .. } => {}
            Fact::Recorded(_) => count(&mut self.heard, "(call record)".to_owned()),
        }
    }

    /// Counts what the trunks have carried.
    pub fn note_trunks(&mut self, trunks: &Trunks) {
        self.parcels += trunks.delivered;
        self.outbox_len_max = self.outbox_len_max.max(trunks.outbox_len_max);
    }

    /// Counts what the model has predicted.
    pub fn note_twins(&mut self, twins: &Twins) {
        self.agreed += twins.agreed;
        self.predicted += twins.predicted;
        self.sent_away += twins.sent_away;
        self.undecided += u64::from(twins.is_undecided());
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: String) {
    *counts.entry(name).or_default() += 1;
}

fn name(heard: &Heard) -> String {
    match heard {
        Heard::Registered { .. } => "REGISTERED".to_owned(),
        Heard::RegisterRefused(cause) => format!("REGISTER_FAILED {cause}"),
        Heard::Heartbeat { .. } => "HEARTBEAT_ACK".to_owned(),
        Heard::Dialling { .. } => "DIALING".to_owned(),
        Heard::Ring { listens: false, .. } => "RING".to_owned(),
        Heard::Ring { .. } => "RING of a listener".to_owned(),
        Heard::Connected { .. } => "CONNECTED".to_owned(),
        Heard::Busy { cause, .. } => format!("BUSY {cause}"),
        Heard::HungUp { reason, .. } if reason.starts_with("because") => "HANGUP in own words".to_owned(),
        Heard::HungUp { reason, .. } => format!("HANGUP {reason}"),
        Heard::Message { .. } => "MSG".to_owned(),
        Heard::Presence { .. } => "PRESENCE_RESULT".to_owned(),
        Heard::AuthExpiring { .. } => "AUTH_EXPIRING".to_owned(),
        Heard::SleepPending { .. } => "SLEEP_PENDING".to_owned(),
        Heard::Refused { verb, cause } => format!("ERROR {cause} for {verb}"),
        Heard::Joined { .. } => "JOINED".to_owned(),
        Heard::PartyMessage { .. } => "PARTY_MSG".to_owned(),
        Heard::Closed(cause) => format!("closed {cause}"),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds, {} events, no rule broken", self.seeds, self.events)?;
        writeln!(
            f,
            "{} parcels crossed trunks, the longest outbox held {}",
            self.parcels, self.outbox_len_max
        )?;
        let Self { agreed, predicted, sent_away, undecided, .. } = self;
        writeln!(f, "{agreed} notices were the same on one shard, {predicted} as the model predicts")?;
        writeln!(f, "{sent_away} lines went in a drain when the model says that they may")?;
        writeln!(f, "{undecided} runs were compared up to an event whose order is left open")?;
        table(f, "asked", &self.asked)?;
        table(f, "heard", &self.heard)
    }
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, counts: &BTreeMap<String, u64>) -> fmt::Result {
    writeln!(f, "{title}:")?;
    counts.iter().try_for_each(|(name, count)| writeln!(f, "{count:>10}  {name}"))
}

/// A broken rule, and how to see it again.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How many events it takes.
    pub events: usize,
    /// How many shards there were.
    pub shards: usize,
    /// The event at which it showed.
    pub step: usize,
    /// What was broken.
    pub breach: Breach,
    /// A short list of actions that breaks the same rule.
    pub actions: Vec<Action>,
    /// What happens when they are carried out.
    pub story: Vec<String>,
    /// What a shortened list breaks.
    pub shrunk: Breach,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, events, shards, step, breach, actions, story, shrunk } = self;
        writeln!(f, "seed {seed} breaks a rule at event {step} of {events} on {shards} shards:")?;
        writeln!(f, "  {breach}")?;
        writeln!(f, "{} actions are enough:", actions.len())?;
        tail(f, actions.iter().map(|action| format!("{action:?}")))?;
        writeln!(f, "this is what happens then:")?;
        tail(f, story.iter().cloned())?;
        writeln!(f, "  {shrunk}")?;
        write!(f, "again: systemx sim --seed {seed} --events {events} --shards {shards}")
    }
}

fn tail(f: &mut fmt::Formatter<'_>, lines: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let skipped = lines.len().saturating_sub(TAIL);
    lines.skip(skipped).try_for_each(|line| writeln!(f, "  {line}"))
}

impl std::error::Error for Failure {}
