//! The census: indexes over the registered lines of a shard, for PRESENCE (spec section 16).
//!
//! By domain, by capability and by place, so that a question costs what it finds and not what is there
//! (design.md, D9). Every index is made of [`SlotSet`]s: who is in several of them at once is found without a look at a
//! line. As in the directory, a domain's text is not stored but read from a line that bears it, so a line has to be
//! entered after it was given its address, and taken out before it loses it.

use std::collections::BTreeMap;

use compact_str::CompactString;

use super::address::Address;
use super::event::{Near, PresenceQuery, Profile};
use super::globe::{self, Square};
use super::limits::{PRESENCE_LOOK_STEPS, PRESENCE_STEPS_MAX};
use super::line::Line;
use super::rack::Rack;
use super::slot_set::{Effort, SlotSet};
use super::table::{Keyed, Table};

/// Squares that are counted before a search around a place is chosen over one by the other filters, at most.
const SQUARES_COUNTED_MAX: usize = 4096;

/// The indexes of one shard. Lines are named by their slots.
#[derive(Debug)]
pub struct Census {
    everyone: SlotSet,
    /// Lines by the domain of their addresses. No set is empty.
    domains: Table<SlotSet>,
    capabilities: Keyed<CompactString, SlotSet>,
    /// Lines by the degree square they are in.
    squares: BTreeMap<Square, SlotSet>,
    hasher: ahash::RandomState,
}

impl Census {
    /// An empty census that hashes with `hasher`.
    pub fn new(hasher: ahash::RandomState) -> Self {
        Self {
            everyone: SlotSet::default(),
            domains: Table::default(),
            capabilities: Keyed::with_hasher(hasher.clone()),
            squares: BTreeMap::new(),
            hasher,
        }
    }

    /// How many lines are registered.
    pub fn len(&self) -> usize {
        self.everyone.len()
    }

    /// Whether no line is registered.
    pub fn is_empty(&self) -> bool {
        self.everyone.is_empty()
    }

    /// Enters a line, which bears its address by now.
    pub fn enter(&mut self, slot: u32, lines: &Rack<Line>) {
        self.everyone.insert(slot);
        let domain = domain_of(lines, slot);
        let hash = self.hasher.hash_one(domain.as_str());
        let is_same = |set: &SlotSet| domain_of_all(lines, set) == domain;
        if let Some(set) = self.domains.find_mut(hash, is_same) {
            set.insert(slot);
        } else {
            let hasher = &self.hasher;
            let hash_of = |set: &SlotSet| hasher.hash_one(domain_of_all(lines, set).as_str());
            let mut set = SlotSet::default();
            set.insert(slot);
            self.domains.insert_unique(hash, set, hash_of);
        }
        self.enter_profile(slot, profile_of(lines, slot));
    }

    /// Takes a line out, which still bears its address.
    pub fn leave(&mut self, slot: u32, lines: &Rack<Line>) {
        self.leave_profile(slot, profile_of(lines, slot));
        self.everyone.remove(slot);
        let domain = domain_of(lines, slot);
        let hash = self.hasher.hash_one(domain.as_str());
        let is_same = |set: &SlotSet| domain_of_all(lines, set) == domain;
        let Some(set) = self.domains.find_mut(hash, is_same) else { return };
        if set.len() > 1 || set.first() != Some(slot) {
            set.remove(slot);
        } else {
            // It still has its line, by which it is known.
            self.domains.remove(hash, is_same);
        }
    }

    /// The registered lines from a slot on, of one domain or of all.
    pub fn of_domain_from(
        &self,
        domain: Option<&str>,
        from: u32,
        lines: &Rack<Line>,
    ) -> impl Iterator<Item = u32> {
        let set = match domain {
            Some(domain) => self.domain(&lower(domain), lines),
            None => Some(&self.everyone),
        };
        set.into_iter().flat_map(move |set| set.iter_from(from))
    }

    /// Whether every index has a line that is registered. For checks only.
    pub fn has(&self, slot: u32, lines: &Rack<Line>) -> bool {
        let has = |set: Option<&SlotSet>| set.is_some_and(|set| set.contains(slot));
        let profile = profile_of(lines, slot);
        let mut capabilities = profile.into_iter().flat_map(|profile| &profile.capabilities);
        let square = profile.and_then(|profile| profile.location).map(globe::square);
        self.everyone.contains(slot)
            && has(self.domain(&domain_of(lines, slot), lines))
            && capabilities.all(|capability| has(self.capabilities.get(capability)))
            && square.is_none_or(|square| has(self.squares.get(&square)))
    }

    /// Enters what can be searched for besides the domain.
    pub fn enter_profile(&mut self, slot: u32, profile: Option<&Profile>) {
        let Some(profile) = profile else { return };
        for capability in &profile.capabilities {
            self.capabilities.get_or_insert_with(capability.clone(), SlotSet::default).insert(slot);
        }
        if let Some(place) = profile.location {
            self.squares.entry(globe::square(place)).or_default().insert(slot);
        }
    }

    /// Takes out what can be searched for besides the domain.
    pub fn leave_profile(&mut self, slot: u32, profile: Option<&Profile>) {
        let Some(profile) = profile else { return };
        for capability in &profile.capabilities {
            let Some(set) = self.capabilities.get_mut(capability) else { continue };
            set.remove(slot);
            if set.is_empty() {
                self.capabilities.remove(capability);
            }
        }
        let Some(square) = profile.location.map(globe::square) else { return };
        if let Some(set) = self.squares.get_mut(&square) {
            set.remove(slot);
            if set.is_empty() {
                self.squares.remove(&square);
            }
        }
    }

    /// Shows everybody whom a question asks for to `visit`, but those that the asker may not see, until it says `false`. Says whether the search was given up
    /// before its end, because it cost [`PRESENCE_STEPS_MAX`].
    pub fn search(
        &self,
        query: &PresenceQuery,
        lines: &Rack<Line>,
        may_see: impl Fn(u32) -> bool,
        mut visit: impl FnMut(u32) -> bool,
    ) -> bool {
        let effort = Effort::of(PRESENCE_STEPS_MAX);
        let Some(mut sets) = self.filters(query, lines) else { return false };
        let fewest = sets.iter().map(|set| set.len()).min().unwrap_or(self.len());
        // Whoever is near is found and paid for by the limit on answers; whoever is not was looked at for nothing.
        let mut look = |slot| match query.near {
            Some(near) if !is_around(near, profile_of(lines, slot)) => effort.spend(PRESENCE_LOOK_STEPS),
            _ if !may_see(slot) => effort.spend(PRESENCE_LOOK_STEPS),
            _ => visit(slot),
        };
        if let Some(near) = query.near.filter(|&near| self.are_at_most(fewest, near)) {
            let mut around = self.around(near).flat_map(SlotSet::iter);
            around.all(|slot| match SlotSet::all_contain(&sets, slot, &effort) {
                true => look(slot),
                false => !effort.is_exceeded(),
            });
        } else {
            if sets.is_empty() {
                sets.push(&self.everyone);
            }
            SlotSet::shared(&sets, &effort, look);
        }
        effort.is_exceeded()
    }

    /// Those who pass each filter but that of distance; `None` if nobody passes one of them.
    fn filters(&self, query: &PresenceQuery, lines: &Rack<Line>) -> Option<Vec<&SlotSet>> {
        let domain = query.domain.as_ref().map(|domain| self.domain(domain, lines));
        let capabilities = query.capabilities.iter().map(|capability| self.capabilities.get(capability));
        domain.into_iter().chain(capabilities).collect()
    }

    fn domain(&self, domain: &CompactString, lines: &Rack<Line>) -> Option<&SlotSet> {
        let hash = self.hasher.hash_one(domain.as_str());
        self.domains.find(hash, |set| domain_of_all(lines, set) == *domain)
    }

    /// Whether at most so many lines are in the squares that a circle touches, or few squares hold those that it does.
    fn are_at_most(&self, most: usize, near: Near) -> bool {
        self.around(near).take(SQUARES_COUNTED_MAX).map(SlotSet::len).sum::<usize>() <= most
    }

    /// The squares that a circle touches, and that of those who are nowhere on the globe.
    fn around(&self, near: Near) -> impl Iterator<Item = &SlotSet> {
        globe::window(near).flat_map(|range| self.squares.range(range)).map(|(_, set)| set)
    }
}

/// Whether a line with this domain and profile is what the question asks for (spec section 16): what a search must find,
/// said without an index.
pub fn matches(query: &PresenceQuery, domain: &str, profile: Option<&Profile>) -> bool {
    let domain_fits = query.domain.as_ref().is_none_or(|wanted| *wanted == lower(domain));
    let offered = profile.map_or(&[][..], |profile| &profile.capabilities);
    let has_all = query.capabilities.iter().all(|capability| offered.contains(capability));
    domain_fits && has_all && query.near.is_none_or(|near| is_around(near, profile))
}

fn is_around(near: Near, profile: Option<&Profile>) -> bool {
    profile.and_then(|profile| profile.location).is_some_and(|place| globe::is_near(near, place))
}

/// Domains are compared without regard to case.
pub fn lower(text: &str) -> CompactString {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        CompactString::new(text)
    } else {
        CompactString::from(text.to_lowercase())
    }
}

/// The domain of a line, as domains are compared.
fn domain_of(lines: &Rack<Line>, slot: u32) -> CompactString {
    let address = lines.at(slot).and_then(|(_, line)| line.address.as_ref());
    lower(address.map_or("", Address::domain))
}

/// The domain that the members of a set have in common.
fn domain_of_all(lines: &Rack<Line>, set: &SlotSet) -> CompactString {
    set.first().map_or(CompactString::default(), |slot| domain_of(lines, slot))
}

fn profile_of(lines: &Rack<Line>, slot: u32) -> Option<&Profile> {
    lines.at(slot).and_then(|(_, line)| line.profile.as_deref())
}

#[cfg(test)]
mod tests;
