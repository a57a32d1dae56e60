//! What the file looks like inside: its versions, how one becomes the next, and how a record becomes a row.
//!
//! The version is SQLite's `user_version`; a migration is never changed once it has shipped, only followed by another. The
//! number in `application_id` tells our files from those of other programs. Columns have the names of the JSON fields,
//! with `_address` where SQL has a word of its own, so that anybody with `sqlite3` can ask.

use rusqlite::{Connection, Statement, params};

use super::super::record::CallRecord;

/// "SysX" in ASCII: what makes a file one of ours.
pub(super) const APPLICATION_ID: i32 = 0x5379_7358;

/// How a file of the version before becomes one of the next; the first makes an empty file one of version 1.
///
/// Rows are numbered in the order in which they were kept, so the smallest `id` is the oldest row. Addresses and ids of calls
/// are indexed block by block of 4096 rows ([`BLOCK_SHIFT`]): in an index of all rows each record would change pages all over
/// the file, which took five times the processor time at 300,000 calls, and more with each further one. Whoever looks for an
/// address looks into each block; ten million calls have 2,441.
const MIGRATIONS: [&str; 1] = ["
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
"];

/// A row's `id` shifted by this is its block.
pub(super) const BLOCK_SHIFT: u32 = 12;

/// The version that this program writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// The version of a file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file to our version; whatever is interrupted begins again from where it was.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    migrate_by(connection, &MIGRATIONS)
}

fn migrate_by(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    for (before, migration) in migrations.iter().enumerate().skip(version(connection)?) {
        let change = connection.transaction()?;
        change.execute_batch(migration)?;
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.pragma_update(None, "user_version", before + 1)?;
        change.commit()?;
    }
    Ok(())
}

const INSERT: &str = "INSERT INTO calls (call_id, from_address, to_address, mode, started_at, answered_at, ended_at, \
    end_reason, ended_by, dialect, node, ring_us, answer_us, talk_us, messages_to_callee, messages_to_caller, \
    bytes_to_callee, bytes_to_caller, forwarded, link) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";

/// What rows are added with; prepared once for each batch.
pub(super) fn insertion(connection: &Connection) -> rusqlite::Result<Statement<'_>> {
    connection.prepare(INSERT)
}

/// Adds a row.
pub(super) fn insert(statement: &mut Statement<'_>, record: &CallRecord, node: &str) -> rusqlite::Result<()> {
    statement.execute(params![
        record.call_id.as_str(),
        &*record.from,
        &*record.to,
        record.mode.word(),
        signed(record.started_at_ms),
        record.answered_at_ms.map(signed),
        signed(record.ended_at_ms),
        record.end_reason.as_str(),
        record.ended_by.word(),
        record.dialect.word(),
        node,
        record.ring_us.map(signed),
        record.answer_us.map(signed),
        record.talk_us.map(signed),
        signed(record.to_callee.messages),
        signed(record.to_caller.messages),
        signed(record.to_callee.bytes),
        signed(record.to_caller.bytes),
        record.forwarded.map(|way| way.word()),
        record.link.as_deref(),
    ])?;
    Ok(())
}

/// SQLite has no integers beyond this.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_the_next_version_and_keeps_what_it_holds() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), VERSION);
        let record = super::super::super::record::tests::record(3);
        insert(&mut insertion(&connection).unwrap(), &record, "node.test").unwrap();

        let next = ["broken; never run again", "ALTER TABLE calls ADD COLUMN colour TEXT"];
        assert_eq!(VERSION, 1, "the list above has one migration for each earlier version");
        migrate_by(&mut connection, &next).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
        let kept: (i64, Option<String>) = connection
            .query_row("SELECT messages_to_callee, colour FROM calls", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(kept, (3, None));
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
