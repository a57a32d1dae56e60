//! The doorway over real sockets: origins of web pages, PROXY protocol headers, forwarded headers, and for whom a
//! connection counts. Whose a connection is shows in the log, so most scenarios have a process of their own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::{Error, client};

use crate::support::phone::{handshake_request, read_head, text_frame};
use crate::support::process::systemx;
use crate::support::wire::Wire;
use crate::support::{LIMIT, Phone, Process, Rig, Scratch, eventually};

/// Version 2, PROXY, TCP4 or TCP6: signature, command, family.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v1(source: &str) -> Vec<u8> {
    let family = if source.contains(':') { "TCP6" } else { "TCP4" };
    let destination = if source.contains(':') { "2001:db8::ffff" } else { "198.51.100.99" };
    format!("PROXY {family} {source} {destination} 56324 443\r\n").into_bytes()
}

/// With an extension of 3 bytes behind the addresses.
fn v2(source: [u8; 4]) -> Vec<u8> {
    let addresses = [&source[..], &[198, 51, 100, 99], &[0xdc, 4], &[1, 0xbb]].concat();
    [SIGNATURE, &[0x21, 0x11, 0, 18], &addresses, &[0xea, 0, 3, 1, 2, 3]].concat()
}

/// The request of a client with these header lines on top.
fn request_with(lines: &[&str]) -> Vec<u8> {
    let request = String::from_utf8(handshake_request()).expect("heads are text");
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    request.replacen("\r\n", &format!("\r\n{lines}"), 1).into_bytes()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the exchange accepts");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket takes a limit");
    stream.set_nodelay(true).expect("a socket takes the option");
    stream
}

/// Says all of this at once, and is let in.
fn enter(address: SocketAddr, opening: &[u8]) -> Phone {
    Phone::opening(Wire::Plain(connect(address)), opening.chunks(opening.len())).expect("it is let in")
}

/// Says this and reads until the end of the connection; what was answered.
fn answer_to(address: SocketAddr, opening: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(opening).expect("there is room for a few bytes");
    let mut answer = Vec::new();
    // A connection that is dropped with unread bytes ends with a reset.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection does not end");
    }
    String::from_utf8(answer).expect("answers are text")
}

/// An exchange that tells whose connections it has accepted.
fn exchange(flags: &[&str]) -> Process {
    Process::start(&[flags, &["--log-level", "debug"]].concat())
}

fn expect_accepted(exchange: &Process, client: &str) {
    let line = exchange.log.wait_for(&format!("\"client\":\"{client}\""));
    assert!(line.contains("connection accepted"), "{line}");
}

/// Shakes hands as a browser on a page of this origin does: the status, and the body of a refusal.
fn shake_hands_from(address: SocketAddr, origin: Option<&str>) -> (u16, String) {
    let mut request = format!("ws://{address}/").into_client_request().expect("it is a URL");
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().expect("it is a header's value"));
    }
    match client(request, connect(address)) {
        Ok((_, response)) => (response.status().as_u16(), String::new()),
        Err(HandshakeError::Failure(Error::Http(response))) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(body).expect("refusals are text"))
        }
        Err(error) => panic!("no answer: {error}"),
    }
}

#[test]
fn pages_of_listed_origins_and_programs_are_let_in_and_other_pages_are_not() {
    let rig = Rig::with(&[("allowed_origins", "https://app.corp.test,http://*.pages.test:8080")]);
    for origin in [
        None,
        Some("https://app.corp.test"),
        Some("https://APP.corp.test:443"),
        Some("http://a.b.pages.test:8080"),
    ] {
        assert_eq!(shake_hands_from(rig.address(), origin).0, 101, "{origin:?}");
    }
    for origin in [
        "https://evil.test",
        "http://app.corp.test",
        "https://app.corp.test:8443",
        "http://pages.test:8080",
        "null",
        "nonsense",
    ] {
        let (status, body) = shake_hands_from(rig.address(), Some(origin));
        assert_eq!(status, 403, "{origin}");
        assert!(body.contains("Origin"), "{body}");
    }
    let twice = request_with(&["Origin: https://app.corp.test", "Origin: https://app.corp.test"]);
    assert!(answer_to(rig.address(), &twice).starts_with("HTTP/1.1 403 "));
}

#[test]
fn without_a_list_every_page_is_let_in() {
    let rig = Rig::new();
    for origin in ["https://anything.test", "null", "nonsense"] {
        assert_eq!(shake_hands_from(rig.address(), Some(origin)).0, 101, "{origin}");
    }
}

#[test]
fn a_trusted_proxy_says_whose_connection_it_is_in_one_packet_or_byte_by_byte() {
    let exchange = exchange(&["--trusted-proxies", "127.0.0.0/8", "--proxy-protocol"]);
    let heartbeat = text_frame(r#"{"type":"HEARTBEAT"}"#);
    for (header, at_once, client) in [
        (v1("192.0.2.1"), true, "192.0.2.1"),
        (v1("2001:db8::2"), false, "2001:db8::2"),
        (v2([192, 0, 2, 3]), true, "192.0.2.3"),
        (v2([192, 0, 2, 4]), false, "192.0.2.4"),
        (b"PROXY UNKNOWN\r\n".to_vec(), true, "127.0.0.1"),
        ([SIGNATURE, &[0x20, 0, 0, 0]].concat(), true, "127.0.0.1"),
    ] {
        // A frame behind the handshake shows that no byte is lost on the way.
        let opening = [header, handshake_request(), heartbeat.clone()].concat();
        let length = if at_once { opening.len() } else { 1 };
        let mut phone = Phone::opening(Wire::Plain(connect(exchange.address())), opening.chunks(length))
            .expect("it is let in");
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
        expect_accepted(&exchange, client);
    }
}

#[test]
fn what_is_no_header_closes_that_connection_and_no_other() {
    let exchange = exchange(&["--trusted-proxies", "127.0.0.1", "--proxy-protocol"]);
    let opening = [v1("192.0.2.1"), handshake_request()].concat();
    let mut bystander = enter(exchange.address(), &opening);
    let endless = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
    for malformed in [
        handshake_request(),
        [v1("192.0.2.256"), handshake_request()].concat(),
        [b"PROXY TCP4 192.0.2.7\r\n".to_vec(), handshake_request()].concat(),
        endless,
        [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(),
        [SIGNATURE, &[0x11, 0x11, 0, 12], &[0; 12]].concat(),
        [SIGNATURE, &[0x21, 0x21, 0, 12], &[0; 12]].concat(),
    ] {
        assert_eq!(answer_to(exchange.address(), &malformed), "", "{malformed:?}");
    }
    exchange.log.wait_for("connection dropped");
    bystander.expect_nothing();
    assert_eq!(exchange.log.all().iter().filter(|line| line.contains("connection accepted")).count(), 1);
}

#[test]
fn a_header_has_to_come_within_the_time_of_a_handshake() {
    let exchange =
        exchange(&["--trusted-proxies", "127.0.0.1", "--proxy-protocol", "--handshake-timeout-ms", "100"]);
    assert_eq!(answer_to(exchange.address(), b"PROXY TCP4 192.0.2.1 "), "");
    assert_eq!(answer_to(exchange.address(), &v2([192, 0, 2, 1])[..20]), "");
}

#[test]
fn a_stranger_cannot_say_who_it_is() {
    let exchange = exchange(&["--trusted-proxies", "10.0.0.0/8", "--proxy-protocol"]);
    let forged = request_with(&["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"]);
    let _phone = enter(exchange.address(), &forged);
    expect_accepted(&exchange, "127.0.0.1");
    let headed = [v1("192.0.2.1"), handshake_request()].concat();
    assert!(
        answer_to(exchange.address(), &headed).starts_with("HTTP/1.1 400 "),
        "it is HTTP that is expected"
    );
    assert!(!exchange.log.all().iter().any(|line| line.contains("192.0.2.1")));
}

#[test]
fn forwarded_headers_of_a_trusted_proxy_name_the_client() {
    let exchange = exchange(&["--trusted-proxies", "127.0.0.1,10.0.0.0/8"]);
    for (lines, client) in [
        (&["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.9"][..], "192.0.2.1"),
        (&["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.2"], "192.0.2.2"),
        (&["Forwarded: for=6.6.6.6, for=\"[2001:db8::3]:4711\";proto=https"], "2001:db8::3"),
        (&["Forwarded: for=\"", "Forwarded: for=192.0.2.4"], "192.0.2.4"),
        (&["X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.5"], "10.0.0.5"),
        (&["X-Forwarded-For: 192.0.2.6", "Forwarded: for=6.6.6.6"], "127.0.0.1"),
    ] {
        let mut phone = enter(exchange.address(), &request_with(lines));
        phone.expect_nothing();
        expect_accepted(&exchange, client);
    }
    assert!(!exchange.log.all().iter().any(|line| line.contains("6.6.6.6")));
}

#[test]
fn behind_two_proxies_the_inner_one_speaks_for_the_outer() {
    let exchange = exchange(&["--trusted-proxies", "127.0.0.1,10.0.0.0/8", "--proxy-protocol"]);
    let request = request_with(&["X-Forwarded-For: 192.0.2.1"]);
    let _through_both = enter(exchange.address(), &[v2([10, 0, 0, 7]), request.clone()].concat());
    expect_accepted(&exchange, "192.0.2.1");
    // Whoever comes to the inner proxy from elsewhere is not believed.
    let _forged = enter(exchange.address(), &[v2([192, 0, 2, 2]), request].concat());
    expect_accepted(&exchange, "192.0.2.2");
}

#[test]
fn the_cap_of_an_address_counts_the_client_and_not_its_proxy() {
    let rig = Rig::with(&[("connections_per_ip", "1"), ("trusted_proxies", "127.0.0.1")]);
    let from = |client: &str| request_with(&[&format!("X-Forwarded-For: {client}")]);
    let first = enter(rig.address(), &from("192.0.2.1"));
    assert!(answer_to(rig.address(), &from("192.0.2.1")).starts_with("HTTP/1.1 429 "));
    let _other = enter(rig.address(), &from("192.0.2.2"));
    first.close();
    let again = || {
        let mut stream = connect(rig.address());
        stream.write_all(&from("192.0.2.1")).expect("there is room for a few bytes");
        let (head, _) = read_head(&mut stream).ok()?;
        head.starts_with("HTTP/1.1 101 ").then_some(stream)
    };
    eventually("its place is free again", again);
}

#[test]
fn the_cap_of_an_address_counts_the_source_of_a_proxy_header() {
    let rig =
        Rig::with(&[("connections_per_ip", "1"), ("trusted_proxies", "127.0.0.1"), ("proxy_protocol", "on")]);
    let from = |client: [u8; 4]| [v2(client), handshake_request()].concat();
    let _first = enter(rig.address(), &from([192, 0, 2, 1]));
    assert_eq!(answer_to(rig.address(), &from([192, 0, 2, 1])), "");
    let _other = enter(rig.address(), &from([192, 0, 2, 2]));
}

#[test]
fn a_stranger_gets_no_second_place_by_naming_others() {
    let rig = Rig::with(&[("connections_per_ip", "1"), ("trusted_proxies", "10.0.0.0/8")]);
    let from = |client: &str| request_with(&[&format!("X-Forwarded-For: {client}")]);
    let _first = enter(rig.address(), &from("192.0.2.1"));
    assert_eq!(answer_to(rig.address(), &from("192.0.2.2")), "");
}

/// A health check comes from loopback, which may be where the proxy is as well: it says that it speaks for itself.
#[test]
fn the_health_check_begins_as_a_proxy_where_proxies_are_trusted() {
    for (trusted, protocol) in [("127.0.0.0/8", "on"), ("127.0.0.0/8", "off"), ("10.0.0.0/8", "on")] {
        let settings = [("SYSTEMX_TRUSTED_PROXIES", trusted), ("SYSTEMX_PROXY_PROTOCOL", protocol)];
        let exchange = Process::start_with(&[], &settings);
        let folder = Scratch::new();
        let mut check = systemx(&["health"], folder.path());
        check.env("SYSTEMX_PORT", exchange.address().port().to_string());
        let check = check.envs(settings).output().expect("the program can be run");
        assert!(check.status.success(), "{trusted} {protocol}: {check:?}");
    }
}
