//! The simulation of trees: exchanges that call each other, under a seeded adversary (spec section 19).
//!
//! `systemx sim --trees` builds a tree of exchanges with shards of their own from each seed, links them by the real wire, and
//! lets phones call each other while links are late, break, fall silent and come back; in some runs one tie line is hostile.
//! A [`judge`] checks what phones hear, and in the end that nothing is left. Neither sockets nor clocks.

pub mod company;
pub mod dial;
mod ending;
pub mod evil;
pub mod exchange;
pub mod frame;
mod gathering;
pub mod judge;
pub mod link;
pub mod plan;
pub mod player;
pub mod world;

use std::collections::BTreeMap;
use std::fmt;

use super::judge::Breach;
use super::run::guarded;
use plan::Weather;
use player::Player;

/// How much of a failing run's story is printed, from its end.
const TAIL: usize = 2000;

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first seed.
    pub seed: u64,
    /// How many seeds, from that one up.
    pub seeds: u64,
    /// Moves for each.
    pub events: usize,
    /// What may happen to links; `None` = as each seed has it.
    pub weather: Option<Weather>,
}

/// Runs trees, up to the first that breaks a rule.
///
/// # Errors
/// The seed, the broken rule, and what happened before.
pub fn run(options: &Options) -> Result<Summary, Box<Failure>> {
    let Options { seed, seeds, events, weather } = *options;
    let mut summary = Summary::default();
    for seed in seed..seed.saturating_add(seeds) {
        let mut player = Player::new(seed, weather);
        let played = guarded(|| player.play(events).and_then(|()| player.end()));
        let world = player.world;
        if let Err(breach) = played {
            return Err(Box::new(Failure { seed, events, breach, story: world.story }));
        }
        summary.seeds += 1;
        summary.moves += events as u64;
        summary.frames += world.carried;
        summary.dials += world.judge.dials.len() as u64;
        for (heard, count) in world.tally {
            *summary.heard.entry(heard).or_default() += count;
        }
    }
    Ok(summary)
}

/// What trees have gone through.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Runs.
    pub seeds: u64,
    /// Moves.
    pub moves: u64,
    /// Frames that crossed links.
    pub frames: u64,
    /// Dials, the adversary's included.
    pub dials: u64,
    /// What phones have heard, and how often.
    pub heard: BTreeMap<String, u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, moves, frames, dials, heard } = self;
        writeln!(f, "{seeds} trees, {moves} moves, no rule broken")?;
        writeln!(f, "{dials} dials, {frames} frames crossed links")?;
        writeln!(f, "heard:")?;
        heard.iter().try_for_each(|(name, count)| writeln!(f, "{count:>10}  {name}"))
    }
}

/// A broken rule, and what happened before.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How many moves were to be made.
    pub events: usize,
    /// What was broken.
    pub breach: Breach,
    /// What happened.
    pub story: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, events, breach, story } = self;
        writeln!(f, "the tree of seed {seed} breaks a rule:")?;
        let tail = story.len().saturating_sub(TAIL);
        story[tail..].iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "  {breach}")?;
        write!(f, "again: systemx sim --trees --seed {seed} --events {events}")
    }
}

impl std::error::Error for Failure {}
