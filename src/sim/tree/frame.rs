//! Frames as they stand on the wire: written for phones, read for the judge.
//!
//! Everything in a tree of exchanges goes through the real dialect, so what phones and the adversary say is text, and what
//! they hear is read back from text. Only the fields that somebody judges are read. Nothing here knows a shard.

use crate::dialect::json::{Value, push_str_escaped};

/// The fields of a frame that count.
#[derive(Clone, Default, Debug)]
pub struct Fields {
    /// `type`.
    pub kind: String,
    /// `call_id`.
    pub call: Option<String>,
    /// `from`.
    pub from: Option<String>,
    /// `to`.
    pub to: Option<String>,
    /// `reason`.
    pub reason: Option<String>,
    /// `ref`.
    pub reference: Option<String>,
    /// `address`.
    pub address: Option<String>,
    /// `status`.
    pub status: Option<String>,
    /// `data`, if it is a text.
    pub data: Option<String>,
    /// `party`.
    pub party: Option<String>,
    /// `context`.
    pub context: Option<String>,
    /// The domain in `query`.
    pub domain: Option<String>,
    /// The names in `participants`, or in `addresses`.
    pub names: Vec<String>,
    /// The number of the dial in `metadata`.
    pub dial: Option<usize>,
}

impl Fields {
    /// Reads a frame.
    ///
    /// # Panics
    /// If it is no JSON object: neither exchanges nor phones write such frames.
    pub fn read(frame: &[u8]) -> Self {
        let value = Value::of_valid(frame).expect("exchanges write JSON");
        let mut fields = Self::default();
        for (name, value) in value.members().expect("exchanges write objects") {
            let text = || value.as_str().map(std::borrow::Cow::into_owned);
            match &*name {
                "type" => fields.kind = text().unwrap_or_default(),
                "call_id" => fields.call = text(),
                "from" => fields.from = text(),
                "to" => fields.to = text(),
                "reason" => fields.reason = text(),
                "ref" => fields.reference = text(),
                "address" => fields.address = text(),
                "status" => fields.status = text(),
                "data" => fields.data = text(),
                "party" => fields.party = text(),
                "context" => fields.context = text(),
                "query" => fields.domain = text_of(value.member("domain")),
                "participants" => {
                    fields.names = elements(value).filter_map(|name| text_of(Some(name))).collect();
                }
                "addresses" => {
                    let names = elements(value).map(|entry| text_of(entry.member("address")));
                    fields.names = names.flatten().collect();
                }
                "metadata" => fields.dial = dial_of(value),
                _ => {}
            }
        }
        fields
    }
}

fn text_of(value: Option<Value<'_>>) -> Option<String> {
    value?.as_str().map(std::borrow::Cow::into_owned)
}

fn elements<'v>(value: Value<'v>) -> impl Iterator<Item = Value<'v>> {
    value.elements().into_iter().flatten()
}

fn dial_of(metadata: Value<'_>) -> Option<usize> {
    metadata.member("dial")?.as_f64().map(|number| number as usize)
}

/// A frame with these fields, whose values are texts.
pub fn frame(kind: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = br#"{"type":"#.to_vec();
    push_str_escaped(&mut out, kind);
    for (name, value) in fields {
        out.push(b',');
        push_str_escaped(&mut out, name);
        out.push(b':');
        push_str_escaped(&mut out, value);
    }
    out.push(b'}');
    out
}

/// The same with one more field, which is JSON already.
pub fn frame_with(kind: &str, fields: &[(&str, &str)], name: &str, json: &str) -> Vec<u8> {
    let mut out = frame(kind, fields);
    out.pop();
    out.extend_from_slice(format!(r#","{name}":{json}}}"#).as_bytes());
    out
}

/// The text of a frame, for people.
pub fn text(frame: &[u8]) -> String {
    String::from_utf8_lossy(frame).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let fields = [("to", "a\"b"), ("call_id", "7"), ("data", "x")];
        let read = Fields::read(&frame_with("DIAL", &fields, "metadata", r#"{"dial":12}"#));
        assert_eq!(read.kind, "DIAL");
        assert_eq!((read.to.as_deref(), read.call.as_deref()), (Some("a\"b"), Some("7")));
        assert_eq!((read.data.as_deref(), read.dial), (Some("x"), Some(12)));
        assert_eq!(read.reason, None);
    }
}
