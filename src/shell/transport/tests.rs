//! Two ends over loopback, one of them a transport with TLS, the other rustls on a blocking socket.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use crate::config::TlsFiles;
use crate::shell::testing::pair;
use crate::tls::testing::{Authority, Folder};
use crate::tls::{Watch, client_config};

use super::*;

type Client = StreamOwned<ClientConnection, TcpStream>;

/// As much room as the switchboard offers at the least.
const ROOM: usize = 32 << 10;
const LIMIT: Duration = Duration::from_secs(10);

/// A session and its client after their handshake; the socket of the session does not block.
fn session() -> (TcpStream, ServerConnection, Client) {
    let (folder, authority) = (Folder::new(), Authority::new("ca"));
    let issued = authority.server("x.test");
    let files = TlsFiles {
        certificate: folder.write("cert.pem", &issued.chain),
        key: folder.write("key.pem", &issued.key),
        client_ca: None,
        client_cert_required: false,
    };
    let watch = Watch::start(&files, 0).expect("the files are fine");
    let mut server = ServerConnection::new(watch.credentials().current()).expect("it is fine");
    let trust = client_config(Some(&folder.write("ca.pem", &authority.pem())), None).expect("it is fine");
    let name = ServerName::try_from("x.test").expect("it is a name");
    let (mut near, far) = pair();
    near.set_nonblocking(false).expect("sockets can");
    far.set_read_timeout(Some(LIMIT)).expect("sockets can");
    let shaking = std::thread::spawn(move || {
        let mut client = StreamOwned::new(ClientConnection::new(trust, name).expect("it is fine"), far);
        client.flush().expect("the handshake ends well");
        client
    });
    while server.is_handshaking() {
        server.complete_io(&mut near).expect("the handshake ends well");
    }
    near.set_nonblocking(true).expect("sockets can");
    (near, server, shaking.join().expect("the client does not panic"))
}

fn ends() -> (Transport, Client) {
    let (near, server, client) = session();
    (Transport::secure(near, server, Box::default()), client)
}

/// Reads until `done`, as the switchboard does; what came, and how it ended.
fn read_until(transport: &mut Transport, done: impl Fn(&[u8], Reading) -> bool) -> (Vec<u8>, Reading) {
    let (mut came, mut room, mut wire) = (Vec::new(), vec![0; ROOM], Vec::new());
    let until = Instant::now() + LIMIT;
    loop {
        let reading = transport.read(&mut room, &mut wire);
        if let Reading::Bytes { count, .. } = reading {
            came.extend_from_slice(&room[..count]);
        }
        if done(&came, reading) {
            return (came, reading);
        }
        assert!(Instant::now() < until, "{reading:?} after {} bytes", came.len());
        if reading == Reading::Nothing {
            std::thread::yield_now();
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn large_writes_are_read_whole_and_nothing_decrypted_is_left_behind() {
    let (mut transport, mut client) = ends();
    let sent = pattern(1 << 20);
    let expected = sent.clone();
    let writer = std::thread::spawn(move || client.write_all(&sent).map(|()| client));
    let (came, _) = read_until(&mut transport, |came, _| came.len() == expected.len());
    assert!(came == expected, "the bytes differ");
    let _client = writer.join().unwrap().unwrap();
    let session = transport.session.as_mut().unwrap();
    assert_eq!(session.tls.reader().read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_was_decrypted_before_comes_first() {
    let (mut near, mut server, mut client) = session();
    client.write_all(b"early").unwrap();
    near.set_nonblocking(false).unwrap();
    server.read_tls(&mut near).unwrap();
    server.process_new_packets().unwrap();
    near.set_nonblocking(true).unwrap();
    client.write_all(b" and late").unwrap();
    let mut transport = Transport::secure(near, server, Box::default());
    let mut room = vec![0; ROOM];
    assert_eq!(transport.read(&mut room, &mut Vec::new()), Reading::Bytes { count: 5, more: true });
    let (came, _) = read_until(&mut transport, |came, _| came.len() == 9);
    assert_eq!(came, b" and late");
}

#[test]
fn output_waits_until_its_last_byte_is_out_and_arrives_in_order() {
    let (mut transport, mut client) = ends();
    let (mut output, mut spares) = (Output::default(), Spares::default());
    let mut expected = Vec::new();
    for round in 0..200_u32 {
        let small = round.to_le_bytes();
        output.cork(&mut spares, |buffer| buffer.extend_from_slice(&small));
        let large = Bytes::from(pattern(20_000));
        output.share(&mut spares, &large);
        expected.extend_from_slice(&small);
        expected.extend_from_slice(&large);
    }
    let all = output.len();
    // Nobody reads: sooner or later the socket is full, and what it did not take still waits.
    let first = transport.write(&mut output, &mut spares, None);
    assert_eq!(first, Written::Blocked { progress: true });
    assert!((1..all).contains(&output.len()), "{} of {all}", output.len());
    assert_eq!(transport.write(&mut output, &mut spares, None), Written::Blocked { progress: false });
    let reader = std::thread::spawn(move || {
        let mut received = vec![0; expected.len()];
        client.read_exact(&mut received).unwrap();
        assert!(received == expected, "the bytes differ");
    });
    while transport.write(&mut output, &mut spares, None) != Written::All {
        std::thread::yield_now();
    }
    assert!(output.is_empty());
    reader.join().unwrap();
}

#[test]
fn the_peers_farewell_is_the_end_after_what_it_said() {
    let (mut transport, mut client) = ends();
    client.write_all(b"bye").unwrap();
    client.conn.send_close_notify();
    client.conn.complete_io(&mut client.sock).unwrap();
    // The socket stays open: the end is said by TLS alone.
    let (came, _) = read_until(&mut transport, |_, reading| reading == Reading::End);
    assert_eq!(came, b"bye");
    drop(client);
}

#[test]
fn a_socket_that_ends_without_a_farewell_is_the_end_as_well() {
    let (mut transport, mut client) = ends();
    client.write_all(b"bye").unwrap();
    drop(client);
    let (came, _) = read_until(&mut transport, |_, reading| reading == Reading::End);
    assert_eq!(came, b"bye");
}

#[test]
fn what_came_before_garbage_counts_and_then_the_connection_is_broken() {
    let (mut transport, mut client) = ends();
    client.write_all(b"sense").unwrap();
    client.sock.write_all(&[0x17; 100]).unwrap();
    let (came, _) = read_until(&mut transport, |_, reading| reading == Reading::Broken);
    assert_eq!(came, b"sense");
    let mut room = vec![0; ROOM];
    assert_eq!(transport.read(&mut room, &mut Vec::new()), Reading::Broken);
}

#[test]
fn our_farewell_tells_the_peer_that_nothing_was_cut_off() {
    let (mut transport, mut client) = ends();
    let (mut output, mut spares) = (Output::default(), Spares::default());
    output.cork(&mut spares, |buffer| buffer.extend_from_slice(b"bye"));
    assert_eq!(transport.write(&mut output, &mut spares, None), Written::All);
    transport.shut();
    let mut received = Vec::new();
    // Without the farewell this would be an error.
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"bye");
}

/// Links to other exchanges are the calling side, and are driven alike.
#[test]
fn both_ends_of_a_connection_may_be_transports() {
    let (near, server, client) = session();
    let StreamOwned { conn, sock } = client;
    sock.set_nonblocking(true).unwrap();
    let mut called = Transport::secure(near, server, Box::default());
    let mut calling = Transport::secure(sock, conn, Box::default());
    let say = |from: &mut Transport, to: &mut Transport| {
        let (mut output, mut spares) = (Output::default(), Spares::default());
        output.cork(&mut spares, |buffer| buffer.extend_from_slice(b"hello"));
        assert_eq!(from.write(&mut output, &mut spares, None), Written::All);
        assert_eq!(read_until(to, |came, _| came.len() == 5).0, b"hello");
    };
    say(&mut calling, &mut called);
    say(&mut called, &mut calling);
    calling.shut();
    read_until(&mut called, |_, reading| reading == Reading::End);
}

#[test]
fn without_tls_a_transport_is_a_socket_and_a_null_pointer() {
    assert!(size_of::<Transport>() <= 16);
}
