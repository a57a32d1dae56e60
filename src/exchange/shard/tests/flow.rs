//! Flow control (design.md, D7).

use super::rig::parallel;
use super::*;
use crate::exchange::event::{Event, Loss};

fn tolerates(rig: &Rig, phone: Phone) -> bool {
    let line = rig.line(phone);
    rig.shards[line.shard().index()].tolerates_backlog(line)
}

fn congested(rig: &mut Rig, phone: Phone) {
    rig.event(phone, Event::Congested);
}

fn drained(rig: &mut Rig, phone: Phone) {
    rig.event(phone, Event::Drained);
}

/// Either side of a call is held while the other takes nothing more.
#[test]
fn a_sender_is_not_read_while_its_receiver_is_congested() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        for (sender, receiver) in [(a, b), (b, a)] {
            congested(rig, receiver);
            assert!(rig.is_paused(sender) && !rig.is_paused(receiver));
            assert!(tolerates(rig, receiver));
            drained(rig, receiver);
            assert!(!rig.is_paused(sender));
        }
    });
}

#[test]
fn a_held_sender_is_read_again_when_the_call_ends() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        congested(rig, b);
        rig.hang_up(b, call);
        assert!(!rig.is_paused(a));
        rig.connect(a, b, BOB);
        assert!(rig.is_paused(a), "the callee is still congested");
        rig.lose(b, Loss::SlowConsumer);
        assert!(!rig.is_paused(a));
        rig.expect(a, &["HANGUP #2 slow_consumer"]);
    });
}

/// Nobody outside a call is delayed: a sender with other business is not held, and its receiver's shard knows.
#[test]
fn a_sender_with_other_business_is_not_held() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        rig.connect(a, b, BOB);
        let other = rig.connect(a, c, CAROL);
        congested(rig, b);
        assert!(!rig.is_paused(a) && !tolerates(rig, b));
        rig.hang_up(c, other);
        assert!(rig.is_paused(a), "the held call is its only one now");
        drained(rig, b);
        assert!(!rig.is_paused(a));
    });
}

/// The same when the other business comes while it is held.
#[test]
fn a_held_callee_that_is_called_again_is_read_again() {
    each(|rig| {
        let (a, b, c) =
            (rig.registered(ALICE), rig.registered_as(parallel(BOB, None)), rig.registered(CAROL));
        rig.connect(a, b, BOB);
        congested(rig, a);
        assert!(rig.is_paused(b) && tolerates(rig, a));
        rig.dial_as(c, BOB, "r");
        assert!(!rig.is_paused(b) && !tolerates(rig, a));
        rig.hang_up(c, 2);
        assert!(rig.is_paused(b));
    });
}

/// Heedless once is not heedless for ever: each congestion asks anew.
#[test]
fn a_sender_that_can_be_held_again_is_trusted_again() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        rig.join(a, ROOM);
        congested(rig, b);
        assert!(!tolerates(rig, b));
        drained(rig, b);
        rig.leave(a, ROOM);
        congested(rig, b);
        assert!(rig.is_paused(a) && tolerates(rig, b));
    });
}

/// A line that is congested already when its call comes up holds the other end from the start.
#[test]
fn a_congested_party_holds_its_new_call() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        congested(rig, a);
        rig.connect(a, b, BOB);
        assert!(rig.is_paused(b));
        drained(rig, a);
        assert!(!rig.is_paused(b));
    });
}

/// Only what is held may pile up: nothing else is tolerated.
#[test]
fn idle_and_ringing_lines_are_allowed_no_backlog() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        assert!(!tolerates(rig, a));
        rig.dial(a, BOB);
        assert!(!tolerates(rig, a) && !tolerates(rig, b));
        rig.answer(b, 1);
        assert!(tolerates(rig, a) && tolerates(rig, b));
    });
}
