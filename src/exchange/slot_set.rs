//! Sets of lines, named by their slots: what the census's indexes are made of.
//!
//! A shard holds as many sets as it has domains, capabilities and places, from one member to all its lines, so a set
//! takes the shape that its size asks for: up to three slots in the 16 bytes of the set itself, then a sorted list, then
//! one bit for each slot up to its largest. A list is never longer than a bit set would be worth, which bounds the work of
//! entering; members of several sets at once are found by comparing lists and words, without a look at any line.

use std::cell::Cell;

/// Slots that a set holds without memory of its own.
const FEW: usize = 3;
/// A list becomes a bit set when that costs at most so many bytes a member: a list of a thousandth of a million lines
/// stays one, a list that takes microseconds to insert into does not.
const DENSE_BYTES: usize = 32;
/// A bit set becomes a list again when it costs more than so many bytes a member. Twice the other, so that a member who
/// comes and goes does not turn a set over each time.
const SPARSE_BYTES: usize = 64;
/// Lists shorter than this are good enough, however low their slots are.
const DENSE_LEN_MIN: usize = 64;
/// What a test of one member costs in [`Effort`], at most: the steps of a binary search.
const PROBE_STEPS: usize = 16;

/// A set of slots.
#[derive(Debug)]
pub enum SlotSet {
    /// Sorted, the first `len` of them.
    Few {
        /// How many there are.
        len: u8,
        /// They.
        slots: [u32; FEW],
    },
    /// Sorted.
    List(Box<List>),
    /// A bit each.
    Bits(Box<Bits>),
}

/// Sorted slots. In a box, so that small sets need not have room for it.
#[derive(Default, Debug)]
pub struct List {
    slots: Vec<u32>,
}

/// One bit for each slot up to the largest.
#[derive(Default, Debug)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

/// How much a search may still do, in steps of one or two nanoseconds: a comparison of slots or of words.
#[derive(Debug)]
pub struct Effort {
    left: Cell<usize>,
    exceeded: Cell<bool>,
}

impl Effort {
    /// So many steps.
    pub fn of(steps: usize) -> Self {
        Self { left: Cell::new(steps), exceeded: Cell::new(false) }
    }

    /// Takes some steps. Says whether any were left; the last ones may be more than that, so that a search which ends
    /// just then has not exceeded anything.
    pub fn spend(&self, steps: usize) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(steps));
        self.exceeded.set(self.exceeded.get() | (left == 0));
        left > 0
    }

    /// Whether steps were wanted when none were left.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }
}

impl Default for SlotSet {
    fn default() -> Self {
        Self::Few { len: 0, slots: [0; FEW] }
    }
}

/// A set that is no bit set, or one that is.
enum View<'a> {
    List(&'a [u32]),
    Bits(&'a Bits),
}

impl SlotSet {
    fn view(&self) -> View<'_> {
        match self {
            Self::Few { len, slots } => View::List(&slots[..usize::from(*len)]),
            Self::List(list) => View::List(&list.slots),
            Self::Bits(bits) => View::Bits(bits),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.view() {
            View::List(slots) => slots.len(),
            View::Bits(bits) => bits.len,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `slot` is among them.
    pub fn contains(&self, slot: u32) -> bool {
        match self.view() {
            View::List(slots) => slots.binary_search(&slot).is_ok(),
            View::Bits(bits) => bits.contains(slot),
        }
    }

    /// The lowest.
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// All of them, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let (list, words) = match self.view() {
            View::List(slots) => (slots, &[][..]),
            View::Bits(bits) => (&[][..], &bits.words[..]),
        };
        list.iter().copied().chain(words.iter().enumerate().flat_map(|(at, &word)| ones(at, word)))
    }

    /// Those from a slot on, lowest first. What is below is not walked through.
    pub fn iter_from(&self, from: u32) -> impl Iterator<Item = u32> {
        let (list, words) = match self.view() {
            View::List(slots) => (&slots[slots.partition_point(|&slot| slot < from)..], &[][..]),
            View::Bits(bits) => (&[][..], &bits.words[..]),
        };
        let words = words.iter().enumerate().skip(word_of(from));
        let ones = words.flat_map(|(at, &word)| ones(at, word));
        list.iter().copied().chain(ones.skip_while(move |&slot| slot < from))
    }

    /// Takes a slot in, if it is not among them already.
    pub fn insert(&mut self, slot: u32) {
        match self {
            Self::Few { len, slots } => {
                let held = usize::from(*len);
                let Err(at) = slots[..held].binary_search(&slot) else { return };
                if held == FEW {
                    let mut list = Vec::with_capacity(2 * FEW);
                    list.extend_from_slice(slots);
                    list.insert(at, slot);
                    *self = Self::List(Box::new(List { slots: list }));
                    return;
                }
                slots.copy_within(at..held, at + 1);
                slots[at] = slot;
                *len += 1;
            }
            Self::List(list) => {
                let Err(at) = list.slots.binary_search(&slot) else { return };
                list.slots.insert(at, slot);
                if list.is_dense() {
                    *self = Self::Bits(Box::new(Bits::from_slots(&list.slots)));
                }
            }
            Self::Bits(bits) => {
                bits.insert(slot);
                self.thin_out();
            }
        }
    }

    /// Lets a slot go, if it is among them.
    pub fn remove(&mut self, slot: u32) {
        match self {
            Self::Few { len, slots } => {
                let held = usize::from(*len);
                let Ok(at) = slots[..held].binary_search(&slot) else { return };
                slots.copy_within(at + 1..held, at);
                *len -= 1;
            }
            Self::List(list) => {
                let Ok(at) = list.slots.binary_search(&slot) else { return };
                list.slots.remove(at);
                if list.slots.len() < FEW {
                    let mut slots = [0; FEW];
                    slots[..list.slots.len()].copy_from_slice(&list.slots);
                    *self = Self::Few { len: list.slots.len() as u8, slots };
                }
            }
            Self::Bits(bits) => {
                bits.remove(slot);
                self.thin_out();
            }
        }
    }

    /// A bit set that is not worth its memory becomes a list.
    fn thin_out(&mut self) {
        let Self::Bits(bits) = self else { return };
        if size_of_val(&bits.words[..]) > SPARSE_BYTES * bits.len.max(1) {
            let slots = self.iter().collect();
            *self = Self::List(Box::new(List { slots }));
        }
    }

    /// Shows what is in all of `sets` to `visit`, lowest first, until it says `false` or the effort is spent.
    pub fn shared(sets: &[&Self], effort: &Effort, visit: impl FnMut(u32) -> bool) {
        let (mut lists, mut bits) = (Vec::new(), Vec::new());
        for set in sets {
            match set.view() {
                View::List(slots) => lists.push(slots),
                View::Bits(words) => bits.push(words),
            }
        }
        let shortest = (0..lists.len()).min_by_key(|&at| lists[at].len());
        match shortest.map(|at| lists.swap_remove(at)) {
            Some(shortest) => shared_of_list(shortest, &mut lists, &bits, effort, visit),
            None => shared_of_bits(&bits, effort, visit),
        }
    }

    /// Whether all of `sets` have `slot`.
    pub fn all_contain(sets: &[&Self], slot: u32, effort: &Effort) -> bool {
        effort.spend(PROBE_STEPS * sets.len()) && sets.iter().all(|set| set.contains(slot))
    }
}

fn shared_of_list(
    shortest: &[u32],
    others: &mut [&[u32]],
    bits: &[&Bits],
    effort: &Effort,
    mut visit: impl FnMut(u32) -> bool,
) {
    for &slot in shortest {
        if !effort.spend(1) {
            return;
        }
        let in_bits = bits.iter().all(|bits| effort.spend(1) && bits.contains(slot));
        let is_shared = in_bits && others.iter_mut().all(|rest| skip_to(rest, slot, effort));
        if is_shared && !visit(slot) {
            return;
        }
    }
}

/// Drops what is below `slot` from a sorted list, in steps that double. Whether it begins with `slot` then.
fn skip_to(rest: &mut &[u32], slot: u32, effort: &Effort) -> bool {
    let mut reach = 1;
    while rest.get(reach - 1).is_some_and(|&there| there < slot) {
        reach *= 2;
    }
    // As many again for the search within what was leapt over.
    let steps = 2 * reach.ilog2() as usize + 1;
    let at = rest[..reach.min(rest.len())].partition_point(|&there| there < slot);
    *rest = &rest[at..];
    effort.spend(steps) && rest.first() == Some(&slot)
}

fn shared_of_bits(sets: &[&Bits], effort: &Effort, mut visit: impl FnMut(u32) -> bool) {
    let Some((first, others)) = sets.split_first() else { return };
    for (at, &word) in first.words.iter().enumerate() {
        if !effort.spend(1) {
            return;
        }
        let mut word = word;
        for other in others {
            if word == 0 {
                break;
            }
            word &= other.words.get(at).copied().unwrap_or(0);
            effort.spend(1);
        }
        if !ones(at, word).all(&mut visit) {
            return;
        }
    }
}

/// The slots that a word of a bit set stands for.
fn ones(at: usize, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let slot = at as u32 * u64::BITS + word.trailing_zeros();
            word &= word - 1;
            slot
        })
    })
}

impl List {
    fn is_dense(&self) -> bool {
        let words = self.slots.last().map_or(0, |&last| word_of(last) + 1);
        self.slots.len() >= DENSE_LEN_MIN && words * size_of::<u64>() <= DENSE_BYTES * self.slots.len()
    }
}

impl Bits {
    fn from_slots(slots: &[u32]) -> Self {
        let mut bits = Self::default();
        slots.iter().for_each(|&slot| bits.insert(slot));
        bits
    }

    fn contains(&self, slot: u32) -> bool {
        self.words.get(word_of(slot)).is_some_and(|word| word & bit_of(slot) != 0)
    }

    fn insert(&mut self, slot: u32) {
        if word_of(slot) >= self.words.len() {
            self.words.resize(word_of(slot) + 1, 0);
        }
        let word = &mut self.words[word_of(slot)];
        self.len += usize::from(*word & bit_of(slot) == 0);
        *word |= bit_of(slot);
    }

    fn remove(&mut self, slot: u32) {
        let Some(word) = self.words.get_mut(word_of(slot)) else { return };
        self.len -= usize::from(*word & bit_of(slot) != 0);
        *word &= !bit_of(slot);
    }
}

fn word_of(slot: u32) -> usize {
    (slot / u64::BITS) as usize
}

fn bit_of(slot: u32) -> u64 {
    1 << (slot % u64::BITS)
}

#[cfg(test)]
mod tests;
