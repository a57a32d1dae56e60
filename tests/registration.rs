//! Who holds which address: REGISTER in all its forms, renaming, the address of a lost connection, and the way of a
//! connection from the shard where it landed to the home of its address, with everything that is already on its way.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::phone::{handshake_request, register_frame};
use crate::support::{Phone, Rig, address_on, eventually, text_frame};

fn error(context: &str, detail: &str) -> Value {
    json!({"type": "ERROR", "reason": "invalid_payload", "context": context, "detail": detail})
}

#[test]
fn a_registration_is_answered_with_the_address_and_a_session() {
    let rig = Rig::new();
    let mut alice = rig.phone();
    let session = alice.register("alice@example.test");
    assert_eq!(session.len(), "6a3e1f0a-5f0e-4c7b-9f53-0d1c5f3f3a10".len());
    let refreshed = alice.register("alice@example.test");
    let renamed = alice.register("alicia@example.test");
    assert_eq!((session.as_str(), session.as_str()), (refreshed.as_str(), renamed.as_str()));
}

#[test]
fn an_address_in_use_is_refused_and_the_connection_stays() {
    let rig = Rig::new();
    let _alice = rig.registered("alice@example.test");
    let mut other = rig.phone();
    other.send(register_frame("alice@example.test", json!({})));
    other.expect_exactly(json!({"type": "REGISTER_FAILED", "reason": "address_in_use"}));
    other.register("alicia@example.test");
}

#[test]
fn what_is_no_address_is_refused_and_the_connection_stays() {
    let rig = Rig::new();
    let mut phone = rig.phone();
    let long = format!("{}@b.test", "a".repeat(250));
    for address in ["", "a", "a@b", "@b.test", "a@.test", "a@b.", "a b@c.test", "a@b@c.test", &long] {
        phone.send(register_frame(address, json!({})));
        phone.expect_exactly(json!({"type": "REGISTER_FAILED", "reason": "invalid_address"}));
    }
    phone.register("a@b.test");
}

#[test]
fn mistakes_in_a_registration_are_named_one_by_one() {
    let rig = Rig::new();
    let mut phone = rig.phone();
    phone.send(json!({"type": "REGISTER"}));
    phone.expect_exactly(error("REGISTER", "Field 'address' must be a string"));
    let webhook = json!({"type": "webhook", "url": "http://a.test/", "timeout_seconds": 1});
    for (fields, detail) in [
        (json!({"concurrency": "many"}), "Unsupported concurrency mode: many"),
        (json!({"max_listeners": 0, "concurrency": "broadcast"}), "max_listeners must be a positive integer"),
        (
            json!({"max_listeners": 0.5, "concurrency": "broadcast"}),
            "max_listeners must be a positive integer",
        ),
        (json!({"max_sessions": "2", "concurrency": "parallel"}), "max_sessions must be a positive integer"),
        (json!({"pool_size": -1}), "pool_size must be a positive integer"),
        (json!({"max_listeners": 1}), "max_listeners is only valid for broadcast concurrency"),
        (json!({"max_sessions": 1}), "max_sessions is only valid for parallel concurrency"),
        (json!({"mode": "sometimes"}), "Unsupported mode: sometimes"),
        (json!({"wake_handler": webhook}), "wake_handler requires mode 'wake_on_ring'"),
        (json!({"mode": "wake_on_ring"}), "wake_handler is required for wake_on_ring mode"),
    ] {
        phone.send(register_frame("alice@example.test", fields));
        phone.expect_exactly(error("REGISTER", detail));
    }
    for (handler, detail) in [
        (json!({"type": "webhook", "timeout_seconds": 0}), "wake_handler.timeout_seconds must be positive"),
        (json!({"type": "webhook", "timeout_seconds": 1}), "wake_handler.url must be a non-empty string"),
        (
            json!({"type": "webhook", "timeout_seconds": 1, "url": "http://a.test/", "payload": 1}),
            "wake_handler.payload must be an object",
        ),
        (json!({"type": "spawn", "timeout_seconds": 1}), "wake_handler.command must be a non-empty array"),
        (
            json!({"type": "spawn", "timeout_seconds": 1, "command": [""]}),
            "wake_handler.command entries must be non-empty strings",
        ),
        (json!({"type": "smoke", "timeout_seconds": 1}), "Unsupported wake handler type: smoke"),
    ] {
        let fields = json!({"mode": "wake_on_ring", "wake_handler": handler});
        phone.send(register_frame("alice@example.test", fields));
        phone.expect_exactly(error("REGISTER", detail));
    }
    phone.send(json!({"type": "PRESENCE"}));
    phone.expect(json!({"reason": "not_registered", "context": "PRESENCE"}));
}

#[test]
fn metadata_over_the_limit_is_refused() {
    let rig = Rig::with(&[("metadata_bytes_max", "100")]);
    let mut phone = rig.phone();
    phone.send(register_frame("alice@example.test", json!({"metadata": "x".repeat(100)})));
    let refused = phone.expect(json!({"type": "ERROR", "reason": "invalid_payload", "context": "REGISTER"}));
    assert!(refused["detail"].as_str().expect("it is text").contains("100"), "{refused}");
    phone.register_with("alice@example.test", json!({"metadata": "x".repeat(90)}));
}

#[test]
fn frames_that_are_no_request_are_answered_and_forgiven() {
    let rig = Rig::new();
    let mut phone = rig.phone();
    for (text, named) in [
        ("null", "undefined"),
        ("5", "undefined"),
        ("\"x\"", "undefined"),
        ("[]", "undefined"),
        ("true", "undefined"),
        ("{}", "undefined"),
        (r#"{"type":7}"#, "7"),
        (r#"{"type":"DANCE"}"#, "DANCE"),
    ] {
        phone.send_text(text);
        phone.expect_exactly(error("UNKNOWN", &format!("Unsupported message type: {named}")));
    }
    phone.send_message(Message::binary(r#"{"type":"HEARTBEAT"}"#));
    assert!(phone.expect(json!({"type": "HEARTBEAT_ACK"}))["timestamp"].is_u64());
}

#[test]
fn messages_that_cannot_be_read_end_the_connection_with_a_reason() {
    let rig = Rig::with(&[("unregistered_message_bytes_max", "3000")]);
    for (message, code, reason) in [
        (Message::text(""), 1003, "Unsupported message type"),
        (Message::text("{"), 1003, "Invalid JSON"),
        (Message::binary(&b"\xff\xfe"[..]), 1003, "Invalid JSON"),
    ] {
        let mut phone = rig.phone();
        phone.send_message(message);
        phone.expect_close(code, reason);
    }
    let mut phone = rig.phone();
    phone.send_message(Message::text("x".repeat(500_000)));
    assert_eq!(phone.next_close().0, 1009, "the code reaches a client that is still sending");
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let rig = Rig::new();
    let mut phone = rig.phone();
    phone.send_message(Message::Ping("are you there".into()));
    assert_eq!(phone.next_message().expect("an answer"), Message::Pong("are you there".into()));
}

#[test]
fn a_closing_client_is_answered_with_its_own_code() {
    let rig = Rig::new();
    let mut phone = rig.registered("alice@example.test");
    let [high, low] = 3001_u16.to_be_bytes();
    phone.send_raw(&[0x88, 0x82, 0, 0, 0, 0, high, low]);
    phone.expect_close(3001, "");
}

#[test]
fn the_address_of_a_lost_connection_is_free_at_once() {
    let rig = Rig::new();
    for _ in 0..20 {
        rig.registered("alice@example.test").close();
        // close() returns when the exchange has answered, and it lets go before it answers.
        rig.registered("alice@example.test").vanish();
        eventually("the address is free", || {
            let mut next = rig.phone();
            next.send(register_frame("alice@example.test", json!({})));
            (next.next()["type"] == "REGISTERED").then(|| next.close())
        });
    }
}

#[test]
fn unregister_ends_the_connection_without_another_frame() {
    let rig = Rig::new();
    let mut alice = rig.registered("alice@example.test");
    alice.send(json!({"type": "UNREGISTER"}));
    alice.expect_close(4000, "client_requested");
    let mut stranger = rig.phone();
    stranger.send(json!({"type": "UNREGISTER"}));
    stranger.expect_close(4000, "client_requested");
    rig.registered("alice@example.test");
}

#[test]
fn a_rename_frees_the_old_address_on_whichever_shard_it_lies() {
    let rig = Rig::new();
    for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (old, new) = (address_on(from, 2, "old"), address_on(to, 2, "new"));
        let mut phone = rig.registered(&old);
        phone.register(&new);
        let mut heir = rig.registered(&old);
        let call = heir.call(&old, &mut phone, &new);
        heir.say(&call, "hello");
        phone.expect_msg(&call, &old, json!("hello"));
        phone.close();
        heir.expect_hangup(&call, "peer_disconnected");
        rig.registered(&new).close();
        heir.close();
    }
}

#[test]
fn a_rename_to_an_address_in_use_changes_nothing() {
    let rig = Rig::new();
    for shard in [0, 1] {
        let (mine, taken) = (address_on(0, 2, "mine"), address_on(shard, 2, "taken"));
        let (mut phone, mut holder) = (rig.registered(&mine), rig.registered(&taken));
        phone.send(register_frame(&taken, json!({})));
        phone.expect_exactly(json!({"type": "REGISTER_FAILED", "reason": "address_in_use"}));
        holder.call(&taken, &mut phone, &mine);
        phone.close();
        holder.expect(json!({"type": "HANGUP"}));
        holder.close();
    }
}

#[test]
fn a_rename_keeps_the_calls_that_are_up() {
    let rig = Rig::new();
    for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for peer in [0, 1] {
            let (old, new, other) =
                (address_on(from, 2, "old"), address_on(to, 2, "new"), address_on(peer, 2, "peer"));
            let (mut phone, mut friend) = (rig.registered(&old), rig.registered(&other));
            let placed = phone.call(&old, &mut friend, &other);
            phone.register(&new);
            friend.say(&placed, "still there?");
            phone.expect_msg(&placed, &other, json!("still there?"));
            phone.say(&placed, "yes");
            friend.expect_msg(&placed, &new, json!("yes"));
            let mut caller = rig.registered("caller@example.test");
            caller.dial(&new);
            caller.expect_busy(&new, "already_in_call");
            caller.dial(&old);
            caller.expect_busy(&old, "no_such_address");
            phone.hang_up(&placed);
            friend.expect_hangup(&placed, "normal");
            // Idle now: it is dialled, and calls, under its new name, from wherever it is.
            phone.expect_nothing();
            let call = caller.call("caller@example.test", &mut phone, &new);
            caller.hang_up(&call);
            phone.expect_hangup(&call, "normal");
            let call = phone.call(&new, &mut friend, &other);
            phone.close();
            friend.expect_hangup(&call, "peer_disconnected");
            friend.close();
            caller.close();
        }
    }
}

#[test]
fn a_connection_that_moves_takes_along_what_was_sent_behind_its_registration() {
    let rig = Rig::new();
    for round in 0..60 {
        let address = address_on(round % 2, 2, &format!("mover{round}-"));
        // At home on the same shard: answers of two shards have no order among each other.
        let nobody = address_on(round % 2, 2, "nobody");
        let mut phone = rig.phone();
        phone.send_together(&[
            json!({"type": "HEARTBEAT"}),
            register_frame(&address, json!({})),
            json!({"type": "PRESENCE", "query": {"domain": "nowhere.test"}}),
            json!({"type": "DIAL", "to": nobody}),
            register_frame(&address, json!({"metadata": {"again": true}})),
            json!({"type": "HEARTBEAT"}),
        ]);
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
        phone.expect(json!({"type": "REGISTERED", "address": address}));
        phone.expect_exactly(json!({"type": "PRESENCE_RESULT", "addresses": []}));
        phone.expect_busy(&nobody, "no_such_address");
        phone.expect(json!({"type": "REGISTERED", "address": address}));
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
        phone.close();
    }
}

#[test]
fn a_client_may_talk_before_the_handshake_is_answered() {
    let rig = Rig::new();
    for round in 0..30 {
        let address = address_on(round % 2, 2, &format!("early{round}-"));
        let frames = [register_frame(&address, json!({})), json!({"type": "HEARTBEAT"})];
        let early: Vec<u8> = frames.iter().flat_map(|frame| text_frame(&frame.to_string())).collect();
        let mut phone = Phone::connect_saying(rig.address(), &early);
        phone.expect(json!({"type": "REGISTERED", "address": address}));
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
    }
}

#[test]
fn a_frame_cut_anywhere_while_the_connection_moves_is_whole_again() {
    let rig = Rig::new();
    let tail = text_frame(&json!({"type": "DIAL", "to": "nobody@example.test"}).to_string());
    for cut in 0..tail.len() {
        let address = address_on(cut % 2, 2, &format!("cut{cut}-"));
        let mut first = text_frame(&register_frame(&address, json!({})).to_string());
        first.extend_from_slice(&tail[..cut]);
        let mut phone = rig.phone();
        phone.send_raw(&first);
        phone.expect(json!({"type": "REGISTERED", "address": address}));
        phone.send_raw(&tail[cut..]);
        phone.expect_busy("nobody@example.test", "no_such_address");
    }
}

#[test]
fn many_renames_in_one_segment_end_at_the_last_name() {
    let rig = Rig::new();
    let mut watcher = rig.registered("watcher@example.test");
    for round in 0..10 {
        let names: Vec<String> =
            (0..20).map(|step| address_on((step + round) % 2, 2, &format!("r{round}s{step}-"))).collect();
        let frames: Vec<Value> = names.iter().map(|name| register_frame(name, json!({}))).collect();
        let mut phone = rig.phone();
        phone.send_together(&frames);
        for name in &names {
            phone.expect(json!({"type": "REGISTERED", "address": name}));
        }
        let listed = watcher.presence(json!({"domain": "homes.test"}));
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0]["address"], *names.last().expect("there are some"));
        let call = watcher.call("watcher@example.test", &mut phone, names.last().expect("there are some"));
        phone.close();
        watcher.expect_hangup(&call, "peer_disconnected");
    }
}

#[test]
fn a_line_that_renames_talks_and_hangs_up_in_one_breath_is_understood() {
    let rig = Rig::new();
    for round in 0..40 {
        let (from, to) = (round % 2, round / 2 % 2);
        let (old, new) = (address_on(from, 2, "old"), address_on(to, 2, "new"));
        let peer = address_on(round / 4 % 2, 2, "peer");
        let (mut phone, mut friend) = (rig.registered(&old), rig.registered(&peer));
        let call = phone.call(&old, &mut friend, &peer);
        phone.send_together(&[
            json!({"type": "MSG", "call_id": call, "data": "before"}),
            register_frame(&new, json!({})),
            json!({"type": "MSG", "call_id": call, "data": "after"}),
            json!({"type": "HANGUP", "call_id": call}),
            json!({"type": "DIAL", "to": peer}),
            json!({"type": "HEARTBEAT"}),
        ]);
        friend.expect_msg(&call, &old, json!("before"));
        // The claim of a name on another shard is answered later than what follows it is handled.
        let after = friend.expect(json!({"type": "MSG", "data": "after"}));
        assert!(after["from"] == old.as_str() || after["from"] == new.as_str(), "{after}");
        friend.expect_hangup(&call, "normal");
        let ring = friend.expect(json!({"type": "RING"}));
        let again = crate::support::id_of(&ring);
        let mut answers = [phone.next()["type"].to_string(), phone.next()["type"].to_string()];
        answers.sort();
        assert_eq!(answers, ["\"HEARTBEAT_ACK\"", "\"REGISTERED\""]);
        friend.answer(&again);
        assert_eq!(phone.expect_connected(&peer), again);
        phone.close();
        friend.expect_hangup(&again, "peer_disconnected");
        friend.close();
        rig.registered(&old).close();
        rig.registered(&new).close();
    }
}

#[test]
fn clients_that_race_for_an_address_leave_it_with_one_of_them() {
    let rig = Rig::new();
    for round in 0..10 {
        let address = format!("prize{round}@example.test");
        let mut racers: Vec<Phone> = (0..8).map(|_| rig.phone()).collect();
        for racer in &mut racers {
            racer.send(register_frame(&address, json!({})));
        }
        let answers: Vec<Value> = racers.iter_mut().map(Phone::next).collect();
        let winners = answers.iter().filter(|answer| answer["type"] == "REGISTERED").count();
        assert_eq!(winners, 1, "{answers:?}");
    }
}

#[test]
fn a_request_that_is_no_handshake_is_told_to_upgrade() {
    use std::io::{Read, Write};
    let rig = Rig::new();
    let mut stream = std::net::TcpStream::connect(rig.address()).expect("it accepts");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.ends_with("Upgrade Required"), "{answer}");
}

#[test]
fn a_handshake_that_does_not_end_is_cut_off_in_time() {
    use std::io::{Read, Write};
    let rig = Rig::with(&[("handshake_timeout_ms", "200")]);
    let mut stream = std::net::TcpStream::connect(rig.address()).expect("it accepts");
    let request = handshake_request();
    stream.write_all(&request[..request.len() - 2]).expect("it reads");
    stream.set_read_timeout(Some(crate::support::LIMIT)).expect("a socket takes a limit");
    let mut answer = Vec::new();
    // A reset would be as good an end.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 101"));
    rig.phone().expect_nothing();
}

#[test]
fn connections_beyond_the_limits_are_not_taken_until_a_place_is_free() {
    for limit in ["connections_max", "connections_per_ip"] {
        let rig = Rig::with(&[(limit, "3")]);
        let mut phones: Vec<Phone> = (0..3).map(|_| rig.phone()).collect();
        // Places move with their connections to other shards.
        phones[0].register(&address_on(0, 2, "a"));
        phones[1].register(&address_on(1, 2, "b"));
        assert!(!admits(&rig), "{limit}: a fourth connection is not answered");
        phones.remove(0).close();
        eventually("a place is free", || admits(&rig).then_some(()));
        phones.remove(0).vanish();
        eventually("a place is free", || admits(&rig).then_some(()));
    }
}

/// Whether a new connection is answered; it is ended at once.
fn admits(rig: &Rig) -> bool {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(rig.address()).expect("the system accepts");
    let mut answer = [0; 12];
    stream.write_all(&handshake_request()).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.starts_with(b"HTTP/1.1 101")
}
