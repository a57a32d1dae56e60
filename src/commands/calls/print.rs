//! Records for other programs: comma-separated values as RFC 4180 has them, and JSON lines.

use std::io::{self, Write};

use super::table::is_invisible;
use crate::store::records::query::Kept;

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
