//! From what a run counted to the form in which it is kept, with the notes that a reader has to know.

use std::collections::BTreeMap;

use crate::engine::run::Outcome;
use crate::engine::timers::MILLISECOND;
use crate::measure::ledger::{Ledger, latency};
use crate::measure::machine;
use crate::measure::probe::Sample;
use crate::measure::tally::Waits;
use crate::results::{FORMAT, Results, ServerUse};

/// A generator that noticed later than this, at the 99th percentile, that an operation was due, was itself the limit.
const LATE_MAX_NS: u64 = MILLISECOND;
/// So was one of whose workers one was busier than this.
const BUSY_MAX: f64 = 0.95;
/// If more than this part of the operations had to wait for a free pair, percentiles are about the waiting.
const WAITING_MAX: f64 = 0.01;
/// Others that take more than this part of the machine's processors disturb what is measured.
const OTHERS_MAX: f64 = 0.1;
/// How a note begins that makes a run say little about the server.
pub const GENERATOR_WAS_LIMIT: &str = "the generator was the limit";
/// Likewise.
pub const MACHINE_WAS_BUSY: &str = "the machine was busy with something else";
/// A measured part below this part of what was wanted was cut short.
const SHORT: f64 = 0.99;
const MICROS_IN_SECOND: f64 = 1e6;

/// What is known of a run beside its counts.
pub struct Run {
    /// The scenario's name.
    pub name: &'static str,
    /// Options and values.
    pub parameters: BTreeMap<String, String>,
    /// When it began.
    pub started_unix_s: u64,
    /// The server's figures come from its metrics page.
    pub metrics: bool,
    /// The server runs on this machine, under the eyes of the generator.
    pub sees_server: bool,
}

/// Puts the results together.
pub fn results(run: Run, outcome: &Outcome) -> Results {
    let ledger = &outcome.ledger;
    let measured_s = ledger.measured_s();
    let rate_per_s = if measured_s > 0.0 { ledger.operations as f64 / measured_s } else { 0.0 };
    let named = ledger.figures.latencies.iter().zip(&ledger.latencies);
    let notes = notes(outcome, &run);
    Results {
        format: FORMAT,
        generator: format!("systemx-loadtest {}", env!("CARGO_PKG_VERSION")),
        scenario: run.name.to_owned(),
        parameters: run.parameters,
        started_unix_s: run.started_unix_s,
        machine: machine::describe(),
        measured_s,
        operation: ledger.figures.operation.to_owned(),
        operations: ledger.operations,
        rate_per_s,
        latencies: named.map(|(name, values)| ((*name).to_owned(), latency(values))).collect(),
        main_latency: ledger.figures.latencies.first().map(|&name| name.to_owned()),
        counts: counts(outcome),
        errors: ledger.errors.clone(),
        faults: ledger.faults.clone(),
        faults_total: ledger.faults_total,
        timeline: ledger.timeline(),
        server: server_use(outcome),
        notes,
    }
}

/// The two looks at processor times are not exactly at the ends of the window: how much of what was used between them
/// belongs to it.
fn part(outcome: &Outcome) -> f64 {
    if outcome.looked_s > 0.0 { outcome.ledger.measured_s() / outcome.looked_s } else { 1.0 }
}

fn counts(outcome: &Outcome) -> BTreeMap<String, u64> {
    let ledger = &outcome.ledger;
    let named = ledger.figures.counters.iter().zip(&ledger.counters);
    let mut counts: BTreeMap<String, u64> = named.map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let traffic = ledger.traffic;
    let cpu = outcome.own_cpu;
    let micros = |time: std::time::Duration| (time.as_micros() as f64 * part(outcome)) as u64;
    let engine = [
        ("connections", outcome.connections),
        ("frames_sent", traffic.frames_sent),
        ("frames_received", traffic.frames_received),
        ("bytes_sent", traffic.bytes_sent),
        ("bytes_received", traffic.bytes_received),
        ("queue_max", ledger.queue_max),
        ("generator_busy_percent", (ledger.busiest() * 100.0).round() as u64),
        ("generator_cpu_us", micros(cpu.total)),
        ("generator_cpu_user_us", micros(cpu.user)),
        ("generator_cpu_system_us", micros(cpu.system)),
    ];
    counts.extend(engine.map(|(name, count)| (name.to_owned(), count)));
    if let Some((first, last)) = &outcome.window {
        // Counters grow; what shrinks is a level and no count.
        let grown = last.own.iter().filter(|(name, _)| name.ends_with("_total")).map(|(name, value)| {
            let before = first.own.get(name).copied().unwrap_or_default();
            (name.clone(), (value - before).max(0.0) as u64)
        });
        counts.extend(grown);
    }
    counts
}

fn server_use(outcome: &Outcome) -> Option<ServerUse> {
    let (first, last) = outcome.window.as_ref()?;
    let cpu = last.cpu - first.cpu;
    let part = part(outcome);
    let (seconds, operations) = (cpu.total.as_secs_f64() * part, outcome.ledger.operations as f64);
    let before = outcome.before.as_ref().and_then(|sample: &Sample| sample.memory_bytes);
    let grown = before.zip(last.memory_bytes).map(|(before, after)| after.saturating_sub(before));
    Some(ServerUse {
        cpu_s: seconds,
        cpu_user_s: cpu.user.as_secs_f64() * part,
        cpu_system_s: cpu.system.as_secs_f64() * part,
        cpu_per_operation_us: if operations > 0.0 { seconds * MICROS_IN_SECOND / operations } else { 0.0 },
        operations_per_cpu_s: if seconds > 0.0 { operations / seconds } else { 0.0 },
        anonymous_before_bytes: before,
        anonymous_after_bytes: last.memory_bytes,
        bytes_per_connection: grown
            .filter(|_| outcome.connections > 0)
            .map(|grown| grown as f64 / outcome.connections as f64),
    })
}

fn run_parameter_s(run: &Run, name: &str) -> Option<f64> {
    run.parameters.get(name)?.parse().ok()
}

/// Operations that waited for something of the generator's own.
fn waiting(ledger: &Ledger) -> Option<String> {
    let Waits { begun, waited, longest } = ledger.waits;
    let share = waited as f64 / begun.max(1) as f64;
    (share > WAITING_MAX).then(|| {
        let longest = longest as f64 / MILLISECOND as f64;
        format!(
            "{:.0} % of what was due had to wait, up to {longest:.1} ms, because all pairs, phones or places were taken; \
             their latencies hold that. Unless the server is the cause, give it more of them",
            share * 100.0
        )
    })
}

/// Programs that are neither generator nor server. What a server uses that is not looked at cannot be told from theirs.
fn others(outcome: &Outcome, run: &Run) -> Option<String> {
    let server = match &outcome.window {
        Some((first, last)) if run.sees_server => (last.cpu - first.cpu).total,
        _ => return None,
    };
    let others = outcome.all_cpu?.saturating_sub(outcome.own_cpu.total + server).as_secs_f64();
    let share = others / (outcome.looked_s * machine::processors());
    (share > OTHERS_MAX).then(|| {
        format!(
            "{MACHINE_WAS_BUSY}: other programs took {:.0} % of its processors' time; rates and latencies hold that",
            share * 100.0
        )
    })
}

fn notes(outcome: &Outcome, run: &Run) -> Vec<String> {
    let ledger: &Ledger = &outcome.ledger;
    let mut notes = outcome.notes.clone();
    let late = ledger.lateness.value_at_quantile(0.99);
    if late > LATE_MAX_NS {
        let late = late as f64 / MILLISECOND as f64;
        notes.push(format!(
            "{GENERATOR_WAS_LIMIT}: 1 % of the operations were noticed {late:.1} ms late or more; \
             give it more --threads or processors"
        ));
    }
    if ledger.busiest() > BUSY_MAX {
        notes.push(format!(
            "{GENERATOR_WAS_LIMIT}: a worker was busy {:.0} % of the time; give it more --threads or processors",
            ledger.busiest() * 100.0
        ));
    }
    notes.extend(others(outcome, run));
    notes.extend(waiting(ledger));
    if let Some(queued) = ledger.errors.get("unfinished:queued") {
        notes.push(format!("the rate was not reached: {queued} operations were due and never begun"));
    }
    if ledger.errors.keys().chain(ledger.early_errors.keys()).any(|reason| reason.ends_with(":rate_limited"))
    {
        notes.push(
            "the server limits how often a line may dial; start it with SYSTEMX_DIAL_MAX_ATTEMPTS=0 to lift that"
                .to_owned(),
        );
    }
    if ledger.errors.contains_key("closed:1009") {
        notes.push(
            "a message was longer than the server takes (1009): fewer bytes, or a higher limit there"
                .to_owned(),
        );
    }
    if !ledger.early_errors.is_empty() {
        let list: Vec<String> =
            ledger.early_errors.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        notes.push(format!("errors before the measured part: {}", list.join(", ")));
    }
    if outcome.before.is_some() && outcome.window.is_none() {
        notes.push(
            "the server's figures could not be read during the run: its process or page was gone".to_owned(),
        );
    }
    let wanted = run_parameter_s(run, "duration");
    if wanted.is_some_and(|wanted| ledger.measured_s() < wanted * SHORT) {
        notes.push("the run was ended early".to_owned());
    }
    if run.metrics {
        notes.push(
            "the server's memory is what its metrics page calls resident, not only anonymous".to_owned(),
        );
    }
    if ledger.operations == 0 {
        notes.push("no operation was completed in the measured part".to_owned());
    }
    notes
}
