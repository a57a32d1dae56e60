//! A rack: numbered slots that are used again, each with a generation.
//!
//! It grows in chunks, never copies what it holds and never gives memory back, so that inserting the millionth
//! line costs as much as inserting the first. The generation of a slot goes up each time it is emptied: a handle
//! to what was there before finds nothing. The lowest free slots are not preferred; the last one freed is.

use super::ids::{Handle, SLOTS_MAX, ShardId};

const CHUNK: usize = 1024;

/// Slots of `T` that belong to one shard.
#[derive(Debug)]
pub struct Rack<T> {
    shard: ShardId,
    chunks: Vec<Box<[Slot<T>]>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Rack<T> {
    /// An empty rack of `shard`.
    pub fn new(shard: ShardId) -> Self {
        Self { shard, chunks: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// How many slots are taken.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one more would exceed what slot numbers can count.
    pub fn is_full(&self) -> bool {
        self.len >= SLOTS_MAX
    }

    /// Puts a value into a free slot, made from the handle it will have.
    ///
    /// # Panics
    /// If the rack is full; callers that can be driven there by a peer check [`Rack::is_full`] first.
    pub fn insert_with(&mut self, make: impl FnOnce(Handle) -> T) -> Handle {
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let shard = self.shard;
        let place = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK];
        let handle = Handle::new(shard, slot, place.generation);
        place.value = Some(make(handle));
        self.len += 1;
        handle
    }

    /// The value a handle leads to, unless it is gone.
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let place = self.place(handle.slot())?;
        (place.generation == handle.generation() && handle.shard() == self.shard).then_some(())?;
        place.value.as_ref()
    }

    /// The value a handle leads to, unless it is gone.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let shard = self.shard;
        let slot = handle.slot() as usize;
        let place = self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)?;
        (place.generation == handle.generation() && handle.shard() == shard).then_some(())?;
        place.value.as_mut()
    }

    /// The value in a slot and its handle, whatever the generation.
    pub fn at(&self, slot: u32) -> Option<(Handle, &T)> {
        let place = self.place(slot)?;
        let value = place.value.as_ref()?;
        Some((Handle::new(self.shard, slot, place.generation), value))
    }

    /// Takes the value out, if it is still there.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        self.get(handle)?;
        let slot = handle.slot() as usize;
        let place = &mut self.chunks[slot / CHUNK][slot % CHUNK];
        place.generation = handle.next().generation();
        self.len -= 1;
        self.free.push(handle.slot());
        place.value.take()
    }

    /// Everything in the rack, in the order of the slots. For checks and for the end, never for serving.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.slots_from(0).filter_map(|slot| self.at(slot))
    }

    /// The slots from one on, taken or not.
    pub fn slots_from(&self, from: u32) -> std::ops::Range<u32> {
        from..(self.chunks.len() * CHUNK) as u32
    }

    fn place(&self, slot: u32) -> Option<&Slot<T>> {
        self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)
    }

    fn grow(&mut self) -> u32 {
        let first = (self.chunks.len() * CHUNK) as u32;
        assert!((first as usize) < SLOTS_MAX, "a rack has at most {SLOTS_MAX} slots");
        self.chunks.push((0..CHUNK).map(|_| Slot { generation: 0, value: None }).collect());
        self.free.extend((first + 1..first + CHUNK as u32).rev());
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_to_what_was_there_before_finds_nothing() {
        let mut rack = Rack::new(ShardId::new(3));
        let first = rack.insert_with(|_| "first");
        assert_eq!(rack.remove(first), Some("first"));
        let second = rack.insert_with(|_| "second");
        assert_eq!(second.slot(), first.slot());
        assert_eq!((rack.get(first), rack.get(second)), (None, Some(&"second")));
        assert_eq!(rack.remove(first), None);
        assert_eq!(rack.len(), 1);
    }

    #[test]
    fn a_slot_works_on_after_its_last_generation() {
        let mut rack = Rack::new(ShardId::new(0));
        let first = rack.insert_with(|_| 0);
        rack.remove(first);
        rack.chunks[0][0].generation = (1 << 30) - 1;
        for n in 1..4 {
            let handle = rack.insert_with(|_| n);
            assert_eq!((handle.slot(), rack.get(handle)), (0, Some(&n)));
            assert_eq!(rack.remove(handle), Some(n));
        }
    }

    #[test]
    fn a_handle_of_another_shard_finds_nothing() {
        let mut rack = Rack::new(ShardId::new(1));
        let here = rack.insert_with(|_| 1);
        let there = Handle::new(ShardId::new(2), here.slot(), here.generation());
        assert_eq!(rack.get(there), None);
        assert!(rack.get_mut(there).is_none());
    }

    #[test]
    fn slots_are_used_from_the_lowest_up_and_then_again() {
        let mut rack = Rack::new(ShardId::new(0));
        let handles: Vec<_> = (0..3000).map(|n| rack.insert_with(|_| n)).collect();
        assert!(handles.iter().enumerate().all(|(n, handle)| handle.slot() == n as u32));
        rack.remove(handles[7]);
        assert_eq!(rack.insert_with(|_| 0).slot(), 7);
        assert_eq!(rack.iter().count(), 3000);
    }
}
