//! Callees that take several calls at once: parallel lines, and pools of lines behind one address.

use serde_json::json;

use crate::support::phone::register_frame;
use crate::support::{Phone, Rig};

const W: &str = "worker@example.test";

fn caller(rig: &Rig, number: usize) -> (Phone, String) {
    let address = format!("caller{number}@example.test");
    (rig.registered(&address), address)
}

#[test]
fn a_parallel_callee_takes_calls_up_to_its_cap() {
    let rig = Rig::new();
    let mut worker = rig.registered_with(W, json!({"concurrency": "parallel", "max_sessions": 2}));
    let ((mut one, a1), (mut two, a2), (mut three, a3)) = (caller(&rig, 1), caller(&rig, 2), caller(&rig, 3));
    let first = one.call(&a1, &mut worker, W);
    let second = two.call(&a2, &mut worker, W);
    assert_ne!(first, second);
    three.dial(W);
    three.expect_busy(W, "max_sessions_reached");
    one.hang_up(&first);
    worker.expect_hangup(&first, "normal");
    three.dial(W);
    worker.expect_ring(&a3);
    two.say(&second, "mine");
    worker.expect_msg(&second, &a2, json!("mine"));
}

#[test]
fn calls_a_parallel_line_places_itself_do_not_count() {
    let rig = Rig::new();
    let mut worker = rig.registered_with(W, json!({"concurrency": "parallel", "max_sessions": 1}));
    let ((mut one, a1), (mut two, a2)) = (caller(&rig, 1), caller(&rig, 2));
    worker.call(W, &mut one, &a1);
    two.call(&a2, &mut worker, W);
}

#[test]
fn without_a_cap_there_is_none() {
    let rig = Rig::new();
    let mut worker = rig.registered_with(W, json!({"concurrency": "parallel"}));
    let mut callers: Vec<_> = (0..30).map(|number| caller(&rig, number)).collect();
    for (phone, address) in &mut callers {
        phone.call(address, &mut worker, W);
    }
}

#[test]
fn members_of_a_pool_share_an_address_up_to_its_size() {
    let rig = Rig::new();
    let pool = json!({"concurrency": "parallel", "pool_size": 2, "max_sessions": 1});
    let mut members = [rig.registered_with(W, pool.clone()), rig.registered_with(W, pool.clone())];
    let mut third = rig.phone();
    for fields in [pool.clone(), json!({}), json!({"concurrency": "parallel"})] {
        third.send(register_frame(W, fields));
        third.expect_exactly(json!({"type": "REGISTER_FAILED", "reason": "address_in_use"}));
    }
    let ((mut one, a1), (mut two, a2), (mut three, _)) = (caller(&rig, 1), caller(&rig, 2), caller(&rig, 3));
    assert_eq!(one.presence(json!({}))[2]["address"], W);
    assert_eq!(one.presence(json!({}))[3]["address"], W);
    one.dial(W);
    two.dial(W);
    let mut rung: Vec<String> = members
        .iter_mut()
        .map(|member| {
            let ring = member.expect(json!({"type": "RING"}));
            member.answer(ring["call_id"].as_str().expect("it has one"));
            ring["from"].as_str().expect("it has one").to_owned()
        })
        .collect();
    rung.sort();
    assert_eq!(rung, [a1, a2], "one call each");
    one.expect_connected(W);
    two.expect_connected(W);
    three.dial(W);
    three.expect_busy(W, "max_sessions_reached");
}

#[test]
fn members_that_are_not_available_are_passed_over() {
    let rig = Rig::new();
    let pool = json!({"concurrency": "parallel", "pool_size": 2});
    let mut members = [rig.registered_with(W, pool.clone()), rig.registered_with(W, pool)];
    members[0].set_status("dnd");
    members[0].expect_nothing();
    let (mut one, a1) = caller(&rig, 1);
    for _ in 0..3 {
        one.dial(W);
        let call = members[1].expect_ring(&a1);
        members[1].hang_up(&call);
        one.expect_hangup(&call, "normal");
    }
    members[1].set_status("dnd");
    members[1].expect_nothing();
    one.dial(W);
    one.expect_busy(W, "dnd");
    members[0].expect_nothing();
}

#[test]
fn calls_go_to_the_member_with_the_fewest_in_turn_among_equals() {
    let rig = Rig::new();
    let pool = json!({"concurrency": "parallel", "pool_size": 3});
    let mut members: Vec<Phone> = (0..3).map(|_| rig.registered_with(W, pool.clone())).collect();
    let mut callers: Vec<_> = (0..9).map(|number| caller(&rig, number)).collect();
    for (phone, _) in &mut callers {
        phone.dial(W);
    }
    for member in &mut members {
        for _ in 0..3 {
            let ring = member.expect(json!({"type": "RING"}));
            member.answer(ring["call_id"].as_str().expect("it has one"));
        }
    }
    for (phone, _) in &mut callers {
        phone.expect_connected(W);
    }
}

#[test]
fn a_pool_lives_on_when_a_member_leaves() {
    let rig = Rig::new();
    let pool = json!({"concurrency": "parallel", "pool_size": 2});
    let (one, mut two) = (rig.registered_with(W, pool.clone()), rig.registered_with(W, pool.clone()));
    one.close();
    let (mut caller, address) = caller(&rig, 1);
    let call = caller.call(&address, &mut two, W);
    let _three = rig.registered_with(W, pool);
    two.close();
    caller.expect_hangup(&call, "peer_disconnected");
}
