//! How long does WebSocket framing take: decode with unmasking, and encode?
//!
//! One frame, 64 frames of one read, and a frame that comes in two reads; fastwebsockets' unmask alone beside them. The
//! input is copied anew before each decode, as the read of a socket fills the buffer anew, because unmasking changes
//! it: `copy` shows what that copy costs by itself. What comes out is checked once against what went in.

mod support;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::frames::{MASK, client_text};
use systemx::websocket::{Decoder, Incoming, Limits, MessageKind, encoder};

const SIZES: [(&str, usize); 5] =
    [("64", 64), ("256", 256), ("1k", 1 << 10), ("16k", 16 << 10), ("64k", 64 << 10)];
/// Frames of one read in the case of many.
const BURST: usize = 64;
/// Largest payload of which [`BURST`] frames come at once: the server reads 64 KiB at most.
const BURST_PAYLOAD_MAX: usize = 1 << 10;
/// Where the payload of a frame that is encoded begins in its buffer. Not at the start: a copy between two buffers that
/// begin on pages, a few bytes apart within the page, takes ten times as long on processors with a slow `rep movsb`
/// (16 KiB: 4.7 us instead of 0.3), and a payload behind a client's head and keys does not begin on a page.
const PAYLOAD_AT: usize = 2000;

/// Decodes everything in `input`; how many messages of how many bytes came out.
fn decode_all(decoder: &mut Decoder, input: &mut [u8]) -> (usize, usize) {
    let (mut at, mut messages, mut bytes) = (0, 0, 0);
    loop {
        let step = decoder.next(&mut input[at..], &Limits::REGISTERED);
        at += step.consumed;
        match step.incoming {
            Incoming::Message(message) => {
                messages += 1;
                bytes += message.as_bytes().len();
            }
            Incoming::NeedMore => return (messages, bytes),
            other => unreachable!("{other:?}"),
        }
    }
}

fn verify(payload: &[u8], frame: &[u8]) {
    let mut decoder = Decoder::new();
    let (mut first, mut second) = (frame[..frame.len() / 2].to_vec(), frame[frame.len() / 2..].to_vec());
    assert_eq!(decode_all(&mut decoder, &mut first), (0, 0));
    let step = decoder.next(&mut second, &Limits::REGISTERED);
    assert!(matches!(step.incoming, Incoming::Message(message) if message.as_bytes() == payload));
    let mut whole = frame.to_vec();
    let step = Decoder::new().next(&mut whole, &Limits::REGISTERED).incoming.into_owned();
    assert!(matches!(step, Incoming::Message(message) if message.as_bytes() == payload));
}

fn decode_size(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, payload: &[u8]) {
    let frame = client_text(payload);
    verify(payload, &frame);
    let mut buffer = frame.clone();
    let mut decoder = Decoder::new();
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function(BenchmarkId::new("copy", name), |bencher| {
        bencher.iter(|| black_box(&mut buffer).copy_from_slice(black_box(&frame)));
    });
    group.bench_function(BenchmarkId::new("one", name), |bencher| {
        bencher.iter(|| {
            buffer.copy_from_slice(black_box(&frame));
            decode_all(&mut decoder, &mut buffer)
        });
    });
    let cut = frame.len() / 2;
    group.bench_function(BenchmarkId::new("cut_in_two", name), |bencher| {
        bencher.iter(|| {
            buffer.copy_from_slice(black_box(&frame));
            let (first, second) = buffer.split_at_mut(cut);
            decode_all(&mut decoder, first);
            decode_all(&mut decoder, second)
        });
    });
    group.bench_function(BenchmarkId::new("fastwebsockets_unmask", name), |bencher| {
        bencher.iter(|| {
            buffer.copy_from_slice(black_box(&frame));
            let head = frame.len() - payload.len();
            fastwebsockets::unmask(&mut buffer[head..], MASK);
            black_box(&buffer);
        });
    });
    if payload.len() <= BURST_PAYLOAD_MAX {
        decode_burst(group, name, &frame, payload.len());
    }
}

fn decode_burst(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, frame: &[u8], payload_len: usize) {
    let frames = frame.repeat(BURST);
    let mut buffer = frames.clone();
    let mut decoder = Decoder::new();
    assert_eq!(decode_all(&mut decoder, &mut buffer), (BURST, BURST * payload_len));
    group.throughput(Throughput::Bytes((BURST * payload_len) as u64));
    group.bench_function(BenchmarkId::new("64_in_one_read", name), |bencher| {
        bencher.iter(|| {
            buffer.copy_from_slice(black_box(&frames));
            decode_all(&mut decoder, &mut buffer)
        });
    });
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame_decode");
    support::short(&mut group);
    for (name, size) in SIZES {
        decode_size(&mut group, name, &"text of a message ".repeat(size / 18 + 1).as_bytes()[..size]);
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame_encode");
    support::short(&mut group);
    for (name, size) in SIZES {
        let buffer = vec![b'x'; PAYLOAD_AT + size];
        let payload = &buffer[PAYLOAD_AT..];
        let mut out = Vec::new();
        encoder::message(&mut out, MessageKind::Text, payload);
        assert!(out.ends_with(payload) && out[0] == 0x81, "a whole text frame");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("message", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                encoder::message(&mut out, MessageKind::Text, black_box(payload));
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
