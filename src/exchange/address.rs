//! Addresses: their form, and the shard each one calls home.
//!
//! An `Address` is text that passed [`Address::parse`] (spec section 4), or stands for somebody beyond another exchange; it is
//! compared exactly and case-sensitively.
//! It is a counted reference, so that putting it into a notice allocates nothing; it is copied when it goes to
//! another shard to stay ([`Address::detached`]), so that two threads never share a counter on the message path.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::ids::ShardId;
use super::limits::ADDRESS_CHARS_MAX;

/// The address of the built-in log stream (spec section 20). No client can hold it.
pub const LOG_SERVICE: &str = "logs@system.local";

/// A valid address `name@domain`: 1 to 255 characters, one `@`, no white space, a dot inside the domain. Or, in calls across
/// exchanges, any text that stands for one ([`Address::beyond`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

impl Address {
    /// `text` as an address, or `None` if it has not the form (spec section 4).
    pub fn parse(text: &str) -> Option<Self> {
        is_address(text).then(|| Self(Arc::from(text)))
    }

    /// Whatever somebody is called beyond another exchange: there it may be a telephone number, or a name of that exchange's
    /// making, which nobody here can hold. `None` if it is empty, or no address and longer than 255 bytes.
    pub fn beyond(text: &str) -> Option<Self> {
        let is_short = (1..=ADDRESS_CHARS_MAX).contains(&text.len());
        (is_short || is_address(text)).then(|| Self(Arc::from(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// A copy with a counter of its own, for another shard to keep.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Arc::from(&*self.0))
    }

    /// The home shard of this address in an exchange of `shards` shards.
    pub fn home(&self, shards: usize) -> ShardId {
        home(&self.0, shards)
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` has the form of an address: `^[^\s@]+@[^\s@]+\.[^\s@]+$` of at most 255 characters.
pub fn is_address(text: &str) -> bool {
    // A character has at most four bytes: the cheap test first keeps a text of 16 MiB from being counted.
    if text.len() > ADDRESS_CHARS_MAX * 4 {
        return false;
    }
    let is_plain = text.is_ascii();
    if !is_plain && (text.chars().count() > ADDRESS_CHARS_MAX || text.chars().any(is_space)) {
        return false;
    }
    (!is_plain || text.len() <= ADDRESS_CHARS_MAX) && has_form(text.as_bytes())
}

/// One `@`, something before it, behind it a dot with something on both of its sides, and no white space (of ASCII).
/// None of these occurs inside of another character, so bytes will do. Every dial comes through here, and three plain
/// searches, which the compiler does many bytes at a time, cost a third of one loop that looks for everything.
fn has_form(text: &[u8]) -> bool {
    let is_blank = |byte: u8| byte == b' ' || byte.wrapping_sub(b'\t') <= b'\r' - b'\t';
    let has_blanks = text.iter().fold(false, |found, &byte| found | is_blank(byte));
    let Some(at) = text.iter().position(|&byte| byte == b'@') else { return false };
    let domain = &text[at + 1..];
    let [_, inner @ .., _] = domain else { return false };
    at > 0 && !has_blanks && !domain.contains(&b'@') && inner.contains(&b'.')
}

/// White space as the original's pattern has it: Unicode's, and the byte-order mark.
fn is_space(c: char) -> bool {
    c.is_whitespace() && c != '\u{85}' || c == '\u{feff}'
}

/// The home shard of `text`. The hash is our own and fixed, because the result has to be the same on every node
/// and in every run; ahash promises neither (it differs between processors with and without AES).
pub fn home(text: &str, shards: usize) -> ShardId {
    let hash = placement_hash(text.as_bytes());
    // The high half times the number of shards: even without a division, for any number of shards.
    ShardId::new((((hash >> 32) * shards as u64) >> 32) as usize)
}

/// FNV-1a, followed by the finisher of splitmix64 so that the high bits depend on every byte.
fn placement_hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_name_one_at_sign_and_a_dotted_domain() {
        for good in
            ["a@b.c", "alice@example.com", "é@ü.x", "a@b..c", "a@b.c.", "a@.b.c", "A@B.C", "a\u{85}@b.c"]
        {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "", "a", "a@b", "@b.c", "a@", "a@.c", "a@b.", "a b@c.d", "a@@b.c", "a@b@c.d", "a@b.c ", "a\t@b.c",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    /// Every text of up to six of these characters, against the rule written out as it is read.
    #[test]
    fn an_address_is_told_from_anything_else_wherever_its_signs_stand() {
        const SIGNS: [char; 5] = ['a', '@', '.', ' ', '\u{c}'];
        let plain = |part: &str| !part.is_empty() && !part.contains(['@', ' ', '\u{c}']);
        let follows_rule = |text: &str| {
            let Some((name, domain)) = text.split_once('@') else { return false };
            let dots = domain.match_indices('.');
            plain(name) && plain(domain) && dots.into_iter().any(|(at, _)| at > 0 && at + 1 < domain.len())
        };
        for number in 0..5_usize.pow(6) * 7 {
            let (len, rest) = (number % 7, number / 7);
            let text: String = (0..len).map(|place| SIGNS[rest / 5_usize.pow(place as u32) % 5]).collect();
            assert_eq!(is_address(&text), follows_rule(&text), "{text:?}");
        }
    }

    #[test]
    fn addresses_are_at_most_255_characters_however_many_bytes() {
        assert!(is_address(&format!("{}@b.c", "é".repeat(251))));
        assert!(!is_address(&format!("{}@b.c", "a".repeat(252))));
        assert!(!is_address(&"a@b.c".repeat(100_000)));
    }

    #[test]
    fn every_address_has_the_same_home_in_every_run() {
        assert_eq!(home("alice@example.com", 8), home("alice@example.com", 8));
        assert_eq!(placement_hash(b"alice@example.com"), placement_hash(b"alice@example.com"));
        assert_eq!(home("anyone@anywhere.test", 1).index(), 0);
    }

    #[test]
    fn homes_are_spread_evenly() {
        let mut counts = [0_u32; 7];
        for n in 0..7000 {
            counts[home(&format!("agent-{n}@example.com"), 7).index()] += 1;
        }
        assert!(counts.iter().all(|&count| (850..1150).contains(&count)), "{counts:?}");
    }
}
