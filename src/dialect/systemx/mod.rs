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
mod tie_encode;
mod tie_parties;
mod ties;
mod wake_handler;
mod wire_error;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tie_tests;

pub use encode::{encode, encode_invalid_address, encode_named, encoded_len_hint};
pub use refusal::{Bounded, Context, Count, Fault, Refusal, encode_refusal};
pub use tie_encode::CallNames;
pub use wire_error::{CloseWhy, WireError, close_of, close_of_restart, retry_after_ms};

use crate::dialect::json::{InvalidJson, Object, Parsed, Parser, Value, display_js};
use crate::exchange::effect::Notice;
use crate::exchange::event::{Request, Verb};

use ties::tie_type_of;

use frame::{Frame, FrameType, KEYS, key, type_of};

/// What an operator may bound of what frames carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Most bytes of `metadata` in REGISTER and DIAL, of `wake_handler`, and of PRESENCE's `query`: the first three
    /// are kept, the last is handed to every shard.
    pub metadata_bytes_max: usize,
    /// Whether anybody wants to know which traces calls belong to. If not, nothing is looked for.
    pub traces: bool,
}

/// What the exchange knows of the line that a frame comes from, as far as the frame's meaning depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Standing {
    /// It holds an address: PRESENCE without one is refused before its fields are looked at (section 3).
    pub registered: bool,
    /// It leads to another exchange, and may say what only exchanges say (section 19).
    pub tie: bool,
}

impl From<bool> for Standing {
    fn from(registered: bool) -> Self {
        Self { registered, tie: false }
    }
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

    /// Reads one whole message of any kind.
    ///
    /// Opaque fields are borrowed from `payload`, texts too unless they hold escapes. Reading a MSG allocates nothing.
    pub fn decode<'f>(
        &mut self,
        payload: &'f [u8],
        standing: impl Into<Standing>,
    ) -> Result<Request<'f>, WireError> {
        if payload.is_empty() {
            return Err(WireError::Close(CloseWhy::Empty));
        }
        let parsed = self.parser.parse(&KEYS, payload);
        read(parsed, self.bounds, standing.into())
    }

    /// The same for a message that is known to be UTF-8, which is not checked again.
    pub fn decode_text<'f>(
        &mut self,
        payload: &'f str,
        standing: impl Into<Standing>,
    ) -> Result<Request<'f>, WireError> {
        if payload.is_empty() {
            return Err(WireError::Close(CloseWhy::Empty));
        }
        let parsed = self.parser.parse_str(&KEYS, payload);
        read(parsed, self.bounds, standing.into())
    }
}

fn read<'f>(
    parsed: Result<Parsed<'_, 'f>, InvalidJson>,
    bounds: Bounds,
    standing: Standing,
) -> Result<Request<'f>, WireError> {
    let object = match parsed {
        Ok(Parsed::Object(object)) => object,
        Ok(Parsed::NotObject) => return Err(unsupported(None)),
        Err(InvalidJson) => return Err(WireError::Close(CloseWhy::InvalidJson)),
    };
    let kind = object.get(key::TYPE);
    let Some(name) = kind.and_then(|kind| kind.as_str()) else { return Err(unsupported(kind)) };
    if standing.tie
        && let Some(tie) = tie_type_of(&name)
    {
        return ties::read_tie(tie, Frame { verb: tie.verb(), object }, bounds);
    }
    match type_of(&name) {
        Some(FrameType::Verb(verb)) => read_verb(verb, object, bounds, standing),
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
    standing: Standing,
) -> Result<Request<'f>, WireError> {
    let frame = Frame { verb, object };
    match verb {
        Verb::Message if standing.tie => ties::read_tie_message(frame),
        Verb::Message => calls::read_message(frame),
        Verb::Heartbeat => Ok(Request::Heartbeat),
        Verb::Dial => calls::read_dial(frame, bounds),
        Verb::Answer => calls::read_answer(frame),
        Verb::HangUp => calls::read_hang_up(frame),
        Verb::Register => registration::read_register(frame, bounds),
        Verb::Unregister => Ok(Request::Unregister),
        Verb::Status => sleep::read_status(frame),
        Verb::SleepAck => Ok(Request::SleepAck),
        Verb::Presence if !standing.registered => Err(frame.refuse(Fault::PresenceUnregistered)),
        Verb::Presence => presence::read_presence(frame, bounds),
        Verb::Join => parties::read_join(frame),
        Verb::PartyMessage if standing.tie => tie_parties::read_tie_party_message(frame),
        Verb::PartyMessage => parties::read_party_message(frame),
        Verb::Leave if standing.tie => tie_parties::read_tie_leave(frame),
        Verb::Leave => parties::read_leave(frame),
        Verb::RegisterPbx => ties::read_register_pbx(frame),
        // No type is read as these verbs.
        Verb::Whisper | Verb::DialForward | Verb::JoinForward | Verb::Tie => {
            Err(unsupported(frame.get(key::TYPE)))
        }
    }
}

/// The answer to a frame whose type means nothing here; one without type, or that is no object, shows `undefined`.
fn unsupported(kind: Option<Value<'_>>) -> WireError {
    let fault = Fault::UnsupportedType(display_js(kind));
    WireError::Refuse(Refusal { context: Context::Unknown, fault })
}
