//! Nothing a client sends may stop the process, stall a shard, grow memory without bound or touch somebody else's
//! call (issue 2, part 6). Each item has a test over real sockets against a process of its own, beside a call of two
//! well-behaved clients that goes on all the time; `support::Scene` checks the call, the descriptors and the memory.

#![expect(clippy::print_stdout, reason = "counts of cases and inputs belong into the output of the tests")]

/// What one client may cost: floods, hoards, caps, and connections that come and go.
mod budgets;
/// Frames that break RFC 6455.
mod framing;
/// HTTP that is no handshake, or a slow one.
mod handshakes;
/// Messages that are wrong, or larger and deeper than anything sensible.
mod payloads;
/// Seeded random input of all kinds.
mod random;
/// Clients that vanish, that do not read, and that guess.
mod rude;
/// A process of the exchange, raw sockets, and the call beside.
pub mod support;
