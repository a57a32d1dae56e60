//! How the exchange drains: who goes when, how he is told, and who is not let in any more.

use super::rig::{broadcaster, pooled, registration, wakeable};
use super::{ALICE, BOB, EVE, POOL, Phone, RADIO, ROOM, Rig, each, each_with};
use crate::exchange::event::{DrainOrder, Event, Request};

const ORDER: DrainOrder = DrainOrder { spread_ms: 10_000, retry_ms: 5_000 };

fn drain(rig: &mut Rig) {
    all_hear(rig, || Event::Drain(ORDER));
}

fn stop(rig: &mut Rig) {
    all_hear(rig, || Event::Shutdown);
}

fn all_hear(rig: &mut Rig, event: impl Fn() -> Event<'static>) {
    for shard in 0..rig.shards.len() {
        rig.handle(shard, event());
    }
}

fn open_of(rig: &Rig, phones: &[Phone]) -> usize {
    phones.iter().filter(|&&phone| rig.is_open(phone)).count()
}

#[test]
fn idle_lines_go_one_after_the_other_over_the_time_there_is() {
    each_with(
        |limits| limits.heartbeat_timeout_ms = 0,
        |rig| {
            const LINES: usize = 3000;
            let phones: Vec<_> = (0..LINES).map(|_| rig.phone()).collect();
            drain(rig);
            for tenth in 1..10 {
                rig.wait_ms(ORDER.spread_ms / 10);
                let (open, expected) = (open_of(rig, &phones), LINES / 10 * (10 - tenth));
                assert!(open.abs_diff(expected) < LINES / 50, "{open} of {LINES} after {tenth} tenths");
            }
            rig.wait_ms(ORDER.spread_ms / 10 + 100);
            assert_eq!(open_of(rig, &phones), 0);
            assert!(phones.iter().all(|&phone| rig.heard(phone) == ["CLOSE restarting"]));
            let (least, most) = (rig.hints.iter().min(), rig.hints.iter().max());
            assert!(least.is_some_and(|&hint| (5_000..5_100).contains(&hint)), "{least:?}");
            assert!(most.is_some_and(|&hint| (9_900..=10_000).contains(&hint)), "{most:?}");
        },
    );
}

#[test]
fn a_call_goes_on_and_both_go_soon_after_its_end() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        drain(rig);
        rig.wait_ms(40_000);
        rig.say(a, call, "1");
        rig.expect(b, &["MSG #1 from alice@x.test 1"]);
        assert!(rig.is_open(a) && rig.is_open(b));
        rig.hang_up(a, call);
        rig.wait_ms(1_500);
        rig.expect(a, &["CLOSE restarting"]);
        rig.expect(b, &["HANGUP #1 normal", "CLOSE restarting"]);
    });
}

#[test]
fn those_who_still_talk_at_the_end_are_told_that_their_call_is_over() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let service = rig.open(true);
        rig.connect(a, b, BOB);
        drain(rig);
        rig.wait_ms(30_000);
        stop(rig);
        for phone in [a, b] {
            rig.expect(phone, &["HANGUP #1 shutdown", "CLOSE restarting"]);
        }
        rig.expect(service, &["CLOSE service_shutdown"]);
        assert_eq!(rig.total(|counts| counts.lines + counts.legs + counts.records + counts.timers), 0);
    });
}

/// Who is here may be called and may call; who has gone, or sleeps, is not to be had.
#[test]
fn whoever_is_still_here_is_served() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        let call = rig.connect(a, b, BOB);
        let asleep = rig.registered_as(wakeable(registration(EVE)));
        rig.ask(asleep, Request::SleepAck);
        drain(rig);
        rig.hang_up(b, call);
        rig.heard(a);
        rig.dial(a, BOB);
        rig.expect(b, &["RING #2 from alice@x.test"]);
        rig.dial(a, EVE);
        rig.dial(a, "nobody@x.test");
        rig.expect(a, &["BUSY eve@x.test unavailable", "BUSY nobody@x.test unavailable"]);
        assert!(rig.wakes.is_empty());
        assert!(rig.shards.iter_mut().all(|shard| shard.open_line(rig.now, false).is_none()));
    });
}

/// Found by the simulation: a pool whose members are all taken had one more instance woken, which would not have been let in.
#[test]
fn a_pool_wakes_nobody_who_would_not_be_let_in() {
    each(|rig| {
        let (caller, other) = (rig.registered(ALICE), rig.registered(BOB));
        let member = rig.registered_as(wakeable(pooled(POOL, 2, Some(1))));
        let call = rig.connect(caller, member, POOL);
        drain(rig);
        rig.dial(other, POOL);
        rig.expect(other, &["BUSY pool@x.test max_sessions_reached"]);
        assert!(rig.wakes.is_empty());
        rig.hang_up(caller, call);
    });
}

/// Parties and broadcasts have no end of their own: they are waited for as long as idle lines go, and no longer.
#[test]
fn listeners_and_members_go_after_the_idle_ones() {
    each(|rig| {
        let host = rig.registered_as(broadcaster(RADIO, None));
        let (listener, member) = (rig.registered(ALICE), rig.registered(BOB));
        rig.dial(listener, RADIO);
        rig.join(member, ROOM);
        drain(rig);
        rig.wait_ms(ORDER.spread_ms - 100);
        let all = [host, listener, member];
        assert_eq!(open_of(rig, &all), 3);
        rig.wait_ms(2_000);
        assert_eq!(open_of(rig, &all), 0);
        assert!(rig.heard(listener).iter().any(|said| said == "HANGUP #1 shutdown"));
    });
}

/// A line that moves to another shard meanwhile is served there and goes from there.
#[test]
fn a_line_on_the_move_is_not_forgotten() {
    each(|rig| {
        let moving = rig.phone();
        rig.hold_trunks = true;
        rig.register(moving, EVE);
        drain(rig);
        rig.wait_ms(20_000);
        rig.hold_trunks = false;
        rig.carry();
        rig.wait_ms(1_000);
        assert!(!rig.is_open(moving));
        let last = rig.heard(moving).pop();
        assert_eq!(last.as_deref(), Some("CLOSE restarting"));
    });
}

/// Calls of others that pass through: both neighbours hear why they end, whichever link goes first, in a drain and without.
#[test]
fn calls_in_transit_end_by_shutdown_on_both_links() {
    for is_drained in [true, false] {
        each(|rig| {
            let ties = [rig.tie("left.test", &["*@left.test"]), rig.tie("home.test", &["*@home.test"])];
            let [left, right] = ties;
            rig.dial_forward(left, "up", "boss@left.test", "x@home.test");
            rig.answer(right, rig.calls_known());
            rig.dial_forward(left, "ringing", "boss@left.test", "y@home.test");
            rig.heard(left);
            rig.heard(right);
            if is_drained {
                drain(rig);
                rig.wait_ms(20_000);
            }
            stop(rig);
            let told = [left, right].map(|tie| rig.heard(tie));
            let close = if is_drained { "CLOSE restarting" } else { "CLOSE shutdown" };
            let expected = [
                vec!["BUSY #2 y@home.test unavailable", "HANGUP #1 shutdown", close],
                vec!["HANGUP #1 shutdown", "HANGUP #2 shutdown", close],
            ];
            for (mut told, mut expected) in told.into_iter().zip(expected) {
                told.retain(|text| !text.starts_with("HEARTBEAT"));
                assert_eq!(told.pop().as_deref(), expected.pop());
                told.sort();
                assert_eq!(told, expected);
            }
            assert_eq!(rig.total(|counts| counts.legs + counts.records), 0);
        });
    }
}
