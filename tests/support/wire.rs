//! What a client speaks over: a socket, or TLS on one. The TLS is rustls on a blocking socket.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::certificates::HOST;

/// A client's way to the exchange.
pub enum Wire {
    /// ws://
    Plain(TcpStream),
    /// wss://
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// TLS over a connection that exists; shakes hands with the first write.
    pub fn secure(stream: TcpStream, client: &Arc<ClientConfig>) -> Self {
        let name = HOST.try_into().expect("it is a name");
        let session = ClientConnection::new(client.clone(), name).expect("it is fine");
        Self::Secure(Box::new(StreamOwned::new(session, stream)))
    }

    /// The socket.
    pub fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(secure) => &mut secure.sock,
        }
    }

    /// What the exchange has shown.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        match self {
            Self::Plain(_) => None,
            Self::Secure(secure) => Some(secure.conn.peer_certificates()?.first()?.clone().into_owned()),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Secure(secure) => secure.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Secure(secure) => secure.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Secure(secure) => secure.flush(),
        }
    }
}
