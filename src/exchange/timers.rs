//! The fine timers: rings, waits for sleeping agents, idle lines (design.md, D9).
//!
//! A wheel of lists: setting and cancelling cost the same however many timers there are. Deadlines are rounded up
//! to the wheel's step, so that nothing comes early; timers farther away than one turn of the wheel stay in
//! their list until their turn comes. Timers due in the same step come in the order in which they were set.

use super::ids::{Handle, LineId, PartyId, QuestionId, RecordId, ShardId};
use super::rack::Rack;
use super::time::Tick;

/// The step of the wheel in ms. Rings last seconds; a hundredth more is not noticed.
const STEP_MS: u64 = 8;
/// Lists in the wheel: one turn is 33 s, so that a ring of 30 s is set and found once.
const LISTS: usize = 4096;
const WORDS: usize = LISTS / 64;
const NIL: u32 = u32::MAX;

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// A ring, or a wait for a sleeping agent, is over.
    Call(RecordId),
    /// The agent that a wake run has called has not come.
    Wake(u64),
    /// A line has been idle for long enough, or its sleep notice is over.
    Sleep(LineId),
    /// Other exchanges have had their time to say who is there.
    Question(QuestionId),
    /// The host of a party has had its time to let somebody in.
    Party(PartyId),
    /// A drain goes on.
    Drain,
    /// A tie line's next heartbeat.
    Tie(LineId),
    /// The token of a line expires soon, or its registration ends.
    Expiry(LineId),
}

/// A running timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerId(Handle);

#[derive(Debug)]
struct Timer {
    due: Due,
    step: u64,
    previous: u32,
    next: u32,
}

/// All fine timers of a shard.
#[derive(Debug)]
pub struct Timers {
    timers: Rack<Timer>,
    heads: Box<[(u32, u32)]>,
    occupied: [u64; WORDS],
    /// The next step to look at.
    step: u64,
}

impl Timers {
    /// No timers yet.
    pub fn new(shard: ShardId) -> Self {
        Self {
            timers: Rack::new(shard),
            heads: vec![(NIL, NIL); LISTS].into(),
            occupied: [0; WORDS],
            step: 0,
        }
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Sets a timer that is due at `at` or up to one step later.
    pub fn set(&mut self, at: Tick, due: Due) -> TimerId {
        let step = at.micros().div_ceil(STEP_MS * 1000).max(self.step);
        let list = step as usize % LISTS;
        let last = self.heads[list].1;
        let handle = self.timers.insert_with(|_| Timer { due, step, previous: last, next: NIL });
        match self.neighbour(last) {
            Some(timer) => timer.next = handle.slot(),
            None => self.heads[list].0 = handle.slot(),
        }
        self.heads[list].1 = handle.slot();
        self.occupied[list / 64] |= 1 << (list % 64);
        TimerId(handle)
    }

    /// Stops a timer; one that is over already is ignored.
    pub fn cancel(&mut self, timer: TimerId) {
        let Some(Timer { step, previous, next, .. }) = self.timers.remove(timer.0) else { return };
        let list = step as usize % LISTS;
        match self.neighbour(previous) {
            Some(timer) => timer.next = next,
            None => self.heads[list].0 = next,
        }
        match self.neighbour(next) {
            Some(timer) => timer.previous = previous,
            None => self.heads[list].1 = previous,
        }
        if self.heads[list].0 == NIL {
            self.occupied[list / 64] &= !(1 << (list % 64));
        }
    }

    /// What a timer is for, unless it is over. For checks only.
    pub fn due(&self, timer: TimerId) -> Option<Due> {
        self.timers.get(timer.0).map(|timer| timer.due)
    }

    /// When to look again: no timer is due before that. It may be earlier than the first one is due, if that is
    /// more than one turn of the wheel away.
    pub fn next(&self) -> Option<Tick> {
        if self.timers.is_empty() {
            return None;
        }
        let ahead = (0..=WORDS as u64).find_map(|word| self.first_in_word(word))?;
        Some(Tick::from_millis((self.step + ahead) * STEP_MS))
    }

    /// Takes the next timer that is due at `now`.
    pub fn pop(&mut self, now: Tick) -> Option<(TimerId, Due)> {
        let current = now.millis() / STEP_MS;
        while self.step <= current {
            if let Some(found) = self.first_of_step() {
                self.cancel(found.0);
                return Some(found);
            }
            self.step = match self.next() {
                Some(next) => (next.millis() / STEP_MS).clamp(self.step + 1, current + 1),
                None => current + 1,
            };
        }
        None
    }

    fn neighbour(&mut self, slot: u32) -> Option<&mut Timer> {
        let (handle, _) = self.timers.at(slot)?;
        self.timers.get_mut(handle)
    }

    /// The first timer of the current step's list that belongs to this turn of the wheel.
    fn first_of_step(&self) -> Option<(TimerId, Due)> {
        let mut slot = self.heads[self.step as usize % LISTS].0;
        while let Some((handle, timer)) = self.timers.at(slot) {
            if timer.step <= self.step {
                return Some((TimerId(handle), timer.due));
            }
            slot = timer.next;
        }
        None
    }

    /// How many steps ahead the first occupied list is, within the `word`-th word from the current step on.
    fn first_in_word(&self, word: u64) -> Option<u64> {
        let start = self.step as usize % LISTS;
        let index = (start / 64 + word as usize) % WORDS;
        let bits = match word {
            0 => self.occupied[index] & (u64::MAX << (start % 64)),
            // After a whole turn: what lies before the start in the first word.
            _ if word as usize == WORDS => self.occupied[index] & !(u64::MAX << (start % 64)),
            _ => self.occupied[index],
        };
        (bits != 0).then(|| word * 64 + u64::from(bits.trailing_zeros()) - (start % 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(n: u32) -> Due {
        Due::Sleep(LineId(Handle::new(ShardId::new(0), n, 0)))
    }

    fn fired(timers: &mut Timers, now_ms: u64) -> Vec<Due> {
        std::iter::from_fn(|| timers.pop(Tick::from_millis(now_ms))).map(|(_, due)| due).collect()
    }

    #[test]
    fn timers_come_in_the_order_of_their_deadlines_and_never_early() {
        let mut timers = Timers::new(ShardId::new(0));
        timers.set(Tick::from_millis(500), due(1));
        timers.set(Tick::from_millis(100), due(2));
        timers.set(Tick::from_millis(100), due(3));
        assert_eq!(fired(&mut timers, 99), vec![]);
        assert_eq!(fired(&mut timers, 104), vec![due(2), due(3)]);
        assert_eq!(fired(&mut timers, 499), vec![]);
        assert_eq!(fired(&mut timers, 10_000), vec![due(1)]);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cancelled_timer_does_not_come() {
        let mut timers = Timers::new(ShardId::new(0));
        let ids: Vec<_> = (0..5).map(|n| timers.set(Tick::from_millis(50), due(n))).collect();
        for n in [0, 2, 4, 2] {
            timers.cancel(ids[n]);
        }
        assert_eq!(fired(&mut timers, 60), vec![due(1), due(3)]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_hours_away_waits_for_its_turn() {
        let mut timers = Timers::new(ShardId::new(0));
        timers.set(Tick::from_millis(3_600_000), due(1));
        let mut now = 0;
        while let Some(next) = timers.next() {
            now = now.max(next.millis());
            if !fired(&mut timers, now).is_empty() {
                break;
            }
            now += 1;
        }
        assert!((3_600_000..3_600_000 + 2 * STEP_MS).contains(&now), "{now}");
    }

    #[test]
    fn the_next_look_is_never_after_the_first_deadline() {
        let mut timers = Timers::new(ShardId::new(0));
        for n in 0..2000_u32 {
            let at = u64::from(n).wrapping_mul(7919) % 60_000;
            timers.set(Tick::from_millis(at), due(n));
        }
        let mut seen = 0;
        let mut now = 0;
        while let Some(next) = timers.next() {
            assert!(next.millis() + STEP_MS >= now);
            now = next.millis().max(now);
            seen += fired(&mut timers, now).len();
            now += 1;
        }
        assert_eq!(seen, 2000);
    }
}
