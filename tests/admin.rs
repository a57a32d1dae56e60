//! The admin listener over real sockets: what probes, scrapers and operators get, what pages in browsers do not, and that nobody
//! who uses it badly is in the way of anybody.

mod api;
mod documents;
mod metrics;
mod records;
mod watches;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::json;

use crate::support::http::{connect, exchange, get, post, request};
use crate::support::process::systemx;
use crate::support::{LIMIT, Process, Rig, Scratch, eventually};

/// Long enough.
const TOKEN: &str = "0123456789abcdef-token";

#[test]
fn probes_and_scrapers_get_what_they_ask_for() {
    let rig = Rig::new();
    let health = get(rig.admin(), "/healthz");
    assert_eq!((health.status, health.json()), (200, json!({"healthy": true, "silent_shards": []})));
    let ready = get(rig.admin(), "/readyz");
    assert_eq!(ready.status, 200);
    let expected =
        json!({"ready": true, "parts": [{"part": "shards", "ready": true, "required": true, "why": null}]});
    assert_eq!(ready.json(), expected);
    let metrics = get(rig.admin(), "/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.status == 200 && metrics.body.contains("\nsystemx_connections{shard=\"1\"} 0\n"));
    let head = request(rig.admin(), "HEAD", "/healthz", &[], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some(health.body.len().to_string().as_str()));
}

#[test]
fn a_part_that_is_down_is_named_with_its_reason() {
    let rig = Rig::new();
    let part = rig.readiness().part("records");
    part.goes_down("disk full");
    let ready = get(rig.admin(), "/readyz");
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
    let expected = json!({"part": "records", "ready": false, "required": true, "why": "disk full"});
    assert_eq!(ready.json()["parts"][1], expected);
    assert_eq!(get(rig.admin(), "/healthz").status, 200, "it lives all the same");
    part.comes_up();
    assert_eq!(get(rig.admin(), "/readyz").status, 200);
}

#[test]
fn while_it_stops_it_is_not_ready_and_says_so() {
    let rig = Rig::with(&[("stop_timeout_ms", "5000")]);
    let admin = rig.admin();
    // It does not answer the close frame, so that the stop takes a while.
    let mute = rig.phone();
    let stopping = std::thread::spawn(move || rig.stop());
    let said = eventually("it is not ready", || {
        let ready = get(admin, "/readyz");
        (ready.status == 503).then(|| ready.json())
    });
    assert_eq!(said["parts"][1]["part"], "stop");
    mute.vanish();
    stopping.join().expect("it stops");
    assert!(TcpStream::connect(admin).is_err(), "the listener is gone");
}

#[test]
fn mistakes_are_told_as_json() {
    let rig = Rig::new();
    for (method, path, status, code) in [
        ("GET", "/console", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("POST", "/metrics", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/lines/a@b.test", 405, "method_not_allowed"),
        ("GET", "/api/v1/calls/x/hangup", 405, "method_not_allowed"),
        ("OPTIONS", "/api/v1/lines", 405, "method_not_allowed"),
        ("GET", "/api/v1/lines?colour=red", 400, "bad_request"),
        ("GET", "/api/v1/lines?limit=0", 400, "bad_request"),
        ("GET", "/api/v1/lines?cursor=x", 400, "bad_request"),
        ("GET", "/api/v1/lines?limit=1&limit=2", 400, "bad_request"),
        ("GET", "/api/v1/lines?prefix=%zz", 400, "bad_request"),
        ("GET", "/api/v1/lines/%zz", 400, "bad_request"),
        ("GET", "/api/v1/overview?colour=red", 400, "bad_request"),
        ("GET", "/api/v1/watches/1?newest=x", 400, "bad_request"),
    ] {
        let answer = request(rig.admin(), method, path, &[], "");
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{method} {path}"
        );
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(
        get(rig.admin(), "/metrics?colour=red&colour=%zz").status,
        200,
        "scrapers may say what they like"
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(20_000));
    assert_eq!(exchange(rig.admin(), &long).status, 431);
    let bodies = [("{", 400), (&*" ".repeat(5000), 413)];
    for (body, status) in bodies {
        let answer = post(rig.admin(), "/api/v1/calls/x/hangup", body);
        assert_eq!(answer.status, status);
    }
}

/// The body never comes: nothing of it is waited for, and the connection ends, which `exchange` reads up to.
#[test]
fn a_body_that_is_announced_too_long_is_refused_before_it_comes() {
    let rig = Rig::new();
    let begun = Instant::now();
    for length in ["4097", "1000000000000"] {
        let head = format!(
            "POST /api/v1/drain HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            rig.admin()
        );
        let answer = exchange(rig.admin(), &head);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &json!("too_large")));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    // Far less than the 10 s that a request may take.
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
}

#[test]
fn with_a_token_only_probes_go_without() {
    let rig = Rig::with(&[("admin_token", TOKEN)]);
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/metrics", "/api/v1/overview", "/api/v1/log-level"] {
        let refused = get(rig.admin(), path);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        assert_eq!(refused.json()["error"]["code"], "unauthorized");
        let wrong = request(rig.admin(), "GET", path, &[("Authorization", "Bearer 0123456789abcdef")], "");
        assert_eq!(wrong.status, 401, "{path}");
    }
    let let_in = request(rig.admin(), "GET", "/metrics", &[("Authorization", &bearer)], "");
    assert_eq!(let_in.status, 200);
    assert_eq!((get(rig.admin(), "/healthz").status, get(rig.admin(), "/readyz").status), (200, 200));
    // Whoever has no token does not learn which methods there are either.
    assert_eq!(post(rig.admin(), "/api/v1/lines/a@b.test/disconnect", "{}").status, 401);
}

#[test]
fn pages_of_others_get_nothing_and_do_nothing() {
    let rig = Rig::with(&[("admin_hosts", "console.corp.test")]);
    let port = rig.admin().port();
    let ask = |host: &str| request(rig.admin(), "GET", "/api/v1/overview", &[("Host", host)], "").status;
    for host in ["localhost", "127.0.0.1", "[::1]:80", "console.corp.test", &format!("localhost:{port}")] {
        assert_eq!(ask(host), 200, "{host}");
    }
    for host in ["evil.test", &format!("evil.test:{port}"), "127.0.0.1.evil.test", ""] {
        assert_eq!(ask(host), 421, "{host}");
    }
    let hostless = "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(rig.admin(), hostless).status, 421);
    let act = |headers: &[(&str, &str)]| {
        request(rig.admin(), "POST", "/api/v1/calls/x/hangup", headers, "{}").status
    };
    let (json, own) = (("Content-Type", "application/json"), format!("http://{}", rig.admin()));
    assert_eq!(act(&[json]), 404);
    assert_eq!(act(&[json, ("Origin", &own)]), 404);
    assert_eq!(act(&[json, ("Origin", "http://evil.test")]), 403);
    assert_eq!(act(&[json, ("Origin", "null")]), 403);
    assert_eq!(act(&[("Content-Type", "text/plain")]), 415);
    assert_eq!(act(&[]), 415);
}

#[test]
fn clients_that_block_keep_neither_other_clients_nor_calls_waiting() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered("a@blocked.test"), rig.registered("b@blocked.test"));
    // Those who say nothing, those who stop in the middle of a head, and those who ask and never read.
    let blocked: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = connect(rig.admin());
            let said = match number % 3 {
                0 => String::new(),
                1 => "GET /metrics HTTP/1.1\r\nHost: loc".to_owned(),
                _ => "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200),
            };
            // It may have given way to a newer one already.
            let _ = stream.write_all(said.as_bytes());
            stream
        })
        .collect();
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(get(rig.admin(), "/healthz").status, 200);
        assert!(asked.elapsed() < LIMIT / 4, "{:?}", asked.elapsed());
        let call = a.call("a@blocked.test", &mut b, "b@blocked.test");
        a.hang_up(&call);
        b.expect_hangup(&call, "normal");
    }
    drop(blocked);
}

#[test]
fn one_connection_may_ask_again_and_again() {
    let rig = Rig::new();
    let mut stream = connect(rig.admin());
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is read");
        let (head, body) = crate::support::phone::read_head(&mut stream).expect("there is an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length: usize = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .expect("it has a length");
        let mut rest = vec![0; length - body.len()];
        std::io::Read::read_exact(&mut stream, &mut rest).expect("the body comes");
    }
}

#[test]
fn an_admin_address_in_use_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = taken.local_addr().expect("it is bound").to_string();
    let folder = Scratch::new();
    let flags = ["--host", "127.0.0.1", "--port", "0", "--admin", &address];
    let output = systemx(&flags, folder.path()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains(&format!("cannot listen on {address}")) && said.contains("SYSTEMX_ADMIN"),
        "{said}"
    );
}

#[test]
fn an_address_that_others_can_reach_needs_a_token_that_nobody_is_shown() {
    let folder = Scratch::new();
    let file = folder.write("token", &format!("{TOKEN}\n"));
    let file = file.to_str().expect("temporary paths are text");
    let run = |flags: &[&str], token: Option<&str>| {
        let mut command = systemx(&[&["check-config"], flags].concat(), folder.path());
        command.envs(token.map(|token| ("SYSTEMX_ADMIN_TOKEN", token)));
        let output = command.output().expect("it runs");
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains(TOKEN), "{said}");
        (output.status.code(), said)
    };
    let public = ["--admin", "0.0.0.0:9"];
    let (code, said) = run(&public, None);
    assert!(code == Some(2) && said.contains("SYSTEMX_ADMIN_TOKEN"), "{said}");
    assert_eq!(run(&public, Some(TOKEN)).0, Some(0));
    assert_eq!(run(&[&public[..], &["--admin-token-file", file]].concat(), None).0, Some(0));
    let (code, said) = run(&["--admin-token-file", "/nowhere/token"], None);
    assert!(code == Some(2) && said.contains("/nowhere/token"), "{said}");
    let short = folder.write("short", "short");
    let (code, said) = run(&["--admin-token-file", short.to_str().expect("text")], None);
    assert!(code == Some(2) && said.contains("at least 16"), "{said}");
    assert_eq!(run(&["--admin", "off"], None).0, Some(0));
}

#[test]
fn the_log_says_where_it_listens_and_never_what_the_token_is() {
    let exchange = Process::start_with(&["--log-level", "debug"], &[("SYSTEMX_ADMIN_TOKEN", TOKEN)]);
    let admin = exchange.admin();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(request(admin, "GET", "/metrics", &[("Authorization", &bearer)], "").status, 200);
    assert_eq!(request(admin, "GET", "/metrics", &[("Authorization", "Bearer x")], "").status, 401);
    let refused = exchange.log.wait_for("admin request refused");
    assert!(refused.contains("\"why\":\"Token\"") && refused.contains("127.0.0.1:"), "{refused}");
    assert!(!exchange.log.all().iter().any(|line| line.contains(TOKEN)));
}
