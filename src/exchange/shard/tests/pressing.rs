//! A tie line that does not take what it is sent: who fills it loses the call, everybody else keeps theirs (design.md, D7).

use super::tie_parties::{CLUB, X, Y, join_forward, joined, says as says_in};
use super::*;
use crate::exchange::event::{ContentType, Event, Request};
use crate::exchange::tie::TieRequest;

const ROUTES: &[&str] = &["*@home.test"];

/// `phone` calls somebody beyond `tie`, who answers.
fn call_out(rig: &mut Rig, phone: Phone, tie: Phone, to: &str) -> usize {
    rig.dial(phone, to);
    let call = rig.calls_known();
    rig.answer(tie, call);
    rig.heard(phone);
    rig.heard(tie);
    call
}

fn says(rig: &mut Rig, tie: Phone, call: usize, len: usize) {
    let (call, text) = (rig.call(call), "x".repeat(len));
    let (from, data) = (None, Some(text.as_bytes()));
    rig.ask(tie, Request::Tie(TieRequest::Message { call, from, data, content_type: ContentType::Text }));
}

fn pressed(rig: &mut Rig, tie: Phone) {
    rig.event(tie, |line| Event::Pressed { line, is_over: false });
}

/// The calls that ended at a phone as those of a slow consumer.
fn ended(rig: &mut Rig, phone: Phone) -> Vec<String> {
    let heard = rig.heard(phone).into_iter();
    heard.filter_map(|text| text.strip_prefix("HANGUP ").map(str::to_owned)).collect()
}

#[test]
fn those_who_fill_a_link_lose_their_calls_and_nobody_else() {
    each(|rig| {
        let tie = rig.tie("home.test", ROUTES);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let (loud, soft) = (call_out(rig, a, tie, "x@home.test"), call_out(rig, a, tie, "y@home.test"));
        let held = call_out(rig, b, tie, "z@home.test");
        rig.say(b, held, &"x".repeat(1000));
        rig.event(tie, Event::Congested);
        assert!(rig.is_paused(b) && !rig.is_paused(a));
        rig.say(a, soft, &"x".repeat(40));
        rig.say(a, loud, &"x".repeat(60));
        rig.heard(tie);
        pressed(rig, tie);
        for phone in [a, tie] {
            assert_eq!(ended(rig, phone), [format!("#{loud} slow_consumer")]);
        }
        pressed(rig, tie);
        pressed(rig, tie);
        for phone in [a, tie] {
            assert_eq!(ended(rig, phone), [format!("#{soft} slow_consumer")]);
        }
        rig.event(tie, Event::Drained);
        rig.say(b, held, "still here");
        rig.expect(tie, &[&format!("MSG #{held} from bob@x.test still here")]);
        assert_eq!(rig.total(|counts| counts.legs + counts.records), 2);
    });
}

/// A link that passes on what it hears from another cannot be held for the sake of one of its calls.
#[test]
fn a_call_in_transit_that_fills_either_link_ends_on_both() {
    for fills_the_way_out in [true, false] {
        each(|rig| {
            let (left, right) = (rig.tie("left.test", &["*@left.test"]), rig.tie("home.test", ROUTES));
            for name in ["loud", "soft"] {
                rig.dial_forward(left, name, "boss@left.test", "x@home.test");
                rig.answer(right, rig.calls_known());
            }
            let (from, to) = if fills_the_way_out { (left, right) } else { (right, left) };
            rig.event(to, Event::Congested);
            says(rig, from, 1, 500);
            says(rig, from, 2, 5);
            rig.heard(left);
            rig.heard(right);
            pressed(rig, to);
            for tie in [left, right] {
                assert_eq!(ended(rig, tie), ["#1 slow_consumer"]);
            }
            says(rig, from, 2, 1);
            assert_eq!(rig.heard(to).len(), 1, "the other call is up");
        });
    }
}

/// What was sent before its output piled up is not held against anyone, and each time is counted anew.
#[test]
fn only_what_was_sent_meanwhile_counts() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", ROUTES), rig.registered(ALICE));
        let (first, second) = (call_out(rig, a, tie, "x@home.test"), call_out(rig, a, tie, "y@home.test"));
        rig.event(tie, Event::Congested);
        rig.say(a, first, &"x".repeat(1000));
        rig.event(tie, Event::Drained);
        rig.event(tie, Event::Congested);
        rig.say(a, second, "x");
        pressed(rig, tie);
        assert_eq!(ended(rig, a), [format!("#{second} slow_consumer")]);
    });
}

/// The heaviest go first, until half of the weight is gone.
#[test]
fn many_small_floods_are_ended_by_halves() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", ROUTES), rig.registered(ALICE));
        let calls: Vec<_> = (0..8).map(|n| call_out(rig, a, tie, &format!("x{n}@home.test"))).collect();
        rig.event(tie, Event::Congested);
        for &call in &calls {
            rig.say(a, call, "xxxx");
        }
        for left in [4, 2, 1, 0, 0] {
            pressed(rig, tie);
            assert_eq!(rig.total(|counts| counts.records), left);
        }
    });
}

/// Before it is known who can be held, a whole turn's messages may have come: beyond the limit that makes no difference.
#[test]
fn beyond_the_limit_the_heaviest_call_ends_whether_it_can_be_held_or_not() {
    each(|rig| {
        let (tie, a, b) = (rig.tie("home.test", ROUTES), rig.registered(ALICE), rig.registered(BOB));
        let (heavy, light) = (call_out(rig, a, tie, "x@home.test"), call_out(rig, b, tie, "y@home.test"));
        rig.event(tie, Event::Congested);
        rig.event(tie, Event::Drained);
        rig.say(a, heavy, "xxxx");
        rig.say(b, light, "x");
        pressed(rig, tie);
        assert_eq!(rig.total(|counts| counts.records), 2, "both can be held");
        rig.event(tie, |line| Event::Pressed { line, is_over: true });
        assert_eq!(ended(rig, a), [format!("#{heavy} slow_consumer")]);
        assert_eq!(rig.total(|counts| counts.records), 1);
    });
}

/// Whoever said nothing weighed nothing, however often he said it, and others lost their calls for him.
#[test]
fn messages_weigh_what_they_take_and_not_only_what_they_say() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", ROUTES), rig.registered(ALICE));
        let (empty, long) = (call_out(rig, a, tie, "x@home.test"), call_out(rig, a, tie, "y@home.test"));
        rig.event(tie, Event::Congested);
        for _ in 0..100 {
            rig.say(a, empty, "");
        }
        rig.say(a, long, &"x".repeat(5000));
        pressed(rig, tie);
        assert_eq!(ended(rig, a), [format!("#{empty} slow_consumer")]);
    });
}

/// A flood in a party ended the calls of those who had least to do with it.
#[test]
fn who_fills_a_link_in_a_party_loses_the_seat_and_nobody_else_anything() {
    each(|rig| {
        let tie = rig.tie("home.test", ROUTES);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let calls = ["y@home.test", "z@home.test"].map(|to| call_out(rig, b, tie, to));
        rig.join(a, HALL);
        rig.join(b, HALL);
        join_forward(rig, tie, HALL, X);
        rig.event(tie, Event::Congested);
        rig.say(b, calls[0], &"x".repeat(100));
        rig.say_in_party(b, HALL, "soft");
        for _ in 0..10 {
            rig.say_in_party(a, HALL, "loud");
        }
        [a, b, tie].iter().for_each(|&phone| drop(rig.heard(phone)));
        pressed(rig, tie);
        rig.expect(a, &["ERROR PartyMessage party_lost"]);
        rig.expect(b, &[]);
        rig.say_in_party(b, HALL, "still here");
        rig.expect(tie, &["PARTY_MSG hall@x.test from bob@x.test still here"]);
        rig.join(a, HALL);
        rig.expect(a, &["JOINED hall@x.test [bob@x.test, x@home.test, alice@x.test]"]);
        assert_eq!(rig.total(|counts| counts.records), 2, "the calls are up");
    });
}

/// On the way up there is only one who can be meant: he leaves.
#[test]
fn who_fills_the_link_to_the_host_leaves_the_party() {
    each(|rig| {
        let (tie, a, b) = (rig.tie("home.test", ROUTES), rig.registered(ALICE), rig.registered(BOB));
        for (phone, name) in [(a, ALICE), (b, BOB)] {
            rig.join(phone, CLUB);
            joined(rig, tie, CLUB, Some(name), &[name]);
        }
        rig.event(tie, Event::Congested);
        rig.say_in_party(a, CLUB, "a long word");
        rig.say_in_party(b, CLUB, "short");
        [a, b, tie].iter().for_each(|&phone| drop(rig.heard(phone)));
        pressed(rig, tie);
        rig.expect(a, &["ERROR PartyMessage party_lost"]);
        rig.expect(tie, &["LEAVE club@home.test from alice@x.test"]);
        rig.expect(b, &[]);
    });
}

/// Who speaks beyond the host has no seat here: it is those who hear him by way of the link for whom it is too much.
#[test]
fn what_comes_down_from_a_host_costs_those_beyond_the_link_their_seats() {
    each(|rig| {
        let (up, down) = (rig.tie("home.test", ROUTES), rig.tie("low.test", &["*@low.test"]));
        let a = rig.registered(ALICE);
        rig.join(a, CLUB);
        joined(rig, up, CLUB, Some(ALICE), &[ALICE]);
        join_forward(rig, down, CLUB, "l@low.test");
        joined(rig, up, CLUB, Some("l@low.test"), &[ALICE, "l@low.test"]);
        rig.event(down, Event::Congested);
        says_in(rig, up, CLUB, Y, "a flood");
        [a, up, down].iter().for_each(|&phone| drop(rig.heard(phone)));
        pressed(rig, down);
        rig.expect(down, &["JOIN_FAILED club@home.test to l@low.test party_lost"]);
        rig.expect(up, &["LEAVE club@home.test from l@low.test"]);
        says_in(rig, up, CLUB, Y, "goes on");
        assert_eq!((rig.heard(a).len(), rig.heard(down).len()), (1, 0));
    });
}

/// What was said before does not count, and whoever has been put out does not stand for others a second time.
#[test]
fn speakers_are_weighed_anew_each_time() {
    each(|rig| {
        let (tie, a, b) = (rig.tie("home.test", ROUTES), rig.registered(ALICE), rig.registered(BOB));
        rig.join(a, HALL);
        rig.join(b, HALL);
        join_forward(rig, tie, HALL, X);
        rig.say_in_party(a, HALL, "before");
        rig.event(tie, Event::Congested);
        rig.say_in_party(b, HALL, "meanwhile");
        [a, b, tie].iter().for_each(|&phone| drop(rig.heard(phone)));
        pressed(rig, tie);
        pressed(rig, tie);
        rig.expect(a, &[]);
        rig.expect(b, &["ERROR PartyMessage party_lost"]);
    });
}

/// Every word was weighed, and in vain: with the next congestion all begins anew.
#[test]
fn nobody_is_weighed_while_a_link_takes_what_it_is_sent() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", ROUTES), rig.registered(ALICE));
        rig.join(a, HALL);
        join_forward(rig, tie, HALL, X);
        rig.say_in_party(a, HALL, "before");
        rig.event(tie, Event::Congested);
        rig.say_in_party(a, HALL, "meanwhile");
        rig.event(tie, Event::Drained);
        rig.say_in_party(a, HALL, "afterwards");
        rig.heard(a);
        pressed(rig, tie);
        rig.expect(a, &[]);
    });
}
