//! The same run once more, twice: on one shard, and in the model.
//!
//! In calm weather, where trunks deliver at once, the number of shards must make no difference to any client, and
//! the model knows what everybody will hear. In a drain the order in which lines go is each shard's own: one shard
//! is no comparison then, and the model is told who has gone and says whether that is right. What is compared are transcripts, with calls named by the order in
//! which their client heard of them. Where the protocol leaves an order open, so does `canonical`.

use std::sync::Arc;

use crate::exchange::Tick;
use crate::exchange::cause::Cause;
use crate::exchange::ids::{CallId, Handle, LegId, ShardId};

use super::actions::Step;
use super::client::{Client, ClientNo, Heard};
use super::judge::Breach;
use super::model::Model;
use super::run::{Scenario, apply};
use super::world::World;

/// The other two.
#[derive(Debug)]
pub struct Twins {
    /// `None` once the number of shards may make a difference.
    solo: Option<World>,
    model: Option<Model>,
    /// Up to where each client's transcript has been compared.
    compared: Vec<usize>,
    /// Notices that were the same on one shard.
    pub agreed: u64,
    /// Notices that the model has predicted.
    pub predicted: u64,
    /// Lines that went in a drain as the model says.
    pub sent_away: u64,
    undecided: bool,
}

impl Twins {
    /// Twins at the beginning of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let model = (!scenario.agents).then(|| Model::new(Arc::clone(&scenario.limits), scenario.denials));
        Self {
            solo: Some(scenario.world(1)),
            model,
            compared: Vec::new(),
            agreed: 0,
            predicted: 0,
            sent_away: 0,
            undecided: false,
        }
    }

    /// Whether something happened whose order the protocol leaves open, so that nothing can be compared any more.
    pub fn is_undecided(&self) -> bool {
        self.undecided
    }

    /// From now on nothing can be compared.
    pub fn give_up(&mut self) {
        self.undecided = true;
    }

    /// A step that takes no time.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Drain(_) => self.solo = None,
            // Without a drain the order in which lines go decides who is told that his call is over.
            Step::Stop if self.model.as_ref().is_none_or(|model| !model.is_draining()) => self.give_up(),
            _ => {}
        }
        if !self.undecided {
            self.solo.iter_mut().for_each(|solo| apply(solo, step));
            self.model.iter_mut().for_each(|model| model.apply(step));
        }
    }

    /// Time passes until `until`.
    pub fn pass(&mut self, until: Tick) {
        if self.undecided {
            return;
        }
        if let Some(solo) = &mut self.solo {
            while let Some(tick) = solo.next_deadline().filter(|&tick| tick <= until) {
                solo.pass(tick);
            }
            solo.pass(until);
        }
        self.model.iter_mut().for_each(|model| model.pass(until));
    }

    /// The exchange has closed a line. When it does so for silence, or in a drain, is its own affair within limits.
    ///
    /// # Errors
    /// If it had no business to.
    pub fn close(&mut self, client: ClientNo, cause: Cause, world: &World) -> Result<(), Breach> {
        let Some(model) = self.model.as_mut().filter(|_| !self.undecided) else { return Ok(()) };
        match cause {
            Cause::Timeout => model.cut(client, world.now()),
            Cause::Restarting | Cause::ServiceShutdown => {
                model.send_away(client, cause, world.now(), &world.clients[client].transcript)?;
                self.sent_away += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Compares what has been heard since the last time.
    ///
    /// # Errors
    /// If somebody has heard something else.
    pub fn compare(&mut self, world: &World) -> Result<(), Breach> {
        if self.undecided {
            return Ok(());
        }
        self.solo.iter_mut().for_each(|solo| solo.facts.clear());
        self.model.iter().try_for_each(Model::judge_drain)?;
        self.compared.resize(world.clients.len(), 0);
        for (number, client) in world.clients.iter().enumerate() {
            let from = self.compared[number];
            let many = canonical(client, from);
            if let Some(solo) = &self.solo {
                let one = canonical(&solo.clients[number], from);
                agree("the number of shards makes no difference", number, &many, &one)?;
                self.agreed += many.len() as u64;
            }
            if let Some(model) = &self.model {
                let predicted = canonical(&model.clients[number], from);
                agree("the model is right", number, &many, &predicted)?;
                self.predicted += many.len() as u64;
            }
            self.compared[number] = client.transcript.len();
        }
        Ok(())
    }
}

fn agree(rule: &'static str, client: ClientNo, real: &[Heard], other: &[Heard]) -> Result<(), Breach> {
    if real == other {
        return Ok(());
    }
    Err(Breach::new(rule, format!("client {client} hears {real:#?} instead of {other:#?}")))
}

/// What a client has heard from `from` on, in a form that can be compared.
fn canonical(client: &Client, from: usize) -> Vec<Heard> {
    let named = client.transcript[from..].iter().map(|heard| plain(client, heard));
    let mut heard: Vec<_> = named.collect();
    // A line that goes ends its calls in no particular order.
    for run in heard.chunk_by_mut(|a, b| is_hang_up(a) && is_hang_up(b) || is_busy(a) && is_busy(b)) {
        if run.len() > 1 {
            run.sort();
        }
    }
    heard
}

fn is_hang_up(heard: &Heard) -> bool {
    matches!(heard, Heard::HungUp { .. })
}

fn is_busy(heard: &Heard) -> bool {
    matches!(heard, Heard::Busy { cause: Cause::Unavailable, .. })
}

fn plain(client: &Client, heard: &Heard) -> Heard {
    match heard {
        // Which ones are left out is anybody's choice.
        Heard::Presence { truncated: true, entries } => {
            let count = entries.len().to_string();
            Heard::Presence { truncated: true, entries: vec![(count, "", None)] }
        }
        other => match other.call() {
            Some(call) => other.clone().with_call(nth_call(client, call)),
            None => other.clone(),
        },
    }
}

/// A call by its place in the list of those the client has heard of.
fn nth_call(client: &Client, call: CallId) -> CallId {
    let nth = client.calls.iter().position(|&known| known == call).unwrap_or(usize::MAX);
    CallId::mint(LegId(Handle::new(ShardId::new(0), nth as u32 & 0xffff, 0)), 0)
}
