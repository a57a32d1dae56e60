//! One speaks and many listen: the session they share, who hears whom, and how it ends for each of them.

use serde_json::json;

use crate::support::{Phone, Rig, address_on};

const S: &str = "station@example.test";

fn station(rig: &Rig) -> Phone {
    rig.registered_with(S, json!({"concurrency": "broadcast"}))
}

/// A listener on the given shard, already announced to the station.
fn listener(rig: &Rig, station: &mut Phone, shard: usize, name: &str) -> (Phone, String, String) {
    let address = address_on(shard, 2, name);
    let mut phone = rig.registered(&address);
    phone.dial(S);
    let call = phone.expect_connected(S);
    assert_eq!(station.expect_ring(&address), call);
    (phone, address, call)
}

#[test]
fn a_broadcast_from_the_first_listener_to_the_last() {
    let rig = Rig::new();
    let mut station = station(&rig);
    let (mut one, first, call) = listener(&rig, &mut station, 0, "one");
    let (mut two, second, same) = listener(&rig, &mut station, 1, "two");
    assert_eq!(call, same);
    station.say(&call, "news");
    one.expect_msg(&call, S, json!("news"));
    two.expect_msg(&call, S, json!("news"));
    one.say(&call, "question");
    station.expect_msg(&call, &first, json!("question"));
    one.hang_up(&call);
    one.expect_hangup(&call, "normal");
    station.expect_exactly(json!({"type": "HANGUP", "call_id": call, "from": first, "reason": "normal"}));
    two.send(json!({"type": "HANGUP", "call_id": call, "reason": "bored"}));
    two.expect_hangup(&call, "bored");
    station.expect_exactly(json!({"type": "HANGUP", "call_id": call, "from": second, "reason": "bored"}));
    station.expect_nothing();
    let (_three, _, later) = listener(&rig, &mut station, 0, "three");
    assert_ne!(later, call, "the next session is another call");
}

#[test]
fn a_broadcaster_that_hangs_up_sends_all_listeners_home() {
    let rig = Rig::new();
    let mut station = station(&rig);
    let (mut one, _, call) = listener(&rig, &mut station, 0, "one");
    let (mut two, ..) = listener(&rig, &mut station, 1, "two");
    station.send(json!({"type": "HANGUP", "call_id": call, "reason": "good night"}));
    one.expect_exactly(json!({"type": "HANGUP", "call_id": call, "reason": "good night"}));
    two.expect_exactly(json!({"type": "HANGUP", "call_id": call, "reason": "good night"}));
    station.expect_nothing();
    station.close();
}

#[test]
fn a_lost_listener_is_told_to_the_broadcaster_and_a_lost_broadcaster_to_all() {
    let rig = Rig::new();
    let mut station = station(&rig);
    let (one, first, call) = listener(&rig, &mut station, 0, "one");
    let (mut two, ..) = listener(&rig, &mut station, 1, "two");
    one.vanish();
    station.expect_exactly(
        json!({"type": "HANGUP", "call_id": call, "from": first, "reason": "peer_disconnected"}),
    );
    station.send(json!({"type": "UNREGISTER"}));
    two.expect_hangup(&call, "client_requested");
    station.expect_close(4000, "client_requested");
}

#[test]
fn the_cap_on_listeners_holds_and_a_listener_may_dial_again() {
    let rig = Rig::new();
    let mut station = rig.registered_with(S, json!({"concurrency": "broadcast", "max_listeners": 1.9}));
    let (mut one, _, call) = listener(&rig, &mut station, 0, "one");
    one.dial(S);
    assert_eq!(one.expect_connected(S), call);
    let mut two = rig.registered("two@example.test");
    two.dial(S);
    two.expect_busy(S, "max_listeners_reached");
    one.hang_up(&call);
    one.expect_hangup(&call, "normal");
    station.expect(json!({"type": "HANGUP"}));
    two.dial(S);
    two.expect_connected(S);
}

#[test]
fn a_listener_cannot_be_called_but_may_call() {
    let rig = Rig::new();
    let mut station = station(&rig);
    let (mut one, first, call) = listener(&rig, &mut station, 0, "one");
    let mut friend = rig.registered("friend@example.test");
    friend.dial(&first);
    friend.expect_busy(&first, "already_in_call");
    let private = one.call(&first, &mut friend, "friend@example.test");
    station.say(&call, "news");
    one.expect_msg(&call, S, json!("news"));
    friend.say(&private, "psst");
    one.expect_msg(&private, "friend@example.test", json!("psst"));
}

#[test]
fn two_stations_can_be_heard_at_once() {
    let rig = Rig::new();
    let mut first = station(&rig);
    let other = address_on(1, 2, "other");
    let mut second = rig.registered_with(&other, json!({"concurrency": "broadcast"}));
    let (mut one, address, call) = listener(&rig, &mut first, 1, "one");
    one.dial(&other);
    let another = one.expect_connected(&other);
    second.expect_ring(&address);
    first.say(&call, 1);
    one.expect_msg(&call, S, json!(1));
    second.say(&another, 2);
    one.expect_msg(&another, &other, json!(2));
    second.close();
    one.expect_hangup(&another, "peer_disconnected");
    first.say(&call, 3);
    one.expect_msg(&call, S, json!(3));
}

#[test]
fn what_is_said_to_all_keeps_its_place_among_what_is_said_to_one() {
    let rig = Rig::new();
    let mut station = station(&rig);
    let mut listeners: Vec<_> = (0..10)
        .map(|number| listener(&rig, &mut station, number % 2, &format!("listener{number}-")))
        .collect();
    let call = listeners[0].2.clone();
    let frames: Vec<_> =
        (0..100).map(|number| json!({"type": "MSG", "call_id": call, "data": number})).collect();
    station.send_together(&frames);
    station.hang_up(&call);
    for (phone, ..) in &mut listeners {
        for number in 0..100 {
            phone.expect_msg(&call, S, json!(number));
        }
        phone.expect_hangup(&call, "normal");
    }
}

#[test]
fn a_newcomer_hears_everything_that_is_said_after_its_ring() {
    let rig = Rig::new();
    let mut station = station(&rig);
    for round in 0..20 {
        let (mut phone, _, call) = listener(&rig, &mut station, round % 2, &format!("newcomer{round}-"));
        station.say(&call, round);
        phone.expect_msg(&call, S, json!(round));
        phone.close();
        station.expect(json!({"type": "HANGUP", "reason": "peer_disconnected"}));
    }
}

#[test]
fn a_station_that_becomes_something_else_sends_its_listeners_home() {
    let rig = Rig::new();
    let mut station = station(&rig);
    let (mut one, _, call) = listener(&rig, &mut station, 1, "one");
    station.register_with(S, json!({"concurrency": "broadcast"}));
    station.say(&call, "still on air");
    one.expect_msg(&call, S, json!("still on air"));
    station.register(S);
    one.expect_hangup(&call, "reconfigured");
    let mut caller = rig.registered("caller@example.test");
    caller.call("caller@example.test", &mut station, S);
}

#[test]
fn a_station_that_is_renamed_keeps_its_listeners() {
    let rig = Rig::new();
    for shard in [0, 1] {
        let new = address_on(shard, 2, "renamed");
        let mut station = station(&rig);
        let (mut one, first, call) = listener(&rig, &mut station, 0, "one");
        station.register_with(&new, json!({"concurrency": "broadcast"}));
        station.say(&call, "new name");
        one.expect_msg(&call, &new, json!("new name"));
        let mut late = rig.registered("late@example.test");
        late.dial(S);
        late.expect_busy(S, "no_such_address");
        late.dial(&new);
        assert_eq!(late.expect_connected(&new), call);
        station.expect_ring("late@example.test");
        one.say(&call, "hello");
        station.expect_msg(&call, &first, json!("hello"));
        for phone in [station, one, late] {
            phone.close();
        }
    }
}

#[test]
fn an_answer_to_a_listener_is_accepted_and_does_nothing() {
    let rig = Rig::new();
    let mut station = station(&rig);
    let (mut one, _, call) = listener(&rig, &mut station, 1, "one");
    station.answer(&call);
    station.say(&call, "next");
    one.expect_msg(&call, S, json!("next"));
}
