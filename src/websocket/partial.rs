//! What a decoder must remember between reads: an unfinished head, frame or message.
//!
//! A connection at rest has none of this. Buffers grow by bytes received, doubling at most, never by the length a
//! head announces, so a lying head costs its sender as much as it costs us.
//! Invariant: a text message's bytes up to `valid_len` are UTF-8 and end at a character boundary.

use std::borrow::Cow;
use std::mem;

use fastwebsockets::{OpCode, unmask};

use super::decoder::{Incoming, control};
use super::head::{Head, HeadBytes};
use super::{Limits, Message, MessageKind, Violation};

/// The unfinished part of one connection's inbound stream.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub head: HeadBytes,
    pub frame: Option<OpenFrame>,
    pub message: Option<OpenMessage>,
    control: Vec<u8>,
}

impl Partial {
    pub fn is_idle(&self) -> bool {
        self.head.is_empty() && self.frame.is_none() && self.message.is_none()
    }

    pub fn buffered_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.bytes.capacity());
        mem::size_of::<Self>() + message + self.control.capacity()
    }

    /// Stores unmasked payload bytes of `frame`, which already counts them as received.
    pub fn store(&mut self, frame: &OpenFrame, chunk: &[u8], limits: &Limits) -> Result<(), Violation> {
        if frame.head.is_control() {
            self.control.extend_from_slice(chunk);
            return Ok(());
        }
        if chunk.is_empty() && frame.missing() > 0 {
            // Nothing of the payload is here: the frame may yet be delivered straight from the next read.
            return Ok(());
        }
        let message = self.message.get_or_insert_with(|| OpenMessage::new(frame.head.opcode));
        message.append(chunk, frame, limits)
    }

    /// Ends a frame whose payload is stored; `None` if its message goes on.
    pub fn finish(&mut self, head: &Head) -> Result<Option<Incoming<'static>>, Violation> {
        if head.is_control() {
            return control(head.opcode, Cow::Owned(mem::take(&mut self.control))).map(Some);
        }
        if !head.fin {
            return Ok(None);
        }
        self.message.take().map(OpenMessage::finish).transpose()
    }
}

/// A frame whose head is known and whose payload is under way.
#[derive(Debug)]
pub(super) struct OpenFrame {
    pub head: Head,
    len: usize,
    received: usize,
}

impl OpenFrame {
    /// The caller has checked the announced length against its limit, which is a `usize`.
    pub fn new(head: Head) -> Result<Self, Violation> {
        let len = usize::try_from(head.payload_len).map_err(|_| Violation::MessageTooBig)?;
        Ok(Self { head, len, received: 0 })
    }

    /// Payload bytes still to come.
    pub fn missing(&self) -> usize {
        self.len - self.received
    }

    /// Whether its payload is an event of its own and none of it has been stored elsewhere.
    pub fn stands_alone(&self) -> bool {
        self.received == 0 && self.head.fin && self.head.opcode != OpCode::Continuation
    }

    /// Unmasks the next bytes of the payload in place and counts them as received.
    pub fn unmask(&mut self, chunk: &mut [u8]) {
        let mut mask = self.head.mask;
        let phase = self.received % mask.len();
        mask.rotate_left(phase);
        unmask(chunk, mask);
        self.received += chunk.len();
    }
}

/// A data message that is not complete.
#[derive(Debug)]
pub(super) struct OpenMessage {
    kind: MessageKind,
    bytes: Vec<u8>,
    /// How much of a text is known to be UTF-8.
    valid_len: usize,
}

impl OpenMessage {
    fn new(opcode: OpCode) -> Self {
        let kind = if opcode == OpCode::Text { MessageKind::Text } else { MessageKind::Binary };
        Self { kind, bytes: Vec::new(), valid_len: 0 }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    fn append(&mut self, chunk: &[u8], frame: &OpenFrame, limits: &Limits) -> Result<(), Violation> {
        let after = self.bytes.len() + chunk.len();
        // Only a final frame tells where the message ends; capping at the end of any other would copy the whole
        // message once per fragment.
        let end = if frame.head.fin { after + frame.missing() } else { limits.message_len_max };
        self.grow(after, end);
        self.bytes.extend_from_slice(chunk);
        match self.kind {
            MessageKind::Text => self.check_new_text(),
            MessageKind::Binary => Ok(()),
        }
    }

    /// Makes room for `needed` bytes in all: by doubling, but not past `end`.
    fn grow(&mut self, needed: usize, end: usize) {
        let capacity = self.bytes.capacity();
        if needed <= capacity {
            return;
        }
        let target = needed.max(capacity.saturating_mul(2).min(end));
        self.bytes.reserve_exact(target - self.bytes.len());
    }

    /// Checks what came after the last complete character, so every byte is looked at once (plus three at most).
    fn check_new_text(&mut self) -> Result<(), Violation> {
        match simdutf8::compat::from_utf8(&self.bytes[self.valid_len..]) {
            Ok(_) => self.valid_len = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.valid_len += error.valid_up_to(),
            Err(_) => return Err(Violation::TextNotUtf8),
        }
        Ok(())
    }

    fn finish(self) -> Result<Incoming<'static>, Violation> {
        let message = match self.kind {
            // Known already but for an end within a character; the type wants it looked at once more.
            MessageKind::Text => {
                Message::Text(Cow::Owned(String::from_utf8(self.bytes).map_err(|_| Violation::TextNotUtf8)?))
            }
            MessageKind::Binary => Message::Binary(Cow::Owned(self.bytes)),
        };
        Ok(Incoming::Message(message))
    }
}
