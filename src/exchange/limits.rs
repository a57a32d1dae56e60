//! Every bound of the core, with its unit and its reason; nothing may grow without one.
//!
//! Fixed bounds are constants, the ones an operator may want to change are fields of [`Limits`]. Bounds on bytes
//! on the wire belong to the shell and the dialects; what is bounded here is state that lives in a shard.

use std::sync::Arc;

/// Longest address, in characters (spec section 4).
pub const ADDRESS_CHARS_MAX: usize = 255;

/// Longest `ref` of a dial, in bytes: it is kept for the length of the call and sent back twice.
pub const REFERENCE_BYTES_MAX: usize = 128;

/// Longest text that a client chose (a dialled name, a reason) in a call record, in bytes: records queue up, and a
/// client may dial a name of 16 MiB.
pub const RECORD_TEXT_BYTES_MAX: usize = 1024;

/// Most calls that wait for one sleeping address: whoever comes later hears `unavailable`, because a
/// woken agent could not answer them all before their timers run out anyway.
pub const WAITING_CALLS_MAX: usize = 1024;

/// Most lines of one pool, whatever `pool_size` says: each dial to the pool looks at all of them, some 20 ns each.
pub const POOL_MEMBERS_MAX: usize = 1024;

/// Most bytes of wake handlers that one shard keeps for sleeping addresses. With handlers of some hundred bytes that is
/// a quarter of a million agents; a client that registers and sleeps in a loop under ever new addresses gets no farther.
pub const WAKE_PROFILE_BYTES_MAX: usize = 256 << 20;

/// What a stored wake handler costs besides its own text, in bytes: the listing, the address, the allocations.
pub const WAKE_PROFILE_OVERHEAD_BYTES: usize = 512;

/// Most bytes of metadata that one shard keeps for calls that wait for sleeping agents.
pub const WAITING_METADATA_BYTES_MAX: usize = 256 << 20;

/// Largest sum of metadata in one answer to PRESENCE, in bytes; more is cut and said to be `truncated`. The
/// largest message that goes out then stays as small as the largest that may come in.
pub const PRESENCE_BYTES_MAX: usize = 16 << 20;

/// Most that one shard does to find whom a PRESENCE asks for, in steps of one or two nanoseconds (a comparison of slots or
/// of 64 slots at once), so that no question stalls it for long; an answer that is not complete then is `truncated`. Two
/// indexes over all of a million lines are compared in an eighth of it, whatever they hold.
pub const PRESENCE_STEPS_MAX: usize = 1 << 18;

/// What it costs to look at a line that turns out to be too far away, in those steps: its profile is in no cache, and the
/// distance takes some 50 ns. A shard so looks at 4,096 of them for one question.
pub const PRESENCE_LOOK_STEPS: usize = 64;

/// Most hops of a dial between shards while its callee moves. Two happen; more is a bug that must not loop.
pub const DIAL_HOPS_MAX: u8 = 8;

/// Most routes of one tie line.
pub const ROUTES_PER_TIE_MAX: usize = 1024;

/// Most routes of all tie lines; every shard has them in a table of its own, some 200 bytes each.
pub const ROUTES_MAX: usize = 16_384;

/// Most of them that cannot be looked up but have to be tried one by one, some 20 ns each, for every dial of an address that
/// nobody here holds.
pub const WILD_ROUTES_MAX: usize = 1024;

/// Most tie lines of an exchange.
pub const TIES_MAX: usize = 1024;

/// Most calls that run over one tie line at a time, in both directions.
pub const CALLS_PER_TIE_MAX: usize = 100_000;

/// How long the name of a call is remembered that ended while it was under way to another exchange, in ms: longer than a dial
/// takes that goes in a circle.
pub const GIVEN_UP_MS: u64 = 30_000;

/// Most of those names on one shard; some 80 bytes each.
pub const GIVEN_UP_MAX: usize = 16_384;

/// How long other exchanges may take to say who is there, in ms (spec section 19.6); half of it for the ones that they ask in
/// turn, and so on, so that answers from below arrive in time.
pub const PRESENCE_WAIT_MS: u64 = 1000;

/// Most exchanges that a PRESENCE goes through: links may form a circle.
pub const PRESENCE_HOPS_MAX: u8 = 8;

/// Most questions of one tie line that are being answered at a time; beyond, nobody is found.
pub const QUESTIONS_PER_TIE_MAX: usize = 256;

/// Most questions to one tie line whose answers are waited for; each has a time limit, so an older one is over.
pub const QUESTIONS_SENT_MAX: usize = 1024;

/// How long another exchange may take to let somebody into a party that it hosts, in ms: as long as a network may be slow.
pub const PARTY_WAIT_MS: u64 = 5000;

/// Most exchanges that a wish to be in a party goes through: links may form a circle, and with the word at its heels that it has been
/// given up it would find each of them new.
pub const PARTY_HOPS_MAX: u8 = 16;

/// Most participants of parties that come by one tie line, and parties that it leads to, together; some 200 bytes each.
pub const PARTY_SEATS_PER_TIE_MAX: usize = 100_000;

/// Most speakers in parties whose words to one tie line are weighed apart; some 200 bytes each.
pub const PRESSING_SPEAKERS_MAX: usize = 1024;

/// Heartbeats without an answer after which the other exchange is believed to be gone (section 19.9: "several").
pub const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Signed tokens of one line that are verified in a minute: each costs up to 0.1 ms for each key that may have signed it.
/// Whoever shows more of them is refused unseen, until the minute is over.
pub const SIGNATURES_PER_LINE_MAX: u32 = 20;

/// That minute, in ms.
pub const SIGNATURES_WINDOW_MS: u64 = 60_000;

/// Shortest idle time before the sleep warning, and shortest wait for a woken agent, in ms (spec sections 6, 15).
pub const SHORTEST_WAIT_MS: u64 = 100;

/// Bounds of the time between SLEEP_PENDING and sleep, in ms (spec section 6).
pub const SLEEP_NOTICE_MS: std::ops::RangeInclusive<u64> = 200..=5000;

/// Longest timer, in ms: a year. Clients may ask for 1e300 seconds; the clock's arithmetic must not wrap.
pub const TIMER_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

/// The bounds and times an operator may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How long a call rings, in ms.
    pub call_timeout_ms: u64,
    /// How long a line may be without HEARTBEAT, in ms; 0 = for ever.
    pub heartbeat_timeout_ms: u64,
    /// Dials allowed within one window; `None` = any number.
    pub dial_max_attempts: Option<u32>,
    /// Length of that window, in ms.
    pub dial_window_ms: u64,
    /// Calls of one line at a time, as caller and callee together; each costs some 300 bytes.
    pub calls_per_line_max: u32,
    /// Parties of one line at a time.
    pub parties_per_line_max: usize,
    /// Members of one party. Each JOINED names them all, so its cost grows with the square.
    pub party_members_max: usize,
    /// Addresses in one answer to PRESENCE when the query has no `limit` of its own.
    pub presence_limit: usize,
    /// Which commands clients may register as wake handlers.
    pub spawn: SpawnPolicy,
    /// The domain by which this exchange speaks to others (FEDERATION_DOMAIN).
    pub domain: Arc<str>,
}

/// Which commands clients may register as spawn wake handlers (spec section 15).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpawnPolicy {
    /// None.
    Disabled,
    /// The listed ones, by absolute path.
    Listed(Vec<String>),
    /// Any: every listener is bound to loopback, or the operator said `*`.
    Anything,
}

impl SpawnPolicy {
    /// Whether a handler with this command may be registered.
    pub fn allows(&self, command: &str) -> bool {
        match self {
            Self::Disabled => false,
            Self::Listed(allowed) => allowed.iter().any(|path| path == command),
            Self::Anything => true,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_timeout_ms: 30_000,
            heartbeat_timeout_ms: 60_000,
            dial_max_attempts: Some(10),
            dial_window_ms: 60_000,
            calls_per_line_max: 10_000,
            parties_per_line_max: 256,
            party_members_max: 10_000,
            presence_limit: 10_000,
            spawn: SpawnPolicy::Disabled,
            domain: "local.systemx".into(),
        }
    }
}
