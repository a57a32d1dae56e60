//! How long records stay: what is too old or too much is deleted in small steps, and the file is cut by what that frees.
//!
//! A step takes some milliseconds, so that records that wait are never kept waiting by old ones. Deleting alone never makes a
//! file smaller; free pages are moved to its end and cut off a few at a time.

use rusqlite::{Connection, params};

use super::trouble::Trouble;

/// Rows deleted in one step.
const ROWS_PER_STEP: u32 = 500;
/// Pages cut off in one step.
const PAGES_PER_STEP: u32 = 256;
/// Free pages that are left for what comes next, unless the file is too large; 1 MiB.
const FREE_PAGES_KEPT: u64 = 256;

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
    /// Rows deleted.
    pub(super) deleted: usize,
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
        let (pages, free) = (number("page_count")?, number("freelist_count")?);
        let is_too_large = pages * number("page_size")? > self.bytes_max;
        if free > FREE_PAGES_KEPT || (is_too_large && free > 0) {
            cut(connection)?;
            return Ok(Step { deleted: 0, is_unfinished: true });
        }
        let deleted = if is_too_large {
            delete_oldest(connection)?
        } else {
            delete_before(connection, now_ms.saturating_sub(self.days.saturating_mul(MS_PER_DAY)))?
        };
        Ok(Step { deleted, is_unfinished: deleted > 0 })
    }
}

fn delete_oldest(connection: &Connection) -> rusqlite::Result<usize> {
    let delete = "DELETE FROM calls WHERE id IN (SELECT id FROM calls ORDER BY id LIMIT ?1)";
    connection.prepare(delete)?.execute([ROWS_PER_STEP])
}

fn delete_before(connection: &Connection, ended_ms: u64) -> rusqlite::Result<usize> {
    let ended_ms = i64::try_from(ended_ms).unwrap_or(i64::MAX);
    let oldest: Option<i64> =
        connection.prepare("SELECT min(ended_at) FROM calls")?.query_row([], |row| row.get(0))?;
    // Deleting takes the lock on the file even if there is nothing to delete.
    if oldest.is_none_or(|oldest| oldest >= ended_ms) {
        return Ok(0);
    }
    let delete = "DELETE FROM calls WHERE id IN \
        (SELECT id FROM calls WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)";
    connection.prepare(delete)?.execute(params![ended_ms, ROWS_PER_STEP])
}

/// Cuts free pages off. Each of them is a row of the statement's answer, so the answer is read to its end.
fn cut(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})"))?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
