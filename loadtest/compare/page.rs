//! The page of a comparison: verdicts, then the curves of both runs in one plot.

use super::rows::Verdict;
use super::{Comparison, Row, interval, ratio, value};
use crate::report::headline;
use crate::report::html::markup::{Table, escape, section};
use crate::report::html::{document, percentiles};
use crate::report::units;
use crate::results::{Latency, Results};

/// The page.
pub fn page(a: &Results, b: &Results, comparison: &Comparison) -> String {
    let warnings: String = comparison.warnings.iter().map(|it| format!("<li>{}</li>", escape(it))).collect();
    let warnings = match warnings.is_empty() {
        true => String::new(),
        false => {
            section("warnings", "Warnings", &format!(r#"<div class="faults"><ul>{warnings}</ul></div>"#))
        }
    };
    let explained = "<p class=\"quiet\">Medians of the seconds of each run. An interval that leaves out 1 is a \
                     difference, unless it is below 2 %.</p>";
    let body = [
        header(a, b),
        "<main>".to_owned(),
        warnings,
        section("judged", "Judged by the seconds", &(explained.to_owned() + &judged(&comparison.judged))),
        curves(a, b),
        section("unjudged", "One number for each run", &unjudged(&comparison.unjudged)),
        "</main>".to_owned(),
    ];
    document(&format!("{} compared · SystemX load test", b.scenario), &body.concat())
}

fn header(a: &Results, b: &Results) -> String {
    let when = |run: &Results| format!("{}, {}", units::moment(run.started_unix_s), escape(&run.generator));
    format!(
        r#"<header><p class="eyebrow">SystemX load test, two runs</p><h1>{}</h1><p class="lead">a: {}<br>b: {}</p></header>"#,
        escape(&b.scenario),
        when(a),
        when(b)
    )
}

fn judged(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let verdict = row.reason.unwrap_or(row.verdict.word()).to_owned();
        // On a narrow screen the last column is out of sight.
        [shown(row), vec![verdict, interval(row)]].concat()
    };
    let head = ["measure", "a", "b", "b/a", "verdict", "99 % interval"];
    let rows = rows.iter().map(cells).collect();
    let html =
        Table { caption: "Judged by the seconds of both runs", head: &head, numbers: true, rows }.html();
    [Verdict::Better, Verdict::Worse].iter().fold(html, |html, verdict| {
        let word = verdict.word();
        html.replace(&format!("<td>{word}</td>"), &format!(r#"<td class="{word}">{word}</td>"#))
    })
}

fn unjudged(rows: &[Row]) -> String {
    let rows = rows.iter().map(shown).collect();
    Table { caption: "Not judged", head: &["measure", "a", "b", "b/a"], numbers: true, rows }.html()
}

fn shown(row: &Row) -> Vec<String> {
    vec![row.name.clone(), value(row.unit, row.a), value(row.unit, row.b), ratio(row)]
}

/// The curves of the main latency of both.
fn curves(a: &Results, b: &Results) -> String {
    let of = |label: &str, run: &'_ Results| -> Option<(String, Latency)> {
        headline::main_latency(run).map(|(name, latency)| (format!("{label}: {name}"), latency.clone()))
    };
    let both: Vec<(String, Latency)> = [of("a", a), of("b", b)].into_iter().flatten().collect();
    let both: Vec<(String, &Latency)> = both.iter().map(|(name, latency)| (name.clone(), latency)).collect();
    percentiles::plot(&both).map_or(String::new(), |plot| section("latencies", "Latency", &plot.html()))
}
