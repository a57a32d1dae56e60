//! Group 6: text must be UTF-8, over the whole message, and is refused as soon as it cannot become UTF-8 any more.

use super::{Case, Ends, run, text};
use crate::bad_input::support::*;

const INVALID: Ends = Ends::Closed(1007);

/// Every kind of good sequence: the first and last of each length, noncharacters, and what is next to surrogates.
const VALID: [&str; 22] = [
    "",
    "\u{0}",
    "\u{7F}",
    "\u{80}",
    "\u{7FF}",
    "\u{800}",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FFFD}",
    "\u{FFFE}",
    "\u{FFFF}",
    "\u{10000}",
    "\u{3FFFF}",
    "\u{10FFFF}",
    "\u{1FFFE}",
    "\u{1FFFF}",
    "\u{FEFF}",
    "κόσμε",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "日本語",
    "\u{0}\u{7F}\u{80}\u{10FFFF}",
    "\u{202E}a",
];

/// Every kind of bad sequence; the second part is what may stand before the first byte that cannot be right.
const BAD: [&[u8]; 62] = [
    // Continuation bytes alone.
    b"\x80",
    b"\xBF",
    b"\x80\xBF",
    b"\x80\xBF\x80",
    b"\x80\xBF\x80\xBF\x80\xBF\x80",
    // Bytes that begin nothing.
    b"\xC0",
    b"\xC1",
    b"\xF5",
    b"\xF8",
    b"\xFB",
    b"\xFC",
    b"\xFD",
    b"\xFE",
    b"\xFF",
    b"\xFE\xFE\xFF\xFF",
    // Beginnings followed by something else.
    b"\xC2 ",
    b"\xDF ",
    b"\xE0 ",
    b"\xEF ",
    b"\xF0 ",
    b"\xF4 ",
    b"\xE1\x80 ",
    b"\xF1\x80 ",
    b"\xF1\x80\x80 ",
    b"\xC2\xC2\x80",
    b"\xE1\x80\xC2\x80",
    b"\xF1\x80\x80\xE1\x80\x80",
    // Ends that are missing.
    b"\xC2",
    b"\xDF",
    b"\xE0\xA0",
    b"\xEF\xBF",
    b"\xF0\x90\x80",
    b"\xF4\x8F\xBF",
    b"\xE1",
    b"\xF1",
    b"\xF1\x80",
    // More bytes than needed.
    b"\xC0\x80",
    b"\xC0\xAF",
    b"\xC1\xBF",
    b"\xE0\x80\x80",
    b"\xE0\x80\xAF",
    b"\xE0\x9F\xBF",
    b"\xF0\x80\x80\x80",
    b"\xF0\x80\x80\xAF",
    b"\xF0\x8F\xBF\xBF",
    b"\xF8\x80\x80\x80\xAF",
    b"\xFC\x80\x80\x80\x80\xAF",
    b"\xF8\x87\xBF\xBF\xBF",
    b"\xFC\x83\xBF\xBF\xBF\xBF",
    // Beyond the last character.
    b"\xF4\x90\x80\x80",
    b"\xF7\xBF\xBF\xBF",
    b"\xFB\xBF\xBF\xBF\xBF",
    b"\xFD\xBF\xBF\xBF\xBF\xBF",
    // Halves of surrogate pairs, alone and together.
    b"\xED\xA0\x80",
    b"\xED\xAD\xBF",
    b"\xED\xAE\x80",
    b"\xED\xAF\xBF",
    b"\xED\xB0\x80",
    b"\xED\xBE\x80",
    b"\xED\xBF\xBF",
    b"\xED\xA0\x80\xED\xB0\x80",
    b"\xED\xAF\xBF\xED\xBF\xBF",
];

#[test]
fn group_6_good_text_comes_back_however_it_is_cut() {
    let mut cases = Vec::new();
    for good in VALID {
        for (before, after) in [("", ""), ("x", "y"), ("\u{3BA}\u{1F600}", "\u{3BA}")] {
            let whole = format!("{before}{good}{after}");
            let name = whole.escape_unicode().to_string();
            cases.push(Case::new(
                format!("6.2 {name}"),
                vec![frame(TEXT, whole.as_bytes())],
                vec![text(&whole)],
                Ends::InOrder,
            ));
            for size in [1, 2, 3] {
                let sent = vec![fragments(TEXT_BEGINS, whole.as_bytes(), size)];
                cases.push(Case::new(
                    format!("6.2 {name} in fragments of {size}"),
                    sent,
                    vec![text(&whole)],
                    Ends::InOrder,
                ));
            }
        }
    }
    // Twice the same in one fragmented message, with a ping in the middle of a character.
    let sent = vec![frame(TEXT_BEGINS, b"\xCE"), frame(PING, b"\xCE"), frame(ENDS, b"\xBA")];
    cases.push(Case::new(
        "6.x ping inside a character",
        sent,
        vec![Seen::Pong(vec![0xCE]), text("\u{3BA}")],
        Ends::InOrder,
    ));
    run("6 good UTF-8", cases);
}

#[test]
fn group_6_bad_text_is_refused_however_it_is_cut() {
    let mut cases = Vec::new();
    for bad in BAD {
        for (before, after) in [("", ""), ("x", "y"), ("\u{3BA}", "\u{3BA}")] {
            // What is not complete may be completed by what follows, and then is bad for another reason.
            let whole = [before.as_bytes(), bad, after.as_bytes()].concat();
            assert!(std::str::from_utf8(&whole).is_err());
            cases.push(Case::new(format!("6.3 {whole:x?}"), vec![frame(TEXT, &whole)], vec![], INVALID));
            for size in [1, 2] {
                let sent = vec![fragments(TEXT_BEGINS, &whole, size)];
                cases.push(Case::new(
                    format!("6.3 {whole:x?} in fragments of {size}"),
                    sent,
                    vec![],
                    INVALID,
                ));
            }
        }
        // Binary may be anything.
        cases.push(Case::new(
            format!("6.x {bad:x?} in binary"),
            vec![frame(BINARY, bad)],
            vec![Seen::Binary(bad.to_vec())],
            Ends::InOrder,
        ));
    }
    run("6 bad UTF-8", cases);
}

/// The rest of the message is never sent: the close has to come without it.
#[test]
fn group_6_4_bad_text_is_refused_at_its_first_wrong_byte() {
    let start = "κόσμε".as_bytes();
    let mut cases = Vec::new();
    // The first byte after which nothing good can follow, for sequences of which that is not the end of the message.
    let wrong: [&[u8]; 10] = [
        b"\x80",
        b"\xC0",
        b"\xF5",
        b"\xFF",
        b"\xE0\x80",
        b"\xED\xA0",
        b"\xF0\x8F",
        b"\xF4\x90",
        b"\xC2x",
        b"\xF1\x80x",
    ];
    for wrong in wrong {
        let sent = vec![frame(TEXT_BEGINS, start), frame(CONTINUES, wrong)];
        cases.push(Case::new(format!("6.4.1 {wrong:x?} in a fragment"), sent, vec![], INVALID));
        // A frame that announces more than is sent of it.
        let mut begun = frame(TEXT, &[start, wrong, b"and more"].concat());
        begun.truncate(begun.len() - b"and more".len());
        cases.push(Case::new(
            format!("6.4.2 {wrong:x?} in a part of a frame"),
            vec![begun.clone()],
            vec![],
            INVALID,
        ));
        let (first, second) = begun.split_at(begun.len() - wrong.len());
        cases.push(Case::new(
            format!("6.4.3 {wrong:x?} as the next part of a frame"),
            vec![first.to_vec(), second.to_vec()],
            vec![],
            INVALID,
        ));
    }
    run("6.4 fail fast", cases);
}
