//! Where the generator runs, for whoever compares two runs.

use std::fs;

use rustix::thread::sched_getaffinity;

use crate::results::Machine;

/// Processors of this machine, whoever may use them.
pub fn processors() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    // A line for all, and one for each.
    stat.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1).max(1) as f64
}

/// This machine, as far as this process can see it.
pub fn describe() -> Machine {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    Machine {
        processors: sched_getaffinity(None).map_or(0, |set| u64::from(set.count())),
        processor: name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
    }
}
