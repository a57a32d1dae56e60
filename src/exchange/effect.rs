//! Everything that can leave a shard: notices to lines, signals to other shards, orders to the shell.
//!
//! Effects are data, written in order to an `Outbox` and performed by the shell in that order. Notices are free
//! of any dialect. Payloads borrow from the event that caused them wherever the receiver is on the same shard.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::address::Address;
use super::call::Traffic;
use super::cause::{Cause, Reason, brief};
use super::event::{ContentType, Status, Verb, WakeHandler};
use super::ids::{CallId, LineId, SessionId, ShardId, WakeRun};
use super::line::Luggage;
use super::signal::Signal;
use super::tie::TieNotice;
use super::time::{Moment, Tick};
use super::trace::TraceParent;

/// The reused list a shard writes its effects to. The shell drains it after every event, in order.
///
/// It also keeps a few spent buffers, so that payloads that go to another shard need no allocation in steady state.
#[derive(Default, Debug)]
pub struct Outbox<'a> {
    /// What to do, in this order.
    pub effects: Vec<Effect<'a>>,
    spare: Vec<Vec<u8>>,
    /// The capacity of all spare buffers.
    spare_bytes: usize,
    /// Whether a parcel has been made since this was last asked.
    has_sent: bool,
}

/// Most spent buffers kept for reuse: as many as a turn sends messages. The largest one kept, in bytes (the data of a
/// 16 KiB message fits), and all together: 4 MiB a shard.
const SPARE_BUFFERS_MAX: usize = 1024;
const SPARE_BUFFER_BYTES_MAX: usize = 32 << 10;
/// All spent buffers of a shard together, in bytes.
pub const SPARE_BYTES_MAX: usize = 4 << 20;

impl<'a> Outbox<'a> {
    /// Adds an effect.
    pub fn push(&mut self, effect: Effect<'a>) {
        self.effects.push(effect);
    }

    /// Adds a notice to one line.
    pub fn notify(&mut self, line: LineId, notice: Notice<'a>) {
        self.effects.push(Effect::Notify { line, notice });
    }

    /// An owned copy of `bytes`, in a spent buffer if there is one.
    pub fn parcel(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.has_sent = true;
        let mut parcel = self.take_spare().unwrap_or_default();
        parcel.extend_from_slice(bytes);
        parcel
    }

    /// Whether a parcel has been made since this was last asked: only who sends parcels needs spent buffers.
    pub fn take_has_sent(&mut self) -> bool {
        std::mem::take(&mut self.has_sent)
    }

    /// The capacity of all spent buffers.
    pub fn spare_bytes(&self) -> usize {
        self.spare_bytes
    }

    /// How many spent buffers there are.
    pub fn spares(&self) -> usize {
        self.spare.len()
    }

    /// Takes a spent buffer out, for a shard that has too few: whoever sends more parcels than it gets runs out.
    pub fn take_spare(&mut self) -> Option<Vec<u8>> {
        let buffer = self.spare.pop()?;
        self.spare_bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Takes back a buffer whose bytes have been used; whether it is kept.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) -> bool {
        let capacity = buffer.capacity();
        let has_room = self.spare.len() < SPARE_BUFFERS_MAX && self.spare_bytes + capacity <= SPARE_BYTES_MAX;
        let is_kept = has_room && (1..=SPARE_BUFFER_BYTES_MAX).contains(&capacity);
        if is_kept {
            buffer.clear();
            self.spare_bytes += capacity;
            self.spare.push(buffer);
        }
        is_kept
    }

    /// The same outbox, empty, for an event of another life. Keeps its memory.
    #[must_use]
    pub fn renew<'b>(mut self) -> Outbox<'b> {
        self.effects.clear();
        // Collecting an emptied list into one of another life reuses its memory: an idiom of the standard library.
        let effects = self.effects.into_iter().map(|_| unreachable!("the list was cleared")).collect();
        Outbox { effects, spare: self.spare, spare_bytes: self.spare_bytes, has_sent: self.has_sent }
    }
}

/// Something that leaves a shard.
#[derive(Debug)]
pub enum Effect<'a> {
    /// Tell a line of this shard something.
    Notify {
        /// Whom.
        line: LineId,
        /// What.
        notice: Notice<'a>,
    },
    /// Tell many lines of this shard the same; encoded once per dialect.
    Publish {
        /// Whom.
        lines: Vec<LineId>,
        /// What.
        notice: Notice<'a>,
    },
    /// Close a line's connection, after what has been written to it. The core has forgotten the line already.
    Close {
        /// Which.
        line: LineId,
        /// Why.
        cause: Cause,
    },
    /// The same because the exchange is about to go, with word of when to come back.
    SendAway {
        /// Which.
        line: LineId,
        /// After how long, in ms.
        retry_after_ms: u64,
    },
    /// Do not read from a line, nor handle what has been read, until `Resume`.
    Pause(LineId),
    /// Read from a paused line again.
    Resume(LineId),
    /// Move a line's connection to its home shard: bytes not yet handled and output not yet written go with it.
    /// There `Shard::admit` takes the luggage. The core has forgotten the line here.
    Relocate {
        /// Which.
        line: LineId,
        /// Where to.
        to: ShardId,
        /// What the core there needs.
        luggage: Box<Luggage>,
    },
    /// Tell another shard something. Signals to one shard must arrive in the order of these effects.
    Signal {
        /// Which shard.
        to: ShardId,
        /// What.
        signal: Signal,
    },
    /// Run a wake handler and answer with `Event::Woken`.
    Wake {
        /// The name of this run.
        run: WakeRun,
        /// Who is to be woken.
        address: Address,
        /// How, and within which time.
        handler: Arc<WakeHandler>,
    },
    /// The address that a run was to wake is registered: whatever the run started may live on (section 15).
    WakeSettled(WakeRun),
    /// A call ended or a dial failed.
    Record(Box<CallRecord>),
    /// Another exchange has given a call this name, by which its parties are told of it until [`Effect::CallForgotten`]
    /// has been said as often.
    CallNamed {
        /// The call; its id is derived from the name.
        call: CallId,
        /// The name.
        name: Arc<str>,
    },
    /// No notice and no record that follows will speak of the call, as far as one [`Effect::CallNamed`] goes.
    CallForgotten(CallId),
    /// There is something to say to the operator about a tie line that this exchange has called.
    Tie {
        /// Which.
        line: LineId,
        /// What.
        news: TieNews,
    },
    /// A message was dropped, because it was for a call that is none of the line's, or is not up (section 12).
    Stray(LineId),
    /// A token was signed by a key that the rulebook does not have: a newer set of keys may.
    KeysWanted,
}

/// How it stands with a tie line that this exchange has called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TieNews {
    /// The other exchange has let it in.
    Welcomed,
    /// The other exchange has not; calls from here may pass all the same.
    TurnedDown(Box<str>),
    /// There are as many routes, or tie lines, as there may be: nothing is sent by it.
    NoRoom,
}

/// What the exchange tells a line.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The address is held (section 4).
    Registered {
        /// Which.
        address: Address,
        /// The connection's name.
        session: SessionId,
    },
    /// The address is not held (section 4).
    RegisterRefused(Cause),
    /// A heartbeat was heard (section 7).
    HeartbeatHeard {
        /// The wall clock, in ms since the epoch.
        wall_ms: u64,
    },
    /// A dial with a reference is on its way (issue 2, part 3).
    Dialling {
        /// The caller's name for it.
        reference: Box<str>,
        /// The exchange's name for it.
        call: CallId,
        /// Whom it goes to.
        to: Name<'a>,
    },
    /// Somebody calls (section 9), or has begun to listen (section 13).
    Ring {
        /// Who.
        from: Address,
        /// The call.
        call: CallId,
        /// What the caller sent along.
        metadata: Payload<'a>,
        /// In a broadcast, the listener's line, for [`super::event::Request::Whisper`].
        listener: Option<LineId>,
    },
    /// The call is up (section 10).
    Connected {
        /// The call.
        call: CallId,
        /// The dialled address.
        to: Address,
        /// The caller's name for the dial.
        reference: Option<Box<str>>,
    },
    /// The dial came to nothing (section 9).
    Busy {
        /// The dialled address.
        to: Name<'a>,
        /// Why; in another exchange's own words if it was that which refused.
        reason: Reason,
        /// The caller's name for the dial, and the exchange's.
        reference: Option<(Box<str>, CallId)>,
    },
    /// The other side ended the call (section 11).
    HungUp {
        /// The call.
        call: CallId,
        /// Why.
        reason: Reason,
        /// In a broadcast, the listener that left.
        from: Option<Address>,
    },
    /// The other side says something (section 12).
    Message {
        /// The call.
        call: CallId,
        /// Who says it.
        from: Address,
        /// What.
        data: Payload<'a>,
        /// How to read it.
        content_type: ContentType,
    },
    /// Who is there (section 16).
    Presence {
        /// The lines found.
        entries: Vec<PresenceEntry>,
        /// Whether there would have been more.
        truncated: bool,
    },
    /// The token that the line has registered with expires soon.
    AuthExpiring {
        /// When, in ms since the epoch.
        expires_ms: u64,
    },
    /// Sleep is near (section 6).
    SleepPending {
        /// Whole seconds until then.
        seconds: u64,
    },
    /// A request was turned down.
    Refused {
        /// Which kind of request.
        verb: Verb,
        /// Why.
        cause: Cause,
    },
    /// The line is in the party (section 17).
    Joined {
        /// Its name.
        party: Address,
        /// Everybody in it, in the order in which they came.
        participants: Arc<[Address]>,
    },
    /// Whom the line has called by way of another exchange rings (section 19.3).
    RingBack {
        /// The call.
        call: CallId,
        /// The dialled address.
        to: Address,
        /// What the other side says about it.
        metadata: Option<Bytes>,
    },
    /// What exchanges say to each other (section 19).
    Tie(TieNotice<'a>),
    /// Somebody says something in a party (section 17).
    PartyMessage {
        /// The party.
        party: Address,
        /// Who says it.
        from: Address,
        /// What.
        data: Payload<'a>,
        /// How to read it, if said.
        content_type: Option<ContentType>,
    },
}

/// The name a client dialled: an address, or text that can be none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Name<'a> {
    /// An address.
    Address(Address),
    /// Any other text, as given.
    Given(Cow<'a, str>),
}

impl Name<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Address(address) => address.as_str(),
            Self::Given(text) => text,
        }
    }

    /// What a call record keeps of it: text that is no address may be of any length.
    pub fn brief(&self) -> Name<'static> {
        match self {
            Self::Address(address) => Name::Address(address.clone()),
            Self::Given(text) => Name::Given(Cow::Owned(brief(text).into())),
        }
    }
}

/// Opaque bytes on their way to a line.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// The sender gave none.
    Absent,
    /// Still in the frame they came in.
    Borrowed(&'a [u8]),
    /// From another shard.
    Owned(Vec<u8>),
    /// For many.
    Shared(Bytes),
}

impl Payload<'_> {
    /// The bytes, if there are any.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Absent => None,
            Self::Borrowed(bytes) => Some(bytes),
            Self::Owned(bytes) => Some(bytes),
            Self::Shared(bytes) => Some(bytes),
        }
    }
}

impl From<Option<Vec<u8>>> for Payload<'_> {
    fn from(bytes: Option<Vec<u8>>) -> Self {
        bytes.map_or(Self::Absent, Self::Owned)
    }
}

impl From<Option<Bytes>> for Payload<'_> {
    fn from(bytes: Option<Bytes>) -> Self {
        bytes.map_or(Self::Absent, Self::Shared)
    }
}

impl<'a> From<Option<&'a [u8]>> for Payload<'a> {
    fn from(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Absent, Self::Borrowed)
    }
}

/// One line in an answer to PRESENCE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresenceEntry {
    /// Its address.
    pub address: Address,
    /// Its status as others see it.
    pub status: Status,
    /// Its metadata.
    pub metadata: Option<Bytes>,
}

/// What is kept of an ended call or a failed dial (section 22).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallRecord {
    /// The call.
    pub call: CallId,
    /// The caller.
    pub from: Address,
    /// The dialled name.
    pub to: Name<'static>,
    /// How the callee takes calls.
    pub mode: CallMode,
    /// When it was dialled.
    pub started: Moment,
    /// When it first rang, if it did.
    pub rang: Option<Tick>,
    /// When it was answered, if it was.
    pub answered: Option<Moment>,
    /// When it ended.
    pub ended: Moment,
    /// Why.
    pub reason: Reason,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// What went through it.
    pub traffic: Traffic,
    /// How it came from, or went to, another exchange; `None` if both parties are here.
    pub crossing: Option<Crossing>,
    /// The trace that it belongs to, if the caller says so.
    pub trace: Option<Box<TraceParent>>,
}

/// How a recorded call crossed to another exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crossing {
    /// Which of its ends is elsewhere.
    pub way: Way,
    /// The domain of the link: the one it went out by, or else came in by. `None` if only another shard knows it.
    pub link: Option<Box<str>>,
}

/// Which end of a recorded call is on another exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The caller's.
    In,
    /// The callee's.
    Out,
    /// Both.
    Through,
}

impl Way {
    /// The way of a call that came from another exchange, or goes to one, or both.
    pub fn of(comes_in: bool, goes_out: bool) -> Option<Self> {
        match (comes_in, goes_out) {
            (true, true) => Some(Self::Through),
            (true, false) => Some(Self::In),
            (false, true) => Some(Self::Out),
            (false, false) => None,
        }
    }
}

/// How the callee of a recorded call takes calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallMode {
    /// One at a time.
    Single,
    /// Side by side.
    Parallel,
    /// One session for many listeners; the record is one listener's part in it.
    Broadcast,
    /// By way of another exchange, which decides.
    Forwarded,
}

/// Who ended a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndedBy {
    /// The party that dialled.
    Caller,
    /// The party that was dialled.
    Callee,
    /// The exchange: refusals, timers, shutdown.
    Exchange,
}

impl EndedBy {
    /// The same, but a stop and the operator's word are the exchange's doing, whichever party they reach first.
    pub fn unless_stopped(self, reason: &Reason) -> Self {
        let is_stop =
            matches!(reason, Reason::Cause(Cause::Shutdown | Cause::ServiceShutdown | Cause::Admin));
        if is_stop { Self::Exchange } else { self }
    }
}
