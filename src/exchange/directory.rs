//! The directory: who holds which address whose home is this shard.
//!
//! Nearly every address is held by one line of the same shard; for those the directory stores four bytes and
//! finds the address in the line. Whatever is not as plain has a [`Listing`]: pools, lines that stay on another
//! shard, sleeping agents and the calls that wait for them. An address may have both: a woken agent holds it
//! plainly while more calls wait in its listing. No listing is kept that says nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::address::Address;
use super::event::WakeHandler;
use super::ids::{LineId, RecordId};
use super::limits::POOL_MEMBERS_MAX;
use super::limits::WAKE_PROFILE_OVERHEAD_BYTES;
use super::line::Line;
use super::rack::Rack;
use super::table::{Keyed, Table};

/// Who holds an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// One line of this shard.
    Here(LineId),
    /// One line that stays on another shard for now.
    Elsewhere(LineId),
    /// The lines of a pool; see the listing.
    Pool,
    /// Nobody, but lines of a pool can be woken for it; see the listing.
    PoolAsleep,
    /// Nobody, but an agent can be woken for it.
    Asleep,
    /// Nobody.
    Nobody,
}

/// The addresses of one shard.
#[derive(Debug)]
pub struct Directory {
    sole: Table<u32>,
    listings: Keyed<Address, Listing>,
    hasher: ahash::RandomState,
    profile_bytes: usize,
}

/// What is not plain about an address.
#[derive(Default, Debug)]
pub struct Listing {
    /// The line that holds the address and stays on another shard for now.
    pub elsewhere: Option<LineId>,
    /// The lines that hold it together.
    pub pool: Option<Pool>,
    /// How to wake the agent; stored when it went to sleep.
    pub asleep: Option<Arc<WakeHandler>>,
    /// Calls that wait for somebody to hold the address, oldest first.
    pub waiting: VecDeque<RecordId>,
    /// Wake attempts that run for it.
    pub runs: Vec<u64>,
}

/// Lines that hold an address together (spec section 14).
#[derive(Debug)]
pub struct Pool {
    /// Most lines.
    pub size: u32,
    /// The lines.
    pub members: Vec<LineId>,
    /// Most calls of one line at a time.
    pub max_sessions: Option<u32>,
    /// How to wake one more.
    pub wake: Option<Arc<WakeHandler>>,
    /// Whether the pool outlives its last member, because one went to sleep.
    pub kept: bool,
    /// Where the search for a member begins, so that ties go round.
    pub next: usize,
}

impl Pool {
    /// Whether there is a place for one more line, when `expected` others are on their way.
    pub fn has_place(&self, expected: usize) -> bool {
        self.members.len() + expected < (self.size as usize).min(POOL_MEMBERS_MAX)
    }
}

impl Listing {
    /// Takes a call out of the queue. Those that end by themselves are the oldest and are found at once.
    pub fn stop_waiting(&mut self, call: RecordId) {
        if let Some(at) = self.waiting.iter().position(|&waiting| waiting == call) {
            self.waiting.remove(at);
        }
    }

    /// Whether nobody would miss it.
    pub fn says_nothing(&self) -> bool {
        self.elsewhere.is_none()
            && self.pool.is_none()
            && self.asleep.is_none()
            && self.waiting.is_empty()
            && self.runs.is_empty()
    }

    /// Whether it remembers how to wake an agent that sleeps.
    pub fn has_profile(&self) -> bool {
        self.asleep.is_some() || self.pool.as_ref().is_some_and(|pool| pool.kept)
    }

    /// What that profile costs, in bytes.
    pub fn profile_bytes(&self) -> usize {
        let kept = self.pool.as_ref().filter(|pool| pool.kept).and_then(|pool| pool.wake.as_ref());
        let handler = self.asleep.as_ref().or(kept).map_or(0, |handler| handler.bytes());
        if self.has_profile() { handler + WAKE_PROFILE_OVERHEAD_BYTES } else { 0 }
    }
}

impl Directory {
    /// An empty directory that hashes with `hasher`.
    pub fn new(hasher: ahash::RandomState) -> Self {
        Self {
            sole: Table::default(),
            listings: Keyed::with_hasher(hasher.clone()),
            hasher,
            profile_bytes: 0,
        }
    }

    /// Who holds `address`.
    pub fn find(&self, address: &str, lines: &Rack<Line>) -> Holder {
        if let Some(line) = self.sole(address, lines) {
            return Holder::Here(line);
        }
        let Some(listing) = self.listings.get(address) else { return Holder::Nobody };
        if let Some(line) = listing.elsewhere {
            return Holder::Elsewhere(line);
        }
        if let Some(pool) = &listing.pool {
            return if pool.members.is_empty() { Holder::PoolAsleep } else { Holder::Pool };
        }
        if listing.asleep.is_some() { Holder::Asleep } else { Holder::Nobody }
    }

    /// The one line of this shard that holds `address` plainly.
    pub fn sole(&self, address: &str, lines: &Rack<Line>) -> Option<LineId> {
        let hash = self.hasher.hash_one(address);
        let slot = self.sole.find(hash, |&slot| holds(lines, slot, address))?;
        lines.at(*slot).map(|(handle, _)| LineId(handle))
    }

    /// Lets a line of this shard hold its address plainly. It must be vacant.
    pub fn seat(&mut self, line: LineId, address: &str, lines: &Rack<Line>) {
        debug_assert!(self.sole(address, lines).is_none(), "{address} is held already");
        let hash = self.hasher.hash_one(address);
        let hasher = &self.hasher;
        self.sole.insert_unique(hash, line.slot(), |&slot| hasher.hash_one(address_at(lines, slot)));
    }

    /// Ends a plain hold. The line must still bear the address.
    pub fn unseat(&mut self, line: LineId, address: &str, lines: &Rack<Line>) {
        let hash = self.hasher.hash_one(address);
        self.sole.remove(hash, |&slot| slot == line.slot() && holds(lines, slot, address));
    }

    /// What is not plain about `address`, if anything is.
    pub fn listing(&self, address: &str) -> Option<&Listing> {
        self.listings.get(address)
    }

    /// Changes what is not plain about `address`. A listing that says nothing afterwards is dropped.
    pub fn edit<T>(&mut self, address: &Address, change: impl FnOnce(&mut Listing) -> T) -> T {
        let listing = match self.listings.get_mut(address) {
            Some(listing) => listing,
            None => self.listings.get_or_insert_with(address.detached(), Listing::default),
        };
        let before = listing.profile_bytes();
        let result = change(listing);
        self.profile_bytes = self.profile_bytes + listing.profile_bytes() - before;
        if listing.says_nothing() {
            self.listings.remove(address);
        }
        result
    }

    /// What the stored wake profiles cost together, in bytes.
    pub fn profile_bytes(&self) -> usize {
        self.profile_bytes
    }

    /// Whether no address has a listing: the common case, in which nothing needs to be looked up.
    pub fn is_plain(&self) -> bool {
        self.listings.is_empty()
    }

    /// How many addresses have a listing.
    pub fn listings_len(&self) -> usize {
        self.listings.len()
    }

    /// How many addresses are held plainly.
    pub fn sole_len(&self) -> usize {
        self.sole.len()
    }

    /// Every listing, in no particular order. For checks only.
    pub fn listings(&self) -> impl Iterator<Item = (&Address, &Listing)> {
        self.listings.iter()
    }
}

fn address_at(lines: &Rack<Line>, slot: u32) -> &str {
    lines.at(slot).and_then(|(_, line)| line.address.as_ref()).map_or("", Address::as_str)
}

fn holds(lines: &Rack<Line>, slot: u32, address: &str) -> bool {
    address_at(lines, slot) == address
}
