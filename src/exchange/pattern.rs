//! Patterns of addresses: what a route, a token or a rule is for (spec section 19.2).
//!
//! `*` stands for any run of characters, everything else for itself, whatever its case; a pattern speaks of whole addresses.
//! Whoever looks many patterns up for one address folds the address once ([`fold`]). Matching takes time in proportion to
//! address and pattern together, whatever the pattern: it never goes back further than one piece.

use std::borrow::Cow;

/// Longest pattern, in bytes. An address has at most 255 characters, so nothing longer says more.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// A pattern of addresses. Patterns are equal that hold for the same addresses because they are the same but for case.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Folded.
    text: Box<str>,
    /// As it was written, if that is not the same.
    given: Option<Box<str>>,
    shape: Shape,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// What a pattern looks like; all but [`Shape::Wild`] can be looked up instead of tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// No star: one address.
    Exact,
    /// `*@domain`: everybody there.
    Domain,
    /// `*.domain` without `@`: everybody there and in its subdomains.
    Subdomains,
    /// Any other.
    Wild,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// It says nothing.
    Empty,
    /// It has more than [`PATTERN_BYTES_MAX`] bytes.
    TooLong,
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("a pattern must not be empty"),
            Self::TooLong => write!(f, "a pattern has at most {PATTERN_BYTES_MAX} bytes"),
        }
    }
}

impl Pattern {
    /// The pattern that `text` is; white space around it does not count.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        let folded: Box<str> = fold(text).into();
        let given = (*folded != *text).then(|| text.into());
        let shape = Shape::of(&folded);
        Ok(Self { text: folded, given, shape })
    }

    /// Whether the pattern holds for `address`.
    pub fn matches(&self, address: &str) -> bool {
        self.matches_folded(&fold(address))
    }

    /// The same for an address that [`fold`] has been through.
    pub fn matches_folded(&self, address: &str) -> bool {
        match self.shape {
            Shape::Exact => *self.text == *address,
            Shape::Domain => address.ends_with(&self.text[1..]),
            Shape::Subdomains => {
                let is_domain = |domain: &str| self.text.strip_prefix("*.") == Some(domain);
                address.ends_with(&self.text[1..])
                    || address.rsplit_once('@').is_some_and(|(_, domain)| is_domain(domain))
            }
            Shape::Wild => matches_pieces(&self.text, address),
        }
    }

    /// The pattern's text, folded: the same for two patterns that hold for the same addresses because they are the same.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern's text as it was written, but for white space around it.
    pub fn as_given(&self) -> &str {
        self.given.as_deref().unwrap_or(&self.text)
    }

    /// What it looks like.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How many characters stand for themselves: the more, the more special a pattern is.
    pub fn literals(&self) -> usize {
        self.text.chars().filter(|&c| c != '*').count()
    }
}

/// Calls `take` with the text of every pattern that holds for an address, or whatever is dialled instead, and can be looked up,
/// from the most special on. The text is one that [`fold`] has been through.
pub fn each_key(address: &str, mut take: impl FnMut(&str)) {
    take(address);
    let mut text = String::with_capacity(address.len() + 1);
    let mut take_with = |star: &str, rest: &str| {
        text.clear();
        text.push_str(star);
        text.push_str(rest);
        take(&text);
    };
    // What is no address may have dots without an `@`.
    let Some((_, domain)) = address.rsplit_once('@') else {
        return address.match_indices('.').for_each(|(dot, _)| take_with("*", &address[dot..]));
    };
    take_with("*@", domain);
    // `*.domain` holds for the domain itself, and for each domain it is a part of. Alone, `*.` is no such pattern.
    if !domain.is_empty() {
        take_with("*.", domain);
    }
    domain.match_indices('.').for_each(|(dot, _)| take_with("*", &domain[dot..]));
}

impl Shape {
    fn of(text: &str) -> Self {
        let Some(rest) = text.strip_prefix('*') else {
            return if text.contains('*') { Self::Wild } else { Self::Exact };
        };
        match rest.as_bytes() {
            [b'@', ..] if !rest[1..].contains(['*', '@']) => Self::Domain,
            [b'.', _, ..] if !rest.contains(['*', '@']) => Self::Subdomains,
            _ => Self::Wild,
        }
    }
}

/// An address without regard to case.
pub fn fold(address: &str) -> Cow<'_, str> {
    if address.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(address.to_lowercase())
    } else {
        Cow::Borrowed(address)
    }
}

/// The first piece opens the address, the last one ends it, and each one between is taken where it comes first: if that
/// fails, no other place would have done.
fn matches_pieces(pattern: &str, address: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == address };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = address.strip_prefix(first).and_then(|inner| inner.strip_suffix(last)) else {
        return false;
    };
    for piece in middle.split('*') {
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, address: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(address)
    }

    #[test]
    fn a_star_is_any_run_of_characters_and_the_whole_address_counts() {
        for (pattern, address, expected) in [
            ("bob@home.test", "bob@home.test", true),
            ("bob@home.test", "bobo@home.test", false),
            ("*@home.test", "bob@home.test", true),
            ("*@home.test", "bob@a.home.test", false),
            ("*@home.test", "bob@home.test.org", false),
            ("*", "bob@home.test", true),
            ("bob*", "bob@home.test", true),
            ("bob*", "rob@home.test", false),
            ("*ob@*.test", "bob@home.test", true),
            ("*ob@*.test", "ob@.test", true),
            ("b*b@home.test", "b@home.test", false),
            ("**@home.test", "bob@home.test", true),
            ("b*@*e.*t", "bob@home.test", true),
            ("b*e.*e.*t", "bob@home.test", false),
            ("b.b@home.test", "bob@home.test", false),
            ("*@*@*", "bob@home.test", false),
        ] {
            assert_eq!(matches(pattern, address), expected, "{pattern} for {address}");
        }
    }

    #[test]
    fn a_star_before_a_dotted_domain_takes_in_the_domain_itself() {
        for (address, expected) in [
            ("x@home.test", true),
            ("x@a.home.test", true),
            ("x@b.a.home.test", true),
            ("x@ahome.test", false),
            ("x.home.test@other.test", false),
            ("x@home.test.other", false),
        ] {
            assert_eq!(matches("*.home.test", address), expected, "{address}");
        }
        // With an `@` it is as it is written.
        assert!(!matches("*.x@home.test", "x@home.test"));
        assert!(!matches("*.", "x@home.test"));
    }

    #[test]
    fn case_does_not_count() {
        assert!(matches("*@HOME.Test", "Bob@hOmE.tEST"));
        assert!(matches("ÄNNE*", "änne@home.test"));
        assert_eq!(Pattern::parse("*@A.B").unwrap(), Pattern::parse(" *@a.b ").unwrap());
    }

    #[test]
    fn nothing_and_too_much_are_no_patterns() {
        assert_eq!(Pattern::parse("  "), Err(PatternError::Empty));
        assert_eq!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX + 1)), Err(PatternError::TooLong));
        assert!(Pattern::parse(&"*".repeat(PATTERN_BYTES_MAX)).unwrap().matches("bob@home.test"));
    }

    #[test]
    fn the_more_a_pattern_spells_out_the_more_special_it_is() {
        let literals = |text| Pattern::parse(text).unwrap().literals();
        assert!(literals("*") < literals("*@home.test"));
        assert!(literals("*@home.test") < literals("*@a.home.test"));
        assert!(literals("*@home.test") < literals("bob@home.test"));
    }

    /// Against the obvious, slow definition.
    #[test]
    fn pieces_are_found_as_by_trying_everything() {
        fn slowly(pattern: &[u8], text: &[u8]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some((b'*', rest)) => (0..=text.len()).any(|skipped| slowly(rest, &text[skipped..])),
                Some((byte, rest)) => text.first() == Some(byte) && slowly(rest, &text[1..]),
            }
        }
        let spell = |mut number: usize, letters: &[u8], len: usize| -> String {
            let letter = |_| {
                let letter = letters[number % letters.len()];
                number /= letters.len();
                char::from(letter)
            };
            (0..len).map(letter).collect()
        };
        for pattern in (0..3_usize.pow(6)).map(|number| spell(number, b"a*b", 6)) {
            for text in (0..2_usize.pow(5)).map(|number| spell(number, b"ab", 5)) {
                assert_eq!(
                    matches_pieces(&pattern, &text),
                    slowly(pattern.as_bytes(), text.as_bytes()),
                    "{pattern} for {text}"
                );
            }
        }
    }
}
