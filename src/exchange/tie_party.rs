//! What exchanges say to each other about party lines (spec section 19.7), and what a tie line remembers of it.
//!
//! A party has one host. Whoever is elsewhere takes part by way of a tie line: there the participants have *seats*, as lines
//! have, and the exchange that they come from knows the tie line as the one that *leads* to the party. A tie line knows
//! all parties that have to do with it, so that its loss costs no more than those. Nothing here emits effects.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::address::Address;
use super::cause::Cause;
use super::event::{ContentType, Verb};
use super::ids::LineId;
use super::limits::PARTY_SEATS_PER_TIE_MAX;
use super::press::Speakers;

/// Something said about a party, from exchange to exchange.
#[derive(Debug)]
pub struct PartyTalk {
    /// The party.
    pub party: Address,
    /// What.
    pub word: PartyWord,
}

/// What exchanges say about a party.
#[derive(Clone, Debug)]
pub enum PartyWord {
    /// To the host: somebody wants in.
    Join {
        /// Who.
        from: Address,
        /// Whether to make the party if nobody is in it.
        create_if_missing: bool,
        /// How many exchanges it has come through, as far as they say so.
        hops: u8,
    },
    /// From the host: somebody is in.
    Joined {
        /// Who; `None` = whoever has waited longest.
        to: Option<Address>,
        /// Everybody in it, in the order in which they came.
        participants: Arc<[Address]>,
    },
    /// From the host: somebody is not in, or no longer.
    Failed {
        /// Who; `None` = whoever has waited longest.
        to: Option<Address>,
        /// Why.
        cause: Cause,
    },
    /// Either way: somebody says something.
    Says {
        /// Who.
        from: Address,
        /// What.
        data: Option<Bytes>,
        /// How to read it, if said.
        content_type: Option<ContentType>,
    },
    /// To the host: somebody leaves.
    Leave {
        /// Who.
        from: Address,
    },
}

impl PartyWord {
    /// The name of the request that says this.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Join { .. } => Verb::JoinForward,
            Self::Says { .. } => Verb::PartyMessage,
            Self::Leave { .. } => Verb::Leave,
            Self::Joined { .. } | Self::Failed { .. } => Verb::Tie,
        }
    }
}

/// [`PartyTalk`] on its way between a tie line's shard and the party's home.
#[derive(Debug)]
pub struct TieTalk {
    /// The tie line.
    pub tie: LineId,
    /// Which JOIN of the participant an answer is for; see [`TieParties`].
    pub ticket: u32,
    /// What is said.
    pub talk: PartyTalk,
}

/// The parties that have to do with a tie line.
///
/// Each JOIN has a ticket, which the answer bears: so an answer to a JOIN that was taken back is not taken for that to the next.
#[derive(Debug)]
pub struct TieParties {
    parties: HashMap<Address, TieParty, ahash::RandomState>,
    /// Seats, and parties that the tie line leads to.
    len: usize,
    /// Who presses, while the tie line's output piles up; else nobody.
    pub speakers: Speakers,
}

#[derive(Default, Debug)]
struct TieParty {
    /// The participants who come by the tie line, with the tickets of their last JOINs.
    seats: HashMap<Address, u32, ahash::RandomState>,
    /// Whether the party is hosted there, or beyond.
    leads: bool,
}

impl TieParties {
    /// No parties.
    pub fn with_hasher(hasher: ahash::RandomState) -> Self {
        let speakers = Speakers::with_hasher(hasher.clone());
        Self { parties: HashMap::with_hasher(hasher), len: 0, speakers }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parties.is_empty()
    }

    /// Whether a party has to do with the tie line.
    pub fn knows(&self, party: &Address) -> bool {
        self.parties.contains_key(party)
    }

    /// Whether a party is hosted by way of the tie line.
    pub fn leads_to(&self, party: &Address) -> bool {
        self.parties.get(party).is_some_and(|party| party.leads)
    }

    /// The ticket of a participant's last JOIN.
    pub fn ticket(&self, party: &Address, participant: &Address) -> Option<u32> {
        self.parties.get(party)?.seats.get(participant).copied()
    }

    /// Gives a participant a seat, or the one it has another ticket; `false` if there are as many as there may be.
    pub fn sit(&mut self, party: &Address, participant: &Address, ticket: u32) -> bool {
        let is_new = self.ticket(party, participant).is_none();
        if is_new && self.len >= PARTY_SEATS_PER_TIE_MAX {
            return false;
        }
        self.len += usize::from(is_new);
        self.entry(party).seats.insert(participant.clone(), ticket);
        true
    }

    /// Takes a participant's seat; whether it had one.
    pub fn rise(&mut self, party: &Address, participant: &Address) -> bool {
        let Some(entry) = self.parties.get_mut(party) else { return false };
        let had_seat = entry.seats.remove(participant).is_some();
        self.len -= usize::from(had_seat);
        self.drop_empty(party);
        had_seat
    }

    /// The tie line leads to a party from now on; `false` if there are as many as there may be.
    pub fn lead(&mut self, party: &Address) -> bool {
        if self.leads_to(party) {
            return true;
        }
        if self.len >= PARTY_SEATS_PER_TIE_MAX {
            return false;
        }
        self.len += 1;
        self.entry(party).leads = true;
        true
    }

    /// The tie line leads to a party no longer.
    pub fn stop_leading(&mut self, party: &Address) {
        let Some(entry) = self.parties.get_mut(party) else { return };
        self.len -= usize::from(std::mem::take(&mut entry.leads));
        self.drop_empty(party);
    }

    /// All parties in a fixed order.
    pub fn names(&self) -> Vec<Address> {
        let mut names: Vec<_> = self.parties.keys().cloned().collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names
    }

    /// All seats, in no particular order. For checks only.
    pub fn seats(&self) -> impl Iterator<Item = (&Address, &Address, u32)> {
        self.parties
            .iter()
            .flat_map(|(name, party)| party.seats.iter().map(move |(who, &ticket)| (name, who, ticket)))
    }

    /// Whether the count is right. For checks only.
    pub fn is_counted(&self) -> bool {
        let leads = self.parties.values().filter(|party| party.leads).count();
        let is_needed = |party: &TieParty| party.leads || !party.seats.is_empty();
        self.len == self.seats().count() + leads && self.parties.values().all(is_needed)
    }

    fn entry(&mut self, party: &Address) -> &mut TieParty {
        let hasher = self.parties.hasher().clone();
        let make = || TieParty { seats: HashMap::with_hasher(hasher), leads: false };
        self.parties.entry(party.clone()).or_insert_with(make)
    }

    fn drop_empty(&mut self, party: &Address) {
        if self.parties.get(party).is_some_and(|party| !party.leads && party.seats.is_empty()) {
            self.parties.remove(party);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn a_party_is_known_as_long_as_somebody_sits_in_it_or_it_is_led_to() {
        let mut parties = TieParties::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4));
        let (room, x) = (address("room@x.test"), address("x@h.test"));
        assert!(parties.sit(&room, &x, 1) && parties.sit(&room, &x, 2) && parties.lead(&room));
        assert_eq!(parties.ticket(&room, &x), Some(2));
        assert!(parties.rise(&room, &x) && !parties.rise(&room, &x));
        assert!(parties.knows(&room) && parties.is_counted());
        parties.stop_leading(&room);
        parties.stop_leading(&room);
        assert!(parties.is_empty() && parties.is_counted());
    }

    #[test]
    fn there_are_no_more_seats_than_there_may_be() {
        let mut parties = TieParties::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4));
        let (room, hall, x) = (address("room@x.test"), address("hall@x.test"), address("x@h.test"));
        for n in 0..PARTY_SEATS_PER_TIE_MAX {
            assert!(parties.sit(&room, &address(&format!("x{n}@h.test")), 0));
        }
        assert!(!parties.sit(&room, &x, 0) && !parties.lead(&hall));
        assert!(parties.rise(&room, &address("x7@h.test")) && parties.lead(&hall) && parties.is_counted());
    }
}
