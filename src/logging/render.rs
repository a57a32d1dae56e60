//! The written forms of a log line: text (spec 22), JSON, and the coloured form of the log stream (spec 20). Pure: fields in,
//! text out. Guards two invariants: a line is one line with no control characters in it, whatever a peer called itself;
//! and a line is bounded, because every field is cut at a length.

use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::Level;
use tracing::field::{Field, Visit};

use crate::timestamp::Timestamp;

/// Longest value of a field: an address has at most 255 characters, 1,020 bytes. The rest is cut.
const FIELD_BYTES_MAX: usize = 1_024;
/// Longest message: messages are constants, only the start's warnings carry paths and values.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// The field that macros of tracing put the message into.
const MESSAGE_FIELD: &str = "message";
/// A field that keeps an event out of the log stream; see [`LogFeed`](super::feed::LogFeed). It is not written.
const INTERNAL_FIELD: &str = "internal";
/// Keys that a JSON line has of its own; a field of that name gets a prefix.
const RESERVED_KEYS: [&str; 2] = ["ts", "level"];

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";

/// What an event says: its message, and its fields as the inside of a JSON object.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) message: String,
    /// `"key":value,"key":value`, without braces.
    pub(super) context: String,
    /// Whether the event asked to be kept out of the log stream.
    pub(super) internal: bool,
}

impl Rendered {
    /// `[LEVEL] message {json context}`, with a line end.
    pub(super) fn text(&self, level: Level) -> String {
        let mut line = format!("[{}] {}", level_name(level), self.message);
        self.push_context(&mut line);
        line
    }

    /// One JSON object with `ts`, `level`, `message` and the fields, with a line end.
    pub(super) fn json(&self, level: Level, now: Timestamp) -> String {
        let level = level_name(level).to_ascii_lowercase();
        let mut line = format!("{{\"ts\":\"{now}\",\"level\":\"{level}\",\"message\":");
        push_json_text(&mut line, MESSAGE_BYTES_MAX, |text| text.write_str(&self.message));
        if !self.context.is_empty() {
            line.push(',');
            line.push_str(&self.context);
        }
        line.push_str("}\n");
        line
    }

    /// The form of the log stream (spec 20), with a line end.
    pub(super) fn coloured(&self, level: Level, now: Timestamp) -> String {
        let (colour, name) = (colour(level), level_name(level));
        let mut line = format!("{colour}[{name}]{RESET} {DIM}{now}{RESET} {}", self.message);
        self.push_context(&mut line);
        line
    }

    /// Adds fields that are rendered already, those of a span.
    pub(super) fn push_fields(&mut self, fields: &str) {
        if !self.context.is_empty() && !fields.is_empty() {
            self.context.push(',');
        }
        self.context.push_str(fields);
    }

    fn push_context(&self, line: &mut String) {
        if !self.context.is_empty() {
            line.push_str(" {");
            line.push_str(&self.context);
            line.push('}');
        }
        line.push('\n');
    }

    fn push_key(&mut self, key: &str) {
        if !self.context.is_empty() {
            self.context.push(',');
        }
        self.context.push('"');
        if RESERVED_KEYS.contains(&key) {
            self.context.push_str("field_");
        }
        // Field names are Rust identifiers of our own code; nothing in them needs escaping.
        self.context.push_str(key);
        self.context.push_str("\":");
    }

    fn push_plain(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.push_key(field.name());
        // Writing to a String cannot fail.
        let _ = self.context.write_fmt(value);
    }

    fn push_text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == MESSAGE_FIELD {
            let mut text = Escaping::new(&mut self.message, MESSAGE_BYTES_MAX, EscapeFor::Console);
            let _ = text.write_fmt(value);
            return text.finish();
        }
        self.push_key(field.name());
        push_json_text(&mut self.context, FIELD_BYTES_MAX, |text| text.write_fmt(value));
    }
}

impl Visit for Rendered {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push_text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_text(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.push_text(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_plain(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_plain(field, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.push_plain(field, format_args!("{value}"));
        } else {
            self.push_plain(field, format_args!("null"));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == INTERNAL_FIELD {
            self.internal = value;
            return;
        }
        self.push_plain(field, format_args!("{value}"));
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        // The specification has four levels; trace lines of ours are debug lines to the reader.
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => RED,
        Level::WARN => YELLOW,
        Level::INFO => CYAN,
        Level::DEBUG | Level::TRACE => DIM,
    }
}

/// Appends a JSON string with what `write` writes, cut at `bytes_max`.
fn push_json_text(out: &mut String, bytes_max: usize, write: impl FnOnce(&mut Escaping<'_>) -> fmt::Result) {
    out.push('"');
    let mut text = Escaping::new(out, bytes_max, EscapeFor::Json);
    let _ = write(&mut text);
    text.finish();
    out.push('"');
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EscapeFor {
    /// A JSON string: quotes and backslashes are escaped too.
    Json,
    /// A terminal: only control characters are escaped.
    Console,
}

/// Appends text with control characters escaped, up to a length, without a copy in between.
struct Escaping<'a> {
    out: &'a mut String,
    bytes_left: usize,
    is_cut: bool,
    escape_for: EscapeFor,
}

impl<'a> Escaping<'a> {
    fn new(out: &'a mut String, bytes_max: usize, escape_for: EscapeFor) -> Self {
        Self { out, bytes_left: bytes_max, is_cut: false, escape_for }
    }

    fn finish(self) {
        if self.is_cut {
            self.out.push('…');
        }
    }

    fn push(&mut self, character: char) {
        let is_quoted = self.escape_for == EscapeFor::Json && matches!(character, '"' | '\\');
        // char::is_control covers C0, DEL and C1: the latter start terminal sequences on some terminals.
        // The two separators end a line for some readers of JSON lines.
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            let _ = write!(self.out, "\\u{:04x}", u32::from(character));
        } else if is_quoted {
            self.out.push('\\');
            self.out.push(character);
        } else {
            self.out.push(character);
        }
    }
}

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if character.len_utf8() > self.bytes_left {
                self.is_cut = true;
                self.bytes_left = 0;
                // The error ends the formatting of a value that nobody will see the rest of.
                return Err(fmt::Error);
            }
            self.bytes_left -= character.len_utf8();
            self.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(message: &str, context: &str) -> Rendered {
        Rendered { message: message.to_owned(), context: context.to_owned(), internal: false }
    }

    #[test]
    fn a_line_without_fields_has_no_braces() {
        assert_eq!(rendered("started", "").text(Level::INFO), "[INFO] started\n");
        let json = rendered("started", "").json(Level::WARN, Timestamp(0));
        assert_eq!(
            json,
            "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"message\":\"started\"}\n"
        );
    }

    #[test]
    fn the_stream_form_is_coloured_by_level() {
        let line = |level| rendered("m", "\"a\":1").coloured(level, Timestamp(0));
        let rest = "\x1b[0m \x1b[2m1970-01-01T00:00:00.000Z\x1b[0m m {\"a\":1}\n";
        assert_eq!(line(Level::DEBUG), format!("\x1b[2m[DEBUG]{rest}"));
        assert_eq!(line(Level::INFO), format!("\x1b[36m[INFO]{rest}"));
        assert_eq!(line(Level::WARN), format!("\x1b[33m[WARN]{rest}"));
        assert_eq!(line(Level::ERROR), format!("\x1b[31m[ERROR]{rest}"));
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        let mut out = String::new();
        push_json_text(&mut out, 100, |text| text.write_str("a\n\u{1b}[31m\u{9b}\u{7f}\u{2028}\"\\ä😀"));
        assert_eq!(out, "\"a\\u000a\\u001b[31m\\u009b\\u007f\\u2028\\\"\\\\ä😀\"");
        let parsed: String = serde_json::from_str(&out).expect("the form is JSON");
        assert_eq!(parsed, "a\n\u{1b}[31m\u{9b}\u{7f}\u{2028}\"\\ä😀");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let mut out = String::new();
        push_json_text(&mut out, 5, |text| text.write_str("äää"));
        assert_eq!(out, "\"ää…\"");
    }

    proptest::proptest! {
        #[test]
        fn any_text_becomes_one_line_of_json(text: String) {
            let mut out = String::new();
            push_json_text(&mut out, usize::MAX, |escaping| escaping.write_str(&text));
            assert_eq!(serde_json::from_str::<String>(&out).ok(), Some(text));
            assert!(!out.chars().any(char::is_control));
        }
    }
}
