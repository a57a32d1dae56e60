//! What operators ask a shard between its turns' other work: how something is, or that a call or a line ends.
//!
//! The list is closed, and each answer's work is bounded (`exchange/survey.rs`); how many are under way at a time is bounded by
//! whoever asks. An answer that nobody waits for any more is not worked out.

use tokio::sync::oneshot;

use crate::exchange::address::Address;
use crate::exchange::event::Event;
use crate::exchange::ids::{CallId, Handle, LineId};
use crate::exchange::survey::{
    CallSight, Cursor, Holders, LineFilter, LineSight, LinkSight, PAGE_LEN_MAX, Page, PartySight,
};

use super::super::connection::Role;
use super::Switchboard;

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<T>;

/// What a shard is asked.
#[derive(Debug)]
pub enum Inquiry {
    /// A page of registered lines.
    Lines(LineFilter, Cursor, Reply<Page<LineSight>>),
    /// Who holds an address whose home it is.
    Holders(Box<str>, Reply<Holders>),
    /// A line and its calls.
    Line(LineId, Reply<Option<LineAnswer>>),
    /// A page of calls.
    Calls(Cursor, Reply<Page<CallAnswer>>),
    /// The call of this id, if its record is here.
    Call(CallId, Reply<Option<CallAnswer>>),
    /// A page of parties.
    Parties(Cursor, Reply<Page<PartySight>>),
    /// The links to other exchanges.
    Links(Reply<Vec<LinkSight>>),
    /// Connections that take less than they are sent.
    Slow(Reply<Vec<SlowConnection>>),
    /// Hang up a call; says whether its record is here.
    HangUp(CallId, Reply<bool>),
    /// Disconnect a line, if it holds this address; says whether it did.
    Disconnect(LineId, Box<str>, Reply<bool>),
}

/// A line as core and shell know it.
#[derive(Clone, PartialEq, Debug)]
pub struct LineAnswer {
    /// What the core knows.
    pub sight: LineSight,
    /// Bytes that wait to be written to it.
    pub output_bytes: usize,
    /// Bytes kept of what it has sent.
    pub input_bytes: usize,
    /// Its calls by their names, at most [`PAGE_LEN_MAX`].
    pub calls: Vec<Box<str>>,
}

/// A call, and what another exchange calls it if that is not its id.
#[derive(Clone, PartialEq, Debug)]
pub struct CallAnswer {
    /// What the core knows.
    pub sight: CallSight,
    /// The name.
    pub name: Option<Box<str>>,
}

/// A connection that takes less than it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlowConnection {
    /// Its line's address, if it has one.
    pub address: Option<Address>,
    /// Bytes that wait to be written to it.
    pub output_bytes: usize,
    /// For how long nothing has been taken, in seconds.
    pub stalled_s: u32,
    /// Whether it leads to another exchange.
    pub is_tie: bool,
}

impl Switchboard {
    /// Answers, or does, what an operator asks.
    pub(super) fn answer(&mut self, inquiry: Inquiry) {
        match inquiry {
            Inquiry::Lines(filter, from, reply) => {
                tell(reply, || self.shard.survey_lines(&filter, from));
            }
            Inquiry::Holders(address, reply) => tell(reply, || self.shard.survey_holders(&address)),
            Inquiry::Line(line, reply) => tell(reply, || self.line_answer(line)),
            Inquiry::Calls(from, reply) => tell(reply, || self.calls_answer(from)),
            Inquiry::Call(call, reply) => {
                tell(reply, || self.shard.survey_call(call).map(|sight| self.call_answer(sight)));
            }
            Inquiry::Parties(from, reply) => tell(reply, || self.shard.survey_parties(from)),
            Inquiry::Links(reply) => tell(reply, || self.shard.survey_links()),
            Inquiry::Slow(reply) => tell(reply, || self.slow_connections()),
            Inquiry::HangUp(call, reply) => tell(reply, || self.hang_up(call)),
            Inquiry::Disconnect(line, address, reply) => tell(reply, || self.disconnect(line, &address)),
        }
    }

    fn line_answer(&self, line: LineId) -> Option<LineAnswer> {
        let sight = self.shard.survey_line(line)?;
        let connection = self.connection_of(line).and_then(|handle| self.connections.get(handle));
        let (calls, _) = self.shard.survey_calls_of(line);
        let name = |&call: &CallId| self.name_of(call).unwrap_or_else(|| call.to_string().into());
        Some(LineAnswer {
            sight,
            output_bytes: connection.map_or(0, |connection| connection.output_len()),
            input_bytes: connection.map_or(0, |connection| connection.held_bytes()),
            calls: calls.iter().map(name).collect(),
        })
    }

    fn calls_answer(&self, from: Cursor) -> Page<CallAnswer> {
        let Page { entries, next } = self.shard.survey_calls(from);
        let named = entries.into_iter().map(|(slot, sight)| (slot, self.call_answer(sight)));
        Page { entries: named.collect(), next }
    }

    fn call_answer(&self, sight: CallSight) -> CallAnswer {
        let name = self.name_of(sight.call);
        CallAnswer { sight, name }
    }

    /// What another exchange calls a call, if that is not its id.
    fn name_of(&self, call: CallId) -> Option<Box<str>> {
        self.call_names.as_ref()?.get(call).map(Into::into)
    }

    /// The first of those that are congested, as many as fit on a page.
    fn slow_connections(&self) -> Vec<SlowConnection> {
        let congested = self.queues.congested.iter().take(PAGE_LEN_MAX);
        congested.filter_map(|&handle| self.slow_connection(handle)).collect()
    }

    fn slow_connection(&self, handle: Handle) -> Option<SlowConnection> {
        let connection = self.connections.get(handle)?;
        let Role::Line(line) = connection.role else { return None };
        Some(SlowConnection {
            address: self.shard.address_of(line).map(Address::detached),
            output_bytes: connection.output_len(),
            stalled_s: self.second.saturating_sub(connection.progress_s),
            is_tie: connection.state.tie,
        })
    }

    fn hang_up(&mut self, call: CallId) -> bool {
        let is_here = self.shard.has_record_of(call);
        if is_here {
            self.feed(Event::CutCall(call));
        }
        is_here
    }

    fn disconnect(&mut self, line: LineId, address: &str) -> bool {
        let bears = self.shard.address_of(line).is_some_and(|held| held.as_str() == address);
        let is_cut = bears && self.shard.can_cut_line(line);
        if is_cut {
            self.feed(Event::CutLine(line));
        }
        is_cut
    }
}

/// Works an answer out and sends it, if somebody still waits for it.
fn tell<T>(reply: Reply<T>, work: impl FnOnce() -> T) {
    if !reply.is_closed() {
        // Whoever has given up since then is told nothing.
        drop(reply.send(work()));
    }
}
