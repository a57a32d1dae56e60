//! A real exchange in this process, on a free port of the loopback interface, and blocking clients for it.
//!
//! Clients send frames that were built before and look only at what they need of the answers, so that little of what is
//! measured is theirs. Invariant: a client reads in order and skips nothing; a frame that was not due ends the bench.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use systemx::config::{Config, RawFlags};
use systemx::exchange::address::home;
use systemx::exchange::ids::ShardId;
use systemx::shell::operator::{Running, start};

use super::frames::{client_text, field, measure};

/// Longest wait for a frame that is due: a bench that hangs is worse than one that fails.
const LIMIT: Duration = Duration::from_secs(20);
const SCRATCH_BYTES: usize = 128 << 10;

/// An exchange that stops when it is dropped.
pub struct Hub {
    running: Option<Running>,
    address: SocketAddr,
}

impl Hub {
    /// With so many shards, no limit on dials, and the defaults otherwise.
    pub fn start(shards: usize) -> Self {
        let settings = [
            ("host", "127.0.0.1"),
            ("port", "0"),
            ("admin", "off"),
            ("dial_max_attempts", "0"),
            ("log_level", "error"),
        ];
        let mut values: BTreeMap<&'static str, String> =
            settings.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        values.insert("shards", shards.to_string());
        let flags = RawFlags { values, config_file: None };
        let (config, _) =
            Config::load(flags, std::iter::empty(), None, None).expect("the settings are right");
        let running = start(&config, None).expect("the exchange starts");
        Self { address: running.address(), running: Some(running) }
    }

    /// A client that has shaken hands.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// A client that holds `address`.
    pub fn registered(&self, address: &str) -> Client {
        let mut client = self.connect();
        client.send(&register(address));
        client.expect("REGISTERED");
        client
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// A client of the exchange.
pub struct Client {
    stream: TcpStream,
    scratch: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the exchange accepts");
        stream.set_nodelay(true).expect("a socket takes the option");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket takes a limit");
        let mut client = Self { stream, scratch: vec![0; SCRATCH_BYTES], filled: 0, taken: 0 };
        client.send(
            b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        while !client.scratch[..client.filled].ends_with(b"\r\n\r\n") {
            client.fill();
        }
        assert!(client.scratch.starts_with(b"HTTP/1.1 101 "), "the exchange shakes hands");
        (client.filled, client.taken) = (0, 0);
        client
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the exchange reads");
    }

    /// The next frame.
    pub fn next(&mut self) -> &[u8] {
        loop {
            let waiting = &self.scratch[self.taken..self.filled];
            if let Some((head, len)) = measure(waiting)
                && waiting.len() >= head + len
            {
                let start = self.taken + head;
                self.taken = start + len;
                return &self.scratch[start..start + len];
            }
            if self.taken == self.filled {
                (self.taken, self.filled) = (0, 0);
            }
            self.fill();
        }
    }

    /// The next frame, which must be of this type.
    pub fn expect(&mut self, kind: &str) -> &[u8] {
        let frame = self.next();
        // The exchange writes the type first.
        let at = br#"{"type":""#.len();
        let fits = frame.get(at..at + kind.len()).is_some_and(|found| found == kind.as_bytes());
        assert!(fits, "{kind} is due, and there comes {}", String::from_utf8_lossy(frame));
        frame
    }

    /// The call that rings now.
    pub fn rung(&mut self) -> String {
        let ring = self.expect("RING");
        String::from_utf8_lossy(field(ring, "call_id").expect("a ring names its call")).into_owned()
    }

    /// Ends the connection without leaving a port behind that waits for a minute: benches open thousands.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a socket takes the option");
    }

    fn fill(&mut self) {
        let count = self.stream.read(&mut self.scratch[self.filled..]).expect("a frame is due");
        assert!(count > 0, "the exchange does not close");
        self.filled += count;
    }
}

/// The frame of a REGISTER with nothing but an address.
pub fn register(address: &str) -> Vec<u8> {
    client_text(format!(r#"{{"type":"REGISTER","address":"{address}"}}"#).as_bytes())
}

/// The frame of a DIAL.
pub fn dial(to: &str) -> Vec<u8> {
    client_text(format!(r#"{{"type":"DIAL","to":"{to}"}}"#).as_bytes())
}

/// The frame of a verb that only names its call.
pub fn about_call(kind: &str, call: &str) -> Vec<u8> {
    client_text(format!(r#"{{"type":"{kind}","call_id":"{call}"}}"#).as_bytes())
}

/// An address that begins with `name` and belongs to this shard of an exchange of so many.
pub fn address_on(shard: usize, shards: usize, name: &str) -> String {
    (0..)
        .map(|number| format!("{name}{number}@homes.test"))
        .find(|address| home(address, shards) == ShardId::new(shard))
        .expect("some number leads to each shard")
}
