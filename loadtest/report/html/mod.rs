//! One run as one page: nothing is loaded from anywhere, the drawings are SVG made here, and without script only the
//! read-outs beside the plots are missing.
//!
//! Invariant: the page holds no text of others that has not been escaped, and no address to load from.

pub mod markup;
pub mod percentiles;
pub mod plot;
pub mod scale;
mod sections;
pub mod timeline;

use crate::results::{Latency, Results};
use markup::{escape, section};
use plot::Plot;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page of one run.
pub fn page(results: &Results) -> String {
    let body = [
        sections::header(results),
        "<main>".to_owned(),
        sections::faults(results),
        sections::notes(results),
        latency(results),
        timeline(results),
        sections::errors(results),
        sections::server(results),
        sections::rest(results),
        "</main>".to_owned(),
    ];
    document(&format!("{} · SystemX load test", results.scenario), &body.concat())
}

/// A whole document around a body that is already HTML.
pub fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>{STYLE}</style></head>\n\
         <body>{body}<script>{SCRIPT}</script></body></html>\n"
    )
}

fn latency(results: &Results) -> String {
    let latencies: Vec<(String, &Latency)> =
        results.latencies.iter().map(|(name, latency)| (name.clone(), latency)).collect();
    let plot = percentiles::plot(&latencies).as_ref().map(Plot::html).unwrap_or_default();
    let table = sections::latency_table(results);
    if table.is_empty() { table } else { section("latencies", "Latency", &(plot + &table)) }
}

fn timeline(results: &Results) -> String {
    let plots: String = timeline::plots(results).iter().map(Plot::html).collect();
    if plots.is_empty() { plots } else { section("timeline", "Second by second", &plots) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn a_run_without_anything_is_still_a_page() {
        let mut results = sample();
        results.latencies.clear();
        results.timeline.clear();
        results.counts.clear();
        (results.operations, results.rate_per_s, results.server) = (0, 0.0, None);
        let page = page(&results);
        assert!(page.contains("Empty") && page.ends_with("</html>\n"));
        assert!(!page.contains("<figure"));
    }

    #[test]
    fn every_latency_and_option_is_on_the_page() {
        let results = sample();
        let page = page(&results);
        for name in ["dial to connected", "ring to connected", "busy:offline", "ws://127.0.0.1:8080", "Xeon"]
        {
            assert!(page.contains(name), "{name}");
        }
    }

    #[test]
    fn script_and_style_cannot_end_their_element() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</"), "an end tag inside would be taken for the element's own");
        }
    }
}
