//! A call record as it is kept: plain data, and the one JSON form that the call log, the webhook and `systemx calls` share.
//!
//! Section 22 of the specification names the first fields, in this order; those after them are ours, and readers must bear
//! that more are added. Spans are of the monotonic clock, in microseconds, so they never disagree with a wall clock that was set.

use compact_str::CompactString;
use serde::Serialize;

/// What is kept of an ended call or a failed dial. With texts of its own, or, as `CallRecord<&str>`, with those of whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord<Text = CompactString> {
    /// The call's id.
    pub call_id: Text,
    /// The caller's address.
    pub from: Text,
    /// The address that was dialled.
    pub to: Text,
    /// What kind of call it was.
    pub mode: CallMode,
    /// When it was dialled, in milliseconds since 1970 (UTC), as the following.
    pub started_at_ms: u64,
    /// When it was answered, if it was.
    pub answered_at_ms: Option<u64>,
    /// When it ended.
    pub ended_at_ms: u64,
    /// The reason that the parties were given; may come from a party or from another exchange.
    pub end_reason: Text,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Which protocol the caller speaks.
    pub dialect: Dialect,
    /// From the dial to the first ring, in microseconds, if it rang here.
    pub ring_us: Option<u64>,
    /// From the dial to the answer, in microseconds.
    pub answer_us: Option<u64>,
    /// From the answer to the end, in microseconds.
    pub talk_us: Option<u64>,
    /// What the callee was sent.
    pub to_callee: Volume,
    /// What the caller was sent.
    pub to_caller: Volume,
    /// Which of its ends is on another exchange, if one is.
    pub forwarded: Option<Forwarded>,
    /// The domain of the link that it went out by, or else came in by, if known.
    pub link: Option<Text>,
}

impl CallRecord<&str> {
    /// The same with texts of its own.
    pub fn to_owned(&self) -> CallRecord {
        CallRecord {
            call_id: self.call_id.into(),
            from: self.from.into(),
            to: self.to.into(),
            mode: self.mode,
            started_at_ms: self.started_at_ms,
            answered_at_ms: self.answered_at_ms,
            ended_at_ms: self.ended_at_ms,
            end_reason: self.end_reason.into(),
            ended_by: self.ended_by,
            dialect: self.dialect,
            ring_us: self.ring_us,
            answer_us: self.answer_us,
            talk_us: self.talk_us,
            to_callee: self.to_callee,
            to_caller: self.to_caller,
            forwarded: self.forwarded,
            link: self.link.map(Into::into),
        }
    }
}

/// Messages of one direction, and the bytes of their data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// How many.
    pub messages: u64,
    /// Of all their data together.
    pub bytes: u64,
}

/// Gives each variant the word by which it is written everywhere.
macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),+) => {
        impl $type {
            /// The word by which it is written.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

/// Kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallMode {
    /// One call at a time on the callee's side.
    Single,
    /// One of several at once.
    Parallel,
    /// A listener on a broadcast.
    Broadcast,
    /// The callee is on another exchange.
    Forwarded,
}

words!(CallMode: Single = "single", Parallel = "parallel", Broadcast = "broadcast", Forwarded = "forwarded");

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The side that dialled.
    Caller,
    /// The side that was dialled.
    Callee,
    /// This exchange: a refused dial, a timer, a link that broke, a stop.
    Exchange,
}

words!(EndedBy: Caller = "caller", Callee = "callee", Exchange = "exchange");

/// Protocols that calls are placed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The native one.
    Systemx,
}

words!(Dialect: Systemx = "systemx");

/// Which end of a call is on another exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The caller's.
    In,
    /// The callee's.
    Out,
    /// Both.
    Through,
}

words!(Forwarded: In = "in", Out = "out", Through = "through");

/// Appends `record`, kept by the exchange that is called `node`, to `out` as one JSON object.
pub fn encode_object(record: &CallRecord, node: &str, out: &mut Vec<u8>) {
    let object = Object {
        call_id: &record.call_id,
        from: &record.from,
        to: &record.to,
        mode: record.mode,
        started_at: record.started_at_ms,
        answered_at: record.answered_at_ms,
        ended_at: record.ended_at_ms,
        end_reason: &record.end_reason,
        ended_by: record.ended_by,
        messages: record.to_callee.messages + record.to_caller.messages,
        dialect: record.dialect,
        node,
        ring_us: record.ring_us,
        answer_us: record.answer_us,
        talk_us: record.talk_us,
        messages_to_callee: record.to_callee.messages,
        messages_to_caller: record.to_caller.messages,
        bytes_to_callee: record.to_callee.bytes,
        bytes_to_caller: record.to_caller.bytes,
        forwarded: record.forwarded,
        link: record.link.as_deref(),
    };
    serde_json::to_writer(out, &object)
        .expect("strings and integers always encode, and a Vec takes any write");
}

/// The same, and a newline.
pub fn encode_line(record: &CallRecord, node: &str, out: &mut Vec<u8>) {
    encode_object(record, node, out);
    out.push(b'\n');
}

/// Names and order of the fields.
#[derive(Serialize)]
struct Object<'a> {
    call_id: &'a str,
    from: &'a str,
    to: &'a str,
    mode: CallMode,
    started_at: u64,
    answered_at: Option<u64>,
    ended_at: u64,
    end_reason: &'a str,
    ended_by: EndedBy,
    messages: u64,
    dialect: Dialect,
    node: &'a str,
    ring_us: Option<u64>,
    answer_us: Option<u64>,
    talk_us: Option<u64>,
    messages_to_callee: u64,
    messages_to_caller: u64,
    bytes_to_callee: u64,
    bytes_to_caller: u64,
    forwarded: Option<Forwarded>,
    link: Option<&'a str>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A call of which nothing is unusual but the number of its messages.
    pub(in crate::store) fn record(messages: u64) -> CallRecord {
        CallRecord {
            call_id: "c-1".into(),
            from: "a@test".into(),
            to: "b@test".into(),
            mode: CallMode::Single,
            started_at_ms: 1_000,
            answered_at_ms: Some(2_000),
            ended_at_ms: 3_000,
            end_reason: "normal".into(),
            ended_by: EndedBy::Caller,
            dialect: Dialect::Systemx,
            ring_us: Some(500_000),
            answer_us: Some(1_000_000),
            talk_us: Some(1_000_000),
            to_callee: Volume { messages, bytes: messages * 10 },
            to_caller: Volume::default(),
            forwarded: None,
            link: None,
        }
    }

    /// A dial of another exchange that came to nothing.
    pub(in crate::store) fn refused() -> CallRecord {
        CallRecord {
            mode: CallMode::Forwarded,
            answered_at_ms: None,
            end_reason: "no \"such\"\naddress".into(),
            ended_by: EndedBy::Exchange,
            ring_us: None,
            answer_us: None,
            talk_us: None,
            forwarded: Some(Forwarded::Through),
            link: Some("parent.test".into()),
            ..record(0)
        }
    }

    fn line(record: &CallRecord) -> String {
        let mut out = Vec::new();
        encode_line(record, "node.test", &mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn a_line_begins_with_the_fields_of_the_specification_and_has_exactly_the_documented_ones() {
        assert_eq!(
            line(&record(7)),
            concat!(
                r#"{"call_id":"c-1","from":"a@test","to":"b@test","mode":"single","started_at":1000,"#,
                r#""answered_at":2000,"ended_at":3000,"end_reason":"normal","ended_by":"caller","messages":7,"#,
                r#""dialect":"systemx","node":"node.test","ring_us":500000,"answer_us":1000000,"talk_us":1000000,"#,
                r#""messages_to_callee":7,"messages_to_caller":0,"bytes_to_callee":70,"bytes_to_caller":0,"#,
                r#""forwarded":null,"link":null}"#,
                "\n"
            )
        );
        assert_eq!(
            line(&refused()),
            concat!(
                r#"{"call_id":"c-1","from":"a@test","to":"b@test","mode":"forwarded","started_at":1000,"#,
                r#""answered_at":null,"ended_at":3000,"end_reason":"no \"such\"\naddress","#,
                r#""ended_by":"exchange","messages":0,"dialect":"systemx","node":"node.test","ring_us":null,"#,
                r#""answer_us":null,"talk_us":null,"messages_to_callee":0,"messages_to_caller":0,"#,
                r#""bytes_to_callee":0,"bytes_to_caller":0,"forwarded":"through","link":"parent.test"}"#,
                "\n"
            )
        );
    }
}
