//! The frames of the native protocol as the phone writes and reads them (spec sections 4-17).
//! These structs belong to the client alone: the exchange has its own in `dialect/systemx`, so that
//! a mistake in one is not repeated in the other. No state and no sockets live here.
//! Invariant: any text may be read; what the phone does not know becomes [`Incoming::Unknown`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many calls an address takes at once (spec section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Concurrency {
    /// One call at a time.
    Single,
    /// One session with many listeners.
    Broadcast,
    /// A call of its own for each caller.
    Parallel,
}

/// What a person lets others know (spec section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Available,
    Busy,
    Dnd,
    Away,
}

/// A frame from the phone to the exchange.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Outgoing {
    Register {
        address: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        concurrency: Option<Concurrency>,
    },
    Status {
        status: Status,
    },
    Heartbeat,
    Dial {
        to: String,
        #[serde(rename = "ref")]
        reference: String,
    },
    Answer {
        call_id: String,
    },
    Hangup {
        call_id: String,
    },
    Msg {
        call_id: String,
        data: String,
        content_type: &'static str,
    },
    Presence {
        #[serde(skip_serializing_if = "Option::is_none")]
        query: Option<PresenceQuery>,
    },
    SleepAck,
    Join {
        party: String,
    },
    PartyMsg {
        party: String,
        data: String,
        content_type: &'static str,
    },
    Leave {
        party: String,
    },
}

/// The filter of a PRESENCE request; the phone filters by domain only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PresenceQuery {
    pub domain: String,
}

impl Outgoing {
    /// The frame as the text of one WebSocket message.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and closed enums always serialise")
    }
}

/// A frame from the exchange to the phone. Fields the phone has no use for are left out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Incoming {
    Registered {
        address: String,
        session_id: String,
    },
    RegisterFailed {
        reason: String,
    },
    HeartbeatAck,
    /// The extension to DIAL: the call's id while it still rings.
    Dialing {
        #[serde(rename = "ref")]
        reference: String,
        call_id: String,
    },
    /// Without `from` it is a ring-back for a call this phone placed (spec section 19.3).
    Ring {
        call_id: String,
        from: Option<String>,
    },
    Connected {
        call_id: String,
        to: String,
        #[serde(rename = "ref")]
        reference: Option<String>,
    },
    Busy {
        to: String,
        reason: String,
        #[serde(rename = "ref")]
        reference: Option<String>,
    },
    Hangup {
        call_id: String,
        #[serde(default)]
        reason: String,
        /// Only towards a broadcaster: the listener that left (spec section 13).
        from: Option<String>,
    },
    Msg {
        call_id: String,
        from: String,
        data: Option<Value>,
        content_type: Option<String>,
    },
    PresenceResult {
        addresses: Vec<Seen>,
        #[serde(default)]
        truncated: bool,
    },
    SleepPending {
        seconds_until_sleep: f64,
    },
    Joined {
        party: String,
        participants: Vec<String>,
    },
    PartyMsg {
        party: String,
        from: String,
        data: Option<Value>,
        content_type: Option<String>,
    },
    Error {
        reason: String,
        #[serde(default)]
        context: String,
        #[serde(default)]
        detail: String,
    },
    #[serde(other)]
    Unknown,
}

/// One address in a PRESENCE_RESULT.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Seen {
    pub address: String,
    pub status: String,
}

/// Reads one message; `None` when it is no frame the phone can understand.
pub(super) fn read(text: &str) -> Option<Incoming> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_is_written_with_its_reference() {
        let dial = Outgoing::Dial { to: "b@x.test".into(), reference: "r1".into() };
        assert_eq!(dial.to_text(), r#"{"type":"DIAL","to":"b@x.test","ref":"r1"}"#);
    }

    #[test]
    fn absent_options_stay_absent() {
        let register = Outgoing::Register { address: "a@x.test".into(), concurrency: None };
        assert_eq!(register.to_text(), r#"{"type":"REGISTER","address":"a@x.test"}"#);
        assert_eq!(Outgoing::Presence { query: None }.to_text(), r#"{"type":"PRESENCE"}"#);
        assert_eq!(Outgoing::SleepAck.to_text(), r#"{"type":"SLEEP_ACK"}"#);
    }

    #[test]
    fn unknown_types_and_fields_are_read_without_complaint() {
        assert_eq!(read(r#"{"type":"NEWS","x":1}"#), Some(Incoming::Unknown));
        assert_eq!(read(r#"{"type":"HEARTBEAT_ACK","timestamp":1}"#), Some(Incoming::HeartbeatAck));
        assert_eq!(read("[]"), None);
        assert_eq!(read("{"), None);
    }
}
