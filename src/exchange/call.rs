//! The two ends of a call, and broadcast sessions.
//!
//! The caller's end is a [`Leg`] on the caller's shard, the callee's end a [`Record`] on the callee's. Neither
//! holds a copy of the other: each knows how to reach it, and what its own party has to be told. Nothing here
//! emits effects.

use bytes::Bytes;
use indexmap::IndexMap;

use super::address::Address;
use super::effect::CallMode;
use super::ids::{CallId, LegId, LineId, RecordId, ShardId};
use super::signal::CallEnd;
use super::time::{Moment, Tick};
use super::timers::TimerId;
use super::trace::TraceParent;

/// A caller's end of a call.
#[derive(Debug)]
pub struct Leg {
    /// The call's name, minted here when it was dialled.
    pub id: CallId,
    /// The caller.
    pub line: LineId,
    /// The dialled address.
    pub to: Address,
    /// The callee's address now, if that is another.
    pub callee: Option<Address>,
    /// The caller's own name for the dial.
    pub reference: Option<Box<str>>,
    /// How far the call is.
    pub stage: LegStage,
    /// The shard that knows of the dial: the home of the dialled address, until the callee's is known.
    pub shard: ShardId,
    /// The callee takes nothing more at the moment.
    pub held: bool,
    /// The callee cannot be held back, because it has other business.
    pub heedless_peer: bool,
    /// What it has sent, by weight in bytes, since the caller's output last began to pile up.
    pub pressed: u64,
    /// The caller, if the call came in by a tie line.
    pub forwarded: Option<Address>,
}

/// How far a call is, seen from the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegStage {
    /// Dialled: it rings, waits for the callee to wake up, or is on its way.
    Dialling,
    /// Up.
    Connected(RecordId),
    /// Part of a broadcast's audience.
    Listening {
        /// The session's record.
        record: RecordId,
        /// The session's id, by which the parties call it.
        session: CallId,
    },
}

impl Leg {
    /// The name by which the caller knows the call.
    pub fn shown_id(&self) -> CallId {
        match self.stage {
            LegStage::Listening { session, .. } => session,
            LegStage::Dialling | LegStage::Connected(_) => self.id,
        }
    }

    /// The address that messages from the other side bear.
    pub fn callee_address(&self) -> &Address {
        self.callee.as_ref().unwrap_or(&self.to)
    }
}

/// What a callee's shard keeps of a call, or of a broadcast session.
#[derive(Debug)]
pub enum Record {
    /// A call of two.
    Call(Box<Call>),
    /// A broadcast.
    Session(Box<Session>),
}

/// A callee's end of a call of two.
#[derive(Debug)]
pub struct Call {
    /// The call's name.
    pub id: CallId,
    /// Where the caller's end is.
    pub leg: LegId,
    /// The caller's line.
    pub caller: LineId,
    /// The caller's address.
    pub from: Address,
    /// The dialled address.
    pub to: Address,
    /// The callee; `None` while it sleeps.
    pub callee: Option<LineId>,
    /// How the callee takes calls.
    pub mode: CallMode,
    /// How far the call is.
    pub stage: Stage,
    /// The timer of the ring or of the wait.
    pub timer: Option<TimerId>,
    /// What the caller sent along, kept while the callee sleeps.
    pub metadata: Option<Bytes>,
    /// When it was dialled.
    pub started: Moment,
    /// When it first rang, as far as is known here.
    pub rang: Option<Tick>,
    /// When it was answered.
    pub answered: Option<Moment>,
    /// What has gone through it.
    pub traffic: Traffic,
    /// The caller takes nothing more at the moment.
    pub held: bool,
    /// The caller cannot be held back, because it has other business.
    pub heedless_peer: bool,
    /// What it has sent, by weight in bytes, since the callee's output last began to pile up.
    pub pressed: u64,
    /// The call came in by a tie line, which is told when it rings.
    pub is_inbound: bool,
    /// Who speaks on the other side of a tie line, if that is another than was dialled.
    pub speaker: Option<Address>,
    /// The trace that it belongs to, if the caller says so.
    pub trace: Option<Box<TraceParent>>,
}

/// Messages, and the bytes of their data as it was written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Volume {
    /// How many.
    pub messages: u64,
    /// Of all their data together.
    pub bytes: u64,
}

impl Volume {
    /// Counts one message with so many bytes of data.
    pub fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    /// What has come since the volume was `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { messages: self.messages - earlier.messages, bytes: self.bytes - earlier.bytes }
    }
}

/// What goes through a call, each way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// From the caller to the callee.
    pub to_callee: Volume,
    /// From the callee to the caller.
    pub to_caller: Volume,
}

impl Traffic {
    /// Messages in both directions.
    pub fn messages(self) -> u64 {
        self.to_callee.messages + self.to_caller.messages
    }
}

/// How far a call is, seen from the callee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The callee sleeps; `run` is the wake attempt the call waits for.
    Waiting {
        /// Its number on this shard.
        run: Option<u64>,
    },
    /// The callee has been told.
    Ringing,
    /// The callee has answered.
    Connected,
}

impl Call {
    /// How the callee names the caller's end.
    pub fn caller_end(&self) -> CallEnd {
        CallEnd::Leg(self.leg)
    }
}

/// A broadcast: one voice, many ears, one call id.
#[derive(Debug)]
pub struct Session {
    /// The id that all parties share.
    pub id: CallId,
    /// The one that is heard.
    pub broadcaster: LineId,
    /// Those who listen, by their lines, in a fixed order.
    pub listeners: IndexMap<LineId, Listener, ahash::RandomState>,
    /// How many of them each shard has.
    pub per_shard: Vec<u32>,
    /// What the broadcaster said to everybody.
    pub said: Volume,
}

/// One who listens to a broadcast.
#[derive(Debug)]
pub struct Listener {
    /// The name of its own dial.
    pub dial: CallId,
    /// Its end.
    pub leg: LegId,
    /// Its address.
    pub address: Address,
    /// The address it dialled.
    pub to: Address,
    /// When it dialled.
    pub started: Moment,
    /// When it began to listen.
    pub answered: Moment,
    /// What it said, and what was said to it alone.
    pub traffic: Traffic,
    /// What the broadcaster had said before it came.
    pub missed: Volume,
    /// The trace that its dial belongs to, if it says so.
    pub trace: Option<Box<TraceParent>>,
}

impl Listener {
    /// It leaves: what it heard of a broadcaster who has `said` so much counts from now on.
    pub fn sum_up(&mut self, said: Volume) {
        let heard = said.since(self.missed);
        self.traffic.to_caller.messages += heard.messages;
        self.traffic.to_caller.bytes += heard.bytes;
    }
}

impl Session {
    /// A session without listeners, in an exchange of `shards` shards.
    pub fn new(id: CallId, broadcaster: LineId, shards: usize, hasher: ahash::RandomState) -> Self {
        Self {
            id,
            broadcaster,
            listeners: IndexMap::with_hasher(hasher),
            per_shard: vec![0; shards],
            said: Volume::default(),
        }
    }

    /// Adds a listener.
    pub fn add(&mut self, line: LineId, listener: Listener) {
        self.per_shard[line.shard().index()] += 1;
        self.listeners.insert(line, listener);
    }

    /// Takes a listener out.
    pub fn remove(&mut self, line: LineId) -> Option<Listener> {
        let mut listener = self.listeners.swap_remove(&line)?;
        listener.sum_up(self.said);
        self.per_shard[line.shard().index()] -= 1;
        Some(listener)
    }
}
