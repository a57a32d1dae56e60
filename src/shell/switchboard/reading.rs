//! Reading sockets: many are read into one buffer first, then what came is handled.
//!
//! In that order because the kernel's code and ours drive each other out of the processor's caches: a batch pays
//! for that once. What was read of a connection is handled before anything else of it is, and before it moves;
//! whatever was decided about it meanwhile (held, lost, told to go) counts.

use std::ops::Range;

use crate::exchange::event::Loss;
use crate::exchange::ids::Handle;

use super::super::transport::Reading;
use super::{READS_PER_TURN, SCRATCH_BYTES, Switchboard};

/// Most connections read before what came is handled: the others wait no longer than for a flush.
const BATCH_MAX: usize = 64;
/// A read is not begun with less room than this, in bytes, or large messages would arrive in pieces.
const ROOM_MIN: usize = 32 << 10;

/// What a connection had to read.
#[derive(Debug)]
pub(super) enum Input {
    /// Bytes, at this place of the scratch buffer.
    Fresh(Range<usize>),
    /// Bytes that it carries since an earlier read.
    Carried,
    /// The end of the stream: nothing comes after it.
    End,
    /// An error. It is said once only, so it must not be put off.
    Broken,
}

impl Switchboard {
    /// Puts a connection on the list of those to read.
    pub(super) fn mark_readable(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        connection.state.readable = true;
        self.enqueue(handle);
    }

    /// Has a connection looked at, unless it is held or on the list already.
    pub(super) fn enqueue(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.state.queued && !connection.is_held() && connection.has_input() {
            connection.state.queued = true;
            self.queues.ready.push_back(handle);
        }
    }

    /// Reads the connections that have something, each at most once, within the turn's budget.
    pub(super) fn read_ready(&mut self) {
        let mut reads_left = self.queues.ready.len().min(READS_PER_TURN);
        let mut batch = std::mem::take(&mut self.batch);
        let mut scratch = std::mem::take(&mut self.scratch);
        while reads_left > 0 && self.messages_left > 0 {
            self.fill(&mut batch, &mut scratch, &mut reads_left);
            for (handle, input) in batch.drain(..) {
                self.reading = Some(handle);
                self.take_input(handle, input, &mut scratch);
                self.reading = None;
                self.ship(handle);
                self.enqueue(handle);
            }
        }
        (self.batch, self.scratch) = (batch, scratch);
    }

    /// Reads sockets until the buffer is full, or nobody is left who may be read.
    fn fill(&mut self, batch: &mut Vec<(Handle, Input)>, scratch: &mut [u8], reads_left: &mut usize) {
        let (mut filled, most) = (0, BATCH_MAX.min(self.messages_left));
        while *reads_left > 0 && batch.len() < most && filled + ROOM_MIN <= SCRATCH_BYTES {
            *reads_left -= 1;
            let Some(handle) = self.queues.ready.pop_front() else { return *reads_left = 0 };
            let Some(connection) = self.connections.get_mut(handle) else { continue };
            connection.state.queued = false;
            if connection.is_held() {
                continue;
            }
            let input = if connection.decoder.carried_len() > 0 {
                Input::Carried
            } else {
                match connection.transport.read(&mut scratch[filled..], &mut self.wire) {
                    Reading::Bytes { count, more } => {
                        let fresh = filled..filled + count;
                        filled = fresh.end;
                        connection.state.readable = more || connection.state.hung_up;
                        Input::Fresh(fresh)
                    }
                    Reading::Nothing => {
                        connection.state.readable = false;
                        continue;
                    }
                    // TLS may have taken something and given nothing: that is to be counted, and it is looked at again.
                    Reading::Again => Input::Fresh(filled..filled),
                    Reading::End => Input::End,
                    Reading::Broken => Input::Broken,
                }
            };
            connection.state.unhandled = true;
            batch.push((handle, input));
        }
    }

    /// Handles what a connection had to read.
    fn take_input(&mut self, handle: Handle, input: Input, scratch: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        connection.state.unhandled = false;
        match input {
            Input::Fresh(range) => {
                let fresh = &mut scratch[range];
                let consumed = self.consume(handle, fresh);
                if consumed < fresh.len()
                    && let Some(connection) = self.connections.get_mut(handle)
                {
                    connection.decoder.carry(&fresh[consumed..]);
                }
            }
            Input::Carried => {
                let Some(mut carried) = connection.decoder.take_carried() else { return };
                let consumed = self.consume(handle, carried.unread());
                carried.consume(consumed);
                if let Some(connection) = self.connections.get_mut(handle) {
                    connection.decoder.put_back(carried);
                }
            }
            // Held since it was read: the end is still there when it is read again.
            Input::End if connection.is_held() => connection.state.readable = true,
            // On the way to another shard it would take its line's luggage along; there it is found dead.
            Input::Broken if connection.state.moving => {}
            Input::End | Input::Broken => return self.lose(handle, Loss::Vanished),
        }
        self.after_consume(handle);
    }
}
