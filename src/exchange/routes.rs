//! Routes: which tie line leads to an address that nobody here holds (spec section 19.2).
//!
//! Each shard has a table of its own, and all are told the same in the same order, so no dial waits for another shard or a
//! lock to be routed. Patterns that name a domain are looked up, however many there are; only others are tried one
//! by one, and are therefore bounded. The most special pattern wins, then the one that has been there longest.

use std::collections::HashMap;
use std::sync::Arc;

use super::ids::LineId;
use super::pattern::{Pattern, Shape, each_key, fold};

/// What a tie line leads to, and for whom. Shared by all shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TieRoutes {
    /// The name of the other exchange. Case does not count.
    pub domain: Box<str>,
    /// What leads there.
    pub routes: Box<[Pattern]>,
    /// What this exchange has told the other one to send here: it would only come back.
    pub announced: Box<[Pattern]>,
    /// The tie line's place in this exchange's own configuration, if it has one. Such routes are in conflict with none.
    pub configured: Option<u32>,
}

impl TieRoutes {
    /// Whether they lead to the exchange of this name.
    pub fn is_of(&self, domain: &str) -> bool {
        fold(&self.domain) == fold(domain)
    }
}

/// The routes of all tie lines.
#[derive(Debug)]
pub struct RouteTable {
    ties: HashMap<LineId, Arc<TieRoutes>, ahash::RandomState>,
    /// All routes by their pattern's text.
    routes: HashMap<Box<str>, Vec<Entry>, ahash::RandomState>,
    /// Those that cannot be looked up, the most special first.
    wild: Vec<(Pattern, Entry)>,
    len: usize,
    added: u64,
}

/// A route's rank among those that hold for the same address: the least goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    /// Characters that are not spelled out. A count from above, so that the most special pattern goes first.
    vagueness: usize,
    /// Configured ones go in the order of the configuration, before those that came by themselves.
    order: (bool, u64),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tie: LineId,
    rank: Rank,
}

impl RouteTable {
    /// A table without routes.
    pub fn with_hasher(hasher: ahash::RandomState) -> Self {
        Self {
            ties: HashMap::with_hasher(hasher.clone()),
            routes: HashMap::with_hasher(hasher),
            wild: Vec::new(),
            len: 0,
            added: 0,
        }
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of them have to be tried one by one.
    pub fn wild_len(&self) -> usize {
        self.wild.len()
    }

    /// What is known of a tie line.
    pub fn tie(&self, tie: LineId) -> Option<&Arc<TieRoutes>> {
        self.ties.get(&tie)
    }

    /// The tie lines, in no particular order.
    pub fn ties(&self) -> impl Iterator<Item = (LineId, &TieRoutes)> {
        self.ties.iter().map(|(&tie, routes)| (tie, &**routes))
    }

    /// Adds a tie line with its routes, instead of those that it may have.
    pub fn add(&mut self, tie: LineId, routes: Arc<TieRoutes>) {
        self.remove(tie);
        self.added += 1;
        let order = (routes.configured.is_none(), routes.configured.map_or(self.added, u64::from));
        for pattern in &routes.routes {
            let entry = Entry { tie, rank: Rank { vagueness: usize::MAX - pattern.literals(), order } };
            let same = self.routes.entry(pattern.as_str().into()).or_default();
            if same.iter().any(|other| other.tie == tie) {
                continue;
            }
            let at = same.partition_point(|other| other.rank <= entry.rank);
            same.insert(at, entry);
            self.len += 1;
            if pattern.shape() == Shape::Wild {
                let at = self.wild.partition_point(|(_, other)| other.rank <= entry.rank);
                self.wild.insert(at, (pattern.clone(), entry));
            }
        }
        self.ties.insert(tie, routes);
    }

    /// Takes a tie line out, and its routes.
    pub fn remove(&mut self, tie: LineId) -> Option<Arc<TieRoutes>> {
        let routes = self.ties.remove(&tie)?;
        for pattern in &routes.routes {
            let Some(same) = self.routes.get_mut(pattern.as_str()) else { continue };
            let before = same.len();
            same.retain(|entry| entry.tie != tie);
            self.len -= before - same.len();
            if same.is_empty() {
                self.routes.remove(pattern.as_str());
            }
        }
        self.wild.retain(|(_, entry)| entry.tie != tie);
        Some(routes)
    }

    /// The tie line by which to reach `address`, other than `except`: the one it came by.
    pub fn find(&self, address: &str, except: Option<LineId>) -> Option<LineId> {
        if self.is_empty() {
            return None;
        }
        let address = fold(address);
        self.ranked(&address, except).find(|&tie| !self.leads_back(tie, &address))
    }

    /// The tie line behind which a party of this name is hosted, other than `except`: the one the wish came by; `None` if it is
    /// here (section 19.7). What this exchange has announced to others belongs here, unless a route is more special than what
    /// was announced, or as special and what was announced is not for the domain `own`: an exchange announces what is its
    /// children's together with what is its own.
    pub fn find_host(&self, name: &str, own: &str, except: Option<LineId>) -> Option<LineId> {
        let tie = self.find(name, except)?;
        let name = fold(name);
        let holds = |pattern: &&Pattern| pattern.matches_folded(&name);
        let configured = self.ties.values().filter(|routes| routes.configured.is_some());
        let announced = configured.flat_map(|routes| &routes.announced).filter(holds);
        let ours = announced.max_by_key(|pattern| pattern.literals());
        let theirs = self.ties.get(&tie).into_iter().flat_map(|routes| &routes.routes).filter(holds);
        let theirs = theirs.map(Pattern::literals).max();
        let is_childs = ours.is_some_and(|ours| !ours.matches(&format!("x@{own}")));
        let ours = ours.map(Pattern::literals);
        (ours < theirs || is_childs && ours == theirs).then_some(tie)
    }

    /// Every tie line by which `address` can be reached, other than `except`, each once, the best first.
    pub fn find_all(&self, address: &str, except: Option<LineId>) -> Vec<LineId> {
        let address = fold(address);
        let mut ties = Vec::new();
        for tie in self.ranked(&address, except) {
            if !ties.contains(&tie) && !self.leads_back(tie, &address) {
                ties.push(tie);
            }
        }
        ties
    }

    /// Whether a tie line leads to `address`, be it the best or not.
    pub fn leads_to(&self, tie: LineId, address: &str) -> bool {
        let address = fold(address);
        self.candidates(&address).iter().any(|entry| entry.tie == tie) && !self.leads_back(tie, &address)
    }

    /// Whether this exchange has told the other one to send `address` here.
    fn leads_back(&self, tie: LineId, address: &str) -> bool {
        let announced = self.ties.get(&tie).map(|routes| &routes.announced);
        announced.is_some_and(|announced| announced.iter().any(|pattern| pattern.matches_folded(address)))
    }

    fn ranked(&self, address: &str, except: Option<LineId>) -> impl Iterator<Item = LineId> {
        let mut candidates = self.candidates(address);
        candidates.retain(|entry| Some(entry.tie) != except);
        candidates.sort_unstable_by_key(|entry| entry.rank);
        candidates.into_iter().map(|entry| entry.tie)
    }

    /// A route among `wanted` that another exchange than `domain` has, and the name of that exchange (section 19.1). What
    /// `tie` itself has is no conflict.
    pub fn conflict<'a>(
        &self,
        domain: &str,
        tie: LineId,
        wanted: &'a [Pattern],
    ) -> Option<(&'a Pattern, Box<str>)> {
        wanted.iter().find_map(|pattern| {
            let others = self.routes.get(pattern.as_str())?.iter().filter(|entry| entry.tie != tie);
            let others = others.filter_map(|entry| self.ties.get(&entry.tie));
            let mut others = others.filter(|other| other.configured.is_none() && !other.is_of(domain));
            others.next().map(|other| (pattern, other.domain.clone()))
        })
    }

    fn candidates(&self, address: &str) -> Vec<Entry> {
        let mut found = Vec::new();
        each_key(address, |text| found.extend(self.routes.get(text).into_iter().flatten().copied()));
        let wild = self.wild.iter().filter(|(pattern, _)| pattern.matches_folded(address));
        found.extend(wild.map(|(_, entry)| *entry));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ids::{Handle, ShardId};

    fn table() -> RouteTable {
        RouteTable::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4))
    }

    fn tie(number: u32) -> LineId {
        LineId(Handle::new(ShardId::new(0), number, 0))
    }

    fn patterns(texts: &[&str]) -> Box<[Pattern]> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn routes(domain: &str, texts: &[&str]) -> Arc<TieRoutes> {
        let routes = patterns(texts);
        Arc::new(TieRoutes { domain: domain.into(), routes, announced: Box::default(), configured: None })
    }

    #[test]
    fn the_most_special_route_wins_and_then_the_oldest() {
        let mut table = table();
        for (number, pattern) in
            ["*", "*@home.test", "*.home.test", "b*@home.test", "*@home.test", "bob@home.test"]
                .iter()
                .enumerate()
        {
            table.add(tie(number as u32), routes(&format!("d{number}"), &[pattern]));
        }
        // A dot and an at-sign spell out as much.
        let order = [5, 3, 1, 2, 4, 0].map(tie);
        assert_eq!(table.find_all("Bob@HOME.test", None), order);
        for (gone, next) in order.iter().zip(&order[1..]) {
            assert_eq!(table.find("bob@home.test", Some(*gone)), Some(*next));
            table.remove(*gone);
        }
        assert_eq!((table.len(), table.wild_len()), (1, 1));
        assert_eq!(table.find("x@y.z", Some(tie(0))), None);
    }

    #[test]
    fn what_is_looked_up_is_what_would_match() {
        let texts = [
            "*",
            "*@a.test",
            "*.a.test",
            "*.test",
            "x@a.test",
            "*@b.a.test",
            "x*",
            "*.b.a.test",
            "*.",
            "*@",
            "*.x@a.test",
            "*@A.test",
            "@",
            "*@*",
        ];
        let mut table = table();
        for (number, text) in texts.iter().enumerate() {
            table.add(tie(number as u32), routes(&number.to_string(), &[text]));
        }
        for address in [
            "x@a.test",
            "y@a.test",
            "x@b.a.test",
            "y@c.b.a.test",
            "y.x@a.test",
            "z@test",
            "q@r.s",
            "+49 30",
            "b.a.test",
            ".a.test",
            "x@y@a.test",
            "x@y@b.a.test",
            "@a.test",
            "*@a.test",
            "@",
            "x.",
            "a.test",
        ] {
            let mut found: Vec<u32> = table.find_all(address, None).iter().map(|tie| tie.slot()).collect();
            found.sort_unstable();
            let expected: Vec<u32> = (0..texts.len() as u32)
                .filter(|&number| Pattern::parse(texts[number as usize]).unwrap().matches(address))
                .collect();
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn an_address_that_was_announced_to_an_exchange_is_not_sent_there() {
        let mut table = table();
        let parent = TieRoutes {
            domain: "parent".into(),
            routes: patterns(&["*"]),
            announced: patterns(&["*@home.test"]),
            configured: Some(0),
        };
        table.add(tie(1), Arc::new(parent));
        assert_eq!(table.find("x@other.test", None), Some(tie(1)));
        assert_eq!(table.find("x@home.test", None), None);
    }

    #[test]
    fn a_party_is_hosted_where_its_name_belongs_most_specially() {
        let mut table = table();
        let host = |table: &RouteTable, name, except| table.find_host(name, "Home.test", except);
        assert_eq!(host(&table, "room@home.test", None), None);
        table.add(tie(1), routes("lab.home.test", &["*@lab.home.test"]));
        let parent = TieRoutes {
            domain: "parent".into(),
            routes: patterns(&["*"]),
            announced: patterns(&["*.home.test", "*@shed.test"]),
            configured: Some(0),
        };
        table.add(tie(2), Arc::new(parent));
        table.add(tie(4), routes("shed.test", &["*@shed.test"]));
        for (name, expected) in [
            ("room@home.test", None),
            ("room@attic.home.test", None),
            ("room@lab.home.test", Some(tie(1))),
            ("room@corp.test", Some(tie(2))),
            // Announced for the exchange that it is.
            ("room@shed.test", Some(tie(4))),
        ] {
            assert_eq!(host(&table, name, None), expected, "{name}");
        }
        table.add(tie(3), routes("greedy.test", &["*", "*.home.test", "*@home.test"]));
        assert_eq!(host(&table, "room@attic.home.test", None), None);
        assert_eq!(host(&table, "room@home.test", None), None);
        assert_eq!(host(&table, "room@lab.home.test", Some(tie(1))), None);
    }

    #[test]
    fn equal_routes_of_the_configuration_are_tried_in_its_order_whoever_came_first() {
        let mut table = table();
        for number in [2, 0, 1] {
            let mut routes = (*routes("same", &["*@x.test"])).clone();
            routes.configured = Some(number);
            table.add(tie(number), Arc::new(routes));
        }
        table.add(tie(9), routes("other", &["*@x.test"]));
        assert_eq!(table.find_all("a@x.test", None), [0, 1, 2, 9].map(tie));
    }

    #[test]
    fn an_equal_route_of_another_domain_is_a_conflict_whatever_its_case() {
        let mut table = table();
        table.add(tie(1), routes("one.test", &["*@a.test", "*@b.test"]));
        let wanted = patterns(&["*@c.test", "*@B.TEST"]);
        let (pattern, by) = table.conflict("two.test", tie(2), &wanted).unwrap();
        assert_eq!((pattern.as_given(), &*by), ("*@B.TEST", "one.test"));
        assert!(table.conflict("one.test", tie(2), &wanted).is_none(), "its own");
        assert!(table.conflict("two.test", tie(1), &wanted).is_none(), "the same line under a new name");
        assert!(
            table.conflict("two.test", tie(2), &patterns(&["*", "*.a.test"])).is_none(),
            "only equal ones"
        );
        table.remove(tie(1));
        assert!(table.conflict("two.test", tie(2), &wanted).is_none());
    }

    #[test]
    fn a_tie_line_has_the_routes_it_named_last_and_each_once() {
        let mut table = table();
        table.add(tie(1), routes("one", &["*@a.test", "*@A.test", "*a*"]));
        assert_eq!((table.len(), table.wild_len()), (2, 1));
        table.add(tie(1), routes("one", &["*@b.test"]));
        assert_eq!((table.len(), table.wild_len()), (1, 0));
        assert_eq!(table.find("x@a.test", None), None);
        assert_eq!(table.tie(tie(1)).unwrap().routes.len(), 1);
    }
}
