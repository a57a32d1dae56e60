//! Broadcasts (spec sections 13, 24).

use super::rig::broadcaster;
use super::*;
use crate::exchange::event::{Loss, Request};

fn studio(rig: &mut Rig, max_listeners: Option<u32>) -> [Phone; 3] {
    [rig.registered_as(broadcaster(RADIO, max_listeners)), rig.registered(ALICE), rig.registered(BOB)]
}

/// 24, broadcast.
#[test]
fn listeners_share_a_call_and_hear_the_broadcaster_but_not_each_other() {
    each(|rig| {
        let [radio, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.expect(a, &["CONNECTED #1 to radio@x.test"]);
        rig.ask(
            b,
            Request::Dial {
                to: RADIO.into(),
                metadata: Some(b"7"),
                reference: Some("r".into()),
                trace: None,
            },
        );
        assert_eq!(rig.heard(b).len(), 2);
        rig.expect(radio, &["RING #1 from alice@x.test", "RING #1 from bob@x.test 7"]);
        rig.say(radio, 1, "news");
        rig.expect(a, &["MSG #1 from radio@x.test news"]);
        rig.expect(b, &["MSG #1 from radio@x.test news"]);
        rig.say(a, 1, "question");
        rig.expect(radio, &["MSG #1 from alice@x.test question"]);
        rig.expect(b, &[]);
        rig.answer(radio, 1);
        rig.hang_up(a, 1);
        rig.expect(a, &["HANGUP #1 normal"]);
        rig.expect(radio, &["HANGUP #1 normal from alice@x.test"]);
        rig.say(a, 1, "gone");
        rig.expect(a, &["stray"]);
    });
}

/// 13: when the last listener is gone the session ends, the next dial makes a new one.
#[test]
fn a_session_ends_with_its_last_listener() {
    each(|rig| {
        let [radio, a, _] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.heard(a);
        rig.hang_up(a, 1);
        rig.heard(radio);
        rig.dial(a, RADIO);
        rig.expect(a, &["HANGUP #1 normal", "CONNECTED #2 to radio@x.test"]);
        rig.expect(radio, &["RING #2 from alice@x.test"]);
        assert_eq!(rig.total(|counts| counts.records), 1);
    });
}

/// 13: every listener hears the broadcaster hang up, the broadcaster nothing.
#[test]
fn a_broadcaster_hangs_up_on_everybody() {
    each(|rig| {
        let [radio, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.dial(b, RADIO);
        [radio, a, b].iter().for_each(|&phone| drop(rig.heard(phone)));
        let call = rig.call(1);
        rig.ask(radio, Request::HangUp { call, reason: Some("off air".into()) });
        rig.expect(a, &["HANGUP #1 off air"]);
        rig.expect(b, &["HANGUP #1 off air"]);
        rig.expect(radio, &[]);
        assert_eq!(rig.total(|counts| counts.legs + counts.records + counts.audiences), 0);
    });
}

/// 13: `max_listeners`; 13 [F]: who listens already is connected again, also then.
#[test]
fn a_full_audience_takes_nobody_more_but_knows_who_listens() {
    each(|rig| {
        let [radio, a, b] = studio(rig, Some(1));
        rig.dial(a, RADIO);
        rig.dial(b, RADIO);
        rig.expect(b, &["BUSY radio@x.test max_listeners_reached"]);
        rig.dial(a, RADIO);
        rig.expect(a, &["CONNECTED #1 to radio@x.test", "CONNECTED #1 to radio@x.test"]);
        rig.expect(radio, &["RING #1 from alice@x.test"]);
        rig.hang_up(a, 1);
        rig.dial(b, RADIO);
        assert!(rig.heard(b).contains(&"CONNECTED #2 to radio@x.test".into()));
    });
}

/// 13: links lost on either side.
#[test]
fn lost_listeners_are_named_and_a_lost_broadcaster_frees_all() {
    each(|rig| {
        let [radio, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.dial(b, RADIO);
        rig.heard(radio);
        rig.lose(a, Loss::Closed);
        rig.expect(radio, &["HANGUP #1 peer_disconnected from alice@x.test"]);
        rig.heard(b);
        rig.lose(radio, Loss::Closed);
        rig.expect(b, &["HANGUP #1 peer_disconnected"]);
    });
}

/// 13: a listener is busy for others, but may dial.
#[test]
fn a_listener_is_busy_and_may_dial_on() {
    each(|rig| {
        let [_, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.dial(b, ALICE);
        rig.expect(b, &["BUSY alice@x.test already_in_call"]);
        rig.heard(a);
        rig.dial(a, BOB);
        rig.expect(b, &["RING #2 from alice@x.test"]);
    });
}

/// Strangers: 13, "anyone else → dropped"; 11.
#[test]
fn strangers_cannot_speak_in_a_broadcast_or_end_it() {
    each(|rig| {
        let [radio, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.heard(radio);
        rig.heard(a);
        rig.say(b, 1, "forged");
        rig.hang_up(b, 1);
        rig.expect(b, &["stray"]);
        rig.expect(radio, &[]);
        rig.expect(a, &[]);
    });
}

/// 20 [F]: for services inside the exchange.
#[test]
fn a_whisper_reaches_one_listener_only() {
    each(|rig| {
        let [radio, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.dial(b, RADIO);
        [a, b].iter().for_each(|&phone| drop(rig.heard(phone)));
        let (call, listener) = (rig.call(1), rig.line(a));
        rig.ask(radio, Request::Whisper { call, listener, data: b"welcome" });
        rig.expect(a, &["MSG #1 from radio@x.test welcome"]);
        rig.expect(b, &[]);
        rig.ask(b, Request::Whisper { call, listener, data: b"forged" });
        rig.expect(a, &[]);
    });
}

/// 27.20: a rename keeps the session, and its listeners hear the new name.
#[test]
fn a_renamed_broadcaster_keeps_its_listeners() {
    each(|rig| {
        let [radio, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.register_as(radio, broadcaster(CAROL, None));
        rig.say(radio, 1, "new name");
        rig.expect(a, &["CONNECTED #1 to radio@x.test", "MSG #1 from carol@x.test new name"]);
        rig.dial(b, CAROL);
        rig.expect(b, &["CONNECTED #1 to carol@x.test"]);
        rig.dial(b, RADIO);
        rig.expect(b, &["BUSY radio@x.test no_such_address"]);
    });
}

/// Late signals: a listener leaves before it has heard that it listens.
#[test]
fn a_listener_that_leaves_at_once_is_out() {
    each(|rig| {
        let [radio, a, _] = studio(rig, None);
        rig.hold_trunks = true;
        rig.dial_as(a, RADIO, "r");
        rig.lose(a, Loss::Closed);
        rig.hold_trunks = false;
        rig.carry();
        let rung = rig.heard(radio);
        assert_eq!(rung.len(), 2, "{rung:?}");
        assert_eq!(rig.total(|counts| counts.records), 0);
    });
}

/// Late signals: a listener leaves while the broadcaster hangs up.
#[test]
fn a_listener_that_leaves_a_session_that_ends_hears_one_hang_up() {
    each(|rig| {
        let [radio, a, _] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.heard(a);
        rig.hold_trunks = true;
        rig.hang_up(radio, 1);
        rig.hang_up(a, 1);
        rig.hold_trunks = false;
        rig.carry();
        assert_eq!(rig.heard(a).len(), 1);
    });
}

/// 22: each listener's part is one record.
#[test]
fn every_listeners_part_is_recorded() {
    each(|rig| {
        let [radio, a, b] = studio(rig, None);
        rig.dial(a, RADIO);
        rig.dial(b, RADIO);
        rig.hang_up(a, 1);
        rig.hang_up(radio, 1);
        assert_eq!(
            rig.call_log(),
            [
                "alice@x.test > radio@x.test Broadcast normal by Caller",
                "bob@x.test > radio@x.test Broadcast normal by Callee"
            ]
        );
    });
}
