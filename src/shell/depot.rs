//! Spent parcels on their way back: buffers in which data crossed a trunk, for the shards that send more than they get.
//!
//! A message to another shard travels in a buffer that stays there. Where traffic is one-way the sender would allocate
//! and the receiver free for ever, and memory freed by another thread than allocated it is the dear kind. So shards
//! leave what they have too much of here, and fetch what they lack, between turns and many at a time.
//! Invariant: nobody waits for anybody; a depot that is full or empty only means that the allocator is asked.

use std::fmt;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::exchange::effect::Outbox;

/// Buffers in the depot for each shard, at most.
const BUFFERS_PER_SHARD: usize = 256;
/// A shard with fewer spent buffers than this fetches some; with more than the other, it leaves some.
const SPARES_LOW: usize = 64;
const SPARES_HIGH: usize = 512;
/// How many a shard has after either, if possible.
const SPARES_USUAL: usize = 256;

/// A depot, shared by all shards.
#[derive(Clone)]
pub struct Depot {
    buffers: Arc<ArrayQueue<Vec<u8>>>,
}

impl Depot {
    /// An empty depot for so many shards.
    pub fn new(shards: usize) -> Self {
        Self { buffers: Arc::new(ArrayQueue::new(BUFFERS_PER_SHARD * shards.max(1))) }
    }

    /// Evens out what a shard has.
    pub fn balance(&self, outbox: &mut Outbox<'_>) {
        match outbox.spares() {
            0..SPARES_LOW => self.fetch(outbox),
            SPARES_LOW..=SPARES_HIGH => {}
            _ => self.leave(outbox),
        }
    }

    fn fetch(&self, outbox: &mut Outbox<'_>) {
        while outbox.spares() < SPARES_USUAL
            && let Some(buffer) = self.buffers.pop()
        {
            outbox.recycle(buffer);
        }
    }

    fn leave(&self, outbox: &mut Outbox<'_>) {
        while outbox.spares() > SPARES_USUAL
            && let Some(buffer) = outbox.take_spare()
        {
            // A full depot drops it.
            if self.buffers.push(buffer).is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for Depot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot").field("buffers", &self.buffers.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_shard_has_too_much_of_another_gets() {
        let depot = Depot::new(2);
        let (mut rich, mut poor) = (Outbox::default(), Outbox::default());
        let parcels: Vec<_> = (0..=SPARES_HIGH).map(|_| rich.parcel(b"data")).collect();
        parcels.into_iter().for_each(|parcel| rich.recycle(parcel));
        depot.balance(&mut rich);
        assert_eq!(rich.spares(), SPARES_USUAL);
        depot.balance(&mut poor);
        assert_eq!(poor.spares(), SPARES_USUAL);
        assert!(poor.parcel(b"").capacity() > 0, "a buffer that has been used before");
    }

    #[test]
    fn a_full_depot_takes_no_more() {
        let depot = Depot::new(1);
        for _ in 0..3 {
            let mut rich = Outbox::default();
            let parcels: Vec<_> = (0..=SPARES_HIGH).map(|_| rich.parcel(b"data")).collect();
            parcels.into_iter().for_each(|parcel| rich.recycle(parcel));
            depot.balance(&mut rich);
        }
        assert_eq!(depot.buffers.len(), BUFFERS_PER_SHARD);
    }
}
