//! What a seed builds: which exchanges there are, how they are linked, and what may happen to the links.
//!
//! The whole tree has a root, two children and two grandchildren each; smaller ones are its beginnings. Each child calls its
//! parent. Further links, some with careless announcements, make second ways and loops. Nothing here is changed by a run.

use std::sync::Arc;

use crate::exchange::Limits;
use crate::exchange::pattern::Pattern;
use crate::exchange::tie::Peer;

use crate::sim::dice::Dice;

/// The domains of the whole tree, each with the number of its parent.
const TREE: [(&str, usize); 7] = [
    ("r.test", 0),
    ("a.test", 0),
    ("b.test", 0),
    ("c.a.test", 1),
    ("d.a.test", 1),
    ("e.b.test", 2),
    ("f.b.test", 2),
];
/// How often one exchange tells another one that it is alive, in ms. Well below the limit of silence.
const HEARTBEAT_MS: u64 = 20_000;
/// The domain of the adversary.
pub const EVIL_DOMAIN: &str = "h.test";

/// What may happen to links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// They are late, no more.
    Calm,
    /// They break, fall silent and come back.
    Rough,
}

/// An exchange.
#[derive(Clone, Debug)]
pub struct ExchangePlan {
    /// Its domain.
    pub domain: &'static str,
    /// How many shards it has.
    pub shards: usize,
    /// Its limits.
    pub limits: Arc<Limits>,
}

/// A link from the exchange that calls to the one that is called.
#[derive(Clone, Debug)]
pub struct LinkPlan {
    /// Who calls.
    pub from: usize,
    /// Who is called.
    pub to: usize,
    /// The caller's configuration.
    pub peer: Arc<Peer>,
    /// Whether calls have other names on the other side.
    pub renames: bool,
}

/// A tree.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The exchanges, parents first.
    pub exchanges: Vec<ExchangePlan>,
    /// The links.
    pub links: Vec<LinkPlan>,
    /// What may happen to them.
    pub weather: Weather,
    /// Room in each trunk between shards.
    pub capacity: usize,
    /// The exchange to which an adversary has a tie line of its own.
    pub evil_at: Option<usize>,
    /// Whether phones meet in parties, ask for each other and broadcast.
    pub is_sociable: bool,
    /// Whether there are more links than the tree needs.
    pub has_second_ways: bool,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(dice: &mut Dice, weather: Option<Weather>) -> Self {
        let drawn = dice.weighted(&[(1, Weather::Calm), (3, Weather::Rough)]);
        let weather = weather.unwrap_or(drawn);
        let size = dice.weighted(&[(2, 2), (3, 3), (3, 5), (6, TREE.len())]);
        let exchanges: Vec<_> = TREE[..size].iter().map(|&(domain, _)| exchange(dice, domain)).collect();
        let mut links: Vec<_> = (1..size).map(|child| tree_link(dice, child, size)).collect();
        let second_ways = dice.pick(&[0, 0, 1, 2]);
        (0..second_ways).for_each(|_| links.extend(second_way(dice, &links, size)));
        let has_second_ways = links.len() >= size;
        if dice.chance(40) {
            let at = dice.below(links.len() as u64) as usize;
            links[at].renames = true;
        }
        let evil_at = dice.chance(30).then(|| dice.below(size as u64) as usize);
        let capacity = dice.pick(&[1, 4, 64]);
        Self { exchanges, links, weather, capacity, evil_at, is_sociable: false, has_second_ways }
    }

    /// How many names a call can have.
    pub fn names_max(&self) -> usize {
        1 + usize::from(self.links.iter().any(|link| link.renames))
    }
}

fn exchange(dice: &mut Dice, domain: &'static str) -> ExchangePlan {
    let limits = Limits {
        call_timeout_ms: dice.pick(&[10_000, 30_000]),
        dial_max_attempts: None,
        domain: domain.into(),
        ..Limits::default()
    };
    ExchangePlan { domain, shards: dice.pick(&[1, 2, 3]), limits: Arc::new(limits) }
}

fn is_below(mut exchange: usize, ancestor: usize) -> bool {
    while exchange > ancestor {
        exchange = TREE[exchange].1;
    }
    exchange == ancestor
}

/// A child calls its parent, and says what is below it.
fn tree_link(dice: &mut Dice, child: usize, size: usize) -> LinkPlan {
    let everybody = |at: usize| format!("*@{}", TREE[at].0);
    let routes = if dice.chance(60) {
        vec!["*".to_owned()]
    } else {
        let beyond = (0..size).filter(|&other| !is_below(other, child));
        let evil = std::iter::once(format!("*@{EVIL_DOMAIN}"));
        beyond.map(everybody).chain(evil).collect()
    };
    let announced = if dice.chance(50) {
        vec![format!("*.{}", TREE[child].0)]
    } else {
        (0..size).filter(|&other| is_below(other, child)).map(everybody).collect()
    };
    link(child, TREE[child].1, 0, &routes, &announced)
}

/// Another way, between exchanges that are not linked that way around yet.
fn second_way(dice: &mut Dice, links: &[LinkPlan], size: usize) -> Option<LinkPlan> {
    let [from, to] = [(); 2].map(|()| dice.below(size as u64) as usize);
    if from == to || links.iter().any(|link| (link.from, link.to) == (from, to)) {
        return None;
    }
    let anybody = |dice: &mut Dice| format!("*@{}", TREE[dice.below(size as u64) as usize].0);
    let routes = if dice.chance(50) { vec!["*".to_owned()] } else { vec![anybody(dice), anybody(dice)] };
    let announced = match dice.below(3) {
        0 => vec![format!("*@{}", TREE[from].0)],
        1 => vec![anybody(dice)],
        _ => vec![format!("*@nobody.{}", TREE[from].0)],
    };
    Some(link(from, to, links.len() as u32, &routes, &announced))
}

fn link(from: usize, to: usize, position: u32, routes: &[String], announced: &[String]) -> LinkPlan {
    let pattern = |text: &String| Pattern::parse(text).expect("a pattern");
    let peer = Peer {
        id: format!("peer-{}", TREE[to].0).into(),
        domain: TREE[from].0.into(),
        auth: None,
        routes: routes.iter().map(pattern).collect(),
        announced: announced.iter().map(pattern).collect(),
        position,
        heartbeat_ms: Some(HEARTBEAT_MS),
    };
    LinkPlan { from, to, peer: Arc::new(peer), renames: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grandchildren_are_below_their_parents_and_no_others() {
        let below: Vec<_> = (0..TREE.len()).filter(|&exchange| is_below(exchange, 1)).collect();
        assert_eq!(below, [1, 3, 4]);
        assert!((0..TREE.len()).all(|exchange| is_below(exchange, 0)));
        assert!(!is_below(1, 3));
    }

    #[test]
    fn every_exchange_but_the_root_calls_its_parent() {
        for seed in 0..50 {
            let plan = Plan::new(&mut Dice::new(seed), None);
            for (child, (_, parent)) in TREE.iter().enumerate().take(plan.exchanges.len()).skip(1) {
                assert!(plan.links.iter().any(|link| (link.from, link.to) == (child, *parent)));
            }
        }
    }
}
