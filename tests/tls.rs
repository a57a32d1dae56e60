//! wss: calls over encrypted connections, certificates that are renewed while calls are up, and those who do not
//! speak TLS as they should. The client is tungstenite over rustls on blocking sockets.

mod programs;
mod renewal;
mod strangers;

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
