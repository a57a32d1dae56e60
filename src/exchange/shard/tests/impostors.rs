//! Exchanges that speak for others than those behind them (spec sections 19, 23): names that rules protect are claimed only by
//! whoever has shown that they are his.

use serde_json::{Value, json};

use super::identity::rulebook;
use super::rig::{address, patterns};
use super::*;
use crate::exchange::event::{ContentType, Event, PresenceQuery, Request};
use crate::exchange::tie::{Peer, Secret, TieAnswer, TieQuery, TieRegistration, TieRequest};
use crate::exchange::tie_party::{PartyTalk, PartyWord};

const CLUB: &str = "club@party.test";
const VAULT: &str = "vault@corp.test";
const BOSS: &str = "boss@corp.test";
const X: &str = "x@home.test";

/// Whoever is at corp.test needs a token, and only they may call the vault or join the club.
fn closed() -> Value {
    json!({
        "register": [{"pattern": BOSS, "tokens": ["t"]}],
        "pbx": [{"domain": "home.test", "tokens": ["p"], "routes": ["*"]}],
        "dial": [
            {"from": "*@corp.test", "to": "*", "allow": true},
            {"from": "*", "to": VAULT, "allow": false},
            {"from": "*@guest.test", "to": CLUB, "allow": false},
        ],
    })
}

fn rule(rig: &mut Rig) {
    let book = rulebook(closed());
    for shard in 0..rig.shards.len() {
        rig.handle(shard, Event::Rules(Some(book.clone())));
    }
}

/// An exchange that has shown its token.
fn known_tie(rig: &mut Rig, routes: &[&str]) -> Phone {
    let tie = rig.phone();
    let registration = TieRegistration {
        domain: "home.test".into(),
        routes: patterns(routes),
        auth: Some(Secret::new("p")),
    };
    rig.ask(tie, Request::Tie(TieRequest::Register(Box::new(registration))));
    rig.expect(tie, &["REGISTERED_PBX home.test"]);
    tie
}

fn talks(rig: &mut Rig, tie: Phone, party: &str, word: PartyWord) {
    let talk = PartyTalk { party: address(party), word };
    rig.ask(tie, Request::Tie(TieRequest::Party(Box::new(talk))));
}

fn is_refused(rig: &mut Rig, tie: Phone, from: &str, to: &str, name: &str) {
    rig.dial_forward(tie, name, from, to);
    let heard = rig.heard(tie);
    assert!(heard.len() == 1 && heard[0].contains("forbidden"), "{from} to {to}: {heard:?}");
}

#[test]
fn nobody_calls_by_a_protected_name_that_his_exchange_does_not_lead_to() {
    each(|rig| {
        rule(rig);
        rig.crowd(&[VAULT, ALICE]);
        let stranger = rig.tie("evil.test", &["*"]);
        is_refused(rig, stranger, BOSS, VAULT, "c-1");
        is_refused(rig, stranger, BOSS, ALICE, "c-2");
        let home = known_tie(rig, &["*@home.test"]);
        is_refused(rig, home, "Boss@Corp.Test", VAULT, "c-3");
        is_refused(rig, home, X, VAULT, "c-4");
        rig.dial_forward(home, "c-5", X, ALICE);
        assert!(!rig.heard(home)[0].contains("forbidden"), "its own callers call");
        let headquarters = known_tie(rig, &["*@corp.test"]);
        rig.dial_forward(headquarters, "c-6", BOSS, VAULT);
        assert!(!rig.heard(headquarters)[0].contains("forbidden"), "the boss may be there");
    });
}

/// An exchange that this one has called needs no token: the operator says what it leads to.
#[test]
fn a_configured_exchange_speaks_for_all_but_what_this_one_has_announced() {
    each(|rig| {
        rule(rig);
        rig.crowd(&[VAULT]);
        let peer = |announced: &[&str]| Peer {
            id: "parent".into(),
            position: 0,
            domain: "here.test".into(),
            auth: None,
            routes: patterns(&["*"]),
            announced: patterns(announced),
            heartbeat_ms: None,
        };
        let parent = rig.outbound_tie(peer(&["*@here.test"]));
        rig.heard(parent);
        rig.dial_forward(parent, "c-1", BOSS, VAULT);
        assert!(!rig.heard(parent)[0].contains("forbidden"));
        let other = rig.outbound_tie(peer(&["*@corp.test"]));
        rig.heard(other);
        is_refused(rig, other, BOSS, VAULT, "c-2");
    });
}

#[test]
fn calls_for_a_protected_address_go_to_no_stranger() {
    each(|rig| {
        rule(rig);
        let caller = rig.registered(ALICE);
        let stranger = rig.tie("evil.test", &[BOSS, "*@open.test"]);
        rig.dial(caller, BOSS);
        rig.expect(caller, &["BUSY boss@corp.test no_such_address"]);
        rig.expect(stranger, &[]);
        let home = known_tie(rig, &["*@corp.test"]);
        rig.dial(caller, BOSS);
        assert!(rig.heard(home)[0].starts_with("DIAL_FORWARD"), "the more special route is not his to have");
        rig.expect(stranger, &[]);
        rig.dial(caller, "x@open.test");
        assert!(rig.heard(stranger)[0].starts_with("DIAL_FORWARD"), "what is open is open");
    });
}

/// In calls that came in by the link, and in those that went out by it.
#[test]
fn nobody_becomes_somebody_else_in_the_middle_of_a_call() {
    each(|rig| {
        rule(rig);
        let (home, a, b) = (known_tie(rig, &["*@home.test"]), rig.registered(ALICE), rig.registered(BOB));
        rig.dial_forward(home, "c-1", X, ALICE);
        rig.answer(a, 1);
        rig.dial(b, X);
        rig.answer(home, 2);
        for (listener, call) in [(a, 1), (b, 2)] {
            rig.heard(listener);
            for (from, shown) in [(BOSS, X), ("y@home.test", "y@home.test"), (BOSS, "y@home.test")] {
                let (call, data) = (rig.call(call), Some(&b"hi"[..]));
                let content_type = ContentType::Text;
                let words = TieRequest::Message { call, from: Some(from.into()), data, content_type };
                rig.ask(home, Request::Tie(words));
                let heard = rig.heard(listener);
                assert!(heard.len() == 1 && heard[0].starts_with("MSG"), "{heard:?}");
                assert!(heard[0].contains(shown) && !heard[0].contains(BOSS), "{heard:?}");
            }
        }
    });
}

#[test]
fn joining_a_party_is_subject_to_dial_rules_on_both_sides_of_a_link() {
    each(|rig| {
        rule(rig);
        let (guest, a) = (rig.registered("g@guest.test"), rig.registered(ALICE));
        rig.join(guest, CLUB);
        rig.expect(guest, &["ERROR Join forbidden"]);
        rig.join(a, CLUB);
        rig.expect(a, &["JOINED club@party.test [alice@x.test]"]);
        let home = known_tie(rig, &["*@home.test"]);
        for from in ["g@guest.test", BOSS] {
            talks(rig, home, CLUB, PartyWord::Join { from: address(from), create_if_missing: true, hops: 1 });
            rig.expect(home, &[&format!("JOIN_FAILED club@party.test to {from} forbidden")]);
        }
        talks(rig, home, CLUB, PartyWord::Join { from: address(X), create_if_missing: true, hops: 1 });
        rig.expect(home, &["JOINED club@party.test [alice@x.test, x@home.test] to x@home.test"]);
        // A party whose name is a protected address is hosted by no stranger.
        let stranger = rig.tie("evil.test", &[BOSS]);
        rig.join(a, BOSS);
        rig.expect(a, &["JOINED boss@corp.test [alice@x.test]"]);
        rig.expect(stranger, &[]);
    });
}

#[test]
fn nobody_sees_more_by_asking_in_a_name_that_is_not_his_or_in_none() {
    each(|rig| {
        rule(rig);
        rig.crowd(&[VAULT, "desk@corp.test"]);
        let home = known_tie(rig, &["*@home.test"]);
        for (asker, expected) in [(Some(X), "[desk@corp.test]"), (Some(BOSS), "[]"), (None, "[]")] {
            let query = PresenceQuery { domain: Some("corp.test".into()), ..PresenceQuery::default() };
            let query = TieQuery { query, reply_to: asker.map(Into::into), query_id: None, hops: 1 };
            rig.ask(home, Request::Tie(TieRequest::PresenceQuery(Box::new(query))));
            let heard = rig.heard(home);
            assert!(heard.len() == 1 && heard[0].contains(expected), "{asker:?}: {heard:?}");
        }
        let a = rig.registered(ALICE);
        let query = PresenceQuery { domain: Some("home.test".into()), ..PresenceQuery::default() };
        rig.ask(a, Request::Presence(Box::new(query)));
        rig.heard(home);
        let names = [BOSS, X];
        let entries = names.iter().map(|name| super::tie_presence::entry(name)).collect();
        let answer = TieAnswer { entries, truncated: false, reply_to: None, number: None };
        rig.ask(home, Request::Tie(TieRequest::PresenceResult(Box::new(answer))));
        let heard = rig.heard(a);
        assert!(heard.len() == 1 && heard[0].contains("[x@home.test Busy]"), "{heard:?}");
    });
}
