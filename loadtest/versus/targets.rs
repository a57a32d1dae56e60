//! The rows of the table: what is claimed of each figure, and the quantity that has to bear it out.
//!
//! The numbers are those of the project's design, "Speed and memory to reach"; they are not for tuning. A row without a
//! bound is there to be read. Invariant: a row names only sides that its figure has.

use serde::Serialize;

use super::Options;
use super::figure::{
    CROSS, FLOOR, FLOOR_SPINNING, Figure, HUB, HUB_SPINNING, MATCHES, NONE_STOPPED, ONE_STOPPED, SAME,
};
use super::reading::Quantity;

/// What a value has to be.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    /// Whether a value is on the right side.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// A quantity of a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Of {
    /// The side's name.
    pub side: &'static str,
    /// What is read off it.
    pub quantity: Quantity,
}

/// A row, before anything was measured.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Where its numbers come from.
    pub figure: Figure,
    /// What it is about.
    pub what: String,
    /// What the value has to be, if anything.
    #[serde(rename = "target")]
    pub bound: Option<Bound>,
    /// The value, or what the ratio is of.
    pub left: Of,
    /// What the ratio is to.
    pub right: Option<Of>,
}

/// A figure's rows.
pub fn rows(figure: Figure, options: &Options) -> Vec<Row> {
    let Options { pairs, clients, listeners, rate, .. } = options;
    let row = |what: String, bound, left, right| Row { figure, what, bound, left, right };
    let versus =
        |what: String, bound, quantity| row(what, Some(bound), of(HUB, quantity), Some(of(FLOOR, quantity)));
    let per_cpu = |what: &str, least| {
        versus(format!("{what} per CPU-second"), Bound::AtLeast(least), Quantity::OperationsPerCpuS)
    };
    match figure {
        Figure::Call => vec![
            per_cpu(&format!("calls, {pairs} pairs closed loop,"), 0.90),
            row("own user time for a whole call".to_owned(), at_most(1.5), of(HUB, Quantity::UserUs), None),
        ],
        Figure::Msg64 => vec![per_cpu("MSG 64 B ping-pong", 0.92)],
        Figure::Msg1k => vec![per_cpu("MSG 1 KiB ping-pong", 0.92)],
        Figure::Msg16k => vec![per_cpu("MSG 16 KiB ping-pong", 0.85)],
        Figure::Flood => vec![per_cpu("flood of 64 B messages, 32 in flight,", 0.50)],
        Figure::Fanout => vec![per_cpu(&format!("deliveries to {listeners} listeners"), 0.98)],
        Figure::Idle => {
            let what =
                format!("anonymous memory per idle registered connection at {clients}, 30-byte address");
            vec![row(what, at_most(320.0), of(HUB, Quantity::BytesPerConnection), None)]
        }
        Figure::Connect => vec![per_cpu("connect + upgrade + REGISTER", 0.85)],
        Figure::Heartbeat => {
            vec![versus("heartbeat, CPU".to_owned(), Bound::AtMost(1.05), Quantity::CpuUs)]
        }
        Figure::Latency => latency(*rate),
        Figure::Cross => {
            let what =
                format!("call across two shards against inside one, CPU (cores {})", options.cross_cores);
            let [cross, same] = [CROSS, SAME].map(|side| of(side, Quantity::CpuUs));
            vec![row(what, at_most(1.15), cross, Some(same))]
        }
        Figure::Slow => {
            let what = format!("one of {listeners} listeners stops reading, p99 of the others");
            let [one, none] = [ONE_STOPPED, NONE_STOPPED].map(|side| of(side, Quantity::P99Us));
            vec![row(what, at_most(1.05), one, Some(none))]
        }
        Figure::Presence => MATCHES
            .map(|(matches, side)| {
                let bound = (matches == 10).then_some(Bound::AtMost(20.0));
                let what = format!("PRESENCE by domain at {clients} connections, {side}, CPU");
                row(what, bound, of(side, Quantity::CpuUs), None)
            })
            .into(),
        Figure::Tail => tail(*clients),
    }
}

fn of(side: &'static str, quantity: Quantity) -> Of {
    Of { side, quantity }
}

fn at_most(most: f64) -> Option<Bound> {
    Some(Bound::AtMost(most))
}

fn latency(rate: u32) -> Vec<Row> {
    let row = |what: &str, bound, left: &'static str, right: &'static str, quantity| Row {
        figure: Figure::Latency,
        what: format!("ring-to-connected at {rate} calls/s, {what}"),
        bound,
        left: of(left, quantity),
        right: Some(of(right, quantity)),
    };
    vec![
        row("p50", at_most(1.05), HUB, FLOOR, Quantity::P50Us),
        row("p99", at_most(1.2), HUB, FLOOR, Quantity::P99Us),
        row("p99.9", at_most(1.5), HUB, FLOOR, Quantity::P999Us),
        row("p50, hub spinning, floor sleeping", at_most(0.35), HUB_SPINNING, FLOOR, Quantity::P50Us),
        row("p50, both spinning", None, HUB_SPINNING, FLOOR_SPINNING, Quantity::P50Us),
    ]
}

fn tail(clients: u32) -> Vec<Row> {
    let row = |what: &str, bound, quantity, right| Row {
        figure: Figure::Tail,
        what: format!("tail at {clients} connections, {what}"),
        bound,
        left: of(HUB, quantity),
        right,
    };
    let p50 = Some(of(HUB, Quantity::P50Us));
    vec![
        row("ring-to-connected p99.9 to its p50", at_most(3.0), Quantity::P999Us, p50),
        row("longest ring-to-connected", None, Quantity::MaxUs, None),
        row("calls a second", None, Quantity::RatePerS, None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::sample_options;

    #[test]
    fn a_bound_itself_is_on_the_right_side() {
        for (bound, value, holds) in [
            (Bound::AtLeast(0.9), 0.9, true),
            (Bound::AtLeast(0.9), 0.89, false),
            (Bound::AtMost(1.05), 1.05, true),
            (Bound::AtMost(1.05), 1.06, false),
            (Bound::AtMost(1.05), f64::NAN, false),
            (Bound::AtLeast(0.9), f64::NAN, false),
        ] {
            assert_eq!(bound.holds(value), holds, "{bound:?} {value}");
        }
    }

    #[test]
    fn every_figure_has_rows_and_they_name_only_its_sides() {
        let options = sample_options(&[]);
        for figure in Figure::ALL {
            let sides: Vec<_> = figure.sides(&options).iter().map(|side| side.name).collect();
            let rows = rows(figure, &options);
            assert!(rows.iter().any(|row| row.bound.is_some()), "{figure:?}");
            for row in rows {
                let named = [Some(row.left), row.right].into_iter().flatten();
                assert!(named.clone().all(|of| sides.contains(&of.side)), "{row:?}");
            }
        }
    }
}
