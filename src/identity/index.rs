//! Patterns by number: which of many patterns hold for an address, without trying each.
//!
//! As in the table of routes, patterns that name an address or a domain are looked up by the texts that can hold for the
//! address; only the others are tried one by one, and are therefore bounded. Invariant: the cost of a question does
//! not grow with the number of patterns that are looked up.

use std::collections::HashMap;

use crate::exchange::pattern::{Pattern, Shape, each_key};

/// Most different patterns that have to be tried one by one, some 50 ns each.
pub const WILD_PATTERNS_MAX: usize = 256;

/// Numbered patterns, each once.
#[derive(Debug, Default)]
pub(super) struct PatternIndex {
    numbers: HashMap<Box<str>, u32, ahash::RandomState>,
    /// Those that cannot be looked up.
    wild: Vec<(Pattern, u32)>,
    /// The number of `*`, which holds for everybody.
    everybody: Option<u32>,
}

impl PatternIndex {
    /// The number of a pattern; a new one if it is new. Nothing if it would have to be tried, and too many have to already.
    pub(super) fn add(&mut self, pattern: &Pattern) -> Option<u32> {
        if let Some(&number) = self.numbers.get(pattern.as_str()) {
            return Some(number);
        }
        let number = u32::try_from(self.numbers.len()).ok()?;
        if pattern.as_str() == "*" {
            self.everybody = Some(number);
        } else if pattern.shape() == Shape::Wild {
            if self.wild.len() >= WILD_PATTERNS_MAX {
                return None;
            }
            self.wild.push((pattern.clone(), number));
        }
        self.numbers.insert(pattern.as_str().into(), number);
        Some(number)
    }

    /// The numbers of all patterns that hold for a folded address.
    pub(super) fn find(&self, address: &str) -> Vec<u32> {
        let mut found = Vec::new();
        if self.numbers.is_empty() {
            return found;
        }
        found.extend(self.everybody);
        each_key(address, |text| found.extend(self.numbers.get(text)));
        let wild = self.wild.iter().filter(|(pattern, _)| pattern.matches_folded(address));
        found.extend(wild.map(|&(_, number)| number));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_up_is_what_would_have_matched() {
        let texts = [
            "*",
            "*@home.test",
            "*.home.test",
            "*.test",
            "bob@home.test",
            "b*@home.test",
            "*@a.home.test",
            "*.x@y.test",
        ];
        let patterns: Vec<_> = texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
        let mut index = PatternIndex::default();
        for (number, pattern) in patterns.iter().enumerate() {
            assert_eq!(index.add(pattern), Some(number as u32));
            assert_eq!(index.add(pattern), Some(number as u32));
        }
        for address in [
            "bob@home.test",
            "x@a.home.test",
            "x@b.a.home.test",
            "a.x@y.test",
            "x@other.org",
            "no address",
            "@",
        ] {
            let mut found = index.find(address);
            found.sort_unstable();
            let tried = patterns.iter().enumerate().filter(|(_, pattern)| pattern.matches_folded(address));
            assert_eq!(found, tried.map(|(number, _)| number as u32).collect::<Vec<_>>(), "{address}");
        }
    }

    #[test]
    fn patterns_that_must_be_tried_are_bounded_and_others_are_not() {
        let mut index = PatternIndex::default();
        let pattern = |text: String| Pattern::parse(&text).expect("a pattern");
        for number in 0..WILD_PATTERNS_MAX {
            assert!(index.add(&pattern(format!("a*{number}"))).is_some());
        }
        assert_eq!(index.add(&pattern("b*".into())), None);
        assert!(index.add(&pattern("a*1".into())).is_some() && index.add(&pattern("*@b.c".into())).is_some());
    }
}
