//! Asking the file: by whom, when and why, and sums over all that fits; for `systemx calls`.
//!
//! Reads only, by a connection of its own, also while the exchange writes: SQLite shows each question the file as it was when
//! it began. Rows come one by one, so a question may have any number of answers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};
use serde::Serialize;

use super::schema;
use super::trouble::Trouble;

/// How long a question waits for somebody who has locked the file as a whole.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often, and how long between, a file is looked at that is in the making; half a second in all.
const MAKING_LOOKS: u32 = 50;
const MAKING_PAUSE: Duration = Duration::from_millis(10);
/// Steps of SQLite's machine between two looks at the clock: some tenths of a millisecond.
const STEPS_PER_LOOK: i32 = 10_000;
/// Most reasons that a summary names.
const REASONS_MAX: usize = 20;

/// Which records are asked for; an empty one is for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The address of either side.
    pub address: Option<String>,
    /// The caller's address.
    pub from: Option<String>,
    /// The dialled address.
    pub to: Option<String>,
    /// The domain of either side.
    pub domain: Option<String>,
    /// Ended then or later, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Ended before.
    pub until_ms: Option<u64>,
    /// Ended with this reason.
    pub reason: Option<String>,
    /// Never answered.
    pub failed: bool,
    /// The call's id.
    pub call_id: Option<String>,
}

/// A record as it lies in the file. Its JSON is that of the call log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields of the call log; `record.rs` explains them")]
pub struct Kept {
    pub call_id: String,
    pub from: String,
    pub to: String,
    pub mode: String,
    pub started_at: u64,
    pub answered_at: Option<u64>,
    pub ended_at: u64,
    pub end_reason: String,
    pub ended_by: String,
    pub messages: u64,
    pub dialect: String,
    pub node: String,
    pub ring_us: Option<u64>,
    pub answer_us: Option<u64>,
    pub talk_us: Option<u64>,
    pub messages_to_callee: u64,
    pub messages_to_caller: u64,
    pub bytes_to_callee: u64,
    pub bytes_to_caller: u64,
    pub forwarded: Option<String>,
    pub link: Option<String>,
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last to end first.
    NewestFirst,
    /// The first to end first.
    OldestFirst,
}

/// Sums over the records that a filter lets through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub calls: u64,
    /// Those that were answered.
    pub answered: u64,
    /// The most frequent reasons for which they ended, and how often, most first.
    pub reasons: Vec<(String, u64)>,
    /// The calls that ended for other reasons.
    pub other_reasons: u64,
    /// From the dial to the first ring.
    pub ring: Spans,
    /// From the dial to the answer.
    pub answer: Spans,
    /// From the answer to the end.
    pub talk: Spans,
    /// Messages in both directions.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How long something took, in microseconds, in as many calls as had it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spans {
    /// Calls that had it.
    pub count: u64,
    /// The mean.
    pub mean_us: f64,
    /// Half of them were not longer.
    pub p50_us: u64,
    /// All but one in twenty were not longer.
    pub p95_us: u64,
}

/// Why nothing can be asked.
#[derive(Debug)]
pub enum QueryError {
    /// There is no such file.
    Missing(PathBuf),
    /// The file is none of ours.
    Stranger(PathBuf),
    /// The file is of a version that this program does not know how to read.
    Version(PathBuf, usize),
    /// The file cannot be read.
    Trouble(PathBuf, Trouble),
    /// It took longer than whoever asked wants to wait.
    Late,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "there is no file {}; name the one that the exchange was given as SYSTEMX_CALL_RECORDS with --file",
                path.display()
            ),
            Self::Stranger(path) => write!(f, "{} is not a file of call records", path.display()),
            Self::Version(path, version) if *version > schema::VERSION => write!(
                f,
                "{} is of version {version}, this program knows up to {}; use the systemx that wrote it",
                path.display(),
                schema::VERSION
            ),
            Self::Version(path, 0) => {
                write!(f, "{} is empty: the exchange has not written to it yet", path.display())
            }
            Self::Version(path, version) => write!(
                f,
                "{} is of version {version}, which is too old; start this systemx with it once",
                path.display()
            ),
            Self::Trouble(path, trouble) => {
                write!(f, "{} cannot be read: {trouble}; {}", path.display(), trouble.advice())
            }
            Self::Late => f.write_str("the search took too long; name an address or a call, or less time"),
        }
    }
}

/// The file, open for questions.
#[derive(Debug)]
pub struct Archive {
    connection: Connection,
    path: PathBuf,
}

impl Archive {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// If it is not there, none of ours, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, QueryError> {
        if !path.is_file() {
            return Err(QueryError::Missing(path.to_owned()));
        }
        let trouble = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => QueryError::Stranger(path.to_owned()),
            _ => QueryError::Trouble(path.to_owned(), Trouble::of(&error)),
        };
        let connection = connect(path).map_err(trouble)?;
        let (id, version) = settled_marks(&connection).map_err(trouble)?;
        if id != schema::APPLICATION_ID {
            return Err(QueryError::Stranger(path.to_owned()));
        }
        if version != schema::VERSION {
            return Err(QueryError::Version(path.to_owned(), version));
        }
        Ok(Self { connection, path: path.to_owned() })
    }

    /// From now on a question is given up as [`QueryError::Late`] when `is_late` says so, which is asked every millisecond or so.
    ///
    /// # Errors
    /// If the file cannot be asked in this way.
    pub fn give_up_when(&mut self, is_late: impl FnMut() -> bool + Send + 'static) -> Result<(), QueryError> {
        let set = self.connection.progress_handler(STEPS_PER_LOOK, Some(is_late));
        set.map_err(|error| self.trouble(&error))
    }

    /// Hands up to `limit` records to `each`, until that says that it has had enough.
    ///
    /// # Errors
    /// If the file cannot be read any further.
    pub fn each(
        &self,
        filter: &Filter,
        order: Order,
        limit: Option<u64>,
        mut each: impl FnMut(Kept) -> bool,
    ) -> Result<(), QueryError> {
        let (condition, values) = filter.condition();
        let direction = match order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        // A negative limit is none.
        let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        // What was found by an address is sorted; else the index of times would be walked to the end for the sake of its order.
        let by = if filter.names_rows() { "+ended_at" } else { "ended_at" };
        let question = format!(
            "{} SELECT * FROM calls WHERE {condition} ORDER BY {by} {direction}, id {direction} LIMIT {limit}",
            blocks()
        );
        let mut ask = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare(&question)?;
            let mut rows = statement.query(params_from_iter(values.iter()))?;
            while let Some(row) = rows.next()? {
                if !each(kept(row)?) {
                    return Ok(());
                }
            }
            Ok(())
        };
        ask().map_err(|error| self.trouble(&error))
    }

    /// Sums over all records that fit.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn summary(&self, filter: &Filter) -> Result<Summary, QueryError> {
        self.sum_up(filter).map_err(|error| self.trouble(&error))
    }

    fn sum_up(&self, filter: &Filter) -> rusqlite::Result<Summary> {
        let (condition, values) = filter.condition();
        // All parts speak of the same moment.
        let moment = self.connection.unchecked_transaction()?;
        let blocks = blocks();
        let sums = format!(
            "{blocks} SELECT count(*), count(answered_at), \
             coalesce(sum(messages_to_callee + messages_to_caller), 0), \
             coalesce(sum(bytes_to_callee + bytes_to_caller), 0) FROM calls WHERE {condition}"
        );
        let mut summary = moment.query_row(&sums, params_from_iter(values.iter()), |row| {
            let (calls, answered) = (row.get(0)?, row.get(1)?);
            Ok(Summary { calls, answered, messages: row.get(2)?, bytes: row.get(3)?, ..Summary::default() })
        })?;
        let reasons = format!(
            "{blocks} SELECT end_reason, count(*) AS often FROM calls WHERE {condition} \
             GROUP BY end_reason ORDER BY often DESC, end_reason LIMIT {REASONS_MAX}"
        );
        let mut statement = moment.prepare(&reasons)?;
        let pairs =
            statement.query_map(params_from_iter(values.iter()), |row| Ok((row.get(0)?, row.get(1)?)))?;
        summary.reasons = pairs.collect::<rusqlite::Result<_>>()?;
        summary.other_reasons = summary.calls - summary.reasons.iter().map(|(_, often)| often).sum::<u64>();
        let spans = |column| spans(&moment, column, &condition, &values);
        (summary.ring, summary.answer, summary.talk) =
            (spans("ring_us")?, spans("answer_us")?, spans("talk_us")?);
        Ok(summary)
    }

    fn trouble(&self, error: &rusqlite::Error) -> QueryError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => QueryError::Late,
            _ => QueryError::Trouble(self.path.clone(), Trouble::of(error)),
        }
    }
}

/// The mark and the version of a file that may be in the making: it is empty for a moment, and then has no tables for another.
fn settled_marks(connection: &Connection) -> rusqlite::Result<(i32, usize)> {
    let look = || Ok((application_id(connection)?, schema::version(connection)?));
    for _ in 0..MAKING_LOOKS {
        match look()? {
            (0 | schema::APPLICATION_ID, 0) => std::thread::sleep(MAKING_PAUSE),
            marks => return Ok(marks),
        }
    }
    look()
}

fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// A connection that has read something. Reading a file in WAL mode needs a place for shared memory beside it; where none can be
/// made and no log is left to be read either, the file by itself is all there is.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let open = |name: &Path| -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(name, flags)?;
        connection.busy_timeout(LOCK_WAIT)?;
        application_id(&connection)?;
        Ok(connection)
    };
    let opened = open(path);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match (&opened, path.to_str()) {
        (Err(_), Some(text)) if !Path::new(&log).exists() => {
            let text = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            open(Path::new(&format!("file:{text}?immutable=1"))).or(opened)
        }
        _ => opened,
    }
}

fn spans(
    connection: &Connection,
    column: &str,
    condition: &str,
    values: &[Value],
) -> rusqlite::Result<Spans> {
    let those = format!("FROM calls WHERE {condition} AND {column} IS NOT NULL");
    let blocks = blocks();
    let sums = format!("{blocks} SELECT count(*), coalesce(avg({column}), 0) {those}");
    let (count, mean_us): (u64, f64) =
        connection.query_row(&sums, params_from_iter(values.iter()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    if count == 0 {
        return Ok(Spans::default());
    }
    let percentile = |percent: u64| -> rusqlite::Result<u64> {
        let offset = (count * percent).div_ceil(100) - 1;
        let question = format!("{blocks} SELECT {column} {those} ORDER BY {column} LIMIT 1 OFFSET {offset}");
        connection.query_row(&question, params_from_iter(values.iter()), |row| row.get(0))
    };
    Ok(Spans { count, mean_us, p50_us: percentile(50)?, p95_us: percentile(95)? })
}

/// What each question begins with: the numbers of all blocks.
fn blocks() -> String {
    let end = |which| format!("(SELECT {which}(id) FROM calls) >> {}", schema::BLOCK_SHIFT);
    let (first, last) = (end("min"), end("max"));
    format!(
        "WITH RECURSIVE blocks (block) AS \
         (SELECT {first} UNION ALL SELECT block + 1 FROM blocks WHERE block < {last})"
    )
}

/// The rows that an index of blocks has for a value.
fn found(index: &str, column: &str) -> String {
    format!(
        "SELECT calls.id FROM blocks CROSS JOIN calls INDEXED BY {index} \
         ON calls.id >> {} = blocks.block AND calls.{column} = ?",
        schema::BLOCK_SHIFT
    )
}

impl Filter {
    /// Whether it names rows by what only few have.
    fn names_rows(&self) -> bool {
        [&self.address, &self.from, &self.to, &self.call_id].iter().any(|text| text.is_some())
    }

    /// What a row has to meet, and the values for its question marks.
    fn condition(&self) -> (String, Vec<Value>) {
        let mut parts = vec!["TRUE".to_owned()];
        let mut values = Vec::new();
        let mut require = |part: &str, value: Option<Value>| {
            if let Some(value) = value {
                values.push(value);
                parts.push(part.replace('?', &format!("?{}", values.len())));
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let time = |time_ms: Option<u64>| {
            time_ms.map(|time_ms| Value::Integer(i64::try_from(time_ms).unwrap_or(i64::MAX)))
        };
        let (caller, callee) =
            (found("calls_by_caller", "from_address"), found("calls_by_callee", "to_address"));
        require(&format!("id IN ({caller} UNION ALL {callee})"), text(&self.address));
        require(&format!("id IN ({caller})"), text(&self.from));
        require(&format!("id IN ({callee})"), text(&self.to));
        require(&format!("id IN ({})", found("calls_by_id", "call_id")), text(&self.call_id));
        let domain_of = |column: &str| format!("substr({column}, instr({column}, '@') + 1) = ?");
        let domains = format!("({} OR {})", domain_of("from_address"), domain_of("to_address"));
        require(&domains, text(&self.domain));
        require("ended_at >= ?", time(self.since_ms));
        require("ended_at < ?", time(self.until_ms));
        require("end_reason = ?", text(&self.reason));
        if self.failed {
            parts.push("answered_at IS NULL".to_owned());
        }
        (parts.join(" AND "), values)
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let (to_callee, to_caller): (u64, u64) = (row.get("messages_to_callee")?, row.get("messages_to_caller")?);
    Ok(Kept {
        call_id: row.get("call_id")?,
        from: row.get("from_address")?,
        to: row.get("to_address")?,
        mode: row.get("mode")?,
        started_at: row.get("started_at")?,
        answered_at: row.get("answered_at")?,
        ended_at: row.get("ended_at")?,
        end_reason: row.get("end_reason")?,
        ended_by: row.get("ended_by")?,
        messages: to_callee.saturating_add(to_caller),
        dialect: row.get("dialect")?,
        node: row.get("node")?,
        ring_us: row.get("ring_us")?,
        answer_us: row.get("answer_us")?,
        talk_us: row.get("talk_us")?,
        messages_to_callee: to_callee,
        messages_to_caller: to_caller,
        bytes_to_callee: row.get("bytes_to_callee")?,
        bytes_to_caller: row.get("bytes_to_caller")?,
        forwarded: row.get("forwarded")?,
        link: row.get("link")?,
    })
}

#[cfg(test)]
mod tests;
