//! The page of metrics of a running exchange: its numbers are what clients have done, Prometheus' own linter finds nothing to say
//! about it, and the documents name every family.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::certificates::Authority;
use crate::support::http::get;
use crate::support::{Process, Scratch, eventually};

/// The samples of a page by their names and labels.
fn samples(admin: SocketAddr) -> BTreeMap<String, f64> {
    let page = get(admin, "/metrics").body;
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// Some calls, some that come to nothing, some requests that are turned down, and bad input.
fn traffic(exchange: &Process) {
    let (mut a, mut b) = (exchange.registered("a@metrics.test"), exchange.registered("b@metrics.test"));
    for round in 0..3 {
        let call = a.call("a@metrics.test", &mut b, "b@metrics.test");
        a.say(&call, "four");
        b.expect_msg(&call, "a@metrics.test", json!("four"));
        a.hang_up(&call);
        b.expect_hangup(&call, "normal");
        a.dial("nobody@metrics.test");
        a.expect_busy("nobody@metrics.test", "no_such_address");
        assert!(round < 3);
    }
    let mut stranger = exchange.phone();
    stranger.dial("a@metrics.test");
    stranger.expect(json!({"type": "ERROR", "reason": "not_registered"}));
    stranger.send(json!({"type": "NONSENSE"}));
    stranger.next();
    a.dial("b@metrics.test");
    b.expect_ring("a@metrics.test");
    let found = eventually("all is reported", || {
        let found = samples(exchange.admin());
        (found["systemx_calls{state=\"ringing\"}"] == 1.0 && found["systemx_bad_messages_total"] == 1.0)
            .then_some(found)
    });
    let sum = |name: &str| -> f64 {
        found.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, value)| value).sum()
    };
    for (name, expected) in [
        ("systemx_connections{", 3.0),
        ("systemx_dials_total{outcome=\"answered\"}", 3.0),
        ("systemx_dials_total{outcome=\"no_such_address\"}", 3.0),
        ("systemx_hangups_total{cause=\"normal\"}", 3.0),
        ("systemx_hangups_total{", 3.0),
        ("systemx_refusals_total{cause=\"not_registered\"}", 1.0),
        ("systemx_requests_total{verb=\"dial\"}", 8.0),
        ("systemx_requests_total{verb=\"msg\"}", 3.0),
        ("systemx_messages_delivered_total{kind=\"call\"}", 3.0),
        ("systemx_message_data_bytes_total{kind=\"call\"}", 18.0),
        ("systemx_dial_to_ring_seconds_count", 4.0),
        ("systemx_ring_to_connected_seconds_count", 3.0),
        ("systemx_handshakes_total{outcome=\"accepted\"}", 3.0),
        ("systemx_registered_total", 3.0),
    ] {
        assert_eq!(sum(name), expected, "{name}");
    }
    assert!(found["systemx_allocator_committed_bytes"] > 1e6);
    assert!(found["process_resident_memory_bytes"] > 1e6 && found["process_open_fds"] > 5.0);
}

#[test]
fn the_numbers_are_those_of_known_traffic_and_the_linter_is_content() {
    let folder = Scratch::new();
    let calls = folder.path().join("calls.jsonl");
    let calls = calls.to_str().expect("temporary paths are text");
    let exchange = Process::start(&["--call-log", calls, "--shards", "2"]);
    traffic(&exchange);
    // The last call rang until its parties left.
    eventually("the call log is written", || {
        let found = samples(exchange.admin());
        (found["systemx_call_log_written_total"] == 7.0 && found["systemx_call_log_queued"] == 0.0)
            .then_some(())
    });
    lint(&get(exchange.admin(), "/metrics").body);
}

/// Feeds a page to `promtool check metrics`, where there is one: `tests/all.sh` sees to that.
fn lint(page: &str) {
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match command {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "promtool: {error}");
            return;
        }
    };
    std::io::Write::write_all(&mut child.stdin.take().expect("it is piped"), page.as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_certificate_shows_with_its_end_and_handshakes_are_counted() {
    let folder = Scratch::new();
    Authority::new().server().write(&folder);
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    let flags = ["--tls-enabled=true", "--tls-cert-path", &certificate, "--tls-key-path", &key];
    let exchange = Process::start(&flags);
    let found = samples(exchange.admin());
    let ends = found["systemx_tls_certificate_expiry_timestamp_seconds"];
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!(ends > now, "{ends} {now}");
    // Not TLS at all.
    let mut stream = crate::support::http::connect(exchange.address());
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").expect("it is read");
    eventually("the failure is counted", || {
        (samples(exchange.admin())["systemx_tls_handshakes_total{outcome=\"failed\"}"] == 1.0).then_some(())
    });
}

#[test]
fn every_family_is_in_the_documents() {
    let folder = Scratch::new();
    Authority::new().server().write(&folder);
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (certificate, key, calls) = (path("cert.pem"), path("key.pem"), path("calls.jsonl"));
    let flags =
        ["--tls-enabled=true", "--tls-cert-path", &certificate, "--tls-key-path", &key, "--call-log", &calls];
    let exchange = Process::start(&flags);
    let page = get(exchange.admin(), "/metrics").body;
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md"))
        .expect("it is there");
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<_> = families.filter(|family| !document.contains(&format!("| `{family}` |"))).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md lacks {missing:#?}");
}
