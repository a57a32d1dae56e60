//! One shard: takes events, gives effects. Dispatch only; each verb family has a file of its own.
//!
//! A shard talks to itself by the same signals as to others; those go through `loopback` and are handled before
//! `handle` returns. So a call inside one shard takes the same steps as a call across two, in the same files.
//! The contract is that of [`super`]: total, deterministic, bounded.

mod broadcast;
mod callee;
mod caller;
mod calls;
mod cutting;
mod departure;
mod drain;
mod flow;
mod forwarding;
mod guests;
mod hosting;
mod identity;
mod invariants;
mod parties;
mod party_talk;
mod pools;
mod presence;
mod pressing;
mod registration;
mod sleep;
mod survey;
mod tally;
mod tie_parties;
mod tie_presence;
mod ties;
mod wake;

#[cfg(test)]
mod tests;

pub use invariants::check_together;
pub use tally::Counts;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use indexmap::IndexSet;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::address::Address;
use super::call::{Leg, LegStage, Record};
use super::cause::Cause;
use super::census::Census;
use super::directory::Directory;
use super::effect::{Effect, Notice, Outbox};
use super::event::{Event, Request, Verb};
use super::given_up::GivenUp;
use super::ids::{CallId, LegId, LineId, PartyId, RecordId, SessionId, ShardId, ShardSet};
use super::limits::Limits;
use super::line::Line;
use super::liveness::Liveness;
use super::party::PartyLine;
use super::question::Question;
use super::rack::Rack;
use super::routes::RouteTable;
use super::signal::{AudienceId, Signal};
use super::table::Keyed;
use super::tally::Tally;
use super::time::{Moment, Tick};
use super::timers::{Due, Timers};
use crate::identity::Rulebook;
use calls::Dialling;
use drain::Drain;
use ties::Announcement;
use wake::Run;

/// What a shard is built from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which shard it is.
    pub id: ShardId,
    /// How many there are.
    pub shards: usize,
    /// The seed of its call ids. Unpredictable in production, chosen in simulation.
    pub seed: [u8; 32],
    /// Its limits.
    pub limits: Arc<Limits>,
}

/// Why a shard wants to be called at its next deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wakeup {
    /// A ring, a wait for a sleeping agent or an idle time is over.
    Timer,
    /// Lines may have been silent for too long.
    Liveness,
}

/// One shard of an exchange.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    shards: usize,
    limits: Arc<Limits>,
    lottery: ChaCha12Rng,
    hasher: ahash::RandomState,
    lines: Rack<Line>,
    legs: Rack<Leg>,
    records: Rack<Record>,
    parties: Rack<PartyLine>,
    /// Who is there? Asked by lines of this shard, and not answered yet.
    questions: Rack<Question>,
    /// Every call with a record here, by the name its caller's leg gave it; sessions by their own.
    records_by_call: Keyed<CallId, RecordId>,
    /// The legs of lines that listen to broadcasts, by session and line.
    listening: Keyed<(CallId, LineId), LegId>,
    /// The local members of broadcasts and parties.
    audiences: Keyed<AudienceId, IndexSet<LineId, ahash::RandomState>>,
    party_names: Keyed<Address, PartyId>,
    directory: Directory,
    census: Census,
    timers: Timers,
    liveness: Liveness,
    /// Lines of this shard whose address is at home on another, because they could not move.
    guests: HashSet<LineId, ahash::RandomState>,
    /// Wakes in flight: the handler runs, or has done its work and the agent is expected.
    runs: Keyed<u64, Run>,
    runs_started: u64,
    /// Bytes of metadata kept for calls that wait for sleeping agents.
    waiting_metadata_bytes: usize,
    /// How many JOINs there have been, by lines and by tie lines; their tickets.
    joins: u32,
    loopback: VecDeque<Signal>,
    /// Who may do what; `None` = everybody everything.
    rules: Option<Arc<Rulebook>>,
    /// Which tie line leads where; the same on every shard.
    routes: RouteTable,
    /// Tie lines that wait until all shards know their routes; on the registrar.
    announcements: Keyed<LineId, Announcement>,
    /// The names that other exchanges have given to their calls and that this shard knows about, and the calls' legs.
    names: Keyed<CallId, LegId>,
    /// Calls that ended while they may have been under way to other exchanges.
    given_up: GivenUp,
    /// Calls with such a name whose end on this shard is over once the event at hand is.
    forgotten: Vec<CallId>,
    /// What there has been so far.
    tally: Tally,
    /// Calls here that wait for a sleeping callee.
    waiting_calls: usize,
    /// Broadcasts spoken here.
    sessions: usize,
    /// The exchange stops: nobody is let in, and lines that were on the move are closed when they arrive.
    stopping: bool,
    /// The exchange is about to: nobody is let in, and lines are sent away.
    drain: Option<Drain>,
}

impl Shard {
    /// A shard without lines.
    ///
    /// # Panics
    /// If the number of shards is 0, above [`super::ids::SHARDS_MAX`] or not above this shard's own number.
    pub fn new(setup: Setup) -> Self {
        let Setup { id, shards, seed, limits } = setup;
        assert!(id.index() < shards && shards <= super::ids::SHARDS_MAX, "shard {id} of {shards}");
        let mut lottery = ChaCha12Rng::from_seed(seed);
        let mut draw = || lottery.next_u64();
        let hasher = ahash::RandomState::with_seeds(draw(), draw(), draw(), draw());
        let keyed = hasher.clone();
        Self {
            id,
            shards,
            lines: Rack::new(id),
            legs: Rack::new(id),
            records: Rack::new(id),
            parties: Rack::new(id),
            questions: Rack::new(id),
            records_by_call: Keyed::with_hasher(keyed.clone()),
            listening: Keyed::with_hasher(keyed.clone()),
            audiences: Keyed::with_hasher(keyed.clone()),
            party_names: Keyed::with_hasher(keyed.clone()),
            directory: Directory::new(keyed.clone()),
            census: Census::new(keyed.clone()),
            timers: Timers::new(id),
            liveness: Liveness::new(limits.heartbeat_timeout_ms),
            guests: HashSet::with_hasher(keyed.clone()),
            runs: Keyed::with_hasher(keyed.clone()),
            routes: RouteTable::with_hasher(keyed.clone()),
            announcements: Keyed::with_hasher(keyed.clone()),
            names: Keyed::with_hasher(keyed.clone()),
            given_up: GivenUp::with_hasher(keyed),
            forgotten: Vec::new(),
            runs_started: 0,
            waiting_metadata_bytes: 0,
            joins: 0,
            loopback: VecDeque::new(),
            rules: None,
            tally: Tally::default(),
            waiting_calls: 0,
            sessions: 0,
            stopping: false,
            drain: None,
            limits,
            lottery,
            hasher,
        }
    }

    /// A connection has landed here. `None` if the exchange stops, or the shard holds as many lines as it can count.
    pub fn open_line(&mut self, now: Moment, internal: bool) -> Option<LineId> {
        if self.lets_nobody_in() || self.lines.is_full() {
            return None;
        }
        let session = SessionId::mint(self.draw());
        let line = LineId(self.lines.insert_with(|_| Line::new(session, now.tick, internal)));
        if !internal {
            self.liveness.watch(line, now.tick.seconds());
        }
        Some(line)
    }

    fn lets_nobody_in(&self) -> bool {
        self.stopping || self.drain.is_some()
    }

    /// A line that need not say that it is alive.
    fn open_unwatched(&mut self, now: Moment) -> Option<LineId> {
        if self.lets_nobody_in() || self.lines.is_full() {
            return None;
        }
        let session = SessionId::mint(self.draw());
        Some(LineId(self.lines.insert_with(|_| Line::new(session, now.tick, false))))
    }

    /// Takes an event. Everything that follows from it is in `out` when this returns.
    pub fn handle<'a>(&mut self, now: Moment, event: Event<'a>, out: &mut Outbox<'a>) {
        self.counted(now, out, |shard, out| shard.on_event(now, event, out));
    }

    fn on_event<'a>(&mut self, now: Moment, event: Event<'a>, out: &mut Outbox<'a>) {
        match event {
            Event::Request { line, request } => self.on_request(now, line, request, out),
            Event::Signal { from, signal } => {
                debug_assert_ne!(from, self.id, "a shard's signals to itself stay inside");
                self.on_signal(now, signal, out);
            }
            Event::Lost { line, loss } => self.on_loss(now, line, loss, out),
            Event::Congested(line) => self.on_congestion(line, true, out),
            Event::Pressed { line, is_over } => self.on_pressed(now, line, is_over, out),
            Event::Drained(line) => self.on_congestion(line, false, out),
            Event::Woken { run, outcome } => self.on_woken(now, run, outcome, out),
            Event::Rules(rules) => self.rules = rules,
            Event::Drain(order) => self.begin_drain(now, order),
            Event::CutCall(call) => self.cut_call(now, call, out),
            Event::CutLine(line) => self.cut_line(now, line, out),
            Event::Shutdown => self.shut_down(now, out),
        }
    }

    /// When to call [`Shard::on_deadline`] at the latest, and what for.
    pub fn next_deadline(&self) -> Option<(Tick, Wakeup)> {
        let timer = self.timers.next().map(|tick| (tick, Wakeup::Timer));
        let liveness = self.liveness.next().map(|tick| (tick, Wakeup::Liveness));
        match (timer, liveness) {
            (Some(timer), Some(liveness)) => Some(if liveness.0 < timer.0 { liveness } else { timer }),
            (timer, liveness) => timer.or(liveness),
        }
    }

    /// Does what is due. Calling it early or often is harmless.
    pub fn on_deadline(&mut self, now: Moment, out: &mut Outbox<'_>) {
        self.counted(now, out, |shard, out| shard.meet_deadlines(now, out));
    }

    fn meet_deadlines(&mut self, now: Moment, out: &mut Outbox<'_>) {
        while let Some((_, due)) = self.timers.pop(now.tick) {
            match due {
                Due::Call(record) => self.on_call_timeout(now, record, out),
                Due::Sleep(line) => self.on_idle(now, line, out),
                Due::Expiry(line) => self.on_expiry(now, line, out),
                Due::Wake(run) => {
                    self.tally.wakes_failed += 1;
                    self.forget_run(run);
                }
                Due::Drain => self.on_drain_due(now, out),
                Due::Tie(line) => self.on_tie_due(now, line, out),
                Due::Party(party) => self.on_party_due(now, party, out),
                Due::Question(question) => self.on_question_due(now, question, out),
            }
            self.settle(now, out);
        }
        self.cut_silent_lines(now, out);
    }

    /// The shards that a request may send signals to. While an outbox to one of them is not empty, the shell holds
    /// the request back (design.md, D6).
    pub fn reaches(&self, line: LineId, request: &Request<'_>) -> ShardSet {
        let set = match request {
            Request::Register(registration) => self.home_set(registration.address.as_str()),
            Request::Dial { to, .. } => self.home_set(to),
            Request::Join { party, .. } => self.party_reaches(party.as_str()),
            Request::PartyMessage { party, .. } | Request::Leave { party } => self.party_reaches(party),
            Request::Presence(_) => ShardSet::all(self.shards),
            Request::Answer { call } | Request::HangUp { call, .. } | Request::Message { call, .. } => {
                self.call_reaches(line, *call)
            }
            Request::Whisper { listener, .. } => ShardSet::of(listener.shard()),
            Request::Tie(request) => self.tie_reaches(line, request),
            Request::Unregister | Request::SleepAck | Request::Status { .. } | Request::Heartbeat => {
                ShardSet::NONE
            }
        };
        set.without(self.id)
    }

    /// Whether an end of any call is here, up or not.
    pub fn has_calls(&self) -> bool {
        !self.legs.is_empty() || !self.records.is_empty()
    }

    /// Whether a line holds an address: it may then send larger messages.
    pub fn is_registered(&self, line: LineId) -> bool {
        self.lines.get(line.0).is_some_and(|line| line.address.is_some())
    }

    /// What a line is called: its address, or the exchange that it leads to.
    pub fn name_of(&self, line: LineId) -> Option<&str> {
        let entry = self.lines.get(line.0)?;
        let far = entry.tie().map(|tie| &*tie.domain);
        entry.address.as_ref().map(Address::as_str).or(far).filter(|name| !name.is_empty())
    }

    /// The address of a line, for logs.
    pub fn address_of(&self, line: LineId) -> Option<&Address> {
        self.lines.get(line.0)?.address.as_ref()
    }

    fn on_request<'a>(&mut self, now: Moment, line: LineId, request: Request<'a>, out: &mut Outbox<'a>) {
        if self.lines.get(line.0).is_none() {
            return;
        }
        self.tally.count_request(&request);
        match request {
            Request::Register(registration) => self.register(now, line, registration, out),
            Request::Unregister => self.unregister(now, line, out),
            Request::Status { status, auto_sleep } => self.set_status(now, line, status, auto_sleep, out),
            Request::Heartbeat => self.heartbeat(now, line, out),
            Request::Dial { to, metadata, reference, trace } => {
                self.dial(now, line, Dialling { to, metadata, reference, trace }, out)
            }
            Request::Answer { call } => self.answer(now, line, call, out),
            Request::HangUp { call, reason } => self.hang_up(now, line, call, reason.as_deref(), out),
            Request::Message { call, data, content_type } => self.say(line, call, data, content_type, out),
            Request::Whisper { call, listener, data } => self.whisper(line, call, listener, data, out),
            Request::Presence(query) => self.ask_presence(now, line, *query, out),
            Request::SleepAck => self.sleep_now(now, line, out),
            Request::Join { party, create_if_missing } => self.join(now, line, party, create_if_missing, out),
            Request::PartyMessage { party, data, content_type } => {
                self.say_in_party(line, &party, data, content_type, out);
            }
            Request::Leave { party } => self.leave(now, line, &party, out),
            Request::Tie(request) => self.on_tie_request(now, line, request, out),
        }
    }

    fn on_signal(&mut self, now: Moment, signal: Signal, out: &mut Outbox<'_>) {
        match signal {
            Signal::Dial(dial) => self.on_dial(now, *dial, out),
            Signal::CallerGone { call, line, leg, reason } => {
                self.on_caller_gone(now, call, line, leg, reason, out);
            }
            Signal::CallerSays { record, line, data, content_type } => {
                self.on_caller_says(record, line, data.into(), content_type, out);
            }
            Signal::CallerRenamed { call, line, address } => self.on_caller_renamed(call, line, address),
            Signal::Located { leg, call, line, record } => self.on_located(leg, call, line, record, out),
            Signal::RingBack { leg, from, metadata } => self.on_ring_back(leg, from, metadata, out),
            Signal::Connected { leg, record } => self.on_connected(leg, record, out),
            Signal::Listening { leg, record, session } => self.on_listening(leg, record, session, out),
            Signal::ListensAlready { leg, session } => self.on_listens_already(now, leg, session, out),
            Signal::DialRefused { leg, reason } => self.on_dial_refused(now, leg, reason, out),
            Signal::CalleeGone { leg, reason } => self.on_callee_gone(now, leg, reason, out),
            Signal::CalleeSays { leg, data, content_type } => {
                self.on_callee_says(leg, data.into(), content_type, out);
            }
            Signal::CalleeRenamed { leg, address } => self.on_callee_renamed(leg, address),
            Signal::Flow { end, hold } => self.on_flow(now, end, hold, out),
            Signal::Heedless { end } => self.on_heedless(end),
            Signal::Publish(publication) => self.on_publish(now, &publication, out),
            Signal::Join(join) => self.on_join(now, *join, out),
            Signal::Joined(joined) => self.on_joined(now, *joined, out),
            Signal::PartyRefused { line, party, verb, cause, ticket } => {
                self.on_party_refused(now, line, &party, verb, cause, ticket, out);
            }
            Signal::JoinPending { line, party, ticket, is_in } => {
                self.on_join_pending(now, line, &party, ticket, is_in, out);
            }
            Signal::PartyHeard(talk) => self.on_party_heard(now, *talk, out),
            Signal::PartyTold(talk) => self.on_party_told(*talk, out),
            Signal::PartyCut { tie, party } => self.on_party_cut(tie, &party, out),
            Signal::PartyDone { tie, party } => self.on_party_done(tie, &party),
            Signal::PartyPressed { tie, party, from } => self.on_party_pressed(tie, &party, &from, out),
            Signal::PartySays(words) => self.on_party_says(*words, out),
            Signal::Leave { line, party } => self.on_leave(line, &party, out),
            Signal::MemberRenamed { line, party, address } => {
                self.on_member_renamed(line, &party, address, out);
            }
            Signal::PresenceAsked { question, asker, query } => {
                self.on_presence_asked(question, asker, &query, out);
            }
            Signal::TieAsked(asked) => self.on_tie_asked(*asked, out),
            Signal::PresenceFound { question, found, by_tie } => {
                self.on_presence_found(now, question, *found, by_tie, out);
            }
            Signal::Claim(claim) => self.on_claim(now, *claim, out),
            Signal::Claimed(claimed) => self.on_claimed(now, *claimed, out),
            Signal::ClaimRefused { line } => self.on_claim_refused(now, line, out),
            Signal::TieWanted { line, routes } => self.on_tie_wanted(line, routes, out),
            Signal::TieRefused { line, refusal } => self.on_tie_refused(now, line, refusal, out),
            Signal::TieGranted { line, routes } => self.on_tie_granted(now, line, &routes, out),
            Signal::TieReplaced { line } => self.on_tie_replaced(now, line, out),
            Signal::Routes { line, routes } => self.on_routes(line, routes, out),
            Signal::RoutesKnown { line } => self.on_routes_known(line, out),
            Signal::NameFree { call, leg } => self.on_name_free(call, leg),
            Signal::GivenUp { call } => self.given_up.add(now.tick, call),
            Signal::Unclaim { line, address, sleeps } => self.on_unclaim(line, &address, sleeps),
        }
    }

    /// Handles what the shard has said to itself.
    fn settle(&mut self, now: Moment, out: &mut Outbox<'_>) {
        while let Some(signal) = self.loopback.pop_front() {
            self.on_signal(now, signal, out);
        }
        out.effects.extend(self.forgotten.drain(..).map(Effect::CallForgotten));
    }

    fn send(&mut self, to: ShardId, signal: Signal, out: &mut Outbox<'_>) {
        if to == self.id {
            self.loopback.push_back(signal);
        } else {
            out.push(Effect::Signal { to, signal });
        }
    }

    /// 128 bits that nobody can guess.
    fn draw(&mut self) -> u128 {
        (u128::from(self.lottery.next_u64()) << 64) | u128::from(self.lottery.next_u64())
    }

    fn home(&self, name: &str) -> ShardId {
        super::address::home(name, self.shards)
    }

    fn home_set(&self, name: &str) -> ShardSet {
        ShardSet::of(self.home(name))
    }

    /// What the shell's outbox rule has to know about a request that names a call.
    fn call_reaches(&self, line: LineId, call: CallId) -> ShardSet {
        if let Some((_, leg)) = self.leg_of(line, call) {
            return match leg.stage {
                LegStage::Dialling => ShardSet::of(leg.shard),
                LegStage::Connected(record) | LegStage::Listening { record, .. } => {
                    ShardSet::of(record.shard())
                }
            };
        }
        match self.record_of(line, call).and_then(|record| self.records.get(record.0)) {
            Some(Record::Call(call)) => ShardSet::of(call.leg.shard()),
            Some(Record::Session(_)) => ShardSet::all(self.shards),
            None => ShardSet::NONE,
        }
    }

    /// The leg by which `line` takes part as caller in what it calls `call`.
    fn leg_of(&self, line: LineId, call: CallId) -> Option<(LegId, &Leg)> {
        if call.shard_index() == self.id.index()
            && let Some((handle, leg)) = self.legs.at(call.slot())
            && leg.id == call
            && leg.line == line
        {
            return Some((LegId(handle), leg));
        }
        let of_tie = self.tie(line).and_then(|tie| tie.legs.get(&call));
        let id = *of_tie.or_else(|| self.listening.get(&(call, line)))?;
        self.legs.get(id.0).map(|leg| (id, leg))
    }

    /// The record in which `line` is the callee of what it calls `call`.
    fn record_of(&self, line: LineId, call: CallId) -> Option<RecordId> {
        let id = *self.records_by_call.get(&call)?;
        let callee = match self.records.get(id.0)? {
            Record::Call(record) => record.callee,
            // A listener's own dial leads to the session too, but only its own id names it.
            Record::Session(session) => (session.id == call).then_some(session.broadcaster),
        };
        (callee == Some(line)).then_some(id)
    }

    /// Turns a request down. An exchange that this one has called is never told (section 19.9).
    fn refuse(&self, line: LineId, verb: Verb, cause: Cause, out: &mut Outbox<'_>) {
        if self.tie(line).is_some_and(|tie| tie.peer.is_some()) {
            return;
        }
        out.notify(line, Notice::Refused { verb, cause });
    }
}
