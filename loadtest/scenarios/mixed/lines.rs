//! All lines of a day: phones first, then those that are only there. Names, connections and heartbeats.
//!
//! A line that is lost comes again after a pause. Invariant: a phone that is on the list of the free is registered, in
//! no call, and nobody has dialled it.

use crate::engine::timers::{MILLISECOND, Nanos};
use crate::engine::{Client, Context, Enter, Plan};

/// A line that was lost comes again after this.
const RETRY: Nanos = 500 * MILLISECOND;
/// With a line behind it: it comes again.
pub const RECONNECT: u64 = 1 << 63;

/// What a phone is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It is not registered, or its past is being shaken off.
    Down,
    /// It can call and be called.
    Free,
    /// It has dialled.
    Caller,
    /// It was dialled, by this phone.
    Callee(usize),
}

/// A line.
#[derive(Debug)]
pub struct Line {
    number: usize,
    /// Its address.
    pub name: String,
    /// Its connection.
    pub client: Option<Client>,
    /// It is registered.
    pub is_in: bool,
    /// When the heartbeat was due that has not been answered.
    pub beat: Option<Nanos>,
    /// What it is doing, if it is a phone.
    pub role: Role,
    /// Phones that have dialled it although it was in a call.
    pub probed_by: Vec<usize>,
}

/// Whose client it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A line's.
    Line(usize),
    /// That of a guest, who leaves at once.
    Guest,
}

/// One worker's lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// Phones first.
    pub all: Vec<Line>,
    /// So many are phones.
    pub phones: usize,
    /// So many are registered.
    pub count_in: usize,
    /// Phones that can be used.
    pub free: Vec<usize>,
    /// Heartbeats that have not been answered.
    pub beating: usize,
    owners: Vec<Owner>,
    guests: u64,
}

impl Lines {
    /// Connects this worker's share.
    pub fn connect(&mut self, ctx: &mut Context, phones: usize, idle: usize) {
        for (word, total) in [("phone", phones), ("idle", idle)] {
            for number in ctx.share.of(total) {
                let Plan { tag, domain, .. } = ctx.plan();
                let name = format!("{word}-{number}-{tag}@{domain}");
                let (client, is_in, beat, role, probed_by) = (None, false, None, Role::Down, Vec::new());
                self.all.push(Line { number, name, client, is_in, beat, role, probed_by });
                self.enter(ctx, self.all.len() - 1);
            }
            if word == "phone" {
                self.phones = self.all.len();
            }
        }
    }

    fn enter(&mut self, ctx: &mut Context, at: usize) {
        let (name, place) = (self.all[at].name.clone(), self.all[at].number);
        let client = self.connect_as(ctx, &name, place, Owner::Line(at));
        self.all[at].client = Some(client);
    }

    fn connect_as(&mut self, ctx: &mut Context, name: &str, place: usize, owner: Owner) -> Client {
        let register = ctx.plan().register(name, "");
        let client = ctx.connect(Enter { register, place });
        if self.owners.len() <= client.index() {
            self.owners.resize(client.index() + 1, Owner::Guest);
        }
        self.owners[client.index()] = owner;
        client
    }

    /// Somebody who comes to leave again.
    pub fn invite_guest(&mut self, ctx: &mut Context) {
        self.guests += 1;
        let Plan { tag, domain, .. } = ctx.plan();
        let name = format!("guest-{}-{}-{tag}@{domain}", ctx.share.worker, self.guests);
        self.connect_as(ctx, &name, self.guests as usize, Owner::Guest);
    }

    /// Whose client it is.
    pub fn owner(&self, client: Client) -> Owner {
        self.owners[client.index()]
    }

    /// A line is registered.
    pub fn on_registered(&mut self, at: usize) {
        self.all[at].is_in = true;
        self.count_in += 1;
        if at < self.phones {
            self.set_free(at);
        }
    }

    /// A line's connection is gone; it comes again later.
    pub fn on_closed(&mut self, ctx: &mut Context, at: usize) {
        self.end_beat(at);
        let line = &mut self.all[at];
        line.client = None;
        if std::mem::take(&mut line.is_in) {
            self.count_in -= 1;
        }
        if !ctx.is_over() {
            ctx.at(ctx.now() + RETRY, RECONNECT | at as u64);
        }
    }

    /// Takes a timer if it is one of this file's.
    pub fn on_timer(&mut self, ctx: &mut Context, token: u64) -> bool {
        if token & RECONNECT == 0 {
            return false;
        }
        if !ctx.is_over() {
            self.enter(ctx, (token & !RECONNECT) as usize);
        }
        true
    }

    /// A phone has nothing to do; it can be used as soon as nobody who found it busy waits for an answer.
    pub fn set_free(&mut self, at: usize) {
        let line = &mut self.all[at];
        line.role = Role::Free;
        if line.probed_by.is_empty() {
            self.free.push(at);
        }
    }

    /// Who dialled a busy phone has been answered.
    pub fn end_probe(&mut self, target: usize, caller: usize) {
        let line = &mut self.all[target];
        let before = line.probed_by.len();
        line.probed_by.retain(|&found| found != caller);
        if before > 0 && line.probed_by.is_empty() && line.role == Role::Free {
            self.free.push(target);
        }
    }

    /// Shakes off a phone's past: its connection is closed, and it comes again.
    pub fn reset(&mut self, ctx: &mut Context, at: usize) {
        let line = &mut self.all[at];
        if line.role == Role::Free {
            self.free.retain(|&free| free != at);
        }
        line.role = Role::Down;
        if let Some(client) = line.client {
            ctx.close(client);
        }
    }

    /// A line's heartbeat is due. Gives who is to say it: nobody while the last one is unanswered.
    pub fn begin_beat(&mut self, at: usize, due: Nanos) -> Option<Client> {
        let line = &mut self.all[at];
        let client = line.client.filter(|_| line.is_in && line.beat.is_none())?;
        line.beat = Some(due);
        self.beating += 1;
        Some(client)
    }

    /// A heartbeat was answered, or will not be any more. Gives when it was due.
    pub fn end_beat(&mut self, at: usize) -> Option<Nanos> {
        let due = self.all[at].beat.take();
        self.beating -= usize::from(due.is_some());
        due
    }

    /// Says frames on a line.
    pub fn send(&self, ctx: &mut Context, at: usize, frames: &[u8]) {
        if let Some(client) = self.all[at].client {
            ctx.send(client, frames);
        }
    }
}
