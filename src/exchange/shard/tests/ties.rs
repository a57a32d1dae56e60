//! Tie lines: REGISTER_PBX, takeover, conflicts, heartbeats, loss (spec sections 19.1, 19.2, 19.9, 18.2).

use super::rig::patterns;
use super::*;
use crate::exchange::event::{Loss, Request};
use crate::exchange::limits::Limits;
use crate::exchange::limits::{HEARTBEATS_MISSED_MAX, TIES_MAX, WILD_ROUTES_MAX};
use crate::exchange::tie::{Peer, Secret, TieRequest};

fn peer(routes: &[&str], announced: &[&str]) -> Peer {
    Peer {
        id: "parent.test:443".into(),
        domain: "home.test".into(),
        auth: Some(Secret::new("token")),
        routes: patterns(routes),
        announced: patterns(announced),
        position: 0,
        heartbeat_ms: Some(30_000),
    }
}

/// 19.1: who dials after REGISTERED_PBX is routed, on whichever shard.
#[test]
fn a_line_that_registers_routes_gets_the_calls_for_them() {
    each(|rig| {
        let tie = rig.tie("home.test", &["*@home.test"]);
        let a = rig.registered(ALICE);
        for to in ["bob@home.test", "Carol@HOME.test"] {
            rig.dial(a, to);
            let heard = rig.heard(tie);
            assert!(heard[0].ends_with(&format!("from alice@x.test to {to} Unverified")), "{heard:?}");
        }
        rig.dial(a, "bob@other.test");
        rig.expect(a, &["BUSY bob@other.test no_such_address"]);
    });
}

/// 19.1: not read until all shards know, so that nothing overtakes.
#[test]
fn a_line_is_not_read_until_it_is_a_tie_line() {
    each(|rig| {
        rig.hold_trunks = true;
        let tie = rig.phone();
        rig.register_tie(tie, "home.test", &["*@home.test"]);
        assert_eq!(rig.is_paused(tie), rig.is_sharded());
        rig.hold_trunks = false;
        rig.carry();
        rig.expect(tie, &["REGISTERED_PBX home.test"]);
        assert!(!rig.is_paused(tie));
    });
}

/// 19.1, 24: a route equal, ignoring case, to one of another domain's live link.
#[test]
fn an_equal_route_of_another_domain_is_refused_and_nothing_is_registered() {
    each(|rig| {
        let first = rig.tie("a.test", &["*.x.test"]);
        let second = rig.phone();
        rig.register_tie(second, "b.test", &["*@b.test", "*.X.test"]);
        rig.expect(second, &["REGISTER_PBX_FAILED *.X.test of a.test"]);
        let a = rig.registered(ALICE);
        rig.dial(a, "z@b.test");
        rig.expect(a, &["BUSY z@b.test no_such_address"]);
        // Overlapping but different patterns are no conflict, nor is a route whose link is gone.
        rig.register_tie(second, "b.test", &["*@y.x.test"]);
        rig.expect(second, &["REGISTERED_PBX b.test"]);
        rig.lose(first, Loss::Closed);
        rig.register_tie(second, "b.test", &["*.x.test"]);
        rig.expect(second, &["REGISTERED_PBX b.test"]);
    });
}

/// 19.1: a second REGISTER_PBX on the same link replaces the first; calls go on.
#[test]
fn a_tie_line_may_change_its_routes() {
    each(|rig| {
        let tie = rig.tie("a.test", &["*@a.test"]);
        let a = rig.registered_as(super::rig::parallel(ALICE, None));
        rig.dial(a, "z@a.test");
        rig.answer(tie, 1);
        rig.heard(a);
        rig.heard(tie);
        rig.register_tie(tie, "c.test", &["*@b.test"]);
        rig.expect(tie, &["REGISTERED_PBX c.test"]);
        rig.dial(a, "z@a.test");
        rig.expect(a, &["BUSY z@a.test no_such_address"]);
        rig.say(a, 1, "still there");
        rig.expect(tie, &["MSG #1 from alice@x.test still there"]);
    });
}

/// 19.1: same domain on a new link while the old one still seems alive; 18.2: its calls end.
#[test]
fn a_newer_link_of_the_same_domain_takes_over() {
    each(|rig| {
        let old = rig.tie("home.test", &["*@home.test"]);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, "x@home.test");
        rig.answer(old, 1);
        rig.dial(b, "y@home.test");
        rig.heard(a);
        let new = rig.tie("HOME.test", &["*@home.test"]);
        assert_eq!(rig.heard(old).last().map(String::as_str), Some("CLOSE replaced"));
        rig.expect(a, &["HANGUP #1 error"]);
        rig.expect(b, &["BUSY y@home.test unavailable"]);
        rig.dial(a, "x@home.test");
        rig.expect(new, &["DIAL_FORWARD #3 from alice@x.test to x@home.test Unverified"]);
    });
}

/// 19: only PBX links may forward.
#[test]
fn what_only_exchanges_may_say_is_refused_from_others() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial_forward(a, "c", "x@y.test", BOB);
        rig.expect(a, &["ERROR DialForward not_pbx"]);
        rig.expect(b, &[]);
    });
}

/// 18.2: a link that goes while it is registering leaves nothing.
#[test]
fn a_line_that_is_lost_while_it_registers_leaves_no_routes() {
    each(|rig| {
        rig.hold_trunks = true;
        let tie = rig.phone();
        rig.register_tie(tie, "home.test", &["*@home.test"]);
        rig.lose(tie, Loss::Vanished);
        rig.hold_trunks = false;
        rig.carry();
        let a = rig.registered(ALICE);
        rig.dial(a, "x@home.test");
        rig.expect(a, &["BUSY x@home.test no_such_address"]);
    });
}

/// 19.9: routes at once, REGISTER_PBX, heartbeats, and no ERROR ever.
#[test]
fn an_exchange_that_we_call_is_introduced_to_and_routed_to_without_an_answer() {
    each(|rig| {
        let parent = rig.outbound_tie(peer(&["*"], &["*@home.test"]));
        rig.expect(parent, &["REGISTER_PBX home.test"]);
        let a = rig.registered(ALICE);
        rig.dial(a, "boss@corp.test");
        rig.expect(parent, &["DIAL_FORWARD #1 from alice@x.test to boss@corp.test Unverified"]);
        rig.hang_up(a, 1);
        rig.heard(parent);
        // 19.2: what we announce would only come back.
        rig.dial(a, "nobody@home.test");
        rig.expect(a, &["BUSY nobody@home.test no_such_address"]);
        rig.ask(parent, Request::Tie(TieRequest::Welcomed));
        rig.ask(parent, Request::Tie(TieRequest::TurnedDown { reason: "auth_failed".into() }));
        rig.ask(parent, Request::Dial { to: BOB.into(), metadata: None, reference: None, trace: None });
        rig.expect(parent, &["Welcomed", "TurnedDown(\"auth_failed\")"]);
        // Whatever else the other one says that it has, what was announced to it still is.
        rig.register_tie(parent, "corp.test", &["*.test"]);
        rig.heard(parent);
        rig.dial(a, "nobody@home.test");
        rig.expect(a, &["BUSY nobody@home.test no_such_address"]);
    });
}

/// 19.9 [F]: nobody sends HEARTBEAT on an outbound link; it lives as long as some of ours are answered.
#[test]
fn an_outbound_tie_line_is_dropped_when_several_heartbeats_are_not_answered() {
    each(|rig| {
        let parent = rig.outbound_tie(peer(&["*"], &["*@home.test"]));
        rig.heard(parent);
        for _ in 0..2 * HEARTBEATS_MISSED_MAX {
            rig.wait_ms(30_010);
            rig.expect(parent, &["HEARTBEAT"]);
            rig.ask(parent, Request::Tie(TieRequest::HeartbeatHeard));
        }
        for _ in 0..HEARTBEATS_MISSED_MAX {
            rig.wait_ms(30_010);
            rig.expect(parent, &["HEARTBEAT"]);
        }
        rig.wait_ms(30_010);
        rig.expect(parent, &["CLOSE timeout"]);
    });
}

#[test]
fn an_outbound_tie_line_without_heartbeats_stays() {
    each(|rig| {
        let mut peer = peer(&["*"], &[]);
        peer.heartbeat_ms = None;
        let parent = rig.outbound_tie(peer);
        rig.wait_ms(600_000);
        rig.expect(parent, &["REGISTER_PBX home.test"]);
    });
}

/// An inbound one is a line like any other: it has to send HEARTBEAT.
#[test]
fn an_inbound_tie_line_that_is_silent_is_dropped_and_its_calls_end() {
    each_with(
        |limits| limits.call_timeout_ms = 600_000,
        |rig| {
            let tie = rig.tie("home.test", &["*@home.test"]);
            let a = rig.registered(ALICE);
            rig.dial(a, "x@home.test");
            rig.answer(tie, 1);
            rig.heard(a);
            rig.wait_ms(50_000);
            rig.ask(a, Request::Heartbeat);
            rig.heard(a);
            rig.wait_ms(20_000);
            rig.expect(a, &["HANGUP #1 error"]);
            assert!(rig.heard(tie).contains(&"CLOSE timeout".to_owned()));
        },
    );
}

#[test]
fn there_are_no_more_routes_than_can_be_looked_through() {
    each(|rig| {
        let wild: Vec<_> = (0..WILD_ROUTES_MAX).map(|n| format!("a{n}*b@home.test")).collect();
        let wild: Vec<_> = wild.iter().map(String::as_str).collect();
        rig.tie("wild.test", &wild);
        let second = rig.phone();
        rig.register_tie(second, "b.test", &["a*b@c.test"]);
        rig.expect(second, &["REGISTER_PBX_FAILED TooManyRoutes"]);
        rig.register_tie(second, "b.test", &["*@c.test"]);
        rig.expect(second, &["REGISTERED_PBX b.test"]);
        // Whoever has them may say so again.
        rig.register_tie(second, "b.test", &["*@c.test", "*@d.test"]);
        rig.expect(second, &["REGISTERED_PBX b.test"]);
    });
}

#[test]
fn there_are_no_more_tie_lines_than_there_may_be() {
    let mut rig = Rig::new(1, Limits::default());
    for n in 0..TIES_MAX {
        let phone = rig.phone();
        rig.register_tie(phone, &format!("d{n}.test"), &[&format!("*@d{n}.test")]);
        assert_eq!(rig.heard(phone), [format!("REGISTERED_PBX d{n}.test")]);
    }
    let last = rig.phone();
    rig.register_tie(last, "last.test", &["*@last.test"]);
    rig.expect(last, &["REGISTER_PBX_FAILED TooManyRoutes"]);
}
