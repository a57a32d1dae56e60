//! The native protocol: bytes of one frame to a [`Request`], a [`Notice`] to bytes (spec sections 2 to 17).
//!
//! One file per verb family reads that family's frames, `encode.rs` writes all notices, `refusal.rs` has every text
//! of ERROR frames and `wire_error.rs` the close codes. Buffers only: no I/O, no clock, no shard. What depends on
//! what the exchange knows is not decided here.
//! Invariant: decoding any bytes returns, and takes time and memory linear in them.

mod calls;
mod encode;
mod frame;
pub mod fuzz;
mod parties;
mod presence;
mod refusal;
mod registration;
mod sleep;
mod wake_handler;
mod wire_error;

#[cfg(test)]
mod tests;

pub use encode::{encode, encode_invalid_address, encoded_len_hint};
pub use refusal::{Bounded, Context, Count, Fault, Refusal, encode_refusal};
pub use wire_error::{CloseWhy, WireError, close_of};

use crate::dialect::json::{InvalidJson, Object, Parsed, Parser, Value, display_js};
use crate::exchange::effect::Notice;
use crate::exchange::event::{Request, Verb};

use frame::{Frame, FrameType, KEYS, key, type_of};

/// What an operator may bound of what frames carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Most bytes of `metadata` in REGISTER and DIAL, of `wake_handler`, and of PRESENCE's `query`: the first three
    /// are kept, the last is handed to every shard.
    pub metadata_bytes_max: usize,
}

/// Reads frames, one after the other. One for each shard is enough: nothing is remembered between frames.
#[derive(Debug)]
pub struct Decoder {
    parser: Parser,
    bounds: Bounds,
}

impl Decoder {
    /// A decoder with these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { parser: Parser::new(), bounds }
    }

    /// Reads one whole message of any kind. `registered` says whether the line holds an address: PRESENCE without
    /// one is refused before its fields are looked at (section 3).
    ///
    /// Opaque fields are borrowed from `payload`, texts too unless they hold escapes. Reading a MSG allocates nothing.
    pub fn decode<'f>(&mut self, payload: &'f [u8], registered: bool) -> Result<Request<'f>, WireError> {
        if payload.is_empty() {
            return Err(WireError::Close(CloseWhy::Empty));
        }
        let parsed = self.parser.parse(&KEYS, payload);
        read(parsed, self.bounds, registered)
    }

    /// The same for a message that is known to be UTF-8, which is not checked again.
    pub fn decode_text<'f>(&mut self, payload: &'f str, registered: bool) -> Result<Request<'f>, WireError> {
        if payload.is_empty() {
            return Err(WireError::Close(CloseWhy::Empty));
        }
        let parsed = self.parser.parse_str(&KEYS, payload);
        read(parsed, self.bounds, registered)
    }
}

fn read<'f>(
    parsed: Result<Parsed<'_, 'f>, InvalidJson>,
    bounds: Bounds,
    registered: bool,
) -> Result<Request<'f>, WireError> {
    let object = match parsed {
        Ok(Parsed::Object(object)) => object,
        Ok(Parsed::NotObject) => return Err(unsupported(None)),
        Err(InvalidJson) => return Err(WireError::Close(CloseWhy::InvalidJson)),
    };
    let kind = object.get(key::TYPE);
    match kind.and_then(|kind| type_of(&kind.as_str()?)) {
        Some(FrameType::Verb(verb)) => read_verb(verb, object, bounds, registered),
        Some(FrameType::DialForward) => {
            Err(WireError::Refuse(Refusal { context: Context::DialForward, fault: Fault::NotPbx }))
        }
        None => Err(unsupported(kind)),
    }
}

fn read_verb<'f>(
    verb: Verb,
    object: Object<'_, 'f>,
    bounds: Bounds,
    registered: bool,
) -> Result<Request<'f>, WireError> {
    let frame = Frame { verb, object };
    match verb {
        Verb::Message => calls::read_message(frame),
        Verb::Heartbeat => Ok(Request::Heartbeat),
        Verb::Dial => calls::read_dial(frame, bounds),
        Verb::Answer => calls::read_answer(frame),
        Verb::HangUp => calls::read_hang_up(frame),
        Verb::Register => registration::read_register(frame, bounds),
        Verb::Unregister => Ok(Request::Unregister),
        Verb::Status => sleep::read_status(frame),
        Verb::SleepAck => Ok(Request::SleepAck),
        Verb::Presence if !registered => Err(frame.refuse(Fault::PresenceUnregistered)),
        Verb::Presence => presence::read_presence(frame, bounds),
        Verb::Join => parties::read_join(frame),
        Verb::PartyMessage => parties::read_party_message(frame),
        Verb::Leave => parties::read_leave(frame),
        // No type is read as this verb.
        Verb::Whisper => Err(unsupported(frame.get(key::TYPE))),
    }
}

/// The answer to a frame whose type means nothing here; one without type, or that is no object, shows `undefined`.
fn unsupported(kind: Option<Value<'_>>) -> WireError {
    let fault = Fault::UnsupportedType(display_js(kind));
    WireError::Refuse(Refusal { context: Context::Unknown, fault })
}
