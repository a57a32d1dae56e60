//! What waits to be written to one connection, and the pool its buffers come from.
//!
//! Output of a turn is corked into one buffer and leaves in one `write`; an idle connection holds no buffer
//! (design.md, D4). Large payloads that go to many connections are shared instead of copied. How much may wait is
//! decided by the switchboard; here it is only counted.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Write};
use std::net::TcpStream;

use bytes::Bytes;
use rustix::net::SendFlags;

use super::mailer::Attempt;

/// A corked buffer that has grown beyond this is closed and another begun, so that memory is given back while a
/// long queue drains.
const CORK_BYTES_MAX: usize = 32 << 10;
/// Most pieces of one gathered write; more than a socket's buffer takes at once.
pub const PIECES_MAX: usize = 16;
/// Spent buffers kept by a shard, the largest one kept (a corked buffer with a 16 KiB message as its last, grown by
/// doubling, fits), and all together.
const SPARE_BUFFERS_MAX: usize = 1024;
const SPARE_BUFFER_BYTES_MAX: usize = 96 << 10;
const SPARE_BYTES_MAX: usize = 4 << 20;
/// Pieces that a spent queue keeps room for: as many as are written at once. Whoever once had thousands waiting does not
/// need that much again.
const SPARE_PIECES_MAX: usize = PIECES_MAX;
/// Shared payloads below this are copied behind others: a copy costs less than a piece of its own.
pub const SHARE_BYTES_MIN: usize = 16 << 10;

/// The queue of one connection. Nearly always it is one piece, which needs no list.
#[derive(Default, Debug)]
pub struct Output {
    first: Piece,
    later: VecDeque<Piece>,
    /// Bytes of the first piece that have been written.
    written: usize,
    len: usize,
}

#[derive(Debug)]
enum Piece {
    Corked(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Corked(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Default for Piece {
    fn default() -> Self {
        Self::Corked(Vec::new())
    }
}

/// How far a queue was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// To its end.
    All,
    /// The socket takes no more now; `progress` says whether it took anything.
    Blocked {
        /// Whether it took anything.
        progress: bool,
    },
    /// The connection is gone.
    Lost,
}

impl Output {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets `append` add to the corked buffer.
    pub fn cork(&mut self, spares: &mut Spares, append: impl FnOnce(&mut Vec<u8>)) {
        if self.len == 0 {
            self.first = Piece::Corked(spares.take());
        } else if self.last().is_none_or(|buffer| buffer.len() >= CORK_BYTES_MAX) {
            self.later.push_back(Piece::Corked(spares.take()));
        }
        let Some(buffer) = self.last() else { return };
        let before = buffer.len();
        append(buffer);
        let added = buffer.len() - before;
        self.len += added;
    }

    /// Adds bytes that others hold too. Small ones are copied if something waits already: a piece of its own, and
    /// what is shared kept alive for it, would cost more.
    pub fn share(&mut self, spares: &mut Spares, bytes: &Bytes) {
        if self.len == 0 {
            self.first = Piece::Shared(bytes.clone());
        } else if bytes.len() < SHARE_BYTES_MIN {
            return self.cork(spares, |buffer| buffer.extend_from_slice(bytes));
        } else {
            self.later.push_back(Piece::Shared(bytes.clone()));
        }
        self.len += bytes.len();
    }

    /// The buffer at the end, if what is there is one.
    fn last(&mut self) -> Option<&mut Vec<u8>> {
        match self.later.back_mut().unwrap_or(&mut self.first) {
            Piece::Corked(buffer) => Some(buffer),
            Piece::Shared(_) => None,
        }
    }

    /// What is to be written, if it is one piece.
    pub fn sole_piece(&self) -> Option<&[u8]> {
        self.later.is_empty().then(|| &self.first.bytes()[self.written..])
    }

    /// Writes as much as the socket takes. `first` is what came of a try with [`Output::sole_piece`], if there was one.
    pub fn write_to(&mut self, stream: &TcpStream, spares: &mut Spares, mut first: Attempt) -> Written {
        let mut progress = false;
        while !self.is_empty() {
            match first.take().unwrap_or_else(|| self.write_once(stream)) {
                Ok(0) => return Written::Lost,
                Ok(count) => {
                    progress = true;
                    self.advance(count, spares);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Written::Blocked { progress },
                Err(_) => return Written::Lost,
            }
        }
        Written::All
    }

    fn write_once(&self, mut stream: &TcpStream) -> std::io::Result<usize> {
        if let Some(piece) = self.sole_piece() {
            // Straight to the kernel: the standard library's way is a cancellation point of the C library.
            return Ok(rustix::net::send(stream, piece, SendFlags::NOSIGNAL)?);
        }
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let count = self.slices(&mut slices);
        stream.write_vectored(&slices[..count])
    }

    /// What is to be written next, in pieces; how many there are. Empty ones if nothing waits.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; PIECES_MAX]) -> usize {
        slices[0] = IoSlice::new(&self.first.bytes()[self.written..]);
        let rest = self.later.iter().map(|piece| IoSlice::new(piece.bytes()));
        1 + slices[1..].iter_mut().zip(rest).map(|(slice, piece)| *slice = piece).count()
    }

    /// Forgets so many bytes at the front, which have been written: at most all of them.
    pub fn advance(&mut self, mut count: usize, spares: &mut Spares) {
        self.len -= count;
        while count > 0 {
            let left = self.first.bytes().len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.next_piece(spares);
        }
    }

    fn next_piece(&mut self, spares: &mut Spares) {
        self.written = 0;
        let next = self.later.pop_front().unwrap_or_default();
        if let Piece::Corked(buffer) = std::mem::replace(&mut self.first, next) {
            spares.give(buffer);
        }
    }

    /// Drops everything that waits.
    pub fn clear(&mut self, spares: &mut Spares) {
        while self.len > 0 {
            self.len -= self.first.bytes().len() - self.written;
            self.next_piece(spares);
        }
    }
}

/// Spent buffers of one shard.
#[derive(Default, Debug)]
pub struct Spares {
    buffers: Vec<Vec<u8>>,
    /// The capacity of all of them.
    bytes: usize,
    #[expect(clippy::vec_box, reason = "the boxes are what is reused: a connection holds its queue by one")]
    queues: Vec<Box<Output>>,
}

impl Spares {
    fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer for reuse if it is worth it.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let has_room =
            self.buffers.len() < SPARE_BUFFERS_MAX && self.bytes + buffer.capacity() <= SPARE_BYTES_MAX;
        if has_room && (1..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity()) {
            self.bytes += buffer.capacity();
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// An empty queue.
    pub fn take_queue(&mut self) -> Box<Output> {
        self.queues.pop().unwrap_or_default()
    }

    /// Keeps an empty queue for reuse.
    pub fn give_queue(&mut self, mut queue: Box<Output>) {
        if queue.later.capacity() > SPARE_PIECES_MAX {
            queue.later = VecDeque::new();
        }
        if self.queues.len() < SPARE_BUFFERS_MAX {
            self.queues.push(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use crate::shell::testing::pair;

    use super::*;

    /// Several pieces that left in one gathered write were taken for one.
    #[test]
    fn nothing_is_left_of_pieces_that_left_together() {
        let (near, mut far) = pair();
        let (mut output, mut spares) = (Output::default(), Spares::default());
        for round in 0..3_u8 {
            for part in 0..3_u8 {
                output.share(&mut spares, &Bytes::from(vec![round, part]));
                let large = Bytes::from(vec![part; SHARE_BYTES_MIN]);
                output.share(&mut spares, &large);
            }
            let len = output.len();
            assert_eq!(output.write_to(&near, &mut spares, None), Written::All);
            assert!(output.is_empty() && output.later.is_empty());
            let mut received = vec![0; len];
            far.read_exact(&mut received).unwrap();
            assert_eq!(received[..3], [round, 0, 0]);
        }
    }

    #[test]
    fn a_spent_queue_keeps_no_room_for_the_thousands_that_once_waited() {
        let (mut queue, mut spares) = (Box::<Output>::default(), Spares::default());
        let large = Bytes::from(vec![0; SHARE_BYTES_MIN]);
        (0..10_000).for_each(|_| queue.share(&mut spares, &large));
        queue.clear(&mut spares);
        assert!(queue.later.capacity() >= 9_999);
        spares.give_queue(queue);
        assert!(spares.take_queue().later.capacity() <= SPARE_PIECES_MAX);
    }

    #[test]
    fn corked_and_shared_pieces_leave_in_order_however_the_socket_takes_them() {
        let (near, mut far) = pair();
        let (mut output, mut spares) = (Output::default(), Spares::default());
        let mut expected = Vec::new();
        for n in 0..200_u32 {
            let small = n.to_be_bytes().repeat(100);
            output.cork(&mut spares, |buffer| buffer.extend_from_slice(&small));
            let large = Bytes::from(n.to_le_bytes().repeat(SHARE_BYTES_MIN / 4));
            output.share(&mut spares, &large);
            expected.extend_from_slice(&small);
            expected.extend_from_slice(&large);
        }
        assert_eq!(output.len(), expected.len());
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; expected.len()];
            far.read_exact(&mut received).unwrap();
            assert!(received == expected, "the bytes differ");
        });
        while output.write_to(&near, &mut spares, None) != Written::All {
            std::thread::yield_now();
        }
        assert!(output.is_empty());
        reader.join().unwrap();
    }
}
