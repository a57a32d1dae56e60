//! Wake-on-ring (spec sections 15, 24).

use super::rig::{WAKE_MS, broadcaster, parallel, registration, wakeable};
use super::*;
use crate::exchange::event::{Loss, Request, Status, WakeOutcome};

/// An agent that can be woken for DAVE sleeps.
fn asleep(rig: &mut Rig) {
    let w = rig.registered_as(wakeable(registration(DAVE)));
    rig.ask(w, Request::SleepAck);
    rig.expect(w, &["CLOSE sleep"]);
}

/// DAVE's agent, woken.
fn awake(rig: &mut Rig) -> Phone {
    let w = rig.phone();
    rig.register(w, DAVE);
    w
}

/// 24, sleep and wake: the woken agent registers bare and is wake-on-ring again.
#[test]
fn a_call_waits_for_a_sleeping_agent_and_rings_it_when_it_registers() {
    each(|rig| {
        asleep(rig);
        let a = rig.registered(ALICE);
        rig.dial_as(a, DAVE, "r");
        assert_eq!(rig.wakes[0].1, DAVE);
        rig.woken(rig.last_wake(), WakeOutcome::Answered);
        let w = awake(rig);
        rig.expect(w, &["REGISTERED dave@x.test", "RING #1 from alice@x.test"]);
        rig.answer(w, 1);
        rig.expect(a, &["DIALING r #1 to dave@x.test", "CONNECTED #1 to dave@x.test ref r"]);
        rig.hang_up(w, 1);
        rig.ask(w, Request::SleepAck);
        rig.expect(w, &["CLOSE sleep"]);
    });
}

/// 15: who stores a profile. A plain close does not, a dead socket does [F].
#[test]
fn profiles_are_stored_by_every_end_but_a_plain_close() {
    each(|rig| {
        let b = rig.registered(BOB);
        for (end, stored) in [(None, true), (Some(Loss::Vanished), true), (Some(Loss::Closed), false)] {
            let w = rig.registered_as(wakeable(registration(DAVE)));
            match end {
                None => rig.ask(w, Request::Unregister),
                Some(loss) => rig.lose(w, loss),
            }
            let before = rig.wakes.len();
            rig.dial(b, DAVE);
            assert_eq!(rig.wakes.len() - before, usize::from(stored), "{end:?}");
            rig.wait_ms(WAKE_MS + 20);
            rig.ask(b, Request::Heartbeat);
        }
    });
}

/// 15.4: the handler fails; the profile stays, the next dial tries again.
#[test]
fn a_failed_handler_fails_all_its_callers_and_the_next_dial_tries_again() {
    each(|rig| {
        asleep(rig);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, DAVE);
        rig.dial(b, DAVE);
        assert_eq!(rig.wakes.len(), 1, "one run at a time");
        [a, b].iter().for_each(|&phone| drop(rig.heard(phone)));
        rig.woken(rig.last_wake(), WakeOutcome::Failed);
        rig.expect(a, &["BUSY dave@x.test wake_failed"]);
        rig.expect(b, &["BUSY dave@x.test wake_failed"]);
        rig.dial(a, DAVE);
        assert_eq!(rig.wakes.len(), 2);
    });
}

/// 15.4: the answer is `timeout` when the timer fires, and when the handler runs into its limit.
#[test]
fn an_agent_that_does_not_come_in_time_is_a_timeout() {
    each(|rig| {
        asleep(rig);
        let a = rig.registered(ALICE);
        rig.dial(a, DAVE);
        rig.woken(rig.last_wake(), WakeOutcome::TimedOut);
        rig.expect(a, &["BUSY dave@x.test timeout"]);
        rig.dial(a, DAVE);
        rig.woken(rig.last_wake(), WakeOutcome::Answered);
        rig.wait_ms(WAKE_MS - 10);
        rig.expect(a, &[]);
        rig.wait_ms(30);
        rig.expect(a, &["BUSY dave@x.test timeout"]);
        assert_eq!(rig.total(|counts| counts.runs + counts.records), 0);
    });
}

/// 15.3 [F]: one run at a time, also while the agent that was called is on its way.
#[test]
fn later_callers_queue_while_a_wake_is_in_flight() {
    each(|rig| {
        asleep(rig);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, DAVE);
        rig.woken(rig.last_wake(), WakeOutcome::Answered);
        rig.wait_ms(5_000);
        rig.dial(b, DAVE);
        assert_eq!(rig.wakes.len(), 1);
        rig.wait_ms(5_020);
        rig.dial(a, DAVE);
        assert_eq!(rig.wakes.len(), 2, "the first wake's time is over");
    });
}

/// 15.5: single callees get the waiting calls one after the other, the oldest first.
#[test]
fn waiting_calls_follow_one_another() {
    each(|rig| {
        asleep(rig);
        let [a, b, c] = [ALICE, BOB, CAROL].map(|name| rig.registered(name));
        [a, b, c].iter().for_each(|&caller| rig.dial(caller, DAVE));
        rig.lose(a, Loss::Closed);
        let w = awake(rig);
        rig.expect(w, &["REGISTERED dave@x.test", "RING #1 from bob@x.test"]);
        rig.hang_up(w, 1);
        rig.expect(w, &["RING #2 from carol@x.test"]);
    });
}

/// 15.5 [F]: parallel.
#[test]
fn a_parallel_agent_is_given_as_many_waiting_calls_as_it_takes() {
    each(|rig| {
        let w = rig.registered_as(wakeable(parallel(DAVE, Some(2))));
        rig.ask(w, Request::SleepAck);
        [ALICE, BOB, CAROL].iter().for_each(|name| {
            let caller = rig.registered(name);
            rig.dial(caller, DAVE);
        });
        let w = rig.phone();
        rig.register_as(w, parallel(DAVE, Some(2)));
        rig.expect(w, &["REGISTERED dave@x.test", "RING #1 from alice@x.test", "RING #2 from bob@x.test"]);
        rig.answer(w, 1);
        rig.hang_up(w, 2);
        rig.expect(w, &["RING #3 from carol@x.test"]);
    });
}

/// 15.5 [F]: broadcast.
#[test]
fn waiting_callers_of_a_broadcaster_all_listen() {
    each(|rig| {
        let radio = rig.registered_as(wakeable(broadcaster(RADIO, None)));
        rig.ask(radio, Request::SleepAck);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, RADIO);
        rig.dial(b, RADIO);
        let radio = rig.phone();
        rig.register_as(radio, broadcaster(RADIO, None));
        assert_eq!(rig.heard(radio).len(), 3);
        rig.say(radio, 1, "good morning");
        for listener in [a, b] {
            let heard = rig.heard(listener);
            assert_eq!(heard, ["CONNECTED #1 to radio@x.test", "MSG #1 from radio@x.test good morning"]);
        }
    });
}

/// 15.6, and late events: cancelled while waiting; the agent comes for nothing.
#[test]
fn a_caller_that_cancels_is_not_rung_for() {
    each(|rig| {
        asleep(rig);
        let a = rig.registered(ALICE);
        rig.dial_as(a, DAVE, "r");
        rig.hang_up(a, 1);
        assert_eq!(rig.call_log(), ["alice@x.test > dave@x.test Single cancelled by Caller"]);
        let w = awake(rig);
        rig.expect(w, &["REGISTERED dave@x.test"]);
        rig.woken(rig.last_wake(), WakeOutcome::Failed);
        rig.expect(a, &["DIALING r #1 to dave@x.test"]);
    });
}

/// 15 [F], 27.17: whatever a run has started may live on once the address is registered.
#[test]
fn a_registration_settles_the_run() {
    each(|rig| {
        asleep(rig);
        let a = rig.registered(ALICE);
        rig.dial(a, DAVE);
        awake(rig);
        assert_eq!(rig.settled, [rig.last_wake()]);
        rig.woken(rig.last_wake(), WakeOutcome::TimedOut);
        assert!(!rig.heard(a).iter().any(|text| text.starts_with("BUSY")));
    });
}

/// 8, 9: a wait makes the caller busy.
#[test]
fn a_caller_that_waits_is_busy() {
    each(|rig| {
        asleep(rig);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, DAVE);
        rig.dial(b, ALICE);
        assert_eq!(rig.heard(b).pop().as_deref(), Some("BUSY alice@x.test already_in_call"));
        rig.woken(rig.last_wake(), WakeOutcome::Failed);
        rig.heard(a);
        rig.dial(b, ALICE);
        rig.expect(a, &["RING #1 from bob@x.test"]);
    });
}

/// 15 [F]: a REGISTER with a mode replaces the stored profile; after it nobody is woken.
#[test]
fn registering_takes_the_profile_out_of_the_store() {
    each(|rig| {
        asleep(rig);
        let w = rig.registered_as(wakeable(registration(DAVE)));
        rig.lose(w, Loss::Closed);
        let a = rig.registered(ALICE);
        rig.dial(a, DAVE);
        assert_eq!(rig.heard(a).pop().as_deref(), Some("BUSY dave@x.test no_such_address"));
    });
}

/// A caller may take over the very address it waits for; it is not rung by itself (9.6).
#[test]
fn a_caller_that_becomes_its_callee_waits_in_vain() {
    each(|rig| {
        let w = rig.registered_as(wakeable(parallel(BOB, None)));
        rig.ask(w, Request::SleepAck);
        let a = rig.registered("ben@x.test");
        rig.dial(a, BOB);
        rig.register_as(a, parallel(BOB, None));
        rig.expect(a, &["REGISTERED bob@x.test"]);
        rig.wait_ms(WAKE_MS + 10);
        rig.expect(a, &["BUSY bob@x.test timeout"]);
    });
}

/// An agent that says dnd is given no waiting calls until it is available again.
#[test]
fn waiting_calls_wait_for_an_agent_that_wants_them() {
    each(|rig| {
        asleep(rig);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, DAVE);
        rig.dial(b, DAVE);
        let w = awake(rig);
        rig.status(w, Status::Dnd);
        rig.hang_up(w, 1);
        rig.expect(w, &["REGISTERED dave@x.test", "RING #1 from alice@x.test"]);
        rig.status(w, Status::Available);
        rig.expect(w, &["RING #2 from bob@x.test"]);
    });
}
