//! Finding the next byte of a JSON string that cannot be passed over: its closing quote, a backslash, or a control
//! character. This is where a parser spends its time on long strings, so x86-64 has a vectorised version in
//! `sse2.rs`; here is the plain one, which every other processor uses and which the tests compare with the first.

#[cfg(target_arch = "x86_64")]
pub(super) use super::sse2::find_special;

#[cfg(not(target_arch = "x86_64"))]
pub(super) use find_special_scalar as find_special;

/// The position of the first `"`, `\` or byte below 0x20 in `bytes` at or after `from`, else the length.
pub(super) fn find_special_scalar(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    found.map_or(bytes.len(), |offset| from + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_agree_for_every_byte_at_every_position_and_start() {
        const LENGTH_MAX: usize = 50;
        for length in 0..LENGTH_MAX {
            let mut bytes = vec![b'a'; length];
            for (at, byte) in (0..length).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                bytes[at] = byte;
                let from = (at + byte as usize) % (length + 1);
                let expected = find_special_scalar(&bytes, from);
                assert_eq!(find_special(&bytes, from), expected, "{bytes:?} from {from}");
                assert_eq!(find_special(&bytes, 0), find_special_scalar(&bytes, 0), "{bytes:?}");
                bytes[at] = b'a';
            }
        }
    }

    #[test]
    fn the_first_of_several_special_bytes_is_found() {
        let bytes = b"plain text of some length, then \"quoted\\ \x01 and a tail of some more length";
        for from in 0..=bytes.len() {
            assert_eq!(find_special(bytes, from), find_special_scalar(bytes, from), "from {from}");
        }
        assert_eq!(find_special(bytes, 0), 32);
    }
}
