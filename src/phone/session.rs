//! What the phone knows and decides: frames, commands and time go in, [`Action`]s come out.
//! Pure: no socket, terminal or clock in here; `now` is the time since the phone started and is
//! always passed in, so that every rule is tested without waiting. Frames are taken in `session/inbound.rs`,
//! typed commands in `session/typed.rs`.
//! Invariant: nothing is sent while the link is down, and after a reconnect the phone is again where
//! its user left it: same address, same party lines. Calls do not survive a lost link.

use std::collections::BTreeSet;
use std::time::Duration;

use super::calls::CallBook;
use super::frames::{Concurrency, Outgoing, PresenceQuery};
use super::report::Report;

/// After a reconnect the exchange may not have noticed yet that the old link is gone; then the
/// address is in use and REGISTER is tried again this much later.
const REGISTER_RETRY: Duration = Duration::from_secs(2);
/// The link is given up after this many heartbeat periods without HEARTBEAT_ACK (spec section 25).
const HEARTBEATS_MISSED_MAX: u32 = 2;
/// WebSocket close code of the application's own reasons.
const CLOSE_APPLICATION: u16 = 4000;
/// WebSocket close code of an orderly end.
const CLOSE_NORMAL: u16 = 1000;

/// What the flags ask of a phone.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub address: Option<String>,
    pub concurrency: Option<Concurrency>,
    pub dial: Option<String>,
    pub answer: bool,
    /// Said on each call when it connects, and on the party line of `join` when it is joined first.
    pub messages: Vec<String>,
    pub join: Option<String>,
    pub presence_domain: Option<String>,
    /// Zero: no heartbeats.
    pub heartbeat: Duration,
    /// Nobody is at the keyboard: the phone ends by itself when its errand is done or has failed.
    pub scripted: bool,
    /// A time to run was given: only the dialled call or a failure ends the phone earlier.
    pub timed: bool,
}

/// What the session wants done, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Say(Report),
    Send(Outgoing),
    /// End the link with this close code and reason.
    Close(u16, &'static str),
    Finish(Outcome),
}

/// How the phone ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
}

/// How far the call of `--dial` has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    Nothing,
    Waiting,
    Dialled(u32),
    Connected(u32),
    Done,
    Failed,
}

/// The phone's state. See the module documentation for its rules.
#[derive(Debug)]
pub(super) struct Session {
    plan: Plan,
    open: bool,
    /// The address the user wants; confirmed once `registered`.
    address: Option<String>,
    registered: bool,
    ever_registered: bool,
    register_again_at: Option<Duration>,
    calls: CallBook,
    dials_total: u64,
    errand: Errand,
    /// Joined, and to be joined again after a reconnect.
    parties: BTreeSet<String>,
    party_greeted: bool,
    presence_asked: bool,
    heartbeat_due: Duration,
    heard_at: Duration,
    out: Vec<Action>,
}

impl Session {
    pub(super) fn new(plan: Plan) -> Self {
        Session {
            open: false,
            address: plan.address.clone(),
            registered: false,
            ever_registered: false,
            register_again_at: None,
            calls: CallBook::default(),
            dials_total: 0,
            errand: if plan.dial.is_some() { Errand::Waiting } else { Errand::Nothing },
            parties: BTreeSet::new(),
            party_greeted: false,
            presence_asked: false,
            heartbeat_due: Duration::ZERO,
            heard_at: Duration::ZERO,
            out: Vec::new(),
            plan,
        }
    }

    /// Everything to be done since the last call, in order. Ask after each input.
    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    /// The link is up. HEARTBEAT goes first, as other clients do it (spec section 25).
    pub(super) fn on_open(&mut self, now: Duration, url: &str) {
        self.open = true;
        self.heard_at = now;
        self.heartbeat_due = now;
        self.say(Report::Open { url: url.to_owned() });
        self.on_tick(now);
        self.register();
    }

    /// The link is down: every call is over. `final_loss` says that nobody will reconnect.
    pub(super) fn on_lost(&mut self, report: Report, final_loss: bool) {
        self.open = false;
        self.registered = false;
        self.register_again_at = None;
        self.say(report);
        for call in self.calls.remove_all() {
            self.ended(
                &call,
                Report::Hangup { call: call.number, with: call.with.clone(), reason: "link_lost".into() },
            );
        }
        if final_loss && self.plan.scripted {
            self.finish(Outcome::Failure);
        }
    }

    /// Time has passed: heartbeats, and REGISTER after `address_in_use`. Call about once a second.
    pub(super) fn on_tick(&mut self, now: Duration) {
        if !self.open {
            return;
        }
        if self.register_again_at.is_some_and(|at| at <= now) {
            self.register_again_at = None;
            self.register();
        }
        if self.plan.heartbeat.is_zero() {
            return;
        }
        if now.saturating_sub(self.heard_at) >= self.plan.heartbeat * HEARTBEATS_MISSED_MAX {
            self.open = false;
            self.out.push(Action::Close(CLOSE_APPLICATION, "heartbeat_timeout"));
        } else if now >= self.heartbeat_due {
            self.heartbeat_due = now + self.plan.heartbeat;
            self.send(Outgoing::Heartbeat);
        }
    }

    /// The time to run is over, or the user wants to leave: hang up, say goodbye, finish.
    pub(super) fn stop(&mut self) {
        let missed_registration = self.plan.address.is_some() && !self.ever_registered;
        let dial_open = matches!(self.errand, Errand::Waiting | Errand::Dialled(_) | Errand::Failed);
        let failed = self.plan.scripted && (missed_registration || dial_open);
        self.finish(if failed { Outcome::Failure } else { Outcome::Success });
    }

    fn finish(&mut self, outcome: Outcome) {
        for call in self.calls.remove_all() {
            if let Some(call_id) = call.call_id {
                self.send(Outgoing::Hangup { call_id });
            }
        }
        if self.open {
            self.open = false;
            self.out.push(Action::Close(CLOSE_NORMAL, "goodbye"));
        }
        self.out.push(Action::Finish(outcome));
    }

    fn say(&mut self, report: Report) {
        self.out.push(Action::Say(report));
    }

    fn note(&mut self, text: &str) {
        self.say(Report::Note { text: text.to_owned() });
    }

    fn send(&mut self, frame: Outgoing) {
        if self.open {
            self.out.push(Action::Send(frame));
        }
    }

    fn register(&mut self) {
        if let Some(address) = self.address.clone() {
            self.send(Outgoing::Register { address, concurrency: self.plan.concurrency });
        }
    }
}

/// An empty domain asks for everybody.
fn domain_query(domain: String) -> Option<PresenceQuery> {
    (!domain.is_empty()).then_some(PresenceQuery { domain })
}

mod inbound;
#[cfg(test)]
mod tests;
mod typed;
