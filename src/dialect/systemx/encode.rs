//! Notices as the native protocol writes them: compact JSON, keys in the order of the spec.
//!
//! Only the JSON text is appended; framing is the shell's. Opaque bytes are copied as they came. What a sender did
//! not give stays absent. MSG, the hot path, allocates nothing. Invariant: what is appended is one JSON object,
//! provided that the payloads of the notice are JSON values, which the decoders see to.

use crate::dialect::json::{push_bool, push_str_escaped, push_u64};
use crate::exchange::address::Address;
use crate::exchange::cause::Reason;
use crate::exchange::effect::{Payload, PresenceEntry};
use crate::exchange::event::ContentType;
use crate::exchange::ids::{CallId, UUID_TEXT_LEN};

use super::Notice;
use super::refusal::{Context, Fault, Refusal, encode_refusal};
use super::tie_encode::{CallNames, encode_tie, tie_len_hint};

/// What an ERROR frame has at most in practice; only a hint.
const ERROR_LEN_USUAL: usize = 160;

/// Appends the JSON text of a notice about calls that have no names but their ids.
pub fn encode(notice: &Notice<'_>, out: &mut Vec<u8>) {
    encode_named(notice, None, out);
}

/// Appends the JSON text of a notice; calls that other exchanges have named go by those names.
pub fn encode_named(notice: &Notice<'_>, names: Option<&CallNames>, out: &mut Vec<u8>) {
    match notice {
        Notice::Message { call, from, data, content_type } => {
            push_call(out, r#"{"type":"MSG","call_id":"#, *call, names);
            push_text(out, r#","from":"#, from.as_str());
            push_payload(out, r#","data":"#, data);
            push_word(out, r#","content_type":"#, word_of(*content_type));
        }
        Notice::HeartbeatHeard { wall_ms } => {
            out.extend_from_slice(br#"{"type":"HEARTBEAT_ACK","timestamp":"#);
            push_u64(out, *wall_ms);
        }
        Notice::Ring { from, call, metadata, listener: _ } => {
            push_text(out, r#"{"type":"RING","from":"#, from.as_str());
            push_call(out, r#","call_id":"#, *call, names);
            push_payload(out, r#","metadata":"#, metadata);
        }
        Notice::Connected { call, to, reference } => {
            push_call(out, r#"{"type":"CONNECTED","call_id":"#, *call, names);
            push_text(out, r#","to":"#, to.as_str());
            push_optional(out, r#","ref":"#, reference.as_deref());
        }
        Notice::Busy { to, reason, reference } => {
            let reference = reference.as_ref().map(|(reference, call)| (&**reference, *call));
            push_busy(out, to.as_str(), reason, reference, names);
        }
        Notice::HungUp { call, reason, from } => push_hang_up(out, *call, reason, from.as_ref(), names),
        Notice::Dialling { reference, call, to } => {
            push_text(out, r#"{"type":"DIALING","ref":"#, reference);
            push_call(out, r#","call_id":"#, *call, names);
            push_text(out, r#","to":"#, to.as_str());
        }
        Notice::Registered { address, session } => {
            push_text(out, r#"{"type":"REGISTERED","address":"#, address.as_str());
            push_id(out, r#","session_id":""#, session.text());
        }
        Notice::RegisterRefused(cause) => push_word(out, REGISTER_FAILED, cause.name()),
        Notice::Presence { entries, truncated } => push_presence(out, entries, *truncated),
        Notice::AuthExpiring { expires_ms } => {
            out.extend_from_slice(AUTH_EXPIRING.as_bytes());
            push_u64(out, *expires_ms);
        }
        Notice::SleepPending { seconds } => {
            out.extend_from_slice(SLEEP_PENDING.as_bytes());
            push_u64(out, *seconds);
        }
        Notice::Refused { verb, cause } => {
            let refusal = Refusal { context: Context::Verb(*verb), fault: Fault::of(*verb, *cause) };
            return encode_refusal(&refusal, out);
        }
        Notice::Joined { party, participants } => push_joined(out, party, participants),
        Notice::RingBack { call, to, metadata } => {
            push_call(out, r#"{"type":"RING","call_id":"#, *call, names);
            push_text(out, r#","to":"#, to.as_str());
            push_bytes(out, r#","metadata":"#, metadata.as_deref());
        }
        Notice::Tie(notice) => encode_tie(notice, names, out),
        Notice::PartyMessage { party, from, data, content_type } => {
            push_text(out, r#"{"type":"PARTY_MSG","party":"#, party.as_str());
            push_text(out, r#","from":"#, from.as_str());
            push_payload(out, r#","data":"#, data);
            push_optional(out, r#","content_type":"#, content_type.map(word_of));
        }
    }
    out.push(b'}');
}

/// Appends the JSON of the REGISTER_FAILED frame for an address that is none (section 4).
pub fn encode_invalid_address(out: &mut Vec<u8>) {
    push_word(out, REGISTER_FAILED, "invalid_address");
    out.push(b'}');
}

/// About how long the JSON of a notice gets: exact, except that escapes in texts and the texts of ERROR frames are
/// not looked at. Cheap: it adds up lengths.
pub fn encoded_len_hint(notice: &Notice<'_>) -> usize {
    let fixed = |form: &str, ids: usize| form.len() + ids * UUID_TEXT_LEN;
    match notice {
        Notice::Message { from, data, content_type, .. } => {
            let form = r#"{"type":"MSG","call_id":"","from":"","content_type":""}"#;
            fixed(form, 1) + from.as_str().len() + data_len(data) + word_of(*content_type).len()
        }
        Notice::HeartbeatHeard { wall_ms } => {
            fixed(r#"{"type":"HEARTBEAT_ACK","timestamp":}"#, 0) + digits(*wall_ms)
        }
        Notice::Ring { from, metadata, .. } => {
            let metadata = metadata.bytes().map_or(0, |bytes| r#","metadata":"#.len() + bytes.len());
            fixed(r#"{"type":"RING","from":"","call_id":""}"#, 1) + from.as_str().len() + metadata
        }
        Notice::Connected { to, reference, .. } => {
            let form = r#"{"type":"CONNECTED","call_id":"","to":""}"#;
            let reference = reference.as_ref().map_or(0, |reference| r#","ref":"""#.len() + reference.len());
            fixed(form, 1) + to.as_str().len() + reference
        }
        Notice::Busy { to, reason, reference } => busy_len(to.as_str(), reason, reference.as_ref()),
        Notice::HungUp { reason, from, .. } => {
            let from = from.as_ref().map_or(0, |from| r#","from":"""#.len() + from.as_str().len());
            fixed(r#"{"type":"HANGUP","call_id":"","reason":""}"#, 1) + reason.as_str().len() + from
        }
        Notice::Dialling { reference, to, .. } => {
            fixed(r#"{"type":"DIALING","ref":"","call_id":"","to":""}"#, 1)
                + reference.len()
                + to.as_str().len()
        }
        Notice::Registered { address, .. } => {
            fixed(r#"{"type":"REGISTERED","address":"","session_id":""}"#, 1) + address.as_str().len()
        }
        Notice::RegisterRefused(cause) => fixed(REGISTER_FAILED, 0) + r#"""}"#.len() + cause.name().len(),
        Notice::Presence { entries, truncated } => {
            let cut = if *truncated { r#","truncated":true"#.len() } else { 0 };
            let commas = entries.len().saturating_sub(1);
            fixed(r#"{"type":"PRESENCE_RESULT","addresses":[]}"#, 0)
                + cut
                + commas
                + entries.iter().map(entry_len).sum::<usize>()
        }
        Notice::AuthExpiring { expires_ms } => fixed(AUTH_EXPIRING, 0) + digits(*expires_ms) + "}".len(),
        Notice::SleepPending { seconds } => fixed(SLEEP_PENDING, 0) + digits(*seconds) + "}".len(),
        Notice::Refused { .. } => ERROR_LEN_USUAL,
        Notice::Joined { party, participants } => {
            let names = participants.iter().map(|name| name.as_str().len() + r#""","#.len()).sum::<usize>();
            let last_comma = usize::from(!participants.is_empty());
            fixed(r#"{"type":"JOINED","party":"","participants":[]}"#, 0) + party.as_str().len() + names
                - last_comma
        }
        Notice::RingBack { to, metadata, .. } => {
            let metadata = metadata.as_ref().map_or(0, |bytes| r#","metadata":"#.len() + bytes.len());
            fixed(r#"{"type":"RING","call_id":"","to":""}"#, 1) + to.as_str().len() + metadata
        }
        Notice::Tie(notice) => tie_len_hint(notice),
        Notice::PartyMessage { party, from, data, content_type } => {
            let kind = content_type.map_or(0, |kind| r#","content_type":"""#.len() + word_of(kind).len());
            fixed(r#"{"type":"PARTY_MSG","party":"","from":""}"#, 0)
                + party.as_str().len()
                + from.as_str().len()
                + data_len(data)
                + kind
        }
    }
}

fn busy_len(to: &str, reason: &Reason, reference: Option<&(Box<str>, CallId)>) -> usize {
    let extra = |(reference, _): &(Box<str>, CallId)| {
        r#","ref":"","call_id":"""#.len() + UUID_TEXT_LEN + reference.len()
    };
    r#"{"type":"BUSY","to":"","reason":""}"#.len()
        + to.len()
        + reason.as_str().len()
        + reference.map_or(0, extra)
}

const REGISTER_FAILED: &str = r#"{"type":"REGISTER_FAILED","reason":"#;
const AUTH_EXPIRING: &str = r#"{"type":"AUTH_EXPIRING","expires_at":"#;
const SLEEP_PENDING: &str = r#"{"type":"SLEEP_PENDING","reason":"idle_timeout","seconds_until_sleep":"#;

fn push_busy(
    out: &mut Vec<u8>,
    to: &str,
    reason: &Reason,
    reference: Option<(&str, CallId)>,
    names: Option<&CallNames>,
) {
    push_text(out, r#"{"type":"BUSY","to":"#, to);
    push_reason(out, reason);
    if let Some((reference, call)) = reference {
        push_text(out, r#","ref":"#, reference);
        push_call(out, r#","call_id":"#, call, names);
    }
}

fn push_hang_up(
    out: &mut Vec<u8>,
    call: CallId,
    reason: &Reason,
    from: Option<&Address>,
    names: Option<&CallNames>,
) {
    push_call(out, r#"{"type":"HANGUP","call_id":"#, call, names);
    push_optional(out, r#","from":"#, from.map(Address::as_str));
    push_reason(out, reason);
}

/// Words of ours need no escapes.
pub(super) fn push_reason(out: &mut Vec<u8>, reason: &Reason) {
    match reason {
        Reason::Cause(cause) => push_word(out, r#","reason":"#, cause.name()),
        Reason::Given(text) => push_text(out, r#","reason":"#, text),
    }
}

pub(super) fn push_presence(out: &mut Vec<u8>, entries: &[PresenceEntry], truncated: bool) {
    out.extend_from_slice(br#"{"type":"PRESENCE_RESULT","addresses":["#);
    for (at, entry) in entries.iter().enumerate() {
        let lead = if at == 0 { r#"{"address":"# } else { r#",{"address":"# };
        push_text(out, lead, entry.address.as_str());
        push_word(out, r#","status":"#, entry.status.name());
        out.extend_from_slice(br#","metadata":"#);
        out.extend_from_slice(metadata_of(entry));
        out.push(b'}');
    }
    out.push(b']');
    if truncated {
        out.extend_from_slice(br#","truncated":"#);
        push_bool(out, true);
    }
}

pub(super) fn entry_len(entry: &PresenceEntry) -> usize {
    r#"{"address":"","status":"","metadata":}"#.len()
        + entry.address.as_str().len()
        + entry.status.name().len()
        + metadata_of(entry).len()
}

/// Whoever gave no metadata is shown with an empty object (section 16).
fn metadata_of(entry: &PresenceEntry) -> &[u8] {
    entry.metadata.as_deref().unwrap_or(b"{}")
}

pub(super) fn push_joined(out: &mut Vec<u8>, party: &Address, participants: &[Address]) {
    push_text(out, r#"{"type":"JOINED","party":"#, party.as_str());
    out.extend_from_slice(br#","participants":["#);
    for (at, name) in participants.iter().enumerate() {
        push_text(out, if at == 0 { "" } else { "," }, name.as_str());
    }
    out.push(b']');
}

/// A call by the name that its parties know.
pub(super) fn push_call(out: &mut Vec<u8>, lead: &str, call: CallId, names: Option<&CallNames>) {
    out.extend_from_slice(lead.as_bytes());
    if call.is_derived()
        && let Some(name) = names.and_then(|names| names.get(call))
    {
        return push_str_escaped(out, name);
    }
    let mut quoted = [b'"'; UUID_TEXT_LEN + 2];
    quoted[1..=UUID_TEXT_LEN].copy_from_slice(&call.text());
    out.extend_from_slice(&quoted);
}

/// `lead` ends with the opening quote of the id.
fn push_id(out: &mut Vec<u8>, lead: &str, id: [u8; UUID_TEXT_LEN]) {
    out.extend_from_slice(lead.as_bytes());
    out.extend_from_slice(&id);
    out.push(b'"');
}

pub(super) fn push_text(out: &mut Vec<u8>, lead: &str, text: &str) {
    out.extend_from_slice(lead.as_bytes());
    push_str_escaped(out, text);
}

/// As [`push_text`], for words of ours, which need no escapes.
pub(super) fn push_word(out: &mut Vec<u8>, lead: &str, word: &str) {
    out.extend_from_slice(lead.as_bytes());
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

pub(super) fn push_optional(out: &mut Vec<u8>, lead: &str, text: Option<&str>) {
    if let Some(text) = text {
        push_text(out, lead, text);
    }
}

fn push_payload(out: &mut Vec<u8>, lead: &str, payload: &Payload<'_>) {
    push_bytes(out, lead, payload.bytes());
}

pub(super) fn push_bytes(out: &mut Vec<u8>, lead: &str, bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        out.extend_from_slice(lead.as_bytes());
        out.extend_from_slice(bytes);
    }
}

fn data_len(data: &Payload<'_>) -> usize {
    data.bytes().map_or(0, |bytes| r#","data":"#.len() + bytes.len())
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

pub(super) fn word_of(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Text => "text",
        ContentType::Json => "json",
        ContentType::Binary => "binary",
    }
}
