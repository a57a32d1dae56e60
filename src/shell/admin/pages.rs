//! Health, readiness and metrics: what probes and scrapers ask for. None of it asks a shard anything.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::office::Office;
use super::reply::Answer;
use crate::console::metrics;
use crate::store::delivery;

/// How old a shard's last report may be before the shard counts as stuck, in milliseconds. One that has nothing to do reports
/// once a second.
const REPORT_AGE_MAX_MS: u64 = 3_000;

/// The shards that have not reported lately, and for how long, in milliseconds.
fn silent_shards(office: &Office) -> Vec<(usize, u64)> {
    let now_ms = office.facts.clock.tick().millis();
    let ages = office.facts.boards.iter().map(|board| now_ms.saturating_sub(board.read().at.millis()));
    ages.enumerate().filter(|(_, age_ms)| *age_ms > REPORT_AGE_MAX_MS).collect()
}

/// Whether it lives: every shard turns.
pub(super) fn health(office: &Office) -> Answer {
    let silent = silent_shards(office);
    let shards: Vec<Value> =
        silent.iter().map(|(shard, age_ms)| json!({ "shard": shard, "silent_ms": age_ms })).collect();
    let is_healthy = shards.is_empty();
    Answer::with(status_of(is_healthy), &json!({ "healthy": is_healthy, "silent_shards": shards }))
}

/// Whether it should be sent clients: it lives, and every part is up.
pub(super) fn readiness(office: &Office) -> Answer {
    let silent = silent_shards(office);
    let why = (!silent.is_empty()).then(|| {
        let numbers: Vec<String> = silent.iter().map(|(shard, _)| shard.to_string()).collect();
        format!("no word of shard {}", numbers.join(", "))
    });
    let shards = part("shards", why.as_deref(), true);
    let parts = office.facts.readiness.parts();
    let is_ready = why.is_none() && parts.iter().all(|part| part.why.is_none());
    let others = parts.iter().map(|state| part(state.name, state.why.as_deref(), true));
    let parts: Vec<Value> = std::iter::once(shards).chain(others).chain(records_parts(office)).collect();
    Answer::with(status_of(is_ready), &json!({ "ready": is_ready, "parts": parts }))
}

/// Where call records are to go. Calls go on without them, so clients may be sent here when one of these is down.
fn records_parts(office: &Office) -> impl Iterator<Item = Value> {
    let sinks = office.facts.recorder.sinks();
    let log = sinks.log.map(|log| part("call_log", log.is_failing.then_some("it cannot be written"), false));
    let why = sinks.file_trouble().map(ToString::to_string);
    let file = sinks.file.is_some().then(|| part("call_records", why.as_deref(), false));
    let receiver = |name, state: Option<delivery::State>| {
        let why = state?.trouble.map(|rebuff| rebuff.to_string());
        Some(part(name, why.as_deref(), false))
    };
    let webhook = receiver("call_records_webhook", sinks.webhook);
    [log, file, webhook, receiver("traces", sinks.traces)].into_iter().flatten()
}

fn part(name: &str, why: Option<&str>, is_required: bool) -> Value {
    json!({ "part": name, "ready": why.is_none(), "required": is_required, "why": why })
}

/// The page of metrics.
pub(super) fn metrics(office: &Office) -> Answer {
    Answer::metrics(metrics::page(&office.snapshot()))
}

fn status_of(is_good: bool) -> StatusCode {
    if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::office::Facts;
    use super::*;
    use crate::console::access::Access;
    use crate::console::ladder::{LadderDesk, Ladders, step_channel};
    use crate::console::readiness::Readiness;
    use crate::console::{Board, StateBoard};
    use crate::exchange::time::Tick;
    use crate::shell::clock::Clock;
    use crate::shell::overseer::DrainDesk;

    /// Five seconds after the start, with shards that have reported then.
    fn office(reported_ms: &[u64]) -> Office {
        let board = |&at_ms: &u64| {
            let board = Board::default();
            assert!(board.write(|report| report.at = Tick::from_millis(at_ms)));
            board
        };
        let (sink, steps) = step_channel();
        let facts = Facts {
            wires: Vec::new(),
            boards: reported_ms.iter().map(board).collect(),
            clock: Clock::started_before(Duration::from_secs(5)),
            readiness: Readiness::default(),
            limits: metrics::Limits::default(),
            credentials: None,
            recorder: crate::store::Recorder::default(),
            records_file: None,
            peers: Vec::new(),
            drains: DrainDesk::new(0, StateBoard::default()).0,
            links: std::sync::Arc::default(),
            ladders: LadderDesk::new(Ladders::new(sink, steps, Box::new(|_| ()))),
            may_watch_payloads: false,
        };
        Office::new(Access::new(None, Box::default()), facts)
    }

    #[test]
    fn a_shard_that_has_not_reported_lately_is_named_by_both_probes() {
        let well = office(&[4_900, 4_000]);
        assert_eq!((health(&well).status(), readiness(&well).status()), (StatusCode::OK, StatusCode::OK));
        let stuck = office(&[4_900, 1_000]);
        let (health, readiness) = (health(&stuck), readiness(&stuck));
        assert_eq!(health.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(health.body().contains("\"shard\":1") && !health.body().contains("\"shard\":0"));
        assert_eq!(readiness.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(readiness.body().contains("no word of shard 1"), "{}", readiness.body());
    }
}
