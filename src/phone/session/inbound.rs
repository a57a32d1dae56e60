//! What each frame from the exchange means to the phone.
//! Invariant: a late or unknown frame changes nothing; it is normal after a hang-up.

use std::time::Duration;

use super::{Errand, Outcome, REGISTER_RETRY, Session, domain_query};
use crate::phone::calls::PhoneCall;
use crate::phone::frames::{Concurrency, Incoming, Outgoing, Seen, read};
use crate::phone::report::Report;

impl Session {
    /// Takes one message. What cannot be understood is reported and otherwise ignored.
    pub(in crate::phone) fn on_frame(&mut self, now: Duration, text: &str) {
        let Some(frame) = read(text) else {
            return self.note("a message that is no frame was ignored");
        };
        match frame {
            Incoming::Registered { address, session_id } => self.on_registered(address, session_id),
            Incoming::RegisterFailed { reason } => self.on_register_failed(now, reason),
            Incoming::HeartbeatAck => self.heard_at = now,
            Incoming::Dialing { reference, call_id } => self.on_dialing(&reference, call_id),
            Incoming::Ring { call_id, from: Some(from) } => self.on_ring(&call_id, &from),
            Incoming::Ring { from: None, .. } | Incoming::Unknown => {}
            Incoming::Connected { call_id, to, reference } => {
                self.on_connected(reference.as_deref(), call_id, &to)
            }
            Incoming::Busy { to, reason, reference } => self.on_busy(reference.as_deref(), to, reason),
            Incoming::Hangup { call_id, reason, from } => self.on_hangup(&call_id, reason, from),
            Incoming::Msg { call_id, from, data, content_type } => {
                let Some(call) = self.calls.with_id(&call_id).map(|call| call.number) else { return };
                let (data, content_type) = (data.unwrap_or_default(), content_type.unwrap_or_else(text_type));
                self.say(Report::Message { call, from, content_type, data });
            }
            Incoming::PresenceResult { addresses, truncated } => self.on_presence(addresses, truncated),
            Incoming::SleepPending { seconds_until_sleep: seconds } => {
                self.say(Report::SleepPending { seconds })
            }
            Incoming::Joined { party, participants } => self.on_joined(party, participants),
            Incoming::PartyMsg { party, from, data, content_type } => {
                let (data, content_type) = (data.unwrap_or_default(), content_type.unwrap_or_else(text_type));
                self.say(Report::Party { party, from, content_type, data });
            }
            Incoming::Error { reason, context, detail } => self.on_error(reason, context, detail),
        }
    }

    fn on_registered(&mut self, address: String, session_id: String) {
        self.registered = true;
        self.ever_registered = true;
        self.address = Some(address.clone());
        self.say(Report::Registered { address, session_id });
        for party in self.parties.clone() {
            self.send(Outgoing::Join { party });
        }
        if let Some(party) = self.plan.join.clone().filter(|_| !self.party_greeted) {
            self.send(Outgoing::Join { party });
        }
        if let Some(domain) = self.plan.presence_domain.clone().filter(|_| !self.presence_asked) {
            self.presence_asked = true;
            self.send(Outgoing::Presence { query: domain_query(domain) });
        }
        if self.errand == Errand::Waiting
            && let Some(to) = self.plan.dial.clone()
        {
            self.errand = Errand::Dialled(self.dial(&to));
        }
    }

    fn on_register_failed(&mut self, now: Duration, reason: String) {
        let address = self.address.clone().unwrap_or_default();
        let try_again = self.ever_registered && !self.registered && reason == "address_in_use";
        self.say(Report::RegisterFailed { address, reason });
        if try_again {
            self.register_again_at = Some(now + REGISTER_RETRY);
        } else if self.plan.scripted {
            self.finish(Outcome::Failure);
        }
    }

    fn on_dialing(&mut self, reference: &str, call_id: String) {
        let Some(call) = self.calls.dialled(Some(reference), "") else { return };
        call.call_id = Some(call_id);
        if call.cancelled {
            let number = call.number;
            self.hang_up(number);
        }
    }

    fn on_ring(&mut self, call_id: &str, from: &str) {
        if self.plan.concurrency == Some(Concurrency::Broadcast) {
            return self.on_listener(call_id, from);
        }
        if self.calls.with_id(call_id).is_some() {
            return;
        }
        let call = self.calls.reached(from, call_id);
        self.say(Report::Ringing { call, from: from.to_owned() });
        if self.plan.answer {
            self.answer(call);
        }
    }

    /// A broadcaster is not asked to answer: RING only tells who has joined (spec section 13).
    fn on_listener(&mut self, call_id: &str, from: &str) {
        let number = match self.calls.with_id(call_id) {
            Some(call) => call.number,
            None => {
                let own = self.address.clone().unwrap_or_default();
                let number = self.calls.reached(&own, call_id);
                self.connected(number);
                number
            }
        };
        if let Some(call) = self.calls.numbered_mut(number) {
            call.listeners.insert(from.to_owned());
        }
        self.say(Report::Listener { call: number, from: from.to_owned() });
    }

    fn on_connected(&mut self, reference: Option<&str>, call_id: String, to: &str) {
        let Some(call) = self.calls.dialled(reference, to) else { return };
        call.call_id = Some(call_id);
        let (number, cancelled) = (call.number, call.cancelled);
        if cancelled {
            return self.hang_up(number);
        }
        if self.errand == Errand::Dialled(number) {
            self.errand = Errand::Connected(number);
        }
        self.connected(number);
    }

    pub(super) fn connected(&mut self, number: u32) {
        let Some(call) = self.calls.connect(number) else { return };
        let with = call.with.clone();
        self.say(Report::Connected { call: number, with });
        for text in self.plan.messages.clone() {
            self.talk(number, text);
        }
    }

    fn on_busy(&mut self, reference: Option<&str>, to: String, reason: String) {
        let Some(number) = self.calls.dialled(reference, &to).map(|call| call.number) else { return };
        let Some(call) = self.calls.remove(number) else { return };
        self.ended(&call, Report::Busy { call: number, to, reason });
    }

    fn on_hangup(&mut self, call_id: &str, reason: String, from: Option<String>) {
        let Some(call) = self.calls.with_id(call_id) else { return };
        let number = call.number;
        if let Some(listener) = from.filter(|listener| call.listeners.remove(listener)) {
            let last = call.listeners.is_empty();
            self.say(Report::ListenerGone { call: number, from: listener, reason: reason.clone() });
            if !last {
                return;
            }
        }
        let Some(call) = self.calls.remove(number) else { return };
        self.ended(&call, Report::Hangup { call: number, with: call.with.clone(), reason });
    }

    /// Reports the end of a call that is out of the book already, and the errand's end with it.
    pub(super) fn ended(&mut self, call: &PhoneCall, report: Report) {
        if !call.cancelled {
            self.say(report);
        }
        if self.errand == Errand::Dialled(call.number) {
            self.errand = Errand::Failed;
        } else if self.errand == Errand::Connected(call.number) {
            self.errand = Errand::Done;
        } else {
            return;
        }
        if self.plan.scripted && (self.errand == Errand::Failed || !self.plan.answer) {
            self.stop();
        }
    }

    fn on_presence(&mut self, addresses: Vec<Seen>, truncated: bool) {
        let count = addresses.len();
        for Seen { address, status } in addresses {
            self.say(Report::Presence { address, status });
        }
        self.say(Report::PresenceEnd { count, truncated });
        let plan = &self.plan;
        let only_errand = plan.dial.is_none() && plan.join.is_none() && !plan.answer && !plan.timed;
        if plan.scripted && only_errand {
            self.stop();
        }
    }

    fn on_joined(&mut self, party: String, participants: Vec<String>) {
        self.parties.insert(party.clone());
        self.say(Report::Joined { party: party.clone(), participants });
        if self.party_greeted || self.plan.join.as_deref() != Some(party.as_str()) {
            return;
        }
        self.party_greeted = true;
        for data in self.plan.messages.clone() {
            self.send(Outgoing::PartyMsg { party: party.clone(), data, content_type: "text" });
        }
    }

    fn on_error(&mut self, reason: String, context: String, detail: String) {
        self.say(Report::Error { reason: reason.clone(), context: context.clone(), detail });
        if context == "DIAL"
            && let Some(number) = self.calls.oldest_unacknowledged()
            && let Some(call) = self.calls.remove(number)
        {
            return self.ended(&call, Report::Busy { call: number, to: call.with.clone(), reason });
        }
        if self.plan.scripted && matches!(context.as_str(), "REGISTER" | "JOIN") {
            self.finish(Outcome::Failure);
        }
    }
}

/// MSG and PARTY_MSG without a content type are text (spec section 12).
fn text_type() -> String {
    "text".to_owned()
}
