//! What a shard writes into the log about its lines and calls (spec section 22).
//!
//! Info: lines and calls that come and go. Warn: timeouts and what was turned down. Debug: every notice. Clients can
//! provoke all of it, so each kind is limited by the second; `suppressed` says how much was left out. Contents of
//! messages are never written.

use std::net::IpAddr;

use tracing::level_filters::LevelFilter;
use tracing::{Level, debug, enabled, error, info, warn};

use crate::exchange::address::{Address, LOG_SERVICE};
use crate::exchange::effect::{Notice, TieNews};
use crate::exchange::tie::TieNotice;
use crate::exchange::{Cause, LineId};
use crate::logging::RateLimited;

use super::Switchboard;

/// Log lines of one kind per second and shard.
const LINES_PER_SECOND: u32 = 100;

/// Keeps what clients can provoke from flooding the log.
pub(super) struct Gags {
    calls: RateLimited,
    lines: RateLimited,
    warnings: RateLimited,
}

impl Default for Gags {
    fn default() -> Self {
        let gag = || RateLimited::per_second(LINES_PER_SECOND);
        Self { calls: gag(), lines: gag(), warnings: gag() }
    }
}

/// What a gag left out before this line; nothing is said about nothing.
struct Suppressed(Option<u64>);

impl Switchboard {
    fn admit(&self, gag: &RateLimited) -> Option<Suppressed> {
        let suppressed = gag.admit(self.now.tick.millis())?;
        Some(Suppressed((suppressed > 0).then_some(suppressed)))
    }

    /// A line is told something.
    pub(super) fn note(&self, line: LineId, notice: &Notice<'_>) {
        // One load: asking the subscriber costs more than all the rest of a message's way through here.
        if LevelFilter::current() < LevelFilter::WARN {
            return;
        }
        match notice {
            Notice::Registered { address, .. } => self.note_line(line, Some(address), "line registered"),
            Notice::Connected { .. } | Notice::HungUp { .. } => self.note_call(line, notice),
            Notice::Busy { to, reason, .. } => {
                if let Some(Suppressed(suppressed)) = self.admit(&self.gags.warnings) {
                    let to: String = to.as_str().chars().take(ADDRESS_SHOWN_CHARS).collect();
                    let cause = reason.brief();
                    warn!(shard = self.id.index(), %line, to, cause = cause.as_str(), suppressed, "dial refused");
                }
            }
            Notice::RegisterRefused(cause) | Notice::Refused { cause, .. } => {
                self.warn_of_refusal(line, *cause)
            }
            Notice::Message { from, .. } => {
                // What the log stream says about a message would be a message of the log stream.
                if enabled!(Level::DEBUG) && from.as_str() != LOG_SERVICE {
                    debug!(shard = self.id.index(), %line, "message out");
                }
            }
            Notice::Tie(TieNotice::Registered { domain }) => {
                info!(shard = self.id.index(), %line, domain, "tie line registered");
            }
            Notice::Tie(TieNotice::Refused(refusal)) => {
                if let Some(Suppressed(suppressed)) = self.admit(&self.gags.warnings) {
                    warn!(shard = self.id.index(), %line, ?refusal, suppressed, "tie line refused");
                }
            }
            Notice::HeartbeatHeard { .. }
            | Notice::RingBack { .. }
            | Notice::Tie(_)
            | Notice::Dialling { .. }
            | Notice::Ring { .. }
            | Notice::Presence { .. }
            | Notice::AuthExpiring { .. }
            | Notice::SleepPending { .. }
            | Notice::Joined { .. }
            | Notice::PartyMessage { .. } => debug!(shard = self.id.index(), %line, "notice out"),
        }
    }

    fn note_call(&self, line: LineId, notice: &Notice<'_>) {
        let Some(Suppressed(suppressed)) = self.admit(&self.gags.calls) else { return };
        let shard = self.id.index();
        match notice {
            Notice::Connected { call, to, .. } => {
                info!(shard, %line, %call, %to, suppressed, "call connected")
            }
            Notice::HungUp { call, reason, .. } => {
                let reason = reason.brief();
                info!(shard, %line, %call, reason = reason.as_str(), suppressed, "call ended");
            }
            _ => {}
        }
    }

    fn note_line(&self, line: LineId, address: Option<&Address>, what: &'static str) {
        if let Some(Suppressed(suppressed)) = self.admit(&self.gags.lines) {
            let address = address.map(tracing::field::display);
            info!(shard = self.id.index(), %line, address, suppressed, "{what}");
        }
    }

    fn warn_of_refusal(&self, line: LineId, cause: Cause) {
        if let Some(Suppressed(suppressed)) = self.admit(&self.gags.warnings) {
            warn!(shard = self.id.index(), %line, %cause, suppressed, "request refused");
        }
    }

    /// A connection is a line from now on. At debug, because anybody may read the log stream, and where people are is
    /// nobody's business.
    pub(super) fn note_arrival(&self, line: LineId, client: IpAddr) {
        debug!(shard = self.id.index(), %line, %client, "connection accepted");
    }

    /// The core has dismissed a line.
    pub(super) fn note_dismissed(&self, line: LineId, cause: Cause) {
        if cause != Cause::Timeout {
            return self.note_gone(line, cause.name());
        }
        if let Some(Suppressed(suppressed)) = self.admit(&self.gags.warnings) {
            warn!(shard = self.id.index(), %line, suppressed, "line timed out: no heartbeat");
        }
    }

    /// A line is gone, for whatever reason.
    pub(super) fn note_gone(&self, line: LineId, reason: &str) {
        if let Some(Suppressed(suppressed)) = self.admit(&self.gags.lines) {
            info!(shard = self.id.index(), %line, reason, suppressed, "line gone");
        }
    }

    /// How it stands with a tie line that this exchange has called.
    pub(super) fn note_tie(&self, line: LineId, news: &TieNews) {
        let shard = self.id.index();
        match news {
            TieNews::Welcomed => info!(shard, %line, "the other exchange has registered this one"),
            TieNews::TurnedDown(reason) => {
                let reason: String = reason.chars().take(ADDRESS_SHOWN_CHARS).collect();
                error!(shard, %line, reason, "the other exchange refuses to register this one; it stays connected");
            }
            TieNews::NoRoom => {
                error!(shard, %line, "too many routes or tie lines: nothing is sent to this exchange")
            }
        }
    }

    /// A message had no call to go to.
    pub(super) fn warn_of_stray(&self, line: LineId) {
        if let Some(Suppressed(suppressed)) = self.admit(&self.gags.warnings) {
            let shard = self.id.index();
            warn!(shard, %line, suppressed, "message dropped: no call of this line, or not up");
        }
    }

    /// Another exchange, which this one has called, says what cannot be understood. It is told nothing (spec 19.9).
    pub(super) fn warn_of_nonsense(&self, line: LineId) {
        if let Some(Suppressed(suppressed)) = self.admit(&self.gags.warnings) {
            warn!(shard = self.id.index(), %line, suppressed, "frame of a link dropped: it cannot be understood");
        }
    }

    /// A connection is cut because it does not take what it is sent.
    pub(super) fn warn_of_slowness(&self, line: Option<LineId>, queued: usize) {
        if let Some(Suppressed(suppressed)) = self.admit(&self.gags.warnings) {
            let address = line.and_then(|line| self.shard.address_of(line)).map(tracing::field::display);
            let line = line.map(tracing::field::display);
            warn!(shard = self.id.index(), line, address, queued, suppressed, "slow consumer cut off");
        }
    }
}

/// A dialled name can be of any length; that many characters of it are shown.
const ADDRESS_SHOWN_CHARS: usize = 255;
