//! Sets of slots against a `BTreeSet`, in every shape and on the way from one shape to another, and what several of them
//! share against a look at every slot.

use std::collections::BTreeSet;

use super::*;

/// Numbers in an order that nobody guesses, the same in every run.
fn scattered(n: u32, below: u32) -> u32 {
    ((u64::from(n.wrapping_mul(2_654_435_761)) * u64::from(below)) >> 32) as u32
}

fn of(slots: impl IntoIterator<Item = u32>) -> SlotSet {
    let mut set = SlotSet::default();
    slots.into_iter().for_each(|slot| set.insert(slot));
    set
}

fn shared(sets: &[&SlotSet]) -> Vec<u32> {
    let mut found = Vec::new();
    SlotSet::shared(sets, &Effort::of(usize::MAX), |slot| {
        found.push(slot);
        true
    });
    found
}

#[test]
fn a_set_holds_what_it_was_given_in_every_shape() {
    for below in [8, 500, 20_000, 1_000_000] {
        let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
        for n in 0..6000 {
            let slot = scattered(n, below);
            // Grows for a while, shrinks for a while.
            if scattered(n + 7, 100) < if n / 1500 % 2 == 0 { 80 } else { 20 } {
                set.insert(slot);
                model.insert(slot);
            } else {
                let gone = model.range(slot..).next().copied().unwrap_or(slot);
                set.remove(gone);
                model.remove(&gone);
            }
            assert_eq!((set.len(), set.contains(slot)), (model.len(), model.contains(&slot)));
            assert_eq!(set.first(), model.first().copied());
        }
        assert!(set.iter().eq(model.iter().copied()));
        for from in [0, 1, below / 3, below / 2 + 1, below] {
            assert!(set.iter_from(from).eq(model.range(from..).copied()), "{from} of {below}");
        }
        model.iter().for_each(|&slot| set.remove(slot));
        assert!(set.is_empty());
    }
}

#[test]
fn what_is_shared_is_found_whatever_shapes_the_sets_have() {
    let few = of([3, 600, 90_000]);
    let list = of((0..300).map(|n| n * 300));
    let dense = of((0..50_000).map(|n| n * 2));
    let denser = of((0..90_001).filter(|n| n % 3 == 0));
    assert!(matches!((&few, &list), (SlotSet::Few { .. }, SlotSet::List(_))));
    assert!(matches!((&dense, &denser), (SlotSet::Bits(_), SlotSet::Bits(_))));
    let all = [&few, &list, &dense, &denser];
    for choice in 1_u32..16 {
        let sets: Vec<_> = (0..4).filter(|n| choice >> n & 1 == 1).map(|n| all[n]).collect();
        let expected: Vec<_> =
            (0..100_001).filter(|&slot| sets.iter().all(|set| set.contains(slot))).collect();
        assert_eq!(shared(&sets), expected, "{choice:b}");
    }
}

#[test]
fn a_search_ends_when_its_effort_is_spent() {
    let even = of((0..100_000).map(|n| n * 2));
    let odd = of((0..100_000).map(|n| n * 2 + 1));
    let list = of((0..500).map(|n| n * 700));
    for sets in [[&even, &odd], [&list, &odd], [&list, &list]] {
        let (effort, mut found) = (Effort::of(100), 0);
        SlotSet::shared(&sets, &effort, |_| {
            found += 1;
            true
        });
        assert!(effort.is_exceeded() && found <= 100);
    }
}

#[test]
fn a_small_set_needs_no_memory_of_its_own() {
    assert_eq!(size_of::<SlotSet>(), 16);
    assert!(matches!(of([1, 2, 3]), SlotSet::Few { .. }));
}
