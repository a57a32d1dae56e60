//! Call records in their file: one for each call, whatever its end, the same as in the call log; and sound after a kill.

mod command;
mod troubles;
mod webhook;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::phone::{contains, id_of};
use crate::support::process::systemx;
use crate::support::{Phone, Process, Rig, Scratch, eventually};

const A: &str = "alice@example.test";
const B: &str = "bob@example.test";

/// Where the records of a test go.
fn file_in(folder: &Scratch) -> PathBuf {
    folder.path().join("calls.db")
}

/// A path as text.
fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// What `systemx calls` prints with these arguments.
fn ask(file: &Path, arguments: &[&str]) -> String {
    let folder = Scratch::new();
    let all = [&["calls", "--file", text(file)], arguments].concat();
    let output = systemx(&all, folder.path()).output().expect("the program can be run");
    let said = String::from_utf8(output.stderr).expect("programs print text");
    assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("programs print text")
}

/// The records of the file, the first to end first.
fn all(file: &Path) -> Vec<Value> {
    json_lines(&ask(file, &["--format", "json", "--oldest-first"]))
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Records by the ids of their calls.
fn by_call(records: Vec<Value>) -> BTreeMap<String, Value> {
    let count = records.len();
    let by_call: BTreeMap<_, _> = records.into_iter().map(|record| (id_of(&record), record)).collect();
    assert_eq!(by_call.len(), count, "one record for each call");
    by_call
}

/// A call from A to B of this exchange that is answered and hung up.
fn brief_call(a: &mut Phone, b: &mut Phone) -> String {
    let call = a.call(A, b, B);
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    call
}

/// Calls of every kind of end; what each record has to say, by callee and reason.
fn every_outcome(rig: &Rig) -> Vec<Value> {
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let call = a.call(A, &mut b, B);
    a.say(&call, "hello");
    b.expect_msg(&call, A, json!("hello"));
    b.say(&call, 12345);
    a.expect_msg(&call, B, json!(12345));
    b.say(&call, 1);
    a.expect_msg(&call, B, json!(1));
    a.hang_up(&call);
    b.expect_hangup(&call, "normal");
    a.dial("nobody@example.test");
    a.expect_busy("nobody@example.test", "no_such_address");
    a.send(json!({"type": "DIAL", "to": B, "ref": "second thoughts"}));
    a.expect(json!({"type": "DIALING"}));
    let cancelled = b.expect_ring(A);
    a.send(json!({"type": "HANGUP", "call_id": cancelled}));
    b.expect_hangup(&cancelled, "cancelled");
    a.dial(B);
    b.expect_ring(A);
    a.expect_busy(B, "timeout");
    b.expect(json!({"type": "HANGUP", "reason": "timeout"}));
    let mut station = rig.registered_with("radio@example.test", json!({"concurrency": "broadcast"}));
    let mut listener = rig.registered("listener@example.test");
    listener.dial("radio@example.test");
    listener.expect_connected("radio@example.test");
    station.expect(json!({"type": "RING"}));
    listener.close();
    station.expect(json!({"type": "HANGUP", "reason": "peer_disconnected"}));
    let stopped = a.call(A, &mut b, B);
    // They stay connected until the exchange goes.
    std::mem::forget((a, b, station));
    vec![
        json!({"call_id": call, "from": A, "to": B, "mode": "single", "end_reason": "normal", "ended_by": "caller",
            "messages": 3, "messages_to_callee": 1, "bytes_to_callee": 7, "messages_to_caller": 2,
            "bytes_to_caller": 6, "forwarded": null, "link": null, "dialect": "systemx", "node": "hub.test"}),
        json!({"to": "nobody@example.test", "end_reason": "no_such_address", "ended_by": "exchange",
            "answered_at": null, "ring_us": null, "answer_us": null, "talk_us": null}),
        json!({"call_id": cancelled, "end_reason": "cancelled", "ended_by": "caller", "answered_at": null,
            "talk_us": null}),
        json!({"to": B, "end_reason": "timeout", "ended_by": "exchange", "answered_at": null}),
        json!({"from": "listener@example.test", "mode": "broadcast", "end_reason": "peer_disconnected",
            "ended_by": "caller"}),
        json!({"call_id": stopped, "end_reason": "shutdown", "ended_by": "exchange", "messages": 0}),
    ]
}

#[test]
fn every_outcome_is_one_record_and_the_same_in_file_and_call_log() {
    let folder = Scratch::new();
    let (file, log) = (file_in(&folder), folder.path().join("calls.jsonl"));
    let settings = [
        ("call_records", text(&file)),
        ("call_log", text(&log)),
        ("call_timeout", "80"),
        ("federation_domain", "hub.test"),
    ];
    let rig = Rig::with(&settings);
    let expected = every_outcome(&rig);
    rig.stop();
    let records = by_call(all(&file));
    let logged = std::fs::read_to_string(&log).expect("the log is there");
    assert_eq!(records, by_call(json_lines(&logged)), "file and log say the same");
    assert_eq!(records.len(), expected.len(), "{records:#?}");
    for fields in expected {
        assert!(records.values().any(|record| contains(record, &fields)), "{fields} in {records:#?}");
    }
    for record in records.values() {
        let number = |name: &str| record[name].as_u64();
        assert!(number("started_at") <= number("ended_at"), "{record}");
        assert_eq!(record["answered_at"].is_null(), record["talk_us"].is_null(), "{record}");
        assert!(number("ring_us") <= number("answer_us") || record["answer_us"].is_null(), "{record}");
    }
    let timed_out = records.values().find(|record| record["end_reason"] == "timeout").expect("it is there");
    assert!(timed_out["ring_us"].as_u64().expect("it rang") < 10_000_000, "{timed_out}");
}

#[test]
fn calls_across_a_link_say_which_way_and_by_which_link() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let rig = Rig::with(&[("call_records", text(&file)), ("shards", "1")]);
    let mut link = rig.phone();
    link.send(json!({"type": "REGISTER_PBX", "domain": "home.test", "routes": ["*@home.test"], "endpoint": "internal"}));
    link.expect(json!({"type": "REGISTERED_PBX"}));
    let mut a = rig.registered(A);
    a.dial("far@home.test");
    let out = id_of(&link.expect(json!({"type": "DIAL_FORWARD"})));
    link.send(json!({"type": "ANSWER", "call_id": out, "from": "far@home.test"}));
    a.expect_connected("far@home.test");
    a.hang_up(&out);
    link.expect(json!({"type": "HANGUP"}));
    link.send(json!({"type": "DIAL_FORWARD", "call_id": "in \"7\"", "from": "far@home.test", "to": A}));
    a.expect(json!({"type": "RING"}));
    link.expect(json!({"type": "RING"}));
    a.answer("in \"7\"");
    link.expect(json!({"type": "ANSWER"}));
    link.send(json!({"type": "HANGUP", "call_id": "in \"7\""}));
    a.expect_hangup("in \"7\"", "normal");
    rig.stop();
    let records = by_call(all(&file));
    let expected = [
        json!({"call_id": out, "mode": "forwarded", "forwarded": "out", "link": "home.test", "end_reason": "normal"}),
        json!({"call_id": "in \"7\"", "mode": "single", "forwarded": "in", "link": "home.test"}),
    ];
    for fields in expected {
        assert!(records.values().any(|record| contains(record, &fields)), "{fields} in {records:#?}");
    }
}

/// What had ended so long before the kill must be there: as long as the loss may be that is promised.
const LOSS_MAX: Duration = Duration::from_secs(1);

#[test]
fn after_a_kill_in_the_middle_of_load_the_file_is_sound_and_lacks_the_last_second_at_most() {
    // How long a disk takes to flush is not the exchange's to promise.
    let folder = Scratch::in_memory();
    let file = file_in(&folder);
    let environment = [("SYSTEMX_CALL_RECORDS", text(&file)), ("SYSTEMX_LOG_LEVEL", "warn")];
    let exchange = Process::start_with(&["--log-level", "info"], &environment[..1]);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    let start = Instant::now();
    let mut ended = Vec::new();
    while start.elapsed() < LOSS_MAX * 3 {
        ended.push((brief_call(&mut a, &mut b), Instant::now()));
    }
    let killed = Instant::now();
    exchange.signal(Signal::KILL);
    let mut exchange_gone = exchange;
    exchange_gone.wait();
    let connection = Connection::open(&file).expect("it opens");
    let sound: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it is read");
    assert_eq!(sound, "ok");
    drop(connection);
    let kept = by_call(all(&file));
    let due: Vec<_> = ended.iter().filter(|(_, at)| killed.duration_since(*at) > LOSS_MAX).collect();
    assert!(due.len() > 50, "there was load: {} calls", due.len());
    let missing = due.iter().filter(|(call, _)| !kept.contains_key(call)).count();
    assert_eq!(missing, 0, "of {} calls that ended in time", due.len());

    let again = Process::start_with(&[], &environment[..1]);
    let call = brief_call(&mut again.registered(A), &mut again.registered(B));
    eventually("the next call is kept beside them", || {
        let now = by_call(all(&file));
        (now.contains_key(&call) && now.len() == kept.len() + 1).then_some(())
    });
}

/// Whoever closes a database last takes its write-ahead log away. The exchange's lock says that it is still there; the system lets
/// go of it if the exchange ever closes the file beside SQLite, and older versions of `sqlite3` then delete the log.
#[test]
fn the_exchange_never_loses_its_lock_on_the_file() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", text(&file))]);
    brief_call(&mut exchange.registered(A), &mut exchange.registered(B));
    eventually("it is kept", || (file.exists() && all(&file).len() == 1).then_some(()));
    let other = std::fs::OpenOptions::new().read(true).write(true).open(&file).expect("it opens");
    let start = Instant::now();
    // Longer than the second after which the exchange looks at the file.
    while start.elapsed() < LOSS_MAX * 2 {
        let taken = fcntl_lock(&other, FlockOperation::NonBlockingLockExclusive);
        assert!(taken.is_err(), "somebody else could lock the file: {:#?}", exchange.log.all());
    }
}

#[test]
fn the_records_can_be_asked_and_saved_while_the_exchange_writes() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let rig = Rig::with(&[("call_records", text(&file))]);
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let calls: Vec<String> = (0..50).map(|_| brief_call(&mut a, &mut b)).collect();
    eventually("they are there", || (all(&file).len() == calls.len()).then_some(()));
    let saved = folder.path().join("saved.db");
    let connection = Connection::open(&file).expect("it opens");
    connection.execute("VACUUM INTO ?1", [text(&saved)]).expect("it is saved");
    brief_call(&mut a, &mut b);
    assert_eq!(all(&saved).len(), calls.len(), "a back-up is a file of its own");
    let sinks = rig.sinks().file.expect("it is on");
    assert_eq!((sinks.lost, sinks.failures, sinks.trouble), (0, 0, None));
}
