//! A record as it lies in the file: a JSON array, one a line, in blocks that are JSON arrays themselves.
//!
//! So SQLite's own JSON functions can take a block apart (the view `calls` does), and this program finds a text in it without
//! doing so: a block is searched as bytes, and only lines that have what is looked for are parsed. A later version of the
//! file may add values at the end, never move one.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::CallRecord;
use super::query::Kept;

/// Between two rows of a block, and after each on a sheet. No row holds a line feed: JSON escapes it.
pub(super) const SEPARATOR: &[u8] = b",\n";

/// What most records take, in bytes.
const USUAL_BYTES: usize = 256;

/// The values of a row, in their order; their names are the columns of the view `calls`.
#[derive(Deserialize)]
struct Row<'r> {
    #[serde(borrow)]
    call_id: Cow<'r, str>,
    #[serde(borrow)]
    from_address: Cow<'r, str>,
    #[serde(borrow)]
    to_address: Cow<'r, str>,
    #[serde(borrow)]
    mode: Cow<'r, str>,
    started_at: u64,
    answered_at: Option<u64>,
    ended_at: u64,
    #[serde(borrow)]
    end_reason: Cow<'r, str>,
    #[serde(borrow)]
    ended_by: Cow<'r, str>,
    #[serde(borrow)]
    dialect: Cow<'r, str>,
    ring_us: Option<u64>,
    answer_us: Option<u64>,
    talk_us: Option<u64>,
    messages_to_callee: u64,
    messages_to_caller: u64,
    bytes_to_callee: u64,
    bytes_to_caller: u64,
    #[serde(borrow)]
    forwarded: Option<Cow<'r, str>>,
    #[serde(borrow)]
    link: Option<Cow<'r, str>>,
}

/// Appends a record. By hand, because this is what a shard does for each call: serde takes three times as long.
pub(super) fn encode<Text: AsRef<str>>(record: &CallRecord<Text>, out: &mut Vec<u8>) {
    out.reserve(USUAL_BYTES);
    out.push(b'[');
    push_text(out, record.call_id.as_ref());
    push_text(out, record.from.as_ref());
    push_text(out, record.to.as_ref());
    push_word(out, record.mode.word());
    push_number(out, record.started_at_ms);
    push_optional(out, record.answered_at_ms, push_number);
    push_number(out, record.ended_at_ms);
    push_text(out, record.end_reason.as_ref());
    push_word(out, record.ended_by.word());
    push_word(out, record.dialect.word());
    push_optional(out, record.ring_us, push_number);
    push_optional(out, record.answer_us, push_number);
    push_optional(out, record.talk_us, push_number);
    push_number(out, record.to_callee.messages);
    push_number(out, record.to_caller.messages);
    push_number(out, record.to_callee.bytes);
    push_number(out, record.to_caller.bytes);
    push_optional(out, record.forwarded, |out, way| push_word(out, way.word()));
    push_optional(out, record.link.as_ref(), |out, link| push_text(out, link.as_ref()));
    // In the place of the last comma.
    if let Some(last) = out.last_mut() {
        *last = b']';
    }
}

/// A text of anybody's, and a comma, as each of these.
fn push_text(out: &mut Vec<u8>, text: &str) {
    // All bytes are looked at, so that the compiler can look at many at once.
    let is_odd = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    if text.bytes().fold(false, |any, byte| any | is_odd(&byte)) {
        serde_json::to_writer(&mut *out, text).expect("text always encodes, and a Vec takes any write");
        out.push(b',');
    } else {
        push_word(out, text);
    }
}

/// A text that needs no escapes.
fn push_word(out: &mut Vec<u8>, word: &str) {
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\",");
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(bounded(number)).as_bytes());
    out.push(b',');
}

fn push_optional<T>(out: &mut Vec<u8>, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => push(out, value),
        None => out.extend_from_slice(b"null,"),
    }
}

/// SQLite has no integers beyond this.
pub(super) fn bounded(number: u64) -> u64 {
    number.min(i64::MAX.unsigned_abs())
}

/// The record of a line of a block of the exchange that is called `node`; `None` if it is none.
pub(super) fn decode<'l>(line: &'l [u8], node: &'l str) -> Option<Kept<Cow<'l, str>>> {
    let row: Row<'l> = serde_json::from_slice(line).ok()?;
    Some(Kept {
        call_id: row.call_id,
        from: row.from_address,
        to: row.to_address,
        mode: row.mode,
        started_at: row.started_at,
        answered_at: row.answered_at,
        ended_at: row.ended_at,
        end_reason: row.end_reason,
        ended_by: row.ended_by,
        messages: row.messages_to_callee.saturating_add(row.messages_to_caller),
        dialect: row.dialect,
        node: node.into(),
        ring_us: row.ring_us,
        answer_us: row.answer_us,
        talk_us: row.talk_us,
        messages_to_callee: row.messages_to_callee,
        messages_to_caller: row.messages_to_caller,
        bytes_to_callee: row.bytes_to_callee,
        bytes_to_caller: row.bytes_to_caller,
        forwarded: row.forwarded,
        link: row.link,
    })
}

/// The text of a block that holds whole lines of a sheet.
pub(super) fn block(lines: &[u8]) -> Vec<u8> {
    [b"[", lines.strip_suffix(SEPARATOR).unwrap_or(lines), b"]"].concat()
}

/// The text of a block that holds the rows of both; `None` if one is no block.
pub(super) fn joined(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    Some([first.strip_suffix(b"]")?, SEPARATOR, second.strip_prefix(b"[")?].concat())
}

/// The rows of a block, each a JSON array.
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Whatever is no block is a line that is no row.
    let inside = block.strip_prefix(b"[").and_then(|block| block.strip_suffix(b"]")).unwrap_or(b"damaged");
    let mut rest = inside;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        (!line.is_empty()).then(|| line.strip_suffix(b",").unwrap_or(line))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::record::encode_object;
    use super::super::super::record::tests::{record, refused};
    use super::*;

    fn row(record: &CallRecord) -> String {
        let mut row = Vec::new();
        encode(record, &mut row);
        String::from_utf8(row).expect("JSON is UTF-8")
    }

    #[test]
    fn a_row_is_an_array_of_the_documented_values_in_their_order() {
        assert_eq!(
            row(&record(7)),
            concat!(
                r#"["c-1","a@test","b@test","single",1000,2000,3000,"normal","caller","systemx","#,
                r#"500000,1000000,1000000,7,0,70,0,null,null]"#
            )
        );
        assert_eq!(
            row(&refused()),
            concat!(
                r#"["c-1","a@test","b@test","forwarded",1000,null,3000,"no \"such\"\naddress","exchange","systemx","#,
                r#"null,null,null,0,0,0,0,"through","parent.test"]"#
            )
        );
    }

    #[test]
    fn a_row_becomes_the_record_again_whatever_its_texts_hold() {
        for text in ["", "plain", "\"", "\\", "\n\t\u{0}\u{1f}\u{7f}", "é☎\u{2028}", "[1,\"2\"],\n[3"] {
            let whole = CallRecord {
                end_reason: text.into(),
                from: text.into(),
                link: Some(text.into()),
                ..record(1)
            };
            let row = row(&whole);
            let kept = decode(row.as_bytes(), "node").expect("it is a row");
            let mut line = Vec::new();
            encode_object(&whole, "node", &mut line);
            assert_eq!(serde_json::to_vec(&kept).expect("it encodes"), line, "{text:?}");
            assert!(!row.contains('\n'), "{text:?}");
        }
    }

    #[test]
    fn numbers_that_sqlite_does_not_have_become_the_largest_that_it_has() {
        let long = CallRecord { talk_us: Some(u64::MAX), ..record(1) };
        assert!(row(&long).contains(",9223372036854775807,"));
    }

    #[test]
    fn a_block_gives_the_lines_back_and_can_be_joined_with_another() {
        let whole = block(b"[1],\n[22],\n[333],\n");
        assert_eq!(whole, b"[[1],\n[22],\n[333]]");
        assert_eq!(lines(&whole).collect::<Vec<_>>(), [b"[1]".as_slice(), b"[22]", b"[333]"]);
        let joined_text = joined(&whole, &block(b"[4],\n")).expect("both are blocks");
        assert_eq!(joined_text, b"[[1],\n[22],\n[333],\n[4]]");
        assert_eq!(
            (lines(b"[]").count(), joined(b"[[1]x", b"[[2]]"), joined(b"[[1]]", b"2")),
            (0, None, None)
        );
    }
}
