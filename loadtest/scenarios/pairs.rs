//! Clients in pairs: a caller and a callee, both in one worker, connected again when one is lost.
//!
//! Names are unique to the run, and can be chosen so that both ends are at home on the same shard of the server or on
//! two: the placement hash is public.

use systemx::exchange::address::home;

use crate::engine::timers::{MILLISECOND, Nanos};
use crate::engine::{Client, Context, Enter, Plan};
use crate::options::{Common, Route};

/// A client that was lost tries again after this.
const RETRY: Nanos = 500 * MILLISECOND;
/// Marks timers of this file; scenarios keep below.
const RECONNECT: u64 = 1 << 63;

/// An end of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Who dials.
    Caller = 0,
    /// Who is dialled.
    Callee = 1,
}

impl End {
    /// The word in names and faults.
    pub fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        }
    }

    /// The end that is not this one.
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// How pairs are named.
#[derive(Clone, Debug)]
pub struct Naming {
    pairs: usize,
    shards: usize,
    route: Route,
    tag: String,
    domain: String,
}

impl Naming {
    /// As the options say.
    pub fn new(common: &Common, plan: &Plan, pairs: usize) -> Self {
        // The floor finds partners by their names, which therefore have to agree; it has no shards.
        let shards = if common.floor { 1 } else { usize::from(common.shards) };
        Self { pairs, shards, route: common.route, tag: plan.tag.clone(), domain: plan.domain.clone() }
    }

    /// The name of an end.
    pub fn name(&self, pair: usize, end: End) -> String {
        let (word, tag, domain) = (end.word(), &self.tag, &self.domain);
        if self.shards < 2 {
            return format!("{word}-{pair}-{tag}@{domain}");
        }
        let first = self.shards * pair / self.pairs;
        let shard = match (end, self.route) {
            (End::Callee, Route::Cross) => (first + 1) % self.shards,
            _ => first,
        };
        let mut names = (0..).map(|salt| format!("{word}-{pair}-{tag}-{salt}@{domain}"));
        names.find(|name| home(name, self.shards).index() == shard).expect("the hash reaches every shard")
    }
}

/// One worker's pairs, counted from 0 in it.
#[derive(Debug)]
pub struct Pairs {
    naming: Naming,
    /// The number in the whole run.
    numbers: Vec<usize>,
    names: Vec<[String; 2]>,
    clients: Vec<[Option<Client>; 2]>,
    up: Vec<[bool; 2]>,
    /// By a client's index.
    owners: Vec<(usize, End)>,
}

impl Pairs {
    /// None yet.
    pub fn new(naming: Naming) -> Self {
        Self {
            naming,
            numbers: Vec::new(),
            names: Vec::new(),
            clients: Vec::new(),
            up: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// Connects this worker's share.
    pub fn connect(&mut self, ctx: &mut Context) {
        for number in ctx.share.of(self.naming.pairs) {
            let pair = self.numbers.len();
            self.numbers.push(number);
            self.names.push([End::Caller, End::Callee].map(|end| self.naming.name(number, end)));
            self.clients.push([None; 2]);
            self.up.push([false; 2]);
            self.enter(ctx, pair, End::Caller);
            self.enter(ctx, pair, End::Callee);
        }
    }

    fn enter(&mut self, ctx: &mut Context, pair: usize, end: End) {
        let name = &self.names[pair][end as usize];
        let register = ctx.plan().register(name, "");
        let client = ctx.connect(Enter { register, place: self.numbers[pair] });
        self.clients[pair][end as usize] = Some(client);
        if self.owners.len() <= client.index() {
            self.owners.resize(client.index() + 1, (0, End::Caller));
        }
        self.owners[client.index()] = (pair, end);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// A pair's number in the whole run.
    pub fn number(&self, pair: usize) -> usize {
        self.numbers[pair]
    }

    /// The name of an end.
    pub fn name(&self, pair: usize, end: End) -> &str {
        &self.names[pair][end as usize]
    }

    /// Whose client it is.
    pub fn owner(&self, client: Client) -> (usize, End) {
        self.owners[client.index()]
    }

    /// An end's client. Only while both are up.
    pub fn client(&self, pair: usize, end: End) -> Client {
        self.clients[pair][end as usize].expect("an end that is up has a client")
    }

    /// Whether both ends are registered.
    pub fn is_up(&self, pair: usize) -> bool {
        self.up[pair] == [true; 2]
    }

    /// Notes that a client is in. Gives its pair if both are now.
    pub fn on_registered(&mut self, client: Client) -> Option<usize> {
        let (pair, end) = self.owner(client);
        self.up[pair][end as usize] = true;
        self.is_up(pair).then_some(pair)
    }

    /// Notes that a client is gone, and connects it again later. Gives its pair.
    pub fn on_closed(&mut self, ctx: &mut Context, client: Client) -> usize {
        let (pair, end) = self.owner(client);
        self.up[pair][end as usize] = false;
        self.clients[pair][end as usize] = None;
        if !ctx.is_over() {
            ctx.at(ctx.now() + RETRY, RECONNECT | (pair as u64) << 1 | end as u64);
        }
        pair
    }

    /// Takes a timer if it is one of this file's.
    pub fn on_timer(&mut self, ctx: &mut Context, token: u64) -> bool {
        if token & RECONNECT == 0 {
            return false;
        }
        let end = if token & 1 == 0 { End::Caller } else { End::Callee };
        if !ctx.is_over() {
            self.enter(ctx, ((token & !RECONNECT) >> 1) as usize, end);
        }
        true
    }

    /// Ends both connections of a pair, which then come again: nothing of the past can cross what follows.
    pub fn reset(&mut self, ctx: &mut Context, pair: usize) {
        for client in self.clients[pair].into_iter().flatten() {
            ctx.close(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(shards: usize, route: Route) -> Naming {
        Naming { pairs: 8, shards, route, tag: "r1".to_owned(), domain: "load.test".to_owned() }
    }

    #[test]
    fn names_are_at_home_where_the_route_wants_them() {
        for pair in 0..8 {
            for (route, distance) in [(Route::Same, 0), (Route::Cross, 1)] {
                let naming = naming(4, route);
                let [caller, callee] =
                    [End::Caller, End::Callee].map(|end| home(&naming.name(pair, end), 4).index());
                assert_eq!((caller, callee), (pair / 2, (pair / 2 + distance) % 4));
            }
        }
        assert_eq!(naming(1, Route::Same).name(3, End::Callee), "callee-3-r1@load.test");
    }
}
