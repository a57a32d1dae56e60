//! Where results go: a few lines for people, JSON for machines.

use std::fs;

use crate::fault::Fault;
use crate::options::Common;
use crate::results::Results;

/// What `--json` without a file means.
const STANDARD_OUTPUT: &str = "-";

/// Prints or writes what was asked for.
pub fn publish(results: &Results, common: &Common) -> Result<(), Fault> {
    let Some(place) = &common.json else {
        print!("{}", summary(results));
        return Ok(());
    };
    let json = serde_json::to_string_pretty(results).map_err(std::io::Error::from)?;
    if place == STANDARD_OUTPUT {
        println!("{json}");
        return Ok(());
    }
    fs::write(place, json + "\n")?;
    print!("{}", summary(results));
    Ok(())
}

/// The most important in a few lines.
fn summary(results: &Results) -> String {
    let mut text = format!(
        "{}: {} operations ({}) in {:.1} s, {:.0}/s\n",
        results.scenario, results.operations, results.operation, results.measured_s, results.rate_per_s
    );
    for (name, latency) in &results.latencies {
        text += &format!(
            "  {name:<20} p50 {:>9.1}  p90 {:>9.1}  p99 {:>9.1}  p99.9 {:>9.1}  max {:>9.1} us\n",
            latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us
        );
    }
    if let Some(server) = &results.server {
        text += &format!(
            "  server: {:.2} us of processor time an operation, {:.0} operations for each second of it\n",
            server.cpu_per_operation_us, server.operations_per_cpu_s
        );
    }
    for (reason, count) in &results.errors {
        text += &format!("  error {reason}: {count}\n");
    }
    for fault in &results.faults {
        text += &format!("  FAULT {fault}\n");
    }
    if results.faults_total > 0 {
        text += &format!("  {} faults in all\n", results.faults_total);
    }
    for note in &results.notes {
        text += &format!("  note: {note}\n");
    }
    text
}
