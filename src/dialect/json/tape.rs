//! The second path: simd-json reads a copy of the text (it resolves escapes in place) into its tape, and the spans
//! are recovered from where the keys lie: a key keeps its place in the copy, so its offset there is its offset in
//! the source. Slower than the scanner, but it resolves keys and numbers in full.
//! Buffers are kept between messages unless one made them large. No node of a tape may outlive its message.

use simd_json::{Buffers, Node, Tape};

use super::keys::{Found, Keys, Span};
use super::value::Kind;
use super::{DEPTH_MAX, InvalidJson, Shape};

/// Buffers that served a longer message are given back: they take up to 30 bytes for each byte of it.
const KEPT_SOURCE_BYTES_MAX: usize = 64 * 1024;

/// What the buffers are made for at first; they grow as needed.
const TYPICAL_SOURCE_BYTES: usize = 1024;

/// simd-json with its reused buffers.
pub(super) struct TapeReader {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for TapeReader {
    fn default() -> Self {
        Self { scratch: Vec::new(), buffers: new_buffers(), tape: Tape(Vec::new()) }
    }
}

fn new_buffers() -> Buffers {
    Buffers::with_max_depth(TYPICAL_SOURCE_BYTES, DEPTH_MAX as usize)
}

impl TapeReader {
    /// Validates the whole text and notes the wanted fields of an object. Amortised, it allocates nothing for
    /// messages up to [`KEPT_SOURCE_BYTES_MAX`].
    pub(super) fn read(&mut self, text: &str, keys: &Keys, found: &mut Found) -> Result<Shape, InvalidJson> {
        self.scratch.clear();
        self.scratch.extend_from_slice(text.as_bytes());
        let base = self.scratch.as_ptr().addr();
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let result = match simd_json::fill_tape(&mut self.scratch, &mut self.buffers, &mut tape) {
            Ok(()) => Ok(find_fields(text, base, &tape.0, keys, found)),
            Err(_) => Err(InvalidJson),
        };
        self.tape = tape.reset();
        if text.len() > KEPT_SOURCE_BYTES_MAX {
            *self = Self::default();
        }
        result
    }

    /// What the buffers of a message of some length still take, as far as we can see into them.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.scratch.capacity() + self.tape.0.capacity() * size_of::<Node<'_>>()
    }
}

/// Walks over the members of the outermost object. `base` is the address of the copy that the nodes point into.
fn find_fields(text: &str, base: usize, nodes: &[Node<'_>], keys: &Keys, found: &mut Found) -> Shape {
    found.clear();
    let Some(&Node::Object { len, .. }) = nodes.first() else { return Shape::NotObject };
    let mut index = 1;
    for _ in 0..len {
        let (Node::String(name), value) = (nodes[index], nodes[index + 1]) else { break };
        index += 1 + node_count(value);
        let Some(key) = keys.find(name.as_bytes()) else { continue };
        let start = value_start(text, name.as_ptr().addr() - base);
        let end = match nodes.get(index) {
            Some(Node::String(next)) => value_end(text, next.as_ptr().addr() - base - 1, b','),
            _ => value_end(text, text.len(), b'}'),
        };
        found.put(key, Span { start, end, kind: kind_of(value, end - start) });
    }
    Shape::Object
}

/// How many nodes a value takes, its own included.
fn node_count(node: Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

fn kind_of(node: Node<'_>, source_bytes: usize) -> Kind {
    match node {
        // Every escape is longer than what it stands for, so only a string without any keeps its length.
        Node::String(content) => Kind::String { has_escape: content.len() + 2 != source_bytes },
        Node::Object { .. } => Kind::Object,
        Node::Array { .. } => Kind::Array,
        Node::Static(simd_json::StaticNode::Null) => Kind::Null,
        Node::Static(simd_json::StaticNode::Bool(_)) => Kind::Bool,
        Node::Static(_) => Kind::Number,
    }
}

/// Where the value begins whose key has its first byte, after the quote, at `key_at`.
fn value_start(text: &str, key_at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = key_at;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at += 1;
    at + bytes[at..].iter().take_while(|&&byte| byte == b':' || byte.is_ascii_whitespace()).count()
}

/// Where the value ends that is the last thing before `limit`, but for one `closer` and white space around it.
fn value_end(text: &str, limit: usize, closer: u8) -> usize {
    let before_closer = text[..limit].trim_ascii_end();
    debug_assert_eq!(before_closer.as_bytes().last(), Some(&closer), "simd-json and the source disagree");
    before_closer[..before_closer.len() - 1].trim_ascii_end().len()
}
