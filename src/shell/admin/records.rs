//! Call records by way of the API: who called whom, and why it ended, out of the file that `systemx calls` asks.
//!
//! The file is read by threads of the listener's own, a few at a time, each with a connection that can only read; no shard and not the
//! keeper of the records is asked anything. A page has a bounded number of rows, and a search that takes too long is given up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::lists::limit;
use super::office::Office;
use super::parameters::Parameters;
use super::reply::Answer;
use crate::exchange::survey::PAGE_LEN_MAX;
use crate::store::records::query::{Archive, Filter, Kept, Order, QueryError};

/// Searches at a time: one that takes long leaves room for another.
const SEARCHES_MAX: usize = 2;
/// How long a search may wait for its turn, and then how long it may take; together they are less than a request may take.
const TURN_TIME_MAX: Duration = Duration::from_secs(2);
const SEARCH_MS_MAX: u64 = 4_000;
/// What a query may say.
pub(super) const PARAMETERS: &[&str] = &[
    "address", "from", "to", "domain", "since_ms", "until_ms", "cause", "failed", "call_id", "limit",
    "cursor",
];

/// The file, and the places of those who search in it.
#[derive(Debug)]
pub(super) struct ReadingRoom {
    file: Option<PathBuf>,
    places: Arc<Semaphore>,
}

impl ReadingRoom {
    /// For this file; `None`: there is nothing to be read.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, places: Arc::new(Semaphore::new(SEARCHES_MAX)) }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Answer> {
        let busy = || {
            let why = "other searches take long; try again";
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, "unanswered", why)
        };
        let place = timeout(TURN_TIME_MAX, self.places.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(busy)
    }
}

/// Which records a page is of.
#[derive(Debug)]
struct Wanted {
    filter: Filter,
    after: Option<Place>,
    limit: usize,
}

/// Some of them.
#[derive(Default)]
struct Page {
    rows: Vec<Kept>,
    next: Option<Place>,
    /// Records that are damaged, so that nobody knows whether they belong here.
    unreadable: u64,
}

/// Where a page begins: after so many of the records that ended in this millisecond, which may be thousands when all calls
/// end at once. So the file's own order needs no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    ended_ms: u64,
    passed: u64,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (ended_ms, passed) = text.split_once('.')?;
        Some(Self { ended_ms: ended_ms.parse().ok()?, passed: passed.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{}.{}", self.ended_ms, self.passed)
    }
}

impl Wanted {
    fn of(said: &Parameters) -> Result<Self, Answer> {
        let text = |name| said.get(name).map(str::to_owned);
        let time = |name| {
            let why = format!("{name} must be a time in milliseconds since 1970");
            said.read(name, &why, |value| value.parse::<u64>().ok())
        };
        let failed = said.read("failed", "failed must be true or false", |value| value.parse().ok())?;
        let filter = Filter {
            address: text("address"),
            from: text("from"),
            to: text("to"),
            domain: text("domain").map(|domain| domain.trim_start_matches('@').to_owned()),
            since_ms: time("since_ms")?,
            until_ms: time("until_ms")?,
            reason: text("cause"),
            failed: failed.unwrap_or_default(),
            call_id: text("call_id"),
        };
        let after = said.read("cursor", "no such cursor", Place::parse)?;
        Ok(Self { filter, after, limit: limit(said)?.unwrap_or(PAGE_LEN_MAX) })
    }

    /// A page of the records in the file, and where the next one begins.
    fn page(&self, archive: &Archive) -> Result<Page, QueryError> {
        let mut filter = self.filter.clone();
        let mut passed = 0;
        if let Some(after) = self.after {
            let until_ms = after.ended_ms.saturating_add(1);
            filter.until_ms = Some(filter.until_ms.map_or(until_ms, |until| until.min(until_ms)));
            passed = after.passed;
        }
        let (mut left_to_pass, mut rows) = (passed, Vec::new());
        // One more is asked for, to know whether there are more.
        let most = passed.saturating_add(self.limit as u64 + 1);
        let unreadable = archive.each(&filter, Order::NewestFirst, Some(most), |kept| {
            let is_passed =
                left_to_pass > 0 && self.after.is_some_and(|after| after.ended_ms == kept.ended_at);
            if is_passed {
                left_to_pass -= 1;
            } else {
                rows.push(kept);
            }
            rows.len() <= self.limit
        })?;
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| has_more).map(|last| self.place_after(&rows, last.ended_at));
        Ok(Page { rows, next, unreadable })
    }

    /// The place after these rows, of which the last ended then.
    fn place_after(&self, rows: &[Kept], ended_ms: u64) -> Place {
        let here = rows.iter().rev().take_while(|row| row.ended_at == ended_ms).count() as u64;
        let before = self.after.filter(|after| after.ended_ms == ended_ms).map_or(0, |after| after.passed);
        Place { ended_ms, passed: here.saturating_add(before) }
    }
}

/// GET records.
pub(super) async fn records(office: &Office, said: &Parameters) -> Result<Answer, Answer> {
    let Some(file) = office.reading_room.file.clone() else { return Err(none_kept()) };
    let wanted = Wanted::of(said)?;
    let place = office.reading_room.place().await?;
    let (clock, begun) = (office.facts.clock, office.facts.clock.tick());
    let goes_on = move || clock.tick().millis().saturating_sub(begun.millis()) <= SEARCH_MS_MAX;
    let search = move || {
        let _place = place;
        match Archive::open_while(&file, goes_on) {
            // It is in the making.
            Err(QueryError::Version(_, 0)) => Ok(Page::default()),
            archive => wanted.page(&archive?),
        }
    };
    let found = tokio::task::spawn_blocking(search).await;
    let gone = |_| Answer::error(StatusCode::SERVICE_UNAVAILABLE, "unanswered", "the search was given up");
    let Page { rows, next, unreadable } = found.map_err(gone)??;
    let trouble = office.facts.recorder.sinks().file_trouble().map(ToString::to_string);
    let records: Vec<Value> = rows.iter().map(|row| json!(row)).collect();
    Ok(Answer::json(&json!({
        "records": records, "next": next.map(Place::text), "unreadable": unreadable, "trouble": trouble
    })))
}

fn none_kept() -> Answer {
    let why =
        "this exchange keeps no call records; SYSTEMX_CALL_RECORDS names the file that they would be kept in";
    Answer::error(StatusCode::NOT_FOUND, "no_records", why)
}

impl From<QueryError> for Answer {
    fn from(error: QueryError) -> Self {
        let message = match &error {
            QueryError::Late => {
                return Self::error(StatusCode::UNPROCESSABLE_ENTITY, "search_too_long", &error.to_string());
            }
            QueryError::Missing(path) => {
                format!("{} is not there now; /readyz says why nothing is kept", path.display())
            }
            _ => error.to_string(),
        };
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "records_unreadable", &message)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::store::records::{CallRecords, Retention, Settings};
    use crate::store::testing::Scratch;
    use crate::store::{CallMode, CallRecord, Dialect, EndedBy, Volume};

    fn record_ended(ended_at_ms: u64) -> CallRecord<&'static str> {
        CallRecord {
            call_id: "c-1",
            from: "a@x.test",
            to: "b@x.test",
            mode: CallMode::Single,
            started_at_ms: ended_at_ms,
            answered_at_ms: None,
            ended_at_ms,
            end_reason: "timeout",
            ended_by: EndedBy::Exchange,
            dialect: Dialect::Systemx,
            ring_us: None,
            answer_us: None,
            talk_us: None,
            to_callee: Volume::default(),
            to_caller: Volume::default(),
            forwarded: None,
            link: None,
            trace: None,
        }
    }

    /// A file of calls that ended at these times.
    fn archive(scratch: &Scratch, ended_ms: &[u64]) -> Archive {
        let keeper = CallRecords::start(Settings {
            path: scratch.records(),
            node: "node.test".into(),
            retention: Retention { days: 36_500, bytes_max: 1 << 40 },
            clock_unix_ms: || 10_000,
        });
        let keeper = keeper.expect("there is a folder");
        for &ended_ms in ended_ms {
            keeper.handle().record(&record_ended(ended_ms));
        }
        assert_eq!(keeper.stop(Duration::from_secs(10)).kept, ended_ms.len() as u64);
        Archive::open(&scratch.records()).expect("it was kept")
    }

    fn wanted(query: &str) -> Wanted {
        let said = Parameters::of(query, PARAMETERS).expect("it makes sense");
        Wanted::of(&said).expect("it makes sense")
    }

    #[test]
    fn pages_go_on_where_the_one_before_ended_also_among_calls_that_ended_at_once() {
        let scratch = Scratch::new();
        let times = [1, 5, 5, 5, 5, 5, 7, 9, 9];
        let archive = archive(&scratch, &times);
        let mut expected = times.to_vec();
        expected.sort_unstable_by(|one, other| other.cmp(one));
        for limit in 1..=times.len() + 1 {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let query = format!("limit={limit}{cursor}");
                let Page { rows, next, .. } = wanted(&query).page(&archive).expect("it is sound");
                assert!(rows.len() <= limit && (next.is_none() || rows.len() == limit), "{query}");
                seen.extend(rows.iter().map(|row| row.ended_at));
                let Some(next) = next else { break };
                assert_eq!(Place::parse(&next.text()), Some(next));
                cursor = format!("&cursor={}", next.text());
            }
            assert_eq!(seen, expected, "limit {limit}");
        }
        let Page { rows, next, .. } =
            wanted("until_ms=6&since_ms=5&limit=3").page(&archive).expect("it is sound");
        assert_eq!((rows.len(), next), (3, Some(Place { ended_ms: 5, passed: 3 })));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for query in ["since_ms=yesterday", "until_ms=-1", "failed=maybe", "cursor=1", "limit=0", "limit=101"]
        {
            let said = Parameters::of(query, PARAMETERS).expect("the names are known");
            assert_eq!(Wanted::of(&said).expect_err(query).status(), StatusCode::BAD_REQUEST, "{query}");
        }
    }

    #[test]
    fn a_search_that_takes_too_long_is_given_up() {
        let scratch = Scratch::new();
        drop(archive(&scratch, &(0..30_000).collect::<Vec<_>>()));
        let looks = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&looks);
        let goes_on = move || counted.fetch_add(1, Ordering::Relaxed) < 2;
        let archive = Archive::open_while(&scratch.records(), goes_on).expect("it opens in time");
        let error = wanted("domain=nowhere.test").page(&archive).err().expect("it is late");
        assert_eq!(looks.load(Ordering::Relaxed), 3, "there is more than was looked at");
        assert!(matches!(error, QueryError::Late), "{error}");
        let answer = Answer::from(error);
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body().contains("search_too_long"), "{}", answer.body());
    }
}
