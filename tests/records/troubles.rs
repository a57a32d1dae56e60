//! What may happen to the file: no space, nothing that can be written, a lock, damage, age and size. Calls never notice, the log
//! says it once, and it heals without a restart.

use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::*;
use crate::support::records::fill;

/// Whether the file has the record of this call.
fn has(file: &Path, call: &str) -> bool {
    ask(file, &["--format", "json", "--call", call]).lines().count() == 1
}

/// How often the log has a line with these words.
fn times(exchange: &Process, words: &str) -> usize {
    exchange.log.all().iter().filter(|line| line.contains(words)).count()
}

/// A real limit on the size of files stands for a disk that is full; lifting it, for one that has space again.
#[test]
fn a_full_disk_never_touches_a_call_and_heals_without_a_restart() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let records = text(&file).to_owned();
    // Signal 25 would end the process; a disk that is full sends none. 400 blocks of 512 bytes: the empty file fits.
    let script = "trap '' 25; ulimit -S -f 400; exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_systemx");
    let home = Scratch::new();
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        script,
        "sh",
        program,
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--dial-max-attempts",
        "0",
    ]);
    command.args(["--call-records", &records]).current_dir(home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let exchange = Process::run(command, home);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    let mut calls = Vec::new();
    eventually("the file meets its limit", || {
        calls.push(brief_call(&mut a, &mut b));
        (times(&exchange, "call records cannot be kept") > 0).then_some(())
    });
    (0..200).for_each(|_| calls.push(brief_call(&mut a, &mut b)));
    assert_eq!(times(&exchange, "call records cannot be kept"), 1, "{:?}", exchange.log.all());
    let line = exchange.log.wait_for("call records cannot be kept");
    assert!(line.starts_with("[WARN]") && line.contains("\"advice\":"), "{line}");

    let pid = Pid::from_raw(i32::try_from(exchange.id()).expect("small")).expect("it runs");
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: None, maximum: None })
        .expect("the limit is lifted");
    exchange.log.wait_for("call records are kept again");
    eventually("none is missing", || (all(&file).len() == calls.len()).then_some(()));
    let kept = by_call(all(&file));
    assert!(calls.iter().all(|call| kept.contains_key(call)));
}

/// Root may write everything but what is no file system for it.
#[test]
fn a_folder_that_takes_no_files_leaves_the_exchange_up_and_its_calls_alone() {
    let mut exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", "/proc/sys/calls.db")]);
    let line = exchange.log.wait_for("call records cannot be kept");
    assert!(line.contains("/proc/sys/calls.db"), "{line}");
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    brief_call(&mut a, &mut b);
    drop((a, b));
    exchange.signal(Signal::TERM);
    assert_eq!(exchange.wait().code(), Some(0));
    exchange.log.wait_for("call records lost");
    assert_eq!(times(&exchange, "call records cannot be kept; calls go on"), 1);
}

#[test]
fn a_file_that_makes_way_for_a_folder_is_begun_anew_when_that_is_gone() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let rig = Rig::with(&[("call_records", text(&file))]);
    let (mut a, mut b) = (rig.registered(A), rig.registered(B));
    let first = brief_call(&mut a, &mut b);
    eventually("it is kept", || (file.exists() && all(&file).len() == 1).then_some(()));
    let moved = folder.path().join("moved.db");
    for suffix in ["-wal", "-shm", ""] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", text(path)));
        std::fs::rename(name(&file), name(&moved)).expect("it is renamed");
    }
    std::fs::create_dir(&file).expect("a folder in its place");
    let second = eventually("the exchange notices", || {
        let call = brief_call(&mut a, &mut b);
        rig.sinks().file.expect("it is on").trouble.map(|_| call)
    });
    std::fs::remove_dir(&file).expect("it is empty");
    eventually("it is kept in a new file", || (file.is_file() && has(&file, &second)).then_some(()));
    assert_eq!(rig.sinks().file.expect("it is on").trouble, None);
    assert!(has(&moved, &first), "the old one is whole");
}

#[test]
fn damage_to_the_file_costs_what_is_in_it_and_nothing_that_follows() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", text(&file))]);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    let lost = brief_call(&mut a, &mut b);
    eventually("it is kept", || (file.exists() && all(&file).len() == 1).then_some(()));
    let len = std::fs::metadata(&file).expect("it is there").len();
    std::fs::write(&file, vec![0x5a; usize::try_from(len).expect("small")]).expect("it is overwritten");
    let line = exchange.log.wait_for("the file was damaged");
    assert!(line.starts_with("[ERROR]") && line.contains("calls.db.corrupt-20"), "{line}");
    let next = brief_call(&mut a, &mut b);
    eventually("the next call is in the new file", || has(&file, &next).then_some(()));
    assert!(!has(&file, &lost));
    let names = std::fs::read_dir(folder.path()).expect("readable");
    let names: Vec<_> = names.map(|entry| entry.expect("readable").file_name()).collect();
    assert!(names.iter().any(|name| name.to_string_lossy().contains(".corrupt-")), "{names:?}");
}

#[test]
fn damage_is_found_at_the_start_and_a_file_of_others_stops_it() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    fill(&file, 3_000, 1_795_219_200_000);
    let mut bytes = std::fs::read(&file).expect("readable");
    bytes[8192..].fill(0x5a);
    std::fs::write(&file, &bytes).expect("writable");
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", text(&file))]);
    exchange.log.wait_for("the file was damaged");
    let call = brief_call(&mut exchange.registered(A), &mut exchange.registered(B));
    eventually("a new one is begun", || has(&file, &call).then_some(()));

    let strange = folder.path().join("strange.db");
    Connection::open(&strange)
        .and_then(|other| other.execute_batch("CREATE TABLE t (x)"))
        .expect("it is made");
    let missing = folder.path().join("missing/calls.db");
    for (path, words) in [(&strange, "is not a file of call records"), (&missing, "there is no folder")] {
        let flags = ["--port", "0", "--host", "127.0.0.1", "--call-records", text(path)];
        let output = systemx(&flags, folder.path()).output().expect("the program can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{path:?}");
        assert!(said.contains("SYSTEMX_CALL_RECORDS") && said.contains(words), "{said}");
        let checked = systemx(&["check-config", "--call-records", text(path)], folder.path());
        let output = { checked }.output().expect("the program can be run");
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
}

/// A file without a good first page may be anybody's: it is left alone, and calls go on without records until it is moved.
#[test]
fn a_file_that_nobody_can_read_neither_stops_the_start_nor_is_touched() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    std::fs::write(&file, "no database").expect("writable");
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", text(&file))]);
    exchange.log.wait_for("call records cannot be kept");
    let call = brief_call(&mut exchange.registered(A), &mut exchange.registered(B));
    let away = folder.path().join("away");
    assert_eq!(std::fs::read_to_string(&file).expect("readable"), "no database");
    std::fs::rename(&file, &away).expect("it can be moved");
    exchange.log.wait_for("call records are kept again");
    eventually("the call is kept", || has(&file, &call).then_some(()));
    assert_eq!(std::fs::read_to_string(&away).expect("readable"), "no database");
}

#[test]
fn a_file_that_is_moved_away_takes_all_its_records_along() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", text(&file))]);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    let before = brief_call(&mut a, &mut b);
    eventually("it is kept", || (file.exists() && has(&file, &before)).then_some(()));
    let away = folder.path().join("away.db");
    std::fs::rename(&file, &away).expect("it can be moved");
    exchange.log.wait_for("it is opened anew");
    let after = brief_call(&mut a, &mut b);
    eventually("a new one is begun", || (file.exists() && has(&file, &after)).then_some(()));
    assert!(has(&away, &before) && !has(&file, &before), "each record is where it was written");
}

#[test]
fn a_lock_of_another_program_is_waited_for() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", text(&file))]);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    brief_call(&mut a, &mut b);
    eventually("it is kept", || (file.exists() && all(&file).len() == 1).then_some(()));
    let other = Connection::open(&file).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    let calls: Vec<String> = (0..20).map(|_| brief_call(&mut a, &mut b)).collect();
    let line = exchange.log.wait_for("call records cannot be kept");
    assert!(line.contains("another program has locked it"), "{line}");
    assert_eq!(all(&file).len(), 1, "reading goes on");
    other.execute_batch("COMMIT").expect("it unlocks");
    exchange.log.wait_for("call records are kept again");
    let kept = by_call(all(&file));
    assert!(calls.iter().all(|call| kept.contains_key(call)), "{kept:#?}");
}

#[test]
fn what_is_older_than_it_may_be_goes_and_the_file_shrinks_to_its_limit() {
    let folder = Scratch::new();
    let (old, large) = (folder.path().join("old.db"), folder.path().join("large.db"));
    fill(&old, 5_000, 1_000_000_000_000);
    fill(&large, 20_000, 1_795_219_200_000);
    let size = |path: &Path| std::fs::metadata(path).expect("it is there").len();
    let before = size(&large);
    assert!(before > 3 << 20, "{before} bytes");
    let rig = Rig::with(&[("call_records", text(&old)), ("call_records_days", "1")]);
    eventually("what is old is gone", || all(&old).is_empty().then_some(()));
    eventually("it is counted", || (rig.sinks().file?.deleted == 5_000).then_some(()));
    drop(rig);
    let limit = 2 << 20;
    let (days, bytes) = ("36500", limit.to_string());
    let settings =
        [("call_records", text(&large)), ("call_records_days", days), ("call_records_max_bytes", &*bytes)];
    let rig = Rig::with(&settings);
    let kept = eventually("it is small enough", || {
        let state = rig.sinks().file?;
        let pages: u64 =
            Connection::open(&large).ok()?.pragma_query_value(None, "page_count", |row| row.get(0)).ok()?;
        (pages * 4096 <= limit && state.deleted > 0).then_some(20_000 - state.deleted)
    });
    rig.stop();
    assert!(size(&large) <= limit, "{} bytes of {before} on the disk", size(&large));
    assert!(all(&large).len() as u64 <= kept && all(&large).len() > 1_000, "the rest stays");
}

/// Beyond its limit on the size of files the system would end a process that does not expect it.
#[test]
fn a_limit_on_the_size_of_files_ends_records_and_no_call() {
    let folder = Scratch::new();
    let file = file_in(&folder);
    let exchange = Process::start_with(&[], &[("SYSTEMX_CALL_RECORDS", text(&file))]);
    let (mut a, mut b) = (exchange.registered(A), exchange.registered(B));
    let limit = Rlimit { current: Some(96 << 10), maximum: None };
    let pid = Pid::from_raw(exchange.id().cast_signed());
    prlimit(pid, Resource::Fsize, limit).expect("the limit of a child can be set");
    eventually("the limit is reached", || {
        for _ in 0..50 {
            brief_call(&mut a, &mut b);
        }
        (times(&exchange, "call records cannot be kept") > 0).then_some(())
    });
    brief_call(&mut a, &mut b);
    prlimit(pid, Resource::Fsize, Rlimit { current: None, maximum: None }).expect("and lifted");
    exchange.log.wait_for("call records are kept again");
}
