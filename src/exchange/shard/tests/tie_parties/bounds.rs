//! What a tie line may not do to a party, limits, and the end of all.

use super::*;

/// A link can touch nothing but its own.
#[test]
fn a_link_speaks_only_for_its_own_participants() {
    each(|rig| {
        let (one, two) = (rig.tie("home.test", &["*@home.test"]), rig.tie("b.test", &["*@b.test"]));
        let [a, b] = [ALICE, BOB].map(|name| rig.registered(name));
        [a, b].into_iter().for_each(|phone| rig.join(phone, HALL));
        join_forward(rig, one, HALL, X);
        join_forward(rig, two, ROOM, "v@b.test");
        rig.join(a, CLUB);
        joined(rig, one, CLUB, Some(ALICE), &[ALICE]);
        [a, b, one, two].into_iter().for_each(|phone| drop(rig.heard(phone)));
        for name in [X, ALICE, BOB, "v@b.test"] {
            for party in [HALL, CLUB, "nothing@y.test"] {
                says(rig, two, party, name, "I am not");
                leaves(rig, two, party, name);
                joined(rig, two, party, Some(name), &[name]);
                failed(rig, two, party, Some(name), Cause::NoSuchParty);
                failed(rig, two, party, None, Cause::NoSuchParty);
            }
        }
        join_forward(rig, two, HALL, ALICE);
        rig.expect(two, &["JOIN_FAILED hall@x.test to alice@x.test address_in_use"]);
        // Of a party that it hosts not, a link is no host; nor may it speak for lines here where it is a guest.
        says(rig, one, HALL, BOB, "I am not");
        failed(rig, one, HALL, Some(BOB), Cause::NoSuchParty);
        leaves(rig, one, CLUB, ALICE);
        [a, b, one, two].into_iter().for_each(|phone| rig.expect(phone, &[]));
        rig.say_in_party(b, HALL, "we are all here");
        for phone in [a, one] {
            rig.expect(phone, &["PARTY_MSG hall@x.test from bob@x.test we are all here"]);
        }
        says(rig, one, CLUB, X, "and here");
        rig.expect(a, &["PARTY_MSG club@home.test from x@home.test and here"]);
    });
}

/// A tie line may be a client, too: without `from`, or with its own address, it speaks for itself.
#[test]
fn a_tie_line_may_be_in_a_party_itself() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.register_as(tie, registration(BOB));
        rig.join(tie, HALL);
        rig.join(a, HALL);
        join_forward(rig, tie, HALL, X);
        rig.heard(a);
        assert_eq!(rig.heard(tie).len(), 3);
        rig.say_in_party(tie, HALL, "mine");
        says(rig, tie, "club@x.test", BOB, "nowhere");
        rig.expect(a, &["PARTY_MSG hall@x.test from bob@x.test mine"]);
        rig.expect(tie, &["PARTY_MSG hall@x.test from bob@x.test mine", "ERROR PartyMessage not_in_party"]);
        says(rig, tie, HALL, X, "theirs");
        for phone in [a, tie] {
            rig.expect(phone, &["PARTY_MSG hall@x.test from x@home.test theirs"]);
        }
        rig.say_in_party(a, HALL, "once");
        rig.expect(tie, &["PARTY_MSG hall@x.test from alice@x.test once"]);
        leaves(rig, tie, HALL, BOB);
        rig.join(a, HALL);
        rig.expect(a, &["JOINED hall@x.test [alice@x.test, x@home.test]"]);
    });
}

/// Limits include those who come by links; what others list is cut.
#[test]
fn a_party_has_no_more_members_than_it_may_wherever_they_are() {
    each_with(
        |limits| limits.party_members_max = 2,
        |rig| {
            let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
            rig.join(a, HALL);
            join_forward(rig, tie, HALL, X);
            join_forward(rig, tie, HALL, Y);
            assert_eq!(
                rig.heard(tie).last().map(String::as_str),
                Some("JOIN_FAILED hall@x.test to y@home.test party_full")
            );
            rig.join(a, CLUB);
            rig.heard(a);
            joined(rig, tie, CLUB, Some(ALICE), &[X, Y, ALICE]);
            rig.expect(a, &["JOINED club@home.test [x@home.test, y@home.test]"]);
        },
    );
}

/// Section 19.9: a party's refusals are no ERROR, and go to exchanges that this one has called as well.
#[test]
fn calls_and_parties_over_one_link_do_not_disturb_each_other() {
    each(|rig| {
        let tie = rig.tie("home.test", &["*@home.test"]);
        let a = rig.registered_as(parallel(ALICE, None));
        rig.dial(a, X);
        rig.join(a, CLUB);
        rig.answer(tie, 1);
        joined(rig, tie, CLUB, Some(ALICE), &[ALICE]);
        assert_eq!(rig.heard(a), ["CONNECTED #1 to x@home.test", "JOINED club@home.test [alice@x.test]"]);
        rig.lose(tie, Loss::Vanished);
        let mut heard = rig.heard(a);
        heard.sort();
        assert_eq!(heard, ["ERROR PartyMessage party_lost", "HANGUP #1 error"]);
    });
}

/// A shutdown ends all of it on both sides.
#[test]
fn a_stop_leaves_no_party() {
    each(|rig| {
        let (tie, _) = club(rig, [ALICE, BOB]);
        join_forward(rig, tie, HALL, X);
        for shard in 0..rig.shards.len() {
            rig.handle(shard, crate::exchange::event::Event::Shutdown);
        }
        assert!(is_empty(rig));
    });
}
