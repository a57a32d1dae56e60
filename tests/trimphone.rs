//! The habits of Trimphone, the SDK most clients use (spec section 25): what it sends in which order, and what it can and
//! cannot make sense of. A change that breaks one of these breaks programs that nobody here can see.

use serde_json::{Value, json};

use crate::support::phone::register_frame;
use crate::support::{Phone, Rig, eventually};

const A: &str = "alice@example.test";
const B: &str = "bob@example.test";

/// Connects as Trimphone does: HEARTBEAT, then REGISTER twice, without waiting for answers.
fn trimphone(rig: &Rig, address: &str) -> Phone {
    let mut phone = rig.phone();
    let register = register_frame(address, json!({"metadata": {"sdk": "trimphone"}}));
    phone.send(json!({"type": "HEARTBEAT"}));
    phone.send(register.clone());
    phone.send(register);
    assert!(phone.expect(json!({"type": "HEARTBEAT_ACK"}))["timestamp"].is_number());
    for _ in 0..2 {
        assert!(phone.expect(json!({"type": "REGISTERED"}))["session_id"].is_string());
    }
    phone
}

#[test]
fn it_says_heartbeat_first_and_registers_twice() {
    let rig = Rig::new();
    for round in 0..20 {
        trimphone(&rig, &format!("sdk{round}@example.test")).close();
    }
}

#[test]
fn it_matches_what_is_connected_by_the_dialled_text_and_takes_every_ring_with_an_id() {
    let rig = Rig::new();
    let (mut a, mut b) = (trimphone(&rig, A), trimphone(&rig, B));
    a.dial(B);
    let ring = b.next();
    assert!(ring["call_id"].is_string() && ring["from"].is_string(), "{ring}");
    b.answer(ring["call_id"].as_str().expect("it is text"));
    // The caller has seen no RING with this id: else it would take the call for one that came in.
    let connected = a.next();
    assert_eq!(connected, json!({"type": "CONNECTED", "call_id": ring["call_id"], "to": B}));
}

#[test]
fn its_streams_arrive_as_they_were_encoded() {
    let rig = Rig::new();
    let (mut a, mut b) = (trimphone(&rig, A), trimphone(&rig, B));
    let call = a.call(A, &mut b, B);
    for (content_type, data) in
        [("json", json!("{\"n\":1}")), ("binary", json!("AAEC/w==")), ("text", json!("é\n"))]
    {
        a.send(json!({"type": "MSG", "call_id": call, "data": data, "content_type": content_type}));
        b.expect_exactly(
            json!({"type": "MSG", "call_id": call, "from": A, "data": data, "content_type": content_type}),
        );
    }
}

#[test]
fn it_expects_no_echo_of_its_hangup() {
    let rig = Rig::new();
    let (mut a, mut b) = (trimphone(&rig, A), trimphone(&rig, B));
    let call = a.call(A, &mut b, B);
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    a.expect_nothing();
}

#[test]
fn it_closes_without_a_code_and_its_partner_is_told() {
    let rig = Rig::new();
    let (mut a, mut b) = (trimphone(&rig, A), trimphone(&rig, B));
    let call = a.call(A, &mut b, B);
    a.close();
    b.expect_hangup(&call, "peer_disconnected");
}

#[test]
fn it_comes_back_to_its_address_as_soon_as_the_old_socket_is_closed() {
    let rig = Rig::new();
    let mut phone = trimphone(&rig, A);
    for _ in 0..20 {
        phone.close();
        phone = trimphone(&rig, A);
    }
    phone.vanish();
    eventually("the address is free after a broken connection too", || {
        let mut next = rig.phone();
        next.send(register_frame(A, json!({})));
        (next.next()["type"] == "REGISTERED").then_some(())
    });
}

#[test]
fn a_refresh_by_its_second_registration_keeps_the_agent_wakeable() {
    let rig = Rig::new();
    let handler = json!({"type": "webhook", "url": "http://127.0.0.1:9/", "timeout_seconds": 5});
    let mut phone = rig.registered_with(A, json!({"mode": "wake_on_ring", "wake_handler": handler}));
    phone.register(A);
    phone.send(json!({"type": "SLEEP_ACK"}));
    phone.expect_close(4000, "sleep");
}

#[test]
fn a_message_of_null_is_no_reason_to_die() {
    let rig = Rig::new();
    let mut phone = rig.phone();
    phone.send_text("null");
    assert_eq!(phone.expect(json!({"type": "ERROR"}))["reason"], Value::from("invalid_payload"));
    trimphone(&rig, A);
}
