//! Tests of the native protocol's translation: the rules and exact texts of spec section 3 one by one, what requests
//! keep of their frames, and the form of every notice.

mod notices;
mod registering;

use bytes::Bytes;

use super::*;
use crate::exchange::address::Address;
use crate::exchange::cause::{Cause, Reason};
use crate::exchange::effect::{Name, Payload, PresenceEntry};
use crate::exchange::event::{
    AutoSleepChange, Concurrency, ContentType, Location, Near, PresenceQuery, Registration, Status, WakeKind,
};
use crate::exchange::ids::{CallId, Handle, LegId, SessionId, ShardId};
use crate::exchange::trace::TraceParent;

const BOUNDS: Bounds = Bounds { metadata_bytes_max: 200, traces: true };

fn decode(json: &str) -> Result<Request<'_>, WireError> {
    let by_bytes = Decoder::new(BOUNDS).decode(json.as_bytes(), true);
    let by_text = Decoder::new(BOUNDS).decode_text(json, true);
    assert_eq!(format!("{by_bytes:?}"), format!("{by_text:?}"));
    by_bytes
}

/// Checks that a frame is answered with this ERROR frame.
#[track_caller]
fn refused(json: &str, context: &str, detail: &str) {
    let Err(WireError::Refuse(refusal)) = decode(json) else { panic!("{json} gives {:?}", decode(json)) };
    let shown = (refusal.fault.reason(), refusal.context.name(), refusal.to_string());
    assert_eq!(shown, ("invalid_payload", context, detail.to_owned()), "{json}");
}

#[track_caller]
fn request(json: &str) -> Request<'_> {
    decode(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// A REGISTER with these further fields, which must be accepted.
#[track_caller]
fn registration(fields: &str) -> Registration {
    let json = register(fields);
    match request(&json) {
        Request::Register(registration) => *registration,
        other => panic!("{other:?}"),
    }
}

fn register(fields: &str) -> String {
    format!(r#"{{"type":"REGISTER","address":"a@x.test"{fields}}}"#)
}

#[track_caller]
fn query(fields: &str) -> PresenceQuery {
    let json = format!(r#"{{"type":"PRESENCE"{fields}}}"#);
    match request(&json) {
        Request::Presence(query) => *query,
        other => panic!("{other:?}"),
    }
}

fn a_call() -> CallId {
    CallId::mint(LegId(Handle::new(ShardId::new(1), 2, 3)), 0x1234_5678)
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("a good address")
}

fn encoded(notice: &Notice<'_>) -> String {
    let mut out = b"before".to_vec();
    encode(notice, &mut out);
    String::from_utf8(out.split_off(6)).unwrap()
}

#[test]
fn messages_that_cannot_be_read_close_the_link() {
    let close = |bytes: &[u8]| match Decoder::new(BOUNDS).decode(bytes, true) {
        Err(WireError::Close(why)) => why.code_and_reason(),
        other => panic!("{other:?}"),
    };
    assert_eq!(close(b""), (1003, "Unsupported message type"));
    for bytes in [&b" "[..], b"{", b"\xff", b"{\"type\":\"MSG\xff\"}", b"nul", b"{}{}", b"[1e999]"] {
        assert_eq!(close(bytes), (1003, "Invalid JSON"), "{bytes:?}");
    }
}

#[test]
fn types_that_mean_nothing_are_named_in_the_answer() {
    for json in ["5", r#""x""#, "[]", "true", "null", "{}", r#"{"Type":"DIAL"}"#] {
        refused(json, "UNKNOWN", "Unsupported message type: undefined");
    }
    refused(r#"{"type":"NOPE"}"#, "UNKNOWN", "Unsupported message type: NOPE");
    refused(r#"{"type":7}"#, "UNKNOWN", "Unsupported message type: 7");
    refused(r#"{"type":null}"#, "UNKNOWN", "Unsupported message type: null");
    refused(r#"{"type":["DIAL"]}"#, "UNKNOWN", "Unsupported message type: DIAL");
    refused(r#"{"type":"dial"}"#, "UNKNOWN", "Unsupported message type: dial");
    refused(r#"{"type":"WHISPER"}"#, "UNKNOWN", "Unsupported message type: WHISPER");
    refused(r#"{"type":"__proto__"}"#, "UNKNOWN", "Unsupported message type: __proto__");
}

#[test]
fn a_type_may_be_written_with_escapes() {
    assert!(matches!(request(r#"{"ty\u0070e":"HEART\u0042EAT"}"#), Request::Heartbeat));
}

#[test]
fn frames_without_fields_ignore_all_fields() {
    assert!(matches!(request(r#"{"type":"UNREGISTER","address":5}"#), Request::Unregister));
    assert!(matches!(request(r#"{"type":"HEARTBEAT","x":[]}"#), Request::Heartbeat));
    assert!(matches!(request(r#"{"type":"SLEEP_ACK"}"#), Request::SleepAck));
}

#[test]
fn dial_needs_somebody_to_call() {
    for json in [r#"{"type":"DIAL"}"#, r#"{"type":"DIAL","to":5}"#, r#"{"type":"DIAL","to":""}"#] {
        refused(json, "DIAL", "Field 'to' is required");
    }
    let Request::Dial { to, metadata, reference, trace: None } =
        request(r#"{"type":"DIAL","to":"no address"}"#)
    else {
        panic!()
    };
    assert_eq!((&*to, metadata, reference), ("no address", None, None));
}

#[test]
fn dial_hands_on_the_exact_bytes_of_its_metadata() {
    for source in ["null", "1.0", r#"{"b":1, "a":[12345678901234567890.10]}"#, r#""\u00e9""#] {
        let json = format!(r#"{{"type":"DIAL","metadata": {source} ,"to":"b@x.test"}}"#);
        let Request::Dial { metadata, .. } = request(&json) else { panic!() };
        assert_eq!(metadata, Some(source.as_bytes()));
    }
}

#[test]
fn the_trace_of_a_dial_is_read_if_anybody_wants_it_and_never_a_fault() {
    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace_of = |metadata: &str, traces: bool| {
        let json = format!(r#"{{"type":"DIAL","to":"b@x.test","metadata":{metadata}}}"#);
        let mut decoder = Decoder::new(Bounds { traces, ..BOUNDS });
        let request = decoder.decode(json.as_bytes(), true).expect("nothing here is a fault");
        let Request::Dial { trace, metadata: relayed, .. } = request else { panic!() };
        assert_eq!(relayed, Some(metadata.as_bytes()), "it is relayed all the same");
        trace.map(|trace| *trace)
    };
    let expected = TraceParent::parse(GOOD);
    assert!(expected.is_some());
    let good = format!(r#"{{"a":[{{"traceparent":1}}], "traceparent" : "{GOOD}"}}"#);
    assert_eq!((trace_of(&good, true), trace_of(&good, false)), (expected, None));
    let escaped = format!(r#"{{"\u0074raceparent":"\u0030{}"}}"#, &GOOD[1..]);
    assert_eq!(trace_of(&escaped, true), expected);
    let upper = format!(r#"{{"traceparent":"{}"}}"#, GOOD.to_uppercase());
    let nested = format!(r#"{{"trace":{{"traceparent":"{GOOD}"}}}}"#);
    let text = format!(r#""{GOOD}""#);
    for bad in [r#"{"traceparent":7}"#, r#"{"traceparent":null}"#, "[]", "7", "null", &upper, &nested, &text]
    {
        assert_eq!(trace_of(bad, true), None, "{bad}");
    }
}

#[test]
fn a_reference_is_a_text_of_at_most_128_bytes() {
    let dial = |reference: &str| format!(r#"{{"type":"DIAL","to":"b@x.test","ref":{reference}}}"#);
    for bad in ["5", "{}", "true", &format!("\"{}\"", "r".repeat(129)), &format!("\"{}\"", "é".repeat(65))] {
        refused(&dial(bad), "DIAL", "Field 'ref' must be a string of at most 128 bytes");
    }
    for (json, expected) in [("null", None), ("\"\"", Some("")), ("\"r\\n\"", Some("r\n"))] {
        let json = dial(json);
        let Request::Dial { reference, .. } = request(&json) else { panic!() };
        assert_eq!(reference.as_deref(), expected);
    }
}

#[test]
fn requests_about_a_call_need_its_id() {
    for kind in ["ANSWER", "HANGUP", "MSG"] {
        for id in ["", r#","call_id":5"#, r#","call_id":"""#, r#","call_id":null"#] {
            refused(&format!(r#"{{"type":"{kind}"{id}}}"#), kind, "Field 'call_id' is required");
        }
    }
    let json = format!(r#"{{"type":"ANSWER","call_id":"{}"}}"#, a_call());
    assert!(matches!(request(&json), Request::Answer { call } if call == a_call()));
    let foreign = r#"{"type":"ANSWER","call_id":"of another exchange"}"#;
    assert!(matches!(request(foreign), Request::Answer { call } if call.is_derived()));
}

#[test]
fn a_reason_to_hang_up_is_relayed_as_given() {
    for (json, expected) in [
        ("", None),
        (r#","reason":null"#, None),
        (r#","reason":"b\u0079e""#, Some("bye")),
        (r#","reason":"""#, Some("")),
        (r#","reason":{"a": 1}"#, Some(r#"{"a": 1}"#)),
        (r#","reason":5"#, Some("5")),
    ] {
        let json = format!(r#"{{"type":"HANGUP","call_id":"c"{json}}}"#);
        let Request::HangUp { reason, .. } = request(&json) else { panic!() };
        assert_eq!(reason.as_deref(), expected);
    }
}

#[test]
fn messages_keep_their_data_to_the_byte() {
    for source in ["null", "\"\\u0041\"", "[1 , 2]", "1e2", "12345678901234567890123"] {
        let json = format!(r#"{{"type":"MSG","call_id":"{}","data": {source} }}"#, a_call());
        let Request::Message { call, data, content_type } = request(&json) else { panic!() };
        assert_eq!((call, data, content_type), (a_call(), Some(source.as_bytes()), ContentType::Text));
    }
    let json = r#"{"type":"MSG","call_id":"c"}"#;
    assert!(matches!(request(json), Request::Message { data: None, .. }));
}

#[test]
fn content_types_are_three_and_null_is_none_of_them() {
    for (word, expected) in
        [("text", ContentType::Text), ("json", ContentType::Json), ("binary", ContentType::Binary)]
    {
        let json = format!(r#"{{"type":"MSG","call_id":"c","content_type":"{word}"}}"#);
        assert!(matches!(request(&json), Request::Message { content_type, .. } if content_type == expected));
        let json = format!(r#"{{"type":"PARTY_MSG","party":"p@x.test","content_type":"{word}"}}"#);
        let Request::PartyMessage { content_type, .. } = request(&json) else { panic!() };
        assert_eq!(content_type, Some(expected));
    }
    for (json, shown) in
        [("null", "null"), ("\"\"", ""), ("\"xml\"", "xml"), ("5", "5"), ("{}", "[object Object]")]
    {
        let detail = format!("Unsupported content_type: {shown}");
        refused(&format!(r#"{{"type":"MSG","call_id":"c","content_type":{json}}}"#), "MSG", &detail);
        let party = format!(r#"{{"type":"PARTY_MSG","party":"p@x.test","content_type":{json}}}"#);
        refused(&party, "PARTY_MSG", &detail);
    }
    refused(r#"{"type":"MSG","content_type":"xml"}"#, "MSG", "Field 'call_id' is required");
}

#[test]
fn a_status_is_one_of_four_words() {
    for (json, shown) in [("", "undefined"), (r#","status":"gone""#, "gone"), (r#","status":null"#, "null")] {
        let detail = format!("Invalid status value: {shown}");
        refused(&format!(r#"{{"type":"STATUS","auto_sleep":5{json}}}"#), "STATUS", &detail);
    }
    for (word, expected) in [
        ("available", Status::Available),
        ("busy", Status::Busy),
        ("dnd", Status::Dnd),
        ("away", Status::Away),
    ] {
        let json = format!(r#"{{"type":"STATUS","status":"{word}"}}"#);
        let Request::Status { status, auto_sleep } = request(&json) else { panic!() };
        assert_eq!((status, auto_sleep), (expected, AutoSleepChange::Absent));
    }
}

#[test]
fn an_auto_sleep_that_makes_no_sense_leaves_the_status_alone() {
    let change = |json: &str| {
        let json = format!(r#"{{"type":"STATUS","status":"dnd","auto_sleep":{json}}}"#);
        match request(&json) {
            Request::Status { status: Status::Dnd, auto_sleep } => auto_sleep,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(change("null"), AutoSleepChange::Absent);
    assert_eq!(change(r#"{"idle_timeout_seconds":0,"wake_on_ring":false}"#), AutoSleepChange::Off);
    let after = change(r#"{"idle_timeout_seconds":1.25,"wake_on_ring":true}"#);
    assert_eq!(after, AutoSleepChange::After { idle_ms: 1250 });
    for bad in [
        "5",
        "[]",
        "{}",
        r#"{"idle_timeout_seconds":-1,"wake_on_ring":true}"#,
        r#"{"idle_timeout_seconds":"1","wake_on_ring":true}"#,
        r#"{"idle_timeout_seconds":1}"#,
        r#"{"idle_timeout_seconds":1,"wake_on_ring":1}"#,
    ] {
        assert_eq!(change(bad), AutoSleepChange::Invalid, "{bad}");
    }
}

#[test]
fn presence_of_an_unregistered_line_is_refused_before_its_fields_are_looked_at() {
    let json = br#"{"type":"PRESENCE","query":{"domain":5}}"#;
    let Err(WireError::Refuse(refusal)) = Decoder::new(BOUNDS).decode(json, false) else { panic!() };
    let mut out = Vec::new();
    encode_refusal(&refusal, &mut out);
    let expected = r#"{"type":"ERROR","reason":"not_registered","context":"PRESENCE","detail":"Registration is required before requesting presence"}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn presence_without_a_filter_asks_for_everybody() {
    for fields in ["", r#","query":null"#, r#","query":5"#, r#","query":[]"#, r#","query":{}"#] {
        assert_eq!(query(fields), PresenceQuery::default(), "{fields}");
    }
    assert_eq!(query(r#","query":{"domain":"","near":null,"capabilities":[]}"#), PresenceQuery::default());
}

#[test]
fn presence_filters_are_checked() {
    let check = |query: &str, detail: &str| {
        refused(&format!(r#"{{"type":"PRESENCE","query":{query}}}"#), "PRESENCE", detail);
    };
    for domain in ["5", "null", "[]"] {
        check(&format!(r#"{{"domain":{domain}}}"#), "Field 'domain' must be a string");
    }
    for capabilities in ["5", "null", "\"a\"", "{}"] {
        check(&format!(r#"{{"capabilities":{capabilities}}}"#), "Field 'capabilities' must be an array");
    }
    check(r#"{"capabilities":["a",5]}"#, "Capabilities must be strings");
    for near in [
        "5",
        "{}",
        r#"{"lat":1,"lon":2}"#,
        r#"{"lat":1,"lon":"2","radius_km":3}"#,
        r#"{"lat":1,"lon":2,"radius_km":-1}"#,
    ] {
        check(&format!(r#"{{"near":{near}}}"#), "Invalid near filter");
    }
    let long = format!(r#"{{"domain":"{}"}}"#, "d".repeat(200));
    check(&long, "query is larger than 200 bytes");
    let near = query(r#","query":{"near":{"lat":1,"lon":-2,"radius_km":0},"domain":"X.Test"}"#);
    let middle = Location { lat: 1.0, lon: -2.0 };
    assert_eq!(near.near, Some(Near { middle, radius_km: 0.0 }));
    assert_eq!(near.domain.as_deref(), Some("x.test"));
    assert_eq!(query(r#","query":{"capabilities":["b","a","b"]}"#).capabilities, ["a", "b"]);
}

#[test]
fn more_capabilities_than_a_line_can_have_are_not_searched_for() {
    let json = |count: usize| {
        let many: Vec<String> = (0..count).map(|n| format!("\"{n}\"")).collect();
        format!(r#"{{"type":"PRESENCE","query":{{"capabilities":[{}]}}}}"#, many.join(","))
    };
    let mut decoder = Decoder::new(Bounds { metadata_bytes_max: 65_536, traces: false });
    assert!(decoder.decode(json(256).as_bytes(), true).is_ok());
    let Err(WireError::Refuse(refusal)) = decoder.decode_text(&json(257), true) else { panic!() };
    assert_eq!(refusal.fault, Fault::TooManyCapabilities { most: 256 });
}

#[test]
fn presence_takes_a_limit_in_the_frame_or_in_the_query() {
    assert_eq!(query(r#","limit":7.9"#).limit, Some(7));
    assert_eq!(query(r#","query":{"limit":8}"#).limit, Some(8));
    assert_eq!(query(r#","limit":7,"query":{"limit":8}"#).limit, Some(7));
    assert_eq!(query(r#","limit":null,"query":{"limit":null}"#).limit, None);
    for limit in ["0", "0.5", "-1", "\"5\"", "{}"] {
        let detail = "Field 'limit' must be a positive integer";
        refused(&format!(r#"{{"type":"PRESENCE","limit":{limit}}}"#), "PRESENCE", detail);
        refused(&format!(r#"{{"type":"PRESENCE","query":{{"limit":{limit}}}}}"#), "PRESENCE", detail);
    }
}

#[test]
fn parties_have_names_of_the_form_of_an_address() {
    for kind in ["JOIN", "PARTY_MSG", "LEAVE"] {
        for party in ["", r#","party":5"#, r#","party":"lobby""#, r#","party":null"#] {
            let detail = "Field 'party' must be a string of the form name@domain";
            refused(&format!(r#"{{"type":"{kind}"{party}}}"#), kind, detail);
        }
    }
    let json = r#"{"type":"LEAVE","party":"p@x.test"}"#;
    assert!(matches!(request(json), Request::Leave { party } if party == "p@x.test"));
    let json = r#"{"type":"PARTY_MSG","party":"p@x.test","data":[1, 2]}"#;
    let Request::PartyMessage { party, data, content_type } = request(json) else { panic!() };
    assert_eq!((&*party, data, content_type), ("p@x.test", Some(&b"[1, 2]"[..]), None));
}

#[test]
fn a_party_is_made_unless_the_frame_says_exactly_false() {
    for (value, expected) in [("", true), ("null", true), ("0", true), ("\"false\"", true), ("false", false)]
    {
        let field = if value.is_empty() { String::new() } else { format!(",\"create_if_missing\":{value}") };
        let json = format!(r#"{{"type":"JOIN","party":"p@x.test"{field}}}"#);
        let Request::Join { party, create_if_missing } = request(&json) else { panic!() };
        assert_eq!((party.as_str(), create_if_missing), ("p@x.test", expected));
    }
}
