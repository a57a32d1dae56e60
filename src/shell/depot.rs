//! Spent parcels on their way back: buffers in which data crossed a trunk, for the shards that send more than they get.
//!
//! A message to another shard travels in a buffer that stays there. Where traffic is one-way the sender would allocate
//! and the receiver free for ever, and memory freed by another thread than allocated it is the dear kind. So shards
//! leave what they have too much of here, and fetch what they lack, between turns and many at a time.
//! Invariant: nobody waits for anybody; a depot that is full or empty only means that the allocator is asked.

use std::fmt;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::exchange::effect::{Outbox, SPARE_BYTES_MAX};

/// Buffers in the depot for each shard, at most.
const BUFFERS_PER_SHARD: usize = 256;
/// A shard that sends and has fewer spent buffers than this fetches some.
const SPARES_LOW: usize = 64;
/// A shard with more than this, or more bytes in them, leaves some.
const SPARES_HIGH: usize = 512;
const SPARE_BYTES_HIGH: usize = SPARE_BYTES_MAX / 2;
/// How many a shard has after fetching or leaving some, if possible, and the most bytes.
const SPARES_USUAL: usize = 256;
const SPARE_BYTES_USUAL: usize = SPARE_BYTES_MAX / 4;

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
        if outbox.take_has_sent() && outbox.spares() < SPARES_LOW {
            self.fetch(outbox);
        } else if outbox.spares() > SPARES_HIGH || outbox.spare_bytes() > SPARE_BYTES_HIGH {
            self.leave(outbox);
        }
    }

    fn fetch(&self, outbox: &mut Outbox<'_>) {
        while outbox.spares() < SPARES_USUAL && outbox.spare_bytes() < SPARE_BYTES_USUAL {
            let Some(buffer) = self.buffers.pop() else { return };
            outbox.recycle(buffer);
        }
    }

    fn leave(&self, outbox: &mut Outbox<'_>) {
        while outbox.spares() > SPARES_USUAL || outbox.spare_bytes() > SPARE_BYTES_USUAL {
            let Some(buffer) = outbox.take_spare() else { return };
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
        assert!(rich.take_has_sent());
        parcels.into_iter().for_each(|parcel| assert!(rich.recycle(parcel)));
        depot.balance(&mut rich);
        assert_eq!(rich.spares(), SPARES_USUAL);
        depot.balance(&mut poor);
        assert_eq!(poor.spares(), 0, "it has sent nothing and needs none");
        drop(poor.parcel(b"data"));
        depot.balance(&mut poor);
        assert_eq!(poor.spares(), SPARES_USUAL);
        assert!(poor.parcel(b"").capacity() > 0, "a buffer that has been used before");
    }

    #[test]
    fn a_few_large_ones_are_as_much_as_many_small_ones() {
        let depot = Depot::new(2);
        let mut rich = Outbox::default();
        let parcels: Vec<_> = (0..200).map(|_| rich.parcel(&[0; 16 << 10])).collect();
        rich.take_has_sent();
        parcels.into_iter().for_each(|parcel| assert!(rich.recycle(parcel)));
        depot.balance(&mut rich);
        assert!(rich.spare_bytes() <= SPARE_BYTES_USUAL && depot.buffers.len() > 100, "{depot:?}");
    }

    #[test]
    fn a_full_depot_takes_no_more() {
        let depot = Depot::new(1);
        for _ in 0..3 {
            let mut rich = Outbox::default();
            let parcels: Vec<_> = (0..=SPARES_HIGH).map(|_| rich.parcel(b"data")).collect();
            rich.take_has_sent();
            parcels.into_iter().for_each(|parcel| assert!(rich.recycle(parcel)));
            depot.balance(&mut rich);
        }
        assert_eq!(depot.buffers.len(), BUFFERS_PER_SHARD);
    }
}
