//! Hash tables that grow without stalling their shard.
//!
//! A table that doubles moves all its entries in one go, and to place one anew its hash has to be found: for a hundred
//! thousand addresses, which are in no cache, that takes tens of milliseconds. Here the entries move over a few at a time,
//! whenever one is added; until the last has moved, those that are not found in the new place are looked for in the old.
//! Invariant: an entry is in one of the two places only, and the old one is empty before the new one is full.

use std::borrow::Borrow;
use std::hash::Hash;

use hashbrown::HashTable;

/// Tables with fewer buckets move in one go: that takes some ten microseconds.
const LEISURELY_BUCKETS_MIN: usize = 1024;
/// Buckets that are emptied when an entry is added. All have moved long before as many were added as there is new room
/// for, which is at least half of what the old table held; and soon, because until then both take memory.
const BUCKETS_AT_A_TIME: usize = 16;

/// A hash table whose keys may lie outside: hashes and comparisons are the caller's.
#[derive(Debug)]
pub struct Table<T> {
    entries: HashTable<T>,
    outgoing: Option<Outgoing<T>>,
}

/// The old place of entries that move.
#[derive(Debug)]
struct Outgoing<T> {
    entries: HashTable<T>,
    /// Buckets below this are empty.
    next: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: HashTable::new(), outgoing: None }
    }
}

impl<T> Table<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len() + self.outgoing.as_ref().map_or(0, |outgoing| outgoing.entries.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry with this hash that `is_it`.
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        let found = self.entries.find(hash, &mut is_it);
        found.or_else(|| self.outgoing.as_ref()?.entries.find(hash, is_it))
    }

    /// The entry with this hash that `is_it`.
    pub fn find_mut(&mut self, hash: u64, mut is_it: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let found = self.entries.find_mut(hash, &mut is_it);
        found.or_else(|| self.outgoing.as_mut()?.entries.find_mut(hash, is_it))
    }

    /// Adds an entry that is not there yet; `hash_of` gives the hash of any.
    pub fn insert_unique(&mut self, hash: u64, entry: T, hash_of: impl Fn(&T) -> u64) -> &mut T {
        let is_full = self.entries.len() == self.entries.capacity();
        if is_full && self.entries.num_buckets() >= LEISURELY_BUCKETS_MIN {
            self.begin_move(&hash_of);
        }
        self.move_some(BUCKETS_AT_A_TIME, &hash_of);
        self.entries.insert_unique(hash, entry, hash_of).into_mut()
    }

    /// Takes out the entry with this hash that `is_it`.
    pub fn remove(&mut self, hash: u64, mut is_it: impl FnMut(&T) -> bool) -> Option<T> {
        if let Ok(entry) = self.entries.find_entry(hash, &mut is_it) {
            return Some(entry.remove().0);
        }
        let old = &mut self.outgoing.as_mut()?.entries;
        let entry = old.find_entry(hash, is_it).ok()?.remove().0;
        if old.is_empty() {
            self.outgoing = None;
        }
        Some(entry)
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().chain(self.outgoing.iter().flat_map(|outgoing| outgoing.entries.iter()))
    }

    /// Makes a new place for all entries and room to come: twice as large; as large again if it is only full because
    /// places where entries were removed cannot be used; half as large if few are left.
    fn begin_move(&mut self, hash_of: &impl Fn(&T) -> u64) {
        self.move_some(usize::MAX, hash_of);
        let most = room_of(self.entries.num_buckets());
        let capacity = match self.entries.len() {
            len if len > most / 2 => most + 1,
            len if len < most / 8 => most / 2,
            _ => most,
        };
        let old = std::mem::replace(&mut self.entries, HashTable::with_capacity(capacity));
        self.outgoing = Some(Outgoing { entries: old, next: 0 });
    }

    fn move_some(&mut self, buckets: usize, hash_of: &impl Fn(&T) -> u64) {
        let Some(Outgoing { entries: old, next }) = &mut self.outgoing else { return };
        let end = next.saturating_add(buckets).min(old.num_buckets());
        for bucket in *next..end {
            if let Ok(entry) = old.get_bucket_entry(bucket) {
                let entry = entry.remove().0;
                self.entries.insert_unique(hash_of(&entry), entry, hash_of);
            }
        }
        *next = end;
        if old.is_empty() {
            self.outgoing = None;
        }
    }
}

/// How many entries fit into so many buckets, as hashbrown fills them.
fn room_of(buckets: usize) -> usize {
    buckets / 8 * 7
}

/// A map on such a table, whose order is never looked at.
#[derive(Debug)]
pub struct Keyed<K, V> {
    entries: Table<(K, V)>,
    hasher: ahash::RandomState,
}

impl<K: Eq + Hash, V> Keyed<K, V> {
    /// An empty map that hashes with `hasher`.
    pub fn with_hasher(hasher: ahash::RandomState) -> Self {
        Self { entries: Table::default(), hasher }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let found = self.entries.find(self.hasher.hash_one(key), |(held, _)| held.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// The value of `key`.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let found = self.entries.find_mut(self.hasher.hash_one(key), |(held, _)| held.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// Whether `key` has a value.
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Gives `key` this value, instead of the one it may have.
    pub fn insert(&mut self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        if let Some((_, held)) = self.entries.find_mut(hash, |(held, _)| *held == key) {
            *held = value;
        } else {
            self.insert_new(hash, key, value);
        }
    }

    /// The value of `key`, made now if it has none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let hash = self.hasher.hash_one(&key);
        if self.entries.find(hash, |(held, _)| *held == key).is_none() {
            return self.insert_new(hash, key, make());
        }
        let entry = self.entries.find_mut(hash, |(held, _)| *held == key);
        &mut entry.expect("it was found just now").1
    }

    /// Takes `key` out and gives its value.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let removed = self.entries.remove(self.hasher.hash_one(key), |(held, _)| held.borrow() == key);
        removed.map(|(_, value)| value)
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    fn insert_new(&mut self, hash: u64, key: K, value: V) -> &mut V {
        let hasher = &self.hasher;
        &mut self.entries.insert_unique(hash, (key, value), |(key, _)| hasher.hash_one(key)).1
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn hasher() -> ahash::RandomState {
        ahash::RandomState::with_seeds(1, 2, 3, 4)
    }

    #[test]
    fn a_map_says_what_it_was_told_while_its_entries_move() {
        const COUNT: usize = 20_000;
        let mut map = Keyed::with_hasher(hasher());
        let mut moving = 0;
        for n in 0..COUNT {
            map.insert(n, n);
            map.insert(n / 2, n);
            assert_eq!((map.get(&n), map.get(&(n / 2)), map.len()), (Some(&n), Some(&n), n + 1));
            assert!(!map.contains_key(&(n + 1)));
            moving += usize::from(map.entries.outgoing.is_some());
        }
        assert!(moving > 100, "{moving}");
        assert_eq!(map.iter().count(), COUNT);
        for n in 0..COUNT {
            let last = if 2 * n + 1 < COUNT { 2 * n + 1 } else { n };
            assert_eq!(map.remove(&n), Some(last), "{n}");
            assert!(map.remove(&n).is_none() && !map.contains_key(&n));
        }
        assert!(map.is_empty() && map.iter().next().is_none());
        *map.get_or_insert_with(1, || 5) += 1;
        assert_eq!(*map.get_or_insert_with(1, || 0), 6);
    }

    /// What takes long is to find the hash of an entry that is moved, so that is what is counted.
    fn most_moved(table: &mut Table<u32>, numbers: std::ops::Range<u32>, lifetime: Option<u32>) -> usize {
        let (hasher, moved, mut most) = (hasher(), Cell::new(0), 0);
        let first = numbers.start;
        for n in numbers {
            moved.set(0);
            table.insert_unique(hasher.hash_one(n), n, |n| {
                moved.set(moved.get() + 1);
                hasher.hash_one(n)
            });
            most = most.max(moved.get());
            if let Some(leaving) =
                lifetime.and_then(|lifetime| n.checked_sub(lifetime)).filter(|&n| n >= first)
            {
                assert_eq!(table.remove(hasher.hash_one(leaving), |&held| held == leaving), Some(leaving));
            }
        }
        most
    }

    #[test]
    fn however_large_a_table_is_an_entry_more_moves_few_of_the_others() {
        let mut table = Table::default();
        let most = most_moved(&mut table, 0..300_000, None);
        assert!((1..LEISURELY_BUCKETS_MIN).contains(&most), "{most}");
        assert_eq!((table.len(), table.iter().count()), (300_000, 300_000));
    }

    #[test]
    fn a_large_table_that_few_are_left_in_still_moves_a_little_at_a_time() {
        let (hasher, mut table) = (hasher(), Table::default());
        most_moved(&mut table, 0..300_000, None);
        // In the order of their places, so that the room of each that leaves stays unusable for the most part.
        let numbers: Vec<u32> = table.iter().copied().collect();
        for &n in &numbers[..numbers.len() - 500] {
            assert!(table.remove(hasher.hash_one(n), |&held| held == n).is_some());
        }
        let buckets = table.entries.num_buckets();
        let most = most_moved(&mut table, 300_000..900_000, Some(500));
        assert!(most < LEISURELY_BUCKETS_MIN, "{most}");
        assert!(table.outgoing.is_some() || table.entries.num_buckets() <= buckets);
    }

    #[test]
    fn nor_do_entries_that_come_and_go_and_the_table_stays_as_large_as_it_has_to_be() {
        for lifetime in [20_000, 27_000, 28_672, 40_000] {
            let mut table = Table::default();
            let most = most_moved(&mut table, 0..300_000, Some(lifetime));
            assert!((1..LEISURELY_BUCKETS_MIN).contains(&most), "{most}");
            let buckets = table.entries.num_buckets();
            assert!(buckets <= 4 * lifetime as usize, "{buckets} for {lifetime}");
        }
    }
}
