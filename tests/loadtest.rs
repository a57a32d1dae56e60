//! The load generator as its users run it: against a real exchange it finishes without faults and its numbers hang
//! together; against servers that cheat it fails; and it loads nobody who did not agree.

mod cheats;
mod crowds;
mod days;
mod secure;
mod versus;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::support::process::wait_for;
use crate::support::{Process, Scratch, eventually};

/// Runs the load generator to its end.
pub fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_systemx-loadtest"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program is built and can be run")
}

/// Runs a scenario for a second and gives its results.
pub fn results(arguments: &[&str]) -> (Value, Output) {
    results_within("5", arguments)
}

/// The same, with the seconds that one operation may take.
pub fn results_within(timeout: &str, arguments: &[&str]) -> (Value, Output) {
    let short = ["--duration", "1", "--warmup", "0.2", "--timeout", timeout, "--json", "--quiet"];
    let output = loadtest(&[arguments, &short].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = serde_json::from_str(&text);
    let json =
        json.unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (json, output)
}

/// A run without anything to complain of; what it found.
fn clean_run(arguments: &[&str]) -> Value {
    let (found, output) = results(arguments);
    assert!(output.status.success(), "{arguments:?}: {found:#}");
    assert_eq!(found["faults_total"], 0, "{found:#}");
    assert_eq!(found["errors"], serde_json::json!({}), "{found:#}");
    assert!(found["operations"].as_u64().is_some_and(|count| count > 0), "{found:#}");
    for (name, latency) in found["latencies"].as_object().expect("latencies have names") {
        let order =
            ["min_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|key| latency[key].as_f64());
        assert!(order.is_sorted() && order[0] > Some(0.0), "{name}: {order:?}");
        assert!(latency["count"].as_u64() >= found["operations"].as_u64().map(|count| count / 2), "{name}");
    }
    let timeline = found["timeline"].as_array().expect("there is a time line");
    let sum: u64 = timeline.iter().filter_map(|slot| slot["operations"].as_u64()).sum();
    assert_eq!(Some(sum), found["operations"].as_u64());
    assert_eq!(timeline.len(), 1, "{timeline:#?}");
    found
}

#[test]
fn pairs_call_each_other_without_a_fault() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    for route in ["same", "cross"] {
        let found = clean_run(&["ring", "--url", &url, "--pairs", "4", "--shards", "2", "--route", route]);
        assert_eq!((&found["operation"], &found["parameters"]["route"]), (&"call".into(), &route.into()));
        assert_eq!(found["counts"]["connections"], 8);
    }
}

#[test]
fn calls_come_at_the_rate_that_was_asked_for() {
    let exchange = Process::start(&[]);
    let (url, threads) = (exchange.url(), ["--threads", "2", "--pacing", "even"]);
    let found = clean_run(
        &[&["ring", "--url", &url, "--pairs", "8", "--rate", "100", "--hold", "5"], &threads[..]].concat(),
    );
    let rate = found["rate_per_s"].as_f64().expect("a number");
    assert!((90.0..=110.0).contains(&rate), "{rate}");
}

#[test]
fn messages_flow_in_every_mode() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    for mode in [&["pingpong"][..], &["flood", "--bytes", "2000"], &["open", "--rate", "500"]] {
        let arguments = [&["msg", "--url", &url, "--pairs", "3", "--mode"], mode].concat();
        let found = clean_run(&arguments);
        assert_eq!(found["latencies"].get("round_trip").is_some(), mode[0] == "pingpong");
    }
}

#[test]
fn the_servers_processor_time_is_found_by_its_process() {
    let exchange = Process::start(&[]);
    let pid = exchange.id().to_string();
    let found = clean_run(&["ring", "--url", &exchange.url(), "--pairs", "2", "--pid", &pid]);
    let server = &found["server"];
    assert!(
        server["cpu_s"].as_f64() > Some(0.0) && server["cpu_per_operation_us"].as_f64() > Some(0.0),
        "{server}"
    );
    assert!(server["anonymous_after_bytes"].as_u64() > Some(0), "{server}");
}

#[test]
fn a_limit_on_dials_is_an_error_with_a_hint_and_no_fault() {
    let exchange = Process::start(&["--dial-max-attempts", "3"]);
    let (found, _) = results(&["ring", "--url", &exchange.url(), "--pairs", "2"]);
    assert!(found["errors"]["error:rate_limited"].as_u64() > Some(0), "{found:#}");
    assert_eq!(found["faults_total"], 0, "{found:#}");
    assert!(found["notes"].to_string().contains("SYSTEMX_DIAL_MAX_ATTEMPTS=0"), "{found:#}");
}

#[test]
fn calls_that_wait_for_a_free_pair_are_told_apart_from_a_slow_server() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    let rate = ["--rate", "30", "--hold", "20", "--pacing", "even"];
    for (pairs, waits) in [("1", true), ("8", false)] {
        // One call takes 20 ms, and with one pair 30 a second leave no room for what comes by chance.
        let pacing = if waits {
            ["--rate", "45", "--hold", "20", "--pacing", "poisson"].to_vec()
        } else {
            rate.to_vec()
        };
        let found = clean_run(&[&["ring", "--url", &url, "--pairs", pairs], &pacing[..]].concat());
        assert_eq!(found["notes"].to_string().contains("had to wait"), waits, "{found:#}");
        assert_eq!(found["main_latency"], "ring_to_connected");
    }
}

#[test]
fn two_runs_at_the_same_time_do_not_meet() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| clean_run(&["ring", "--url", &url, "--pairs", "2"]));
        }
    });
}

/// A run that is at work, with more options.
fn running(url: &str, more: &[&str]) -> Child {
    at_work(&[&["ring", "--url", url, "--pairs", "2"], more].concat())
}

/// A run that is over its beginning and measures.
fn at_work(arguments: &[&str]) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_systemx-loadtest"))
        .args(arguments)
        .args(["--warmup", "0", "--json", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is built and can be run");
    wait_until_at_work(child.id());
    child
}

/// Waits until a process has used more processor time than connecting takes.
fn wait_until_at_work(pid: u32) {
    const AT_WORK_NS: u64 = 100_000_000;
    eventually("it is at work", || {
        let times = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let used = |path: PathBuf| {
            std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse::<u64>().ok()
        };
        let all: u64 = times.flatten().filter_map(|task| used(task.path().join("schedstat"))).sum();
        (all > AT_WORK_NS).then_some(())
    });
}

/// What a run found, and whether it succeeded.
fn end_of(mut child: Child) -> (Value, bool) {
    let mut text = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it is text");
    let found = serde_json::from_str(&text).expect("the results are JSON");
    (found, wait_for(&mut child).success())
}

#[test]
fn a_run_that_is_interrupted_still_says_what_it_found() {
    let exchange = Process::start(&[]);
    let child = running(&exchange.url(), &["--duration", "600"]);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let (found, succeeded) = end_of(child);
    assert!(succeeded && found["operations"].as_u64() > Some(0), "{found:#}");
    assert!(found["measured_s"].as_f64() < Some(60.0), "{found:#}");
    assert!(found["notes"].to_string().contains("ended early"), "{found:#}");
    assert_eq!((&found["faults_total"], &found["errors"]), (&0.into(), &serde_json::json!({})), "{found:#}");
}

#[test]
fn a_profile_that_is_interrupted_ends_its_run_in_order_and_begins_no_other() {
    use std::os::unix::process::CommandExt as _;
    let (exchange, folder) = (Process::start(&[]), Scratch::new());
    let run = |name: &str| format!("[[run]]\nname = '{name}'\nscenario = 'ring'\npairs = 2\n");
    let head = format!("url = '{}'\nduration = 600\nwarmup = 0\n", exchange.url());
    let profile = folder.write("p.toml", &(head + &run("first") + &run("second")));
    let child = Command::new(env!("CARGO_BIN_EXE_systemx-loadtest"))
        .args(["profile".as_ref(), profile.as_os_str(), "--out".as_ref(), folder.path().as_os_str()])
        // As a terminal does, the signal goes to the whole group.
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built and can be run");
    wait_until_at_work(exchange.id());
    kill_process_group(Pid::from_child(&child), Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the run was ended early")
            && said.contains("second            could not be run: interrupted"),
        "{said}"
    );
    assert!(folder.path().join("first.html").exists() && !folder.path().join("second.json").exists());
}

#[test]
fn a_server_that_dies_fails_the_run_and_what_was_found_is_kept() {
    let exchange = Process::start(&[]);
    let pid = exchange.id().to_string();
    let child = running(&exchange.url(), &["--duration", "4", "--pid", &pid]);
    drop(exchange);
    let (found, succeeded) = end_of(child);
    assert!(!succeeded && found["operations"].as_u64() > Some(0), "{found:#}");
    assert_eq!(
        (&found["errors"]["closed:1006"], &found["faults_total"]),
        (&4.into(), &1.into()),
        "{found:#}"
    );
    assert!(found["faults"][0].as_str().is_some_and(|fault| fault.starts_with("gone: ")), "{found:#}");
    assert!(found["errors"]["connect:refused"].as_u64() > Some(0), "{found:#}");
    assert!(found["server"].is_null() && found["notes"].to_string().contains("figures"), "{found:#}");
}

#[test]
fn a_server_that_stops_in_order_has_done_nothing_wrong_but_to_be_gone() {
    for scenario in [&["ring"][..], &["slow", "--kind", "call", "--listeners", "2", "--deaf-after", "0.1"]] {
        let mut exchange = Process::start(&[]);
        let url = exchange.url();
        let child = at_work(&[scenario, &["--url", &url, "--duration", "3", "--timeout", "3"]].concat());
        exchange.signal(Signal::TERM);
        exchange.wait();
        let (found, succeeded) = end_of(child);
        assert!(!succeeded && found["faults_total"] == 1, "{found:#}");
        assert!(found["faults"][0].as_str().is_some_and(|fault| fault.starts_with("gone: ")), "{found:#}");
    }
}

#[test]
fn what_cannot_be_run_is_said_before_the_load_begins() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let gone = format!("ws://{}", nobody.local_addr().expect("it is bound"));
    let gone_page = gone.replace("ws:", "http:");
    drop(nobody);
    let exchange = Process::start(&[]);
    let here = exchange.url();
    for (arguments, why) in [
        (&["ring", "--url", "ws://192.0.2.1:8080"][..], "--i-own-this-target"),
        (&["ring", "--url", "ws://192.0.2.1:8080"], "192.0.2.1:8080"),
        (&["ring", "--url", "http://127.0.0.1"], "only ws:// and wss://"),
        (&["ring", "--url", &gone], "cannot connect"),
        (&["ring", "--url", &gone, "--pairs", "1000000000"], "ulimit"),
        (&["ring", "--url", &gone], "is the server up"),
        (&["ring", "--url", &gone, "--duration", "1e12"], "1e9 at most"),
        (&["ring", "--url", &gone, "--name-domain", "a\"b"], "letters, digits"),
        (&["ring", "--url", &gone, "--json", "x.json"], "tip: --json=x.json"),
        (
            &["slow", "--url", &gone, "--kind", "party", "--route", "cross", "--shards", "2"],
            "slow --kind call",
        ),
        (&["ring", "--url", &gone, "--route", "cross"], "--shards"),
        (&["mixed", "--url", &gone, "--route", "cross", "--shards", "2"], "only ring, msg, storm"),
        (&["ring", "--url", &gone, "--pairs", "2", "--threads", "3"], "--threads 3"),
        (&["msg", "--url", &gone, "--mode", "open"], "--rate"),
        (&["ring", "--url", &gone, "--metrics", "http://192.0.2.1/"], "--i-own-this-target"),
        (&["ring", "--url", &here, "--pid", "4194305"], "--pid 4194305"),
        (&["ring", "--url", &here, "--metrics", &gone_page], "--metrics"),
        (&["ring", "--url", &here, "--pin", "1000"], "--pin 1000"),
        // Before the load, not after hours of it.
        (&["ring", "--url", &gone, "--json=/nowhere/x.json"], "cannot write /nowhere/x.json"),
        (&["ring", "--url", &gone, "--report", "/nowhere/x.html"], "cannot write /nowhere/x.html"),
    ] {
        let output = loadtest(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{arguments:?}: {said}");
    }
}
