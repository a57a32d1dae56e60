//! Calls and broadcasts in the model (sections 8 to 13).

use crate::exchange::address::{LOG_SERVICE, is_address};
use crate::exchange::cause::Cause;
use crate::exchange::event::{Concurrency, Status};
use crate::exchange::ids::CallId;
use crate::sim::client::{ClientNo, Heard, Want};

use super::{Model, line_id};

/// A call that rings or is up.
#[derive(Clone, Debug)]
pub(super) struct Call {
    id: CallId,
    caller: ClientNo,
    callee: ClientNo,
    to: String,
    reference: Option<String>,
    /// When it has rung for long enough; `None` if it is up.
    pub(super) due_ms: Option<u64>,
}

/// A broadcast that somebody listens to.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: CallId,
    pub(super) host: ClientNo,
    listeners: Vec<Listener>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    client: ClientNo,
    /// Whether it reads the log.
    reads_log: bool,
    /// The name of its dial, by which it may go on to speak of the session.
    dial: CallId,
}

impl Model {
    pub(super) fn ask_call(&mut self, client: ClientNo, want: &Want) {
        match want {
            Want::Dial { to, metadata, reference } => {
                self.dial(client, want, to, metadata, reference.as_ref())
            }
            Want::Answer { call } => self.answer(client, self.call_id(*call)),
            Want::HangUp { call, reason } => self.hang_up(client, self.call_id(*call), reason.as_deref()),
            Want::Message { call, data } => self.say(client, self.call_id(*call), data),
            Want::Whisper { call, ring, data } => self.whisper(client, self.call_id(*call), *ring, data),
            _ => {}
        }
    }

    /// How many calls a line has, in either role, and broadcasts (section 8).
    fn calls_of(&self, client: ClientNo) -> usize {
        let calls = self.calls.iter();
        let placed = calls.clone().filter(|call| call.caller == client).count();
        let listens = self.sessions.iter().filter(|session| session.has(client)).count();
        placed + listens + self.called(client)
    }

    /// How many calls a line is called for.
    fn called(&self, client: ClientNo) -> usize {
        let called = self.calls.iter().filter(|call| call.callee == client).count();
        called + self.sessions.iter().filter(|session| session.host == client).count()
    }

    pub(super) fn in_call(&self, client: ClientNo) -> bool {
        self.calls_of(client) > 0
    }

    /// Only the first call of a line changes what others are shown (section 6).
    fn begin(&mut self, client: ClientNo) {
        if self.calls_of(client) == 1 {
            self.lines[client].shown = Status::Busy;
        }
    }

    /// A call of this line is over.
    fn after_call(&mut self, client: ClientNo) {
        if !self.in_call(client) {
            self.lines[client].shown = self.lines[client].choice;
            self.restart_idle(client);
        }
    }

    /// Section 9.
    fn dial(&mut self, client: ClientNo, want: &Want, to: &str, metadata: &str, reference: Option<&String>) {
        if !self.admit_dial(client) {
            return self.refuse(client, want, Cause::RateLimited);
        }
        if self.lines[client].address.is_none() {
            return self.refuse(client, want, Cause::NotRegistered);
        }
        let id = self.new_id();
        if let Some(reference) = reference.cloned() {
            self.hear(client, Heard::Dialling { reference, call: id, to: to.to_owned() });
        }
        if is_address(to) && self.is_denied(client, to) {
            let reference = reference.map(|reference| (reference.clone(), id));
            return self.hear(client, Heard::Busy { to: to.to_owned(), cause: Cause::Forbidden, reference });
        }
        let outcome = self.outcome(client, to);
        if is_address(to) && self.calls_of(client) < self.limits.calls_per_line_max as usize {
            // A dial counts as a call from the start, whatever becomes of it.
            if !self.in_call(client) {
                self.lines[client].shown = Status::Busy;
            }
        }
        match outcome {
            Ok(callee) => self.offer(id, client, callee, to, metadata, reference),
            Err(cause) => self.busy(client, id, to, cause, reference),
        }
    }

    fn busy(&mut self, client: ClientNo, id: CallId, to: &str, cause: Cause, reference: Option<&String>) {
        let reference = reference.map(|reference| (reference.clone(), id));
        self.hear(client, Heard::Busy { to: to.to_owned(), cause, reference });
        if is_address(to) {
            self.after_call(client);
        }
    }

    fn admit_dial(&mut self, client: ClientNo) -> bool {
        let Some(most) = self.limits.dial_max_attempts else { return true };
        let (start_ms, attempts) = self.lines[client].window;
        let fresh = attempts == 0 || self.now_ms - start_ms >= self.limits.dial_window_ms;
        let window = if fresh { (self.now_ms, 1) } else { (start_ms, attempts + 1) };
        self.lines[client].window = window;
        window.1 <= most
    }

    /// Who is called, or why nobody is: steps 5 to 8.
    fn outcome(&self, client: ClientNo, to: &str) -> Result<ClientNo, Cause> {
        let most = self.limits.calls_per_line_max as usize;
        if is_address(to) && self.calls_of(client) >= most {
            return Err(Cause::Unavailable);
        }
        // Whoever was here may have been sent away.
        let is_away = self.is_draining() && is_address(to);
        let nobody = if is_away { Cause::Unavailable } else { Cause::NoSuchAddress };
        let callee = self.holder(to).ok_or(nobody)?;
        let (line, in_call) = (&self.lines[callee], self.in_call(callee));
        if callee == client {
            return Err(Cause::AlreadyInCall);
        }
        match line.shown {
            Status::Dnd => return Err(Cause::Dnd),
            Status::Away => return Err(Cause::Away),
            Status::Busy if !in_call => return Err(Cause::Busy),
            Status::Busy | Status::Available => {}
        }
        match line.concurrency {
            Concurrency::Single if in_call => return Err(Cause::AlreadyInCall),
            Concurrency::Parallel { max_sessions: Some(most) } if self.called(callee) >= most as usize => {
                return Err(Cause::MaxSessionsReached);
            }
            _ => {}
        }
        if self.calls_of(callee) >= most { Err(Cause::Unavailable) } else { Ok(callee) }
    }

    fn offer(
        &mut self,
        id: CallId,
        caller: ClientNo,
        callee: ClientNo,
        to: &str,
        metadata: &str,
        reference: Option<&String>,
    ) {
        if let Concurrency::Broadcast { max_listeners } = self.lines[callee].concurrency {
            return self.listen(id, caller, callee, to, metadata, reference, max_listeners);
        }
        let due_ms = Some(self.now_ms + self.limits.call_timeout_ms);
        let (to, reference) = (to.to_owned(), reference.cloned());
        self.calls.push(Call { id, caller, callee, to, reference, due_ms });
        self.begin(caller);
        self.begin(callee);
        self.restart_idle(callee);
        let (from, metadata) = (self.address(caller), Some(metadata.to_owned()));
        self.hear(callee, Heard::Ring { from, call: id, metadata, listens: false });
    }

    /// Section 13.
    #[allow(clippy::too_many_arguments, reason = "what a dial says, taken apart")]
    fn listen(
        &mut self,
        id: CallId,
        caller: ClientNo,
        host: ClientNo,
        to: &str,
        metadata: &str,
        reference: Option<&String>,
        most: Option<u32>,
    ) {
        let at = self.sessions.iter().position(|session| session.host == host);
        let listeners = at.map_or(0, |at| self.sessions[at].listeners.len());
        let repeated = at.is_some_and(|at| self.sessions[at].has(caller));
        if !repeated && most.is_some_and(|most| listeners >= most as usize) {
            return self.busy(caller, id, to, Cause::MaxListenersReached, reference);
        }
        let at = at.unwrap_or_else(|| {
            let id = self.new_id();
            self.sessions.push(Session { id, host, listeners: Vec::new() });
            self.begin(host);
            self.sessions.len() - 1
        });
        let call = self.sessions[at].id;
        self.hear(caller, Heard::Connected { call, to: to.to_owned(), reference: reference.cloned() });
        if repeated {
            return self.after_call(caller);
        }
        self.sessions[at].listeners.push(Listener { client: caller, reads_log: to == LOG_SERVICE, dial: id });
        self.begin(caller);
        self.restart_idle(host);
        self.clients[host].listeners.push((call, line_id(caller)));
        let (from, metadata) = (self.address(caller), Some(metadata.to_owned()));
        self.hear(host, Heard::Ring { from, call, metadata, listens: true });
    }

    pub(super) fn ring_timeout(&mut self, nth: usize) {
        let Call { id, caller, callee, to, reference, .. } = self.calls.remove(nth);
        self.busy(caller, id, &to, Cause::Timeout, reference.as_ref());
        self.hung_up(callee, id, Cause::Timeout.name());
    }

    fn hung_up(&mut self, client: ClientNo, call: CallId, reason: &str) {
        self.hear(client, Heard::HungUp { call, reason: reason.to_owned(), from: None });
        self.after_call(client);
    }

    /// Section 10.
    fn answer(&mut self, client: ClientNo, id: CallId) {
        let call = self.calls.iter_mut().find(|call| call.id == id && call.callee == client);
        let Some(call) = call.filter(|call| call.due_ms.is_some()) else { return };
        call.due_ms = None;
        let Call { caller, to, reference, .. } = call.clone();
        self.hear(caller, Heard::Connected { call: id, to, reference });
    }

    /// Section 11.
    fn hang_up(&mut self, client: ClientNo, id: CallId, reason: Option<&str>) {
        let mut calls = self.calls.iter();
        if let Some(at) = calls.position(|call| call.id == id && call.is_party(client)) {
            let call = self.calls.remove(at);
            let rings = call.due_ms.is_some();
            let cancelled = call.caller == client && rings && call.reference.is_some();
            let usual = if cancelled { Cause::Cancelled } else { Cause::Normal };
            self.hung_up(call.other(client), id, reason.unwrap_or(usual.name()));
            return self.after_call(client);
        }
        let reason = reason.unwrap_or(Cause::Normal.name());
        if let Some(at) = self.listening(client, id) {
            self.hung_up_listener(at, client, reason);
        } else if self.sessions.iter().any(|session| session.id == id && session.host == client) {
            self.end_broadcast(client, reason);
        }
    }

    /// The operator ends a call, a broadcast, or a listener's part in one by the name of its dial.
    pub(super) fn cut_call(&mut self, id: CallId) {
        let reason = Cause::Admin;
        if let Some(at) = self.calls.iter().position(|call| call.id == id) {
            let Call { caller, callee, to, reference, due_ms, .. } = self.calls.remove(at);
            match due_ms {
                Some(_) => self.busy(caller, id, &to, reason, reference.as_ref()),
                None => self.hung_up(caller, id, reason.name()),
            }
            return self.hung_up(callee, id, reason.name());
        }
        if let Some(host) = self.sessions.iter().find(|session| session.id == id).map(|session| session.host)
        {
            self.end_broadcast(host, reason.name());
            let heard = Heard::HungUp { call: id, reason: reason.name().to_owned(), from: None };
            return self.hear(host, heard);
        }
        for at in 0..self.sessions.len() {
            let of_dial = self.sessions[at].listeners.iter().find(|listener| listener.dial == id);
            if let Some(client) = of_dial.map(|listener| listener.client) {
                return self.hung_up_listener(at, client, reason.name());
            }
        }
    }

    /// The session that a line listens to and calls by this name.
    fn listening(&self, client: ClientNo, id: CallId) -> Option<usize> {
        self.sessions.iter().position(|session| {
            let mut listeners = session.listeners.iter();
            listeners.any(|listener| listener.client == client && (session.id == id || listener.dial == id))
        })
    }

    /// A listener leaves, and is told so.
    fn hung_up_listener(&mut self, at: usize, client: ClientNo, reason: &str) {
        let id = self.sessions[at].id;
        self.leave_session(at, client, reason);
        self.hung_up(client, id, reason);
    }

    fn leave_session(&mut self, at: usize, client: ClientNo, reason: &str) {
        let Session { id, host, .. } = self.sessions[at];
        self.sessions[at].listeners.retain(|listener| listener.client != client);
        let (reason, from) = (reason.to_owned(), Some(self.address(client)));
        self.hear(host, Heard::HungUp { call: id, reason, from });
        if self.sessions[at].listeners.is_empty() {
            self.sessions.remove(at);
            self.after_call(host);
        }
    }

    pub(super) fn end_broadcast(&mut self, host: ClientNo, reason: &str) {
        let Some(at) = self.sessions.iter().position(|session| session.host == host) else { return };
        let session = self.sessions.remove(at);
        for listener in session.listeners {
            self.hung_up(listener.client, session.id, reason);
        }
        self.after_call(host);
    }

    /// Section 12.
    fn say(&mut self, client: ClientNo, id: CallId, data: &str) {
        let mut calls = self.calls.iter();
        let call = calls.find(|call| call.id == id && call.is_party(client) && call.due_ms.is_none());
        if let Some(other) = call.map(|call| call.other(client)) {
            return self.message(client, other, id, data);
        }
        if let Some(at) = self.listening(client, id) {
            let Session { id, host, .. } = self.sessions[at];
            return self.message(client, host, id, data);
        }
        let session = self.sessions.iter().find(|session| session.id == id && session.host == client);
        let listeners = session.map(|session| session.listeners.clone()).unwrap_or_default();
        for listener in listeners {
            self.message(client, listener.client, id, data);
        }
    }

    fn message(&mut self, from: ClientNo, to: ClientNo, call: CallId, data: &str) {
        let (from, data) = (self.address(from), data.to_owned());
        self.hear(to, Heard::Message { call, from, data });
    }

    fn whisper(&mut self, client: ClientNo, id: CallId, ring: usize, data: &str) {
        let Some(&(_, line)) = self.clients[client].listeners.get(ring) else { return };
        let session = self.sessions.iter().find(|session| session.id == id && session.host == client);
        let listener = line.slot() as ClientNo;
        if session.is_some_and(|session| session.has(listener)) {
            self.message(client, listener, id, data);
        }
    }

    /// Section 18, steps 4 and 5.
    pub(super) fn end_calls(&mut self, client: ClientNo, reason: &str) {
        while let Some(at) = self.calls.iter().position(|call| call.is_party(client)) {
            let call = self.calls.remove(at);
            self.hung_up(call.other(client), call.id, reason);
        }
        while let Some(at) = self.sessions.iter().position(|session| session.has(client)) {
            self.leave_session(at, client, reason);
        }
        self.end_broadcast(client, reason);
    }
}

impl Call {
    /// What a party that goes itself is told of the call.
    pub(super) fn last_word(&self, client: ClientNo, reason: String) -> Heard {
        if self.caller == client && self.due_ms.is_some() {
            let reference = self.reference.clone().map(|reference| (reference, self.id));
            return Heard::Busy { to: self.to.clone(), cause: Cause::Unavailable, reference };
        }
        Heard::HungUp { call: self.id, reason, from: None }
    }

    pub(super) fn is_party(&self, client: ClientNo) -> bool {
        self.caller == client || self.callee == client
    }

    fn other(&self, client: ClientNo) -> ClientNo {
        if self.caller == client { self.callee } else { self.caller }
    }
}

impl Session {
    pub(super) fn has(&self, client: ClientNo) -> bool {
        self.listeners.iter().any(|listener| listener.client == client)
    }

    /// Whether it has this listener, and speaks of something else than the exchange itself.
    pub(super) fn entertains(&self, client: ClientNo) -> bool {
        self.listeners.iter().any(|listener| listener.client == client && !listener.reads_log)
    }
}
