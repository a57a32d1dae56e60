//! Calls that ended here while they were under way to other exchanges: given up, or timed out.
//!
//! The word of it follows the dial from exchange to exchange and frees the call's name behind it. Where careless routes lead in
//! a circle, the dial would find every name free again and go round for ever, with that word at its heels. So the name is
//! remembered for a while, and a dial of that name is taken for one that has gone in a circle. Bounded in number and in
//! time; nothing here emits effects.

use std::collections::{HashMap, VecDeque};

use super::ids::CallId;
use super::limits::{GIVEN_UP_MAX, GIVEN_UP_MS};
use super::time::Tick;

/// The calls that were given up lately.
#[derive(Debug)]
pub struct GivenUp {
    /// When each was last.
    calls: HashMap<CallId, Tick, ahash::RandomState>,
    /// In the order in which they were given up; a call that was so twice is in it twice.
    order: VecDeque<(CallId, Tick)>,
}

impl GivenUp {
    /// No calls.
    pub fn with_hasher(hasher: ahash::RandomState) -> Self {
        Self { calls: HashMap::with_hasher(hasher), order: VecDeque::new() }
    }

    /// A call is given up.
    pub fn add(&mut self, now: Tick, call: CallId) {
        self.forget(now);
        self.calls.insert(call, now);
        self.order.push_back((call, now));
    }

    /// Whether a call was given up lately.
    pub fn has(&mut self, now: Tick, call: CallId) -> bool {
        self.forget(now);
        self.calls.contains_key(&call)
    }

    /// Drops those that are remembered for long enough, and the oldest of too many.
    fn forget(&mut self, now: Tick) {
        while let Some(&(call, at)) = self.order.front() {
            if self.order.len() < GIVEN_UP_MAX && at.plus_millis(GIVEN_UP_MS) > now {
                return;
            }
            self.order.pop_front();
            if self.calls.get(&call) == Some(&at) {
                self.calls.remove(&call);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> GivenUp {
        GivenUp::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn a_call_is_remembered_for_a_while_after_it_was_given_up_last() {
        let (mut given_up, first, call) = (empty(), Tick::from_millis(5), CallId::parse(b"a"));
        assert!(!given_up.has(first, call));
        given_up.add(first, call);
        let last = first.plus_millis(GIVEN_UP_MS / 2);
        given_up.add(last, call);
        assert!(given_up.has(first.plus_millis(GIVEN_UP_MS), call));
        assert!(!given_up.has(last.plus_millis(GIVEN_UP_MS), call) && given_up.calls.is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_there_may_be() {
        let (mut given_up, now) = (empty(), Tick::default());
        let call = |n: usize| CallId::parse(n.to_string().as_bytes());
        (0..2 * GIVEN_UP_MAX).for_each(|n| given_up.add(now, call(n)));
        assert!(given_up.calls.len() <= GIVEN_UP_MAX && given_up.order.len() <= GIVEN_UP_MAX);
        assert!(!given_up.has(now, call(0)) && given_up.has(now, call(2 * GIVEN_UP_MAX - 1)));
    }
}
