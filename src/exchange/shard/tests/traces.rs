//! The trace that a caller says its dial belongs to: it reaches the call's record by every way that a call can go.

use super::rig::{broadcaster, parallel, pooled, registration, wakeable};
use super::*;
use crate::exchange::event::{Loss, Request, WakeOutcome};
use crate::exchange::ids::CallId;
use crate::exchange::tie::{DialForward, TieRequest};
use crate::exchange::trace::TraceParent;
use crate::exchange::{Address, effect::CallRecord};

/// The trace of this number.
fn trace(number: u8) -> Option<Box<TraceParent>> {
    Some(Box::new(TraceParent { trace_id: [number; 16], span_id: [number; 8], flags: 1 }))
}

fn dial(rig: &mut Rig, phone: Phone, to: &str, number: u8) {
    rig.ask(phone, Request::Dial { to: to.into(), metadata: None, reference: None, trace: trace(number) });
}

fn dial_forward(rig: &mut Rig, tie: Phone, name: &str, to: &str, number: u8) {
    let (call, name) = (CallId::parse(name.as_bytes()), Some(name.into()));
    let from = Address::beyond("boss@parent.test").expect("a name");
    let dial = DialForward { call, name, from, to: to.into(), metadata: None, trace: trace(number) };
    rig.ask(tie, Request::Tie(TieRequest::DialForward(Box::new(dial))));
}

/// What the records since the last look say: why the call ended, and the number of its trace; in the order of these.
fn ends(rig: &mut Rig) -> Vec<(u8, String)> {
    let end = |record: &CallRecord| {
        let trace = record.trace.as_deref().expect("it has a trace");
        assert_eq!(Some(trace), self::trace(trace.trace_id[0]).as_deref(), "it is whole");
        (trace.trace_id[0], record.reason.as_str().to_owned())
    };
    let mut ends: Vec<_> = std::mem::take(&mut rig.records).iter().map(end).collect();
    ends.sort();
    ends
}

#[track_caller]
fn expect_ends(rig: &mut Rig, expected: &[(u8, &str)]) {
    let expected: Vec<_> = expected.iter().map(|&(number, reason)| (number, reason.to_owned())).collect();
    assert_eq!(ends(rig), expected, "with {} shards", rig.shards.len());
}

#[test]
fn answered_and_refused_and_given_up_dials_keep_their_traces() {
    each(|rig| {
        let [a, b, c] = [ALICE, BOB, CAROL].map(|address| rig.registered(address));
        dial(rig, a, BOB, 1);
        rig.answer(b, 1);
        dial(rig, c, BOB, 2);
        dial(rig, c, "nobody@x.test", 3);
        // This one comes to nothing before it has left the caller's shard.
        dial(rig, c, "no address", 4);
        rig.hang_up(b, 1);
        dial(rig, c, BOB, 5);
        rig.lose(c, Loss::Closed);
        expect_ends(
            rig,
            &[
                (1, "normal"),
                (2, "already_in_call"),
                (3, "no_such_address"),
                (4, "no_such_address"),
                (5, "peer_disconnected"),
            ],
        );
        // Whoever names none has none.
        rig.dial(a, "nobody@x.test");
        assert_eq!(std::mem::take(&mut rig.records)[0].trace, None);
    });
}

#[test]
fn calls_of_parallel_callees_and_pools_keep_their_traces() {
    each(|rig| {
        let p = rig.registered_as(parallel(BOB, Some(2)));
        let [a, c] = [ALICE, CAROL].map(|address| rig.registered(address));
        let pool = rig.registered_as(pooled(POOL, 2, None));
        dial(rig, a, BOB, 1);
        dial(rig, c, BOB, 2);
        rig.answer(p, 1);
        rig.answer(p, 2);
        rig.lose(p, Loss::Vanished);
        dial(rig, a, POOL, 3);
        rig.lose(pool, Loss::Vanished);
        expect_ends(rig, &[(1, "peer_disconnected"), (2, "peer_disconnected"), (3, "peer_disconnected")]);
    });
}

#[test]
fn listeners_of_a_broadcast_each_have_their_own_trace() {
    each(|rig| {
        let radio = rig.registered_as(broadcaster(RADIO, Some(2)));
        let [a, b, c] = [ALICE, BOB, CAROL].map(|address| rig.registered(address));
        dial(rig, a, RADIO, 1);
        dial(rig, b, RADIO, 2);
        dial(rig, c, RADIO, 3);
        rig.hang_up(a, 1);
        rig.hang_up(radio, 1);
        expect_ends(rig, &[(1, "normal"), (2, "normal"), (3, "max_listeners_reached")]);
    });
}

/// Who waits for an agent has a record on another shard, and is a dial again if the agent turns out to be a broadcaster.
#[test]
fn dials_that_wait_for_an_agent_keep_their_traces() {
    each(|rig| {
        let asleep = |rig: &mut Rig| {
            let w = rig.registered_as(wakeable(registration(DAVE)));
            rig.ask(w, Request::SleepAck);
        };
        let [a, b] = [ALICE, BOB].map(|address| rig.registered(address));
        asleep(rig);
        dial(rig, a, DAVE, 1);
        rig.woken(rig.last_wake(), WakeOutcome::Failed);
        expect_ends(rig, &[(1, "wake_failed")]);
        dial(rig, a, DAVE, 2);
        rig.woken(rig.last_wake(), WakeOutcome::Answered);
        let w = rig.registered_as(wakeable(registration(DAVE)));
        let call = rig.calls_known();
        rig.answer(w, call);
        rig.ask(w, Request::SleepAck);
        dial(rig, b, DAVE, 3);
        rig.woken(rig.last_wake(), WakeOutcome::Answered);
        let w = rig.registered_as(broadcaster(DAVE, None));
        rig.lose(w, Loss::Closed);
        let ends = ends(rig);
        assert_eq!(ends.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3], "{ends:?}");
    });
}

#[test]
fn calls_across_exchanges_keep_their_traces_both_ways_and_through() {
    each(|rig| {
        let parent = rig.tie("parent.test", &["*@parent.test"]);
        let home = rig.tie("home.test", &["*@home.test"]);
        let [a, b] = [ALICE, BOB].map(|address| rig.registered(address));
        // Out.
        dial(rig, a, "x@home.test", 1);
        rig.hang_up(a, 1);
        // In, answered and refused.
        dial_forward(rig, parent, "in", BOB, 2);
        dial_forward(rig, parent, "in too", BOB, 3);
        // Through, and the same name once more, which may be a loop.
        dial_forward(rig, parent, "through", "x@home.test", 4);
        dial_forward(rig, home, "through", BOB, 5);
        rig.lose(b, Loss::Closed);
        rig.lose(home, Loss::Vanished);
        let ends = ends(rig);
        let reasons: Vec<_> = ends.iter().map(|(number, reason)| (*number, reason.as_str())).collect();
        assert_eq!(reasons.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!((reasons[2], reasons[4]), ((3, "already_in_call"), (5, "loop_detected")), "{ends:?}");
    });
}
