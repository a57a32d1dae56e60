//! WebSocket frames as clients need them: masked text out, plain text in.
//!
//! Written anew, as in `loadtest/frames.rs`: the hub's own framing is what is measured, and a mistake in it has to show.
//! No fragments, no checks beyond what keeps a reader in step.

/// The mask of every frame we send. Any but zero will do: the server has to undo it.
pub const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x8e];

const FIN_TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;
const LENGTH_IS_U16: usize = 126;
const LENGTH_IS_U64: usize = 127;

/// A client's text frame.
pub fn client_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN_TEXT];
    match payload.len() {
        len @ 0..LENGTH_IS_U16 => frame.push(MASKED | len as u8),
        len @ LENGTH_IS_U16..=0xffff => {
            frame.push(MASKED | LENGTH_IS_U16 as u8);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(MASKED | LENGTH_IS_U64 as u8);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Head and payload length of the server's frame that `input` begins with, if its head is all there.
pub fn measure(input: &[u8]) -> Option<(usize, usize)> {
    let (&[_, second], rest) = input.split_first_chunk::<2>()?;
    match usize::from(second) {
        LENGTH_IS_U16 => Some((4, usize::from(u16::from_be_bytes(*rest.first_chunk()?)))),
        LENGTH_IS_U64 => Some((10, u64::from_be_bytes(*rest.first_chunk()?) as usize)),
        len => Some((2, len)),
    }
}

/// The value of a text field, as it stands in the source.
pub fn field<'p>(payload: &'p [u8], key: &str) -> Option<&'p [u8]> {
    let key = format!("\"{key}\":\"");
    let start = payload.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    let len = payload[start..].iter().position(|&byte| byte == b'"')?;
    Some(&payload[start..start + len])
}
