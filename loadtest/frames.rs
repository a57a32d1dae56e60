//! RFC 6455 frames as both ends of a measurement need them: whole text frames, masked or not.
//!
//! No fragments and no checks beyond what keeps the reader in step; the hub's own framing is not used, so that a
//! mistake in it shows.

/// The mask of every frame we send. Any but zero will do: the server has to undo it.
pub const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x8e];

const FIN_TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;
const LENGTH_IS_U16: usize = 126;
const LENGTH_IS_U64: usize = 127;

/// Whose frames are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A client's: masked.
    Client,
    /// A server's: plain.
    Server,
}

/// Appends a text frame.
pub fn push_text(out: &mut Vec<u8>, side: Side, payload: &[u8]) {
    let masked = if side == Side::Client { MASKED } else { 0 };
    out.push(FIN_TEXT);
    match payload.len() {
        len @ 0..LENGTH_IS_U16 => out.push(masked | len as u8),
        len @ LENGTH_IS_U16..=0xffff => {
            out.push(masked | LENGTH_IS_U16 as u8);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(masked | LENGTH_IS_U64 as u8);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if side == Side::Client {
        out.extend_from_slice(&MASK);
    }
    let start = out.len();
    out.extend_from_slice(payload);
    if side == Side::Client {
        fastwebsockets::unmask(&mut out[start..], MASK);
    }
}

/// A client's text frame of its own.
pub fn client_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    push_text(&mut frame, Side::Client, payload);
    frame
}

/// Cuts the first frame off `input`, unmasked. `None` if it is not all there.
pub fn next<'i>(input: &mut &'i mut [u8]) -> Option<&'i mut [u8]> {
    let (&[_, second], rest) = input.split_first_chunk::<2>()?;
    let (len, mut head) = match usize::from(second & !MASKED) {
        LENGTH_IS_U16 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        LENGTH_IS_U64 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 10),
        len => (len, 2),
    };
    let mask = (second & MASKED != 0).then(|| input.get(head..head + 4)?.first_chunk().copied());
    head += if mask.is_some() { 4 } else { 0 };
    if input.len() < head + len {
        return None;
    }
    let (frame, rest) = std::mem::take(input).split_at_mut(head + len);
    *input = rest;
    let payload = &mut frame[head..];
    if let Some(mask) = mask.flatten() {
        fastwebsockets::unmask(payload, mask);
    }
    Some(payload)
}

/// The value of a text field, as it stands in the source.
pub fn field<'p>(payload: &'p [u8], key: &str) -> Option<&'p [u8]> {
    let key = format!("\"{key}\":\"");
    let start = find(payload, key.as_bytes())? + key.len();
    let len = payload[start..].iter().position(|&byte| byte == b'"')?;
    Some(&payload[start..start + len])
}

/// Where `what` begins.
pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_read_back() {
        for len in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            for side in [Side::Client, Side::Server] {
                let payload = vec![b'x'; len];
                let mut bytes = Vec::new();
                push_text(&mut bytes, side, &payload);
                let mut short = bytes.clone();
                short.pop();
                assert!(next(&mut short.as_mut_slice()).is_none());
                bytes.push(0);
                let mut input = bytes.as_mut_slice();
                assert!(next(&mut input).is_some_and(|found| found == payload));
                assert_eq!(input.len(), 1);
            }
        }
    }
}
