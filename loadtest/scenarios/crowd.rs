//! Clients that are all alike and belong to nobody: numbered over the whole run, spread over the workers, connected
//! again when lost.
//!
//! Only who is who and who is in; what a client says is its scenario's business.

use crate::engine::timers::{MILLISECOND, Nanos};
use crate::engine::{Client, Context, Enter};

/// A client that was lost tries again after this.
const RETRY: Nanos = 500 * MILLISECOND;
/// Marks timers of this file; scenarios keep below.
const RECONNECT: u64 = 1 << 63;

#[derive(Clone, Copy, Debug)]
struct Member {
    /// In the whole run.
    number: u32,
    client: Option<Client>,
    up: bool,
}

/// One worker's clients, counted from 0 in it.
#[derive(Debug, Default)]
pub struct Crowd {
    members: Vec<Member>,
    /// By a client's index.
    owners: Vec<u32>,
    up: usize,
}

impl Crowd {
    /// This worker's share of `total`, none of them connected.
    pub fn gather(&mut self, ctx: &Context, total: usize) {
        let member = |number| Member { number: number as u32, client: None, up: false };
        self.members = ctx.share.of(total).map(member).collect();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// How many are registered.
    pub fn up(&self) -> usize {
        self.up
    }

    /// Whether a member is registered.
    pub fn is_up(&self, member: usize) -> bool {
        self.members[member].up
    }

    /// A member's number in the whole run.
    pub fn number(&self, member: usize) -> usize {
        self.members[member].number as usize
    }

    /// A member's client, if it has one.
    pub fn client(&self, member: usize) -> Option<Client> {
        self.members[member].client
    }

    /// Who a client is.
    pub fn member(&self, client: Client) -> usize {
        self.owners[client.index()] as usize
    }

    /// Connects a member, which registers as `name`; `extra` goes into its REGISTER.
    pub fn enter(&mut self, ctx: &mut Context, member: usize, name: &str, extra: &str) {
        let register = ctx.plan().register(name, extra);
        let client = ctx.connect(Enter { register, place: self.number(member) });
        self.members[member].client = Some(client);
        if self.owners.len() <= client.index() {
            self.owners.resize(client.index() + 1, 0);
        }
        self.owners[client.index()] = member as u32;
    }

    /// Notes that a client is in. Gives its member.
    pub fn on_registered(&mut self, client: Client) -> usize {
        let member = self.member(client);
        self.members[member].up = true;
        self.up += 1;
        member
    }

    /// Notes that a client is gone, and has it come again later: see [`Self::returning`]. Gives its member.
    pub fn on_closed(&mut self, ctx: &mut Context, client: Client) -> usize {
        let member = self.member(client);
        let found = &mut self.members[member];
        self.up -= usize::from(std::mem::take(&mut found.up));
        found.client = None;
        if !ctx.is_over() {
            ctx.at(ctx.now() + RETRY, RECONNECT | member as u64);
        }
        member
    }

    /// The member that a timer of this file is to connect again.
    pub fn returning(&self, token: u64) -> Option<usize> {
        let member = (token & !RECONNECT) as usize;
        (token & RECONNECT != 0 && self.members[member].client.is_none()).then_some(member)
    }

    /// Whether a timer is one of this file's.
    pub fn owns(token: u64) -> bool {
        token & RECONNECT != 0
    }
}
