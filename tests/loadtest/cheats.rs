//! A server that speaks the protocol and cheats in one way; each way must make a run fail.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;

/// What the server does wrong, now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cheat {
    Nothing,
    DoubleMessage,
    LoseMessage,
    SwapMessages,
    ChangeMessage,
    OtherCallOfMessage,
    OtherSender,
    LoseRing,
    LoseConnected,
    LoseHangup,
    LoseHeartbeat,
    OtherCallOfConnected,
    OtherCallOfHangup,
    DoubleRing,
    DoubleConnected,
    OtherCaller,
    OtherCallee,
    BinaryFrame,
    KeepNames,
    ForgetRegister,
    StrayRing,
    OtherReason,
    OtherDial,
    ConnectBusy,
}

/// Every so many frames of the kind in question it cheats.
const EVERY: u64 = 20;

/// The lines and calls of the server.
struct Cheater {
    cheat: Cheat,
    lines: HashMap<String, UnboundedSender<Message>>,
    /// Caller and callee by call id.
    calls: HashMap<String, [String; 2]>,
    answered: HashSet<String>,
    dialled: u64,
    chances: u64,
    held: Option<(String, Value)>,
}

impl Cheater {
    /// Whether it is time to cheat in this way.
    fn cheats(&mut self, cheat: Cheat) -> bool {
        if self.cheat != cheat {
            return false;
        }
        self.chances += 1;
        self.chances.is_multiple_of(EVERY)
    }

    fn say(&self, to: &str, frame: &Value) {
        if let Some(line) = self.lines.get(to) {
            // It may have gone.
            let _ = line.send(Message::text(frame.to_string()));
        }
    }

    fn on_frame(&mut self, from: &str, frame: &Value) {
        let id = frame["call_id"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().unwrap_or_default() {
            "HEARTBEAT" if self.cheats(Cheat::LoseHeartbeat) => {}
            "HEARTBEAT" => self.say(from, &json!({"type": "HEARTBEAT_ACK", "timestamp": 1})),
            "DIAL" => self.on_dial(from, frame["to"].as_str().unwrap_or_default(), &frame["ref"]),
            "ANSWER" => self.on_answer(&id),
            "MSG" => self.on_message(from, id, frame["data"].clone()),
            "HANGUP" => {
                let Some([caller, callee]) = self.calls.remove(&id) else { return };
                let taken_back = from == caller && !self.answered.remove(&id);
                let reason =
                    if taken_back != self.cheats(Cheat::OtherReason) { "cancelled" } else { "normal" };
                let id = if self.cheats(Cheat::OtherCallOfHangup) { other(&id) } else { id };
                let to = if from == caller { callee } else { caller };
                if self.cheats(Cheat::LoseHangup) {
                    return;
                }
                self.say(&to, &json!({"type": "HANGUP", "call_id": id, "reason": reason}));
            }
            _ => {}
        }
    }

    /// Whether the line is known by this name for the first time, or may be again. What it was in is over.
    fn admits(&mut self, name: &str) -> bool {
        self.calls.retain(|_, ends| !ends.iter().any(|end| end == name));
        self.cheat != Cheat::KeepNames || !self.lines.contains_key(name)
    }

    fn on_dial(&mut self, from: &str, to: &str, own: &Value) {
        self.dialled += 1;
        let id = format!("{:036}", self.dialled);
        let in_call = self.calls.values().flatten().any(|end| end == to);
        if !self.lines.contains_key(to) || in_call && !self.cheats(Cheat::ConnectBusy) {
            let reason = if in_call { "already_in_call" } else { "no_such_address" };
            return self.say(from, &json!({"type": "BUSY", "to": to, "reason": reason}));
        }
        if own.is_string() {
            let told = if self.cheats(Cheat::OtherDial) { other(&id) } else { id.clone() };
            self.say(from, &json!({"type": "DIALING", "ref": own, "call_id": told, "to": to}));
        }
        self.calls.insert(id.clone(), [from, to].map(str::to_owned));
        let from = if self.cheats(Cheat::OtherCaller) { "eve@load.test" } else { from };
        let ring = json!({"type": "RING", "from": from, "call_id": id});
        if self.cheats(Cheat::LoseRing) {
            return;
        }
        self.say(to, &ring);
        if self.cheats(Cheat::DoubleRing) {
            self.say(to, &ring);
        }
    }

    fn on_answer(&mut self, id: &str) {
        let Some([caller, callee]) = self.calls.get(id).cloned() else { return };
        self.answered.insert(id.to_owned());
        let told = if self.cheats(Cheat::OtherCallOfConnected) { other(id) } else { id.to_owned() };
        let callee = if self.cheats(Cheat::OtherCallee) { "eve@load.test".to_owned() } else { callee };
        let connected = json!({"type": "CONNECTED", "call_id": told, "to": callee});
        if self.cheats(Cheat::LoseConnected) {
            return;
        }
        self.say(&caller, &connected);
        if self.cheats(Cheat::DoubleConnected) {
            self.say(&caller, &connected);
        }
    }

    fn on_message(&mut self, from: &str, id: String, mut data: Value) {
        let Some([caller, callee]) = self.calls.get(&id).cloned() else { return };
        let to = if from == caller { callee } else { caller };
        let id = if self.cheats(Cheat::OtherCallOfMessage) { other(&id) } else { id };
        if self.cheats(Cheat::ChangeMessage) {
            data = json!(data.as_str().unwrap_or_default().replace("xx", "yy"));
        }
        let from = if self.cheats(Cheat::OtherSender) { "eve@load.test" } else { from };
        let message =
            json!({"type": "MSG", "call_id": id, "from": from, "data": data, "content_type": "text"});
        if self.cheats(Cheat::LoseMessage) {
            return;
        }
        if self.held.is_none() && self.cheats(Cheat::SwapMessages) {
            self.held = Some((to, message));
            return;
        }
        self.say(&to, &message);
        if self.held.as_ref().is_some_and(|(receiver, _)| *receiver == to)
            && let Some((to, message)) = self.held.take()
        {
            self.say(&to, &message);
        }
        if self.cheats(Cheat::DoubleMessage) {
            self.say(&to, &message);
        }
        if self.cheats(Cheat::BinaryFrame)
            && let Some(line) = self.lines.get(&to)
        {
            let _ = line.send(Message::binary(vec![1, 2, 3]));
        }
    }
}

/// Another call's id.
fn other(id: &str) -> String {
    id.replace('0', "9")
}

/// Serves until the test ends, on a thread that nothing waits for.
pub fn serve(cheat: Cheat) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket takes the option");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (lines, calls) = (HashMap::new(), HashMap::new());
        let answered = HashSet::new();
        let cheater = Cheater { cheat, lines, calls, answered, dialled: 0, chances: 0, held: None };
        let cheater = Rc::new(RefCell::new(cheater));
        let accept = async move {
            let listener = TcpListener::from_std(listener).expect("it is a listener");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(attend(Rc::clone(&cheater), stream));
            }
        };
        tokio::task::LocalSet::new().block_on(&runtime, accept);
    });
    address
}

async fn attend(cheater: Rc<RefCell<Cheater>>, stream: TcpStream) {
    // A look whether somebody listens is no WebSocket.
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut write, mut read) = socket.split();
    let (line, mut said) = unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Some(message) = said.recv().await {
            if write.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut name = String::new();
    while let Some(Ok(message)) = read.next().await {
        let Ok(frame) = serde_json::from_slice::<Value>(&message.into_data()) else { continue };
        if frame["type"] == "REGISTER" {
            name = frame["address"].as_str().unwrap_or_default().to_owned();
            let mut cheater = cheater.borrow_mut();
            if cheater.cheats(Cheat::ForgetRegister) {
                continue;
            }
            if !cheater.admits(&name) {
                let refusal = json!({"type": "REGISTER_FAILED", "reason": "address_in_use"});
                let _ = line.send(Message::text(refusal.to_string()));
                continue;
            }
            cheater.lines.insert(name.clone(), line.clone());
            cheater.say(&name, &json!({"type": "REGISTERED", "address": name, "session_id": "s"}));
            if cheater.cheats(Cheat::StrayRing) {
                cheater.say(&name, &json!({"type": "RING", "from": "eve@load.test", "call_id": "1"}));
            }
        } else {
            cheater.borrow_mut().on_frame(&name, &frame);
        }
    }
}

const RING: &[&str] = &["ring"];
const PINGPONG: &[&str] = &["msg"];
const FLOOD: &[&str] = &["msg", "--mode", "flood"];

fn run(scenario: &[&str], cheat: Cheat) -> (Value, bool) {
    let url = format!("ws://{}", serve(cheat));
    let (found, output) = super::results(&[scenario, &["--url", &url, "--pairs", "2"]].concat());
    (found, output.status.success())
}

#[test]
fn a_server_that_does_not_cheat_passes() {
    for scenario in [RING, PINGPONG, FLOOD] {
        let (found, passed) = run(scenario, Cheat::Nothing);
        assert!(passed && found["faults_total"] == 0, "{found:#}");
    }
}

#[test]
fn a_server_that_cheats_makes_the_run_fail_with_the_reason() {
    for (scenario, cheat, reason) in [
        (FLOOD, Cheat::DoubleMessage, "doubled"),
        (FLOOD, Cheat::LoseMessage, "lost"),
        (FLOOD, Cheat::SwapMessages, "reordered"),
        (FLOOD, Cheat::ChangeMessage, "changed"),
        (FLOOD, Cheat::BinaryFrame, "malformed"),
        (PINGPONG, Cheat::OtherCallOfMessage, "misdelivered"),
        (PINGPONG, Cheat::OtherSender, "misdelivered"),
        (PINGPONG, Cheat::DoubleMessage, "doubled"),
        (RING, Cheat::OtherCallOfConnected, "misdelivered"),
        (RING, Cheat::OtherCallOfHangup, "misdelivered"),
        (RING, Cheat::OtherCaller, "misdelivered"),
        (RING, Cheat::OtherCallee, "CONNECTED to somebody else"),
        (RING, Cheat::OtherReason, "changed: HANGUP with another reason"),
        (RING, Cheat::DoubleRing, "doubled"),
        (RING, Cheat::DoubleConnected, "doubled"),
    ] {
        let (found, passed) = run(scenario, cheat);
        assert!(!passed && found["faults_total"].as_u64() > Some(0), "{cheat:?}: {found:#}");
        assert!(found["faults"].to_string().contains(reason), "{cheat:?}: {found:#}");
    }
}

#[test]
fn a_frame_of_a_call_that_never_comes_is_lost_and_no_mere_error() {
    // Connections that stand and a second of silence.
    const TIMEOUT: &str = "1";
    let day: &[&str] =
        &["mixed", "--idle", "40", "--heartbeat", "0.2", "--calls-per-second", "100", "--talk-ms", "5..50"];
    std::thread::scope(|scope| {
        for (scenario, cheat, what) in [
            (RING, Cheat::LoseRing, "RING or BUSY has not come"),
            (RING, Cheat::LoseConnected, "CONNECTED has not come"),
            (RING, Cheat::LoseHangup, "HANGUP has not come"),
            (day, Cheat::LoseRing, "RING or BUSY has not come"),
            (day, Cheat::LoseConnected, "CONNECTED has not come"),
            (day, Cheat::LoseHangup, "HANGUP has not come"),
            (day, Cheat::LoseHeartbeat, "a heartbeat was not acknowledged"),
        ] {
            scope.spawn(move || {
                let url = format!("ws://{}", serve(cheat));
                let (found, output) = super::results_within(TIMEOUT, &[scenario, &["--url", &url]].concat());
                assert!(!output.status.success(), "{cheat:?}: {found:#}");
                let faults = found["faults"].to_string();
                assert!(faults.contains("lost: ") && faults.contains(what), "{cheat:?}: {found:#}");
            });
        }
    });
}

#[test]
fn a_message_that_never_comes_is_found_at_the_end() {
    let (found, passed) = run(PINGPONG, Cheat::LoseMessage);
    assert!(
        !passed && found["faults"][0].as_str().is_some_and(|fault| fault.starts_with("lost")),
        "{found:#}"
    );
}
