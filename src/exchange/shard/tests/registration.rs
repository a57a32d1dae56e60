//! REGISTER (spec section 4).

use super::rig::{address, broadcaster, parallel, registration, wakeable};
use super::*;
use crate::exchange::event::{
    Loss, PresenceQuery, Profile, Registration, Request, Status, WakeHandler, WakeKind,
};
use crate::exchange::limits::SpawnPolicy;

/// 4: REGISTERED every time; Trimphone sends REGISTER twice (25).
#[test]
fn registering_again_is_a_refresh() {
    each(|rig| {
        let a = rig.registered(ALICE);
        let session =
            rig.shards[rig.line(a).shard().index()].lines.get(rig.line(a).0).map(|line| line.session);
        rig.register(a, ALICE);
        rig.expect(a, &["REGISTERED alice@x.test"]);
        let again = rig.shards[rig.line(a).shard().index()].lines.get(rig.line(a).0).map(|line| line.session);
        assert_eq!(session, again);
        assert_eq!(rig.total(|counts| counts.registered), 1);
    });
}

/// 4.8; decision 26.1: the line stays open, and keeps what it held.
#[test]
fn an_address_held_by_another_line_is_refused() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.register(b, ALICE);
        rig.expect(b, &["REGISTER_FAILED address_in_use"]);
        rig.dial(a, BOB);
        rig.expect(b, &["RING #1 from alice@x.test"]);
        let c = rig.phone();
        rig.register(c, ALICE);
        rig.expect(c, &["REGISTER_FAILED address_in_use"]);
        assert_eq!(rig.total(|counts| counts.registered), 2);
    });
}

/// 25: reconnect; 18.3: the address is released.
#[test]
fn an_address_is_free_as_soon_as_its_line_is_lost() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.lose(a, Loss::Closed);
        rig.registered(ALICE);
    });
}

/// 4: addresses are compared exactly.
#[test]
fn addresses_differ_by_case() {
    each(|rig| {
        rig.registered(ALICE);
        rig.registered("Alice@x.test");
    });
}

/// 4: rename; the session stays the same, the old address is free.
#[test]
fn registering_another_address_releases_the_old_one() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        for (name, before) in [(CAROL, ALICE), (DAVE, CAROL), (ALICE, DAVE)] {
            rig.register(a, name);
            rig.expect(a, &[&format!("REGISTERED {name}")]);
            rig.dial(b, before);
            rig.expect(b, &[&format!("BUSY {before} no_such_address")]);
            rig.dial(b, name);
            assert_eq!(rig.heard(a).len(), 1);
            let call = rig.shards.iter().find_map(|shard| shard.legs.iter().next().map(|(_, leg)| leg.id));
            rig.ask(b, Request::HangUp { call: call.expect("it rings"), reason: None });
            rig.heard(a);
        }
        assert_eq!(rig.total(|counts| counts.registered), 2);
    });
}

/// 4: metadata is replaced, absent means none; the status is not touched.
#[test]
fn a_refresh_replaces_the_metadata_and_keeps_the_status() {
    each(|rig| {
        let asker = rig.registered(BOB);
        let profile = Profile { metadata: Some("{\"v\":1}".into()), ..Profile::default() };
        let a = rig.registered_as(Registration { profile, ..registration(ALICE) });
        rig.status(a, Status::Away);
        rig.ask(asker, Request::Presence(Box::default()));
        rig.register(a, ALICE);
        rig.ask(asker, Request::Presence(Box::default()));
        rig.expect(asker, &["PRESENCE [alice@x.test Away {\"v\":1}]", "PRESENCE [alice@x.test Away]"]);
    });
}

/// 4 [F], 27.6.
#[test]
fn a_refresh_keeps_calls_and_wake_mode() {
    each(|rig| {
        let (a, b, c) =
            (rig.registered_as(wakeable(registration(ALICE))), rig.registered(BOB), rig.registered(CAROL));
        let call = rig.connect(b, a, ALICE);
        rig.register(a, ALICE);
        rig.dial(c, ALICE);
        rig.expect(c, &["BUSY alice@x.test already_in_call"]);
        rig.say(b, call, "still there");
        rig.expect(a, &["REGISTERED alice@x.test", "MSG #1 from bob@x.test still there"]);
        rig.hang_up(b, call);
        rig.ask(a, Request::SleepAck);
        rig.expect(a, &["HANGUP #1 normal", "CLOSE sleep"]);
    });
}

/// 4 [F]: the broadcast session of a refreshed broadcaster stays; another concurrency ends it with `reconfigured`.
#[test]
fn a_broadcaster_that_becomes_something_else_ends_its_session() {
    each(|rig| {
        let (radio, a, b) =
            (rig.registered_as(broadcaster(RADIO, None)), rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, RADIO);
        rig.dial(b, RADIO);
        rig.register_as(radio, broadcaster(RADIO, Some(5)));
        rig.expect(a, &["CONNECTED #1 to radio@x.test"]);
        rig.register_as(radio, parallel(RADIO, None));
        rig.expect(a, &["HANGUP #1 reconfigured"]);
        rig.heard(radio);
        rig.dial(a, RADIO);
        rig.expect(radio, &["RING #2 from alice@x.test"]);
    });
}

/// 15 [F], 27.24.
#[test]
fn spawn_handlers_need_the_operators_leave() {
    each_with(
        |limits| limits.spawn = SpawnPolicy::Listed(vec!["/bin/agent".into()]),
        |rig| {
            let spawn = |program: &str| {
                let kind = WakeKind::Spawn { command: [program.into()].into() };
                let wake = WakeHandler { kind, timeout_ms: 1000, source: "{}".into(), registered_by: None };
                Registration { wake: Some(wake), ..registration(ALICE) }
            };
            let a = rig.phone();
            rig.register_as(a, spawn("/bin/sh"));
            rig.expect(a, &["ERROR Register spawn_disabled"]);
            rig.register_as(a, spawn("/bin/agent"));
            rig.expect(a, &["REGISTERED alice@x.test"]);
        },
    );
}

/// 4: "everything is checked before anything changes".
#[test]
fn a_refused_registration_changes_nothing() {
    each(|rig| {
        rig.registered(BOB);
        let profile = Profile { capabilities: ["chat".into()].into(), ..Profile::default() };
        let a = rig.registered_as(Registration { profile, ..registration(ALICE) });
        rig.register(a, BOB);
        rig.expect(a, &["REGISTER_FAILED address_in_use"]);
        let c = rig.registered(CAROL);
        let query = PresenceQuery { capabilities: vec!["chat".into()], ..PresenceQuery::default() };
        rig.ask(c, Request::Presence(Box::new(query)));
        rig.expect(c, &["PRESENCE [alice@x.test Available]"]);
        assert!(rig.shards.iter().any(|shard| shard.address_of(rig.line(a)) == Some(&address(ALICE))));
    });
}
