//! Pools (spec section 14).

use super::rig::{parallel, pooled, registration, wakeable};
use super::*;
use crate::exchange::event::{Loss, Request, Status, WakeOutcome};

/// Up to N links hold the address; further ones, and those that ask for no pool, do not.
#[test]
fn a_pool_takes_as_many_lines_as_it_has_places() {
    each(|rig| {
        let m1 = rig.registered_as(pooled(POOL, 2, None));
        let m2 = rig.registered_as(pooled(POOL, 2, None));
        for other in [pooled(POOL, 2, None), registration(POOL), parallel(POOL, None)] {
            let stranger = rig.phone();
            rig.register_as(stranger, other);
            rig.expect(stranger, &["REGISTER_FAILED address_in_use"]);
        }
        rig.register(m1, POOL);
        rig.expect(m1, &["REGISTERED pool@x.test"]);
        rig.lose(m2, Loss::Closed);
        rig.registered_as(pooled(POOL, 2, None));
    });
}

/// `pool_size` counts for parallel lines only.
#[test]
fn a_pool_size_without_parallel_makes_no_pool() {
    each(|rig| {
        let shape = crate::exchange::event::Registration { pool_size: Some(3), ..registration(POOL) };
        rig.registered_as(shape.clone());
        let other = rig.phone();
        rig.register_as(other, shape);
        rig.expect(other, &["REGISTER_FAILED address_in_use"]);
    });
}

/// The member with the fewest sessions takes a dial, ties go round.
#[test]
fn dials_go_to_the_member_with_the_fewest_calls_in_turn() {
    each(|rig| {
        let members = [0; 3].map(|_| rig.registered_as(pooled(POOL, 3, Some(2))));
        let caller = rig.registered(ALICE);
        members.iter().for_each(|&member| drop(rig.heard(member)));
        for round in 1..=2 {
            (0..3).for_each(|_| rig.dial(caller, POOL));
            for member in members {
                assert_eq!(rig.heard(member).len(), 1, "round {round}");
            }
        }
        rig.dial(caller, POOL);
        rig.expect(caller, &["BUSY pool@x.test max_sessions_reached"]);
    });
}

/// Members that do not want calls are skipped; when all say the same, the caller hears it.
#[test]
fn members_that_do_not_want_calls_are_skipped() {
    each(|rig| {
        let (m1, m2) = (rig.registered_as(pooled(POOL, 2, None)), rig.registered_as(pooled(POOL, 2, None)));
        let caller = rig.registered(ALICE);
        rig.status(m1, Status::Dnd);
        rig.heard(m2);
        rig.dial(caller, POOL);
        rig.dial(caller, POOL);
        assert_eq!(rig.heard(m2).len(), 2);
        rig.status(m2, Status::Dnd);
        rig.dial(caller, POOL);
        rig.expect(caller, &["BUSY pool@x.test dnd"]);
        rig.status(m2, Status::Away);
        rig.dial(caller, POOL);
        rig.expect(caller, &["BUSY pool@x.test max_sessions_reached"]);
    });
}

/// Each member is listed by PRESENCE.
#[test]
fn presence_lists_each_member() {
    each(|rig| {
        for _ in 0..2 {
            rig.registered_as(pooled(POOL, 2, None));
        }
        let a = rig.registered(ALICE);
        rig.ask(a, Request::Presence(Box::default()));
        assert_eq!(rig.heard(a).pop().map(|text| text.matches(POOL).count()), Some(2));
    });
}

/// A pool with a wake handler: one call each, one more instance for each call above, up to N.
#[test]
fn a_pool_wakes_one_more_instance_for_each_call_it_cannot_take() {
    each(|rig| {
        let m1 = rig.registered_as(wakeable(pooled(POOL, 3, None)));
        let callers = [ALICE, BOB, CAROL, DAVE].map(|name| rig.registered(name));
        rig.heard(m1);
        callers[..3].iter().for_each(|&caller| rig.dial(caller, POOL));
        rig.expect(m1, &["RING #1 from alice@x.test"]);
        assert_eq!(rig.wakes.len(), 2);
        rig.heard(callers[3]);
        rig.dial(callers[3], POOL);
        rig.expect(callers[3], &["BUSY pool@x.test max_sessions_reached"]);
        let m2 = rig.phone();
        rig.register(m2, POOL);
        rig.expect(m2, &["REGISTERED pool@x.test", "RING #2 from bob@x.test"]);
        // Which of the two instances this is cannot be told: neither may be ended (27.17).
        assert_eq!(rig.settled, [rig.wakes[0].0, rig.wakes[1].0]);
        let m3 = rig.phone();
        rig.register(m3, POOL);
        rig.expect(m3, &["REGISTERED pool@x.test", "RING #3 from carol@x.test"]);
    });
}

/// "Wakes in flight" are those whose instance is still expected, also when the handler itself is done.
#[test]
fn an_answered_wake_is_in_flight_until_its_instance_has_come() {
    each(|rig| {
        let m1 = rig.registered_as(wakeable(pooled(POOL, 2, None)));
        let callers = [ALICE, BOB, CAROL].map(|name| rig.registered(name));
        callers[..2].iter().for_each(|&caller| rig.dial(caller, POOL));
        rig.woken(rig.last_wake(), WakeOutcome::Answered);
        rig.heard(callers[2]);
        rig.dial(callers[2], POOL);
        rig.expect(callers[2], &["BUSY pool@x.test max_sessions_reached"]);
        let m2 = rig.phone();
        rig.register(m2, POOL);
        rig.expect(m2, &["REGISTERED pool@x.test", "RING #2 from bob@x.test"]);
        rig.heard(m1);
    });
}

/// A pool all of whose members sleep is woken as one that is full: one instance for each caller.
#[test]
fn a_pool_that_sleeps_wakes_an_instance_for_each_caller() {
    each(|rig| {
        let m1 = rig.registered_as(wakeable(pooled(POOL, 2, None)));
        rig.ask(m1, Request::SleepAck);
        let callers = [ALICE, BOB, CAROL].map(|name| rig.registered(name));
        callers.iter().for_each(|&caller| rig.dial(caller, POOL));
        assert_eq!(rig.wakes.len(), 2);
        rig.expect(callers[2], &["BUSY pool@x.test max_sessions_reached"]);
        for (call, from) in [(1, ALICE), (2, BOB)] {
            let member = rig.phone();
            rig.register(member, POOL);
            rig.expect(member, &["REGISTERED pool@x.test", &format!("RING #{call} from {from}")]);
        }
    });
}

/// A held call goes to whichever member is free first.
#[test]
fn a_member_that_becomes_free_takes_a_held_call() {
    each(|rig| {
        let m1 = rig.registered_as(wakeable(pooled(POOL, 2, None)));
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, m1, POOL);
        rig.dial(b, POOL);
        rig.hang_up(a, 1);
        rig.expect(m1, &["HANGUP #1 normal", "RING #2 from bob@x.test"]);
    });
}

/// 15.4 for pools: only the callers of the run that failed hear of it.
#[test]
fn a_failed_wake_fails_the_calls_that_waited_for_it() {
    each(|rig| {
        let m1 = rig.registered_as(wakeable(pooled(POOL, 3, None)));
        let callers = [ALICE, BOB, CAROL].map(|name| rig.registered(name));
        callers.iter().for_each(|&caller| rig.dial(caller, POOL));
        callers.iter().for_each(|&caller| drop(rig.heard(caller)));
        rig.woken(rig.wakes[0].0, WakeOutcome::Failed);
        rig.expect(callers[1], &["BUSY pool@x.test wake_failed"]);
        rig.expect(callers[2], &[]);
        rig.heard(m1);
    });
}

/// A member in `dnd` is given no held calls; once it is available again, it is.
#[test]
fn held_calls_wait_for_members_that_want_calls() {
    each(|rig| {
        let m1 = rig.registered_as(wakeable(pooled(POOL, 2, None)));
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.connect(a, m1, POOL);
        rig.dial(b, POOL);
        rig.status(m1, Status::Dnd);
        rig.hang_up(a, 1);
        rig.expect(m1, &["HANGUP #1 normal"]);
        rig.status(m1, Status::Available);
        rig.expect(m1, &["RING #2 from bob@x.test"]);
    });
}

/// 4 [F]: a refresh that makes a pool of a line keeps its wake setting, for the pool as well.
#[test]
fn a_line_that_becomes_a_pool_keeps_its_wake_handler() {
    each(|rig| {
        let m1 = rig.registered_as(wakeable(registration(POOL)));
        rig.register_as(m1, pooled(POOL, 2, None));
        rig.ask(m1, Request::SleepAck);
        let a = rig.registered(ALICE);
        rig.dial(a, POOL);
        assert_eq!(rig.wakes.len(), 1);
    });
}
