//! PROXY protocol version 1: one line of text, `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` and a line end.
//!
//! Strict where the specification is: single spaces, plain decimal numbers, both addresses of the kind that is named.
//! Of an `UNKNOWN` connection nothing is read but the end of its line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Malformed};

/// What a line begins with.
const BEGINNING: &[u8] = b"PROXY ";
/// Most bytes of a line with its end: two IPv6 addresses and two ports in full length (the specification's number).
const LINE_LEN_MAX: usize = 107;
/// Most digits of a port.
const PORT_DIGITS_MAX: usize = 5;

/// The line that `bytes` begins with, as [`super::parse`].
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let compared = bytes.len().min(BEGINNING.len());
    if bytes[..compared] != BEGINNING[..compared] {
        return Err(Malformed::NoHeader);
    }
    let within = &bytes[..bytes.len().min(LINE_LEN_MAX)];
    let Some(end) = within.iter().position(|&byte| byte == b'\n') else {
        return if within.len() < LINE_LEN_MAX { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let line = within[compared..end].strip_suffix(b"\r").ok_or(Malformed::Addresses)?;
    Ok(Some(Header { len: end + 1, source: source(line)? }))
}

/// What the line says behind its beginning.
fn source(line: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    let line = std::str::from_utf8(line).map_err(|_| Malformed::Addresses)?;
    let (kind, addresses) = line.split_once(' ').unwrap_or((line, ""));
    let address: fn(&str) -> Option<IpAddr> = match kind {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        "UNKNOWN" => return Ok(None),
        _ => return Err(Malformed::Unsupported),
    };
    let words: Vec<&str> = addresses.split(' ').collect();
    let [from, to, from_port, to_port] = words[..] else { return Err(Malformed::Addresses) };
    let ends = (address(from), address(to), port(from_port), port(to_port));
    let (Some(ip), Some(_), Some(port), Some(_)) = ends else { return Err(Malformed::Addresses) };
    Ok(Some(SocketAddr::new(ip, port)))
}

fn port(digits: &str) -> Option<u16> {
    let is_plain = digits.len() <= PORT_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn source_of(line: &str) -> Result<Option<String>, Malformed> {
        let bytes = format!("{line}\r\nGET /");
        let header = parse(bytes.as_bytes())?.expect("it is complete");
        assert_eq!(&bytes[header.len..], "GET /");
        Ok(header.source.map(|source| source.to_string()))
    }

    #[test]
    fn the_source_is_read_and_what_follows_the_line_is_left() {
        let four = source_of("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443");
        assert_eq!(four, Ok(Some("192.0.2.1:56324".into())));
        let six = source_of("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535");
        assert_eq!(six, Ok(Some("[2001:db8::1]:1".into())));
    }

    #[test]
    fn an_unknown_source_is_the_proxy_itself() {
        for line in ["PROXY UNKNOWN", "PROXY UNKNOWN anything at all", "PROXY UNKNOWN "] {
            assert_eq!(source_of(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn a_line_is_waited_for_to_its_end_and_no_further() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
        for length in 0..line.len() {
            assert_eq!(parse(&line[..length]), Ok(None), "{length}");
        }
        assert_eq!(parse(line).unwrap().unwrap().len, line.len());
    }

    #[test]
    fn the_longest_line_is_taken_and_a_longer_one_is_not() {
        let full = ["ffff"; 8].join(":");
        let longest = format!("PROXY TCP6 {full} {full} 65535 65535\r\n");
        assert!(parse(longest.as_bytes()).unwrap().is_some());
        let padded = |length: usize| format!("{:x<1$}\r\n", "PROXY UNKNOWN ", length - 2);
        assert!(parse(padded(LINE_LEN_MAX).as_bytes()).unwrap().is_some());
        assert_eq!(parse(padded(LINE_LEN_MAX + 1).as_bytes()), Err(Malformed::TooLong));
    }

    #[test]
    fn what_is_not_quite_a_line_is_refused() {
        for (line, why) in [
            ("GET / HTTP/1.1", Malformed::NoHeader),
            ("proxy TCP4 192.0.2.1 198.51.100.1 1 2", Malformed::NoHeader),
            ("PROXY  TCP4 192.0.2.1 198.51.100.1 1 2", Malformed::Unsupported),
            ("PROXY UDP4 192.0.2.1 198.51.100.1 1 2", Malformed::Unsupported),
            ("PROXY TCP4", Malformed::Addresses),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1", Malformed::Addresses),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3", Malformed::Addresses),
            ("PROXY TCP4 192.0.2.1  198.51.100.1 1 2", Malformed::Addresses),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 2", Malformed::Addresses),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536", Malformed::Addresses),
            ("PROXY TCP4 192.0.2.01 198.51.100.1 1 2", Malformed::Addresses),
            ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2", Malformed::Addresses),
            ("PROXY TCP6 192.0.2.1 198.51.100.1 1 2", Malformed::Addresses),
        ] {
            assert_eq!(source_of(line), Err(why), "{line}");
        }
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n"), Err(Malformed::Addresses));
    }
}
