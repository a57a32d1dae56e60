//! Raw bytes that were read from a socket but not decoded yet, kept for a later turn or another shard.
//!
//! They exist because a turn has a budget and because REGISTER ends a turn's parsing (design.md D1).
//! Invariant: consuming never moves the rest, so many small frames cost their own bytes and no more.

/// Undecoded bytes in arrival order. A plain value: it may be sent to another thread.
#[derive(Debug, Default)]
pub struct Carried {
    bytes: Vec<u8>,
    consumed: usize,
}

impl Carried {
    /// What is left to decode; hand it to [`Decoder::next`](super::Decoder::next), which unmasks in place.
    pub fn unread(&mut self) -> &mut [u8] {
        &mut self.bytes[self.consumed..]
    }

    /// Marks `len` bytes as decoded (at most all of them).
    pub fn consume(&mut self, len: usize) {
        self.consumed = self.bytes.len().min(self.consumed + len);
    }

    /// Number of bytes left to decode.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.consumed
    }

    /// Whether everything has been decoded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes held.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds bytes that arrived after the ones here.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        // Dropping the consumed half keeps the copying linear: a byte moves only after as many were consumed.
        if self.consumed > self.len() {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}
