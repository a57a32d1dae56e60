//! The simulation, in small: a few hundred seeds in every weather, and the seeds that once broke a rule.
//!
//! `systemx sim --seeds 100000` is the long form. A failure prints the seed and a short list of actions.

mod trees;

use systemx::sim::actions::Weather;
use systemx::sim::{Options, run};

/// Seeds for each combination of shards and weather.
const SEEDS: u64 = 60;
const EVENTS: usize = 300;

fn check(options: Options) {
    if let Err(failure) = run(&options) {
        panic!("{failure}");
    }
}

fn check_weather(weather: Weather, shards: &[usize]) {
    for (nth, &shards) in shards.iter().enumerate() {
        let seed = 1_000_000 * (nth as u64 + 1);
        let (weather, shards) = (Some(weather), Some(shards));
        check(Options { seed, seeds: SEEDS, events: EVENTS, shards, weather });
    }
}

#[test]
fn no_rule_is_broken_when_trunks_are_late_and_clients_die() {
    check_weather(Weather::Rough, &[1, 2, 3, 8]);
}

#[test]
fn any_number_of_shards_sounds_like_one_when_trunks_deliver_at_once() {
    check_weather(Weather::Calm, &[2, 3, 8]);
}

#[test]
fn seeds_that_once_broke_a_rule_do_not_any_more() {
    let seeds = include_str!("sim/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for line in seeds {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>());
        let mut number = || numbers.next().expect("three numbers").expect("a number");
        let (seed, events, shards) = (number(), number() as usize, number() as usize);
        let shards = (shards > 0).then_some(shards);
        check(Options { seed, seeds: 1, events, shards, weather: None });
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let options = Options { seed: 42, seeds: 20, events: EVENTS, shards: None, weather: None };
    let [first, second] = [(); 2].map(|()| run(&options).expect("no rule is broken").to_string());
    assert_eq!(first, second);
}
