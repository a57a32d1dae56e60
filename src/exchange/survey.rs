//! What an operator can be shown of a shard: lines, calls, parties and links, as they are at the moment of the look.
//!
//! Data only, copied out of the shard so that nobody who reads it holds anything up; `shard/survey.rs` does the looking. Lists
//! come in pages, bounded in entries and in the work that a page may cost ([`PAGE_LEN_MAX`], [`LOOKS_MAX`]): whoever wants all
//! asks again from where the last page ended. Contents of messages are nowhere in it.

use super::address::Address;
use super::call::Traffic;
use super::effect::CallMode;
use super::event::{Concurrency, Status};
use super::ids::{CallId, LineId, SessionId, ShardId};
use super::time::{Moment, Tick};

/// Most entries of a page.
pub const PAGE_LEN_MAX: usize = 100;
/// Slots that are looked at for one page, at most. A slot that was in no cache takes 0.1 us, so a page stays within the time
/// of some hundred messages; docs/OPERATIONS.md has what was measured.
pub const LOOKS_MAX: usize = 2048;

/// Where a page ended, and the next one begins: a slot.
pub type Cursor = u32;

/// A part of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// What was found, each with its slot.
    pub entries: Vec<(Cursor, T)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// Which lines are looked for: all of what is given must hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LineFilter {
    /// What the address begins with.
    pub prefix: Option<Box<str>>,
    /// The part after the `@`; case does not count.
    pub domain: Option<Box<str>>,
}

/// A line that holds an address, or may.
#[derive(Clone, PartialEq, Debug)]
pub struct LineSight {
    /// Which.
    pub line: LineId,
    /// The connection's name.
    pub session: SessionId,
    /// Its address.
    pub address: Option<Address>,
    /// What others are shown.
    pub status: Status,
    /// How it takes calls.
    pub concurrency: Concurrency,
    /// Since when it is connected, up to 8 s early.
    pub since: Tick,
    /// When it was last heard (HEARTBEAT), in seconds of the exchange's clock.
    pub heard_s: u32,
    /// How many capabilities it offers.
    pub capabilities: usize,
    /// Calls in either role.
    pub calls: usize,
    /// Parties.
    pub seats: usize,
    /// Whether its agent can be woken once it is gone.
    pub can_be_woken: bool,
    /// Whether it takes less than it is sent.
    pub is_congested: bool,
    /// Whether it is not read at the moment.
    pub is_paused: bool,
    /// Whether it is a service of the exchange.
    pub is_internal: bool,
    /// Whether it leads to another exchange.
    pub is_tie: bool,
}

/// Who holds an address, as its home shard knows it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Holders {
    /// The lines; of a pool at most [`PAGE_LEN_MAX`].
    pub lines: Vec<LineId>,
    /// How many there are.
    pub count: usize,
    /// Whether nobody holds it, but an agent can be woken for it.
    pub is_asleep: bool,
    /// Calls that wait for an agent.
    pub waiting_calls: usize,
    /// Wakes in flight.
    pub wakes: usize,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallState {
    /// The callee sleeps.
    Waiting,
    /// It rings.
    Ringing,
    /// It is up.
    Connected,
    /// It is a broadcast.
    Broadcast,
}

/// A call, as its record has it.
#[derive(Clone, PartialEq, Debug)]
pub struct CallSight {
    /// Its id.
    pub call: CallId,
    /// The caller; of a broadcast, who speaks.
    pub from: Address,
    /// The dialled address; of a broadcast that of who speaks.
    pub to: Address,
    /// The callee's line, or the broadcaster's.
    pub callee: Option<LineId>,
    /// The shard of the caller's end; of a broadcast the broadcaster's.
    pub caller_shard: ShardId,
    /// What kind of call it is.
    pub mode: CallMode,
    /// How far it is.
    pub state: CallState,
    /// When it was dialled; not known of a broadcast, which begins and ends with its listeners.
    pub started: Option<Moment>,
    /// When it first rang.
    pub rang: Option<Tick>,
    /// When it was answered.
    pub answered: Option<Moment>,
    /// What has gone through it; of a broadcast what was said to all.
    pub traffic: Traffic,
    /// Those who listen, if it is a broadcast.
    pub listeners: usize,
    /// Whether one of its ends takes nothing more at the moment.
    pub is_held: bool,
}

/// A party line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartySight {
    /// Its name.
    pub name: Address,
    /// Members that this exchange knows of.
    pub members: usize,
    /// Those of them who come by links.
    pub far_members: usize,
    /// The exchange that hosts it; `None` if this one does.
    pub host: Option<LineId>,
}

/// A link to another exchange that is up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkSight {
    /// Its line.
    pub line: LineId,
    /// The other exchange.
    pub domain: Box<str>,
    /// The name that the configuration gives it, and its place there, if this exchange has called.
    pub peer: Option<(Box<str>, u32)>,
    /// What leads there.
    pub routes: usize,
    /// Calls that the other exchange has placed.
    pub calls_in: usize,
    /// Calls that go there.
    pub calls_out: usize,
    /// Heartbeats that were not answered.
    pub unanswered: u32,
}
