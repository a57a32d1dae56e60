//! Causes: why a dial was refused, a call ended, a request was turned down or a line was closed.
//!
//! The stable names are those of the native protocol and of the call log. How another dialect says them is that
//! dialect's matter. No text of ERROR frames lives here.

use std::fmt;

use super::limits::RECORD_TEXT_BYTES_MAX;

/// Why something did not happen or came to an end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    // Why a dial was refused (BUSY, spec section 9).
    /// Nobody holds the address and nobody can be woken for it.
    NoSuchAddress,
    /// The callee is in a call, or is the caller itself.
    AlreadyInCall,
    /// The callee does not want to be disturbed.
    Dnd,
    /// The callee is away.
    Away,
    /// The callee said it is busy.
    Busy,
    /// Every session of a parallel callee is taken.
    MaxSessionsReached,
    /// A broadcaster has as many listeners as it allows.
    MaxListenersReached,
    /// Nobody answered, or nobody woke up, in time. Also: no heartbeat within the limit (spec section 7).
    Timeout,
    /// The wake handler failed.
    WakeFailed,
    /// The call cannot be placed now: a limit of the exchange is reached, or the way there is lost.
    Unavailable,
    /// The caller may not dial this address.
    Forbidden,
    /// The dial has come back to an exchange that it went out from.
    LoopDetected,
    /// A call from another exchange cannot be of the callee's kind.
    Unsupported,

    // Why a call ended (HANGUP, spec sections 11 and 18).
    /// A party hung up without saying why.
    Normal,
    /// The caller gave up while it rang.
    Cancelled,
    /// A party's connection is gone.
    PeerDisconnected,
    /// A party unregistered.
    ClientRequested,
    /// A party went to sleep.
    Sleep,
    /// The exchange itself failed the call.
    Error,
    /// The broadcaster registered again with another concurrency.
    Reconfigured,
    /// The exchange is shutting down.
    Shutdown,
    /// The exchange is about to shut down, and its lines are to come back later, or elsewhere.
    Restarting,
    /// The log stream service is shutting down.
    ServiceShutdown,
    /// A party did not take what was sent to it.
    SlowConsumer,
    /// The line was superseded by a newer one.
    Replaced,
    /// The token that the line has registered with has expired.
    AuthExpired,
    /// The operator ended the call, or closed the line.
    Admin,

    // Why a request was turned down.
    /// Another line holds the address.
    AddressInUse,
    /// The token does not allow this address.
    AuthFailed,
    /// Too many dials within the window.
    RateLimited,
    /// The request needs a registered line.
    NotRegistered,
    /// There is no such party, and it was not to be made.
    NoSuchParty,
    /// The line is no participant of the party.
    NotInParty,
    /// SLEEP_ACK without wake-on-ring.
    WakeNotConfigured,
    /// Spawn handlers are not accepted on this exchange.
    SpawnDisabled,
    /// The rules do not let this address register a wake handler of this kind.
    WakeForbidden,
    /// What STATUS says about going to sleep by itself makes no sense; its status counts all the same.
    InvalidAutoSleep,
    /// A limit of the exchange on parties is reached.
    TooManyParties,
    /// The party has as many members as the exchange allows.
    PartyFull,
    /// The way to the exchange that hosts the party is lost, or it has put the member out.
    PartyLost,
    /// Only another exchange may ask for this.
    NotPbx,
}

impl Cause {
    /// Every cause, for tests that walk through all of them.
    pub const ALL: [Self; 41] = [
        Self::NoSuchAddress,
        Self::AlreadyInCall,
        Self::Dnd,
        Self::Away,
        Self::Busy,
        Self::MaxSessionsReached,
        Self::MaxListenersReached,
        Self::Timeout,
        Self::WakeFailed,
        Self::Unavailable,
        Self::Forbidden,
        Self::LoopDetected,
        Self::Unsupported,
        Self::Normal,
        Self::Cancelled,
        Self::PeerDisconnected,
        Self::ClientRequested,
        Self::Sleep,
        Self::Error,
        Self::Reconfigured,
        Self::Shutdown,
        Self::Restarting,
        Self::ServiceShutdown,
        Self::SlowConsumer,
        Self::Replaced,
        Self::AuthExpired,
        Self::Admin,
        Self::AddressInUse,
        Self::AuthFailed,
        Self::RateLimited,
        Self::NotRegistered,
        Self::NoSuchParty,
        Self::NotInParty,
        Self::WakeNotConfigured,
        Self::SpawnDisabled,
        Self::WakeForbidden,
        Self::InvalidAutoSleep,
        Self::TooManyParties,
        Self::PartyFull,
        Self::PartyLost,
        Self::NotPbx,
    ];

    /// Those for which a dial is refused or a call ends: what a call record may say, beside the words of parties.
    pub fn of_calls() -> &'static [Self] {
        /// They come first in the list of all.
        const COUNT: usize = 27;
        &Self::ALL[..COUNT]
    }

    /// The stable name: the protocol's `reason`, the call log's `end_reason`, a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSuchAddress => "no_such_address",
            Self::AlreadyInCall => "already_in_call",
            Self::Dnd => "dnd",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::MaxSessionsReached => "max_sessions_reached",
            Self::MaxListenersReached => "max_listeners_reached",
            Self::Timeout => "timeout",
            Self::WakeFailed => "wake_failed",
            Self::Unavailable => "unavailable",
            Self::Forbidden => "forbidden",
            Self::LoopDetected => "loop_detected",
            Self::Unsupported => "unsupported",
            Self::Normal => "normal",
            Self::Cancelled => "cancelled",
            Self::PeerDisconnected => "peer_disconnected",
            Self::ClientRequested => "client_requested",
            Self::Sleep => "sleep",
            Self::Error => "error",
            Self::Reconfigured => "reconfigured",
            Self::Shutdown => "shutdown",
            Self::Restarting => "restarting",
            Self::ServiceShutdown => "service_shutdown",
            Self::SlowConsumer => "slow_consumer",
            Self::Replaced => "replaced",
            Self::AuthExpired => "auth_expired",
            Self::Admin => "admin",
            Self::AddressInUse => "address_in_use",
            Self::AuthFailed => "auth_failed",
            Self::RateLimited => "rate_limited",
            Self::NotRegistered => "not_registered",
            Self::NoSuchParty => "no_such_party",
            Self::NotInParty => "not_in_party",
            Self::WakeNotConfigured => "wake_not_configured",
            Self::SpawnDisabled => "spawn_disabled",
            Self::WakeForbidden => "wake_forbidden",
            Self::InvalidAutoSleep => "invalid_auto_sleep",
            Self::TooManyParties => "too_many_parties",
            Self::PartyFull => "party_full",
            Self::PartyLost => "party_lost",
            Self::NotPbx => "not_pbx",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call ended: one of ours, or whatever the party that hung up gave as its reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The exchange's own word.
    Cause(Cause),
    /// A party's words, relayed as given.
    Given(Box<str>),
}

impl Reason {
    /// The exchange's own word, if it is one.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Cause(cause) => Some(*cause),
            Self::Given(_) => None,
        }
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cause(cause) => cause.name(),
            Self::Given(text) => text,
        }
    }
}

impl Reason {
    /// The same, cut to what a call record keeps.
    #[must_use]
    pub fn brief(&self) -> Self {
        match self {
            Self::Cause(cause) => Self::Cause(*cause),
            Self::Given(text) => Self::Given(brief(text)),
        }
    }
}

/// A text of a client, cut to what a call record keeps.
pub fn brief(text: &str) -> Box<str> {
    Box::from(&text[..text.floor_char_boundary(RECORD_TEXT_BYTES_MAX)])
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = brief(&"é".repeat(RECORD_TEXT_BYTES_MAX));
        assert_eq!(cut.len(), RECORD_TEXT_BYTES_MAX);
        assert_eq!(&*brief("short"), "short");
    }

    #[test]
    fn those_of_calls_end_where_those_of_requests_begin() {
        assert_eq!(Cause::of_calls().last(), Some(&Cause::Admin));
        assert_eq!(Cause::ALL[Cause::of_calls().len()], Cause::AddressInUse);
    }

    #[test]
    fn every_cause_has_a_name_of_its_own() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
