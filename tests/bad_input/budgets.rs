//! What is bounded in all: memory for messages that are not complete, for output that nobody takes, for metadata, and
//! the number of connections.

use std::time::Duration;

use super::support::*;

#[test]
fn registering_900_kb_of_metadata_is_refused_by_name_and_costs_nothing() {
    let scene = Scene::begin(&[]);
    let metadata = "m".repeat(900_000);
    let mut links = Vec::new();
    let mut most_kib = 0;
    for n in 0..400 {
        let mut link = Wire::connect(scene.address());
        link.say(&format!(r#"{{"type":"REGISTER","address":"big{n}@meta.test","metadata":"{metadata}"}}"#));
        link.expect_error("invalid_payload", "REGISTER", "metadata is larger than 65536 bytes");
        most_kib = most_kib.max(scene.growth_kib());
        links.push(link);
    }
    assert!(most_kib < 24 << 10, "{most_kib} KiB for 400 refused registrations");
    for link in &mut links {
        assert!(link.is_heard());
    }
    drop(links);
    scene.end();
}

#[test]
fn strangers_with_partial_messages_share_one_budget() {
    let scene = Scene::begin(&["--unregistered-bytes-total", "16777216"]);
    // 100 MB if all of it were kept.
    let begun = [head(TEXT, 1_000_000), vec![0; 4], vec![b'x'; 900_000]].concat();
    let mut hoarders = Vec::new();
    for _ in 0..110 {
        let mut hoarder = Wire::connect(scene.address());
        hoarder.try_send(&begun);
        hoarders.push(hoarder);
        assert!(scene.growth_kib() < 32 << 10, "{} KiB of 16 MiB", scene.growth_kib());
    }
    // There is always room for whoever means it.
    let mut honest = Wire::register(scene.address(), "honest@hoard.test");
    assert!(honest.is_heard());
    let mut refused = 0;
    for hoarder in &mut hoarders {
        hoarder.wait_at_most(Duration::from_millis(1));
        match hoarder.next() {
            Seen::Close(Some(1013), _) => refused += 1,
            Seen::Nothing => {}
            other => panic!("{other:?}"),
        }
    }
    println!("{refused} of {} hoarders refused", hoarders.len());
    assert!(refused > 50, "{refused} refused");
    drop((hoarders, honest));
    scene.end();
}

#[test]
fn many_small_partial_messages_count_as_well() {
    let scene = Scene::begin(&["--unregistered-bytes-total", "8388608"]);
    let begun = [head(TEXT, 1_000_000), vec![0; 4], vec![b'x'; 50_000]].concat();
    let mut hoarders = Vec::new();
    for _ in 0..1000 {
        let mut hoarder = Wire::connect(scene.address());
        hoarder.try_send(&begun);
        hoarders.push(hoarder);
    }
    drop(Wire::register(scene.address(), "honest@small.test"));
    assert!(scene.growth_kib() < 28 << 10, "{} KiB of 8 MiB", scene.growth_kib());
    drop(hoarders);
    scene.end();
}

/// What a turn had no time for counted as if it would never be complete.
#[test]
fn hoarders_do_not_cut_off_who_says_much_that_is_complete() {
    let scene = Scene::begin(&["--unregistered-bytes-total", "4194304", "--shards", "1"]);
    let begun = [head(TEXT, 1_000_000), vec![0; 4], vec![b'x'; 50_000]].concat();
    let mut hoarders = Vec::new();
    for _ in 0..200 {
        let mut hoarder = Wire::connect(scene.address());
        hoarder.try_send(&begun);
        hoarders.push(hoarder);
    }
    // Many times what is handled in a turn.
    const BEATS: usize = 2000;
    let burst = frame(TEXT, br#"{"type":"HEARTBEAT"}"#).repeat(BEATS);
    for _ in 0..5 {
        let mut talker = Wire::connect(scene.address());
        talker.send(&burst);
        (0..BEATS).for_each(|_| drop(talker.expect(r#"{"type":"HEARTBEAT_ACK""#)));
    }
    drop(hoarders);
    scene.end();
}

#[test]
fn output_that_nobody_takes_shares_one_budget() {
    let scene = Scene::begin(&["--output-bytes-total", "8388608", "--slow-consumer-ms", "60000"]);
    let metadata = "m".repeat(60_000);
    let answered: Vec<_> = (0..10)
        .map(|n| {
            let mut link = Wire::connect(scene.address());
            link.say(&format!(r#"{{"type":"REGISTER","address":"a{n}@out.test","metadata":"{metadata}"}}"#));
            link.expect(r#"{"type":"REGISTERED""#);
            link
        })
        .collect();
    let mut mute = Vec::new();
    let mut most_kib = 0;
    for n in 0..60 {
        let mut link = Wire::register(scene.address(), &format!("mute{n}@out.test"));
        link.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        // 600 kB each time; up to 1 MiB would be kept for each without the total.
        for _ in 0..12 {
            link.try_send(&frame(TEXT, br#"{"type":"PRESENCE","query":{"domain":"out.test"}}"#));
        }
        mute.push(link);
        most_kib = most_kib.max(scene.growth_kib());
    }
    assert!(comes_true(|| {
        let mut witness = Wire::register(scene.address(), "witness@out.test");
        witness.is_heard()
    }));
    most_kib = most_kib.max(scene.growth_kib());
    println!("{most_kib} KiB at most");
    assert!(most_kib < 48 << 10, "{most_kib} KiB of 8 MiB");
    drop((mute, answered));
    scene.end();
}

#[test]
fn connections_beyond_the_caps_are_turned_away_until_there_is_room() {
    for cap in ["--connections-max", "--connections-per-ip"] {
        // Two are the call beside.
        let scene = Scene::begin(&[cap, "10"]);
        let mut inside: Vec<_> =
            (0..8).map(|n| Wire::register(scene.address(), &format!("in{n}@caps.test"))).collect();
        for _ in 0..20 {
            let mut outside = Wire::open(scene.address());
            outside.try_send(handshake("/").as_bytes());
            let (answer, end) = outside.rest();
            assert!(answer.is_empty() && end != Seen::Nothing, "{cap}: {answer:?} {end:?}");
        }
        assert!(inside.iter_mut().all(Wire::is_heard));
        inside.pop();
        let admitted = comes_true(|| {
            let mut next = Wire::open(scene.address());
            next.try_send(handshake("/").as_bytes()) && next.http_head().starts_with("HTTP/1.1 101 ")
        });
        assert!(admitted, "{cap}: a place that became free is not given away");
        inside.clear();
        scene.end();
    }
}

#[test]
fn running_out_of_descriptors_harms_nobody_who_is_there() {
    // One shard, so that it is certain who gets in: the first.
    let scene = Scene::begin_with(Exchange::start_with_descriptors(100, &["--shards", "1"]));
    let mut crowd: Vec<_> = (0..300).map(|_| Wire::open(scene.address())).collect();
    // Those who got in can work; those who did not wait in the kernel.
    for (n, wire) in crowd.iter_mut().enumerate().take(20) {
        wire.send(handshake("/").as_bytes());
        assert!(wire.http_head().starts_with("HTTP/1.1 101 "), "number {n}");
        wire.say(&format!(r#"{{"type":"REGISTER","address":"d{n}@crowd.test"}}"#));
        wire.expect(r#"{"type":"REGISTERED""#);
    }
    crowd.clear();
    assert!(comes_true(|| Wire::connect(scene.address()).is_heard()));
    scene.end();
}

#[test]
fn addresses_without_end_are_bounded_by_their_connections() {
    let scene = Scene::begin(&[]);
    let mut restless = Wire::connect(scene.address());
    for n in 0..2000 {
        restless.say(&format!(
            r#"{{"type":"REGISTER","address":"{n}{}@rename.test","metadata":"{}"}}"#,
            "n".repeat(200),
            "m".repeat(5000)
        ));
        restless.expect(r#"{"type":"REGISTERED""#);
    }
    assert!(scene.growth_kib() < 8 << 10, "{} KiB for one line", scene.growth_kib());
    restless.say(r#"{"type":"PRESENCE","query":{"domain":"rename.test"}}"#);
    restless.expect(r#"{"type":"PRESENCE_RESULT","addresses":[]}"#);
    drop(restless);
    scene.end();
}
