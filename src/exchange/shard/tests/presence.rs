//! PRESENCE (spec section 16).

use super::rig::registration;
use super::*;
use crate::exchange::event::{Location, Near, PresenceQuery, Profile, Registration, Request};

fn ask(rig: &mut Rig, asker: Phone, query: PresenceQuery) -> String {
    rig.heard(asker);
    rig.ask(asker, Request::Presence(Box::new(query)));
    rig.heard(asker).pop().expect("an answer")
}

#[test]
fn asking_needs_a_registration() {
    each(|rig| {
        let stranger = rig.phone();
        rig.ask(stranger, Request::Presence(Box::default()));
        rig.expect(stranger, &["ERROR Presence not_registered"]);
    });
}

/// Every registered line of every shard, but not the asker, nor lines without an address.
#[test]
fn everybody_registered_is_found_except_the_asker() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.crowd(&[BOB, CAROL, DAVE]);
        rig.phone();
        let all = "PRESENCE [bob@x.test Available, carol@x.test Available, dave@x.test Available]";
        assert_eq!(ask(rig, a, PresenceQuery::default()), all);
        assert!(!rig.is_paused(a));
    });
}

#[test]
fn all_filters_must_hold() {
    each(|rig| {
        let a = rig.registered(ALICE);
        let profile = |lat, capabilities: &[&str]| Profile {
            metadata: None,
            capabilities: capabilities.iter().map(|&name| name.into()).collect(),
            location: Some(Location { lat, lon: 0.0 }),
        };
        rig.registered_as(Registration { profile: profile(0.0, &["chat", "code"]), ..registration(BOB) });
        rig.registered_as(Registration { profile: profile(5.0, &["chat"]), ..registration(CAROL) });
        rig.registered_as(Registration { profile: profile(0.1, &["chat"]), ..registration("dave@Y.test") });
        let near = Some(Near { middle: Location { lat: 0.0, lon: 0.0 }, radius_km: 50.0 });
        let query = |domain: Option<&str>, capabilities: &[&str], near| PresenceQuery {
            domain: domain.map(Into::into),
            capabilities: capabilities.iter().map(|&name| name.into()).collect(),
            near,
            limit: None,
        };
        let found = |rig: &mut Rig, query| ask(rig, a, query).matches('@').count();
        assert_eq!(found(rig, query(Some("x.test"), &[], None)), 2);
        assert_eq!(found(rig, query(Some("y.test"), &[], None)), 1);
        assert_eq!(found(rig, query(Some("test"), &[], None)), 0);
        assert_eq!(found(rig, query(None, &["chat"], None)), 3);
        assert_eq!(found(rig, query(None, &["chat", "code"], None)), 1);
        assert_eq!(found(rig, query(None, &["chat"], near)), 2);
        assert_eq!(found(rig, query(Some("x.test"), &["chat"], near)), 1);
    });
}

/// Issue 2, part 3: `limit` and `truncated`.
#[test]
fn a_limit_cuts_the_answer_and_the_answer_says_so() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.crowd(&[BOB, CAROL, DAVE]);
        for (limit, entries, cut) in [(2, 2, true), (3, 3, false), (9, 3, false)] {
            let answer = ask(rig, a, PresenceQuery { limit: Some(limit), ..PresenceQuery::default() });
            assert_eq!((answer.matches('@').count(), answer.ends_with("truncated")), (entries, cut));
        }
    });
}

/// While shards are asked the asker is not read; its loss meanwhile harms nobody.
#[test]
fn an_asker_that_is_lost_meanwhile_leaves_nothing() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.hold_trunks = true;
        rig.ask(a, Request::Presence(Box::default()));
        assert_eq!(rig.is_paused(a), rig.is_sharded());
        rig.lose(a, crate::exchange::event::Loss::Closed);
        rig.hold_trunks = false;
        rig.carry();
    });
}
