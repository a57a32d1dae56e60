//! Many clients on one thread: epoll, one read and one write for each client and turn.
//!
//! Clients are numbered. What a scenario says in a turn is corked for each client and leaves in one write, as the
//! server is expected to do it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use crate::fault::{Fault, unexpected};
use crate::frames;

const SCRATCH_BYTES: usize = 256 << 10;
const EVENTS_MAX: usize = 1024;
/// Silence after which a run has failed.
const STALL: Duration = Duration::from_secs(10);
/// Clients of one source address: fewer than a loopback address has ports to give.
const CLIENTS_PER_SOURCE: usize = 20_000;

/// One socket, its unfinished input and what it did not take.
struct Link {
    stream: mio::net::TcpStream,
    kept: Vec<u8>,
}

/// What is to be written.
#[derive(Default)]
pub struct Outgoing {
    buffers: Vec<Vec<u8>>,
    dirty: Vec<usize>,
}

impl Outgoing {
    /// Appends ready frames to what a client sends.
    pub fn send(&mut self, client: usize, frames: &[u8]) {
        let buffer = &mut self.buffers[client];
        if buffer.is_empty() {
            self.dirty.push(client);
        }
        buffer.extend_from_slice(frames);
    }
}

/// Clients of one server.
pub struct Fleet {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    scratch: Vec<u8>,
    /// What they are to say.
    pub out: Outgoing,
}

impl Fleet {
    /// No clients yet.
    pub fn new() -> Result<Self, Fault> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            links: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            out: Outgoing::default(),
        })
    }

    /// Connects, upgrades and registers one more client; gives its number. `extra` goes into its REGISTER.
    pub fn join(&mut self, server: SocketAddr, address: &str, extra: &str) -> Result<usize, Fault> {
        let client = self.links.len();
        let stream = enter(server, source(client), address, extra)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(client), interest)?;
        self.links.push(Link { stream, kept: Vec::new() });
        self.out.buffers.push(Vec::new());
        Ok(client)
    }

    /// Writes what is to be said, waits for frames and hands them out.
    pub fn turn(
        &mut self,
        mut on_frame: impl FnMut(&mut Outgoing, usize, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.flush()?;
        self.poll.poll(&mut self.events, Some(STALL))?;
        if self.events.is_empty() {
            return Err(Fault::Stalled);
        }
        for event in &self.events {
            let client = event.token().0;
            if event.is_writable() && !self.out.buffers[client].is_empty() {
                self.out.dirty.push(client);
            }
            if event.is_readable() {
                let out = &mut self.out;
                self.links[client].read(&mut self.scratch, |payload| on_frame(&mut *out, client, payload))?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fault> {
        for client in std::mem::take(&mut self.out.dirty) {
            let buffer = &mut self.out.buffers[client];
            while !buffer.is_empty() {
                match self.links[client].stream.write(buffer) {
                    Ok(count) if count == buffer.len() => buffer.clear(),
                    Ok(count) => drop(buffer.drain(..count)),
                    // The poller says when there is room.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

impl Link {
    /// Reads until the socket is empty.
    fn read(
        &mut self,
        scratch: &mut [u8],
        mut on_frame: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            let kept = self.kept.len();
            scratch[..kept].copy_from_slice(&self.kept);
            let count = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let full = kept + count == scratch.len();
            let mut input = &mut scratch[..kept + count];
            while let Some(payload) = frames::next(&mut input) {
                on_frame(payload)?;
            }
            self.kept.clear();
            self.kept.extend_from_slice(input);
            if !full {
                return Ok(());
            }
        }
    }
}

/// The loopback address that a client comes from.
pub fn source(client: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + (client / CLIENTS_PER_SOURCE) as u8)
}

/// Connects, upgrades and registers, waiting for each answer.
pub fn enter(server: SocketAddr, source: Ipv4Addr, address: &str, extra: &str) -> Result<TcpStream, Fault> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&server.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer)?;
    let answer = String::from_utf8_lossy(&buffer[..count]);
    // The accept value of the sample key in RFC 6455, section 1.3.
    if !answer.contains(" 101 ") || !answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
        return Err(Fault::NotUpgraded(answer.into_owned()));
    }
    stream.write_all(&frames::client_text(
        format!(r#"{{"type":"REGISTER","address":"{address}"{extra}}}"#).as_bytes(),
    ))?;
    let count = stream.read(&mut buffer)?;
    let mut input = &mut buffer[..count];
    match frames::next(&mut input) {
        Some(payload) if payload.starts_with(br#"{"type":"REGISTERED""#) => Ok(stream),
        payload => Err(unexpected("REGISTERED", payload.unwrap_or_default())),
    }
}
