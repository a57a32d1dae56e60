//! A PRESENCE that is being gathered: from the other shards, and from other exchanges (spec sections 16, 19.6).
//!
//! It lives on the shard of whoever asks. Nothing here emits effects.

use std::collections::BTreeSet;

use super::effect::PresenceEntry;
use super::ids::LineId;
use super::limits::PRESENCE_BYTES_MAX;
use super::signal::Found;
use super::timers::TimerId;

/// A PRESENCE under way.
#[derive(Debug)]
pub struct Question {
    /// Who asks.
    pub line: LineId,
    /// Shards that have not answered yet.
    pub missing_shards: usize,
    /// Tie lines that have not answered yet.
    pub missing_ties: usize,
    /// Most addresses in the answer.
    pub limit: usize,
    /// What was found so far.
    pub found: Found,
    /// How the answer is addressed, if another exchange asks.
    pub reply: Option<Reply>,
    /// Until when other exchanges are waited for.
    pub timer: Option<TimerId>,
}

/// What another exchange wants to find in the answer to its question.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reply {
    /// Who has asked there.
    pub to: Option<Box<str>>,
    /// Its name for the question.
    pub id: Option<Box<str>>,
}

impl Question {
    /// Whether everybody has answered.
    pub fn is_complete(&self) -> bool {
        self.missing_shards == 0 && self.missing_ties == 0
    }
}

impl Found {
    /// Takes over what somebody else has found, as far as there is room. What does not fit goes at once, so that not
    /// that of all has to be dropped in the end.
    pub fn add(&mut self, other: Self, limit: usize) {
        let room = limit - self.entries.len();
        self.truncated |= other.truncated || other.entries.len() > room;
        self.entries.extend(other.entries.into_iter().take(room));
    }

    /// Leaves out of what another exchange has found whom somebody else has found already: where more than one way leads to
    /// the same exchange, each tells of it. Several lines of one address in one answer are a pool.
    pub fn drop_known_from(&self, other: &mut Self) {
        let known: BTreeSet<&str> = self.entries.iter().map(|entry| entry.address.as_str()).collect();
        other.entries.retain(|entry| !known.contains(entry.address.as_str()));
    }

    /// Cuts to the limit on bytes.
    pub fn cut(&mut self) {
        let mut bytes = 0_usize;
        let fits = self.entries.iter().take_while(|entry| {
            bytes += entry_bytes(entry);
            bytes <= PRESENCE_BYTES_MAX
        });
        let keep = fits.count();
        self.truncated |= keep < self.entries.len();
        self.entries.truncate(keep);
    }
}

fn entry_bytes(entry: &PresenceEntry) -> usize {
    entry.address.as_str().len() + entry.metadata.as_ref().map_or(0, |metadata| metadata.len())
}
