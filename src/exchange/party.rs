//! Party lines: named conversations of many, each on the home shard of its name (spec section 17).
//!
//! The host keeps the members in the order in which they came and counts them by shard, so that what one says
//! crosses each trunk once. Nothing here emits effects.

use std::sync::Arc;

use indexmap::IndexMap;

use super::address::Address;
use super::ids::LineId;

/// A named conversation of many.
#[derive(Debug)]
pub struct PartyLine {
    /// Its name.
    pub name: Address,
    members: IndexMap<LineId, Address, ahash::RandomState>,
    per_shard: Vec<u32>,
}

impl PartyLine {
    /// A party without members, in an exchange of `shards` shards.
    pub fn new(name: Address, shards: usize, hasher: ahash::RandomState) -> Self {
        Self { name, members: IndexMap::with_hasher(hasher), per_shard: vec![0; shards] }
    }

    /// Lets a line in; once is enough.
    pub fn add(&mut self, line: LineId, address: Address) {
        if self.members.insert(line, address).is_none() {
            self.per_shard[line.shard().index()] += 1;
        }
    }

    /// Lets a line out. The others keep their order. Says whether it was in.
    pub fn remove(&mut self, line: LineId) -> bool {
        let found = self.members.shift_remove(&line).is_some();
        if found {
            self.per_shard[line.shard().index()] -= 1;
        }
        found
    }

    /// The address by which a member is known.
    pub fn member(&self, line: LineId) -> Option<&Address> {
        self.members.get(&line)
    }

    /// Gives a member another address.
    pub fn rename(&mut self, line: LineId, address: Address) {
        if let Some(member) = self.members.get_mut(&line) {
            *member = address;
        }
    }

    /// How many are in.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members each shard has.
    pub fn per_shard(&self) -> &[u32] {
        &self.per_shard
    }

    /// Everybody's address, in the order in which they came.
    pub fn participants(&self) -> Arc<[Address]> {
        self.members.values().cloned().collect()
    }

    /// Everybody's line.
    pub fn lines(&self) -> impl Iterator<Item = LineId> {
        self.members.keys().copied()
    }
}
