//! Which metrics there are: every family that `/metrics` shows, made of the shards' reports and what the process says.
//!
//! Names begin with `systemx_` and end with their unit; the process's own have the names that Prometheus gives them
//! everywhere. Counts are summed over the shards unless a shard of its own is of interest. All causes and verbs are there from
//! the start, at 0, so that the first one of its kind shows as a rate. docs/OPERATIONS.md says what to do about them.

use crate::exchange::call::Volume;
use crate::exchange::event::Verb;
use crate::exchange::tally::{Histogram, PerReason, Tally};
use crate::exchange::time::Tick;
use crate::store::Sinks;

use super::exposition::{Kind, Page, seconds};
use super::process::Process;
use super::records;
use super::report::{Report, TrunkReport};
use super::service::ServiceState;

/// What a page of metrics is made of.
#[derive(Debug)]
pub struct Snapshot {
    /// One for each shard, in their order.
    pub reports: Vec<Report>,
    /// What the process takes.
    pub process: Process,
    /// Bytes that the allocator holds of the system.
    pub committed_bytes: u64,
    /// What may be taken.
    pub limits: Limits,
    /// When the certificate in use ends, in milliseconds since 1970, if connections are encrypted.
    pub certificate_ends_ms: Option<u64>,
    /// Links to other exchanges.
    pub federation: Federation,
    /// What the exchange is up to.
    pub state: ServiceState,
    /// The exchange's clock.
    pub now: Tick,
    /// How it stands with those who keep call records.
    pub records: Sinks,
}

/// Limits that uses are to be compared with; 0 where there is none.
#[derive(Clone, Copy, Default, Debug)]
pub struct Limits {
    /// Connections.
    pub connections: u64,
    /// Bytes of incomplete messages.
    pub input_bytes: u64,
    /// Bytes that wait for receivers.
    pub output_bytes: u64,
}

/// Links that this exchange calls by itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Federation {
    /// How many there are to be.
    pub configured: u64,
    /// How often one has come up.
    pub connected: u64,
    /// How often one that was up was lost.
    pub lost: u64,
    /// Attempts that came to nothing.
    pub failed: u64,
}

/// Numbers of something by the value of a label.
type Named<Of, Number, const LEN: usize> = [(&'static str, fn(&Of) -> Number); LEN];

/// The page of metrics.
pub fn page(snapshot: &Snapshot) -> String {
    let mut page = Page::default();
    write_process(&mut page, &snapshot.process);
    write_state(&mut page, snapshot.state);
    let help = "Memory that the allocator holds of the system, in use or not.";
    page.gauge("systemx_allocator_committed_bytes", help, snapshot.committed_bytes as f64);
    let reports = &snapshot.reports;
    write_presence(&mut page, reports);
    write_calls(&mut page, reports);
    write_spans(&mut page, reports);
    write_messages(&mut page, reports);
    write_requests(&mut page, reports);
    write_doors(&mut page, reports);
    write_tls(&mut page, snapshot);
    write_federation(&mut page, snapshot);
    write_limits(&mut page, &snapshot.limits);
    write_trunks(&mut page, reports);
    records::write(&mut page, &snapshot.records);
    write_ages(&mut page, snapshot);
    page.into_text()
}

fn write_process(page: &mut Page, process: &Process) {
    let mut build = page.family("systemx_build_info", Kind::Gauge, "What runs here; always 1.");
    build.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since the epoch.",
        process.started_s,
    );
    let mut cpu =
        page.family("process_cpu_seconds_total", Kind::Counter, "Processor time taken, user and system.");
    cpu.sample(&[], process.cpu_s);
    let memory = "Memory that the process holds.";
    page.gauge("process_resident_memory_bytes", memory, process.resident_bytes as f64);
    page.gauge("process_open_fds", "File descriptors in use.", process.open_fds as f64);
    page.gauge("process_max_fds", "File descriptors that may be in use.", process.max_fds as f64);
}

fn write_state(page: &mut Page, now: ServiceState) {
    let mut states = page.family(
        "systemx_service_state",
        Kind::Gauge,
        "What the exchange is up to: 1 for that, 0 for all else.",
    );
    for state in ServiceState::ALL {
        states.sample(&[("state", state.name())], f64::from(u8::from(state == now)));
    }
}

/// Who is there.
fn write_presence(page: &mut Page, reports: &[Report]) {
    let mut per_shard = |name, help, of: fn(&Report) -> f64| {
        let mut family = page.family(name, Kind::Gauge, help);
        for (shard, report) in reports.iter().enumerate() {
            family.sample(&[("shard", &shard.to_string())], of(report));
        }
    };
    per_shard("systemx_connections", "Connections, registered or not.", |report| report.connections as f64);
    per_shard(
        "systemx_registrations",
        "Lines that hold an address, the exchange's own services aside.",
        |report| report.counts.registered as f64,
    );
    per_shard("systemx_congested_connections", "Connections that take less than they are sent.", |report| {
        report.congested as f64
    });
    per_shard("systemx_input_bytes", "Bytes held for incomplete messages.", |report| {
        report.input_bytes as f64
    });
    per_shard("systemx_output_bytes", "Bytes held for receivers that have not taken them.", |report| {
        report.output_bytes as f64
    });
    let mut all = |name, help, of: fn(&Report) -> usize| {
        page.gauge(name, help, sum(reports, |report| of(report) as u64) as f64)
    };
    all("systemx_wake_profiles", "Sleeping addresses that can be woken.", |report| report.counts.profiles);
    all("systemx_wakes_in_flight", "Agents that are being woken.", |report| report.counts.runs);
    all("systemx_parties", "Party lines hosted here.", |report| report.counts.parties);
    all("systemx_broadcast_listeners", "Ears of broadcasts.", |report| report.counts.listeners);
    all("systemx_tie_lines", "Links to other exchanges that lead somewhere.", |report| report.counts.ties);
}

fn write_calls(page: &mut Page, reports: &[Report]) {
    let mut calls = page.family("systemx_calls", Kind::Gauge, "Calls of two, by how far they are.");
    let count = |of: fn(&Report) -> usize| sum(reports, |report| of(report) as u64) as f64;
    calls.sample(&[("state", "waiting")], count(|report| report.counts.waiting_calls));
    calls.sample(&[("state", "ringing")], count(|report| report.counts.ringing_calls()));
    calls.sample(&[("state", "connected")], count(|report| report.counts.connected_calls));
    let mut dials = page.family("systemx_dials_total", Kind::Counter, "Dials, by what became of them.");
    dials.sample(&[("outcome", "answered")], sum(reports, |report| report.tally.answered) as f64);
    dials.sample(&[("outcome", "listening")], sum(reports, |report| report.tally.listeners) as f64);
    for (cause, count) in per_reason(reports, |tally| &tally.failed_dials).iter() {
        dials.sample(&[("outcome", cause)], count as f64);
    }
    by_cause(page, "systemx_hangups_total", "Calls that were up and ended, by cause.", reports, |tally| {
        &tally.ended
    });
    by_cause(page, "systemx_broadcast_leaves_total", "Listeners that left, by cause.", reports, |tally| {
        &tally.listeners_gone
    });
    let wakes = "Wake handlers that were started.";
    page.counter("systemx_wakes_total", wakes, sum(reports, |report| report.tally.wakes));
    let failed = "Wake handlers after which no agent came in time.";
    page.counter("systemx_wakes_failed_total", failed, sum(reports, |report| report.tally.wakes_failed));
}

/// How long things took.
fn write_spans(page: &mut Page, reports: &[Report]) {
    let mut span = |name, help, of: fn(&Report) -> &Histogram| {
        let mut total = Histogram::default();
        reports.iter().for_each(|report| total.add(of(report)));
        page.family(name, Kind::Histogram, help).histogram(&[], &total);
    };
    span("systemx_dial_to_ring_seconds", "From DIAL to RING.", |report| &report.tally.ringing);
    span("systemx_ring_to_connected_seconds", "From RING to CONNECTED.", |report| &report.tally.answering);
    span("systemx_wake_seconds", "From the start of a wake handler until the agent was there.", |report| {
        &report.tally.waking
    });
    span("systemx_queue_wait_seconds", "How long signals between shards waited in a trunk.", |report| {
        &report.meter.queue_wait
    });
}

fn write_messages(page: &mut Page, reports: &[Report]) {
    let received = "Messages of clients and links that were read.";
    page.counter(
        "systemx_messages_received_total",
        received,
        sum(reports, |report| report.meter.messages_in),
    );
    let kinds: Named<Tally, Volume, 2> =
        [("call", |tally| tally.delivered), ("fan_out", |tally| tally.fanned_out)];
    let help = "MSG and PARTY_MSG handed to lines, one for each that hears them.";
    let mut delivered = page.family("systemx_messages_delivered_total", Kind::Counter, help);
    for (kind, of) in kinds {
        delivered.sample(&[("kind", kind)], sum(reports, |report| of(&report.tally).messages) as f64);
    }
    let help =
        "Bytes of data in the messages handed to lines, as JSON: a text counts its quotes and escapes.";
    let mut bytes = page.family("systemx_message_data_bytes_total", Kind::Counter, help);
    for (kind, of) in kinds {
        bytes.sample(&[("kind", kind)], sum(reports, |report| of(&report.tally).bytes) as f64);
    }
    let strays = "MSG that had no call to go to.";
    page.counter("systemx_messages_dropped_total", strays, sum(reports, |report| report.tally.strays));
    let bytes_in = "Bytes read from connections, as frames.";
    page.counter("systemx_received_bytes_total", bytes_in, sum(reports, |report| report.meter.bytes_in));
    let bytes_out = "Bytes written to connections, as frames.";
    page.counter("systemx_sent_bytes_total", bytes_out, sum(reports, |report| report.meter.bytes_out));
}

fn write_requests(page: &mut Page, reports: &[Report]) {
    let mut requests =
        page.family("systemx_requests_total", Kind::Counter, "Requests that were understood, by verb.");
    for verb in Verb::ALL {
        let count = sum(reports, |report| report.tally.requests[verb as usize]);
        requests.sample(&[("verb", verb.name())], count as f64);
    }
    let bad = "Messages that were not understood; ERROR was the answer.";
    page.counter("systemx_bad_messages_total", bad, sum(reports, |report| report.meter.bad_messages));
    by_cause(
        page,
        "systemx_refusals_total",
        "Requests turned down with ERROR, by cause.",
        reports,
        |tally| &tally.refusals,
    );
    let registered = "Registrations granted, renewals among them.";
    page.counter("systemx_registered_total", registered, sum(reports, |report| report.tally.registered));
    by_cause(page, "systemx_register_refusals_total", "Registrations refused, by cause.", reports, |tally| {
        &tally.register_refusals
    });
    let ties = "Links of other exchanges that have registered.";
    page.counter("systemx_tie_registered_total", ties, sum(reports, |report| report.tally.ties_registered));
    let refused = "Links of other exchanges that were refused.";
    page.counter("systemx_tie_refused_total", refused, sum(reports, |report| report.tally.ties_refused));
}

/// How connections come and go.
fn write_doors(page: &mut Page, reports: &[Report]) {
    let mut handshakes =
        page.family("systemx_handshakes_total", Kind::Counter, "Callers at the door, by outcome.");
    let outcomes: Named<Report, u64, 6> = [
        ("accepted", |report| report.handshakes.accepted),
        ("crowded", |report| report.handshakes.crowded),
        ("origin", |report| report.handshakes.origin),
        ("tls", |report| report.handshakes.tls),
        ("timed_out", |report| report.handshakes.timed_out),
        ("other", |report| report.handshakes.other),
    ];
    for (outcome, of) in outcomes {
        handshakes.sample(&[("outcome", outcome)], sum(reports, of) as f64);
    }
    by_cause(page, "systemx_closes_total", "Lines closed by the exchange, by cause.", reports, |tally| {
        &tally.closed
    });
    let help = "Connections closed because of what they sent, by close code.";
    let mut violations = page.family("systemx_violations_total", Kind::Counter, help);
    let codes: Named<Report, u64, 4> = [
        ("1002", |report| report.meter.violations.protocol),
        ("1007", |report| report.meter.violations.not_text),
        ("1009", |report| report.meter.violations.too_big),
        ("other", |report| report.meter.violations.other),
    ];
    for (code, of) in codes {
        violations.sample(&[("code", code)], sum(reports, of) as f64);
    }
    let slow = "Connections given up because they did not take what they were sent.";
    page.counter("systemx_slow_consumers_total", slow, sum(reports, |report| report.meter.slow_consumers));
}

/// What goes on between shards.
fn write_trunks(page: &mut Page, reports: &[Report]) {
    let mut per_pair = |name, kind, help, of: fn(&TrunkReport) -> f64| {
        let mut family = page.family(name, kind, help);
        for (from, report) in reports.iter().enumerate() {
            for (to, trunk) in report.trunks.iter().enumerate().filter(|&(to, _)| to != from) {
                family.sample(&[("from", &from.to_string()), ("to", &to.to_string())], of(trunk));
            }
        }
    };
    per_pair("systemx_trunk_queued", Kind::Gauge, "Signals in a trunk.", |trunk| trunk.queued as f64);
    per_pair("systemx_trunk_outbox", Kind::Gauge, "Signals that wait for room in a trunk.", |trunk| {
        trunk.outbox as f64
    });
    per_pair(
        "systemx_trunk_outbox_max",
        Kind::Gauge,
        "The most signals that ever waited for room.",
        |trunk| trunk.outbox_max as f64,
    );
    per_pair("systemx_trunk_signals_total", Kind::Counter, "Signals sent over a trunk.", |trunk| {
        trunk.sent as f64
    });
    per_pair("systemx_trunk_full_total", Kind::Counter, "How often a trunk was full.", |trunk| {
        trunk.full as f64
    });
    let mut turns = page.family("systemx_turns_total", Kind::Counter, "Turns of the shards' threads.");
    for (shard, report) in reports.iter().enumerate() {
        turns.sample(&[("shard", &shard.to_string())], report.meter.turns as f64);
    }
}

/// How long ago each shard has said something.
fn write_ages(page: &mut Page, snapshot: &Snapshot) {
    let help = "Age of the last report of a shard; it grows if the shard is stuck.";
    let mut ages = page.family("systemx_report_age_seconds", Kind::Gauge, help);
    for (shard, report) in snapshot.reports.iter().enumerate() {
        let age_us = snapshot.now.micros().saturating_sub(report.at.micros());
        ages.sample(&[("shard", &shard.to_string())], seconds(age_us));
    }
}

fn write_tls(page: &mut Page, snapshot: &Snapshot) {
    if let Some(ends_ms) = snapshot.certificate_ends_ms {
        let help = "When the certificate in use ends, in seconds since the epoch.";
        page.gauge("systemx_tls_certificate_expiry_timestamp_seconds", help, ends_ms as f64 / 1e3);
    }
    let mut handshakes =
        page.family("systemx_tls_handshakes_total", Kind::Counter, "TLS handshakes, by outcome.");
    let outcomes: Named<Report, u64, 2> =
        [("done", |report| report.handshakes.encrypted), ("failed", |report| report.handshakes.tls)];
    for (outcome, of) in outcomes {
        handshakes.sample(&[("outcome", outcome)], sum(&snapshot.reports, of) as f64);
    }
}

fn write_federation(page: &mut Page, snapshot: &Snapshot) {
    let Federation { configured, connected, lost, failed } = snapshot.federation;
    let help = "Links to other exchanges that the configuration names.";
    page.gauge("systemx_federation_links_configured", help, configured as f64);
    let up = connected.saturating_sub(lost);
    let help = "Connections of such links that are up.";
    page.gauge("systemx_federation_links_up", help, up as f64);
    let calls = sum(&snapshot.reports, |report| report.counts.tie_calls as u64);
    page.gauge("systemx_federation_calls", "Calls over links, in both directions.", calls as f64);
    page.counter("systemx_federation_connects_total", "Links that have come up, again or not.", connected);
    page.counter("systemx_federation_losses_total", "Links that were up and are gone.", lost);
    let help = "Attempts to set up a link that came to nothing.";
    page.counter("systemx_federation_connect_failures_total", help, failed);
}

/// What may be held; 0 is no limit.
fn write_limits(page: &mut Page, limits: &Limits) {
    let mut limit = |name, help, most: u64| page.gauge(name, help, most as f64);
    let help = "Connections that there may be; 0 if only descriptors bound them.";
    limit("systemx_connections_limit", help, limits.connections);
    let help = "Bytes that may be held for incomplete messages.";
    limit("systemx_input_bytes_limit", help, limits.input_bytes);
    let help = "Bytes that may be held for receivers that have not taken them.";
    limit("systemx_output_bytes_limit", help, limits.output_bytes);
}

fn by_cause(
    page: &mut Page,
    name: &'static str,
    help: &str,
    reports: &[Report],
    of: fn(&Tally) -> &PerReason,
) {
    let mut family = page.family(name, Kind::Counter, help);
    for (cause, count) in per_reason(reports, of).iter() {
        family.sample(&[("cause", cause)], count as f64);
    }
}

fn per_reason(reports: &[Report], of: fn(&Tally) -> &PerReason) -> PerReason {
    let mut total = PerReason::default();
    reports.iter().for_each(|report| total.add(of(&report.tally)));
    total
}

fn sum(reports: &[Report], of: impl Fn(&Report) -> u64) -> u64 {
    reports.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn two_shards() -> Snapshot {
        let report = Report { trunks: vec![TrunkReport::default(); 2], connections: 3, ..Report::default() };
        Snapshot {
            reports: vec![report.clone(), report],
            process: Process::default(),
            committed_bytes: 5,
            limits: Limits { output_bytes: 7, ..Limits::default() },
            certificate_ends_ms: Some(1_900_000_000_500),
            federation: Federation { configured: 2, connected: 3, lost: 2, failed: 9 },
            state: ServiceState::Draining,
            now: Tick::from_millis(1500),
            records: Sinks::default(),
        }
    }

    #[test]
    fn every_family_is_there_once_and_every_sample_belongs_to_the_one_before() {
        let text = page(&two_shards());
        let mut seen = BTreeSet::new();
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split(' ').next().unwrap();
                assert!(rest.ends_with('.') && seen.insert(family), "{line}");
                assert!(family.starts_with("systemx_") || family.starts_with("process_"), "{family}");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} in {family}");
            }
        }
        assert!(seen.len() > 40, "{seen:?}");
    }

    #[test]
    fn causes_are_there_before_they_occur_and_shards_are_told_apart() {
        let text = page(&two_shards());
        for line in [
            "systemx_dials_total{outcome=\"timeout\"} 0",
            "systemx_dials_total{outcome=\"other\"} 0",
            "systemx_requests_total{verb=\"dial\"} 0",
            "systemx_connections{shard=\"1\"} 3",
            "systemx_trunk_queued{from=\"1\",to=\"0\"} 0",
            "systemx_tls_certificate_expiry_timestamp_seconds 1900000000.5",
            "systemx_federation_links_up 1",
            "systemx_output_bytes_limit 7",
            "systemx_service_state{state=\"draining\"} 1",
            "systemx_service_state{state=\"serving\"} 0",
            "systemx_report_age_seconds{shard=\"1\"} 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("from=\"0\",to=\"0\""));
    }
}
