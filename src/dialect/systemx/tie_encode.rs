//! What exchanges say to each other (spec section 19), written; and the names that others have given to their calls.
//!
//! As in `encode.rs`, opaque bytes are copied as they came. Only metadata that says who has checked the caller is put together
//! anew, from the members as they are written (section 19.8).

use std::collections::HashMap;
use std::sync::Arc;

use crate::dialect::json::{Value, push_str_escaped};
use crate::exchange::event::{Location, Near, PresenceQuery};
use crate::exchange::ids::CallId;
use crate::exchange::tie::{ForwardedDial, Peer, TieNotice, TiePresence, TieRefusal, TieReply, Vouch};
use crate::timestamp::Timestamp;

use super::encode::{
    entry_len, push_bytes, push_call, push_optional, push_presence, push_reason, push_text, push_word,
};
use super::tie_parties::{party_talk_len, push_party_talk};
use super::ties::QUERY_ID_PREFIX;

/// What an exchange says about a caller of its own; no client may say it by itself.
const VOUCHERS: [&str; 3] = ["authenticated_by", "auth_level", "timestamp"];

/// The calls whose id is derived from a name that another exchange has given them, and that name.
#[derive(Default, Debug)]
pub struct CallNames {
    names: HashMap<CallId, (Arc<str>, u32), ahash::RandomState>,
}

impl CallNames {
    /// A call has this name; as often as it is said, it has to be forgotten.
    pub fn add(&mut self, call: CallId, name: Arc<str>) {
        self.names.entry(call).or_insert((name, 0)).1 += 1;
    }

    /// One end of a call is over.
    pub fn forget(&mut self, call: CallId) {
        let Some((_, count)) = self.names.get_mut(&call) else { return };
        *count -= 1;
        if *count == 0 {
            self.names.remove(&call);
        }
    }

    /// The name of a call, if it has one besides its id.
    pub fn get(&self, call: CallId) -> Option<&str> {
        self.names.get(&call).map(|(name, _)| &**name)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// Appends all of a notice but the closing brace.
pub(super) fn encode_tie(notice: &TieNotice<'_>, names: Option<&CallNames>, out: &mut Vec<u8>) {
    match notice {
        TieNotice::Introduction(peer) => push_introduction(out, peer),
        TieNotice::Heartbeat => out.extend_from_slice(br#"{"type":"HEARTBEAT""#),
        TieNotice::Registered { domain } => {
            push_text(out, r#"{"type":"REGISTERED_PBX","domain":"#, domain);
            push_word(out, r#","status":"#, "connected");
        }
        TieNotice::Refused(refusal) => push_refusal(out, refusal),
        TieNotice::DialForward(dial) => push_dial_forward(out, dial, names),
        TieNotice::Ring { call, from, metadata } => {
            push_call(out, r#"{"type":"RING","call_id":"#, *call, names);
            push_text(out, r#","from":"#, from.as_str());
            push_bytes(out, r#","metadata":"#, metadata.as_deref());
        }
        TieNotice::Answered { call, from } => {
            push_call(out, r#"{"type":"ANSWER","call_id":"#, *call, names);
            push_text(out, r#","from":"#, from.as_str());
        }
        TieNotice::PresenceQuery(asked) => push_presence_query(out, asked),
        TieNotice::PresenceResult(answer) => {
            let TieReply { entries, truncated, reply } = &**answer;
            push_presence(out, entries, *truncated);
            push_optional(out, r#","reply_to":"#, reply.to.as_deref());
            push_optional(out, r#","query_id":"#, reply.id.as_deref());
        }
        TieNotice::Party(talk) => push_party_talk(out, talk),
        TieNotice::Busy { call, to, reason } => {
            push_call(out, r#"{"type":"BUSY","call_id":"#, *call, names);
            push_text(out, r#","to":"#, to);
            push_reason(out, reason);
        }
    }
}

/// About how long that gets.
pub(super) fn tie_len_hint(notice: &TieNotice<'_>) -> usize {
    const USUAL: usize = 192;
    let metadata = match notice {
        TieNotice::DialForward(dial) => dial.metadata.as_ref().map_or(0, |metadata| metadata.len()),
        TieNotice::Ring { metadata, .. } => metadata.as_ref().map_or(0, |metadata| metadata.len()),
        TieNotice::Busy { to, reason, .. } => to.len() + reason.as_str().len(),
        TieNotice::PresenceResult(answer) => answer.entries.iter().map(entry_len).sum(),
        TieNotice::Party(talk) => party_talk_len(talk),
        TieNotice::Introduction(peer) => peer.announced.iter().map(|route| route.as_given().len() + 3).sum(),
        _ => 0,
    };
    USUAL + metadata
}

/// PRESENCE_QUERY (section 19.6). `hops` is ours: it ends questions that go round in a circle.
fn push_presence_query(out: &mut Vec<u8>, asked: &TiePresence) {
    let PresenceQuery { domain, capabilities, near, limit, asker: _ } = &*asked.query;
    out.extend_from_slice(br#"{"type":"PRESENCE_QUERY","query":{"#);
    let first = out.len();
    if let Some(domain) = domain {
        push_text(out, r#""domain":"#, domain);
    }
    let comma = |out: &mut Vec<u8>| {
        if out.len() > first {
            out.push(b',');
        }
    };
    if !capabilities.is_empty() {
        comma(out);
        for (at, capability) in capabilities.iter().enumerate() {
            push_text(out, if at == 0 { r#""capabilities":["# } else { "," }, capability);
        }
        out.push(b']');
    }
    if let Some(Near { middle, radius_km }) = near {
        comma(out);
        let Location { lat, lon } = middle;
        out.extend_from_slice(
            format!(r#""near":{{"lat":{lat},"lon":{lon},"radius_km":{radius_km}}}"#).as_bytes(),
        );
    }
    if let Some(limit) = limit {
        comma(out);
        // The others write no 0, and one more than is wanted shows that there is more.
        out.extend_from_slice(format!(r#""limit":{}"#, (*limit).max(1)).as_bytes());
    }
    push_text(out, r#"},"reply_to":"#, &asked.reply_to);
    out.extend_from_slice(
        format!(r#","query_id":"{QUERY_ID_PREFIX}{}","hops":{}"#, asked.number, asked.hops).as_bytes(),
    );
}

/// REGISTER_PBX (section 19.9).
fn push_introduction(out: &mut Vec<u8>, peer: &Peer) {
    push_text(out, r#"{"type":"REGISTER_PBX","domain":"#, &peer.domain);
    out.extend_from_slice(br#","routes":["#);
    for (at, route) in peer.announced.iter().enumerate() {
        push_text(out, if at == 0 { "" } else { "," }, route.as_given());
    }
    out.extend_from_slice(br#"],"endpoint":"internal""#);
    if let Some(auth) = &peer.auth {
        push_text(out, r#","auth":"#, auth.reveal());
    }
}

fn push_refusal(out: &mut Vec<u8>, refusal: &TieRefusal) {
    const FAILED: &str = r#"{"type":"REGISTER_PBX_FAILED","reason":"#;
    match refusal {
        TieRefusal::RouteConflict { route, claimed_by } => {
            push_word(out, FAILED, "route_conflict");
            push_text(out, r#","conflicting_route":"#, route);
            push_text(out, r#","claimed_by":"#, claimed_by);
        }
        TieRefusal::AuthFailed => push_word(out, FAILED, "auth_failed"),
        TieRefusal::TooManyRoutes => push_word(out, FAILED, "limit_reached"),
    }
}

fn push_dial_forward(out: &mut Vec<u8>, dial: &ForwardedDial, names: Option<&CallNames>) {
    push_call(out, r#"{"type":"DIAL_FORWARD","call_id":"#, dial.call, names);
    push_text(out, r#","from":"#, dial.from.as_str());
    push_text(out, r#","to":"#, dial.to.as_str());
    let metadata = dial.metadata.as_deref();
    match dial.vouch {
        Vouch::Theirs => push_bytes(out, r#","metadata":"#, metadata),
        Vouch::Unverified => push_vouched(out, metadata, None),
        Vouch::Verified => push_vouched(out, metadata, Some(dial)),
    }
}

/// Metadata without what a client says about its own identity, and with what this exchange says about it. Only an object, or
/// nothing, can say something.
fn push_vouched(out: &mut Vec<u8>, metadata: Option<&[u8]>, voucher: Option<&ForwardedDial>) {
    let lead = r#","metadata":"#;
    let members = match metadata.map(|metadata| Value::of_valid(metadata).and_then(|value| value.members())) {
        None if voucher.is_none() => return,
        None => None,
        Some(Some(members)) => Some(members),
        Some(None) => return push_bytes(out, lead, metadata),
    };
    out.extend_from_slice(lead.as_bytes());
    out.push(b'{');
    let first = out.len();
    let comma = |out: &mut Vec<u8>| {
        if out.len() > first {
            out.push(b',');
        }
    };
    for (name, value) in members.into_iter().flatten() {
        if !VOUCHERS.contains(&&*name) {
            comma(out);
            push_str_escaped(out, &name);
            out.push(b':');
            out.extend_from_slice(value.raw());
        }
    }
    if let Some(dial) = voucher {
        comma(out);
        push_text(out, r#""authenticated_by":"#, &dial.domain);
        push_word(out, r#","auth_level":"#, "verified");
        push_word(out, r#","timestamp":"#, &Timestamp(dial.wall_ms).to_string());
    }
    out.push(b'}');
}
