//! What the span of a call says: made of its record and nothing else, so that the same record is the same span each time.
//!
//! docs/OPERATIONS.md lists the attributes and says when a span is an error; both are promises to those who search for them.

use ring::digest::{Context, SHA256};

use super::super::trace_id;
use super::message::{AnyValue, Event, KeyValue, Plain, Span, SpanKind, Status, StatusCode};
use crate::store::{CallRecord, EndedBy};

/// What every span is called: names are for grouping, what differs is in the attributes.
const NAME: &str = "call";
const NANOS_PER_MS: u64 = 1_000_000;
const NANOS_PER_US: u64 = 1_000;
/// The flag of a trace that is kept.
const SAMPLED: u32 = 1;
/// It is known that the parent is elsewhere.
const PARENT_IS_REMOTE: u32 = 0x300;
/// Ends that no party chose: a line or a link was lost.
const LOSSES: [&str; 5] = ["peer_disconnected", "timeout", "slow_consumer", "unavailable", "error"];

/// The span of a call that the exchange `node` has kept a record of.
pub(super) fn span_of(record: &CallRecord, node: &str) -> Span {
    let parent = record.trace;
    let start = record.started_at_ms.saturating_mul(NANOS_PER_MS);
    let after = |span_us: u64| start.saturating_add(span_us.saturating_mul(NANOS_PER_US));
    let events: Vec<Event> = [("ring", record.ring_us), ("answer", record.answer_us)]
        .into_iter()
        .filter_map(|(name, at)| Some(Event { time_unix_nano: after(at?), name: name.to_owned() }))
        .collect();
    // Spans of a call that was up are of the monotonic clock. Of others only the wall clock knows the end, which may have been set.
    let last = events.last().map_or(start, |event| event.time_unix_nano);
    let end = match record.answer_us.zip(record.talk_us) {
        Some((answer_us, talk_us)) => after(answer_us.saturating_add(talk_us)),
        None => record.ended_at_ms.saturating_mul(NANOS_PER_MS),
    };
    Span {
        trace_id: trace_id(record).to_vec(),
        span_id: span_id(record, node).to_vec(),
        parent_span_id: parent.map(|parent| parent.span_id.to_vec()).unwrap_or_default(),
        name: NAME.to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end.max(last),
        attributes: attributes(record, node),
        events,
        status: Some(status(record)),
        flags: parent.map_or(SAMPLED, |parent| u32::from(parent.flags) | PARENT_IS_REMOTE),
    }
}

/// A name of eight bytes that no other span of the trace has: not those of other exchanges that the call goes through, nor those
/// of others who listen to the same broadcast.
fn span_id(record: &CallRecord, node: &str) -> [u8; 8] {
    let mut hash = Context::new(&SHA256);
    let texts = [node, &record.call_id, &record.from, &record.to, &record.end_reason];
    for text in texts {
        // With their lengths, so that what stands in one cannot be taken for what stands in the next.
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    for number in [record.started_at_ms, record.ended_at_ms, record.ring_us.unwrap_or(u64::MAX)] {
        hash.update(&number.to_be_bytes());
    }
    let mut id = [0; 8];
    id.iter_mut().zip(hash.finish().as_ref()).for_each(|(place, byte)| *place = *byte);
    id
}

/// An error is a dial that came to nothing and was not given up by its caller, and a call that no party ended: the exchange did, or a
/// line or a link was lost.
fn status(record: &CallRecord) -> Status {
    let is_failed_dial = record.answered_at_ms.is_none() && record.ended_by != EndedBy::Caller;
    let is_cut = record.ended_by == EndedBy::Exchange || LOSSES.contains(&record.end_reason.as_str());
    if is_failed_dial || is_cut {
        return Status { message: record.end_reason.to_string(), code: StatusCode::Error.into() };
    }
    Status { message: String::new(), code: StatusCode::Unset.into() }
}

fn attributes(record: &CallRecord, node: &str) -> Vec<KeyValue> {
    let texts = [
        ("systemx.call.id", Some(record.call_id.as_str())),
        ("systemx.call.from", Some(&*record.from)),
        ("systemx.call.to", Some(&*record.to)),
        ("systemx.call.mode", Some(record.mode.word())),
        ("systemx.call.dialect", Some(record.dialect.word())),
        ("systemx.call.ended_by", Some(record.ended_by.word())),
        ("systemx.call.end_reason", Some(record.end_reason.as_str())),
        ("systemx.call.forwarded", record.forwarded.map(|forwarded| forwarded.word())),
        ("systemx.call.link", record.link.as_deref()),
        ("systemx.node", Some(node)),
    ];
    let numbers = [
        ("systemx.call.messages_to_callee", record.to_callee.messages),
        ("systemx.call.messages_to_caller", record.to_caller.messages),
        ("systemx.call.bytes_to_callee", record.to_callee.bytes),
        ("systemx.call.bytes_to_caller", record.to_caller.bytes),
    ];
    let texts = texts.into_iter().filter_map(|(key, value)| Some(text(key, value?)));
    texts.chain(numbers.into_iter().map(|(key, value)| number(key, value))).collect()
}

/// An attribute that is a text.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Plain::Text(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Plain::Number(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Plain) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::trace::TraceParent;
    use crate::store::record::tests::{record, refused};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
    const ERROR: i32 = StatusCode::Error as i32;

    fn traced(record: CallRecord) -> CallRecord {
        CallRecord { trace: TraceParent::parse(PARENT), ..record }
    }

    fn value(span: &Span, key: &str) -> Option<Plain> {
        span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
    }

    #[test]
    fn times_are_those_of_the_call_to_the_microsecond() {
        let span = span_of(&CallRecord { ended_at_ms: 500, ..record(1) }, "node.test");
        let times: Vec<_> = span.events.iter().map(|event| (&*event.name, event.time_unix_nano)).collect();
        assert_eq!(times, [("ring", 1_500_000_000), ("answer", 2_000_000_000)]);
        assert_eq!(span.start_time_unix_nano, 1_000_000_000);
        assert_eq!(span.end_time_unix_nano, 3_000_000_000, "the wall clock was set back in between");
        let unanswered = CallRecord { answered_at_ms: None, answer_us: None, talk_us: None, ..record(0) };
        assert_eq!(span_of(&unanswered, "n").end_time_unix_nano, 3_000_000_000);
        let at_once = CallRecord { ended_at_ms: 1_000, ..unanswered };
        assert_eq!(span_of(&at_once, "n").end_time_unix_nano, 1_500_000_000, "not before it rang");
    }

    #[test]
    fn a_span_with_a_parent_is_its_child_and_one_without_is_a_root() {
        let child = span_of(&traced(record(1)), "node.test");
        assert_eq!(
            u128::from_be_bytes(child.trace_id[..].try_into().expect("16 bytes")),
            0x0af7651916cd43dd8448eb211c80319c
        );
        assert_eq!(child.parent_span_id, 0xb7ad6b7169203331_u64.to_be_bytes());
        assert_eq!(child.flags, 0x303, "the parent's flags, and that it is elsewhere");
        let root = span_of(&record(1), "node.test");
        assert_eq!((root.trace_id.len(), root.span_id.len(), root.parent_span_id.len()), (16, 8, 0));
        assert_eq!(root.flags, 1);
        assert_eq!((&*root.name, root.kind), ("call", SpanKind::Server as i32));
    }

    #[test]
    fn spans_of_one_trace_have_names_of_their_own_and_each_the_same_every_time() {
        let one = traced(record(1));
        let ids = [
            span_id(&one, "a.test"),
            span_id(&one, "b.test"),
            span_id(&CallRecord { from: "c@test".into(), ..one.clone() }, "a.test"),
            span_id(&CallRecord { started_at_ms: 1_001, ..one.clone() }, "a.test"),
            span_id(&CallRecord { from: "a@testb".into(), to: "@test".into(), ..one.clone() }, "a.test"),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{ids:?}");
        }
        assert_eq!(ids[0], span_id(&one, "a.test"));
    }

    #[test]
    fn attributes_say_what_the_record_says_and_leave_out_what_it_does_not() {
        let span = span_of(&refused(), "node.test");
        let text = |key| match value(&span, key) {
            Some(Plain::Text(text)) => text,
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!((&*text("systemx.call.id"), &*text("systemx.node")), ("c-1", "node.test"));
        assert_eq!((&*text("systemx.call.from"), &*text("systemx.call.to")), ("a@test", "b@test"));
        assert_eq!((&*text("systemx.call.mode"), &*text("systemx.call.forwarded")), ("forwarded", "through"));
        assert_eq!((&*text("systemx.call.link"), &*text("systemx.call.dialect")), ("parent.test", "systemx"));
        assert_eq!(
            (&*text("systemx.call.ended_by"), &*text("systemx.call.end_reason")),
            ("exchange", "no \"such\"\naddress")
        );
        let span = span_of(&record(7), "node.test");
        assert_eq!(value(&span, "systemx.call.bytes_to_callee"), Some(Plain::Number(70)));
        assert_eq!(value(&span, "systemx.call.messages_to_callee"), Some(Plain::Number(7)));
        assert_eq!(value(&span, "systemx.call.messages_to_caller"), Some(Plain::Number(0)));
        assert_eq!(value(&span, "systemx.call.bytes_to_caller"), Some(Plain::Number(0)));
        assert_eq!((value(&span, "systemx.call.link"), value(&span, "systemx.call.forwarded")), (None, None));
        assert_eq!(span.attributes.len(), 12);
    }

    #[test]
    fn what_no_party_wanted_is_an_error_and_what_one_chose_is_not() {
        let of = |answered: bool, ended_by, reason: &str| {
            let answered_at_ms = answered.then_some(2_000);
            let record = CallRecord { answered_at_ms, ended_by, end_reason: reason.into(), ..record(1) };
            let status = status(&record);
            assert_eq!(status.message, if status.code == ERROR { reason } else { "" });
            status.code == ERROR
        };
        use EndedBy::{Callee, Caller, Exchange};
        for (answered, ended_by, reason) in [
            (false, Exchange, "no_such_address"),
            (false, Exchange, "timeout"),
            // Declined, or refused on another exchange.
            (false, Callee, "not now"),
            (false, Caller, "peer_disconnected"),
            (true, Exchange, "shutdown"),
            (true, Exchange, "admin"),
            (true, Caller, "peer_disconnected"),
            (true, Callee, "timeout"),
            (true, Callee, "unavailable"),
        ] {
            assert!(of(answered, ended_by, reason), "{answered} {ended_by:?} {reason}");
        }
        for (answered, ended_by, reason) in [
            (false, Caller, "cancelled"),
            (false, Caller, "I have changed my mind"),
            (true, Caller, "normal"),
            (true, Callee, "good bye"),
            (true, Callee, "sleep"),
        ] {
            assert!(!of(answered, ended_by, reason), "{answered} {ended_by:?} {reason}");
        }
    }
}
