//! The Prometheus text format, version 0.0.4: families of samples with help and type, written as they come.
//!
//! Only what the format asks for is done here: escaping, numbers, histograms with cumulative buckets. Which families there
//! are is said in `metrics.rs`. Labels are names of ours; values that could be anybody's words do not become labels.

use std::fmt::Write as _;

use crate::exchange::tally::{BOUNDS_US, Histogram};

/// What kind of family it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Never goes down; its name ends with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

/// A page of metrics as it grows.
#[derive(Default, Debug)]
pub struct Page {
    text: String,
}

/// The family that is being written.
#[derive(Debug)]
pub struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

/// Labels of one sample: names and values, in this order.
pub type Labels<'l> = &'l [(&'static str, &'l str)];

impl Page {
    /// Begins a family; `help` is one line of plain text.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}: counters end with _total");
        debug_assert!(!help.contains(['\n', '\\']), "{name}: help is plain text");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { page: self, name }
    }

    /// A counter of one sample without labels.
    pub fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help).sample(&[], value as f64);
    }

    /// A gauge of one sample without labels.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: f64) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.write("", labels, None, value);
    }

    /// Adds the samples of a histogram of microseconds, in seconds.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let mut below = 0;
        for (bound, count) in BOUNDS_US.iter().zip(histogram.counts) {
            below += count;
            self.write("_bucket", labels, Some(&seconds(*bound).to_string()), below as f64);
        }
        self.write("_bucket", labels, Some("+Inf"), histogram.len() as f64);
        self.write("_sum", labels, None, seconds(histogram.sum_us));
        self.write("_count", labels, None, histogram.len() as f64);
    }

    fn write(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: f64) {
        let text = &mut self.page.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut separator = '{';
        for (name, value) in labels {
            text.push(separator);
            separator = ',';
            text.push_str(name);
            text.push_str("=\"");
            push_escaped(text, value);
            text.push('"');
        }
        if separator == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// Microseconds as seconds.
pub fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_the_format_says() {
        let mut page = Page::default();
        page.counter("systemx_things_total", "Things.", 3);
        let mut family = page.family("systemx_odd", Kind::Gauge, "Odd ones.");
        family.sample(&[("name", "a\\b\"c\nd"), ("shard", "0")], 0.25);
        let expected = concat!(
            "# HELP systemx_things_total Things.\n# TYPE systemx_things_total counter\nsystemx_things_total 3\n",
            "# HELP systemx_odd Odd ones.\n# TYPE systemx_odd gauge\n",
            "systemx_odd{name=\"a\\\\b\\\"c\\nd\",shard=\"0\"} 0.25\n"
        );
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn a_histogram_counts_from_below_and_speaks_of_seconds() {
        let mut histogram = Histogram::default();
        for span_us in [50, 51, 2_000_000, 500_000_000] {
            histogram.note(span_us);
        }
        let mut page = Page::default();
        page.family("systemx_wait_seconds", Kind::Histogram, "Waits.").histogram(&[("of", "x")], &histogram);
        let text = page.into_text();
        for line in [
            "systemx_wait_seconds_bucket{of=\"x\",le=\"0.00005\"} 1",
            "systemx_wait_seconds_bucket{of=\"x\",le=\"0.0001\"} 2",
            "systemx_wait_seconds_bucket{of=\"x\",le=\"2.5\"} 3",
            "systemx_wait_seconds_bucket{of=\"x\",le=\"120\"} 3",
            "systemx_wait_seconds_bucket{of=\"x\",le=\"+Inf\"} 4",
            "systemx_wait_seconds_sum{of=\"x\"} 502.000101",
            "systemx_wait_seconds_count{of=\"x\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
