//! Groups 9 (sizes up to 16 MiB, in one frame, in fragments, in chops, and many small ones) and 10 (odd cuts).

use super::{Case, Ends, run, text};
use crate::bad_input::support::*;

/// A message of `len` bytes and what comes back for it.
fn body(first: u8, len: usize) -> (Vec<u8>, Seen) {
    let body = vec![b'*'; len];
    let back = if first == TEXT { text(&"*".repeat(len)) } else { Seen::Binary(body.clone()) };
    (body, back)
}

#[test]
fn group_9_large_messages_come_back() {
    let mut cases = Vec::new();
    for (first, name) in [(TEXT, "text"), (BINARY, "binary")] {
        for len in [64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20] {
            let (body, back) = body(first, len);
            cases.push(Case::new(
                format!("9.1 {name} of {len}"),
                vec![frame(first, &body)],
                vec![back],
                Ends::InOrder,
            ));
        }
        for (len, size) in [
            (1 << 20, 64),
            (4 << 20, 256),
            (4 << 20, 1 << 10),
            (4 << 20, 64 << 10),
            (4 << 20, 1 << 20),
            (4 << 20, 4 << 20),
        ] {
            let (body, back) = body(first, len);
            let sent = vec![fragments(first & 0x0F, &body, size)];
            cases.push(Case::new(
                format!("9.3 {name} of {len} in fragments of {size}"),
                sent,
                vec![back],
                Ends::InOrder,
            ));
        }
        for chop in [64, 128, 256, 512, 1024, 2048] {
            let (body, back) = body(first, 1 << 20);
            let sent = frame(first, &body).chunks(chop).map(<[u8]>::to_vec).collect();
            cases.push(Case::new(
                format!("9.5 {name} of 1 MiB in chops of {chop}"),
                sent,
                vec![back],
                Ends::InOrder,
            ));
        }
        let (body, _) = body(first, (16 << 20) + 1);
        cases.push(Case::new(
            format!("9.x {name} over the limit"),
            vec![frame(first, &body)],
            vec![],
            Ends::Closed(1009),
        ));
    }
    run("9 sizes", cases);
}

#[test]
fn group_9_many_small_messages_come_back_in_order() {
    let mut cases = Vec::new();
    for (first, name) in [(TEXT, "text"), (BINARY, "binary")] {
        for len in [0, 16, 64, 256, 1024] {
            let (body, back) = body(first, len);
            let sent = vec![frame(first, &body); 1000];
            cases.push(Case::new(format!("9.7 1000 {name} of {len}"), sent, vec![back; 1000], Ends::InOrder));
        }
    }
    run("9 many messages", cases);
}

#[test]
fn group_10_frames_cut_anywhere_come_back() {
    let mut cases = Vec::new();
    let (whole, back) = body(TEXT, 65_536);
    let sent = frame(TEXT, &whole).chunks(1300).map(<[u8]>::to_vec).collect();
    cases.push(Case::new("10.1.1 text of 65536 in pieces of 1300", sent, vec![back], Ends::InOrder));
    for len in [0, 1, 125, 126, 127, 300] {
        let (whole, back) = body(BINARY, len);
        let sent = [frame(BINARY, &whole), frame(PING, b"p"), frame(BINARY, &whole)].concat();
        // Cut at each byte in turn.
        for at in 0..=sent.len().min(40) {
            let pieces = vec![sent[..at].to_vec(), sent[at..].to_vec()];
            let back = vec![back.clone(), Seen::Pong(b"p".to_vec()), back.clone()];
            cases.push(Case::new(format!("10.x {len} bytes cut at {at}"), pieces, back, Ends::InOrder));
        }
    }
    run("10 cuts", cases);
}
