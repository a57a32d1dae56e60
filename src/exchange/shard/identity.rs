//! Who may do what: the rulebook's part in REGISTER, DIAL and PRESENCE, and the end of registrations whose token
//! expires (spec sections 23, 19.8).
//!
//! The rulebook answers, here it is asked. Without one everything is open and costs the look at an empty place.
//! Invariants: a line bears a badge only for the address it holds; who bears one that ends has a timer for it.

use std::sync::Arc;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::{Effect, Notice, Outbox};
use crate::exchange::event::{Registration, Verb, WakeKind};
use crate::exchange::ids::{LineId, QuestionId};
use crate::exchange::limits::{SIGNATURES_PER_LINE_MAX, SIGNATURES_WINDOW_MS, TIMER_MS_MAX};
use crate::exchange::line::Badge;
use crate::exchange::pattern::Pattern;
use crate::exchange::routes::TieRoutes;
use crate::exchange::signal::Found;
use crate::exchange::tie::{Secret, Vouch};
use crate::exchange::time::Moment;
use crate::exchange::timers::Due;
use crate::identity::{Denial, Dialler, Proof, Rulebook, Token};

use super::Shard;
use super::departure::Afterlife;

impl Shard {
    /// Whether the rules let a line register as it wants to; if not, it is told. What the line shows is used up here: a
    /// registration goes on with a proof, and without a token.
    pub(super) fn admits(
        &mut self,
        now: Moment,
        line: LineId,
        registration: &mut Registration,
        out: &mut Outbox<'_>,
    ) -> bool {
        let mut shown = std::mem::take(&mut registration.credentials);
        let Some(rules) = self.rules.clone().filter(|_| !self.is_internal(line)) else { return true };
        let address = registration.address.as_str();
        if !may_be_woken(&rules, registration) {
            self.refuse(line, Verb::Register, Cause::WakeForbidden, out);
            return false;
        }
        // Whoever has shown who he is need not do so again for the same address: clients register twice as a rule.
        let is_refresh = self.address_of(line) == Some(&registration.address);
        if shown.token.is_none() && is_refresh && self.is_verified(line) {
            return true;
        }
        if shown.token.as_ref().is_some_and(Token::is_signed) && !self.admit_signature(now, line) {
            shown.token = None;
        }
        match rules.may_register(now.wall_ms, &shown, address) {
            Ok(proof) => registration.credentials.proof = proof,
            Err(denial) => {
                if denial == Denial::UnknownKey {
                    out.push(Effect::KeysWanted);
                }
                out.notify(line, Notice::RegisterRefused(Cause::AuthFailed));
                return false;
            }
        }
        true
    }

    /// Whether one more signature of a line is verified now: made-up ones cost the shard more than those who make them up.
    fn admit_signature(&mut self, now: Moment, line: LineId) -> bool {
        let Some(entry) = self.lines.get_mut(line.0) else { return false };
        entry.reach_mut().signatures.admit(now.tick, SIGNATURES_PER_LINE_MAX, SIGNATURES_WINDOW_MS)
    }

    /// Whether `from` may call `to`: section 9, step 4, and the same for DIAL_FORWARD.
    pub(super) fn may_dial(&self, from: &str, to: &str) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.may_dial(from, to))
    }

    /// Whether an exchange may announce these routes (REGISTER_PBX, section 23).
    pub(super) fn may_tie(&self, domain: &str, routes: &[Pattern], token: Option<&Secret>) -> bool {
        let token = token.and_then(|token| Token::new(token.reveal()));
        self.rules.as_ref().is_none_or(|rules| rules.may_tie(domain, routes, token.as_ref()))
    }

    /// Whether an exchange may speak for `address`, and be spoken to as its home. What no rule protects anybody may be called;
    /// else it takes an exchange that this one has called, or that had to show a token, and a route that leads there.
    pub(super) fn speaks_for(&self, tie: LineId, address: &str) -> bool {
        let Some(rules) = self.rules.as_ref().filter(|rules| rules.is_protected(address)) else {
            return true;
        };
        let known = self.routes.tie(tie);
        let is_known = |routes: &TieRoutes| routes.configured.is_some() || rules.is_known_tie(&routes.domain);
        known.is_some_and(|routes| is_known(routes)) && self.routes.leads_to(tie, address)
    }

    /// Whether somebody behind a tie line may call `to`, or join the party of this name.
    pub(super) fn may_dial_from(&self, tie: LineId, from: &str, to: &str) -> bool {
        self.speaks_for(tie, from) && self.may_dial(from, to)
    }

    /// Whether a tie line asks in the name of nobody whose rights are known, where rights differ.
    pub(super) fn is_shady_asker(&self, tie: LineId, name: Option<&str>) -> bool {
        let is_named = || name.is_some_and(|name| self.speaks_for(tie, name));
        self.rules.as_ref().is_some_and(|rules| rules.restricts_dials()) && !is_named()
    }

    /// What other exchanges are told of a caller (section 19.8).
    pub(super) fn vouch_for(&self, line: LineId) -> Vouch {
        if self.is_verified(line) { Vouch::Verified } else { Vouch::Unverified }
    }

    /// Whether a line has shown that its address is its own (section 19.8).
    pub fn is_verified(&self, line: LineId) -> bool {
        let reach = self.lines.get(line.0).and_then(|entry| entry.reach.as_ref());
        reach.is_some_and(|reach| reach.badge.is_some())
    }

    /// The asker of a PRESENCE, if there is anybody whom he may not call, and so not see. `name` is that of another
    /// exchange's line.
    pub(super) fn restricted_asker(&self, line: LineId, name: &str, is_local: bool) -> Option<Box<str>> {
        let name = if is_local { self.address_of(line)?.as_str() } else { name };
        self.dialler(name)?;
        Some(name.into())
    }

    /// Takes out of what another exchange has found whom the asker may not call.
    pub(super) fn hide_forbidden(&self, question: QuestionId, found: &mut Found) {
        let Some(question) = self.questions.get(question.0) else { return };
        let asker = match &question.reply {
            None => self.address_of(question.line).map(Address::as_str),
            Some(reply) => reply.to.as_deref(),
        };
        let Some(dialler) = self.dialler(asker.unwrap_or_default()) else { return };
        found.entries.retain(|entry| dialler.may_dial(entry.address.as_str()));
    }

    /// Whom `from` may call, if not just everybody.
    pub(super) fn dialler(&self, from: &str) -> Option<Dialler<'_>> {
        let rules: &Arc<Rulebook> = self.rules.as_ref()?;
        Some(rules.dialler(from)).filter(|dialler| !dialler.may_dial_anybody())
    }

    pub(super) fn may_see(&self, dialler: &Dialler<'_>, slot: u32) -> bool {
        let address = self.lines.at(slot).and_then(|(_, line)| line.address.as_ref());
        address.is_some_and(|address| dialler.may_dial(address.as_str()))
    }

    /// A line has registered. A refresh without a token keeps what it had shown, and the end of that.
    pub(super) fn wear_badge(
        &mut self,
        now: Moment,
        line: LineId,
        proof: Option<Proof>,
        is_refresh: bool,
        out: &mut Outbox<'_>,
    ) {
        if proof.is_none() && (is_refresh || !self.is_verified(line)) {
            return;
        }
        self.stop_expiry_timer(line);
        let Some(entry) = self.lines.get_mut(line.0) else { return };
        entry.reach_mut().badge = proof.map(|proof| Badge { proof, timer: None, told: false });
        if proof.is_some_and(|proof| proof.expiry.is_some_and(|expiry| expiry.told_ms <= now.wall_ms)) {
            self.tell_of_expiry(line, out);
        }
        self.start_expiry_timer(now, line);
    }

    fn tell_of_expiry(&mut self, line: LineId, out: &mut Outbox<'_>) {
        let Some(badge) = self.lines.get_mut(line.0).and_then(|entry| entry.badge_mut()) else { return };
        let Some(expiry) = badge.proof.expiry else { return };
        badge.told = true;
        out.notify(line, Notice::AuthExpiring { expires_ms: expiry.expires_ms });
    }

    /// Sets the timer for the next that happens to a badge; also after a move, since timers do not move.
    pub(super) fn start_expiry_timer(&mut self, now: Moment, line: LineId) {
        let Some(badge) = self.lines.get_mut(line.0).and_then(|entry| entry.badge_mut()) else { return };
        let Some(expiry) = badge.proof.expiry else { return };
        let next_ms = if badge.told { expiry.ends_ms } else { expiry.told_ms };
        let wait_ms = next_ms.saturating_sub(now.wall_ms).min(TIMER_MS_MAX);
        badge.timer = Some(self.timers.set(now.tick.plus_millis(wait_ms), Due::Expiry(line)));
    }

    pub(super) fn stop_expiry_timer(&mut self, line: LineId) {
        let badge = self.lines.get_mut(line.0).and_then(|entry| entry.badge_mut());
        if let Some(timer) = badge.and_then(|badge| badge.timer.take()) {
            self.timers.cancel(timer);
        }
    }

    /// The notice of the end is due, or the end. By the wall clock: it may have been set since the timer was.
    pub(super) fn on_expiry(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        let Some(badge) = self.lines.get_mut(line.0).and_then(|entry| entry.badge_mut()) else { return };
        badge.timer = None;
        let (told, Some(expiry)) = (badge.told, badge.proof.expiry) else { return };
        if expiry.ends_ms <= now.wall_ms {
            return self.dismiss(now, line, Cause::AuthExpired, Afterlife::Sleeps, out);
        }
        if !told && expiry.told_ms <= now.wall_ms {
            self.tell_of_expiry(line, out);
        }
        self.start_expiry_timer(now, line);
    }
}

/// Whether the wake rules let the address have the handler that comes with a registration.
fn may_be_woken(rules: &Rulebook, registration: &Registration) -> bool {
    let address = registration.address.as_str();
    registration.wake.as_ref().is_none_or(|handler| match handler.kind {
        WakeKind::Webhook { .. } => rules.may_webhook(address),
        WakeKind::Spawn { .. } => rules.may_spawn(address),
    })
}
