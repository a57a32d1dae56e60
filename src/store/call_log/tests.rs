//! The file's exact lines, and that trouble with queue or file is counted and survived.

use super::super::encode_line;
use super::super::testing::{PATIENCE, Scratch, eventually};
use super::*;
use std::fs;

/// What the exchange is called.
const NODE: &str = "node.test";

fn record(messages: u64) -> Arc<CallRecord> {
    Arc::new(super::super::record::tests::record(messages))
}

fn line(record: &CallRecord) -> String {
    let mut out = Vec::new();
    encode_line(record, NODE, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn lines(range: std::ops::Range<u64>) -> String {
    range.map(|messages| line(&record(messages))).collect()
}

/// A writer without its thread, and the sending side of its queue.
fn writer(path: &Path, queue_len: usize) -> (Writer, CallLogHandle) {
    let state = Arc::new(State::default());
    let (sender, queue) = mpsc::sync_channel(queue_len);
    let writer = Writer::open(path.to_owned(), NODE.into(), queue, Arc::clone(&state)).expect("it opens");
    (writer, CallLogHandle { sender, state })
}

fn counts(written: u64, lost: u64, failures: u64) -> CallLogCounts {
    CallLogCounts { written, lost, failures, is_failing: false }
}

#[test]
fn records_reach_the_file_in_order_and_a_stop_writes_the_rest() {
    let scratch = Scratch::new();
    fs::write(scratch.log(), "earlier\n").expect("the file is written");
    let log = CallLog::start(&scratch.log(), NODE).expect("it starts");
    let handle = log.handle();
    handle.record(record(0));
    eventually(|| handle.counts().written == 1);
    for messages in 1..5_000 {
        handle.record(record(messages));
    }
    assert_eq!(log.stop(PATIENCE), counts(5_000, 0, 0));
    let expected = format!("earlier\n{}", lines(0..5_000));
    assert_eq!(fs::read_to_string(scratch.log()).expect("readable"), expected);
    handle.record(record(0));
    assert_eq!(handle.counts().lost, 1, "a record after the stop is counted");
}

#[test]
fn what_the_queue_cannot_hold_is_counted() {
    let scratch = Scratch::new();
    let (mut writer, handle) = writer(&scratch.log(), 2);
    for messages in 0..5 {
        handle.record(record(messages));
    }
    assert_eq!(handle.counts(), counts(0, 3, 0));
    writer.write_queued();
    assert_eq!(handle.counts(), counts(2, 3, 0));
    assert_eq!(fs::read_to_string(scratch.log()).expect("readable"), lines(0..2));
}

#[test]
fn a_path_that_cannot_be_opened_is_a_clear_error() {
    let scratch = Scratch::new();
    for path in [scratch.path().to_owned(), scratch.path().join("missing/calls.jsonl")] {
        let error = CallLog::start(&path, NODE).expect_err("it cannot be opened");
        assert!(matches!(&error, CallLogError::Open { path: named, .. } if *named == path));
        assert!(error.to_string().contains(&path.display().to_string()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_survived_counted_and_does_not_delay_the_stop() {
    let log = CallLog::start(Path::new("/dev/full"), NODE).expect("it starts");
    let handle = log.handle();
    handle.record(record(0));
    handle.record(record(1));
    eventually(|| handle.counts().failures > 1);
    assert_eq!((handle.counts().written, handle.counts().lost), (0, 0), "kept for the next attempt");
    assert_eq!(log.stop(PATIENCE).lost, 2);
}

#[cfg(target_os = "linux")]
#[test]
fn writing_goes_on_where_it_stopped_once_the_disk_has_space() {
    let scratch = Scratch::new();
    std::os::unix::fs::symlink("/dev/full", scratch.log()).expect("a link");
    let (mut writer, handle) = writer(&scratch.log(), 8);
    handle.record(record(0));
    writer.write_queued();
    writer.write_queued();
    handle.record(record(1));
    assert_eq!(handle.counts(), CallLogCounts { is_failing: true, ..counts(0, 0, 2) });
    fs::remove_file(scratch.log()).expect("the link goes");
    writer.follow_rotation();
    writer.write_queued();
    assert_eq!(handle.counts(), counts(2, 0, 2));
    assert_eq!(fs::read_to_string(scratch.log()).expect("readable"), lines(0..2));
}

#[test]
fn a_rotated_or_removed_file_is_made_anew() {
    let scratch = Scratch::new();
    let (mut writer, handle) = writer(&scratch.log(), 8);
    let rotated = scratch.path().join("calls.1");
    handle.record(record(0));
    writer.write_queued();
    fs::rename(scratch.log(), &rotated).expect("it is renamed");
    handle.record(record(1));
    writer.write_queued();
    writer.follow_rotation();
    handle.record(record(2));
    writer.write_queued();
    assert_eq!(fs::read_to_string(&rotated).expect("readable"), lines(0..2));
    assert_eq!(fs::read_to_string(scratch.log()).expect("readable"), lines(2..3));

    fs::remove_file(scratch.log()).expect("it is removed");
    writer.follow_rotation();
    handle.record(record(3));
    writer.write_queued();
    assert_eq!(fs::read_to_string(scratch.log()).expect("readable"), lines(3..4));
    assert_eq!(handle.counts(), counts(4, 0, 0));
}

#[test]
fn the_running_log_follows_a_rotation() {
    let scratch = Scratch::new();
    let log = CallLog::start(&scratch.log(), NODE).expect("it starts");
    fs::rename(scratch.log(), scratch.path().join("calls.1")).expect("it is renamed");
    eventually(|| scratch.log().exists());
    log.stop(PATIENCE);
}

/// A named pipe at the log's path and its reading end.
#[cfg(target_os = "linux")]
fn pipe(scratch: &Scratch) -> fs::File {
    use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
    mkfifoat(CWD, scratch.log(), Mode::RUSR | Mode::WUSR).expect("a pipe");
    open(scratch.log(), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("it opens").into()
}

/// What the pipe holds now.
#[cfg(target_os = "linux")]
fn drain(reader: &mut fs::File) -> String {
    let mut out = Vec::new();
    // Ends in "would block", since the writer keeps its end open; what came before is in `out`.
    let _ = std::io::Read::read_to_end(reader, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_that_takes_half_a_line_gets_the_other_half_later() {
    let scratch = Scratch::new();
    let mut reader = pipe(&scratch);
    let (mut writer, handle) = writer(&scratch.log(), 2_000);
    (0..2_000).for_each(|messages| handle.record(record(messages)));
    let mut read = String::new();
    while handle.counts().written < 2_000 {
        writer.write_queued();
        read += &drain(&mut reader);
    }
    assert_eq!(read, lines(0..2_000));
    assert!(handle.counts().failures > 0, "the pipe was full at least once");
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_cut_by_a_rotation_is_lost_as_a_whole() {
    let scratch = Scratch::new();
    let mut reader = pipe(&scratch);
    let (mut writer, handle) = writer(&scratch.log(), 2_000);
    (0..2_000).for_each(|messages| handle.record(record(messages)));
    writer.write_queued();
    let old = drain(&mut reader);
    assert!(!old.ends_with('\n'), "the pipe holds half a line");
    fs::remove_file(scratch.log()).expect("the pipe goes");
    writer.follow_rotation();
    writer.write_queued();
    let written_to_pipe = old.matches('\n').count() as u64;
    let new = fs::read_to_string(scratch.log()).expect("readable");
    assert_eq!(new, lines(written_to_pipe + 1..2_000));
    assert_eq!(handle.counts(), counts(1_999, 1, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_without_a_reader_is_a_start_error() {
    let scratch = Scratch::new();
    drop(pipe(&scratch));
    assert!(matches!(CallLog::start(&scratch.log(), NODE), Err(CallLogError::Open { .. })));
}
