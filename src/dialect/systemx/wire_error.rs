//! What happens to a frame that is no request: an answer, or the end of the link. And the close codes of the ends
//! that the core decides.
//!
//! The codes and reasons of spec section 3 are here; the texts of ERROR frames are in `refusal.rs`.

use std::fmt;

use crate::exchange::cause::Cause;

use super::refusal::Refusal;

/// The peer's data cannot be read (RFC 6455: unsupported data).
const CODE_UNSUPPORTED_DATA: u16 = 1003;
/// The exchange goes away (RFC 6455: going away).
const CODE_GOING_AWAY: u16 = 1001;
/// The exchange failed (RFC 6455: internal error).
const CODE_INTERNAL_ERROR: u16 = 1011;
/// The exchange restarts (the registry of close codes: service restart).
const CODE_RESTARTING: u16 = 1012;
/// The protocol's own ends; the reason says which.
const CODE_SYSTEMX: u16 = 4000;

/// Why bytes are not a request. Always the peer's fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WireError {
    /// Answer with an ERROR frame ([`super::encode_refusal`]); the link stays open.
    Refuse(Refusal),
    /// Answer with REGISTER_FAILED ([`super::encode_invalid_address`]); the link stays open.
    InvalidAddress,
    /// Close the link.
    Close(CloseWhy),
}

/// Why a link cannot be read any further (section 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseWhy {
    /// A message without content.
    Empty,
    /// A message that is not JSON.
    InvalidJson,
}

impl CloseWhy {
    /// The close code and its reason.
    pub fn code_and_reason(self) -> (u16, &'static str) {
        match self {
            Self::Empty => (CODE_UNSUPPORTED_DATA, "Unsupported message type"),
            Self::InvalidJson => (CODE_UNSUPPORTED_DATA, "Invalid JSON"),
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(refusal) => refusal.fmt(f),
            Self::InvalidAddress => f.write_str("the address is not valid"),
            Self::Close(why) => f.write_str(why.code_and_reason().1),
        }
    }
}

impl std::error::Error for WireError {}

/// The close code and reason for a line that the core closes (section 3).
pub fn close_of(cause: Cause) -> (u16, &'static str) {
    let code = match cause {
        Cause::Shutdown | Cause::ServiceShutdown => CODE_GOING_AWAY,
        Cause::Restarting => CODE_RESTARTING,
        Cause::Error => CODE_INTERNAL_ERROR,
        _ => CODE_SYSTEMX,
    };
    (code, cause.name())
}

/// The close code and reason for a line that is to come back after so many ms, here or elsewhere.
pub fn close_of_restart(retry_after_ms: u64) -> (u16, String) {
    let name = Cause::Restarting.name();
    (CODE_RESTARTING, format!(r#"{{"reason":"{name}","retry_after_ms":{retry_after_ms}}}"#))
}

/// After how many ms to come back, if that is what a close frame says.
pub fn retry_after_ms(code: u16, reason: &str) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Hint {
        retry_after_ms: u64,
    }
    let hint = || serde_json::from_str::<Hint>(reason).ok();
    (code == CODE_RESTARTING).then(hint).flatten().map(|hint| hint.retry_after_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_closed_with_the_codes_of_the_protocol() {
        assert_eq!(close_of(Cause::ClientRequested), (4000, "client_requested"));
        assert_eq!(close_of(Cause::Timeout), (4000, "timeout"));
        assert_eq!(close_of(Cause::Sleep), (4000, "sleep"));
        assert_eq!(close_of(Cause::Replaced), (4000, "replaced"));
        assert_eq!(close_of(Cause::SlowConsumer), (4000, "slow_consumer"));
        assert_eq!(close_of(Cause::Shutdown), (1001, "shutdown"));
    }

    #[test]
    fn every_cause_makes_a_close_frame_that_fits() {
        const REASON_BYTES_MAX: usize = 123;
        for cause in Cause::ALL {
            let (code, reason) = close_of(cause);
            assert!(
                (1000..5000).contains(&code) && (1..=REASON_BYTES_MAX).contains(&reason.len()),
                "{cause}"
            );
        }
    }

    #[test]
    fn the_hint_of_a_restart_fits_into_a_close_frame_and_is_understood() {
        const REASON_BYTES_MAX: usize = 123;
        let (code, reason) = close_of_restart(12_345);
        assert_eq!((code, &*reason), (1012, r#"{"reason":"restarting","retry_after_ms":12345}"#));
        assert_eq!(retry_after_ms(code, &reason), Some(12_345));
        assert!(close_of_restart(u64::MAX).1.len() <= REASON_BYTES_MAX);
        for (code, reason) in
            [(1001, &*reason), (1012, ""), (1012, "restarting"), (1012, "{\"retry_after_ms\":-1}")]
        {
            assert_eq!(retry_after_ms(code, reason), None, "{code} {reason}");
        }
    }
}
