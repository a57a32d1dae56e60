//! How long does one message take to validate and split into fields? Ours beside simd-json and serde_json, for a
//! control frame and MSG frames of 1 and 16 KiB whose data is an escaped string, a dense object, or base64.
//! Inputs are built outside the timed part; the mutable copy that simd-json needs is part of its cost.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use serde_json::value::RawValue;
use systemx::dialect::json::{Keys, Parsed, Parser};

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
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
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

criterion_group!(benches, parse);
criterion_main!(benches);
