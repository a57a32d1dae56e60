//! Calls across exchanges: DIAL_FORWARD both ways, hops, loops, and what a tie line may not do (spec sections 19.3 to 19.5).

use super::rig::{parallel, pooled, registration, wakeable};
use super::*;
use crate::exchange::event::{ContentType, Loss, Request, Status};
use crate::exchange::ids::CallId;
use crate::exchange::limits::GIVEN_UP_MS;
use crate::exchange::tie::TieRequest;

const THEIRS: &str = "x@home.test";
const A_UUID: &str = "3f2b6c1e-7d4a-4a55-9c61-0e9d3a7b8c21";

fn rings(rig: &mut Rig, tie: Phone, call: usize) {
    let call = rig.call(call);
    rig.ask(tie, Request::Tie(TieRequest::Ring { call, metadata: Some(b"{}") }));
}

fn is_busy(rig: &mut Rig, tie: Phone, call: usize, reason: Option<&str>) {
    let call = rig.call(call);
    rig.ask(tie, Request::Tie(TieRequest::Busy { call, reason: reason.map(Into::into) }));
}

fn says(rig: &mut Rig, tie: Phone, call: usize, from: Option<&str>, text: &str) {
    let (call, data, content_type) = (rig.call(call), Some(text.as_bytes()), ContentType::Text);
    let message = TieRequest::Message { call, from: from.map(Into::into), data, content_type };
    rig.ask(tie, Request::Tie(message));
}

/// 24, federated call down, the parent's side; 19.3.
#[test]
fn a_call_goes_out_rings_back_is_answered_and_ends() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.ask(
            a,
            Request::Dial { to: THEIRS.into(), metadata: Some(b"{\"n\":1}"), reference: None, trace: None },
        );
        rig.expect(tie, &["DIAL_FORWARD #1 from alice@x.test to x@home.test {\"n\":1} Unverified"]);
        rings(rig, tie, 1);
        rig.expect(a, &["RING #1 to x@home.test {}"]);
        rig.answer(tie, 1);
        rig.expect(a, &["CONNECTED #1 to x@home.test"]);
        rig.say(a, 1, "hi");
        rig.expect(tie, &["MSG #1 from alice@x.test hi"]);
        says(rig, tie, 1, Some(THEIRS), "ho");
        says(rig, tie, 1, None, "ho");
        rig.expect(a, &["MSG #1 from x@home.test ho", "MSG #1 from x@home.test ho"]);
        rig.hang_up(a, 1);
        rig.expect(tie, &["HANGUP #1 normal"]);
        rig.expect(a, &[]);
        assert_eq!(rig.call_log(), ["alice@x.test > x@home.test Forwarded normal by Caller"]);
        assert_eq!(rig.total(|counts| counts.legs + counts.records + counts.timers), 0);
    });
}

/// 24, the child's side; 19.4: the given call id is everybody's, whatever its form.
#[test]
fn a_call_comes_in_rings_is_answered_and_ends() {
    for name in ["call-1", A_UUID] {
        each(|rig| {
            let (tie, b) = (rig.tie("parent.test", &["*@parent.test"]), rig.registered(BOB));
            rig.dial_forward(tie, name, "boss@parent.test", BOB);
            rig.expect(b, &["RING #1 from boss@parent.test"]);
            assert_eq!(rig.call(1), CallId::parse(name.as_bytes()));
            rig.expect(tie, &["RING #1 from bob@x.test"]);
            rig.answer(b, 1);
            rig.expect(tie, &["ANSWER #1 from bob@x.test"]);
            says(rig, tie, 1, Some("boss@parent.test"), "hi");
            rig.expect(b, &["MSG #1 from boss@parent.test hi"]);
            rig.say(b, 1, "ho");
            rig.expect(tie, &["MSG #1 from bob@x.test ho"]);
            rig.hang_up(tie, 1);
            rig.expect(b, &["HANGUP #1 normal"]);
            assert_eq!(rig.call_log(), ["boss@parent.test > bob@x.test Single normal by Caller"]);
            assert!(rig.named.is_empty());
            // The name may be used again.
            rig.dial_forward(tie, name, "boss@parent.test", BOB);
            rig.expect(b, &["RING #1 from boss@parent.test"]);
        });
    }
}

/// 19.3: BUSY's reason is relayed, `unavailable` if it has none; the caller is free again.
#[test]
fn the_other_exchange_may_refuse_in_its_own_words() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        for (number, reason, heard) in [(1, Some("on the moon"), "on the moon"), (2, None, "unavailable")] {
            rig.dial(a, THEIRS);
            is_busy(rig, tie, number, reason);
            rig.expect(a, &[&format!("BUSY x@home.test {heard}")]);
        }
        assert_eq!(rig.total(|counts| counts.legs + counts.records), 0);
        // Whatever it means by it, a call that is up does not stay up on one side only.
        rig.dial(a, THEIRS);
        rig.answer(tie, 3);
        is_busy(rig, tie, 3, Some("busy"));
        rig.expect(a, &["CONNECTED #3 to x@home.test", "HANGUP #3 busy"]);
    });
}

/// 19.4: the same checks as for local dials, BUSY with the call's id.
#[test]
fn a_call_that_comes_in_is_checked_as_a_local_one() {
    each(|rig| {
        let tie = rig.tie("parent.test", &["*@parent.test"]);
        let (b, c) = (rig.registered(BOB), rig.registered(CAROL));
        rig.dial_forward(tie, "nobody", "boss@parent.test", DAVE);
        rig.dial_forward(tie, "nonsense", "boss@parent.test", "no address");
        rig.expect(tie, &["BUSY #1 dave@x.test no_such_address", "BUSY #2 no address no_such_address"]);
        for (n, (status, word)) in
            [(Status::Dnd, "dnd"), (Status::Away, "away"), (Status::Busy, "busy")].into_iter().enumerate()
        {
            rig.status(b, status);
            rig.dial_forward(tie, word, "boss@parent.test", BOB);
            rig.expect(tie, &[&format!("BUSY #{} bob@x.test {word}", n + 3)]);
        }
        rig.status(b, Status::Available);
        rig.dial(c, BOB);
        rig.dial_forward(tie, "second", "boss@parent.test", BOB);
        rig.expect(tie, &["BUSY #7 bob@x.test already_in_call"]);
        let radio = rig.registered_as(super::rig::broadcaster(RADIO, None));
        rig.dial_forward(tie, "radio", "boss@parent.test", RADIO);
        rig.expect(tie, &["BUSY #8 radio@x.test unsupported"]);
        rig.expect(radio, &[]);
        assert!(rig.named.is_empty(), "27.11: nothing is kept of rejected dials");
    });
}

/// 27.12: with the call's id, and the right `to`.
#[test]
fn a_call_that_nobody_answers_times_out_on_both_sides() {
    each(|rig| {
        let tie = rig.tie("home.test", &["*@home.test"]);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, THEIRS);
        rig.dial_forward(tie, "in", "boss@home.test", BOB);
        rig.heard(tie);
        rig.heard(b);
        rig.ask(tie, Request::Heartbeat);
        rig.wait_ms(30_020);
        let heard = rig.heard(tie);
        assert!(heard.contains(&"HANGUP #1 timeout".to_owned()), "{heard:?}");
        assert!(heard.contains(&"BUSY #2 bob@x.test timeout".to_owned()), "{heard:?}");
        rig.expect(a, &["BUSY x@home.test timeout"]);
        rig.expect(b, &["HANGUP #2 timeout"]);
    });
}

/// 19.5: forwarded unchanged, relayed link to link, `from` untouched.
#[test]
fn a_call_may_pass_through() {
    each(|rig| {
        let (left, right) =
            (rig.tie("left.test", &["*@left.test"]), rig.tie("right.test", &["*@right.test"]));
        rig.dial_forward(left, "through", "l@left.test", "r@right.test");
        rig.expect(right, &["DIAL_FORWARD #1 from l@left.test to r@right.test handed on"]);
        rings(rig, right, 1);
        rig.expect(left, &["RING #1 from r@right.test {}"]);
        rig.answer(right, 1);
        rig.expect(left, &["ANSWER #1 from r@right.test"]);
        says(rig, left, 1, Some("l@left.test"), "hi");
        says(rig, left, 1, Some("deputy@left.test"), "hi too");
        says(rig, left, 1, Some("+49 30 1"), "and me");
        says(rig, left, 1, Some(""), "as before");
        rig.expect(
            right,
            &[
                "MSG #1 from l@left.test hi",
                "MSG #1 from deputy@left.test hi too",
                "MSG #1 from +49 30 1 and me",
                "MSG #1 from +49 30 1 as before",
            ],
        );
        says(rig, right, 1, Some("r@right.test"), "ho");
        says(rig, right, 1, Some("deputy@right.test"), "ho too");
        rig.expect(left, &["MSG #1 from r@right.test ho", "MSG #1 from deputy@right.test ho too"]);
        rig.hang_up(right, 1);
        rig.expect(left, &["HANGUP #1 normal"]);
        assert!(rig.named.is_empty());
    });
}

/// 9, step 1: what is dialled need not be an address, if a route is for it; nor need the caller of another exchange be one.
#[test]
fn whom_another_exchange_knows_need_not_have_an_address() {
    each(|rig| {
        let (telephones, other) = (rig.tie("pstn.test", &["+49*"]), rig.tie("other.test", &["*@other.test"]));
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, "+49 30 1");
        rig.expect(telephones, &["DIAL_FORWARD #1 from alice@x.test to +49 30 1 Unverified"]);
        rig.answer(telephones, 1);
        rig.expect(a, &["CONNECTED #1 to +49 30 1"]);
        rig.dial(a, "+1 202 2");
        rig.expect(a, &["BUSY +1 202 2 no_such_address"]);
        rig.dial_forward(other, "through", "o@other.test", "+49 30 2");
        rig.expect(telephones, &["DIAL_FORWARD #2 from o@other.test to +49 30 2 handed on"]);
        rig.dial_forward(telephones, "in", "+49 30 1", BOB);
        rig.expect(b, &["RING #3 from +49 30 1"]);
        // Never back over the link it came from.
        rig.dial_forward(telephones, "back", "+49 30 1", "+49 30 2");
        rig.expect(telephones, &["RING #3 from bob@x.test", "BUSY #4 +49 30 2 no_such_address"]);
    });
}

/// 19.5: refusals pass as well, with their words.
#[test]
fn a_refusal_passes_through() {
    each(|rig| {
        let (left, right) =
            (rig.tie("left.test", &["*@left.test"]), rig.tie("right.test", &["*@right.test"]));
        rig.dial_forward(left, "through", "l@left.test", "r@right.test");
        is_busy(rig, right, 1, Some("unsupported"));
        rig.expect(left, &["BUSY #1 r@right.test unsupported"]);
    });
}

/// 19.5: never back over the link it came from.
#[test]
fn a_call_does_not_go_back_where_it_came_from() {
    each(|rig| {
        let left = rig.tie("left.test", &["*"]);
        rig.dial_forward(left, "back", "l@left.test", "z@left.test");
        rig.expect(left, &["BUSY #1 z@left.test no_such_address"]);
        let other = rig.tie("other.test", &["*@left.test"]);
        rig.dial_forward(left, "on", "l@left.test", "z@left.test");
        rig.expect(other, &["DIAL_FORWARD #2 from l@left.test to z@left.test handed on"]);
    });
}

/// 19.5: a call id already active here.
#[test]
fn a_call_that_comes_back_is_a_loop() {
    each(|rig| {
        let (left, right) =
            (rig.tie("left.test", &["*@left.test"]), rig.tie("right.test", &["*@right.test"]));
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        // One of ours.
        rig.dial(a, "r@right.test");
        rig.heard(right);
        let text = rig.call(1).to_string();
        rig.dial_forward(left, &text, ALICE, BOB);
        rig.expect(left, &["BUSY #1 bob@x.test loop_detected"]);
        // One that passes through, by another way and by the same.
        rig.dial_forward(left, "through", "l@left.test", "r@right.test");
        rig.heard(right);
        rig.dial_forward(right, "through", "l@left.test", BOB);
        rig.expect(right, &["BUSY #2 bob@x.test loop_detected"]);
        rig.dial_forward(left, "through", "l@left.test", BOB);
        rig.expect(left, &["BUSY #2 bob@x.test loop_detected"]);
        rig.expect(b, &[]);
        // The ones that were there first are not touched.
        rig.answer(right, 1);
        rig.answer(right, 2);
        rig.expect(a, &["CONNECTED #1 to r@right.test"]);
        rig.expect(left, &["ANSWER #2 from r@right.test"]);
    });
}

/// Found by `systemx sim --trees`, seed 11: with the caller's goodbye at its heels, a dial found every name on its way free again
/// and went round for ever.
#[test]
fn a_dial_that_was_given_up_does_not_go_in_a_circle() {
    each(|rig| {
        let (left, right) =
            (rig.tie("left.test", &["*@left.test"]), rig.tie("right.test", &["*@right.test"]));
        let other = rig.tie("other.test", &["*@other.test"]);
        let a = rig.registered(ALICE);
        rig.dial(a, "r@right.test");
        rig.hang_up(a, 1);
        rig.dial_forward(left, "through", "l@left.test", "r@right.test");
        rig.hang_up(left, 2);
        rig.heard(right);
        let own = rig.call(1).to_string();
        for (name, number) in [(own.as_str(), 1), ("through", 2)] {
            rig.dial_forward(other, name, "l@left.test", "r@right.test");
            rig.expect(other, &[&format!("BUSY #{number} r@right.test loop_detected")]);
        }
        rig.expect(right, &[]);
        // Not for ever: others name their calls as they like.
        rig.wait_ms(GIVEN_UP_MS);
        rig.dial_forward(other, "through", "l@left.test", "r@right.test");
        rig.expect(right, &["DIAL_FORWARD #2 from l@left.test to r@right.test handed on"]);
    });
}

/// Guarantee 2: a link touches only its own calls, whatever it knows.
#[test]
fn a_tie_line_cannot_touch_the_calls_of_others() {
    each(|rig| {
        let (good, bad) = (rig.tie("good.test", &["*@good.test"]), rig.tie("bad.test", &["*@bad.test"]));
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let (c, d) = (rig.registered(CAROL), rig.registered(DAVE));
        rig.connect(a, b, BOB);
        rig.dial(c, "g@good.test");
        rig.dial_forward(good, "in", "g@good.test", DAVE);
        rig.heard(good);
        rig.heard(d);
        for call in 1..=3 {
            rings(rig, bad, call);
            is_busy(rig, bad, call, Some("gotcha"));
            rig.answer(bad, call);
            rig.hang_up(bad, call);
            says(rig, bad, call, Some(BOB), "gotcha");
            assert_eq!(rig.heard(bad), ["stray"], "it cannot tell whether there is such a call");
        }
        for phone in [a, b, c, d, good] {
            rig.expect(phone, &[]);
        }
        // Nor can a client, by the name of a call that is not its own.
        let stranger = rig.registered(EVE);
        for call in 1..=3 {
            rig.answer(stranger, call);
            rig.hang_up(stranger, call);
        }
        rig.answer(good, 2);
        rig.expect(c, &["CONNECTED #2 to g@good.test"]);
    });
}

/// 18.2 and guarantee 1: whatever the state, each party is told once.
#[test]
fn when_a_link_is_lost_every_party_of_its_calls_is_told_once() {
    each(|rig| {
        let tie = rig.tie("home.test", &["*@home.test", "*@beyond.test"]);
        let other = rig.tie("other.test", &["*@other.test"]);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let (c, d) = (rig.registered(CAROL), rig.registered(DAVE));
        rig.dial(a, THEIRS);
        rig.answer(tie, 1);
        rig.dial(b, "y@home.test");
        rig.dial_forward(tie, "ringing", "z@home.test", CAROL);
        rig.dial_forward(tie, "up", "z@home.test", DAVE);
        rig.answer(d, 4);
        rig.dial_forward(other, "through", "o@other.test", "q@beyond.test");
        rig.answer(tie, 5);
        rig.dial_forward(tie, "there", "z@home.test", "o@other.test");
        [a, b, c, d, other].into_iter().for_each(|phone| drop(rig.heard(phone)));
        rig.lose(tie, Loss::Vanished);
        rig.expect(a, &["HANGUP #1 error"]);
        rig.expect(b, &["BUSY y@home.test unavailable"]);
        rig.expect(c, &["HANGUP #3 error"]);
        rig.expect(d, &["HANGUP #4 error"]);
        let mut heard = rig.heard(other);
        heard.sort();
        assert_eq!(heard, ["HANGUP #5 error", "HANGUP #6 error"]);
        assert_eq!(rig.total(|counts| counts.legs + counts.records + counts.timers), 0);
        assert!(rig.named.is_empty());
    });
}

/// The dial may meet the link's end on any of its ways.
#[test]
fn a_dial_that_is_on_its_way_when_the_link_is_lost_is_refused() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.hold_trunks = true;
        rig.dial(a, THEIRS);
        rig.lose(tie, Loss::Vanished);
        rig.hold_trunks = false;
        rig.carry();
        let heard = rig.heard(a);
        assert!(matches!(&heard[..], [one] if one.starts_with("BUSY x@home.test")), "{heard:?}");
    });
}

/// A call whose other side hangs up while it is on its way rings nobody for long.
#[test]
fn a_caller_that_gives_up_before_the_callee_is_found_leaves_nothing() {
    each(|rig| {
        let (tie, b) = (rig.tie("home.test", &["*@home.test"]), rig.registered(BOB));
        rig.hold_trunks = true;
        rig.dial_forward(tie, "brief", "z@home.test", BOB);
        let call = CallId::parse(b"brief");
        rig.ask(tie, Request::HangUp { call, reason: None });
        // The same name at once again, while what is left of the first is still under way.
        rig.dial_forward(tie, "brief", "z@home.test", BOB);
        rig.ask(tie, Request::HangUp { call, reason: None });
        rig.hold_trunks = false;
        rig.carry();
        rig.heard(tie);
        rig.heard(b);
        assert_eq!(rig.total(|counts| counts.legs + counts.records + counts.timers), 0);
        rig.dial_forward(tie, "brief", "z@home.test", BOB);
        rig.expect(b, &["RING #1 from z@home.test"]);
    });
}

/// 19: one link carries many calls side by side, and may hold an address as well.
#[test]
fn a_tie_line_may_be_a_party_of_its_own() {
    each(|rig| {
        let tie = rig.tie("home.test", &["*@home.test"]);
        rig.register(tie, CAROL);
        rig.expect(tie, &["REGISTERED carol@x.test"]);
        let a = rig.registered_as(parallel(ALICE, None));
        rig.dial(a, THEIRS);
        rig.dial(a, CAROL);
        rig.expect(
            tie,
            &["DIAL_FORWARD #1 from alice@x.test to x@home.test Unverified", "RING #2 from alice@x.test"],
        );
        rig.answer(tie, 2);
        rig.answer(tie, 1);
        rig.expect(a, &["CONNECTED #2 to carol@x.test", "CONNECTED #1 to x@home.test"]);
    });
}

/// D7: a link is never held back for one of its calls; those who send to a full one are.
#[test]
fn senders_to_a_congested_link_are_held_but_the_link_is_not() {
    each(|rig| {
        let (tie, a) = (rig.tie("home.test", &["*@home.test"]), rig.registered(ALICE));
        rig.dial(a, THEIRS);
        rig.answer(tie, 1);
        rig.event(tie, crate::exchange::event::Event::Congested);
        assert!(rig.is_paused(a));
        rig.event(tie, crate::exchange::event::Event::Drained);
        assert!(!rig.is_paused(a));
        rig.event(a, crate::exchange::event::Event::Congested);
        assert!(!rig.is_paused(tie));
    });
}

/// 9, step 5: a local link always wins; a route wins over a stored wake profile.
#[test]
fn who_is_here_is_not_sought_elsewhere() {
    each(|rig| {
        let tie = rig.tie("all.test", &["*"]);
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, BOB);
        rig.expect(b, &["RING #1 from alice@x.test"]);
        rig.hang_up(a, 1);
        rig.lose(b, Loss::Closed);
        rig.dial(a, BOB);
        rig.expect(tie, &["DIAL_FORWARD #2 from alice@x.test to bob@x.test Unverified"]);
        for sleeper in [wakeable(registration(DAVE)), wakeable(pooled(POOL, 2, None))] {
            let line = rig.registered_as(sleeper);
            rig.ask(line, Request::SleepAck);
        }
        for (call, address) in [(3, DAVE), (4, POOL)] {
            rig.dial(a, address);
            rig.expect(tie, &[&format!("DIAL_FORWARD #{call} from alice@x.test to {address} Unverified")]);
        }
        assert_eq!(rig.wakes, []);
    });
}
