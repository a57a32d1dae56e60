//! Lines that bear an address of another shard's because they cannot move now (design.md, D1).

use super::rig::{broadcaster, parallel, pooled, registration, wakeable};
use super::*;
use crate::exchange::event::{Loss, Request};

/// BOB, in a call with ALICE, is DAVE from now on. With three shards it is a guest then.
fn renamed_in_a_call(rig: &mut Rig) -> [Phone; 2] {
    let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
    let call = rig.connect(a, b, BOB);
    assert_eq!(call, 1);
    rig.register(b, DAVE);
    rig.expect(b, &["REGISTERED dave@x.test"]);
    assert_eq!(rig.is_guest(b), rig.is_sharded());
    [a, b]
}

/// 4 [F]: calls stay; what is said bears the new name.
#[test]
fn a_rename_during_a_call_keeps_the_call() {
    each(|rig| {
        let [a, b] = renamed_in_a_call(rig);
        rig.say(b, 1, "me");
        rig.expect(a, &["MSG #1 from dave@x.test me"]);
        rig.register(a, EVE);
        rig.say(a, 1, "and me");
        rig.expect(b, &["MSG #1 from eve@x.test and me"]);
    });
}

/// The old address is free, the new one is found and taken.
#[test]
fn a_guest_is_found_by_its_new_address_only() {
    each(|rig| {
        let [_, b] = renamed_in_a_call(rig);
        let c = rig.registered(CAROL);
        rig.dial(c, DAVE);
        rig.expect(c, &["BUSY dave@x.test already_in_call"]);
        rig.dial(c, BOB);
        rig.expect(c, &["BUSY bob@x.test no_such_address"]);
        let thief = rig.phone();
        rig.register(thief, DAVE);
        rig.expect(thief, &["REGISTER_FAILED address_in_use"]);
        rig.registered(BOB);
        rig.register(b, DAVE);
        rig.expect(b, &["REGISTERED dave@x.test"]);
    });
}

#[test]
fn a_guest_goes_home_when_its_last_call_is_over() {
    each(|rig| {
        let [a, b] = renamed_in_a_call(rig);
        rig.hang_up(a, 1);
        assert!(!rig.is_guest(b));
        assert_eq!(rig.line(b).shard(), super::super::super::address::home(DAVE, rig.shards.len()));
        rig.connect(a, b, DAVE);
    });
}

#[test]
fn a_guest_that_is_lost_frees_its_address() {
    each(|rig| {
        let [a, b] = renamed_in_a_call(rig);
        rig.lose(b, Loss::Closed);
        rig.expect(a, &["HANGUP #1 peer_disconnected"]);
        rig.registered(DAVE);
    });
}

/// A claim may be refused; the line keeps the address it has.
#[test]
fn a_rename_to_a_held_address_during_a_call_is_refused() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.registered(DAVE);
        let call = rig.connect(a, b, BOB);
        rig.register(b, DAVE);
        rig.say(b, call, "still bob");
        rig.expect(b, &["REGISTER_FAILED address_in_use"]);
        rig.expect(a, &["MSG #1 from bob@x.test still bob"]);
        assert!(!rig.is_paused(b));
    });
}

/// The call ends while the claim is on its way: the guest goes home at once.
#[test]
fn a_claim_granted_to_a_line_that_is_idle_again_sends_it_home() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        rig.hold_trunks = true;
        rig.register(b, DAVE);
        rig.hang_up(a, call);
        rig.hold_trunks = false;
        rig.carry();
        assert!(!rig.is_guest(b));
        rig.connect(a, b, DAVE);
    });
}

/// The line is lost while its claim is on its way: nobody holds the address.
#[test]
fn a_claim_granted_to_a_lost_line_is_given_back() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        rig.hold_trunks = true;
        rig.register(b, DAVE);
        rig.lose(b, Loss::Closed);
        rig.hold_trunks = false;
        rig.carry();
        rig.registered(DAVE);
        rig.registered(BOB);
    });
}

/// 15 [F]: a profile is taken over only after the registration has succeeded.
#[test]
fn a_claim_given_back_leaves_the_wake_profile_where_it_was() {
    each(|rig| {
        let sleeper = rig.registered_as(wakeable(registration(DAVE)));
        rig.ask(sleeper, Request::SleepAck);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        if !rig.is_sharded() {
            return;
        }
        rig.hold_trunks = true;
        rig.register(b, DAVE);
        rig.lose(b, Loss::Closed);
        rig.hold_trunks = false;
        rig.carry();
        rig.dial(a, DAVE);
        assert_eq!(rig.wakes.len(), 1);
    });
}

/// A dial reaches a callee that is on its way home.
#[test]
fn a_dial_finds_a_callee_in_transit() {
    each(|rig| {
        let [a, b] = renamed_in_a_call(rig);
        let c = rig.registered(CAROL);
        rig.hold_trunks = true;
        rig.hang_up(a, 1);
        while rig.carry_one(2, 0) || rig.carry_one(0, 1) {}
        rig.dial(c, DAVE);
        rig.carry_one(1, 2);
        rig.hold_trunks = false;
        rig.carry();
        assert!(!rig.is_guest(b));
        rig.expect(b, &["HANGUP #1 normal", "RING #2 from carol@x.test"]);
        rig.answer(b, 2);
        rig.expect(c, &["CONNECTED #2 to dave@x.test"]);
    });
}

/// `Located`: a caller that cancels hears nothing more, wherever its dial has been sent on to.
#[test]
fn a_dial_that_was_sent_on_can_be_cancelled_at_any_time() {
    for steps in 0..8 {
        each(|rig| {
            let (a, b) = (rig.registered(ALICE), rig.registered_as(parallel(BOB, None)));
            rig.connect(a, b, BOB);
            rig.register_as(b, parallel(DAVE, None));
            let c = rig.registered(CAROL);
            rig.heard(b);
            rig.hold_trunks = true;
            rig.dial_as(c, DAVE, "r");
            let ways = [(1, 2), (2, 0), (0, 1), (1, 2), (2, 0), (0, 1), (1, 0), (0, 1)];
            for (from, to) in &ways[..steps] {
                rig.carry_one(*from, *to);
            }
            rig.hang_up(c, 2);
            rig.hold_trunks = false;
            rig.carry();
            let heard = rig.heard(b);
            assert_eq!(heard.len(), 2, "{heard:?}");
            assert_eq!(heard[1], "HANGUP #2 cancelled");
            assert_eq!(rig.total(|counts| counts.legs), 1);
        });
    }
}

/// Two members of one pool may be guests on one shard; each is found, and each leaves alone.
#[test]
fn guests_of_one_address_do_not_get_in_each_others_way() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(EVE));
        let (m1, m2) = (rig.registered(BOB), rig.registered(HALL));
        rig.connect(m1, a, ALICE);
        rig.connect(m2, b, EVE);
        rig.register_as(m1, pooled(POOL, 3, Some(5)));
        rig.register_as(m2, pooled(POOL, 3, Some(5)));
        assert_eq!(rig.total(|counts| counts.guests), if rig.is_sharded() { 2 } else { 0 });
        rig.lose(m2, Loss::Closed);
        let c = rig.registered(CAROL);
        rig.dial(c, POOL);
        rig.expect(c, &[]);
        assert_eq!(rig.heard(m1).last().map(String::as_str), Some("RING #3 from carol@x.test"));
    });
}

/// A line with a party is a guest as well, and its party knows its new name.
#[test]
fn a_party_member_that_renames_itself_stays_in_and_is_renamed() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.join(a, ROOM);
        rig.join(b, ROOM);
        rig.register(b, CAROL);
        rig.say_in_party(b, ROOM, "hi");
        rig.expect(a, &["JOINED room@x.test [alice@x.test]", "PARTY_MSG room@x.test from carol@x.test hi"]);
        assert_eq!(rig.is_guest(b), rig.is_sharded());
        rig.leave(b, ROOM);
        assert!(!rig.is_guest(b));
        rig.connect(a, b, CAROL);
    });
}

/// A guest may rename itself again, also to an address of the shard where it is.
#[test]
fn a_guest_may_rename_itself_again() {
    each(|rig| {
        let [a, b] = renamed_in_a_call(rig);
        for name in [EVE, BOB, CAROL] {
            rig.register(b, name);
            rig.expect(b, &[&format!("REGISTERED {name}")]);
        }
        rig.crowd(&[DAVE, EVE, BOB]);
        rig.hang_up(a, 1);
        assert!(!rig.is_guest(b));
    });
}

/// 13 for a guest: its session and its settings are its own.
#[test]
fn a_guest_may_broadcast() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        rig.register_as(b, broadcaster(RADIO, None));
        let c = rig.registered(CAROL);
        rig.dial(c, RADIO);
        rig.say(b, 2, "news");
        rig.expect(c, &["CONNECTED #2 to radio@x.test", "MSG #2 from radio@x.test news"]);
    });
}
