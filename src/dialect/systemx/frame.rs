//! One inbound frame, parsed: its wanted fields, the name of its type, and how to complain about it.
//!
//! The names of all fields and types of the native protocol's inbound frames are here and nowhere else. What the
//! fields mean is decided in the files of the verb families. Invariant: every complaint names the frame's type.

use crate::dialect::json::{Key, Keys, Object, Value};
use crate::exchange::event::Verb;

use super::refusal::{Context, Fault, Refusal};
use super::wire_error::WireError;

/// The top-level fields that any frame may carry; others are ignored (spec section 2).
pub(super) const KEYS: Keys = Keys::new(&[
    "type",
    "call_id",
    "data",
    "content_type",
    "to",
    "metadata",
    "ref",
    "reason",
    "address",
    "concurrency",
    "max_listeners",
    "max_sessions",
    "pool_size",
    "mode",
    "wake_handler",
    "status",
    "auto_sleep",
    "query",
    "limit",
    "party",
    "create_if_missing",
    "participants",
    "from",
    "reply_to",
    "query_id",
    "hops",
    "addresses",
    "truncated",
    "domain",
    "routes",
    "auth",
]);

/// The keys of those fields.
pub(super) mod key {
    use super::{KEYS, Key};

    pub(crate) const TYPE: Key = KEYS.key("type");
    pub(crate) const CALL_ID: Key = KEYS.key("call_id");
    pub(crate) const DATA: Key = KEYS.key("data");
    pub(crate) const CONTENT_TYPE: Key = KEYS.key("content_type");
    pub(crate) const TO: Key = KEYS.key("to");
    pub(crate) const METADATA: Key = KEYS.key("metadata");
    pub(crate) const REF: Key = KEYS.key("ref");
    pub(crate) const REASON: Key = KEYS.key("reason");
    pub(crate) const ADDRESS: Key = KEYS.key("address");
    pub(crate) const CONCURRENCY: Key = KEYS.key("concurrency");
    pub(crate) const MAX_LISTENERS: Key = KEYS.key("max_listeners");
    pub(crate) const MAX_SESSIONS: Key = KEYS.key("max_sessions");
    pub(crate) const POOL_SIZE: Key = KEYS.key("pool_size");
    pub(crate) const MODE: Key = KEYS.key("mode");
    pub(crate) const WAKE_HANDLER: Key = KEYS.key("wake_handler");
    pub(crate) const STATUS: Key = KEYS.key("status");
    pub(crate) const AUTO_SLEEP: Key = KEYS.key("auto_sleep");
    pub(crate) const QUERY: Key = KEYS.key("query");
    pub(crate) const LIMIT: Key = KEYS.key("limit");
    pub(crate) const PARTY: Key = KEYS.key("party");
    pub(crate) const CREATE_IF_MISSING: Key = KEYS.key("create_if_missing");
    pub(crate) const PARTICIPANTS: Key = KEYS.key("participants");
    pub(crate) const FROM: Key = KEYS.key("from");
    pub(crate) const REPLY_TO: Key = KEYS.key("reply_to");
    pub(crate) const QUERY_ID: Key = KEYS.key("query_id");
    pub(crate) const HOPS: Key = KEYS.key("hops");
    pub(crate) const ADDRESSES: Key = KEYS.key("addresses");
    pub(crate) const TRUNCATED: Key = KEYS.key("truncated");
    pub(crate) const DOMAIN: Key = KEYS.key("domain");
    pub(crate) const ROUTES: Key = KEYS.key("routes");
    pub(crate) const AUTH: Key = KEYS.key("auth");
}

/// The type that is written for a verb. WHISPER is none of the protocol's: no frame asks for it; what exchanges say to each
/// other has many types, and only DIAL_FORWARD is complained about by its name.
pub(super) fn type_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Register => "REGISTER",
        Verb::Unregister => "UNREGISTER",
        Verb::Status => "STATUS",
        Verb::Heartbeat => "HEARTBEAT",
        Verb::Dial => "DIAL",
        Verb::Answer => "ANSWER",
        Verb::HangUp => "HANGUP",
        Verb::Message => "MSG",
        Verb::Whisper => "WHISPER",
        Verb::Presence => "PRESENCE",
        Verb::SleepAck => "SLEEP_ACK",
        Verb::Join => "JOIN",
        Verb::PartyMessage => "PARTY_MSG",
        Verb::Leave => "LEAVE",
        Verb::RegisterPbx => "REGISTER_PBX",
        Verb::DialForward => "DIAL_FORWARD",
        Verb::JoinForward => "JOIN_FORWARD",
        Verb::Tie => "UNKNOWN",
    }
}

/// What the type of a frame asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FrameType {
    /// A request of a client.
    Verb(Verb),
    /// Only federated exchanges may send it, and this link is none.
    DialForward,
}

/// What a type's name stands for; `None` if the protocol, or this link, does not know it.
pub(super) fn type_of(name: &str) -> Option<FrameType> {
    let verb = match name {
        "MSG" => Verb::Message,
        "HEARTBEAT" => Verb::Heartbeat,
        "DIAL" => Verb::Dial,
        "ANSWER" => Verb::Answer,
        "HANGUP" => Verb::HangUp,
        "REGISTER" => Verb::Register,
        "UNREGISTER" => Verb::Unregister,
        "STATUS" => Verb::Status,
        "PRESENCE" => Verb::Presence,
        "SLEEP_ACK" => Verb::SleepAck,
        "JOIN" => Verb::Join,
        "PARTY_MSG" => Verb::PartyMessage,
        "LEAVE" => Verb::Leave,
        "REGISTER_PBX" => Verb::RegisterPbx,
        "DIAL_FORWARD" => return Some(FrameType::DialForward),
        _ => return None,
    };
    Some(FrameType::Verb(verb))
}

/// A frame of a known type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'p, 'f> {
    /// What it asks for.
    pub(super) verb: Verb,
    /// Its fields.
    pub(super) object: Object<'p, 'f>,
}

impl<'f> Frame<'_, 'f> {
    /// A field, if the frame has it; `null` is a value.
    pub(super) fn get(&self, key: Key) -> Option<Value<'f>> {
        self.object.get(key)
    }

    /// A field for which `null` means the same as nothing.
    pub(super) fn set(&self, key: Key) -> Option<Value<'f>> {
        given(self.get(key))
    }

    /// The exact source of a field, to be relayed as it is.
    pub(super) fn raw(&self, key: Key) -> Option<&'f [u8]> {
        self.get(key).map(|value| value.raw())
    }

    /// The answer to a frame with this fault.
    pub(super) fn refuse(&self, fault: Fault) -> WireError {
        WireError::Refuse(Refusal { context: Context::Verb(self.verb), fault })
    }
}

/// A value, unless it is `null`.
pub(super) fn given(value: Option<Value<'_>>) -> Option<Value<'_>> {
    value.filter(|value| !value.is_null())
}

/// The named members of an object, the last of repeated ones, in one walk over it; nothing for any other value.
pub(super) fn members<'f, const N: usize>(value: Value<'f>, names: [&str; N]) -> [Option<Value<'f>>; N] {
    let mut found = [None; N];
    for (name, member) in value.members().into_iter().flatten() {
        if let Some(at) = names.iter().position(|wanted| *wanted == name) {
            found[at] = Some(member);
        }
    }
    found
}

/// A whole number of at least 1, fractions rounded down, at most `u32::MAX`; `None` if the value is no such number.
pub(super) fn positive_whole(value: Value<'_>) -> Option<u32> {
    let number = value.as_f64()?;
    // Casting saturates, and turns what is below 1 into 0.
    Some(number as u32).filter(|&whole| whole >= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_verb_is_written_as_is_read_as_that_verb() {
        for verb in [
            Verb::Register,
            Verb::Unregister,
            Verb::Status,
            Verb::Heartbeat,
            Verb::Dial,
            Verb::Answer,
            Verb::HangUp,
            Verb::Message,
            Verb::Presence,
            Verb::SleepAck,
            Verb::Join,
            Verb::PartyMessage,
            Verb::Leave,
        ] {
            assert_eq!(type_of(type_name(verb)), Some(FrameType::Verb(verb)));
        }
        assert_eq!(type_of(type_name(Verb::Whisper)), None);
    }
}
