//! Status and sleep (spec sections 6, 24).

use super::rig::{broadcaster, registration, wakeable};
use super::*;
use crate::exchange::event::{AutoSleepChange, Request, Status};

/// 24, auto-sleep: idle time, notice of W ms, close 4000 `sleep`; the profile is stored.
#[test]
fn an_idle_line_is_warned_and_put_to_sleep() {
    each(|rig| {
        let w = rig.registered_as(wakeable(registration(ALICE)));
        rig.auto_sleep(w, 3_000);
        rig.wait_ms(2_990);
        rig.expect(w, &[]);
        rig.wait_ms(20);
        rig.expect(w, &["SLEEP_PENDING 3"]);
        rig.wait_ms(2_980);
        rig.expect(w, &[]);
        rig.wait_ms(40);
        rig.expect(w, &["CLOSE sleep"]);
        let b = rig.registered(BOB);
        rig.dial(b, ALICE);
        assert_eq!(rig.wakes.len(), 1);
    });
}

/// 6: W is between 200 and 5000 ms, the idle time at least 100 ms.
#[test]
fn the_notice_is_as_long_as_the_idle_time_within_bounds() {
    each(|rig| {
        for (idle_ms, idle, notice, seconds) in [(0, 100, 200, 0), (20_000, 20_000, 5_000, 5)] {
            let w = rig.registered(ALICE);
            rig.auto_sleep(w, idle_ms);
            rig.wait_ms(idle - 10);
            rig.expect(w, &[]);
            rig.wait_ms(20);
            rig.expect(w, &[&format!("SLEEP_PENDING {seconds}")]);
            rig.wait_ms(notice - 20);
            rig.expect(w, &[]);
            rig.wait_ms(40);
            rig.expect(w, &["CLOSE sleep"]);
        }
    });
}

/// 6: a HEARTBEAT restarts the idle time and calls a sleep off; MSG does not.
#[test]
fn a_heartbeat_calls_sleep_off() {
    each(|rig| {
        let w = rig.registered(ALICE);
        rig.auto_sleep(w, 1_000);
        rig.wait_ms(900);
        rig.ask(w, Request::Heartbeat);
        rig.heard(w);
        rig.wait_ms(900);
        rig.expect(w, &[]);
        rig.wait_ms(300);
        rig.expect(w, &["SLEEP_PENDING 1"]);
        rig.ask(w, Request::Heartbeat);
        rig.wait_ms(1_100);
        let heard = rig.heard(w);
        assert_eq!(heard[1], "SLEEP_PENDING 1", "{heard:?}");
        assert!(rig.is_open(w));
    });
}

/// 6 [F], 27.13: a call during the notice calls sleep off; the idle time begins anew after the call.
#[test]
fn a_call_during_the_notice_calls_sleep_off() {
    each(|rig| {
        let (w, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.auto_sleep(w, 1_000);
        rig.wait_ms(1_100);
        rig.dial(b, ALICE);
        rig.expect(w, &["SLEEP_PENDING 1", "RING #1 from bob@x.test"]);
        rig.answer(w, 1);
        rig.wait_ms(10_000);
        rig.expect(w, &[]);
        rig.hang_up(w, 1);
        rig.wait_ms(900);
        rig.expect(w, &[]);
        rig.wait_ms(200);
        rig.expect(w, &["SLEEP_PENDING 1"]);
    });
}

/// The same for a broadcaster, and for a call that the line places itself.
#[test]
fn listeners_and_own_dials_call_sleep_off_too() {
    each(|rig| {
        let (radio, b, c) =
            (rig.registered_as(broadcaster(RADIO, None)), rig.registered(BOB), rig.registered(CAROL));
        for phone in [radio, c] {
            rig.auto_sleep(phone, 1_000);
        }
        rig.wait_ms(1_100);
        rig.dial(b, RADIO);
        rig.registered(ALICE);
        rig.dial(c, ALICE);
        rig.wait_ms(5_000);
        assert!(rig.is_open(radio) && rig.is_open(c));
    });
}

/// 6: STATUS without `auto_sleep` cancels timer and setting; one that makes no sense leaves them.
#[test]
fn status_arms_keeps_and_cancels_the_idle_time() {
    each(|rig| {
        let w = rig.registered(ALICE);
        for (change, sleeps) in [
            (AutoSleepChange::Absent, false),
            (AutoSleepChange::Off, false),
            (AutoSleepChange::Invalid, true),
        ] {
            rig.auto_sleep(w, 1_000);
            rig.ask(w, Request::Status { status: Status::Away, auto_sleep: change });
            rig.wait_ms(1_100);
            let heard = rig.heard(w);
            assert_eq!(heard.contains(&"SLEEP_PENDING 1".into()), sleeps, "{change:?}");
            let refused = heard.contains(&"ERROR Status invalid_auto_sleep".into());
            assert_eq!(refused, change == AutoSleepChange::Invalid);
            rig.ask(w, Request::Heartbeat);
            rig.heard(w);
        }
    });
}

/// 6: not registered → nothing.
#[test]
fn an_unregistered_line_is_not_put_to_sleep() {
    each(|rig| {
        let stranger = rig.phone();
        rig.auto_sleep(stranger, 500);
        rig.wait_ms(5_000);
        rig.expect(stranger, &[]);
    });
}

/// 6: SLEEP_ACK at any time; partners hear `sleep`; table 3 for who may not.
#[test]
fn sleep_ack_needs_a_registration_with_wake_on_ring() {
    each(|rig| {
        let (stranger, b) = (rig.phone(), rig.registered(BOB));
        for (phone, heard) in
            [(stranger, "ERROR SleepAck not_registered"), (b, "ERROR SleepAck wake_not_configured")]
        {
            rig.heard(phone);
            rig.ask(phone, Request::SleepAck);
            rig.expect(phone, &[heard]);
        }
        let w = rig.registered_as(wakeable(registration(ALICE)));
        rig.connect(b, w, ALICE);
        rig.ask(w, Request::SleepAck);
        rig.expect(w, &["CLOSE sleep"]);
        rig.expect(b, &["HANGUP #1 sleep"]);
    });
}

/// The setting moves with the line.
#[test]
fn a_line_that_moves_to_its_home_sleeps_there() {
    each(|rig| {
        rig.phone();
        let w = rig.phone();
        rig.auto_sleep(w, 1_000);
        rig.register(w, ALICE);
        rig.wait_ms(3_000);
        rig.expect(w, &["REGISTERED alice@x.test", "SLEEP_PENDING 1", "CLOSE sleep"]);
    });
}
