//! What must be true of every run, however late the trunks deliver and whoever dies when.
//!
//! The judge hears the facts of the world in order and complains of the first one that breaks a rule. It knows
//! what clients said and heard, and nothing of what goes on inside the shards. Calls and parties have files of
//! their own; here are the rules about replies, addresses and what is left at the end.

mod calls;
mod drain;
mod parties;

use std::collections::BTreeMap;
use std::fmt;

use crate::exchange::Tick;
use crate::exchange::cause::Cause;
use crate::exchange::event::Verb;
use crate::exchange::shard::{Counts, Shard};

use super::client::{ClientNo, Heard, Want, verb_name};
use super::world::{Fact, World};
use calls::Calls;
use drain::Drain;
use parties::Parties;

/// Most parcels that may wait in an outbox. What one event can cause is bounded by what its line has going on; some
/// hundred times that means that the outbox rule does not hold senders back.
const OUTBOX_LEN_MAX: usize = 4000;

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breach {
    /// Which rule.
    pub rule: &'static str,
    /// What broke it.
    pub detail: String,
}

impl Breach {
    /// `rule` is broken by `detail`.
    pub fn new(rule: &'static str, detail: impl fmt::Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}

/// `Ok` if `holds`, else a breach of `rule`.
fn must(holds: bool, rule: &'static str, detail: impl FnOnce() -> String) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(Breach::new(rule, detail())) }
}

/// Follows a run and complains.
#[derive(Default, Debug)]
pub struct Judge {
    calls: Calls,
    parties: Parties,
    /// Requests that are owed exactly one reply.
    owed: BTreeMap<(ClientNo, &'static str), u64>,
    gone: Vec<bool>,
    /// When each client sent its last heartbeat, or was opened.
    heard: Vec<Tick>,
    /// How many lines an address may have, where somebody has asked for a pool.
    pools: BTreeMap<String, usize>,
    drain: Drain,
}

impl Judge {
    /// Judges a fact.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn note(&mut self, fact: &Fact, world: &World) -> Result<(), Breach> {
        match fact {
            Fact::Opened(_) => {
                self.gone.push(false);
                self.heard.push(world.now());
            }
            Fact::Handed(client, want) => {
                self.owe(*client, want);
                self.calls.note_handed(*client, want, world);
                self.parties.note_handed(*client, want);
            }
            Fact::Heard(client, heard) => {
                must(!self.gone[*client], "nobody hears anything after the end", || {
                    format!("client {client} hears {heard:?}")
                })?;
                self.settle(*client, heard)?;
                self.drain.judge(*client, heard, &self.calls, &self.parties, world.now())?;
                self.calls.note_heard(*client, heard)?;
                self.parties.note_heard(*client, heard)?;
                match heard {
                    Heard::Heartbeat { .. } => self.heard[*client] = world.now(),
                    Heard::Closed(cause) => {
                        self.judge_close(*client, *cause, world)?;
                        self.bury(*client);
                    }
                    _ => {}
                }
            }
            Fact::Lost(client, _) => self.bury(*client),
            Fact::Draining { order, lines } => self.drain.begin(*order, lines, world.now()),
            Fact::Stopping => self.drain.end(),
            Fact::SentAway { client, shard, retry_after_ms } => {
                self.drain.note_departure(*client, *shard, *retry_after_ms, world.now())?;
            }
            Fact::WakeStarted => self.drain.judge_wake()?,
            Fact::Recorded(record) => self.calls.note_record(record)?,
        }
        Ok(())
    }

    /// A silent line is cut, but never before its time; a service never is (section 7).
    fn judge_close(&self, client: ClientNo, cause: Cause, world: &World) -> Result<(), Breach> {
        let due = self.heard[client].plus_millis(world.limits().heartbeat_timeout_ms);
        let internal = world.clients[client].internal;
        must(
            cause != Cause::Timeout || (due <= world.now() && !internal),
            "no line is cut before its time",
            || {
                format!(
                    "client {client}, internal {internal}, heard at {:?}, cut at {:?}",
                    self.heard[client],
                    world.now()
                )
            },
        )
    }

    fn bury(&mut self, client: ClientNo) {
        self.gone[client] = true;
        self.calls.bury(client);
        self.parties.bury(client);
    }

    fn owe(&mut self, client: ClientNo, want: &Want) {
        if let Want::Register(registration) = want
            && let Some(size) = registration.pool_size
        {
            let most = self.pools.entry(registration.address.to_string()).or_default();
            *most = size as usize;
        }
        let verb = want.verb();
        if matches!(verb, Verb::Register | Verb::Heartbeat | Verb::Presence | Verb::Join) {
            *self.owed.entry((client, verb_name(verb))).or_default() += 1;
        }
    }

    fn settle(&mut self, client: ClientNo, heard: &Heard) -> Result<(), Breach> {
        let verb = match heard {
            Heard::Registered { .. } | Heard::RegisterRefused(_) => Verb::Register,
            Heard::Heartbeat { .. } => Verb::Heartbeat,
            Heard::Presence { .. } => Verb::Presence,
            Heard::Joined { .. } => Verb::Join,
            Heard::Refused { verb, .. } => return self.settle_refused(client, verb),
            _ => return Ok(()),
        };
        self.pay(client, verb_name(verb))
    }

    fn settle_refused(&mut self, client: ClientNo, verb: &'static str) -> Result<(), Breach> {
        let counted = [Verb::Register, Verb::Presence, Verb::Join].map(verb_name).contains(&verb);
        if counted { self.pay(client, verb) } else { Ok(()) }
    }

    fn pay(&mut self, client: ClientNo, verb: &'static str) -> Result<(), Breach> {
        let owed = self.owed.entry((client, verb)).or_default();
        let enough = *owed > 0;
        *owed = owed.saturating_sub(1);
        must(enough, "every reply has a request", || format!("client {client} hears a reply to no {verb}"))
    }

    /// Judges a world in which nothing is on its way.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn judge_calm(&self, world: &World) -> Result<(), Breach> {
        for (&(client, verb), &owed) in &self.owed {
            let silent = owed > 0 && !self.gone[client] && !world.clients[client].paused;
            must(!silent, "every request has a reply", || format!("client {client} waits for its {verb}"))?;
        }
        for (number, client) in world.clients.iter().enumerate() {
            let stuck = !self.gone[number] && !client.paused && !client.pending.is_empty();
            must(!stuck, "nobody is held back for ever", || {
                format!("client {number}: {:?}", client.pending)
            })?;
        }
        self.calls.judge_calm(&self.gone)?;
        self.parties.judge_calm(&self.gone)?;
        must(world.trunks.outbox_len_max <= OUTBOX_LEN_MAX, "outboxes are bounded", || {
            format!("one was {} long", world.trunks.outbox_len_max)
        })?;
        self.judge_addresses(world)
    }

    /// Judges a world in which everybody is gone and every time has run out.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn judge_end(&self, world: &World) -> Result<(), Breach> {
        self.calls.judge_end()?;
        for (number, shard) in world.shards().iter().enumerate() {
            // Sleeping agents are remembered; nothing else is.
            let left = Counts { listings: 0, profiles: 0, ..Shard::counts(shard) };
            must(left == Counts::default(), "nothing outlives its line", || {
                format!("shard {number}: {left:?}")
            })?;
        }
        Ok(())
    }

    /// An address is held by one line, or by as many as its pool may have.
    fn judge_addresses(&self, world: &World) -> Result<(), Breach> {
        let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
        for client in world.clients.iter().filter(|client| client.is_alive()) {
            if let Some(address) = &client.address {
                *holders.entry(address).or_default() += 1;
            }
        }
        for (address, count) in holders {
            let most = self.pools.get(address).copied().unwrap_or(1);
            must(count <= most, "an address has one holder, or a pool", || {
                format!("{address} is held by {count} lines, {most} may")
            })?;
        }
        Ok(())
    }
}
