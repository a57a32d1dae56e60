//! Tests of the core at its middle: events into shards, effects out, through one [`Rig`].
//!
//! One test for each rule of spec/systemx.md, named as a sentence, in the file of its verb family. Every test runs
//! with one shard and with three ([`each`]); the cast's addresses have their homes on different ones of the three.

mod broadcast;
mod calls;
mod cutting;
mod departure;
mod drain;
mod flow;
mod forwarding;
mod guests;
mod identity;
mod impostors;
mod limits;
mod parties;
mod pools;
mod presence;
mod pressing;
mod registration;
mod render;
mod rig;
mod sleep;
mod storm;
mod survey;
mod tally;
mod tie_parties;
mod tie_presence;
mod ties;
mod traces;
mod wake;

use rig::{Phone, Rig, each, each_with};

/// The cast and its homes among three shards.
const ALICE: &str = "alice@x.test";
const BOB: &str = "bob@x.test";
const CAROL: &str = "carol@x.test";
const DAVE: &str = "dave@x.test";
const EVE: &str = "eve@x.test";
const RADIO: &str = "radio@x.test";
const POOL: &str = "pool@x.test";
const ROOM: &str = "room@x.test";
const HALL: &str = "hall@x.test";

#[test]
fn the_cast_lives_on_different_shards() {
    let homes = |names: &[&str]| -> Vec<usize> {
        names.iter().map(|name| super::super::address::home(name, 3).index()).collect()
    };
    assert_eq!(homes(&[ALICE, BOB, CAROL, DAVE, EVE]), [2, 0, 1, 2, 1]);
    assert_eq!(homes(&[RADIO, POOL, ROOM, HALL]), [2, 1, 2, 0]);
}
