//! The floor: a relay on epoll with as little protocol work as will do, the yardstick for the hub.
//!
//! It upgrades with a true SHA-1, unmasks, frames anew and passes on; one read and one write for each connection
//! and turn. Who belongs to whom is read from the name in a connection's first frame: `caller-7` to `callee-7`,
//! `speaker` to all `listener-…`; anybody else hears himself. One thread, no limits, no checks: not to be exposed.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sha1::{Digest, Sha1};

use crate::fault::Fault;
use crate::frames::{self, Side};

const SCRATCH_BYTES: usize = 256 << 10;
const EVENTS_MAX: usize = 1024;
/// The first byte of a close frame.
const CLOSE: u8 = 0x88;
const LISTENER: Token = Token(usize::MAX);
const REGISTERED: &[u8] =
    br#"{"type":"REGISTERED","address":"-","session_id":"00000000-0000-8000-8000-000000000000"}"#;

/// Where a connection's frames go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// It has not been upgraded.
    Upgrade,
    /// Its first frame has not come.
    Nowhere,
    Itself,
    Peer(usize),
    Listeners,
}

struct Connection {
    stream: TcpStream,
    to: To,
    kept: Vec<u8>,
    out: Vec<u8>,
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Who waits for a partner, by the partner's name.
    waiting: HashMap<String, usize>,
    listeners: Vec<usize>,
    dirty: Vec<usize>,
}

/// Serves until the process is ended; polls for `spin_us` microseconds before it sleeps.
pub fn serve(port: u16, spin_us: u64) -> Result<(), Fault> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        poll,
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        waiting: HashMap::new(),
        listeners: Vec::new(),
        dirty: Vec::new(),
    };
    let (mut events, mut scratch) = (Events::with_capacity(EVENTS_MAX), vec![0; SCRATCH_BYTES]);
    loop {
        floor.wait(&mut events, Duration::from_micros(spin_us))?;
        for event in &events {
            match event.token() {
                LISTENER => floor.accept()?,
                Token(id) => {
                    if event.is_writable() {
                        floor.dirty.push(id);
                    }
                    floor.read(id, &mut scratch);
                }
            }
        }
        floor.flush();
    }
}

impl Floor {
    fn wait(&mut self, events: &mut Events, spin: Duration) -> Result<(), Fault> {
        let begun = Instant::now();
        while begun.elapsed() < spin {
            self.poll.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() {
                return Ok(());
            }
        }
        Ok(self.poll.poll(events, None)?)
    }

    fn accept(&mut self) -> Result<(), Fault> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            stream.set_nodelay(true)?;
            let id = self.free.pop().unwrap_or(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(id), interest)?;
            if id == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[id] =
                Some(Connection { stream, to: To::Upgrade, kept: Vec::new(), out: Vec::new() });
        }
        Ok(())
    }

    fn read(&mut self, id: usize, scratch: &mut [u8]) {
        while let Some(connection) = &mut self.connections[id] {
            let kept = connection.kept.len();
            scratch[..kept].copy_from_slice(&connection.kept);
            let count = match connection.stream.read(&mut scratch[kept..]) {
                Ok(count) if count > 0 => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => return self.drop_connection(id),
            };
            let full = kept + count == scratch.len();
            let mut input = &mut scratch[..kept + count];
            if connection.to == To::Upgrade {
                self.upgrade(id, &mut input);
            }
            while self.is_open(id) {
                if input.first() == Some(&CLOSE) {
                    return self.hang_up(id);
                }
                let Some(payload) = frames::next(&mut input) else { break };
                self.relay(id, payload);
            }
            if let Some(connection) = &mut self.connections[id] {
                connection.kept.clear();
                connection.kept.extend_from_slice(input);
            }
            if !full {
                return;
            }
        }
    }

    fn is_open(&self, id: usize) -> bool {
        self.connections[id].as_ref().is_some_and(|connection| connection.to != To::Upgrade)
    }

    fn upgrade(&mut self, id: usize, input: &mut &mut [u8]) {
        const KEY: &str = "Sec-WebSocket-Key: ";
        const KEY_LEN: usize = 24;
        let Some(end) = frames::find(input, b"\r\n\r\n") else { return };
        let Some(key) = frames::find(input, KEY.as_bytes()).map(|at| at + KEY.len()) else { return };
        let mut sha = Sha1::new();
        sha.update(&input[key..key + KEY_LEN]);
        sha.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let accept = base64::engine::general_purpose::STANDARD.encode(sha.finalize());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        *input = &mut std::mem::take(input)[end + 4..];
        self.say(id, |out| out.extend_from_slice(answer.as_bytes()));
        if let Some(connection) = &mut self.connections[id] {
            connection.to = To::Nowhere;
        }
    }

    fn relay(&mut self, id: usize, payload: &[u8]) {
        let Some(connection) = &self.connections[id] else { return };
        match connection.to {
            To::Upgrade => {}
            To::Nowhere => self.pair(id, payload),
            To::Itself => self.say(id, |out| frames::push_text(out, Side::Server, payload)),
            To::Peer(peer) => self.say(peer, |out| frames::push_text(out, Side::Server, payload)),
            To::Listeners => {
                for listener in std::mem::take(&mut self.listeners) {
                    self.say(listener, |out| frames::push_text(out, Side::Server, payload));
                    self.listeners.push(listener);
                }
            }
        }
    }

    /// Reads from the first frame where the others are to go.
    fn pair(&mut self, id: usize, payload: &[u8]) {
        let name =
            String::from_utf8_lossy(frames::field(payload, "address").unwrap_or_default()).into_owned();
        let partner = match name.split_once('-') {
            Some(("caller", rest)) => Some(format!("callee-{rest}")),
            Some(("callee", rest)) => Some(format!("caller-{rest}")),
            _ => None,
        };
        let mut to = if name.starts_with("speaker") { To::Listeners } else { To::Itself };
        if name.starts_with("listener") {
            self.listeners.push(id);
        }
        if let Some(partner) = partner {
            match self.waiting.remove(&name) {
                Some(peer) => {
                    to = To::Peer(peer);
                    if let Some(peer) = &mut self.connections[peer] {
                        peer.to = To::Peer(id);
                    }
                }
                None => drop(self.waiting.insert(partner, id)),
            }
        }
        if let Some(connection) = &mut self.connections[id] {
            connection.to = to;
        }
        self.say(id, |out| frames::push_text(out, Side::Server, REGISTERED));
    }

    fn say(&mut self, id: usize, append: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = &mut self.connections[id] else { return };
        if connection.out.is_empty() {
            self.dirty.push(id);
        }
        append(&mut connection.out);
    }

    fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(connection) = &mut self.connections[id] else { continue };
            while !connection.out.is_empty() {
                match connection.stream.write(&connection.out) {
                    Ok(count) if count == connection.out.len() => connection.out.clear(),
                    Ok(count) => drop(connection.out.drain(..count)),
                    Err(_) => break,
                }
            }
        }
    }

    /// Whoever closes is answered, so that nobody waits for it at the end of a run.
    fn hang_up(&mut self, id: usize) {
        if let Some(connection) = &mut self.connections[id] {
            // What it does not take, a client that is about to go does not miss.
            drop(connection.stream.write(&[CLOSE, 0]));
        }
        self.drop_connection(id);
    }

    fn drop_connection(&mut self, id: usize) {
        self.connections[id] = None;
        self.listeners.retain(|&listener| listener != id);
        self.waiting.retain(|_, waiting| *waiting != id);
        self.free.push(id);
    }
}
