//! The keeper without its thread, stepped by hand: what it does about locks, damage, files that go away, age and size.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::super::super::record::tests::record;
use super::super::super::testing::Scratch;
use super::super::pad::Pad;
use super::*;
use crate::store::CallRecord;

const GENEROUS: Retention = Retention { days: 1, bytes_max: 1 << 30 };
const DAY_MS: u64 = 86_400_000;

struct Bench {
    keeper: Keeper,
    pads: Arc<Pads>,
    pad: Arc<Pad>,
    shared: Arc<Shared>,
}

impl Bench {
    fn new(path: &Path, retention: Retention) -> Self {
        let settings =
            Settings { path: path.to_owned(), node: "n".into(), retention, clock_unix_ms: || 2 * DAY_MS };
        let (pads, shared) = (Arc::new(Pads::default()), Arc::new(Shared::default()));
        let keeper = Keeper::new(settings, Arc::clone(&pads), Arc::clone(&shared));
        Self { keeper, pad: pads.add(), pads, shared }
    }

    fn put(&self, ended_at_ms: u64) {
        self.pad.write(&CallRecord { ended_at_ms, ..record(1) });
    }

    /// Lets so much time pass that everything is due, and does what there is to do.
    fn work(&mut self) {
        self.keeper.pause = 0;
        self.keeper.tick = 0;
        while self.keeper.turn() {}
    }

    fn keeps(&mut self) -> u64 {
        self.work();
        assert_eq!(self.shared.trouble(), None);
        rows(&self.keeper.path)
    }

    fn trouble(&mut self) -> Option<Trouble> {
        self.work();
        self.shared.trouble()
    }
}

fn rows(path: &Path) -> u64 {
    let connection = Connection::open(path).expect("it opens");
    connection.query_row("SELECT count(*) FROM calls", [], |row| row.get(0)).expect("it is sound")
}

fn asides(scratch: &Scratch) -> Vec<String> {
    let names = fs::read_dir(scratch.path()).expect("readable");
    let names = names.map(|entry| entry.expect("readable").file_name().into_string().expect("text"));
    let mut names: Vec<_> = names.filter(|name| name.contains(".corrupt-")).collect();
    names.sort();
    names
}

#[test]
fn the_file_and_what_belongs_to_it_are_for_their_owner_alone() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1);
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", scratch.records().display());
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[test]
fn each_transaction_is_flushed_to_the_disk() {
    let scratch = Scratch::new();
    let file = File::open(&scratch.records()).expect("it opens");
    let word = |pragma| {
        file.connection().pragma_query_value(None, pragma, |row| row.get::<_, rusqlite::types::Value>(0))
    };
    assert_eq!(word("journal_mode"), Ok("wal".to_owned().into()));
    assert_eq!(word("synchronous"), Ok(2.into()), "FULL: the log is flushed at each commit");
    assert_eq!(word("auto_vacuum"), Ok(2.into()), "INCREMENTAL");
}

#[test]
fn a_lock_of_somebody_else_is_waited_for_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    bench.work();
    let other = Connection::open(scratch.records()).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    assert_eq!(bench.trouble(), None, "nothing is to be kept");
    bench.put(2 * DAY_MS);
    assert_eq!(bench.trouble(), Some(Trouble::Locked));
    assert_eq!(bench.shared.batched.load(Ordering::Relaxed), 1);
    bench.put(2 * DAY_MS);
    assert_eq!(bench.trouble(), Some(Trouble::Locked));
    other.execute_batch("COMMIT").expect("it unlocks");
    assert_eq!(bench.keeps(), 2);
    assert_eq!((bench.pads.lost(), bench.shared.failures.load(Ordering::Relaxed)), (0, 2));
}

#[test]
fn pauses_grow_to_a_limit_and_shrink_when_it_is_over() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.path().join("calls.db"), GENEROUS);
    fs::create_dir(scratch.records()).expect("a folder in the file's place");
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(bench.trouble(), Some(Trouble::Unopenable));
        pauses.push(bench.keeper.pause);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16, 16]);
    fs::remove_dir(scratch.records()).expect("it is empty");
    assert_eq!(bench.keeps(), 0);
    assert_eq!((bench.keeper.pause, bench.keeper.next_pause), (0, PAUSE_TICKS_MIN));
}

#[test]
fn a_file_that_is_damaged_when_it_is_opened_is_set_aside_and_another_begun() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    (0..2_000).for_each(|_| bench.put(2 * DAY_MS));
    assert_eq!(bench.keeps(), 2_000);
    drop(bench);
    // All but the first page, so that it is still a file of ours.
    let mut bytes = fs::read(scratch.records()).expect("readable");
    bytes[8192..].fill(0x5a);
    fs::write(scratch.records(), bytes).expect("writable");

    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    super::super::check(&scratch.records()).expect("that is no reason not to start");
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1);
    assert_eq!(bench.shared.set_aside.load(Ordering::Relaxed), 1);
    assert_eq!(asides(&scratch)[0], "calls.db.corrupt-19700103T000000000Z");
}

#[test]
fn a_file_that_is_overwritten_while_it_is_open_is_set_aside_with_its_log() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1);
    let len = fs::metadata(scratch.records()).expect("it is there").len();
    fs::write(scratch.records(), vec![0x5a; usize::try_from(len).expect("small")]).expect("writable");
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1, "the record after it is in the new file");
    let asides = asides(&scratch);
    assert_eq!(asides[0], "calls.db.corrupt-19700103T000000000Z");
    assert!(asides.iter().any(|name| name.ends_with("-wal")), "{asides:?}");
}

#[test]
fn a_file_that_is_gone_is_begun_anew() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{}{suffix}", scratch.records().display())).expect("it is there");
    }
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1);
    assert_eq!(bench.shared.set_aside.load(Ordering::Relaxed), 0);
}

#[test]
fn a_database_of_others_in_the_files_place_is_not_touched() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    Connection::open(scratch.records()).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    bench.put(2 * DAY_MS);
    assert_eq!(bench.trouble(), Some(Trouble::Stranger));
    fs::remove_file(scratch.records()).expect("it is there");
    assert_eq!(bench.keeps(), 1);
    assert_eq!(asides(&scratch), [""; 0]);
}

#[test]
fn a_table_that_somebody_has_dropped_makes_the_file_a_damaged_one() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    bench.work();
    Connection::open(scratch.records()).unwrap().execute_batch("DROP TABLE blocks").unwrap();
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1);
    assert!(!asides(&scratch).is_empty());
}

#[test]
fn what_is_too_old_is_deleted_and_the_file_gets_smaller() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    // The clock says two days; one is kept.
    (0..20_000).for_each(|_| bench.put(DAY_MS - 1));
    bench.keeper.take();
    (0..10).for_each(|_| bench.put(DAY_MS));
    bench.keeper.take();
    assert!(bench.keeper.keep().is_ok() && rows(&scratch.records()) > 10, "they are kept first");
    let before = pages(&scratch.records());
    assert_eq!(bench.keeps(), 10);
    assert_eq!(bench.shared.deleted.load(Ordering::Relaxed), 20_000);
    let after = pages(&scratch.records());
    assert!(after < before.max(1_000), "{before} pages became {after}");
    assert!(after < 300, "{after} pages for ten rows and what is kept free");
}

fn pages(path: &Path) -> u64 {
    let connection = Connection::open(path).expect("it opens");
    connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("it is sound")
}

#[test]
fn a_file_that_is_too_large_loses_its_oldest_records() {
    let scratch = Scratch::new();
    let bytes_max = 1 << 20;
    let mut bench = Bench::new(&scratch.records(), Retention { days: 1, bytes_max });
    for number in 0..30_000 {
        bench.put(2 * DAY_MS - 30_000 + number);
    }
    let kept = bench.keeps();
    let deleted = bench.shared.deleted.load(Ordering::Relaxed);
    assert_eq!(kept + deleted, 30_000);
    assert!(kept > 1_000 && deleted > 10_000, "{kept} kept, {deleted} deleted");
    let connection = Connection::open(scratch.records()).expect("it opens");
    let oldest: u64 = connection.query_row("SELECT min(ended_at) FROM calls", [], |row| row.get(0)).unwrap();
    assert_eq!(oldest, 2 * DAY_MS - kept, "the newest stay");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let len = fs::metadata(scratch.records()).expect("it is there").len();
    assert!(len <= bytes_max, "{len} bytes on the disk");
}

/// Overwrites the page of the index of ends that has the oldest, and no other.
fn damage_oldest_end(keeper: &mut Keeper) {
    const PAGE: usize = 8192;
    let file = keeper.file.take().expect("it is open");
    file.gather().expect("all is in the file");
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'blocks_by_last'";
    let root: usize = file.connection().query_row(root, [], |row| row.get(0)).expect("there is an index");
    drop(file);
    let mut bytes = fs::read(&keeper.path).expect("readable");
    let root = &bytes[(root - 1) * PAGE..root * PAGE];
    assert_eq!(root[0], 2, "it has pages below it");
    let cell = usize::from(u16::from_be_bytes([root[12], root[13]]));
    let leaf = u32::from_be_bytes(root[cell..cell + 4].try_into().expect("four bytes")) as usize;
    bytes[(leaf - 1) * PAGE..leaf * PAGE].fill(0x5a);
    fs::write(&keeper.path, bytes).expect("writable");
}

#[test]
fn damage_that_only_tidying_up_meets_has_the_file_set_aside_and_keeps_no_record_waiting() {
    const HOURS: u64 = 60 * 60 * 1000;
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), Retention { days: 10_000, bytes_max: 1 << 30 });
    for number in 0..1_500 {
        // Too far apart for one block.
        bench.put(number * 2 * HOURS);
        bench.keeper.take();
    }
    assert_eq!(bench.keeps(), 1_500);
    damage_oldest_end(&mut bench.keeper);
    bench.put(4_000 * HOURS);
    bench.work();
    assert_eq!(bench.shared.kept.load(Ordering::Relaxed), 1_501, "into the file that is damaged");
    bench.put(4_000 * HOURS);
    assert_eq!(bench.keeps(), 1, "into a new one");
    assert_eq!((bench.shared.set_aside.load(Ordering::Relaxed), bench.keeper.pause), (1, 0));
}

#[test]
fn a_file_that_cannot_get_smaller_keeps_nobody_busy_and_loses_what_is_old() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    (0..40_000).for_each(|_| bench.put(DAY_MS - 1));
    bench.keeper.take();
    bench.keeper.keep().expect("they are kept");
    let file = bench.keeper.file.as_ref().expect("it is open");
    file.connection().execute_batch("PRAGMA auto_vacuum = 0; VACUUM").expect("it can be rewritten");
    assert_eq!(bench.keeps(), 0, "what is too old goes, and it comes to an end");
}

/// A file of two records that is moved while somebody reads it, with a third on its way; the reader, and where the file is.
fn moved_under_a_reader(bench: &mut Bench, scratch: &Scratch) -> (Connection, PathBuf) {
    bench.put(2 * DAY_MS);
    assert_eq!(bench.keeps(), 1);
    let reader = Connection::open(scratch.records()).expect("it opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM blocks").expect("it reads");
    bench.put(2 * DAY_MS);
    bench.work();
    let moved = scratch.path().join("moved.db");
    fs::rename(scratch.records(), &moved).expect("it can be moved");
    bench.put(2 * DAY_MS);
    (reader, moved)
}

#[test]
fn a_file_that_is_moved_while_somebody_reads_it_gets_its_records_when_the_reader_is_done() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    let (reader, moved) = moved_under_a_reader(&mut bench, &scratch);
    assert_eq!(bench.trouble(), Some(Trouble::Locked));
    drop(reader);
    assert_eq!(bench.keeps(), 1, "what waited is in the new file");
    assert_eq!(rows(&moved), 2, "and all before in the old one");
}

#[test]
fn whoever_reads_a_file_that_is_gone_for_ever_keeps_nothing_waiting_and_the_log_is_saved() {
    let scratch = Scratch::new();
    let mut bench = Bench::new(&scratch.records(), GENEROUS);
    let (reader, moved) = moved_under_a_reader(&mut bench, &scratch);
    (0..LOOKS_GONE_MAX).for_each(|_| assert_eq!(bench.trouble(), Some(Trouble::Locked)));
    assert_eq!(bench.keeps(), 1);
    drop(reader);
    let left = scratch.path().join("calls.db.left-19700103T000000000Z-wal");
    fs::rename(left, scratch.path().join("moved.db-wal")).expect("the log was saved");
    assert_eq!(rows(&moved), 2, "beside its file it says the rest");
    assert_eq!(rows(&scratch.records()), 1);
}

#[test]
fn a_lock_at_the_stop_is_waited_for_as_long_as_there_is_time() {
    let scratch = Scratch::new();
    for (limit, kept, lost) in [(Duration::from_millis(1), 0, 1), (Duration::from_secs(20), 1, 0)] {
        let mut bench = Bench::new(&scratch.records(), GENEROUS);
        bench.work();
        let other = Connection::open(scratch.records()).expect("it opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("it locks");
        bench.put(2 * DAY_MS);
        bench.pads.stop(limit);
        let Bench { keeper, pads, shared, .. } = bench;
        std::thread::scope(|scope| {
            let stopping = scope.spawn(move || keeper.run());
            if lost == 0 {
                super::super::super::testing::eventually(|| shared.failures.load(Ordering::Relaxed) > 0);
                other.execute_batch("COMMIT").expect("it unlocks");
            }
            stopping.join().expect("it ends");
        });
        assert_eq!((shared.kept.load(Ordering::Relaxed), pads.lost(), pads.waiting()), (kept, lost, 0));
        assert_eq!(shared.batched.load(Ordering::Relaxed), 0);
    }
}
