//! Groups 1 (framing), 2 (pings and pongs), 3 (reserved bits), 4 (opcodes) and 5 (fragmentation).

use super::{Case, Ends, run, text};
use crate::bad_input::support::*;

const ORDERLY: Ends = Ends::InOrder;
const PROTOCOL: Ends = Ends::Closed(1002);

#[test]
fn group_1_messages_of_all_lengths_come_back() {
    let mut cases = Vec::new();
    for len in [0_usize, 125, 126, 127, 128, 65_535, 65_536] {
        let body = "*".repeat(len);
        cases.push(Case::new(
            format!("1.1 text of {len}"),
            vec![frame(TEXT, body.as_bytes())],
            vec![text(&body)],
            ORDERLY,
        ));
        let body = vec![0xFE; len];
        cases.push(Case::new(
            format!("1.2 binary of {len}"),
            vec![frame(BINARY, &body)],
            vec![Seen::Binary(body)],
            ORDERLY,
        ));
    }
    for (first, name) in [(TEXT, "1.1.8 text"), (BINARY, "1.2.8 binary")] {
        let body = vec![b'*'; 65_536];
        let pieces = frame(first, &body).chunks(997).map(<[u8]>::to_vec).collect();
        let back = if first == TEXT { text(&"*".repeat(65_536)) } else { Seen::Binary(body) };
        cases.push(Case::new(format!("{name} of 65536 in chops of 997"), pieces, vec![back], ORDERLY));
    }
    run("1 framing", cases);
}

#[test]
fn group_2_pings_are_answered_and_pongs_are_not() {
    let long = vec![0xFE; 125];
    let numbered: Vec<Vec<u8>> = (0..10).map(|n| format!("payload-{n}").into_bytes()).collect();
    let ping = |payload: &[u8]| vec![frame(PING, payload)];
    let pong = |payload: &[u8]| Seen::Pong(payload.to_vec());
    let cases = vec![
        Case::new("2.1 without payload", ping(b""), vec![pong(b"")], ORDERLY),
        Case::new("2.2 text payload", ping(b"Hello, world!"), vec![pong(b"Hello, world!")], ORDERLY),
        Case::new(
            "2.3 binary payload",
            ping(b"\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"),
            vec![pong(b"\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF")],
            ORDERLY,
        ),
        Case::new("2.4 payload of 125", ping(&long), vec![pong(&long)], ORDERLY),
        Case::new("2.5 payload of 126", ping(&[0xFE; 126]), vec![], PROTOCOL),
        Case::new("2.7 pong unasked for", vec![frame(PONG, b"")], vec![], ORDERLY),
        Case::new("2.8 pong with payload", vec![frame(PONG, b"unsolicited pong payload")], vec![], ORDERLY),
        Case::new(
            "2.9 pong, then ping",
            vec![frame(PONG, b"p"), frame(PING, b"q")],
            vec![pong(b"q")],
            ORDERLY,
        ),
        Case::new(
            "2.10 ten pings",
            numbered.iter().map(|payload| frame(PING, payload)).collect(),
            numbered.iter().map(|payload| pong(payload)).collect(),
            ORDERLY,
        ),
    ];
    run("2 pings and pongs", cases);
}

#[test]
fn group_3_reserved_bits_end_the_connection() {
    let mut cases = Vec::new();
    for bits in 1..8_u8 {
        for (first, name) in
            [(TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (PONG, "pong"), (CLOSE, "close")]
        {
            let wrong = frame(first | bits << 4, if first == CLOSE { b"\x03\xE8" } else { b"Hi" });
            cases.push(Case::new(
                format!("3 {name} with bits {bits}"),
                vec![wrong.clone()],
                vec![],
                PROTOCOL,
            ));
            let sent = vec![frame(TEXT, b"first"), wrong, frame(PING, b"never")];
            cases.push(Case::new(
                format!("3 {name} with bits {bits} between others"),
                sent,
                vec![text("first")],
                PROTOCOL,
            ));
        }
    }
    run("3 reserved bits", cases);
}

#[test]
fn group_4_reserved_opcodes_end_the_connection() {
    let mut cases = Vec::new();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"reserved opcode payload"] {
            let wrong = frame(ENDS | opcode, payload);
            cases.push(Case::new(
                format!("4 opcode {opcode}, {} bytes", payload.len()),
                vec![wrong.clone()],
                vec![],
                PROTOCOL,
            ));
            let sent = vec![frame(TEXT, b"first"), wrong, frame(PING, b"")];
            cases.push(Case::new(
                format!("4 opcode {opcode} between others"),
                sent,
                vec![text("first")],
                PROTOCOL,
            ));
        }
    }
    run("4 opcodes", cases);
}

#[test]
fn group_5_fragments_are_joined_and_their_order_is_checked() {
    let (begin, more, end) =
        (frame(TEXT_BEGINS, b"fragment1"), frame(CONTINUES, b"fragment2"), frame(ENDS, b"fragment3"));
    let (ping, pong) = (frame(PING, b"ping"), Seen::Pong(b"ping".to_vec()));
    let two = text("fragment1fragment3");
    let three = text("fragment1fragment2fragment3");
    let again = |frames: &[&Vec<u8>]| frames.iter().map(|frame| (*frame).clone()).collect::<Vec<_>>();
    let mut cases = vec![
        Case::new(
            "5.1 ping in two fragments",
            vec![frame(PING & 0x0F, b"a"), frame(ENDS, b"b")],
            vec![],
            PROTOCOL,
        ),
        Case::new(
            "5.2 pong in two fragments",
            vec![frame(PONG & 0x0F, b"a"), frame(ENDS, b"b")],
            vec![],
            PROTOCOL,
        ),
        Case::new(
            "5.x close in two fragments",
            vec![frame(CLOSE & 0x0F, b"\x03"), frame(ENDS, b"\xE8")],
            vec![],
            PROTOCOL,
        ),
        Case::new("5.3 text in two fragments", again(&[&begin, &end]), vec![two.clone()], ORDERLY),
        Case::new(
            "5.6 ping between fragments",
            again(&[&begin, &ping, &end]),
            vec![pong.clone(), two.clone()],
            ORDERLY,
        ),
        Case::new("5.x three fragments", again(&[&begin, &more, &end]), vec![three.clone()], ORDERLY),
        Case::new(
            "5.9 continuation of nothing, ending, then text",
            vec![end.clone(), frame(TEXT, b"x")],
            vec![],
            PROTOCOL,
        ),
        Case::new(
            "5.12 continuation of nothing, not ending",
            vec![more.clone(), frame(TEXT, b"x")],
            vec![],
            PROTOCOL,
        ),
        Case::new(
            "5.15 message, then continuation of nothing",
            again(&[&begin, &end, &more, &end]),
            vec![two.clone()],
            PROTOCOL,
        ),
        Case::new(
            "5.16 continuation, then a message, twice",
            again(&[&more, &begin, &end, &more, &begin, &end]),
            vec![],
            PROTOCOL,
        ),
        Case::new(
            "5.17 ending continuation, then a message, twice",
            again(&[&end, &begin, &end, &end, &begin, &end]),
            vec![],
            PROTOCOL,
        ),
        Case::new("5.18 text inside text", again(&[&begin, &frame(TEXT, b"x")]), vec![], PROTOCOL),
        Case::new("5.x binary inside text", again(&[&begin, &frame(BINARY, b"x")]), vec![], PROTOCOL),
        Case::new(
            "5.19 five fragments and two pings",
            again(&[&begin, &more, &ping, &more, &more, &ping, &end]),
            vec![pong.clone(), pong, text("fragment1fragment2fragment2fragment2fragment3")],
            ORDERLY,
        ),
        Case::new(
            "5.x empty fragments",
            vec![frame(TEXT_BEGINS, b""), frame(CONTINUES, b""), frame(ENDS, b"")],
            vec![text("")],
            ORDERLY,
        ),
        Case::new(
            "5.x empty ends, full middle",
            vec![frame(TEXT_BEGINS, b""), frame(CONTINUES, b"middle"), frame(ENDS, b"")],
            vec![text("middle")],
            ORDERLY,
        ),
        Case::new(
            "5.x binary in two fragments",
            vec![frame(BINARY_BEGINS, b"\x00"), frame(ENDS, b"\xFF")],
            vec![Seen::Binary(vec![0, 0xFF])],
            ORDERLY,
        ),
    ];
    let unmasked =
        Case::new("5.1 RFC: a frame without mask", vec![vec![TEXT, 2, b'H', b'i']], vec![], PROTOCOL);
    cases.push(unmasked);
    run("5 fragmentation", cases);
}
