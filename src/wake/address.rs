//! Which IP addresses a webhook may be sent to (specification, section 15).
//!
//! Pure: an address in, yes or no out; no names, no sockets. Loopback and private networks are allowed on purpose
//! (agents live there), so what is refused is exactly what no agent answers on: link-local addresses, the metadata
//! services of clouds, and addresses that are not one host. An IPv6 address that carries an IPv4 one is judged by
//! both. The caller must ask about the very address it then connects to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside 169.254.0.0/16: Alibaba Cloud, Azure's host endpoint, Oracle Cloud (classic).
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Metadata services on unique-local addresses: Google Cloud, Oracle Cloud, Scaleway. Amazon's is a prefix, see below.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Amazon keeps all its instance services (metadata, DNS, time, pod identity) in this /32.
const AMAZON_SERVICES_V6: [u16; 2] = [0xfd00, 0xec2];

/// Whether a webhook may connect to `address`.
pub(super) fn is_permitted(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_permitted_v4(address),
        IpAddr::V6(address) => is_permitted_v6(address),
    }
}

fn is_permitted_v4(address: Ipv4Addr) -> bool {
    // The whole of 0.0.0.0/8 means "this host" to some kernels, not only its first address.
    let this_network = address.octets()[0] == 0;
    !(this_network
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA_V4.contains(&address))
}

fn is_permitted_v6(address: Ipv6Addr) -> bool {
    if address.is_loopback() {
        return true;
    }
    let refused = address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address.segments()[..2] == AMAZON_SERVICES_V6
        || METADATA_V6.contains(&address);
    !refused && embedded_v4(address).is_none_or(is_permitted_v4)
}

/// The IPv4 address that the network would deliver to when it is sent `address`, for the forms in use.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    match segments {
        // Compatible (::a.b.c.d), mapped (::ffff:a.b.c.d) and translated (::ffff:0:a.b.c.d).
        [0, 0, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(join(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(join(high, low)),
        // NAT64: the well-known prefix, and the local one as it is commonly laid out.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x64, 0xff9b, 1, _, _, _, high, low] => Some(join(high, low)),
        // 6to4.
        [0x2002, high, low, _, _, _, _, _] => Some(join(high, low)),
        _ => None,
    }
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: bool, addresses: &[&str]) {
        for text in addresses {
            let address: IpAddr = text.parse().expect("a literal address");
            assert_eq!(is_permitted(address), expected, "{text}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_permitted() {
        check(
            true,
            &[
                "127.0.0.1",
                "127.8.9.10",
                "10.0.0.1",
                "172.16.3.4",
                "192.168.1.1",
                "100.64.0.1",
                "8.8.8.8",
                "::1",
                "fd00::1",
                "2001:db8::1",
                "::ffff:127.0.0.1",
                "64:ff9b::8.8.8.8",
                "2002:0808:0808::1",
            ],
        );
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused() {
        check(
            false,
            &[
                "169.254.169.254",
                "169.254.0.1",
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
                "fe80::1",
                "febf::1",
                "fd00:ec2::254",
                "fd00:ec2::23",
                "fd20:ce::254",
                "fd00:c1::a9fe:a9fe",
                "fd00:42::42",
            ],
        );
    }

    #[test]
    fn addresses_that_are_not_one_host_are_refused() {
        check(false, &["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.1.1.1", "255.255.255.255", "ff02::1"]);
    }

    #[test]
    fn a_refused_address_stays_refused_inside_an_ipv6_form() {
        check(
            false,
            &[
                "::ffff:169.254.169.254",
                "::169.254.169.254",
                "::ffff:0:169.254.169.254",
                "64:ff9b::169.254.169.254",
                "64:ff9b:1::169.254.169.254",
                "2002:a9fe:a9fe::1",
                "::ffff:0.0.0.0",
                "::ffff:100.100.100.200",
                "::ffff:255.255.255.255",
                "2002:6464:64c8::",
            ],
        );
    }
}
