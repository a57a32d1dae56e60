//! Fuzz bodies for what proxies say: plain functions that a fuzzer and a test with seeds both call.
//!
//! Nothing here runs in production. A body panics when a property is broken, and only then.

use std::net::IpAddr;

use super::{HEADER_LEN_MAX, Networks, forwarded, parse};

/// Any bytes as the beginning of a stream: however they are cut, the same header is found at the same place, nothing
/// behind it matters, and a header that is not complete claims less than the largest.
///
/// # Panics
/// If one of these does not hold.
pub fn read_any(bytes: &[u8]) {
    let whole = parse(bytes);
    let len = match whole {
        Ok(Some(header)) => header.len,
        Ok(None) | Err(_) => bytes.len(),
    };
    if whole.is_ok() {
        assert!(len <= bytes.len() && len <= HEADER_LEN_MAX, "{len} of {}", bytes.len());
    }
    for cut in 0..bytes.len() {
        let early = parse(&bytes[..cut]);
        let agrees = early == whole || (early == Ok(None) && (whole.is_err() || cut <= len));
        assert!(agrees, "{early:?} of {cut} bytes, {whole:?} of all");
    }
}

/// Any text that a client sends in both headers before a trusted proxy adds its own part: the client is whom the proxy
/// names, and of a caller that is not trusted it is the caller.
///
/// # Panics
/// If that does not hold.
pub fn forward_any(sent: &[u8]) {
    let trusted = Networks::parse("10.0.0.0/8").expect("a network");
    let [proxy, stranger, client] = [[10, 0, 0, 1], [192, 0, 2, 9], [198, 51, 100, 1]].map(IpAddr::from);
    let plain = [sent, b", 198.51.100.1"].concat();
    let found = |caller, plain: &[u8], tagged: &[u8]| {
        forwarded::client(caller, &trusted, [plain].into_iter(), [tagged].into_iter())
    };
    for added in [
        &b", for=198.51.100.1"[..],
        b", for=\"198.51.100.1:80\";by=\"10.0.0.1\"",
        br#", host="a\", for=6.6.6.6;x=\\";for=198.51.100.1"#,
    ] {
        let tagged = [sent, added].concat();
        assert_eq!(found(proxy, &plain, &[]), client, "{sent:?}");
        assert_eq!(found(proxy, &[], &tagged), client, "{sent:?}");
        assert_eq!(found(proxy, &plain, &tagged), client, "{sent:?}");
        assert_eq!(found(stranger, &plain, &tagged), stranger, "{sent:?}");
    }
    // Whatever it is by itself, it is read.
    let _ = found(proxy, sent, sent);
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

    use super::*;

    /// Enough to meet every branch often; half a second in a debug build.
    const INPUTS: u64 = 20_000;
    const PIECES_MAX: usize = 12;

    const PIECES: [&[u8]; 34] = [
        b"PROXY ",
        b"TCP4 ",
        b"TCP6 ",
        b"UNKNOWN",
        b" ",
        b"192.0.2.1",
        b"2001:db8::1",
        b"10.0.0.1",
        b"443",
        b"\r\n",
        b"\n",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\x20",
        b"\x21",
        b"\x11",
        b"\x00",
        b"\x00\x0c",
        b"\x00\x24",
        b"\xff\xff",
        b"\x0f\xf0",
        b"for=",
        b"by=",
        b"host",
        b"=",
        b"\"",
        b"\\",
        b";",
        b",",
        b"[",
        b"]",
        b":",
        b"_x",
        b"unknown",
        &[0; 40],
    ];

    struct Dice(ChaCha8Rng);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            (self.0.next_u64() % limit as u64) as usize
        }
    }

    /// Pieces in any order, behind a good beginning more often than not, some bits wrong.
    fn input(dice: &mut Dice) -> Vec<u8> {
        let mut input = match dice.below(4) {
            0 => b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n".to_vec(),
            1 => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\x00\x50\x01\xbb"
                .to_vec(),
            _ => Vec::new(),
        };
        for _ in 0..dice.below(PIECES_MAX) {
            input.extend_from_slice(PIECES[dice.below(PIECES.len())]);
        }
        if dice.below(2) == 0 && !input.is_empty() {
            let at = dice.below(input.len());
            input[at] ^= 1 << dice.below(8);
        }
        input
    }

    #[test]
    fn whatever_a_stream_begins_with_it_is_read_the_same_however_it_is_cut() {
        for seed in 0..INPUTS {
            read_any(&input(&mut Dice(ChaCha8Rng::seed_from_u64(seed))));
        }
        read_any(&[b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x0f\xf0", &[1; HEADER_LEN_MAX][..]].concat());
    }

    #[test]
    fn whatever_a_client_sends_the_proxys_word_counts() {
        for seed in 0..INPUTS {
            forward_any(&input(&mut Dice(ChaCha8Rng::seed_from_u64(seed))));
        }
    }
}
