//! Differential tests: the scanner, the tape and serde_json must give every input the same verdict and the same
//! spans, and values read on demand must equal serde_json's tree. Mutations are drawn from a seed, so every run on
//! stable is the same; `SYSTEMX_JSON_FUZZ_INPUTS` and `SYSTEMX_JSON_FUZZ_SEED` make it longer or different.
//! Where serde_json judges by other rules than ours, `judged_by_serde` says so and corrects it there.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::*;

const NAMES: [&str; 8] = ["type", "call_id", "data", "content_type", "metadata", "to", "a", ""];

pub(super) const KEYS: Keys = Keys::new(&NAMES);

const INPUTS: u64 = 200_000;
const MUTATIONS_MAX: u64 = 6;
const INPUT_BYTES_MAX: usize = 2_000;

/// The wanted fields of an object in the order of `NAMES`: where each stands and what it is.
type Fields = Vec<Option<(usize, usize, Kind)>>;

/// `Ok(None)` is valid JSON that is no object.
pub(super) type Verdict = Result<Option<Fields>, InvalidJson>;

/// The verdict of all three judges; panics unless they agree.
pub(super) fn judged_by_all(source: &[u8]) -> Verdict {
    let expected = judged_by_serde(source);
    let shown = || String::from_utf8_lossy(&source[..source.len().min(INPUT_BYTES_MAX)]).into_owned();
    assert_eq!(judged_by_parser(source), expected, "the parser: {}", shown());
    if let Ok(text) = str::from_utf8(source) {
        assert_eq!(judged_by_scanner(text), expected, "the scanner: {}", shown());
        assert_eq!(judged_by_tape(text), expected, "the tape: {}", shown());
    }
    expected
}

fn judged_by_parser(source: &[u8]) -> Verdict {
    let mut parser = Parser::new();
    let Parsed::Object(object) = parser.parse(&KEYS, source)? else { return Ok(None) };
    let field = |name: &&str| {
        let value = object.get(KEYS.key(name))?;
        let start = value.raw().as_ptr().addr() - source.as_ptr().addr();
        Some((start, start + value.raw().len(), value.kind()))
    };
    Ok(Some(NAMES.iter().map(field).collect()))
}

fn judged_by_scanner(text: &str) -> Verdict {
    let mut found = Found::default();
    let settled = scan::scan(text, &KEYS, Doubts::Settle, &mut found);
    let verdict = verdict_of(settled.map_err(|_| InvalidJson), &found);
    match scan::scan(text, &KEYS, Doubts::Leave, &mut found) {
        Err(Stop::Unsure) => {}
        Err(Stop::Invalid) => assert_eq!(verdict, Err(InvalidJson)),
        Ok(shape) => assert_eq!(verdict, verdict_of(Ok(shape), &found)),
    }
    verdict
}

fn judged_by_tape(text: &str) -> Verdict {
    let mut found = Found::default();
    let read = TapeReader::default().read(text, &KEYS, &mut found);
    verdict_of(read, &found)
}

fn verdict_of(result: Result<Shape, InvalidJson>, found: &Found) -> Verdict {
    let field = |name: &&str| found.get(KEYS.key(name)).map(|span| (span.start, span.end, span.kind));
    match result? {
        Shape::Object => Ok(Some(NAMES.iter().map(field).collect())),
        Shape::NotObject => Ok(None),
    }
}

/// serde_json's tree decides on validity: unlike its `RawValue` it refuses lone surrogates and numbers beyond `f64`.
/// Its nesting limit is 128, so depth is counted here. Spans come from `RawValue`s, whose map keeps the last of
/// repeated keys, as the tree does.
fn judged_by_serde(source: &[u8]) -> Verdict {
    let tree: serde_json::Value = serde_json::from_slice(source).map_err(|_| InvalidJson)?;
    if depth_of_valid(source) > DEPTH_MAX {
        return Err(InvalidJson);
    }
    let serde_json::Value::Object(members) = tree else { return Ok(None) };
    let raw: BTreeMap<String, &RawValue> = serde_json::from_slice(source).expect("the tree was valid");
    let field = |name: &&str| {
        let text = raw.get(*name)?.get();
        let start = text.as_ptr().addr() - source.as_ptr().addr();
        Some((start, start + text.len(), kind_of(&members[*name], text)))
    };
    Ok(Some(NAMES.iter().map(field).collect()))
}

fn kind_of(value: &serde_json::Value, text: &str) -> Kind {
    match value {
        serde_json::Value::Null => Kind::Null,
        serde_json::Value::Bool(_) => Kind::Bool,
        serde_json::Value::Number(_) => Kind::Number,
        serde_json::Value::String(_) => Kind::String { has_escape: text.contains('\\') },
        serde_json::Value::Array(_) => Kind::Array,
        serde_json::Value::Object(_) => Kind::Object,
    }
}

fn depth_of_valid(source: &[u8]) -> u32 {
    let (mut depth, mut deepest, mut in_string, mut at) = (0, 0, false, 0);
    while let Some(&byte) = source.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    deepest
}

/// Reads a value with our accessors into serde_json's tree; numbers by serde_json, whose rounding differs.
fn tree_of(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool => value.as_bool().expect("a boolean").into(),
        Kind::Number => serde_json::from_str(value.raw_str()).expect("a number"),
        Kind::String { .. } => value.as_str().expect("a string").into_owned().into(),
        Kind::Array => value.elements().expect("an array").map(tree_of).collect(),
        Kind::Object => {
            let members = value.members().expect("an object");
            members.map(|(key, member)| (key.into_owned(), tree_of(member))).collect()
        }
    }
}

/// The whole message as one value, which the parser itself never makes.
fn check_reading(source: &[u8]) {
    let Ok(text) = str::from_utf8(source) else { return };
    let Some(value) = value::Walk::new(text).next_value() else { return };
    let expected: serde_json::Value = serde_json::from_slice(source).expect("judged valid");
    assert_eq!(tree_of(value), expected, "{text}");
    assert!(display_js(Some(value)).len() <= DISPLAY_BYTES_MAX, "{text}");
}

/// Messages to start from: ordinary ones, and nasty ones in the manner of JSONTestSuite.
const SEEDS: [&str; 24] = [
    r#"{"type":"DIAL","to":"bob@example.com","metadata":{"subject":"x","n":[1,2.5,-3e-2,null,true]}}"#,
    r#"{"type":"MSG","call_id":"0190c8f0-0000-8000-8000-000000000000","data":"hello\n\"you\"","content_type":"text"}"#,
    r#"{"call_id":"c","type":"MSG","content_type":"json","data":{"a":{"b":[{"c":[]},{}]},"d":"\u00e9\ud83d\ude00"}}"#,
    r#" { "type" : "MSG" , "data" : [ 1 , 2 , [ ] , { } ] , "d\u0061ta" : null } "#,
    r#"{"a":1,"a":2,"":3,"\u0061":"\\","to":"\/\b\f\n\r\t"}"#,
    r#"{"__proto__":{"x":1},"constructor":[],"data":"__proto__"}"#,
    r#"{"data":123456789012345678901234567890,"a":-0,"to":0.1e-7,"metadata":1E400}"#,
    r#"{"data":-9223372036854775808,"a":18446744073709551616,"to":1e-400,"type":-18446744073709551616}"#,
    r#"{"data":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
    r#"{"data":"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\""}"#,
    "{\"data\":\"\u{e4}\u{20ac}\u{1f600}\u{2028}\u{7f}\",\"\u{e4}\":\"\u{0}\"}",
    r#"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#,
    r#"{"data":[{"a":[{"a":[{"a":[{"a":[{"a":[{"a":[{"a":[{"a":[{"a":[{"a":[1]}]}]}]}]}]}]}]}]}]}]}"#,
    r#"["",0,-1,1.5,true,false,null,[],{},"\u0000"]"#,
    r#""\ud83d\ude00\u0041""#,
    r#"{"type":"PRESENCE","metadata":{"near":{"lat":48.1,"lon":11.5,"radius_km":10}}}"#,
    "{}",
    "[]",
    "null",
    "true",
    "false",
    "-12.5E+7",
    "\u{feff}{}",
    "",
];

/// Pieces that a mutation may put in.
const PIECES: [&[u8]; 40] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\n",
    b"\0",
    b"\x0c",
    b"\x1f",
    b"\x7f",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\\u0061",
    b"\\ud83d",
    b"\\ude00",
    b"\\u00",
    b"\\n",
    b"0",
    b"-",
    b".",
    b"e",
    b"1e999",
    b"1E308",
    b"9e307",
    b"1e-400",
    b"99999999999999999999999",
    b"null",
    b"true",
    b"\"data\":1,",
    b"\"d\\u0061ta\":2,",
    b"[1,2]",
    b"{\"a\":\"b\"}",
    b"[[[[[[[[[[[[[[[[[[[[[[",
    b"]]]]]]]]]]]]]]]]]]]]]]",
];

/// SplitMix64: enough for tests, and needs no dependency.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    /// A range of up to 16 bytes within `length`.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(16)).min(length)
    }
}

fn mutate(input: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(input.len() + 1);
    match dice.below(8) {
        0 => drop(input.drain(dice.range(input.len()))),
        1 => input.truncate(at),
        2 if !input.is_empty() => {
            let at = dice.below(input.len());
            input[at] ^= 1 << dice.below(8);
        }
        3 => {
            let copied = input[dice.range(input.len())].to_vec();
            input.splice(at..at, copied);
        }
        4 => {
            let other = SEEDS[dice.below(SEEDS.len())].as_bytes();
            input.splice(at..at, other[dice.range(other.len())].to_vec());
        }
        5 => {
            let replaced = dice.range(input.len());
            input.splice(replaced, PIECES[dice.below(PIECES.len())].iter().copied());
        }
        _ => drop(input.splice(at..at, PIECES[dice.below(PIECES.len())].iter().copied())),
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn mutated_messages_get_the_same_verdict_and_spans_from_all() {
    let mut dice = Dice(setting("SYSTEMX_JSON_FUZZ_SEED", 1));
    let (mut valid, mut objects) = (0, 0);
    let inputs = setting("SYSTEMX_JSON_FUZZ_INPUTS", INPUTS);
    for _ in 0..inputs {
        let mut input = SEEDS[dice.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..dice.roll() % MUTATIONS_MAX {
            mutate(&mut input, &mut dice);
        }
        let Ok(fields) = judged_by_all(&input) else { continue };
        check_reading(&input);
        valid += 1;
        objects += u64::from(fields.is_some());
    }
    // Were nearly all inputs invalid, their agreement would say little.
    assert!(valid * 10 >= inputs && objects * 20 >= inputs, "{valid} valid, {objects} objects of {inputs}");
}
