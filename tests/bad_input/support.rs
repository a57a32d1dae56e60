//! A process of the exchange to be mistreated, sockets on which any bytes can be sent, and the well-behaved call that
//! must not notice. Only std sockets and no WebSocket library: what a library refuses to send is what is wanted here.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for anything that must come. Generous: the machine runs all tests at once.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How much more memory than at the start a process may keep after a test, in KiB: the allocator's own slack.
const MEMORY_SLACK_KIB: u64 = 40 << 10;

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;
/// First bytes of frames that do not end a message.
pub const TEXT_BEGINS: u8 = 0x01;
pub const BINARY_BEGINS: u8 = 0x02;
pub const CONTINUES: u8 = 0x00;
pub const ENDS: u8 = 0x80;

/// A process of the exchange; it ends with this value.
pub struct Exchange {
    child: Child,
    pub address: SocketAddr,
}

impl Exchange {
    /// Starts one on a port of the system's choice.
    pub fn start(flags: &[&str]) -> Self {
        Self::launch(Command::new(env!("CARGO_BIN_EXE_systemx")), flags)
    }

    /// Starts one that may have so many descriptors.
    pub fn start_with_descriptors(most: usize, flags: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        let script = format!(r#"ulimit -n {most}; exec "$0" "$@""#);
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_systemx")]);
        Self::launch(shell, flags)
    }

    fn launch(mut program: Command, flags: &[&str]) -> Self {
        let mut child = program
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--admin",
                "127.0.0.1:0",
                "--dial-max-attempts",
                "0",
            ])
            .args(if flags.contains(&"--shards") { &[][..] } else { &["--shards", "2"] })
            .args(flags)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let (ready, address) = std::sync::mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for stream in streams {
            let ready = ready.clone();
            // Read to the end, or the process would stop at a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if let Some(address) = listening_on(&line) {
                        let _ = ready.send(address);
                    }
                    if line.contains("panic") {
                        println!("{line}");
                    }
                }
            });
        }
        let address = address.recv_timeout(PATIENCE).expect("it says where it listens");
        Self { child, address }
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }

    /// Its anonymous memory, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux says so");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// How many descriptors it has.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }
}

/// The address in the log line that says that the exchange is up.
fn listening_on(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("exchange is up")?.1;
    let start = rest.find("127.0.0.1:")?;
    let digits = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
    let end = rest[start..].find(|c| !digits(c)).map_or(rest.len(), |end| start + end);
    rest[start..end].parse().ok()
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `holds`, and says whether it came to that.
pub fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// An exchange, the call beside, and how things were before.
pub struct Scene {
    pub exchange: Exchange,
    beside: Option<Beside>,
    descriptors: usize,
    memory_kib: u64,
}

impl Scene {
    /// An exchange with a call that goes on.
    pub fn begin(flags: &[&str]) -> Self {
        Self::begin_with(Exchange::start(flags))
    }

    /// The same with an exchange that has been started.
    pub fn begin_with(exchange: Exchange) -> Self {
        let beside = Some(Beside::start(exchange.address));
        let (descriptors, memory_kib) = (exchange.descriptors(), exchange.memory_kib());
        Self { exchange, beside, descriptors, memory_kib }
    }

    pub fn address(&self) -> SocketAddr {
        self.exchange.address
    }

    /// How much more memory the process has than at the start, in KiB.
    pub fn growth_kib(&self) -> u64 {
        self.exchange.memory_kib().saturating_sub(self.memory_kib)
    }

    /// The call has not noticed, the process is the same, nothing is left open, and memory is where it was.
    pub fn end(mut self) {
        let rounds = self.beside.take().expect("it was started").stop();
        println!("the call beside went on for {rounds} rounds");
        assert!(self.exchange.is_alive(), "the exchange has ended");
        // The call beside is gone too, so two less.
        let (before, exchange) = (self.descriptors, &self.exchange);
        let closed = comes_true(|| exchange.descriptors() <= before);
        assert!(closed, "{} descriptors, there were {before}", exchange.descriptors());
        let shrunk = comes_true(|| self.growth_kib() <= MEMORY_SLACK_KIB);
        assert!(shrunk, "{} KiB more than at the start", self.growth_kib());
        let mut late = Call::establish(self.address(), "late");
        late.exchange_words();
    }
}

/// The well-behaved call, on a thread of its own.
struct Beside {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

/// A failing test has more to say than that its exchange is gone.
impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(beside) = self.beside.take() {
            beside.ended.store(true, Ordering::Relaxed);
            let _ = beside.thread.join();
        }
    }
}

impl Beside {
    fn start(address: SocketAddr) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let mut call = Call::establish(address, "beside");
        let thread = std::thread::spawn(move || {
            for rounds in 1.. {
                call.exchange_words();
                if flag.load(Ordering::Relaxed) {
                    return rounds;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            unreachable!("there are enough numbers")
        });
        Self { ended, thread }
    }

    fn stop(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("the call beside was disturbed")
    }
}

/// Two clients in a call.
pub struct Call {
    pub caller: Wire,
    pub callee: Wire,
    pub id: String,
    words: u64,
}

impl Call {
    /// Registers `caller.NAME@call.test` and `callee.NAME@call.test` and connects them.
    pub fn establish(address: SocketAddr, name: &str) -> Self {
        let mut caller = Wire::register(address, &format!("caller.{name}@call.test"));
        let mut callee = Wire::register(address, &format!("callee.{name}@call.test"));
        caller.say(&format!(r#"{{"type":"DIAL","to":"callee.{name}@call.test"}}"#));
        let ring = callee.expect(r#"{"type":"RING""#);
        let id = text_field(&ring, "call_id");
        callee.say(&format!(r#"{{"type":"ANSWER","call_id":"{id}"}}"#));
        caller.expect(r#"{"type":"CONNECTED""#);
        Self { caller, callee, id, words: 0 }
    }

    /// A word each way; nothing else may have come in between.
    pub fn exchange_words(&mut self) {
        self.words += 1;
        let (id, n) = (&self.id, self.words);
        let word = format!(r#"{{"type":"MSG","call_id":"{id}","data":"word {n}"}}"#);
        self.caller.say(&word);
        self.callee.expect_word(id, n);
        self.callee.say(&word);
        self.caller.expect_word(id, n);
    }
}

/// The value of a text field without escapes.
pub fn text_field(frame: &str, name: &str) -> String {
    let start = frame.split_once(&format!(r#""{name}":""#)).map(|(_, rest)| rest);
    let end = start.and_then(|rest| rest.split_once('"')).map(|(value, _)| value);
    end.unwrap_or_else(|| panic!("no {name} in {frame}")).to_owned()
}

/// What came from the exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    /// The orderly end of the stream.
    End,
    /// The end of the stream by a reset.
    Reset,
    /// Nothing within the time.
    Nothing,
}

/// A connection on which anything can be sent.
pub struct Wire {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    /// A connection before any handshake.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it accepts");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Self { stream, received: Vec::new() }
    }

    /// A connection after a good handshake for `path`.
    pub fn connect_to(address: SocketAddr, path: &str) -> Self {
        let mut wire = Self::open(address);
        wire.send(handshake(path).as_bytes());
        let head = wire.http_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        wire
    }

    /// A connection after a good handshake.
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_to(address, "/")
    }

    /// A registered connection.
    pub fn register(address: SocketAddr, name: &str) -> Self {
        let mut wire = Self::connect(address);
        wire.say(&format!(r#"{{"type":"REGISTER","address":"{name}"}}"#));
        wire.expect(r#"{"type":"REGISTERED""#);
        wire
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the exchange reads");
    }

    /// Sends bytes as they are; the exchange may have gone already.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a masked frame with `first` as its first byte.
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&frame(first, payload));
    }

    /// Sends a text message.
    pub fn say(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes());
    }

    /// The next text, which must begin with `start`.
    pub fn expect(&mut self, start: &str) -> String {
        match self.next() {
            Seen::Text(text) if text.starts_with(start) => text,
            other => panic!("expected {start}..., not {other:?}"),
        }
    }

    fn expect_word(&mut self, id: &str, n: u64) {
        let text = self.expect(&format!(r#"{{"type":"MSG","call_id":"{id}""#));
        assert!(text.contains(&format!(r#""data":"word {n}""#)), "{text}");
    }

    /// An ERROR with exactly these contents.
    pub fn expect_error(&mut self, reason: &str, context: &str, detail: &str) {
        let wanted =
            format!(r#"{{"type":"ERROR","reason":"{reason}","context":"{context}","detail":"{detail}"}}"#);
        assert_eq!(self.next(), Seen::Text(wanted));
    }

    /// A close frame with this code, and then the orderly end of the stream. What comes before is passed over.
    pub fn expect_close(&mut self, code: u16) -> String {
        loop {
            match self.next() {
                Seen::Close(seen, reason) => {
                    assert_eq!(seen, Some(code), "{reason}");
                    self.expect_end();
                    return reason;
                }
                Seen::Text(_) | Seen::Binary(_) | Seen::Pong(_) => {}
                other => panic!("expected a close {code}, not {other:?}"),
            }
        }
    }

    /// The orderly end of the stream.
    pub fn expect_end(&mut self) {
        assert_eq!(self.next(), Seen::End);
    }

    /// Whether the exchange still listens to this connection: a HEARTBEAT is acknowledged. What comes before is
    /// passed over.
    pub fn is_heard(&mut self) -> bool {
        if !self.try_send(&frame(TEXT, br#"{"type":"HEARTBEAT"}"#)) {
            return false;
        }
        loop {
            match self.next() {
                Seen::Text(text) if text.starts_with(r#"{"type":"HEARTBEAT_ACK""#) => return true,
                Seen::Close(..) | Seen::End | Seen::Reset | Seen::Nothing => return false,
                Seen::Text(_) | Seen::Binary(_) | Seen::Ping(_) | Seen::Pong(_) => {}
            }
        }
    }

    /// Ends the connection by a reset.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits no longer than this from now on.
    pub fn wait_at_most(&self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).expect("a socket");
    }

    /// What comes next.
    pub fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.take_frame() {
                return seen;
            }
            if let Some(end) = self.receive() {
                return end;
            }
        }
    }

    /// The head of an HTTP answer, or what there is of it at the end of the stream.
    pub fn http_head(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                return String::from_utf8_lossy(&self.received.drain(..end + 4).collect::<Vec<_>>())
                    .into_owned();
            }
            if self.receive().is_some() {
                return String::from_utf8_lossy(&self.received).into_owned();
            }
        }
    }

    /// Everything up to the end of the stream.
    pub fn rest(&mut self) -> (String, Seen) {
        loop {
            if let Some(end) = self.receive() {
                return (String::from_utf8_lossy(&self.received).into_owned(), end);
            }
        }
    }

    fn receive(&mut self) -> Option<Seen> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Some(Seen::End),
            Ok(count) => {
                self.received.extend_from_slice(&chunk[..count]);
                None
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Some(Seen::Nothing)
            }
            Err(_) => Some(Seen::Reset),
        }
    }

    /// Takes a frame of the exchange, which must be unmasked and whole.
    fn take_frame(&mut self) -> Option<Seen> {
        let [first, second, ..] = self.received[..] else { return None };
        assert_eq!(second & 0x80, 0, "a frame of the exchange is masked");
        let (len, at) = match second {
            126 => (u64::from(u16::from_be_bytes(*self.received[2..].first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*self.received[2..].first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let end = at + len as usize;
        if self.received.len() < end {
            return None;
        }
        let payload = self.received[at..end].to_vec();
        self.received.drain(..end);
        Some(match first {
            TEXT => Seen::Text(String::from_utf8(payload).expect("texts are UTF-8")),
            BINARY => Seen::Binary(payload),
            PING => Seen::Ping(payload),
            PONG => Seen::Pong(payload),
            CLOSE => {
                let code = payload.first_chunk().map(|&code| u16::from_be_bytes(code));
                let reason = payload.get(2..).unwrap_or_default();
                Seen::Close(code, String::from_utf8(reason.to_vec()).expect("reasons are UTF-8"))
            }
            other => panic!("a frame of the exchange begins with {other:#x}"),
        })
    }
}

/// A good handshake for `path`.
pub fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A masked frame with `first` as its first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut bytes = head(first, payload.len() as u64);
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The head of a masked frame, up to the mask.
pub fn head(first: u8, len: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match len {
        0..=125 => bytes.push(0x80 | len as u8),
        126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
    }
    bytes
}

/// A message in frames of `size` bytes each.
pub fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = payload.len().div_ceil(size).max(1);
    for n in 0..count {
        let piece = &payload[n * size..payload.len().min((n + 1) * size)];
        let fin = if n + 1 == count { ENDS } else { 0 };
        bytes.extend(frame(fin | if n == 0 { opcode } else { 0 }, piece));
    }
    bytes
}
