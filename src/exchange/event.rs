//! Everything that can enter a shard: what its lines ask, what happens to them, what other shards say.
//!
//! The enums are closed, so that the compiler lists every place to decide when one grows. Requests are free of
//! any dialect: payloads are opaque bytes borrowed from the frame they came in, and what the core filters on
//! (capabilities, location) has been lifted into typed fields by the dialect.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;

use super::address::Address;
use super::ids::{CallId, LineId, SessionId, ShardId, WakeRun};
use super::signal::Signal;
use super::tie::TieRequest;
use super::trace::TraceParent;
use crate::identity::{Credentials, Rulebook};

/// Something that enters a shard. `'a` is the life of the frame that a request came in.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line asks for something.
    Request {
        /// Who asks.
        line: LineId,
        /// What.
        request: Request<'a>,
    },
    /// A line's connection is gone; the core has not closed it itself.
    Lost {
        /// Which.
        line: LineId,
        /// How.
        loss: Loss,
    },
    /// More output than the high-water mark waits for a line.
    Congested(LineId),
    /// A congested tie line's output has grown by another step towards the limit at which the line is given up.
    Pressed {
        /// Which.
        line: LineId,
        /// Whether it is beyond the limit, so that the next step gives the line up.
        is_over: bool,
    },
    /// A congested line's output has fallen below the low-water mark.
    Drained(LineId),
    /// Another shard says something. Signals of one shard arrive in the order in which it sent them.
    Signal {
        /// The shard that says it.
        from: ShardId,
        /// What.
        signal: Signal,
    },
    /// A wake handler came to its end.
    Woken {
        /// Which run of it.
        run: WakeRun,
        /// How it ended.
        outcome: WakeOutcome,
    },
    /// From now on these rules hold; `None` = everything is open. Whoever is registered stays so.
    Rules(Option<Arc<Rulebook>>),
    /// The exchange is about to stop: nobody is let in any more, and whoever has nothing going on is sent away, a few at a time.
    Drain(DrainOrder),
    /// The operator ends a call, whoever has it and however far it is. Nothing happens where its record is not.
    CutCall(CallId),
    /// The operator closes a line; a service of the exchange stays.
    CutLine(LineId),
    /// The exchange stops: every call ends, every line is closed.
    Shutdown,
}

/// How lines are sent away before a stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DrainOrder {
    /// The time over which those with nothing going on are spread, in ms. Those in parties and broadcasts go after it.
    pub spread_ms: u64,
    /// After how long they are to come back at the earliest, in ms; at the latest after twice that.
    pub retry_ms: u64,
}

/// How a connection was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The client closed it, or broke the protocol and was cut.
    Closed,
    /// It died without a close frame; the same event as a missed heartbeat, only noticed earlier (spec section 15).
    Vanished,
    /// Its output overflowed, or made no progress for too long (design.md, D7).
    SlowConsumer,
}

/// How the run of a wake handler ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WakeOutcome {
    /// The handler did its work; the agent is expected to register.
    Answered,
    /// The handler failed or could not be run.
    Failed,
    /// The handler did not finish within its limit.
    TimedOut,
}

/// What a line asks.
#[derive(Debug)]
pub enum Request<'a> {
    /// Hold an address from now on, or change what is known about the line that holds it (section 4).
    Register(Box<Registration>),
    /// Give the address up and go (section 5).
    Unregister,
    /// Say whether one wants to be called (section 6).
    Status {
        /// The new status.
        status: Status,
        /// What to do about going to sleep by itself.
        auto_sleep: AutoSleepChange,
    },
    /// Say that one is alive (section 7).
    Heartbeat,
    /// Call somebody (section 9).
    Dial {
        /// Whom. Any text; only addresses can be held.
        to: Cow<'a, str>,
        /// Handed to the callee with the ring.
        metadata: Option<&'a [u8]>,
        /// The caller's own name for this dial; asks for `Dialling`, and comes back with the outcome.
        reference: Option<Cow<'a, str>>,
        /// The trace that the caller's doings belong to, if it says so and anybody wants to know.
        trace: Option<Box<TraceParent>>,
    },
    /// Take a call (section 10).
    Answer {
        /// Which.
        call: CallId,
    },
    /// End a call, or one's part in a broadcast (sections 11, 13).
    HangUp {
        /// Which.
        call: CallId,
        /// Why, in the party's own words.
        reason: Option<Cow<'a, str>>,
    },
    /// Say something in a call (section 12).
    Message {
        /// Which.
        call: CallId,
        /// What; absent stays absent.
        data: Option<&'a [u8]>,
        /// How to read it.
        content_type: ContentType,
    },
    /// As the broadcaster of a session, say something to one listener only. For services inside the exchange;
    /// no dialect offers it.
    Whisper {
        /// The session.
        call: CallId,
        /// The listener, as named by its ring.
        listener: LineId,
        /// What.
        data: &'a [u8],
    },
    /// Ask who is there (section 16).
    Presence(Box<PresenceQuery>),
    /// Go to sleep now (section 6).
    SleepAck,
    /// Take part in a party line (section 17).
    Join {
        /// Its name.
        party: Address,
        /// Whether to make it if nobody is in it.
        create_if_missing: bool,
    },
    /// Say something to everybody else in a party (section 17).
    PartyMessage {
        /// Its name.
        party: Cow<'a, str>,
        /// What; absent stays absent.
        data: Option<&'a [u8]>,
        /// How to read it, if said.
        content_type: Option<ContentType>,
    },
    /// Leave a party (section 17).
    Leave {
        /// Its name.
        party: Cow<'a, str>,
    },
    /// What exchanges say to each other (section 19).
    Tie(TieRequest<'a>),
}

const _: () = assert!(size_of::<Request<'_>>() <= 72, "requests are moved about in a hot loop");

/// The names of requests, for refusals, logs and metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verb {
    /// [`Request::Register`]
    Register,
    /// [`Request::Unregister`]
    Unregister,
    /// [`Request::Status`]
    Status,
    /// [`Request::Heartbeat`]
    Heartbeat,
    /// [`Request::Dial`]
    Dial,
    /// [`Request::Answer`]
    Answer,
    /// [`Request::HangUp`]
    HangUp,
    /// [`Request::Message`]
    Message,
    /// [`Request::Whisper`]
    Whisper,
    /// [`Request::Presence`]
    Presence,
    /// [`Request::SleepAck`]
    SleepAck,
    /// [`Request::Join`]
    Join,
    /// [`Request::PartyMessage`]
    PartyMessage,
    /// [`Request::Leave`]
    Leave,
    /// [`TieRequest::Register`]
    RegisterPbx,
    /// [`TieRequest::DialForward`]
    DialForward,
    /// [`super::tie_party::PartyWord::Join`]
    JoinForward,
    /// Any other [`Request::Tie`]
    Tie,
}

impl Verb {
    /// Every verb, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Register,
        Self::Unregister,
        Self::Status,
        Self::Heartbeat,
        Self::Dial,
        Self::Answer,
        Self::HangUp,
        Self::Message,
        Self::Whisper,
        Self::Presence,
        Self::SleepAck,
        Self::Join,
        Self::PartyMessage,
        Self::Leave,
        Self::RegisterPbx,
        Self::DialForward,
        Self::JoinForward,
        Self::Tie,
    ];

    /// The stable name: a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Unregister => "unregister",
            Self::Status => "status",
            Self::Heartbeat => "heartbeat",
            Self::Dial => "dial",
            Self::Answer => "answer",
            Self::HangUp => "hangup",
            Self::Message => "msg",
            Self::Whisper => "whisper",
            Self::Presence => "presence",
            Self::SleepAck => "sleep_ack",
            Self::Join => "join",
            Self::PartyMessage => "party_msg",
            Self::Leave => "leave",
            Self::RegisterPbx => "register_pbx",
            Self::DialForward => "dial_forward",
            Self::JoinForward => "join_forward",
            Self::Tie => "tie",
        }
    }
}

impl Request<'_> {
    /// The name of this request.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Register(_) => Verb::Register,
            Self::Unregister => Verb::Unregister,
            Self::Status { .. } => Verb::Status,
            Self::Heartbeat => Verb::Heartbeat,
            Self::Dial { .. } => Verb::Dial,
            Self::Answer { .. } => Verb::Answer,
            Self::HangUp { .. } => Verb::HangUp,
            Self::Message { .. } => Verb::Message,
            Self::Whisper { .. } => Verb::Whisper,
            Self::Presence(_) => Verb::Presence,
            Self::SleepAck => Verb::SleepAck,
            Self::Join { .. } => Verb::Join,
            Self::PartyMessage { .. } => Verb::PartyMessage,
            Self::Leave { .. } => Verb::Leave,
            Self::Tie(TieRequest::Register(_)) => Verb::RegisterPbx,
            Self::Tie(TieRequest::DialForward(_)) => Verb::DialForward,
            Self::Tie(TieRequest::Party(talk)) => talk.word.verb(),
            Self::Tie(_) => Verb::Tie,
        }
    }
}

/// What REGISTER says (section 4), checked by the dialect.
#[derive(Clone, PartialEq, Debug)]
pub struct Registration {
    /// The address to hold.
    pub address: Address,
    /// What others see of the line.
    pub profile: Profile,
    /// How many may call at a time.
    pub concurrency: Concurrency,
    /// How many lines may hold the address together; counts for parallel lines only (section 14).
    pub pool_size: Option<u32>,
    /// How to wake the agent when it sleeps; `None` if the frame has no `mode`.
    pub wake: Option<WakeHandler>,
    /// What the client shows to be let have the address.
    pub credentials: Credentials,
}

/// What others may see of a line, and search for.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Profile {
    /// Opaque, relayed as given.
    pub metadata: Option<Bytes>,
    /// The strings of `metadata.capabilities`.
    pub capabilities: Box<[CompactString]>,
    /// `metadata.location`, if both numbers are there.
    pub location: Option<Location>,
}

/// A point on the globe, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Location {
    /// North is positive.
    pub lat: f64,
    /// East is positive.
    pub lon: f64,
}

/// How many may call a line at a time (sections 9, 13, 14).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Concurrency {
    /// One call at a time, in either role.
    Single,
    /// Everybody hears the same.
    Broadcast {
        /// Most listeners; `None` = any number.
        max_listeners: Option<u32>,
    },
    /// Several calls side by side.
    Parallel {
        /// Most calls as callee; `None` = any number.
        max_sessions: Option<u32>,
    },
}

/// What a client says about itself (section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// May be called.
    Available,
    /// Busy, by its own word or because of a call.
    Busy,
    /// Does not want to be disturbed.
    Dnd,
    /// Away.
    Away,
}

impl Status {
    /// The stable name, which is also that of section 6.
    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Busy => "busy",
            Self::Dnd => "dnd",
            Self::Away => "away",
        }
    }
}

/// What STATUS says about going to sleep by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AutoSleepChange {
    /// Nothing: the timer and the setting are cancelled.
    Absent,
    /// Sleep after this idle time, in ms.
    After {
        /// Idle time in ms.
        idle_ms: u64,
    },
    /// A setting without `wake_on_ring`: kept off.
    Off,
    /// The frame's setting made no sense: the status counts, the timer stays as it is.
    Invalid,
}

/// How to wake a sleeping agent (section 15).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WakeHandler {
    /// What to do.
    pub kind: WakeKind,
    /// How long a caller waits for the agent, in ms.
    pub timeout_ms: u64,
    /// The handler exactly as registered: opaque, handed to webhooks.
    pub source: Bytes,
    /// The connection that registered it, for the log; set by the core.
    pub registered_by: Option<SessionId>,
}

impl WakeHandler {
    /// How much memory it takes, in bytes: whoever keeps handlers has to bound them.
    pub fn bytes(&self) -> usize {
        let parts = match &self.kind {
            WakeKind::Webhook { url, payload } => url.len() + payload.as_ref().map_or(0, Bytes::len),
            WakeKind::Spawn { command } => command.iter().map(|part| part.len()).sum(),
        };
        self.source.len() + parts
    }
}

/// What to do to wake an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WakeKind {
    /// POST to a URL.
    Webhook {
        /// Where.
        url: Box<str>,
        /// Opaque, handed to the webhook.
        payload: Option<Bytes>,
    },
    /// Run a command.
    Spawn {
        /// The program and its arguments; not empty.
        command: Box<[Box<str>]>,
    },
}

/// How to read a message's data. Nothing is converted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentType {
    /// Text.
    Text,
    /// JSON, as a string or as a value.
    Json,
    /// Bytes in whatever text form the clients agreed on.
    Binary,
}

/// What PRESENCE asks for (section 16). All filters must hold.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct PresenceQuery {
    /// The part after the `@`, in lower case.
    pub domain: Option<CompactString>,
    /// All of these.
    pub capabilities: Vec<CompactString>,
    /// Not farther than this.
    pub near: Option<Near>,
    /// Most addresses in the answer; `None` = the exchange's own limit.
    pub limit: Option<u32>,
    /// Who asks, where rules decide whom he may see: set by the core, and by whoever asks for another exchange's line.
    pub asker: Option<Box<str>>,
}

/// A circle on the globe.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Near {
    /// Its middle.
    pub middle: Location,
    /// Its radius in km.
    pub radius_km: f64,
}
