//! Dial rules: who may call whom (spec section 23, `dial`). The first rule that holds for both addresses decides.
//!
//! Rules are found by the pair of their patterns' numbers, so thousands of them cost as much as the few whose patterns
//! hold for the two addresses. Invariant: among rules that hold, the one that comes first in the file wins.

use std::collections::HashMap;

use super::index::PatternIndex;
use crate::exchange::pattern::{Pattern, fold};

/// All dial rules.
#[derive(Debug, Default)]
pub(super) struct DialRules {
    from: PatternIndex,
    to: PatternIndex,
    /// Place in the file and verdict, by the numbers of the two patterns.
    rules: HashMap<(u32, u32), (u32, bool), ahash::RandomState>,
    len: u32,
}

impl DialRules {
    /// Adds a rule after the others. Says whether there was room for its patterns.
    pub(super) fn add(&mut self, from: &Pattern, to: &Pattern, allow: bool) -> bool {
        let (Some(from), Some(to)) = (self.from.add(from), self.to.add(to)) else { return false };
        self.rules.entry((from, to)).or_insert((self.len, allow));
        self.len += 1;
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn verdict(&self, from: &[u32], to: &[u32]) -> Option<bool> {
        let pairs = from.iter().flat_map(|&from| to.iter().map(move |&to| (from, to)));
        pairs
            .filter_map(|pair| self.rules.get(&pair))
            .min_by_key(|(place, _)| *place)
            .map(|&(_, allow)| allow)
    }
}

/// Somebody who dials, looked up once for many questions.
#[derive(Debug)]
pub struct Dialler<'r> {
    rules: &'r DialRules,
    from: Vec<u32>,
    default: bool,
}

impl<'r> Dialler<'r> {
    pub(super) fn new(rules: &'r DialRules, from: &str, default: bool) -> Self {
        let from = if rules.is_empty() { Vec::new() } else { rules.from.find(&fold(from)) };
        Self { rules, from, default }
    }

    /// Whether he may call `to`.
    pub fn may_dial(&self, to: &str) -> bool {
        if self.from.is_empty() {
            return self.default;
        }
        self.rules.verdict(&self.from, &self.rules.to.find(&fold(to))).unwrap_or(self.default)
    }

    /// Whether the answer is yes for everybody, so that nobody need be asked about.
    pub fn may_dial_anybody(&self) -> bool {
        self.from.is_empty() && self.default
    }
}
