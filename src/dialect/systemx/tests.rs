//! Tests of the native protocol's translation: the rules and exact texts of spec section 3 one by one, what requests
//! keep of their frames, and the form of every notice.

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
fn register_wants_a_text_of_the_form_of_an_address() {
    for json in [r#"{"type":"REGISTER"}"#, r#"{"type":"REGISTER","address":5}"#] {
        refused(json, "REGISTER", "Field 'address' must be a string");
    }
    for bad in ["", "a", "a@b", "a b@x.test"] {
        let json = format!(r#"{{"type":"REGISTER","address":"{bad}","concurrency":7}}"#);
        assert_eq!(decode(&json).map(|_| ()), Err(WireError::InvalidAddress));
    }
    let mut out = Vec::new();
    encode_invalid_address(&mut out);
    assert_eq!(out, br#"{"type":"REGISTER_FAILED","reason":"invalid_address"}"#);
}

#[test]
fn concurrency_is_single_unless_it_says_otherwise() {
    for fields in ["", r#","concurrency":null"#, r#","concurrency":"""#, r#","concurrency":0"#] {
        assert_eq!(registration(fields).concurrency, Concurrency::Single);
    }
    assert_eq!(registration(r#","concurrency":false"#).concurrency, Concurrency::Single);
    let parallel = registration(r#","concurrency":"parallel","max_sessions":2.9,"pool_size":4"#);
    assert_eq!(parallel.concurrency, Concurrency::Parallel { max_sessions: Some(2) });
    assert_eq!(parallel.pool_size, Some(4));
    let broadcast = registration(r#","concurrency":"broadcast","max_listeners":1e300"#);
    assert_eq!(broadcast.concurrency, Concurrency::Broadcast { max_listeners: Some(u32::MAX) });
    assert_eq!(registration(r#","pool_size":3"#).pool_size, Some(3));
    let shown = [("\"solo\"", "solo"), ("1", "1"), ("true", "true"), ("{}", "[object Object]")];
    for (json, shown) in shown {
        let detail = format!("Unsupported concurrency mode: {shown}");
        refused(&register(&format!(",\"concurrency\":{json}")), "REGISTER", &detail);
    }
}

#[test]
fn counts_are_whole_numbers_above_zero_and_belong_to_their_mode() {
    for field in ["max_listeners", "max_sessions", "pool_size"] {
        for value in ["0", "-1", "0.9", "\"3\"", "true", "[]", "{}"] {
            let detail = format!("{field} must be a positive integer");
            refused(&register(&format!(",\"{field}\":{value}")), "REGISTER", &detail);
        }
        assert_eq!(registration(&format!(",\"{field}\":null")).concurrency, Concurrency::Single);
    }
    refused(
        &register(r#","max_listeners":1"#),
        "REGISTER",
        "max_listeners is only valid for broadcast concurrency",
    );
    refused(
        &register(r#","max_sessions":1,"concurrency":"broadcast""#),
        "REGISTER",
        "max_sessions is only valid for parallel concurrency",
    );
}

#[test]
fn the_first_failing_check_of_register_answers() {
    refused(
        &register(r#","max_sessions":0,"concurrency":"x""#),
        "REGISTER",
        "Unsupported concurrency mode: x",
    );
    refused(
        &register(r#","max_listeners":1,"pool_size":0"#),
        "REGISTER",
        "pool_size must be a positive integer",
    );
    refused(
        &register(r#","max_listeners":1,"mode":"x""#),
        "REGISTER",
        "max_listeners is only valid for broadcast concurrency",
    );
    let large = format!(r#","mode":"x","metadata":"{}""#, "m".repeat(300));
    refused(&register(&large), "REGISTER", "Unsupported mode: x");
}

#[test]
fn mode_and_wake_handler_need_each_other() {
    refused(&register(r#","mode":"sleepy""#), "REGISTER", "Unsupported mode: sleepy");
    refused(&register(r#","mode":7"#), "REGISTER", "Unsupported mode: 7");
    let without = "wake_handler requires mode 'wake_on_ring'";
    refused(&register(r#","wake_handler":{}"#), "REGISTER", without);
    refused(&register(r#","wake_handler":{},"mode":"""#), "REGISTER", without);
    let required = "wake_handler is required for wake_on_ring mode";
    for handler in ["", r#","wake_handler":null"#, r#","wake_handler":5"#, r#","wake_handler":[]"#] {
        refused(&register(&format!(r#","mode":"wake_on_ring"{handler}"#)), "REGISTER", required);
    }
    assert_eq!(registration(r#","mode":null,"wake_handler":null"#).wake, None);
}

#[test]
fn wake_handlers_are_checked_part_by_part() {
    let handler = |fields: &str| register(&format!(r#","mode":"wake_on_ring","wake_handler":{{{fields}}}"#));
    let check = |fields: &str, detail: &str| refused(&handler(fields), "REGISTER", detail);
    for fields in ["", r#""type":"x""#, r#""timeout_seconds":0"#, r#""timeout_seconds":"5""#] {
        check(fields, "wake_handler.timeout_seconds must be positive");
    }
    check(r#""timeout_seconds":1"#, "Unsupported wake handler type: undefined");
    check(r#""timeout_seconds":1,"type":"mail""#, "Unsupported wake handler type: mail");
    for url in ["", r#","url":"""#, r#","url":7"#] {
        let fields = format!(r#""timeout_seconds":1,"type":"webhook"{url}"#);
        check(&fields, "wake_handler.url must be a non-empty string");
    }
    let webhook = r#""timeout_seconds":1,"type":"webhook","url":"http://w.test/""#;
    for payload in ["5", "[]", "\"x\""] {
        check(&format!("{webhook},\"payload\":{payload}"), "wake_handler.payload must be an object");
    }
    for command in ["", r#","command":[]"#, r#","command":"ls""#, r#","command":{"0":"ls"}"#] {
        let fields = format!(r#""timeout_seconds":1,"type":"spawn"{command}"#);
        check(&fields, "wake_handler.command must be a non-empty array");
    }
    for command in [r#"["ls",""]"#, r#"["ls",5]"#, "[null]"] {
        let fields = format!(r#""timeout_seconds":1,"type":"spawn","command":{command}"#);
        check(&fields, "wake_handler.command entries must be non-empty strings");
    }
    let long = format!(r#"{webhook},"payload":{{"x":"{}"}}"#, "x".repeat(300));
    check(&long, "wake_handler is larger than 200 bytes");
}

#[test]
fn a_wake_handler_is_kept_as_it_was_written() {
    let source = r#"{ "type":"webhook","url":"http:\/\/w.test/","payload":{"a": 1}, "timeout_seconds":1.5 }"#;
    let wake = registration(&format!(r#","mode":"wake_on_ring","wake_handler":{source}"#)).wake.unwrap();
    assert_eq!((&wake.source[..], wake.timeout_ms), (source.as_bytes(), 1500));
    let payload = Some(Bytes::from_static(br#"{"a": 1}"#));
    assert_eq!(wake.kind, WakeKind::Webhook { url: "http://w.test/".into(), payload });
    let spawn = r#"{"type":"spawn","command":["/bin/x","-y"],"timeout_seconds":1e300}"#;
    let wake = registration(&format!(r#","mode":"wake_on_ring","wake_handler":{spawn}"#)).wake.unwrap();
    assert_eq!(wake.timeout_ms, u64::MAX);
    assert_eq!(wake.kind, WakeKind::Spawn { command: ["/bin/x".into(), "-y".into()].into() });
}

#[test]
fn metadata_is_kept_as_it_was_written_and_searched_for_what_presence_can_find() {
    assert_eq!(registration("").profile, crate::exchange::event::Profile::default());
    assert_eq!(registration(r#","metadata":null"#).profile.metadata, Some(Bytes::from_static(b"null")));
    let source = r#"{"n": 1.50, "capabilities":["a",5,"b\u0063"],"location":{"lat":48.1,"lon":-11}}"#;
    let profile = registration(&format!(",\"metadata\":{source}")).profile;
    assert_eq!(profile.metadata, Some(Bytes::from_static(source.as_bytes())));
    assert_eq!(&profile.capabilities[..], ["a", "bc"]);
    assert_eq!(profile.location, Some(Location { lat: 48.1, lon: -11.0 }));
    for odd in [r#"{"capabilities":"a","location":{"lat":1}}"#, r#"[]"#, r#"{"location":[1,2]}"#] {
        let profile = registration(&format!(",\"metadata\":{odd}")).profile;
        assert!(profile.capabilities.is_empty() && profile.location.is_none(), "{odd}");
    }
}

#[test]
fn metadata_over_the_limit_is_refused_and_the_limit_named() {
    let fits = format!("\"{}\"", "m".repeat(198));
    let over = format!("\"{}\"", "m".repeat(199));
    assert!(registration(&format!(",\"metadata\":{fits}")).profile.metadata.is_some());
    refused(&register(&format!(",\"metadata\":{over}")), "REGISTER", "metadata is larger than 200 bytes");
    let dial = |metadata: &str| format!(r#"{{"type":"DIAL","to":"b@x.test","metadata":{metadata}}}"#);
    assert!(decode(&dial(&fits)).is_ok());
    refused(&dial(&over), "DIAL", "metadata is larger than 200 bytes");
}

#[test]
fn lifted_capabilities_are_bounded() {
    let many: Vec<String> = (0..1000).map(|n| format!("\"{n}\"")).collect();
    let json = register(&format!(r#","metadata":{{"capabilities":[{}]}}"#, many.join(",")));
    let mut decoder = Decoder::new(Bounds { metadata_bytes_max: 65_536, traces: false });
    let Ok(Request::Register(registration)) = decoder.decode(json.as_bytes(), false) else { panic!() };
    assert_eq!(registration.profile.capabilities.len(), registration::CAPABILITIES_MAX);
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

#[test]
fn what_a_peer_sent_is_shown_cut() {
    let json = format!(r#"{{"type":"{}"}}"#, "x".repeat(100_000));
    let Err(WireError::Refuse(refusal)) = decode(&json) else { panic!() };
    assert!(refusal.to_string().len() < 400);
}

#[test]
fn refusals_of_the_core_have_the_words_of_the_protocol() {
    for (verb, cause, expected) in [
        (
            Verb::Dial,
            Cause::RateLimited,
            r#""rate_limited","context":"DIAL","detail":"Too many dial attempts""#,
        ),
        (
            Verb::Dial,
            Cause::NotRegistered,
            r#""not_registered","context":"DIAL","detail":"Registration is required""#,
        ),
        (
            Verb::Register,
            Cause::SpawnDisabled,
            r#""invalid_payload","context":"REGISTER","detail":"spawn wake handlers are disabled on this exchange""#,
        ),
        (
            Verb::Register,
            Cause::WakeForbidden,
            r#""invalid_payload","context":"REGISTER","detail":"wake handlers of this type are not allowed for this address""#,
        ),
        (
            Verb::Status,
            Cause::InvalidAutoSleep,
            r#""invalid_payload","context":"STATUS","detail":"Invalid auto_sleep payload""#,
        ),
        (
            Verb::SleepAck,
            Cause::NotRegistered,
            r#""invalid_payload","context":"SLEEP_ACK","detail":"Registration required before sleeping""#,
        ),
        (
            Verb::SleepAck,
            Cause::WakeNotConfigured,
            r#""invalid_payload","context":"SLEEP_ACK","detail":"Wake-on-ring mode must be configured before sleeping""#,
        ),
        (
            Verb::Presence,
            Cause::NotRegistered,
            r#""not_registered","context":"PRESENCE","detail":"Registration is required before requesting presence""#,
        ),
        (
            Verb::Join,
            Cause::NoSuchParty,
            r#""no_such_party","context":"JOIN","detail":"There is no such party""#,
        ),
        (
            Verb::Leave,
            Cause::NotInParty,
            r#""not_in_party","context":"LEAVE","detail":"Join the party first""#,
        ),
        (
            Verb::Join,
            Cause::PartyFull,
            r#""limit_reached","context":"JOIN","detail":"The party has as many members as it may""#,
        ),
        (
            Verb::Join,
            Cause::TooManyParties,
            r#""limit_reached","context":"JOIN","detail":"This link takes part in as many parties as it may""#,
        ),
    ] {
        let expected = format!(r#"{{"type":"ERROR","reason":{expected}}}"#);
        assert_eq!(encoded(&Notice::Refused { verb, cause }), expected);
    }
}

#[test]
fn every_cause_can_be_said_in_every_notice_that_carries_one() {
    for cause in Cause::ALL {
        let call = a_call();
        let notices = [
            Notice::Busy { to: Name::Given("b".into()), reason: cause.into(), reference: None },
            Notice::HungUp { call, reason: Reason::Cause(cause), from: None },
            Notice::RegisterRefused(cause),
            Notice::Refused { verb: Verb::Join, cause },
        ];
        for notice in notices {
            let json: serde_json::Value = serde_json::from_str(&encoded(&notice)).unwrap();
            assert!(json["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{json}");
        }
    }
}

/// One of every notice, with everything optional and without, and its exact text. `ID` stands for the call's id.
fn notices() -> Vec<(Notice<'static>, &'static str)> {
    let call = a_call();
    let (a, b) = (address("a@x.test"), address("b@x.test"));
    let entry = |address: &Address, status, metadata: Option<&'static [u8]>| PresenceEntry {
        address: address.clone(),
        status,
        metadata: metadata.map(Bytes::from_static),
    };
    let to = || Name::Address(address("b@x.test"));
    vec![
        (
            Notice::Registered { address: a.clone(), session: SessionId::mint(0) },
            r#"{"type":"REGISTERED","address":"a@x.test","session_id":"00000000-0000-4000-8000-000000000000"}"#,
        ),
        (
            Notice::RegisterRefused(Cause::AddressInUse),
            r#"{"type":"REGISTER_FAILED","reason":"address_in_use"}"#,
        ),
        (
            Notice::HeartbeatHeard { wall_ms: 1_763_000_000_000 },
            r#"{"type":"HEARTBEAT_ACK","timestamp":1763000000000}"#,
        ),
        (
            Notice::Dialling { reference: "r".into(), call, to: to() },
            r#"{"type":"DIALING","ref":"r","call_id":"ID","to":"b@x.test"}"#,
        ),
        (
            Notice::Ring { from: a.clone(), call, metadata: Payload::Borrowed(b"[1, 2]"), listener: None },
            r#"{"type":"RING","from":"a@x.test","call_id":"ID","metadata":[1, 2]}"#,
        ),
        (
            Notice::Ring {
                from: a.clone(),
                call,
                metadata: Payload::Absent,
                listener: Some(crate::exchange::LineId(Handle::new(ShardId::new(0), 1, 1))),
            },
            r#"{"type":"RING","from":"a@x.test","call_id":"ID"}"#,
        ),
        (
            Notice::Connected { call, to: b.clone(), reference: None },
            r#"{"type":"CONNECTED","call_id":"ID","to":"b@x.test"}"#,
        ),
        (
            Notice::Connected { call, to: b.clone(), reference: Some("r".into()) },
            r#"{"type":"CONNECTED","call_id":"ID","to":"b@x.test","ref":"r"}"#,
        ),
        (
            Notice::Busy { to: to(), reason: Cause::Dnd.into(), reference: None },
            r#"{"type":"BUSY","to":"b@x.test","reason":"dnd"}"#,
        ),
        (
            Notice::Busy { to: to(), reason: Cause::Timeout.into(), reference: Some(("r".into(), call)) },
            r#"{"type":"BUSY","to":"b@x.test","reason":"timeout","ref":"r","call_id":"ID"}"#,
        ),
        (
            Notice::HungUp { call, reason: Cause::Normal.into(), from: None },
            r#"{"type":"HANGUP","call_id":"ID","reason":"normal"}"#,
        ),
        (
            Notice::HungUp { call, reason: Reason::Given("bye".into()), from: Some(a.clone()) },
            r#"{"type":"HANGUP","call_id":"ID","from":"a@x.test","reason":"bye"}"#,
        ),
        (
            Notice::Message {
                call,
                from: a.clone(),
                data: Payload::Owned(b"1.0".into()),
                content_type: ContentType::Json,
            },
            r#"{"type":"MSG","call_id":"ID","from":"a@x.test","data":1.0,"content_type":"json"}"#,
        ),
        (
            Notice::Message { call, from: a.clone(), data: Payload::Absent, content_type: ContentType::Text },
            r#"{"type":"MSG","call_id":"ID","from":"a@x.test","content_type":"text"}"#,
        ),
        (
            Notice::Presence {
                entries: vec![entry(&a, Status::Available, None), entry(&b, Status::Busy, Some(b"null"))],
                truncated: true,
            },
            r#"{"type":"PRESENCE_RESULT","addresses":[{"address":"a@x.test","status":"available","metadata":{}},{"address":"b@x.test","status":"busy","metadata":null}],"truncated":true}"#,
        ),
        (
            Notice::Presence { entries: vec![], truncated: false },
            r#"{"type":"PRESENCE_RESULT","addresses":[]}"#,
        ),
        (
            Notice::AuthExpiring { expires_ms: 1_700_000_000_000 },
            r#"{"type":"AUTH_EXPIRING","expires_at":1700000000000}"#,
        ),
        (
            Notice::SleepPending { seconds: 5 },
            r#"{"type":"SLEEP_PENDING","reason":"idle_timeout","seconds_until_sleep":5}"#,
        ),
        (
            Notice::Joined { party: address("p@x.test"), participants: [a.clone(), b.clone()].into() },
            r#"{"type":"JOINED","party":"p@x.test","participants":["a@x.test","b@x.test"]}"#,
        ),
        (
            Notice::PartyMessage {
                party: address("p@x.test"),
                from: b.clone(),
                data: Payload::Shared(Bytes::from_static(b"{}")),
                content_type: Some(ContentType::Binary),
            },
            r#"{"type":"PARTY_MSG","party":"p@x.test","from":"b@x.test","data":{},"content_type":"binary"}"#,
        ),
        (
            Notice::PartyMessage {
                party: address("p@x.test"),
                from: b,
                data: Payload::Absent,
                content_type: None,
            },
            r#"{"type":"PARTY_MSG","party":"p@x.test","from":"b@x.test"}"#,
        ),
    ]
}

#[test]
fn notices_are_compact_json_in_the_order_of_the_spec_and_their_length_is_known_before() {
    let id = a_call().to_string();
    for (notice, expected) in notices() {
        let expected = expected.replace("ID", &id);
        assert_eq!(encoded(&notice), expected);
        let hint = encoded_len_hint(&notice);
        assert_eq!(hint, expected.len(), "{expected}");
        let mut out = Vec::with_capacity(hint);
        let place = out.as_ptr();
        encode(&notice, &mut out);
        assert_eq!(out.as_ptr(), place, "the buffer has moved: {expected}");
    }
}

#[test]
fn addresses_and_texts_with_quotes_are_escaped() {
    let from = address("a\"\\\u{1}@x.test");
    let notice =
        Notice::HungUp { call: a_call(), reason: Reason::Given("\"\n\u{0}é".into()), from: Some(from) };
    let json: serde_json::Value = serde_json::from_str(&encoded(&notice)).unwrap();
    assert_eq!(json["from"], "a\"\\\u{1}@x.test");
    assert_eq!(json["reason"], "\"\n\u{0}é");
}

#[test]
fn what_one_side_says_reaches_the_other_as_it_was() {
    let json =
        format!(r#"{{"type":"MSG","call_id":"{}","data":{{"π": 3.140}},"content_type":"json"}}"#, a_call());
    let Request::Message { call, data, content_type } = request(&json) else { panic!() };
    let text = encoded(&Notice::Message { call, from: address("a@x.test"), data: data.into(), content_type });
    // A relayed frame is one that a client might have sent, with a `from` that would be ignored.
    let Request::Message { call: again, data: relayed, content_type: kind } = request(&text) else {
        panic!()
    };
    assert_eq!((again, relayed, kind), (call, data, content_type));
}
