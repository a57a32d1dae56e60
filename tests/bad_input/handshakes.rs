//! HTTP that is no handshake, a malformed one, or one that never ends.

use std::time::{Duration, Instant};

use super::support::*;

/// Sends `request`; the answer must begin with `status` and the connection must end.
fn is_refused(scene: &Scene, request: &str, status: u16) -> String {
    let mut wire = Wire::open(scene.address());
    wire.send(request.as_bytes());
    let (answer, end) = wire.rest();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} gets {answer:?}");
    assert_eq!(end, Seen::End, "{request:?}");
    answer
}

fn without(header: &str) -> String {
    handshake("/")
        .lines()
        .filter(|line| !line.starts_with(header))
        .map(|line| format!("{line}\r\n"))
        .collect()
}

fn with(line: &str) -> String {
    handshake("/").replacen("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), 1)
}

#[test]
fn requests_that_ask_for_no_websocket_get_426() {
    let scene = Scene::begin(&[]);
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /any/path?query HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ] {
        let answer = is_refused(&scene, request, 426);
        assert!(answer.ends_with("\r\n\r\nUpgrade Required"), "{answer}");
    }
    scene.end();
}

#[test]
fn malformed_handshakes_get_the_status_that_fits() {
    let scene = Scene::begin(&[]);
    is_refused(&scene, &without("Connection:"), 400);
    is_refused(&scene, &without("Connection:").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), 400);
    is_refused(&scene, &without("Host:"), 400);
    is_refused(&scene, &with("Host: other"), 400);
    is_refused(&scene, &without("Sec-WebSocket-Key:"), 400);
    is_refused(&scene, &with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400);
    is_refused(&scene, &handshake("/").replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400);
    is_refused(&scene, &without("Sec-WebSocket-Version:"), 426);
    is_refused(&scene, &handshake("/").replace("Version: 13", "Version: 8"), 426);
    is_refused(&scene, &handshake("/").replacen("GET", "POST", 1), 400);
    scene.end();
}

#[test]
fn http_1_0_gets_400_and_nonsense_too() {
    let scene = Scene::begin(&[]);
    let mut wire = Wire::open(scene.address());
    wire.send(handshake("/").replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes());
    let (answer, end) = wire.rest();
    assert!(answer.starts_with("HTTP/1.0 400 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(end, Seen::End);
    for nonsense in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut wire = Wire::open(scene.address());
        wire.send(nonsense.as_bytes());
        wire.finish_sending();
        let (answer, end) = wire.rest();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{nonsense:?} gets {answer:?}");
        assert_ne!(end, Seen::Nothing, "{nonsense:?} is not done with");
    }
    scene.end();
}

#[test]
fn huge_headers_are_refused_and_cost_nothing() {
    let scene = Scene::begin(&[]);
    let many: String = (0..5000).map(|n| format!("X-{n}: y\r\n")).collect();
    let huge = [
        with(&format!("Cookie: {}", "c".repeat(1 << 20))),
        with(many.trim_end()),
        format!("GET /{} HTTP/1.1\r\n\r\n", "p".repeat(1 << 20)),
        "X".repeat(1 << 20),
    ];
    for request in &huge {
        let mut wire = Wire::open(scene.address());
        wire.try_send(request.as_bytes());
        let (answer, end) = wire.rest();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_ne!(end, Seen::Nothing, "it is not done with");
    }
    scene.end();
}

#[test]
fn a_handshake_byte_by_byte_is_as_good_as_any() {
    let scene = Scene::begin(&[]);
    let mut slow = Wire::open(scene.address());
    let first_frame = frame(TEXT, br#"{"type":"HEARTBEAT"}"#);
    for byte in [handshake("/").as_bytes(), &first_frame].concat() {
        slow.send(&[byte]);
    }
    assert!(slow.http_head().starts_with("HTTP/1.1 101 "));
    slow.expect(r#"{"type":"HEARTBEAT_ACK""#);
    // And all at once, with the first message in the same packet.
    let mut fast = Wire::open(scene.address());
    fast.send(&[handshake("/").as_bytes(), &first_frame].concat());
    assert!(fast.http_head().starts_with("HTTP/1.1 101 "));
    fast.expect(r#"{"type":"HEARTBEAT_ACK""#);
    drop((slow, fast));
    scene.end();
}

#[test]
fn a_handshake_that_is_never_finished_is_closed_after_the_limit() {
    let scene = Scene::begin(&["--handshake-timeout-ms", "400"]);
    let begun = Instant::now();
    let whole = handshake("/");
    for sent in ["", "G", "GET / HTTP/1.1\r\n", &whole[..whole.len() - 2]] {
        let mut wire = Wire::open(scene.address());
        wire.send(sent.as_bytes());
        let (answer, end) = wire.rest();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_ne!(end, Seen::Nothing, "{sent:?} is not closed");
    }
    assert!(begun.elapsed() >= Duration::from_millis(1600), "closed before the limit");
    // One that keeps sending a little has no more time than the others.
    let mut trickle = Wire::open(scene.address());
    trickle.wait_at_most(Duration::from_millis(1));
    trickle.send(b"GET / HTTP/1.1\r\nX: ");
    let closed = comes_true(|| !trickle.try_send(b"x") || !matches!(trickle.rest().1, Seen::Nothing));
    assert!(closed, "a trickle is not closed");
    drop(trickle);
    scene.end();
}

#[test]
fn many_unfinished_handshakes_do_not_lock_others_out() {
    let scene = Scene::begin(&["--handshakes-max", "50"]);
    let unfinished: Vec<_> = (0..400)
        .map(|_| {
            let mut wire = Wire::open(scene.address());
            wire.try_send(b"GET / HTTP/1.1\r\n");
            wire
        })
        .collect();
    let mut good = Wire::register(scene.address(), "good@crowd.test");
    assert!(good.is_heard());
    assert!(scene.growth_kib() < 24 << 10, "{} KiB", scene.growth_kib());
    drop((good, unfinished));
    scene.end();
}
