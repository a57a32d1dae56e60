//! The client of the scenarios: tungstenite over a blocking socket with a time limit, the verbs of the protocol, and
//! expectations. A phone reads in order and skips nothing, so an unexpected frame fails the test that did not want it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::LIMIT;
use super::wire::Wire;

/// What the system may keep for a client that is slow.
const SMALL_BUFFER_BYTES: usize = 8 * 1024;
/// Segments of a size that keeps the exchange's own socket buffer small too.
const SMALL_SEGMENT_BYTES: u32 = 1_400;

/// A client of the exchange.
pub struct Phone {
    socket: WebSocket<Wire>,
}

impl Phone {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_saying(address, &[])
    }

    /// Connects and sends `early` in the same segment as the handshake, before the exchange has answered.
    pub fn connect_saying(address: SocketAddr, early: &[u8]) -> Self {
        let stream = TcpStream::connect(address).expect("the exchange accepts");
        Self::over(stream, early)
    }

    /// As [`Phone::connect`], with an end of the connection that holds little.
    pub fn narrow(address: SocketAddr) -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).expect("a socket takes a size");
        socket.set_tcp_mss(SMALL_SEGMENT_BYTES).expect("a socket takes a size");
        socket.connect(&address.into()).expect("the exchange accepts");
        Self::over(TcpStream::from(socket), &[])
    }

    /// Shakes hands over a connection that exists.
    pub fn over(stream: TcpStream, early: &[u8]) -> Self {
        Self::over_wire(Wire::Plain(stream), early).unwrap_or_else(|error| panic!("no handshake: {error}"))
    }

    /// Shakes hands over a connection that exists, encrypted or not; the error is that of the wire.
    pub fn over_wire(wire: Wire, early: &[u8]) -> std::io::Result<Self> {
        let mut opening = handshake_request();
        opening.extend_from_slice(early);
        Self::opening(wire, opening.chunks(opening.len()))
    }

    /// Says these pieces, which must contain a handshake, one by one; the error is that of the wire.
    pub fn opening<'p>(mut wire: Wire, pieces: impl Iterator<Item = &'p [u8]>) -> std::io::Result<Self> {
        let stream = wire.stream();
        stream.set_read_timeout(Some(LIMIT)).expect("a socket takes a limit");
        stream.set_write_timeout(Some(LIMIT)).expect("a socket takes a limit");
        stream.set_nodelay(true).expect("a socket takes the option");
        for piece in pieces {
            wire.write_all(piece)?;
            wire.flush()?;
        }
        let (head, rest) = read_head(&mut wire)?;
        assert!(head.starts_with("HTTP/1.1 101 "), "the exchange says {head}");
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        Ok(Self { socket: WebSocket::from_partially_read(wire, rest, Role::Client, Some(config)) })
    }

    /// Sends a frame of the protocol.
    pub fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string());
    }

    /// Sends any text.
    pub fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the exchange reads");
    }

    /// Sends any WebSocket message.
    pub fn send_message(&mut self, message: Message) {
        self.socket.send(message).expect("the exchange reads");
    }

    /// Sends a frame of the protocol to an exchange that may be gone.
    pub fn try_send(&mut self, frame: &Value) -> Result<(), Error> {
        self.socket.send(Message::text(frame.to_string()))
    }

    /// The next frame of the protocol, unless the connection ends.
    pub fn try_next(&mut self) -> Option<Value> {
        match self.socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }

    /// Sends any bytes, WebSocket or not.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let wire = self.wire();
        wire.write_all(bytes).and_then(|()| wire.flush()).expect("the exchange reads");
    }

    /// Sends these frames in one segment.
    pub fn send_together(&mut self, frames: &[Value]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| text_frame(&frame.to_string())).collect();
        self.send_raw(&bytes);
    }

    /// The connection below.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.wire().stream()
    }

    /// What it speaks over.
    pub fn wire(&mut self) -> &mut Wire {
        self.socket.get_mut()
    }

    /// The next message, of any kind.
    pub fn next_message(&mut self) -> Result<Message, Error> {
        self.socket.read()
    }

    /// The next frame of the protocol, as text.
    pub fn next_text(&mut self) -> String {
        match self.socket.read() {
            Ok(Message::Text(text)) => text.to_string(),
            other => panic!("a frame was due, and there came {other:?}"),
        }
    }

    /// The next frame of the protocol.
    pub fn next(&mut self) -> Value {
        let text = self.next_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The next frame, which must have at least these fields with these values.
    pub fn expect(&mut self, fields: Value) -> Value {
        let frame = self.next();
        assert!(contains(&frame, &fields), "expected {fields}, got {frame}");
        frame
    }

    /// The next frame, which must be this and nothing more.
    pub fn expect_exactly(&mut self, expected: Value) {
        assert_eq!(self.next(), expected);
    }

    /// Nothing is on its way from this phone's own shard: the next frame is the answer to a question asked now.
    pub fn expect_nothing(&mut self) {
        self.send(json!({"type": "HEARTBEAT"}));
        self.expect(json!({"type": "HEARTBEAT_ACK"}));
    }

    /// The exchange closes with this code and reason, and says nothing before.
    pub fn expect_close(&mut self, code: u16, reason: &str) {
        let (got_code, got_reason) = self.next_close();
        assert_eq!((got_code, got_reason.as_str()), (code, reason));
    }

    /// The code and reason of the close frame, which must come next; then the connection ends.
    pub fn next_close(&mut self) -> (u16, String) {
        match self.socket.read() {
            Ok(Message::Close(Some(frame))) => {
                self.expect_end();
                (frame.code.into(), frame.reason.to_string())
            }
            other => panic!("a close frame was due, and there came {other:?}"),
        }
    }

    /// Reads whatever comes until the close frame.
    pub fn read_until_close(&mut self) -> (u16, String, Vec<Value>) {
        let mut frames = Vec::new();
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => {
                    return (frame.code.into(), frame.reason.to_string(), frames);
                }
                Ok(Message::Text(text)) => frames.push(serde_json::from_str(&text).expect("frames are JSON")),
                other => panic!("a close frame was due, and there came {other:?} after {}", frames.len()),
            }
        }
    }

    /// The exchange ends the connection in order after the closing handshake.
    fn expect_end(&mut self) {
        let end = self.socket.read();
        assert!(matches!(end, Err(Error::ConnectionClosed)), "after the close frame there came {end:?}");
    }

    /// Registers, and returns the session id.
    pub fn register(&mut self, address: &str) -> String {
        self.register_with(address, json!({}))
    }

    /// Registers with more fields.
    pub fn register_with(&mut self, address: &str, fields: Value) -> String {
        self.send(register_frame(address, fields));
        let frame = self.expect(json!({"type": "REGISTERED", "address": address}));
        frame["session_id"].as_str().expect("session ids are strings").to_owned()
    }

    /// DIAL.
    pub fn dial(&mut self, to: &str) {
        self.send(json!({"type": "DIAL", "to": to}));
    }

    /// The RING that is due from this address; returns the call's id.
    pub fn expect_ring(&mut self, from: &str) -> String {
        id_of(&self.expect(json!({"type": "RING", "from": from})))
    }

    /// The CONNECTED that is due for this address; returns the call's id.
    pub fn expect_connected(&mut self, to: &str) -> String {
        id_of(&self.expect(json!({"type": "CONNECTED", "to": to})))
    }

    /// The BUSY that is due.
    pub fn expect_busy(&mut self, to: &str, reason: &str) {
        self.expect(json!({"type": "BUSY", "to": to, "reason": reason}));
    }

    /// The HANGUP that is due.
    pub fn expect_hangup(&mut self, call: &str, reason: &str) {
        self.expect(json!({"type": "HANGUP", "call_id": call, "reason": reason}));
    }

    /// The MSG that is due.
    pub fn expect_msg(&mut self, call: &str, from: &str, data: Value) {
        self.expect(json!({"type": "MSG", "call_id": call, "from": from, "data": data}));
    }

    /// ANSWER.
    pub fn answer(&mut self, call: &str) {
        self.send(json!({"type": "ANSWER", "call_id": call}));
    }

    /// HANGUP.
    pub fn hang_up(&mut self, call: &str) {
        self.send(json!({"type": "HANGUP", "call_id": call}));
    }

    /// MSG.
    pub fn say(&mut self, call: &str, data: impl Into<Value>) {
        self.send(json!({"type": "MSG", "call_id": call, "data": data.into()}));
    }

    /// STATUS.
    pub fn set_status(&mut self, status: &str) {
        self.send(json!({"type": "STATUS", "status": status}));
    }

    /// Calls `callee`, who answers; returns the id that both were told.
    pub fn call(&mut self, from: &str, callee: &mut Phone, to: &str) -> String {
        self.dial(to);
        let ring = callee.expect_ring(from);
        callee.answer(&ring);
        let call = self.expect_connected(to);
        assert_eq!(call, ring);
        call
    }

    /// The entries of a PRESENCE_RESULT for this query, by address.
    pub fn presence(&mut self, query: Value) -> Vec<Value> {
        self.send(json!({"type": "PRESENCE", "query": query}));
        let mut frame = self.expect(json!({"type": "PRESENCE_RESULT"}));
        let Value::Array(mut entries) = frame["addresses"].take() else { panic!("no list") };
        entries.sort_by_key(|entry| entry["address"].as_str().map(str::to_owned));
        entries
    }

    /// Closes as a browser does, and reads the answer.
    pub fn close(mut self) {
        self.socket.close(None).expect("the exchange reads");
        while self.socket.read().is_ok() {}
    }

    /// Ends the connection without a word.
    pub fn vanish(mut self) {
        self.stream().shutdown(Shutdown::Both).expect("it is connected");
    }
}

/// REGISTER with more fields.
pub fn register_frame(address: &str, fields: Value) -> Value {
    let mut frame = json!({"type": "REGISTER", "address": address});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    frame.as_object_mut().expect("it is an object").extend(fields);
    frame
}

/// The id of the call that a frame is about.
pub fn id_of(frame: &Value) -> String {
    frame["call_id"].as_str().unwrap_or_else(|| panic!("no call_id in {frame}")).to_owned()
}

/// A masked text frame, ready for the wire.
pub fn text_frame(text: &str) -> Vec<u8> {
    const FINAL_TEXT: u8 = 0x81;
    const MASKED: u8 = 0x80;
    let mut frame = vec![FINAL_TEXT];
    match text.len() {
        length @ 0..126 => frame.push(MASKED | length as u8),
        length @ 126..65_536 => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    // A key of zeros leaves the payload readable.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Whether `frame` has everything that `fields` has, at every depth of objects.
pub fn contains(frame: &Value, fields: &Value) -> bool {
    match (frame, fields) {
        (Value::Object(frame), Value::Object(fields)) => {
            fields.iter().all(|(key, value)| frame.get(key).is_some_and(|own| contains(own, value)))
        }
        _ => frame == fields,
    }
}

/// The upgrade request of a client; the key is the one of RFC 6455.
pub fn handshake_request() -> Vec<u8> {
    b"GET /any?path HTTP/1.1\r\nHost: exchange.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        .to_vec()
}

/// The head of an HTTP response, and what was read beyond it.
pub fn read_head(stream: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8(bytes).expect("heads are text"), rest));
        }
        match stream.read(&mut chunk)? {
            0 => panic!("the exchange ended the connection after {:?}", String::from_utf8_lossy(&bytes)),
            length => bytes.extend_from_slice(&chunk[..length]),
        }
    }
}
