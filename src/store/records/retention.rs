//! How long records stay: what is too old or too much is deleted in small steps, and the file is cut by what that frees.
//!
//! A step takes some milliseconds, so that records that wait are never kept waiting by old ones. Deleting alone never makes a
//! file smaller; free pages are moved to its end and cut off a few at a time.

use rusqlite::{Connection, ToSql, params};

use super::trouble::Trouble;

/// Blocks deleted in one step: 4 MiB of records at most.
const BLOCKS_PER_STEP: u32 = 64;
/// Pages cut off in one step.
const PAGES_PER_STEP: u32 = 256;
/// Free pages that are left for what comes next, unless the file is too large; 1 MiB.
const FREE_PAGES_KEPT: u64 = 128;

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// How long records stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// In days.
    pub days: u64,
    /// As long as the file has no more than so many bytes.
    pub bytes_max: u64,
}

/// What a step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Records deleted.
    pub(super) deleted: u64,
    /// Whether there may be more to do.
    pub(super) is_unfinished: bool,
}

impl Retention {
    /// Does a little of what is to be done.
    pub(super) fn step(self, connection: &Connection, now_ms: u64) -> Result<Step, Trouble> {
        self.try_step(connection, now_ms).map_err(|error| Trouble::of(&error))
    }

    fn try_step(self, connection: &Connection, now_ms: u64) -> rusqlite::Result<Step> {
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
        let (pages, free, page_size) =
            (number("page_count")?, number("freelist_count")?, number("page_size")?);
        let is_too_large = pages * page_size > self.bytes_max;
        if free > FREE_PAGES_KEPT || (is_too_large && free > 0) {
            cut(connection)?;
            // A file that somebody has rewritten without room for that never gets smaller; what is too old goes all the same.
            if number("freelist_count")? < free {
                return Ok(Step { deleted: 0, is_unfinished: true });
            }
        }
        let excess = ((pages - free) * page_size).saturating_sub(self.bytes_max);
        let deleted = if excess > 0 {
            delete_oldest(connection, excess)?
        } else {
            delete_before(connection, now_ms.saturating_sub(self.days.saturating_mul(MS_PER_DAY)))?
        };
        Ok(Step { deleted, is_unfinished: deleted > 0 })
    }
}

/// As many as take so many bytes.
fn delete_oldest(connection: &Connection, bytes: u64) -> rusqlite::Result<u64> {
    let those = "SELECT id FROM (\
        SELECT id, sum(octet_length(lines)) OVER (ORDER BY id) - octet_length(lines) AS before FROM blocks ORDER BY id LIMIT ?2\
        ) WHERE before < ?1";
    delete(connection, those, params![bytes, BLOCKS_PER_STEP])
}

fn delete_before(connection: &Connection, ended_ms: u64) -> rusqlite::Result<u64> {
    let ended_ms = i64::try_from(ended_ms).unwrap_or(i64::MAX);
    let oldest: Option<i64> =
        connection.prepare("SELECT min(last_ended_at) FROM blocks")?.query_row([], |row| row.get(0))?;
    // Deleting takes the lock on the file even if there is nothing to delete.
    if oldest.is_none_or(|oldest| oldest >= ended_ms) {
        return Ok(0);
    }
    let those = "SELECT id FROM blocks WHERE last_ended_at < ?1 ORDER BY last_ended_at LIMIT ?2";
    delete(connection, those, params![ended_ms, BLOCKS_PER_STEP])
}

/// Deletes the blocks that `those` selects; how many records they held.
fn delete(connection: &Connection, those: &str, values: &[&dyn ToSql]) -> rusqlite::Result<u64> {
    let mut statement =
        connection.prepare(&format!("DELETE FROM blocks WHERE id IN ({those}) RETURNING records"))?;
    let records = statement.query_map(values, |row| row.get::<_, u64>(0))?;
    records.sum()
}

/// Cuts free pages off. Each of them is a row of the statement's answer, so the answer is read to its end.
fn cut(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})"))?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
