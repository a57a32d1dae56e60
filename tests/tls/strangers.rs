//! Those who do not speak TLS as they should, and those who show a certificate.

use super::*;

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
