//! The programs as an operator meets them: exit codes, what they print, where settings come from, and the phone as a pair of
//! scripts. Each runs as a real process in an empty folder.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::{systemx, wait_for};
use crate::support::{Phone, Process, Scratch};

fn run(arguments: &[&str], folder: &Scratch, environment: &[(&str, &str)]) -> Output {
    let mut command = systemx(arguments, folder.path());
    command.envs(environment.iter().copied()).output().expect("the program can be run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("programs print text")
}

/// The value and origin that check-config prints for a variable.
fn checked(output: &Output, variable: &str) -> String {
    let text = text(&output.stdout);
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(variable));
    let line = line.unwrap_or_else(|| panic!("{variable} is not in {text}"));
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn version_prints_the_version() {
    let output = run(&["version"], &Scratch::new(), &[]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), format!("systemx {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn flags_win_over_the_environment_that_over_dotenv_and_that_over_toml() {
    let folder = Scratch::new();
    let toml = folder.write("x.toml", "port = 1001\ncall_timeout = 1001\nspin_us = 11\nshards = 1\n");
    folder.write(".env", "SYSTEMX_PORT=1002\nSYSTEMX_CALL_TIMEOUT=1002\nSYSTEMX_SPIN_US=12\n");
    let environment = [("SYSTEMX_PORT", "1003"), ("SYSTEMX_CALL_TIMEOUT", "1003")];
    let toml = toml.to_str().expect("temporary paths are text");
    let output = run(&["check-config", "--config", toml, "--port", "1004"], &folder, &environment);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(checked(&output, "SYSTEMX_PORT"), "1004 flag");
    assert_eq!(checked(&output, "SYSTEMX_CALL_TIMEOUT"), "1003 ms environment");
    assert!(checked(&output, "SYSTEMX_SPIN_US").ends_with(".env line 3"));
    assert!(checked(&output, "SYSTEMX_SHARDS").contains("x.toml"));
    assert_eq!(checked(&output, "SYSTEMX_HEARTBEAT_TIMEOUT"), "60000 ms default");
}

#[test]
fn an_unknown_variable_is_warned_about_with_the_nearest_name() {
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_TIMOUT", "5")]);
    let line = exchange.log.wait_for("SYSTEMX_CALL_TIMOUT");
    assert!(line.contains("SYSTEMX_CALL_TIMEOUT") && line.starts_with("[WARN]"), "{line}");
}

#[test]
fn what_a_machine_tells_all_programs_about_traces_keeps_no_exchange_from_starting() {
    let machine =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let warned = Process::start_with(&[], &machine);
    let line = warned.log.wait_for("no traces are sent");
    assert!(line.starts_with("[WARN]") && line.contains("OTEL_TRACES_EXPORTER=none"), "{line}");
    for off in [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")] {
        let exchange = Process::start_with(&[], &[machine[0], machine[1], off]);
        let log = exchange.log.all();
        assert!(!log.iter().any(|line| line.contains("OTEL_") || line.contains("traces")), "{log:#?}");
    }
}

#[test]
fn mistakes_are_all_told_at_once_and_nothing_is_started() {
    for program in ["check-config", "serve"] {
        let output = run(&[program, "--port", "99999", "--call-timeout", "soon"], &Scratch::new(), &[]);
        assert_eq!(output.status.code(), Some(2), "{program}");
        let complaints = text(&output.stderr);
        assert!(complaints.contains("99999") && complaints.contains("soon"), "{complaints}");
    }
}

#[test]
fn a_port_in_use_by_somebody_else_is_told_and_the_exit_code_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let output = run(&["--host", "127.0.0.1", "--port", &port], &Scratch::new(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr) + &text(&output.stdout);
    assert!(said.contains("cannot listen on") && said.contains("SYSTEMX_PORT"), "{said}");
}

#[test]
fn health_tells_a_running_exchange_from_none() {
    let exchange = Process::start(&[]);
    let output = run(&["health", "--url", &exchange.url()], &Scratch::new(), &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let port = exchange.address().port().to_string();
    let configured = run(&["health"], &Scratch::new(), &[("SYSTEMX_PORT", &port)]);
    assert!(configured.status.success(), "{}", text(&configured.stderr));
    let url = exchange.url();
    drop(exchange);
    let output = run(&["health", "--url", &url], &Scratch::new(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("systemx: unhealthy"), "{}", text(&output.stderr));
}

#[test]
fn json_logs_are_one_object_a_line() {
    let folder = Scratch::new();
    let mut command = systemx(&["--host", "127.0.0.1", "--port", "0", "--log-format", "json"], folder.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let exchange = Process::run(command, folder);
    for line in exchange.log.all() {
        let object: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object["level"].is_string() && object["message"].is_string(), "{line}");
    }
}

#[test]
fn two_phones_talk_as_the_readme_shows() {
    let exchange = Process::start(&[]);
    let folder = Scratch::new();
    let url = exchange.url();
    let bob = ["phone", "--url", &url, "--address", "bob@example.test", "--answer", "--run-seconds", "20"];
    let mut command = systemx(&bob, folder.path());
    let mut bob = command.stdout(Stdio::piped()).spawn().expect("the program can be run");
    let lines = crate::support::process::Lines::default();
    lines.collect(bob.stdout.take().expect("it is piped"));
    lines.wait_for("registered bob@example.test");
    let alice = [
        "phone",
        "--url",
        &url,
        "--address",
        "alice@example.test",
        "--dial",
        "bob@example.test",
        "--message",
        "hello",
        "--run-seconds",
        "1",
    ];
    let alice = run(&alice, &folder, &[]);
    let said = text(&alice.stdout);
    assert!(alice.status.success(), "{said}");
    for part in
        ["registered alice@example.test", "dialing 1 bob@example.test", "connected 1 bob@example.test"]
    {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    lines.wait_for("message 1 alice@example.test text hello");
    lines.wait_for("hangup 1 alice@example.test");
    bob.kill().expect("it runs");
    bob.wait().expect("it is our child");
}

#[test]
fn a_phone_that_reaches_nobody_says_so() {
    let exchange = Process::start(&[]);
    let phone = [
        "phone",
        "--url",
        &exchange.url(),
        "--address",
        "a@example.test",
        "--dial",
        "b@example.test",
        "--json",
    ];
    let output = run(&phone, &Scratch::new(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(r#""event":"busy""#), "{}", text(&output.stdout));
}

#[test]
fn a_log_that_nobody_reads_any_more_does_not_end_the_exchange() {
    let folder = Scratch::new();
    let arguments =
        ["--host", "127.0.0.1", "--port", "0", "--log-level", "debug", "--stop-timeout-ms", "500"];
    let mut command = systemx(&arguments, folder.path());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be run");
    let mut log = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("exchange is up") {
        line.clear();
        log.read_line(&mut line).expect("it logs");
    }
    let port =
        line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()).expect("it says where");
    // A pager that was quit: the pipe is broken from here on.
    drop((log, child.stderr.take()));
    let mut phone = Phone::connect(format!("127.0.0.1:{port}").parse().expect("it is an address"));
    phone.register("a@example.test");
    for _ in 0..100 {
        phone.expect_nothing();
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(phone.next_close().0, 1001);
    assert_eq!(wait_for(&mut child).code(), Some(0));
}
