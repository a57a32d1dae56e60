//! One shard with both its translators and without sockets: bytes of a client in, bytes for clients out.
//!
//! What the switchboard does with what it has read: copy (the read), WebSocket frame, dialect, core, dialect, frame. The
//! difference to the server is the system calls and the accounts of connections. Invariant: each step is the product's
//! own code; nothing here knows a frame's content.

use std::sync::Arc;

use systemx::dialect::systemx::{Bounds, Decoder as Dialect, encode, encoded_len_hint};
use systemx::exchange::LineId;
use systemx::exchange::effect::Effect;
use systemx::exchange::event::Event;
use systemx::websocket::{Decoder, Incoming, Limits, Message, MessageKind, encoder};

use super::exchange::{Core, limits, registration};

/// As the server's default.
pub const BOUNDS: Bounds = Bounds { metadata_bytes_max: 64 << 10, traces: false };
/// As a shard's scratch buffer, but large enough for every input of the benches in one read.
const SCRATCH_BYTES: usize = 256 << 10;

/// A shard between its translators.
pub struct Wire {
    /// The shard.
    pub core: Core,
    /// What was written to whomever since [`Wire::take`] began.
    pub out: Vec<u8>,
    /// How many notices that was.
    pub notices: usize,
    dialect: Dialect,
    scratch: Vec<u8>,
}

impl Wire {
    /// An exchange of one shard.
    pub fn new() -> Self {
        Self {
            core: Core::new(0, 1, Arc::new(limits())),
            out: Vec::new(),
            notices: 0,
            dialect: Dialect::new(BOUNDS),
            scratch: vec![0; SCRATCH_BYTES],
        }
    }

    /// A line that holds an address.
    pub fn registered(&mut self, address: &str) -> LineId {
        let line = self.core.open();
        let request = systemx::exchange::Request::Register(Box::new(registration(address)));
        self.core.feed(Event::Request { line, request }, |_, _| {}, |_| {});
        assert!(self.core.shard.is_registered(line), "{line} holds {address}");
        line
    }

    /// Handles what a client sent, to the bytes that it causes.
    pub fn take(&mut self, line: LineId, frames: &[u8]) {
        self.out.clear();
        self.notices = 0;
        let input = &mut self.scratch[..frames.len()];
        input.copy_from_slice(frames);
        // Between whole frames a connection's decoder holds nothing.
        let mut decoder = Decoder::new();
        let mut at = 0;
        while at < frames.len() {
            let step = decoder.next(&mut input[at..], &Limits::REGISTERED);
            at += step.consumed;
            let Incoming::Message(Message::Text(text)) = step.incoming else {
                unreachable!("clients of the benches send whole text frames")
            };
            let request = self.dialect.decode_text(&text, true).expect("clients of the benches are right");
            let (out, notices) = (&mut self.out, &mut self.notices);
            let tell = |effect: &Effect<'_>| {
                if let Effect::Notify { notice, .. } = effect {
                    let len = encoded_len_hint(notice);
                    let mark = encoder::begin_expecting(out, len);
                    encode(notice, out);
                    mark.finish(out, MessageKind::Text);
                    *notices += 1;
                }
            };
            let send = |_, _| unreachable!("there is one shard");
            self.core.feed(Event::Request { line, request }, send, tell);
        }
    }
}
