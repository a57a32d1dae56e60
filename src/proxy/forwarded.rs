//! The client's address in `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! Each proxy appends the address it was called from, so the list is read from its right end: what stands left of the
//! first address that is not a trusted proxy's was said by strangers, and is never looked at. A part that cannot be
//! read (`unknown`, `_hidden`, nonsense) ends the walk too: whose word comes next is not known then.
//! Invariant: no text that a client sends changes what a trusted proxy appended to it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use super::Networks;

/// The client that `caller` speaks for, by the lines of its `X-Forwarded-For` and `Forwarded` headers in their order.
///
/// That is the right-most address which is not in a trusted network; the left-most of all that can be read if all are
/// trusted; `caller` itself if it is not trusted or says nothing. If both headers are there and disagree, one of
/// them was passed on as a client sent it, nobody knows which, and neither counts.
pub fn client<'h, X, F>(caller: IpAddr, trusted: &Networks, x_forwarded_for: X, forwarded: F) -> IpAddr
where
    X: DoubleEndedIterator<Item = &'h [u8]>,
    F: DoubleEndedIterator<Item = &'h [u8]>,
{
    if !trusted.contains(caller) {
        return caller;
    }
    let mut plain = x_forwarded_for.rev().flat_map(plain_parts).peekable();
    let mut tagged = forwarded.rev().flat_map(tagged_parts).peekable();
    match (plain.peek().is_some(), tagged.peek().is_some()) {
        (true, false) => walk(caller, trusted, plain),
        (false, true) => walk(caller, trusted, tagged),
        (false, false) => caller,
        (true, true) => {
            let (one, other) = (walk(caller, trusted, plain), walk(caller, trusted, tagged));
            if one == other { one } else { caller }
        }
    }
}

/// From proxy to proxy, as long as they are trusted and say something that can be read.
fn walk(caller: IpAddr, trusted: &Networks, parts: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
    let mut hop = caller;
    for part in parts {
        let Some(before) = part else { break };
        hop = before;
        if !trusted.contains(hop) {
            break;
        }
    }
    hop
}

/// The addresses of an `X-Forwarded-For` line, last first; `None` for what is none.
fn plain_parts(line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    let parts = line.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    parts.filter(|part| !part.is_empty()).map(address)
}

/// The addresses of a `Forwarded` line, last first; `None` for what is none.
fn tagged_parts(line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    Elements { rest: Some(line) }.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()).map(for_of)
}

/// The elements of a `Forwarded` line, last first. Commas in quotation marks do not count. Read from the right, so
/// that a quotation mark which a client has left open cannot swallow what a proxy wrote behind it.
struct Elements<'l> {
    rest: Option<&'l [u8]>,
}

impl<'l> Iterator for Elements<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<&'l [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        let is_comma = |at: &usize| {
            quoted ^= is_quotation_mark(rest, *at);
            rest[*at] == b',' && !quoted
        };
        let comma = (0..rest.len()).rev().find(is_comma);
        self.rest = comma.map(|at| &rest[..at]);
        Some(&rest[comma.map_or(0, |at| at + 1)..])
    }
}

/// Whether a quotation mark stands here that is not escaped: an even number of backslashes comes before it.
fn is_quotation_mark(text: &[u8], at: usize) -> bool {
    // Counted for quotation marks only: no backslash is counted twice, whatever the text.
    let backslashes = || text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
    text[at] == b'"' && backslashes().is_multiple_of(2)
}

/// The address of an element's one `for` parameter.
fn for_of(element: &[u8]) -> Option<IpAddr> {
    let (mut rest, mut found) = (element, None);
    while let Some(pair) = next_pair(&mut rest)? {
        if pair.name.eq_ignore_ascii_case(b"for") {
            if found.is_some() {
                return None;
            }
            found = Some(address(&pair.value)?);
        }
    }
    found
}

struct Pair<'e> {
    name: &'e [u8],
    value: Cow<'e, [u8]>,
}

/// Takes the next parameter off the element: `None` if it cannot be read, `Some(None)` at the end.
fn next_pair<'e>(rest: &mut &'e [u8]) -> Option<Option<Pair<'e>>> {
    let is_between = |byte: &u8| *byte == b';' || byte.is_ascii_whitespace();
    let Some(start) = rest.iter().position(|byte| !is_between(byte)) else { return Some(None) };
    let pair = &rest[start..];
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (name, behind) = (&pair[..equals], &pair[equals + 1..]);
    let (value, behind) = if behind.first() == Some(&b'"') { quoted(behind)? } else { bare(behind) };
    let behind = behind.trim_ascii_start();
    if !matches!(behind.first(), None | Some(b';')) {
        return None;
    }
    *rest = behind;
    Some(Some(Pair { name, value }))
}

/// A value up to the next semicolon or space. Colons and brackets pass, though they should be in quotation marks.
fn bare(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let ends = |byte: &u8| *byte == b';' || byte.is_ascii_whitespace();
    let (value, behind) = text.split_at(text.iter().position(ends).unwrap_or(text.len()));
    (Cow::Borrowed(value), behind)
}

/// A value in quotation marks, without them and without the backslashes of what is escaped.
fn quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let end = (1..text.len()).find(|&at| is_quotation_mark(text, at))?;
    let (inside, behind) = (&text[1..end], &text[end + 1..]);
    if !inside.contains(&b'\\') {
        return Some((Cow::Borrowed(inside), behind));
    }
    let mut value = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        value.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    Some((Cow::Owned(value), behind))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`. A port may be hidden (`_p`).
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip = if let Some(bracketed) = text.strip_prefix('[') {
        let (ip, behind) = bracketed.split_once(']')?;
        if !behind.is_empty() && !behind.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(ip.parse::<Ipv6Addr>().ok()?)
    } else {
        match text.split_once(':') {
            Some((ip, port)) if is_port(port) && !ip.is_empty() => IpAddr::V4(ip.parse().ok()?),
            _ => text.parse().ok()?,
        }
    };
    Some(ip.to_canonical())
}

fn is_port(text: &str) -> bool {
    let hidden = text.strip_prefix('_');
    let is_hidden = hidden.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
    is_hidden || text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn client_of(caller: &str, x_forwarded_for: &[&str], forwarded: &[&str]) -> String {
        let trusted = Networks::parse("10.0.0.0/8,fd00::/8").unwrap();
        let x_forwarded_for = x_forwarded_for.iter().map(|line| line.as_bytes());
        let forwarded = forwarded.iter().map(|line| line.as_bytes());
        client(caller.parse().unwrap(), &trusted, x_forwarded_for, forwarded).to_string()
    }

    fn plain(line: &str) -> String {
        client_of(PROXY, &[line], &[])
    }

    fn tagged(line: &str) -> String {
        client_of(PROXY, &[], &[line])
    }

    #[test]
    fn a_stranger_is_believed_nothing() {
        let said = client_of("203.0.113.9", &["198.51.100.1"], &["for=198.51.100.1"]);
        assert_eq!(said, "203.0.113.9");
    }

    #[test]
    fn the_right_most_address_that_is_not_trusted_is_the_client() {
        assert_eq!(plain("198.51.100.1"), "198.51.100.1");
        assert_eq!(plain("6.6.6.6, 198.51.100.1, 10.2.3.4"), "198.51.100.1");
        assert_eq!(client_of(PROXY, &["6.6.6.6", "198.51.100.1,10.2.3.4", "fd00::1"], &[]), "198.51.100.1");
        assert_eq!(tagged("for=6.6.6.6, for=198.51.100.1;proto=https, FOR=10.2.3.4"), "198.51.100.1");
    }

    #[test]
    fn among_trusted_ones_alone_the_first_is_the_client() {
        assert_eq!(plain("10.9.9.9, 10.2.3.4"), "10.9.9.9");
        assert_eq!(client_of(PROXY, &[], &[]), PROXY);
        assert_eq!(client_of(PROXY, &[" , "], &[""]), PROXY);
    }

    #[test]
    fn addresses_come_in_every_usual_form() {
        for (text, ip) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(plain(text), ip, "{text}");
            assert_eq!(tagged(&format!("by=_me;for=\"{text}\" ; host=x")), ip, "{text}");
        }
        assert_eq!(tagged("for=\"[2001:db8::1]:_hid\""), "2001:db8::1");
        assert_eq!(tagged("for=198.51.100.1:80"), "198.51.100.1");
        assert_eq!(tagged(r#"for="198.51.\100.1""#), "198.51.100.1");
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk_where_it_stands() {
        for nonsense in
            ["unknown", "_hidden", "198.51.100", "[2001:db8::1", "[2001:db8::1]x", "198.51.100.1:x", ":80"]
        {
            assert_eq!(plain(&format!("6.6.6.6, {nonsense}, 10.2.3.4")), "10.2.3.4", "{nonsense}");
            let line = format!("for=6.6.6.6, for=\"{nonsense}\", for=10.2.3.4");
            assert_eq!(tagged(&line), "10.2.3.4", "{nonsense}");
            assert_eq!(plain(&format!("{nonsense}, 198.51.100.1")), "198.51.100.1", "{nonsense}");
        }
        for element in
            ["proto=https", "for", "for=", "for=6.6.6.6;for=6.6.6.6", "for=\"6.6.6.6\"x", "x;for=6.6.6.6"]
        {
            assert_eq!(tagged(&format!("for=6.6.6.6, {element}")), PROXY, "{element}");
        }
    }

    #[test]
    fn quotation_marks_of_a_client_swallow_nothing() {
        for sent in
            ["for=\"", "x=\"a\\", "\\\"", "for=6.6.6.6;x=\"", "\"\"\"", "for=6.6.6.6;x=\",for=6.6.6.6"]
        {
            assert_eq!(tagged(&format!("{sent}, for=198.51.100.1")), "198.51.100.1", "{sent}");
            assert_eq!(tagged(&format!("{sent}, for=\"[2001:db8::1]\"")), "2001:db8::1", "{sent}");
        }
        let escaped_host = r#"for=198.51.100.1;host="a\", for=6.6.6.6;x=\"""#;
        assert_eq!(tagged(escaped_host), "198.51.100.1");
    }

    #[test]
    fn headers_that_disagree_are_both_left_aside() {
        assert_eq!(client_of(PROXY, &["198.51.100.1"], &["for=198.51.100.1"]), "198.51.100.1");
        assert_eq!(client_of(PROXY, &["198.51.100.1"], &["for=6.6.6.6"]), PROXY);
    }
}
