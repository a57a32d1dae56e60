//! Traces as a collector gets them, read by OpenTelemetry's own classes for Python (`tests/all.sh` installs them): what spans say,
//! which are sent, and that a collector that is away, slow or choosy costs no call.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::http::get;
use crate::support::phone::{contains, id_of};
use crate::support::process::systemx;
use crate::support::webhooks::Hook;
use crate::support::{Phone, Process, Rig, Scratch, Webhooks, eventually};

const A: &str = "alice@example.test";
const B: &str = "bob@example.test";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// What a caller says whose span is this, with these flags.
fn traceparent(flags: &str) -> Value {
    json!({"traceparent": format!("00-{TRACE}-{SPAN}-{flags}"), "topic": "tests"})
}

/// The trace of a call whose caller names none.
fn trace_of(call: &str) -> String {
    call.replace('-', "")
}

/// What OpenTelemetry reads in a body.
fn spans_in(body: &[u8]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut reader = Command::new(root.join("target/lint/bin/python"))
        .arg(root.join("tests/traces/decode.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{error}; tests/all.sh installs what reads traces"));
    reader.stdin.take().expect("it is piped").write_all(body).expect("it reads");
    let output = reader.wait_with_output().expect("it ends");
    assert!(output.status.success(), "OpenTelemetry does not take it");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// A collector that takes everything.
struct Collector {
    server: Webhooks,
    spans: Vec<Value>,
}

impl Collector {
    fn start() -> Self {
        Self { server: Webhooks::start(), spans: Vec::new() }
    }

    fn settings(&self) -> (&'static str, String) {
        ("otel_exporter_otlp_endpoint", self.server.url(""))
    }

    /// Takes one batch.
    fn take(&mut self) {
        let hook = self.server.next();
        assert_eq!(hook.line, "POST /v1/traces HTTP/1.1");
        assert!(
            hook.headers.contains(&"content-type: application/x-protobuf".to_owned()),
            "{:?}",
            hook.headers
        );
        self.spans.extend(spans_in(&hook.bytes));
        hook.answer(200, "");
    }

    /// So many spans that fit, which are due.
    fn expect(&mut self, count: usize, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        loop {
            let found: Vec<Value> = self.spans.iter().filter(|span| fits(span)).cloned().collect();
            if found.len() >= count {
                assert_eq!(found.len(), count, "{found:#?}");
                return found;
            }
            self.take();
        }
    }

    /// The span of a call, which is due.
    fn span_of(&mut self, call: &str) -> Value {
        self.expect(1, |span| span["attributes"]["systemx.call.id"] == call).remove(0)
    }
}

/// A dial that is refused; the id of its call.
fn refused(phone: &mut Phone, metadata: Value) -> String {
    phone.send(json!({"type": "DIAL", "to": "nobody@example.test", "ref": "r", "metadata": metadata}));
    let call = id_of(&phone.expect(json!({"type": "DIALING"})));
    phone.expect_busy("nobody@example.test", "no_such_address");
    call
}

fn brief_call(a: &mut Phone, b: &mut Phone) -> String {
    let call = a.call(A, b, B);
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    call
}

#[test]
fn an_answered_call_is_a_span_below_its_callers_with_ring_and_answer() {
    let mut collector = Collector::start();
    let (name, endpoint) = collector.settings();
    let rig =
        Rig::with(&[(name, &endpoint), ("federation_domain", "hub.test"), ("otel_service_name", "calls")]);
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    a.send(json!({"type": "DIAL", "to": B, "metadata": traceparent("01")}));
    let ring = b.expect(json!({"type": "RING", "metadata": traceparent("01")}));
    let call = id_of(&ring);
    b.answer(&call);
    a.expect_connected(B);
    a.say(&call, "hello");
    b.expect_msg(&call, A, json!("hello"));
    b.hang_up(&call);
    a.expect_hangup(&call, "normal");
    let span = collector.span_of(&call);
    let expected = json!({
        "trace_id": TRACE, "parent_span_id": SPAN, "flags": 0x301, "name": "call", "kind": "SPAN_KIND_SERVER",
        "status": ["STATUS_CODE_UNSET", ""], "scope": "systemx",
        "resource": {"service.name": "calls", "service.version": env!("CARGO_PKG_VERSION"),
            "service.instance.id": "hub.test"},
        "attributes": {"systemx.call.id": call, "systemx.call.from": A, "systemx.call.to": B,
            "systemx.call.mode": "single", "systemx.call.dialect": "systemx", "systemx.call.ended_by": "callee",
            "systemx.call.end_reason": "normal", "systemx.node": "hub.test",
            "systemx.call.messages_to_callee": 1, "systemx.call.bytes_to_callee": 7,
            "systemx.call.messages_to_caller": 0, "systemx.call.bytes_to_caller": 0},
    });
    assert!(contains(&span, &expected), "{span:#}");
    assert_eq!(span["attributes"].as_object().map(|all| all.len()), Some(12), "and no others: {span:#}");
    assert_eq!(span["span_id"].as_str().map(str::len), Some(16));
    let at = |value: &Value| value.as_u64().expect("nanoseconds");
    let [ring, answer] = &span["events"].as_array().expect("a list")[..] else { panic!("{span:#}") };
    assert_eq!((&ring[0], &answer[0]), (&json!("ring"), &json!("answer")));
    let times = [&span["start"], &ring[1], &answer[1], &span["end"]].map(at);
    assert!(times.is_sorted() && times[1] < times[2] && times[2] < times[3], "{times:?}");
    assert!(times[3] - times[0] < 10_000_000_000, "{times:?}");
}

#[test]
fn a_refused_dial_is_an_error_in_the_trace_that_its_call_id_names() {
    let mut collector = Collector::start();
    let (name, endpoint) = collector.settings();
    let rig = Rig::with(&[(name, &endpoint)]);
    let mut a = rig.registered(A);
    let call = refused(&mut a, json!({"traceparent": "not one"}));
    let span = collector.span_of(&call);
    let expected = json!({"trace_id": trace_of(&call), "parent_span_id": "", "flags": 1, "events": [],
        "status": ["STATUS_CODE_ERROR", "no_such_address"]});
    assert!(contains(&span, &expected), "{span:#}");
}

#[test]
fn whoever_listens_to_a_broadcast_has_a_span_of_its_own() {
    let mut collector = Collector::start();
    let (name, endpoint) = collector.settings();
    let rig = Rig::with(&[(name, &endpoint)]);
    let mut radio = rig.registered_with("radio@example.test", json!({"concurrency": "broadcast"}));
    let mut listeners = [A, B].map(|address| rig.registered(address));
    let calls: BTreeSet<String> = listeners
        .iter_mut()
        .map(|listener| {
            listener.dial("radio@example.test");
            radio.expect(json!({"type": "RING"}));
            listener.expect_connected("radio@example.test")
        })
        .collect();
    let call = calls.first().expect("they share one");
    radio.hang_up(call);
    let spans = collector.expect(2, |span| span["attributes"]["systemx.call.id"] == **call);
    assert!(spans.iter().all(|span| span["attributes"]["systemx.call.mode"] == "broadcast"), "{spans:#?}");
    assert_ne!(spans[0]["span_id"], spans[1]["span_id"]);
}

#[test]
fn two_exchanges_of_one_call_are_two_spans_of_one_trace() {
    let mut collector = Collector::start();
    let (_, endpoint) = collector.settings();
    let otel = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint);
    // One shard: it knows the link by which a call has come.
    let office = Process::start_with(&["--shards", "1"], &[otel, ("FEDERATION_DOMAIN", "corp.test")]);
    let url = format!("{}/", office.url());
    let link = [
        otel,
        ("FEDERATION_ENABLED", "true"),
        ("FEDERATION_PEER_URL", &url),
        ("FEDERATION_DOMAIN", "home.test"),
        ("FEDERATION_ROUTES", "*@corp.test"),
    ];
    let home = Process::start_with(&[], &link);
    office.log.wait_for("tie line registered");
    let (mut ann, mut boss) = (home.registered("ann@home.test"), office.registered("boss@corp.test"));
    let mut traces = Vec::new();
    for metadata in [json!({}), traceparent("01")] {
        ann.send(json!({"type": "DIAL", "to": "boss@corp.test", "metadata": metadata}));
        let call = boss.expect_ring("ann@home.test");
        boss.answer(&call);
        ann.expect(json!({"type": "RING"}));
        ann.expect_connected("boss@corp.test");
        ann.hang_up(&call);
        boss.expect_hangup(&call, "normal");
        let mut spans = collector.expect(2, |span| span["attributes"]["systemx.call.id"] == *call);
        spans.sort_by_key(|span| span["attributes"]["systemx.node"].to_string());
        let [office, home] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!(
            (&office["resource"]["service.instance.id"], &home["resource"]["service.instance.id"]),
            (&json!("corp.test"), &json!("home.test"))
        );
        assert_eq!(
            (&office["attributes"]["systemx.call.forwarded"], &home["attributes"]["systemx.call.forwarded"]),
            (&json!("in"), &json!("out"))
        );
        assert_eq!(office["attributes"]["systemx.call.link"], "home.test");
        assert_eq!(office["trace_id"], home["trace_id"]);
        assert_ne!(office["span_id"], home["span_id"]);
        assert_eq!(office["parent_span_id"], home["parent_span_id"], "both below the caller's");
        traces.push((office["trace_id"].clone(), office["parent_span_id"].clone(), trace_of(&call)));
    }
    assert_eq!((&traces[0].0, &traces[0].1), (&json!(traces[0].2), &json!("")));
    assert_eq!((&traces[1].0, &traces[1].1), (&json!(TRACE), &json!(SPAN)));
}

#[test]
fn who_keeps_no_trace_has_none_sent_and_who_keeps_one_has_it_whatever_the_share() {
    let mut collector = Collector::start();
    let (name, endpoint) = collector.settings();
    let rig = Rig::with(&[(name, &endpoint), ("otel_traces_sampler_arg", "0.0")]);
    let mut a = rig.registered(A);
    let unkept = [refused(&mut a, traceparent("00")), refused(&mut a, json!({}))];
    let kept = refused(&mut a, traceparent("01"));
    collector.span_of(&kept);
    let ids: Vec<_> =
        collector.spans.iter().map(|span| span["attributes"]["systemx.call.id"].clone()).collect();
    assert_eq!(ids, [json!(kept)], "and not {unkept:?}");
    let state = eventually("it is counted", || {
        rig.sinks().traces.filter(|state| state.delivered == 1 && state.waiting == 0)
    });
    assert_eq!(state.lost, 0, "what is not kept is not lost");
}

#[test]
fn what_a_collector_that_is_away_misses_it_gets_when_it_is_back() {
    let away = Webhooks::away();
    let endpoint = away.url("/");
    let mut exchange = Process::start_with(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    let first = brief_call(&mut a, &mut b);
    let line = exchange.log.wait_for("traces: they are not taken");
    assert!(line.contains("cannot be reached") && line.contains("it is tried again"), "{line}");
    let ready = get(exchange.admin(), "/readyz");
    assert_eq!(ready.status, 200, "calls go on: {}", ready.body);
    let part =
        json!({"part": "traces", "ready": false, "required": false, "why": "the receiver cannot be reached"});
    assert!(ready.json()["parts"].as_array().expect("a list").contains(&part), "{}", ready.body);
    let metrics = get(exchange.admin(), "/metrics").body;
    assert!(metrics.contains("systemx_call_records_healthy{sink=\"traces\"} 0"), "{metrics}");
    let second = brief_call(&mut a, &mut b);
    let mut collector = Collector { server: away.comes_up(), spans: Vec::new() };
    for call in [&first, &second] {
        collector.span_of(call);
    }
    exchange.log.wait_for("traces: they are taken again");
    // The last word before the stop is heard too.
    let third = brief_call(&mut a, &mut b);
    drop((a, b));
    exchange.signal(Signal::TERM);
    collector.span_of(&third);
    assert_eq!(exchange.wait().code(), Some(0));
    let line = exchange.log.wait_for("traces closed");
    assert!(line.contains("\"delivered\":3") && line.contains("\"lost\":0"), "{line}");
}

#[test]
fn a_webhook_that_never_answers_leaves_the_collector_its_last_attempt() {
    let (mut collector, webhook) = (Collector::start(), Webhooks::start());
    let ((_, endpoint), url) = (collector.settings(), webhook.url("/"));
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("SYSTEMX_CALL_RECORDS_WEBHOOK", &*url)];
    let mut exchange = Process::start_with(&["--stop-timeout-ms", "500"], &environment);
    let call = refused(&mut exchange.registered(A), json!({}));
    let unanswered = webhook.next();
    collector.server.next().answer(503, "retry-after: 60\r\n");
    exchange.log.wait_for("traces: they are not taken");
    exchange.signal(Signal::TERM);
    collector.span_of(&call);
    assert_eq!(exchange.wait().code(), Some(0));
    let closed = exchange.log.wait_for("traces closed");
    assert!(closed.contains("\"delivered\":1") && closed.contains("\"lost\":0"), "{closed}");
    let closed = exchange.log.wait_for("webhook of call records closed");
    assert!(closed.contains("\"delivered\":0") && closed.contains("\"lost\":1"), "{closed}");
    drop(unanswered);
}

#[test]
fn spans_are_sent_again_or_lost_as_the_collector_says() {
    let server = Webhooks::start();
    let endpoint = server.url("/v1/traces?key=1");
    let rig = Rig::with(&[("otel_exporter_otlp_traces_endpoint", &endpoint)]);
    let mut a = rig.registered(A);
    let mut next = |count: usize| -> Hook {
        (0..count).for_each(|_| drop(refused(&mut a, json!({}))));
        server.next()
    };
    let state = || rig.sinks().traces.expect("they are on");
    // Busy: the same once more, when the collector wants it.
    let busy = next(1);
    assert_eq!(busy.line, "POST /v1/traces?key=1 HTTP/1.1");
    let body = busy.bytes.clone();
    busy.answer(503, "retry-after: 0\r\n");
    let again = server.next();
    assert_eq!(again.bytes, body);
    again.answer(200, "");
    eventually("it is counted", || (state().delivered == 1).then_some(()));
    // Not understood: lost, and the next goes on.
    next(1).answer(400, "");
    eventually("it is counted", || (state().lost == 1).then_some(()));
    // Taken in part: partial_success with rejected_spans = 1. The batch is as long as it happens to be.
    let hook = next(1);
    assert_eq!(spans_in(&hook.bytes).len(), 1);
    hook.answer_with(200, "", b"\x0a\x02\x08\x01");
    eventually("it is counted", || (state().lost == 2).then_some(()));
    next(1).answer(200, "");
    eventually("it is counted", || (state().delivered == 2).then_some(()));
    let state = state();
    assert_eq!((state.failures, state.waiting, state.trouble), (2, 0, None));
}

#[test]
fn headers_go_along_and_reach_no_log_nor_the_table_of_settings() {
    let mut collector = Collector::start();
    let (_, endpoint) = collector.settings();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20s3cret,x-tenant=7"),
        ("SYSTEMX_LOG_LEVEL", "debug"),
    ];
    let mut exchange = Process::start_with(&[], &environment);
    refused(&mut exchange.registered(A), json!({}));
    let hook = collector.server.next();
    for header in ["authorization: basic s3cret", "x-tenant: 7", "user-agent: systemx/"] {
        assert!(hook.headers.iter().any(|found| found.starts_with(header)), "{header} in {:?}", hook.headers);
    }
    hook.answer(403, "");
    let line = exchange.log.wait_for("traces: they are not taken");
    assert!(line.contains("the receiver answers 403") && line.contains("these are lost"), "{line}");
    exchange.signal(Signal::TERM);
    exchange.wait();
    let log = exchange.log.all().join("\n");
    assert!(!log.contains("s3cret"), "{log}");
    let folder = Scratch::new();
    let output = systemx(&["check-config"], folder.path()).envs(environment).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("(hidden)") && said.contains(&format!("{endpoint}/...")), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    collector.spans.clear();
}
