//! A connection's bytes on their way to and from its socket: as they are, or through TLS.
//!
//! Both look alike to the switchboard. Without TLS nothing is added but one look at a null pointer. With TLS the session is
//! driven here, on the socket that does not block (design.md, D12): no task, no lock.
//! Invariants: what has been decrypted is handed out by the very read that decrypted it, as far as there is room, and by the
//! next ones before the socket is asked again; output counts as waiting until the last byte of its ciphertext is written.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::net::RecvFlags;

use crate::tls::PeerName;

use super::mailer::Attempt;
use super::output::{Output, PIECES_MAX, Spares, Written};

/// The longest record of TLS on the wire, in bytes: 16 KiB, what a cipher may add, and the head. So much may come out of a
/// read beyond what it read, when it completes a record.
const RECORD_BYTES_MAX: usize = (16 << 10) + 2048 + 5;
/// Ciphertext read at a time, in bytes.
const WIRE_BYTES: usize = 64 << 10;
/// Most that a session keeps of what is not complete, in bytes: a message of TLS itself in its longest form.
const WITHHELD_BYTES_MAX: usize = 64 << 10;
/// Output that is encrypted before the socket has taken it, in bytes: two full records. A connection that is blocked holds
/// so much twice.
const SEALED_BYTES_MAX: usize = 32 << 10;

/// The way to a client.
#[derive(Debug)]
pub struct Transport {
    stream: TcpStream,
    session: Option<Box<Session>>,
}

/// What a read has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// So many bytes. `more` says whether to look again without waiting for the poller.
    Bytes {
        /// How many, not 0.
        count: usize,
        /// Whether there may be more already.
        more: bool,
    },
    /// Nothing, and nothing is there: the poller will say when there is.
    Nothing,
    /// Nothing yet, but it is to be tried again.
    Again,
    /// The end of the stream.
    End,
    /// An error that ends the connection.
    Broken,
}

impl Transport {
    /// The socket alone.
    pub fn plain(stream: TcpStream) -> Self {
        Self { stream, session: None }
    }

    /// The socket through a TLS session whose handshake is done, on either side of it. `peer_names` are those that the peer's
    /// certificate proves.
    pub fn secure(
        stream: TcpStream,
        session: impl Into<rustls::Connection>,
        peer_names: Box<[PeerName]>,
    ) -> Self {
        let mut tls = session.into();
        tls.set_buffer_limit(Some(SEALED_BYTES_MAX));
        let session = Session { tls, sealed: 0, written: 0, withheld: 0, broken: false, peer_names };
        Self { stream, session: Some(Box::new(session)) }
    }

    /// Whether bytes have to go through TLS, so that nobody else may write to the socket.
    pub fn is_secure(&self) -> bool {
        self.session.is_some()
    }

    /// The names that the peer's certificate proves; none without TLS, or if it showed none.
    pub fn peer_names(&self) -> &[PeerName] {
        self.session.as_ref().map_or(&[], |session| &session.peer_names)
    }

    /// Bytes that TLS keeps because a record, or a message of its own, is not complete: what came since the last that made
    /// sense, so up to 4 KiB less than it is.
    pub fn withheld_bytes(&self) -> usize {
        self.session.as_ref().map_or(0, |session| session.withheld)
    }

    /// Reads what has come, once. `into` has room for more than a record of TLS; `wire` is the caller's to lend, for bytes
    /// that are still encrypted.
    pub fn read(&mut self, into: &mut [u8], wire: &mut Vec<u8>) -> Reading {
        match &mut self.session {
            None => match receive(&self.stream, into) {
                // A full read may have left more; a short one has left the end of the stream at most.
                Ok(count) => Reading::Bytes { count, more: count == into.len() },
                Err(reading) => reading,
            },
            Some(session) => session.read(&self.stream, into, wire),
        }
    }

    /// Writes as much of `output` as the socket takes. `first` is what came of a try with [`Output::sole_piece`], if there
    /// was one: never with TLS.
    pub fn write(&mut self, output: &mut Output, spares: &mut Spares, first: Attempt) -> Written {
        match &mut self.session {
            None => output.write_to(&self.stream, spares, first),
            Some(session) => session.write(&self.stream, output, spares),
        }
    }

    /// Ends our side, once everything is written: the peer is told that nothing was cut off.
    pub fn shut(&mut self) {
        if let Some(session) = &mut self.session {
            session.tls.send_close_notify();
            session.say(&self.stream);
        }
        // A peer that is gone already needs no end.
        drop(self.stream.shutdown(Shutdown::Write));
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// A TLS session, and how far the output has come in it.
struct Session {
    tls: rustls::Connection,
    /// Bytes at the front of the output that are encrypted and not all written.
    sealed: usize,
    /// Ciphertext that was written since they were.
    written: usize,
    /// Ciphertext that came since anything came out of it, in bytes; see [`Transport::withheld_bytes`].
    withheld: usize,
    /// The peer broke a rule of TLS, or the connection does not hold what it was said to: nothing more is read.
    broken: bool,
    peer_names: Box<[PeerName]>,
}

impl Session {
    fn read(&mut self, stream: &TcpStream, into: &mut [u8], wire: &mut Vec<u8>) -> Reading {
        let reading = self.kept(into).unwrap_or_else(|| self.read_on(stream, into, wire));
        // What TLS has to say by itself: the rest of a handshake, an alert. Whatever waits for the socket is no affair of this.
        if self.sealed == 0 && self.tls.wants_write() {
            self.say(stream);
        }
        reading
    }

    /// What has been decrypted and not been handed out, or the end, if the peer has said that nothing follows.
    fn kept(&mut self, into: &mut [u8]) -> Option<Reading> {
        match self.tls.reader().read(into) {
            Ok(0) => Some(Reading::End),
            Ok(count) => Some(Reading::Bytes { count, more: true }),
            Err(_) if self.broken => Some(Reading::Broken),
            Err(_) => None,
        }
    }

    fn read_on(&mut self, stream: &TcpStream, into: &mut [u8], wire: &mut Vec<u8>) -> Reading {
        wire.resize(WIRE_BYTES, 0);
        // So that what comes out fits, together with what the session holds of a record that was not complete.
        let most = into.len().saturating_sub(RECORD_BYTES_MAX).min(WIRE_BYTES);
        let came = match receive(stream, &mut wire[..most]) {
            Ok(came) => came,
            Err(reading) => return reading,
        };
        let count = self.open(&wire[..came], into);
        if count > 0 {
            let more = came == most || self.broken || !self.tls.wants_read();
            return Reading::Bytes { count, more };
        }
        self.kept(into).unwrap_or(Reading::Again)
    }

    /// Decrypts `wire` to the front of `into`; how many bytes came out.
    fn open(&mut self, mut wire: &[u8], into: &mut [u8]) -> usize {
        let mut count = 0;
        while !wire.is_empty() && !self.broken {
            let left = wire.len();
            match self.tls.read_tls(&mut wire) {
                // The peer has said that nothing follows.
                Ok(0) => break,
                Ok(_) => self.broken = self.tls.process_new_packets().is_err(),
                Err(_) => self.broken = true,
            }
            let opened = self.tls.reader().read(&mut into[count..]).unwrap_or(0);
            count += opened;
            let withheld = (self.withheld + left - wire.len()).min(WITHHELD_BYTES_MAX);
            self.withheld = if opened > 0 { 0 } else { withheld };
        }
        count
    }

    fn write(&mut self, stream: &TcpStream, output: &mut Output, spares: &mut Spares) -> Written {
        let mut progress = false;
        loop {
            match self.push(stream) {
                Ok(pushed) => progress |= pushed,
                Err(Stuck::Blocked { pushed }) => return Written::Blocked { progress: progress || pushed },
                Err(Stuck::Lost) => return Written::Lost,
            }
            // Less came out than went in: the keys are used up (TLS 1.2), and the session has closed instead.
            if self.written < self.sealed {
                return Written::Lost;
            }
            self.written = 0;
            output.advance(std::mem::take(&mut self.sealed), spares);
            if output.is_empty() {
                return Written::All;
            }
            if !self.seal(output) {
                return Written::Lost;
            }
        }
    }

    /// Encrypts the front of the output; false if the session takes nothing any more.
    fn seal(&mut self, output: &Output) -> bool {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let count = output.slices(&mut slices);
        let Ok(sealed) = self.tls.writer().write_vectored(&slices[..count]) else { return false };
        self.sealed = sealed;
        self.tls.wants_write()
    }

    /// Writes what is encrypted; whether there was any.
    fn push(&mut self, mut stream: &TcpStream) -> Result<bool, Stuck> {
        let mut pushed = false;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut stream) {
                Ok(0) => return Err(Stuck::Lost),
                Ok(count) => {
                    pushed = true;
                    self.written += count;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Stuck::Blocked { pushed }),
                Err(_) => return Err(Stuck::Lost),
            }
        }
        Ok(pushed)
    }

    /// Writes what TLS has to say by itself, as far as the socket takes it: the rest goes with the next output, and whether
    /// the connection is still there, the next read says.
    fn say(&mut self, stream: &TcpStream) {
        drop(self.push(stream));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("sealed", &self.sealed)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Why writing stopped.
enum Stuck {
    Blocked { pushed: bool },
    Lost,
}

/// One read of the socket; how many bytes, not 0, or what it amounts to.
fn receive(stream: &TcpStream, into: &mut [u8]) -> Result<usize, Reading> {
    // Straight to the kernel: the standard library's way is a cancellation point of the C library.
    let received: io::Result<_> =
        rustix::net::recv(stream, into, RecvFlags::empty()).map_err(io::Error::from);
    match received {
        Ok((_, 0)) => Err(Reading::End),
        Ok((_, count)) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Reading::Nothing),
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(Reading::Again),
        Err(_) => Err(Reading::Broken),
    }
}

#[cfg(test)]
mod tests;
