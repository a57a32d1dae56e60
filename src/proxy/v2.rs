//! PROXY protocol version 2: a signature, 4 bytes that say how to read on, addresses, and extensions (TLVs).
//!
//! Extensions are counted and skipped; nothing in them is believed. The length is checked as soon as it is there, so no
//! peer can announce more than [`super::HEADER_LEN_MAX`].

use std::net::{IpAddr, SocketAddr};

use super::{HEADER_LEN_MAX, Header, Malformed};

/// What a header begins with: bytes that no text protocol begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The first byte, by which the versions are told apart.
pub(super) const FIRST: u8 = SIGNATURE[0];
/// Bytes before the addresses: the signature, version and command, family and protocol, length.
const FIXED_LEN: usize = 16;
/// Version 2, and the proxy speaks for itself.
const LOCAL: u8 = 0x20;
/// Version 2, and the proxy speaks for a client.
const PROXY: u8 = 0x21;
/// No addresses that the proxy could tell.
const UNSPECIFIED: u8 = 0x00;
/// TCP over IPv4: twice 4 bytes of address, twice 2 of port, source first.
const TCP4: u8 = 0x11;
/// TCP over IPv6: twice 16 bytes of address, twice 2 of port, source first.
const TCP6: u8 = 0x21;

/// The header of whoever speaks for itself, such as a health check.
pub const LOCAL_HEADER: [u8; FIXED_LEN] = {
    let mut header = [0; FIXED_LEN];
    let (signature, rest) = header.split_at_mut(SIGNATURE.len());
    signature.copy_from_slice(&SIGNATURE);
    // Neither addresses nor extensions follow.
    rest[0] = LOCAL;
    header
};

/// The header that `bytes` begins with, as [`super::parse`].
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let compared = bytes.len().min(SIGNATURE.len());
    if bytes[..compared] != SIGNATURE[..compared] {
        return Err(Malformed::NoHeader);
    }
    let Some(&[command, family, length_high, length_low]) = bytes.get(SIGNATURE.len()..FIXED_LEN) else {
        return Ok(None);
    };
    let len = FIXED_LEN + usize::from(u16::from_be_bytes([length_high, length_low]));
    if len > HEADER_LEN_MAX {
        return Err(Malformed::TooLong);
    }
    if !matches!((command, family), (LOCAL, _) | (PROXY, UNSPECIFIED | TCP4 | TCP6)) {
        return Err(Malformed::Unsupported);
    }
    let Some(rest) = bytes.get(FIXED_LEN..len) else { return Ok(None) };
    let source = match (command, family) {
        (PROXY, TCP4) => Some(source::<4>(rest)?),
        (PROXY, TCP6) => Some(source::<16>(rest)?),
        _ => None,
    };
    Ok(Some(Header { len, source }))
}

/// The source of a block of two addresses of `N` bytes and two ports.
fn source<const N: usize>(block: &[u8]) -> Result<SocketAddr, Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let (ip, rest) = block.split_first_chunk::<N>().ok_or(Malformed::Addresses)?;
    let (_destination, ports) = rest.split_at_checked(N).ok_or(Malformed::Addresses)?;
    let &[high, low, _, _, ..] = ports else { return Err(Malformed::Addresses) };
    Ok(SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn source_of(header: &[u8]) -> Result<Option<String>, Malformed> {
        let bytes = [header, b"GET /"].concat();
        let parsed = parse(&bytes)?.expect("it is complete");
        assert_eq!(parsed.len, header.len());
        Ok(parsed.source.map(|source| source.to_string()))
    }

    #[test]
    fn the_source_is_read_and_extensions_are_skipped() {
        let plain = header(PROXY, TCP4, &FOUR);
        assert_eq!(source_of(&plain), Ok(Some("192.0.2.1:56324".into())));
        let extended = header(PROXY, TCP4, &[&FOUR[..], &[0xea, 0, 3, 1, 2, 3]].concat());
        assert_eq!(source_of(&extended), Ok(Some("192.0.2.1:56324".into())));
        let mut six = [0; 36];
        (six[0], six[1], six[15], six[33]) = (0x20, 0x01, 9, 80);
        assert_eq!(source_of(&header(PROXY, TCP6, &six)), Ok(Some("[2001::9]:80".into())));
    }

    #[test]
    fn the_proxy_may_speak_for_itself() {
        for (command, family, rest) in [
            (LOCAL, 0, &[][..]),
            (LOCAL, TCP4, &FOUR),
            (LOCAL, 0x31, &[1; 216]),
            (PROXY, UNSPECIFIED, &[7; 3]),
        ] {
            assert_eq!(source_of(&header(command, family, rest)), Ok(None));
        }
    }

    #[test]
    fn a_header_is_waited_for_to_its_end_and_no_further() {
        let whole = header(PROXY, TCP4, &FOUR);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Ok(None), "{length}");
        }
        assert_eq!(parse(&whole).unwrap().unwrap().len, whole.len());
    }

    #[test]
    fn a_header_that_announces_too_much_is_refused_at_once() {
        let longest = header(LOCAL, 0, &vec![0; HEADER_LEN_MAX - FIXED_LEN]);
        assert_eq!(source_of(&longest), Ok(None));
        let longer = header(LOCAL, 0, &vec![0; HEADER_LEN_MAX - FIXED_LEN + 1]);
        assert_eq!(parse(&longer[..FIXED_LEN]), Err(Malformed::TooLong));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        assert_eq!(parse(b"\r\n\r\n\0\r\nQUIt"), Err(Malformed::NoHeader));
        for (command, family) in [(0x11, TCP4), (0x31, TCP4), (0x22, TCP4), (PROXY, 0x12), (PROXY, 0x31)] {
            let unserved = header(command, family, &[0; 216]);
            assert_eq!(parse(&unserved), Err(Malformed::Unsupported), "{command:x} {family:x}");
        }
        assert_eq!(parse(&header(PROXY, TCP4, &FOUR[..11])), Err(Malformed::Addresses));
        assert_eq!(parse(&header(PROXY, TCP6, &[0; 35])), Err(Malformed::Addresses));
        assert_eq!(parse(&header(PROXY, TCP6, &[0; 15])), Err(Malformed::Addresses));
    }
}
