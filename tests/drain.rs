//! How the exchange makes room for the next: drains by signal and by order, under load, with every client's last frame looked at; what the
//! service manager is told; sockets that it hands over.

mod links;
mod sockets;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::process::{systemx, wait_for};
use crate::support::{LIMIT, Phone, Process, Scratch, address_on, eventually};

const RETRY_MS: u64 = 1000;

/// An exchange whose SIGTERM drains for so many seconds.
fn drained_for(seconds: u64) -> Process {
    Process::start(&["--drain-seconds", &seconds.to_string(), "--drain-retry-ms", &RETRY_MS.to_string()])
}

/// Two lines in a call, on shards that differ if `number` is odd.
fn pair(exchange: &Process, number: usize) -> (Phone, Phone, String) {
    let names = [0, number % 2].map(|shard| address_on(shard, 2, &format!("p{number}-{shard}-")));
    let names = [format!("a{}", names[0]), format!("b{}", names[1])];
    let (mut a, mut b) = (exchange.registered(&names[0]), exchange.registered(&names[1]));
    let call = a.call(&names[0], &mut b, &names[1]);
    (a, b, call)
}

/// The exchange has sent this client away, in the way it has to; what was said before.
fn sent_away(phone: &mut Phone) -> Vec<Value> {
    let (code, reason, said) = phone.read_until_close();
    assert_eq!(code, 1012, "{reason}");
    let reason: Value = serde_json::from_str(&reason).expect("the reason is JSON");
    assert_eq!(reason["reason"], "restarting");
    let hint = reason["retry_after_ms"].as_u64().expect("a number");
    assert!((RETRY_MS..=2 * RETRY_MS).contains(&hint), "{hint}");
    said
}

fn hangup(call: &str, reason: &str) -> Value {
    json!({"type": "HANGUP", "call_id": call, "reason": reason})
}

/// Where the admin listener of a process is.
fn admin_of(exchange: &Process) -> SocketAddr {
    let line = exchange.log.wait_for("admin listener is up");
    let context: Value =
        serde_json::from_str(&line[line.find('{').expect("fields")..]).expect("fields are JSON");
    context["address"].as_str().expect("an address").parse().expect("an address")
}

fn is_ready(admin: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(admin).expect("it listens");
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.starts_with("HTTP/1.1 200 ")
}

#[test]
fn a_drain_under_load_leaves_nobody_without_a_last_word() {
    const SECONDS: u64 = 4;
    let mut exchange = drained_for(SECONDS);
    let admin = admin_of(&exchange);
    assert!(is_ready(admin));
    let mut idle: Vec<_> =
        (0..40).map(|number| exchange.registered(&format!("idle{number}@x.test"))).collect();
    idle.extend((0..10).map(|_| exchange.phone()));
    let mut pairs: Vec<_> = (0..6).map(|number| pair(&exchange, number)).collect();
    let mut host = exchange.phone();
    host.register_with("radio@x.test", json!({"concurrency": "broadcast"}));
    let mut listener = exchange.registered("ear@x.test");
    listener.dial("radio@x.test");
    host.expect_ring("ear@x.test");
    let session = listener.expect_connected("radio@x.test");
    let mut link = exchange.phone();
    link.send(json!({"type": "REGISTER_PBX", "domain": "far.test", "routes": ["*@far.test"]}));
    link.expect(json!({"type": "REGISTERED_PBX"}));
    let begun = Instant::now();
    exchange.signal(Signal::TERM);
    eventually("it is not ready", || (!is_ready(admin)).then_some(()));
    for phone in &mut idle {
        assert_eq!(sent_away(phone), Vec::<Value>::new());
    }
    let spread = begun.elapsed();
    // Fifty lines on two shards, of which each lets fifty a second go.
    assert!(spread > Duration::from_millis(300) && spread < Duration::from_secs(SECONDS), "{spread:?}");
    // Calls go on as if nothing were.
    for (a, b, call) in &mut pairs {
        a.say(call, "still here");
        b.expect(json!({"type": "MSG", "data": "still here"}));
    }
    for (a, b, call) in &mut pairs[..3] {
        a.hang_up(call);
        assert_eq!(sent_away(b), [hangup(call, "normal")]);
        assert_eq!(sent_away(a), Vec::<Value>::new());
    }
    assert!(sent_away(&mut listener).contains(&hangup(&session, "shutdown")));
    sent_away(&mut host);
    for (a, b, call) in &mut pairs[3..] {
        assert_eq!(sent_away(a), [hangup(call, "shutdown")]);
        assert_eq!(sent_away(b), [hangup(call, "shutdown")]);
    }
    assert!(begun.elapsed() >= Duration::from_secs(SECONDS), "{:?}", begun.elapsed());
    sent_away(&mut link);
    assert_eq!(exchange.wait().code(), Some(0));
    exchange.log.wait_for("the drain has lasted as long as it may");
}

#[test]
fn a_drain_is_over_when_nobody_is_left() {
    let mut exchange = drained_for(60);
    let mut phones: Vec<_> = (0..5).map(|number| exchange.registered(&format!("n{number}@x.test"))).collect();
    let (mut a, mut b, call) = pair(&exchange, 1);
    exchange.signal(Signal::TERM);
    phones.iter_mut().for_each(|phone| drop(sent_away(phone)));
    b.hang_up(&call);
    assert_eq!(sent_away(&mut a), [hangup(&call, "normal")]);
    sent_away(&mut b);
    assert_eq!(exchange.wait().code(), Some(0));
    exchange.log.wait_for("the drain is complete");
}

#[test]
fn a_second_signal_ends_the_waiting_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let mut exchange = drained_for(600);
        let (mut a, mut b, call) = pair(&exchange, 0);
        let (mut from, mut to, other) = pair(&exchange, 1);
        exchange.signal(Signal::TERM);
        exchange.log.wait_for("draining");
        exchange.signal(second);
        for (phone, call) in [(&mut a, &call), (&mut b, &call), (&mut from, &other), (&mut to, &other)] {
            assert_eq!(sent_away(phone), [hangup(call, "shutdown")]);
        }
        assert_eq!(exchange.wait().code(), Some(0));
    }
}

/// Whoever the kernel told that he is connected is served or told to come back; then the port is closed.
#[test]
fn those_who_connect_at_that_moment_are_told_or_refused() {
    let mut exchange = drained_for(60);
    let (mut a, mut b, call) = pair(&exchange, 1);
    let address = exchange.address();
    let (connected, some) = std::sync::mpsc::channel();
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let connected = connected.clone();
            std::thread::spawn(move || {
                let mut phones = Vec::new();
                loop {
                    match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                        Ok(stream) => phones.push(Phone::over(stream, b"")),
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return phones,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}"),
                    }
                    // Nobody counts any more once there are enough.
                    let _ = connected.send(());
                }
            })
        })
        .collect();
    for _ in 0..100 {
        some.recv_timeout(LIMIT).expect("they connect");
    }
    drop(some);
    exchange.signal(Signal::TERM);
    let mut phones: Vec<_> =
        callers.into_iter().flat_map(|caller| caller.join().expect("nobody is cut off")).collect();
    a.hang_up(&call);
    assert_eq!(sent_away(&mut b), [hangup(&call, "normal")]);
    sent_away(&mut a);
    for phone in &mut phones {
        assert_eq!(sent_away(phone), Vec::<Value>::new());
    }
    assert_eq!(exchange.wait().code(), Some(0));
}

#[test]
fn a_drain_can_be_ordered_from_elsewhere() {
    let mut exchange = Process::start_with(&[], &[("SYSTEMX_ADMIN_TOKEN", "a-token-for-this-test")]);
    let admin = format!("http://{}", admin_of(&exchange));
    let (mut a, mut b, call) = pair(&exchange, 1);
    let folder = Scratch::new();
    let token = folder.write("token", "a-token-for-this-test\n");
    let order = |arguments: &[&str]| {
        let mut command = systemx(&[&["drain", "--admin", &admin], arguments].concat(), folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run")
    };
    let said = |child: std::process::Child| {
        let output = child.wait_with_output().expect("it ends");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("it says text"))
    };
    let (code, text) = said(order(&["--seconds", "60"]));
    assert!(code == Some(1) && text.contains("--token-file"), "{text}");
    let token = token.to_str().expect("it is text");
    let mut waiting = order(&["--seconds", "60", "--wait", "--token-file", token]);
    exchange.log.wait_for("draining");
    let (code, text) = said(order(&["--token-file", token]));
    assert!(code == Some(1) && text.contains("the exchange is draining already"), "{text}");
    assert!(waiting.try_wait().expect("it is ours").is_none(), "it waits");
    a.hang_up(&call);
    let first = b.read_until_close();
    assert_eq!((first.0, first.2), (1012, vec![hangup(&call, "normal")]));
    assert_eq!(a.read_until_close().0, 1012);
    assert_eq!(exchange.wait().code(), Some(0));
    assert_eq!(wait_for(&mut waiting).code(), Some(0));
    let (_, text) = said(waiting);
    assert!(text.contains("goes within 60 s") && text.contains("has ended"), "{text}");
}

/// The words that a service manager hears until one contains `part`.
fn hear(manager: &UnixDatagram, part: &str) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let len =
            manager.recv(&mut bytes).unwrap_or_else(|error| panic!("{error}: no {part:?} in {words:?}"));
        words.push(String::from_utf8(bytes[..len].to_vec()).expect("words are text"));
        if words.last().is_some_and(|word| word.contains(part)) {
            return words;
        }
    }
}

#[test]
fn the_service_manager_hears_how_things_are() {
    let folder = Scratch::new();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("the folder can be written");
    manager.set_read_timeout(Some(LIMIT)).expect("a socket takes a limit");
    let environment = [("NOTIFY_SOCKET", path.to_str().expect("it is text")), ("WATCHDOG_USEC", "2000000")];
    let mut exchange = Process::start_with(&["--drain-seconds", "600"], &environment);
    assert_eq!(hear(&manager, "READY=1"), ["READY=1"]);
    hear(&manager, "WATCHDOG=1");
    let (mut a, _b, _) = pair(&exchange, 1);
    hear(&manager, "STATUS=serving: 2 connections, 1 calls up");
    exchange.signal(Signal::HUP);
    let word = hear(&manager, "RELOADING=1").pop().expect("it came");
    let since = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both in one word");
    assert!(since.parse::<u64>().expect("a number") > 0);
    hear(&manager, "READY=1");
    exchange.signal(Signal::TERM);
    hear(&manager, "STATUS=draining: ");
    hear(&manager, "EXTEND_TIMEOUT_USEC=15000000");
    hear(&manager, "WATCHDOG=1");
    exchange.signal(Signal::TERM);
    hear(&manager, "STOPPING=1");
    assert_eq!(a.read_until_close().0, 1012);
    assert_eq!(exchange.wait().code(), Some(0));
}

/// An exchange that is handed this socket, as a service manager hands it over.
fn activated(listener: &TcpListener, flags: &[&str]) -> Process {
    let folder = Scratch::new();
    let exchange = systemx(&[&["--shards", "2"], flags].concat(), folder.path());
    // The shell has the number that the program has after it.
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        r#"LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$0" "$@" 3<&0 0</dev/null"#,
    ]);
    command.arg(exchange.get_program()).args(exchange.get_args()).current_dir(folder.path());
    for (name, value) in exchange.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let socket = OwnedFd::from(listener.try_clone().expect("a second handle"));
    command.stdin(Stdio::from(socket)).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::run(command, folder)
}

/// Nobody notices the change but those who were connected, and no connection is refused in between.
#[test]
fn a_socket_that_is_handed_over_is_served_by_all_shards_and_outlives_the_exchange() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let mut first = activated(&listener, &["--log-level", "debug", "--drain-seconds", "60"]);
    assert_eq!(first.address(), listener.local_addr().expect("it is bound"));
    let mut phones: Vec<Phone> = Vec::new();
    eventually("both shards take somebody in", || {
        phones.push(first.phone());
        let log = first.log.all();
        let took =
            |shard: &str| log.iter().any(|line| line.contains("connection accepted") && line.contains(shard));
        (took("\"shard\":0") && took("\"shard\":1")).then_some(())
    });
    let (mut a, mut b, call) = pair(&first, 1);
    first.signal(Signal::TERM);
    phones.iter_mut().for_each(|phone| assert_eq!(phone.read_until_close().0, 1012));
    // The first accepts nobody any more, and this one waits.
    let early = TcpStream::connect(first.address()).expect("the socket listens");
    a.say(&call, "the first is still there");
    b.expect(json!({"type": "MSG", "call_id": call}));
    a.hang_up(&call);
    assert_eq!(first.wait().code(), Some(0));
    let mut second = activated(&listener, &[]);
    let mut early = Phone::over(early, b"");
    early.register("early@x.test");
    second.signal(Signal::TERM);
    assert_eq!(early.next_close().0, 1001);
    assert_eq!(second.wait().code(), Some(0));
}
