//! Each filter alone and some together, orders and limits, and sums checked by hand.

use std::path::Path;
use std::sync::Arc;

use super::super::super::record::tests::{record, refused};
use super::super::super::record::{CallRecord, encode_line};
use super::super::super::testing::Scratch;
use super::super::file::File;
use super::*;

/// Four calls: two of alice's that were answered, one that was refused, one that timed out.
fn records() -> Vec<Arc<CallRecord>> {
    let call = |id: &str, from: &str, to: &str, ended_at_ms, ring_us| CallRecord {
        call_id: id.into(),
        from: from.into(),
        to: to.into(),
        ended_at_ms,
        ring_us: Some(ring_us),
        ..record(2)
    };
    let timed_out = CallRecord {
        end_reason: "timeout".into(),
        answered_at_ms: None,
        answer_us: None,
        talk_us: None,
        ..call("c-4", "bob@y.test", "carol@z.test", 4_000, 900)
    };
    let refused = CallRecord { call_id: "c-3".into(), ended_at_ms: 3_000, ..refused() };
    let records = [
        call("c-1", "alice@x.test", "bob@y.test", 1_000, 100),
        call("c-2", "bob@y.test", "alice@x.test", 2_000, 300),
        refused,
        timed_out,
    ];
    records.into_iter().map(Arc::new).collect()
}

fn archive(path: &Path) -> Archive {
    File::open(path).expect("it opens").write(&records(), "node.test").expect("it is written");
    Archive::open(path).expect("it opens")
}

fn ids(archive: &Archive, filter: &Filter, order: Order, limit: Option<u64>) -> String {
    let mut ids = Vec::new();
    let each = |kept: Kept| {
        ids.push(kept.call_id.trim_start_matches("c-").to_owned());
        true
    };
    archive.each(filter, order, limit, each).expect("it is sound");
    ids.join(" ")
}

#[test]
fn each_filter_lets_through_what_it_names() {
    let scratch = Scratch::new();
    let archive = archive(&scratch.records());
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    for (filter, expected) in [
        (none(), "4 3 2 1"),
        (Filter { address: text("alice@x.test"), ..none() }, "2 1"),
        (Filter { from: text("alice@x.test"), ..none() }, "1"),
        (Filter { to: text("alice@x.test"), ..none() }, "2"),
        (Filter { from: text("bob@y.test"), to: text("carol@z.test"), ..none() }, "4"),
        (Filter { domain: text("y.test"), ..none() }, "4 2 1"),
        (Filter { domain: text("est"), ..none() }, ""),
        (Filter { since_ms: Some(2_000), ..none() }, "4 3 2"),
        (Filter { until_ms: Some(2_000), ..none() }, "1"),
        (Filter { since_ms: Some(2_000), until_ms: Some(u64::MAX), ..none() }, "4 3 2"),
        (Filter { reason: text("timeout"), ..none() }, "4"),
        (Filter { failed: true, ..none() }, "4 3"),
        (Filter { failed: true, address: text("bob@y.test"), ..none() }, "4"),
        (Filter { call_id: text("c-3"), ..none() }, "3"),
        (Filter { address: text("' OR TRUE --"), ..none() }, ""),
    ] {
        assert_eq!(ids(&archive, &filter, Order::NewestFirst, None), expected, "{filter:?}");
    }
    assert_eq!(ids(&archive, &none(), Order::OldestFirst, Some(3)), "1 2 3");
    assert_eq!(ids(&archive, &none(), Order::NewestFirst, Some(0)), "");
}

#[test]
fn an_address_is_found_in_every_block_also_when_the_first_are_gone() {
    let scratch = Scratch::new();
    let mut file = File::open(&scratch.records()).expect("it opens");
    let other = Arc::new(CallRecord { from: "other@x.test".into(), ..record(0) });
    for count in [1, 5_000, 9_000] {
        file.write(&vec![Arc::clone(&other); count], "n").expect("it is written");
        file.write(&records(), "n").expect("it is written");
    }
    let archive = Archive::open(&scratch.records()).expect("it opens");
    let bob = Filter { address: Some("bob@y.test".to_owned()), ..Filter::default() };
    let ask = || ids(&archive, &bob, Order::OldestFirst, None);
    assert_eq!(ask(), "1 1 1 2 2 2 4 4 4");
    assert_eq!(archive.summary(&bob).expect("it is sound").calls, 9);
    file.connection().execute("DELETE FROM calls WHERE id < 9000", []).expect("writable");
    assert_eq!(ask(), "1 2 4");
    file.connection().execute("DELETE FROM calls", []).expect("writable");
    assert_eq!(ask(), "", "there are no blocks");
}

#[test]
fn a_row_is_the_same_json_as_the_line_of_the_call_log() {
    let scratch = Scratch::new();
    let archive = archive(&scratch.records());
    let mut rows = Vec::new();
    let each = |kept: Kept| {
        serde_json::to_writer(&mut rows, &kept).expect("it encodes");
        rows.push(b'\n');
        true
    };
    archive.each(&Filter::default(), Order::OldestFirst, None, each).expect("it is sound");
    let mut lines = Vec::new();
    records().iter().for_each(|record| encode_line(record, "node.test", &mut lines));
    assert_eq!(String::from_utf8_lossy(&rows), String::from_utf8_lossy(&lines));
}

#[test]
fn sums_are_those_of_the_calls_that_fit() {
    let scratch = Scratch::new();
    let archive = archive(&scratch.records());
    let summary = archive.summary(&Filter::default()).expect("it is sound");
    assert_eq!((summary.calls, summary.answered, summary.messages, summary.bytes), (4, 2, 6, 60));
    let reasons = [("normal", 2), ("no \"such\"\naddress", 1), ("timeout", 1)];
    assert_eq!(summary.reasons, reasons.map(|(reason, often)| (reason.to_owned(), often)));
    assert_eq!(summary.other_reasons, 0);
    let ring = Spans { count: 3, mean_us: 1300.0 / 3.0, p50_us: 300, p95_us: 900 };
    assert_eq!(summary.ring, ring);
    assert_eq!(summary.talk, Spans { count: 2, mean_us: 1e6, p50_us: 1_000_000, p95_us: 1_000_000 });

    let alone = Filter { reason: Some("timeout".to_owned()), ..Filter::default() };
    let summary = archive.summary(&alone).expect("it is sound");
    assert_eq!((summary.calls, summary.answered, summary.talk), (1, 0, Spans::default()));
}

#[test]
fn questions_use_the_indexes_and_never_walk_the_table() {
    let scratch = Scratch::new();
    let archive = archive(&scratch.records());
    let text = |text: &str| Some(text.to_owned());
    for filter in [
        Filter { address: text("a"), ..Filter::default() },
        Filter { from: text("a"), since_ms: Some(1), ..Filter::default() },
        Filter { from: text("a"), to: text("b"), reason: text("c"), ..Filter::default() },
        Filter { to: text("a"), ..Filter::default() },
        Filter { reason: text("a"), ..Filter::default() },
        Filter { call_id: text("a"), ..Filter::default() },
        Filter { since_ms: Some(1), failed: true, ..Filter::default() },
    ] {
        let (condition, values) = filter.condition();
        let by = if filter.names_rows() { "+ended_at" } else { "ended_at" };
        let question = format!(
            "EXPLAIN QUERY PLAN {} SELECT * FROM calls WHERE {condition} ORDER BY {by} DESC, id DESC",
            blocks()
        );
        let mut statement = archive.connection.prepare(&question).expect("it is right");
        let steps = statement.query_map(params_from_iter(values.iter()), |row| row.get::<_, String>(3));
        let steps: Vec<String> = steps.expect("it runs").map(|step| step.expect("text")).collect();
        assert!(!steps.iter().any(|step| step.starts_with("SCAN calls")), "{filter:?}: {steps:?}");
    }
}

#[test]
fn a_file_that_cannot_be_asked_is_told_with_what_to_do() {
    let scratch = Scratch::new();
    let path = scratch.records();
    let error = |path: &Path| Archive::open(path).expect_err("it cannot be asked").to_string();
    assert!(error(&path).contains("--file"), "{}", error(&path));
    std::fs::write(&path, "hello, this is no database").expect("writable");
    assert!(error(&path).ends_with("is not a file of call records"), "{}", error(&path));
    std::fs::remove_file(&path).expect("it is there");
    drop(archive(&path));
    let connection = Connection::open(&path).expect("it opens");
    connection.pragma_update(None, "user_version", 99).expect("writable");
    assert!(error(&path).contains("version 99"), "{}", error(&path));
}
