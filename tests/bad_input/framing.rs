//! Frames that break RFC 6455, and messages that break the limits: the close code and its reason, and that the stream
//! then ends in order, for whoever is to read the code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::*;

/// Sends `bytes` on a registered connection, which must be closed with `code` and `reason`.
fn is_closed(scene: &Scene, bytes: &[u8], code: u16, reason: &str) {
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("bad{}@framing.test", NAMES.fetch_add(1, Ordering::Relaxed));
    let mut wire = Wire::register(scene.address(), &name);
    wire.try_send(bytes);
    assert_eq!(wire.expect_close(code), reason);
    // Its address is free at once.
    drop(Wire::register(scene.address(), &name));
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

#[test]
fn unmasked_frames_are_closed_with_1002() {
    let scene = Scene::begin(&[]);
    for first in [TEXT, BINARY, PING, PONG, CLOSE] {
        is_closed(&scene, &unmasked(first, b"{}"), 1002, "client frame is not masked");
    }
    scene.end();
}

#[test]
fn reserved_bits_and_opcodes_are_closed_with_1002() {
    let scene = Scene::begin(&[]);
    for bits in [0x10, 0x20, 0x40, 0x50, 0x70] {
        is_closed(&scene, &frame(TEXT | bits, b"{}"), 1002, "reserved bits are set");
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        is_closed(&scene, &frame(ENDS | opcode, b"{}"), 1002, "reserved opcode");
    }
    scene.end();
}

#[test]
fn control_frames_that_are_too_long_or_fragmented_are_closed_with_1002() {
    let scene = Scene::begin(&[]);
    for first in [PING, PONG, CLOSE] {
        for len in [126, 127, 65_536] {
            is_closed(&scene, &frame(first, &vec![0; len]), 1002, "control frame exceeds 125 bytes");
        }
        is_closed(&scene, &frame(first & 0x0F, b""), 1002, "control frame is fragmented");
    }
    scene.end();
}

#[test]
fn fragments_out_of_order_are_closed_with_1002() {
    let scene = Scene::begin(&[]);
    let lone = [frame(CONTINUES, b"a"), frame(ENDS, b"a")];
    lone.iter().for_each(|lone| is_closed(&scene, lone, 1002, "continuation without a started message"));
    let nested = [frame(TEXT_BEGINS, b"{"), frame(TEXT, b"}")].concat();
    is_closed(&scene, &nested, 1002, "new message inside a fragmented message");
    scene.end();
}

#[test]
fn lengths_that_lie_about_their_form_are_closed_with_1002() {
    let scene = Scene::begin(&[]);
    let long_form_of_5 = [&[TEXT, 0x80 | 126, 0, 5][..], &[0; 9]].concat();
    let longer_form_of_5 = [&[TEXT, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 5][..], &[0; 9]].concat();
    is_closed(&scene, &long_form_of_5, 1002, "payload length is not minimally encoded");
    is_closed(&scene, &longer_form_of_5, 1002, "payload length is not minimally encoded");
    let top_bit = [&[TEXT, 0x80 | 127][..], &[0xFF; 12]].concat();
    is_closed(&scene, &top_bit, 1002, "payload length has its top bit set");
    scene.end();
}

#[test]
fn text_that_is_not_utf8_is_closed_with_1007_and_binary_with_1003() {
    let scene = Scene::begin(&[]);
    let bad = b"{\"type\":\"HEARTBEAT\",\"x\":\"\xC3\x28\"}";
    is_closed(&scene, &frame(TEXT, bad), 1007, "text message is not UTF-8");
    is_closed(&scene, &fragments(TEXT_BEGINS, bad, 3), 1007, "text message is not UTF-8");
    is_closed(&scene, &frame(BINARY, bad), 1003, "Invalid JSON");
    is_closed(&scene, &fragments(BINARY_BEGINS, bad, 3), 1003, "Invalid JSON");
    is_closed(&scene, &frame(CLOSE, b"\x03\xE8\xFF"), 1007, "close reason is not UTF-8");
    scene.end();
}

#[test]
fn close_frames_that_are_wrong_are_closed_with_1002() {
    let scene = Scene::begin(&[]);
    is_closed(&scene, &frame(CLOSE, b"\x03"), 1002, "close body of one byte");
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        is_closed(&scene, &frame(CLOSE, &code.to_be_bytes()), 1002, "invalid close code");
    }
    scene.end();
}

#[test]
fn empty_messages_are_closed_with_1003() {
    let scene = Scene::begin(&[]);
    for bytes in [frame(TEXT, b""), frame(BINARY, b""), [frame(TEXT_BEGINS, b""), frame(ENDS, b"")].concat()]
    {
        is_closed(&scene, &bytes, 1003, "Unsupported message type");
    }
    scene.end();
}

#[test]
fn messages_over_the_limit_are_closed_with_1009_also_while_they_are_sent() {
    let scene = Scene::begin(&[]);
    // One byte more than 16 MiB, in one frame and in two, and more than 1 MiB before REGISTER.
    is_closed(&scene, &frame(TEXT, &vec![b'x'; (16 << 20) + 1]), 1009, "message is too big");
    let two = [frame(TEXT_BEGINS, &vec![b'x'; 16 << 20]), frame(ENDS, b"y")].concat();
    is_closed(&scene, &two, 1009, "message is too big");
    let mut stranger = Wire::connect(scene.address());
    stranger.try_send(&frame(TEXT, &vec![b'x'; (1 << 20) + 1]));
    assert_eq!(stranger.expect_close(1009), "message is too big");
    drop(stranger);
    scene.end();
}

#[test]
fn headers_that_announce_60_mib_cost_nothing() {
    let scene =
        Scene::begin(&["--message-bytes-max", "67108864", "--unregistered-message-bytes-max", "67108864"]);
    let mut liars = Vec::new();
    for n in 0..200 {
        let mut liar = if n % 2 == 0 {
            Wire::connect(scene.address())
        } else {
            Wire::register(scene.address(), &format!("liar{n}@framing.test"))
        };
        liar.send(&head(if n % 4 < 2 { TEXT } else { BINARY_BEGINS }, 60 << 20));
        liar.send(&[0; 4]);
        liar.send(b"and ten bytes");
        liars.push(liar);
    }
    // They have all been read when the last one is found out to be held up in the middle of a message.
    let mut witness = Wire::connect(scene.address());
    assert!(witness.is_heard());
    assert!(scene.growth_kib() < 8 << 10, "{} KiB for 200 liars", scene.growth_kib());
    drop((liars, witness));
    scene.end();
}

#[test]
fn a_message_of_16_mib_in_65536_fragments_arrives_whole() {
    let scene = Scene::begin(&[]);
    let mut call = Call::establish(scene.address(), "fragments");
    let frame_len = 16 << 20;
    let start = format!(r#"{{"type":"MSG","call_id":"{}","data":""#, call.id);
    let data = "x".repeat(frame_len - start.len() - 2);
    let whole = format!(r#"{start}{data}"}}"#);
    assert_eq!(whole.len(), frame_len);
    let (mut caller, bytes) =
        (call.caller.stream.try_clone().unwrap(), fragments(TEXT_BEGINS, whole.as_bytes(), 256));
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut caller, &bytes).is_ok());
    call.callee.wait_at_most(Duration::from_secs(60));
    let Seen::Text(text) = call.callee.next() else { panic!("no text") };
    assert!(text.contains(&data), "{} bytes arrived", text.len());
    assert!(sending.join().unwrap());
    call.exchange_words();
    drop(call);
    scene.end();
}

#[test]
fn pings_of_a_client_that_does_not_read_end_with_its_connection() {
    let scene = Scene::begin(&["--echo-endpoint"]);
    for path in ["/", "/echo"] {
        let mut rude = Wire::connect_to(scene.address(), path);
        rude.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let pings = frame(PING, &[b'p'; 125]).repeat(4096);
        // 40 MB if all of it is taken; what is not read any more stops in the sockets.
        let _ = (0..80).all(|_| rude.try_send(&pings));
        assert!(scene.growth_kib() < 16 << 10, "{path}: {} KiB of pongs", scene.growth_kib());
    }
    scene.end();
}
