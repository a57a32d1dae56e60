//! What one side of a figure showed in one round, and the quantities that are read off it.
//!
//! Arithmetic only. Invariant: a quantity that was not measured is `None` and never 0, so that it can neither reach nor
//! miss a target.

use serde::Serialize;

use super::figure::Figure;
use crate::results::{Latency, Results};

const MICROS_IN_SECOND: f64 = 1e6;

/// One measurement.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Reading {
    /// What was measured.
    pub figure: Figure,
    /// In which round, from 0 on.
    pub round: usize,
    /// Which of the sides that are measured in turn.
    pub side: &'static str,
    /// The scenario as on the command line.
    pub scenario: String,
    /// Completed while measured.
    pub operations: u64,
    /// Length of the measured part.
    pub measured_s: f64,
    /// The server's processor time in it, exact.
    pub cpu_s: f64,
    /// Of that in user code, sampled by the kernel.
    pub cpu_user_s: f64,
    /// Of that in the kernel, sampled.
    pub cpu_system_s: f64,
    /// Growth of the server's anonymous memory for each connection.
    pub bytes_per_connection: Option<f64>,
    /// The latency that the figure is about.
    pub latency: Option<Times>,
    /// What a reader has to know, such as a generator that was itself the limit.
    pub notes: Vec<String>,
}

/// Percentiles of a latency.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Times {
    /// Half are below.
    pub p50_us: f64,
    /// 99 % are below.
    pub p99_us: f64,
    /// 99.9 % are below.
    pub p999_us: f64,
    /// The greatest.
    pub max_us: f64,
}

impl From<&Latency> for Times {
    fn from(from: &Latency) -> Self {
        Self { p50_us: from.p50_us, p99_us: from.p99_us, p999_us: from.p999_us, max_us: from.max_us }
    }
}

impl Reading {
    /// Of a run; `None` if the server's figures could not be read. `latency` is the name of the one that is kept.
    pub fn of(place: (Figure, usize, &'static str), latency: &str, results: &Results) -> Option<Self> {
        let (figure, round, side) = place;
        let server = results.server.as_ref()?;
        Some(Self {
            figure,
            round,
            side,
            scenario: String::new(),
            operations: results.operations,
            measured_s: results.measured_s,
            cpu_s: server.cpu_s,
            cpu_user_s: server.cpu_user_s,
            cpu_system_s: server.cpu_system_s,
            bytes_per_connection: server.bytes_per_connection,
            latency: results.latencies.get(latency).map(Times::from),
            notes: results.notes.clone(),
        })
    }

    fn each_us(&self, seconds: f64) -> Option<f64> {
        (self.operations > 0).then(|| seconds * MICROS_IN_SECOND / self.operations as f64)
    }
}

/// What is read off a measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Operations for each second of the server's processor time.
    OperationsPerCpuS,
    /// Operations for each second on the clock.
    RatePerS,
    /// The server's processor time for an operation, microseconds.
    CpuUs,
    /// Of that in user code.
    UserUs,
    /// Of that in the kernel.
    SystemUs,
    /// Of the latency, microseconds; as the following.
    P50Us,
    /// 99 %.
    P99Us,
    /// 99.9 %.
    P999Us,
    /// The greatest.
    MaxUs,
    /// The server's memory for a connection.
    BytesPerConnection,
}

impl Quantity {
    /// Its value, if it was measured.
    pub fn of(self, reading: &Reading) -> Option<f64> {
        let per = |seconds: f64| (seconds > 0.0).then(|| reading.operations as f64 / seconds);
        match self {
            Self::OperationsPerCpuS => per(reading.cpu_s),
            Self::RatePerS => per(reading.measured_s),
            Self::CpuUs => reading.each_us(reading.cpu_s),
            Self::UserUs => reading.each_us(reading.cpu_user_s),
            Self::SystemUs => reading.each_us(reading.cpu_system_s),
            Self::P50Us => reading.latency.map(|times| times.p50_us),
            Self::P99Us => reading.latency.map(|times| times.p99_us),
            Self::P999Us => reading.latency.map(|times| times.p999_us),
            Self::MaxUs => reading.latency.map(|times| times.max_us),
            Self::BytesPerConnection => reading.bytes_per_connection,
        }
    }

    /// The word for it where two of one side are compared.
    pub fn word(self) -> &'static str {
        match self {
            Self::OperationsPerCpuS => "per CPU-second",
            Self::RatePerS => "per second",
            Self::CpuUs => "CPU",
            Self::UserUs => "user",
            Self::SystemUs => "system",
            Self::P50Us => "p50",
            Self::P99Us => "p99",
            Self::P999Us => "p99.9",
            Self::MaxUs => "max",
            Self::BytesPerConnection => "bytes",
        }
    }
}

#[cfg(test)]
pub mod sample {
    //! Readings for the tests of this folder.

    use super::*;

    /// One of a call: so many operations, in one second of the processor's time of which a fifth is user code.
    pub fn reading(round: usize, side: &'static str, operations: u64) -> Reading {
        Reading {
            figure: Figure::Call,
            round,
            side,
            scenario: "ring".to_owned(),
            operations,
            measured_s: 2.0,
            cpu_s: 1.0,
            cpu_user_s: 0.2,
            cpu_system_s: 0.8,
            bytes_per_connection: None,
            latency: None,
            notes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::reading;
    use super::*;

    #[test]
    fn quantities_are_for_each_operation_and_each_second() {
        let mut reading = reading(0, "hub", 100_000);
        reading.latency = Some(Times { p50_us: 1.0, p99_us: 2.0, p999_us: 3.0, max_us: 4.0 });
        reading.bytes_per_connection = Some(312.0);
        for (quantity, value) in [
            (Quantity::OperationsPerCpuS, 100_000.0),
            (Quantity::RatePerS, 50_000.0),
            (Quantity::CpuUs, 10.0),
            (Quantity::UserUs, 2.0),
            (Quantity::SystemUs, 8.0),
            (Quantity::P50Us, 1.0),
            (Quantity::P99Us, 2.0),
            (Quantity::P999Us, 3.0),
            (Quantity::MaxUs, 4.0),
            (Quantity::BytesPerConnection, 312.0),
        ] {
            assert_eq!(quantity.of(&reading), Some(value), "{quantity:?}");
        }
    }

    #[test]
    fn what_was_not_measured_has_no_value() {
        let nothing = Reading { cpu_s: 0.0, ..reading(0, "hub", 0) };
        for quantity in [
            Quantity::OperationsPerCpuS,
            Quantity::CpuUs,
            Quantity::UserUs,
            Quantity::P99Us,
            Quantity::BytesPerConnection,
        ] {
            assert_eq!(quantity.of(&nothing), None, "{quantity:?}");
        }
    }
}
