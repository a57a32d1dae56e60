//! Fuzz bodies for the decoder: plain functions that a fuzzer, a test with seeds and a corpus replay all call.
//!
//! Nothing here runs in production. A body panics when a property is broken, and only then.

use super::{Decoder, Incoming, Limits, Sender};

/// Small, so that short inputs reach the size cap too.
const LIMITS: Limits = Limits { message_len_max: 2048, sender: Sender::Client };

/// Any bytes: decoding returns, holds no more memory than twice what it was fed (plus the boxes), and gives the same
/// results whether the bytes come at once, one by one, in uneven reads, or are carried in between.
///
/// # Panics
/// If one of these does not hold.
pub fn decode_any(bytes: &[u8]) {
    let at_once = decode(bytes, &LIMITS, || usize::MAX, false);
    assert_eq!(at_once, decode(bytes, &LIMITS, || 1, false), "one byte at a time");
    let mut state =
        bytes.iter().fold(1, |hash: u32, &byte| hash.wrapping_mul(31).wrapping_add(byte.into())) | 1;
    let mut uneven = || {
        // xorshift32: any sequence will do, as long as the input determines it.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % 40
    };
    assert_eq!(at_once, decode(bytes, &LIMITS, &mut uneven, false), "uneven reads");
    assert_eq!(at_once, decode(bytes, &LIMITS, &mut uneven, true), "uneven reads, carried");
}

/// Decodes a stream cut into reads of `read_len()` bytes until it ends, closes or breaks a rule. With `carry` the
/// decoder carries every read and decodes one event a turn, as a shard short of budget does.
///
/// # Panics
/// If the decoder holds more memory than it may.
pub fn decode(
    bytes: &[u8],
    limits: &Limits,
    mut read_len: impl FnMut() -> usize,
    carry: bool,
) -> Vec<Incoming<'static>> {
    let mut events = Vec::new();
    let mut decoder = Decoder::new();
    let mut fed = 0;
    while fed < bytes.len() && !is_over(&events) {
        let read = &bytes[fed..fed.saturating_add(read_len()).min(bytes.len())];
        fed += read.len();
        if carry {
            decoder.carry(read);
            while one_event_a_turn(&mut decoder, limits, &mut events) {}
        } else {
            drain(&mut decoder, &mut read.to_vec(), limits, &mut events);
        }
        assert!(decoder.buffered_bytes() <= 512 + 2 * fed, "{} after {fed}", decoder.buffered_bytes());
    }
    events
}

fn is_over(events: &[Incoming<'_>]) -> bool {
    matches!(events.last(), Some(Incoming::Close { .. } | Incoming::Violation(_)))
}

/// Decodes a whole read.
fn drain(decoder: &mut Decoder, read: &mut [u8], limits: &Limits, events: &mut Vec<Incoming<'static>>) {
    let mut at = 0;
    while !is_over(events) {
        let step = decoder.next(&mut read[at..], limits);
        at += step.consumed;
        match step.incoming {
            Incoming::NeedMore => return assert_eq!(at, read.len(), "bytes left behind"),
            incoming => events.push(incoming.into_owned()),
        }
    }
}

/// Decodes one event of what is carried; false when there is no more.
fn one_event_a_turn(decoder: &mut Decoder, limits: &Limits, events: &mut Vec<Incoming<'static>>) -> bool {
    let Some(mut carried) = decoder.take_carried() else { return false };
    let step = decoder.next(carried.unread(), limits);
    let (consumed, incoming) = (step.consumed, step.incoming.into_owned());
    carried.consume(consumed);
    decoder.put_back(carried);
    if incoming != Incoming::NeedMore {
        events.push(incoming);
    }
    !is_over(events)
}
