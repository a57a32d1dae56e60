//! The outbound side: server frames appended to a buffer that the caller writes to the socket once per turn.
//!
//! Server frames are never masked and never fragmented. A message whose length is known is appended with
//! [`message`]; one that is being built goes straight into the output between [`begin`] and [`Mark::finish`], so no
//! second buffer is needed. A [`Head`] alone serves payloads that many connections share.
//! Invariant: every call leaves whole frames behind, except between `begin` and `finish`.

use super::{CONTROL_PAYLOAD_LEN_MAX, CloseCode, MessageKind};

/// FIN bit; every frame of ours is a whole message.
const FIN: u8 = 0b1000_0000;
const OPCODE_TEXT: u8 = 1;
const OPCODE_BINARY: u8 = 2;
const OPCODE_CLOSE: u8 = 8;
const OPCODE_PING: u8 = 9;
const OPCODE_PONG: u8 = 10;
/// Largest payload whose length fits the two-byte head.
const SHORT_LEN_MAX: usize = 125;
/// The 7-bit lengths that announce a 16-bit and a 64-bit one.
const LENGTH_IS_U16: u8 = 126;
const LENGTH_IS_U64: u8 = 127;
/// Two bytes and a 64-bit length.
const HEAD_LEN_MAX: usize = 10;
/// Head of 126 to 65,535 bytes. Reserved when the length is unknown: a shorter payload moves by two bytes, which
/// for at most 125 bytes is a few nanoseconds; a longer one is rare and moves by six.
const HEAD_LEN_USUAL: usize = 4;
/// Longest close reason: a control payload less the code.
pub const CLOSE_REASON_LEN_MAX: usize = CONTROL_PAYLOAD_LEN_MAX - 2;

/// The bytes before a payload.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; HEAD_LEN_MAX],
    len: usize,
}

impl Head {
    /// The head of a whole message of `payload_len` bytes.
    pub fn new(kind: MessageKind, payload_len: usize) -> Self {
        Self::with_opcode(opcode(kind), payload_len)
    }

    /// 2, 4 or 10 bytes, to be followed by exactly the announced payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn with_opcode(opcode: u8, payload_len: usize) -> Self {
        let mut bytes = [0; HEAD_LEN_MAX];
        bytes[0] = FIN | opcode;
        let len = head_len(payload_len);
        match (len, u16::try_from(payload_len)) {
            (2, _) => bytes[1] = payload_len as u8,
            (_, Ok(payload_len)) => {
                bytes[1] = LENGTH_IS_U16;
                bytes[2..4].copy_from_slice(&payload_len.to_be_bytes());
            }
            (_, Err(_)) => {
                bytes[1] = LENGTH_IS_U64;
                bytes[2..10].copy_from_slice(&(payload_len as u64).to_be_bytes());
            }
        }
        Self { bytes, len }
    }
}

fn opcode(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => OPCODE_TEXT,
        MessageKind::Binary => OPCODE_BINARY,
    }
}

fn head_len(payload_len: usize) -> usize {
    match payload_len {
        0..=SHORT_LEN_MAX => 2,
        126..=0xFFFF => HEAD_LEN_USUAL,
        _ => HEAD_LEN_MAX,
    }
}

/// Appends a whole message.
pub fn message(out: &mut Vec<u8>, kind: MessageKind, payload: &[u8]) {
    frame(out, opcode(kind), payload);
}

/// Appends a ping; of a payload over 125 bytes only the first 125 are sent.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, OPCODE_PING, payload);
}

/// Appends a pong; the payload of a received ping always fits, of a longer one the first 125 bytes are sent.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, OPCODE_PONG, payload);
}

/// Appends a close frame; the reason is cut at a character boundary to [`CLOSE_REASON_LEN_MAX`] bytes.
pub fn close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_LEN_MAX)];
    let code = code.get().to_be_bytes();
    out.extend_from_slice(Head::with_opcode(OPCODE_CLOSE, code.len() + reason.len()).as_bytes());
    out.extend_from_slice(&code);
    out.extend_from_slice(reason.as_bytes());
}

/// Appends a close frame without a body, the answer to one that had none.
pub fn close_without_code(out: &mut Vec<u8>) {
    frame(out, OPCODE_CLOSE, &[]);
}

fn control(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    frame(out, opcode, &payload[..payload.len().min(CONTROL_PAYLOAD_LEN_MAX)]);
}

fn frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let head = Head::with_opcode(opcode, payload.len());
    out.reserve(head.len + payload.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload);
}

/// Where a message began that is being written straight into the output.
#[derive(Debug)]
#[must_use = "an unfinished message leaves a hole where its head belongs"]
pub struct Mark {
    head_at: usize,
    reserved: usize,
}

/// Starts a message whose length is not known; what the caller appends to `out` until [`Mark::finish`] is its payload.
pub fn begin(out: &mut Vec<u8>) -> Mark {
    reserve_head(out, HEAD_LEN_USUAL)
}

/// As [`begin`], for a caller who knows about how long the payload gets: if the guess leads to the right head size
/// (2, 4 or 10 bytes), nothing is moved at the end.
pub fn begin_expecting(out: &mut Vec<u8>, payload_len: usize) -> Mark {
    out.reserve(HEAD_LEN_MAX + payload_len);
    reserve_head(out, head_len(payload_len))
}

fn reserve_head(out: &mut Vec<u8>, reserved: usize) -> Mark {
    let head_at = out.len();
    out.extend_from_slice(&[0; HEAD_LEN_MAX][..reserved]);
    Mark { head_at, reserved }
}

impl Mark {
    /// Writes the head before everything appended since the mark was set.
    ///
    /// # Panics
    /// If `out` is not the buffer the mark was set in, or was cut before the payload's start.
    pub fn finish(self, out: &mut Vec<u8>, kind: MessageKind) {
        let payload_at = self.head_at + self.reserved;
        let head = Head::new(kind, out.len() - payload_at);
        self.resize_gap(out, head.len);
        out[self.head_at..self.head_at + head.len].copy_from_slice(head.as_bytes());
    }

    /// Takes back everything appended since the mark was set.
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.head_at);
    }

    /// Moves the payload so that exactly `gap` bytes lie before it.
    fn resize_gap(&self, out: &mut Vec<u8>, gap: usize) {
        if gap == self.reserved {
            return;
        }
        let payload_at = self.head_at + self.reserved;
        let payload_end = out.len();
        let moved_end = payload_end - self.reserved + gap;
        if moved_end > payload_end {
            out.resize(moved_end, 0);
        }
        out.copy_within(payload_at..payload_end, self.head_at + gap);
        out.truncate(moved_end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(payload_len: usize, mark: impl Fn(&mut Vec<u8>) -> Mark) -> Vec<u8> {
        let mut out = b"before".to_vec();
        let mark = mark(&mut out);
        out.extend((0..payload_len).map(|i| i as u8));
        mark.finish(&mut out, MessageKind::Text);
        out
    }

    #[test]
    fn a_message_built_in_place_equals_one_appended_whole_at_every_head_size() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut whole = b"before".to_vec();
            message(&mut whole, MessageKind::Text, &payload);
            assert!(built(len, begin) == whole, "{len}");
            for guess in [0, 200, 100_000] {
                assert!(built(len, |out| begin_expecting(out, guess)) == whole, "{len} guessed {guess}");
            }
        }
    }

    #[test]
    fn heads_are_as_short_as_the_length_allows() {
        for (len, expected) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            assert_eq!(Head::new(MessageKind::Binary, len).as_bytes().len(), expected, "{len}");
        }
        assert_eq!(Head::new(MessageKind::Text, 300).as_bytes(), [0x81, 126, 1, 44]);
        assert_eq!(Head::new(MessageKind::Binary, 65_536).as_bytes(), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn an_abandoned_message_leaves_no_trace() {
        let mut out = b"before".to_vec();
        let mark = begin(&mut out);
        out.extend_from_slice(b"half a message");
        mark.abandon(&mut out);
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_long_close_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        close(&mut out, CloseCode::APPLICATION, &"ö".repeat(100));
        assert_eq!(out[..4], [0x88, 124, 0x0F, 0xA0]);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok("ö".repeat(61).as_str()));
    }

    #[test]
    fn control_payloads_are_cut_to_what_a_control_frame_may_hold() {
        let mut out = Vec::new();
        ping(&mut out, &[7; 300]);
        assert_eq!((out[0], out[1], out.len()), (0x89, 125, 127));
        out.clear();
        pong(&mut out, b"x");
        assert_eq!(out, [0x8A, 1, b'x']);
        out.clear();
        close_without_code(&mut out);
        assert_eq!(out, [0x88, 0]);
    }
}
