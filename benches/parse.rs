//! How long does one message take to validate and split into fields? Ours beside simd-json and serde_json, for a
//! control frame and MSG frames of 1 and 16 KiB whose data is an escaped string, a dense object, or base64. And how
//! long from each type of frame to the core's request, through the dialect's decoder, beside the bare parser.
//!
//! Inputs are built outside the timed part; the mutable copy that simd-json needs is part of its cost. Every type of
//! frame is checked once to become the request that it stands for.

mod support;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use serde_json::value::RawValue;
use systemx::dialect::json::{Keys, Parsed, Parser};
use systemx::dialect::systemx::Decoder;
use systemx::exchange::event::Verb;

/// As many names as a dialect wants.
const KEYS: Keys = Keys::new(&[
    "type",
    "call_id",
    "data",
    "content_type",
    "metadata",
    "to",
    "address",
    "auth",
    "concurrency",
    "max_listeners",
    "max_sessions",
    "pool_size",
    "mode",
    "wake_handler",
    "status",
    "auto_sleep",
    "reason",
    "domain",
    "capabilities",
    "near",
    "from",
    "routes",
    "party",
    "payload",
]);

const CALL_ID: &str = "0190c8f0-1234-8abc-9def-0123456789ab";

/// What the dialect reads of every message.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    call_id: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    content_type: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

fn message(data: &str) -> String {
    format!(r#"{{"type":"MSG","call_id":"{CALL_ID}","data":{data},"content_type":"json"}}"#)
}

/// `unit` repeated up to about `bytes`.
fn filled(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes / unit.len() + 1)
}

fn inputs() -> Vec<(String, String)> {
    let control =
        format!(r#"{{"type":"HANGUP","call_id":"{CALL_ID}","reason":"normal","sent_at":1763000000000}}"#);
    let escaped_key = control.replace("\"reason\"", "\"r\\u0065ason\"");
    let mut inputs = vec![("control".to_owned(), control), ("control_escaped_key".to_owned(), escaped_key)];
    for kib in [1, 16] {
        let bytes = kib * 1024;
        let line = "The agent said \\\"ready\\\" and then wrote another line of ordinary text, about ninety long.\\n";
        let string = message(&format!("\"{}\"", filled(line, bytes)));
        let members = filled(r#"{"id":17,"x":-2.5,"ok":true,"tag":"ab","list":[1,2,3]},"#, bytes);
        let object = message(&format!("[{}]", members.trim_end_matches(',')));
        let base64 = message(&format!("\"{}\"", filled("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo+", bytes)));
        inputs.push((format!("string_{kib}k"), string));
        inputs.push((format!("object_{kib}k"), object));
        inputs.push((format!("base64_{kib}k"), base64));
    }
    inputs
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    support::short(&mut group);
    for (name, text) in &inputs() {
        let source = text.as_bytes();
        group.throughput(Throughput::Bytes(source.len() as u64));
        let mut parser = Parser::new();
        group.bench_with_input(BenchmarkId::new("ours", name), source, |bencher, source| {
            bencher.iter(|| match parser.parse(&KEYS, black_box(source)) {
                Ok(Parsed::Object(object)) => {
                    (object.get(const { KEYS.key("type") }), object.get(const { KEYS.key("data") }))
                }
                _ => unreachable!("every input is an object"),
            });
        });
        group.bench_with_input(BenchmarkId::new("ours_checked_utf8", name), text, |bencher, text| {
            bencher.iter(|| parser.parse_str(&KEYS, black_box(text)).is_ok());
        });
        let mut scratch = Vec::new();
        let mut buffers = simd_json::Buffers::default();
        group.bench_with_input(BenchmarkId::new("simd_json_tape", name), source, |bencher, source| {
            bencher.iter(|| {
                scratch.clear();
                scratch.extend_from_slice(black_box(source));
                simd_json::to_tape_with_buffers(&mut scratch, &mut buffers).expect("valid").0.len()
            });
        });
        group.bench_with_input(BenchmarkId::new("simd_json_value", name), source, |bencher, source| {
            bencher.iter(|| {
                scratch.clear();
                scratch.extend_from_slice(black_box(source));
                black_box(simd_json::to_borrowed_value(&mut scratch).expect("valid"));
            });
        });
        if name.starts_with("control") {
            group.bench_with_input(BenchmarkId::new("serde_json_value", name), source, |bencher, source| {
                bencher
                    .iter(|| serde_json::from_slice::<serde_json::Value>(black_box(source)).expect("valid"));
            });
        }
        group.bench_with_input(BenchmarkId::new("serde_json_typed", name), source, |bencher, source| {
            bencher.iter(|| {
                let typed: Typed<'_> = serde_json::from_slice(black_box(source)).expect("valid");
                black_box(typed.data.map(RawValue::get));
            });
        });
    }
    group.finish();
}

/// One frame of each type, as clients send them, and the verb each stands for.
fn frames() -> Vec<(String, Verb, String)> {
    let (to, metadata) = ("agent-000001@unit-00000.agents", r#"{"capabilities":["chat"],"version":3}"#);
    let call = |kind: &str| format!(r#"{{"type":"{kind}","call_id":"{CALL_ID}"}}"#);
    let register = format!(r#"{{"type":"REGISTER","address":"{to}"}}"#);
    let profile = format!(r#"{{"type":"REGISTER","address":"{to}","metadata":{metadata}}}"#);
    let status = r#"{"type":"STATUS","status":"away"}"#.to_owned();
    let presence = r#"{"type":"PRESENCE","query":{"domain":"unit-00000.agents"}}"#.to_owned();
    let mut frames = vec![
        ("REGISTER".to_owned(), Verb::Register, register),
        ("REGISTER_metadata".to_owned(), Verb::Register, profile),
        ("DIAL".to_owned(), Verb::Dial, format!(r#"{{"type":"DIAL","to":"{to}"}}"#)),
        ("ANSWER".to_owned(), Verb::Answer, call("ANSWER")),
        ("HANGUP".to_owned(), Verb::HangUp, call("HANGUP")),
        ("HEARTBEAT".to_owned(), Verb::Heartbeat, r#"{"type":"HEARTBEAT"}"#.to_owned()),
        ("STATUS".to_owned(), Verb::Status, status),
        ("PRESENCE".to_owned(), Verb::Presence, presence),
    ];
    for (name, bytes) in [("64", 64), ("1k", 1 << 10), ("16k", 16 << 10)] {
        let text = message(&format!("\"{}\"", "a plain word, ".repeat(bytes / 14)));
        frames.push((format!("MSG_{name}"), Verb::Message, text));
    }
    frames
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    support::short(&mut group);
    let mut decoder = Decoder::new(support::wire::BOUNDS);
    let mut parser = Parser::new();
    for (name, verb, text) in &frames() {
        let request = decoder.decode_text(text, true).expect("a frame of the protocol");
        assert_eq!(request.verb(), *verb, "{text}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::new("to_request", name), text, |bencher, text| {
            bencher.iter(|| black_box(decoder.decode_text(black_box(text), true)).is_ok());
        });
        group.bench_with_input(BenchmarkId::new("bare_parser", name), text, |bencher, text| {
            bencher.iter(|| parser.parse_str(&KEYS, black_box(text)).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, parse, decode);
criterion_main!(benches);
