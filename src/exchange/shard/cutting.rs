//! What the operator ends: a call, whoever has it, or a line (issue 5).
//!
//! Both sides of a call are told, with the cause `admin`; what is left to do is what any other end brings with it. A call
//! is cut where its record is, so that nobody can be told of two ends of it: the operator's word goes to every shard, and means
//! nothing to the others. Services of the exchange stay.

use crate::exchange::call::{Record, Stage};
use crate::exchange::cause::Cause;
use crate::exchange::effect::{EndedBy, Notice, Outbox};
use crate::exchange::ids::{CallId, LineId, RecordId};
use crate::exchange::signal::Signal;
use crate::exchange::time::Moment;

use super::Shard;
use super::departure::Afterlife;

impl Shard {
    /// Whether a call can be cut here: its record is on this shard.
    pub fn has_record_of(&self, call: CallId) -> bool {
        self.records_by_call.contains_key(&call)
    }

    /// Whether a line can be cut here.
    pub fn can_cut_line(&self, line: LineId) -> bool {
        self.lines.get(line.0).is_some_and(|line| !line.internal)
    }

    /// Ends a call. The id of a broadcast ends all of it, that of a listener's own dial only his part.
    pub(super) fn cut_call(&mut self, now: Moment, call: CallId, out: &mut Outbox<'_>) {
        let Some(&id) = self.records_by_call.get(&call) else { return };
        match self.records.get(id.0) {
            Some(Record::Call(record)) if record.stage == Stage::Connected => {
                let reason = Cause::Admin.into();
                if let Some(call) = self.end_call(now, id, reason, EndedBy::Exchange, out) {
                    self.callee_hears_end(now, &call, Cause::Admin.into(), out);
                }
            }
            Some(Record::Call(_)) => self.fail_call(now, id, Cause::Admin, out),
            Some(Record::Session(session)) if session.id == call => {
                // First, because a line that has nothing else going on may go home to another shard after it.
                let notice = Notice::HungUp { call, reason: Cause::Admin.into(), from: None };
                out.notify(session.broadcaster, notice);
                self.end_session(now, id, Cause::Admin.into(), out);
            }
            Some(Record::Session(_)) => self.cut_listener(now, id, call, out),
            None => {}
        }
    }

    fn cut_listener(&mut self, now: Moment, id: RecordId, dial: CallId, out: &mut Outbox<'_>) {
        let mut listeners = self.session(id).into_iter().flat_map(|session| &session.listeners);
        let found = listeners.find(|(_, listener)| listener.dial == dial);
        let Some((line, leg)) = found.map(|(&line, listener)| (line, listener.leg)) else { return };
        self.on_listener_gone(now, id, line, Cause::Admin.into(), out);
        self.send(leg.shard(), Signal::CalleeGone { leg, reason: Cause::Admin.into() }, out);
    }

    /// Closes a line. Its agent, if it has one, can be woken again.
    pub(super) fn cut_line(&mut self, now: Moment, line: LineId, out: &mut Outbox<'_>) {
        if self.can_cut_line(line) {
            self.dismiss(now, line, Cause::Admin, Afterlife::Sleeps, out);
        }
    }
}
