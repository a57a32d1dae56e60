//! The rules of the JSON layer, one by one. Every input goes through `judged_by_all`, so a rule that is shown here
//! holds on both paths and agrees with serde_json.

use super::fuzz::{KEYS, judged_by_all};
use super::*;

fn is_valid(source: impl AsRef<[u8]>) -> bool {
    judged_by_all(source.as_ref()).is_ok()
}

/// The source of one field of a valid object.
#[track_caller]
fn field<'s>(source: &'s str, name: &str) -> Option<&'s str> {
    judged_by_all(source.as_bytes()).expect("valid").expect("an object");
    let mut parser = Parser::new();
    match parser.parse(&KEYS, source.as_bytes()) {
        Ok(Parsed::Object(object)) => object.get(KEYS.key(name)).map(|value| value.raw_str()),
        other => panic!("{source}: {other:?}"),
    }
}

/// Runs `look` on the value `json`, as a field of a message.
fn with_value<R>(json: &str, look: impl FnOnce(Value<'_>) -> R) -> R {
    let message = format!(r#"{{"type":"X","data":{json},"call_id":"c"}}"#);
    assert!(is_valid(&message), "{message}");
    let mut parser = Parser::new();
    match parser.parse(&KEYS, message.as_bytes()) {
        Ok(Parsed::Object(object)) => look(object.get(KEYS.key("data")).expect("the field is there")),
        other => panic!("{message}: {other:?}"),
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn a_value_that_is_no_object_is_told_from_invalid_json() {
    for source in ["5", "\"x\"", "[]", "true", "false", "null", " -0.5e-7 ", "[{\"type\":1}]", "\"\\u0041\""]
    {
        assert_eq!(judged_by_all(source.as_bytes()), Ok(None), "{source}");
    }
    for source in ["", " ", "5x", "nul", "nullx", "truefalse", "[", "\"", "}", "undefined"] {
        assert!(!is_valid(source), "{source:?}");
    }
}

#[test]
fn fields_are_the_exact_source_bytes_without_surrounding_space() {
    let source = " {\t\"type\" :\r\n \"MSG\" , \"data\" : { \"a\" : [ 1.50 , 2 ] } \n,\"call_id\":1.0E+2 } ";
    assert_eq!(field(source, "type"), Some("\"MSG\""));
    assert_eq!(field(source, "data"), Some("{ \"a\" : [ 1.50 , 2 ] }"));
    assert_eq!(field(source, "call_id"), Some("1.0E+2"));
    assert_eq!(field(source, "metadata"), None);
}

#[test]
fn empty_objects_have_no_fields() {
    assert_eq!(field("{}", "type"), None);
    assert_eq!(field(" { } ", "type"), None);
}

#[test]
fn the_last_of_repeated_keys_wins() {
    assert_eq!(field(r#"{"data":1,"type":"a","data":{"b":2},"type":"c"}"#, "data"), Some(r#"{"b":2}"#));
    assert_eq!(field(r#"{"data":1,"d\u0061ta":2}"#, "data"), Some("2"));
    assert_eq!(field(r#"{"d\u0061ta":2,"data":1}"#, "data"), Some("1"));
}

#[test]
fn keys_may_be_written_with_escapes() {
    assert_eq!(field(r#"{"\u0064\u0061\u0074\u0061" : "x" }"#, "data"), Some("\"x\""));
    assert_eq!(field(r#"{"da\ta":1,"\"":2,"\\":3,"":4}"#, "data"), None);
    assert_eq!(field(r#"{"\"":2,"":4}"#, ""), Some("4"));
}

#[test]
fn unknown_and_peculiar_keys_are_passed_over() {
    assert_eq!(field(r#"{"__proto__":{"type":1},"constructor":2,"type":3}"#, "type"), Some("3"));
    assert_eq!(field(r#"{"TYPE":1,"typ":2,"type ":3}"#, "type"), None);
}

#[test]
fn kinds_tell_values_apart() {
    for (json, kind) in [
        ("null", Kind::Null),
        ("true", Kind::Bool),
        ("-0", Kind::Number),
        ("\"\"", Kind::String { has_escape: false }),
        ("\"\\n\"", Kind::String { has_escape: true }),
        ("[]", Kind::Array),
        ("{}", Kind::Object),
    ] {
        assert_eq!(with_value(json, |value| value.kind()), kind, "{json}");
        assert_eq!(with_value(json, |value| value.is_null()), kind == Kind::Null, "{json}");
    }
}

#[test]
fn numbers_follow_the_grammar() {
    for json in
        ["0", "-0", "-0.0", "0e0", "0E+01", "1e0001", "1.5e-3", "10", "123456789012345678901234567890"]
    {
        assert!(is_valid(json), "{json}");
    }
    for json in
        ["01", "-01", "1.", ".5", "+1", "-", "1e", "1e+", "0x1", "1_0", "NaN", "Infinity", "-Infinity", "--1"]
    {
        assert!(!is_valid(json), "{json}");
        assert!(!is_valid(format!("{{\"data\":{json}}}")), "{json}");
        assert!(!is_valid(format!("[{json},1]")), "{json}");
    }
}

#[test]
fn numbers_that_overflow_f64_are_invalid_and_those_that_underflow_are_not() {
    for json in ["1e308", "-1e308", "1e-999", "0e999", "0e99999999999", "1e-99999999999", "0.00001e310"] {
        assert!(is_valid(json) && is_valid(format!("{{\"data\":{json}}}")), "{json}");
    }
    for json in ["1e309", "-1e309", "1e999", "1e99999999999", "123e307"] {
        assert!(!is_valid(json) && !is_valid(format!("{{\"data\":{json}}}")), "{json}");
    }
    let digits = |count: usize| "9".repeat(count);
    assert!(is_valid(digits(200)) && is_valid(digits(308)) && !is_valid(digits(310)));
    assert!(is_valid(format!("{}e99", digits(200))) && !is_valid(format!("{}e99", digits(220))));
    assert!(is_valid(format!("{}e-99", digits(308))) && is_valid(format!("0.{}", digits(5000))));
}

#[test]
fn the_border_of_f64_is_exact() {
    // serde_json rounds here, so it is not asked.
    let verdicts = |json: &str| {
        let mut found = Found::default();
        let mut tape = TapeReader::default();
        let scanned = scan::scan(json, &KEYS, Doubts::Settle, &mut found).is_ok();
        (scanned, tape.read(json, &KEYS, &mut found).is_ok())
    };
    assert_eq!(verdicts("1.7976931348623157e308"), (true, true));
    assert_eq!(verdicts("1.7976931348623158e308"), (true, true));
    assert_eq!(verdicts("1.7976931348623159e308"), (false, false));
    assert_eq!(verdicts("179769313486231580793e289"), (false, false));
    assert_eq!(verdicts("0.17976931348623157e309"), (true, true));
}

#[test]
fn strings_may_not_hold_unescaped_control_characters() {
    for control in 0..0x20_u8 {
        assert!(!is_valid([b"{\"data\":\"a", &[control][..], b"\"}"].concat()), "{control:#x}");
        assert!(!is_valid([b"{\"a", &[control][..], b"\":1}"].concat()), "{control:#x}");
    }
    assert!(is_valid("\"\u{7f}\u{80}\u{2028}\u{feff}\u{10ffff}\""));
}

#[test]
fn escapes_follow_the_grammar() {
    assert!(is_valid(r#""\"\\\/\b\f\n\r\t\u0000\u00e9\uFFFF""#));
    for json in [
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\U0041""#,
        r#""\"#,
        r#""\""#,
        r#""\u"#,
        r#""\'""#,
        r#""\0""#,
    ] {
        assert!(!is_valid(json), "{json}");
    }
}

#[test]
fn surrogates_must_come_in_pairs() {
    assert!(is_valid(r#""\ud83d\ude00""#) && is_valid(r#""\uDBFF\uDFFF""#));
    for json in [
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ude00\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\ud83d\ude00""#,
        r#""\ud83d\u""#,
    ] {
        assert!(!is_valid(json), "{json}");
        assert!(!is_valid(format!("{{{json}:1}}")), "{json} as a key");
    }
}

#[test]
fn invalid_utf8_is_invalid_everywhere() {
    for bytes in
        [&b"\xff"[..], b"\xc0\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82"]
    {
        assert!(!is_valid([b"\"", bytes, b"\""].concat()), "{bytes:x?}");
        assert!(!is_valid([b"{\"type\":1}", bytes].concat()), "{bytes:x?}");
    }
}

#[test]
fn a_byte_order_mark_is_invalid() {
    assert!(!is_valid("\u{feff}{}"));
}

#[test]
fn only_the_four_kinds_of_white_space_count() {
    assert!(is_valid("\t\n\r {\t\n\r }\t\n\r "));
    for space in ["\u{b}", "\u{c}", "\u{a0}", "\u{85}", "\0", "\u{2003}", "/**/"] {
        for place in
            [format!("{space}{{}}"), format!("{{}}{space}"), format!("[1{space}]"), format!("[{space}true]")]
        {
            assert!(!is_valid(&place), "{place:?}");
        }
    }
}

#[test]
fn punctuation_follows_the_grammar() {
    for json in [
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1;2]",
        "[1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{1:2}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\"::1}",
        "{\"a\":1]",
        "[\"a\":1]",
        "{\"a\",1}",
        "[[]",
        "[]]",
        "{}}",
        "{} {}",
        "{}x",
        "[1][2]",
        "{\"data\":[}",
        "{\"data\":[1,{]}}",
        "{null:1}",
    ] {
        assert!(!is_valid(json), "{json}");
    }
}

#[test]
fn every_byte_inserted_anywhere_gets_the_same_verdict_from_all() {
    let bases: [&[u8]; 5] =
        [b"{\"type\":1,\"data\":[true,-2.5e1,\"\\n\"]}", b"[null]", b"{\"d\\u0061ta\":0}", b"false", b" 12 "];
    for base in bases {
        for at in 0..=base.len() {
            for byte in 0..=u8::MAX {
                let _ = judged_by_all(&[&base[..at], &[byte], &base[at..]].concat());
            }
        }
    }
}

#[test]
fn every_cut_message_is_invalid() {
    let source = r#"{"type":"MSG","call_id":"x\u00e9","data":{"a":[1,2.5,null]},"content_type":"json"}"#;
    for end in 0..source.len() {
        assert!(!is_valid(&source[..end]), "{}", &source[..end]);
    }
}

#[test]
fn nesting_is_allowed_up_to_the_limit_and_not_beyond() {
    let limit = DEPTH_MAX as usize;
    assert!(is_valid(nested(limit)) && !is_valid(nested(limit + 1)));
    let inside = |depth| format!("{{\"data\":{},\"d\\u0061\":1}}", nested(depth));
    assert!(is_valid(inside(limit - 1)) && !is_valid(inside(limit)));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(is_valid(objects(limit)) && !is_valid(objects(limit + 1)));
    assert!(is_valid(format!("[{}]", vec![nested(limit - 1); 3].join(","))));
}

#[test]
fn hostile_nesting_is_refused_without_recursion() {
    const DEPTH: usize = 100_000;
    for source in [
        nested(DEPTH),
        "[".repeat(DEPTH),
        "{\"a\":".repeat(DEPTH),
        format!("{{\"\\u0061\":{}", "[{".repeat(DEPTH)),
    ] {
        assert!(!is_valid(&source));
    }
}

#[test]
fn long_strings_and_numbers_are_read_in_full() {
    let long = "x".repeat(1_000_000);
    let message = format!(r#"{{"type":"{long}","data":"{long}\n"}}"#);
    assert_eq!(field(&message, "type").map(str::len), Some(long.len() + 2));
    let digits = format!(r#"{{"data":0.{}}}"#, "7".repeat(100_000));
    assert_eq!(field(&digits, "data").map(str::len), Some(100_002));
}

#[test]
fn sixteen_mebibytes_and_a_million_fields_take_linear_time() {
    let mut parser = Parser::new();
    let string = format!(r#"{{"\u0061":1e300,"data":"{}"}}"#, "x".repeat(16 << 20));
    assert!(matches!(parser.parse(&KEYS, string.as_bytes()), Ok(Parsed::Object(_))));
    let fields: String = (0..1_000_000).map(|n| format!("\"k{n}\":{n},")).collect();
    let message = format!(r#"{{{fields}"data":1,"da\u0074a":2}}"#);
    let Ok(Parsed::Object(object)) = parser.parse(&KEYS, message.as_bytes()) else { panic!("not an object") };
    assert_eq!(object.get(KEYS.key("data")).and_then(|value| value.as_f64()), Some(2.0));
}

#[test]
fn a_parser_forgets_the_previous_message() {
    let mut parser = Parser::new();
    for source in [r#"{"type":1,"data":2}"#, r#"{"t\u0079pe":1,"data":2}"#] {
        assert!(parser.parse(&KEYS, source.as_bytes()).is_ok());
        for next in [r#"{"call_id":3}"#, r#"{"c\u0061ll_id":3}"#] {
            let Ok(Parsed::Object(object)) = parser.parse(&KEYS, next.as_bytes()) else {
                panic!("not an object")
            };
            assert_eq!(object.get(KEYS.key("data")), None, "{source} then {next}");
            assert!(object.get(KEYS.key("call_id")).is_some(), "{source} then {next}");
        }
        assert_eq!(parser.parse(&KEYS, b"{\"d\\u0061ta\":").err(), Some(InvalidJson));
    }
}

#[test]
fn a_field_outlives_the_parsers_next_message() {
    let mut parser = Parser::new();
    let first = br#"{"data":"kept"}"#.to_vec();
    let value = match parser.parse(&KEYS, &first) {
        Ok(Parsed::Object(object)) => object.get(KEYS.key("data")),
        _ => None,
    };
    assert!(parser.parse(&KEYS, b"{}").is_ok());
    assert_eq!(value.and_then(|value| value.as_str()).as_deref(), Some("kept"));
}

#[test]
fn strings_are_borrowed_unless_they_have_escapes() {
    use std::borrow::Cow;
    with_value("\"pl\u{e4}in\"", |value| {
        assert!(matches!(value.as_str(), Some(Cow::Borrowed("pl\u{e4}in"))))
    });
    with_value(r#""\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00!""#, |value| {
        assert_eq!(value.as_str().as_deref(), Some("\"\\/\u{8}\u{c}\n\r\t\u{e4}\u{1f600}!"));
    });
    with_value("5", |value| assert_eq!(value.as_str(), None));
}

#[test]
fn numbers_and_booleans_are_read_only_as_what_they_are() {
    assert_eq!(with_value("-2.5e1", |value| value.as_f64()), Some(-25.0));
    assert_eq!(with_value("\"5\"", |value| value.as_f64()), None);
    assert_eq!(with_value("true", |value| value.as_bool()), Some(true));
    assert_eq!(with_value("false", |value| value.as_bool()), Some(false));
    assert_eq!(with_value("0", |value| value.as_bool()), None);
}

#[test]
fn elements_come_in_their_order() {
    with_value(r#"[ "a]" ,{"b":[1,2]}, [ ] ,null,-1.5e3,true]"#, |value| {
        let raw: Vec<&str> = value.elements().expect("an array").map(|element| element.raw_str()).collect();
        assert_eq!(raw, ["\"a]\"", "{\"b\":[1,2]}", "[ ]", "null", "-1.5e3", "true"]);
    });
    assert_eq!(with_value("[ ]", |value| value.elements().map(Iterator::count)), Some(0));
    assert!(with_value("{}", |value| value.elements().is_none()));
}

#[test]
fn members_are_found_by_name_and_the_last_one_wins() {
    with_value(r#"{"near":{"lat":1},"x":"}\"{","n\u0065ar" : {"lat":2.5} ,"y":[]}"#, |value| {
        let near = value.member("near").expect("there");
        assert_eq!(near.member("lat").and_then(|lat| lat.as_f64()), Some(2.5));
        assert_eq!(value.member("x").and_then(|x| x.as_str()).as_deref(), Some("}\"{"));
        assert_eq!(value.member("absent"), None);
    });
    assert!(with_value("[1]", |value| value.member("near").is_none()));
}

#[test]
fn large_buffers_of_the_tape_are_given_back() {
    let mut parser = Parser::new();
    let message = format!(r#"{{"\u0061":[{}0]}}"#, "0,".repeat(400_000));
    assert!(parser.parse(&KEYS, message.as_bytes()).is_ok());
    assert_eq!(parser.tape.kept_bytes(), 0);
    let small = r#"{"\u0061":[0]}"#;
    assert!(parser.parse(&KEYS, small.as_bytes()).is_ok());
    let kept = parser.tape.kept_bytes();
    assert!(kept > 0);
    assert!(parser.parse(&KEYS, small.as_bytes()).is_ok());
    assert_eq!(parser.tape.kept_bytes(), kept);
}
