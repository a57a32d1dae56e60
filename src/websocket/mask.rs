//! The mask that a client puts on what it sends (RFC 6455 section 5.3): on links to other exchanges this one is the client.
//!
//! Frames are built as a server's and masked in the same buffer, so that whatever builds them need not know whose they are.
//! Keys come from a generator that nobody outside can predict, one for each shard.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::CONTROL_PAYLOAD_LEN_MAX;

/// Length of a mask, in bytes.
const KEY_LEN: usize = 4;
const MASKED: u8 = 0b1000_0000;
/// The 7-bit lengths that announce a 16-bit and a 64-bit one.
const LENGTH_IS_U16: u8 = CONTROL_PAYLOAD_LEN_MAX as u8 + 1;
const LENGTH_IS_U64: u8 = LENGTH_IS_U16 + 1;

/// Masks, a new one for each frame.
#[derive(Debug)]
pub struct Masks(ChaCha8Rng);

impl Masks {
    /// A generator; `seed` must be one that nobody can guess.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Appends frames of this folder's encoder, masked.
    pub fn append(&mut self, out: &mut Vec<u8>, frames: &[u8]) {
        let at = out.len();
        out.extend_from_slice(frames);
        self.apply(out, at);
    }

    /// Masks the frames that begin at `at` and reach to the end of `out`, which were appended by this folder's encoder:
    /// whole, and unmasked so far. Each grows by four bytes.
    pub fn apply(&mut self, out: &mut Vec<u8>, mut at: usize) {
        while at < out.len() {
            at = mask_frame(out, at, self.0.next_u32().to_le_bytes());
        }
    }
}

/// Masks the frame at `at`; where the next one begins.
fn mask_frame(out: &mut Vec<u8>, at: usize, key: [u8; KEY_LEN]) -> usize {
    let (head_len, payload_len) = measure(&out[at..]);
    let (payload_at, end) = (at + head_len, at + head_len + payload_len);
    let old_len = out.len();
    out.resize(old_len + KEY_LEN, 0);
    out.copy_within(payload_at..old_len, payload_at + KEY_LEN);
    out[at + 1] |= MASKED;
    out[payload_at..payload_at + KEY_LEN].copy_from_slice(&key);
    fastwebsockets::unmask(&mut out[payload_at + KEY_LEN..end + KEY_LEN], key);
    end + KEY_LEN
}

/// The lengths of the head and of the payload of an unmasked frame.
fn measure(frame: &[u8]) -> (usize, usize) {
    match (frame[1], &frame[2..]) {
        (LENGTH_IS_U16, [high, low, ..]) => (4, u16::from_be_bytes([*high, *low]).into()),
        (LENGTH_IS_U64, rest) => {
            let len = rest.first_chunk::<8>().map_or(0, |len| u64::from_be_bytes(*len));
            (10, len as usize)
        }
        (short, _) => (2, short.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::{CloseCode, Decoder, Incoming, Limits, Message, MessageKind, encoder};
    use super::*;

    #[test]
    fn a_server_reads_masked_frames_of_every_size_and_what_came_before_is_left_alone() {
        let mut masks = Masks::new([7; 32]);
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let payload = "x".repeat(len);
            let mut out = b"before".to_vec();
            encoder::message(&mut out, MessageKind::Text, payload.as_bytes());
            encoder::pong(&mut out, b"pong");
            encoder::close(&mut out, CloseCode::NORMAL, "bye");
            masks.apply(&mut out, 6);
            assert!(out.starts_with(b"before"));
            let mut decoder = Decoder::new();
            let mut input = &mut out[6..];
            let expected = [
                Incoming::Message(Message::Text(Cow::Borrowed(payload.as_str()))),
                Incoming::Pong(Cow::Borrowed(b"pong")),
                Incoming::Close { code: Some(CloseCode::NORMAL), reason: "bye".into() },
            ];
            for expected in expected {
                let consumed = {
                    let step = decoder.next(input, &Limits::REGISTERED);
                    assert_eq!(step.incoming, expected, "{len}");
                    step.consumed
                };
                input = &mut input[consumed..];
            }
            assert!(input.is_empty());
        }
    }

    #[test]
    fn every_frame_has_a_mask_of_its_own() {
        let mut masks = Masks::new([1; 32]);
        let key = |masks: &mut Masks| {
            let mut out = Vec::new();
            encoder::close_without_code(&mut out);
            masks.apply(&mut out, 0);
            assert_eq!(out[..2], [0x88, 0x80]);
            out[2..].to_vec()
        };
        let keys: std::collections::BTreeSet<_> = (0..100).map(|_| key(&mut masks)).collect();
        assert_eq!(keys.len(), 100);
        assert_ne!(key(&mut Masks::new([2; 32])), key(&mut Masks::new([3; 32])));
    }
}
