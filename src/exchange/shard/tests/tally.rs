//! What a shard counts: outcomes of dials, ends of calls, messages and their bytes, and spans of time.

use super::rig::{broadcaster, registration, wakeable};
use super::*;
use crate::exchange::call::{Traffic, Volume};
use crate::exchange::cause::Cause;
use crate::exchange::event::{ContentType, Request, Verb};
use crate::exchange::tally::{PerReason, Tally};

/// A count of all shards together.
fn total(rig: &Rig, of: impl Fn(&Tally) -> u64) -> u64 {
    rig.shards.iter().map(|shard| of(shard.tally())).sum()
}

fn of_cause(counts: &PerReason, cause: Cause) -> u64 {
    counts.iter().filter(|(name, _)| *name == cause.name()).map(|(_, count)| count).sum()
}

fn say(rig: &mut Rig, phone: Phone, call: usize, text: &'static str) {
    let (call, data) = (rig.call(call), Some(text.as_bytes()));
    rig.ask(phone, Request::Message { call, data, content_type: ContentType::Text });
}

#[test]
fn a_call_is_counted_from_its_dial_to_its_end() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, BOB);
        rig.wait_ms(3);
        rig.answer(b, 1);
        assert_eq!(rig.total(|counts| counts.connected_calls), 1);
        say(rig, a, 1, "\"four\"");
        say(rig, b, 1, "12");
        say(rig, b, 1, "3");
        rig.hang_up(a, 1);
        let traffic = Traffic {
            to_callee: Volume { messages: 1, bytes: 6 },
            to_caller: Volume { messages: 2, bytes: 3 },
        };
        let record = &rig.records[0];
        assert_eq!(record.traffic, traffic);
        let rang = record.rang.expect("it rang");
        assert_eq!(record.answered.expect("it was up").tick.millis() - rang.millis(), 3);
        assert_eq!(total(rig, |tally| tally.requests[Verb::Dial as usize]), 1);
        assert_eq!(total(rig, |tally| tally.answered), 1);
        assert_eq!(total(rig, |tally| of_cause(&tally.ended, Cause::Normal)), 1);
        assert_eq!(total(rig, |tally| tally.delivered.messages), 3);
        assert_eq!(total(rig, |tally| tally.delivered.bytes), 9);
        assert_eq!(total(rig, |tally| tally.ringing.len()), 1);
        assert_eq!(total(rig, |tally| tally.answering.sum_us), 3000);
        assert_eq!(total(rig, |tally| tally.registered), 2);
    });
}

#[test]
fn what_comes_to_nothing_is_counted_by_its_cause() {
    each(|rig| {
        let a = rig.registered(ALICE);
        rig.dial(a, BOB);
        rig.dial(a, "no address");
        let stranger = rig.phone();
        rig.register(stranger, ALICE);
        rig.dial(stranger, BOB);
        assert_eq!(total(rig, |tally| of_cause(&tally.failed_dials, Cause::NoSuchAddress)), 2);
        assert_eq!(total(rig, |tally| of_cause(&tally.register_refusals, Cause::AddressInUse)), 1);
        assert_eq!(total(rig, |tally| of_cause(&tally.refusals, Cause::NotRegistered)), 1);
    });
}

#[test]
fn listeners_and_what_they_hear_are_counted() {
    each(|rig| {
        let (h, a, b) =
            (rig.registered_as(broadcaster(HALL, None)), rig.registered(ALICE), rig.registered(BOB));
        rig.dial(a, HALL);
        say(rig, h, 1, "1234");
        rig.dial(b, HALL);
        say(rig, h, 1, "56");
        assert_eq!(rig.total(|counts| counts.listeners), 2);
        rig.hang_up(a, 1);
        rig.hang_up(b, 1);
        assert_eq!(total(rig, |tally| tally.fanned_out.messages), 3);
        assert_eq!(total(rig, |tally| tally.fanned_out.bytes), 8);
        let heard: Vec<_> = rig.records.iter().map(|record| record.traffic.to_caller).collect();
        assert_eq!(heard, [Volume { messages: 2, bytes: 6 }, Volume { messages: 1, bytes: 2 }]);
        assert_eq!(total(rig, |tally| tally.ended.total()), 0, "they are no calls of two");
    });
}

#[test]
fn wakes_are_timed_until_the_agent_is_there() {
    each(|rig| {
        let w = rig.registered_as(wakeable(registration(DAVE)));
        rig.ask(w, Request::SleepAck);
        assert_eq!(rig.total(|counts| counts.profiles), 1);
        let a = rig.registered(ALICE);
        rig.dial(a, DAVE);
        assert_eq!(rig.total(|counts| counts.waiting_calls), 1);
        rig.wait_ms(20);
        let back = rig.registered_as(wakeable(registration(DAVE)));
        rig.heard(back);
        assert_eq!(total(rig, |tally| tally.wakes), 1);
        assert_eq!(total(rig, |tally| tally.waking.sum_us), 20_000);
        assert_eq!(total(rig, |tally| tally.ringing.sum_us), 20_000, "the caller has waited as long");
        assert_eq!(rig.total(|counts| counts.waiting_calls), 0);
    });
}

/// A client may say `normal`, or any other word that is the exchange's: it counts as that.
#[test]
fn reasons_that_parties_give_in_the_exchanges_words_count_as_such() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        for (reason, cause) in
            [("normal", Some(Cause::Normal)), ("timeout", Some(Cause::Timeout)), ("bored", None)]
        {
            let call = rig.connect(a, b, BOB);
            let call = rig.call(call);
            rig.ask(a, Request::HangUp { call, reason: Some(reason.into()) });
            let name = cause.map_or(PerReason::OTHER, Cause::name);
            let counted = total(rig, |tally| {
                tally.ended.iter().find(|(found, _)| *found == name).map_or(0, |(_, count)| count)
            });
            assert_eq!(counted, 1, "{reason}");
        }
    });
}
