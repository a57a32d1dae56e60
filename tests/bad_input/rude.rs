//! Clients that vanish at any moment, that do not read, that guess at calls of others, and that come and go.

use std::time::{Duration, Instant};

use super::support::*;

#[test]
fn resets_at_any_moment_leave_nothing_behind() {
    let scene = Scene::begin(&[]);
    let whole = handshake("/");
    let register =
        |n: usize| frame(TEXT, format!(r#"{{"type":"REGISTER","address":"r{n}@reset.test"}}"#).as_bytes());
    for n in 0..300 {
        let script = [whole.as_bytes(), &register(n % 7), &frame(TEXT, br#"{"type":"PRESENCE"}"#)].concat();
        // Cut anywhere: in the handshake, in a frame, between two, and while it moves to another shard.
        let cut = (n * 7919) % (script.len() + 1);
        let mut wire = Wire::open(scene.address());
        wire.send(&script[..cut]);
        if n % 3 == 0 && cut > whole.len() {
            wire.http_head();
        }
        wire.reset();
    }
    for n in 0..7 {
        let name = format!("r{n}@reset.test");
        assert!(comes_true(|| can_register(&scene, &name)), "{name} is still held");
    }
    scene.end();
}

fn can_register(scene: &Scene, name: &str) -> bool {
    let mut wire = Wire::connect(scene.address());
    wire.say(&format!(r#"{{"type":"REGISTER","address":"{name}"}}"#));
    matches!(wire.next(), Seen::Text(text) if text.starts_with(r#"{"type":"REGISTERED""#))
}

#[test]
fn a_reset_in_the_middle_of_a_call_is_told_to_the_other_party() {
    let scene = Scene::begin(&[]);
    for n in 0..40 {
        let Call { mut caller, mut callee, id, .. } = Call::establish(scene.address(), &format!("cut{n}"));
        let word = format!(r#"{{"type":"MSG","call_id":"{id}","data":"{}"}}"#, "x".repeat(n * 500));
        let half = frame(TEXT, word.as_bytes());
        let (lost, mut left) = if n % 2 == 0 {
            caller.send(&half[..half.len() / 2]);
            (caller, callee)
        } else {
            callee.send(&half[..half.len() / 2]);
            (callee, caller)
        };
        lost.reset();
        let hangup = left.expect(r#"{"type":"HANGUP""#);
        assert_eq!(
            (text_field(&hangup, "call_id"), text_field(&hangup, "reason")),
            (id, "peer_disconnected".into())
        );
    }
    scene.end();
}

#[test]
fn a_ringing_phone_that_is_torn_out_frees_its_caller() {
    let scene = Scene::begin(&[]);
    let mut caller = Wire::register(scene.address(), "caller@torn.test");
    for n in 0..40 {
        let mut callee = Wire::register(scene.address(), &format!("callee{n}@torn.test"));
        caller.say(&format!(r#"{{"type":"DIAL","to":"callee{n}@torn.test"}}"#));
        callee.expect(r#"{"type":"RING""#);
        callee.reset();
        caller.expect(r#"{"type":"HANGUP""#);
    }
    drop(caller);
    scene.end();
}

#[test]
fn a_callee_that_stops_reading_slows_its_caller_and_nobody_else() {
    let scene = Scene::begin(&["--slow-consumer-ms", "1000"]);
    let mut call = Call::establish(scene.address(), "stuck");
    let word = frame(
        TEXT,
        format!(r#"{{"type":"MSG","call_id":"{}","data":"{}"}}"#, call.id, "f".repeat(60_000)).as_bytes(),
    );
    call.caller.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut sent = 0_u64;
    let mut most_kib = 0;
    // Until TCP has slowed the caller down to nothing.
    while call.caller.try_send(&word) {
        sent += word.len() as u64;
        most_kib = most_kib.max(scene.growth_kib());
        assert!(Instant::now() < deadline, "the flood of {sent} bytes is never stopped");
    }
    assert!(most_kib < 24 << 10, "{most_kib} KiB for one call");
    // The caller is told; what it had sent of a frame is lost with its own stream, so it is only listened to.
    let hangup = call.caller.expect(r#"{"type":"HANGUP""#);
    assert_eq!(text_field(&hangup, "call_id"), call.id);
    // What waits for the callee is cut off, the last words included, if it goes on not reading.
    drop(call);
    scene.end();
}

#[test]
fn heartbeats_and_presence_of_a_client_that_does_not_read_end_with_its_connection() {
    let scene = Scene::begin(&["--slow-consumer-ms", "1000"]);
    let others: Vec<_> =
        (0..200).map(|n| Wire::register(scene.address(), &format!("other{n}@ask.test"))).collect();
    let questions = [r#"{"type":"HEARTBEAT"}"#, r#"{"type":"PRESENCE"}"#, r#"{"type":"NONSENSE"}"#];
    for (n, question) in questions.into_iter().enumerate() {
        let mut rude = Wire::register(scene.address(), &format!("rude{n}@ask.test"));
        rude.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let many = frame(TEXT, question.as_bytes()).repeat(2000);
        let deadline = Instant::now() + PATIENCE;
        while rude.try_send(&many) && Instant::now() < deadline {
            assert!(scene.growth_kib() < 24 << 10, "{question}: {} KiB", scene.growth_kib());
        }
        assert!(Instant::now() < deadline, "{question}: never stopped");
    }
    drop(others);
    scene.end();
}

#[test]
fn a_party_of_many_that_do_not_read_is_cut_off_without_harm() {
    let scene = Scene::begin(&[
        "--slow-consumer-ms",
        "60000",
        "--output-bytes-max",
        "65536",
        "--output-high-water",
        "32768",
        "--output-low-water",
        "8192",
    ]);
    let mut members: Vec<_> = (0..600)
        .map(|n| {
            let mut member = Wire::register(scene.address(), &format!("m{n}@party.test"));
            socket2::SockRef::from(&member.stream).set_recv_buffer_size(4096).unwrap();
            member.say(r#"{"type":"JOIN","party":"p@party.test"}"#);
            member
        })
        .collect();
    let mut speaker = Wire::register(scene.address(), "speaker@party.test");
    speaker.say(r#"{"type":"JOIN","party":"p@party.test"}"#);
    speaker.expect(r#"{"type":"JOINED""#);
    let word = format!(r#"{{"type":"PARTY_MSG","party":"p@party.test","data":"{}"}}"#, "w".repeat(50_000));
    let deadline = Instant::now() + 3 * PATIENCE;
    // Shared frames: the cost of a backlog is that of the words, not of the members.
    let is_member = |speaker: &mut Wire| {
        speaker.say(r#"{"type":"JOIN","party":"p@party.test"}"#);
        speaker.expect(r#"{"type":"JOINED""#).matches('@').count() > 10
    };
    while is_member(&mut speaker) {
        (0..10).for_each(|_| speaker.say(&word));
        assert!(Instant::now() < deadline, "those who do not read are never cut off");
    }
    members.clear();
    drop(speaker);
    scene.end();
}

/// With trunks as short as they can be, everything between shards has to wait for room all the time.
#[test]
fn floods_through_full_trunks_arrive_whole_and_in_order() {
    const WORDS: usize = 3000;
    let scene = Scene::begin(&["--trunk-capacity", "16", "--shards", "4"]);
    let address = scene.address();
    let floods: Vec<_> = (0..6)
        .map(|n| {
            std::thread::spawn(move || {
                let mut call = Call::establish(address, &format!("flood{n}"));
                let (id, mut caller) = (call.id.clone(), call.caller.stream.try_clone().unwrap());
                let sending = std::thread::spawn(move || {
                    let word = |n| {
                        frame(TEXT, format!(r#"{{"type":"MSG","call_id":"{id}","data":{n}}}"#).as_bytes())
                    };
                    let words: Vec<u8> = (0..WORDS).flat_map(word).collect();
                    std::io::Write::write_all(&mut caller, &words).unwrap();
                });
                for n in 0..WORDS {
                    let text = call.callee.expect(r#"{"type":"MSG""#);
                    assert!(text.contains(&format!(r#""data":{n},"#)), "{text} instead of {n}");
                }
                sending.join().unwrap();
                call.exchange_words();
                // A new name has to be claimed over the same trunks, and found under.
                call.callee.say(&format!(r#"{{"type":"REGISTER","address":"renamed{n}@flood.test"}}"#));
                call.callee.expect(r#"{"type":"REGISTERED""#);
                call.exchange_words();
            })
        })
        .collect();
    floods.into_iter().for_each(|flood| flood.join().expect("a flood"));
    scene.end();
}

#[test]
fn guessed_call_ids_touch_no_call_and_look_alike() {
    let scene = Scene::begin(&[]);
    let mut call = Call::establish(scene.address(), "private");
    let mut ringing = Wire::register(scene.address(), "ringing@guess.test");
    let mut dialler = Wire::register(scene.address(), "dialler@guess.test");
    dialler.say(r#"{"type":"DIAL","to":"ringing@guess.test"}"#);
    let ringing_id = text_field(&ringing.expect(r#"{"type":"RING""#), "call_id");
    let near_miss = format!("{}{}", &call.id[..35], if call.id.ends_with('0') { '1' } else { '0' });
    let unknown = "00000000-0000-8000-8000-000000000000";
    // A stranger, one without address, and one with a call of its own; each id must get the same answer: none.
    let own = Call::establish(scene.address(), "guesser");
    let mut guessers = [Wire::connect(scene.address()), own.caller, own.callee];
    for guesser in &mut guessers {
        for id in
            [call.id.as_str(), ringing_id.as_str(), near_miss.as_str(), unknown, "x", &call.id.to_uppercase()]
        {
            guesser.say(&format!(r#"{{"type":"ANSWER","call_id":"{id}"}}"#));
            guesser.say(&format!(r#"{{"type":"MSG","call_id":"{id}","data":"intruder"}}"#));
            guesser.say(&format!(r#"{{"type":"HANGUP","call_id":"{id}","reason":"intruder"}}"#));
            guesser.say(r#"{"type":"HEARTBEAT"}"#);
            guesser.expect(r#"{"type":"HEARTBEAT_ACK""#);
        }
    }
    call.exchange_words();
    // The callee's party can not answer for it either, nor can the one who dials.
    dialler.say(&format!(r#"{{"type":"ANSWER","call_id":"{ringing_id}"}}"#));
    dialler.say(&format!(r#"{{"type":"MSG","call_id":"{ringing_id}","data":"early"}}"#));
    assert!(dialler.is_heard());
    ringing.say(&format!(r#"{{"type":"ANSWER","call_id":"{ringing_id}"}}"#));
    dialler.expect(r#"{"type":"CONNECTED""#);
    dialler.say(&format!(r#"{{"type":"MSG","call_id":"{ringing_id}","data":"first"}}"#));
    assert!(ringing.expect(r#"{"type":"MSG""#).contains(r#""data":"first""#));
    drop((call, ringing, dialler, guessers));
    scene.end();
}

#[test]
fn thousands_of_connections_that_come_and_go_leave_nothing_behind() {
    let scene = Scene::begin(&[]);
    let address = scene.address();
    let comers: Vec<_> = (0..4)
        .map(|comer| {
            std::thread::spawn(move || {
                for n in 0..1000 {
                    let mut wire = Wire::open(address);
                    match n % 4 {
                        0 => {}
                        1 => wire.reset(),
                        2 => {
                            wire.send(handshake("/").as_bytes());
                            wire.http_head();
                        }
                        _ => {
                            wire.send(handshake("/").as_bytes());
                            wire.http_head();
                            wire.say(&format!(r#"{{"type":"REGISTER","address":"c{comer}@churn.test"}}"#));
                        }
                    }
                }
            })
        })
        .collect();
    let begun = Instant::now();
    comers.into_iter().for_each(|comer| comer.join().expect("the exchange accepts"));
    println!("4000 connections came and went in {} ms", begun.elapsed().as_millis());
    scene.end();
}
