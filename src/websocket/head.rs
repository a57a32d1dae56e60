//! Frame heads as they are received: parsing, and keeping the bytes of one that is not complete yet.
//!
//! Knows single frames only; what a frame means inside a message is the decoder's business.
//! Invariant: a `Head` that exists has passed every check that needs no other frame, and a byte that makes the
//! head wrong is reported as soon as it has arrived.

use fastwebsockets::OpCode;

use super::{CONTROL_PAYLOAD_LEN_MAX, Sender, Violation};

/// Two bytes, eight of extended length, four of mask.
const HEAD_LEN_MAX: usize = 14;
const FIN: u8 = 0b1000_0000;
const RESERVED_BITS: u8 = 0b0111_0000;
const OPCODE_BITS: u8 = 0b0000_1111;
const MASKED: u8 = 0b1000_0000;
const LENGTH_BITS: u8 = 0b0111_1111;
/// Values of the 7-bit length that announce a 16-bit and a 64-bit one.
const LENGTH_IS_U16: u8 = 126;
const LENGTH_IS_U64: u8 = 127;
const LENGTH_TOP_BIT: u64 = 1 << 63;

/// The checked head of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub fin: bool,
    pub opcode: OpCode,
    pub mask: [u8; 4],
    pub payload_len: u64,
}

impl Head {
    /// The head at the start of `bytes` and its own length; `None` if more bytes are needed. An unmasked one has a mask that
    /// changes nothing.
    #[inline]
    pub fn parse(bytes: &[u8], sender: Sender) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = check_first(first)?;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let short = check_second(second, opcode, sender)?;
        let Some((payload_len, mask_at)) = payload_len(short, bytes)? else { return Ok(None) };
        if sender == Sender::Server {
            let head = Self { fin: first & FIN != 0, opcode, mask: [0; 4], payload_len };
            return Ok(Some((head, mask_at)));
        }
        let Some(&mask) = bytes[mask_at..].first_chunk::<4>() else { return Ok(None) };
        let head = Self { fin: first & FIN != 0, opcode, mask, payload_len };
        Ok(Some((head, mask_at + mask.len())))
    }

    pub fn is_control(&self) -> bool {
        is_control(self.opcode)
    }
}

fn is_control(opcode: OpCode) -> bool {
    matches!(opcode, OpCode::Close | OpCode::Ping | OpCode::Pong)
}

fn check_first(byte: u8) -> Result<OpCode, Violation> {
    if byte & RESERVED_BITS != 0 {
        return Err(Violation::ReservedBits);
    }
    let opcode = OpCode::try_from(byte & OPCODE_BITS).map_err(|_| Violation::ReservedOpcode)?;
    if is_control(opcode) && byte & FIN == 0 {
        return Err(Violation::ControlFragmented);
    }
    Ok(opcode)
}

/// The 7-bit length.
fn check_second(byte: u8, opcode: OpCode, sender: Sender) -> Result<u8, Violation> {
    match (sender, byte & MASKED != 0) {
        (Sender::Client, true) | (Sender::Server, false) => {}
        (Sender::Client, false) => return Err(Violation::Unmasked),
        (Sender::Server, true) => return Err(Violation::Masked),
    }
    let short = byte & LENGTH_BITS;
    if is_control(opcode) && usize::from(short) > CONTROL_PAYLOAD_LEN_MAX {
        return Err(Violation::ControlTooLong);
    }
    Ok(short)
}

/// The payload's length and where the mask starts; `None` if the extended length is not complete.
/// `bytes` holds the first two bytes at least.
fn payload_len(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (len, mask_at, len_min) = match short {
        LENGTH_IS_U16 => match bytes[2..].first_chunk::<2>() {
            Some(&len) => (u64::from(u16::from_be_bytes(len)), 4, u64::from(LENGTH_IS_U16)),
            None => return Ok(None),
        },
        LENGTH_IS_U64 => match bytes[2..].first_chunk::<8>() {
            Some(&len) => (u64::from_be_bytes(len), 10, u64::from(u16::MAX) + 1),
            None => return Ok(None),
        },
        _ => (u64::from(short), 2, 0),
    };
    if len & LENGTH_TOP_BIT != 0 {
        return Err(Violation::LengthTopBit);
    }
    if len < len_min {
        return Err(Violation::LengthNotMinimal);
    }
    Ok(Some((len, mask_at)))
}

/// The bytes of a head that ended with the last read.
#[derive(Debug, Default)]
pub(super) struct HeadBytes {
    bytes: [u8; HEAD_LEN_MAX],
    len: usize,
}

impl HeadBytes {
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Goes on with `input`: the head and how many bytes of `input` belong to it, or `None` after keeping all of
    /// `input`, which then was too short.
    pub fn resume(&mut self, input: &[u8], sender: Sender) -> Result<Option<(Head, usize)>, Violation> {
        let kept = self.len;
        let taken = input.len().min(HEAD_LEN_MAX - kept);
        self.bytes[kept..kept + taken].copy_from_slice(&input[..taken]);
        if let Some((head, head_len)) = Head::parse(&self.bytes[..kept + taken], sender)? {
            self.len = 0;
            return Ok(Some((head, head_len - kept)));
        }
        // 14 bytes always make a head, so an incomplete one has taken the whole input.
        self.len = kept + taken;
        Ok(None)
    }
}
