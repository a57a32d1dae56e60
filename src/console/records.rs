//! The families of metrics about call records: what became of them in each place that they go to.
//!
//! A place that is not configured has no samples. `file` is the file that `systemx calls` asks, `log` the call log, `traces` the
//! collector that calls are sent to as spans.

use crate::store::{Sinks, delivery};

use super::exposition::{Kind, Page};

/// One place that records go to, as the page shows it.
struct Place {
    labels: [(&'static str, &'static str); 1],
    kept: u64,
    lost: u64,
    failures: u64,
    is_healthy: bool,
    /// What only those with a queue that can be looked into know.
    queue: Option<Queue>,
}

struct Queue {
    waiting: u64,
    lag_ms: u64,
}

/// Adds the families.
pub fn write(page: &mut Page, sinks: &Sinks) {
    let places = places(sinks);
    let mut count = |name, help, of: fn(&Place) -> u64| {
        let mut family = page.family(name, Kind::Counter, help);
        places.iter().for_each(|place| family.sample(&place.labels, of(place) as f64));
    };
    count("systemx_call_records_kept_total", "Call records written or delivered.", |place| place.kept);
    count("systemx_call_records_lost_total", "Call records that could not be kept.", |place| place.lost);
    let failures = "Failed attempts to write or deliver call records.";
    count("systemx_call_records_failures_total", failures, |place| place.failures);
    let mut gauge = |name, help, of: fn(&Queue) -> f64| {
        let mut family = page.family(name, Kind::Gauge, help);
        for place in &places {
            if let Some(queue) = &place.queue {
                family.sample(&place.labels, of(queue));
            }
        }
    };
    gauge("systemx_call_records_waiting", "Call records that wait to be kept.", |queue| queue.waiting as f64);
    let lag = "How long ago the call of the oldest waiting record ended.";
    gauge("systemx_call_records_lag_seconds", lag, |queue| queue.lag_ms as f64 / 1e3);
    let healthy = "Whether call records are kept: 1, or 0 while they cannot be.";
    let mut family = page.family("systemx_call_records_healthy", Kind::Gauge, healthy);
    places.iter().for_each(|place| family.sample(&place.labels, f64::from(u8::from(place.is_healthy))));
    write_file(page, sinks);
}

/// What only a file has.
fn write_file(page: &mut Page, sinks: &Sinks) {
    let file = sinks.file.as_ref();
    let mut sample = |name, kind, help, value: Option<u64>| {
        let mut family = page.family(name, kind, help);
        if let Some(value) = value {
            family.sample(&[], value as f64);
        }
    };
    let deleted = "Call records deleted because of age or size.";
    sample("systemx_call_records_deleted_total", Kind::Counter, deleted, file.map(|file| file.deleted));
    let aside = "Damaged files of call records that were set aside.";
    sample("systemx_call_records_set_aside_total", Kind::Counter, aside, file.map(|file| file.set_aside));
    let bytes = "Bytes that the file of call records takes, its write-ahead log included.";
    sample("systemx_call_records_file_bytes", Kind::Gauge, bytes, file.map(|file| file.file_bytes));
}

fn places(sinks: &Sinks) -> Vec<Place> {
    let log = sinks.log.map(|log| Place {
        labels: [("sink", "log")],
        kept: log.written,
        lost: log.lost,
        failures: log.failures,
        is_healthy: !log.is_failing,
        queue: None,
    });
    let file = sinks.file.as_ref().map(|file| Place {
        labels: [("sink", "file")],
        kept: file.kept,
        lost: file.lost,
        failures: file.failures,
        is_healthy: file.trouble.is_none(),
        queue: Some(Queue { waiting: file.waiting, lag_ms: file.lag_ms }),
    });
    let receiver = |name, state: &Option<delivery::State>| {
        state.as_ref().map(|state| Place {
            labels: [("sink", name)],
            kept: state.delivered,
            lost: state.lost,
            failures: state.failures,
            is_healthy: state.trouble.is_none(),
            queue: Some(Queue { waiting: state.waiting, lag_ms: state.lag_ms }),
        })
    };
    let (webhook, traces) = (receiver("webhook", &sinks.webhook), receiver("traces", &sinks.traces));
    [log, file, webhook, traces].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records;

    #[test]
    fn each_place_has_its_samples_and_those_that_are_off_have_none() {
        let file = records::State {
            kept: 7,
            waiting: 2,
            lag_ms: 1_500,
            trouble: Some(records::Trouble::Full),
            ..records::State::default()
        };
        let webhook = delivery::State { lost: 3, ..delivery::State::default() };
        let traces = delivery::State { delivered: 9, ..delivery::State::default() };
        let mut page = Page::default();
        write(
            &mut page,
            &Sinks { log: None, file: Some(file), webhook: Some(webhook), traces: Some(traces) },
        );
        let text = page.into_text();
        for line in [
            "systemx_call_records_kept_total{sink=\"file\"} 7",
            "systemx_call_records_lag_seconds{sink=\"file\"} 1.5",
            "systemx_call_records_healthy{sink=\"file\"} 0",
            "systemx_call_records_healthy{sink=\"webhook\"} 1",
            "systemx_call_records_lost_total{sink=\"webhook\"} 3",
            "systemx_call_records_kept_total{sink=\"traces\"} 9",
            "systemx_call_records_waiting{sink=\"traces\"} 0",
            "systemx_call_records_deleted_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("sink=\"log\""), "{text}");
    }
}
