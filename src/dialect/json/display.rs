//! Values as JavaScript shows them: error texts of the protocols quote what the peer sent the way `${value}` prints
//! it, and some fields count by JavaScript's truthiness. Output is capped, because it goes into a reply to the peer.
//! One pass over the value, whatever its nesting; nothing here is on the hot path.

use super::value::{Kind, Value, Walk, unescape};

/// The most bytes that [`display_js`] shows: enough to recognise a value, and a reply stays small.
pub const DISPLAY_BYTES_MAX: usize = 256;

/// JavaScript writes numbers of more digits before the point, or more zeros after it, with an exponent.
const INTEGER_DIGITS_MAX: i32 = 21;
const LEADING_ZEROS_MAX: i32 = 6;

/// What `${value}` prints, cut after [`DISPLAY_BYTES_MAX`] bytes at a character boundary. An absent value is
/// `undefined`, an array its elements joined with `,` (`null` ones empty), an object `[object Object]`.
pub fn display_js(value: Option<Value<'_>>) -> String {
    let mut shown = Shown::default();
    match value {
        None => shown.push_str("undefined"),
        Some(value) if value.is_null() => shown.push_str("null"),
        Some(value) => show(&mut Walk::new(value.raw_str()), &mut shown),
    }
    shown.text
}

/// Whether JavaScript takes the value for true: all but absent, `null`, `false`, zero and the empty string.
pub fn is_truthy(value: Option<Value<'_>>) -> bool {
    let Some(value) = value else { return false };
    match value.kind() {
        Kind::Null => false,
        Kind::Bool => value.as_bool() == Some(true),
        Kind::Number => value.as_f64() != Some(0.0),
        Kind::String { .. } => !value.quoted().is_empty(),
        Kind::Array | Kind::Object => true,
    }
}

/// Text that stops growing at the limit, for good: nothing shorter may follow what did not fit.
#[derive(Default)]
struct Shown {
    text: String,
    is_full: bool,
}

impl Shown {
    fn extend(&mut self, chars: impl IntoIterator<Item = char>) {
        for c in chars {
            if self.is_full || self.text.len() + c.len_utf8() > DISPLAY_BYTES_MAX {
                self.is_full = true;
                return;
            }
            self.text.push(c);
        }
    }

    fn push_str(&mut self, text: &str) {
        self.extend(text.chars());
    }
}

/// Shows the value at the walk's position and passes it. Recursion is bounded by the depth that the parser allows.
fn show(walk: &mut Walk<'_>, shown: &mut Shown) {
    if walk.peek() == b'[' {
        return show_array(walk, shown);
    }
    let Some(value) = walk.next_value() else { return };
    match value.kind() {
        Kind::Null => {}
        Kind::Number => shown.push_str(&number_js(value.as_f64().unwrap_or(f64::NAN))),
        Kind::String { .. } => shown.extend(unescape(value.quoted())),
        Kind::Object => shown.push_str("[object Object]"),
        Kind::Bool | Kind::Array => shown.push_str(value.raw_str()),
    }
}

/// Ends early once nothing more can be shown, wherever the walk is then.
fn show_array(walk: &mut Walk<'_>, shown: &mut Shown) {
    walk.step();
    let mut is_first = true;
    while walk.peek() != b']' && !shown.is_full {
        if !is_first {
            shown.push_str(",");
        }
        is_first = false;
        show(walk, shown);
    }
    walk.step();
}

/// A number as JavaScript writes it: the shortest digits that read back as the same number, without an exponent for
/// 1e-6 up to below 1e21.
fn number_js(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return if number == 0.0 { "0".into() } else { number.to_string() };
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}", place_digits(&digits, exponent))
}

/// `digits` with the point after the first one, times ten to the `exponent`.
fn place_digits(digits: &str, exponent: i32) -> String {
    let before_point = exponent + 1;
    if before_point > INTEGER_DIGITS_MAX || before_point <= -LEADING_ZEROS_MAX {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{first}{point}{rest}e{exponent:+}");
    }
    if before_point <= 0 {
        let zeros = "0".repeat(before_point.unsigned_abs() as usize);
        return format!("0.{zeros}{digits}");
    }
    let before_point = before_point.unsigned_abs() as usize;
    if digits.len() <= before_point {
        return format!("{digits:0<before_point$}");
    }
    let (integer, fraction) = digits.split_at(before_point);
    format!("{integer}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::{Keys, Parsed, Parser};

    const KEYS: Keys = Keys::new(&["v"]);

    fn check(json: &str, expected: &str, truthy: bool) {
        let message = format!("{{\"v\": {json} }}");
        let mut parser = Parser::new();
        let Ok(Parsed::Object(object)) = parser.parse(&KEYS, message.as_bytes()) else {
            panic!("not an object: {message}")
        };
        let value = object.get(KEYS.key("v"));
        assert_eq!(display_js(value), expected, "{json}");
        assert_eq!(is_truthy(value), truthy, "{json}");
    }

    #[test]
    fn an_absent_value_is_undefined_and_not_truthy() {
        assert_eq!(display_js(None), "undefined");
        assert!(!is_truthy(None));
    }

    #[test]
    fn words_and_strings_are_shown_bare() {
        check("null", "null", false);
        check("true", "true", true);
        check("false", "false", false);
        check(r#""""#, "", false);
        check(r#""0""#, "0", true);
        check(r#""a\u0062\n\ud83d\ude00ä""#, "ab\n😀ä", true);
    }

    #[test]
    fn numbers_are_shown_as_javascript_writes_them() {
        for (json, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("-1.50", "-1.5"),
            ("1e3", "1000"),
            ("123456789.125", "123456789.125"),
            ("100000000000000000000", "100000000000000000000"),
            ("12345678901234567890", "12345678901234567000"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.0000015", "0.0000015"),
            ("0.0000001", "1e-7"),
            ("-1.25e-9", "-1.25e-9"),
            ("0.1", "0.1"),
            ("5e-324", "5e-324"),
        ] {
            check(json, expected, true);
        }
    }

    #[test]
    fn every_zero_is_shown_alike_and_is_not_truthy() {
        for json in ["0", "-0", "0.0", "0e5", "1e-400"] {
            check(json, "0", false);
        }
    }

    #[test]
    fn arrays_join_their_elements_and_objects_hide_theirs() {
        check("[]", "", true);
        check("{}", "[object Object]", true);
        check(r#"{"a":[1,2]}"#, "[object Object]", true);
        check(r#"[1, "b" ,null,[true,[ ],[2.50]],{"c":"]"}]"#, "1,b,,true,,2.5,[object Object]", true);
        check("[null]", "", true);
        check("[[],[]]", ",", true);
    }

    #[test]
    fn what_is_shown_is_cut_at_a_character_boundary() {
        check(&format!("\"{}\"", "x".repeat(1000)), &"x".repeat(DISPLAY_BYTES_MAX), true);
        check(&format!("\"a{}\"", "ä".repeat(1000)), &format!("a{}", "ä".repeat(127)), true);
        check(&format!("[\"{}ä\",1]", "x".repeat(255)), &"x".repeat(255), true);
        check(&format!("[{}0]", "0,".repeat(1000)), &"0,".repeat(DISPLAY_BYTES_MAX / 2), true);
    }
}
