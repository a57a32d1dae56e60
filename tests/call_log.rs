//! The call log (spec section 22): one line for each ended call and each failed dial, complete when the exchange has stopped.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::phone::contains;
use crate::support::{Phone, Rig, Scratch};

const A: &str = "alice@example.test";
const B: &str = "bob@example.test";

/// Runs a scenario in an exchange with a call log, and returns the lines after the stop.
fn logged(more: &[(&'static str, &str)], scenario: impl FnOnce(&Rig)) -> Vec<Value> {
    let folder = Scratch::new();
    let path = folder.path().join("calls.jsonl");
    let path_text = path.to_str().expect("temporary paths are text");
    let settings: Vec<_> = [("call_log", path_text)].into_iter().chain(more.iter().copied()).collect();
    let rig = Rig::with(&settings);
    scenario(&rig);
    rig.stop();
    read(&path)
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the log is there");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn an_ended_call_is_one_line() {
    let lines = logged(&[], |rig| {
        let (mut a, mut b) = (rig.registered(A), rig.registered(B));
        let call = a.call(A, &mut b, B);
        a.say(&call, 1);
        b.expect_msg(&call, A, json!(1));
        b.say(&call, 2);
        a.expect_msg(&call, B, json!(2));
        b.hang_up(&call);
        a.expect_hangup(&call, "normal");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let expected = json!({
        "from": A, "to": B, "mode": "single", "end_reason": "normal", "ended_by": "callee", "messages": 2
    });
    assert!(contains(&lines[0], &expected), "{}", lines[0]);
    let time = |name: &str| lines[0][name].as_u64().expect("times are numbers");
    assert!(time("started_at") <= time("answered_at") && time("answered_at") <= time("ended_at"));
    assert!(lines[0]["call_id"].is_string());
}

#[test]
fn failed_dials_are_logged_with_their_reason() {
    let lines = logged(&[("call_timeout", "50")], |rig| {
        let (mut a, mut b) = (rig.registered(A), rig.registered(B));
        a.dial("nobody@example.test");
        a.expect_busy("nobody@example.test", "no_such_address");
        b.set_status("dnd");
        b.expect_nothing();
        a.dial(B);
        a.expect_busy(B, "dnd");
        b.set_status("available");
        b.expect_nothing();
        a.dial(B);
        b.expect_ring(A);
        a.expect_busy(B, "timeout");
    });
    let told: Vec<_> =
        lines.iter().map(|line| (&line["to"], &line["end_reason"], &line["answered_at"])).collect();
    for (to, reason) in [("nobody@example.test", "no_such_address"), (B, "dnd"), (B, "timeout")] {
        assert!(told.contains(&(&json!(to), &json!(reason), &json!(null))), "{reason} is not in {told:?}");
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn each_listener_of_a_broadcast_is_a_line() {
    let lines = logged(&[], |rig| {
        let mut station = rig.registered_with(B, json!({"concurrency": "broadcast"}));
        let mut listeners: Vec<Phone> =
            (0..3).map(|number| rig.registered(&format!("listener{number}@example.test"))).collect();
        for listener in &mut listeners {
            listener.dial(B);
            listener.expect_connected(B);
            station.expect(json!({"type": "RING"}));
        }
        for listener in listeners {
            listener.close();
            station.expect(json!({"type": "HANGUP", "reason": "peer_disconnected"}));
        }
    });
    assert_eq!(lines.len(), 3, "{lines:?}");
    let expected =
        json!({"to": B, "mode": "broadcast", "end_reason": "peer_disconnected", "ended_by": "caller"});
    assert!(lines.iter().all(|line| contains(line, &expected)), "{lines:?}");
}

#[test]
fn calls_that_a_stop_ends_are_logged_before_it_is_over() {
    let lines = logged(&[], |rig| {
        for number in 0..20 {
            let (from, to) = (format!("a{number}@example.test"), format!("b{number}@example.test"));
            let (mut a, mut b) = (rig.registered(&from), rig.registered(&to));
            a.call(&from, &mut b, &to);
            // Both stay connected until the exchange goes.
            std::mem::forget((a, b));
        }
    });
    assert_eq!(lines.len(), 20, "{lines:?}");
    assert!(
        lines.iter().all(|line| contains(line, &json!({"end_reason": "shutdown", "ended_by": "exchange"}))),
        "{lines:?}"
    );
}
