//! REGISTER, rule by rule.

use super::*;

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
