//! The names of things inside an exchange: shards, lines, legs, calls, parties.
//!
//! Every id is a newtype, so that a line can never be taken for a leg. Ids that a client never sees are a
//! `Handle`: shard, slot and generation in eight bytes, so that whoever holds one can reach its owner without
//! a look-up and notice that the thing is gone. Call ids and session ids do leave the exchange and are
//! therefore UUIDs that nobody can guess (design.md, D8). Nothing here allocates.

use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};

/// Most shards an exchange can have. Sets of shards travel as one `u64`.
pub const SHARDS_MAX: usize = 64;

const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 30;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

/// Most things of one kind that one shard can hold at a time (the slot number has 24 bits).
pub const SLOTS_MAX: usize = 1 << SLOT_BITS;

/// One slice of the exchange, owned by exactly one thread. Always below [`SHARDS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard with this number.
    ///
    /// # Panics
    /// If `number` is not below [`SHARDS_MAX`]: the number of shards is checked when the exchange is built.
    pub fn new(number: usize) -> Self {
        assert!(number < SHARDS_MAX, "shard number {number} is not below {SHARDS_MAX}");
        Self(number as u16)
    }

    /// The number of this shard, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of shards.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ShardSet(u64);

impl ShardSet {
    /// The set without members.
    pub const NONE: Self = Self(0);

    /// The set that holds just `shard`.
    pub fn of(shard: ShardId) -> Self {
        Self(1 << shard.index())
    }

    /// Every shard of an exchange of `shards` shards.
    pub fn all(shards: usize) -> Self {
        if shards >= SHARDS_MAX { Self(u64::MAX) } else { Self((1 << shards) - 1) }
    }

    /// This set without `shard`.
    pub fn without(self, shard: ShardId) -> Self {
        Self(self.0 & !(1 << shard.index()))
    }

    /// One bit a shard, the lowest for shard 0.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// Where a thing lives: shard, slot within it, and the slot's generation. Eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u64);

impl Handle {
    /// A handle to `slot` of `shard` in the given generation (its lowest 30 bits count).
    pub fn new(shard: ShardId, slot: u32, generation: u32) -> Self {
        debug_assert!((slot as usize) < SLOTS_MAX);
        let generation = u64::from(generation & GENERATION_MASK);
        Self(
            (u64::from(shard.0) << (SLOT_BITS + GENERATION_BITS))
                | (generation << SLOT_BITS)
                | u64::from(slot),
        )
    }

    /// The handle as a number, for pollers and other foreign queues.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The handle that [`Handle::to_bits`] gave; any other number is a handle that finds nothing.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The shard that owns the thing.
    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> (SLOT_BITS + GENERATION_BITS)) as u16)
    }

    /// Its slot within the shard.
    pub fn slot(self) -> u32 {
        (self.0 as u32) & (SLOTS_MAX as u32 - 1)
    }

    /// The handle of whatever comes into this slot next. Generations begin anew after 2^30.
    #[must_use]
    pub fn next(self) -> Self {
        Self::new(self.shard(), self.slot(), self.generation() + 1)
    }

    /// Its generation: two things that follow each other in one slot differ in it.
    pub fn generation(self) -> u32 {
        (self.0 >> SLOT_BITS) as u32 & GENERATION_MASK
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard(), self.slot(), self.generation())
    }
}

macro_rules! handle_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Handle);

        impl $name {
            /// The shard that owns it.
            pub fn shard(self) -> ShardId {
                self.0.shard()
            }

            /// Its slot within its shard.
            pub fn slot(self) -> u32 {
                self.0.slot()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt_short(f)
            }
        }
    };
}

impl Handle {
    fn fmt_short(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard(), self.slot(), self.generation())
    }
}

handle_type! {
    /// A line: one client connection as the core sees it. It changes when the line moves to another shard.
    LineId
}
handle_type! {
    /// The caller's end of a call, on the shard of the caller's line.
    LegId
}
handle_type! {
    /// A call's record, on the shard of the callee's line.
    RecordId
}
handle_type! {
    /// A PRESENCE that is being gathered, on the shard of whoever asks.
    QuestionId
}
handle_type! {
    /// A party line, on the home shard of its name.
    PartyId
}

/// The name of a call, as its parties see it: a UUID of version 8 that nobody can guess.
///
/// It holds shard, slot and a part of the generation of the leg that placed the call, and 74 random bits.
/// A broadcast session has an id of the same form; its slot part is meaningless.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(Uuid);

/// The 128 bits of a UUID, most significant first. In two halves, because a type aligned to 16 bytes, as `u128` is, makes
/// whatever holds it dearer to allocate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Uuid([u64; 2]);

impl Uuid {
    const fn new(bits: u128) -> Self {
        Self([(bits >> 64) as u64, bits as u64])
    }

    const fn bits(self) -> u128 {
        let [high, low] = self.0;
        (high as u128) << 64 | low as u128
    }
}

/// Bits of a UUID that are fixed by RFC 9562: version in bits 76..80, variant in bits 62..64.
const UUID_FIXED: u128 = (0xF << 76) | (0b11 << 62);
const UUID_VARIANT: u128 = 0b10 << 62;
/// A version that no UUID has: the id was derived from a text of another form.
const DERIVED: u128 = 0xF << 76;
/// Longest id that another exchange may give a call, in bytes.
pub const CALL_TEXT_BYTES_MAX: usize = 255;
const CALL_SLOT_SHIFT: u32 = 94;
const CALL_SHARD_SHIFT: u32 = CALL_SLOT_SHIFT + SLOT_BITS;
const CALL_GENERATION_SHIFT: u32 = 80;
const CALL_GENERATION_MASK: u128 = (1 << 14) - 1;

impl CallId {
    /// The id that names no call.
    pub const NONE: Self = Self(Uuid::new(0));

    /// The id of a call placed by `leg`; `random` gives the 74 bits that make it unguessable.
    pub fn mint(leg: LegId, random: u128) -> Self {
        let place = (u128::from(leg.shard().0) << CALL_SHARD_SHIFT)
            | (u128::from(leg.slot()) << CALL_SLOT_SHIFT)
            | ((u128::from(leg.0.generation()) & CALL_GENERATION_MASK) << CALL_GENERATION_SHIFT);
        let random = random & ((1 << CALL_GENERATION_SHIFT) - 1) & !UUID_FIXED;
        Self(Uuid::new(place | random | (8 << 76) | UUID_VARIANT))
    }

    /// The id as a number.
    pub fn bits(self) -> u128 {
        self.0.bits()
    }

    /// The shard whose line placed the call. Not below the number of shards if a client made the id up.
    pub fn shard_index(self) -> usize {
        (self.0.bits() >> CALL_SHARD_SHIFT) as usize
    }

    /// The slot of the caller's leg on that shard.
    pub fn slot(self) -> u32 {
        (self.0.bits() >> CALL_SLOT_SHIFT) as u32 & (SLOTS_MAX as u32 - 1)
    }

    /// The id written as `text`. Other exchanges name their calls as they like (spec section 19.4): a text that is not of
    /// the canonical form of 36 characters becomes a *derived* id, the same for the same text. [`CallId::NONE`] if it is empty
    /// or longer than [`CALL_TEXT_BYTES_MAX`].
    pub fn parse(text: &[u8]) -> Self {
        match parse_uuid(text) {
            Some(bits) if bits & DERIVED != DERIVED => Self(Uuid::new(bits)),
            _ if (1..=CALL_TEXT_BYTES_MAX).contains(&text.len()) => Self::derive(text),
            _ => Self::NONE,
        }
    }

    /// Two texts with the same id would be refused as one call that comes twice, so it takes no secret to tell them apart.
    fn derive(text: &[u8]) -> Self {
        let half = |half: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(half);
            hasher.write(text);
            u128::from(hasher.finish())
        };
        Self(Uuid::new(half(0) << 64 | half(1) | DERIVED))
    }

    /// Whether its text is another than the canonical one.
    pub fn is_derived(self) -> bool {
        self.0.bits() & DERIVED == DERIVED
    }

    /// The canonical form of 36 characters.
    pub fn text(self) -> [u8; UUID_TEXT_LEN] {
        uuid_text(self.0.bits())
    }
}

/// The name of a connection, given to its client with REGISTERED: a random UUID of version 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A session id from 122 of the 128 `random` bits.
    pub fn mint(random: u128) -> Self {
        Self(Uuid::new((random & !UUID_FIXED) | (4 << 76) | UUID_VARIANT))
    }

    /// The canonical form of 36 characters.
    pub fn text(self) -> [u8; UUID_TEXT_LEN] {
        uuid_text(self.0.bits())
    }
}

macro_rules! uuid_format {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&self.text()).unwrap_or("?"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_format!(CallId);
uuid_format!(SessionId);

/// A running attempt to bring a sleeping address up; unique within the run of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WakeRun {
    /// The shard that asked for it, and gets the answer.
    pub shard: ShardId,
    /// Counts up within the shard.
    pub number: u64,
}

/// Length of a UUID in its canonical text form.
pub const UUID_TEXT_LEN: usize = 36;
/// Where the digits stand, eight at a time: the hyphens cut two of the eights in halves.
const EIGHTS: [[usize; 2]; 4] = [[0, 4], [9, 14], [19, 24], [28, 32]];
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// One in each byte of eight.
const ONES: u64 = 0x0101_0101_0101_0101;
/// What lies between `9` and `a` besides one, in ASCII.
const LETTER_GAP: u64 = b'a' as u64 - b'0' as u64 - 10;

fn uuid_text(bits: u128) -> [u8; UUID_TEXT_LEN] {
    let mut text = [b'-'; UUID_TEXT_LEN];
    for (eight, [first, second]) in EIGHTS.into_iter().enumerate() {
        let digits = digits_of(spread((bits >> (96 - 32 * eight)) as u32)).to_be_bytes();
        text[first..first + 4].copy_from_slice(&digits[..4]);
        text[second..second + 4].copy_from_slice(&digits[4..]);
    }
    text
}

/// Only lower-case canonical text is an id we gave out; anything else cannot name a call here. Every message names a
/// call, so eight digits are read at a time: whatever they are, they are taken for digits, and were some if the
/// value written again gives the same text.
fn parse_uuid(text: &[u8]) -> Option<u128> {
    let text: &[u8; UUID_TEXT_LEN] = text.try_into().ok()?;
    let (mut bits, mut is_canonical) = (0, HYPHENS.into_iter().all(|at| text[at] == b'-'));
    for [first, second] in EIGHTS {
        let mut eight = [0; 8];
        eight[..4].copy_from_slice(&text[first..first + 4]);
        eight[4..].copy_from_slice(&text[second..second + 4]);
        let eight = u64::from_be_bytes(eight);
        // Letters have bit 6, and their low half counts from 1 for `a`.
        let values = (eight & (0x0f * ONES)) + 9 * ((eight >> 6) & ONES);
        is_canonical &= values & (0xf0 * ONES) == 0 && digits_of(values) == eight;
        bits = bits << 32 | u128::from(gather(values));
    }
    is_canonical.then_some(bits)
}

/// Eight values from 0 to 15, one a byte, from 32 bits.
fn spread(bits: u32) -> u64 {
    let bits = u64::from(bits);
    let halves = (bits << 16 | bits) & 0x0000_ffff_0000_ffff;
    let quarters = (halves << 8 | halves) & 0x00ff_00ff_00ff_00ff;
    (quarters << 4 | quarters) & (0x0f * ONES)
}

/// The reverse of [`spread`].
fn gather(values: u64) -> u32 {
    let quarters = (values >> 4 | values) & 0x00ff_00ff_00ff_00ff;
    let halves = (quarters >> 8 | quarters) & 0x0000_ffff_0000_ffff;
    (halves >> 16 | halves) as u32
}

/// The hexadecimal digits of eight values from 0 to 15. No byte overflows into the next.
fn digits_of(values: u64) -> u64 {
    let letters = ((values + 6 * ONES) >> 4) & ONES;
    values + u64::from(b'0') * ONES + LETTER_GAP * letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_gives_back_what_was_put_in() {
        let handle = Handle::new(ShardId::new(63), 0x00AB_CDEF, 0x2FFF_FFFF);
        assert_eq!(handle.shard().index(), 63);
        assert_eq!(handle.slot(), 0x00AB_CDEF);
        assert_eq!(handle.generation(), 0x2FFF_FFFF);
    }

    #[test]
    fn a_call_id_is_a_version_8_uuid_that_names_the_leg_that_placed_it() {
        let leg = LegId(Handle::new(ShardId::new(5), 123_456, 77));
        let id = CallId::mint(leg, u128::MAX);
        assert_eq!((id.shard_index(), id.slot()), (5, 123_456));
        let text = id.to_string();
        assert_eq!(&text[14..15], "8");
        assert!("89ab".contains(&text[19..20]));
        assert_eq!(CallId::parse(text.as_bytes()), id);
    }

    #[test]
    fn text_of_any_other_form_is_an_id_of_its_own() {
        let text = CallId::mint(LegId(Handle::new(ShardId::new(0), 1, 1)), 0xABCDEF).to_string();
        let id = CallId::parse(text.as_bytes());
        assert!(!id.is_derived() && id.text() == text.as_bytes());
        for other in [text.to_uppercase(), text.replace('-', ""), "-".repeat(36), "call-1".into()] {
            let derived = CallId::parse(other.as_bytes());
            assert!(derived.is_derived() && derived != id, "{other}");
            assert_eq!(CallId::parse(other.as_bytes()), derived);
            // Nor does writing a derived id out lead to it.
            assert_ne!(CallId::parse(&derived.text()), derived);
        }
        assert_ne!(CallId::parse(b"call-1"), CallId::parse(b"call-2"));
        assert_eq!(CallId::parse(b""), CallId::NONE);
        assert_eq!(CallId::parse(&[b'x'; CALL_TEXT_BYTES_MAX + 1]), CallId::NONE);
    }

    #[test]
    fn a_single_wrong_byte_anywhere_names_no_call() {
        let text = uuid_text(0x0123_4567_89ab_8def_8edc_ba98_7654_3210);
        assert_eq!(&text, b"01234567-89ab-8def-8edc-ba9876543210");
        assert_eq!(parse_uuid(&text), Some(0x0123_4567_89ab_8def_8edc_ba98_7654_3210));
        for at in 0..UUID_TEXT_LEN {
            for byte in 0..=u8::MAX {
                let mut other = text;
                other[at] = byte;
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let is_right = if HYPHENS.contains(&at) { byte == b'-' } else { is_digit };
                let parsed = parse_uuid(&other);
                assert_eq!(parsed.is_some(), is_right, "{byte:#x} at {at}");
                assert!(parsed.is_none_or(|bits| uuid_text(bits) == other));
            }
        }
    }

    #[test]
    fn a_session_id_is_a_version_4_uuid() {
        let text = SessionId::mint(u128::MAX).to_string();
        assert_eq!(&text[14..15], "4");
        assert_eq!(&text[19..20], "b");
    }
}
