//! Trees of exchanges, in small: some seeds of each weather, and the seeds that once broke a rule.
//!
//! `systemx sim --trees --seeds 10000` is the long form. A failure prints the seed and what happened before.

use systemx::sim::tree::plan::Weather;
use systemx::sim::tree::{Options, run};

const EVENTS: usize = 300;

fn check(seed: u64, seeds: u64, events: usize, weather: Option<Weather>) -> String {
    let result = run(&Options { seed, seeds, events, weather });
    result.unwrap_or_else(|failure| panic!("{failure}")).to_string()
}

#[test]
fn no_rule_is_broken_in_a_tree_when_links_die() {
    let told = check(1_000_000, 120, EVENTS, Some(Weather::Rough));
    // A tree in which nothing goes wrong, or nobody gets through, would prove nothing.
    for outcome in [
        "CONNECTED",
        "MSG",
        "BUSY unavailable",
        "BUSY loop_detected",
        "BUSY timeout",
        "BUSY unsupported",
        "HANGUP error",
        "JOINED",
        "PARTY_MSG",
        "ERROR party_lost",
        "PRESENCE_RESULT",
    ] {
        assert!(told.contains(outcome), "nobody has heard {outcome}: {told}");
    }
}

#[test]
fn every_dial_finds_its_way_in_a_tree_whose_links_are_only_late() {
    check(2_000_000, 60, EVENTS, Some(Weather::Calm));
}

#[test]
fn trees_that_once_broke_a_rule_do_not_any_more() {
    for line in include_str!("tree_seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>());
        let mut number = || numbers.next().expect("two numbers").expect("a number");
        let (seed, events) = (number(), number() as usize);
        check(seed, 1, events, None);
    }
}

#[test]
fn the_same_seed_grows_the_same_tree() {
    let [first, second] = [(); 2].map(|()| check(42, 10, EVENTS, None));
    assert_eq!(first, second);
}
