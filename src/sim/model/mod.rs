//! What every client must hear: the protocol in one list of clients, without shards.
//!
//! The model covers the runs without pools and sleeping agents, in calm weather. It is written from the
//! specification (the sections are named) and as simply as that allows: everything is looked for in lists, nothing
//! is indexed. It shares no code with the core but the words of its vocabulary. Two things it does not predict: the
//! core may cut a silent line a little later, and in a drain it sends lines away in an order of its own. The model is told of
//! both, and of the second it says whether it was right.

mod calls;
mod drain;
mod parties;

use std::sync::Arc;

use crate::exchange::address::LOG_SERVICE;
use crate::exchange::cause::Cause;
use crate::exchange::event::{AutoSleepChange, Concurrency, PresenceQuery, Profile, Registration, Status};
use crate::exchange::ids::{CallId, Handle, LegId, LineId, ShardId};
use crate::exchange::{Limits, Tick};

use super::actions::Step;
use super::client::{CallRef, Client, ClientNo, Heard, Place, Want, status_name, verb_name};
use super::denials::is_denied;
use super::world::WALL_START_MS;
use calls::{Call, Session};
use drain::Drain;

/// Timers are due on multiples of this, in ms, and never early.
const GRAIN_MS: u64 = 8;

/// A line, as the model sees it.
#[derive(Debug)]
struct Line {
    address: Option<String>,
    profile: Profile,
    concurrency: Concurrency,
    choice: Status,
    shown: Status,
    /// When the current window of dials began, and how many there were.
    window: (u64, u32),
    sleep: Option<Sleep>,
    /// In a drain: since when there is nothing for which it would be left alone.
    at_leisure_since_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Sleep {
    idle_ms: u64,
    due_ms: Option<u64>,
    pending: bool,
}

/// The model.
#[derive(Debug)]
pub struct Model {
    limits: Arc<Limits>,
    /// Whether some may not call some.
    denials: bool,
    now_ms: u64,
    /// What the clients have heard.
    pub clients: Vec<Client>,
    lines: Vec<Line>,
    calls: Vec<Call>,
    sessions: Vec<Session>,
    parties: Vec<(String, Vec<ClientNo>)>,
    ids: u32,
    drain: Option<Drain>,
}

impl Model {
    /// A model without clients.
    pub fn new(limits: Arc<Limits>, denials: bool) -> Self {
        Self {
            limits,
            denials,
            now_ms: 0,
            clients: Vec::new(),
            lines: Vec::new(),
            calls: Vec::new(),
            sessions: Vec::new(),
            parties: Vec::new(),
            ids: 0,
            drain: None,
        }
    }

    /// A step that takes no time.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Open { internal, .. } => self.open(*internal),
            Step::Lose(client, _) => self.depart(*client, Cause::PeerDisconnected, step),
            Step::Ask(client, want) => self.ask(*client, want),
            Step::CutCall(call) => self.cut_call(self.call_id(*call)),
            // Services of the exchange stay.
            Step::CutLine(client) if self.clients[*client].internal => {}
            Step::CutLine(client) => self.dismiss(*client, Cause::Admin),
            Step::Drain(order) => self.begin_drain(*order),
            Step::Stop => self.stop(),
            Step::Congest(_) | Step::Deliver { .. } | Step::EndWake { .. } => {}
            Step::Wait { .. } | Step::Deadline => {}
        }
        self.note_leisure();
    }

    fn open(&mut self, internal: bool) {
        if self.is_draining() {
            return;
        }
        self.clients.push(Client::new(line_id(self.clients.len()), internal));
        self.lines.push(Line {
            address: None,
            profile: Profile::default(),
            concurrency: Concurrency::Single,
            choice: Status::Available,
            shown: Status::Available,
            window: (0, 0),
            sleep: None,
            at_leisure_since_ms: None,
        });
    }

    /// Time passes; what is due happens in order.
    pub fn pass(&mut self, until: Tick) {
        let until_ms = until.millis();
        if let Some(turn_ms) = self.turn_ms().filter(|&turn_ms| self.now_ms < turn_ms && turn_ms < until_ms) {
            self.pass_until(turn_ms);
        }
        self.pass_until(until_ms);
    }

    fn pass_until(&mut self, until_ms: u64) {
        while let Some((due_ms, what)) = self.next_due().filter(|(due_ms, _)| *due_ms <= until_ms) {
            self.now_ms = due_ms;
            match what {
                Due::Ring(call) => self.ring_timeout(call),
                Due::Sleep(client) => self.idle(client),
            }
            self.note_leisure();
        }
        self.now_ms = self.now_ms.max(until_ms);
        self.note_leisure();
    }

    fn next_due(&self) -> Option<(u64, Due)> {
        let grain = |due_ms: u64| due_ms.div_ceil(GRAIN_MS) * GRAIN_MS;
        let rings = self.calls.iter().enumerate();
        let rings = rings.filter_map(|(nth, call)| Some((grain(call.due_ms?), Due::Ring(nth))));
        let sleeps = self.lines.iter().enumerate();
        let sleeps = sleeps.filter_map(|(nth, line)| Some((grain(line.sleep?.due_ms?), Due::Sleep(nth))));
        rings.chain(sleeps).min_by_key(|(due_ms, _)| *due_ms)
    }

    /// A line has been cut for its silence (section 7); whether that was right is for others to judge.
    pub fn cut(&mut self, client: ClientNo, at: Tick) {
        self.pass(at);
        self.dismiss(client, Cause::Timeout);
    }

    fn hear(&mut self, client: ClientNo, heard: Heard) {
        self.clients[client].hear(heard);
    }

    fn refuse(&mut self, client: ClientNo, want: &Want, cause: Cause) {
        self.hear(client, Heard::Refused { verb: verb_name(want.verb()), cause });
    }

    fn address(&self, client: ClientNo) -> String {
        self.lines[client].address.clone().unwrap_or_default()
    }

    fn alive(&self) -> impl Iterator<Item = ClientNo> {
        (0..self.clients.len()).filter(|&client| self.clients[client].place != Place::Gone)
    }

    fn holder(&self, address: &str) -> Option<ClientNo> {
        self.alive().find(|&client| self.lines[client].address.as_deref() == Some(address))
    }

    fn call_id(&self, call: CallRef) -> CallId {
        match call {
            CallRef::Heard { by, nth } => self.clients[by].calls.get(nth).copied().unwrap_or(CallId::NONE),
            CallRef::Guessed => CallId::NONE,
        }
    }

    fn new_id(&mut self) -> CallId {
        self.ids += 1;
        CallId::mint(LegId(Handle::new(ShardId::new(0), self.ids, 0)), 0)
    }

    fn ask(&mut self, client: ClientNo, want: &Want) {
        if self.clients[client].place == Place::Gone {
            return;
        }
        let registered = self.lines[client].address.is_some();
        match want {
            Want::Register(registration) => self.register(client, registration),
            Want::Unregister => self.dismiss(client, Cause::ClientRequested),
            Want::Status { status, auto_sleep } => self.set_status(client, want, *status, *auto_sleep),
            Want::Heartbeat => {
                self.restart_idle(client);
                self.hear(client, Heard::Heartbeat { wall_ms: WALL_START_MS + self.now_ms });
            }
            Want::Presence(query) if registered => self.presence(client, query),
            Want::Presence(_) => self.refuse(client, want, Cause::NotRegistered),
            // Nobody is wake-on-ring here (section 6).
            Want::SleepAck if registered => self.refuse(client, want, Cause::WakeNotConfigured),
            Want::SleepAck => self.refuse(client, want, Cause::NotRegistered),
            Want::Join { .. } | Want::PartyMessage { .. } | Want::Leave { .. } => {
                self.ask_party(client, want, registered);
            }
            _ => self.ask_call(client, want),
        }
    }

    /// Section 4.
    fn register(&mut self, client: ClientNo, registration: &Registration) {
        let address = registration.address.as_str();
        let reserved = address == LOG_SERVICE && !self.clients[client].internal;
        if reserved || self.holder(address).is_some_and(|holder| holder != client) {
            return self.hear(client, Heard::RegisterRefused(Cause::AddressInUse));
        }
        let line = &mut self.lines[client];
        line.address = Some(address.to_owned());
        line.profile = registration.profile.clone();
        line.concurrency = registration.concurrency;
        self.hear(client, Heard::Registered { address: address.to_owned() });
        if !matches!(registration.concurrency, Concurrency::Broadcast { .. }) {
            self.end_broadcast(client, Cause::Reconfigured.name());
        }
    }

    /// Section 6.
    fn set_status(&mut self, client: ClientNo, want: &Want, status: Status, change: AutoSleepChange) {
        let passing = status == Status::Busy && self.in_call(client);
        let line = &mut self.lines[client];
        line.choice = if passing { Status::Available } else { status };
        line.shown = status;
        match change {
            AutoSleepChange::Invalid => self.refuse(client, want, Cause::InvalidAutoSleep),
            AutoSleepChange::Absent | AutoSleepChange::Off => line.sleep = None,
            AutoSleepChange::After { idle_ms } => {
                line.sleep = Some(Sleep { idle_ms, due_ms: None, pending: false });
                self.restart_idle(client);
            }
        }
    }

    fn restart_idle(&mut self, client: ClientNo) {
        let now_ms = self.now_ms;
        if let Some(sleep) = &mut self.lines[client].sleep {
            (sleep.due_ms, sleep.pending) = (Some(now_ms + sleep.idle_ms.max(100)), false);
        }
    }

    fn idle(&mut self, client: ClientNo) {
        let (now_ms, in_call) = (self.now_ms, self.in_call(client));
        let registered = self.lines[client].address.is_some();
        let Some(sleep) = &mut self.lines[client].sleep else { return };
        sleep.due_ms = None;
        if in_call {
            return self.restart_idle(client);
        }
        if !registered {
            return;
        }
        if sleep.pending {
            return self.dismiss(client, Cause::Sleep);
        }
        let notice_ms = sleep.idle_ms.clamp(200, 5000);
        (sleep.pending, sleep.due_ms) = (true, Some(now_ms + notice_ms));
        self.hear(client, Heard::SleepPending { seconds: notice_ms / 1000 });
    }

    /// Section 16.
    fn presence(&mut self, asker: ClientNo, query: &PresenceQuery) {
        let found = self.alive().filter(|&client| client != asker && self.matches(client, query));
        let found = found.filter(|&client| !self.is_denied(asker, &self.address(client)));
        let mut entries: Vec<_> = found.map(|client| self.entry(client)).collect();
        entries.sort();
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let truncated = entries.len() > limit;
        entries.truncate(limit);
        self.hear(asker, Heard::Presence { entries, truncated });
    }

    /// Section 23.
    fn is_denied(&self, caller: ClientNo, to: &str) -> bool {
        self.denials && is_denied(&self.address(caller), to)
    }

    fn entry(&self, client: ClientNo) -> (String, &'static str, Option<String>) {
        let line = &self.lines[client];
        let metadata = line.profile.metadata.as_ref().map(|data| String::from_utf8_lossy(data).into_owned());
        (self.address(client), status_name(line.shown), metadata)
    }

    fn matches(&self, client: ClientNo, query: &PresenceQuery) -> bool {
        let line = &self.lines[client];
        let Some((_, domain)) = line.address.as_deref().and_then(|address| address.split_once('@')) else {
            return false;
        };
        let domain_fits = query.domain.as_ref().is_none_or(|wanted| *wanted == domain.to_lowercase());
        let able = query.capabilities.iter().all(|wanted| line.profile.capabilities.contains(wanted));
        // There is one place in the simulation: some 60 km from one of the places asked for, 500 km from the other.
        let near = query.near.is_none_or(|near| line.profile.location.is_some() && near.middle.lat > 50.0);
        domain_fits && able && near
    }

    /// The exchange closes a line.
    fn dismiss(&mut self, client: ClientNo, cause: Cause) {
        if self.clients[client].place != Place::Gone {
            self.leave_everything(client, cause);
            self.hear(client, Heard::Closed(cause));
        }
    }

    /// A connection is lost.
    fn depart(&mut self, client: ClientNo, cause: Cause, step: &Step) {
        let slow = matches!(step, Step::Lose(_, crate::exchange::event::Loss::SlowConsumer));
        if self.clients[client].place != Place::Gone {
            self.leave_everything(client, if slow { Cause::SlowConsumer } else { cause });
        }
    }

    /// Section 18.
    fn leave_everything(&mut self, client: ClientNo, cause: Cause) {
        self.end_calls(client, cause.name());
        for (_, members) in &mut self.parties {
            members.retain(|&member| member != client);
        }
        self.parties.retain(|(_, members)| !members.is_empty());
        self.clients[client].place = Place::Gone;
        self.lines[client].address = None;
        self.lines[client].sleep = None;
    }
}

/// What is due.
#[derive(Clone, Copy, Debug)]
enum Due {
    Ring(usize),
    Sleep(ClientNo),
}

/// The name of a client where the world has the name of its line.
fn line_id(client: ClientNo) -> LineId {
    LineId(Handle::new(ShardId::new(0), client as u32, 0))
}
