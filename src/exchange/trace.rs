//! The place of a call in a distributed trace, as the caller says it: W3C trace context, version 00 (`traceparent`).
//!
//! Plain data that travels with a dial into the call's record; nothing is decided by it here, and no shard ever makes a trace
//! of its own. What cannot be read means that there is none: a trace is never a reason to refuse a dial.

/// The length of a `traceparent` of version 00: two, 32, 16 and two digits, with hyphens between them.
const TEXT_LEN: usize = 55;
/// Where its parts begin.
const TRACE_ID_AT: usize = 3;
const SPAN_ID_AT: usize = 36;
const FLAGS_AT: usize = 53;
/// The version that means nothing.
const VERSION_INVALID: u8 = 0xff;
/// The flag by which the caller says that it keeps this trace.
const SAMPLED: u8 = 1;

/// The span that a dial was made in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// The trace; not all zero.
    pub trace_id: [u8; 16],
    /// The caller's span in it; not all zero.
    pub span_id: [u8; 8],
    /// Its flags, of which only the lowest means something here.
    pub flags: u8,
}

impl TraceParent {
    /// Reads a `traceparent`. Digits are lower case, as W3C has it. Later versions are read as this one if they begin like it, and
    /// of their flags only the one that is known here is kept.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let (known, rest) = text.split_at_checked(TEXT_LEN)?;
        let [version] = digits(&known[..2])?;
        let is_cut = [TRACE_ID_AT, SPAN_ID_AT, FLAGS_AT].into_iter().all(|at| known[at - 1] == b'-');
        let is_known = version == 0;
        // What a later version adds stands behind another hyphen.
        let fits = if is_known { rest.is_empty() } else { rest.first().is_none_or(|&first| first == b'-') };
        if !is_cut || !fits || version == VERSION_INVALID {
            return None;
        }
        let trace_id: [u8; 16] = digits(&known[TRACE_ID_AT..SPAN_ID_AT - 1])?;
        let span_id: [u8; 8] = digits(&known[SPAN_ID_AT..FLAGS_AT - 1])?;
        let [flags] = digits(&known[FLAGS_AT..])?;
        let flags = if is_known { flags } else { flags & SAMPLED };
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, flags })
    }

    /// Whether the caller keeps this trace.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The bytes that so many digits of lower case stand for.
fn digits<const LEN: usize>(text: &[u8]) -> Option<[u8; LEN]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; LEN];
    debug_assert_eq!(text.len(), 2 * LEN);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_good_one_is_read() {
        let parent = TraceParent::parse(GOOD).expect("it is good");
        assert_eq!(u128::from_be_bytes(parent.trace_id), 0x0af7651916cd43dd8448eb211c80319c);
        assert_eq!(u64::from_be_bytes(parent.span_id), 0xb7ad6b7169203331);
        assert_eq!((parent.flags, parent.is_sampled()), (1, true));
        let other = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe");
        assert!(!other.expect("all flags are allowed").is_sampled());
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for rest in ["", "-", "-what-the-future-will-bring"] {
            let text = format!("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff{rest}");
            assert_eq!(TraceParent::parse(&text), TraceParent::parse(GOOD), "{text}");
        }
    }

    #[test]
    fn whatever_is_not_as_w3c_has_it_is_none() {
        let bad = [
            "",
            "00",
            // Too short, too long, something behind it.
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            // Not the digits there are.
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
            "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319\u{e9}-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            // Hyphens elsewhere.
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
            // The version and the ids that mean nothing.
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ];
        for text in bad {
            assert_eq!(TraceParent::parse(text), None, "{text:?}");
        }
    }
}
