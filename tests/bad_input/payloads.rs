//! Messages that are well framed and wrong inside: not JSON, not objects, wrong types everywhere, too deep, too long.

use serde_json::Value;

use super::support::*;

/// A good frame of each type, with every field that the protocol knows.
const GOOD: [&str; 15] = [
    r#"{"type":"REGISTER","address":"a@types.test","auth":"t","metadata":{"capabilities":["c"],"location":{"lat":1,"lon":2},"status":"busy"},"concurrency":"single"}"#,
    r#"{"type":"REGISTER","address":"a@types.test","concurrency":"broadcast","max_listeners":3}"#,
    r#"{"type":"REGISTER","address":"a@types.test","concurrency":"parallel","max_sessions":3,"pool_size":2}"#,
    r#"{"type":"REGISTER","address":"a@types.test","mode":"wake_on_ring","wake_handler":{"type":"webhook","url":"http://127.0.0.1:1/","payload":{"a":1},"timeout_seconds":1}}"#,
    r#"{"type":"REGISTER","address":"a@types.test","mode":"wake_on_ring","wake_handler":{"type":"spawn","command":["/bin/true"],"timeout_seconds":1}}"#,
    r#"{"type":"STATUS","status":"available","auto_sleep":{"idle_timeout_seconds":1000,"wake_on_ring":true}}"#,
    r#"{"type":"HEARTBEAT"}"#,
    r#"{"type":"DIAL","to":"nobody@types.test","metadata":{"a":1},"ref":"r"}"#,
    r#"{"type":"ANSWER","call_id":"0"}"#,
    r#"{"type":"HANGUP","call_id":"0","reason":"r"}"#,
    r#"{"type":"MSG","call_id":"0","data":"d","content_type":"text"}"#,
    r#"{"type":"PRESENCE","limit":5,"query":{"domain":"types.test","capabilities":["c"],"near":{"lat":1,"lon":2,"radius_km":3}}}"#,
    r#"{"type":"JOIN","party":"p@types.test","create_if_missing":true}"#,
    r#"{"type":"PARTY_MSG","party":"p@types.test","data":"d","content_type":"text"}"#,
    r#"{"type":"LEAVE","party":"p@types.test"}"#,
];

/// Frames that end the connection when they are good; here they are tried for their fields only.
const ENDING: [&str; 2] =
    [r#"{"type":"SLEEP_ACK","x":1}"#, r#"{"type":"REGISTER_PBX","domain":"d","routes":["*"]}"#];

/// A value of each JSON type, and the odd ones among them.
const VALUES: [&str; 22] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "1e308",
    "-1E+99",
    "1e-999",
    "123456789012345678901234567890",
    "\"\"",
    "\"x\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u0000\"",
    "[]",
    "[null]",
    "[1,[2]]",
    "[[[[[]]]]]",
    "{}",
    "{\"a\":null}",
    "{\"__proto__\":{\"type\":1}}",
    "{\"length\":-1,\"toString\":0}",
];

/// Stands where a value is to be put.
const GAP: &str = "\"<gap>\"";

/// A frame once for each value in it, at any depth, with a gap in that value's place.
fn with_gaps(frame: &str) -> Vec<String> {
    let whole: Value = serde_json::from_str(frame).expect("a good frame");
    let mut paths = Vec::new();
    collect_paths(&whole, String::new(), &mut paths);
    let with_gap = |path: &String| {
        let mut frame = whole.clone();
        *frame.pointer_mut(path).expect("it was found there") =
            Value::String(GAP.trim_matches('"').to_owned());
        frame.to_string()
    };
    paths.iter().map(with_gap).collect()
}

fn collect_paths(value: &Value, path: String, paths: &mut Vec<String>) {
    let children: Vec<_> = match value {
        Value::Object(members) => members.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(n, child)| (n.to_string(), child)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let path = format!("{path}/{key}");
        paths.push(path.clone());
        collect_paths(child, path, paths);
    }
}

#[test]
fn every_field_of_every_message_takes_every_json_type() {
    let scene = Scene::begin(&[]);
    let mut tried = 0;
    for registered in [false, true] {
        for frame in GOOD.iter().chain(&ENDING) {
            let mut wire = if registered {
                Wire::register(scene.address(), &format!("holder{tried}@types.test"))
            } else {
                Wire::connect(scene.address())
            };
            for gapped in with_gaps(frame) {
                for value in VALUES {
                    wire.say(&gapped.replace(GAP, value));
                    tried += 1;
                }
                assert!(wire.is_heard(), "after wrong types in {gapped}");
            }
        }
    }
    println!("{tried} messages with a wrong type");
    assert!(tried > 1500);
    scene.end();
}

#[test]
fn messages_that_are_no_objects_are_answered() {
    let scene = Scene::begin(&[]);
    let mut wire = Wire::connect(scene.address());
    for value in ["null", "true", "5", "\"x\"", "[]", "[{\"type\":\"HEARTBEAT\"}]", "{}", " null ", "1e300"] {
        wire.say(value);
        wire.expect_error("invalid_payload", "UNKNOWN", "Unsupported message type: undefined");
    }
    for (kind, shown) in [("5", "5"), ("\"NO\"", "NO"), ("\"register\"", "register"), ("\"\"", "")] {
        wire.say(&format!("{{\"type\":{kind}}}"));
        wire.expect_error("invalid_payload", "UNKNOWN", &format!("Unsupported message type: {shown}"));
    }
    drop(wire);
    scene.end();
}

#[test]
fn wrong_types_are_answered_with_the_words_of_the_specification() {
    let scene = Scene::begin(&["--wake-spawn", ""]);
    let mut wire = Wire::register(scene.address(), "words@types.test");
    let handler = r#""mode":"wake_on_ring","wake_handler""#;
    let wrong: &[(&str, &str, &str)] = &[
        ("REGISTER", r#""address":5"#, "Field 'address' must be a string"),
        ("REGISTER", r#""address":"a@b.c","concurrency":"many""#, "Unsupported concurrency mode: many"),
        (
            "REGISTER",
            r#""address":"a@b.c","concurrency":"broadcast","max_listeners":0"#,
            "max_listeners must be a positive integer",
        ),
        (
            "REGISTER",
            r#""address":"a@b.c","concurrency":"broadcast","max_listeners":"3""#,
            "max_listeners must be a positive integer",
        ),
        (
            "REGISTER",
            r#""address":"a@b.c","concurrency":"parallel","max_sessions":0.5"#,
            "max_sessions must be a positive integer",
        ),
        ("REGISTER", r#""address":"a@b.c","pool_size":-1"#, "pool_size must be a positive integer"),
        (
            "REGISTER",
            r#""address":"a@b.c","max_listeners":1"#,
            "max_listeners is only valid for broadcast concurrency",
        ),
        (
            "REGISTER",
            r#""address":"a@b.c","max_sessions":1"#,
            "max_sessions is only valid for parallel concurrency",
        ),
        ("REGISTER", r#""address":"a@b.c","mode":"sleepy""#, "Unsupported mode: sleepy"),
        ("REGISTER", r#""address":"a@b.c","wake_handler":{}"#, "wake_handler requires mode 'wake_on_ring'"),
        (
            "REGISTER",
            r#""address":"a@b.c","mode":"wake_on_ring""#,
            "wake_handler is required for wake_on_ring mode",
        ),
        ("STATUS", r#""status":"gone""#, "Invalid status value: gone"),
        ("STATUS", r#""status":"available","auto_sleep":5"#, "Invalid auto_sleep payload"),
        ("DIAL", r#""to":5"#, "Field 'to' is required"),
        ("DIAL", r#""to":"""#, "Field 'to' is required"),
        ("ANSWER", r#""call_id":null"#, "Field 'call_id' is required"),
        ("HANGUP", r#""call_id":[]"#, "Field 'call_id' is required"),
        ("MSG", r#""data":1"#, "Field 'call_id' is required"),
        ("MSG", r#""call_id":"x","content_type":null"#, "Unsupported content_type: null"),
        ("MSG", r#""call_id":"x","content_type":"xml""#, "Unsupported content_type: xml"),
        ("PRESENCE", r#""query":{"domain":null}"#, "Field 'domain' must be a string"),
        ("PRESENCE", r#""query":{"capabilities":"c"}"#, "Field 'capabilities' must be an array"),
        ("PRESENCE", r#""query":{"capabilities":[1]}"#, "Capabilities must be strings"),
        ("PRESENCE", r#""query":{"near":{"lat":"1"}}"#, "Invalid near filter"),
        ("SLEEP_ACK", r#""x":1"#, "Wake-on-ring mode must be configured before sleeping"),
    ];
    for (kind, rest, detail) in wrong {
        wire.say(&format!(r#"{{"type":"{kind}",{rest}}}"#));
        wire.expect_error("invalid_payload", kind, detail);
    }
    let handlers = [
        ("{\"timeout_seconds\":0}", "wake_handler.timeout_seconds must be positive"),
        ("{\"timeout_seconds\":1,\"type\":\"webhook\"}", "wake_handler.url must be a non-empty string"),
        (
            "{\"timeout_seconds\":1,\"type\":\"webhook\",\"url\":\"u\",\"payload\":[]}",
            "wake_handler.payload must be an object",
        ),
        (
            "{\"timeout_seconds\":1,\"type\":\"spawn\",\"command\":[]}",
            "wake_handler.command must be a non-empty array",
        ),
        (
            "{\"timeout_seconds\":1,\"type\":\"spawn\",\"command\":[5]}",
            "wake_handler.command entries must be non-empty strings",
        ),
        ("{\"timeout_seconds\":1,\"type\":\"pigeon\"}", "Unsupported wake handler type: pigeon"),
    ];
    for (value, detail) in handlers {
        wire.say(&format!(r#"{{"type":"REGISTER","address":"words@types.test",{handler}:{value}}}"#));
        wire.expect_error("invalid_payload", "REGISTER", detail);
    }
    drop(wire);
    scene.end();
}

#[test]
fn addresses_of_100000_characters_are_refused() {
    let scene = Scene::begin(&[]);
    let mut wire = Wire::register(scene.address(), "short@long.test");
    let long = format!("{}@long.test", "x".repeat(100_000));
    wire.say(&format!(r#"{{"type":"REGISTER","address":"{long}"}}"#));
    wire.expect(r#"{"type":"REGISTER_FAILED","reason":"invalid_address"}"#);
    wire.say(&format!(r#"{{"type":"DIAL","to":"{long}"}}"#));
    let busy = wire.expect(r#"{"type":"BUSY""#);
    assert_eq!(text_field(&busy, "reason"), "no_such_address");
    for kind in ["JOIN", "LEAVE", "PARTY_MSG"] {
        wire.say(&format!(r#"{{"type":"{kind}","party":"{long}"}}"#));
        wire.expect(r#"{"type":"ERROR","reason":"invalid_payload""#);
    }
    for kind in ["ANSWER", "HANGUP", "MSG"] {
        wire.say(&format!(r#"{{"type":"{kind}","call_id":"{long}"}}"#));
    }
    wire.say(&format!(r#"{{"type":"{long}"}}"#));
    let error = wire.expect(r#"{"type":"ERROR","reason":"invalid_payload","context":"UNKNOWN""#);
    assert!(error.len() < 2000, "{} bytes of error", error.len());
    assert!(wire.is_heard());
    drop(wire);
    scene.end();
}

#[test]
fn nesting_100000_deep_is_no_json_to_us() {
    let scene = Scene::begin(&[]);
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for message in [
            deep.clone(),
            format!(r#"{{"type":"MSG","call_id":"x","data":{deep}}}"#),
            format!(r#"{{"type":"REGISTER","address":"deep@json.test","metadata":{deep}}}"#),
            open.repeat(100_000),
        ] {
            let mut wire = Wire::connect(scene.address());
            wire.say(&message);
            assert_eq!(wire.expect_close(1003), "Invalid JSON");
        }
    }
    scene.end();
}

/// Their reader would have to choose between infinity and an error; nobody can mean them.
#[test]
fn numbers_beyond_all_doubles_are_no_json_to_us() {
    let scene = Scene::begin(&[]);
    for number in ["1e999", "-1e999", "1e99999999999"] {
        for message in [number.to_owned(), format!(r#"{{"type":"MSG","call_id":"x","data":[{number}]}}"#)] {
            let mut wire = Wire::connect(scene.address());
            wire.say(&message);
            assert_eq!(wire.expect_close(1003), "Invalid JSON", "{message}");
        }
    }
    scene.end();
}

#[test]
fn what_is_no_json_is_closed_with_1003() {
    let scene = Scene::begin(&[]);
    let broken: [&[u8]; 16] = [
        b"{",
        b"}",
        b"{\"type\":\"HEARTBEAT\"",
        b"{\"type\":\"HEARTBEAT\"}}",
        b"{'type':'HEARTBEAT'}",
        b"nul",
        b"01",
        b"+1",
        b"1e",
        b".5",
        b"NaN",
        b"\"\\x\"",
        b"{\"a\":1,}",
        b"\xEF\xBB\xBF{}",
        b"{\"a\":\"\n\"}",
        b"\0",
    ];
    for bytes in broken {
        for first in [TEXT, BINARY] {
            let mut wire = Wire::connect(scene.address());
            wire.frame(first, bytes);
            assert_eq!(wire.expect_close(1003), "Invalid JSON", "{:?}", String::from_utf8_lossy(bytes));
        }
    }
    scene.end();
}

#[test]
fn odd_json_passes_through_a_call_as_it_is_or_not_at_all() {
    let scene = Scene::begin(&[]);
    let mut call = Call::establish(scene.address(), "odd");
    let odd = [
        "1e308",
        "-0",
        "1E+2",
        "12345678901234567890123456789012345678901234567890.000",
        "\"\\u0000\\u0001\"",
        "{\"a\":1,\"a\":2}",
        "{\"__proto__\":{\"x\":1},\"constructor\":{\"prototype\":null}}",
        "\"\\/\\b\"",
        "[ 1 , 2 ]",
        "\"\u{7f}\u{2028}\u{10ffff}\"",
    ];
    for data in odd {
        call.caller
            .say(&format!(r#"{{"type":"MSG","call_id":"{}","data":{data},"content_type":"json"}}"#, call.id));
        let text = call.callee.expect(r#"{"type":"MSG""#);
        assert!(text.contains(&format!(r#""data":{data}"#)), "{text}");
    }
    call.exchange_words();
    drop(call);
    scene.end();
}

/// Half of a surrogate pair cannot be said in UTF-8, so nobody could be sent it.
#[test]
fn lone_surrogates_are_no_json_to_us() {
    let scene = Scene::begin(&[]);
    for half in [r"\ud800", r"\udc00", r"\udc00\ud800", r"\ud800x", r"\ud800\u0041", r"\uDBFF"] {
        for message in [
            format!(r#"{{"type":"REGISTER","address":"{half}@lone.test"}}"#),
            format!(r#"{{"type":"MSG","call_id":"x","data":"{half}"}}"#),
            format!(r#"{{"type":"HEARTBEAT","{half}":1}}"#),
        ] {
            let mut wire = Wire::connect(scene.address());
            wire.say(&message);
            assert_eq!(wire.expect_close(1003), "Invalid JSON", "{message}");
        }
    }
    scene.end();
}

#[test]
fn of_duplicate_keys_the_last_one_counts() {
    let scene = Scene::begin(&[]);
    let mut wire = Wire::connect(scene.address());
    wire.say(r#"{"type":"DIAL","to":5,"type":"REGISTER","address":5,"address":"first@dup.test","address":"last@dup.test"}"#);
    let registered = wire.expect(r#"{"type":"REGISTERED""#);
    assert_eq!(text_field(&registered, "address"), "last@dup.test");
    wire.say(r#"{"type":"HEARTBEAT","type":null}"#);
    wire.expect_error("invalid_payload", "UNKNOWN", "Unsupported message type: null");
    drop(wire);
    scene.end();
}

#[test]
fn keys_and_addresses_that_mean_something_elsewhere_mean_nothing_here() {
    let scene = Scene::begin(&[]);
    let names =
        ["__proto__@x.test", "constructor@x.test", "toString@x.test", "hasOwnProperty@__proto__.constructor"];
    for (number, name) in names.into_iter().enumerate() {
        let mut wire = Wire::register(scene.address(), name);
        wire.say(&format!(
            r#"{{"type":"REGISTER","address":"{name}","__proto__":{{"address":"p@x.test"}},"constructor":1,"metadata":{{"__proto__":{{"capabilities":["c"]}}}}}}"#
        ));
        let registered = wire.expect(r#"{"type":"REGISTERED""#);
        assert_eq!(text_field(&registered, "address"), name);
        // The last one's line may still be there.
        let asker = format!("asker{number}@x.test");
        let mut other = Wire::register(scene.address(), &asker);
        other.say(r#"{"type":"PRESENCE","query":{"capabilities":["c"]}}"#);
        assert_eq!(other.next(), Seen::Text(r#"{"type":"PRESENCE_RESULT","addresses":[]}"#.into()));
        other.say(&format!(r#"{{"type":"DIAL","to":"{name}"}}"#));
        wire.expect(&format!(r#"{{"type":"RING","from":"{asker}""#));
    }
    let mut wire = Wire::connect(scene.address());
    for kind in ["__proto__", "constructor", "toString", "hasOwnProperty"] {
        wire.say(&format!(r#"{{"type":"{kind}"}}"#));
        wire.expect_error("invalid_payload", "UNKNOWN", &format!("Unsupported message type: {kind}"));
    }
    drop(wire);
    scene.end();
}

#[test]
fn nuls_in_addresses_and_messages_are_ordinary_characters() {
    let scene = Scene::begin(&[]);
    let mut nul = Wire::register(scene.address(), "a\\u0000b@nul.test");
    let mut other = Wire::register(scene.address(), "a@nul.test");
    other.say(r#"{"type":"DIAL","to":"a\u0000b@nul.test","metadata":"\u0000"}"#);
    let ring = nul.expect(r#"{"type":"RING""#);
    assert!(ring.contains(r#""metadata":"\u0000""#), "{ring}");
    drop((nul, other));
    scene.end();
}
