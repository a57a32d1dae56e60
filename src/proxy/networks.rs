//! Networks as an operator writes them (`10.0.0.0/8`, `fd00::/8`, `192.0.2.7`), and whether an address is in one.
//!
//! An IPv4 address and the same address mapped into IPv6 are one address here, whichever way the system or a proxy
//! writes it. An IPv6 network never contains an IPv4 address, unless it is written within the mapped range.

use std::net::IpAddr;

/// Bits of an IPv6 address, in which all addresses are kept.
const BITS: u8 = 128;
/// Bits of it before a mapped IPv4 address.
const MAPPED_BITS: u8 = 96;

/// A list of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// The first address; no bit beyond the prefix is set.
    base: u128,
    mask: u128,
    is_v4: bool,
}

impl Networks {
    /// Reads a comma list; empty items are skipped.
    ///
    /// # Errors
    /// The first item that is no network: bad address, prefix too long, or bits set beyond the prefix.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| Network::parse(item).ok_or(item)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them contains this address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (bits, is_v4) = bits(ip);
        self.0.iter().any(|network| network.is_v4 == is_v4 && bits & network.mask == network.base)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is the whole of IPv4 or of IPv6.
    pub fn has_everybody(&self) -> bool {
        self.0.iter().any(|network| network.mask == mask(if network.is_v4 { MAPPED_BITS } else { 0 }))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = address.parse().ok()?;
        let offset = if ip.is_ipv4() { MAPPED_BITS } else { 0 };
        let prefix = prefix.map_or(Some(BITS - offset), number)?;
        let prefix = prefix.checked_add(offset).filter(|prefix| *prefix <= BITS)?;
        let ((base, is_mapped), mask) = (bits(ip), mask(prefix));
        let is_v4 = is_mapped && prefix >= MAPPED_BITS;
        (base & mask == base).then_some(Self { base, mask, is_v4 })
    }
}

/// The address in IPv6, and whether it is one of IPv4.
fn bits(ip: IpAddr) -> (u128, bool) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (ip.to_ipv6_mapped().to_bits(), true),
        IpAddr::V6(ip) => (ip.to_bits(), false),
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(BITS - prefix)).unwrap_or(0)
}

/// Digits only: `u8` would take a sign.
fn number(digits: &str) -> Option<u8> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(list: &str, ip: &str) -> bool {
        Networks::parse(list).unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_a_network_up_to_its_prefix() {
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.0.2.64/26", "192.0.2.127") && !contains("192.0.2.64/26", "192.0.2.128"));
        assert!(contains("fd00::/8", "fdff::1") && !contains("fd00::/8", "fe00::1"));
        assert!(contains("0.0.0.0/0", "203.0.113.1") && contains("::/0", "2001:db8::1"));
    }

    #[test]
    fn a_single_address_is_a_network_of_one() {
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("2001:db8::1", "2001:db8::1") && !contains("2001:db8::1", "2001:db8::2"));
    }

    #[test]
    fn a_mapped_address_is_the_one_inside() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3") && contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!contains("::/0", "10.1.2.3") && !contains("::/0", "::ffff:10.1.2.3"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn a_list_has_all_its_items_and_none_by_default() {
        assert!(contains("10.0.0.0/8, ,fd00::/8,", "fd00::1"));
        let none = Networks::parse("").unwrap();
        assert!(none.is_empty() && none == Networks::default());
        assert!(Networks::parse("10.0.0.0/8,0.0.0.0/0").unwrap().has_everybody());
        assert!(Networks::parse("::/0").unwrap().has_everybody());
        assert!(!Networks::parse("10.0.0.0/8,fd00::/8").unwrap().has_everybody());
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in [
            "proxy.test",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "::/129",
            "[::1]",
            "10.0.0",
            "10.0.0.0/-1",
            "*",
            "10.0.0.0/256",
            "::1/64",
        ] {
            assert_eq!(Networks::parse(&format!("192.0.2.7, {bad}")), Err(bad));
        }
    }
}
