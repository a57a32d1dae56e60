//! Scenarios of many lines: they come and go, come back all at once, live through a day, and through a long one. Against a
//! real exchange, and against one that cheats.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use super::cheats::{Cheat, serve};
use super::{at_work, end_of, loadtest, results};
use crate::support::Process;

/// A run without faults; what it found.
fn right(arguments: &[&str]) -> Value {
    let (found, output) = results(arguments);
    assert!(output.status.success() && found["faults_total"] == 0, "{arguments:?}: {found:#}");
    assert!(count(&found["operations"]) > 0, "{found:#}");
    found
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[test]
fn clients_come_and_go_and_their_names_are_free_again() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    for names in ["fresh", "same"] {
        let found = right(&["churn", "--url", &url, "--clients", "4", "--names", names]);
        assert_eq!(found["errors"], serde_json::json!({}), "{names}: {found:#}");
        for step in ["total", "connect", "upgrade", "register", "close"] {
            let latency = &found["latencies"][step];
            assert!(count(&latency["count"]) * 2 >= count(&found["operations"]), "{step}: {found:#}");
            assert!(
                latency["max_us"].as_f64() <= found["latencies"]["total"]["max_us"].as_f64()
                    || step == "close"
            );
        }
    }
}

#[test]
fn visits_come_at_a_rate_and_some_end_without_a_word() {
    let exchange = Process::start(&[]);
    let arguments =
        ["--rate", "100", "--pacing", "even", "--hold", "20", "--abrupt", "0.5", "--threads", "2"];
    let found = right(&[&["churn", "--url", &exchange.url()], &arguments[..]].concat());
    assert!((90..=110).contains(&count(&found["operations"])), "{found:#}");
    let (cut, closed) = (count(&found["counts"]["cut"]), count(&found["counts"]["closed_in_order"]));
    assert!(cut > 20 && closed > 20, "{found:#}");
    // What was due and is in counts from when it was due, without the time it stays.
    assert!(found["latencies"]["total"]["p50_us"].as_f64() < Some(20_000.0), "{found:#}");
}

#[test]
fn all_lines_come_back_after_a_cut_while_others_call() {
    let exchange = Process::start(&[]);
    let storm = ["--connections", "60", "--after", "0.3", "--pairs", "2", "--rate", "200", "--threads", "2"];
    let found = right(&[&["storm", "--url", &exchange.url()], &storm[..]].concat());
    assert_eq!(count(&found["operations"]), 60, "{found:#}");
    assert_eq!((&found["counts"]["connections"], &found["counts"]["lost"]), (&64.into(), &0.into()));
    assert!(found["notes"].to_string().contains("60 of 60 lines were registered again"), "{found:#}");
    for (when, least) in [("ring_before", 10), ("ring_after", 10)] {
        assert!(count(&found["latencies"][when]["count"]) > least, "{when}: {found:#}");
    }
    // Only somebody who has not closed yet can be in the way.
    let errors = found["errors"].as_object().expect("errors have names");
    assert!(errors.keys().all(|reason| reason == "register:address_in_use"), "{found:#}");
}

#[test]
fn lines_find_their_way_back_to_a_server_that_was_restarted() {
    let exchange = Process::start(&[]);
    let (url, port) = (exchange.url(), exchange.address().port().to_string());
    // The calls are there to be seen at work.
    let storm = ["--connections", "40", "--duration", "6", "--pairs", "1", "--rate", "2000"];
    let child = at_work(&[&["storm", "--wait-for-restart", "--url", &url], &storm[..]].concat());
    drop(exchange);
    let again = Process::start(&["--port", &port]);
    let (found, succeeded) = end_of(child);
    drop(again);
    assert!(succeeded && found["faults_total"] == 0, "{found:#}");
    assert!(found["notes"].to_string().contains("40 of 40 lines were registered again"), "{found:#}");
    assert_eq!((&found["operations"], &found["counts"]["lost"]), (&40.into(), &40.into()), "{found:#}");
    // While nobody was there.
    assert!(count(&found["errors"]["connect:refused"]) > 0, "{found:#}");
    assert_eq!(found["errors"]["closed:1006"], 2, "for the lines the restart is no error: {found:#}");
}

const DAY: &[&str] = &[
    "--idle",
    "10",
    "--phones",
    "40",
    "--calls-per-second",
    "200",
    "--talk-ms",
    "5..100",
    "--heartbeat",
    "0.5",
    "--cancelled",
    "20",
    "--unanswered",
    "5",
    "--busy",
    "20",
    "--unknown",
    "10",
    "--churn",
    "20",
];

#[test]
fn a_day_has_every_outcome_that_was_meant() {
    let exchange = Process::start(&["--call-timeout", "300"]);
    let found = right(&[&["mixed", "--url", &exchange.url(), "--threads", "2"], DAY].concat());
    assert_eq!(found["errors"], serde_json::json!({}), "{found:#}");
    for outcome in ["connected", "cancelled", "unanswered", "busy", "unknown", "messages", "guests"] {
        assert!(count(&found["counts"][outcome]) > 0, "{outcome}: {found:#}");
    }
    let outcomes = ["connected", "cancelled", "unanswered", "busy", "unknown", "raced"];
    let sum: u64 = outcomes.iter().map(|outcome| count(&found["counts"][outcome])).sum();
    assert!(sum >= count(&found["operations"]), "{found:#}");
    for latency in ["ring_to_connected", "dial_to_ring", "message", "heartbeat"] {
        assert!(count(&found["latencies"][latency]["count"]) > 0, "{latency}: {found:#}");
    }
}

#[test]
fn a_day_ends_although_calls_still_ring() {
    let exchange = Process::start(&[]);
    let found = right(&["mixed", "--url", &exchange.url(), "--unanswered", "50", "--calls-per-second", "50"]);
    assert_eq!(found["errors"], serde_json::json!({}), "{found:#}");
}

#[test]
fn a_server_that_cheats_makes_a_day_fail_with_the_reason() {
    for (scenario, cheat, reason) in [
        ("mixed", Cheat::LoseMessage, "lost"),
        ("mixed", Cheat::DoubleMessage, "doubled"),
        ("mixed", Cheat::ChangeMessage, "changed"),
        ("mixed", Cheat::OtherSender, "misdelivered"),
        ("mixed", Cheat::OtherCallOfConnected, "misdelivered"),
        ("mixed", Cheat::OtherCallee, "misdelivered"),
        ("mixed", Cheat::OtherCallOfHangup, "misdelivered"),
        ("mixed", Cheat::OtherReason, "changed"),
        ("mixed", Cheat::OtherDial, "misdelivered"),
        ("mixed", Cheat::DoubleRing, "doubled"),
        ("mixed", Cheat::StrayRing, "from somebody else"),
        ("churn", Cheat::StrayRing, "misdelivered"),
        ("storm", Cheat::StrayRing, "misdelivered"),
    ] {
        let url = format!("ws://{}", serve(cheat));
        let more = match scenario {
            // Its second frame may wait 40 ms for the acknowledgement of its first.
            "churn" => &["--hold", "200"][..],
            "storm" => &["--connections", "40", "--after", "0.2"],
            _ => &DAY[..DAY.len() - 2],
        };
        let (found, output) = results(&[&[scenario, "--url", &url], more].concat());
        assert!(!output.status.success() && count(&found["faults_total"]) > 0, "{cheat:?}: {found:#}");
        assert!(found["faults"].to_string().contains(reason), "{cheat:?}: {found:#}");
    }
}

#[test]
fn a_day_on_a_server_that_does_not_cheat_passes() {
    let url = format!("ws://{}", serve(Cheat::Nothing));
    // It never gives up a call that rings.
    right(&["mixed", "--url", &url, "--cancelled", "20", "--busy", "20", "--talk-ms", "5..100"]);
}

#[test]
fn a_name_that_is_never_free_again_is_an_error_by_its_reason() {
    let url = format!("ws://{}", serve(Cheat::KeepNames));
    let (found, _) = results(&["churn", "--url", &url, "--clients", "2", "--names", "same"]);
    assert!(count(&found["errors"]["register:address_in_use"]) > 0, "{found:#}");
    let url = format!("ws://{}", serve(Cheat::KeepNames));
    let (found, output) = results(&["storm", "--url", &url, "--connections", "5", "--after", "0.1"]);
    assert!(!output.status.success() && found["operations"] == 0, "{found:#}");
    assert!(found["notes"].to_string().contains("0 of 5 lines were registered again"), "{found:#}");
    assert_eq!(
        found["faults"][0],
        "lost: 5 of 5 lines did not come back in time; what kept them the last time: register:address_in_use 5",
        "{found:#}"
    );
}

#[test]
fn a_storm_from_which_a_few_lines_do_not_return_fails_with_their_number_and_the_reason() {
    let url = format!("ws://{}", serve(Cheat::ForgetRegister));
    let (found, output) = results(&["storm", "--url", &url, "--connections", "15", "--after", "0.1"]);
    assert!(count(&found["operations"]) > 0 && !output.status.success(), "{found:#}");
    let said = found["faults"].to_string();
    assert!(
        said.contains(" of 15 lines did not come back in time") && said.contains("no answer yet"),
        "{found:#}"
    );
}

/// Serves a metrics page whose memory grows by so much with every look, on a thread that nothing waits for.
fn metrics(growth: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let url = format!("http://{}/metrics", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        let mut memory = 100 << 20;
        while let Ok((mut stream, _)) = listener.accept() {
            memory += growth;
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.read(&mut [0; 1024]);
            let page = format!(
                "HTTP/1.0 200 OK\r\n\r\nprocess_cpu_seconds_total 1\nprocess_resident_memory_bytes {memory}\n"
            );
            let _ = stream.write_all(page.as_bytes());
        }
    });
    url
}

#[test]
fn a_long_day_fails_if_the_server_keeps_more_and_more() {
    let exchange = Process::start(&[]);
    for (growth, leaks) in [(0, false), (1 << 20, true)] {
        let page = metrics(growth);
        let soak = ["soak", "--url", &exchange.url(), "--metrics", &page, "--sample", "0.01", "--idle", "5"];
        let (found, output) = results(&[&soak[..], &["--phones", "10", "--talk-ms", "5..50"]].concat());
        assert_eq!(output.status.success(), !leaks, "{found:#}");
        assert_eq!(found["faults"].to_string().contains("leak: the server's memory"), leaks, "{found:#}");
        assert!(found["notes"].to_string().contains("trend"), "{found:#}");
    }
}

#[test]
fn a_long_day_sees_memory_descriptors_and_threads_of_a_process() {
    let exchange = Process::start(&[]);
    let pid = exchange.id().to_string();
    let soak = ["soak", "--url", &exchange.url(), "--pid", &pid, "--sample", "0.02", "--settle", "0.2"];
    let found = right(&[&soak[..], &["--idle", "5", "--phones", "10"]].concat());
    for what in ["the server's memory:", "the server's open descriptors:", "the server's threads:"] {
        assert!(found["notes"].to_string().contains(what), "{found:#}");
    }
}

#[test]
fn days_that_cannot_be_are_refused() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    for (arguments, why) in [
        (&["soak", "--url", &url][..], "--pid or --metrics"),
        (&["mixed", "--url", &url, "--cancelled", "60", "--busy", "50"], "100 per cent"),
        (&["mixed", "--url", &url, "--phones", "3", "--threads", "2"], "--phones"),
        (&["mixed", "--url", &url, "--talk-ms", "5..1"], "LEAST..MOST"),
        (&["storm", "--url", &url, "--after", "20"], "--after"),
        (&["churn", "--url", &url, "--abrupt", "1.5"], "above 1"),
    ] {
        let output = loadtest(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{arguments:?}: {said}");
    }
}
