//! One JSON value as a span of its message, and reading it on demand: scalars, elements, members.
//! Used off the hot path, on text that the parser has validated: nothing here checks syntax again, and nothing here
//! may be given text from elsewhere. A walk over a value takes time linear in its length.

use std::borrow::Cow;

use super::special::find_special;

/// What sort of value a span holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number, finite as `f64`.
    Number,
    /// A string.
    String {
        /// Whether any character is written as an escape; if not, the content is the source between the quotes.
        has_escape: bool,
    },
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One valid JSON value: the exact text the peer wrote, without surrounding white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'s> {
    text: &'s str,
    kind: Kind,
}

impl<'s> Value<'s> {
    pub(super) fn new(text: &'s str, kind: Kind) -> Self {
        Self { text, kind }
    }

    /// An array or object whose source was taken from a valid message by [`Value::raw`]; `None` for any other value.
    pub fn of_valid(source: &'s [u8]) -> Option<Self> {
        let kind = match source.first()? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            _ => return None,
        };
        std::str::from_utf8(source).ok().map(|text| Self::new(text, kind))
    }

    /// The source of the value, to be relayed as it is.
    pub fn raw(&self) -> &'s [u8] {
        self.text.as_bytes()
    }

    /// The same as text.
    pub fn raw_str(&self) -> &'s str {
        self.text
    }

    /// What sort of value it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The content of a string with its escapes resolved, borrowed if it has none; `None` for any other value.
    pub fn as_str(&self) -> Option<Cow<'s, str>> {
        match self.kind {
            Kind::String { has_escape: false } => Some(Cow::Borrowed(self.quoted())),
            Kind::String { has_escape: true } => Some(Cow::Owned(unescape(self.quoted()).collect())),
            _ => None,
        }
    }

    /// The number nearest to the written one; `None` for any other value. Always finite.
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind == Kind::Number { self.text.parse().ok() } else { None }
    }

    /// `true` or `false`; `None` for any other value.
    pub fn as_bool(&self) -> Option<bool> {
        if self.kind == Kind::Bool { Some(self.text == "true") } else { None }
    }

    /// Whether it is `null`. (An absent field is no value at all.)
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// The elements of an array in their order; `None` for any other value.
    pub fn elements(&self) -> Option<Elements<'s>> {
        if self.kind == Kind::Array { Some(Elements { walk: Walk::inside(self.text) }) } else { None }
    }

    /// The members of an object in their order, repeated keys included; `None` for any other value.
    pub fn members(&self) -> Option<Members<'s>> {
        if self.kind == Kind::Object { Some(Members { walk: Walk::inside(self.text) }) } else { None }
    }

    /// The member of an object with this key, the last one if it is repeated; `None` if it is absent, and for any
    /// value that is no object. Reads the whole object: to look up many names, go through [`Value::members`] once.
    pub fn member(&self, name: &str) -> Option<Value<'s>> {
        self.members()?.filter(|(key, _)| key == name).last().map(|(_, value)| value)
    }

    /// What stands between the quotes of a string, escapes unresolved.
    pub(super) fn quoted(&self) -> &'s str {
        &self.text[1..self.text.len() - 1]
    }
}

/// The elements of an array; made by [`Value::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'s> {
    walk: Walk<'s>,
}

impl<'s> Iterator for Elements<'s> {
    type Item = Value<'s>;

    fn next(&mut self) -> Option<Value<'s>> {
        self.walk.next_value()
    }
}

/// The members of an object, as pairs of key (escapes resolved) and value; made by [`Value::members`].
#[derive(Debug, Clone)]
pub struct Members<'s> {
    walk: Walk<'s>,
}

impl<'s> Iterator for Members<'s> {
    type Item = (Cow<'s, str>, Value<'s>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.walk.next_value()?.as_str()?;
        let value = self.walk.next_value()?;
        Some((key, value))
    }
}

/// A position in valid JSON text that moves from value to value.
#[derive(Debug, Clone)]
pub(super) struct Walk<'s> {
    text: &'s str,
    at: usize,
}

impl<'s> Walk<'s> {
    /// Before a value.
    pub(super) fn new(text: &'s str) -> Self {
        Self { text, at: 0 }
    }

    /// Inside the brackets of an array or object.
    fn inside(text: &'s str) -> Self {
        Self { text, at: 1 }
    }

    /// The first byte of the next value, or the closing bracket after the last one. As the text is valid, commas and
    /// colons say nothing that the order of the values does not say.
    pub(super) fn peek(&mut self) -> u8 {
        let is_gap = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':');
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| is_gap(byte)).count();
        self.text.as_bytes().get(self.at).copied().unwrap_or(b']')
    }

    /// Steps over a bracket.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// The next value, which is then passed; `None` before a closing bracket.
    pub(super) fn next_value(&mut self) -> Option<Value<'s>> {
        let first = self.peek();
        let start = self.at;
        let kind = match first {
            b']' | b'}' => return None,
            b'"' => Kind::String { has_escape: self.pass_string() },
            b'{' => self.pass_brackets(Kind::Object),
            b'[' => self.pass_brackets(Kind::Array),
            b't' | b'f' => self.pass_word(Kind::Bool),
            b'n' => self.pass_word(Kind::Null),
            _ => self.pass_word(Kind::Number),
        };
        Some(Value::new(&self.text[start..self.at], kind))
    }

    /// Passes a string with both quotes; says whether it holds an escape.
    fn pass_string(&mut self) -> bool {
        let mut has_escape = false;
        self.at += 1;
        loop {
            self.at = find_special(self.text.as_bytes(), self.at);
            if self.text.as_bytes().get(self.at) != Some(&b'\\') {
                self.at += 1;
                return has_escape;
            }
            has_escape = true;
            self.at += 2;
        }
    }

    fn pass_brackets(&mut self, kind: Kind) -> Kind {
        let mut depth = 0_u32;
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.pass_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        kind
    }

    fn pass_word(&mut self, kind: Kind) -> Kind {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| is_word(byte)).count();
        kind
    }
}

/// The characters of a valid string, given what stands between its quotes.
pub(super) fn unescape(quoted: &str) -> impl Iterator<Item = char> + '_ {
    let mut rest = quoted.chars();
    std::iter::from_fn(move || match rest.next()? {
        '\\' => Some(escaped_char(&mut rest)),
        plain => Some(plain),
    })
}

/// The character that an escape stands for; `rest` is behind its backslash.
fn escaped_char(rest: &mut std::str::Chars<'_>) -> char {
    match rest.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => unicode_char(rest),
        other => other.unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

fn unicode_char(rest: &mut std::str::Chars<'_>) -> char {
    let unit = code_unit(rest);
    let code = if matches!(unit, 0xd800..0xdc00) {
        rest.by_ref().take(2).for_each(drop);
        0x10000 + ((unit - 0xd800) << 10 | code_unit(rest).wrapping_sub(0xdc00) & 0x3ff)
    } else {
        unit
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn code_unit(rest: &mut std::str::Chars<'_>) -> u32 {
    rest.by_ref().take(4).fold(0, |unit, digit| unit << 4 | digit.to_digit(16).unwrap_or(0))
}
