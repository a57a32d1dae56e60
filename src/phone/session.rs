//! What the phone knows and decides: frames, commands and time go in, [`Action`]s come out.
//! Pure: no socket, terminal or clock in here; `now` is the time since the phone started and is
//! always passed in, so that every rule is tested without waiting.
//! Invariant: nothing is sent while the link is down, and after a reconnect the phone is again where
//! its user left it: same address, same party lines. Calls do not survive a lost link.

use std::collections::BTreeSet;
use std::time::Duration;

use super::calls::{CallBook, CallState, PhoneCall};
use super::command::{COMMANDS, Command};
use super::frames::{Concurrency, Incoming, Outgoing, PresenceQuery, Seen, read};
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

/// Frames from the exchange.
impl Session {
    /// Takes one message. What cannot be understood is reported and otherwise ignored.
    pub(super) fn on_frame(&mut self, now: Duration, text: &str) {
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

    fn connected(&mut self, number: u32) {
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
    fn ended(&mut self, call: &PhoneCall, report: Report) {
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

/// Commands from the prompt.
impl Session {
    /// Carries out a command, or says why it cannot.
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Help => self.help(),
            Command::Calls => self.list_calls(),
            Command::Quit => self.stop(),
            Command::Register(address) => {
                self.address = Some(address);
                if self.open {
                    self.register()
                } else {
                    self.note("not connected; will register when the link is up")
                }
            }
            _ if !self.open => self.note("not connected to the exchange"),
            Command::Dial(to) => drop(self.dial(&to)),
            Command::Answer(number) => match number.or_else(|| self.calls.oldest_ringing()) {
                Some(number) => self.answer(number),
                None => self.note("no call rings"),
            },
            Command::Say(text) => match self.calls.current().map(|call| call.number) {
                Some(number) => self.talk(number, text),
                None => self.note("no call is connected; `help` lists the commands"),
            },
            Command::Switch(number) if self.calls.switch(number) => self.list_calls(),
            Command::Switch(_) => self.note("that call is not connected"),
            Command::HangUp(number) => match number.or_else(|| self.calls.likely()) {
                Some(number) => self.hang_up(number),
                None => self.note("there is no call to hang up"),
            },
            Command::Join(party) => self.send(Outgoing::Join { party }),
            Command::PartySay { party, text } => {
                self.send(Outgoing::PartyMsg { party, data: text, content_type: "text" });
            }
            Command::Leave(party) => {
                self.parties.remove(&party);
                self.send(Outgoing::Leave { party: party.clone() });
                self.say(Report::Left { party });
            }
            Command::Presence(domain) => {
                self.send(Outgoing::Presence { query: domain.and_then(domain_query) })
            }
            Command::SetStatus(status) => self.send(Outgoing::Status { status }),
            Command::Sleep => self.send(Outgoing::SleepAck),
        }
    }

    fn dial(&mut self, to: &str) -> u32 {
        self.dials_total += 1;
        let reference = format!("phone-{}", self.dials_total);
        let call = self.calls.placed(to, &reference);
        self.say(Report::Dialing { call, to: to.to_owned() });
        self.send(Outgoing::Dial { to: to.to_owned(), reference });
        call
    }

    fn answer(&mut self, number: u32) {
        let ringing = self.calls.numbered(number).filter(|call| call.state == CallState::Ringing);
        let Some(call_id) = ringing.and_then(|call| call.call_id.clone()) else {
            return self.note("that call does not ring");
        };
        self.send(Outgoing::Answer { call_id });
        self.connected(number);
    }

    fn talk(&mut self, number: u32, text: String) {
        let Some(call_id) = self.calls.numbered(number).and_then(|call| call.call_id.clone()) else { return };
        self.send(Outgoing::Msg { call_id, data: text, content_type: "text" });
    }

    fn hang_up(&mut self, number: u32) {
        let Some(call) = self.calls.numbered_mut(number) else {
            return self.note("there is no such call");
        };
        let with = call.with.clone();
        let announced = std::mem::replace(&mut call.cancelled, true);
        if let Some(call_id) = call.call_id.clone() {
            self.calls.remove(number);
            self.send(Outgoing::Hangup { call_id });
        }
        if !announced {
            self.say(Report::Hangup { call: number, with, reason: "normal".into() });
        }
    }

    fn list_calls(&mut self) {
        let current = self.calls.current().map(|call| call.number);
        let line = |call: &PhoneCall| Report::Call {
            call: call.number,
            with: call.with.clone(),
            state: call.state.word(),
            current: current == Some(call.number),
        };
        let lines: Vec<Report> = self.calls.iter().map(line).collect();
        if lines.is_empty() {
            return self.note("no calls");
        }
        self.out.extend(lines.into_iter().map(Action::Say));
    }

    fn help(&mut self) {
        for (_, form, about) in COMMANDS {
            self.say(Report::Help { form, about });
        }
    }
}

/// MSG and PARTY_MSG without a content type are text (spec section 12).
fn text_type() -> String {
    "text".to_owned()
}

/// An empty domain asks for everybody.
fn domain_query(domain: String) -> Option<PresenceQuery> {
    (!domain.is_empty()).then_some(PresenceQuery { domain })
}

#[cfg(test)]
mod tests;
