//! Party lines (spec sections 17, 24).

use super::rig::address;
use super::*;
use crate::exchange::event::{ContentType, Loss, Request};

/// 24, party.
#[test]
fn everybody_else_in_a_party_hears_what_one_says() {
    each(|rig| {
        let [a, b, c] = [ALICE, BOB, CAROL].map(|name| rig.registered(name));
        for (phone, joined) in [
            (a, "JOINED room@x.test [alice@x.test]"),
            (b, "JOINED room@x.test [alice@x.test, bob@x.test]"),
            (c, "JOINED room@x.test [alice@x.test, bob@x.test, carol@x.test]"),
        ] {
            rig.heard(phone);
            rig.join(phone, ROOM);
            rig.expect(phone, &[joined]);
        }
        rig.say_in_party(a, ROOM, "hi");
        for other in [b, c] {
            rig.expect(other, &["PARTY_MSG room@x.test from alice@x.test hi"]);
        }
        rig.leave(b, ROOM);
        rig.say_in_party(a, ROOM, "again");
        rig.expect(c, &["PARTY_MSG room@x.test from alice@x.test again"]);
        rig.expect(b, &[]);
        rig.expect(a, &[]);
    });
}

#[test]
fn joining_again_tells_who_is_in_and_changes_nothing() {
    each(|rig| {
        let [a, b] = [ALICE, BOB].map(|name| rig.registered(name));
        rig.join(a, ROOM);
        rig.join(b, ROOM);
        rig.heard(a);
        rig.join(a, ROOM);
        rig.expect(a, &["JOINED room@x.test [alice@x.test, bob@x.test]"]);
        rig.say_in_party(b, ROOM, "once");
        rig.expect(a, &["PARTY_MSG room@x.test from bob@x.test once"]);
    });
}

#[test]
fn parties_are_for_registered_lines_and_their_members() {
    each(|rig| {
        let (stranger, a) = (rig.phone(), rig.registered(ALICE));
        rig.join(stranger, ROOM);
        rig.leave(stranger, ROOM);
        rig.expect(stranger, &["ERROR Join not_registered", "ERROR Leave not_registered"]);
        rig.heard(a);
        rig.say_in_party(a, ROOM, "hello?");
        rig.leave(a, ROOM);
        rig.ask(a, Request::Join { party: address(ROOM), create_if_missing: false });
        rig.expect(
            a,
            &["ERROR PartyMessage not_in_party", "ERROR Leave not_in_party", "ERROR Join no_such_party"],
        );
    });
}

/// A party exists while it has participants; a disconnect leaves all parties.
#[test]
fn a_party_ends_with_its_last_member() {
    each(|rig| {
        let [a, b] = [ALICE, BOB].map(|name| rig.registered(name));
        rig.join(a, ROOM);
        rig.join(a, HALL);
        rig.join(b, ROOM);
        rig.lose(a, Loss::Closed);
        rig.heard(b);
        rig.join(b, ROOM);
        rig.expect(b, &["JOINED room@x.test [bob@x.test]"]);
        rig.ask(b, Request::Join { party: address(HALL), create_if_missing: false });
        rig.expect(b, &["ERROR Join no_such_party"]);
        rig.leave(b, ROOM);
        assert_eq!(rig.total(|counts| counts.parties + counts.audiences), 0);
    });
}

/// Membership is no call and makes nobody busy.
#[test]
fn a_member_of_a_party_is_available() {
    each(|rig| {
        let [a, b] = [ALICE, BOB].map(|name| rig.registered(name));
        rig.join(a, ROOM);
        rig.join(b, ROOM);
        rig.ask(a, Request::Presence(Box::default()));
        assert_eq!(rig.heard(a).pop().as_deref(), Some("PRESENCE [bob@x.test Available]"));
        rig.dial(a, BOB);
        assert_eq!(rig.heard(b).pop().as_deref(), Some("RING #1 from alice@x.test"));
    });
}

/// The name spaces of parties and addresses are separate; content types and absent data stay as given.
#[test]
fn a_party_may_be_named_like_a_line() {
    each(|rig| {
        let [a, b] = [ALICE, BOB].map(|name| rig.registered(name));
        rig.join(a, BOB);
        rig.join(b, BOB);
        rig.heard(b);
        let content_type = Some(ContentType::Json);
        rig.ask(a, Request::PartyMessage { party: BOB.into(), data: None, content_type });
        rig.expect(b, &["PARTY_MSG bob@x.test from alice@x.test (json)"]);
    });
}

/// Answers to JOIN keep the order of the questions; a refusal does not cost the seat of the next one.
#[test]
fn a_refused_join_does_not_disturb_the_next_one() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.heard(a);
        rig.hold_trunks = true;
        for create_if_missing in [false, true] {
            if rig.is_paused(a) {
                rig.carry();
            }
            rig.ask(a, Request::Join { party: address(HALL), create_if_missing });
        }
        rig.hold_trunks = false;
        rig.carry();
        rig.expect(a, &["ERROR Join no_such_party", "JOINED hall@x.test [alice@x.test]"]);
    });
}

/// A line that is lost before it has heard that it is in, is out.
#[test]
fn a_member_that_is_lost_while_it_joins_is_out() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.hold_trunks = true;
        rig.join(a, HALL);
        rig.lose(a, Loss::Closed);
        rig.hold_trunks = false;
        rig.carry();
        assert_eq!(rig.total(|counts| counts.parties), 0);
    });
}
