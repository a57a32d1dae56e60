//! How lines go: UNREGISTER, heartbeats, lost connections, shutdown (spec sections 5, 7, 18, 24).

use super::rig::{broadcaster, registration, wakeable};
use super::*;
use crate::exchange::event::{Event, Loss, Request};

/// 24, drop.
#[test]
fn a_lost_party_ends_its_calls() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        rig.lose(b, Loss::Closed);
        rig.expect(a, &["HANGUP #1 peer_disconnected"]);
        assert_eq!(rig.call_log(), ["alice@x.test > bob@x.test Single peer_disconnected by Callee"]);
    });
}

/// 18.4: also while it rings, for either side.
#[test]
fn a_lost_party_ends_calls_that_ring() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        rig.dial(a, BOB);
        rig.lose(b, Loss::Closed);
        rig.expect(a, &["HANGUP #1 peer_disconnected"]);
        rig.dial(a, CAROL);
        rig.lose(a, Loss::Vanished);
        rig.expect(c, &["RING #2 from alice@x.test", "HANGUP #2 peer_disconnected"]);
    });
}

/// 5; 24, unregister.
#[test]
fn unregister_ends_everything_and_closes_the_line() {
    each(|rig| {
        let (a, b, stranger) = (rig.registered(ALICE), rig.registered(BOB), rig.phone());
        rig.connect(a, b, BOB);
        rig.ask(a, Request::Unregister);
        rig.expect(a, &["CLOSE client_requested"]);
        rig.expect(b, &["HANGUP #1 client_requested"]);
        rig.ask(stranger, Request::Unregister);
        rig.expect(stranger, &["CLOSE client_requested"]);
        rig.registered(ALICE);
    });
}

/// 7: HEARTBEAT is answered with the time, and nothing else keeps a line alive; no line is cut before its time.
#[test]
fn a_line_without_heartbeat_is_cut() {
    each(|rig| {
        let (a, b, stranger) = (rig.registered(ALICE), rig.registered(BOB), rig.phone());
        rig.connect(a, b, BOB);
        for _ in 0..3 {
            rig.wait_ms(30_000);
            if rig.is_open(a) {
                rig.say(a, 1, "no heartbeat");
            }
            rig.ask(b, Request::Heartbeat);
        }
        rig.expect(a, &["CLOSE timeout"]);
        rig.expect(stranger, &["CLOSE timeout"]);
        let heard = rig.heard(b);
        assert!(heard.contains(&"HANGUP #1 timeout".into()), "{heard:?}");
        assert!(heard[1].starts_with("HEARTBEAT_ACK 1030000"), "{heard:?}");
    });
}

/// 7, and 18 for wake profiles.
#[test]
fn a_line_lives_for_the_whole_timeout_and_its_agent_can_be_woken_after_it() {
    each(|rig| {
        let b = rig.registered(BOB);
        let a = rig.registered_as(wakeable(registration(ALICE)));
        rig.wait_ms(30_000);
        rig.ask(b, Request::Heartbeat);
        rig.wait_ms(29_999);
        rig.expect(a, &[]);
        rig.ask(b, Request::Heartbeat);
        rig.wait_ms(3_000);
        rig.expect(a, &["CLOSE timeout"]);
        rig.dial(b, ALICE);
        assert_eq!(rig.wakes.len(), 1);
    });
}

/// D7: the silence of a line that is not read is not its own.
#[test]
fn a_paused_line_is_not_cut_and_has_its_time_anew_afterwards() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, b, BOB);
        rig.event(b, Event::Congested);
        assert!(rig.is_paused(a));
        for _ in 0..4 {
            rig.wait_ms(50_000);
            rig.ask(b, Request::Heartbeat);
        }
        rig.event(b, Event::Drained);
        rig.wait_ms(50_000);
        assert!(rig.is_open(a) && !rig.is_paused(a));
        rig.ask(b, Request::Heartbeat);
        rig.wait_ms(15_000);
        rig.expect(a, &["CLOSE timeout"]);
    });
}

/// 7: internal services are exempt, also when they have moved to their address's home.
#[test]
fn services_inside_the_exchange_need_no_heartbeat() {
    each(|rig| {
        rig.phone();
        let service = rig.open(true);
        rig.register_as(service, broadcaster("logs@system.local", None));
        rig.wait_ms(200_000);
        rig.expect(service, &["REGISTERED logs@system.local"]);
    });
}

/// 18: `shutdown` for everybody, `service_shutdown` for the log service.
#[test]
fn shutdown_ends_all_calls_and_closes_all_lines() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let service = rig.open(true);
        rig.register_as(service, broadcaster(RADIO, None));
        rig.connect(a, b, BOB);
        rig.dial(b, RADIO);
        rig.heard(b);
        rig.heard(service);
        for shard in 0..rig.shards.len() {
            rig.handle(shard, Event::Shutdown);
        }
        for (phone, last) in
            [(a, "CLOSE shutdown"), (b, "CLOSE shutdown"), (service, "CLOSE service_shutdown")]
        {
            assert_eq!(rig.heard(phone).last().map(String::as_str), Some(last));
        }
        assert_eq!(rig.total(|counts| counts.lines + counts.legs + counts.records), 0);
    });
}

/// A line that moves while the exchange stops is not let in where it arrives, nor is a new one.
#[test]
fn nobody_is_let_in_after_shutdown() {
    each(|rig| {
        let moving = rig.phone();
        rig.hold_trunks = true;
        rig.register(moving, EVE);
        for shard in 0..rig.shards.len() {
            rig.handle(shard, Event::Shutdown);
        }
        rig.hold_trunks = false;
        rig.carry();
        assert!(!rig.is_open(moving));
        assert_eq!(rig.total(|counts| counts.lines), 0);
        assert!(rig.shards.iter_mut().all(|shard| shard.open_line(rig.now, false).is_none()));
    });
}
