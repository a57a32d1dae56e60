//! Party lines across exchanges, on both sides of a tie line (spec section 19.7), and what a tie line may not do.

mod bounds;
mod transit;

use std::sync::Arc;

use bytes::Bytes;

use super::rig::{address, parallel, patterns, pooled, registration};
use super::*;
use crate::exchange::cause::Cause;
use crate::exchange::event::{Loss, Request};
use crate::exchange::limits::{PARTY_HOPS_MAX, PARTY_WAIT_MS};
use crate::exchange::tie::{Peer, TieRequest};
use crate::exchange::tie_party::{PartyTalk, PartyWord};

/// A party that a tie line leads to, and somebody there.
pub(super) const CLUB: &str = "club@home.test";
pub(super) const X: &str = "x@home.test";
pub(super) const Y: &str = "y@home.test";

fn talk(rig: &mut Rig, tie: Phone, party: &str, word: PartyWord) {
    let talk = PartyTalk { party: address(party), word };
    rig.ask(tie, Request::Tie(TieRequest::Party(Box::new(talk))));
}

pub(super) fn join_forward(rig: &mut Rig, tie: Phone, party: &str, from: &str) {
    talk(rig, tie, party, PartyWord::Join { from: address(from), create_if_missing: true, hops: 1 });
}

pub(super) fn joined(rig: &mut Rig, tie: Phone, party: &str, to: Option<&str>, names: &[&str]) {
    let participants: Arc<[_]> = names.iter().map(|name| address(name)).collect();
    talk(rig, tie, party, PartyWord::Joined { to: to.map(address), participants });
}

fn failed(rig: &mut Rig, tie: Phone, party: &str, to: Option<&str>, cause: Cause) {
    talk(rig, tie, party, PartyWord::Failed { to: to.map(address), cause });
}

pub(super) fn says(rig: &mut Rig, tie: Phone, party: &str, from: &str, text: &'static str) {
    let data = Some(Bytes::from_static(text.as_bytes()));
    talk(rig, tie, party, PartyWord::Says { from: address(from), data, content_type: None });
}

fn leaves(rig: &mut Rig, tie: Phone, party: &str, from: &str) {
    talk(rig, tie, party, PartyWord::Leave { from: address(from) });
}

/// The tie line to the host of [`CLUB`], and the first members here, let in.
fn club<const N: usize>(rig: &mut Rig, names: [&str; N]) -> (Phone, [Phone; N]) {
    let tie = rig.tie("home.test", &["*@home.test"]);
    let phones = names.map(|name| {
        let phone = rig.registered(name);
        rig.join(phone, CLUB);
        joined(rig, tie, CLUB, Some(name), &[name]);
        phone
    });
    rig.heard(tie);
    phones.iter().for_each(|&phone| drop(rig.heard(phone)));
    (tie, phones)
}

fn is_empty(rig: &Rig) -> bool {
    rig.total(|counts| counts.parties + counts.audiences + counts.timers) == 0
}

/// 19.7: JOIN whose party matches a PBX route; JOINED on the link is relayed to the client, participants as given.
#[test]
fn a_join_whose_party_matches_a_route_goes_to_that_link_and_its_answer_to_the_client() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.ask(a, Request::Join { party: address(CLUB), create_if_missing: false });
        rig.expect(tie, &["JOIN_FORWARD club@home.test from alice@x.test if there"]);
        rig.expect(a, &[]);
        assert!(!rig.is_paused(a), "it is read while the host thinks");
        joined(rig, tie, CLUB, Some(ALICE), &[X, ALICE]);
        rig.expect(a, &["JOINED club@home.test [x@home.test, alice@x.test]"]);
        // 17: JOIN again while inside is answered again.
        rig.join(a, CLUB);
        rig.expect(tie, &["JOIN_FORWARD club@home.test from alice@x.test"]);
        joined(rig, tie, CLUB, Some(ALICE), &[X, ALICE, Y]);
        rig.expect(a, &["JOINED club@home.test [x@home.test, alice@x.test, y@home.test]"]);
        rig.leave(a, CLUB);
        rig.expect(tie, &["LEAVE club@home.test from alice@x.test"]);
        assert!(is_empty(rig));
    });
}

/// 19.7: the host exchange adds the remote participant and answers on the link.
#[test]
fn the_host_adds_the_remote_participant_and_answers_on_the_link() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.join(a, HALL);
        rig.heard(a);
        join_forward(rig, tie, HALL, X);
        rig.expect(tie, &["JOINED hall@x.test [alice@x.test, x@home.test] to x@home.test"]);
        rig.expect(a, &[]);
        join_forward(rig, tie, HALL, Y);
        join_forward(rig, tie, HALL, X);
        rig.expect(
            tie,
            &[
                "JOINED hall@x.test [alice@x.test, x@home.test, y@home.test] to y@home.test",
                "JOINED hall@x.test [alice@x.test, x@home.test, y@home.test] to x@home.test",
            ],
        );
        let absent = PartyWord::Join { from: address(X), create_if_missing: false, hops: 1 };
        talk(rig, tie, ROOM, absent);
        rig.expect(tie, &["JOIN_FAILED room@x.test to x@home.test no_such_party"]);
        join_forward(rig, tie, ROOM, X);
        rig.expect(tie, &["JOINED room@x.test [x@home.test] to x@home.test"]);
    });
}

/// 19.7: `to`; without it the oldest waiting joiner of that party.
#[test]
fn an_answer_without_addressee_is_for_whoever_has_waited_longest() {
    each(|rig| {
        let tie = rig.tie("home.test", &["*@home.test"]);
        let [a, b, c] = [ALICE, BOB, CAROL].map(|name| {
            let phone = rig.registered(name);
            rig.join(phone, CLUB);
            rig.heard(phone);
            phone
        });
        joined(rig, tie, CLUB, Some(BOB), &[BOB]);
        rig.expect(b, &["JOINED club@home.test [bob@x.test]"]);
        joined(rig, tie, CLUB, None, &[BOB, ALICE]);
        rig.expect(a, &["JOINED club@home.test [bob@x.test, alice@x.test]"]);
        failed(rig, tie, CLUB, None, Cause::PartyFull);
        rig.expect(c, &["ERROR Join party_full"]);
        // Nobody waits any more.
        joined(rig, tie, CLUB, None, &[CAROL]);
        joined(rig, tie, CLUB, Some(CAROL), &[CAROL]);
        [a, b, c].into_iter().for_each(|phone| rig.expect(phone, &[]));
    });
}

/// 19.7: PARTY_MSG from the remote participant goes up; the host fans out to all others, not to the speaker.
#[test]
fn what_a_member_of_a_remote_party_says_goes_up_only() {
    each(|rig| {
        let (tie, [a, b]) = club(rig, [ALICE, BOB]);
        rig.say_in_party(a, CLUB, "hi");
        rig.expect(tie, &["PARTY_MSG club@home.test from alice@x.test hi"]);
        rig.expect(b, &[]);
        says(rig, tie, CLUB, ALICE, "hi");
        rig.expect(b, &["PARTY_MSG club@home.test from alice@x.test hi"]);
        rig.expect(a, &[]);
        says(rig, tie, CLUB, X, "ho");
        for phone in [a, b] {
            rig.expect(phone, &["PARTY_MSG club@home.test from x@home.test ho"]);
        }
        rig.expect(tie, &[]);
    });
}

/// 19.7: local ones directly, remote ones as one PARTY_MSG per link, also over the link it came by if others are there.
#[test]
fn the_host_tells_local_members_directly_and_each_link_once() {
    each(|rig| {
        let (one, two) = (rig.tie("home.test", &["*@home.test"]), rig.tie("b.test", &["*@b.test"]));
        let [a, b] = [ALICE, BOB].map(|name| rig.registered(name));
        [a, b].into_iter().for_each(|phone| rig.join(phone, HALL));
        join_forward(rig, one, HALL, X);
        for name in ["v@b.test", "w@b.test"] {
            join_forward(rig, two, HALL, name);
        }
        [a, b, one, two].into_iter().for_each(|phone| drop(rig.heard(phone)));
        rig.say_in_party(a, HALL, "hi");
        for phone in [b, one, two] {
            rig.expect(phone, &["PARTY_MSG hall@x.test from alice@x.test hi"]);
        }
        rig.expect(a, &[]);
        says(rig, one, HALL, X, "ho");
        for phone in [a, b, two] {
            rig.expect(phone, &["PARTY_MSG hall@x.test from x@home.test ho"]);
        }
        rig.expect(one, &[]);
        says(rig, two, HALL, "v@b.test", "ha");
        for phone in [a, b, one, two] {
            rig.expect(phone, &["PARTY_MSG hall@x.test from v@b.test ha"]);
        }
    });
}

/// 19.7: LEAVE / disconnect.
#[test]
fn whoever_leaves_or_is_lost_is_said_to_leave() {
    each(|rig| {
        let (tie, [a, b]) = club(rig, [ALICE, BOB]);
        rig.leave(a, CLUB);
        rig.expect(tie, &["LEAVE club@home.test from alice@x.test"]);
        rig.lose(b, Loss::Vanished);
        rig.expect(tie, &["LEAVE club@home.test from bob@x.test"]);
        assert!(is_empty(rig));
        let c = rig.registered(CAROL);
        rig.join(c, HALL);
        join_forward(rig, tie, HALL, X);
        leaves(rig, tie, HALL, X);
        rig.heard(tie);
        rig.say_in_party(c, HALL, "anybody?");
        rig.expect(tie, &[]);
    });
}

/// 19.7: link lost.
#[test]
fn the_host_drops_the_participants_of_a_link_that_is_lost() {
    each(|rig| {
        let (one, two) = (rig.tie("home.test", &["*@home.test"]), rig.tie("b.test", &["*@b.test"]));
        let a = rig.registered(ALICE);
        join_forward(rig, one, HALL, X);
        join_forward(rig, one, ROOM, X);
        rig.join(a, HALL);
        join_forward(rig, two, HALL, "v@b.test");
        rig.heard(a);
        rig.lose(one, Loss::Vanished);
        rig.expect(a, &[]);
        rig.join(a, HALL);
        rig.expect(a, &["JOINED hall@x.test [alice@x.test, v@b.test]"]);
        rig.ask(a, Request::Join { party: address(ROOM), create_if_missing: false });
        rig.expect(a, &["ERROR Join no_such_party"]);
    });
}

/// The member's side of a lost link: each is told once, and may JOIN again.
#[test]
fn members_of_a_party_whose_host_is_lost_are_told_and_may_join_again() {
    each(|rig| {
        let (tie, [a, b]) = club(rig, [ALICE, BOB]);
        let c = rig.registered(CAROL);
        rig.join(c, CLUB);
        rig.heard(c);
        rig.lose(tie, Loss::Closed);
        for phone in [a, b] {
            rig.expect(phone, &["ERROR PartyMessage party_lost"]);
        }
        rig.expect(c, &["ERROR Join party_lost"]);
        assert!(is_empty(rig));
        rig.say_in_party(a, CLUB, "hello?");
        rig.expect(a, &["ERROR PartyMessage not_in_party"]);
        let tie = rig.tie("home.test", &["*@home.test"]);
        rig.join(a, CLUB);
        rig.expect(tie, &["JOIN_FORWARD club@home.test from alice@x.test"]);
        joined(rig, tie, CLUB, Some(ALICE), &[ALICE]);
        rig.expect(a, &["JOINED club@home.test [alice@x.test]"]);
    });
}

/// [P]: a host that says no is believed at once; one that says nothing for a while is not waited for.
#[test]
fn a_host_that_refuses_or_is_silent_ends_the_wait() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.heard(a);
        rig.join(a, CLUB);
        failed(rig, tie, CLUB, Some(ALICE), Cause::NoSuchParty);
        rig.expect(a, &["ERROR Join no_such_party"]);
        assert!(is_empty(rig));
        rig.heard(tie);
        rig.join(a, CLUB);
        let b = rig.registered(BOB);
        rig.wait_ms(PARTY_WAIT_MS / 2);
        rig.join(b, CLUB);
        rig.wait_ms(PARTY_WAIT_MS / 2 + 10);
        rig.expect(a, &["ERROR Join timeout"]);
        joined(rig, tie, CLUB, Some(BOB), &[BOB]);
        assert_eq!(rig.heard(b).pop().as_deref(), Some("JOINED club@home.test [bob@x.test]"));
        rig.wait_ms(PARTY_WAIT_MS);
        rig.expect(b, &[]);
        // What has been given up is taken back, so that the host has no dead member; its late answer finds nobody.
        let said =
            ["JOIN_FORWARD club@home.test from alice@x.test", "JOIN_FORWARD club@home.test from bob@x.test"];
        rig.expect(tie, &[said[0], said[1], "LEAVE club@home.test from alice@x.test"]);
        joined(rig, tie, CLUB, Some(ALICE), &[ALICE]);
        rig.expect(a, &[]);
    });
}

/// A member that the host puts out is told so.
#[test]
fn a_member_that_the_host_puts_out_is_told() {
    each(|rig| {
        let (tie, [a, b]) = club(rig, [ALICE, BOB]);
        failed(rig, tie, CLUB, Some(ALICE), Cause::PartyLost);
        rig.expect(a, &["ERROR PartyMessage party_lost"]);
        rig.expect(b, &[]);
        failed(rig, tie, CLUB, Some(X), Cause::PartyLost);
        failed(rig, tie, CLUB, None, Cause::PartyLost);
        rig.expect(b, &[]);
    });
}

/// LEAVE while it waits, a second JOIN, and the answers to the first one.
#[test]
fn a_line_may_leave_and_join_again_while_the_host_thinks() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.heard(a);
        rig.join(a, CLUB);
        rig.say_in_party(a, CLUB, "not yet");
        rig.expect(a, &["ERROR PartyMessage not_in_party"]);
        // A second JOIN shares the answer to the first.
        rig.join(a, CLUB);
        rig.expect(tie, &["JOIN_FORWARD club@home.test from alice@x.test"]);
        joined(rig, tie, CLUB, Some(ALICE), &[ALICE]);
        rig.expect(a, &["JOINED club@home.test [alice@x.test]"]);
        rig.leave(a, CLUB);
        rig.heard(tie);
        rig.join(a, CLUB);
        rig.leave(a, CLUB);
        rig.expect(
            tie,
            &["JOIN_FORWARD club@home.test from alice@x.test", "LEAVE club@home.test from alice@x.test"],
        );
        assert!(is_empty(rig));
        joined(rig, tie, CLUB, Some(ALICE), &[ALICE]);
        rig.expect(a, &[]);
    });
}

/// What crosses between shards: an answer to a JOIN that has been taken back, and the loss of a party that is joined again.
#[test]
fn an_answer_that_crosses_a_leave_is_not_taken_for_that_to_the_next_join() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.join(a, CLUB);
        rig.heard(a);
        for answer in 0..3 {
            rig.hold_trunks = true;
            match answer {
                0 => joined(rig, tie, CLUB, Some(ALICE), &[ALICE]),
                1 => failed(rig, tie, CLUB, Some(ALICE), Cause::NoSuchParty),
                _ => rig.lose(tie, Loss::Closed),
            }
            // Whatever of it is under way on other shards, this line leaves and joins before it hears of it.
            if rig.is_sharded() {
                rig.leave(a, CLUB);
                rig.join(a, CLUB);
            } else if answer > 0 {
                rig.join(a, CLUB);
            }
            rig.hold_trunks = false;
            rig.carry();
            assert!(!rig.is_paused(a));
            rig.heard(a);
        }
    });
}

#[test]
fn a_line_that_is_lost_while_it_waits_is_out() {
    each(|rig| {
        for hold_trunks in [false, true] {
            let tie = rig.tie("home.test", &["*@home.test"]);
            let a = rig.registered(ALICE);
            rig.hold_trunks = hold_trunks;
            rig.join(a, CLUB);
            rig.lose(a, Loss::Closed);
            joined(rig, tie, CLUB, Some(ALICE), &[ALICE]);
            rig.hold_trunks = false;
            rig.carry();
            assert!(is_empty(rig));
            let heard = rig.heard(tie);
            assert_eq!(heard.last().map(String::as_str), Some("LEAVE club@home.test from alice@x.test"));
            rig.lose(tie, Loss::Closed);
        }
    });
}

/// Nobody is left behind, wherever the word of the loss and other words cross.
#[test]
fn a_link_that_is_lost_at_any_point_leaves_nobody() {
    each(|rig| {
        for carried in 0..12 {
            let tie = rig.tie("home.test", &["*@home.test"]);
            let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
            rig.hold_trunks = true;
            rig.join(a, CLUB);
            rig.join(b, HALL);
            join_forward(rig, tie, HALL, X);
            for step in 0..carried {
                rig.carry_one(step % 3, (step + 1 + step / 3) % 3);
            }
            rig.lose(tie, Loss::Vanished);
            rig.hold_trunks = false;
            rig.carry();
            let heard = rig.heard(a);
            assert_eq!(heard, ["ERROR Join party_lost".to_owned()], "{carried}");
            assert!(rig.heard(b).iter().any(|notice| notice.starts_with("JOINED hall@x.test")));
            rig.join(b, HALL);
            rig.expect(b, &["JOINED hall@x.test [bob@x.test]"]);
            [a, b].into_iter().for_each(|phone| rig.lose(phone, Loss::Closed));
            assert!(is_empty(rig));
        }
    });
}

/// 17: renaming by REGISTER renames the participant; elsewhere that is another one.
#[test]
fn a_renamed_member_of_a_remote_party_comes_in_by_its_new_name() {
    each(|rig| {
        let (tie, [a]) = club(rig, [ALICE]);
        rig.register(a, EVE);
        let said = ["JOIN_FORWARD club@home.test from eve@x.test", "LEAVE club@home.test from alice@x.test"];
        rig.expect(tie, &said);
        joined(rig, tie, CLUB, Some(EVE), &[EVE]);
        rig.expect(a, &["REGISTERED eve@x.test"]);
        says(rig, tie, CLUB, EVE, "echo");
        rig.expect(a, &[]);
        rig.say_in_party(a, CLUB, "hi");
        rig.expect(tie, &["PARTY_MSG club@home.test from eve@x.test hi"]);
        failed(rig, tie, CLUB, Some(EVE), Cause::PartyFull);
        rig.expect(a, &["ERROR PartyMessage party_lost"]);
    });
}

/// Two lines of a pool are one participant elsewhere.
#[test]
fn lines_that_share_an_address_are_one_participant_elsewhere() {
    each(|rig| {
        let tie = rig.tie("home.test", &["*@home.test"]);
        let [a, b] = [0, 1].map(|_| rig.registered_as(pooled(POOL, 2, None)));
        for phone in [a, b] {
            rig.join(phone, CLUB);
            joined(rig, tie, CLUB, Some(POOL), &[POOL]);
            rig.expect(phone, &["JOINED club@home.test [pool@x.test]"]);
        }
        says(rig, tie, CLUB, X, "hi");
        for phone in [a, b] {
            rig.expect(phone, &["PARTY_MSG club@home.test from x@home.test hi"]);
        }
        rig.heard(tie);
        rig.leave(a, CLUB);
        rig.expect(tie, &[]);
        rig.leave(b, CLUB);
        rig.expect(tie, &["LEAVE club@home.test from pool@x.test"]);
    });
}

/// 17: hosted here if it exists here, if its name matches what is announced, or if no route matches it.
#[test]
fn a_party_is_hosted_here_if_it_exists_or_is_announced_or_nobody_else_can_have_it() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.join(a, CLUB);
        let parent = rig.outbound_tie(Peer {
            id: "parent".into(),
            domain: "x.test".into(),
            auth: None,
            routes: patterns(&["*"]),
            announced: patterns(&["*@x.test"]),
            position: 0,
            heartbeat_ms: None,
        });
        rig.heard(parent);
        let b = rig.registered(BOB);
        rig.join(b, CLUB);
        rig.join(b, HALL);
        assert_eq!(
            rig.heard(b),
            ["JOINED club@home.test [alice@x.test, bob@x.test]", "JOINED hall@x.test [bob@x.test]"]
        );
        rig.expect(parent, &[]);
        rig.join(b, "other@home.test");
        rig.expect(parent, &["JOIN_FORWARD other@home.test from bob@x.test"]);
        failed(rig, parent, "other@home.test", Some(BOB), Cause::NoSuchParty);
        // A party that only the asking exchange leads to is ours.
        let child = rig.tie("c.test", &["*@c.test"]);
        join_forward(rig, child, "room@c.test", "z@c.test");
        rig.expect(
            parent,
            &["LEAVE other@home.test from bob@x.test", "JOIN_FORWARD room@c.test from z@c.test"],
        );
    });
}
