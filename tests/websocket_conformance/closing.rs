//! Group 7: closing, and what comes after it.

use super::{Case, Ends, run, text};
use crate::bad_input::support::*;

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn group_7_a_close_is_answered_and_ends_the_stream() {
    let answered = Ends::Answered(Some(1000));
    let large = "*".repeat(256 << 10);
    let cases = vec![
        Case::new(
            "7.1.1 message, then close",
            vec![frame(TEXT, b"Hello"), close(1000, b"")],
            vec![text("Hello")],
            answered,
        ),
        Case::new("7.1.2 two closes", vec![close(1000, b""), close(1000, b"")], vec![], answered),
        Case::new("7.1.3 close, then ping", vec![close(1000, b""), frame(PING, b"")], vec![], answered),
        Case::new(
            "7.1.4 close, then message",
            vec![close(1000, b""), frame(TEXT, b"Hello")],
            vec![],
            answered,
        ),
        Case::new(
            "7.1.5 close inside a fragmented message",
            vec![frame(TEXT_BEGINS, b"a"), close(1000, b""), frame(ENDS, b"b")],
            vec![],
            answered,
        ),
        Case::new(
            "7.1.6 large message, hello, close, ping",
            vec![frame(TEXT, large.as_bytes()), frame(TEXT, b"Hello"), close(1000, b""), frame(PING, b"")],
            vec![text(&large), text("Hello")],
            answered,
        ),
        Case::new(
            "7.x close, then a lot more",
            vec![close(1000, b""), frame(TEXT, &vec![b'x'; 1 << 20])],
            vec![],
            answered,
        ),
        Case::new(
            "7.x close, then what is wrong",
            vec![close(1000, b""), frame(0xFF, b"x"), vec![0xFF; 100]],
            vec![],
            answered,
        ),
        Case::new("7.3.1 without code", vec![frame(CLOSE, b"")], vec![], Ends::Answered(None)),
        Case::new("7.3.2 one byte", vec![frame(CLOSE, b"a")], vec![], Ends::Closed(1002)),
        Case::new("7.3.3 code alone", vec![close(1000, b"")], vec![], answered),
        Case::new("7.3.4 code and reason", vec![close(1000, b"Hello World!")], vec![], answered),
        Case::new("7.3.5 reason of 123 bytes", vec![close(1000, &[b'*'; 123])], vec![], answered),
        Case::new("7.3.6 reason of 124 bytes", vec![close(1000, &[b'*'; 124])], vec![], Ends::Closed(1002)),
        Case::new(
            "7.5.1 reason not UTF-8",
            vec![close(1000, b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited")],
            vec![],
            Ends::Closed(1007),
        ),
        Case::new("7.x reason cut in a character", vec![close(1000, b"\xCE")], vec![], Ends::Closed(1007)),
    ];
    run("7 closing", cases);
}

#[test]
fn group_7_codes_are_checked() {
    let mut cases = Vec::new();
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    {
        cases.push(Case::new(
            format!("7.7 code {code}"),
            vec![close(code, b"")],
            vec![],
            Ends::Answered(Some(code)),
        ));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(Case::new(format!("7.9 code {code}"), vec![close(code, b"")], vec![], Ends::Closed(1002)));
    }
    run("7 close codes", cases);
}
