//! Links that an exchange keeps up by itself, as far as sockets go: tungstenite's server plays the other exchange. What is said
//! over a link once it is up is asked elsewhere; here frames that introduce this exchange or say that it is alive are skipped.

#![expect(clippy::result_large_err, reason = "what a handshake is answered with is tungstenite's")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept_hdr};

use crate::support::certificates::Authority;
use crate::support::process::{Scratch, systemx};
use crate::support::{LIMIT, Phone, Process, Rig, eventually};

/// How long an exchange waits here before it calls again, in ms.
const DELAY_MS: u64 = 200;

/// Another exchange, as far as its door goes.
struct Parent {
    listener: TcpListener,
}

impl Parent {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on") }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    fn url(&self) -> String {
        format!("ws://{}/up?key=s3cret", self.address())
    }

    /// The next connection.
    fn accept(&self) -> TcpStream {
        self.accept_within(LIMIT)
    }

    fn accept_within(&self, limit: Duration) -> TcpStream {
        self.listener.set_nonblocking(true).expect("a socket takes the option");
        let until = Instant::now() + limit;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) => assert!(Instant::now() < until, "nobody calls"),
            }
            std::thread::park_timeout(Duration::from_millis(1));
        };
        stream.set_nonblocking(false).expect("a socket takes the option");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket takes a limit");
        stream
    }

    /// The next caller, let in.
    fn let_in(&self) -> Child {
        let (child, _) = self.let_in_with(|_, response| Ok(response));
        child
    }

    /// The next caller with its request, answered so.
    fn let_in_with(
        &self,
        answer: fn(&Request, Response) -> Result<Response, ErrorResponse>,
    ) -> (Child, Request) {
        let mut asked = None;
        let callback = |request: &Request, response: Response| {
            asked = Some(request.clone());
            answer(request, response)
        };
        let socket = accept_hdr(self.accept(), callback).expect("the upgrade is a proper one");
        (Child { socket }, asked.expect("tungstenite asks"))
    }
}

/// The exchange that has called.
struct Child<S = TcpStream> {
    socket: WebSocket<S>,
}

impl<S: Read + Write> Child<S> {
    /// What it says next beyond introducing itself and being alive. tungstenite fails on frames that are not masked.
    fn next(&mut self) -> Result<Message, Error> {
        loop {
            let message = self.socket.read()?;
            let is_usual = |text: &str| text.contains("\"REGISTER_PBX\"") || text.contains("\"HEARTBEAT\"");
            if !message.to_text().is_ok_and(is_usual) {
                return Ok(message);
            }
        }
    }

    fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the exchange reads");
    }

    /// Whether it is there and has had nothing to say until now.
    fn expect_nothing(&mut self) {
        self.send(Message::Ping("are you there?".into()));
        assert_eq!(self.next().expect("it answers"), Message::Pong("are you there?".into()));
    }

    fn expect_close(&mut self) -> CloseFrame {
        match self.next() {
            Ok(Message::Close(Some(frame))) => frame,
            other => panic!("a close was due, and there came {other:?}"),
        }
    }
}

/// An exchange that calls `parent`, in this process.
fn rig(parent: &Parent) -> Rig {
    let (url, delay) = (parent.url(), DELAY_MS.to_string());
    Rig::with(&[
        ("federation_enabled", "true"),
        ("federation_peer_url", &url),
        ("federation_routes", "*@parent.test"),
        ("federation_domain", "home.test"),
        ("federation_reconnect_delay_ms", &delay),
    ])
}

/// The same as a process.
fn process(url: &str) -> Process {
    let environment = [
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", url),
        ("FEDERATION_ROUTES", "*@parent.test"),
        ("FEDERATION_DOMAIN", "home.test"),
        ("FEDERATION_PEER_ID", "up"),
        ("FEDERATION_RECONNECT_DELAY_MS", "200"),
    ];
    Process::start_with(&["--log-level", "debug"], &environment)
}

#[test]
fn a_peer_is_called_as_a_client_calls_and_what_it_is_told_is_masked() {
    let parent = Parent::new();
    let _rig = rig(&parent);
    let (mut child, request) = parent.let_in_with(|_, response| Ok(response));
    assert_eq!(request.uri().to_string(), "/up?key=s3cret");
    let header =
        |name: &str| request.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    assert_eq!(header("host"), Some(parent.address().to_string()));
    assert_eq!((header("sec-websocket-protocol"), header("sec-websocket-extensions")), (None, None));
    // Short, and long enough for each form of a frame's length to be sent by the other side.
    child.expect_nothing();
    for padding in [0, 1_000, 100_000] {
        let beat = json!({"type": "HEARTBEAT", "padding": "x".repeat(padding)}).to_string();
        for message in [Message::text(&*beat), Message::binary(beat.into_bytes())] {
            child.send(message);
            let answer = child.next().expect("it answers").into_text().expect("it sends text");
            let answer: Value = serde_json::from_str(&answer).expect("it sends JSON");
            assert_eq!(answer["type"], "HEARTBEAT_ACK");
        }
    }
    for (opcode, part, is_final) in [
        (OpCode::Data(Data::Text), r#"{"type":"#, false),
        (OpCode::Data(Data::Continue), r#""HEARTBEAT"}"#, true),
    ] {
        child.send(Message::Frame(Frame::message(part, opcode, is_final)));
    }
    let answer = child.next().expect("it answers").into_text().expect("it sends text");
    assert!(answer.contains("HEARTBEAT_ACK"), "{answer}");
}

#[test]
fn a_file_describes_several_peers_with_subprotocols_and_names_instead_of_addresses() {
    let (first, second) = (Parent::new(), Parent::new());
    let folder = Scratch::new();
    let file = json!({"domain": "home.test", "peers": [
        {"url": format!("ws://localhost:{}/a", first.address().port()), "routes": ["*@a.test"], "protocols": ["systemx", "other"]},
        {"url": second.url(), "routes": ["*@b.test"], "protocols": "lone", "id": "second"},
    ]});
    let path = folder.write("peers.json", &file.to_string());
    let path = path.to_str().expect("a temporary folder has a plain name");
    let exchange = Process::start_with(&[], &[("FEDERATION_CONFIG", path)]);
    let (mut child, request) = first.let_in_with(|_, mut response| {
        response.headers_mut().insert("Sec-WebSocket-Protocol", "other".parse().expect("a header's value"));
        Ok(response)
    });
    assert_eq!(request.headers()["sec-websocket-protocol"], "systemx, other");
    child.expect_nothing();
    // A peer need not choose.
    let (mut child, request) = second.let_in_with(|_, response| Ok(response));
    assert_eq!(request.headers()["sec-websocket-protocol"], "lone");
    child.expect_nothing();
    exchange.log.wait_for("link is up");
    let log = exchange.log.wait_for("\"second\"");
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn it_introduces_itself_and_says_that_it_is_alive() {
    let parent = Parent::new();
    let folder = Scratch::new();
    let file = json!({"domain": "home.test", "heartbeatIntervalMs": 50, "peers": [
        {"url": parent.url(), "routes": ["*"], "auth": "s3cret", "announceRoutes": ["*@home.test", "me@else.test"]},
    ]});
    let path = folder.write("peers.json", &file.to_string());
    let exchange = Process::start_with(
        &[],
        &[("FEDERATION_CONFIG", path.to_str().expect("a temporary folder has a plain name"))],
    );
    let mut child = parent.let_in();
    let mut frame = || -> Value {
        let text = child.socket.read().expect("it speaks").into_text().expect("it sends text");
        serde_json::from_str(&text).expect("it sends JSON")
    };
    let introduction = frame();
    assert_eq!(
        (&introduction["type"], &introduction["domain"]),
        (&json!("REGISTER_PBX"), &json!("home.test"))
    );
    assert_eq!(introduction["routes"], json!(["*@home.test", "me@else.test"]));
    assert_eq!((&introduction["endpoint"], &introduction["auth"]), (&json!("internal"), &json!("s3cret")));
    assert_eq!(frame()["type"], "HEARTBEAT");
    assert_eq!(frame()["type"], "HEARTBEAT");
    assert!(exchange.log.all().iter().all(|line| !line.contains("s3cret")));
}

#[test]
fn calls_go_both_ways_over_a_link() {
    let parent = Rig::new();
    let url = format!("ws://{}", parent.address());
    let home = Rig::with(&[
        ("federation_enabled", "true"),
        ("federation_peer_url", &url),
        ("federation_routes", "*@parent.test"),
        ("federation_domain", "home.test"),
        ("federation_reconnect_delay_ms", "100"),
    ]);
    let (mut ann, mut bob) = (home.registered("ann@home.test"), parent.registered("bob@parent.test"));
    // The link comes up in its own time.
    let call = eventually("there is a way", || {
        ann.dial("bob@parent.test");
        let said = ann.next();
        (said["type"] == "RING").then(|| said["call_id"].as_str().expect("it has one").to_owned())
    });
    assert_eq!(bob.expect_ring("ann@home.test"), call);
    bob.answer(&call);
    ann.expect_connected("bob@parent.test");
    let long = "x".repeat(200_000);
    ann.say(&call, long.as_str());
    bob.expect_msg(&call, "ann@home.test", long.into());
    bob.hang_up(&call);
    ann.expect(json!({"type": "HANGUP", "call_id": call}));
    bob.dial("ann@home.test");
    let call = ann.expect_ring("bob@parent.test");
    ann.answer(&call);
    bob.expect(json!({"type": "RING", "call_id": call}));
    bob.expect_connected("ann@home.test");
}

#[test]
fn more_may_wait_for_a_link_than_for_a_client_but_not_without_end_nor_for_ever() {
    const CLIENT_BYTES_MAX: usize = 64 << 10;
    const TIMES: usize = 16;
    let parent = Parent::new();
    let url = parent.url();
    let flags = [
        ("--output-bytes-max", CLIENT_BYTES_MAX.to_string()),
        ("--output-high-water", (CLIENT_BYTES_MAX / 4).to_string()),
        ("--output-low-water", (CLIENT_BYTES_MAX / 8).to_string()),
        ("--slow-consumer-ms", "3000".to_owned()),
    ];
    let flags: Vec<&str> = flags.iter().flat_map(|(flag, value)| [*flag, value.as_str()]).collect();
    let environment = [
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", &*url),
        ("FEDERATION_ROUTES", "*@parent.test"),
    ];
    let exchange = Process::start_with(&flags, &environment);
    let mut child = parent.let_in();
    // It answers two calls, and then reads nothing any more.
    let answering = std::thread::spawn(move || {
        for _ in 0..2 {
            let text = child.next().expect("it dials").into_text().expect("it sends text");
            let dial: Value = serde_json::from_str(&text).expect("it sends JSON");
            assert_eq!(dial["type"], "DIAL_FORWARD");
            for word in ["RING", "ANSWER"] {
                let frame = json!({"type": word, "call_id": dial["call_id"], "from": dial["to"]});
                child.send(Message::text(frame.to_string()));
            }
        }
        child
    });
    let mut ann = exchange.registered("ann@home.test");
    // With two calls she is not held: that would hold the other call as well.
    let calls = ["bob@parent.test", "cid@parent.test"].map(|callee| {
        eventually("there is a way", || {
            ann.dial(callee);
            (ann.next()["type"] == "RING").then_some(())
        });
        ann.expect_connected(callee)
    });
    let _deaf = answering.join().expect("it is called");
    // The parent reads nothing. What the sockets take is none of our bounds.
    let sent = flood_until_hung_up(&mut ann, &calls[0]);
    assert!(sent > CLIENT_BYTES_MAX, "{sent} bytes are not more than may wait for a client");
    // Her other call is up, and now that it is her only one, she is held.
    let line = exchange.log.wait_for("slow consumer cut off");
    let context: Value =
        serde_json::from_str(&line[line.find('{').expect("it has fields")..]).expect("fields are JSON");
    let queued = context["queued"].as_u64().expect("a number") as usize;
    assert!((CLIENT_BYTES_MAX..=TIMES * CLIENT_BYTES_MAX).contains(&queued), "{line}");
    ann.expect_hangup(&calls[1], "error");
}

/// Who says too much in a party that a link takes part in loses his seat; calls over the link, and the link, stay.
#[test]
fn a_flood_in_a_party_costs_a_link_nothing_but_the_seat_of_the_speaker() {
    const CLIENT_BYTES_MAX: usize = 64 << 10;
    const ROOM: &str = "room@home.test";
    let parent = Parent::new();
    let url = parent.url();
    let flags = ["--output-bytes-max", "65536", "--output-high-water", "16384", "--output-low-water", "8192"];
    let environment = [
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", &*url),
        ("FEDERATION_ROUTES", "*@parent.test"),
        ("FEDERATION_DOMAIN", "home.test"),
    ];
    let exchange = Process::start_with(&flags, &environment);
    let mut child = parent.let_in();
    let text = |message: Result<Message, Error>| -> Value {
        let text = message.expect("the link is up").into_text().expect("it sends text");
        serde_json::from_str(&text).expect("it sends JSON")
    };
    let mut ann = exchange.registered("ann@home.test");
    ann.send(json!({"type": "JOIN", "party": ROOM}));
    ann.expect(json!({"type": "JOINED"}));
    child.send(Message::text(
        json!({"type": "JOIN_FORWARD", "from": "x@parent.test", "party": ROOM}).to_string(),
    ));
    assert_eq!(text(child.next())["type"], "JOINED");
    // With two calls he is not held either, and he has said something before.
    let mut bob = exchange.registered("bob@home.test");
    let calls = ["y@parent.test", "z@parent.test"].map(|callee| {
        bob.dial(callee);
        let dial = text(child.next());
        for word in ["RING", "ANSWER"] {
            let frame = json!({"type": word, "call_id": dial["call_id"], "from": callee});
            child.send(Message::text(frame.to_string()));
        }
        bob.expect(json!({"type": "RING"}));
        bob.expect_connected(callee)
    });
    // The parent reads nothing for now.
    let (part, until) = ("x".repeat(CLIENT_BYTES_MAX), Instant::now() + LIMIT);
    let mut sent = 0;
    loop {
        assert!(Instant::now() < until, "it waits without end");
        bob.say(&calls[0], "a word");
        ann.send(json!({"type": "PARTY_MSG", "party": ROOM, "data": part}));
        sent += part.len();
        ann.send(json!({"type": "HEARTBEAT"}));
        let frame = ann.next();
        if frame["type"] == "ERROR" {
            assert_eq!((&frame["reason"], &frame["context"]), (&json!("party_lost"), &json!("PARTY_MSG")));
            break;
        }
        assert_eq!(frame["type"], "HEARTBEAT_ACK");
    }
    assert!(sent > CLIENT_BYTES_MAX, "{sent} bytes are not more than may wait for a client");
    bob.expect_nothing();
    bob.say(&calls[1], "still here");
    let last = eventually("the link takes all that waited", || {
        let frame = text(child.next());
        (frame["data"] == "still here").then_some(frame)
    });
    assert_eq!(last["call_id"], json!(calls[1]));
    child.expect_nothing();
    ann.send(json!({"type": "HEARTBEAT"}));
    eventually("she is heard", || (ann.next()["type"] == "HEARTBEAT_ACK").then_some(()));
    ann.send(json!({"type": "JOIN", "party": ROOM}));
    eventually("she may come again", || (ann.next()["type"] == "JOINED").then_some(()));
    assert!(exchange.log.all().iter().all(|line| !line.contains("slow consumer")), "nobody is cut off");
}

/// Says something in a call, again and again, until it ends for that. Gives the number of bytes.
fn flood_until_hung_up(phone: &mut Phone, call: &str) -> usize {
    let (part, until) = ("x".repeat(128 << 10), Instant::now() + LIMIT);
    for sent in (part.len()..).step_by(part.len()) {
        assert!(Instant::now() < until, "it waits without end");
        phone.say(call, part.as_str());
        phone.send(json!({"type": "HEARTBEAT"}));
        let frame = phone.next();
        if frame["type"] == "HANGUP" {
            assert_eq!((&frame["call_id"], &frame["reason"]), (&json!(call), &json!("slow_consumer")));
            return sent;
        }
    }
    unreachable!("numbers have no end");
}

#[test]
fn a_lost_link_is_called_again_after_the_delay_however_it_was_lost() {
    let parent = Parent::new();
    let _rig = rig(&parent);
    let mut child = parent.let_in();
    for how in ["closed", "cut"] {
        child.expect_nothing();
        if how == "closed" {
            let frame = CloseFrame { code: 1001.into(), reason: "shutdown".into() };
            child.socket.close(Some(frame)).expect("it reads");
            assert_eq!(child.expect_close().code, 1001.into());
        }
        drop(child);
        let since = Instant::now();
        child = parent.let_in();
        assert!(since.elapsed() >= Duration::from_millis(DELAY_MS), "{how}: {:?}", since.elapsed());
    }
    child.expect_nothing();
}

#[test]
fn a_refused_upgrade_is_asked_for_again() {
    let parent = Parent::new();
    let _rig = rig(&parent);
    let answers = [
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!",
        "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "what do you want?\r\n\r\n",
        "",
    ];
    for answer in answers {
        let mut stream = parent.accept();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("it asks");
            request.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).expect("it reads");
        if answer.is_empty() {
            drop(stream);
            continue;
        }
        // It goes, and says nothing over a link that is none.
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest));
        assert_eq!(rest, b"", "{answer}");
    }
    parent.let_in().expect_nothing();
}

#[test]
fn who_never_answers_is_given_up_after_ten_seconds() {
    let parent = Parent::new();
    let _rig = rig(&parent);
    let silent = parent.accept();
    let since = Instant::now();
    let _next = parent.accept_within(3 * LIMIT);
    assert!(since.elapsed() >= Duration::from_secs(9), "{:?}", since.elapsed());
    drop(silent);
}

#[test]
fn nonsense_is_dropped_and_never_answered() {
    let parent = Parent::new();
    let exchange = process(&parent.url());
    let mut child = parent.let_in();
    for text in ["", "nonsense", "{", "[1]", "null", r#"{"type":"NO_SUCH_TYPE"}"#, r#"{"type":"DIAL"}"#] {
        child.send(Message::text(text));
    }
    child.send(Message::binary(vec![0xFF, 0xFE]));
    child.expect_nothing();
    exchange.log.wait_for("frame of a link dropped");
}

#[test]
fn a_server_that_masks_breaks_the_rules_and_is_called_again() {
    let parent = Parent::new();
    let _rig = rig(&parent);
    let mut child = parent.let_in();
    child.expect_nothing();
    child.socket.get_mut().write_all(&[0x81, 0x81, 1, 2, 3, 4, b'x' ^ 1]).expect("it reads");
    assert_eq!(child.expect_close().code, 1002.into());
    drop(child);
    parent.let_in().expect_nothing();
}

#[test]
fn a_link_is_closed_when_the_exchange_stops() {
    let parent = Parent::new();
    let mut exchange = process(&parent.url());
    let mut child = parent.let_in();
    child.expect_nothing();
    exchange.signal(Signal::TERM);
    assert_eq!(child.expect_close().code, 1001.into());
    assert_eq!(exchange.wait().code(), Some(0));
}

#[test]
fn a_peer_that_is_down_delays_neither_the_start_nor_the_end_and_costs_one_line_of_the_log() {
    let down = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = down.local_addr().expect("it is bound");
    drop(down);
    // It is up when this returns.
    let mut exchange = process(&format!("ws://{address}"));
    exchange.log.wait_for("link cannot be set up");
    let told = |level: &str| {
        let lines = exchange.log.all();
        lines.iter().filter(|line| line.contains("link cannot be set up") && line.contains(level)).count()
    };
    eventually("two more attempts", || (told("DEBUG") >= 2).then_some(()));
    let parent = Parent { listener: TcpListener::bind(address).expect("the port is free again") };
    parent.let_in().expect_nothing();
    exchange.log.wait_for("link is up");
    assert_eq!(told("WARN"), 1);
    exchange.registered("a@home.test");
    // Now it accepts and says nothing: the end comes in the middle of an attempt.
    let _silent = parent.accept();
    let since = Instant::now();
    exchange.signal(Signal::TERM);
    assert_eq!(exchange.wait().code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
}

#[test]
fn mistakes_switch_links_off_and_not_the_exchange() {
    let folder = Scratch::new();
    let path = folder.write("peers.json", r#"{"domain": "home.test", "peers": [{"url": "ws://p"}]}"#);
    let path = path.to_str().expect("a temporary folder has a plain name");
    for (environment, said) in [
        (vec![("FEDERATION_CONFIG", path)], "peers[0].routes must be a list of at least one route"),
        (vec![("FEDERATION_CONFIG", "/no/such/file")], "FEDERATION_CONFIG: the file cannot be read"),
        (vec![("FEDERATION_ENABLED", "true")], "FEDERATION_PEER_URL is missing; federation is off"),
    ] {
        let exchange = Process::start_with(&[], &environment);
        exchange.log.wait_for(said);
        exchange.registered("a@home.test");
        let mut command = systemx(&["check-config"], folder.path());
        let output = command.envs(environment).output().expect("the program can be run");
        assert_eq!(output.status.code(), Some(2));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(said), "{complaint}");
    }
}

#[test]
fn the_settings_are_shown_without_what_may_be_secret() {
    let folder = Scratch::new();
    let mut command = systemx(&["check-config"], folder.path());
    let environment = [
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", "wss://up.test/?key=s3cret"),
        ("FEDERATION_ROUTES", "*"),
        ("FEDERATION_AUTH", "s3cret"),
    ];
    let output = command.envs(environment).output().expect("the program can be run");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("wss://up.test:443/") && shown.contains("(hidden)"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// An exchange that calls by wss:// with these files.
fn secure_process(parent: &Parent, ca: &Path, identity: Option<[PathBuf; 2]>) -> Process {
    let url = format!("wss://localhost:{}/", parent.address().port());
    let text = |path: &Path| path.to_str().expect("a temporary folder has a plain name").to_owned();
    let ca = text(ca);
    let own = identity.map(|paths| paths.map(|path| text(&path)));
    let mut environment = vec![
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", &*url),
        ("FEDERATION_ROUTES", "*@parent.test"),
        ("FEDERATION_RECONNECT_DELAY_MS", "200"),
        ("FEDERATION_CA", &*ca),
    ];
    if let Some([certificate, key]) = &own {
        environment.extend([("FEDERATION_CERT", &**certificate), ("FEDERATION_KEY", &**key)]);
    }
    Process::start_with(&[], &environment)
}

/// What a parent with a certificate of `authority` accepts, from anybody or from those who show one of it as well.
fn server_config(authority: &Authority, must_show: bool) -> Arc<ServerConfig> {
    let own = authority.issue("localhost", |_| {});
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it is a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("there are some");
    let builder = if must_show {
        let roots = Arc::new(authority.roots());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots, provider).build().expect("it is fine");
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    Arc::new(builder.with_single_cert(vec![own.der()], key).expect("they belong together"))
}

/// The next caller, through TLS; `None` if it does not like what it is shown.
fn let_in_secretly(
    parent: &Parent,
    config: &Arc<ServerConfig>,
) -> Option<Child<StreamOwned<ServerConnection, TcpStream>>> {
    let mut stream = parent.accept();
    let mut session = ServerConnection::new(config.clone()).expect("it is fine");
    while session.is_handshaking() {
        session.complete_io(&mut stream).ok()?;
    }
    let socket = accept_hdr(StreamOwned::new(session, stream), |_: &Request, response| Ok(response)).ok()?;
    Some(Child { socket })
}

#[test]
fn a_secure_link_shows_who_it_is_and_carries_what_a_plain_one_does() {
    let (parent, folder, authority) = (Parent::new(), Scratch::new(), Authority::new());
    let ca = folder.write("ca.pem", &authority.pem());
    let identity = authority.issue("home.test", |_| {});
    let mut exchange = secure_process(&parent, &ca, Some(identity.write(&folder)));
    let mut child =
        let_in_secretly(&parent, &server_config(&authority, true)).expect("both trust each other");
    let shown = child.socket.get_ref().conn.peer_certificates().expect("it shows a certificate");
    assert_eq!(shown[0], identity.der());
    for padding in [0, 1_000, 100_000] {
        child.send(Message::text(json!({"type": "HEARTBEAT", "padding": "x".repeat(padding)}).to_string()));
        let answer = child.next().expect("it answers").into_text().expect("it sends text");
        assert!(answer.contains("HEARTBEAT_ACK"), "{answer}");
    }
    exchange.signal(Signal::TERM);
    assert_eq!(child.expect_close().code, 1001.into());
    assert_eq!(exchange.wait().code(), Some(0));
}

#[test]
fn a_peer_that_nobody_vouches_for_is_not_linked_with_until_somebody_does() {
    let (parent, folder, authority) = (Parent::new(), Scratch::new(), Authority::new());
    let config = server_config(&authority, false);
    let ca = folder.write("ca.pem", &Authority::new().pem());
    let exchange = secure_process(&parent, &ca, None);
    assert!(let_in_secretly(&parent, &config).is_none());
    let told = exchange.log.wait_for("link cannot be set up");
    assert!(told.contains("TLS handshake failed"), "{told}");
    // The files are read anew for each attempt.
    folder.write("ca.pem", &authority.pem());
    let mut child = eventually("it is let in", || let_in_secretly(&parent, &config));
    child.expect_nothing();
}

#[test]
fn a_file_of_tls_that_cannot_be_used_is_told_and_the_exchange_runs() {
    let parent = Parent::new();
    let exchange = secure_process(&parent, Path::new("/no/such/ca.pem"), None);
    let told = exchange.log.wait_for("link cannot be set up");
    assert!(told.contains("/no/such/ca.pem"), "{told}");
    exchange.registered("a@home.test");
}
