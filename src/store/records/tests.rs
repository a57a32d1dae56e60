//! Which paths stop the start, and that a running keeper keeps what it was given until its end.

use std::fs;

use rusqlite::Connection;

use super::super::testing::{PATIENCE, Scratch, eventually};
use super::*;

fn settings(path: &Path) -> Settings {
    Settings {
        path: path.to_owned(),
        node: "node.test".into(),
        retention: Retention { days: 1, bytes_max: 1 << 30 },
        clock_unix_ms: || 3_000,
    }
}

fn verdict(path: &Path) -> Verdict {
    match check(path) {
        Err(error @ RecordsError::Verdict { .. }) => {
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            let RecordsError::Verdict { verdict, .. } = error else { unreachable!("just matched") };
            verdict
        }
        other => panic!("{} is refused, not {other:?}", path.display()),
    }
}

#[test]
fn a_path_that_can_never_be_a_file_of_records_is_an_error_at_the_start() {
    let scratch = Scratch::new();
    let missing = scratch.path().join("missing");
    assert_eq!(verdict(&missing.join("calls.db")), Verdict::NoFolder(missing));
    assert_eq!(verdict(scratch.path()), Verdict::NoFile);
    let text = scratch.path().join("notes.txt");
    fs::write(&text, "hello").unwrap();
    assert_eq!(verdict(&text), Verdict::Unreadable);
    fs::write(&text, [b"SQLite format 3\0".as_slice(), &[7; 4096]].concat()).unwrap();
    assert_eq!(verdict(&text), Verdict::Unreadable, "damaged, and not marked as ours");
    let other = scratch.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert_eq!(verdict(&other), Verdict::Stranger);
    assert_eq!(fs::read(&text).unwrap().len(), 4112, "nobody's file is touched");
}

#[test]
fn a_file_of_a_newer_version_is_an_error_at_the_start() {
    let scratch = Scratch::new();
    CallRecords::start(settings(&scratch.records())).unwrap().stop(PATIENCE);
    let connection = Connection::open(scratch.records()).unwrap();
    connection.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    drop(connection);
    assert_eq!(verdict(&scratch.records()), Verdict::Newer);
}

#[test]
fn what_was_handed_over_before_a_stop_is_in_the_file_after_it() {
    let scratch = Scratch::new();
    fs::write(scratch.records(), "").unwrap();
    let records = CallRecords::start(settings(&scratch.records())).expect("an empty file becomes ours");
    let handle = records.handle();
    let record = super::super::record::tests::record;
    handle.record(&record(0));
    eventually(|| handle.state().kept == 1);
    (1..10_000).for_each(|messages| handle.record(&record(messages)));
    let state = records.stop(PATIENCE);
    assert_eq!((state.kept, state.lost, state.waiting, state.trouble), (10_000, 0, 0, None));
    let mut messages = Vec::new();
    let archive = query::Archive::open(&scratch.records()).unwrap();
    archive
        .each(&query::Filter::default(), query::Order::OldestFirst, None, |kept| {
            messages.push(kept.messages);
            true
        })
        .unwrap();
    assert_eq!(messages, (0..10_000).collect::<Vec<u64>>());
}
