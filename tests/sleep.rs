//! Lines that fall silent: heartbeats, sleeping on request, and falling asleep by themselves.

use serde_json::{Value, json};

use crate::support::{Phone, Rig};

const W: &str = "worker@example.test";
const A: &str = "alice@example.test";

fn wakeable() -> Value {
    let handler = json!({"type": "webhook", "url": "http://127.0.0.1:9/", "timeout_seconds": 30});
    json!({"mode": "wake_on_ring", "wake_handler": handler})
}

fn arm(phone: &mut Phone, seconds: f64) {
    let auto_sleep = json!({"idle_timeout_seconds": seconds, "wake_on_ring": true});
    phone.send(json!({"type": "STATUS", "status": "available", "auto_sleep": auto_sleep}));
}

#[test]
fn an_idle_line_is_warned_and_then_put_to_sleep() {
    let rig = Rig::new();
    let mut worker = rig.registered_with(W, wakeable());
    arm(&mut worker, 0.0);
    worker
        .expect_exactly(json!({"type": "SLEEP_PENDING", "reason": "idle_timeout", "seconds_until_sleep": 0}));
    worker.expect_close(4000, "sleep");
}

#[test]
fn the_warning_names_whole_seconds() {
    let rig = Rig::new();
    let mut worker = rig.registered_with(W, wakeable());
    arm(&mut worker, 1.2);
    worker.expect(json!({"type": "SLEEP_PENDING", "seconds_until_sleep": 1}));
}

#[test]
fn a_heartbeat_after_the_warning_keeps_the_line_awake() {
    let rig = Rig::new();
    let mut worker = rig.registered_with(W, wakeable());
    arm(&mut worker, 0.1);
    for _ in 0..2 {
        worker.expect(json!({"type": "SLEEP_PENDING"}));
        worker.expect_nothing();
    }
}

#[test]
fn a_call_after_the_warning_keeps_the_line_awake_until_it_ends() {
    let rig = Rig::new();
    let (mut worker, mut a) = (rig.registered_with(W, wakeable()), rig.registered(A));
    arm(&mut worker, 0.2);
    worker.expect(json!({"type": "SLEEP_PENDING"}));
    a.dial(W);
    let call = worker.expect_ring(A);
    worker.answer(&call);
    a.expect_connected(W);
    // Longer than the line would have stayed: another one falls asleep meanwhile.
    let mut other = rig.registered_with("other@example.test", wakeable());
    arm(&mut other, 0.2);
    other.expect(json!({"type": "SLEEP_PENDING"}));
    other.expect_close(4000, "sleep");
    a.say(&call, "still there?");
    worker.expect_msg(&call, A, json!("still there?"));
    a.hang_up(&call);
    worker.expect_hangup(&call, "normal");
    worker.expect(json!({"type": "SLEEP_PENDING"}));
    worker.expect_close(4000, "sleep");
}

#[test]
fn status_without_auto_sleep_switches_it_off() {
    let rig = Rig::new();
    let mut worker = rig.registered_with(W, wakeable());
    arm(&mut worker, 0.1);
    worker.set_status("available");
    let mut other = rig.registered_with("other@example.test", wakeable());
    arm(&mut other, 0.1);
    other.expect(json!({"type": "SLEEP_PENDING"}));
    other.expect_close(4000, "sleep");
    worker.expect_nothing();
}

#[test]
fn sleeping_on_request_needs_a_registration_and_a_handler() {
    let rig = Rig::new();
    let mut worker = rig.phone();
    worker.send(json!({"type": "SLEEP_ACK"}));
    worker.expect(json!({"context": "SLEEP_ACK", "detail": "Registration required before sleeping"}));
    worker.register(W);
    worker.send(json!({"type": "SLEEP_ACK"}));
    worker.expect(
        json!({"context": "SLEEP_ACK", "detail": "Wake-on-ring mode must be configured before sleeping"}),
    );
    worker.register_with(W, wakeable());
    let mut a = rig.registered(A);
    let call = a.call(A, &mut worker, W);
    worker.send(json!({"type": "SLEEP_ACK"}));
    a.expect_hangup(&call, "sleep");
    worker.expect_close(4000, "sleep");
}

#[test]
fn a_senseless_status_is_refused_but_a_good_half_counts() {
    let rig = Rig::new();
    let (mut worker, mut a) = (rig.registered(W), rig.registered(A));
    worker.send(json!({"type": "STATUS", "status": "tired"}));
    worker.expect(json!({"context": "STATUS", "detail": "Invalid status value: tired"}));
    worker.send(json!({"type": "STATUS", "status": "dnd", "auto_sleep": {"idle_timeout_seconds": -1}}));
    worker.expect(json!({"context": "STATUS", "detail": "Invalid auto_sleep payload"}));
    a.dial(W);
    a.expect_busy(W, "dnd");
}

#[test]
fn a_line_without_heartbeats_is_cut_off_and_its_partner_told() {
    let rig = Rig::with(&[("heartbeat_interval", "100"), ("heartbeat_timeout", "400")]);
    let (mut silent, mut a) = (rig.registered(W), rig.registered(A));
    let call = a.call(A, &mut silent, W);
    // Messages are no heartbeat; the partner's heartbeats are its own.
    silent.say(&call, "hello");
    a.expect_msg(&call, W, json!("hello"));
    loop {
        a.send(json!({"type": "HEARTBEAT"}));
        match a.next() {
            frame if frame["type"] == "HEARTBEAT_ACK" => continue,
            frame if frame["type"] == "HANGUP" => {
                assert_eq!(frame, json!({"type": "HANGUP", "call_id": call, "reason": "timeout"}));
                break;
            }
            frame => panic!("{frame}"),
        }
    }
    silent.expect_close(4000, "timeout");
    rig.registered(W);
}

#[test]
fn a_line_that_never_registered_is_cut_off_too() {
    let rig = Rig::with(&[("heartbeat_interval", "100"), ("heartbeat_timeout", "200")]);
    let mut stranger = rig.phone();
    stranger.expect_close(4000, "timeout");
}
