//! How much somebody presses on a line that does not take what it is sent (design.md, D7): what a message weighs there, and who has
//! said how much in parties.
//!
//! A message weighs what it takes on the wire, or whoever says nothing, a million times, would weigh less than one who has said something
//! once. Words in parties have no call that could be weighed; they are weighed by speaker, for each tie line, and as
//! an address is all that other exchanges say of a speaker, there are bounds on how many are known. Nothing here emits effects.

use std::collections::HashMap;

use super::address::Address;
use super::limits::PRESSING_SPEAKERS_MAX;

/// What a message takes besides its data, in bytes: the frame, the names of its fields, a call's id, an address.
const FRAME_BYTES: u64 = 128;

/// What a message weighs, in bytes.
pub fn weight(data: Option<&[u8]>) -> u64 {
    FRAME_BYTES + data.map_or(0, |data| data.len() as u64)
}

/// Somebody who speaks in a party.
pub type Speaker = (Address, Address);

/// What has been said to a tie line in parties since its output began to pile up, in bytes, by party and speaker.
#[derive(Debug)]
pub struct Speakers {
    said: HashMap<Speaker, u64, ahash::RandomState>,
}

impl Speakers {
    /// Nobody has said anything.
    pub fn with_hasher(hasher: ahash::RandomState) -> Self {
        Self { said: HashMap::with_hasher(hasher) }
    }

    /// Somebody has said something. If there are as many as there may be, whoever has said least makes room and leaves his weight
    /// behind: so nobody who says much is ever forgotten, however many others there are.
    pub fn count(&mut self, party: &Address, from: &Address, bytes: u64) {
        let speaker = (party.clone(), from.clone());
        if let Some(said) = self.said.get_mut(&speaker) {
            *said += bytes;
            return;
        }
        let is_full = self.said.len() >= PRESSING_SPEAKERS_MAX;
        let least = if is_full { self.lightest() } else { None };
        let left = least.and_then(|least| self.said.remove(&least)).unwrap_or_default();
        self.said.insert((party.detached(), from.detached()), left + bytes);
    }

    fn lightest(&self) -> Option<Speaker> {
        let lighter = |speaker: &Speaker| (speaker.0.as_str().to_owned(), speaker.1.as_str().to_owned());
        let least = self.said.values().min()?;
        // One and the same in every run: hash tables have no order.
        let lightest = self.said.iter().filter(|(_, said)| *said == least).map(|(speaker, _)| speaker);
        lightest.min_by_key(|speaker| lighter(speaker)).cloned()
    }

    /// From now on is counted anew.
    pub fn clear(&mut self) {
        self.said.clear();
    }

    /// What this one has said is forgotten.
    pub fn forget(&mut self, speaker: &Speaker) {
        self.said.remove(speaker);
    }

    /// All, in a fixed order, with the bytes of each.
    pub fn all(&self) -> Vec<(u64, Speaker)> {
        let mut all: Vec<_> = self.said.iter().map(|(speaker, &bytes)| (bytes, speaker.clone())).collect();
        let name = |speaker: &Speaker| (speaker.0.as_str().to_owned(), speaker.1.as_str().to_owned());
        all.sort_by_cached_key(|(_, speaker)| name(speaker));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn a_message_without_data_weighs_something() {
        assert!(weight(None) > 0);
        assert_eq!(weight(Some(b"xyz")), weight(None) + 3);
    }

    #[test]
    fn whoever_says_much_is_known_however_many_others_there_are() {
        let mut speakers = Speakers::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4));
        let (room, loud) = (address("room@x.test"), address("loud@x.test"));
        for n in 0..2 * PRESSING_SPEAKERS_MAX {
            speakers.count(&room, &address(&format!("soft{n}@x.test")), 10);
            speakers.count(&room, &loud, 1000);
        }
        let all = speakers.all();
        assert_eq!(all.len(), PRESSING_SPEAKERS_MAX);
        let heaviest = all.into_iter().max_by_key(|&(bytes, _)| bytes).expect("there are some");
        assert_eq!(heaviest, (2000 * PRESSING_SPEAKERS_MAX as u64, (room.clone(), loud.clone())));
        speakers.forget(&(room, loud));
        assert!(speakers.all().iter().all(|&(bytes, _)| bytes <= 30));
        speakers.clear();
        assert!(speakers.all().is_empty());
    }
}
