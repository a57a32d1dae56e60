//! JSON as the dialects need it: one message in, the raw source spans of its wanted top-level fields out.
//! Two paths stand behind [`Parser::parse`]: a one-pass validating scanner that allocates nothing, and simd-json's
//! tape for the few messages the scanner leaves undecided. Both give the same verdict and the same spans; the
//! differential tests in `fuzz.rs` hold them to that, with serde_json as the judge.
//! Values are never turned into a tree: what is relayed is copied from the source, what is read is read on demand.
//! No wire words of any protocol may appear here. Invariant: every [`Value`] in existence is one complete, valid
//! JSON value without surrounding white space.

mod display;
mod keys;
mod scan;
mod special;
#[cfg(target_arch = "x86_64")]
mod sse2;
mod tape;
mod value;
mod writer;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

pub use display::{DISPLAY_BYTES_MAX, display_js, is_truthy};
pub use keys::{KEYS_MAX, Key, Keys};
pub use value::{Elements, Kind, Members, Value};
pub use writer::{push_bool, push_null, push_str_escaped, push_u64};

use std::fmt;

use keys::Found;
use scan::{Doubts, Stop};
use tape::TapeReader;

/// Arrays and objects may be nested this deep, the outermost one counted; deeper is invalid. Real messages stay
/// below 10. It is also the number of bits in the scanner's stack, so that stack is one register.
pub const DEPTH_MAX: u32 = u64::BITS;

/// A message of more bytes than this never goes to the tape, whose buffers reach 30 bytes for each source byte: a
/// peer could make each shard allocate half a gigabyte by one escaped key. The scanner settles its doubts itself.
const TAPE_SOURCE_BYTES_MAX: usize = 1 << 20;

/// The message is not one valid JSON value, or is nested too deep, or holds a number beyond the range of `f64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidJson;

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid JSON")
    }
}

impl std::error::Error for InvalidJson {}

/// What a valid message turned out to be.
#[derive(Debug)]
pub enum Parsed<'p, 's> {
    /// A JSON object, with its wanted fields.
    Object(Object<'p, 's>),
    /// Any other JSON value: a number, a string, an array, a boolean or `null`.
    NotObject,
}

/// The wanted fields of one message: `'s` is the message, `'p` the parser that remembers where they are.
#[derive(Debug, Clone, Copy)]
pub struct Object<'p, 's> {
    source: &'s str,
    found: &'p Found,
}

impl<'s> Object<'_, 's> {
    /// The value of a field, if the message has it; of a repeated key, the last one. `key` must come from the
    /// [`Keys`] that the message was parsed with.
    pub fn get(&self, key: Key) -> Option<Value<'s>> {
        let span = self.found.get(key)?;
        Some(Value::new(&self.source[span.start..span.end], span.kind))
    }
}

/// The top-level shape of a valid message, as both paths report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    NotObject,
}

/// Parses messages one after the other, with buffers that are kept between them. One for each shard is enough.
#[derive(Default)]
pub struct Parser {
    found: Found,
    tape: TapeReader,
}

impl Parser {
    /// A parser with small buffers, for the tape only; they grow as messages need it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks that `source` is one JSON value by RFC 8259, whole, and finds the wanted fields if it is an object.
    ///
    /// Refused: anything RFC 8259 refuses (empty input, a byte order mark, bytes after the value, unescaped control
    /// characters), invalid UTF-8, lone surrogates in `\u` escapes, numbers that overflow `f64`, nesting beyond
    /// [`DEPTH_MAX`]. Keys are compared with their escapes resolved; of equal keys the last one counts.
    ///
    /// Takes time linear in the input. Allocates nothing, except for a message with an escape in a top-level key or
    /// a number that needs a closer look, which uses buffers that are kept for the next such message.
    pub fn parse<'p, 's>(&'p mut self, keys: &Keys, source: &'s [u8]) -> Result<Parsed<'p, 's>, InvalidJson> {
        let text = simdutf8::basic::from_utf8(source).map_err(|_| InvalidJson)?;
        self.parse_str(keys, text)
    }

    /// Like [`Parser::parse`], for text whose UTF-8 was checked before.
    pub fn parse_str<'p, 's>(
        &'p mut self,
        keys: &Keys,
        source: &'s str,
    ) -> Result<Parsed<'p, 's>, InvalidJson> {
        match self.find_fields(keys, source)? {
            Shape::Object => Ok(Parsed::Object(Object { source, found: &self.found })),
            Shape::NotObject => Ok(Parsed::NotObject),
        }
    }

    fn find_fields(&mut self, keys: &Keys, source: &str) -> Result<Shape, InvalidJson> {
        let doubts = if source.len() > TAPE_SOURCE_BYTES_MAX { Doubts::Settle } else { Doubts::Leave };
        match scan::scan(source, keys, doubts, &mut self.found) {
            Ok(shape) => Ok(shape),
            Err(Stop::Invalid) => Err(InvalidJson),
            Err(Stop::Unsure) => self.tape.read(source, keys, &mut self.found),
        }
    }
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").finish_non_exhaustive()
    }
}
