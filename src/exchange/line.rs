//! A line: one client connection as the core sees it.
//!
//! An idle registered line is the unit that an exchange holds a million of, so whatever few lines need sits in a
//! box of its own: what others may see ([`Profile`]), how it takes calls ([`Reach`]), what is going on
//! ([`Business`]). Lines emit no effects. The shown status follows the rules of spec section 6.

use std::sync::Arc;

use super::address::Address;
use super::cause::Cause;
use super::event::{Concurrency, Profile, Registration, Status, WakeHandler};
use super::ids::{LegId, LineId, PartyId, QuestionId, RecordId, SessionId};
use super::rate::DialWindow;
use super::tie::Tie;
use super::time::Tick;
use super::timers::TimerId;
use crate::identity::Proof;

/// One client connection.
#[derive(Debug)]
pub struct Line {
    /// The connection's name; the same for as long as it lives, on whichever shard.
    pub session: SessionId,
    /// The address it holds.
    pub address: Option<Address>,
    /// What others may see; `None` if there is nothing to see.
    pub profile: Option<Box<Profile>>,
    /// How it takes calls; `None` = one at a time, no wake-on-ring, no auto-sleep.
    pub reach: Option<Box<Reach>>,
    /// Calls, parties and questions; `None` if there are none.
    pub business: Option<Box<Business>>,
    /// Its dials in the current window.
    pub dials: DialWindow,
    /// When it was opened.
    pub since: Since,
    /// When it was last heard (HEARTBEAT, or its opening), in whole seconds of the exchange's clock.
    pub heard_s: u32,
    /// What the client last chose to be shown as.
    choice: Status,
    /// What others are shown.
    shown: Status,
    /// Why it is not read at the moment.
    pub pauses: Pauses,
    /// Whether more output than the high-water mark waits for it.
    pub congested: bool,
    /// Whether it is a service inside the exchange, without a connection.
    pub internal: bool,
}

/// A moment in three bytes, because every line has one and nobody needs it to the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Since([u8; 3]);

/// The grain of [`Since`], in ms: with 24 bits it lasts for four years of uptime, after which it stands still.
const SINCE_GRAIN_MS: u64 = 8000;

impl Since {
    /// This moment, up to 8 s early.
    pub fn at(now: Tick) -> Self {
        let grains = u32::try_from(now.millis() / SINCE_GRAIN_MS).unwrap_or(u32::MAX).min(0x00ff_ffff);
        let [_, high, middle, low] = grains.to_be_bytes();
        Self([high, middle, low])
    }

    /// The moment that it stands for.
    pub fn tick(self) -> Tick {
        let [high, middle, low] = self.0;
        Tick::from_millis(u64::from(u32::from_be_bytes([0, high, middle, low])) * SINCE_GRAIN_MS)
    }
}

/// How a line takes calls, where that is not the plain way.
#[derive(Debug)]
pub struct Reach {
    /// How many may call.
    pub concurrency: Concurrency,
    /// How to wake it when it has gone to sleep.
    pub wake: Option<Arc<WakeHandler>>,
    /// When to go to sleep by itself.
    pub auto_sleep: Option<AutoSleep>,
    /// What it has shown to be who it is.
    pub badge: Option<Badge>,
    /// Signed tokens it has shown in the current minute.
    pub signatures: DialWindow,
}

/// What a line has shown to be let have its address.
#[derive(Clone, Copy, Debug)]
pub struct Badge {
    /// What the rulebook found.
    pub proof: Proof,
    /// The timer that runs, if it has an end.
    pub timer: Option<TimerId>,
    /// Whether the client has been told of the end.
    pub told: bool,
}

/// A line that goes to sleep by itself.
#[derive(Clone, Copy, Debug)]
pub struct AutoSleep {
    /// How long it must be idle, in ms.
    pub idle_ms: u64,
    /// The timer that runs.
    pub timer: Option<TimerId>,
    /// When it is due; kept while the line moves to another shard, which has timers of its own.
    pub due: Option<Tick>,
    /// Whether SLEEP_PENDING has been sent and the timer is that of the notice.
    pub pending: bool,
}

/// What is going on at a line.
#[derive(Default, Debug)]
pub struct Business {
    /// Calls it placed.
    pub legs: Vec<LegId>,
    /// Calls it was called for, and its broadcast session.
    pub records: Vec<RecordId>,
    /// Its broadcast session, which is one of `records`.
    pub session: Option<RecordId>,
    /// Parties it is in, or wants into.
    pub seats: Vec<Seat>,
    /// The PRESENCE it waits for.
    pub asking: Option<QuestionId>,
    /// The registration that waits for another shard's word.
    pub claiming: Option<Box<Registration>>,
    /// What it is as a tie line, if it is one.
    pub tie: Option<Box<Tie>>,
}

impl Business {
    /// The callers' ends of all calls, those of a tie line in a fixed order.
    pub fn all_legs(&self) -> impl Iterator<Item = LegId> {
        let mut forwarded: Vec<_> = self.tie.iter().flat_map(|tie| tie.legs.values().copied()).collect();
        forwarded.sort_unstable();
        self.legs.iter().copied().chain(forwarded)
    }

    /// The callees' ends of all calls, those of a tie line in a fixed order.
    pub fn all_records(&self) -> impl Iterator<Item = RecordId> {
        let mut forwarded: Vec<_> = self.tie.iter().flat_map(|tie| tie.records.iter().copied()).collect();
        forwarded.sort_unstable();
        self.records.iter().copied().chain(forwarded)
    }
}

/// A place in a party.
#[derive(Debug)]
pub struct Seat {
    /// The party's name.
    pub party: Address,
    /// The party, once its host has said yes.
    pub id: Option<PartyId>,
    /// Which JOIN was the last. An answer to another one is late, and means nothing.
    pub ticket: u32,
    /// Whether the host is another exchange, which has not answered yet: meanwhile the line is read.
    pub waits: bool,
}

/// Why a line is not read. Several reasons can hold at a time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pauses(u8);

impl Pauses {
    /// It waits for another shard to grant an address.
    pub const CLAIM: Self = Self(1);
    /// It waits for the answer to a PRESENCE.
    pub const PRESENCE: Self = Self(2);
    /// The other end of its call takes nothing more.
    pub const FLOW: Self = Self(4);
    /// It waits for the answer to a JOIN.
    pub const JOIN: Self = Self(8);
    /// It waits for the answer to REGISTER_PBX.
    pub const TIE: Self = Self(16);

    /// Whether there is any reason.
    pub fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether `reason` is among them.
    pub fn has(self, reason: Self) -> bool {
        self.0 & reason.0 != 0
    }

    /// Adds a reason.
    pub fn add(&mut self, reason: Self) {
        self.0 |= reason.0;
    }

    /// Takes a reason away.
    pub fn remove(&mut self, reason: Self) {
        self.0 &= !reason.0;
    }
}

/// What goes with a line that moves to another shard.
#[derive(Debug)]
pub struct Luggage {
    /// The line itself, without business and timers.
    pub line: Line,
    /// Its name on the shard it comes from.
    pub was: LineId,
    /// The registration that is to be done on arrival; `None` if it comes home to an address it holds already.
    pub registration: Option<Box<Registration>>,
}

impl Line {
    /// A new line, as every connection starts: without an address, available (spec section 4).
    pub fn new(session: SessionId, now: Tick, internal: bool) -> Self {
        Self {
            session,
            address: None,
            profile: None,
            reach: None,
            business: None,
            dials: DialWindow::default(),
            since: Since::at(now),
            heard_s: now.seconds(),
            choice: Status::Available,
            shown: Status::Available,
            pauses: Pauses::default(),
            congested: false,
            internal,
        }
    }

    /// The status others see.
    pub fn shown(&self) -> Status {
        self.shown
    }

    /// The status the client chose.
    pub fn chosen(&self) -> Status {
        self.choice
    }

    /// What a caller hears because of the line's status alone, if it does not want to be called (section 9, step 7).
    pub fn reserve(&self) -> Option<Cause> {
        match self.shown {
            Status::Dnd => Some(Cause::Dnd),
            Status::Away => Some(Cause::Away),
            Status::Busy if !self.in_call() => Some(Cause::Busy),
            Status::Busy | Status::Available => None,
        }
    }

    /// Takes over what STATUS says. `busy` during a call lasts as long as the call; anything else said during a
    /// call holds after it (spec section 6).
    pub fn choose(&mut self, status: Status) {
        let passing = status == Status::Busy && self.in_call();
        self.choice = if passing { Status::Available } else { status };
        self.shown = status;
    }

    /// How the line takes calls.
    pub fn concurrency(&self) -> Concurrency {
        self.reach.as_ref().map_or(Concurrency::Single, |reach| reach.concurrency)
    }

    /// How the line is woken when it sleeps.
    pub fn wake(&self) -> Option<&Arc<WakeHandler>> {
        self.reach.as_ref()?.wake.as_ref()
    }

    /// Its setting for going to sleep by itself.
    pub fn auto_sleep_mut(&mut self) -> Option<&mut AutoSleep> {
        self.reach.as_mut()?.auto_sleep.as_mut()
    }

    /// What it has shown to be who it is.
    pub fn badge_mut(&mut self) -> Option<&mut Badge> {
        self.reach.as_mut()?.badge.as_mut()
    }

    /// The box for what is not plain about taking calls, made when first needed.
    pub fn reach_mut(&mut self) -> &mut Reach {
        self.reach.get_or_insert_with(|| {
            Box::new(Reach {
                concurrency: Concurrency::Single,
                wake: None,
                auto_sleep: None,
                badge: None,
                signatures: DialWindow::default(),
            })
        })
    }

    /// The box for what is going on, made when first needed.
    pub fn business_mut(&mut self) -> &mut Business {
        self.business.get_or_insert_default()
    }

    /// Whether any call is up, ringing or waiting, in either role (spec section 8).
    pub fn in_call(&self) -> bool {
        self.calls() > 0
    }

    /// How many calls that are.
    pub fn calls(&self) -> usize {
        self.business.as_ref().map_or(0, |business| business.legs.len() + business.records.len())
    }

    /// How many calls it is called for; what `max_sessions` counts (spec section 9, step 8).
    pub fn sessions(&self) -> usize {
        self.business.as_ref().map_or(0, |business| business.records.len())
    }

    /// What it is as a tie line, if it is one.
    pub fn tie(&self) -> Option<&Tie> {
        self.business.as_ref()?.tie.as_deref()
    }

    /// The same, to be changed.
    pub fn tie_mut(&mut self) -> Option<&mut Tie> {
        self.business.as_mut()?.tie.as_deref_mut()
    }

    /// Whether nothing is going on that names this line on another shard.
    pub fn is_idle(&self) -> bool {
        self.business.is_none()
    }

    /// A call has begun and is among the line's calls: the first one shows the line as busy. A status chosen during
    /// a call outlasts a further one, else an agent that said `dnd` in a call would be rung once it dials again.
    pub fn note_call_began(&mut self) {
        if self.calls() == 1 {
            self.shown = Status::Busy;
        }
    }

    /// When the last call is over the client's own choice counts again. Says whether it was the last.
    pub fn note_call_over(&mut self) -> bool {
        let free = !self.in_call();
        if free {
            self.shown = self.choice;
        }
        self.drop_empty_business();
        free
    }

    /// Gives the box back when nothing is going on.
    pub fn drop_empty_business(&mut self) {
        let empty = self.business.as_ref().is_some_and(|business| {
            business.legs.is_empty()
                && business.records.is_empty()
                && business.seats.is_empty()
                && business.asking.is_none()
                && business.claiming.is_none()
                && business.tie.is_none()
        });
        if empty {
            self.business = None;
        }
    }

    /// The one two-party business that flow control may act on, if there is no other: a leg or a record.
    pub fn only_call(&self) -> Option<OnlyCall> {
        let business = self.business.as_ref()?;
        if business.tie.is_some() {
            // It carries the calls of many, and none of them may hold up the others.
            return None;
        }
        match (business.legs.as_slice(), business.records.as_slice(), business.seats.is_empty()) {
            ([leg], [], true) => Some(OnlyCall::Leg(*leg)),
            ([], [record], true) => Some(OnlyCall::Record(*record)),
            _ => None,
        }
    }
}

/// A line's only call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnlyCall {
    /// One it placed.
    Leg(LegId),
    /// One it was called for.
    Record(RecordId),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ids::{Handle, ShardId};

    fn line() -> Line {
        Line::new(SessionId::mint(1), Tick::default(), false)
    }

    fn leg() -> LegId {
        LegId(Handle::new(ShardId::new(0), 0, 0))
    }

    fn in_call(line: &mut Line) {
        line.business_mut().legs.push(leg());
        line.note_call_began();
    }

    fn after_call(line: &mut Line) -> Status {
        line.business_mut().legs.clear();
        line.note_call_over();
        line.shown()
    }

    #[test]
    fn a_dnd_agent_that_places_a_call_is_dnd_again_afterwards() {
        let mut line = line();
        line.choose(Status::Dnd);
        in_call(&mut line);
        assert_eq!(line.shown(), Status::Busy);
        assert_eq!(after_call(&mut line), Status::Dnd);
    }

    #[test]
    fn a_status_chosen_during_a_call_holds_after_it_except_busy() {
        for (chosen, after) in [(Status::Away, Status::Away), (Status::Busy, Status::Available)] {
            let mut line = line();
            in_call(&mut line);
            line.choose(chosen);
            assert_eq!(line.shown(), chosen);
            assert_eq!(after_call(&mut line), after);
        }
    }

    #[test]
    fn a_status_chosen_during_a_call_outlasts_a_further_call() {
        let mut line = line();
        in_call(&mut line);
        line.choose(Status::Dnd);
        in_call(&mut line);
        assert_eq!(line.shown(), Status::Dnd);
    }

    #[test]
    fn busy_chosen_before_a_call_holds_after_it() {
        let mut line = line();
        line.choose(Status::Busy);
        in_call(&mut line);
        assert_eq!(after_call(&mut line), Status::Busy);
    }

    #[test]
    fn a_line_knows_since_when_it_is_there_to_eight_seconds() {
        for (now_ms, since_ms) in [(0, 0), (7_999, 0), (8_000, 8_000), (86_400_123, 86_400_000)] {
            assert_eq!(Since::at(Tick::from_millis(now_ms)).tick(), Tick::from_millis(since_ms));
        }
        assert!(Since::at(Tick::from_millis(u64::MAX / 2000)).tick() > Tick::from_millis(1 << 36));
    }

    #[test]
    fn an_idle_line_is_small() {
        assert!(size_of::<Line>() <= 80, "{}", size_of::<Line>());
    }
}
