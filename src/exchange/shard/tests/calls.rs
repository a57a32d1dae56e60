//! Calls: DIAL, ANSWER, HANGUP, MSG (spec sections 8 to 12, 24).

use super::rig::parallel;
use super::*;
use crate::exchange::event::{ContentType, Request, Status};
use crate::exchange::ids::CallId;

/// 24, call.
#[test]
fn two_parties_ring_answer_talk_and_hang_up() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.ask(
            a,
            Request::Dial { to: BOB.into(), metadata: Some(b"{\"n\":1}"), reference: None, trace: None },
        );
        rig.expect(a, &[]);
        rig.expect(b, &["RING #1 from alice@x.test {\"n\":1}"]);
        rig.answer(b, 1);
        rig.expect(a, &["CONNECTED #1 to bob@x.test"]);
        rig.say(a, 1, "hi");
        rig.expect(b, &["MSG #1 from alice@x.test hi"]);
        rig.say(b, 1, "ho");
        rig.expect(a, &["MSG #1 from bob@x.test ho"]);
        rig.hang_up(a, 1);
        rig.expect(b, &["HANGUP #1 normal"]);
        rig.expect(a, &[]);
        assert_eq!(rig.records[0].traffic.messages(), 2);
        assert_eq!(rig.call_log(), ["alice@x.test > bob@x.test Single normal by Caller"]);
        assert_eq!(rig.total(|counts| counts.legs + counts.records + counts.timers), 0);
    });
}

/// 24, reject: the caller sees HANGUP, not BUSY.
#[test]
fn a_callee_rejects_by_hanging_up_while_it_rings() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, BOB);
        rig.hang_up(b, 1);
        rig.expect(a, &["HANGUP #1 normal"]);
        rig.expect(b, &["RING #1 from alice@x.test"]);
        assert_eq!(rig.call_log(), ["alice@x.test > bob@x.test Single normal by Callee"]);
    });
}

/// 9: the ring lasts SYSTEMX_CALL_TIMEOUT; 24, no answer.
#[test]
fn a_call_that_nobody_answers_times_out_for_both() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, BOB);
        rig.heard(b);
        rig.wait_ms(29_990);
        rig.expect(b, &[]);
        rig.wait_ms(30);
        rig.expect(a, &["BUSY bob@x.test timeout"]);
        rig.expect(b, &["HANGUP #1 timeout"]);
        rig.dial(a, BOB);
        rig.expect(b, &["RING #2 from alice@x.test"]);
    });
}

/// 10: the ring timer is off once a call is up.
#[test]
fn an_answered_call_does_not_time_out() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        for _ in 0..10 {
            rig.wait_ms(10_000);
            rig.ask(a, Request::Heartbeat);
            rig.ask(b, Request::Heartbeat);
        }
        assert!(!rig.heard(a).iter().any(|text| !text.starts_with("HEARTBEAT_ACK")));
        assert_eq!(rig.total(|counts| counts.records), 1);
    });
}

/// 9.8; 24, busy: ringing and connected callees, and callees that are callers, are in a call.
#[test]
fn a_single_callee_in_a_call_in_either_role_is_busy() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        rig.dial(a, BOB);
        for callee in [BOB, ALICE] {
            rig.dial(c, callee);
            rig.expect(c, &[&format!("BUSY {callee} already_in_call")]);
        }
        rig.answer(b, 1);
        rig.dial(c, BOB);
        rig.expect(c, &["BUSY bob@x.test already_in_call"]);
        rig.hang_up(a, 1);
        rig.heard(b);
        rig.dial(c, BOB);
        rig.expect(b, &["RING #2 from carol@x.test"]);
    });
}

/// 8: limits apply to being called only.
#[test]
fn a_single_line_may_place_many_calls() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        rig.connect(a, b, BOB);
        let second = rig.connect(a, c, CAROL);
        rig.say(a, second, "both");
        rig.expect(c, &["MSG #2 from alice@x.test both"]);
        rig.expect(b, &[]);
    });
}

/// 9.3, 9.5.
#[test]
fn dialling_needs_a_registration_and_a_callee() {
    each(|rig| {
        let stranger = rig.phone();
        rig.dial(stranger, BOB);
        rig.expect(stranger, &["ERROR Dial not_registered"]);
        let a = rig.registered(ALICE);
        for nobody in [BOB, "no address at all", "BOB@x.test"] {
            rig.dial(a, nobody);
            rig.expect(a, &[&format!("BUSY {nobody} no_such_address")]);
        }
        assert_eq!(rig.call_log().len(), 3);
    });
}

/// 9.6.
#[test]
fn nobody_can_call_itself() {
    each(|rig| {
        let a = rig.registered_as(parallel(ALICE, None));
        rig.dial(a, ALICE);
        rig.expect(a, &["BUSY alice@x.test already_in_call"]);
    });
}

/// 9.7, and the order of 9.7 before 9.8.
#[test]
fn the_status_of_a_callee_is_what_its_callers_hear() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        for (status, heard) in [(Status::Dnd, "dnd"), (Status::Away, "away"), (Status::Busy, "busy")] {
            rig.status(b, status);
            rig.dial(a, BOB);
            rig.expect(a, &[&format!("BUSY bob@x.test {heard}")]);
        }
        rig.status(b, Status::Available);
        rig.connect(b, a, ALICE);
        let c = rig.registered(CAROL);
        for (status, heard) in
            [(Status::Dnd, "dnd"), (Status::Busy, "already_in_call"), (Status::Available, "already_in_call")]
        {
            rig.status(b, status);
            rig.dial(c, BOB);
            rig.expect(c, &[&format!("BUSY bob@x.test {heard}")]);
        }
    });
}

/// 14: every dial is an independent call; 24, parallel.
#[test]
fn a_parallel_callee_takes_calls_side_by_side_up_to_its_cap() {
    each(|rig| {
        let agent = rig.registered_as(parallel(BOB, Some(2)));
        let (c1, c2, c3) = (rig.registered(ALICE), rig.registered(CAROL), rig.registered(DAVE));
        rig.connect(c1, agent, BOB);
        rig.connect(c2, agent, BOB);
        rig.dial(c3, BOB);
        rig.expect(c3, &["BUSY bob@x.test max_sessions_reached"]);
        rig.say(c2, 2, "two");
        rig.expect(agent, &["MSG #2 from carol@x.test two"]);
        rig.hang_up(c1, 1);
        rig.heard(agent);
        rig.dial(c3, BOB);
        rig.expect(agent, &["RING #3 from dave@x.test"]);
    });
}

/// 9.8 [F]: only calls in which it is callee count.
#[test]
fn calls_that_a_parallel_line_placed_do_not_count_as_sessions() {
    each(|rig| {
        let (agent, b, c) =
            (rig.registered_as(parallel(ALICE, Some(1))), rig.registered(BOB), rig.registered(CAROL));
        rig.connect(agent, b, BOB);
        rig.dial(c, ALICE);
        rig.expect(agent, &["RING #2 from carol@x.test"]);
    });
}

/// 10: unknown call, not the callee, second ANSWER [F].
#[test]
fn only_the_callee_answers_and_only_once() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        rig.dial(a, BOB);
        rig.heard(b);
        rig.answer(a, 1);
        rig.answer(c, 1);
        rig.expect(a, &[]);
        rig.answer(b, 1);
        rig.answer(b, 1);
        rig.expect(a, &["CONNECTED #1 to bob@x.test"]);
        rig.ask(b, Request::Answer { call: CallId::NONE });
        rig.expect(b, &[]);
    });
}

/// 11: third parties and unknown calls are ignored; given reasons are relayed; a second HANGUP means nothing.
#[test]
fn only_parties_hang_up_and_their_reason_is_relayed() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        let call = rig.connect(a, b, BOB);
        rig.hang_up(c, call);
        rig.ask(c, Request::HangUp { call: CallId::NONE, reason: None });
        rig.expect(b, &[]);
        let call = rig.call(call);
        rig.ask(b, Request::HangUp { call, reason: Some("lunch".into()) });
        rig.ask(b, Request::HangUp { call, reason: None });
        rig.expect(a, &["HANGUP #1 lunch"]);
        rig.expect(b, &[]);
    });
}

/// 12: unknown call, call not up, sender not a party.
#[test]
fn messages_outside_a_call_that_is_up_are_dropped() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        rig.dial_as(a, BOB, "r");
        rig.heard(a);
        rig.heard(b);
        for early in [a, b, c] {
            rig.say(early, 1, "early");
            rig.expect(early, &["stray"]);
        }
        rig.answer(b, 1);
        rig.say(c, 1, "forged");
        rig.expect(c, &["stray"]);
        rig.expect(b, &[]);
        rig.expect(a, &["CONNECTED #1 to bob@x.test ref r"]);
    });
}

/// 12: content types and absent data stay as they are.
#[test]
fn messages_arrive_as_they_were_sent() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        let call = rig.call(call);
        let content_type = ContentType::Json;
        rig.ask(a, Request::Message { call, data: Some(b"{\"a\":1e999}"), content_type });
        rig.ask(a, Request::Message { call, data: None, content_type: ContentType::Binary });
        rig.expect(
            b,
            &["MSG #1 from alice@x.test (json) {\"a\":1e999}", "MSG #1 from alice@x.test (binary)"],
        );
    });
}

/// 9.2: every dial counts, also failed and rejected ones; a new window starts with the first dial after it.
#[test]
fn dials_above_the_limit_are_turned_down_until_the_window_is_over() {
    each_with(
        |limits| limits.dial_max_attempts = Some(2),
        |rig| {
            let a = rig.registered(ALICE);
            for heard in ["BUSY bob@x.test no_such_address"; 2] {
                rig.dial(a, BOB);
                rig.expect(a, &[heard]);
            }
            rig.dial(a, BOB);
            rig.wait_ms(59_000);
            rig.dial(a, BOB);
            rig.expect(a, &["ERROR Dial rate_limited", "ERROR Dial rate_limited"]);
            rig.ask(a, Request::Heartbeat);
            rig.wait_ms(1_000);
            rig.heard(a);
            rig.dial(a, BOB);
            rig.expect(a, &["BUSY bob@x.test no_such_address"]);
        },
    );
}

/// Issue 2, part 3: DIALING comes first, CONNECTED carries `ref`.
#[test]
fn a_dial_with_a_reference_is_told_its_call_at_once() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial_as(a, BOB, "r1");
        rig.expect(a, &["DIALING r1 #1 to bob@x.test"]);
        rig.answer(b, 1);
        rig.expect(a, &["CONNECTED #1 to bob@x.test ref r1"]);
    });
}

/// Issue 2, part 3: BUSY carries `ref` and `call_id`, wherever the dial failed.
#[test]
fn a_refused_dial_with_a_reference_names_its_call() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.status(b, Status::Dnd);
        rig.dial_as(a, BOB, "r1");
        rig.expect(a, &["DIALING r1 #1 to bob@x.test", "BUSY bob@x.test dnd #1 ref r1"]);
        rig.dial_as(a, "nonsense", "r2");
        rig.expect(a, &["DIALING r2 #2 to nonsense", "BUSY nonsense no_such_address #2 ref r2"]);
        rig.hang_up(a, 2);
        rig.expect(a, &[]);
    });
}

/// Issue 2, part 3: the callee gets HANGUP reason `cancelled`.
#[test]
fn a_caller_may_cancel_while_it_rings() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial_as(a, BOB, "r1");
        rig.hang_up(a, 1);
        rig.expect(b, &["RING #1 from alice@x.test", "HANGUP #1 cancelled"]);
        rig.expect(a, &["DIALING r1 #1 to bob@x.test"]);
        assert_eq!(rig.call_log(), ["alice@x.test > bob@x.test Single cancelled by Caller"]);
    });
}

/// Late signals: neither side hears of the other's hang-up twice, and nothing is left over.
#[test]
fn hang_ups_that_cross_end_the_call_once() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        rig.hold_trunks = true;
        rig.hang_up(a, call);
        rig.hang_up(b, call);
        rig.hold_trunks = false;
        rig.carry();
        if rig.is_sharded() {
            rig.expect(a, &[]);
            rig.expect(b, &[]);
        }
        assert_eq!(rig.call_log().len(), 1);
    });
}

/// Late signals: the caller cancels while the answer is on its way.
#[test]
fn a_hang_up_that_crosses_an_answer_ends_the_call() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial_as(a, BOB, "r");
        rig.heard(b);
        rig.hold_trunks = true;
        rig.answer(b, 1);
        rig.hang_up(a, 1);
        rig.say(b, 1, "hello?");
        rig.hold_trunks = false;
        rig.carry();
        let reason = if rig.is_sharded() { "cancelled" } else { "normal" };
        assert!(rig.heard(b).contains(&format!("HANGUP #1 {reason}")));
        assert!(!rig.heard(a).iter().any(|text| text.starts_with("MSG")));
    });
}

/// Late signals: the caller is gone before its dial has arrived.
#[test]
fn a_dial_whose_caller_has_gone_rings_and_stops() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.hold_trunks = true;
        rig.dial(a, BOB);
        rig.lose(a, crate::exchange::event::Loss::Closed);
        rig.hold_trunks = false;
        rig.carry();
        rig.expect(b, &["RING #1 from alice@x.test", "HANGUP #1 peer_disconnected"]);
    });
}

/// 6: calls show a line as busy; afterwards what it chose counts again (27.14).
#[test]
fn a_line_is_shown_busy_during_calls_and_as_it_chose_afterwards() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        rig.status(a, Status::Dnd);
        let call = rig.connect(a, b, BOB);
        let shown = |rig: &mut Rig| {
            rig.ask(c, Request::Presence(Box::default()));
            rig.heard(c)
        };
        assert_eq!(shown(rig), ["PRESENCE [alice@x.test Busy, bob@x.test Busy]"]);
        rig.hang_up(b, call);
        assert_eq!(shown(rig), ["PRESENCE [alice@x.test Dnd, bob@x.test Available]"]);
    });
}

/// 6: a client that sets `busy` during a call is available after it; anything else holds.
#[test]
fn a_status_set_during_a_call_holds_after_it_unless_it_is_busy() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        let call = rig.connect(a, b, BOB);
        rig.status(a, Status::Busy);
        rig.status(b, Status::Away);
        rig.hang_up(a, call);
        rig.ask(c, Request::Presence(Box::default()));
        rig.expect(c, &["PRESENCE [alice@x.test Available, bob@x.test Away]"]);
    });
}
