//! What goes over the wire, on bytes alone: frames of the server cut and checked, JSON members found, frames of ours
//! built ahead with places left open.
//!
//! The hub's own framing and JSON are not used, so that a mistake in them shows. What a server may not send
//! (reserved bits, masked frames, unknown opcodes) is named, because it is a breach and not an error.

use crate::frames::{MASK, Side, push_text};

/// A whole frame, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<'b> {
    /// One frame.
    Frame {
        /// What it is.
        opcode: u8,
        /// Whether it is the last of its message.
        last: bool,
        /// What it carries.
        payload: &'b [u8],
        /// Its length with the head.
        len: usize,
    },
    /// More has to come first.
    Partial,
    /// No server may send this.
    Malformed(&'static str),
}

/// Opcode of a frame that goes on with a message.
pub const CONTINUATION: u8 = 0;
/// Opcode of a text message.
pub const TEXT: u8 = 1;
/// Opcode of a binary message.
pub const BINARY: u8 = 2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

/// Longer messages than any server relays (16 MiB and its envelope) are a broken length.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const CONTROL_BYTES_MAX: usize = 125;

/// Cuts the first frame off what a server sent.
pub fn cut(input: &[u8]) -> Cut<'_> {
    let [first, second, rest @ ..] = input else { return Cut::Partial };
    if first & RESERVED != 0 {
        return Cut::Malformed("a frame with reserved bits");
    }
    if second & MASKED != 0 {
        return Cut::Malformed("a masked frame from the server");
    }
    let (len, head) = match second {
        126 => match rest.first_chunk() {
            Some(bytes) => (usize::from(u16::from_be_bytes(*bytes)), 4),
            None => return Cut::Partial,
        },
        127 => match rest.first_chunk() {
            Some(bytes) => (usize::try_from(u64::from_be_bytes(*bytes)).unwrap_or(usize::MAX), 10),
            None => return Cut::Partial,
        },
        &len => (usize::from(len), 2),
    };
    let opcode = first & 0x0f;
    match opcode {
        CONTINUATION | TEXT | BINARY if len <= MESSAGE_BYTES_MAX => {}
        CONTINUATION | TEXT | BINARY => return Cut::Malformed("a frame of impossible length"),
        CLOSE | PING | PONG if len <= CONTROL_BYTES_MAX && first & LAST != 0 => {}
        CLOSE | PING | PONG => return Cut::Malformed("a control frame that is long or in parts"),
        _ => return Cut::Malformed("a frame with an unknown opcode"),
    }
    match input.get(head..head + len) {
        Some(payload) => Cut::Frame { opcode, last: first & LAST != 0, payload, len: head + len },
        None => Cut::Partial,
    }
}

/// A client's control frame.
pub fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![LAST | opcode, MASKED | payload.len().min(CONTROL_BYTES_MAX) as u8];
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload.iter().take(CONTROL_BYTES_MAX).zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The members of a JSON object, in order, as they stand in the source. Ends early at what is no object.
pub fn members(payload: &[u8]) -> Members<'_> {
    let rest = payload.trim_ascii_start();
    Members { rest: rest.strip_prefix(b"{").unwrap_or_default() }
}

/// See [`members`].
pub struct Members<'p> {
    rest: &'p [u8],
}

impl<'p> Iterator for Members<'p> {
    /// Name without quotes; value with them.
    type Item = (&'p [u8], &'p [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_ascii_start();
        let name = rest.get(..string_len(rest)?)?;
        let rest = rest[name.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let value = rest.get(..value_len(rest)?)?;
        let rest = rest[value.len()..].trim_ascii_start();
        self.rest = rest.strip_prefix(b",").unwrap_or_default();
        Some((&name[1..name.len() - 1], value))
    }
}

/// The elements of a JSON array, as they stand in the source. Ends early at what is no array.
pub fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = array.trim_ascii_start().strip_prefix(b"[").unwrap_or_default();
    std::iter::from_fn(move || {
        let here = rest.trim_ascii_start();
        let element = here.get(..value_len(here)?).filter(|element| !element.is_empty())?;
        let behind = here[element.len()..].trim_ascii_start();
        rest = behind.strip_prefix(b",").unwrap_or_default();
        Some(element)
    })
}

/// The length of the string that `text` begins with, quotes included.
fn string_len(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The length of the value that `text` begins with.
fn value_len(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match text.get(at)? {
            b'"' => at += string_len(&text[at..])?,
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            b'}' | b']' => (depth, at) = (depth - 1, at + 1),
            _ => at += 1,
        }
        if depth == 0 && matches!(text.get(at.checked_sub(1)?)?, b'"' | b'}' | b']') {
            return Some(at);
        }
    }
}

/// The value of a text member, without quotes, escapes as they stand.
pub fn text<'p>(payload: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let (_, value) = members(payload).find(|(found, _)| *found == name.as_bytes())?;
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// What kind of frame it is: the text member `type`, which servers put first.
pub fn kind(payload: &[u8]) -> &[u8] {
    const FIRST: &[u8] = br#"{"type":""#;
    if let Some(rest) = payload.strip_prefix(FIRST) {
        let len = rest.iter().position(|&byte| byte == b'"').unwrap_or(0);
        return &rest[..len];
    }
    text(payload, "type").unwrap_or_default()
}

/// A call's id, of the length that call ids have.
pub fn call_id(payload: &[u8]) -> Option<[u8; CALL_ID_BYTES]> {
    text(payload, "call_id")?.try_into().ok()
}

/// Why a call has ended, as its HANGUP says.
pub fn reason(payload: &[u8]) -> &[u8] {
    text(payload, "reason").unwrap_or(b"unknown")
}

/// Whether a HANGUP with this reason may come although both ends of a call that stands did all that they should: the
/// exchange ends it by itself. No other may come in place of what a party has said.
pub fn is_exchanges_own(reason: &[u8]) -> bool {
    matches!(reason, b"shutdown" | b"peer_disconnected" | b"slow_consumer" | b"auth_expired" | b"error")
}

/// Bytes of a call id (a UUID).
pub const CALL_ID_BYTES: usize = 36;

/// A client's frame, masked and ready, with places that are filled in when it is sent.
#[derive(Clone, Debug)]
pub struct Template {
    frame: Vec<u8>,
    head: usize,
}

impl Template {
    /// A frame with this payload.
    pub fn new(payload: &[u8]) -> Self {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        push_text(&mut frame, Side::Client, payload);
        let head = frame.len() - payload.len();
        Self { frame, head }
    }

    /// Appends it, with each value at its place in the payload.
    pub fn push(&self, out: &mut Vec<u8>, values: &[(usize, &[u8])]) {
        let start = out.len() + self.head;
        out.extend_from_slice(&self.frame);
        for &(at, value) in values {
            let place = &mut out[start + at..][..value.len()];
            place.copy_from_slice(value);
            let mut mask = MASK;
            mask.rotate_left(at % MASK.len());
            fastwebsockets::unmask(place, mask);
        }
    }
}

/// A client's frame that only names a call.
#[derive(Clone, Debug)]
pub struct CallFrame {
    template: Template,
    id_at: usize,
}

impl CallFrame {
    /// For a word such as `ANSWER`.
    pub fn new(kind: &str) -> Self {
        let (head, none) = (format!(r#"{{"type":"{kind}","call_id":""#), "0".repeat(CALL_ID_BYTES));
        Self { template: Template::new(format!(r#"{head}{none}"}}"#).as_bytes()), id_at: head.len() }
    }

    /// Appends it for a call.
    pub fn push(&self, out: &mut Vec<u8>, id: &[u8; CALL_ID_BYTES]) {
        self.template.push(out, &[(self.id_at, id)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    #[test]
    fn frames_of_a_server_are_cut_at_every_length() {
        for len in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let payload = vec![b'x'; len];
            let mut bytes = Vec::new();
            push_text(&mut bytes, Side::Server, &payload);
            for short in [0, 1, 2, 3, bytes.len() - 1] {
                assert_eq!(cut(&bytes[..short.min(bytes.len() - 1)]), Cut::Partial, "{len}, {short}");
            }
            let whole = bytes.len();
            bytes.push(0);
            let due = Cut::Frame { opcode: TEXT, last: true, payload: &payload, len: whole };
            assert_eq!(cut(&bytes), due);
        }
    }

    #[test]
    fn what_no_server_may_send_is_named() {
        for bytes in [&[0xc1, 0][..], &[0x81, 0x80], &[0x83, 0], &[0x09, 0], &[0x88, 126, 0, 200]] {
            assert!(matches!(cut(bytes), Cut::Malformed(_)), "{bytes:x?}");
        }
        assert!(matches!(cut(&[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0]), Cut::Malformed(_)));
    }

    #[test]
    fn members_are_found_in_any_order_and_spacing() {
        let payload =
            br#" { "a" : {"type":"no","x":["}",1]} ,"n":-1.5e3, "call_id":"x\"y" , "type" : "MSG" } "#;
        assert_eq!(kind(payload), b"MSG");
        assert_eq!(text(payload, "call_id"), Some(&br#"x\"y"#[..]));
        assert_eq!(text(payload, "n"), None);
        let found: Vec<_> = members(payload).map(|(_, value)| value).collect();
        assert_eq!(found[..2], [&br#"{"type":"no","x":["}",1]}"#[..], b"-1.5e3"]);
        for broken in [&b"[]"[..], b"", b"{", br#"{"a"#, br#"{"a":"#, br#"{"a":"b"#] {
            assert_eq!(members(broken).count(), 0);
        }
    }

    #[test]
    fn elements_are_found_in_any_spacing() {
        let found: Vec<_> = elements(br#" [ {"a":["]",{}]} ,"x,y", 5 ,[1,2]] "#).collect();
        assert_eq!(found, [&br#"{"a":["]",{}]}"#[..], br#""x,y""#, b"5 ", b"[1,2]"]);
        for none in [&b"[]"[..], b"[ ]", b"", b"{}", b"[", b"[{"] {
            assert_eq!(elements(none).count(), 0);
        }
    }

    #[test]
    fn a_template_says_what_was_filled_in() {
        for pad in 0..5 {
            let payload = format!("{}0123456789", " ".repeat(pad));
            let template = Template::new(payload.as_bytes());
            let mut out = b"before".to_vec();
            template.push(&mut out, &[(pad + 2, b"abc"), (pad + 9, b"z")]);
            let mut input = &mut out[6..];
            let found = frames::next(&mut input).expect("it is whole");
            assert_eq!(found, format!("{}01abc5678z", " ".repeat(pad)).as_bytes());
        }
        let mut out = Vec::new();
        let id = [b'7'; CALL_ID_BYTES];
        CallFrame::new("ANSWER").push(&mut out, &id);
        let mut input = out.as_mut_slice();
        let found = frames::next(&mut input).expect("it is whole");
        assert_eq!((kind(found), call_id(found)), (&b"ANSWER"[..], Some(id)));
    }
}
