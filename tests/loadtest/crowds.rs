//! Scenarios of many clients: one speaks to all, somebody asks for all, all are idle, some stop reading.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{Sender, channel};
use tokio_tungstenite::tungstenite::Message;

use super::results;
use crate::support::Process;

/// A run without a fault or an error, of a scenario that has more than one kind of latency.
fn right(arguments: &[&str]) -> Value {
    let (found, output) = results(arguments);
    assert!(output.status.success(), "{arguments:?}: {found:#}");
    assert_eq!((&found["faults_total"], &found["errors"]), (&0.into(), &json!({})), "{found:#}");
    assert!(found["operations"].as_u64() > Some(0), "{found:#}");
    found
}

#[test]
fn listeners_of_a_broadcast_and_of_a_party_hear_all_that_is_said() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    for more in [
        &["--kind", "broadcast"][..],
        &["--kind", "broadcast", "--threads", "2", "--in-flight", "8"],
        &["--kind", "party", "--threads", "2", "--bytes", "3000"],
        &["--kind", "party", "--rate", "100", "--pacing", "even"],
    ] {
        let found = right(&[&["fanout", "--url", &url, "--listeners", "9"], more].concat());
        assert_eq!((&found["operation"], &found["counts"]["connections"]), (&"delivery".into(), &10.into()));
        let [each, last] =
            ["delivery", "last_listener"].map(|name| found["latencies"][name]["count"].as_u64());
        // Of a few messages, part of the deliveries lies before the window or behind it.
        const AT_THE_ENDS: u64 = 500;
        assert!(
            last > Some(0) && each.map(|each| each + AT_THE_ENDS) >= last.map(|last| last * 9),
            "{found:#}"
        );
    }
}

#[test]
fn presence_finds_who_is_there() {
    let exchange = Process::start(&[]);
    let url = exchange.url();
    for (by, entries) in [("domain", 5), ("capability", 5), ("near", 3)] {
        let base = ["presence", "--url", &url, "--connections", "20", "--domains", "4", "--askers", "2"];
        let found = right(&[&base[..], &["--threads", "2", "--by", by]].concat());
        assert_eq!((&found["operation"], &found["counts"]["connections"]), (&"query".into(), &22.into()));
        let [queries, named] =
            [&found["operations"], &found["counts"]["entries_received"]].map(Value::as_u64);
        assert_eq!(queries.map(|queries| queries * entries), named, "{found:#}");
    }
}

#[test]
fn idle_lines_get_in_and_beat_in_turn() {
    let exchange = Process::start(&[]);
    let (url, pid) = (exchange.url(), exchange.id().to_string());
    let base = ["idle", "--url", &url, "--connections", "30", "--threads", "2", "--pid", &pid];
    let found = right(&[&base[..], &["--heartbeat", "0.2"]].concat());
    assert_eq!(
        (&found["counts"]["connections"], &found["latencies"]["connect"]["count"]),
        (&30.into(), &30.into())
    );
    let beats = found["operations"].as_u64().expect("a number");
    assert!((50..=180).contains(&beats), "30 lines at 5 a second: {beats}");
    assert!(found["server"]["bytes_per_connection"].is_number(), "{found:#}");
}

#[test]
fn a_deaf_listener_is_closed_and_nobody_else_loses_anything() {
    let exchange = Process::start(&["--slow-consumer-ms", "1000"]);
    let url = exchange.url();
    let load = ["--listeners", "4", "--deaf-after", "0.3", "--bytes", "65536", "--rate", "200"];
    let base = ["slow", "--url", &url, "--warmup", "0.2", "--duration", "4", "--json", "--quiet"];
    let output = super::loadtest(&[&base[..], &load].concat());
    let found: Value = serde_json::from_slice(&output.stdout).expect("the results are JSON");
    assert!(output.status.success(), "{found:#}");
    assert_eq!((&found["faults_total"], &found["errors"]), (&0.into(), &json!({})), "{found:#}");
    let count = |name: &str| found["latencies"][name]["count"].as_u64();
    assert!(count("delivery_before") > Some(0) && count("delivery_after") > Some(0), "{found:#}");
    assert_eq!(count("until_closed"), Some(1), "{found:#}");
}

#[test]
fn a_callee_that_does_not_read_is_cut_off_and_other_calls_lose_nothing() {
    let exchange = Process::start(&["--slow-consumer-ms", "1000"]);
    let url = exchange.url();
    for route in ["same", "cross"] {
        let load =
            ["--listeners", "4", "--deaf", "2", "--deaf-after", "0.3", "--bytes", "65536", "--rate", "200"];
        let place = ["--shards", "2", "--route", route, "--threads", "2"];
        let base = [
            "slow",
            "--kind",
            "call",
            "--url",
            &url,
            "--warmup",
            "0.2",
            "--duration",
            "4",
            "--json",
            "--quiet",
        ];
        let output = super::loadtest(&[&base[..], &load, &place].concat());
        let found: Value = serde_json::from_slice(&output.stdout).expect("the results are JSON");
        assert!(output.status.success(), "{found:#}");
        assert_eq!((&found["faults_total"], &found["errors"]), (&0.into(), &json!({})), "{found:#}");
        let count = |name: &str| found["latencies"][name]["count"].as_u64();
        assert!(count("delivery_before") > Some(0) && count("delivery_after") > Some(0), "{found:#}");
        assert_eq!(
            (count("until_closed"), &found["counts"]["callers_held"]),
            (Some(2), &2.into()),
            "{found:#}"
        );
        assert!(found["notes"].to_string().contains("p99 of the delivery to those who read"), "{found:#}");
    }
}

#[test]
fn a_server_that_cuts_nobody_off_is_told_so() {
    let url = format!("ws://{}", super::cheats::serve(super::cheats::Cheat::Nothing));
    let load = ["--kind", "call", "--listeners", "3", "--deaf", "1", "--deaf-after", "0.1", "--rate", "50"];
    let (found, _) = results(&[&["slow", "--url", &url][..], &load].concat());
    assert_eq!(
        (&found["faults_total"], &found["errors"]),
        (&0.into(), &json!({"deaf:not_closed": 1})),
        "{found:#}"
    );
}

/// What a server does wrong, now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cheat {
    Nothing,
    LoseMessage,
    DoubleMessage,
    TellTheSpeaker,
    LoseAnswer,
    ForgetLine,
    DoubleLine,
    LoseHeartbeat,
    DoubleHeartbeat,
}

/// Every so many frames of the kind in question it cheats.
const EVERY: u64 = 7;

/// One line's part of the server: parties of one name, presence of one domain, heartbeats.
struct Attendant {
    cheat: Cheat,
    name: String,
    chances: u64,
    everybody: Sender<Value>,
    lines: std::rc::Rc<std::cell::RefCell<Vec<String>>>,
}

impl Attendant {
    fn cheats(&mut self, cheat: Cheat) -> bool {
        self.chances += u64::from(self.cheat == cheat);
        self.cheat == cheat && self.chances.is_multiple_of(EVERY)
    }

    /// The answers to a frame.
    fn on_frame(&mut self, frame: &Value) -> Vec<Value> {
        match frame["type"].as_str().unwrap_or_default() {
            "REGISTER" => {
                self.name = frame["address"].as_str().unwrap_or_default().to_owned();
                self.lines.borrow_mut().push(self.name.clone());
                vec![json!({"type": "REGISTERED", "address": self.name, "session_id": "s"})]
            }
            "JOIN" => vec![json!({"type": "JOINED", "party": frame["party"], "participants": []})],
            "PARTY_MSG" => {
                let mut said = frame.clone();
                said["from"] = json!(self.name);
                // Nobody is there to hear it.
                let _ = self.everybody.send(said);
                Vec::new()
            }
            "HEARTBEAT" => {
                let ack = json!({"type": "HEARTBEAT_ACK", "timestamp": 1});
                let times = if self.cheats(Cheat::LoseHeartbeat) { 0 } else { 1 };
                vec![ack; times + usize::from(self.cheats(Cheat::DoubleHeartbeat))]
            }
            "PRESENCE" if self.cheats(Cheat::LoseAnswer) => Vec::new(),
            "PRESENCE" => {
                let domain = format!("@{}", frame["query"]["domain"].as_str().unwrap_or_default());
                let entry = |name: &String| json!({"address": name, "status": "available", "metadata": {}});
                let lines = self.lines.borrow().clone();
                let mut found: Vec<_> =
                    lines.iter().filter(|name| name.ends_with(&domain)).map(entry).collect();
                if self.cheats(Cheat::ForgetLine) {
                    found.pop();
                }
                if self.cheats(Cheat::DoubleLine) {
                    found.extend(found.first().cloned());
                }
                vec![json!({"type": "PRESENCE_RESULT", "addresses": found})]
            }
            _ => Vec::new(),
        }
    }

    /// What this line hears of what somebody said.
    fn hear(&mut self, said: &Value) -> Vec<Value> {
        if said["from"] == json!(self.name) {
            return if self.cheats(Cheat::TellTheSpeaker) { vec![said.clone()] } else { Vec::new() };
        }
        let times = if self.cheats(Cheat::LoseMessage) { 0 } else { 1 };
        vec![said.clone(); times + usize::from(self.cheats(Cheat::DoubleMessage))]
    }
}

/// Serves until the test ends, on a thread that nothing waits for.
fn serve(cheat: Cheat) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket takes the option");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (everybody, _) = channel(4096);
        let lines = std::rc::Rc::default();
        let accept = async move {
            let listener = TcpListener::from_std(listener).expect("it is a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let (everybody, lines) = (everybody.clone(), std::rc::Rc::clone(&lines));
                let attendant = Attendant { cheat, name: String::new(), chances: 0, everybody, lines };
                tokio::task::spawn_local(attend(attendant, stream));
            }
        };
        tokio::task::LocalSet::new().block_on(&runtime, accept);
    });
    address
}

async fn attend(mut attendant: Attendant, stream: TcpStream) {
    // A look whether somebody listens is no WebSocket.
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut write, mut read) = socket.split();
    let mut hears = attendant.everybody.subscribe();
    loop {
        let said = tokio::select! {
            frame = read.next() => match frame {
                Some(Ok(frame)) => serde_json::from_slice(&frame.into_data()).map(|frame| attendant.on_frame(&frame)),
                _ => return,
            },
            said = hears.recv() => Ok(said.map(|said| attendant.hear(&said)).unwrap_or_default()),
        };
        for frame in said.unwrap_or_default() {
            if write.send(Message::text(frame.to_string())).await.is_err() {
                return;
            }
        }
    }
}

const FANOUT: &[&str] = &["fanout", "--kind", "party", "--listeners", "3", "--rate", "200"];
const PRESENCE: &[&str] = &["presence", "--connections", "6", "--domains", "2", "--askers", "2"];
const IDLE: &[&str] = &["idle", "--connections", "3", "--heartbeat", "0.02"];

fn run(scenario: &[&str], cheat: Cheat) -> (Value, bool) {
    let url = format!("ws://{}", serve(cheat));
    let (found, output) = results(&[scenario, &["--url", &url]].concat());
    (found, output.status.success())
}

#[test]
fn a_server_that_does_not_cheat_many_passes() {
    for scenario in [FANOUT, PRESENCE, IDLE] {
        let (found, passed) = run(scenario, Cheat::Nothing);
        assert!(passed && found["faults_total"] == 0, "{found:#}");
    }
}

#[test]
fn a_server_that_cheats_many_makes_the_run_fail_with_the_reason() {
    for (scenario, cheat, reason) in [
        (FANOUT, Cheat::LoseMessage, "lost"),
        (FANOUT, Cheat::DoubleMessage, "doubled"),
        (FANOUT, Cheat::TellTheSpeaker, "hears itself"),
        (PRESENCE, Cheat::LoseAnswer, "lost: no answer"),
        (PRESENCE, Cheat::ForgetLine, "lost"),
        (PRESENCE, Cheat::DoubleLine, "doubled"),
        (IDLE, Cheat::LoseHeartbeat, "lost"),
        (IDLE, Cheat::DoubleHeartbeat, "doubled"),
    ] {
        let (found, passed) = run(scenario, cheat);
        assert!(!passed && found["faults_total"].as_u64() > Some(0), "{cheat:?}: {found:#}");
        assert!(found["faults"].to_string().contains(reason), "{cheat:?}: {found:#}");
    }
}
