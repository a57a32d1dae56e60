//! The parts of a run's page beside the plots: headline, key numbers, tables.

use super::markup::{Table, escape, section};
use crate::invocation;
use crate::report::headline::{self, Verdict};
use crate::report::units;
use crate::results::{Latency, Results, ServerUse};

/// The top of the page: verdict, one sentence, key numbers.
pub fn header(results: &Results) -> String {
    let verdict = Verdict::of(results);
    let (class, sign) = match verdict {
        Verdict::Correct => ("good", "✓"),
        Verdict::Faulty => ("bad", "✗"),
        Verdict::Empty => ("bad", "!"),
    };
    format!(
        r#"<header><p class="eyebrow">{} · {}</p><h1>{} <span class="verdict {class}"><span aria-hidden="true">{sign}</span> {}</span></h1><p class="lead">{}</p><p class="quiet">{}</p>{}</header>"#,
        escape(&results.generator),
        units::moment(results.started_unix_s),
        escape(&results.scenario),
        verdict.word(),
        escape(&headline::sentence(results)),
        escape(&verdict.sentence(results)),
        tiles(results)
    )
}

fn tiles(results: &Results) -> String {
    let operations = headline::many(&results.operation);
    let mut tiles = vec![(format!("{operations} a second"), units::amount(results.rate_per_s))];
    if let Some((name, latency)) = headline::main_latency(results).filter(|(_, latency)| latency.count > 0) {
        let name = headline::words(name);
        let times = [
            ("p50", latency.p50_us),
            ("p99", latency.p99_us),
            ("p99.9", latency.p999_us),
            ("max", latency.max_us),
        ];
        tiles.extend(times.map(|(label, us)| (format!("{name}, {label}"), units::time(us))));
    }
    tiles.push(("errors".to_owned(), units::count(headline::errors(results))));
    if let Some(server) = &results.server {
        tiles.push((
            format!("server's processor a {}", results.operation),
            units::time(server.cpu_per_operation_us),
        ));
        let bytes = server.bytes_per_connection;
        tiles.extend(bytes.map(|bytes| ("server's memory a connection".to_owned(), units::bytes(bytes))));
    }
    let tile = |(label, value): &(String, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(value))
    };
    format!(r#"<dl class="tiles">{}</dl>"#, tiles.iter().map(tile).collect::<String>())
}

/// The latencies as a table; nothing if there are none.
pub fn latency_table(results: &Results) -> String {
    if results.latencies.is_empty() {
        return String::new();
    }
    let head = ["latency", "count", "min", "mean", "p50", "p90", "p99", "p99.9", "max"];
    let rows = results.latencies.iter().map(|(name, latency)| latency_row(name, latency)).collect();
    Table { caption: "Latencies", head: &head, numbers: true, rows }.html()
}

fn latency_row(name: &str, latency: &Latency) -> Vec<String> {
    let Latency { min_us, mean_us, p50_us, p90_us, p99_us, p999_us, max_us, .. } = *latency;
    let time = |us| if latency.count == 0 { "–".to_owned() } else { units::time(us) };
    let times = [min_us, mean_us, p50_us, p90_us, p99_us, p999_us, max_us].map(time);
    [headline::words(name), units::count(latency.count)].into_iter().chain(times).collect()
}

/// What a reader has to know.
pub fn notes(results: &Results) -> String {
    if results.notes.is_empty() {
        return String::new();
    }
    section("notes", "Notes", &list(&results.notes))
}

/// Breaches of correctness, before anything else on the page.
pub fn faults(results: &Results) -> String {
    if results.faults_total == 0 {
        return String::new();
    }
    let shown = results.faults.len() as u64;
    let rest = results.faults_total.saturating_sub(shown);
    let more = if rest == 0 { String::new() } else { format!("<p>and {} more</p>", units::count(rest)) };
    let body = format!(r#"<div class="faults">{}{more}</div>"#, list(&results.faults));
    section("faults", &format!("Faults ({})", units::count(results.faults_total)), &body)
}

fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
    format!("<ul>{items}</ul>")
}

/// Errors by reason with their shares.
pub fn errors(results: &Results) -> String {
    if headline::errors(results) == 0 {
        return section("errors", "Errors", "<p>None.</p>");
    }
    let ended = (results.operations + headline::errors(results)) as f64;
    let row = |(reason, number): (&String, &u64)| {
        vec![reason.clone(), units::count(*number), units::share(*number as f64 / ended)]
    };
    let rows = results.errors.iter().map(row).collect();
    let head = ["reason", "operations", "share of what ended"];
    section(
        "errors",
        "Errors",
        &Table { caption: "Errors by reason", head: &head, numbers: true, rows }.html(),
    )
}

/// What the server used, if it is known.
pub fn server(results: &Results) -> String {
    let Some(server) = &results.server else { return String::new() };
    let rows = server_rows(server, &results.operation);
    let table = Table { caption: "What the server used", head: &["measure", "value"], numbers: true, rows };
    section("server", "Server", &table.html())
}

fn server_rows(server: &ServerUse, operation: &str) -> Vec<Vec<String>> {
    let seconds = |seconds: f64| units::time(seconds * 1e6);
    let memory = |bytes: u64| units::bytes(bytes as f64);
    let rows = [
        ("processor time".to_owned(), Some(seconds(server.cpu_s))),
        ("of it in user code (sampled)".to_owned(), Some(seconds(server.cpu_user_s))),
        ("of it in the kernel (sampled)".to_owned(), Some(seconds(server.cpu_system_s))),
        (format!("processor time a {operation}"), Some(units::time(server.cpu_per_operation_us))),
        (
            format!("{} for each second of processor time", headline::many(operation)),
            Some(units::amount(server.operations_per_cpu_s)),
        ),
        (
            "anonymous memory before the first connection".to_owned(),
            server.anonymous_before_bytes.map(memory),
        ),
        ("anonymous memory at the end".to_owned(), server.anonymous_after_bytes.map(memory)),
        ("growth for each connection".to_owned(), server.bytes_per_connection.map(units::bytes)),
    ];
    rows.into_iter().filter_map(|(name, value)| Some(vec![name, value?])).collect()
}

/// Counts, parameters, machine and the command that repeats the run.
pub fn rest(results: &Results) -> String {
    let counts = results.counts.iter().map(|(name, value)| vec![headline::words(name), units::count(*value)]);
    let counts =
        Table { caption: "Counts", head: &["what", "number"], numbers: true, rows: counts.collect() };
    let parameters = results.parameters.iter().map(|(name, value)| vec![name.clone(), value.clone()]);
    let parameters = Table {
        caption: "Parameters",
        head: &["option", "value"],
        numbers: false,
        rows: parameters.collect(),
    };
    let machine = &results.machine;
    let rows = [
        ("processor", machine.processor.clone()),
        ("processors in use", units::count(machine.processors)),
        ("kernel", machine.kernel.clone()),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]).into();
    let machine =
        Table { caption: "Where the generator ran", head: &["what", "value"], numbers: false, rows };
    let command = escape(&invocation::again(results));
    let again = format!(r#"<pre tabindex="0"><code>{command}</code></pre>"#);
    [
        section("counts", "Counts", &counts.html()),
        section("parameters", "Parameters", &parameters.html()),
        section("machine", "Machine", &machine.html()),
        section("again", "Run it again", &again),
    ]
    .concat()
}
