//! The names a dialect wants from the top level of its messages, and the place where a parse notes their spans.
//! Names are known at compile time, so looking one up is a small hash and one comparison, and the parser needs room
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
    slots: [u8; SLOTS],
}

impl Keys {
    /// Builds the table. Panics, so fails to compile in a constant, beyond [`KEYS_MAX`] names or on a repeated one.
    pub const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= KEYS_MAX, "too many names in one table of keys");
        let mut slots = [FREE; SLOTS];
        let mut index = 0;
        while index < names.len() {
            let name = names[index].as_bytes();
            let mut slot = first_slot(name);
            while slots[slot] != FREE {
                let other = names[slots[slot] as usize].as_bytes();
                assert!(!equal(other, name), "a name stands twice in a table of keys");
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = index as u8;
            index += 1;
        }
        Self { names, slots }
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

    /// The key of a name met in a message, escapes resolved.
    pub(super) fn find(&self, name: &[u8]) -> Option<Key> {
        let mut slot = first_slot(name);
        loop {
            let index = self.slots[slot];
            if index == FREE {
                return None;
            }
            if self.names[index as usize].as_bytes() == name {
                return Some(Key(index));
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// Where the search for a name starts. Length, first and last byte tell the words of a protocol apart well enough;
/// a peer that aims for collisions costs itself at most `KEYS_MAX` comparisons of lengths a key.
const fn first_slot(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let (first, last) = (name[0] as usize, name[name.len() - 1] as usize);
    (first ^ (last << 2) ^ (name.len() * 29)) % SLOTS
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
