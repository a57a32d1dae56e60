//! Every framing rule by name, then properties over generated streams, then a comparison with fastwebsockets.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;

use super::*;
use crate::websocket::testing::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame, head, message, scripts,
};
use crate::websocket::{MessageKind, encoder, fuzz};

const LIMITS: Limits = Limits { message_len_max: 1000, sender: Sender::Client };

/// Decodes at once and byte by byte, which must agree.
fn decode(bytes: &[u8]) -> Vec<Incoming<'static>> {
    let at_once = fuzz::decode(bytes, &LIMITS, || usize::MAX, false);
    assert_eq!(at_once, fuzz::decode(bytes, &LIMITS, || 1, false));
    at_once
}

fn assert_violates(bytes: &[u8], violation: Violation) {
    assert_eq!(decode(bytes), [Incoming::Violation(violation)]);
}

fn text(payload: &str) -> Incoming<'static> {
    message(MessageKind::Text, payload.as_bytes())
}

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn a_decoder_at_rest_is_sixteen_bytes_and_owns_nothing() {
    assert!(size_of::<Decoder>() <= 16);
    let mut decoder = Decoder::new();
    let mut bytes = [frame(TEXT, b"a"), frame(FIN | CONTINUATION, b"b")].concat();
    let half = bytes.len() / 2;
    assert_eq!(decoder.next(&mut bytes[..half], &LIMITS).incoming, Incoming::NeedMore);
    assert!(decoder.buffered_bytes() > 0 && !decoder.is_idle());
    assert_eq!(decoder.next(&mut bytes[half..], &LIMITS).incoming, text("ab"));
    assert!(decoder.buffered_bytes() == 0 && decoder.is_idle());
}

#[test]
fn a_decoder_may_travel_to_another_thread() {
    fn assert_send<T: Send + 'static>() {}
    assert_send::<Decoder>();
}

#[test]
fn a_whole_frame_is_handed_out_from_the_input_without_a_copy() {
    let mut bytes = frame(FIN | BINARY, b"payload");
    let range = bytes.as_ptr_range();
    let mut decoder = Decoder::new();
    let step = decoder.next(&mut bytes, &LIMITS);
    assert_eq!(step.consumed, 13);
    let Incoming::Message(Message::Binary(Cow::Borrowed(payload))) = step.incoming else { panic!("copied") };
    assert!(range.contains(&payload.as_ptr()));
    assert_eq!((payload, decoder.buffered_bytes()), (&b"payload"[..], 0));
}

#[test]
fn a_control_frame_inside_a_fragmented_message_is_handed_out_without_a_copy() {
    let mut bytes = [frame(TEXT, b"a"), frame(FIN | PING, b"now")].concat();
    let incoming = Decoder::new().next(&mut bytes, &LIMITS).incoming;
    assert!(matches!(incoming, Incoming::Ping(Cow::Borrowed(b"now"))), "{incoming:?}");
}

#[test]
fn messages_of_all_length_encodings_arrive() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_001] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let bytes = frame(FIN | BINARY, &payload);
        for read_len in [usize::MAX, 1, 7, 4096] {
            let events = fuzz::decode(&bytes, &Limits::REGISTERED, || read_len, false);
            assert!(events == [message(MessageKind::Binary, &payload)], "{len} in reads of {read_len}");
        }
    }
}

#[test]
fn an_unmasked_frame_is_refused() {
    assert_violates(&[FIN | TEXT, 1, b'x'], Violation::Unmasked);
}

#[test]
fn each_reserved_bit_is_refused() {
    for bit in [0x40, 0x20, 0x10] {
        assert_violates(&frame(FIN | bit | TEXT, b"x"), Violation::ReservedBits);
        assert_violates(&frame(FIN | bit | PING, b"x"), Violation::ReservedBits);
    }
}

#[test]
fn each_reserved_opcode_is_refused() {
    for opcode in (3..=7).chain(11..=15) {
        assert_violates(&frame(FIN | opcode, b""), Violation::ReservedOpcode);
    }
}

#[test]
fn a_wrong_first_byte_is_refused_before_the_second_arrives() {
    assert_violates(&[FIN | 3], Violation::ReservedOpcode);
}

#[test]
fn control_frames_over_125_bytes_are_refused_by_their_head() {
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(decode(&frame(FIN | opcode, &[]))[..].len(), 1);
        assert_violates(&head(FIN | opcode, 126), Violation::ControlTooLong);
        assert_violates(&head(FIN | opcode, 70_000), Violation::ControlTooLong);
    }
    assert_eq!(decode(&frame(FIN | PING, &[1; 125])), [Incoming::Ping(Cow::Owned(vec![1; 125]))]);
}

#[test]
fn fragmented_control_frames_are_refused() {
    for opcode in [CLOSE, PING, PONG] {
        assert_violates(&frame(opcode, b""), Violation::ControlFragmented);
    }
}

#[test]
fn lengths_longer_than_needed_are_refused() {
    for len in [0_u16, 1, 125] {
        let bytes = [&[FIN | TEXT, 0x80 | 126][..], &len.to_be_bytes()].concat();
        assert_violates(&bytes, Violation::LengthNotMinimal);
    }
    for len in [0_u64, 125, 126, 65_535] {
        let bytes = [&[FIN | TEXT, 0x80 | 127][..], &len.to_be_bytes()].concat();
        assert_violates(&bytes, Violation::LengthNotMinimal);
    }
}

#[test]
fn a_length_with_its_top_bit_set_is_refused() {
    let bytes = [&[FIN | TEXT, 0x80 | 127][..], &(1_u64 << 63 | 70_000).to_be_bytes()].concat();
    assert_violates(&bytes, Violation::LengthTopBit);
}

#[test]
fn a_continuation_without_a_start_is_refused() {
    assert_violates(&frame(FIN | CONTINUATION, b"x"), Violation::ContinuationWithoutStart);
    let after_whole = [frame(FIN | TEXT, b"a"), frame(CONTINUATION, b"x")].concat();
    assert_eq!(decode(&after_whole), [text("a"), Incoming::Violation(Violation::ContinuationWithoutStart)]);
}

#[test]
fn a_new_message_inside_a_fragmented_one_is_refused() {
    for opcode in [TEXT, BINARY] {
        let bytes = [frame(TEXT, b""), frame(FIN | opcode, b"x")].concat();
        assert_violates(&bytes, Violation::MessageInsideMessage);
    }
}

#[test]
fn fragments_are_joined_and_control_frames_between_them_come_at_once() {
    let bytes = [
        frame(TEXT, b"one "),
        frame(FIN | PING, b"p"),
        frame(CONTINUATION, b""),
        frame(FIN | PONG, b"q"),
        frame(FIN | CONTINUATION, b"two"),
    ]
    .concat();
    let ping = Incoming::Ping(Cow::Borrowed(b"p"));
    let pong = Incoming::Pong(Cow::Borrowed(b"q"));
    assert_eq!(decode(&bytes), [ping, pong, text("one two")]);
}

#[test]
fn a_close_inside_a_fragmented_message_ends_it() {
    let mut decoder = Decoder::new();
    let mut bytes = [frame(TEXT, b"half"), close_frame(1001, b"bye")].concat();
    let step = decoder.next(&mut bytes, &LIMITS);
    let close = Incoming::Close { code: CloseCode::new(1001), reason: Cow::Borrowed("bye") };
    assert_eq!(step.incoming, close);
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn close_frames_carry_code_and_reason_or_neither() {
    let empty = Incoming::Close { code: None, reason: Cow::Borrowed("") };
    assert_eq!(decode(&frame(FIN | CLOSE, b"")), [empty]);
    let coded = Incoming::Close { code: CloseCode::new(4000), reason: Cow::Borrowed("für immer") };
    assert_eq!(decode(&close_frame(4000, "für immer".as_bytes())), [coded]);
}

#[test]
fn a_close_body_of_one_byte_is_refused() {
    assert_violates(&frame(FIN | CLOSE, &[3]), Violation::CloseBodyOfOneByte);
}

#[test]
fn close_codes_that_may_not_travel_are_refused() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        assert_violates(&close_frame(code, b""), Violation::CloseCodeInvalid);
    }
}

#[test]
fn a_close_reason_that_is_not_utf8_is_refused() {
    assert_violates(&close_frame(1000, &[0xCE, 0xBA, 0xFF]), Violation::CloseReasonNotUtf8);
}

#[test]
fn text_that_is_not_utf8_is_refused_and_binary_is_not_checked() {
    for bad in
        [&[0xFF][..], &[0xC0, 0xAF], &[0xED, 0xA0, 0x80], &[0xF4, 0x90, 0x80, 0x80], &[b'a', 0xE2, 0x82]]
    {
        assert_violates(&frame(FIN | TEXT, bad), Violation::TextNotUtf8);
        assert_eq!(decode(&frame(FIN | BINARY, bad)), [message(MessageKind::Binary, bad)]);
    }
}

#[test]
fn characters_cut_by_fragments_are_whole_again() {
    let pieces = "κόσμε😀".as_bytes().iter().map(|&byte| frame(CONTINUATION, &[byte]));
    let bytes =
        [frame(TEXT, b""), pieces.collect::<Vec<_>>().concat(), frame(FIN | CONTINUATION, b"")].concat();
    assert_eq!(decode(&bytes), [text("κόσμε😀")]);
}

#[test]
fn a_text_that_ends_inside_a_character_is_refused_at_its_end_only() {
    let open = [frame(TEXT, b"ok"), frame(CONTINUATION, &[0xE2, 0x82])].concat();
    assert_eq!(decode(&open), []);
    let ended = [open, frame(FIN | CONTINUATION, b"")].concat();
    assert_violates(&ended, Violation::TextNotUtf8);
}

#[test]
fn invalid_text_is_refused_on_the_byte_that_makes_it_so() {
    // 0xF4 0x90 can start no character, though a lone 0xF4 can; neither frame nor message has ended.
    let bytes = frame(TEXT, &[b'a', 0xF4, 0x90, 0x80, 0x80, b'z']);
    assert_eq!(decode(&bytes[..6 + 2]), []);
    assert_violates(&bytes[..6 + 3], Violation::TextNotUtf8);
}

#[test]
fn the_size_cap_counts_the_whole_message_and_is_decided_by_the_head() {
    assert_eq!(decode(&frame(FIN | TEXT, &[b'x'; 1000])), [text(&"x".repeat(1000))]);
    assert_violates(&frame(FIN | TEXT, &[b'x'; 1001])[..8], Violation::MessageTooBig);
    let fragments = [frame(BINARY, &[0; 600]), frame(CONTINUATION, &[0; 401])].concat();
    assert_violates(&fragments[..608 + 8], Violation::MessageTooBig);
    let huge = [head(FIN | BINARY, i64::MAX as usize), vec![0; 4]].concat();
    assert_violates(&huge, Violation::MessageTooBig);
}

#[test]
fn the_size_cap_may_change_between_calls() {
    let mut decoder = Decoder::new();
    let small = Limits { message_len_max: 2, ..LIMITS };
    let mut bytes = [frame(TEXT, b"abc"), frame(FIN | CONTINUATION, b"d")].concat();
    assert_eq!(decoder.next(&mut bytes[..9], &LIMITS).incoming, Incoming::NeedMore);
    let step = decoder.next(&mut bytes[9..], &small);
    assert_eq!(step.incoming, Incoming::Violation(Violation::MessageTooBig));
}

#[test]
fn a_lying_head_reserves_no_memory() {
    let mut decoder = Decoder::new();
    let mut bytes = [head(FIN | BINARY, 16 << 20), vec![0; 4 + 1000]].concat();
    assert_eq!(decoder.next(&mut bytes, &Limits::REGISTERED).incoming, Incoming::NeedMore);
    assert!(decoder.buffered_bytes() < 1500, "{}", decoder.buffered_bytes());
}

#[test]
fn a_violation_frees_what_was_collected() {
    let mut decoder = Decoder::new();
    let mut bytes = [frame(BINARY, &[0; 900]), frame(FIN | 3, b"")].concat();
    let step = decoder.next(&mut bytes, &LIMITS);
    assert_eq!(step.incoming, Incoming::Violation(Violation::ReservedOpcode));
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn every_violation_has_a_legal_answer_that_fits_a_close_frame() {
    for violation in [Violation::Unmasked, Violation::TextNotUtf8, Violation::MessageTooBig] {
        assert!(violation.reason().len() <= encoder::CLOSE_REASON_LEN_MAX);
    }
    assert_eq!(Violation::Unmasked.close_code(), CloseCode::PROTOCOL);
    assert_eq!(Violation::TextNotUtf8.close_code(), CloseCode::INVALID_DATA);
    assert_eq!(Violation::MessageTooBig.close_code(), CloseCode::TOO_BIG);
}

#[test]
fn bytes_put_back_come_before_bytes_carried_later() {
    let mut decoder = Decoder::new();
    decoder.carry(&[frame(FIN | TEXT, b"1"), frame(FIN | TEXT, b"2")].concat());
    let mut carried = decoder.take_carried().expect("just carried");
    let consumed = decoder.next(carried.unread(), &LIMITS).consumed;
    carried.consume(consumed);
    decoder.carry(&frame(FIN | TEXT, b"3"));
    decoder.put_back(carried);
    assert_eq!(decoder.carried_len(), 14);
    let mut rest = decoder.take_carried().expect("two frames are left");
    let step = decoder.next(rest.unread(), &LIMITS);
    assert_eq!(step.incoming, text("2"));
}

/// Far above what linear work needs in a debug build, far below what quadratic work on this size takes.
const LINEAR_TIME_MAX: Duration = Duration::from_secs(20);

#[test]
fn sixteen_mebibytes_in_65536_fragments_take_linear_time() {
    let fragment = frame(CONTINUATION, &[b'x'; 256]);
    let stream = [frame(TEXT, b""), fragment.repeat(65_536), frame(FIN | CONTINUATION, b"")].concat();
    let start = Instant::now();
    let events = fuzz::decode(&stream, &Limits::REGISTERED, || 65_536, false);
    assert!(events == [text(&"x".repeat(16 << 20))]);
    assert!(start.elapsed() < LINEAR_TIME_MAX, "{:?}", start.elapsed());
}

#[test]
fn one_byte_reads_of_a_large_message_take_linear_time() {
    let stream = frame(FIN | TEXT, &vec![b'x'; 1 << 20]);
    let start = Instant::now();
    let events = fuzz::decode(&stream, &Limits::REGISTERED, || 1, false);
    assert!(events == [text(&"x".repeat(1 << 20))]);
    assert!(start.elapsed() < LINEAR_TIME_MAX, "{:?}", start.elapsed());
}

#[test]
fn many_small_carried_frames_decoded_one_a_turn_take_linear_time() {
    let stream = frame(FIN | PING, b"").repeat(200_000);
    let start = Instant::now();
    assert_eq!(fuzz::decode(&stream, &LIMITS, || usize::MAX, true).len(), 200_000);
    assert!(start.elapsed() < LINEAR_TIME_MAX, "{:?}", start.elapsed());
}

#[test]
fn random_bytes_and_damaged_streams_decode_alike_however_they_are_cut() {
    let mut random = ChaCha8Rng::seed_from_u64(6455);
    let valid = [
        frame(TEXT, "grüße".as_bytes()),
        frame(FIN | PING, b"p"),
        frame(FIN | CONTINUATION, b"z"),
        close_frame(1000, b"r"),
    ]
    .concat();
    for _ in 0..3000 {
        let mut bytes = vec![0; (random.next_u32() % 200) as usize];
        random.fill_bytes(&mut bytes);
        fuzz::decode_any(&bytes);
        let mut damaged = valid.repeat(3);
        let at = random.next_u32() as usize % damaged.len();
        damaged[at] ^= 1 << (random.next_u32() % 8);
        fuzz::decode_any(&damaged);
    }
}

proptest! {
    #[test]
    fn any_cut_of_a_valid_stream_gives_the_same_events(
        script in scripts(),
        lens in prop::collection::vec(1..300_usize, 1..20),
        carry in any::<bool>(),
    ) {
        let mut lens = lens.iter().cycle();
        let events = fuzz::decode(&script.bytes, &LIMITS, || *lens.next().expect("a cycle"), carry);
        prop_assert_eq!(&events, &script.events);
        fuzz::decode_any(&script.bytes);
    }

    #[test]
    fn what_the_encoder_writes_and_a_client_masks_the_decoder_reads(
        payload in prop::collection::vec(any::<u8>(), 0..1000),
    ) {
        let mut out = Vec::new();
        encoder::message(&mut out, MessageKind::Binary, &payload);
        encoder::ping(&mut out, &payload[..payload.len().min(125)]);
        encoder::close(&mut out, CloseCode::APPLICATION, "sleep");
        let ping = Incoming::Ping(Cow::Owned(payload[..payload.len().min(125)].to_vec()));
        let close = Incoming::Close { code: Some(CloseCode::APPLICATION), reason: Cow::Borrowed("sleep") };
        prop_assert_eq!(decode(&masked(&out)), [message(MessageKind::Binary, &payload), ping, close]);
    }

    #[test]
    fn fastwebsockets_reads_valid_streams_alike(script in scripts()) {
        prop_assert_eq!(read_with_fastwebsockets(&script.bytes), decode(&script.bytes));
    }
}

/// Turns server frames into client frames.
fn masked(mut server: &[u8]) -> Vec<u8> {
    let mut client = Vec::new();
    while let [first, len, rest @ ..] = server {
        let (len, rest) = match (len, rest) {
            (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            (len, rest) => (usize::from(*len), rest),
        };
        client.extend(frame(*first, &rest[..len]));
        server = &rest[len..];
    }
    client
}

/// What fastwebsockets' server side makes of a stream.
fn read_with_fastwebsockets(stream: &[u8]) -> Vec<Incoming<'static>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(stream.len() + 1);
        client.write_all(stream).await.expect("the duplex has room");
        drop(client);
        let mut socket = fastwebsockets::WebSocket::after_handshake(server, fastwebsockets::Role::Server);
        socket.set_auto_pong(false);
        socket.set_auto_close(false);
        let mut socket = fastwebsockets::FragmentCollector::new(socket);
        let mut events = Vec::new();
        while let Ok(frame) = socket.read_frame().await {
            let payload = frame.payload.to_vec();
            events.push(match frame.opcode {
                OpCode::Text => message(MessageKind::Text, &payload),
                OpCode::Binary => message(MessageKind::Binary, &payload),
                OpCode::Ping => Incoming::Ping(Cow::Owned(payload)),
                OpCode::Pong => Incoming::Pong(Cow::Owned(payload)),
                OpCode::Close | OpCode::Continuation => panic!("the script has none"),
            });
        }
        events
    })
}
