//! Tie lines: lines that lead to another exchange (spec section 19).
//!
//! To the core a tie line is a line like any other, with this beside it: what leads there, and the calls that run over it. The
//! calls that the other exchange places have legs here, those that go out have records, as those of any line. What only
//! exchanges say to each other is in [`TieRequest`] and [`TieNotice`]. Nothing here emits effects.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::address::Address;
use super::cause::Reason;
use super::effect::PresenceEntry;
use super::event::{ContentType, PresenceQuery};
use super::ids::{CallId, LegId, QuestionId, RecordId};
use super::pattern::Pattern;
use super::question::Reply;
use super::tie_party::{PartyTalk, TieParties};
use super::timers::TimerId;
use super::trace::TraceParent;

/// An exchange that this one calls by itself, as the configuration describes it (section 19.9).
#[derive(Debug)]
pub struct Peer {
    /// Its name in logs, and as the domain of its tie line.
    pub id: Box<str>,
    /// The domain by which this exchange introduces itself.
    pub domain: Box<str>,
    /// The token that goes with it.
    pub auth: Option<Secret>,
    /// What is sent there.
    pub routes: Box<[Pattern]>,
    /// What it is to send here.
    pub announced: Box<[Pattern]>,
    /// Its place in the configuration: of equal routes the first one counts.
    pub position: u32,
    /// How often it is told that this exchange is alive, in ms; `None` = never.
    pub heartbeat_ms: Option<u64>,
}

/// A text that nobody is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for those who have to compare or send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What a tie line is besides a line.
#[derive(Debug)]
pub struct Tie {
    /// The name of the other exchange.
    pub domain: Box<str>,
    /// The configuration by which this exchange called it; `None` if it called.
    pub peer: Option<Arc<Peer>>,
    /// The calls that it has placed here.
    pub legs: HashMap<CallId, LegId, ahash::RandomState>,
    /// The calls that go out by it.
    pub records: HashSet<RecordId, ahash::RandomState>,
    /// When the next heartbeat is due.
    pub heartbeat: Option<TimerId>,
    /// Heartbeats that were not answered.
    pub unanswered: u32,
    /// Its questions that are being answered.
    pub questions: BTreeSet<QuestionId>,
    /// Questions to it, oldest first, and how many there have been.
    pub asked: VecDeque<AskedOf>,
    /// See above.
    pub asked_count: u64,
    /// The parties that have to do with it.
    pub parties: TieParties,
}

/// A question to another exchange.
#[derive(Debug)]
pub struct AskedOf {
    /// By which it is named there.
    pub number: u64,
    /// The question here.
    pub question: QuestionId,
    /// What was asked.
    pub query: Arc<PresenceQuery>,
    /// Who asks.
    pub reply_to: Box<str>,
}

impl Tie {
    /// A tie line without calls.
    pub fn with_hasher(hasher: ahash::RandomState) -> Self {
        Self {
            domain: Box::default(),
            peer: None,
            legs: HashMap::with_hasher(hasher.clone()),
            parties: TieParties::with_hasher(hasher.clone()),
            records: HashSet::with_hasher(hasher),
            heartbeat: None,
            unanswered: 0,
            questions: BTreeSet::new(),
            asked: VecDeque::new(),
            asked_count: 0,
        }
    }
}

/// How the exchange that a dial comes from knows its caller (section 19.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vouch {
    /// Its own: this one has checked a token.
    Verified,
    /// Its own, without a token.
    Unverified,
    /// Another exchange's: what that one says is handed on.
    Theirs,
}

/// What another exchange asks, or a line that wants to be a tie line.
#[derive(Debug)]
pub enum TieRequest<'a> {
    /// Be a tie line from now on (section 19.1).
    Register(Box<TieRegistration>),
    /// Somebody there calls somebody here, or beyond (section 19.4).
    DialForward(Box<DialForward<'a>>),
    /// Whom this exchange has called rings (section 19.3).
    Ring {
        /// The call.
        call: CallId,
        /// What the other side says about it.
        metadata: Option<&'a [u8]>,
    },
    /// A call that went out came to nothing (section 19.3).
    Busy {
        /// The call.
        call: CallId,
        /// Why, in the other's words.
        reason: Option<Cow<'a, str>>,
    },
    /// Somebody there says something in a call.
    Message {
        /// The call.
        call: CallId,
        /// Who, if it is said.
        from: Option<Cow<'a, str>>,
        /// What; absent stays absent.
        data: Option<&'a [u8]>,
        /// How to read it.
        content_type: ContentType,
    },
    /// Who is there? (section 19.6)
    PresenceQuery(Box<TieQuery>),
    /// Who is there, in answer to a question.
    PresenceResult(Box<TieAnswer>),
    /// Something about a party (section 19.7).
    Party(Box<PartyTalk>),
    /// The other exchange has let this one in (section 19.9).
    Welcomed,
    /// It has not.
    TurnedDown {
        /// Why, in its words.
        reason: Cow<'a, str>,
    },
    /// It has heard a heartbeat.
    HeartbeatHeard,
    /// It does not understand something, which is nothing to act upon.
    Complaint,
}

/// What PRESENCE_QUERY asks.
#[derive(Debug)]
pub struct TieQuery {
    /// What.
    pub query: PresenceQuery,
    /// Who asks there.
    pub reply_to: Option<Box<str>>,
    /// The other exchange's name for the question.
    pub query_id: Option<Box<str>>,
    /// How many exchanges it has come through, as far as they say so.
    pub hops: u8,
}

/// What PRESENCE_RESULT says.
#[derive(Debug)]
pub struct TieAnswer {
    /// The lines found.
    pub entries: Vec<PresenceEntry>,
    /// Whether there would have been more.
    pub truncated: bool,
    /// Who has asked here, if it is said.
    pub reply_to: Option<Box<str>>,
    /// The number of the question if one is named; of none of ours, if the name is none of ours.
    pub number: Option<Option<u64>>,
}

/// What REGISTER_PBX says, checked by the dialect.
#[derive(Debug)]
pub struct TieRegistration {
    /// The name of the other exchange.
    pub domain: Box<str>,
    /// What leads there.
    pub routes: Box<[Pattern]>,
    /// Its token.
    pub auth: Option<Secret>,
}

/// What DIAL_FORWARD says.
#[derive(Debug)]
pub struct DialForward<'a> {
    /// The call, as the other exchange names it.
    pub call: CallId,
    /// That name, if its id is derived from it ([`CallId::is_derived`]).
    pub name: Option<Arc<str>>,
    /// Who calls.
    pub from: Address,
    /// Whom. Any text; only addresses can be held.
    pub to: Cow<'a, str>,
    /// For the callee.
    pub metadata: Option<&'a [u8]>,
    /// The trace that it belongs to, if the caller says so.
    pub trace: Option<Box<TraceParent>>,
}

/// What another exchange is told.
#[derive(Debug)]
pub enum TieNotice<'a> {
    /// This exchange introduces itself (section 19.9).
    Introduction(Arc<Peer>),
    /// It is alive.
    Heartbeat,
    /// The line is a tie line now (section 19.1).
    Registered {
        /// The name of the other exchange.
        domain: Box<str>,
    },
    /// It is none.
    Refused(Box<TieRefusal>),
    /// Somebody here, or beyond, calls somebody there (section 19.3).
    DialForward(Box<ForwardedDial>),
    /// Whom the other side has called rings (section 19.4).
    Ring {
        /// The call.
        call: CallId,
        /// Who rings.
        from: Address,
        /// What is said about it.
        metadata: Option<Bytes>,
    },
    /// It has been answered.
    Answered {
        /// The call.
        call: CallId,
        /// By whom.
        from: Address,
    },
    /// Who is there? (section 19.6)
    PresenceQuery(Box<TiePresence>),
    /// Who is there, in answer to a question.
    PresenceResult(Box<TieReply>),
    /// Something about a party (section 19.7).
    Party(Box<PartyTalk>),
    /// The call came to nothing.
    Busy {
        /// The call.
        call: CallId,
        /// The dialled name.
        to: Cow<'a, str>,
        /// Why.
        reason: Reason,
    },
}

/// A question to another exchange.
#[derive(Debug)]
pub struct TiePresence {
    /// What.
    pub query: Arc<PresenceQuery>,
    /// Who asks.
    pub reply_to: Box<str>,
    /// The number by which the answer is known.
    pub number: u64,
    /// How many exchanges it has come through, this one included.
    pub hops: u8,
}

/// An answer to another exchange.
#[derive(Debug)]
pub struct TieReply {
    /// The lines found.
    pub entries: Vec<PresenceEntry>,
    /// Whether there would have been more.
    pub truncated: bool,
    /// How it is addressed.
    pub reply: Reply,
}

/// Why a line cannot be a tie line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TieRefusal {
    /// Another exchange has the same route.
    RouteConflict {
        /// Which.
        route: Box<str>,
        /// Who has it.
        claimed_by: Box<str>,
    },
    /// Its token is not good enough for what it wants.
    AuthFailed,
    /// There are as many routes, or tie lines, as there may be.
    TooManyRoutes,
}

/// A call that goes to another exchange.
#[derive(Debug)]
pub struct ForwardedDial {
    /// The call.
    pub call: CallId,
    /// Who calls.
    pub from: Address,
    /// Whom.
    pub to: Address,
    /// For the callee.
    pub metadata: Option<Bytes>,
    /// What this exchange can say about the caller.
    pub vouch: Vouch,
    /// The domain by which it says so.
    pub domain: Arc<str>,
    /// When, in ms since the epoch.
    pub wall_ms: u64,
}
