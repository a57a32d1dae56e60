//! Where clients come from: many loopback addresses, because one of them has no more than 28,000 ports to one server.
//!
//! Only when the target is on loopback; elsewhere the system chooses.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::link::Client;

/// Addresses of one worker. With 28,000 ports each this is more than a process may have sockets, closed ones that
/// still wait included.
const SOURCES: u32 = 240;

/// Gives each new connection an address to come from.
#[derive(Debug)]
pub struct Sources {
    worker: u8,
    next: u32,
    many: bool,
}

impl Sources {
    /// Those of a worker.
    pub fn new(worker: usize, many: bool) -> Self {
        Self { worker: (worker % 250) as u8, next: 0, many }
    }

    /// The next one.
    pub fn next(&mut self) -> Option<Ipv4Addr> {
        if !self.many {
            return None;
        }
        self.next = (self.next + 1) % SOURCES;
        Some(Ipv4Addr::new(127, 1, 1 + self.worker, 1 + self.next as u8))
    }
}

/// Begins to connect without waiting.
pub fn connect(address: SocketAddr, source: Option<Ipv4Addr>) -> Result<mio::net::TcpStream, io::Error> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(mio::net::TcpStream::from_std(socket.into()))
}

/// The poller's number for a client.
pub fn token(client: Client) -> mio::Token {
    mio::Token(client.index())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_many_and_of_loopback() {
        let mut sources = Sources::new(3, true);
        let found: std::collections::BTreeSet<_> = (0..1000).filter_map(|_| sources.next()).collect();
        assert_eq!(found.len(), SOURCES as usize);
        assert!(found.iter().all(Ipv4Addr::is_loopback));
        assert_eq!(Sources::new(0, false).next(), None);
    }
}
