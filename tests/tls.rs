//! wss: calls over encrypted connections, certificates that are renewed while calls are up, and those who do not
//! speak TLS as they should. The client is tungstenite over rustls on blocking sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::certificates::{Authority, Identity};
use crate::support::process::{Process, Scratch, systemx, wait_for};
use crate::support::wire::Wire;
use crate::support::{LIMIT, Phone, Rig, address_on, eventually, text_frame};

const MEBIBYTE: usize = 1 << 20;

/// An exchange with TLS in this process, and a client that trusts it.
struct Secure {
    rig: Rig,
    authority: Authority,
    client: Arc<ClientConfig>,
    _folder: Scratch,
}

impl Secure {
    fn new() -> Self {
        Self::with(|_, _| {}, &[])
    }

    /// `more` may write further files and say which settings name them.
    fn with(
        more: impl FnOnce(&Scratch, &mut Vec<(&'static str, String)>),
        settings: &[(&'static str, &str)],
    ) -> Self {
        let (folder, authority) = (Scratch::new(), Authority::new());
        let paths = authority.server().write(&folder).map(|path| path.display().to_string());
        let mut files = vec![("tls_cert_path", paths[0].clone()), ("tls_key_path", paths[1].clone())];
        more(&folder, &mut files);
        let named = files.iter().map(|(name, path)| (*name, path.as_str()));
        let all: Vec<_> = named.chain([("tls_enabled", "true")]).chain(settings.iter().copied()).collect();
        let rig = Rig::with(&all);
        Self { rig, client: authority.client(), authority, _folder: folder }
    }

    fn phone(&self) -> Phone {
        phone(self.rig.address(), &self.client)
    }

    fn registered(&self, address: &str) -> Phone {
        let mut phone = self.phone();
        phone.register(address);
        phone
    }

    /// A client whose end of the connection holds little.
    fn narrow_phone(&self) -> Phone {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(8 << 10).expect("a socket takes a size");
        socket.set_tcp_mss(1_400).expect("a socket takes a size");
        socket.connect(&self.rig.address().into()).expect("the exchange accepts");
        Phone::over_wire(Wire::secure(socket.into(), &self.client), &[]).expect("it is let in")
    }
}

fn phone(address: SocketAddr, client: &Arc<ClientConfig>) -> Phone {
    try_phone(address, client).unwrap_or_else(|error| panic!("no handshake: {error}"))
}

fn try_phone(address: SocketAddr, client: &Arc<ClientConfig>) -> std::io::Result<Phone> {
    let stream = TcpStream::connect(address).expect("the exchange accepts");
    Phone::over_wire(Wire::secure(stream, client), &[])
}

/// What the exchange shows to a new connection.
fn shown(address: SocketAddr, client: &Arc<ClientConfig>) -> CertificateDer<'static> {
    phone(address, client).wire().certificate().expect("servers show one")
}

#[test]
fn a_proxy_header_comes_before_tls_and_says_whose_connection_it_is() {
    let settings =
        [("trusted_proxies", "127.0.0.1"), ("proxy_protocol", "true"), ("connections_per_ip", "1")];
    let exchange = Secure::with(|_, _| {}, &settings);
    let from = |source: &str| {
        let mut stream = TcpStream::connect(exchange.rig.address()).expect("the exchange accepts");
        write!(stream, "PROXY TCP4 {source} 198.51.100.1 56324 443\r\n").expect("there is room");
        Phone::over_wire(Wire::secure(stream, &exchange.client), &[])
    };
    let mut one = from("192.0.2.1").expect("it is let in");
    let mut other = from("192.0.2.2").expect("it is let in");
    assert!(from("192.0.2.1").is_err(), "its place is taken");
    assert!(try_phone(exchange.rig.address(), &exchange.client).is_err(), "there is no header");
    one.expect_nothing();
    other.expect_nothing();
}

#[test]
fn calls_go_between_shards_and_versions_and_nothing_is_lost_when_sockets_move() {
    let exchange = Secure::new();
    let old = exchange.authority.client_of(&[&rustls::version::TLS12], None);
    let new = exchange.authority.client_of(&[&rustls::version::TLS13], None);
    // Several, so that some land on the other shard than their address's and move.
    for round in 0..6 {
        let [caller_name, callee_name] =
            [address_on(0, 2, &format!("caller{round}-")), address_on(1, 2, &format!("callee{round}-"))];
        let (mut caller, mut callee) =
            (phone(exchange.rig.address(), &old), phone(exchange.rig.address(), &new));
        caller.register(&caller_name);
        callee.register(&callee_name);
        let call = caller.call(&caller_name, &mut callee, &callee_name);
        caller.say(&call, "soup?");
        callee.expect_msg(&call, &caller_name, json!("soup?"));
        callee.say(&call, "noon");
        caller.expect_msg(&call, &callee_name, json!("noon"));
        caller.hang_up(&call);
        callee.expect_hangup(&call, "normal");
        callee.close();
        caller.close();
    }
}

/// What comes with the handshake has been decrypted before the connection is the shard's.
#[test]
fn what_is_said_together_with_the_handshake_and_a_move_is_heard_in_order() {
    let exchange = Secure::new();
    for shard in [0, 1] {
        let name = address_on(shard, 2, "hasty");
        let register = json!({"type": "REGISTER", "address": name});
        let frames = [
            register,
            json!({"type": "HEARTBEAT"}),
            json!({"type": "PRESENCE", "query": {"domain": "x.test"}}),
        ];
        let early: Vec<u8> = frames.iter().flat_map(|frame| text_frame(&frame.to_string())).collect();
        let stream = TcpStream::connect(exchange.rig.address()).expect("the exchange accepts");
        let mut phone =
            Phone::over_wire(Wire::secure(stream, &exchange.client), &early).expect("it is let in");
        phone.expect(json!({"type": "REGISTERED", "address": name}));
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
        phone.expect(json!({"type": "PRESENCE_RESULT"}));
    }
}

#[test]
fn large_messages_go_both_ways() {
    let exchange = Secure::new();
    let [caller_name, callee_name] = [address_on(0, 2, "caller"), address_on(1, 2, "callee")];
    let (mut caller, mut callee) = (exchange.registered(&caller_name), exchange.registered(&callee_name));
    let call = caller.call(&caller_name, &mut callee, &callee_name);
    for round in 0..4_usize {
        let data: String = (0..MEBIBYTE).map(|at| char::from(b'a' + ((at * 7 + round) % 26) as u8)).collect();
        caller.say(&call, data.as_str());
        callee.expect_msg(&call, &caller_name, json!(data));
        callee.say(&call, data.as_str());
        caller.expect_msg(&call, &callee_name, json!(data));
    }
}

/// Far more than all buffers hold: the sender is held until the receiver reads, and every message arrives in its order.
#[test]
fn a_flood_to_a_receiver_that_does_not_read_is_held_back_and_arrives_whole() {
    const MESSAGES: usize = 4_000;
    let exchange = Secure::with(|_, _| {}, &[("output_high_water", "65536"), ("output_low_water", "16384")]);
    for shards in [[0, 0], [0, 1]] {
        let [caller_name, callee_name] =
            [address_on(shards[0], 2, "caller"), address_on(shards[1], 2, "callee")];
        let (mut caller, mut callee) = (exchange.registered(&caller_name), exchange.narrow_phone());
        callee.register(&callee_name);
        let call = caller.call(&caller_name, &mut callee, &callee_name);
        let padding = "x".repeat(1000);
        let said = call.clone();
        let flood = std::thread::spawn(move || {
            for number in 0..MESSAGES {
                caller.say(&said, format!("{number} {padding}"));
            }
            caller
        });
        for number in 0..MESSAGES {
            let frame = callee.expect(json!({"type": "MSG", "call_id": call}));
            let data = frame["data"].as_str().expect("it is text");
            assert!(data.starts_with(&format!("{number} ")), "{number}: {}", &data[..10]);
        }
        let mut caller = flood.join().expect("the caller is not cut off");
        callee.say(&call, "enough");
        caller.expect_msg(&call, &callee_name, json!("enough"));
    }
}

#[test]
fn a_receiver_that_stops_reading_is_cut_off() {
    let settings =
        [("slow_consumer_ms", "300"), ("output_high_water", "65536"), ("output_low_water", "16384")];
    let exchange = Secure::with(|_, _| {}, &settings);
    let [caller_name, callee_name] = [address_on(0, 2, "caller"), address_on(1, 2, "callee")];
    let (mut caller, mut callee) = (exchange.registered(&caller_name), exchange.narrow_phone());
    callee.register(&callee_name);
    let call = caller.call(&caller_name, &mut callee, &callee_name);
    let data = "x".repeat(16 << 10);
    for _ in 0..200 {
        caller.say(&call, data.as_str());
    }
    caller.expect_hangup(&call, "slow_consumer");
    caller.expect_nothing();
}

/// As many as are written together where nothing is encrypted.
#[test]
fn a_party_of_many_hears_everything() {
    let exchange = Secure::new();
    let mut phones: Vec<Phone> =
        (0..24).map(|number| exchange.registered(&format!("guest{number}@homes.test"))).collect();
    for (number, phone) in phones.iter_mut().enumerate() {
        phone.send(json!({"type": "JOIN", "party": "p@homes.test"}));
        while phone.next()["participants"].as_array().is_none_or(|all| all.len() <= number) {}
    }
    // One by one they are a batch each, and together they are several pieces for everybody.
    let mut due = 0;
    for together in [1, 1, 1, 50] {
        let (speaker, others) = phones.split_first_mut().expect("there are some");
        for number in due..due + together {
            speaker.send(json!({"type": "PARTY_MSG", "party": "p@homes.test", "data": number.to_string()}));
        }
        for phone in others {
            let said = std::iter::repeat_with(|| phone.next()).filter(|frame| frame["type"] == "PARTY_MSG");
            let numbers: Vec<_> = said.take(together).map(|frame| frame["data"].clone()).collect();
            let expected: Vec<_> = (due..due + together).map(|number| json!(number.to_string())).collect();
            assert_eq!(numbers, expected);
        }
        due += together;
    }
}

#[test]
fn a_stop_is_told_and_the_end_is_said_by_tls_too() {
    let exchange = Secure::new();
    let mut phone = exchange.registered("a@homes.test");
    let Secure { rig, .. } = exchange;
    let stopping = std::thread::spawn(move || rig.stop());
    // Reading on after the close frame would be an error if the stream were cut off.
    phone.expect_close(1001, "shutdown");
    assert_eq!(phone.wire().read(&mut [0; 1]).expect("the end is in order"), 0);
    stopping.join().expect("it stops");
}

#[test]
fn an_end_without_a_word_is_a_loss_and_tls_says_nothing_else() {
    let exchange = Secure::new();
    let (mut caller, mut callee) = (exchange.registered("a@homes.test"), exchange.registered("b@homes.test"));
    let call = caller.call("a@homes.test", &mut callee, "b@homes.test");
    callee.vanish();
    caller.expect_hangup(&call, "peer_disconnected");
    let mut callee = exchange.registered("b@homes.test");
    let call = caller.call("a@homes.test", &mut callee, "b@homes.test");
    // The end of TLS without an end of the socket.
    let Wire::Secure(secure) = callee.wire() else { panic!("it is encrypted") };
    secure.conn.send_close_notify();
    secure.flush().expect("the exchange reads");
    caller.expect_hangup(&call, "peer_disconnected");
}

#[test]
fn whoever_speaks_no_tls_is_shown_out_and_harms_nobody() {
    let exchange = Secure::with(|_, _| {}, &[("handshake_timeout_ms", "2000")]);
    let mut known = exchange.registered("a@homes.test");
    let request: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let garbage = [0xff; 4096];
    for opening in [request, &garbage, b"\x16\x03\x01\xff\xff", b"\x15\x03\x01\x00\x02\x02\x00", b""] {
        let mut stream = TcpStream::connect(exchange.rig.address()).expect("the exchange accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("sockets can");
        stream.write_all(opening).expect("it is read");
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {opening:?}"),
        }
        assert!(!said.starts_with(b"HTTP"), "nothing is served in the clear");
    }
    known.expect_nothing();
    exchange.registered("b@homes.test");
}

#[test]
fn a_handshake_that_stalls_anywhere_is_over_in_time() {
    let exchange = Secure::with(|_, _| {}, &[("handshake_timeout_ms", "300")]);
    let ends = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(LIMIT)).expect("sockets can");
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
    };
    // Within TLS, with half a greeting.
    let mut stream = TcpStream::connect(exchange.rig.address()).expect("the exchange accepts");
    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]).expect("it is read");
    ends(&mut stream);
    // After TLS, with half a request.
    let stream = TcpStream::connect(exchange.rig.address()).expect("the exchange accepts");
    let mut wire = Wire::secure(stream, &exchange.client);
    wire.write_all(b"GET / HTTP/1.1\r\n").and_then(|()| wire.flush()).expect("TLS shakes hands");
    ends(wire.stream());
}

#[test]
fn a_client_certificate_is_asked_for_where_it_counts() {
    let clients = Authority::new();
    let (known, stranger) = (clients.issue("alice", |_| {}), Authority::new().issue("mallory", |_| {}));
    for required in ["false", "true"] {
        let exchange = Secure::with(
            |folder, files| {
                files.push(("tls_client_ca", folder.write("ca.pem", &clients.pem()).display().to_string()));
            },
            &[("tls_client_cert_required", required)],
        );
        let register = |identity: Option<&Identity>, name: &str| {
            let client = exchange.authority.client_of(rustls::ALL_VERSIONS, identity);
            try_phone(exchange.rig.address(), &client).map(|mut phone| drop(phone.register(name)))
        };
        register(Some(&known), "a@homes.test").expect("whom the authority knows is let in");
        let nobody = register(None, "b@homes.test");
        assert_eq!(nobody.is_ok(), required == "false", "{nobody:?}");
        let refused =
            register(Some(&stranger), "c@homes.test").expect_err("another authority does not count");
        assert!(refused.to_string().contains("UnknownCA"), "{refused}");
    }
}

/// A record is kept until it is complete, and its sender may take his time over that.
#[test]
fn records_that_are_not_complete_share_the_budget_of_strangers() {
    const LENGTH: usize = 16 << 10;
    let exchange = Secure::with(|_, _| {}, &[("unregistered_bytes_total", "1048576")]);
    let begun = [&[0x17, 3, 3, 0x40, 0x10][..], &[0; LENGTH]].concat();
    let hoarder = |_| {
        let mut phone = exchange.phone();
        phone.stream().write_all(&begun).expect("there is room");
        phone
    };
    // Three times what there is room for.
    let mut hoarders: Vec<_> = (0..192).map(hoarder).collect();
    exchange.registered("honest@homes.test").expect_nothing();
    let is_refused = |phone: &mut Phone| {
        phone.stream().set_read_timeout(Some(Duration::from_millis(1))).expect("a socket takes a limit");
        matches!(phone.next_message(), Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1013)
    };
    let refused = hoarders.iter_mut().map(is_refused).filter(|refused| *refused).count();
    assert!((64..=150).contains(&refused), "{refused} of {} are refused", hoarders.len());
    // What was complete counts no more.
    drop(hoarders);
    let mut talker = exchange.phone();
    for _ in 0..200 {
        talker.send(json!({"type": "HEARTBEAT", "pad": "x".repeat(LENGTH)}));
        talker.expect(json!({"type": "HEARTBEAT_ACK"}));
    }
}

/// Names in certificates open addresses (`certificates` of the authentication file), and nothing else does.
#[test]
fn a_client_certificate_opens_the_addresses_of_its_name() {
    let rules = json!({
        "register": [{"pattern": "*@corp.test", "tokens": []}],
        "certificates": [
            {"name": "agent.corp.test", "pattern": ["agent@corp.test", "*@lab.test"]},
            {"name": "boss.corp.test", "pattern": "boss@corp.test"},
        ],
    });
    let [authority, stranger] = [Authority::new(), Authority::new()];
    let exchange = Secure::with(
        |folder, files| {
            files.push(("auth_file", folder.write("auth.json", &rules.to_string()).display().to_string()));
            files.push(("tls_client_ca", folder.write("ca.pem", &authority.pem()).display().to_string()));
        },
        &[],
    );
    let showing = |issuer: &Authority, name: &str| {
        let own = issuer.issue(name, |params| {
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        });
        exchange.authority.client_of(rustls::ALL_VERSIONS, Some(&own))
    };
    let refuses = |phone: &mut Phone, address: &str, auth: &str| {
        phone.send(json!({"type": "REGISTER", "address": address, "auth": auth}));
        phone.expect_exactly(json!({"type": "REGISTER_FAILED", "reason": "auth_failed"}));
    };
    let agent = showing(&authority, "Agent.Corp.test");
    // More than one, so that some land on another shard than their address's and move.
    for _ in 0..4 {
        let mut phone = phone(exchange.rig.address(), &agent);
        refuses(&mut phone, "boss@corp.test", "");
        phone.register("agent@corp.test");
        // It counts for as long as the connection lives, for other addresses too.
        refuses(&mut phone, "boss@corp.test", "");
        phone.register("a@lab.test");
        phone.register("agent@corp.test");
        phone.close();
        eventually("the address is free", || {
            let mut other = self::phone(exchange.rig.address(), &agent);
            other.send(json!({"type": "REGISTER", "address": "agent@corp.test"}));
            (other.next()["type"] == "REGISTERED").then_some(())
        });
    }
    let mut nobody = exchange.phone();
    refuses(&mut nobody, "agent@corp.test", "");
    refuses(&mut nobody, "agent@corp.test", "agent.corp.test");
    nobody.register("n@open.test");
    let mut unnamed = phone(exchange.rig.address(), &showing(&authority, "x.corp.test"));
    refuses(&mut unnamed, "agent@corp.test", "");
    let foreign = showing(&stranger, "agent.corp.test");
    let refused = try_phone(exchange.rig.address(), &foreign).and_then(|mut phone| {
        // In TLS 1.3 the client is told after its own handshake is done.
        phone.stream().set_read_timeout(Some(LIMIT))?;
        phone.next_message().map(drop).map_err(std::io::Error::other)
    });
    assert!(refused.is_err(), "a stranger's authority vouches for nobody");
}

/// An exchange with TLS as a process, whose files can be replaced.
struct Renewable {
    process: Process,
    authority: Authority,
    client: Arc<ClientConfig>,
    first: Identity,
    folder: Scratch,
}

impl Renewable {
    fn start() -> Self {
        let (folder, authority) = (Scratch::new(), Authority::new());
        let first = authority.server();
        let [certificate, key] = first.write(&folder).map(|path| path.display().to_string());
        let environment = [
            ("TLS_ENABLED", "true"),
            ("TLS_CERT_PATH", certificate.as_str()),
            ("TLS_KEY_PATH", key.as_str()),
        ];
        let process = Process::start_with(&[], &environment);
        Self { process, client: authority.client(), authority, first, folder }
    }

    fn shown(&self) -> CertificateDer<'static> {
        shown(self.process.address(), &self.client)
    }
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let exchange = Renewable::start();
    assert!(exchange.process.log.wait_for("certificate in use").contains("cert.pem"));
    assert_eq!(exchange.shown(), exchange.first.der());
    let mut old = phone(exchange.process.address(), &exchange.client);
    old.register("a@homes.test");
    // Found by itself: the key is written first, so that the old certificate holds in between.
    let second = exchange.authority.server();
    second.write(&exchange.folder);
    eventually("the second certificate is shown", || (exchange.shown() == second.der()).then_some(()));
    // On demand.
    let third = exchange.authority.server();
    third.write(&exchange.folder);
    exchange.process.signal(Signal::HUP);
    eventually("the third certificate is shown", || (exchange.shown() == third.der()).then_some(()));
    old.expect_nothing();
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_once_and_the_old_one_is_kept() {
    let exchange = Renewable::start();
    let mut old = phone(exchange.process.address(), &exchange.client);
    old.register("a@homes.test");
    exchange.folder.write("cert.pem", "not a certificate");
    exchange.process.signal(Signal::HUP);
    let warning = exchange.process.log.wait_for("certificate not reloaded");
    assert!(warning.contains("cert.pem holds no certificate") && warning.starts_with("[WARN]"), "{warning}");
    assert_eq!(exchange.shown(), exchange.first.der());
    old.expect_nothing();
    let second = exchange.authority.server();
    second.write(&exchange.folder);
    eventually("the second certificate is shown", || (exchange.shown() == second.der()).then_some(()));
    let log = exchange.process.log.all();
    let told = log.iter().filter(|line| line.contains("holds no certificate")).count();
    assert_eq!(told, 1, "{log:#?}");
}

/// What the program says when it does not start with these.
fn refusal(environment: &[(&str, &str)]) -> String {
    let folder = Scratch::new();
    let mut command = systemx(&["--host", "127.0.0.1", "--port", "0"], folder.path());
    let mut child = command
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    assert!(!wait_for(&mut child).success(), "it starts with {environment:?}");
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
    said
}

#[test]
fn an_exchange_with_files_that_cannot_be_used_does_not_start_and_says_which_and_why() {
    let (folder, authority) = (Scratch::new(), Authority::new());
    let [certificate, key] = authority.server().write(&folder).map(|path| path.display().to_string());
    let write = |name: &str, text: &str| folder.write(name, text).display().to_string();
    let other = write("other.key", &authority.server().key);
    let (text, empty) = (write("text.pem", "hello"), write("empty.pem", ""));
    let absent = folder.path().join("absent.pem").display().to_string();
    let cases = [
        (&absent, &key, "absent.pem: No such file"),
        (&certificate, &absent, "absent.pem: No such file"),
        (&text, &key, "text.pem holds no certificate"),
        (&certificate, &empty, "empty.pem holds no key"),
        (&certificate, &other, "other.key does not belong to the certificate in"),
        (&key, &certificate, "key.pem holds no certificate"),
    ];
    for (certificate, key, expected) in cases {
        let said = refusal(&[("TLS_ENABLED", "true"), ("TLS_CERT_PATH", certificate), ("TLS_KEY_PATH", key)]);
        assert!(said.contains(expected) && said.contains("TLS_ENABLED"), "{said}");
    }
    let said = refusal(&[
        ("TLS_ENABLED", "true"),
        ("TLS_CERT_PATH", &certificate),
        ("TLS_KEY_PATH", &key),
        ("SYSTEMX_TLS_CLIENT_CA", &text),
    ]);
    assert!(said.contains("text.pem holds no certificate"), "{said}");
    let said = refusal(&[("TLS_ENABLED", "true"), ("TLS_CERT_PATH", &certificate)]);
    assert!(said.contains("TLS_KEY_PATH is not set"), "{said}");
    let said = refusal(&[("TLS_ENABLED", "yes"), ("TLS_CERT_PATH", &certificate), ("TLS_KEY_PATH", &key)]);
    assert!(said.contains("TLS_ENABLED: \"yes\""), "{said}");
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let (folder, authority) = (Scratch::new(), Authority::new());
    let [certificate, key] = authority.expired_server().write(&folder).map(|path| path.display().to_string());
    let environment =
        [("TLS_ENABLED", "true"), ("TLS_CERT_PATH", certificate.as_str()), ("TLS_KEY_PATH", key.as_str())];
    let process = Process::start_with(&[], &environment);
    let warning = process.log.wait_for("certificate has expired");
    assert!(warning.contains("2020-01-01") && warning.contains("cert.pem"), "{warning}");
    let refused = try_phone(process.address(), &authority.client()).err().expect("clients refuse it");
    assert!(refused.to_string().contains("expired"), "{refused}");
}

/// An echo of binary messages of every size around the records' edges.
#[test]
fn messages_of_every_size_around_a_record_come_back_as_they_were() {
    let exchange = Secure::with(|_, _| {}, &[("echo_endpoint", "true")]);
    let stream = TcpStream::connect(exchange.rig.address()).expect("the exchange accepts");
    let mut phone = Phone::over_wire(Wire::secure(stream, &exchange.client), &[]).expect("it is let in");
    phone.register("a@homes.test");
    let (mut callee, name) = (exchange.registered("b@homes.test"), "a@homes.test");
    let call = phone.call(name, &mut callee, "b@homes.test");
    for length in (16_000..17_000).step_by(97).chain([1, 125, 126, 65_535, 65_536, 200_000]) {
        let data = "y".repeat(length);
        let frame = json!({"type": "MSG", "call_id": call, "data": data});
        phone.send_message(Message::binary(frame.to_string()));
        callee.expect_msg(&call, name, json!(data));
    }
}

#[test]
fn the_phone_and_the_health_check_speak_tls() {
    let exchange = Renewable::start();
    let ca = exchange.folder.write("ca.pem", &exchange.authority.pem()).display().to_string();
    let port = exchange.process.address().port().to_string();
    let run = |arguments: &[&str]| {
        let mut command = systemx(arguments, exchange.folder.path());
        let files = [("TLS_CERT_PATH", "cert.pem"), ("TLS_KEY_PATH", "key.pem"), ("TLS_ENABLED", "true")];
        command.env("SYSTEMX_PORT", &port).envs(files).output().expect("it runs")
    };
    let health = run(&["health"]);
    assert!(health.status.success(), "{health:?}");
    // A stranger at a name has to be vouched for.
    let strange = run(&["health", "--url", &format!("wss://127.0.0.1:{port}")]);
    assert!(!strange.status.success(), "{strange:?}");
    let url = format!("wss://127.0.0.1:{port}");
    let phone = [
        "phone",
        "--url",
        &url,
        "--address",
        "a@homes.test",
        "--presence-domain",
        "homes.test",
        "--no-reconnect",
    ];
    let wrong_name = run(&[&phone[..], &["--ca", &ca]].concat());
    assert!(String::from_utf8_lossy(&wrong_name.stdout).contains("failed"), "{wrong_name:?}");
    let local = exchange.authority.issue("localhost", |_| {});
    local.write(&exchange.folder);
    exchange.process.signal(Signal::HUP);
    let url = format!("wss://localhost:{port}");
    let phone = [
        "phone",
        "--url",
        &url,
        "--address",
        "a@homes.test",
        "--presence-domain",
        "homes.test",
        "--no-reconnect",
        "--ca",
        &ca,
    ];
    eventually("the phone is let in", || {
        let said = run(&phone);
        String::from_utf8_lossy(&said.stdout).contains("presence_end").then_some(())
    });
}

#[test]
fn the_health_check_shows_a_certificate_if_it_is_given_one() {
    let authority = Authority::new();
    let exchange = Secure::with(
        |folder, files| {
            files.push(("tls_client_ca", folder.write("ca.pem", &authority.pem()).display().to_string()));
        },
        &[("tls_client_cert_required", "true")],
    );
    let folder = Scratch::new();
    let own = authority.issue("health.test", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    own.write(&folder);
    let port = exchange.rig.address().port().to_string();
    let is_healthy = |arguments: &[&str]| {
        let mut command = systemx(arguments, folder.path());
        let files = [("TLS_CERT_PATH", "cert.pem"), ("TLS_KEY_PATH", "key.pem"), ("TLS_ENABLED", "true")];
        command.env("SYSTEMX_PORT", &port).envs(files).output().expect("it runs").status.success()
    };
    assert!(!is_healthy(&["health"]), "it has nothing to show");
    assert!(is_healthy(&["health", "--cert", "cert.pem", "--key", "key.pem"]));
}

/// What an exchange would only find when it starts, or when it calls another one, is found before.
#[test]
fn check_config_opens_the_files_of_listener_and_links() {
    let (folder, authority) = (Scratch::new(), Authority::new());
    authority.server().write(&folder);
    folder.write("text.pem", "hello");
    folder.write("ca.pem", &authority.pem());
    let listener = |certificate| {
        vec![("TLS_ENABLED", "true"), ("TLS_CERT_PATH", certificate), ("TLS_KEY_PATH", "key.pem")]
    };
    let link = |url, ca, certificate| {
        vec![
            ("FEDERATION_ENABLED", "true"),
            ("FEDERATION_PEER_URL", url),
            ("FEDERATION_ROUTES", "*"),
            ("FEDERATION_CA", ca),
            ("FEDERATION_CERT", certificate),
            ("FEDERATION_KEY", "key.pem"),
        ]
    };
    let cases = [
        (listener("cert.pem"), None),
        (listener("text.pem"), Some("TLS_ENABLED is true, but text.pem holds no certificate")),
        (link("wss://up.test/", "ca.pem", "cert.pem"), None),
        (
            link("wss://up.test/", "none.pem", "cert.pem"),
            Some("links by wss:// cannot be set up: cannot read none.pem"),
        ),
        (link("wss://up.test/", "ca.pem", "text.pem"), Some("text.pem holds no certificate")),
        (link("ws://up.test/", "none.pem", "cert.pem"), None),
    ];
    for (environment, expected) in cases {
        let mut command = systemx(&["check-config"], folder.path());
        let output = command.envs(environment.clone()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), expected.is_none(), "{environment:?}: {said}");
        assert!(said.contains(expected.unwrap_or_default()), "{environment:?}: {said}");
    }
}
