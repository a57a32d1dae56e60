//! A whole exchange in one thread: shards, a clock, trunks, phones with inboxes.
//!
//! Whatever shards send each other is carried to its end after each step, in order between each pair, unless a
//! test holds the trunks to let things cross. After every event the shard is checked, and whenever nothing is under
//! way, all shards together. What a test does not look at is no noise: inboxes are emptied by looking.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::render::CallNames;
use crate::exchange::address::Address;
use crate::exchange::effect::{CallRecord, Effect, Outbox};
use crate::exchange::event::{
    AutoSleepChange, Concurrency, ContentType, Event, Loss, Profile, Registration, Request, Status,
    WakeHandler, WakeKind, WakeOutcome,
};
use crate::exchange::ids::{CallId, LineId, ShardId, WakeRun};
use crate::exchange::limits::{Limits, SpawnPolicy};
use crate::exchange::line::Luggage;
use crate::exchange::pattern::Pattern;
use crate::exchange::shard::{Counts, Setup, Shard, check_together};
use crate::exchange::signal::Signal;
use crate::exchange::tie::{DialForward, Peer, TieRegistration, TieRequest};
use crate::exchange::time::{Moment, Tick};
use crate::identity::Credentials;

/// The clock at the start, in ms; not zero, so that spans and points are not mistaken for each other.
const START_MS: u64 = 1_000_000;

/// Runs a test with one shard and with three.
pub(super) fn each(test: impl Fn(&mut Rig)) {
    each_with(|_| {}, test);
}

/// Runs a test with one shard and with three, with other limits than usual. At the end everybody's connection is
/// lost, and nothing of them may remain.
pub(super) fn each_with(adjust: impl Fn(&mut Limits), test: impl Fn(&mut Rig)) {
    for shards in [1, 3] {
        let mut limits =
            Limits { dial_max_attempts: None, spawn: SpawnPolicy::Anything, ..Limits::default() };
        adjust(&mut limits);
        let mut rig = Rig::new(shards, limits);
        test(&mut rig);
        rig.end();
    }
}

/// A client. It keeps its number wherever its line goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Phone(usize);

struct Client {
    line: LineId,
    inbox: Vec<String>,
    paused: bool,
    open: bool,
}

enum Parcel {
    Signal(Signal),
    Luggage(Phone, Box<Luggage>),
}

pub(super) struct Rig {
    pub(super) shards: Vec<Shard>,
    pub(super) now: Moment,
    /// Whether signals stay in the trunks until [`Rig::carry`].
    pub(super) hold_trunks: bool,
    /// Wake handlers that were asked for, and runs that were settled.
    pub(super) wakes: Vec<(WakeRun, String)>,
    pub(super) settled: Vec<WakeRun>,
    pub(super) records: Vec<CallRecord>,
    /// When those who were sent away are to come back.
    pub(super) hints: Vec<u64>,
    /// How often newer keys were asked for.
    pub(super) keys_wanted: usize,
    trunks: BTreeMap<(usize, usize), VecDeque<Parcel>>,
    clients: Vec<Client>,
    lines: BTreeMap<LineId, Phone>,
    names: CallNames,
    /// What other exchanges call their calls, by shard and call, and how many ends have said so.
    pub(super) named: BTreeMap<(usize, CallId), (Arc<str>, usize)>,
}

/// Setting it up and letting time pass.
impl Rig {
    pub(super) fn new(shards: usize, limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let setup = |id| Setup { id: ShardId::new(id), shards, seed: [id as u8; 32], limits: limits.clone() };
        Self {
            shards: (0..shards).map(|id| Shard::new(setup(id))).collect(),
            now: Moment { tick: Tick::from_millis(START_MS), wall_ms: START_MS },
            hold_trunks: false,
            wakes: Vec::new(),
            settled: Vec::new(),
            records: Vec::new(),
            hints: Vec::new(),
            keys_wanted: 0,
            trunks: BTreeMap::new(),
            clients: Vec::new(),
            lines: BTreeMap::new(),
            names: CallNames::default(),
            named: BTreeMap::new(),
        }
    }

    /// Whether addresses have different homes.
    pub(super) fn is_sharded(&self) -> bool {
        self.shards.len() > 1
    }

    /// A new connection; each lands on the next shard.
    pub(super) fn phone(&mut self) -> Phone {
        self.open(false)
    }

    pub(super) fn open(&mut self, internal: bool) -> Phone {
        let phone = Phone(self.clients.len());
        let landing = phone.0 % self.shards.len();
        let line = self.shards[landing].open_line(self.now, internal).expect("the rack is not full");
        self.clients.push(Client { line, inbox: Vec::new(), paused: false, open: true });
        self.lines.insert(line, phone);
        phone
    }

    /// A new connection that holds an address.
    pub(super) fn registered(&mut self, address: &str) -> Phone {
        self.registered_as(registration(address))
    }

    pub(super) fn registered_as(&mut self, registration: Registration) -> Phone {
        let expected = format!("REGISTERED {}", registration.address);
        let phone = self.phone();
        self.register_as(phone, registration);
        assert_eq!(self.heard(phone).first(), Some(&expected));
        phone
    }

    /// New connections that hold these addresses, and are not looked at.
    pub(super) fn crowd(&mut self, addresses: &[&str]) {
        for address in addresses {
            self.registered(address);
        }
    }

    /// Lets time pass, with every deadline on the way.
    pub(super) fn wait_ms(&mut self, span_ms: u64) {
        let end = self.now.tick.plus_millis(span_ms);
        loop {
            let deadlines =
                self.shards.iter().enumerate().filter_map(|(n, s)| Some((s.next_deadline()?.0, n)));
            let Some((tick, shard)) = deadlines.min().filter(|&(tick, _)| tick <= end) else { break };
            self.set_clock(tick.max(self.now.tick));
            let mut out = Outbox::default();
            self.shards[shard].on_deadline(self.now, &mut out);
            self.perform(shard, out);
            self.carry_unless_held();
        }
        self.set_clock(end);
    }

    fn set_clock(&mut self, tick: Tick) {
        self.now = Moment { tick, wall_ms: tick.millis() };
    }

    fn end(&mut self) {
        self.hold_trunks = false;
        self.carry();
        for phone in (0..self.clients.len()).map(Phone) {
            self.lose(phone, Loss::Closed);
        }
        for run in std::mem::take(&mut self.wakes) {
            self.woken(run.0, WakeOutcome::Failed);
        }
        // Agents that were called may still be expected.
        self.wait_ms(WAKE_MS + 10);
        assert!(self.named.is_empty(), "names of calls are forgotten: {:?}", self.named);
        for shard in &self.shards {
            let Counts { listings, profiles, .. } = shard.counts();
            assert_eq!(
                shard.counts(),
                Counts { listings, profiles, ..Counts::default() },
                "nothing outlives its line"
            );
            assert!(shard.records_by_call.is_empty() && shard.listening.is_empty());
            assert!(shard.routes.is_empty() && shard.names.is_empty() && shard.announcements.is_empty());
            assert_eq!(shard.questions.len(), 0, "questions are answered");
        }
    }
}

/// What happens to phones and what they do.
impl Rig {
    pub(super) fn event(&mut self, phone: Phone, make: impl FnOnce(LineId) -> Event<'static>) {
        let line = self.line(phone);
        self.handle(line.shard().index(), make(line));
    }

    pub(super) fn ask(&mut self, phone: Phone, request: Request<'_>) {
        assert!(!self.clients[phone.0].paused, "{phone:?} is not read");
        let line = self.line(phone);
        self.handle(line.shard().index(), Event::Request { line, request });
    }

    pub(super) fn handle(&mut self, shard: usize, event: Event<'_>) {
        let mut out = Outbox::default();
        self.shards[shard].handle(self.now, event, &mut out);
        self.perform(shard, out);
        self.carry_unless_held();
    }

    pub(super) fn lose(&mut self, phone: Phone, loss: Loss) {
        if self.is_open(phone) {
            self.clients[phone.0].open = false;
            self.event(phone, |line| Event::Lost { line, loss });
        }
    }

    pub(super) fn register(&mut self, phone: Phone, address: &str) {
        self.register_as(phone, registration(address));
    }

    pub(super) fn register_as(&mut self, phone: Phone, registration: Registration) {
        self.ask(phone, Request::Register(Box::new(registration)));
    }

    /// REGISTER_PBX.
    pub(super) fn register_tie(&mut self, phone: Phone, domain: &str, routes: &[&str]) {
        let routes = patterns(routes);
        let registration = TieRegistration { domain: domain.into(), routes, auth: None };
        self.ask(phone, Request::Tie(TieRequest::Register(Box::new(registration))));
    }

    /// A new connection to another exchange that has called this one.
    pub(super) fn tie(&mut self, domain: &str, routes: &[&str]) -> Phone {
        let phone = self.phone();
        self.register_tie(phone, domain, routes);
        self.expect(phone, &[&format!("REGISTERED_PBX {domain}")]);
        phone
    }

    /// A new connection to another exchange that this one has called.
    pub(super) fn outbound_tie(&mut self, peer: Peer) -> Phone {
        let phone = Phone(self.clients.len());
        let shard = phone.0 % self.shards.len();
        let mut out = Outbox::default();
        let line = self.shards[shard].open_tie(self.now, &Arc::new(peer), &mut out).expect("there is room");
        self.clients.push(Client { line, inbox: Vec::new(), paused: false, open: true });
        self.lines.insert(line, phone);
        self.perform(shard, out);
        self.carry_unless_held();
        phone
    }

    /// DIAL_FORWARD of a call that the other exchange calls so.
    pub(super) fn dial_forward(&mut self, tie: Phone, name: &str, from: &str, to: &str) {
        let call = CallId::parse(name.as_bytes());
        let name = call.is_derived().then(|| name.into());
        let dial = DialForward {
            call,
            name,
            from: Address::beyond(from).expect("a name"),
            to: to.into(),
            metadata: None,
            trace: None,
        };
        self.ask(tie, Request::Tie(TieRequest::DialForward(Box::new(dial))));
    }

    pub(super) fn status(&mut self, phone: Phone, status: Status) {
        self.ask(phone, Request::Status { status, auto_sleep: AutoSleepChange::Absent });
    }

    pub(super) fn auto_sleep(&mut self, phone: Phone, idle_ms: u64) {
        let auto_sleep = AutoSleepChange::After { idle_ms };
        self.ask(phone, Request::Status { status: Status::Available, auto_sleep });
    }

    pub(super) fn dial(&mut self, phone: Phone, to: &str) {
        self.ask(phone, Request::Dial { to: to.into(), metadata: None, reference: None, trace: None });
    }

    pub(super) fn dial_as(&mut self, phone: Phone, to: &str, reference: &str) {
        self.ask(
            phone,
            Request::Dial { to: to.into(), metadata: None, reference: Some(reference.into()), trace: None },
        );
    }

    /// Dials many times without checking everything after each.
    pub(super) fn dial_quietly(&mut self, line: LineId, to: &str, times: usize) {
        let shard = line.shard().index();
        for _ in 0..times {
            let request = Request::Dial { to: to.into(), metadata: None, reference: None, trace: None };
            let mut out = Outbox::default();
            self.shards[shard].handle(self.now, Event::Request { line, request }, &mut out);
            out.effects.into_iter().for_each(|effect| self.perform_one(shard, effect));
        }
        self.carry();
    }

    pub(super) fn answer(&mut self, phone: Phone, call: usize) {
        let call = self.call(call);
        self.ask(phone, Request::Answer { call });
    }

    pub(super) fn hang_up(&mut self, phone: Phone, call: usize) {
        let call = self.call(call);
        self.ask(phone, Request::HangUp { call, reason: None });
    }

    pub(super) fn say(&mut self, phone: Phone, call: usize, text: &str) {
        let (call, data) = (self.call(call), Some(text.as_bytes()));
        self.ask(phone, Request::Message { call, data, content_type: ContentType::Text });
    }

    pub(super) fn join(&mut self, phone: Phone, party: &str) {
        self.ask(phone, Request::Join { party: address(party), create_if_missing: true });
    }

    pub(super) fn say_in_party(&mut self, phone: Phone, party: &str, text: &str) {
        let data = Some(text.as_bytes());
        self.ask(phone, Request::PartyMessage { party: party.into(), data, content_type: None });
    }

    pub(super) fn leave(&mut self, phone: Phone, party: &str) {
        self.ask(phone, Request::Leave { party: party.into() });
    }

    /// Two parties in a call; nothing of it is left in their inboxes. Gives the number of the call.
    pub(super) fn connect(&mut self, caller: Phone, callee: Phone, to: &str) -> usize {
        self.dial(caller, to);
        let rung = self.heard(callee);
        let ring = rung.last().expect("it rings");
        let number = ring.split(['#', ' ']).nth(2).and_then(|number| number.parse().ok()).expect("a call");
        self.answer(callee, number);
        assert_eq!(self.heard(caller).last(), Some(&format!("CONNECTED #{number} to {to}")));
        number
    }

    /// The last wake handler that was asked for.
    pub(super) fn last_wake(&self) -> WakeRun {
        self.wakes.last().expect("a wake was asked for").0
    }

    pub(super) fn woken(&mut self, run: WakeRun, outcome: WakeOutcome) {
        self.handle(run.shard.index(), Event::Woken { run, outcome });
    }
}

/// What can be seen.
impl Rig {
    pub(super) fn call(&self, number: usize) -> CallId {
        self.names.call(number)
    }

    pub(super) fn line(&self, phone: Phone) -> LineId {
        self.clients[phone.0].line
    }

    pub(super) fn is_open(&self, phone: Phone) -> bool {
        self.clients[phone.0].open
    }

    /// Whether a phone's line is on a shard, and not between two.
    pub(super) fn is_here(&self, phone: Phone) -> bool {
        self.is_open(phone) && self.lines.get(&self.line(phone)) == Some(&phone)
    }

    /// How many calls have been heard of.
    pub(super) fn calls_known(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_paused(&self, phone: Phone) -> bool {
        self.clients[phone.0].paused
    }

    pub(super) fn is_guest(&self, phone: Phone) -> bool {
        let line = self.line(phone);
        self.shards[line.shard().index()].guests.contains(&line)
    }

    /// What a phone has heard since the last look.
    pub(super) fn heard(&mut self, phone: Phone) -> Vec<String> {
        std::mem::take(&mut self.clients[phone.0].inbox)
    }

    #[track_caller]
    pub(super) fn expect(&mut self, phone: Phone, notices: &[&str]) {
        assert_eq!(self.heard(phone), notices, "with {} shards", self.shards.len());
    }

    /// What is remembered of calls since the last look: from, to, why and by whom they ended.
    pub(super) fn call_log(&mut self) -> Vec<String> {
        let line = |record: &CallRecord| {
            let (from, to, by) = (&record.from, record.to.as_str(), record.ended_by);
            format!("{from} > {to} {:?} {} by {by:?}", record.mode, record.reason.as_str())
        };
        std::mem::take(&mut self.records).iter().map(line).collect()
    }

    /// The sum over all shards.
    pub(super) fn total(&self, count: impl Fn(Counts) -> usize) -> usize {
        self.shards.iter().map(|shard| count(shard.counts())).sum()
    }
}

/// Carrying.
impl Rig {
    fn carry_unless_held(&mut self) {
        if !self.hold_trunks {
            self.carry();
        }
    }

    /// Carries all parcels to their ends, and what they cause.
    pub(super) fn carry(&mut self) {
        while let Some((&way, _)) = self.trunks.iter().find(|(_, parcels)| !parcels.is_empty()) {
            self.carry_one(way.0, way.1);
        }
        check_together(&self.shards);
    }

    /// Carries the first parcel from one shard to another. Says whether there was one.
    pub(super) fn carry_one(&mut self, from: usize, to: usize) -> bool {
        let Some(parcel) = self.trunks.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        let mut out = Outbox::default();
        match parcel {
            Parcel::Signal(signal) => {
                let from = ShardId::new(from);
                self.shards[to].handle(self.now, Event::Signal { from, signal }, &mut out);
            }
            Parcel::Luggage(phone, luggage) => match self.shards[to].admit(self.now, luggage, &mut out) {
                Some(line) => {
                    self.clients[phone.0].line = line;
                    self.lines.insert(line, phone);
                }
                None => self.close(phone, "CLOSE"),
            },
        }
        self.perform(to, out);
        true
    }

    fn close(&mut self, phone: Phone, last: &str) {
        assert!(self.is_open(phone), "{phone:?} is closed twice");
        self.clients[phone.0].open = false;
        self.clients[phone.0].inbox.push(last.into());
    }

    fn perform(&mut self, shard: usize, out: Outbox<'_>) {
        for effect in out.effects {
            self.perform_one(shard, effect);
        }
        self.shards[shard].check();
    }

    fn perform_one(&mut self, shard: usize, effect: Effect<'_>) {
        match effect {
            Effect::Notify { line, notice } => {
                let text = self.names.render(&notice);
                self.deliver(shard, line, &text);
            }
            Effect::Publish { lines, notice } => {
                let text = self.names.render(&notice);
                let all: BTreeSet<_> = lines.iter().collect();
                assert_eq!(all.len(), lines.len(), "published twice to the same line");
                lines.into_iter().for_each(|line| self.deliver(shard, line, &text));
            }
            Effect::Close { line, cause } => self.close(self.lines[&line], &format!("CLOSE {cause}")),
            Effect::SendAway { line, retry_after_ms } => {
                self.hints.push(retry_after_ms);
                self.close(self.lines[&line], "CLOSE restarting");
            }
            Effect::Pause(line) => self.set_paused(line, true),
            Effect::Resume(line) => self.set_paused(line, false),
            Effect::Relocate { line, to, luggage } => {
                let phone = self.lines.remove(&line).expect("a line that moves is known");
                self.trunk(shard, to).push_back(Parcel::Luggage(phone, luggage));
            }
            Effect::Signal { to, signal } => self.trunk(shard, to).push_back(Parcel::Signal(signal)),
            Effect::Wake { run, address, .. } => self.wakes.push((run, address.to_string())),
            Effect::WakeSettled(run) => self.settled.push(run),
            Effect::Record(record) => self.records.push(*record),
            Effect::CallNamed { call, name } => {
                assert!(call.is_derived(), "{call} needs no name");
                self.named.entry((shard, call)).or_insert((name, 0)).1 += 1;
            }
            Effect::CallForgotten(call) => {
                let (_, count) = self.named.get_mut(&(shard, call)).expect("it has a name");
                *count -= 1;
                self.named.retain(|_, (_, count)| *count > 0);
            }
            Effect::Tie { line, news } => self.deliver(shard, line, &format!("{news:?}")),
            Effect::Stray(line) => self.deliver(shard, line, "stray"),
            Effect::KeysWanted => self.keys_wanted += 1,
        }
    }

    fn trunk(&mut self, from: usize, to: ShardId) -> &mut VecDeque<Parcel> {
        assert_ne!(from, to.index(), "a shard's signals to itself stay inside");
        self.trunks.entry((from, to.index())).or_default()
    }

    fn deliver(&mut self, shard: usize, line: LineId, text: &str) {
        assert_eq!(line.shard().index(), shard, "{text} for a line of another shard");
        let phone = self.lines[&line];
        assert!(self.is_open(phone), "{text} for {phone:?}, which is closed");
        self.clients[phone.0].inbox.push(text.into());
    }

    fn set_paused(&mut self, line: LineId, paused: bool) {
        let client = &mut self.clients[self.lines[&line].0];
        assert_ne!(client.paused, paused, "{line} is paused or resumed twice");
        client.paused = paused;
    }
}

pub(super) fn patterns(texts: &[&str]) -> Box<[Pattern]> {
    texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect()
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).expect("a valid address")
}

/// REGISTER with nothing but an address.
pub(super) fn registration(text: &str) -> Registration {
    Registration {
        address: address(text),
        profile: Profile::default(),
        concurrency: Concurrency::Single,
        pool_size: None,
        wake: None,
        credentials: Credentials::default(),
    }
}

/// REGISTER as a broadcaster.
pub(super) fn broadcaster(text: &str, max_listeners: Option<u32>) -> Registration {
    Registration { concurrency: Concurrency::Broadcast { max_listeners }, ..registration(text) }
}

/// REGISTER for parallel calls.
pub(super) fn parallel(text: &str, max_sessions: Option<u32>) -> Registration {
    Registration { concurrency: Concurrency::Parallel { max_sessions }, ..registration(text) }
}

/// REGISTER as a member of a pool of `size`.
pub(super) fn pooled(text: &str, size: u32, max_sessions: Option<u32>) -> Registration {
    Registration { pool_size: Some(size), ..parallel(text, max_sessions) }
}

/// How long callers wait for agents that are woken, in ms.
pub(super) const WAKE_MS: u64 = 10_000;

/// The same with wake-on-ring.
pub(super) fn wakeable(registration: Registration) -> Registration {
    let kind = WakeKind::Webhook { url: "http://127.0.0.1/wake".into(), payload: None };
    let wake =
        WakeHandler { kind, timeout_ms: WAKE_MS, source: Bytes::from_static(b"{}"), registered_by: None };
    Registration { wake: Some(wake), ..registration }
}
