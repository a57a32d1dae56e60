//! Bounds: nothing a client does may grow without one (limits.rs).

use super::rig::{address, parallel, pooled, registration, wakeable};
use super::*;
use crate::exchange::event::{Request, WakeOutcome};
use crate::exchange::limits::{POOL_MEMBERS_MAX, WAITING_CALLS_MAX, WAKE_PROFILE_OVERHEAD_BYTES};

#[test]
fn a_line_has_at_most_so_many_calls() {
    each_with(
        |limits| limits.calls_per_line_max = 2,
        |rig| {
            let (a, agent) = (rig.registered(ALICE), rig.registered_as(parallel(BOB, None)));
            let c = rig.registered(CAROL);
            rig.heard(a);
            (0..3).for_each(|_| rig.dial(a, BOB));
            rig.expect(a, &["BUSY bob@x.test unavailable"]);
            rig.dial(c, BOB);
            assert_eq!(rig.heard(c).pop().as_deref(), Some("BUSY bob@x.test unavailable"));
            assert_eq!(rig.heard(agent).len(), 2);
        },
    );
}

#[test]
fn a_line_is_in_at_most_so_many_parties() {
    each_with(
        |limits| limits.parties_per_line_max = 1,
        |rig| {
            let a = rig.registered(ALICE);
            rig.join(a, ROOM);
            rig.join(a, HALL);
            rig.join(a, ROOM);
            rig.leave(a, ROOM);
            rig.join(a, HALL);
            let heard = rig.heard(a);
            let joined = |party| format!("JOINED {party} [alice@x.test]");
            assert_eq!(
                heard,
                [joined(ROOM), "ERROR Join too_many_parties".into(), joined(ROOM), joined(HALL)]
            );
        },
    );
}

#[test]
fn a_party_has_at_most_so_many_members() {
    each_with(
        |limits| limits.party_members_max = 1,
        |rig| {
            let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
            rig.join(a, ROOM);
            rig.heard(b);
            rig.join(b, ROOM);
            rig.expect(b, &["ERROR Join party_full"]);
            rig.ask(a, Request::Join { party: address(ROOM), create_if_missing: true });
            rig.leave(a, ROOM);
            rig.join(b, ROOM);
            rig.expect(b, &["JOINED room@x.test [bob@x.test]"]);
        },
    );
}

#[test]
fn so_many_calls_wait_for_one_sleeper_and_no_more() {
    each(|rig| {
        let w = rig.registered_as(wakeable(registration(DAVE)));
        rig.ask(w, Request::SleepAck);
        let caller = rig.registered(ALICE);
        // Checking everything after each of a thousand dials would take a thousand times as long.
        let line = rig.line(caller);
        rig.dial_quietly(line, DAVE, WAITING_CALLS_MAX);
        rig.dial(caller, DAVE);
        rig.expect(caller, &["BUSY dave@x.test unavailable"]);
        rig.woken(rig.last_wake(), WakeOutcome::Failed);
        assert_eq!(rig.heard(caller).len(), WAITING_CALLS_MAX);
        assert_eq!(rig.total(|counts| counts.records + counts.timers + counts.legs), 0);
    });
}

#[test]
fn a_pool_has_at_most_so_many_members_whatever_it_asks_for() {
    let mut pool = crate::exchange::directory::Pool {
        size: u32::MAX,
        members: Vec::new(),
        max_sessions: None,
        wake: None,
        kept: false,
        next: 0,
    };
    assert!(pool.has_place(0));
    pool.members =
        vec![
            super::super::LineId(crate::exchange::ids::Handle::new(crate::exchange::ShardId::new(0), 0, 0,));
            POOL_MEMBERS_MAX
        ];
    assert!(!pool.has_place(0));
}

/// Profiles of pools count as those of single agents do.
#[test]
fn sleeping_pools_are_counted_among_the_profiles() {
    each(|rig| {
        for sleeper in [wakeable(pooled(POOL, 2, None)), wakeable(registration(DAVE))] {
            let w = rig.registered_as(sleeper);
            rig.ask(w, Request::SleepAck);
        }
        assert!(
            rig.shards.iter().map(|shard| shard.directory.profile_bytes()).sum::<usize>()
                >= 2 * WAKE_PROFILE_OVERHEAD_BYTES
        );
    });
}
