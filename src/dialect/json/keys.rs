//! The names a dialect wants from the top level of its messages, and the place where a parse notes their spans.
//! Names are known at compile time, so looking one up is one multiplication and a few comparisons of words, and the parser needs room
//! for the wanted fields only, however many a peer sends. Nothing here reads JSON.

use super::value::Kind;

/// The most names one table may hold: one bit each in a `u64`.
pub const KEYS_MAX: usize = u64::BITS as usize;

/// Twice the most names, so that probing meets a free slot soon.
const SLOTS: usize = 2 * KEYS_MAX;

const FREE: u8 = u8::MAX;

/// One name of a [`Keys`] table; means nothing with another table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u8);

/// A table of wanted names, built at compile time.
#[derive(Debug)]
pub struct Keys {
    names: &'static [&'static str],
    ends: [Ends; KEYS_MAX],
    slots: [u8; SLOTS],
}

impl Keys {
    /// Builds the table. Panics, so fails to compile in a constant, beyond [`KEYS_MAX`] names or on a repeated one.
    pub const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= KEYS_MAX, "too many names in one table of keys");
        let mut keys = Self { names, ends: [Ends::of(b""); KEYS_MAX], slots: [FREE; SLOTS] };
        let mut index = 0;
        while index < names.len() {
            let name = names[index].as_bytes();
            let ends = Ends::of(name);
            let mut slot = ends.first_slot(name.len());
            while keys.slots[slot] != FREE {
                let other = names[keys.slots[slot] as usize].as_bytes();
                assert!(!equal(other, name), "a name stands twice in a table of keys");
                slot = (slot + 1) % SLOTS;
            }
            keys.ends[index] = ends;
            keys.slots[slot] = index as u8;
            index += 1;
        }
        keys
    }

    /// The key of a name, for use in constants: panics, so fails to compile there, if the table lacks it.
    pub const fn key(&self, name: &str) -> Key {
        let mut index = 0;
        while index < self.names.len() {
            if equal(self.names[index].as_bytes(), name.as_bytes()) {
                return Key(index as u8);
            }
            index += 1;
        }
        panic!("the name is not in the table of keys")
    }

    /// The key of a name met in a message, escapes resolved. A peer that aims for collisions costs itself at most
    /// [`KEYS_MAX`] comparisons of a few words a key.
    #[inline(always)]
    pub(super) fn find(&self, name: &[u8]) -> Option<Key> {
        let ends = Ends::of(name);
        let mut slot = ends.first_slot(name.len());
        loop {
            let index = self.slots[slot];
            if index == FREE {
                return None;
            }
            let wanted = self.names[index as usize].as_bytes();
            let is_alike = self.ends[index as usize] == ends && wanted.len() == name.len();
            if is_alike && (name.len() <= Ends::COVERED_BYTES || wanted == name) {
                return Some(Key(index));
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// The first and last bytes of a name, overlapping if it is short. With the length they tell names of up to 16 bytes
/// apart in two comparisons of words, which saves a call of `memcmp` a key: a sixth of a control frame's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    head: u64,
    tail: u64,
}

impl Ends {
    /// Names up to this length are equal if their ends and lengths are.
    const COVERED_BYTES: usize = 2 * size_of::<u64>();

    /// 2^64 divided by the golden ratio: spreads the bits of the ends (Fibonacci hashing).
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    #[inline]
    const fn of(name: &[u8]) -> Self {
        if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            return Self { head: u64::from_le_bytes(*head), tail: u64::from_le_bytes(*tail) };
        }
        if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            return Self { head: u32::from_le_bytes(*head) as u64, tail: u32::from_le_bytes(*tail) as u64 };
        }
        match *name {
            [first, middle, last] => {
                Self { head: u32::from_le_bytes([first, middle, 0, 0]) as u64, tail: last as u64 }
            }
            [first, last] => Self { head: first as u64, tail: last as u64 },
            [only] => Self { head: only as u64, tail: only as u64 },
            _ => Self { head: 0, tail: 0 },
        }
    }

    /// Where the search for a name with these ends starts.
    #[inline]
    const fn first_slot(self, name_bytes: usize) -> usize {
        let mixed = self.head ^ self.tail.rotate_left(32) ^ name_bytes as u64;
        (mixed.wrapping_mul(Self::SPREAD) >> (u64::BITS - SLOTS.ilog2())) as usize
    }
}

/// Equality of byte strings where `==` is not yet available: in constants.
const fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Where in the source one value stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// The spans of the wanted fields of the latest message. Only the bits are cleared between messages.
#[derive(Debug)]
pub(super) struct Found {
    present: u64,
    spans: [Span; KEYS_MAX],
}

impl Default for Found {
    fn default() -> Self {
        Self { present: 0, spans: [Span { start: 0, end: 0, kind: Kind::Null }; KEYS_MAX] }
    }
}

impl Found {
    pub(super) fn clear(&mut self) {
        self.present = 0;
    }

    /// Notes a field; a later one of the same key takes its place.
    pub(super) fn put(&mut self, key: Key, span: Span) {
        self.present |= 1 << key.0;
        self.spans[key.0 as usize] = span;
    }

    pub(super) fn get(&self, key: Key) -> Option<Span> {
        let is_present = self.present >> key.0 & 1 == 1;
        is_present.then(|| self.spans[key.0 as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_under_its_own_key_and_no_other_name_is() {
        const NAMES: [&str; 10] =
            ["type", "to", "call_id", "", "data", "date", "d", "from", "form", "content_type"];
        const KEYS: Keys = Keys::new(&NAMES);
        for name in NAMES {
            assert_eq!(KEYS.find(name.as_bytes()), Some(KEYS.key(name)), "{name:?}");
        }
        for other in ["typ", "types", "TYPE", "dat", "\0", "content-type", "dita"] {
            assert_eq!(KEYS.find(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn names_that_differ_in_one_byte_are_told_apart_at_every_length() {
        const LENGTH_MAX: usize = 40;
        let names: Vec<&'static str> = (1..LENGTH_MAX).map(|length| &*"n".repeat(length).leak()).collect();
        let keys = Keys::new(names.leak());
        for length in 1..LENGTH_MAX {
            let mut name = vec![b'n'; length];
            assert_eq!(keys.find(&name), Some(Key(length as u8 - 1)));
            for at in 0..length {
                name[at] = b'm';
                assert_eq!(keys.find(&name), None, "{name:?}");
                name[at] = b'n';
            }
        }
    }

    #[test]
    fn a_full_table_still_finds_its_last_name() {
        let names: Vec<&'static str> = (0..KEYS_MAX).map(|n| &*format!("name{n}").leak()).collect();
        let keys = Keys::new(names.leak());
        assert_eq!(keys.find(b"name63"), Some(Key(63)));
        assert_eq!(keys.find(b"name64"), None);
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn a_repeated_name_is_refused() {
        let _ = Keys::new(&["data", "type", "data"]);
    }

    #[test]
    #[should_panic(expected = "not in the table")]
    fn asking_for_the_key_of_an_absent_name_is_refused() {
        let _ = Keys::new(&["data"]).key("type");
    }
}
