//! Which frames are watched: one shard's part in it.
//!
//! Who watches an address wants both ends of its calls, and the other end may be on any shard: each learns the calls of an address from
//! the frames that name both, so that no shard has to ask another. While nobody watches, a frame costs one comparison; while
//! somebody does, one that is not watched costs a look-up for each name and call in it, however many watches there are.

use std::collections::{HashMap, VecDeque};

use crate::exchange::ids::{CallId, LineId};

use super::sketch::{REGISTER, Sketch};
use super::watch::{Step, StepSink, Subject, WatchList};

/// Calls of watched addresses that a shard remembers; the oldest give way.
const CALLS_LEARNT_MAX: usize = 256;
/// Lines that it remembers; the same holds.
const LINES_LEARNT_MAX: usize = 256;

/// Subjects of one kind, and whether what is said to do with them is copied.
type Subjects<Name> = HashMap<Name, bool, ahash::RandomState>;

/// One shard's part in watching.
#[derive(Default, Debug)]
pub struct Filter {
    is_on: bool,
    /// Addresses, and calls, that are watched by name.
    addresses: Subjects<Box<str>>,
    calls: Subjects<CallId>,
    /// Calls of watched addresses, and in which order they were learnt.
    learnt: Subjects<CallId>,
    learnt_order: VecDeque<CallId>,
    lines: VecDeque<Seen>,
    /// Frames that there has been no room for since the last one that there was.
    left_out: u32,
    /// Look-ups so far: what frames cost.
    #[cfg(test)]
    pub(super) looks: std::cell::Cell<u32>,
}

/// A line over which something watched has gone.
#[derive(Debug)]
struct Seen {
    line: LineId,
    /// What it was called: for what it says before it has a name, and after.
    who: Box<str>,
    /// The last watched call that it was in: for what names no call and ends it, as that the connection is lost.
    call: Option<CallId>,
}

/// A frame that is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admitted {
    /// Whose connection it goes over.
    pub who: Box<str>,
    /// Whether what it carries is copied.
    pub payloads: bool,
    /// The call that it is about, or that it ends.
    pub call: Option<CallId>,
}

impl Filter {
    /// From now on this is watched. What was learnt is kept as long as anything is.
    pub fn renew(&mut self, watches: WatchList) {
        if watches.is_empty() {
            *self = Self::default();
            return;
        }
        self.is_on = true;
        self.addresses.clear();
        self.calls.clear();
        for watch in &*watches {
            let payloads = match &watch.subject {
                Subject::Address(address) => self.addresses.entry(address.clone()).or_default(),
                Subject::Call { id, .. } => self.calls.entry(*id).or_default(),
            };
            *payloads |= watch.payloads;
        }
    }

    /// Whether anything is watched.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Hands a step over, and says in it how many there was no room for before it.
    pub fn give(&mut self, mut step: Step, sink: &StepSink) {
        step.left_out = self.left_out;
        self.left_out = if sink.give(step) { 0 } else { self.left_out.saturating_add(1) };
    }

    /// Those of many lines that have been seen.
    pub fn lines_among(&self, lines: &[LineId]) -> Vec<LineId> {
        self.lines.iter().map(|seen| seen.line).filter(|line| lines.contains(line)).collect()
    }

    /// Whether a frame over `line`, which is called `name` now, is watched.
    pub fn admit(&mut self, line: LineId, name: Option<&str>, sketch: &Sketch<'_>) -> Option<Admitted> {
        // Lines without a name are few and say little; those with one are not searched for.
        let seen = if name.is_none() || sketch.is_remark { self.seen(line) } else { None };
        // Who registers is called by the name that it asks for.
        let asked = sketch.peer.filter(|_| sketch.frame == REGISTER);
        let who = name.or(asked).or(seen.map(|seen| &*seen.who)).unwrap_or_default();
        let by_address = self.by_address(who, sketch.peer);
        let call = sketch.call.or(seen.filter(|_| sketch.is_remark).and_then(|seen| seen.call));
        let by_call = call.and_then(|call| self.by_call(call));
        let payloads = any([by_address, by_call].into_iter().flatten())?;
        let admitted = Admitted { who: who.into(), payloads, call };
        if let (Some(payloads), Some(call)) = (by_address, sketch.call) {
            self.learn_call(call, payloads);
        }
        self.learn_line(line, &admitted.who, sketch);
        Some(admitted)
    }

    fn seen(&self, line: LineId) -> Option<&Seen> {
        self.lines.iter().find(|seen| seen.line == line)
    }

    fn by_address(&self, who: &str, peer: Option<&str>) -> Option<bool> {
        let found =
            [Some(who), peer].into_iter().flatten().filter_map(|name| self.look(&self.addresses, name));
        any(found)
    }

    fn by_call(&self, call: CallId) -> Option<bool> {
        any([self.look(&self.learnt, &call), self.look(&self.calls, &call)].into_iter().flatten())
    }

    fn look<Name, Key>(&self, subjects: &Subjects<Name>, key: &Key) -> Option<bool>
    where
        Name: std::borrow::Borrow<Key> + Eq + std::hash::Hash,
        Key: Eq + std::hash::Hash + ?Sized,
    {
        if subjects.is_empty() {
            return None;
        }
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        subjects.get(key).copied()
    }

    fn learn_call(&mut self, call: CallId, payloads: bool) {
        if self.learnt.contains_key(&call) {
            return;
        }
        if self.learnt.len() >= CALLS_LEARNT_MAX
            && let Some(oldest) = self.learnt_order.pop_front()
        {
            self.learnt.remove(&oldest);
        }
        self.learnt.insert(call, payloads);
        self.learnt_order.push_back(call);
    }

    fn learn_line(&mut self, line: LineId, who: &str, sketch: &Sketch<'_>) {
        let at = self.lines.iter().position(|seen| seen.line == line);
        if at.is_none() && !who.is_empty() {
            if self.lines.len() >= LINES_LEARNT_MAX {
                self.lines.pop_front();
            }
            self.lines.push_back(Seen { line, who: who.into(), call: None });
        }
        let at = at.unwrap_or(self.lines.len().wrapping_sub(1));
        let Some(seen) = self.lines.get_mut(at).filter(|seen| seen.line == line) else { return };
        match sketch.call {
            // What comes after the end of a call has nothing to do with it.
            Some(call) if sketch.ends_call() => seen.call = seen.call.filter(|&known| known != call),
            Some(call) => seen.call = Some(call),
            None => {}
        }
    }
}

/// Whether any says yes; `None` if there is none.
fn any(says: impl Iterator<Item = bool>) -> Option<bool> {
    says.reduce(|one, other| one | other)
}
