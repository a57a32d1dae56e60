//! How much somebody presses on a line that does not take what it is sent (design.md, D7): what a message weighs there, and who has
//! said how much in parties.
//!
//! A message weighs what it takes on the wire, or whoever says nothing, a million times, would weigh less than one who has said something
//! once. Words in parties have no call that could be weighed; they are weighed by speaker, for each tie line, and as
//! an address is all that other exchanges say of a speaker, there are bounds on how many are known. However many speak, a word costs
//! a look-up and a few steps in a heap, because anybody can speak as often as he likes. Nothing here emits effects.

use indexmap::{Equivalent, IndexMap};

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

/// The same, to be looked up: without a copy, whose counter another thread may hold.
#[derive(Hash)]
struct Named<'a> {
    party: &'a Address,
    from: &'a Address,
}

impl Equivalent<Speaker> for Named<'_> {
    fn equivalent(&self, (party, from): &Speaker) -> bool {
        self.party == party && self.from == from
    }
}

/// What has been said to a tie line in parties while its output piles up, in bytes, by party and speaker.
///
/// The lightest is at hand at all times: those known are in a heap, whose order is that in which they were counted, never that of a
/// hash table, so that every run forgets the same.
#[derive(Debug)]
pub struct Speakers {
    said: IndexMap<Speaker, Said, ahash::RandomState>,
    /// Where in `said` they are; nobody is heavier than those at twice his place and one or two.
    heap: Vec<usize>,
    /// How many weights have been looked at: what it costs.
    #[cfg(test)]
    looks: std::cell::Cell<usize>,
}

/// What one has said.
#[derive(Debug)]
struct Said {
    bytes: u64,
    /// His place in the heap.
    place: usize,
}

impl Speakers {
    /// Nobody has said anything.
    pub fn with_hasher(hasher: ahash::RandomState) -> Self {
        Self {
            said: IndexMap::with_hasher(hasher),
            heap: Vec::new(),
            #[cfg(test)]
            looks: std::cell::Cell::default(),
        }
    }

    /// Whether nobody has said anything.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Somebody has said something. If there are as many as there may be, whoever has said least makes room and leaves his weight
    /// behind: so nobody who says much is ever forgotten, however many others there are. Allocates only for whom it does not know.
    pub fn count(&mut self, party: &Address, from: &Address, bytes: u64) {
        if let Some(said) = self.said.get_mut(&Named { party, from }) {
            said.bytes += bytes;
            let place = said.place;
            self.sink(place);
            return;
        }
        let speaker = (party.detached(), from.detached());
        if self.said.len() >= PRESSING_SPEAKERS_MAX {
            return self.supplant_lightest(speaker, bytes);
        }
        let place = self.heap.len();
        self.heap.push(self.said.len());
        self.said.insert(speaker, Said { bytes, place });
        self.rise(place);
    }

    fn supplant_lightest(&mut self, speaker: Speaker, bytes: u64) {
        let Some(&lightest) = self.heap.first() else { return };
        if self.said.replace_index(lightest, speaker).is_ok() {
            self.said[lightest].bytes += bytes;
            self.sink(0);
        }
    }

    /// From now on is counted anew.
    pub fn clear(&mut self) {
        self.said.clear();
        self.heap.clear();
    }

    /// What this one has said is forgotten.
    pub fn forget(&mut self, speaker: &Speaker) {
        let Some((index, _, &Said { place, .. })) = self.said.get_full(speaker) else { return };
        self.swap(place, self.heap.len() - 1);
        self.heap.pop();
        if place < self.heap.len() {
            self.rise(place);
            self.sink(place);
        }
        self.said.swap_remove_index(index);
        // The last one has taken his index.
        if let Some((_, moved)) = self.said.get_index(index) {
            self.heap[moved.place] = index;
        }
    }

    /// All, in a fixed order, with the bytes of each.
    pub fn all(&self) -> Vec<(u64, Speaker)> {
        let all = self.said.iter().map(|(speaker, said)| (said.bytes, speaker.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
        all
    }

    /// Whoever is at this place goes up as long as he is lighter than the one above him.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let above = (place - 1) / 2;
            if self.bytes_at(above) <= self.bytes_at(place) {
                return;
            }
            self.swap(place, above);
            place = above;
        }
    }

    /// Whoever is at this place goes down as long as one of the two below him is lighter.
    fn sink(&mut self, mut place: usize) {
        loop {
            let below = (2 * place + 1..2 * place + 3).filter(|&place| place < self.heap.len());
            let Some(lighter) = below.min_by_key(|&place| self.bytes_at(place)) else { return };
            if self.bytes_at(lighter) >= self.bytes_at(place) {
                return;
            }
            self.swap(place, lighter);
            place = lighter;
        }
    }

    fn bytes_at(&self, place: usize) -> u64 {
        #[cfg(test)]
        self.looks.update(|looks| looks + 1);
        self.said[self.heap[place]].bytes
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.said[self.heap[a]].place = a;
        self.said[self.heap[b]].place = b;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    fn speakers() -> Speakers {
        Speakers::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4))
    }

    /// The same numbers in every run (an LCG of Knuth's).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    fn assert_heap(speakers: &Speakers) {
        assert_eq!(speakers.heap.len(), speakers.said.len());
        for (place, &index) in speakers.heap.iter().enumerate() {
            assert_eq!(speakers.said[index].place, place);
            assert!(place == 0 || speakers.bytes_at((place - 1) / 2) <= speakers.bytes_at(place));
        }
    }

    #[test]
    fn a_message_without_data_weighs_something() {
        assert!(weight(None) > 0);
        assert_eq!(weight(Some(b"xyz")), weight(None) + 3);
    }

    #[test]
    fn whoever_says_much_is_known_however_many_others_there_are() {
        let mut speakers = speakers();
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

    /// Whatever is said by whom in what order: whoever has said more than his share of all is known, for no less than he has said and
    /// at most a share more; and what all weigh together is what all have said.
    #[test]
    fn nobody_is_forgotten_who_has_said_more_than_his_share() {
        let room = address("room@x.test");
        let names: Vec<_> =
            (0..5 * PRESSING_SPEAKERS_MAX).map(|n| address(&format!("a{n}@x.test"))).collect();
        for seed in 0..5 {
            let (mut dice, mut speakers, mut truth) = (Dice(seed), speakers(), BTreeMap::new());
            for _ in 0..10 * names.len() {
                // The product makes a few loud and most of them soft.
                let who =
                    dice.below(names.len() as u64) * dice.below(names.len() as u64) / names.len() as u64;
                let (name, bytes) = (&names[who as usize], weight(None) + dice.below(2000));
                speakers.count(&room, name, bytes);
                *truth.entry(name).or_insert(0) += bytes;
            }
            assert_heap(&speakers);
            let total: u64 = truth.values().sum();
            let share = total / PRESSING_SPEAKERS_MAX as u64;
            let known: BTreeMap<_, _> =
                speakers.all().into_iter().map(|(bytes, (_, name))| (name, bytes)).collect();
            assert_eq!((known.len(), known.values().sum::<u64>()), (PRESSING_SPEAKERS_MAX, total));
            let loud = truth.values().filter(|&&bytes| bytes > share).count();
            assert!(loud > 0 && loud < truth.len(), "{loud} have said more than their share");
            for (&name, &bytes) in &truth {
                let counted = known.get(name).copied();
                assert!(counted.is_some() || bytes <= share, "{name} is known");
                assert!(counted.is_none_or(|counted| (bytes..=bytes + share).contains(&counted)), "{name}");
            }
        }
    }

    /// What is kept depends on what was said and not on the order of a hash table.
    #[test]
    fn every_run_forgets_the_same() {
        let run = |seed| {
            let mut dice = Dice(7);
            let mut speakers = Speakers::with_hasher(ahash::RandomState::with_seeds(seed, 2, 3, 4));
            for n in 0..4 * PRESSING_SPEAKERS_MAX {
                let [party, from] =
                    [dice.below(50), dice.below(100)].map(|n| address(&format!("a{n}@x.test")));
                speakers.count(&party, &from, 128);
                if n % 10 == 0 {
                    speakers.forget(&(party, from));
                    assert_heap(&speakers);
                }
            }
            speakers.all()
        };
        assert_eq!(run(1), run(99));
    }

    /// A word of somebody beyond those known cost a look at all of them, and copies of the names of all that weighed the least.
    #[test]
    fn a_word_costs_a_few_looks_however_many_speak() {
        // On each level of the heap: at the two below, then at the lighter and the one above once more.
        let looks_max = 4 * (PRESSING_SPEAKERS_MAX.ilog2() as usize + 1);
        let room = address("room@x.test");
        for crowd in [500, 1100, 5000] {
            let mut speakers = speakers();
            for n in 0..4 * crowd {
                let before = speakers.looks.get();
                speakers.count(&room, &address(&format!("a{}@x.test", n % crowd)), 128);
                let looks = speakers.looks.get() - before;
                assert!(looks <= looks_max, "{looks} looks for word {n} of {crowd} speakers");
            }
        }
    }
}
