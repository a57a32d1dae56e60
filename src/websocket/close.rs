//! Close codes: which numbers a peer may send, and the ones this server sends.
//!
//! Why a connection is closed is decided elsewhere; here is only the number's legality (RFC 6455 section 7.4).
//! Invariant: a `CloseCode` is always one that may legally appear in a close frame.

use std::fmt;

/// A code that may appear in a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server is stopping.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the framing rules.
    pub const PROTOCOL: Self = Self(1002);
    /// The peer sent a message this server cannot use (empty, or not JSON; spec section 1).
    pub const UNSUPPORTED: Self = Self(1003);
    /// A text message or close reason is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// The peer broke a rule that has no code of its own.
    pub const POLICY: Self = Self(1008);
    /// The message is larger than the cap that holds for this connection.
    pub const TOO_BIG: Self = Self(1009);
    /// The server failed.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts; the peer should come back, to it or to another.
    pub const RESTART: Self = Self(1012);
    /// The server is overloaded; the peer should come back later.
    pub const TRY_AGAIN: Self = Self(1013);
    /// SystemX's own code, told apart by its reason text (spec section 3).
    pub const APPLICATION: Self = Self(4000);

    /// The code if it may appear in a close frame; `None` for unassigned, reserved and local-only numbers.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_travel_are_accepted() {
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
        for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, u16::MAX] {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
    }
}
