//! The little DER that public keys are wrapped in: a reader of tag, length and value, and of SubjectPublicKeyInfo.
//!
//! Bytes in, slices out. Invariant: no length is believed beyond the bytes that are there.

use rustls::pki_types::alg_id;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

/// A public key without its wrapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PublicKey<'d> {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa { n: &'d [u8], e: &'d [u8] },
    /// An uncompressed point on P-256.
    P256(&'d [u8]),
    /// An Ed25519 key.
    Ed25519(&'d [u8]),
}

/// Unwraps a SubjectPublicKeyInfo; nothing for a key of another kind, or none.
pub(super) fn public_key(spki: &[u8]) -> Option<PublicKey<'_>> {
    let (whole, _) = take(spki, SEQUENCE)?;
    let (algorithm, rest) = take(whole, SEQUENCE)?;
    let (bits, _) = take(rest, BIT_STRING)?;
    let (0, key) = bits.split_first()? else { return None };
    match algorithm {
        _ if algorithm == alg_id::RSA_ENCRYPTION.as_ref() => rsa_key(key),
        _ if algorithm == alg_id::ECDSA_P256.as_ref() => Some(PublicKey::P256(key)),
        _ if algorithm == alg_id::ED25519.as_ref() => Some(PublicKey::Ed25519(key)),
        _ => None,
    }
}

fn rsa_key(der: &[u8]) -> Option<PublicKey<'_>> {
    let (whole, _) = take(der, SEQUENCE)?;
    let (n, rest) = take(whole, INTEGER)?;
    let (e, _) = take(rest, INTEGER)?;
    Some(PublicKey::Rsa { n: without_zeros(n), e: without_zeros(e) })
}

/// A number without the zeros in front of it.
pub(super) fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|&&byte| byte == 0).count()..]
}

/// The algorithm of a PKCS#8 private key, as `alg_id` writes it.
pub(super) fn private_key_algorithm(pkcs8: &[u8]) -> Option<&[u8]> {
    let (whole, _) = take(pkcs8, SEQUENCE)?;
    let (_version, rest) = take(whole, INTEGER)?;
    take(rest, SEQUENCE).map(|(algorithm, _)| algorithm)
}

/// The value with this tag at the front, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Two bytes of length are enough for any key.
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    if found != tag { None } else { rest.split_at_checked(len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_and_foreign_wrappings_are_no_keys() {
        let mut spki = vec![SEQUENCE, 9, SEQUENCE, 5, 6, 3, 0x2b, 0x65, 0x70, BIT_STRING, 2, 0, 7];
        spki[1] = (spki.len() - 2) as u8;
        assert_eq!(public_key(&spki), Some(PublicKey::Ed25519(&[7])));
        for len in 0..spki.len() {
            assert_eq!(public_key(&spki[..len]), None, "{len}");
        }
        for at in 0..spki.len() - 1 {
            let mut bent = spki.clone();
            bent[at] ^= 0xff;
            assert_eq!(public_key(&bent), None, "{at}");
        }
    }
}
