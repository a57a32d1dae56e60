//! PRESENCE across exchanges (spec section 19.6).

use super::*;
use crate::exchange::address::Address;
use crate::exchange::effect::PresenceEntry;
use crate::exchange::event::{Loss, PresenceQuery, Request, Status};
use crate::exchange::limits::{PRESENCE_HOPS_MAX, QUESTIONS_PER_TIE_MAX};
use crate::exchange::tie::{TieAnswer, TieQuery, TieRequest};

fn query(domain: &str) -> PresenceQuery {
    PresenceQuery { domain: Some(domain.into()), ..PresenceQuery::default() }
}

fn asks(rig: &mut Rig, phone: Phone, domain: &str) {
    rig.ask(phone, Request::Presence(Box::new(query(domain))));
}

fn asks_across(rig: &mut Rig, tie: Phone, domain: &str, id: &str, hops: u8) {
    let (reply_to, query_id) = (Some("x@far.test".into()), Some(id.into()));
    let asked = TieQuery { query: query(domain), reply_to, query_id, hops };
    rig.ask(tie, Request::Tie(TieRequest::PresenceQuery(Box::new(asked))));
}

fn answers(rig: &mut Rig, tie: Phone, names: &[&str], reply_to: Option<&str>, number: Option<Option<u64>>) {
    let entries = names.iter().map(|name| entry(name)).collect();
    let answer = TieAnswer { entries, truncated: false, reply_to: reply_to.map(Into::into), number };
    rig.ask(tie, Request::Tie(TieRequest::PresenceResult(Box::new(answer))));
}

pub(super) fn entry(name: &str) -> PresenceEntry {
    PresenceEntry { address: Address::parse(name).expect("an address"), status: Status::Busy, metadata: None }
}

/// One PRESENCE_RESULT, local and remote, when all have answered; the asker is read meanwhile.
#[test]
fn who_is_there_and_who_is_here_are_told_together() {
    each(|rig| {
        let (one, two) =
            (rig.tie("one.test", &["*@home.test"]), rig.tie("two.test", &["*.home.test", "*@two.test"]));
        let (a, _here) = (rig.registered(ALICE), rig.registered("here@home.test"));
        asks(rig, a, "home.test");
        for tie in [one, two] {
            rig.expect(tie, &["PRESENCE_QUERY Some(\"home.test\") for alice@x.test q-1 hop 1"]);
        }
        rig.expect(a, &[]);
        assert!(!rig.is_paused(a));
        rig.ask(a, Request::Heartbeat);
        rig.heard(a);
        answers(rig, one, &["there@home.test"], None, Some(Some(1)));
        rig.expect(a, &[]);
        answers(rig, two, &["beyond@home.test"], None, Some(Some(1)));
        rig.expect(a, &["PRESENCE [beyond@home.test Busy, here@home.test Available, there@home.test Busy]"]);
    });
}

/// Found against real exchanges whose links form a ring: whoever could be asked by two ways was listed twice.
#[test]
fn whom_two_exchanges_tell_of_is_listed_once() {
    each(|rig| {
        let (one, two) = (rig.tie("one.test", &["*@home.test"]), rig.tie("two.test", &["*.home.test"]));
        let (a, _here) = (rig.registered(ALICE), rig.registered("here@home.test"));
        asks(rig, a, "home.test");
        [one, two].into_iter().for_each(|tie| drop(rig.heard(tie)));
        // Two lines of one address in one answer are a pool.
        answers(rig, one, &["pool@home.test", "pool@home.test", "there@home.test"], None, Some(Some(1)));
        answers(rig, two, &["there@home.test", "pool@home.test", "beyond@home.test"], None, Some(Some(1)));
        let heard = rig.heard(a).join(" ");
        let count = |name: &str| heard.matches(name).count();
        assert_eq!(["pool@", "there@", "beyond@", " here@"].map(count), [2, 1, 1, 1], "{heard}");
    });
}

/// Without domain, or without matching route, from local state at once.
#[test]
fn only_those_are_asked_who_may_know() {
    each(|rig| {
        let tie = rig.tie("one.test", &["*@home.test"]);
        let (a, _b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.ask(a, Request::Presence(Box::default()));
        asks(rig, a, "x.test");
        rig.expect(a, &["PRESENCE [bob@x.test Available]", "PRESENCE [bob@x.test Available]"]);
        rig.expect(tie, &[]);
    });
}

/// The limit on time; the original as peer never answers.
#[test]
fn who_does_not_answer_in_time_is_not_waited_for() {
    each(|rig| {
        let tie = rig.tie("one.test", &["*@home.test"]);
        let (a, _here) = (rig.registered(ALICE), rig.registered("here@home.test"));
        asks(rig, a, "home.test");
        rig.wait_ms(980);
        rig.expect(a, &[]);
        rig.wait_ms(40);
        rig.expect(a, &["PRESENCE [here@home.test Available] truncated"]);
        answers(rig, tie, &["late@home.test"], None, Some(Some(1)));
        rig.expect(a, &[]);
    });
}

#[test]
fn who_is_lost_is_not_waited_for() {
    each(|rig| {
        let tie = rig.tie("one.test", &["*@home.test"]);
        let a = rig.registered(ALICE);
        asks(rig, a, "home.test");
        rig.lose(tie, Loss::Vanished);
        rig.expect(a, &["PRESENCE []"]);
    });
}

/// By query_id, else by reply_to, else the oldest outstanding on that link.
#[test]
fn answers_find_their_questions() {
    each(|rig| {
        let tie = rig.tie("one.test", &["*@home.test"]);
        let [a, b, c, d] = [ALICE, BOB, CAROL, DAVE].map(|name| rig.registered(name));
        for phone in [a, b, c, d] {
            asks(rig, phone, "home.test");
        }
        answers(rig, tie, &["third@home.test"], Some("alice@x.test"), Some(Some(3)));
        answers(rig, tie, &["second@home.test"], Some("bob@x.test"), None);
        answers(rig, tie, &["oldest@home.test"], None, None);
        // Names none of our questions.
        answers(rig, tie, &["nobody@home.test"], Some("dave@x.test"), Some(None));
        answers(rig, tie, &["nobody@home.test"], Some("alice@x.test"), None);
        answers(rig, tie, &["nobody@home.test"], None, Some(Some(3)));
        for (phone, name) in [(a, "oldest"), (b, "second"), (c, "third")] {
            rig.expect(phone, &[&format!("PRESENCE [{name}@home.test Busy]")]);
        }
        rig.expect(d, &[]);
    });
}

/// A link cannot answer what it was not asked.
#[test]
fn an_answer_of_another_link_answers_nothing() {
    each(|rig| {
        let (_one, two) = (rig.tie("one.test", &["*@home.test"]), rig.tie("two.test", &["*@two.test"]));
        let a = rig.registered(ALICE);
        asks(rig, a, "home.test");
        answers(rig, two, &["forged@home.test"], Some("alice@x.test"), Some(Some(1)));
        answers(rig, two, &["forged@home.test"], None, None);
        rig.expect(a, &[]);
    });
}

/// A line that asks again is first told what is known.
#[test]
fn the_next_question_ends_the_one_before() {
    each(|rig| {
        let tie = rig.tie("one.test", &["*@home.test"]);
        let (a, _b) = (rig.registered(ALICE), rig.registered(BOB));
        asks(rig, a, "home.test");
        asks(rig, a, "x.test");
        rig.expect(a, &["PRESENCE [] truncated", "PRESENCE [bob@x.test Available]"]);
        asks(rig, a, "home.test");
        answers(rig, tie, &["old@home.test"], None, Some(Some(1)));
        rig.expect(a, &[]);
        rig.lose(a, Loss::Closed);
        answers(rig, tie, &["new@home.test"], None, Some(Some(2)));
    });
}

/// The peer answers with its matches and, recursively, those of its own children; never back where it came from.
#[test]
fn another_exchange_is_answered_with_what_is_here_and_beyond() {
    each(|rig| {
        let (up, down) = (rig.tie("up.test", &["*"]), rig.tie("down.test", &["*@home.test"]));
        rig.crowd(&["here@home.test", "else@x.test"]);
        asks_across(rig, up, "x.test", "theirs", 0);
        rig.expect(up, &["PRESENCE_RESULT [else@x.test] to Some(\"x@far.test\") Some(\"theirs\")"]);
        asks_across(rig, up, "home.test", "first", 1);
        asks_across(rig, up, "home.test", "second", 1);
        rig.expect(
            down,
            &[
                "PRESENCE_QUERY Some(\"home.test\") for x@far.test q-1 hop 2",
                "PRESENCE_QUERY Some(\"home.test\") for x@far.test q-2 hop 2",
            ],
        );
        rig.expect(up, &[]);
        answers(rig, down, &["below@home.test"], None, Some(Some(2)));
        rig.expect(
            up,
            &["PRESENCE_RESULT [below@home.test, here@home.test] to Some(\"x@far.test\") Some(\"second\")"],
        );
        // In time for whoever waits above.
        rig.wait_ms(520);
        rig.expect(
            up,
            &["PRESENCE_RESULT [here@home.test] truncated to Some(\"x@far.test\") Some(\"first\")"],
        );
    });
}

/// Links may form a circle.
#[test]
fn a_question_goes_through_so_many_exchanges_and_no_more() {
    each(|rig| {
        let (up, down) = (rig.tie("up.test", &["*@up.test"]), rig.tie("down.test", &["*@home.test"]));
        asks_across(rig, up, "home.test", "round", PRESENCE_HOPS_MAX);
        rig.expect(down, &[]);
        rig.expect(up, &["PRESENCE_RESULT [] to Some(\"x@far.test\") Some(\"round\")"]);
    });
}

#[test]
fn a_link_that_asks_too_much_at_a_time_finds_nobody() {
    each(|rig| {
        let (up, _down) = (rig.tie("up.test", &["*@up.test"]), rig.tie("down.test", &["*@home.test"]));
        for number in 0..QUESTIONS_PER_TIE_MAX {
            asks_across(rig, up, "home.test", &number.to_string(), 0);
        }
        rig.expect(up, &[]);
        asks_across(rig, up, "home.test", "last", 0);
        rig.expect(up, &["PRESENCE_RESULT [] truncated to Some(\"x@far.test\") Some(\"last\")"]);
        rig.lose(up, Loss::Vanished);
    });
}

/// Whoever answers speaks of those who were asked for, in whatever case.
#[test]
fn an_answer_about_others_tells_nothing() {
    each(|rig| {
        let tie = rig.tie("one.test", &["*@home.test"]);
        let a = rig.registered(ALICE);
        asks(rig, a, "Home.test");
        rig.heard(tie);
        answers(rig, tie, &["x@HOME.test", "boss@corp.test", "y@sub.home.test"], None, None);
        rig.expect(a, &["PRESENCE [x@HOME.test Busy]"]);
    });
}
