//! What the process takes from the system, as the system says it.

use std::time::Instant;

/// The process, at one moment. What the system does not tell is 0.
#[derive(Clone, Copy, Default, Debug)]
pub struct Process {
    /// When it started, in seconds since the epoch.
    pub started_s: f64,
    /// Processor time so far, user and system.
    pub cpu_s: f64,
    /// Memory held, in bytes.
    pub resident_bytes: u64,
    /// File descriptors in use.
    pub open_fds: u64,
    /// File descriptors that may be in use.
    pub max_fds: u64,
}
