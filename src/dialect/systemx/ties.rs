//! What exchanges say to each other (spec section 19), read: REGISTER_PBX of any line, the rest of tie lines only.
//!
//! ANSWER, HANGUP and HEARTBEAT are as clients write them, and are read where theirs are. What another exchange says
//! needlessly, or complains about, is no request and gets no answer: two exchanges that complain about each other's
//! complaints would never end. Invariant: a field that is kept is bounded here.

use std::sync::Arc;

use bytes::Bytes;

use crate::dialect::json::{Key, Value};
use crate::exchange::address::Address;
use crate::exchange::effect::PresenceEntry;
use crate::exchange::event::{ContentType, Request, Status, Verb};
use crate::exchange::ids::CALL_TEXT_BYTES_MAX;
use crate::exchange::limits::ROUTES_PER_TIE_MAX;
use crate::exchange::pattern::{PATTERN_BYTES_MAX, Pattern};
use crate::exchange::tie::{DialForward, Secret, TieAnswer, TieQuery, TieRegistration, TieRequest};

use super::calls::{read_call_id, read_content_type, read_trace};
use super::frame::{Frame, key, members};
use super::presence::read_query;
use super::refusal::{Bounded, Fault};
use super::{Bounds, WireError, tie_parties};

/// Longest domain and longest token of REGISTER_PBX, in bytes; both are kept.
const DOMAIN_BYTES_MAX: usize = 255;
const TOKEN_BYTES_MAX: usize = 8192;

/// Longest name of a question or of its asker, in bytes; both are kept until the answer.
const NAME_BYTES_MAX: usize = 1024;
/// Most entries taken of an answer: as many as an answer has by default.
const ENTRIES_MAX: usize = 10_000;
/// What names of our questions begin with.
pub(super) const QUERY_ID_PREFIX: &str = "q-";

/// The types that only a tie line may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TieType {
    DialForward,
    Ring,
    Busy,
    Connected,
    PresenceQuery,
    PresenceResult,
    JoinForward,
    Joined,
    JoinFailed,
    RegisteredPbx,
    RegisterPbxFailed,
    HeartbeatAck,
    /// ERROR: a complaint.
    Error,
}

impl TieType {
    /// The name by which a frame is complained about.
    pub(super) fn verb(self) -> Verb {
        match self {
            Self::DialForward => Verb::DialForward,
            Self::JoinForward => Verb::JoinForward,
            _ => Verb::Tie,
        }
    }
}

/// What a type's name stands for on a tie line, where it means something else than on others.
pub(super) fn tie_type_of(name: &str) -> Option<TieType> {
    Some(match name {
        "DIAL_FORWARD" => TieType::DialForward,
        "RING" => TieType::Ring,
        "BUSY" => TieType::Busy,
        "CONNECTED" => TieType::Connected,
        "PRESENCE_QUERY" => TieType::PresenceQuery,
        "PRESENCE_RESULT" => TieType::PresenceResult,
        "JOIN_FORWARD" => TieType::JoinForward,
        "JOINED" => TieType::Joined,
        "JOIN_FAILED" => TieType::JoinFailed,
        "REGISTERED_PBX" => TieType::RegisteredPbx,
        "REGISTER_PBX_FAILED" | "REGISTER_FAILED" => TieType::RegisterPbxFailed,
        "HEARTBEAT_ACK" => TieType::HeartbeatAck,
        "ERROR" => TieType::Error,
        _ => return None,
    })
}

/// A frame of a tie line.
pub(super) fn read_tie<'f>(
    kind: TieType,
    frame: Frame<'_, 'f>,
    bounds: Bounds,
) -> Result<Request<'f>, WireError> {
    let request = match kind {
        TieType::DialForward => return read_dial_forward(frame, bounds),
        TieType::JoinForward => return tie_parties::read_join_forward(frame),
        TieType::Joined => return tie_parties::read_joined(frame),
        TieType::JoinFailed => return tie_parties::read_join_failed(frame),
        TieType::Connected => return Ok(Request::Answer { call: read_call_id(frame)? }),
        TieType::Ring => {
            TieRequest::Ring { call: read_call_id(frame)?, metadata: bounded_metadata(frame, bounds)? }
        }
        TieType::Busy => TieRequest::Busy { call: read_call_id(frame)?, reason: text(frame, key::REASON) },
        TieType::PresenceQuery => TieRequest::PresenceQuery(Box::new(read_presence_query(frame, bounds)?)),
        TieType::PresenceResult => TieRequest::PresenceResult(Box::new(read_presence_result(frame))),
        TieType::RegisteredPbx => TieRequest::Welcomed,
        TieType::RegisterPbxFailed => {
            TieRequest::TurnedDown { reason: text(frame, key::REASON).unwrap_or_default() }
        }
        TieType::HeartbeatAck => TieRequest::HeartbeatHeard,
        TieType::Error => TieRequest::Complaint,
    };
    Ok(Request::Tie(request))
}

fn text<'f>(frame: Frame<'_, 'f>, key: Key) -> Option<std::borrow::Cow<'f, str>> {
    frame.get(key)?.as_str()
}

fn bounded_metadata<'f>(frame: Frame<'_, 'f>, bounds: Bounds) -> Result<Option<&'f [u8]>, WireError> {
    let metadata = frame.raw(key::METADATA);
    if metadata.is_some_and(|raw| raw.len() > bounds.metadata_bytes_max) {
        let bytes_max = bounds.metadata_bytes_max;
        return Err(frame.refuse(Fault::TooLarge { field: Bounded::Metadata, bytes_max }));
    }
    Ok(metadata)
}

/// DIAL_FORWARD (section 19.4). Whoever is called has to be told who calls, in whatever words.
fn read_dial_forward<'f>(frame: Frame<'_, 'f>, bounds: Bounds) -> Result<Request<'f>, WireError> {
    let call = read_call_id(frame)?;
    let id = text(frame, key::CALL_ID).unwrap_or_default();
    if id.len() > CALL_TEXT_BYTES_MAX {
        return Err(frame.refuse(Fault::CallIdTooLong));
    }
    let Some(to) = text(frame, key::TO).filter(|to| !to.is_empty()) else {
        return Err(frame.refuse(Fault::ToMissing));
    };
    let Some(from) = text(frame, key::FROM).and_then(|from| Address::beyond(&from)) else {
        return Err(frame.refuse(Fault::FromMissing));
    };
    let name = call.is_derived().then(|| Arc::from(&*id));
    let metadata = bounded_metadata(frame, bounds)?;
    let trace = read_trace(frame, bounds);
    let dial = DialForward { call, name, from, to, metadata, trace };
    Ok(Request::Tie(TieRequest::DialForward(Box::new(dial))))
}

/// PRESENCE_QUERY (section 19.6); `hops` is ours.
fn read_presence_query(frame: Frame<'_, '_>, bounds: Bounds) -> Result<TieQuery, WireError> {
    let query = read_query(frame, bounds)?;
    let hops = read_hops(frame).unwrap_or(0);
    Ok(TieQuery { query, reply_to: name(frame, key::REPLY_TO), query_id: name(frame, key::QUERY_ID), hops })
}

/// How many exchanges something has come through, if it is said.
pub(super) fn read_hops(frame: Frame<'_, '_>) -> Option<u8> {
    frame.get(key::HOPS).and_then(|hops| hops.as_f64()).map(|hops| hops as u8)
}

/// A name that is kept, if it is short enough to be.
fn name(frame: Frame<'_, '_>, key: Key) -> Option<Box<str>> {
    text(frame, key).filter(|name| name.len() <= NAME_BYTES_MAX).map(|name| name.into())
}

/// PRESENCE_RESULT (section 19.6). Entries that name no address are left out.
fn read_presence_result(frame: Frame<'_, '_>) -> TieAnswer {
    let listed = frame.get(key::ADDRESSES).and_then(|addresses| addresses.elements());
    let mut entries: Vec<_> =
        listed.into_iter().flatten().filter_map(read_entry).take(ENTRIES_MAX + 1).collect();
    let is_cut = entries.len() > ENTRIES_MAX;
    entries.truncate(ENTRIES_MAX);
    let truncated =
        is_cut || frame.get(key::TRUNCATED).and_then(|truncated| truncated.as_bool()) == Some(true);
    let number = text(frame, key::QUERY_ID).map(|id| id.strip_prefix(QUERY_ID_PREFIX)?.parse().ok());
    TieAnswer { entries, truncated, reply_to: name(frame, key::REPLY_TO), number }
}

fn read_entry(value: Value<'_>) -> Option<PresenceEntry> {
    let [address, status, metadata] = members(value, ["address", "status", "metadata"]);
    let address = Address::parse(&address?.as_str()?)?;
    let status = match status.and_then(|status| status.as_str()).as_deref() {
        Some("busy") => Status::Busy,
        Some("dnd") => Status::Dnd,
        Some("away") => Status::Away,
        _ => Status::Available,
    };
    Some(PresenceEntry {
        address,
        status,
        metadata: metadata.map(|value| Bytes::copy_from_slice(value.raw())),
    })
}

/// MSG on a tie line says whose it is (section 12).
pub(super) fn read_tie_message<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let call = read_call_id(frame)?;
    let content_type = read_content_type(frame)?.unwrap_or(ContentType::Text);
    let (from, data) = (text(frame, key::FROM), frame.raw(key::DATA));
    Ok(Request::Tie(TieRequest::Message { call, from, data, content_type }))
}

/// REGISTER_PBX (section 19.1), of any line.
pub(super) fn read_register_pbx<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    debug_assert_eq!(frame.verb, Verb::RegisterPbx);
    let domain = text(frame, key::DOMAIN).filter(|domain| !domain.trim().is_empty());
    let Some(domain) = domain.filter(|domain| domain.len() <= DOMAIN_BYTES_MAX) else {
        return Err(frame.refuse(Fault::PbxDomainMissing));
    };
    let routes = frame.get(key::ROUTES).and_then(|routes| routes.elements());
    let Some(routes) = routes else { return Err(frame.refuse(Fault::RoutesMissing)) };
    let mut patterns = Vec::new();
    for route in routes {
        if patterns.len() >= ROUTES_PER_TIE_MAX {
            return Err(frame.refuse(Fault::TooManyRoutes { most: ROUTES_PER_TIE_MAX }));
        }
        let text = route.as_str().ok_or_else(|| frame.refuse(Fault::RouteNotText))?;
        if text.len() > PATTERN_BYTES_MAX {
            return Err(frame.refuse(Fault::RouteTooLong));
        }
        patterns.push(Pattern::parse(&text).map_err(|_| frame.refuse(Fault::RouteNotText))?);
    }
    if patterns.is_empty() {
        return Err(frame.refuse(Fault::RoutesMissing));
    }
    let auth = text(frame, key::AUTH).filter(|token| token.len() <= TOKEN_BYTES_MAX);
    let auth = auth.map(|token| Secret::new(token.into_owned()));
    let registration = TieRegistration { domain: domain.trim().into(), routes: patterns.into(), auth };
    Ok(Request::Tie(TieRequest::Register(Box::new(registration))))
}
