//! What the file looks like inside: its versions, how one becomes the next, and how a record becomes a row.
//!
//! The version is SQLite's `user_version`; a migration is never changed once it has shipped, only followed by another. The
//! number in `application_id` tells our files from those of other programs. The view `calls` shows each record as a row with
//! the names of the JSON fields, so that anybody with `sqlite3` can ask.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::pad::{Sheet, Span};
use super::row;

/// "SysX" in ASCII: what makes a file one of ours.
pub(super) const APPLICATION_ID: i32 = 0x5379_7358;

/// How a file of the version before becomes one of the next; the first makes an empty file one of version 1.
///
/// Version 1 had a row of 21 columns for each call, and five indexes: 5 us of processor time a record, a quarter of what a call takes
/// without records. Version 2 has blocks of records, as the shards have written them down (`row.rs`), and an index of times: a
/// text is looked for in all blocks of the time that is asked for, at some GB/s, of which a file has one by default.
const MIGRATIONS: [&str; 2] = ["
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    from_address TEXT NOT NULL,
    to_address TEXT NOT NULL,
    mode TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    answered_at INTEGER,
    ended_at INTEGER NOT NULL,
    end_reason TEXT NOT NULL,
    ended_by TEXT NOT NULL,
    dialect TEXT NOT NULL,
    node TEXT NOT NULL,
    ring_us INTEGER,
    answer_us INTEGER,
    talk_us INTEGER,
    messages_to_callee INTEGER NOT NULL,
    messages_to_caller INTEGER NOT NULL,
    bytes_to_callee INTEGER NOT NULL,
    bytes_to_caller INTEGER NOT NULL,
    forwarded TEXT,
    link TEXT
);
CREATE INDEX calls_by_time ON calls (ended_at);
CREATE INDEX calls_by_caller ON calls (id >> 12, from_address);
CREATE INDEX calls_by_callee ON calls (id >> 12, to_address);
CREATE INDEX calls_by_reason ON calls (end_reason, ended_at);
CREATE INDEX calls_by_id ON calls (id >> 12, call_id);
", "
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    first_ended_at INTEGER NOT NULL,
    last_ended_at INTEGER NOT NULL,
    records INTEGER NOT NULL,
    node TEXT NOT NULL,
    lines TEXT NOT NULL
);
INSERT INTO blocks (first_ended_at, last_ended_at, records, node, lines)
    SELECT min(ended_at), max(ended_at), count(*), node, '[' || group_concat(json_array(
        call_id, from_address, to_address, mode, started_at, answered_at, ended_at, end_reason, ended_by, dialect,
        ring_us, answer_us, talk_us, messages_to_callee, messages_to_caller, bytes_to_callee, bytes_to_caller,
        forwarded, link), ',' || char(10)) || ']'
    FROM calls GROUP BY id >> 9, node;
DROP TABLE calls;
CREATE INDEX blocks_by_first ON blocks (first_ended_at, last_ended_at);
CREATE INDEX blocks_by_last ON blocks (last_ended_at, first_ended_at);
CREATE VIEW calls AS SELECT
    value ->> 0 AS call_id,
    value ->> 1 AS from_address,
    value ->> 2 AS to_address,
    value ->> 3 AS mode,
    value ->> 4 AS started_at,
    value ->> 5 AS answered_at,
    value ->> 6 AS ended_at,
    value ->> 7 AS end_reason,
    value ->> 8 AS ended_by,
    value ->> 9 AS dialect,
    value ->> 10 AS ring_us,
    value ->> 11 AS answer_us,
    value ->> 12 AS talk_us,
    value ->> 13 AS messages_to_callee,
    value ->> 14 AS messages_to_caller,
    value ->> 15 AS bytes_to_callee,
    value ->> 16 AS bytes_to_caller,
    value ->> 17 AS forwarded,
    value ->> 18 AS link,
    node,
    first_ended_at AS block_first_ended_at,
    last_ended_at AS block_last_ended_at
FROM blocks, json_each(CASE WHEN json_valid(blocks.lines) THEN blocks.lines ELSE '[]' END);
"];

/// A block that has so many bytes gets no more records: some 300. Small enough to be cut from a file that is too large one by
/// one, and large enough that what SQLite does for each costs nothing a record.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
/// Nor does one whose first call ended so long before, in milliseconds: a block goes as a whole when its last call is too old.
const BLOCK_SPAN_MS: u64 = 60 * 60 * 1000;

/// The version that this program writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// The version of a file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file to our version, or leaves it as it was: nobody ever sees one in between.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    migrate_by(connection, &MIGRATIONS)
}

fn migrate_by(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let before = version(connection)?;
    if before >= migrations.len() {
        return Ok(());
    }
    let change = connection.transaction()?;
    migrations[before..].iter().try_for_each(|migration| change.execute_batch(migration))?;
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", migrations.len())?;
    change.commit()
}

const INSERT: &str =
    "INSERT INTO blocks (first_ended_at, last_ended_at, records, node, lines) VALUES (?1, ?2, ?3, ?4, ?5)";
const LAST: &str = "SELECT id, first_ended_at, last_ended_at, records, octet_length(lines), node = ?1 FROM blocks \
    ORDER BY id DESC LIMIT 1";
const TAKE: &str = "DELETE FROM blocks WHERE id = ?1 RETURNING lines";

/// What sheets are written with; prepared once for each batch.
pub(super) struct Insertion<'c> {
    insert: Statement<'c>,
    last: Statement<'c>,
    take: Statement<'c>,
}

impl<'c> Insertion<'c> {
    /// For a transaction on `connection`.
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |text| connection.prepare(text);
        Ok(Self { insert: prepare(INSERT)?, last: prepare(LAST)?, take: prepare(TAKE)? })
    }

    /// Adds the records of a sheet.
    pub(super) fn add(&mut self, sheet: &Sheet, node: &str) -> rusqlite::Result<()> {
        for (lines, mut span) in sheet.parts() {
            let mut text = row::block(lines);
            // Else a quiet exchange would have a block for each call. Like joins like, so a record is moved once for each time that
            // its block becomes twice as large.
            while let Some((before, of_before)) = self.lesser(&text, span, node)? {
                let Some(joined) = row::joined(&before, &text) else { break };
                (text, span) = (joined, span.with(of_before));
            }
            let [first, last] = [span.first_ended_ms, span.last_ended_ms].map(row::bounded);
            let lines = ToSqlOutput::Borrowed(ValueRef::Text(&text));
            self.insert.execute(params![first, last, span.records, node, lines])?;
        }
        Ok(())
    }

    /// Takes the last block out of the file, if it has no more records than this one and both may be one.
    fn lesser(&mut self, text: &[u8], span: Span, node: &str) -> rusqlite::Result<Option<(Vec<u8>, Span)>> {
        if text.len() >= BLOCK_BYTES {
            return Ok(None);
        }
        let read = |row: &Row<'_>| {
            let span = Span { first_ended_ms: row.get(1)?, last_ended_ms: row.get(2)?, records: row.get(3)? };
            Ok((row.get::<_, u64>(0)?, span, row.get::<_, usize>(4)?, row.get::<_, bool>(5)?))
        };
        let Some((id, before, bytes, is_of_node)) = self.last.query_row([node], read).optional()? else {
            return Ok(None);
        };
        let both = before.with(span);
        let is_lesser = is_of_node
            && before.records <= span.records
            && bytes + text.len() <= BLOCK_BYTES
            && both.last_ended_ms - both.first_ended_ms <= BLOCK_SPAN_MS;
        if !is_lesser {
            return Ok(None);
        }
        let lines = self.take.query_row([id], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))?;
        Ok(Some((lines, before)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::tests::record;
    use super::super::super::record::{CallRecord, Volume};
    use super::*;

    #[test]
    fn a_file_becomes_the_next_version_and_keeps_what_it_holds() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), VERSION);
        let mut sheet = Sheet::default();
        sheet.add(&record(3));
        Insertion::new(&connection).unwrap().add(&sheet, "node.test").unwrap();

        let broken = "broken; never run again";
        let next = [broken, broken, "ALTER TABLE blocks ADD COLUMN colour TEXT"];
        assert_eq!(VERSION, 2, "the list above has one migration for each earlier version");
        migrate_by(&mut connection, &next).unwrap();
        assert_eq!(version(&connection).unwrap(), 3);
        let kept: (i64, Option<String>) = connection
            .query_row("SELECT messages_to_callee, colour FROM calls, blocks", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(kept, (3, None));
    }

    fn blocks(connection: &Connection) -> Vec<(u64, u64, u64, String)> {
        let mut blocks = connection
            .prepare("SELECT first_ended_at, last_ended_at, records, lines FROM blocks ORDER BY id")
            .unwrap();
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        blocks.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn keep(connection: &Connection, ends: impl Iterator<Item = u64>, node: &str) {
        for ended_at_ms in ends {
            let mut sheet = Sheet::default();
            sheet.add(&CallRecord { ended_at_ms, ..record(ended_at_ms) });
            Insertion::new(connection).unwrap().add(&sheet, node).unwrap();
        }
    }

    #[test]
    fn records_that_come_one_by_one_share_blocks_and_none_is_lost() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        keep(&connection, 0..2_000, "node.test");
        let blocks = blocks(&connection);
        let counts: Vec<u64> = blocks.iter().map(|(_, _, records, _)| *records).collect();
        assert_eq!(counts.iter().sum::<u64>(), 2_000);
        assert!(counts.len() < 20, "{counts:?}");
        let mut expected = 0;
        for (first, last, records, text) in &blocks {
            assert!(text.len() <= BLOCK_BYTES);
            assert_eq!((*first, *last + 1 - *first), (expected, *records), "in the order in which they came");
            let rows: Vec<_> =
                row::lines(text.as_bytes()).map(|line| row::decode(line, "n").unwrap().ended_at).collect();
            assert_eq!(rows, (*first..=*last).collect::<Vec<_>>());
            expected = last + 1;
        }
    }

    #[test]
    fn blocks_of_two_hours_or_of_two_names_of_the_exchange_stay_apart() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        keep(&connection, [0, BLOCK_SPAN_MS, BLOCK_SPAN_MS + 1].into_iter(), "node.test");
        keep(&connection, [BLOCK_SPAN_MS + 2].into_iter(), "other.test");
        let bounds: Vec<_> =
            blocks(&connection).iter().map(|(first, last, records, _)| (*first, *last, *records)).collect();
        let hour = BLOCK_SPAN_MS;
        assert_eq!(bounds, [(0, hour, 2), (hour + 1, hour + 1, 1), (hour + 2, hour + 2, 1)]);
    }

    #[test]
    fn the_rows_of_version_1_become_blocks_that_can_be_asked_for_the_same() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_by(&mut connection, &MIGRATIONS[..1]).unwrap();
        let old = "INSERT INTO calls (call_id, from_address, to_address, mode, started_at, answered_at, ended_at, \
            end_reason, ended_by, dialect, node, ring_us, answer_us, talk_us, messages_to_callee, messages_to_caller, \
            bytes_to_callee, bytes_to_caller, forwarded, link) VALUES ('c-' || ?1, 'a@test', 'b@test', 'single', 1000, \
            2000, 3000 + ?1, 'no \"such\"' || char(10) || 'address', 'caller', 'systemx', 'node.test', 1, 2, 3, 4, 5, 6, 7, NULL, 'l')";
        (0..1_500).for_each(|number| assert_eq!(connection.execute(old, [number]), Ok(1)));
        migrate(&mut connection).unwrap();
        let record = CallRecord {
            call_id: "c-7".into(),
            ended_at_ms: 3_007,
            end_reason: "no \"such\"\naddress".into(),
            ring_us: Some(1),
            answer_us: Some(2),
            talk_us: Some(3),
            to_callee: Volume { messages: 4, bytes: 6 },
            to_caller: Volume { messages: 5, bytes: 7 },
            link: Some("l".into()),
            ..record(0)
        };
        let mut expected = Vec::new();
        row::encode(&record, &mut expected);
        let blocks = blocks(&connection);
        let bounds: Vec<_> =
            blocks.iter().map(|(first, last, records, _)| (*first, *last, *records)).collect();
        // Rows were numbered from 1 on.
        assert_eq!(bounds, [(3_000, 3_510, 511), (3_511, 4_022, 512), (4_023, 4_499, 477)]);
        let lines: Vec<&[u8]> = row::lines(blocks[0].3.as_bytes()).collect();
        assert_eq!(
            (lines.len(), String::from_utf8_lossy(lines[7])),
            (511, String::from_utf8_lossy(&expected))
        );
        let shown: u64 = connection
            .query_row("SELECT count(*) FROM calls WHERE node = 'node.test'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(shown, 1_500);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = ["CREATE TABLE half (a); CREATE TABLE half (a)"];
        migrate_by(&mut connection, &broken).unwrap_err();
        assert_eq!(version(&connection).unwrap(), 0);
        let tables: u32 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0, "nothing of it stays");
    }
}
