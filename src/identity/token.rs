//! Tokens: secrets that clients and exchanges show. A [`Token`] is what was shown, a [`TokenTable`] what is known.
//!
//! Known tokens are kept as SHA-256 digests only. Invariant: no text of a token can be printed, and how long a comparison
//! takes says nothing about it: what is looked up and compared are digests, the comparison itself in constant time.

use std::collections::HashMap;
use std::fmt;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq;

/// Longest token that is looked at, in bytes; signed tokens with many claims have one or two thousand.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// A token as somebody has shown it.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// The token that `text` is; nothing for an empty text or a longer one than [`TOKEN_BYTES_MAX`], which open nothing.
    pub fn new(text: &str) -> Option<Self> {
        (1..=TOKEN_BYTES_MAX).contains(&text.len()).then(|| Self(text.into()))
    }

    /// The token in the value of an `Authorization` header: what follows the word `Bearer`.
    pub fn of_header(value: &[u8]) -> Option<Self> {
        const SCHEME: &[u8] = b"bearer ";
        let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
        let text = std::str::from_utf8(rest).ok()?.trim();
        Self::new(text).filter(|_| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Whether it has the form of a signed token.
    pub fn is_signed(&self) -> bool {
        self.0.split('.').count() == 3
    }

    /// How long it is, in bytes.
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// The text, for those who verify it.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn digest(&self) -> Digest {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        Digest(bytes)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

/// What is kept of a known token.
#[derive(Clone, Copy)]
pub(super) struct Digest([u8; SHA256_OUTPUT_LEN]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Digest {
    /// By what it is found. Nobody can choose the digest of a secret he does not know, so finding one gives nothing away.
    fn place(&self) -> u64 {
        self.0.iter().take(size_of::<u64>()).fold(0, |place, &byte| (place << 8) | u64::from(byte))
    }
}

/// Known tokens, and by number what each is good for.
#[derive(Default)]
pub(super) struct TokenTable {
    places: HashMap<u64, Vec<(Digest, Vec<u32>)>, ahash::RandomState>,
    len: usize,
}

impl TokenTable {
    /// Adds a token, or one more thing that it is good for.
    pub(super) fn add(&mut self, token: &Token, good_for: u32) {
        let digest = token.digest();
        let here = self.places.entry(digest.place()).or_default();
        match here.iter_mut().find(|(known, _)| *known == digest) {
            Some((_, list)) if list.contains(&good_for) => {}
            Some((_, list)) => list.push(good_for),
            None => {
                here.push((digest, vec![good_for]));
                self.len += 1;
            }
        }
    }

    /// What a token is good for; nothing if it is not known.
    pub(super) fn find(&self, token: &Token) -> &[u32] {
        let digest = token.digest();
        let here = self.places.get(&digest.place()).map_or(&[][..], Vec::as_slice);
        here.iter().find(|(known, _)| *known == digest).map_or(&[], |(_, list)| list)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_whole_and_never_printed() {
        let token = |text| Token::new(text).expect("a token");
        let mut table = TokenTable::default();
        table.add(&token("hush-1"), 7);
        table.add(&token("hush-1"), 8);
        table.add(&token("hush-1"), 7);
        assert_eq!(table.find(&token("hush-1")), [7, 8]);
        assert!(table.find(&token("hush-")).is_empty() && table.find(&token("HUSH-1")).is_empty());
        assert!(!format!("{table:?} {:?}", token("hush-1")).contains("hush"));
    }

    #[test]
    fn a_header_carries_a_token_after_the_word_bearer() {
        for (value, text) in [
            ("Bearer abc", Some("abc")),
            ("bearer  a.b.c ", Some("a.b.c")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            assert_eq!(Token::of_header(value.as_bytes()), text.and_then(Token::new), "{value}");
        }
        assert!(Token::new(&"a".repeat(TOKEN_BYTES_MAX + 1)).is_none());
    }
}
