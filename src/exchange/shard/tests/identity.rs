//! Who may do what (spec sections 23, 9.4, 16, 19.8), and tokens that end.
//!
//! The rules themselves have tests beside them; here it is checked that they are asked, and what follows.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::rig::{patterns, registration, wakeable};
use super::*;
use crate::exchange::effect::{Effect, Notice, Outbox};
use crate::exchange::event::{Event, PresenceQuery, Registration, Request, WakeHandler, WakeKind};
use crate::exchange::ids::ShardId;
use crate::exchange::limits::{
    PRESENCE_LOOK_STEPS, PRESENCE_STEPS_MAX, SIGNATURES_PER_LINE_MAX, SIGNATURES_WINDOW_MS,
};
use crate::exchange::shard::{Setup, Shard};
use crate::exchange::tie::{Secret, TieQuery, TieRegistration, TieRequest};
use crate::exchange::time::Moment;
use crate::identity::{Credentials, KeySet, Rulebook, SigningKey, Token, parse_file};

const SECRET: &str =
    r#"{"keys":[{"kty":"oct","kid":"k","k":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}]}"#;
const GRACE_MS: u64 = 5000;

pub(super) fn rulebook(file: Value) -> Arc<Rulebook> {
    let (rules, _) = parse_file(&file.to_string()).expect("the rules are right");
    Arc::new(Rulebook::new(rules, KeySet::of_file(SECRET).expect("a key"), GRACE_MS))
}

fn rule(rig: &mut Rig, file: Value) {
    let book = rulebook(file);
    for shard in 0..rig.shards.len() {
        rig.handle(shard, Event::Rules(Some(book.clone())));
    }
}

fn showing(address: &str, token: &str) -> Registration {
    let credentials = Credentials { token: Token::new(token), ..Credentials::default() };
    Registration { credentials, ..registration(address) }
}

fn closed() -> Value {
    json!({"register": [{"pattern": "*@x.test", "tokens": ["t"]}], "jwt": {"keys": "k"}})
}

/// A token that lives from now for so many seconds.
fn token(rig: &Rig, seconds: u64) -> String {
    let now_s = rig.now.wall_ms / 1000;
    let claims = json!({"addresses": "*@x.test", "iat": now_s, "exp": now_s + seconds});
    sign(claims.as_object().expect("an object"), "k")
}

fn sign(claims: &Map<String, Value>, key_id: &str) -> String {
    SigningKey::of_file(SECRET).expect("a key").sign(claims, Some(key_id)).expect("random numbers")
}

fn is_verified(rig: &Rig, phone: Phone) -> bool {
    let line = rig.line(phone);
    rig.shards[line.shard().index()].is_verified(line)
}

/// Section 4, step 7: a refused registration changes nothing.
#[test]
fn an_address_with_a_rule_is_held_only_by_who_shows_a_token() {
    each(|rig| {
        rule(rig, closed());
        let a = rig.phone();
        for refused in [registration(ALICE), showing(ALICE, "wrong")] {
            rig.register_as(a, refused);
            rig.expect(a, &["REGISTER_FAILED auth_failed"]);
        }
        rig.register_as(a, showing(ALICE, "t"));
        rig.expect(a, &["REGISTERED alice@x.test"]);
        assert!(is_verified(rig, a));
        let open = rig.registered("eve@y.test");
        assert!(!is_verified(rig, open));
    });
}

/// Clients register twice as a rule, the second time not always with everything (section 25).
#[test]
fn a_refresh_needs_no_token_and_a_rename_does() {
    each(|rig| {
        rule(rig, closed());
        let a = rig.registered_as(showing(ALICE, "t"));
        rig.register(a, ALICE);
        rig.expect(a, &["REGISTERED alice@x.test"]);
        rig.register_as(a, showing(ALICE, "wrong"));
        rig.expect(a, &["REGISTER_FAILED auth_failed"]);
        assert!(is_verified(rig, a), "it still holds its address as before");
        rig.register(a, BOB);
        rig.expect(a, &["REGISTER_FAILED auth_failed"]);
        rig.register_as(a, showing(BOB, "t"));
        rig.expect(a, &["REGISTERED bob@x.test"]);
        assert!(is_verified(rig, a));
        rig.register(a, "alice@y.test");
        rig.expect(a, &["REGISTERED alice@y.test"]);
        assert!(!is_verified(rig, a), "nobody has said whose this address is");
    });
}

/// Also while calls are up, so that the line is a guest elsewhere.
#[test]
fn a_rename_during_a_call_is_verified_for_the_new_address() {
    each(|rig| {
        rule(rig, closed());
        let (a, b) = (rig.registered_as(showing(ALICE, "t")), rig.registered_as(showing(BOB, "t")));
        rig.connect(a, b, BOB);
        for name in ["carol@x.test", "dave@x.test"] {
            rig.register_as(a, showing(name, "t"));
            rig.expect(a, &[&format!("REGISTERED {name}")]);
            assert!(is_verified(rig, a));
        }
        let short = token(rig, 50);
        rig.register_as(a, showing("erin@x.test", &short));
        rig.hang_up(a, 1);
        rig.heard(a);
        rig.wait_ms(45_100);
        rig.expect(a, &["AUTH_EXPIRING 1050000"]);
    });
}

/// A reload throws nobody out; who comes later meets the new rules, and so does who is there and asks for something.
#[test]
fn new_rules_leave_those_who_are_registered_alone() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let mut file = closed();
        file["dial"] = json!([{"from": "*", "to": BOB, "allow": false}]);
        rule(rig, file);
        rig.dial(a, BOB);
        rig.expect(a, &["BUSY bob@x.test forbidden"]);
        rig.register(b, BOB);
        rig.expect(b, &["REGISTER_FAILED auth_failed"]);
        let call = rig.connect(b, a, ALICE);
        for shard in 0..rig.shards.len() {
            rig.handle(shard, Event::Rules(None));
        }
        rig.hang_up(a, call);
        rig.dial(a, BOB);
        rig.expect(b, &["HANGUP #1 normal", "RING #2 from alice@x.test"]);
    });
}

/// Section 9, step 4: before anything is said about the callee, so that nobody learns whether it is there.
#[test]
fn a_forbidden_dial_is_busy_whoever_is_there() {
    each(|rig| {
        rule(
            rig,
            json!({"dial": [
                {"from": ALICE, "to": "*@y.test", "allow": true},
                {"from": "*@x.test", "to": "*@y.test", "allow": false},
            ]}),
        );
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered("carol@y.test"));
        for to in ["carol@y.test", "nobody@y.test"] {
            rig.dial(b, to);
            rig.expect(b, &[&format!("BUSY {to} forbidden")]);
        }
        rig.expect(c, &[]);
        rig.dial(c, BOB);
        rig.expect(b, &["RING #1 from carol@y.test"]);
        rig.hang_up(c, 1);
        rig.dial(a, "carol@y.test");
        rig.heard(b);
        rig.expect(c, &["RING #2 from alice@x.test"]);
        let log = rig.call_log();
        assert_eq!(log[0], "bob@x.test > carol@y.test Single forbidden by Exchange");
    });
}

/// Section 23: PRESENCE omits addresses the asker may not dial.
#[test]
fn presence_shows_only_whom_the_asker_may_dial() {
    each(|rig| {
        rule(rig, json!({"dial": [{"from": "*@guest.test", "to": "*@x.test", "allow": false}]}));
        let (a, guest) = (rig.registered(ALICE), rig.registered("g@guest.test"));
        rig.crowd(&[BOB, CAROL, "d@y.test"]);
        let ask = |rig: &mut Rig, asker, query| {
            rig.heard(asker);
            rig.ask(asker, Request::Presence(Box::new(query)));
            rig.heard(asker).pop().expect("an answer")
        };
        assert_eq!(ask(rig, guest, PresenceQuery::default()), "PRESENCE [d@y.test Available]");
        let within = PresenceQuery { domain: Some("x.test".into()), ..PresenceQuery::default() };
        assert_eq!(ask(rig, guest, within), "PRESENCE []");
        let one = PresenceQuery { limit: Some(1), ..PresenceQuery::default() };
        assert_eq!(ask(rig, guest, one), "PRESENCE [d@y.test Available]");
        assert_eq!(ask(rig, a, PresenceQuery::default()).matches('@').count(), 4);
    });
}

/// Whom a question must not show costs as much as who is looked at for nothing, and no question costs more than it may.
#[test]
fn a_search_among_many_who_must_not_be_seen_is_given_up() {
    let setup = Setup { id: ShardId::new(0), shards: 1, seed: [7; 32], limits: Arc::default() };
    let (mut shard, now, mut out) = (Shard::new(setup), Moment::default(), Outbox::default());
    let book = rulebook(json!({"dial": [{"from": "*@guest.test", "to": "*@x.test", "allow": false}]}));
    shard.handle(now, Event::Rules(Some(book)), &mut out);
    let enter = |shard: &mut Shard, out: &mut Outbox<'_>, address: &str| {
        let line = shard.open_line(now, false).expect("the shard has room");
        let request = Request::Register(Box::new(registration(address)));
        shard.handle(now, Event::Request { line, request }, out);
        line
    };
    for n in 0..=PRESENCE_STEPS_MAX / PRESENCE_LOOK_STEPS {
        enter(&mut shard, &mut out, &format!("{n}@x.test"));
    }
    for (address, expected) in [
        ("g@guest.test", (0, true)),
        ("h@y.test", (10_000.min(PRESENCE_STEPS_MAX / PRESENCE_LOOK_STEPS + 2), false)),
    ] {
        let line = enter(&mut shard, &mut out, address);
        out.effects.clear();
        shard.handle(now, Event::Request { line, request: Request::Presence(Box::default()) }, &mut out);
        let [Effect::Notify { notice: Notice::Presence { entries, truncated }, .. }] = &out.effects[..]
        else {
            panic!("one answer, not {:?}", out.effects)
        };
        assert_eq!((entries.len(), *truncated), expected, "{address}");
    }
}

/// Issue 4, part 7: which wake handlers an address may have is a rule, on top of what the exchange allows at all.
#[test]
fn wake_handlers_need_a_rule_that_lets_the_address_have_them() {
    each(|rig| {
        rule(
            rig,
            json!({"wake": [{"pattern": ALICE, "webhook": true}, {"pattern": BOB, "spawn": true}, {"pattern": "*"}]}),
        );
        let spawning = |address: &str| {
            let kind = WakeKind::Spawn { command: ["/bin/agent".into()].into() };
            let wake = WakeHandler { kind, timeout_ms: 1000, source: "{}".into(), registered_by: None };
            Registration { wake: Some(wake), ..registration(address) }
        };
        for (registration, allowed) in [
            (wakeable(registration(ALICE)), true),
            (spawning(ALICE), false),
            (wakeable(registration(BOB)), false),
            (spawning(BOB), true),
            (wakeable(registration(CAROL)), false),
            (registration(CAROL), true),
        ] {
            let phone = rig.phone();
            let expected = format!("REGISTERED {}", registration.address);
            let expected = if allowed { expected.as_str() } else { "ERROR Register wake_forbidden" };
            rig.register_as(phone, registration);
            rig.expect(phone, &[expected]);
            rig.ask(phone, Request::Unregister);
        }
    });
}

/// Issue 4, part 5: the client is told a tenth of the life before, and goes when the grace is over.
#[test]
fn a_token_that_expires_ends_the_registration_after_a_notice_and_a_grace() {
    each(|rig| {
        rule(rig, closed());
        let short = token(rig, 100);
        let (a, b) = (rig.registered_as(showing(ALICE, &short)), rig.registered_as(showing(BOB, "t")));
        let call = rig.connect(b, a, ALICE);
        let beat = |rig: &mut Rig| [a, b].into_iter().for_each(|phone| rig.ask(phone, Request::Heartbeat));
        rig.wait_ms(45_000);
        beat(rig);
        rig.wait_ms(44_900);
        rig.heard(a);
        rig.wait_ms(200);
        rig.expect(a, &["AUTH_EXPIRING 1100000"]);
        beat(rig);
        rig.wait_ms(14_000);
        [a, b].into_iter().for_each(|phone| drop(rig.heard(phone)));
        rig.wait_ms(1000);
        rig.expect(a, &["CLOSE auth_expired"]);
        rig.expect(b, &[&format!("HANGUP #{call} auth_expired")]);
        rig.wait_ms(10_000);
        assert!(rig.is_open(b), "a token without an end ends nothing");
    });
}

#[test]
fn a_fresh_token_keeps_the_registration_and_a_refresh_without_one_changes_nothing() {
    each(|rig| {
        rule(rig, closed());
        let first = token(rig, 20);
        let a = rig.registered_as(showing(ALICE, &first));
        rig.wait_ms(18_100);
        rig.expect(a, &["AUTH_EXPIRING 1020000"]);
        rig.register(a, ALICE);
        rig.expect(a, &["REGISTERED alice@x.test"]);
        let second = token(rig, 20);
        rig.register_as(a, showing(ALICE, &second));
        rig.expect(a, &["REGISTERED alice@x.test"]);
        rig.wait_ms(10_000);
        rig.expect(a, &[]);
        rig.register_as(a, showing(ALICE, &first));
        rig.expect(a, &["REGISTER_FAILED auth_failed"]);
        rig.register(a, ALICE);
        rig.heard(a);
        rig.wait_ms(20_000);
        let expiring = rig.heard(a);
        assert_eq!(expiring.last().map(String::as_str), Some("CLOSE auth_expired"), "{expiring:?}");
    });
}

/// A token with only seconds left is told of at once; one from a clock that is ahead lives as long as clocks may differ.
#[test]
fn a_token_at_its_end_is_told_of_at_once() {
    each(|rig| {
        rule(rig, closed());
        let claims = json!({"addresses": "*", "iat": 0, "exp": rig.now.wall_ms / 1000 + 30});
        let late = sign(claims.as_object().expect("an object"), "k");
        let a = rig.phone();
        rig.register_as(a, showing(ALICE, &late));
        rig.expect(a, &["REGISTERED alice@x.test", "AUTH_EXPIRING 1030000"]);
        rig.wait_ms(34_900);
        rig.expect(a, &[]);
        rig.wait_ms(200);
        rig.expect(a, &["CLOSE auth_expired"]);
    });
}

#[test]
fn an_agent_whose_token_has_expired_can_be_woken_to_bring_a_new_one() {
    each(|rig| {
        rule(rig, closed());
        let short = token(rig, 10);
        let wakeable = wakeable(showing(DAVE, &short));
        rig.registered_as(wakeable);
        let a = rig.registered_as(showing(ALICE, "t"));
        rig.wait_ms(20_000);
        rig.dial(a, DAVE);
        assert_eq!(rig.wakes.len(), 1);
    });
}

/// A key that is not known may be a new one: whoever keeps the keys is told, and the client may try again.
#[test]
fn a_token_of_an_unknown_key_asks_for_newer_keys() {
    each(|rig| {
        rule(rig, closed());
        let claims = json!({"addresses": "*"});
        let claims = claims.as_object().expect("an object");
        let a = rig.phone();
        rig.register_as(a, showing(ALICE, "unknown"));
        rig.register_as(a, showing(ALICE, &sign(claims, "other")));
        rig.expect(a, &["REGISTER_FAILED auth_failed", "REGISTER_FAILED auth_failed"]);
        assert_eq!(rig.keys_wanted, 1);
        rig.register_as(a, showing(ALICE, &sign(claims, "k")));
        rig.expect(a, &["REGISTERED alice@x.test"]);
    });
}

/// A service inside the exchange needs no token.
#[test]
fn the_log_service_is_registered_under_any_rules() {
    each(|rig| {
        rule(rig, json!({"default": "deny"}));
        let service = rig.open(true);
        rig.register(service, crate::exchange::address::LOG_SERVICE);
        rig.expect(service, &["REGISTERED logs@system.local"]);
    });
}

/// Section 23, `pbx`; 19.1: a listed domain needs a token and may announce no more than its routes.
#[test]
fn an_exchange_is_connected_only_with_its_token_and_its_routes() {
    each(|rig| {
        rule(rig, json!({"pbx": [{"domain": "home.test", "tokens": ["p1"], "routes": ["*@home.test"]}]}));
        let tie = rig.phone();
        let ask = |rig: &mut Rig, token: &str, routes: &[&str], expected: &str| {
            let auth = (!token.is_empty()).then(|| Secret::new(token));
            let registration = TieRegistration { domain: "home.test".into(), routes: patterns(routes), auth };
            rig.ask(tie, Request::Tie(TieRequest::Register(Box::new(registration))));
            rig.expect(tie, &[expected]);
        };
        for (token, routes) in
            [("", "*@home.test"), ("p2", "*@home.test"), ("p1", "*.home.test"), ("p1", "*")]
        {
            ask(rig, token, &[routes], "REGISTER_PBX_FAILED AuthFailed");
        }
        ask(rig, "p1", &["*@home.test"], "REGISTERED_PBX home.test");
        rig.tie("other.test", &["*@other.test"]);
    });
}

/// 19.8: what another exchange is told of a caller is what this one has checked.
#[test]
fn a_caller_that_has_shown_a_token_is_vouched_for() {
    each(|rig| {
        rule(rig, closed());
        let tie = rig.tie("home.test", &["*@home.test"]);
        let (a, b) = (rig.registered_as(showing(ALICE, "t")), rig.registered("bob@y.test"));
        for (caller, expected) in [(a, " Verified"), (b, " Unverified")] {
            rig.dial(caller, "x@home.test");
            let heard = rig.heard(tie);
            assert!(heard.iter().any(|notice| notice.ends_with(expected)), "{heard:?}");
        }
    });
}

/// Section 23: dial rules hold across exchanges, and a denied DIAL_FORWARD is BUSY with its call id.
#[test]
fn dial_rules_hold_for_calls_from_and_to_other_exchanges() {
    each(|rig| {
        rule(
            rig,
            json!({"dial": [{"from": "*@guest.test", "to": "*@home.test", "allow": false},
            {"from": "*@home.test", "to": BOB, "allow": false}]}),
        );
        let tie = rig.tie("home.test", &["*@home.test"]);
        let (guest, b) = (rig.registered("g@guest.test"), rig.registered(BOB));
        rig.dial(guest, "x@home.test");
        rig.expect(guest, &["BUSY x@home.test forbidden"]);
        rig.dial_forward(tie, "call-1", "boss@home.test", BOB);
        let heard = rig.heard(tie);
        assert!(heard.len() == 1 && heard[0].contains("forbidden") && heard[0].contains('#'), "{heard:?}");
        rig.expect(b, &[]);
        rig.dial_forward(tie, "call-2", "boss@home.test", "g@guest.test");
        let heard = rig.heard(guest);
        assert!(
            heard.iter().any(|notice| notice.starts_with("RING") && notice.ends_with("boss@home.test")),
            "{heard:?}"
        );
    });
}

/// Section 23: PRESENCE shows another exchange's line only whom it may dial here.
#[test]
fn another_exchanges_line_sees_only_whom_it_may_dial() {
    each(|rig| {
        rule(rig, json!({"dial": [{"from": "*@home.test", "to": BOB, "allow": false}]}));
        let tie = rig.tie("home.test", &["*@home.test"]);
        rig.crowd(&[ALICE, BOB]);
        for (asker, expected) in
            [("eve@home.test", "alice@x.test"), ("eve@y.test", "alice@x.test, bob@x.test")]
        {
            let query = PresenceQuery { domain: Some("x.test".into()), ..PresenceQuery::default() };
            let query = TieQuery { query, reply_to: Some(asker.into()), query_id: None, hops: 1 };
            rig.ask(tie, Request::Tie(TieRequest::PresenceQuery(Box::new(query))));
            let heard = rig.heard(tie);
            assert!(heard.len() == 1 && heard[0].contains(&format!("[{expected}]")), "{heard:?}");
        }
    });
}

/// Signatures that somebody made up cost more than making them up does.
#[test]
fn of_one_line_so_many_signed_tokens_are_verified_in_a_minute() {
    each(|rig| {
        rule(rig, closed());
        let (good, a) = (token(rig, 600), rig.phone());
        let bad = format!("{}.AAAA", good.rsplit_once('.').expect("a signature").0);
        for _ in 0..SIGNATURES_PER_LINE_MAX {
            rig.register_as(a, showing("alice@y.test", &bad));
        }
        rig.heard(a);
        rig.register_as(a, showing(BOB, &good));
        rig.expect(a, &["REGISTER_FAILED auth_failed"]);
        rig.register_as(a, showing(BOB, "t"));
        rig.expect(a, &["REGISTERED bob@x.test"]);
        let other = rig.registered_as(showing(ALICE, &good));
        rig.wait_ms(SIGNATURES_WINDOW_MS - 5000);
        [a, other].into_iter().for_each(|phone| rig.ask(phone, Request::Heartbeat));
        rig.wait_ms(5000);
        rig.heard(a);
        rig.register_as(a, showing(CAROL, &good));
        rig.expect(a, &["REGISTERED carol@x.test"]);
    });
}
