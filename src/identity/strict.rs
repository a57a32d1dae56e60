//! JSON in which no member stands twice. A parser that keeps one of two lets a section of rules vanish without a word, and two
//! parsers may keep different ones.
//!
//! Text in, values out. Invariant: what is returned holds everything that the text says.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What cannot be read, and where.
#[derive(Debug)]
pub(super) struct Unread {
    /// From 1.
    pub(super) line: usize,
    /// From 1.
    pub(super) column: usize,
    /// It is JSON, but a member ends here that was there before.
    pub(super) is_repeated: bool,
}

/// Reads a text.
pub(super) fn parse(text: &[u8]) -> Result<Value, Unread> {
    let read = serde_json::from_slice::<Strict>(text).map(|Strict(value)| value);
    read.map_err(|error| Unread { line: error.line(), column: error.column(), is_repeated: error.is_data() })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Collector).map(Strict)
    }
}

struct Collector;

impl<'de> Visitor<'de> for Collector {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Strict(element)) = seq.next_element()? {
            elements.push(element);
        }
        Ok(elements.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(member))) = map.next_entry::<String, _>()? {
            if members.insert(name, member).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_once_is_read_as_usual_and_what_stands_twice_is_not() {
        let text = r#"{"a":[1,-2,0.5,1e300,18446744073709551615,true,null,"é\n"],"b":{"a":{}}}"#;
        let usual: Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(parse(text.as_bytes()).ok(), Some(usual));
        for (text, line, is_repeated) in [
            ("{\"a\":1,\n\"a\":1}", 2, true),
            ("{\"b\":[{\"a\":1,\"\\u0061\":2}]}", 1, true),
            ("{\"a\":1,\n\n", 3, false),
            ("{} {}", 1, false),
            ("1e999", 1, false),
        ] {
            let unread = parse(text.as_bytes()).expect_err("it cannot be read");
            assert_eq!((unread.line, unread.is_repeated), (line, is_repeated), "{text}");
        }
        let deep = [[b'['; 1000], [b']'; 1000]].concat();
        assert!(parse(&deep).is_err_and(|unread| !unread.is_repeated));
    }
}
