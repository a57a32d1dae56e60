//! Disorder: random requests and losses while signals are under way, from a seed.
//!
//! The simulation (`src/sim/`) does this at length, against a model. Here it is a quick guard: the rig checks every
//! shard after every event and all of them together at the end, and nothing may outlive its line.

use super::rig::{broadcaster, parallel, pooled, registration, wakeable};
use super::*;
use crate::exchange::event::{AutoSleepChange, Event, Loss, Registration, Request, Status, WakeOutcome};

const NAMES: [&str; 8] = [ALICE, BOB, CAROL, DAVE, EVE, RADIO, POOL, "pat@x.test"];
/// Seeds of an ordinary run, some 0.1 s each without optimisation; `STORM=1000` tries more.
const SEEDS: u64 = 25;
const PARTIES: [&str; 3] = [ROOM, HALL, "den@x.test"];

/// A small generator (xorshift), so that a failing seed can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len())]
    }
}

fn some_registration(dice: &mut Dice) -> Registration {
    let name = dice.pick(&NAMES);
    let plain = match dice.roll(6) {
        0 => broadcaster(name, Some(2)),
        1 => parallel(name, Some(2)),
        2 => pooled(name, 2, Some(1)),
        3 => pooled(name, 3, None),
        _ => registration(name),
    };
    if dice.roll(3) == 0 { wakeable(plain) } else { plain }
}

fn act(rig: &mut Rig, dice: &mut Dice, phone: Phone) {
    let calls = rig.calls_known();
    let call = if calls == 0 { 0 } else { calls - dice.roll(calls.min(12)) };
    match dice.roll(24) {
        0..=4 => rig.register_as(phone, some_registration(dice)),
        5..=9 => rig.dial_as(phone, dice.pick(&NAMES), "r"),
        10..=12 if call > 0 => rig.answer(phone, call),
        13 | 14 if call > 0 => rig.hang_up(phone, call),
        15 if call > 0 => rig.say(phone, call, "x"),
        16 => rig.join(phone, dice.pick(&PARTIES)),
        17 => rig.leave(phone, dice.pick(&PARTIES)),
        18 => rig.say_in_party(phone, dice.pick(&PARTIES), "x"),
        19 => {
            let status = dice.pick(&[Status::Available, Status::Busy, Status::Dnd]);
            let auto_sleep = dice.pick(&[AutoSleepChange::Absent, AutoSleepChange::After { idle_ms: 500 }]);
            rig.ask(phone, Request::Status { status, auto_sleep });
        }
        20 => rig.ask(phone, Request::Presence(Box::default())),
        21 => rig.ask(phone, Request::SleepAck),
        22 => rig.event(phone, Event::Congested),
        _ => rig.event(phone, Event::Drained),
    }
}

fn storm(rig: &mut Rig, seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut phones: Vec<_> = (0..8).map(|_| rig.phone()).collect();
    rig.hold_trunks = true;
    for _ in 0..400 {
        let at = dice.roll(phones.len());
        match dice.roll(20) {
            0 if rig.is_here(phones[at]) => {
                rig.lose(phones[at], dice.pick(&[Loss::Closed, Loss::Vanished, Loss::SlowConsumer]));
            }
            1 => rig.wait_ms(dice.pick(&[50, 1_000, 12_000])),
            2 if !rig.wakes.is_empty() => {
                let run = rig.wakes.swap_remove(dice.roll(rig.wakes.len())).0;
                rig.woken(
                    run,
                    dice.pick(&[WakeOutcome::Answered, WakeOutcome::Failed, WakeOutcome::TimedOut]),
                );
            }
            3..=9 => {
                let shards = rig.shards.len();
                rig.carry_one(dice.roll(shards), dice.roll(shards));
            }
            10 => rig.carry(),
            _ if rig.is_here(phones[at]) && !rig.is_paused(phones[at]) => act(rig, &mut dice, phones[at]),
            _ => {}
        }
        if !rig.is_open(phones[at]) {
            phones[at] = rig.phone();
        }
    }
}

#[test]
fn whatever_happens_shards_agree_and_nothing_outlives_its_line() {
    let seeds = std::env::var("STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let run = || each(|rig| storm(rig, seed));
        assert!(std::panic::catch_unwind(run).is_ok(), "seed {seed}");
    }
}
