//! The simulated trunks: a bounded queue for each ordered pair of shards, and the sender's outbox behind it.
//!
//! Parcels of one pair arrive in the order in which they were posted; between pairs anything goes, because
//! somebody else decides which queue is served next. A parcel is never lost: what does not fit waits in the
//! outbox, and goes on in order (design.md, D6).

use std::collections::VecDeque;

use crate::exchange::ids::{ShardId, ShardSet};
use crate::exchange::line::Luggage;
use crate::exchange::signal::Signal;

use super::client::ClientNo;

/// What crosses a trunk.
#[derive(Debug)]
pub enum Parcel {
    /// A signal.
    Signal(Signal),
    /// A connection that moves.
    Move {
        /// Whose.
        client: ClientNo,
        /// What the core on the other side needs.
        luggage: Box<Luggage>,
    },
}

/// All trunks of an exchange.
#[derive(Debug)]
pub struct Trunks {
    shards: usize,
    capacity: usize,
    pairs: Vec<Pair>,
    /// The longest that any outbox has been.
    pub outbox_len_max: usize,
    /// How many parcels have arrived.
    pub delivered: u64,
}

#[derive(Default, Debug)]
struct Pair {
    queue: VecDeque<Parcel>,
    outbox: VecDeque<Parcel>,
}

impl Trunks {
    /// Empty trunks between `shards` shards, with room for `capacity` parcels each.
    pub fn new(shards: usize, capacity: usize) -> Self {
        let pairs = (0..shards * shards).map(|_| Pair::default()).collect();
        Self { shards, capacity, pairs, outbox_len_max: 0, delivered: 0 }
    }

    /// Sends a parcel.
    pub fn post(&mut self, from: ShardId, to: ShardId, parcel: Parcel) {
        assert_ne!(from, to, "a shard keeps what it says to itself");
        let capacity = self.capacity;
        let pair = &mut self.pairs[from.index() * self.shards + to.index()];
        if pair.outbox.is_empty() && pair.queue.len() < capacity {
            pair.queue.push_back(parcel);
        } else {
            pair.outbox.push_back(parcel);
            self.outbox_len_max = self.outbox_len_max.max(pair.outbox.len());
        }
    }

    /// Takes the next parcel of the `nth` trunk that has one, with its sender and receiver.
    pub fn take(&mut self, nth: usize) -> Option<(ShardId, ShardId, Parcel)> {
        let busy = self.pairs.iter().filter(|pair| !pair.queue.is_empty()).count();
        let nth = nth.checked_rem(busy)?;
        let (at, _) = self.pairs.iter().enumerate().filter(|(_, pair)| !pair.queue.is_empty()).nth(nth)?;
        self.take_from(at)
    }

    /// Takes the next parcel from `from` to `to`, if there is one.
    pub fn take_between(&mut self, from: ShardId, to: ShardId) -> Option<Parcel> {
        self.take_from(from.index() * self.shards + to.index()).map(|(_, _, parcel)| parcel)
    }

    fn take_from(&mut self, at: usize) -> Option<(ShardId, ShardId, Parcel)> {
        let pair = &mut self.pairs[at];
        let parcel = pair.queue.pop_front()?;
        pair.queue.extend(pair.outbox.pop_front());
        self.delivered += 1;
        Some((ShardId::new(at / self.shards), ShardId::new(at % self.shards), parcel))
    }

    /// Whether `from` has an outbox that is not empty to one of `targets`.
    pub fn is_blocked(&self, from: ShardId, targets: ShardSet) -> bool {
        let row = &self.pairs[from.index() * self.shards..][..self.shards];
        let blocked = |(to, pair): (usize, &Pair)| targets.bits() >> to & 1 == 1 && !pair.outbox.is_empty();
        row.iter().enumerate().any(blocked)
    }

    /// Whether nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.pairs.iter().all(|pair| pair.queue.is_empty() && pair.outbox.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ids::{Handle, LineId};

    fn parcel(n: u32) -> Parcel {
        Parcel::Signal(Signal::ClaimRefused { line: LineId(Handle::new(ShardId::new(0), n, 0)) })
    }

    fn number(parcel: &Parcel) -> u32 {
        match parcel {
            Parcel::Signal(Signal::ClaimRefused { line }) => line.slot(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_trunk_keeps_the_order_in_its_outbox() {
        let (a, b) = (ShardId::new(0), ShardId::new(1));
        let mut trunks = Trunks::new(2, 2);
        (0..5).for_each(|n| trunks.post(a, b, parcel(n)));
        assert!(trunks.is_blocked(a, ShardSet::of(b)) && !trunks.is_blocked(b, ShardSet::of(a)));
        let seen: Vec<_> = std::iter::from_fn(|| trunks.take(7)).map(|(_, _, p)| number(&p)).collect();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        assert!(trunks.is_quiet() && trunks.outbox_len_max == 3);
    }
}
