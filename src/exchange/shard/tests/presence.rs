//! PRESENCE (spec section 16).

use std::sync::Arc;

use super::rig::registration;
use super::*;
use crate::exchange::effect::{Effect, Notice, Outbox};
use crate::exchange::event::{Event, Location, Near, PresenceQuery, Profile, Registration, Request};
use crate::exchange::ids::ShardId;
use crate::exchange::limits::{PRESENCE_LOOK_STEPS, PRESENCE_STEPS_MAX};
use crate::exchange::shard::{Setup, Shard};
use crate::exchange::time::Moment;

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
            asker: None,
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

/// What costs a shard more than `PRESENCE_STEPS_MAX` is not searched to its end. Without the rig, which looks at every line
/// after every step.
#[test]
fn an_answer_says_truncated_when_the_search_was_given_up() {
    let setup = Setup { id: ShardId::new(0), shards: 1, seed: [7; 32], limits: Arc::default() };
    let (mut shard, now, mut out) = (Shard::new(setup), Moment::default(), Outbox::default());
    let location = Some(Location { lat: 50.1, lon: 8.1 });
    let mut asker = None;
    for n in 0..=PRESENCE_STEPS_MAX / PRESENCE_LOOK_STEPS {
        let line = shard.open_line(now, false).expect("the shard has room");
        let profile = Profile { location, ..Profile::default() };
        let registration = Registration { profile, ..registration(&format!("{n}@x.test")) };
        shard.handle(
            now,
            Event::Request { line, request: Request::Register(Box::new(registration)) },
            &mut out,
        );
        asker = Some(line);
    }
    let line = asker.expect("somebody asks");
    for (lat, gives_up) in [(50.9, true), (70.9, false)] {
        let near = Some(Near { middle: Location { lat, lon: 8.9 }, radius_km: 5.0 });
        let query = PresenceQuery { near, ..PresenceQuery::default() };
        out.effects.clear();
        shard.handle(now, Event::Request { line, request: Request::Presence(Box::new(query)) }, &mut out);
        let [Effect::Notify { notice: Notice::Presence { entries, truncated }, .. }] = &out.effects[..]
        else {
            panic!("one answer, not {:?}", out.effects)
        };
        assert_eq!((entries.len(), *truncated), (0, gives_up));
    }
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
