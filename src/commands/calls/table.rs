//! Records and sums for people: columns as wide as they must be, times in UTC, spans in the unit that suits them.
//!
//! Addresses and reasons can be anybody's words: what could move a terminal's cursor is shown as an escape.

use std::fmt::Write as _;

use crate::store::records::query::{Kept, Spans, Summary};
use crate::timestamp::Timestamp;

/// What stands for nothing.
const NONE: &str = "-";
/// Characters of one cell at most; exports have all of it.
const CELL_CHARS_MAX: usize = 64;

const COLUMNS: [&str; 12] =
    ["ENDED", "FROM", "TO", "MODE", "RING", "ANSWER", "TALK", "MESSAGES", "BYTES", "BY", "REASON", "CALL"];

/// A table of at most `limit` rows, and a word about more.
pub(super) fn table(rows: &[Kept], limit: usize) -> String {
    if rows.is_empty() {
        return "no such calls\n".to_owned();
    }
    let mut lines = vec![COLUMNS.map(str::to_owned)];
    lines.extend(rows.iter().take(limit).map(cells));
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    if rows.len() > limit {
        let _ =
            writeln!(text, "there are more; --limit {} shows twice as many", limit.saturating_mul(2).max(1));
    }
    text
}

fn cells(kept: &Kept) -> [String; COLUMNS.len()] {
    let ended = Timestamp(kept.ended_at).to_string();
    let mode = match &kept.forwarded {
        Some(way) => format!("{} ({way})", kept.mode),
        None => kept.mode.clone(),
    };
    [
        ended.replace('T', " "),
        shown(&kept.from),
        shown(&kept.to),
        shown(&mode),
        optional_span(kept.ring_us),
        optional_span(kept.answer_us),
        optional_span(kept.talk_us),
        format!("{}/{}", kept.messages_to_callee, kept.messages_to_caller),
        format!("{}/{}", bytes(kept.bytes_to_callee), bytes(kept.bytes_to_caller)),
        shown(&kept.ended_by),
        shown(&kept.end_reason),
        shown(&kept.call_id),
    ]
}

/// Sums, one to a line.
pub(super) fn summary(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "calls     {}", summary.calls);
    let _ = writeln!(text, "answered  {} ({})", summary.answered, share(summary.answered, summary.calls));
    let _ = writeln!(text, "messages  {} ({})", summary.messages, bytes(summary.bytes));
    text.push_str("\ntime from the dial to       calls  average  p50      p95\n");
    for (name, spans) in [("ring", summary.ring), ("answer", summary.answer)] {
        write_spans(&mut text, name, spans);
    }
    text.push_str("time from the answer to\n");
    write_spans(&mut text, "the end (talk)", summary.talk);
    text.push_str("\nreasons\n");
    for (reason, often) in &summary.reasons {
        let _ = writeln!(text, "  {often:>9}  {:>6}  {}", share(*often, summary.calls), shown(reason));
    }
    if summary.other_reasons > 0 {
        let others = summary.other_reasons;
        let _ = writeln!(text, "  {others:>9}  {:>6}  (others)", share(others, summary.calls));
    }
    text
}

fn write_spans(text: &mut String, name: &str, spans: Spans) {
    let [mean, p50, p95] = match spans.count {
        0 => [NONE; 3].map(str::to_owned),
        _ => [spans.mean_us as u64, spans.p50_us, spans.p95_us].map(span),
    };
    let _ = writeln!(text, "  {name:<19} {:>11}  {mean:<7}  {p50:<7}  {p95}", spans.count);
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 { NONE.to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

fn optional_span(us: Option<u64>) -> String {
    us.map_or_else(|| NONE.to_owned(), span)
}

/// Microseconds in the unit that suits them, three digits or so.
fn span(us: u64) -> String {
    let seconds = us / 1_000_000;
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.1}s", us as f64 / 1e6),
        60_000_000..3_600_000_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes}B"),
        10_000..10_000_000 => format!("{:.1}kB", bytes as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1}MB", bytes as f64 / 1e6),
        _ => format!("{:.1}GB", bytes as f64 / 1e9),
    }
}

/// A text on one line, with no power over the terminal.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (number, c) in text.chars().enumerate() {
        if number == CELL_CHARS_MAX {
            shown.push('…');
            break;
        }
        match c {
            c if c.is_control() || is_invisible(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Marks that turn the direction of writing or take no room: one address could look like another.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::commands::calls) fn kept() -> Kept {
        Kept {
            call_id: "c-1".to_owned(),
            from: "alice@x.test".to_owned(),
            to: "b@y.test".to_owned(),
            mode: "single".to_owned(),
            started_at: 1_795_219_200_000,
            answered_at: None,
            ended_at: 1_795_219_201_500,
            end_reason: "timeout".to_owned(),
            ended_by: "caller".to_owned(),
            messages: 3,
            dialect: "systemx".to_owned(),
            node: "node.test".to_owned(),
            ring_us: Some(1_500),
            answer_us: None,
            talk_us: Some(65_000_000),
            messages_to_callee: 1,
            messages_to_caller: 2,
            bytes_to_callee: 20,
            bytes_to_caller: 12_345,
            forwarded: Some("through".to_owned()),
            link: Some("parent.test".to_owned()),
        }
    }

    #[test]
    fn columns_are_aligned_and_spans_readable() {
        let long = Kept { from: "somebody-with-a-long-name@x.test".to_owned(), ..kept() };
        let text = table(&[kept(), long], 100);
        let lines: Vec<&str> = text.lines().collect();
        let column = |name| lines[0].find(name).expect("the column is there");
        assert!(lines.iter().skip(1).all(|line| line[column("TO")..].starts_with("b@y.test")), "{text}");
        assert!(
            lines[1].contains("1.5ms  -       1m05s  1/2       20B/12.3kB  caller  timeout  c-1"),
            "{text}"
        );
        assert!(lines[1].starts_with("2026-11-21 00:00:01.500Z"), "{text}");
    }

    #[test]
    fn more_rows_than_the_limit_are_said_and_none_too() {
        let text = table(&[kept(), kept()], 1);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("--limit 2 shows twice as many\n"), "{text}");
        assert_eq!(table(&[], 1), "no such calls\n");
    }

    #[test]
    fn nobodys_words_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2J\r\nb\u{202e}"), "a\\u{1b}[2J\\u{d}\\u{a}b\\u{202e}");
        assert_eq!(shown(&"é".repeat(100)).chars().count(), CELL_CHARS_MAX + 1);
    }

    #[test]
    fn sums_without_calls_divide_by_nothing() {
        let text = summary(&Summary::default());
        assert!(text.contains("answered  0 (-)"), "{text}");
    }
}
