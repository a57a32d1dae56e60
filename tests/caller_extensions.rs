//! What a caller gets beyond the original protocol if it gives its DIAL a `ref`: the id of the call while it rings, its own
//! name for it in every answer, and a way to take the call back.

use serde_json::json;

use crate::support::{Phone, Rig, address_on, id_of};

const A: &str = "alice@example.test";

fn dial(phone: &mut Phone, to: &str) -> String {
    phone.send(json!({"type": "DIAL", "to": to, "ref": "my-7"}));
    let dialing = phone.next();
    let call = id_of(&dialing);
    assert_eq!(dialing, json!({"type": "DIALING", "ref": "my-7", "call_id": call, "to": to}));
    call
}

#[test]
fn a_dial_with_a_name_is_told_its_call_at_once_and_reminded_at_the_end() {
    let rig = Rig::new();
    for shard in [0, 1] {
        let to = address_on(shard, 2, "callee");
        let (mut a, mut b) = (rig.registered(A), rig.registered(&to));
        let call = dial(&mut a, &to);
        assert_eq!(b.expect_ring(A), call);
        b.answer(&call);
        a.expect_exactly(json!({"type": "CONNECTED", "call_id": call, "to": to, "ref": "my-7"}));
        a.close();
        b.close();
    }
}

#[test]
fn a_ringing_call_can_be_taken_back() {
    let rig = Rig::new();
    for shard in [0, 1] {
        let to = address_on(shard, 2, "callee");
        let (mut a, mut b) = (rig.registered(A), rig.registered(&to));
        let call = dial(&mut a, &to);
        b.expect_ring(A);
        a.hang_up(&call);
        b.expect_hangup(&call, "cancelled");
        b.answer(&call);
        a.expect_nothing();
        b.call(&to, &mut a, A);
        a.close();
        b.close();
    }
}

#[test]
fn taking_back_in_the_same_breath_leaves_nobody_busy() {
    let rig = Rig::new();
    for round in 0..40 {
        let to = address_on(round % 2, 2, "callee");
        let (mut a, mut b) = (rig.registered(A), rig.registered(&to));
        let call = dial(&mut a, &to);
        a.hang_up(&call);
        let again = dial(&mut a, &to);
        let first = b.expect_ring(A);
        assert_eq!(first, call);
        b.expect_hangup(&call, "cancelled");
        assert_eq!(b.expect_ring(A), again);
        b.answer(&again);
        a.expect(json!({"type": "CONNECTED", "call_id": again}));
        a.close();
        b.close();
    }
}

#[test]
fn busy_names_the_dial_and_the_call() {
    let rig = Rig::new();
    let mut a = rig.registered(A);
    for shard in [0, 1] {
        let to = address_on(shard, 2, "nobody");
        let call = dial(&mut a, &to);
        a.expect_exactly(
            json!({"type": "BUSY", "to": to, "reason": "no_such_address", "ref": "my-7", "call_id": call}),
        );
    }
}

#[test]
fn without_a_name_nothing_is_added() {
    let rig = Rig::new();
    let mut a = rig.registered(A);
    a.dial("nobody@example.test");
    a.expect_exactly(json!({"type": "BUSY", "to": "nobody@example.test", "reason": "no_such_address"}));
}

#[test]
fn a_broadcast_and_a_rejection_name_the_dial_too() {
    let rig = Rig::new();
    let to = "station@example.test";
    let mut station = rig.registered_with(to, json!({"concurrency": "broadcast"}));
    let mut a = rig.registered(A);
    a.send(json!({"type": "DIAL", "to": to, "ref": "my-7"}));
    a.expect(json!({"type": "DIALING", "ref": "my-7"}));
    a.expect(json!({"type": "CONNECTED", "to": to, "ref": "my-7"}));
    let session = station.expect_ring(A);
    a.hang_up(&session);
    a.expect_hangup(&session, "normal");
    let mut b = rig.registered("bob@example.test");
    let call = dial(&mut a, "bob@example.test");
    b.expect_ring(A);
    b.hang_up(&call);
    a.expect_hangup(&call, "normal");
}
