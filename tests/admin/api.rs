//! The JSON API: what it shows is what clients have brought about, and what it does is what clients then hear.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::http::{get, post, request};
use crate::support::{Phone, Process, Rig, address_on, eventually};

fn ask(admin: SocketAddr, path: &str) -> Value {
    let answer = get(admin, &format!("/api/v1/{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// All pages of a list.
fn all(admin: SocketAddr, path: &str, list: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ask(admin, &format!("{path}{cursor}"));
        found.extend(page[list].as_array().expect("a list").clone());
        let Some(next) = page["next"].as_str() else { return found };
        let joint = if path.contains('?') { '&' } else { '?' };
        cursor = format!("{joint}cursor={next}");
    }
}

fn texts(found: &[Value], field: &str) -> Vec<String> {
    let mut texts: Vec<_> =
        found.iter().map(|entry| entry[field].as_str().expect("text").to_owned()).collect();
    texts.sort();
    texts
}

#[test]
fn lines_are_listed_by_prefix_and_domain_and_in_pages() {
    let rig = Rig::with(&[("log_stream", "off")]);
    let names: Vec<String> = (0..12).map(|number| format!("n{number:02}@list.test")).collect();
    let phones: Vec<Phone> = names.iter().map(|name| rig.registered(name)).collect();
    let _other = rig.registered("n99@other.test");
    let found = |path: &str| texts(&all(rig.admin(), path, "lines"), "address");
    assert_eq!(found("lines?domain=list.test"), names);
    assert_eq!(found("lines?domain=LIST.test&limit=5"), names);
    assert_eq!(found("lines?prefix=n0&limit=1"), names[..10]);
    assert_eq!(found("lines?prefix=n9"), ["n99@other.test"]);
    assert_eq!(found("lines").len(), 13);
    assert!(found("lines?prefix=x").is_empty());
    let page = ask(rig.admin(), "lines?limit=5");
    assert_eq!((page["lines"].as_array().map(Vec::len), page["next"].is_string()), (Some(5), true));
    drop(phones);
}

#[test]
fn a_line_is_shown_with_its_calls_and_a_sleeping_one_as_sleeping() {
    let rig = Rig::new();
    let (from, to) = (address_on(0, 2, "one"), address_on(1, 2, "two"));
    let mut a = rig.registered_with(&from, json!({"metadata": {"capabilities": ["x", "y"]}}));
    let mut b = rig.registered(&to);
    let call = a.call(&from, &mut b, &to);
    let shown = ask(rig.admin(), &format!("lines/{from}"));
    assert_eq!((&shown["sleeping"], &shown["lines_count"]), (&json!(false), &json!(1)));
    let line = &shown["lines"][0];
    assert_eq!(
        (&line["status"], &line["calls"], &line["capabilities"]),
        (&json!("busy"), &json!(1), &json!(2))
    );
    assert_eq!((&line["call_ids"], &line["output_bytes"]), (&json!([call]), &json!(0)));
    let since = line["connected_since_ms"].as_u64().expect("a time");
    let now = ask(rig.admin(), "overview")["now_ms"].as_u64().expect("a time");
    assert!(since <= now && now - since < 60_000, "{since} {now}");
    let handler = json!({"type": "webhook", "url": "http://127.0.0.1:9/", "timeout_seconds": 5});
    let agent = address_on(0, 2, "agent");
    let mut sleeper = rig.registered_with(&agent, json!({"mode": "wake_on_ring", "wake_handler": handler}));
    sleeper.send(json!({"type": "SLEEP_ACK"}));
    sleeper.read_until_close();
    let shown = eventually("it sleeps", || {
        let answer = get(rig.admin(), &format!("/api/v1/lines/{agent}"));
        (answer.status == 200).then(|| answer.json()).filter(|shown| shown["sleeping"] == true)
    });
    assert_eq!(shown["lines"], json!([]));
    assert_eq!(get(rig.admin(), "/api/v1/lines/nobody@list.test").status, 404);
    assert_eq!(get(rig.admin(), "/api/v1/lines/nonsense").status, 404);
}

#[test]
fn calls_are_shown_from_their_dial_to_their_end() {
    let rig = Rig::new();
    let (from, to) = (address_on(0, 2, "one"), address_on(1, 2, "two"));
    let (mut a, mut b) = (rig.registered(&from), rig.registered(&to));
    a.dial(&to);
    let call = b.expect_ring(&from);
    let shown = ask(rig.admin(), &format!("calls/{call}"));
    assert_eq!(
        (&shown["state"], &shown["from"], &shown["to"]),
        (&json!("ringing"), &json!(from), &json!(to))
    );
    b.answer(&call);
    a.expect_connected(&to);
    a.say(&call, "four");
    b.expect_msg(&call, &from, json!("four"));
    let listed = all(rig.admin(), "calls", "calls");
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["call_id"], &listed[0]["state"]), (&json!(call), &json!("connected")));
    assert_eq!(listed[0]["to_callee"], json!({"messages": 1, "bytes": 6}));
    for address in [&from, &to] {
        assert_eq!(
            texts(&all(rig.admin(), &format!("calls?address={address}"), "calls"), "call_id"),
            [&*call]
        );
    }
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    assert_eq!(get(rig.admin(), &format!("/api/v1/calls/{call}")).status, 404);
    assert!(all(rig.admin(), "calls", "calls").is_empty());
}

#[test]
fn many_calls_are_listed_once_each_over_pages() {
    let rig = Rig::new();
    let mut hub = rig.registered_with("hub@pages.test", json!({"concurrency": "parallel"}));
    let mut callers: Vec<Phone> = (0..9).map(|n| rig.registered(&format!("caller{n}@pages.test"))).collect();
    for caller in &mut callers {
        caller.dial("hub@pages.test");
        hub.expect(json!({"type": "RING"}));
    }
    let ids = texts(&all(rig.admin(), "calls?limit=2", "calls"), "call_id");
    let mut once = ids.clone();
    once.dedup();
    assert_eq!((ids.len(), once.len()), (9, 9));
}

#[test]
fn a_call_that_the_operator_hangs_up_ends_on_both_sides_and_in_the_audit() {
    let rig = Rig::new();
    let (from, to) = (address_on(0, 2, "one"), address_on(1, 2, "two"));
    let (mut a, mut b) = (rig.registered(&from), rig.registered(&to));
    let call = a.call(&from, &mut b, &to);
    let done = post(rig.admin(), &format!("/api/v1/calls/{call}/hangup"), "{}");
    assert_eq!((done.status, done.json()), (200, json!({"hung_up": call})));
    a.expect_hangup(&call, "admin");
    b.expect_hangup(&call, "admin");
    assert_eq!(post(rig.admin(), &format!("/api/v1/calls/{call}/hangup"), "{}").status, 404);
    a.dial(&to);
    let ring = b.expect_ring(&from);
    assert_eq!(post(rig.admin(), &format!("/api/v1/calls/{ring}/hangup"), "").status, 200);
    a.expect_busy(&to, "admin");
    b.expect_hangup(&ring, "admin");
    let audit = ask(rig.admin(), "audit")["audit"].clone();
    let outcomes: Vec<_> =
        audit.as_array().expect("a list").iter().map(|deed| deed["outcome"].clone()).collect();
    assert_eq!(outcomes, ["done", "not_found", "done"]);
    assert_eq!((&audit[2]["action"], &audit[2]["whom"]), (&json!("hang_up"), &json!(call)));
    assert!(audit[2]["who"].as_str().is_some_and(|who| who.starts_with("127.0.0.1:")));
}

#[test]
fn a_line_that_the_operator_disconnects_is_closed_and_its_calls_end() {
    let rig = Rig::new();
    let (from, to) = (address_on(0, 2, "one"), address_on(1, 2, "two"));
    let (mut a, mut b) = (rig.registered(&from), rig.registered(&to));
    let call = a.call(&from, &mut b, &to);
    let path = format!("/api/v1/lines/{to}/disconnect");
    assert_eq!(post(rig.admin(), &path, "{}").json(), json!({"disconnected": to, "lines": 1}));
    b.expect_close(4000, "admin");
    a.expect_hangup(&call, "admin");
    assert_eq!(post(rig.admin(), &path, "{}").status, 404);
    rig.registered(&to);
}

#[test]
fn a_pool_is_disconnected_as_one() {
    let rig = Rig::new();
    let fields = json!({"concurrency": "parallel", "pool_size": 3});
    let mut members: Vec<Phone> =
        (0..3).map(|_| rig.registered_with("pool@many.test", fields.clone())).collect();
    assert_eq!(ask(rig.admin(), "lines/pool@many.test")["lines"].as_array().map(Vec::len), Some(3));
    let done = post(rig.admin(), "/api/v1/lines/pool@many.test/disconnect", "{}");
    assert_eq!(done.json()["lines"], 3);
    members.iter_mut().for_each(|member| member.expect_close(4000, "admin"));
}

#[test]
fn the_log_stream_cannot_be_disconnected_but_a_listener_can() {
    let exchange = Process::start(&[]);
    let refused = post(exchange.admin(), "/api/v1/lines/logs@system.local/disconnect", "{}");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("not_disconnected")));
    let shown = ask(exchange.admin(), "lines/logs@system.local");
    assert_eq!(shown["lines"][0]["service"], true);
}

#[test]
fn parties_and_links_are_shown() {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.registered("a@party.test"), rig.registered("b@party.test"));
    for phone in [&mut a, &mut b] {
        phone.send(json!({"type": "JOIN", "party": "room@party.test", "create_if_missing": true}));
        phone.expect(json!({"type": "JOINED"}));
    }
    let parties = all(rig.admin(), "parties", "parties");
    assert_eq!(
        parties,
        [json!({"party": "room@party.test", "members": 2, "far_members": 0, "hosted_here": true})]
    );
    let mut link = rig.phone();
    link.send(json!({"type": "REGISTER_PBX", "domain": "far.test", "routes": ["*@far.test"]}));
    link.expect(json!({"type": "REGISTERED_PBX"}));
    let links = ask(rig.admin(), "links")["links"].clone();
    assert_eq!(
        (&links[0]["domain"], &links[0]["direction"], &links[0]["up"]),
        (&json!("far.test"), &json!("in"), &json!(true))
    );
}

#[test]
fn a_link_that_should_be_up_and_is_not_is_shown_as_missing() {
    let environment = [
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", "ws://127.0.0.1:9/"),
        ("FEDERATION_ROUTES", "*@up.test"),
        ("FEDERATION_PEER_ID", "up"),
        ("FEDERATION_RECONNECT_DELAY_MS", "50"),
    ];
    let exchange = Process::start_with(&[], &environment);
    let links = ask(exchange.admin(), "links")["links"].clone();
    assert_eq!(
        (&links[0]["peer"], &links[0]["up"], &links[0]["routes"]),
        (&json!("up"), &json!(false), &json!(1))
    );
    let line = "systemx_federation_connect_failures_total";
    eventually("failures are counted", || {
        let page = get(exchange.admin(), "/metrics").body;
        let count = page.lines().find_map(|found| found.strip_prefix(line)?.trim().parse::<f64>().ok());
        count.filter(|count| *count >= 2.0)
    });
    let warnings = ask(exchange.admin(), "warnings")["warnings"].clone();
    let told =
        warnings.as_array().expect("a list").iter().find(|line| {
            line["message"].as_str().is_some_and(|text| text.starts_with("link cannot be set up"))
        });
    assert_eq!(told.expect("it was warned about")["fields"]["peer"], "up");
}

#[test]
fn a_connection_that_reads_nothing_is_shown_as_slow() {
    let rig = Rig::with(&[
        ("output_high_water", "4096"),
        ("output_low_water", "1024"),
        ("slow_consumer_ms", "60000"),
    ]);
    let (mut a, mut b) = (rig.registered("a@slow.test"), rig.registered("deaf@slow.test"));
    let call = a.call("a@slow.test", &mut b, "deaf@slow.test");
    // Until it is held, and then until the exchange is gone.
    let talker = std::thread::spawn(move || {
        let word = json!({"type": "MSG", "call_id": call, "data": "x".repeat(1 << 20)});
        while a.try_send(&word).is_ok() {}
    });
    let slow = eventually("it is slow", || {
        let slow = ask(rig.admin(), "slow")["slow"].clone();
        (!slow[0].is_null()).then_some(slow)
    });
    assert_eq!(slow[0]["address"], "deaf@slow.test");
    assert!(slow[0]["output_bytes"].as_u64().is_some_and(|bytes| bytes > 4096), "{slow}");
    b.vanish();
    rig.stop();
    talker.join().expect("it has nobody to talk to any more");
}

#[test]
fn the_log_level_can_be_turned_and_that_is_logged_at_any_level() {
    let exchange = Process::start(&[]);
    let admin = exchange.admin();
    let turn = |level: &str| {
        let body = json!({"level": level}).to_string();
        request(admin, "PUT", "/api/v1/log-level", &[("Content-Type", "application/json")], &body)
    };
    assert_eq!(ask(admin, "log-level"), json!({"level": "info"}));
    assert_eq!(turn("loud").status, 400);
    assert_eq!(turn("error").json(), json!({"level": "error"}));
    exchange.registered("quiet@level.test");
    assert_eq!(turn("debug").json(), json!({"level": "debug"}));
    exchange.registered("heard@level.test");
    exchange.log.wait_for("heard@level.test");
    let audit = exchange.log.wait_for("operator's action");
    assert!(audit.contains("\"action\":\"log_level\"") && audit.contains("127.0.0.1:"), "{audit}");
    assert!(audit.contains("\"whom\":\"error\""), "it is told though info is switched off: {audit}");
    assert!(!exchange.log.all().iter().any(|line| line.contains("quiet@level.test")));
}

#[test]
fn the_overview_adds_up() {
    let rig = Rig::new();
    let (from, to) = (address_on(0, 2, "one"), address_on(1, 2, "two"));
    let (mut a, mut b) = (rig.registered(&from), rig.registered(&to));
    for _ in 0..3 {
        let call = a.call(&from, &mut b, &to);
        a.hang_up(&call);
        b.expect_hangup(&call, "normal");
    }
    a.dial("nobody@list.test");
    a.expect_busy("nobody@list.test", "no_such_address");
    // The two shards report each in its own time.
    let shown = eventually("both have reported", || {
        let shown = ask(rig.admin(), "overview");
        let is_all = shown["dials"]["no_such_address"] == 1 && shown["totals"]["registered"] == 2;
        (is_all && shown["dials"]["answered"] == 3 && shown["top_causes"][0]["count"] == 3).then_some(shown)
    });
    assert_eq!(shown["top_causes"][0], json!({"what": "hangup", "cause": "normal", "count": 3}));
    assert_eq!(shown["totals"]["connections"], 2);
    assert_eq!(shown["shards"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["latency"]["dial_to_ring"]["count"], 3);
    assert!(shown["latency"]["ring_to_connected"]["p99_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_log_service_is_listed_as_a_service_and_counted_as_nobody() {
    let exchange = Process::start(&[]);
    let _phone = exchange.registered("one@example.test");
    let listed = all(exchange.admin(), "lines", "lines");
    assert_eq!(listed.iter().filter(|line| line["service"] == true).count(), 1, "{listed:?}");
    let totals = eventually("the reports are in", || {
        let totals = ask(exchange.admin(), "overview")["totals"].clone();
        (totals["registered"] != 0).then_some(totals)
    });
    assert_eq!(totals["registered"], 1, "{totals}");
}

/// With port 0 there is no other way to learn where it is.
#[test]
fn where_it_can_be_reached_is_logged_at_any_level() {
    for level in ["warn", "error"] {
        let exchange = Process::start(&["--log-level", level]);
        let _phone = exchange.registered("quiet@level.test");
        assert_eq!(get(exchange.admin(), "/healthz").status, 200);
        let lines = exchange.log.all();
        let is_start =
            |line: &&String| line.contains("exchange is up") || line.contains("admin listener is up");
        assert_eq!((lines.len(), lines.iter().filter(is_start).count()), (2, 2), "{level}: {lines:?}");
    }
}

#[test]
fn a_drain_that_names_no_time_is_in_the_audit_with_the_one_that_applies() {
    let folder = crate::support::Scratch::new();
    let file = folder.path().join("calls.jsonl");
    let log = [("SYSTEMX_CALL_LOG", file.to_str().expect("text")), ("SYSTEMX_DRAIN_SECONDS", "7")];
    let mut exchange = Process::start_with(&[], &log);
    let ordered = post(exchange.admin(), "/api/v1/drain", "{}");
    assert_eq!((ordered.status, &ordered.json()["seconds"]), (202, &json!(7)));
    let audit = exchange.log.wait_for("operator's action");
    assert!(audit.contains("\"whom\":\"7 s\""), "{audit}");
    // At the end each place of call records says what it has kept, in fields of its own.
    let closed = exchange.log.wait_for("call log closed");
    assert!(closed.contains("\"written\":0") && closed.contains("\"lost\":0"), "{closed}");
    exchange.wait();
}
