//! How long does it take to write a notice as a frame of the native protocol, head included?
//!
//! Each notice that a client hears, small and large, into a buffer that is warm. The text of each is checked once to be
//! JSON of the right type, and the hint on its length to be exact, because a wrong one moves the payload.

mod support;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::exchange::{address, agent};
use systemx::dialect::systemx::{encode, encoded_len_hint};
use systemx::exchange::cause::{Cause, Reason};
use systemx::exchange::effect::{Name, Notice, Payload, PresenceEntry};
use systemx::exchange::event::{ContentType, Status};
use systemx::exchange::ids::{CallId, SessionId};
use systemx::websocket::{MessageKind, encoder};

const CALL_ID: &str = "0190c8f0-1234-8abc-9def-0123456789ab";

/// The data of messages: a JSON string of so many bytes.
fn data(bytes: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes()
}

fn presence(entries: usize) -> Notice<'static> {
    let metadata = Some(Bytes::from_static(br#"{"capabilities":["chat"],"version":3}"#));
    let entry = |number| PresenceEntry {
        address: address(&agent(number)),
        status: Status::Available,
        metadata: metadata.clone(),
    };
    Notice::Presence { entries: (0..entries).map(entry).collect(), truncated: false }
}

/// Names, types and notices. Messages borrow their data, as those of the same shard do.
fn notices(small: &[u8], large: &[u8]) -> Vec<(&'static str, &'static str, Notice<'static>)> {
    let call = CallId::parse(CALL_ID.as_bytes());
    let (me, you) = (address(&agent(1)), address(&agent(2)));
    let message = |data: &[u8]| Notice::Message {
        call,
        from: me.clone(),
        data: Payload::Shared(Bytes::copy_from_slice(data)),
        content_type: ContentType::Text,
    };
    let ring = Notice::Ring { from: me.clone(), call, metadata: Payload::Absent, listener: None };
    let busy =
        Notice::Busy { to: Name::Address(you.clone()), reason: Cause::AlreadyInCall.into(), reference: None };
    vec![
        ("RING", "RING", ring),
        ("CONNECTED", "CONNECTED", Notice::Connected { call, to: you.clone(), reference: None }),
        ("MSG_64", "MSG", message(small)),
        ("MSG_16k", "MSG", message(large)),
        ("BUSY", "BUSY", busy),
        ("HANGUP", "HANGUP", Notice::HungUp { call, reason: Reason::Cause(Cause::Normal), from: None }),
        ("PRESENCE_10", "PRESENCE_RESULT", presence(10)),
        ("PRESENCE_1000", "PRESENCE_RESULT", presence(1000)),
        ("REGISTERED", "REGISTERED", Notice::Registered { address: me, session: SessionId::mint(1) }),
        ("HEARTBEAT_ACK", "HEARTBEAT_ACK", Notice::HeartbeatHeard { wall_ms: 1_763_000_000_000 }),
    ]
}

fn write(notice: &Notice<'_>, out: &mut Vec<u8>) {
    let mark = encoder::begin_expecting(out, encoded_len_hint(notice));
    encode(notice, out);
    mark.finish(out, MessageKind::Text);
}

fn verify(kind: &str, notice: &Notice<'_>) -> usize {
    let mut text = Vec::new();
    encode(notice, &mut text);
    let value: serde_json::Value = serde_json::from_slice(&text).expect("a notice is JSON");
    assert_eq!(value["type"], kind);
    assert_eq!(encoded_len_hint(notice), text.len(), "{kind}");
    text.len()
}

fn encode_notices(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    support::short(&mut group);
    for (name, kind, notice) in &notices(&data(64), &data(16 << 10)) {
        let len = verify(kind, notice);
        group.throughput(Throughput::Bytes(len as u64));
        let mut out = Vec::new();
        group.bench_with_input(BenchmarkId::from_parameter(name), notice, |bencher, notice| {
            bencher.iter(|| {
                out.clear();
                write(black_box(notice), &mut out);
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode_notices);
criterion_main!(benches);
