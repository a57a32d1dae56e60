//! Each filter alone and some together, orders and limits, and sums checked by hand.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;

use super::super::super::record::tests::{record, refused};
use super::super::super::record::{CallRecord, encode_line};
use super::super::super::testing::Scratch;
use super::super::file::File;
use super::super::pad::Sheet;
use super::*;

/// Four calls: two of alice's that were answered, one that was refused, one that timed out.
fn records() -> Vec<CallRecord> {
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
    vec![
        call("c-1", "alice@x.test", "bob@y.test", 1_000, 100),
        call("c-2", "bob@y.test", "alice@x.test", 2_000, 300),
        refused,
        timed_out,
    ]
}

fn sheet<'r>(records: impl IntoIterator<Item = &'r CallRecord>) -> Sheet {
    let mut sheet = Sheet::default();
    records.into_iter().for_each(|record| sheet.add(record));
    sheet
}

fn write(file: &mut File, sheets: &[Sheet]) {
    file.write(sheets.iter(), "node.test").expect("it is written");
}

fn archive(path: &Path) -> Archive {
    write(&mut File::open(path).expect("it opens"), &[sheet(&records())]);
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
    let other = CallRecord { from: "other@x.test".into(), ..record(0) };
    for count in [1, 500, 900] {
        write(&mut file, &[sheet(std::iter::repeat_n(&other, count)), sheet(&records())]);
    }
    let archive = Archive::open(&scratch.records()).expect("it opens");
    let bob = Filter { address: Some("bob@y.test".to_owned()), ..Filter::default() };
    let ask = || ids(&archive, &bob, Order::OldestFirst, None);
    assert_eq!(ask(), "1 1 1 2 2 2 4 4 4");
    assert_eq!(archive.summary(&bob).expect("it is sound").calls, 9);
    let half = "DELETE FROM blocks WHERE id < (SELECT max(id) FROM blocks)";
    file.connection().execute(half, []).expect("writable");
    assert_eq!(ask(), "1 2 4");
    file.connection().execute("DELETE FROM blocks", []).expect("writable");
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
    assert_eq!(summary.talk, Spans { count: 2, mean_us: 1e6, p50_us: 1_000_447, p95_us: 1_000_447 });

    let alone = Filter { reason: Some("timeout".to_owned()), ..Filter::default() };
    let summary = archive.summary(&alone).expect("it is sound");
    assert_eq!((summary.calls, summary.answered, summary.talk), (1, 0, Spans::default()));
}

#[test]
fn a_file_that_cannot_be_asked_is_told_with_what_to_do() {
    let scratch = Scratch::new();
    let path = scratch.records();
    let error = |path: &Path| Archive::open(path).expect_err("it cannot be asked").to_string();
    assert!(error(&path).contains("--file"), "{}", error(&path));
    std::fs::write(&path, "hello, this is no database").expect("writable");
    assert!(error(&path).ends_with("is not a file of call records"), "{}", error(&path));
    std::fs::write(&path, "").expect("writable");
    assert!(error(&path).contains("has not written to it yet"), "{}", error(&path));
    std::fs::remove_file(&path).expect("it is there");
    drop(archive(&path));
    let connection = Connection::open(&path).expect("it opens");
    connection.pragma_update(None, "user_version", 99).expect("writable");
    assert!(error(&path).contains("version 99"), "{}", error(&path));
}

#[test]
fn records_of_blocks_that_overlap_come_in_the_order_of_their_ends() {
    let scratch = Scratch::new();
    let at = |ended_at_ms: u64| CallRecord {
        call_id: format!("c-{ended_at_ms}").into(),
        ended_at_ms,
        ..record(0)
    };
    let times: [&[u64]; 5] = [&[1, 5, 9], &[2, 3], &[4, 20], &[8, 6, 7], &[30, 10]];
    let sheets = times.map(|times| sheet(&times.iter().map(|&ended| at(ended)).collect::<Vec<_>>()));
    write(&mut File::open(&scratch.records()).expect("it opens"), &sheets);
    let archive = Archive::open(&scratch.records()).expect("it opens");
    let ask = |filter: &Filter, order, limit| ids(&archive, filter, order, limit);
    let all = Filter::default();
    assert_eq!(ask(&all, Order::OldestFirst, None), "1 2 3 4 5 6 7 8 9 10 20 30");
    assert_eq!(ask(&all, Order::NewestFirst, None), "30 20 10 9 8 7 6 5 4 3 2 1");
    assert_eq!(ask(&all, Order::NewestFirst, Some(4)), "30 20 10 9");
    let some = Filter { since_ms: Some(4), until_ms: Some(10), ..Filter::default() };
    assert_eq!(ask(&some, Order::OldestFirst, None), "4 5 6 7 8 9");
    assert_eq!(ask(&some, Order::NewestFirst, Some(2)), "9 8");
}

#[test]
fn whoever_asks_with_sql_sees_each_record_as_a_row_with_the_same_values() {
    let scratch = Scratch::new();
    let archive = archive(&scratch.records());
    let mut statement =
        archive.connection.prepare("SELECT * FROM calls ORDER BY ended_at, call_id").expect("right");
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([]).expect("it runs");
    let mut shown = Vec::new();
    while let Some(row) = rows.next().expect("it is sound") {
        let value = |at| match row.get_ref(at).expect("it is there") {
            ValueRef::Null => serde_json::Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            other => panic!("{other:?}"),
        };
        shown.push(
            names.iter().enumerate().map(|(at, name)| (name.clone(), value(at))).collect::<BTreeMap<_, _>>(),
        );
    }
    let mut kept = Vec::new();
    let each = |record: Kept| {
        kept.push(serde_json::to_value(&record).expect("it encodes"));
        true
    };
    archive.each(&Filter::default(), Order::OldestFirst, None, each).expect("it is sound");
    assert_eq!(shown.len(), kept.len());
    for (shown, kept) in shown.iter().zip(&kept) {
        for (name, value) in
            kept.as_object().expect("an object").iter().filter(|(name, _)| *name != "messages")
        {
            let column =
                if ["from", "to"].contains(&&**name) { format!("{name}_address") } else { name.clone() };
            assert_eq!(&shown[&column], value, "{name}");
        }
    }
}

#[test]
fn a_question_for_a_time_reads_the_blocks_of_that_time_alone() {
    let scratch = Scratch::new();
    let archive = archive(&scratch.records());
    for (order, index) in [(Order::NewestFirst, "blocks_by_last"), (Order::OldestFirst, "blocks_by_first")] {
        let plan = format!("EXPLAIN QUERY PLAN {}", scan::question(order));
        let mut statement = archive.connection.prepare(&plan).expect("it is right");
        let steps = statement.query_map([1, 2], |row| row.get::<_, String>(3)).expect("it runs");
        let steps: Vec<String> = steps.map(|step| step.expect("text")).collect();
        assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "nothing is sorted: {steps:?}");
    }
}

#[test]
fn a_damaged_line_is_counted_and_hides_no_other_from_questions_and_from_sql() {
    let scratch = Scratch::new();
    let archive = archive(&scratch.records());
    let mut file = File::open(&scratch.records()).expect("it opens");
    write(&mut file, &[sheet(&[CallRecord { call_id: "c-9".into(), ended_at_ms: 5_000_000, ..record(0) }])]);
    let damage = "UPDATE blocks SET lines = replace(lines, '\"c-2\",', '\"c-2;,')";
    file.connection().execute(damage, []).expect("writable");
    assert_eq!(ids(&archive, &Filter::default(), Order::NewestFirst, None), "9 4 3 1");
    let mut count = 0;
    let each = |_| {
        count += 1;
        true
    };
    assert_eq!(archive.each(&Filter::default(), Order::OldestFirst, None, each).expect("readable"), 1);
    let summary = archive.summary(&Filter::default()).expect("readable");
    assert_eq!((count, summary.calls, summary.unreadable), (4, 4, 1));
    let shown: u64 =
        file.connection().query_row("SELECT count(*) FROM calls", [], |row| row.get(0)).expect("it runs");
    assert_eq!(shown, 1, "SQL leaves out the whole block");
}

#[test]
fn a_question_for_few_records_holds_no_more_of_them_however_blocks_overlap() {
    let scratch = Scratch::new();
    let at = |ended_at_ms: u64| CallRecord {
        call_id: format!("c-{ended_at_ms}").into(),
        ended_at_ms,
        ..record(0)
    };
    let sheets: Vec<Sheet> =
        (0..7).map(|part| sheet(&(0..700).map(|n| at(n * 7 + part)).collect::<Vec<_>>())).collect();
    write(&mut File::open(&scratch.records()).expect("it opens"), &sheets);
    let archive = Archive::open(&scratch.records()).expect("it opens");
    let newest: Vec<String> = (4_890..4_900).rev().map(|at| at.to_string()).collect();
    assert_eq!(ids(&archive, &Filter::default(), Order::NewestFirst, Some(10)), newest.join(" "));
    let oldest: Vec<String> = (0..10).map(|at| at.to_string()).collect();
    assert_eq!(ids(&archive, &Filter::default(), Order::OldestFirst, Some(10)), oldest.join(" "));
}
