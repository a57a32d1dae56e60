//! A connection's bytes: plain, or through TLS driven by hand on the non-blocking socket.
//!
//! Both look alike: a read or write that cannot go on says `WouldBlock`. No thread and no task belongs to either.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// A client's way to the server.
pub enum Transport {
    /// ws://
    Plain(TcpStream),
    /// wss://; in a box, because most are plain.
    Tls(Box<Tls>),
}

/// A socket with its session.
pub struct Tls {
    stream: TcpStream,
    session: ClientConnection,
}

impl Transport {
    /// Over a socket that connects or has connected; TLS if a name is to be proved.
    pub fn new(
        stream: TcpStream,
        secure: Option<(&Arc<ClientConfig>, ServerName<'static>)>,
    ) -> Result<Self, io::Error> {
        let Some((config, name)) = secure else { return Ok(Self::Plain(stream)) };
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(Tls { stream, session })))
    }

    /// The socket.
    pub fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &mut tls.stream,
        }
    }

    /// Whether a read that filled less than its buffer has emptied the socket.
    pub fn short_read_empties(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Reads what has come; 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Writes some of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Writes what the session itself has to say or has kept.
    pub fn push(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.push(),
        }
    }
}

impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Many servers end TLS by closing the socket.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            let count = self.session.read_tls(&mut self.stream)?;
            if let Err(error) = self.session.process_new_packets() {
                // The alert tells the server why; whether it arrives changes nothing here.
                drop(self.push());
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            if self.session.wants_write() {
                ignore_full(self.push())?;
            }
            if count == 0 && self.session.is_handshaking() {
                return Ok(0);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        let count = self.session.writer().write(bytes)?;
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        ignore_full(self.push())?;
        Ok(count)
    }

    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}

/// What is left is written when the poller says that there is room.
fn ignore_full(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        other => other,
    }
}
