//! What the phone tells its user: one [`Report`] is one line, as plain text or as JSON.
//! The words are an interface: scripts wait for them, so a word may be added but not changed.
//! Invariant: a report is exactly one line; control characters sent by a peer never reach the terminal.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// One line of output. The list in the module documentation of `phone` shows the text form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Report {
    Open { url: String },
    Failed { error: String },
    Lost { code: Option<u16>, reason: String },
    Retry { in_ms: u64 },
    Registered { address: String, session_id: String },
    RegisterFailed { address: String, reason: String },
    Dialing { call: u32, to: String },
    Ringing { call: u32, from: String },
    Connected { call: u32, with: String },
    Message { call: u32, from: String, content_type: String, data: Value },
    Hangup { call: u32, with: String, reason: String },
    Busy { call: u32, to: String, reason: String },
    Listener { call: u32, from: String },
    ListenerGone { call: u32, from: String, reason: String },
    Joined { party: String, participants: Vec<String> },
    Party { party: String, from: String, content_type: String, data: Value },
    Left { party: String },
    Presence { address: String, status: String },
    PresenceEnd { count: usize, truncated: bool },
    SleepPending { seconds: f64 },
    Error { reason: String, context: String, detail: String },
    Call { call: u32, with: String, state: &'static str, current: bool },
    Note { text: String },
    Help { form: &'static str, about: &'static str },
}

impl Report {
    /// The report as one JSON object on one line.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report holds strings, numbers and JSON only")
    }

    /// An address worth offering for completion.
    pub(super) fn address(&self) -> Option<&str> {
        match self {
            Report::Registered { address, .. } | Report::Presence { address, .. } => Some(address),
            Report::Dialing { to, .. } => Some(to),
            Report::Ringing { from, .. } | Report::Listener { from, .. } | Report::Party { from, .. } => {
                Some(from)
            }
            Report::Joined { party, .. } => Some(party),
            _ => None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&self.words()))
    }
}

impl Report {
    fn words(&self) -> String {
        match self {
            Report::Open { url } => format!("open {url}"),
            Report::Failed { error } => format!("failed {error}"),
            Report::Lost { code: Some(code), reason } => format!("lost {code} {reason}"),
            Report::Lost { code: None, reason } => format!("lost - {reason}"),
            Report::Retry { in_ms } => format!("retry {in_ms} ms"),
            Report::Registered { address, session_id } => format!("registered {address} {session_id}"),
            Report::RegisterFailed { address, reason } => format!("register_failed {address} {reason}"),
            Report::Dialing { call, to } => format!("dialing {call} {to}"),
            Report::Ringing { call, from } => format!("ringing {call} {from}"),
            Report::Connected { call, with } => format!("connected {call} {with}"),
            Report::Message { call, from, content_type, data } => {
                format!("message {call} {from} {content_type} {}", said(data))
            }
            Report::Hangup { call, with, reason } => format!("hangup {call} {with} {reason}"),
            Report::Busy { call, to, reason } => format!("busy {call} {to} {reason}"),
            Report::Listener { call, from } => format!("listener {call} {from}"),
            Report::ListenerGone { call, from, reason } => format!("listener_gone {call} {from} {reason}"),
            Report::Joined { party, participants } => format!("joined {party} {}", participants.join(",")),
            Report::Party { party, from, content_type, data } => {
                format!("party {party} {from} {content_type} {}", said(data))
            }
            Report::Left { party } => format!("left {party}"),
            Report::Presence { address, status } => format!("presence {address} {status}"),
            Report::PresenceEnd { count, truncated: false } => format!("presence_end {count}"),
            Report::PresenceEnd { count, truncated: true } => format!("presence_end {count} truncated"),
            Report::SleepPending { seconds } => format!("sleep_pending {seconds}"),
            Report::Error { reason, context, detail } => format!("error {reason} {context} {detail}"),
            Report::Call { call, with, state, current } => {
                format!("call {call} {with} {state}{}", if *current { " current" } else { "" })
            }
            Report::Note { text } => format!("note {text}"),
            Report::Help { form, about } => format!("help {form:<32} {about}"),
        }
    }
}

/// A string as it is, anything else as JSON.
fn said(data: &Value) -> String {
    match data {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One printable line: colour sequences are dropped (the log stream sends them), a line end at the
/// very end too, and every other control character is shown as an escape.
fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text.trim_end_matches(['\n', '\r', ' ']);
    while let Some(next) = rest.chars().next() {
        if let Some(length) = colour_sequence_len(rest) {
            rest = &rest[length..];
            continue;
        }
        if next.is_control() {
            line.extend(next.escape_default());
        } else {
            line.push(next);
        }
        rest = &rest[next.len_utf8()..];
    }
    line
}

/// The length in bytes of `ESC [ digits-and-semicolons m` when the text begins with one.
fn colour_sequence_len(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let end = inside.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    inside[end..].starts_with('m').then_some("\u{1b}[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: Value) -> String {
        Report::Message { call: 1, from: "b@x.test".into(), content_type: "text".into(), data }.to_string()
    }

    #[test]
    fn a_message_of_two_lines_is_reported_on_one() {
        assert_eq!(message("one\ntwo\n".into()), "message 1 b@x.test text one\\ntwo");
    }

    #[test]
    fn terminal_control_from_a_peer_is_defused_and_colours_are_dropped() {
        assert_eq!(message("\u{1b}[36m[INFO]\u{1b}[0m x".into()), "message 1 b@x.test text [INFO] x");
        assert_eq!(message("\u{1b}]0;title\u{7}".into()), "message 1 b@x.test text \\u{1b}]0;title\\u{7}");
        assert_eq!(message("\u{1b}[2J".into()), "message 1 b@x.test text \\u{1b}[2J");
    }

    #[test]
    fn data_that_is_no_string_is_shown_as_json() {
        assert_eq!(message(serde_json::json!({"a": [1, 2]})), r#"message 1 b@x.test text {"a":[1,2]}"#);
    }

    #[test]
    fn the_json_form_names_the_event() {
        let report = Report::Busy { call: 2, to: "b@x.test".into(), reason: "dnd".into() };
        assert_eq!(report.to_json(), r#"{"event":"busy","call":2,"to":"b@x.test","reason":"dnd"}"#);
    }
}
