//! Records for other programs: comma-separated values as RFC 4180 has them, and JSON lines.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::table::is_invisible;
use crate::store::records::query::{Kept, Summary};

/// The first line: the names of the JSON fields.
pub(super) const CSV_HEAD: &str = "call_id,from,to,mode,started_at,answered_at,ended_at,end_reason,ended_by,messages,\
    dialect,node,ring_us,answer_us,talk_us,messages_to_callee,messages_to_caller,bytes_to_callee,bytes_to_caller,\
    forwarded,link\r\n";

/// Writes one record as a line of comma-separated values. What is not there is empty.
pub(super) fn csv(kept: &Kept, out: &mut impl Write) -> io::Result<()> {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let fields = [
        field(&kept.call_id),
        field(&kept.from),
        field(&kept.to),
        field(&kept.mode),
        kept.started_at.to_string(),
        number(kept.answered_at),
        kept.ended_at.to_string(),
        field(&kept.end_reason),
        field(&kept.ended_by),
        kept.messages.to_string(),
        field(&kept.dialect),
        field(&kept.node),
        number(kept.ring_us),
        number(kept.answer_us),
        number(kept.talk_us),
        kept.messages_to_callee.to_string(),
        kept.messages_to_caller.to_string(),
        kept.bytes_to_callee.to_string(),
        kept.bytes_to_caller.to_string(),
        field(kept.forwarded.as_deref().unwrap_or_default()),
        field(kept.link.as_deref().unwrap_or_default()),
    ];
    write!(out, "{}\r\n", fields.join(","))
}

/// A text in quotes if it needs them. Clients choose addresses and reasons: what a spreadsheet would take for a formula gets a
/// quote mark before it, and what would move a cursor or cannot be seen is written as an escape.
fn field(text: &str) -> String {
    const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
    let mut shown = String::from(if text.starts_with(FORMULA) { "'" } else { "" });
    for c in text.chars() {
        match c {
            '\n' => shown.push(c),
            c if c.is_control() || is_invisible(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    if shown.contains([',', '"', '\n']) { format!("\"{}\"", shown.replace('"', "\"\"")) } else { shown }
}

/// Writes one record as a JSON object and a newline.
pub(super) fn json(kept: &Kept, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, kept)?;
    out.write_all(b"\n")
}

/// Writes sums as one JSON object on a line.
pub(super) fn summary_json(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let reasons: Vec<Value> =
        summary.reasons.iter().map(|(reason, calls)| json!({ "reason": reason, "calls": calls })).collect();
    let mut object = Map::new();
    for (name, value) in sums(summary) {
        object.insert(name, value);
    }
    object.insert("reasons".to_owned(), Value::Array(reasons));
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

/// Writes sums as comma-separated values: the name of a sum and the sum, and the reasons with `reason` before them.
pub(super) fn summary_csv(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"sum,reason,value\r\n")?;
    for (name, value) in sums(summary) {
        let shown = if value.is_null() { String::new() } else { value.to_string() };
        write!(out, "{name},,{shown}\r\n")?;
    }
    for (reason, calls) in &summary.reasons {
        write!(out, "calls,{},{calls}\r\n", field(reason))?;
    }
    Ok(())
}

/// The sums by their names; times in microseconds, as in the records. A time that no call had is null.
fn sums(summary: &Summary) -> Vec<(String, Value)> {
    let mut sums: Vec<(String, Value)> = [
        ("calls", summary.calls),
        ("answered", summary.answered),
        ("messages", summary.messages),
        ("bytes", summary.bytes),
        ("calls_of_other_reasons", summary.other_reasons),
    ]
    .map(|(name, sum)| (name.to_owned(), json!(sum)))
    .into();
    for (name, spans) in [("ring", summary.ring), ("answer", summary.answer), ("talk", summary.talk)] {
        let time = |us: u64| if spans.count == 0 { Value::Null } else { json!(us) };
        sums.push((format!("{name}_calls"), json!(spans.count)));
        sums.push((format!("{name}_mean_us"), time(spans.mean_us as u64)));
        sums.push((format!("{name}_p50_us"), time(spans.p50_us)));
        sums.push((format!("{name}_p95_us"), time(spans.p95_us)));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::kept;
    use super::*;

    #[test]
    fn texts_with_commas_quotes_and_lines_stay_one_field() {
        let kept = Kept { end_reason: "he said \"no\",\nthen left".to_owned(), ..kept() };
        let mut out = Vec::new();
        csv(&kept, &mut out).expect("a Vec takes any write");
        let line = String::from_utf8(out).expect("text");
        assert!(line.contains(",\"he said \"\"no\"\",\nthen left\",caller,"), "{line}");
        assert!(line.ends_with(",through,parent.test\r\n"), "{line}");
    }

    #[test]
    fn what_clients_call_themselves_is_neither_a_formula_nor_a_command() {
        for (given, written) in [
            ("=cmd|calc@x.test", "'=cmd|calc@x.test"),
            ("@SUM(1)", "'@SUM(1)"),
            ("-2,5@x.test", "\"'-2,5@x.test\""),
            ("a\u{1b}[2J\u{202e}b@x.test", "a\\u{1b}[2J\\u{202e}b@x.test"),
            ("plain@x.test", "plain@x.test"),
        ] {
            assert_eq!(field(given), written);
        }
    }

    #[test]
    fn sums_have_the_same_names_in_both_formats() {
        let reasons = vec![("he said \"no\"".to_owned(), 2), ("normal".to_owned(), 1)];
        let summary = Summary { calls: 3, answered: 1, reasons, ..Summary::default() };
        let (mut csv, mut object) = (Vec::new(), Vec::new());
        summary_csv(&summary, &mut csv).expect("a Vec takes any write");
        summary_json(&summary, &mut object).expect("a Vec takes any write");
        let csv = String::from_utf8(csv).expect("text");
        let object: Value = serde_json::from_slice(&object).expect("JSON");
        for line in csv.lines().skip(1) {
            let (name, rest) = line.split_once(',').expect("three fields");
            let Some(value) = rest.strip_prefix(',') else { continue };
            let shown = if value.is_empty() { "null" } else { value };
            assert_eq!(object[name].to_string(), shown, "{name}");
        }
        assert!(csv.contains("calls,\"he said \"\"no\"\"\",2\r\n"), "{csv}");
        assert_eq!(object["reasons"][1], json!({"reason": "normal", "calls": 1}));
        assert_eq!((&object["calls"], &object["ring_p50_us"]), (&json!(3), &Value::Null));
    }

    #[test]
    fn the_names_are_those_of_the_json_fields_in_their_order() {
        let value = serde_json::to_string(&kept()).expect("it encodes");
        let mut rest = value.as_str();
        for name in CSV_HEAD.trim_end().split(',') {
            let at = rest.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} comes in {rest}"));
            rest = &rest[at + 1..];
        }
        assert_eq!(value.matches("\":").count(), CSV_HEAD.split(',').count());
    }
}
