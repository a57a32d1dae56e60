//! Call records by way of the API: that what is kept can be found, in pages, and that it is said why nothing can.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::TOKEN;
use crate::support::http::{get, request};
use crate::support::records::fill;
use crate::support::{Phone, Rig, Scratch, eventually};

const A: &str = "alice@records.test";
const B: &str = "bob@records.test";

fn found(admin: SocketAddr, query: &str) -> Vec<Value> {
    let answer = get(admin, &format!("/api/v1/records?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    answer.json()["records"].as_array().expect("a list").clone()
}

/// A call of which much is said, one that nobody took, and one to nobody.
fn three_calls(rig: &Rig) -> ([Phone; 2], String) {
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let talk = a.call(A, &mut b, B);
    a.say(&talk, "four");
    b.expect_msg(&talk, A, json!("four"));
    b.hang_up(&talk);
    a.expect_hangup(&talk, "normal");
    a.dial(B);
    let call = b.expect_ring(A);
    a.send(json!({"type": "HANGUP", "call_id": call, "reason": "changed my mind"}));
    b.expect(json!({"type": "HANGUP"}));
    b.dial("nobody@elsewhere.test");
    b.expect_busy("nobody@elsewhere.test", "no_such_address");
    ([a, b], talk)
}

#[test]
fn why_a_call_failed_is_found_by_address_time_and_cause() {
    let folder = Scratch::new();
    let file = folder.path().join("calls.db");
    let rig = Rig::with(&[("call_records", file.to_str().expect("text"))]);
    let (_phones, talk) = three_calls(&rig);
    let all = eventually("they are kept", || Some(found(rig.admin(), "")).filter(|all| all.len() == 3));
    let talked = found(rig.admin(), &format!("call_id={talk}"));
    assert_eq!(talked.len(), 1);
    let one = &talked[0];
    assert_eq!((&one["from"], &one["to"], &one["ended_by"]), (&json!(A), &json!(B), &json!("callee")));
    assert_eq!((&one["messages_to_callee"], &one["bytes_to_callee"]), (&json!(1), &json!(6)));
    assert!(one["ring_us"].is_u64() && one["answer_us"].is_u64() && one["talk_us"].is_u64(), "{one}");
    let ended = |record: &Value| record["ended_at"].as_u64().expect("a time");
    let last = all.iter().map(ended).max().expect("there are some");
    for (query, count) in [
        ("failed=true", 2),
        ("address=bob%40records.test", 3),
        ("from=bob%40records.test", 1),
        ("to=bob%40records.test", 2),
        ("domain=elsewhere.test", 1),
        ("cause=no_such_address", 1),
        ("cause=no_such_cause", 0),
        ("cause=normal", 1),
        ("cause=changed+my%20mind", 1),
        (&format!("since_ms={}", last + 1), 0),
        (&format!("until_ms={}", last + 1), 3),
        (
            &format!("since_ms={}&until_ms={last}&limit=100", last - 600_000),
            all.iter().filter(|one| ended(one) < last).count(),
        ),
    ] {
        assert_eq!(found(rig.admin(), query).len(), count, "{query}");
    }
    for query in ["since_ms=yesterday", "failed=perhaps", "after=1", "cause=a&cause=b"] {
        assert_eq!(get(rig.admin(), &format!("/api/v1/records?{query}")).status, 400, "{query}");
    }
}

#[test]
fn many_records_come_in_pages_each_once() {
    const RECORDS: usize = 230;
    let folder = Scratch::new();
    let file = folder.path().join("calls.db");
    fill(&file, RECORDS, 1_795_219_200_000);
    let days = [("call_records", file.to_str().expect("text")), ("call_records_days", "36500")];
    let rig = Rig::with(&days);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(rig.admin(), &format!("/api/v1/records?cause=timeout{cursor}")).json();
        let records = page["records"].as_array().expect("a list");
        assert!(records.len() <= 100);
        seen.extend(records.iter().map(|record| record["call_id"].as_str().expect("text").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), RECORDS);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), RECORDS, "each came once");
}

#[test]
fn who_may_not_see_calls_may_not_see_records_and_where_none_are_kept_it_is_said() {
    let rig = Rig::with(&[("admin_token", TOKEN)]);
    assert_eq!(get(rig.admin(), "/api/v1/records").status, 401);
    let bearer = format!("Bearer {TOKEN}");
    let answer = request(rig.admin(), "GET", "/api/v1/records", &[("Authorization", &bearer)], "");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("no_records")));
    assert!(answer.body.contains("SYSTEMX_CALL_RECORDS"), "{}", answer.body);
}

/// The exchange goes on, and so do its other views.
#[test]
fn a_file_that_is_gone_or_damaged_is_told_and_hurts_nothing_else() {
    let folder = Scratch::new();
    let file = folder.path().join("calls.db");
    let rig = Rig::with(&[("call_records", file.to_str().expect("text"))]);
    eventually("it is made", || (get(rig.admin(), "/api/v1/records").status == 200).then_some(()));
    // With the log beside it, SQLite would have all of it all the same.
    let log = folder.path().join("calls.db-wal");
    let _ = std::fs::remove_file(log);
    std::fs::write(folder.path().join("other"), "x".repeat(8192)).expect("the folder can be written");
    std::fs::rename(folder.path().join("other"), &file).expect("it can be replaced");
    let answer = get(rig.admin(), "/api/v1/records");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("records_unreadable")));
    std::fs::remove_file(&file).expect("it can be removed");
    // The keeper makes a new one after a while; until then there is nothing to be read.
    let answer = get(rig.admin(), "/api/v1/records");
    assert!([200, 503].contains(&answer.status), "{}", answer.body);
    assert_eq!(get(rig.admin(), "/api/v1/overview").status, 200);
}
