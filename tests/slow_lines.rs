//! Clients that read slowly or not at all: a call is as fast as its slower end and loses nothing, memory stays bounded,
//! nobody else notices, and who does not read at all is cut off. Sockets get small buffers, so that little data shows it.

use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};

use crate::support::phone::id_of;
use crate::support::{Phone, Process, Rig, address_on, text_frame};

fn message(call: &str, number: usize, bytes: usize) -> Vec<u8> {
    let filling = "x".repeat(bytes);
    text_frame(&json!({"type": "MSG", "call_id": call, "data": [number, filling]}).to_string())
}

#[test]
fn a_call_is_as_fast_as_its_slower_end_and_nobody_else_is_held_up() {
    const MESSAGES: usize = 1_500;
    const MESSAGE_BYTES: usize = 16 * 1024;
    const MEMORY_GROWTH_MAX: usize = 12 * 1024 * 1024;
    let exchange = Process::start(&[]);
    let (fast_name, slow_name) = (address_on(0, 2, "fast"), address_on(1, 2, "slow"));
    let mut fast = exchange.registered(&fast_name);
    let mut slow = Phone::narrow(exchange.address());
    slow.register(&slow_name);
    let call = fast.call(&fast_name, &mut slow, &slow_name);
    let (other_name, friend_name) = (address_on(0, 2, "other"), address_on(1, 2, "friend"));
    let (mut other, mut friend) = (exchange.registered(&other_name), exchange.registered(&friend_name));
    let before = exchange.anonymous_bytes();
    let stream = call.clone();
    let sender = thread::spawn(move || {
        for number in 0..MESSAGES {
            fast.send_raw(&message(&stream, number, MESSAGE_BYTES));
        }
        fast
    });
    let mut most = 0;
    for number in 0..MESSAGES {
        let text = slow.next_text();
        assert!(text.contains(&format!(r#""data":[{number},"#)), "message {number}: {}", &text[..120]);
        // The others' whole call is what slows this receiver down.
        if number % 10 == 0 {
            let theirs = other.call(&other_name, &mut friend, &friend_name);
            other.hang_up(&theirs);
            friend.expect_hangup(&theirs, "normal");
            most = most.max(exchange.anonymous_bytes());
        }
    }
    let mut fast = sender.join().expect("everything was sent");
    slow.say(&call, "got all");
    fast.expect_msg(&call, &slow_name, json!("got all"));
    assert!(most.saturating_sub(before) < MEMORY_GROWTH_MAX, "from {before} to {most} bytes");
}

#[test]
fn a_callee_that_stops_reading_is_cut_off_and_the_caller_told() {
    for (from, to) in [(0, 0), (0, 1)] {
        let rig = Rig::with(&[
            ("slow_consumer_ms", "300"),
            ("output_high_water", "65536"),
            ("output_low_water", "16384"),
        ]);
        let (from, to) = (address_on(from, 2, "flood"), address_on(to, 2, "deaf"));
        let mut caller = rig.registered(&from);
        let mut deaf = Phone::narrow(rig.address());
        deaf.register(&to);
        let call = caller.call(&from, &mut deaf, &to);
        let flood = thread::spawn(move || {
            for number in 0..200 {
                caller.send_raw(&message(&call, number, 16 * 1024));
            }
            caller.expect_hangup(&call, "slow_consumer");
            caller
        });
        let mut caller = flood.join().expect("the caller gets rid of everything and is told");
        caller.expect_nothing();
        rig.registered(&to);
    }
}

#[test]
fn what_was_said_before_the_cut_is_still_there_to_read_and_then_the_reason() {
    let rig = Rig::with(&[
        ("slow_consumer_ms", "300"),
        ("output_high_water", "65536"),
        ("output_low_water", "16384"),
    ]);
    let (mut caller, mut deaf) = (rig.registered("flood@example.test"), Phone::narrow(rig.address()));
    deaf.register("deaf@example.test");
    let call = caller.call("flood@example.test", &mut deaf, "deaf@example.test");
    let flood = thread::spawn(move || {
        for number in 0..100 {
            caller.send_raw(&message(&call, number, 16 * 1024));
        }
        caller.expect_hangup(&call, "slow_consumer");
    });
    flood.join().expect("the caller is told");
    let (code, reason, heard) = deaf.read_until_close();
    assert_eq!((code, reason.as_str()), (4000, "slow_consumer"));
    for (number, frame) in heard.iter().enumerate() {
        assert_eq!(frame["data"][0], Value::from(number));
    }
}

#[test]
fn one_deaf_listener_among_many_is_cut_off_and_the_others_hear_everything() {
    const LISTENERS: usize = 200;
    const ROUNDS: usize = 12;
    const PER_ROUND: usize = 8;
    const MESSAGE_BYTES: usize = 16 * 1024;
    let rig = Rig::with(&[
        ("slow_consumer_ms", "1000"),
        ("output_high_water", "65536"),
        ("output_low_water", "16384"),
    ]);
    let station_name = address_on(0, 2, "station");
    let mut station = rig.registered_with(&station_name, json!({"concurrency": "broadcast"}));
    let mut deaf = Phone::narrow(rig.address());
    deaf.register("deaf@example.test");
    deaf.dial(&station_name);
    let call = deaf.expect_connected(&station_name);
    station.expect_ring("deaf@example.test");
    let (tell, told) = channel();
    let listeners: Vec<_> = (0..LISTENERS - 1)
        .map(|number| {
            let mut phone = rig.registered(&format!("listener{number}@example.test"));
            phone.dial(&station_name);
            assert_eq!(phone.expect_connected(&station_name), call);
            station.expect(json!({"type": "RING"}));
            let tell = tell.clone();
            thread::spawn(move || {
                for number in 0..ROUNDS * PER_ROUND {
                    let text = phone.next_text();
                    assert!(text.contains(&format!(r#""data":[{number},"#)), "message {number}");
                    if number % PER_ROUND == PER_ROUND - 1 {
                        tell.send(()).expect("the test waits for it");
                    }
                }
                phone.next()
            })
        })
        .collect();
    // Each round waits for all who read, so that only the one who does not can fall behind.
    for round in 0..ROUNDS {
        let frames: Vec<u8> = (0..PER_ROUND)
            .flat_map(|number| message(&call, round * PER_ROUND + number, MESSAGE_BYTES))
            .collect();
        station.send_raw(&frames);
        for _ in 0..LISTENERS - 1 {
            told.recv_timeout(crate::support::LIMIT).expect("all who read hear it");
        }
    }
    let gone =
        station.expect(json!({"type": "HANGUP", "from": "deaf@example.test", "reason": "slow_consumer"}));
    assert_eq!(id_of(&gone), call);
    let (code, reason, _) = deaf.read_until_close();
    assert_eq!((code, reason.as_str()), (4000, "slow_consumer"));
    station.hang_up(&call);
    for listener in listeners {
        let last = listener.join().expect("it heard everything");
        assert_eq!(last["type"], "HANGUP");
    }
}
