//! What each listener of a worker has heard, and which messages all of them have.
//!
//! Messages are numbered without gaps. Invariant: a message counts as heard here once every listener that is present
//! has it; who leaves is not waited for, who comes is waited for from the first message it hears.

use std::collections::VecDeque;

/// One listener's ear.
#[derive(Clone, Debug, Default)]
struct Ear {
    present: bool,
    /// What is due next.
    next: u64,
    /// It came in the middle: its first message tells where.
    fresh: bool,
    /// Numbers that were passed over, few or none.
    missing: Vec<u64>,
}

/// A message, compared with what was due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The next one.
    InOrder,
    /// Another; what that means.
    Otherwise(String),
}

/// The listeners of one worker.
#[derive(Debug, Default)]
pub struct Audience {
    ears: Vec<Ear>,
    present: u32,
    /// Messages that all present listeners have.
    complete: u64,
    /// How many present listeners have each of those that follow.
    counts: VecDeque<u32>,
}

impl Audience {
    /// So many, none present.
    pub fn new(listeners: usize) -> Self {
        Self { ears: vec![Ear::default(); listeners], ..Self::default() }
    }

    /// How many are present.
    pub fn present(&self) -> usize {
        self.present as usize
    }

    /// Messages that all who are present have.
    pub fn complete(&self) -> u64 {
        self.complete
    }

    /// A listener is there from the beginning, or, if messages have been `said`, comes in the middle.
    pub fn join(&mut self, listener: usize, said: u64) {
        self.leave(listener);
        let fresh = said > 0;
        // Whom nobody waits for yet is present when the first message has come.
        self.ears[listener] = Ear { present: !fresh, next: 0, fresh, missing: Vec::new() };
        self.present += u32::from(!fresh);
    }

    /// Nobody waits for a listener any more.
    pub fn leave(&mut self, listener: usize) {
        let ear = &mut self.ears[listener];
        if !std::mem::take(&mut ear.present) {
            return;
        }
        self.present -= 1;
        let has = ear.next.saturating_sub(self.complete) as usize;
        self.counts.iter_mut().take(has).for_each(|count| *count -= 1);
    }

    /// A listener has heard a number, of so many that were said.
    pub fn hear(&mut self, listener: usize, number: u64, said: u64) -> Heard {
        if number >= said {
            return Heard::Otherwise(format!("misdelivered: number {number} was never said"));
        }
        let ear = &mut self.ears[listener];
        if std::mem::take(&mut ear.fresh) {
            ear.next = number;
            ear.present = true;
            self.present += 1;
            self.count(self.complete, number);
        }
        let ear = &mut self.ears[listener];
        let due = ear.next;
        if number < due {
            return match ear.missing.iter().position(|&missing| missing == number) {
                Some(at) => {
                    ear.missing.swap_remove(at);
                    Heard::Otherwise(format!("reordered: number {number} came when {due} was due"))
                }
                None => Heard::Otherwise(format!("doubled: number {number} came again")),
            };
        }
        ear.missing.extend(due..number);
        ear.next = number + 1;
        if ear.present {
            self.count(due, number + 1);
        }
        if number == due {
            return Heard::InOrder;
        }
        Heard::Otherwise(format!("lost or late: number {number} came when {due} was due"))
    }

    /// One more listener has these.
    fn count(&mut self, from: u64, to: u64) {
        let behind = |number: u64| number.saturating_sub(self.complete) as usize;
        let (from, to) = (behind(from), behind(to));
        if self.counts.len() < to {
            self.counts.resize(to, 0);
        }
        self.counts.range_mut(from..to.max(from)).for_each(|count| *count += 1);
    }

    /// Takes note of one more message that all who are present have, if there is one among those that were said. Gives
    /// its number.
    pub fn next_complete(&mut self, said: u64) -> Option<u64> {
        let has = self.counts.front().copied().unwrap_or(0);
        if self.complete >= said || has < self.present {
            return None;
        }
        self.counts.pop_front();
        self.complete += 1;
        Some(self.complete - 1)
    }

    /// Who is present and has not all that was said, and how much of it is due.
    pub fn behind(&self, said: u64) -> impl Iterator<Item = (usize, u64)> {
        let due =
            move |(listener, ear): (usize, &Ear)| (listener, said.saturating_sub(ear.next), ear.present);
        let due = self.ears.iter().enumerate().map(due);
        due.filter(|&(_, due, present)| present && due > 0).map(|(listener, due, _)| (listener, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(listeners: usize) -> Audience {
        let mut audience = Audience::new(listeners);
        (0..listeners).for_each(|listener| audience.join(listener, 0));
        audience
    }

    fn complete(audience: &mut Audience, said: u64) -> u64 {
        while audience.next_complete(said).is_some() {}
        audience.complete()
    }

    #[test]
    fn a_message_is_complete_when_the_last_listener_has_it() {
        let mut audience = audience(3);
        for listener in 0..3 {
            assert_eq!(complete(&mut audience, 2), 0);
            assert_eq!(audience.hear(listener, 0, 2), Heard::InOrder);
        }
        assert_eq!(complete(&mut audience, 2), 1);
        assert_eq!(audience.behind(2).collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 1)]);
    }

    #[test]
    fn who_leaves_is_not_waited_for_and_who_comes_is_from_its_first_message() {
        let mut audience = audience(2);
        for number in 0..3 {
            audience.hear(0, number, 5);
        }
        assert_eq!(complete(&mut audience, 5), 0);
        audience.leave(1);
        assert_eq!((complete(&mut audience, 5), audience.present()), (3, 1));
        audience.join(1, 5);
        audience.hear(0, 3, 5);
        assert_eq!(complete(&mut audience, 5), 4);
        assert_eq!(audience.hear(1, 4, 5), Heard::InOrder);
        assert_eq!((complete(&mut audience, 5), audience.present()), (4, 2));
        audience.hear(0, 4, 5);
        assert_eq!(complete(&mut audience, 5), 5);
        audience.leave(0);
        audience.leave(1);
        assert_eq!(complete(&mut audience, 7), 7, "nobody is left to wait for");
    }

    #[test]
    fn lost_late_doubled_and_invented_messages_are_told_apart() {
        let mut audience = audience(1);
        audience.hear(0, 0, 8);
        for (number, what) in
            [(2, "lost or late"), (1, "reordered"), (1, "doubled"), (2, "doubled"), (8, "never said")]
        {
            let found = audience.hear(0, number, 8);
            assert!(matches!(&found, Heard::Otherwise(text) if text.contains(what)), "{number}: {found:?}");
        }
        assert_eq!(complete(&mut audience, 8), 3);
    }
}
