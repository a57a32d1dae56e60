//! Ladders of calls over real sockets: what an operator who watches is shown, whichever shards have to do with it.

use serde_json::json;
use systemx::console::ladder::{Picture, Subject, Watch, WatchId};

use crate::support::{Phone, Rig, address_on, eventually};

fn watch(rig: &Rig, subject: Subject, payloads: bool) -> WatchId {
    rig.ladders().with(|ladders| ladders.begin(Watch { subject, payloads }, 0)).expect("there is room")
}

/// The rungs once there are `len` of them.
fn rungs(rig: &Rig, id: WatchId, len: usize) -> Vec<String> {
    let picture = eventually("a ladder", || {
        let picture = rig.ladders().with(|ladders| ladders.look(id, 0)).expect("it is watched");
        (picture.rungs.len() >= len).then_some(picture)
    });
    told(&picture)
}

fn told(picture: &Picture) -> Vec<String> {
    let parties = &picture.parties;
    let one = |rung: &systemx::console::ladder::Rung| {
        format!("{} > {} {}", parties[rung.from], parties[rung.to], rung.frame)
    };
    picture.rungs.iter().map(one).collect()
}

/// An order to watch reaches the shards soon after it was given.
fn until_watched(rig: &Rig, id: WatchId, phone: &mut Phone) {
    eventually("the shards know", || {
        phone.send(json!({"type": "HEARTBEAT"}));
        phone.expect(json!({"type": "HEARTBEAT_ACK"}));
        let picture = rig.ladders().with(|ladders| ladders.look(id, 0)).expect("it is watched");
        (!picture.rungs.is_empty()).then_some(())
    });
}

#[test]
fn a_call_of_a_watched_address_is_seen_from_both_ends_on_every_shard() {
    for (here, there) in [(0, 0), (0, 1), (1, 0)] {
        let rig = Rig::new();
        let (alice, bob) = (address_on(here, 2, "alice"), address_on(there, 2, "bob"));
        let (mut a, mut b) = (rig.registered(&alice), rig.registered(&bob));
        // One watch for each, so that it is known when the shards of both have heard of it.
        let both = [&alice, &bob].map(|address| watch(&rig, Subject::Address((**address).into()), false));
        until_watched(&rig, both[0], &mut a);
        until_watched(&rig, both[1], &mut b);
        rig.ladders().with(|ladders| ladders.end(both[0]));
        let id = watch(&rig, Subject::Address((*alice).into()), false);
        until_watched(&rig, id, &mut a);
        rig.ladders().with(|ladders| ladders.end(both[1]));
        let before = rungs(&rig, id, 0).len();
        let call = a.call(&alice, &mut b, &bob);
        b.say(&call, "hello");
        a.expect_msg(&call, &bob, json!("hello"));
        a.hang_up(&call);
        b.expect_hangup(&call, "normal");
        let (from_a, from_b) = (format!("{alice} > exchange"), format!("{bob} > exchange"));
        let (to_a, to_b) = (format!("exchange > {alice}"), format!("exchange > {bob}"));
        let expected = [
            format!("{from_a} DIAL"),
            format!("{to_b} RING"),
            format!("{from_b} ANSWER"),
            format!("{to_a} CONNECTED"),
            format!("{from_b} MSG"),
            format!("{to_a} MSG"),
            format!("{from_a} HANGUP"),
            format!("{to_b} HANGUP"),
        ];
        assert_eq!(rungs(&rig, id, before + expected.len())[before..], expected, "shards {here} and {there}");
    }
}

#[test]
fn a_call_that_is_up_already_can_be_watched_by_its_id_with_what_is_said() {
    let rig = Rig::new();
    let (alice, bob) = (address_on(0, 2, "alice"), address_on(1, 2, "bob"));
    let (mut a, mut b) = (rig.registered(&alice), rig.registered(&bob));
    let call = a.call(&alice, &mut b, &bob);
    let id = watch(&rig, Subject::call(&call).expect("it is an id"), true);
    eventually("both shards know", || {
        a.say(&call, "a");
        b.expect_msg(&call, &alice, json!("a"));
        b.say(&call, "b");
        a.expect_msg(&call, &bob, json!("b"));
        let picture = rig.ladders().with(|ladders| ladders.look(id, 0)).expect("it is watched");
        let is_said = |said: &str| picture.rungs.iter().any(|rung| rung.payload.as_deref() == Some(said));
        (picture.parties.len() == 3 && is_said("\"a\"") && is_said("\"b\"")).then_some(())
    });
    rig.ladders().with(|ladders| ladders.end(id));
}

/// What went wrong is what ladders are for.
#[test]
fn a_watched_line_is_seen_to_fail() {
    let rig = Rig::new();
    let alice = address_on(0, 2, "alice");
    let mut first = rig.registered(&alice);
    let id = watch(&rig, Subject::Address((*alice).into()), false);
    until_watched(&rig, id, &mut first);
    let before = rungs(&rig, id, 0).len();
    first.dial("nobody@x.test");
    first.expect_busy("nobody@x.test", "no_such_address");
    first.send_text("{\"type\":\"NOPE\"}");
    first.next();
    first.vanish();
    let told = rungs(&rig, id, before + 4);
    let words = ["DIAL", "BUSY", "?", "lost"];
    for (rung, word) in told[before..].iter().zip(words) {
        assert!(rung.ends_with(word), "{rung} is no {word}");
    }
}

/// Of a call that is watched by its id, or by the address of its other end.
#[test]
fn a_watched_call_shows_that_the_connection_of_the_callee_was_lost() {
    for by_call in [true, false] {
        let rig = Rig::new();
        let (alice, bob) = (address_on(0, 2, "alice"), address_on(1, 2, "bob"));
        let (mut a, mut b) = (rig.registered(&alice), rig.registered(&bob));
        let call = a.call(&alice, &mut b, &bob);
        let subject = if by_call {
            Subject::call(&call).expect("it is an id")
        } else {
            Subject::Address((*alice).into())
        };
        let id = watch(&rig, subject, false);
        eventually("both shards know", || {
            a.say(&call, "a");
            b.expect_msg(&call, &alice, json!("a"));
            b.say(&call, "b");
            a.expect_msg(&call, &bob, json!("b"));
            let picture = rig.ladders().with(|ladders| ladders.look(id, 0)).expect("it is watched");
            let told = told(&picture);
            [&alice, &bob].iter().all(|name| told.contains(&format!("exchange > {name} MSG"))).then_some(())
        });
        b.vanish();
        a.expect_hangup(&call, "peer_disconnected");
        let told = eventually("it is seen to end", || {
            let told = rungs(&rig, id, 0);
            told.last().is_some_and(|last| *last == format!("exchange > {alice} HANGUP")).then_some(told)
        });
        assert!(told.contains(&format!("{bob} > exchange lost")), "{told:#?}");
    }
}
