//! Two lines and what they can do to each other: ring, answer, talk, hang up, and everything that keeps a call from
//! coming about. Each of spec section 24's sequences about calls is one test; the pairs lie on one shard and on two.

use serde_json::json;

use crate::support::{Phone, Rig, address_on, id_of};

const A: &str = "alice@example.test";
const B: &str = "bob@example.test";
const C: &str = "carol@example.test";

/// The same scenario for callers and callees on every combination of two shards.
fn everywhere(scenario: impl Fn(&Rig, &str, &str)) {
    let rig = Rig::new();
    for (caller, callee) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        scenario(&rig, &address_on(caller, 2, "caller"), &address_on(callee, 2, "callee"));
    }
}

#[test]
fn a_call_from_the_first_ring_to_the_hangup() {
    everywhere(|rig, from, to| {
        let (mut a, mut b) = (rig.registered(from), rig.registered(to));
        a.send(json!({"type": "DIAL", "to": to, "metadata": {"subject": "lunch"}}));
        let ring = b.next();
        let call = id_of(&ring);
        assert_eq!(
            ring,
            json!({"type": "RING", "from": from, "call_id": call, "metadata": {"subject": "lunch"}})
        );
        b.answer(&call);
        a.expect_exactly(json!({"type": "CONNECTED", "call_id": call, "to": to}));
        a.say(&call, "soup?");
        b.expect_exactly(
            json!({"type": "MSG", "call_id": call, "from": from, "data": "soup?", "content_type": "text"}),
        );
        b.say(&call, json!({"yes": true}));
        a.expect_exactly(
            json!({"type": "MSG", "call_id": call, "from": to, "data": {"yes": true}, "content_type": "text"}),
        );
        a.hang_up(&call);
        b.expect_exactly(json!({"type": "HANGUP", "call_id": call, "reason": "normal"}));
        b.expect_nothing();
        a.expect_nothing();
        a.close();
        b.close();
    });
}

#[test]
fn a_callee_that_hangs_up_while_it_rings_rejects_the_call() {
    everywhere(|rig, from, to| {
        let (mut a, mut b) = (rig.registered(from), rig.registered(to));
        a.dial(to);
        let call = b.expect_ring(from);
        b.hang_up(&call);
        a.expect_exactly(json!({"type": "HANGUP", "call_id": call, "reason": "normal"}));
        b.call(to, &mut a, from);
        a.close();
        b.close();
    });
}

#[test]
fn a_call_that_nobody_answers_times_out_for_both() {
    let rig = Rig::with(&[("call_timeout", "100")]);
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    a.dial(B);
    let call = b.expect_ring(A);
    a.expect_exactly(json!({"type": "BUSY", "to": B, "reason": "timeout"}));
    b.expect_hangup(&call, "timeout");
    b.answer(&call);
    b.expect_nothing();
    a.expect_nothing();
    b.call(B, &mut a, A);
}

#[test]
fn who_rings_or_talks_is_busy_for_others_until_the_call_is_over() {
    everywhere(|rig, from, to| {
        let (mut a, mut b, mut c) = (rig.registered(from), rig.registered(to), rig.registered(C));
        a.dial(to);
        let call = b.expect_ring(from);
        for busy in [from, to] {
            c.dial(busy);
            c.expect_busy(busy, "already_in_call");
        }
        b.answer(&call);
        a.expect_connected(to);
        c.dial(to);
        c.expect_busy(to, "already_in_call");
        a.hang_up(&call);
        b.expect_hangup(&call, "normal");
        c.dial(to);
        b.expect_ring(C);
        for phone in [a, b, c] {
            phone.close();
        }
    });
}

#[test]
fn a_lost_party_is_told_to_the_other_one() {
    everywhere(|rig, from, to| {
        for caller_goes in [true, false] {
            for rudely in [true, false] {
                let (mut a, mut b) = (rig.registered(from), rig.registered(to));
                let call = a.call(from, &mut b, to);
                let (goes, mut stays) = if caller_goes { (a, b) } else { (b, a) };
                if rudely {
                    goes.vanish()
                } else {
                    goes.close()
                }
                stays.expect_exactly(
                    json!({"type": "HANGUP", "call_id": call, "reason": "peer_disconnected"}),
                );
                stays.close();
            }
        }
    });
}

#[test]
fn a_ringing_call_ends_with_either_party() {
    everywhere(|rig, from, to| {
        let (mut a, mut b) = (rig.registered(from), rig.registered(to));
        a.dial(to);
        let call = b.expect_ring(from);
        a.close();
        b.expect_hangup(&call, "peer_disconnected");
        let mut a = rig.registered(from);
        a.dial(to);
        let call = b.expect_ring(from);
        b.close();
        a.expect_hangup(&call, "peer_disconnected");
        a.close();
    });
}

#[test]
fn who_unregisters_ends_the_call_and_the_connection() {
    everywhere(|rig, from, to| {
        let (mut a, mut b) = (rig.registered(from), rig.registered(to));
        let call = a.call(from, &mut b, to);
        a.send(json!({"type": "UNREGISTER"}));
        b.expect_hangup(&call, "client_requested");
        a.expect_close(4000, "client_requested");
        b.close();
    });
}

#[test]
fn nobody_is_reached_at_an_address_that_nobody_holds() {
    let rig = Rig::new();
    let mut a = rig.registered(A);
    for to in ["bob@example.test", "not an address", "ALICE@example.test"] {
        a.dial(to);
        a.expect_exactly(json!({"type": "BUSY", "to": to, "reason": "no_such_address"}));
    }
}

#[test]
fn calling_oneself_is_busy() {
    let rig = Rig::new();
    let mut a = rig.registered(A);
    a.dial(A);
    a.expect_busy(A, "already_in_call");
}

#[test]
fn a_dial_without_an_address_is_an_error() {
    let rig = Rig::new();
    let mut a = rig.registered(A);
    for frame in
        [json!({"type": "DIAL"}), json!({"type": "DIAL", "to": 5}), json!({"type": "DIAL", "to": ""})]
    {
        a.send(frame);
        a.expect(json!({"reason": "invalid_payload", "context": "DIAL", "detail": "Field 'to' is required"}));
    }
    for kind in ["ANSWER", "HANGUP", "MSG"] {
        a.send(json!({"type": kind, "call_id": ""}));
        a.expect(
            json!({"reason": "invalid_payload", "context": kind, "detail": "Field 'call_id' is required"}),
        );
    }
    a.send(json!({"type": "MSG", "call_id": "none", "content_type": "smell"}));
    a.expect(json!({"reason": "invalid_payload", "detail": "Unsupported content_type: smell"}));
}

#[test]
fn a_stranger_is_told_to_register_before_it_dials() {
    let rig = Rig::new();
    let mut stranger = rig.phone();
    stranger.dial(A);
    stranger.expect(json!({"type": "ERROR", "reason": "not_registered", "context": "DIAL"}));
}

#[test]
fn dials_are_limited_and_refused_ones_count() {
    let rig = Rig::with(&[("dial_max_attempts", "3"), ("dial_window_ms", "600000")]);
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    a.send(json!({"type": "DIAL"}));
    a.expect(json!({"reason": "invalid_payload"}));
    for _ in 0..3 {
        a.dial("nobody@example.test");
        a.expect_busy("nobody@example.test", "no_such_address");
    }
    a.dial(B);
    a.expect_exactly(json!({
        "type": "ERROR", "reason": "rate_limited", "context": "DIAL", "detail": "Too many dial attempts"
    }));
    b.expect_nothing();
    b.call(B, &mut a, A);
}

#[test]
fn a_new_window_starts_when_the_old_one_has_run_out() {
    let rig = Rig::with(&[("dial_max_attempts", "1"), ("dial_window_ms", "50")]);
    let mut a = rig.registered(A);
    a.dial(B);
    a.expect_busy(B, "no_such_address");
    crate::support::eventually("the next window", || {
        a.dial(B);
        (a.next()["type"] == "BUSY").then_some(())
    });
}

#[test]
fn the_status_of_the_callee_answers_for_it() {
    everywhere(|rig, from, to| {
        let (mut a, mut b) = (rig.registered(from), rig.registered(to));
        for status in ["dnd", "away", "busy"] {
            b.set_status(status);
            b.expect_nothing();
            a.dial(to);
            a.expect_busy(to, status);
        }
        b.set_status("available");
        b.expect_nothing();
        a.call(from, &mut b, to);
        a.close();
        b.close();
    });
}

#[test]
fn a_status_chosen_before_a_call_holds_after_it() {
    let rig = Rig::new();
    let (mut a, mut b, mut c) = (rig.registered(A), rig.registered(B), rig.registered(C));
    b.set_status("dnd");
    let call = b.call(B, &mut a, A);
    assert_eq!(c.presence(json!({"domain": "example.test"}))[1]["status"], "busy");
    c.dial(B);
    c.expect_busy(B, "already_in_call");
    b.hang_up(&call);
    a.expect_hangup(&call, "normal");
    c.dial(B);
    c.expect_busy(B, "dnd");
}

#[test]
fn a_status_chosen_during_a_call_answers_at_once() {
    let rig = Rig::new();
    let (mut a, mut b, mut c) = (rig.registered(A), rig.registered(B), rig.registered(C));
    let call = b.call(B, &mut a, A);
    for status in ["dnd", "away"] {
        b.set_status(status);
        b.expect_nothing();
        c.dial(B);
        c.expect_busy(B, status);
    }
    b.say(&call, "not disturbed");
    a.expect_msg(&call, B, json!("not disturbed"));
}

#[test]
fn busy_chosen_during_a_call_ends_with_it() {
    let rig = Rig::new();
    let (mut a, mut b, mut c) = (rig.registered(A), rig.registered(B), rig.registered(C));
    let call = a.call(A, &mut b, B);
    b.set_status("busy");
    b.hang_up(&call);
    a.expect_hangup(&call, "normal");
    c.call(C, &mut b, B);
}

#[test]
fn a_second_answer_changes_nothing() {
    everywhere(|rig, from, to| {
        let (mut a, mut b) = (rig.registered(from), rig.registered(to));
        let call = a.call(from, &mut b, to);
        b.answer(&call);
        b.say(&call, "after");
        a.expect_msg(&call, to, json!("after"));
        a.close();
        b.close();
    });
}

#[test]
fn a_stranger_to_a_call_can_neither_hear_nor_end_nor_join_it() {
    everywhere(|rig, from, to| {
        let (mut a, mut b, mut c) = (rig.registered(from), rig.registered(to), rig.registered(C));
        a.dial(to);
        let call = b.expect_ring(from);
        let meddle = |c: &mut Phone| {
            c.answer(&call);
            c.say(&call, "hear me");
            c.hang_up(&call);
            // Behind these on both shards.
            c.dial(from);
            c.expect_busy(from, "already_in_call");
            c.dial(to);
            c.expect_busy(to, "already_in_call");
        };
        meddle(&mut c);
        a.expect_nothing();
        a.answer(&call);
        a.say(&call, "not yet");
        a.expect_nothing();
        b.answer(&call);
        a.expect_connected(to);
        meddle(&mut c);
        a.say(&call, "one");
        b.expect_msg(&call, from, json!("one"));
        b.say(&call, "two");
        a.expect_msg(&call, to, json!("two"));
        for phone in [a, b, c] {
            phone.close();
        }
    });
}

#[test]
fn nobody_can_speak_in_the_name_of_another() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let call = a.call(A, &mut b, B);
    a.send(json!({"type": "MSG", "call_id": call, "from": "mallory@example.test", "data": 1}));
    b.expect_msg(&call, A, json!(1));
}

#[test]
fn data_and_metadata_arrive_byte_for_byte() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let odd = r#"{"z":1.000000000000000000001,"a":12345678901234567890123,"z":[null,"\u00e9\ud83d\ude00/\/"], "b" : -0.0e+5}"#;
    a.send_text(&format!(r#"{{"metadata":{odd},"to":"{B}","type":"DIAL"}}"#));
    let ring = b.next_text();
    assert!(ring.contains(&format!(r#""metadata":{odd}"#)), "{ring}");
    let ring: serde_json::Value = serde_json::from_str(&ring).expect("it is JSON");
    let call = id_of(&ring);
    b.answer(&call);
    a.expect_connected(B);
    for (kind, data) in [("text", odd), ("json", "null"), ("binary", r#""AAECAw==""#)] {
        a.send_text(&format!(r#"{{"type":"MSG","data":{data},"content_type":"{kind}","call_id":"{call}"}}"#));
        let text = b.next_text();
        assert!(text.contains(&format!(r#""data":{data}"#)), "{text}");
        assert!(text.contains(&format!(r#""content_type":"{kind}""#)), "{text}");
    }
    a.send(json!({"type": "MSG", "call_id": call}));
    b.expect_exactly(json!({"type": "MSG", "call_id": call, "from": A, "content_type": "text"}));
}

#[test]
fn what_is_absent_stays_absent_and_null_stays_null() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    a.dial(B);
    let ring = b.next();
    assert!(ring.get("metadata").is_none(), "{ring}");
    a.send(json!({"type": "HANGUP", "call_id": "unknown"}));
    b.hang_up(&id_of(&ring));
    a.expect(json!({"type": "HANGUP"}));
    a.send(json!({"type": "DIAL", "to": B, "metadata": null}));
    assert_eq!(b.next().get("metadata"), Some(&json!(null)));
}

#[test]
fn a_reason_is_relayed_as_given() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    for (given, relayed) in
        [(json!("see \"you\"\n"), "see \"you\"\n"), (json!(null), "normal"), (json!("é"), "é")]
    {
        let call = a.call(A, &mut b, B);
        a.send(json!({"type": "HANGUP", "call_id": call, "reason": given}));
        b.expect_hangup(&call, relayed);
    }
}

#[test]
fn a_line_may_place_many_calls_at_once() {
    let rig = Rig::new();
    let mut a = rig.registered(A);
    let mut callees: Vec<Phone> =
        (0..20).map(|number| rig.registered(&format!("callee{number}@example.test"))).collect();
    let mut calls = Vec::new();
    for (number, callee) in callees.iter_mut().enumerate() {
        calls.push(a.call(A, callee, &format!("callee{number}@example.test")));
    }
    for (number, callee) in callees.iter_mut().enumerate() {
        a.say(&calls[number], number);
        callee.expect_msg(&calls[number], A, json!(number));
    }
    a.close();
    for (callee, call) in callees.iter_mut().zip(&calls) {
        callee.expect_hangup(call, "peer_disconnected");
    }
}

#[test]
fn a_refresh_during_a_call_keeps_the_call_and_the_line_busy() {
    let rig = Rig::new();
    let (mut a, mut b, mut c) = (rig.registered(A), rig.registered(B), rig.registered(C));
    let call = a.call(A, &mut b, B);
    b.register(B);
    c.dial(B);
    c.expect_busy(B, "already_in_call");
    a.say(&call, "still there?");
    b.expect_msg(&call, A, json!("still there?"));
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    c.call(C, &mut b, B);
}

#[test]
fn messages_keep_their_order_however_they_are_sent() {
    everywhere(|rig, from, to| {
        let (mut a, mut b) = (rig.registered(from), rig.registered(to));
        let call = a.call(from, &mut b, to);
        let frames: Vec<_> =
            (0..500).map(|number| json!({"type": "MSG", "call_id": call, "data": number})).collect();
        for chunk in frames.chunks(97) {
            a.send_together(chunk);
        }
        a.hang_up(&call);
        for number in 0..500 {
            b.expect_msg(&call, from, json!(number));
        }
        b.expect_hangup(&call, "normal");
        a.close();
        b.close();
    });
}

#[test]
fn equal_replies_are_all_delivered() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let call = a.call(A, &mut b, B);
    for _ in 0..5 {
        a.say(&call, "ok");
        b.expect_msg(&call, A, json!("ok"));
        b.say(&call, "ok");
        a.expect_msg(&call, B, json!("ok"));
    }
}

#[test]
fn a_large_message_arrives_whole() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let call = a.call(A, &mut b, B);
    let large = "x".repeat(3 << 20);
    a.say(&call, large.as_str());
    let message = b.expect(json!({"type": "MSG", "call_id": call}));
    assert!(message["data"] == large.as_str());
    b.say(&call, "got it");
    a.expect_msg(&call, B, json!("got it"));
}
