//! The inbound side of one connection: raw bytes in, complete messages and control frames out.
//!
//! The driver reads many sockets into one scratch buffer and calls [`Decoder::next`] on what it read. A frame that
//! lies in the buffer whole is unmasked in place and handed out as a slice: no allocation, no copy. Only what a read
//! leaves unfinished is kept, in one box that is gone when the message is (see `partial`).
//! Invariant: the sequence of results depends on the bytes alone, not on how they were cut into reads.

use std::borrow::Cow;
use std::mem;

use fastwebsockets::{OpCode, unmask};

use super::head::Head;
use super::partial::{OpenFrame, Partial};
use super::{Carried, CloseCode, Message, Violation};

/// State of one connection's inbound stream: 16 bytes and no heap memory while nothing is unfinished.
/// A plain value that may be sent to another thread together with the socket.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
    carried: Option<Box<Carried>>,
}

/// Bounds that the caller may change between calls (a larger message is allowed after REGISTER).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most payload bytes of one message, all its fragments together. Checked when a frame's head arrives.
    pub message_len_max: usize,
    /// Who sends. Always the same for one connection.
    pub sender: Sender,
}

/// The side that a stream comes from: clients mask what they send, servers must not (RFC 6455 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Whoever has called this exchange.
    Client,
    /// Whom this exchange has called.
    Server,
}

impl Limits {
    /// Default before REGISTER: 1 MiB, room for any profile, while strangers stay cheap (design.md D3).
    pub const UNREGISTERED: Self = Self { message_len_max: 1 << 20, sender: Sender::Client };
    /// Default after REGISTER: 16 MiB (spec section 1).
    pub const REGISTERED: Self = Self { message_len_max: 16 << 20, sender: Sender::Client };
}

/// What one call of [`Decoder::next`] did.
#[derive(Debug)]
#[must_use]
pub struct Step<'i> {
    /// How many bytes at the start of the input are done with; call again with the rest.
    pub consumed: usize,
    /// What they amounted to.
    pub incoming: Incoming<'i>,
}

/// One thing a peer sent. Borrowed payloads lie in the input, owned ones were collected over several reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'i> {
    /// A complete message.
    Message(Message<'i>),
    /// To be answered with a pong of the same payload.
    Ping(Cow<'i, [u8]>),
    /// A sign of life; the payload is of interest only to who sent a ping with one.
    Pong(Cow<'i, [u8]>),
    /// The peer closes. Answer with a close frame and discard whatever follows.
    Close {
        /// `None` if the frame had no body.
        code: Option<CloseCode>,
        /// May be empty.
        reason: Cow<'i, str>,
    },
    /// Nothing complete is left; all input was consumed.
    NeedMore,
    /// The peer broke a rule. Close with its code and discard whatever follows, without decoding it.
    Violation(Violation),
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new() -> Self {
        Self { partial: None, carried: None }
    }

    /// Decodes up to one event from the start of `input`, unmasking it in place.
    ///
    /// Call again with `input[consumed..]` until [`Incoming::NeedMore`]; or stop early and [`carry`](Self::carry)
    /// the rest. Never feed consumed bytes twice, nor new bytes before carried ones, nor any after `Close` or
    /// `Violation` (harmless, but the results mean nothing). Time is linear in `consumed`.
    pub fn next<'i>(&mut self, mut input: &'i mut [u8], limits: &Limits) -> Step<'i> {
        let offered = input.len();
        let incoming = self.advance(&mut input, limits).unwrap_or_else(Incoming::Violation);
        self.release(&incoming);
        Step { consumed: offered - input.len(), incoming }
    }

    /// Keeps raw bytes that were read but not decoded, behind those already carried.
    pub fn carry(&mut self, unconsumed: &[u8]) {
        if !unconsumed.is_empty() {
            self.carried.get_or_insert_default().append(unconsumed);
        }
    }

    /// Takes the carried bytes out for decoding; they come before anything the socket holds.
    pub fn take_carried(&mut self) -> Option<Box<Carried>> {
        self.carried.take()
    }

    /// Gives back what is left of them. No byte is copied; an empty rest is freed.
    pub fn put_back(&mut self, mut carried: Box<Carried>) {
        if let Some(mut later) = self.carried.take() {
            carried.append(later.unread());
        }
        self.carried = (!carried.is_empty()).then_some(carried);
    }

    /// Number of carried bytes; while there are any, the socket must not be read.
    pub fn carried_len(&self) -> usize {
        self.carried.as_ref().map_or(0, |carried| carried.len())
    }

    /// Heap bytes held by this decoder (capacities, not lengths), for memory budgets. 0 at rest.
    pub fn buffered_bytes(&self) -> usize {
        let carried =
            self.carried.as_ref().map_or(0, |carried| mem::size_of::<Carried>() + carried.capacity());
        self.incomplete_bytes() + carried
    }

    /// What of them is kept for a message that is not complete.
    pub fn incomplete_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.buffered_bytes())
    }

    /// Whether the stream stands between two messages, so that an end of stream here cuts nothing off.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none() && self.carried.is_none()
    }

    fn advance<'i>(&mut self, input: &mut &'i mut [u8], limits: &Limits) -> Result<Incoming<'i>, Violation> {
        loop {
            let Some(frame) = self.current_frame(input, limits)? else { return Ok(Incoming::NeedMore) };
            if frame.stands_alone() && frame.missing() <= input.len() {
                let payload = take_front(input, frame.missing());
                unmask(payload, frame.head.mask);
                return whole_frame(frame.head.opcode, payload);
            }
            if let Some(incoming) = self.collect(frame, input, limits)? {
                return Ok(incoming);
            }
        }
    }

    /// The frame under way, or the next one if its head is complete.
    fn current_frame(
        &mut self,
        input: &mut &mut [u8],
        limits: &Limits,
    ) -> Result<Option<OpenFrame>, Violation> {
        if let Some(frame) = self.partial.as_mut().and_then(|partial| partial.frame.take()) {
            return Ok(Some(frame));
        }
        let Some(head) = self.read_head(input, limits.sender)? else { return Ok(None) };
        self.admit(&head, limits)?;
        OpenFrame::new(head).map(Some)
    }

    fn read_head(&mut self, input: &mut &mut [u8], sender: Sender) -> Result<Option<Head>, Violation> {
        let parsed = match &mut self.partial {
            Some(partial) if !partial.head.is_empty() => partial.head.resume(input, sender)?,
            _ => match Head::parse(input, sender)? {
                None if !input.is_empty() => {
                    self.partial.get_or_insert_default().head.resume(input, sender)?
                }
                parsed => parsed,
            },
        };
        let taken = parsed.map_or(input.len(), |(_, taken)| taken);
        take_front(input, taken);
        Ok(parsed.map(|(head, _)| head))
    }

    /// Checks a data frame against the message it claims to start or continue.
    fn admit(&self, head: &Head, limits: &Limits) -> Result<(), Violation> {
        if head.is_control() {
            return Ok(());
        }
        let message = self.partial.as_ref().and_then(|partial| partial.message.as_ref());
        let before = match (head.opcode, message) {
            (OpCode::Continuation, None) => return Err(Violation::ContinuationWithoutStart),
            (OpCode::Continuation, Some(message)) => message.len(),
            (_, Some(_)) => return Err(Violation::MessageInsideMessage),
            (_, None) => 0,
        };
        // The limit may have shrunk below what an open message already holds.
        let room = limits.message_len_max.saturating_sub(before);
        if head.payload_len > room as u64 {
            return Err(Violation::MessageTooBig);
        }
        Ok(())
    }

    /// Stores what is here of a frame that cannot be handed out as a slice of the input.
    /// `None` if a fragment ended and the next frame may follow.
    fn collect<'i>(
        &mut self,
        mut frame: OpenFrame,
        input: &mut &'i mut [u8],
        limits: &Limits,
    ) -> Result<Option<Incoming<'i>>, Violation> {
        let partial = self.partial.get_or_insert_default();
        let available = frame.missing().min(input.len());
        let chunk = take_front(input, available);
        frame.unmask(chunk);
        partial.store(&frame, chunk, limits)?;
        if frame.missing() > 0 {
            partial.frame = Some(frame);
            return Ok(Some(Incoming::NeedMore));
        }
        partial.finish(&frame.head)
    }

    /// Frees the box once nothing is unfinished, or nothing will be finished any more.
    fn release(&mut self, incoming: &Incoming<'_>) {
        let over = matches!(incoming, Incoming::Violation(_) | Incoming::Close { .. });
        if over || self.partial.as_ref().is_some_and(|partial| partial.is_idle()) {
            self.partial = None;
        }
    }
}

impl Incoming<'_> {
    /// The same with payloads of its own, free of the input's lifetime.
    pub fn into_owned(self) -> Incoming<'static> {
        match self {
            Self::Message(message) => Incoming::Message(message.into_owned()),
            Self::Ping(payload) => Incoming::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Incoming::Pong(Cow::Owned(payload.into_owned())),
            Self::Close { code, reason } => Incoming::Close { code, reason: Cow::Owned(reason.into_owned()) },
            Self::NeedMore => Incoming::NeedMore,
            Self::Violation(violation) => Incoming::Violation(violation),
        }
    }
}

/// Cuts `len` bytes off the front of `input`.
fn take_front<'i>(input: &mut &'i mut [u8], len: usize) -> &'i mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    front
}

/// A frame that is an event of its own, unmasked.
fn whole_frame(opcode: OpCode, payload: &[u8]) -> Result<Incoming<'_>, Violation> {
    let message = match opcode {
        OpCode::Text => {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| Violation::TextNotUtf8)?;
            Message::Text(Cow::Borrowed(text))
        }
        OpCode::Binary => Message::Binary(Cow::Borrowed(payload)),
        _ => return control(opcode, Cow::Borrowed(payload)),
    };
    Ok(Incoming::Message(message))
}

/// A complete control frame. Opcodes of data frames do not get here.
pub(super) fn control(opcode: OpCode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    match opcode {
        OpCode::Ping => Ok(Incoming::Ping(payload)),
        OpCode::Pong => Ok(Incoming::Pong(payload)),
        OpCode::Close | OpCode::Text | OpCode::Binary | OpCode::Continuation => close(payload),
    }
}

fn close(payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    let code = match payload[..] {
        [] => None,
        [_] => return Err(Violation::CloseBodyOfOneByte),
        [high, low, ..] => {
            let code = u16::from_be_bytes([high, low]);
            Some(CloseCode::new(code).ok_or(Violation::CloseCodeInvalid)?)
        }
    };
    let reason_at = if code.is_some() { mem::size_of::<u16>() } else { 0 };
    let reason = match payload {
        Cow::Borrowed(body) => std::str::from_utf8(&body[reason_at..]).map(Cow::Borrowed),
        Cow::Owned(body) => {
            std::str::from_utf8(&body[reason_at..]).map(|reason| Cow::Owned(reason.to_owned()))
        }
    };
    Ok(Incoming::Close { code, reason: reason.map_err(|_| Violation::CloseReasonNotUtf8)? })
}

#[cfg(test)]
mod tests;
