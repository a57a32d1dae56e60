//! What a run found, in the form in which it is kept: written by `--json`, drawn by `--report`, read by `compare`.
//!
//! Plain data, all units in the names: `_s` seconds, `_us` microseconds, `_per_s` for each second of wall time.
//! Invariant: a file written by an older version is read or refused by its `format`, never misread.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of this form; raised when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// Everything one run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// Name and version of the generator.
    pub generator: String,
    /// The scenario's name as on the command line.
    pub scenario: String,
    /// What the run was asked to do: every option with the value that held, the seed too.
    pub parameters: BTreeMap<String, String>,
    /// When it began, seconds since 1970.
    pub started_unix_s: u64,
    /// Where the generator ran.
    pub machine: Machine,
    /// Length of the measured part, without the warm-up.
    pub measured_s: f64,
    /// What one operation is, such as `call` or `message`.
    pub operation: String,
    /// Operations completed while measured.
    pub operations: u64,
    /// Completed operations a second.
    pub rate_per_s: f64,
    /// By name, such as `ring_to_connected`. In an open loop they begin when the operation was due, not when it was sent.
    pub latencies: BTreeMap<String, Latency>,
    /// The name of the latency that the time line is about; absent in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main_latency: Option<String>,
    /// By name, such as `messages_sent`, `bytes_received`, `connections`.
    pub counts: BTreeMap<String, u64>,
    /// Operations that failed in a way the protocol allows, by reason, such as `busy:offline`.
    pub errors: BTreeMap<String, u64>,
    /// Breaches of correctness: frames lost, doubled, reordered or misdelivered. Any makes the run fail. The first few.
    pub faults: Vec<String>,
    /// How many there were.
    pub faults_total: u64,
    /// One entry for each second of the measured part, in order.
    pub timeline: Vec<Slot>,
    /// What the server used, if its process or metrics could be read.
    pub server: Option<ServerUse>,
    /// What a reader has to know, such as a generator that was itself the limit.
    pub notes: Vec<String>,
}

/// Where the generator ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors this process may use.
    pub processors: u64,
    /// The processor's name.
    pub processor: String,
    /// The kernel's release.
    pub kernel: String,
}

/// A distribution of times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Values recorded.
    pub count: u64,
    /// The least.
    pub min_us: f64,
    /// The arithmetic mean.
    pub mean_us: f64,
    /// Half are below.
    pub p50_us: f64,
    /// 90 % are below.
    pub p90_us: f64,
    /// 99 % are below.
    pub p99_us: f64,
    /// 99.9 % are below.
    pub p999_us: f64,
    /// The greatest.
    pub max_us: f64,
    /// The curve: quantile (0 to 1) and value, ascending, denser towards 1.
    pub curve: Vec<(f64, f64)>,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// When it ended, from the start of the measured part.
    pub at_s: f64,
    /// Its length.
    pub length_s: f64,
    /// Operations completed in it.
    pub operations: u64,
    /// Operations that failed in it.
    pub errors: u64,
    /// Of the scenario's main latency, of this second only; absent if nothing was recorded.
    pub p50_us: Option<f64>,
    /// As above.
    pub p99_us: Option<f64>,
    /// As above.
    pub max_us: Option<f64>,
    /// Connections open at its end.
    pub connections: u64,
    /// The server's anonymous memory at its end, bytes, if it could be read.
    pub server_anonymous_bytes: Option<u64>,
}

/// What the server used during the measured part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerUse {
    /// Processor time, exact.
    pub cpu_s: f64,
    /// Of that in user code, sampled by the kernel.
    pub cpu_user_s: f64,
    /// Of that in the kernel, sampled.
    pub cpu_system_s: f64,
    /// Processor time for one operation.
    pub cpu_per_operation_us: f64,
    /// Operations for each second of its processor time.
    pub operations_per_cpu_s: f64,
    /// Anonymous memory before the first connection, bytes.
    pub anonymous_before_bytes: Option<u64>,
    /// At the end of the measured part.
    pub anonymous_after_bytes: Option<u64>,
    /// Growth for each connection that this run opened.
    pub bytes_per_connection: Option<f64>,
}
