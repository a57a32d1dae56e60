//! What the operator ends: both sides hear it, whatever the call is and wherever its ends are; nothing of it remains.

use super::rig::{broadcaster, registration, wakeable};
use super::*;
use crate::exchange::address::LOG_SERVICE;
use crate::exchange::event::Event;

/// The operator's word goes to every shard, as in the shell.
fn cut(rig: &mut Rig, call: usize) {
    let call = rig.call(call);
    let places = rig.shards.iter().filter(|shard| shard.has_record_of(call)).count();
    assert!(places <= 1, "a record is in one place");
    for shard in 0..rig.shards.len() {
        rig.handle(shard, Event::CutCall(call));
    }
}

#[test]
fn a_call_that_is_up_ends_for_both_and_is_logged_as_the_exchanges_doing() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        cut(rig, call);
        rig.expect(a, &["HANGUP #1 admin"]);
        rig.expect(b, &["HANGUP #1 admin"]);
        assert_eq!(rig.call_log(), ["alice@x.test > bob@x.test Single admin by Exchange"]);
        cut(rig, call);
        rig.expect(a, &[]);
        rig.connect(a, b, BOB);
    });
}

#[test]
fn a_call_that_rings_fails_for_the_caller_and_stops_ringing() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, BOB);
        assert_eq!(rig.heard(b), ["RING #1 from alice@x.test"]);
        cut(rig, 1);
        rig.expect(a, &["BUSY bob@x.test admin"]);
        rig.expect(b, &["HANGUP #1 admin"]);
        rig.connect(b, a, ALICE);
    });
}

#[test]
fn a_call_that_waits_for_a_sleeping_agent_fails_and_the_agent_is_found_free() {
    each(|rig| {
        let b = rig.registered_as(wakeable(registration(BOB)));
        rig.ask(b, crate::exchange::event::Request::Unregister);
        let a = rig.registered(ALICE);
        rig.dial_as(a, BOB, "mine");
        assert_eq!(rig.heard(a), ["DIALING mine #1 to bob@x.test"]);
        cut(rig, 1);
        rig.expect(a, &["BUSY bob@x.test admin #1 ref mine"]);
        assert_eq!(rig.total(|counts| counts.waiting_calls), 0);
    });
}

/// Found by the simulation: it was told so after it had gone, under a name that it no longer had.
#[test]
fn a_guest_that_broadcasts_is_told_before_it_goes_home() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        rig.register_as(b, broadcaster(DAVE, None));
        let listener = rig.registered(EVE);
        rig.dial(listener, DAVE);
        rig.hang_up(a, call);
        rig.heard(b);
        let was_guest = rig.is_guest(b);
        cut(rig, 2);
        rig.expect(b, &["HANGUP #2 admin"]);
        assert_eq!((was_guest, rig.is_guest(b)), (rig.is_sharded(), false));
    });
}

#[test]
fn a_broadcast_ends_for_all_and_the_broadcaster_is_told() {
    each(|rig| {
        let host = rig.registered_as(broadcaster(HALL, None));
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, HALL);
        rig.dial(b, HALL);
        rig.heard(host);
        cut(rig, 1);
        rig.expect(host, &["HANGUP #1 admin"]);
        for listener in [a, b] {
            rig.expect(listener, &["CONNECTED #1 to hall@x.test", "HANGUP #1 admin"]);
        }
        assert_eq!(rig.call_log().len(), 2);
    });
}

#[test]
fn a_listener_can_be_cut_alone_by_the_name_of_its_dial() {
    each(|rig| {
        let host = rig.registered_as(broadcaster(HALL, None));
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial_as(a, HALL, "mine");
        rig.dial(b, HALL);
        rig.heard(host);
        rig.heard(a);
        rig.heard(b);
        cut(rig, 1);
        rig.expect(a, &["HANGUP #2 admin"]);
        rig.expect(host, &["HANGUP #2 admin from alice@x.test"]);
        rig.expect(b, &[]);
    });
}

#[test]
fn a_line_is_closed_with_everything_it_has_and_its_agent_can_be_woken() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered_as(wakeable(registration(BOB))));
        rig.connect(a, b, BOB);
        rig.join(b, ROOM);
        rig.heard(b);
        rig.event(b, Event::CutLine);
        rig.expect(b, &["CLOSE admin"]);
        rig.expect(a, &["HANGUP #1 admin"]);
        assert_eq!(rig.call_log(), ["alice@x.test > bob@x.test Single admin by Exchange"]);
        rig.dial(a, BOB);
        assert_eq!(rig.wakes.len(), 1);
    });
}

#[test]
fn a_service_of_the_exchange_stays() {
    each(|rig| {
        let service = rig.open(true);
        rig.register_as(service, broadcaster(LOG_SERVICE, None));
        rig.heard(service);
        rig.event(service, Event::CutLine);
        rig.expect(service, &[]);
        rig.registered(ALICE);
    });
}

#[test]
fn a_call_over_a_link_ends_on_both_sides() {
    each(|rig| {
        let tie = rig.tie("far.test", &["*@far.test"]);
        let a = rig.registered(ALICE);
        rig.dial(a, "bob@far.test");
        rig.heard(tie);
        assert_eq!(rig.total(|counts| counts.tie_calls), 1);
        cut(rig, 1);
        rig.expect(a, &["BUSY bob@far.test admin"]);
        rig.expect(tie, &["HANGUP #1 admin"]);
        rig.dial_forward(tie, "theirs", "bob@far.test", ALICE);
        rig.heard(a);
        rig.heard(tie);
        cut(rig, 2);
        assert_eq!(rig.heard(a), ["HANGUP #2 admin"]);
        assert_eq!(rig.heard(tie).len(), 1);
    });
}
