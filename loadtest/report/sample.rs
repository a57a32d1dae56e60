//! Findings for tests: a minute of calls with one hiccup, the same in every run.

use crate::results::{FORMAT, Latency, Machine, Results, ServerUse, Slot};

/// Seconds of the sample.
pub const SECONDS: usize = 60;
/// The second in which the sample stalls.
pub const HICCUP: usize = 37;

/// A minute of `ring`, about 12,000 calls a second, p50 near 92 µs.
pub fn sample() -> Results {
    scaled(1.0, 1)
}

/// The same with every rate multiplied and every time divided, and other noise for another seed.
pub fn scaled(speed: f64, seed: u64) -> Results {
    let timeline: Vec<Slot> = (0..SECONDS).map(|second| slot(second, speed, seed)).collect();
    let operations = timeline.iter().map(|slot| slot.operations).sum();
    let longest = timeline.iter().filter_map(|slot| slot.max_us).fold(0.0, f64::max);
    Results {
        format: FORMAT,
        generator: "systemx-loadtest 0.1.0".into(),
        scenario: "ring".into(),
        parameters: parameters(seed),
        started_unix_s: 1_795_236_481,
        machine: Machine { processors: 2, processor: "Xeon 2.1 GHz".into(), kernel: "6.1.0".into() },
        measured_s: SECONDS as f64,
        operation: "call".into(),
        operations,
        rate_per_s: short(operations as f64 / SECONDS as f64),
        latencies: [
            ("dial_to_connected".to_owned(), latency(operations, 165.0 / speed, short(longest * 1.4))),
            ("dial_to_ring".to_owned(), latency(operations, 74.0 / speed, short(longest * 0.6))),
            ("ring_to_connected".to_owned(), latency(operations, 92.0 / speed, longest)),
        ]
        .into(),
        main_latency: None,
        counts: [("connections".to_owned(), 128), ("messages_sent".to_owned(), operations * 3)].into(),
        errors: [("busy:offline".to_owned(), 9), ("timeout".to_owned(), 3)].into(),
        faults: Vec::new(),
        faults_total: 0,
        timeline,
        server: Some(ServerUse {
            cpu_s: 42.0,
            cpu_user_s: 9.5,
            cpu_system_s: 32.5,
            cpu_per_operation_us: short(42e6 / operations as f64),
            operations_per_cpu_s: short(operations as f64 / 42.0),
            anonymous_before_bytes: Some(6 << 20),
            anonymous_after_bytes: Some(7 << 20),
            bytes_per_connection: Some(412.0),
        }),
        notes: vec!["The generator used 61 % of its processor; the server was the limit.".into()],
    }
}

fn parameters(seed: u64) -> std::collections::BTreeMap<String, String> {
    let given =
        [("url", "ws://127.0.0.1:8080"), ("pairs", "64"), ("duration", "60"), ("cross-shard", "false")];
    let seed = ("seed".to_owned(), seed.to_string());
    given.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain([seed]).collect()
}

/// Noise between -1 and 1 that only depends on its arguments.
fn noise(second: usize, seed: u64) -> f64 {
    let mixed =
        (second as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed >> 40) as f64 / (1u64 << 24) as f64).mul_add(2.0, -1.0)
}

/// With few digits: longer numbers come out of JSON with another last bit.
fn short(value: f64) -> f64 {
    const DIGITS: f64 = 1e7;
    (value * DIGITS).round() / DIGITS
}

fn slot(second: usize, speed: f64, seed: u64) -> Slot {
    let stalled: f64 = if second == HICCUP { 8.0 } else { 1.0 };
    let calm = 1.0 + 0.03 * noise(second, seed);
    let p50 = 92.0 / speed * (1.0 + 0.03 * noise(second, seed + 100)) * stalled.min(1.6);
    Slot {
        at_s: (second + 1) as f64,
        length_s: 1.0,
        operations: (12_300.0 * speed * calm / stalled.min(2.5)) as u64,
        errors: if second == HICCUP { 12 } else { 0 },
        p50_us: Some(short(p50)),
        p99_us: Some(short(p50 * (3.2 + 0.3 * noise(second, seed + 200)) * stalled)),
        max_us: Some(short(p50 * (14.0 + 6.0 * noise(second, seed + 300)) * stalled * stalled)),
        connections: if second == HICCUP { 120 } else { 128 },
        server_anonymous_bytes: Some((7 << 20) + second as u64 * 4_096),
    }
}

fn latency(count: u64, p50: f64, max: f64) -> Latency {
    let at =
        |nines: f64| short((p50 * 0.55 * (1.0 + 0.85 * nines.powf(1.6) + nines.powf(4.0) * 0.25)).min(max));
    let steps = 60;
    let mut curve: Vec<(f64, f64)> = (0..=steps)
        .map(|step| f64::from(step) / 10.0)
        .map(|nines| (short(1.0 - 10f64.powf(-nines)), at(nines)))
        .collect();
    curve.push((1.0, max));
    Latency {
        count,
        min_us: at(0.0),
        mean_us: at(0.36),
        p50_us: at(std::f64::consts::LOG10_2),
        p90_us: at(1.0),
        p99_us: at(2.0),
        p999_us: at(3.0),
        max_us: max,
        curve,
    }
}
