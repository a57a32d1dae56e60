//! What somebody who waits is told: one live line on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use super::tally::{Interval, Span, histogram};
use crate::engine::timers::SECOND;
use crate::report::units;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(200);
const NANOS_IN_MICRO: f64 = 1e3;

/// Shows how a run goes on, on standard error.
pub struct Progress {
    way: Way,
    workers: usize,
    /// Of the measured part, in seconds.
    duration: f64,
    /// Of the second that is being gathered.
    main: Histogram<u64>,
    operations: u64,
    connections: u64,
    seconds: f64,
    gathered: usize,
    /// Due and not begun, at most, in that second.
    waiting: u64,
    /// Of the whole run.
    errors: u64,
    faults: u64,
}

/// How it is shown.
enum Way {
    Bar(ProgressBar),
    Lines { last: Instant },
    Not,
}

impl Progress {
    /// `quiet`: not at all. The measured part takes `duration` seconds.
    pub fn new(workers: usize, quiet: bool, duration: f64) -> Self {
        let way = if quiet {
            Way::Not
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            Way::Bar(bar)
        } else {
            Way::Lines { last: Instant::now() }
        };
        Self {
            way,
            workers,
            duration,
            main: histogram(),
            operations: 0,
            connections: 0,
            seconds: 0.0,
            gathered: 0,
            waiting: 0,
            errors: 0,
            faults: 0,
        }
    }

    /// Takes a worker's second; shows it when all have handed one over.
    pub fn add(&mut self, interval: &Interval, started: bool) {
        let tally = &interval.tally;
        if let Some(main) = tally.latencies.first() {
            self.main.add(main).expect("both have the same bounds");
        }
        self.operations += tally.operations;
        self.connections += interval.connections;
        self.seconds += interval.length as f64 / 1e9;
        self.errors += tally.errors_total;
        self.faults += tally.faults_total;
        self.waiting += tally.queue_max;
        self.gathered += 1;
        if self.gathered < self.workers {
            return;
        }
        let mut phase = phase(tally.span, started).to_owned();
        if matches!(tally.span, Span::Slot(_)) {
            let seconds = (interval.ended as f64 / SECOND as f64).round();
            phase += &format!(" ({seconds} of {} s)", self.duration);
        }
        self.show(&phase);
        self.main.reset();
        (self.operations, self.connections, self.seconds) = (0, 0, 0.0);
        (self.gathered, self.waiting) = (0, 0);
    }

    fn show(&mut self, phase: &str) {
        let length = self.seconds / self.workers as f64;
        let mut text = format!("{phase}: {} connections", self.connections);
        if self.operations > 0 && length > 0.0 {
            text += &format!(", {}", units::rate(self.operations as f64 / length));
        }
        if !self.main.is_empty() {
            let at = |quantile| self.main.value_at_quantile(quantile) as f64 / NANOS_IN_MICRO;
            text += &format!(", p50 {}, p99 {}", units::time(at(0.5)), units::time(at(0.99)));
        }
        if self.waiting > 0 {
            text += &format!(", {} waiting", self.waiting);
        }
        text += &format!(", {} errors", self.errors);
        if self.faults > 0 {
            text += &format!(", {} FAULTS", self.faults);
        }
        match &mut self.way {
            Way::Bar(bar) => bar.set_message(text),
            Way::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{text}");
            }
            Way::Lines { .. } | Way::Not => {}
        }
    }

    /// Takes the live line away.
    pub fn end(&self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }
}

fn phase(span: Span, started: bool) -> &'static str {
    match span {
        Span::Before if started => "warming up",
        Span::Before => "connecting",
        Span::Slot(_) => "measuring",
        Span::After => "ending",
    }
}
