//! Appending JSON to a buffer: strings with their escapes, whole numbers, words. Braces, commas and keys are literal
//! bytes in the dialects, which know their frames; what a peer sent as JSON is copied as it is.
//! Nothing here allocates beyond the growth of the buffer, and everything appended is valid JSON.

use super::special::find_special;

/// Digits of the largest `u64`.
const U64_DIGITS_MAX: usize = 20;

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` as a JSON string, quotes included. Escapes as `JSON.stringify` does, only what must be escaped;
/// text without any such character is copied in one piece.
pub fn push_str_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    out.push(b'"');
    loop {
        let special = find_special(bytes, copied);
        out.extend_from_slice(&bytes[copied..special]);
        let Some(&byte) = bytes.get(special) else { break };
        push_escape(out, byte);
        copied = special + 1;
    }
    out.push(b'"');
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let (high, low) = (HEX_DIGITS[usize::from(byte >> 4)], HEX_DIGITS[usize::from(byte & 0xf)]);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a whole number.
pub fn push_u64(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; U64_DIGITS_MAX];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends `true` or `false`.
pub fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends `null`.
pub fn push_null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        write(&mut out);
        String::from_utf8(out.split_off(7)).unwrap()
    }

    #[test]
    fn plain_text_is_only_quoted() {
        assert_eq!(written(|out| push_str_escaped(out, "")), r#""""#);
        assert_eq!(
            written(|out| push_str_escaped(out, "alice@example.com/ä😀\u{7f}")),
            "\"alice@example.com/ä😀\u{7f}\""
        );
    }

    #[test]
    fn what_must_be_escaped_is_escaped_as_json_stringify_does() {
        let text = "a\"b\\c\u{8}\u{c}\n\r\t\u{0}\u{1f}z";
        assert_eq!(written(|out| push_str_escaped(out, text)), r#""a\"b\\c\b\f\n\r\t\u0000\u001fz""#);
    }

    #[test]
    fn every_character_reads_back_as_itself() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            let text = format!("{c}some more text, past one vector{c}");
            let json = written(|out| push_str_escaped(out, &text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn numbers_have_all_their_digits_and_no_more() {
        for number in [0, 1, 9, 10, 99, 100, 1_763_000_000_000, u64::MAX - 1, u64::MAX] {
            assert_eq!(written(|out| push_u64(out, number)), number.to_string());
        }
    }

    #[test]
    fn words_are_written_in_lower_case() {
        assert_eq!(written(|out| push_bool(out, true)), "true");
        assert_eq!(written(|out| push_bool(out, false)), "false");
        assert_eq!(written(push_null), "null");
    }
}
