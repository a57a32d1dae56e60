//! Refusals: what an ERROR frame says, with the exact texts of spec section 3.
//!
//! Every text of an ERROR frame is here and nowhere else, whether the dialect found the fault or the core turned the
//! request down. Invariant: what a peer sent is shown cut to a few hundred bytes, never in full.

use std::fmt;

use crate::dialect::json::push_str_escaped;
use crate::exchange::cause::Cause;
use crate::exchange::event::Verb;
use crate::exchange::ids::CALL_TEXT_BYTES_MAX;
use crate::exchange::limits::REFERENCE_BYTES_MAX;

use super::frame::type_name;

/// The content of an ERROR frame. Its `Display` is the frame's `detail`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What kind of frame is at fault.
    pub context: Context,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The frame that a refusal answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// One whose type means nothing here.
    Unknown,
    /// A client's request.
    Verb(Verb),
    /// DIAL_FORWARD, which is no client's request.
    DialForward,
}

impl Context {
    /// The frame's `context`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Verb(verb) => type_name(verb),
            Self::DialForward => "DIAL_FORWARD",
        }
    }
}

/// What is wrong with a frame. Texts are shown values, cut by [`crate::dialect::json::display_js`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The frame's type means nothing here.
    UnsupportedType(String),
    /// A frame for federated exchanges, from a link that is none.
    NotPbx,

    /// `address` is not text.
    AddressNotText,
    /// `concurrency` is none of ours.
    UnsupportedConcurrency(String),
    /// The named field is no whole number above 0.
    NotPositive(Count),
    /// `max_listeners` of a line that is no broadcaster.
    ListenersWithoutBroadcast,
    /// `max_sessions` of a line that is not parallel.
    SessionsWithoutParallel,
    /// `mode` is none of ours.
    UnsupportedMode(String),
    /// `wake_handler` without `mode`.
    HandlerWithoutMode,
    /// `mode` without `wake_handler`.
    ModeWithoutHandler,
    /// The handler's time limit is no number above 0.
    WakeTimeoutNotPositive,
    /// A webhook without URL.
    WebhookUrlMissing,
    /// A webhook's `payload` is no object.
    WebhookPayloadNotObject,
    /// A spawn handler without command.
    SpawnCommandMissing,
    /// A part of the command is no text, or empty.
    SpawnCommandEntry,
    /// The handler's `type` is none of ours.
    UnsupportedHandler(String),
    /// The exchange runs no commands for clients, or not this one.
    SpawnDisabled,
    /// The rules do not let this address have a handler of this kind.
    WakeForbidden,

    /// `status` is none of ours.
    InvalidStatus(String),
    /// `auto_sleep` makes no sense.
    InvalidAutoSleep,
    /// SLEEP_ACK of a line without address.
    SleepUnregistered,
    /// SLEEP_ACK of a line that nobody could wake.
    SleepWithoutWake,

    /// `to` is missing.
    ToMissing,
    /// `ref` is no text, or too long.
    ReferenceInvalid,
    /// Too many dials.
    RateLimited,
    /// `call_id` is missing.
    CallIdMissing,
    /// `content_type` is none of ours.
    UnsupportedContentType(String),

    /// PRESENCE of a line without address.
    PresenceUnregistered,
    /// `query.domain` is no text.
    DomainNotText,
    /// `query.capabilities` is no list.
    CapabilitiesNotList,
    /// One of them is no text.
    CapabilityNotText,
    /// More of them than any line can have.
    TooManyCapabilities {
        /// How many may be asked for.
        most: usize,
    },
    /// `query.near` is no circle.
    InvalidNear,

    /// `party` is missing, or has not the form of an address.
    PartyInvalid,
    /// There is no such party, and it was not to be made.
    NoSuchParty,
    /// The line does not take part in it.
    NotInParty,
    /// The line takes part in as many as it may.
    TooManyParties,
    /// The party has as many members as it may.
    PartyFull,
    /// The way to the party's host is lost.
    PartyLost,

    /// `call_id` of DIAL_FORWARD is longer than any call's.
    CallIdTooLong,
    /// `from` of DIAL_FORWARD says nothing, or too much.
    FromMissing,
    /// `from` of what is said about a party is no address.
    FromInvalid,
    /// `to` of an answer to JOIN_FORWARD is no address.
    AddresseeInvalid,
    /// `domain` of REGISTER_PBX is missing.
    PbxDomainMissing,
    /// `routes` of REGISTER_PBX is missing.
    RoutesMissing,
    /// One of them is no text.
    RouteNotText,
    /// One of them is longer than any address.
    RouteTooLong,
    /// More of them than a tie line may have.
    TooManyRoutes {
        /// How many it may have.
        most: usize,
    },

    /// A field is larger than this exchange keeps.
    TooLarge {
        /// Which.
        field: Bounded,
        /// How many bytes it may have.
        bytes_max: usize,
    },
    /// The request needs an address.
    Unregistered,
    /// Turned down for a cause without words of its own in this protocol.
    Other(Cause),
}

/// A field that counts something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// `max_listeners` of REGISTER.
    MaxListeners,
    /// `max_sessions` of REGISTER.
    MaxSessions,
    /// `pool_size` of REGISTER.
    PoolSize,
    /// `limit` of PRESENCE.
    Limit,
}

/// A field whose size is bounded, because it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bounded {
    /// `metadata` of REGISTER and DIAL.
    Metadata,
    /// `wake_handler` of REGISTER.
    WakeHandler,
    /// `query` of PRESENCE.
    Query,
}

impl Fault {
    /// What it is called when the core turns a request down.
    pub fn of(verb: Verb, cause: Cause) -> Self {
        match (cause, verb) {
            (Cause::NotPbx, _) => Self::NotPbx,
            (Cause::NotRegistered, Verb::Presence) => Self::PresenceUnregistered,
            (Cause::NotRegistered, Verb::SleepAck) => Self::SleepUnregistered,
            (Cause::NotRegistered, _) => Self::Unregistered,
            (Cause::WakeNotConfigured, _) => Self::SleepWithoutWake,
            (Cause::SpawnDisabled, _) => Self::SpawnDisabled,
            (Cause::WakeForbidden, _) => Self::WakeForbidden,
            (Cause::InvalidAutoSleep, _) => Self::InvalidAutoSleep,
            (Cause::RateLimited, _) => Self::RateLimited,
            (Cause::NoSuchParty, _) => Self::NoSuchParty,
            (Cause::NotInParty, _) => Self::NotInParty,
            (Cause::TooManyParties, _) => Self::TooManyParties,
            (Cause::PartyFull, _) => Self::PartyFull,
            (Cause::PartyLost, _) => Self::PartyLost,
            (other, _) => Self::Other(other),
        }
    }

    /// The frame's `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::PresenceUnregistered | Self::Unregistered => Cause::NotRegistered.name(),
            Self::RateLimited => Cause::RateLimited.name(),
            Self::NoSuchParty => Cause::NoSuchParty.name(),
            Self::NotInParty => Cause::NotInParty.name(),
            Self::TooManyParties | Self::PartyFull => "limit_reached",
            Self::PartyLost => Cause::PartyLost.name(),
            Self::Other(cause) => cause.name(),
            _ => "invalid_payload",
        }
    }
}

/// The exact texts. A flat table, so longer than a function should be otherwise.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnsupportedType(shown) => return write!(f, "Unsupported message type: {shown}"),
            Self::NotPbx => "PBX must register before forwarding calls",
            Self::AddressNotText => "Field 'address' must be a string",
            Self::UnsupportedConcurrency(shown) => {
                return write!(f, "Unsupported concurrency mode: {shown}");
            }
            Self::NotPositive(Count::MaxListeners) => "max_listeners must be a positive integer",
            Self::NotPositive(Count::MaxSessions) => "max_sessions must be a positive integer",
            Self::NotPositive(Count::PoolSize) => "pool_size must be a positive integer",
            Self::NotPositive(Count::Limit) => "Field 'limit' must be a positive integer",
            Self::ListenersWithoutBroadcast => "max_listeners is only valid for broadcast concurrency",
            Self::SessionsWithoutParallel => "max_sessions is only valid for parallel concurrency",
            Self::UnsupportedMode(shown) => return write!(f, "Unsupported mode: {shown}"),
            Self::HandlerWithoutMode => "wake_handler requires mode 'wake_on_ring'",
            Self::ModeWithoutHandler => "wake_handler is required for wake_on_ring mode",
            Self::WakeTimeoutNotPositive => "wake_handler.timeout_seconds must be positive",
            Self::WebhookUrlMissing => "wake_handler.url must be a non-empty string",
            Self::WebhookPayloadNotObject => "wake_handler.payload must be an object",
            Self::SpawnCommandMissing => "wake_handler.command must be a non-empty array",
            Self::SpawnCommandEntry => "wake_handler.command entries must be non-empty strings",
            Self::UnsupportedHandler(shown) => return write!(f, "Unsupported wake handler type: {shown}"),
            Self::SpawnDisabled => "spawn wake handlers are disabled on this exchange",
            Self::WakeForbidden => "wake handlers of this type are not allowed for this address",
            Self::InvalidStatus(shown) => return write!(f, "Invalid status value: {shown}"),
            Self::InvalidAutoSleep => "Invalid auto_sleep payload",
            Self::SleepUnregistered => "Registration required before sleeping",
            Self::SleepWithoutWake => "Wake-on-ring mode must be configured before sleeping",
            Self::ToMissing => "Field 'to' is required",
            Self::ReferenceInvalid => {
                return write!(f, "Field 'ref' must be a string of at most {REFERENCE_BYTES_MAX} bytes");
            }
            Self::RateLimited => "Too many dial attempts",
            Self::CallIdMissing => "Field 'call_id' is required",
            Self::UnsupportedContentType(shown) => return write!(f, "Unsupported content_type: {shown}"),
            Self::PresenceUnregistered => "Registration is required before requesting presence",
            Self::DomainNotText => "Field 'domain' must be a string",
            Self::CapabilitiesNotList => "Field 'capabilities' must be an array",
            Self::CapabilityNotText => "Capabilities must be strings",
            Self::TooManyCapabilities { most } => return write!(f, "More than {most} capabilities"),
            Self::InvalidNear => "Invalid near filter",
            Self::PartyInvalid => "Field 'party' must be a string of the form name@domain",
            Self::NoSuchParty => "There is no such party",
            Self::NotInParty => "Join the party first",
            Self::TooManyParties => "This link takes part in as many parties as it may",
            Self::PartyFull => "The party has as many members as it may",
            Self::PartyLost => "The exchange that hosts the party is out of reach",
            Self::CallIdTooLong => return write!(f, "call_id is longer than {CALL_TEXT_BYTES_MAX} bytes"),
            Self::FromMissing => "Field 'from' must be a string of 1 to 255 bytes",
            Self::FromInvalid => "Field 'from' must be an address",
            Self::AddresseeInvalid => "Field 'to' must be an address",
            Self::PbxDomainMissing => "Field 'domain' must be a non-empty string",
            Self::RoutesMissing => "Field 'routes' must be a non-empty array",
            Self::RouteNotText => "Route entries must be non-empty strings",
            Self::RouteTooLong => "A route is longer than any address",
            Self::TooManyRoutes { most } => return write!(f, "More than {most} routes"),
            Self::TooLarge { field, bytes_max } => {
                return write!(f, "{field} is larger than {bytes_max} bytes");
            }
            Self::Unregistered => "Registration is required",
            Self::Other(cause) => return write!(f, "Refused: {cause}"),
        };
        f.write_str(text)
    }
}

impl fmt::Display for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "metadata",
            Self::WakeHandler => "wake_handler",
            Self::Query => "query",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

/// Appends the JSON of an ERROR frame.
pub fn encode_refusal(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"ERROR","reason":"#);
    push_str_escaped(out, refusal.fault.reason());
    out.extend_from_slice(br#","context":"#);
    push_str_escaped(out, refusal.context.name());
    out.extend_from_slice(br#","detail":"#);
    push_str_escaped(out, &refusal.to_string());
    out.push(b'}');
}
