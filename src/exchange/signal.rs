//! What shards say to each other.
//!
//! Signals between the same pair of shards arrive in the order in which they were sent, and none is ever lost:
//! the trunks hold back senders instead (design.md, D6). A shard that talks to itself uses the same signals, so
//! that a call inside one shard and a call across two take the same steps. Late signals (a hang-up crossing an
//! answer) are normal input: handles carry generations, and one that leads nowhere is ignored. For each signal
//! it is said what would be left behind if it were lost all the same.

use std::sync::Arc;

use bytes::Bytes;

use super::address::Address;
use super::cause::{Cause, Reason};
use super::effect::PresenceEntry;
use super::event::{Concurrency, ContentType, PresenceQuery, Verb, WakeHandler};
use super::ids::{CallId, LegId, LineId, PartyId, QuestionId, RecordId};
use super::party::Except;
use super::routes::TieRoutes;
use super::tie::{TieRefusal, Vouch};
use super::tie_party::TieTalk;
use super::time::Moment;
use super::trace::TraceParent;

/// A message from one shard to another. At most 64 bytes: larger contents are boxed.
#[derive(Debug)]
pub enum Signal {
    // Caller's shard to callee's.
    /// A line dials an address whose home is here. Lost: the caller waits for ever.
    Dial(Box<Dial>),
    /// The caller's end is gone. Lost: the callee's call never ends.
    CallerGone {
        /// The call, by the name the caller's leg gave it.
        call: CallId,
        /// The caller's line.
        line: LineId,
        /// The caller's leg: other exchanges name their calls, and one may use a name again.
        leg: LegId,
        /// Why.
        reason: Reason,
    },
    /// The caller says something. Lost: that message, unnoticed.
    CallerSays {
        /// The call's record.
        record: RecordId,
        /// The caller's line.
        line: LineId,
        /// What.
        data: Option<Vec<u8>>,
        /// How to read it.
        content_type: ContentType,
    },
    /// The caller goes by another address now. Lost: messages bear the old one.
    CallerRenamed {
        /// The call's record.
        call: CallId,
        /// The caller's line.
        line: LineId,
        /// The new address.
        address: Address,
    },

    // Callee's shard to caller's.
    /// The dial has been sent on and has found its callee here. Lost: a hang-up before the answer goes astray.
    Located {
        /// The caller's leg.
        leg: LegId,
        /// The call.
        call: CallId,
        /// The caller's line.
        line: LineId,
        /// The call's record.
        record: RecordId,
    },
    /// Whom the caller has called by way of another exchange rings. Lost: only that.
    RingBack {
        /// The caller's leg.
        leg: LegId,
        /// Who rings, if that is worth saying.
        from: Address,
        /// What the other side says about it.
        metadata: Option<Box<Bytes>>,
    },
    /// The call is up. Lost: the caller rings for ever.
    Connected {
        /// The caller's leg.
        leg: LegId,
        /// The call's record.
        record: RecordId,
    },
    /// The caller listens to a broadcast. Lost: as `Connected`.
    Listening {
        /// The caller's leg.
        leg: LegId,
        /// The broadcast session's record.
        record: RecordId,
        /// The broadcast session's id.
        session: CallId,
    },
    /// The caller listens to that broadcast already: the dial is over. Lost: the dial's leg stays for ever.
    ListensAlready {
        /// The caller's leg.
        leg: LegId,
        /// The broadcast session's id.
        session: CallId,
    },
    /// The dial is refused. Lost: the caller waits for ever.
    DialRefused {
        /// The caller's leg.
        leg: LegId,
        /// Why.
        reason: Reason,
    },
    /// The callee's end is gone. Lost: the caller's call never ends.
    CalleeGone {
        /// The caller's leg.
        leg: LegId,
        /// Why.
        reason: Reason,
    },
    /// The callee says something. Lost: that message, unnoticed.
    CalleeSays {
        /// The caller's leg.
        leg: LegId,
        /// What.
        data: Option<Vec<u8>>,
        /// How to read it.
        content_type: ContentType,
    },
    /// The callee goes by another address now. Lost: messages bear the old one.
    CalleeRenamed {
        /// The caller's leg.
        leg: LegId,
        /// The new address.
        address: Address,
    },

    // Tie lines. The registrar is shard 0.
    /// A line wants to be a tie line. Lost: it waits for ever. `None`: it is to be one no longer. Lost: dead routes.
    TieWanted {
        /// Who.
        line: LineId,
        /// With which routes.
        routes: Option<Arc<TieRoutes>>,
    },
    /// A line may not be a tie line. Lost: it waits for ever.
    TieRefused {
        /// Who.
        line: LineId,
        /// Why.
        refusal: Box<TieRefusal>,
    },
    /// A line is a tie line now, and all shards know. Lost: it waits for ever.
    TieGranted {
        /// Who.
        line: LineId,
        /// With which routes.
        routes: Arc<TieRoutes>,
    },
    /// A newer tie line of the same exchange takes over. Lost: both live.
    TieReplaced {
        /// The old one.
        line: LineId,
    },
    /// These are the routes of a tie line; none if it is gone. Lost: this shard sends dials the wrong way.
    Routes {
        /// The tie line.
        line: LineId,
        /// Its routes.
        routes: Option<Arc<TieRoutes>>,
    },
    /// A shard knows the routes. Lost: a tie line waits for ever.
    RoutesKnown {
        /// The tie line.
        line: LineId,
    },
    /// A call that came in by a tie line is over; its id may be used again. Lost: it may not.
    NameFree {
        /// The call.
        call: CallId,
        /// The leg that had it.
        leg: LegId,
    },
    /// A call is over here that may still be on its way beyond a tie line. Lost: a dial may go in a circle for ever.
    GivenUp {
        /// The call.
        call: CallId,
    },

    // Either way.
    /// The receiver at the other end of a call takes nothing more (`hold`), or takes more again. Lost: too much is
    /// queued, or the sender stays paused until the call ends.
    Flow {
        /// The sender's end.
        end: CallEnd,
        /// Whether to hold back.
        hold: bool,
    },
    /// The sender at the other end cannot be held back, because it has other business. Lost: too much is queued.
    Heedless {
        /// The receiver's end.
        end: CallEnd,
    },

    // A host's shard to the shards of its audience.
    /// Something for all local members of an audience. Lost: that message, unnoticed.
    Publish(Arc<Publication>),

    // Parties.
    /// A line wants into a party whose home is here. Lost: the line waits for ever.
    Join(Box<Join>),
    /// A line is in. Lost: the line waits for ever.
    Joined(Box<Joined>),
    /// A party request came to nothing. Lost: the line is not told.
    PartyRefused {
        /// Whose request.
        line: LineId,
        /// The party.
        party: Address,
        /// Which request.
        verb: Verb,
        /// Why.
        cause: Cause,
        /// The JOIN by which the line has the seat that is lost with it; `None` if none is.
        ticket: Option<u32>,
    },
    /// The party has its host elsewhere, and a JOIN waits for that. Lost: the line waits for ever.
    JoinPending {
        /// Whose.
        line: LineId,
        /// The party.
        party: Address,
        /// Which JOIN.
        ticket: u32,
        /// Whether the line is in the party all the same, from an earlier JOIN.
        is_in: bool,
    },
    /// A member says something. Lost: that message, unnoticed.
    PartySays(Box<PartySays>),
    /// A member leaves. Lost: a dead member.
    Leave {
        /// Who.
        line: LineId,
        /// The party.
        party: Address,
    },
    /// A member goes by another address now. Lost: messages bear the old one.
    MemberRenamed {
        /// Who.
        line: LineId,
        /// The party.
        party: Address,
        /// The new address.
        address: Address,
    },

    // Parties that have to do with other exchanges: between the party's home and the tie line's shard.
    /// The other exchange has said something about a party whose home is here. Lost: only that, or a dead member.
    PartyHeard(Box<TieTalk>),
    /// The other exchange is to be told something about a party. Lost: only that, until its limit in time.
    PartyTold(Box<TieTalk>),
    /// The tie line is lost, and with it whoever has come by it or been let in by it. Lost: dead members.
    PartyCut {
        /// The tie line.
        tie: LineId,
        /// The party.
        party: Address,
    },
    /// Nobody here is in the party any more to which the tie line leads. Lost: it is remembered for the tie line's life.
    PartyDone {
        /// The tie line.
        tie: LineId,
        /// The party.
        party: Address,
    },
    /// To a party's home: what somebody says there fills a tie line that does not take it. Lost: it goes on filling.
    PartyPressed {
        /// The tie line.
        tie: LineId,
        /// The party.
        party: Address,
        /// Who.
        from: Address,
    },

    // Presence.
    /// A line of another shard asks who is there. Lost: the asker waits for ever.
    PresenceAsked {
        /// The question; answered to its shard.
        question: QuestionId,
        /// Who asks, and is not to be found.
        asker: LineId,
        /// What.
        query: Arc<PresenceQuery>,
    },
    /// A line asks, by a tie line of this shard. Lost: the asker waits until its time is over.
    TieAsked(Box<TieAsked>),
    /// What was found here, or there. Lost: as what was asked.
    PresenceFound {
        /// The question.
        question: QuestionId,
        /// The lines found.
        found: Box<Found>,
        /// Whether another exchange has found them.
        by_tie: bool,
    },

    // Addresses held by lines that cannot move now because calls or parties are up (design.md, D1).
    /// A line elsewhere wants an address whose home is here. Lost: the line stays paused for ever.
    Claim(Box<Claim>),
    /// It has it. Lost: as `Claim`.
    Claimed(Box<Claimed>),
    /// It has it not. Lost: as `Claim`.
    ClaimRefused {
        /// The line.
        line: LineId,
    },
    /// The line gives the address up. Lost: nobody can hold it again.
    Unclaim {
        /// The line.
        line: LineId,
        /// The address.
        address: Address,
        /// The handler to keep for it, if the line sleeps.
        sleeps: Option<Arc<WakeHandler>>,
    },
}

/// One end of a call, as the other end names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallEnd {
    /// The caller's.
    Leg(LegId),
    /// The callee's.
    Record(RecordId),
}

/// A dial on its way to the callee.
#[derive(Debug)]
pub struct Dial {
    /// The call's name, minted by the caller's shard.
    pub call: CallId,
    /// Where the outcome goes.
    pub leg: LegId,
    /// The caller's line.
    pub line: LineId,
    /// The caller's address.
    pub from: Address,
    /// The dialled address.
    pub to: Address,
    /// For the callee.
    pub metadata: Option<Bytes>,
    /// When it was dialled.
    pub started: Moment,
    /// How often it has been sent on because the callee moved.
    pub hops: u8,
    /// The line that holds the address, or leads to it, when the home of the address has sent the dial after it.
    pub guest: Option<LineId>,
    /// How the exchange that it comes from knows the caller.
    pub vouch: Vouch,
    /// What there is to know about it if another exchange has placed it.
    pub inbound: Option<Box<Inbound>>,
    /// The trace that it belongs to, if the caller says so.
    pub trace: Option<Box<TraceParent>>,
}

/// A dial that came in by a tie line.
#[derive(Debug)]
pub struct Inbound {
    /// The name that the other exchange has given the call, if its id is derived from it.
    pub name: Option<Arc<str>>,
    /// Whether its id has been found to be that of no other call (section 19.5).
    pub is_unique: bool,
}

/// Something for every local member of an audience.
#[derive(Debug)]
pub struct Publication {
    /// Whose audience.
    pub audience: AudienceId,
    /// Who does not get it: the speaker.
    pub except: Except,
    /// What.
    pub news: News,
}

/// The listeners of a broadcast session or the members of a party.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AudienceId {
    /// Those who listen to this session.
    Session(CallId),
    /// Those in this party.
    Party(PartyId),
}

/// What an audience is told.
#[derive(Debug)]
pub enum News {
    /// The broadcaster says something.
    Message {
        /// The broadcaster.
        from: Address,
        /// What.
        data: Option<Bytes>,
        /// How to read it.
        content_type: ContentType,
    },
    /// The broadcast is over: its listeners are free.
    SessionEnded {
        /// Why.
        reason: Reason,
    },
    /// A member says something.
    PartyMessage {
        /// The party.
        party: Address,
        /// Who.
        from: Address,
        /// What.
        data: Option<Bytes>,
        /// How to read it, if said.
        content_type: Option<ContentType>,
    },
}

/// A wish to be in a party.
#[derive(Debug)]
pub struct Join {
    /// Who.
    pub line: LineId,
    /// Its address.
    pub address: Address,
    /// The party.
    pub party: Address,
    /// Whether to make it if nobody is in it.
    pub create_if_missing: bool,
    /// Which JOIN this is; the answer says so.
    pub ticket: u32,
}

/// A wish granted.
#[derive(Debug)]
pub struct Joined {
    /// Who.
    pub line: LineId,
    /// The party's name.
    pub party: Address,
    /// The party.
    pub id: PartyId,
    /// Which JOIN this answers.
    pub ticket: u32,
    /// Everybody in it, in the order in which they came.
    pub participants: Arc<[Address]>,
}

/// A member's words.
#[derive(Debug)]
pub struct PartySays {
    /// Who.
    pub line: LineId,
    /// The party.
    pub party: Address,
    /// What.
    pub data: Option<Bytes>,
    /// How to read it, if said.
    pub content_type: Option<ContentType>,
}

/// A PRESENCE for another exchange.
#[derive(Debug)]
pub struct TieAsked {
    /// The tie line that leads there.
    pub tie: LineId,
    /// The question.
    pub question: QuestionId,
    /// What.
    pub query: Arc<PresenceQuery>,
    /// The asker's address.
    pub reply_to: Box<str>,
    /// How many exchanges the question has come through.
    pub hops: u8,
}

/// What a shard found for a PRESENCE.
#[derive(Default, Debug)]
pub struct Found {
    /// The lines.
    pub entries: Vec<PresenceEntry>,
    /// Whether there would have been more.
    pub truncated: bool,
}

/// A wish to hold an address from another shard.
#[derive(Debug)]
pub struct Claim {
    /// Who.
    pub line: LineId,
    /// The address.
    pub address: Address,
    /// How the line takes calls.
    pub concurrency: Concurrency,
    /// How many lines it lets hold the address together.
    pub pool_size: Option<u32>,
    /// The wake handler it brings.
    pub wake: Option<Arc<WakeHandler>>,
}

/// A wish granted, as far as the home shard has something to add to what the line said.
#[derive(Debug)]
pub struct Claimed {
    /// Who.
    pub line: LineId,
    /// The address.
    pub address: Address,
    /// What the home shard knows about it.
    pub grant: Grant,
}

/// What a line that comes to hold an address takes over from those who held it before (spec sections 14, 15).
#[derive(Clone, Default, Debug)]
pub struct Grant {
    /// The handler by which the line is woken from now on: the one it brought, or else the one stored.
    pub wake: Option<Arc<WakeHandler>>,
    /// Whether the address had a stored handler, which is not stored any more.
    pub was_asleep: bool,
    /// How the pool it joined takes calls.
    pub pool: Option<Concurrency>,
}

const _: () = assert!(size_of::<Signal>() <= 64, "a trunk's slots hold 64 bytes");
