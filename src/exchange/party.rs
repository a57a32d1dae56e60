//! Party lines: named conversations of many, each on the home shard of its name (spec sections 17, 19.7).
//!
//! The host keeps the members in the order in which they came and counts them by shard and by tie line, so that what one says
//! crosses each trunk and each tie line once. A party that another exchange hosts is known here by those members only who
//! are here, or come by way of here; each of them *waits* until the host has let it in. Nothing here emits effects.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::address::Address;
use super::cause::Cause;
use super::ids::LineId;
use super::time::Tick;
use super::timers::TimerId;

/// Who is in a party, as its home knows it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Member {
    /// A line of this exchange.
    Line(LineId),
    /// Somebody who comes by a tie line.
    Far {
        /// The tie line.
        tie: LineId,
        /// The name by which the other exchange knows it.
        address: Address,
    },
}

impl Member {
    /// The tie line by which it comes.
    pub fn tie(&self) -> Option<LineId> {
        match self {
            Self::Line(_) => None,
            Self::Far { tie, .. } => Some(*tie),
        }
    }
}

/// What is known of a member.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The address by which it is known.
    pub address: Address,
    /// Which JOIN of it was the last: an answer bears this.
    pub ticket: u32,
    /// Whether the host has let it in.
    pub is_in: bool,
}

/// The exchange that hosts a party, and those who wait for its word.
#[derive(Debug)]
pub struct Upstream {
    /// The tie line that leads there.
    pub tie: LineId,
    /// Who waits, the oldest first, and until when.
    pub waiting: IndexMap<Member, Tick, ahash::RandomState>,
    /// Runs while somebody waits.
    pub timer: Option<TimerId>,
}

/// A named conversation of many.
#[derive(Debug)]
pub struct PartyLine {
    /// Its name.
    pub name: Address,
    /// The way to its host; `None` if that is this exchange.
    pub upstream: Option<Box<Upstream>>,
    members: IndexMap<Member, Guest, ahash::RandomState>,
    per_shard: Vec<u32>,
    per_tie: IndexMap<LineId, u32, ahash::RandomState>,
}

impl PartyLine {
    /// A party without members, in an exchange of `shards` shards; hosted elsewhere if there is a tie line that leads there.
    pub fn new(name: Address, upstream: Option<LineId>, shards: usize, hasher: ahash::RandomState) -> Self {
        let waiting = IndexMap::with_hasher(hasher.clone());
        let upstream = upstream.map(|tie| Box::new(Upstream { tie, waiting, timer: None }));
        let per_tie = IndexMap::with_hasher(hasher.clone());
        Self { name, upstream, members: IndexMap::with_hasher(hasher), per_shard: vec![0; shards], per_tie }
    }

    /// Why somebody cannot be a member. Whoever is one already can.
    pub fn objection(&self, member: &Member, address: &Address, members_max: usize) -> Option<Cause> {
        if self.members.contains_key(member) {
            return None;
        }
        if let Some(tie) = member.tie() {
            // Its host cannot tell two of the same name apart; most likely this is a member whose JOIN has come back.
            if self.is_led_by(tie) || (self.upstream.is_some() && self.bears(address)) {
                return Some(Cause::LoopDetected);
            }
            // Nobody elsewhere can speak for a line of this exchange.
            if self.lines_of(address).next().is_some() {
                return Some(Cause::AddressInUse);
            }
        }
        (self.members.len() >= members_max).then_some(Cause::PartyFull)
    }

    /// Adds a member, who is in at once unless another exchange has to say so; of one who is there, the ticket is changed.
    pub fn add(&mut self, member: Member, address: Address, ticket: u32) {
        if let Some(guest) = self.members.get_mut(&member) {
            guest.ticket = ticket;
            return;
        }
        match &member {
            Member::Line(line) => self.per_shard[line.shard().index()] += 1,
            Member::Far { tie, .. } => *self.per_tie.entry(*tie).or_default() += 1,
        }
        let is_in = self.upstream.is_none();
        self.members.insert(member, Guest { address, ticket, is_in });
    }

    /// The host has let a member in.
    pub fn admit(&mut self, member: &Member) {
        if let Some(guest) = self.members.get_mut(member) {
            guest.is_in = true;
        }
    }

    /// Lets a member out. The others keep their order.
    pub fn remove(&mut self, member: &Member) -> Option<Guest> {
        let guest = self.members.shift_remove(member)?;
        match member {
            Member::Line(line) => self.per_shard[line.shard().index()] -= 1,
            Member::Far { tie, .. } => {
                let count = self.per_tie.get_mut(tie)?;
                *count -= 1;
                if *count == 0 {
                    self.per_tie.swap_remove(tie);
                }
            }
        }
        Some(guest)
    }

    /// Lets everybody out who came by a tie line, and gives their addresses.
    pub fn remove_tie(&mut self, tie: LineId) -> Vec<Address> {
        let mut gone = Vec::new();
        if self.per_tie.swap_remove(&tie).is_none() {
            return gone;
        }
        self.members.retain(|member, guest| {
            let stays = member.tie() != Some(tie);
            if !stays {
                gone.push(guest.address.clone());
            }
            stays
        });
        if let Some(upstream) = &mut self.upstream {
            upstream.waiting.retain(|member, _| member.tie() != Some(tie));
        }
        gone
    }

    /// What is known of a member.
    pub fn guest(&self, member: &Member) -> Option<&Guest> {
        self.members.get(member)
    }

    /// The same of one who is in.
    pub fn insider(&self, member: &Member) -> Option<&Guest> {
        self.guest(member).filter(|guest| guest.is_in)
    }

    /// The member that is meant by `to`, of those who wait before the others; without it the one who has waited longest.
    pub fn meant(&self, to: Option<&Address>) -> Option<Member> {
        let mut waiting = self.upstream.iter().flat_map(|upstream| upstream.waiting.keys());
        let Some(to) = to else { return waiting.next().cloned() };
        let bears = |member: &&Member| self.guest(member).is_some_and(|guest| guest.address == *to);
        waiting.find(bears).or_else(|| self.members.keys().find(bears)).cloned()
    }

    /// Gives a member another address, and gives the one it had.
    pub fn rename(&mut self, member: &Member, address: Address) -> Option<Address> {
        let guest = self.members.get_mut(member)?;
        Some(std::mem::replace(&mut guest.address, address))
    }

    /// Whether the party is hosted by way of a tie line.
    pub fn is_led_by(&self, tie: LineId) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| upstream.tie == tie)
    }

    /// Whether any member goes by an address.
    pub fn bears(&self, address: &Address) -> bool {
        self.members.values().any(|guest| guest.address == *address)
    }

    /// The lines that go by an address: one, but for pools and those who have changed their names.
    pub fn lines_of(&self, address: &Address) -> impl Iterator<Item = LineId> {
        self.members.iter().filter_map(move |(member, guest)| match member {
            Member::Line(line) if guest.address == *address => Some(*line),
            _ => None,
        })
    }

    /// Every address that somebody goes by.
    pub fn addresses(&self) -> HashSet<&Address> {
        self.members.values().map(|guest| &guest.address).collect()
    }

    /// Whether nobody is in.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members each shard has.
    pub fn per_shard(&self) -> &[u32] {
        &self.per_shard
    }

    /// How many members come by each tie line.
    pub fn per_tie(&self) -> impl Iterator<Item = (LineId, u32)> {
        self.per_tie.iter().map(|(&tie, &count)| (tie, count))
    }

    /// Whose seats end when the words of `from` fill a tie line: his own, or, if he sits beyond the host, those of all who hear him by way
    /// of the tie line.
    pub fn pressing(&self, tie: LineId, from: &Address) -> Vec<Member> {
        let insiders = self.members.iter().filter(|(_, guest)| guest.is_in);
        let (own, heard): (Vec<_>, Vec<_>) = insiders
            .filter(|(member, guest)| guest.address == *from || member.tie() == Some(tie))
            .partition(|(_, guest)| guest.address == *from);
        let meant = if own.is_empty() { heard } else { own };
        meant.into_iter().map(|(member, _)| member.clone()).collect()
    }

    /// The tie lines that are to be told what `from` says: those by which somebody else comes. One that is itself in the
    /// party hears it as a member, unless it is the one that speaks.
    pub fn ties_to_tell(&self, from: &Address, speaker: Option<LineId>) -> Vec<LineId> {
        let needs = |&(tie, count): &(LineId, u32)| {
            let is_only_his = count == 1 && {
                let member = Member::Far { tie, address: from.clone() };
                self.members.contains_key(&member)
            };
            let hears = Some(tie) != speaker && self.insider(&Member::Line(tie)).is_some();
            !is_only_his && !hears
        };
        self.per_tie().filter(needs).map(|(tie, _)| tie).collect()
    }

    /// Everybody's address, in the order in which they came.
    pub fn participants(&self) -> Arc<[Address]> {
        self.members.values().map(|guest| guest.address.clone()).collect()
    }

    /// Everybody.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Member, &Guest)> {
        self.members.iter()
    }
}

/// Those of an audience who do not get a publication.
#[derive(Debug)]
pub enum Except {
    /// All get it.
    Nobody,
    /// The one who speaks.
    Line(LineId),
    /// All who go by the name of the one who speaks, far away.
    Lines(IndexSet<LineId, ahash::RandomState>),
}

impl Except {
    /// Whether a line does not get it.
    pub fn has(&self, line: LineId) -> bool {
        match self {
            Self::Nobody => false,
            Self::Line(except) => *except == line,
            Self::Lines(lines) => lines.contains(&line),
        }
    }
}
