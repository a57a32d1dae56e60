//! Rules about calls and broadcasts.
//!
//! A dial is known by what its callee sees (its metadata), so that both ends of a call can be matched whatever
//! they call it. A [`Leg`] is one client's part in one call id. A listener that leaves a broadcast and comes back
//! has one leg in which it is up twice.

mod calm;

use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::effect::{CallMode, CallRecord};
use crate::exchange::event::Concurrency;
use crate::exchange::ids::CallId;
use crate::sim::client::{CallRef, ClientNo, Heard, Stage, Want};
use crate::sim::world::{World, trace_of};

use super::{Breach, must};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Caller,
    Callee,
    Host,
    Listener,
}

#[derive(Debug)]
struct Leg {
    role: Role,
    stage: Stage,
    /// Listeners that a host has heard of and that have not left.
    ears: usize,
    /// In a broadcast, the name that DIALING gave to the listener's dial.
    dialled: Option<CallId>,
    /// How many of the host's messages were out when this listener came.
    since: usize,
    /// What it said here while it was up.
    said: Vec<String>,
    /// How much of what others said here it has heard, by speaker.
    heard: BTreeMap<ClientNo, usize>,
}

impl Leg {
    fn new(role: Role, stage: Stage) -> Self {
        Self { role, stage, ears: 0, dialled: None, since: 0, said: Vec::new(), heard: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct Dial {
    caller: ClientNo,
    to: String,
    reference: Option<String>,
    open: bool,
    /// It was ended by a BUSY that may have been about another dial to the same address.
    guessed: bool,
}

/// All calls of a run.
#[derive(Default, Debug)]
pub struct Calls {
    /// By the metadata.
    dials: BTreeMap<String, Dial>,
    /// Which dial led to which call or session, by its metadata, and to whom.
    rung: BTreeMap<String, (CallId, ClientNo)>,
    by_call: BTreeMap<CallId, String>,
    sessions: BTreeMap<CallId, ClientNo>,
    legs: BTreeMap<(ClientNo, CallId), Leg>,
    speakers: BTreeMap<String, (ClientNo, CallId)>,
    whispers: BTreeMap<String, (ClientNo, CallId)>,
    recorded: BTreeSet<CallId>,
    /// The dials, by their metadata, that a record was written of.
    accounted: BTreeSet<String>,
    /// Clients whose last REGISTER was not for a broadcast.
    reconfigured: BTreeSet<ClientNo>,
}

impl Calls {
    /// A shard has been given a request.
    pub fn note_handed(&mut self, client: ClientNo, want: &Want, world: &World) {
        let id = |call: &CallRef| self.real_id(client, world.call_id(*call));
        match want {
            Want::Register(registration) => match registration.concurrency {
                Concurrency::Broadcast { .. } => drop(self.reconfigured.remove(&client)),
                Concurrency::Single | Concurrency::Parallel { .. } => {
                    self.reconfigured.insert(client);
                }
            },
            Want::Dial { to, metadata, reference } => {
                let dial = Dial {
                    caller: client,
                    to: to.clone(),
                    reference: reference.clone(),
                    open: true,
                    guessed: false,
                };
                self.dials.insert(metadata.clone(), dial);
            }
            Want::Answer { call } => {
                let call = id(call);
                self.answer(client, call);
            }
            Want::HangUp { call, .. } => {
                let call = id(call);
                self.hang_up(client, call);
            }
            Want::Message { call, data } => {
                let call = id(call);
                self.say(client, call, data);
            }
            Want::Whisper { call, data, .. } => {
                let call = id(call);
                self.whispers.insert(data.clone(), (client, call));
            }
            _ => {}
        }
    }

    /// A listener may still use the name that DIALING gave to its dial.
    fn real_id(&self, client: ClientNo, call: CallId) -> CallId {
        let mut legs = self.legs.range((client, CallId::NONE)..).take_while(|((by, _), _)| *by == client);
        let session = legs.find(|(_, leg)| leg.stage == Stage::Up && leg.dialled == Some(call));
        session.map_or(call, |(&(_, session), _)| session)
    }

    fn answer(&mut self, client: ClientNo, call: CallId) {
        if let Some(leg) = self.legs.get_mut(&(client, call))
            && leg.stage == Stage::Ringing
        {
            leg.stage = Stage::Up;
        }
    }

    fn hang_up(&mut self, client: ClientNo, call: CallId) {
        // A caller may know the id of its dial from elsewhere.
        let dial = self.by_call.get(&call).and_then(|dial| self.dials.get_mut(dial));
        if let Some(dial) = dial.filter(|dial| dial.caller == client && dial.open) {
            dial.open = false;
            self.legs.entry((client, call)).or_insert_with(|| Leg::new(Role::Caller, Stage::Dialling));
        }
        let Some(leg) = self.legs.get_mut(&(client, call)) else { return };
        match (leg.role, leg.stage) {
            // It will hear of its own hang-up (section 13).
            (Role::Listener, Stage::Up) => {}
            (Role::Caller, Stage::Dialling) => {
                leg.stage = Stage::Over;
                self.close_dial_of(client, call);
            }
            _ => leg.stage = Stage::Over,
        }
    }

    /// The dial whose caller has been told this id.
    fn close_dial_of(&mut self, client: ClientNo, call: CallId) {
        if let Some(dial) = self.by_call.get(&call).and_then(|dial| self.dials.get_mut(dial)) {
            debug_assert_eq!(dial.caller, client);
            dial.open = false;
        }
    }

    fn say(&mut self, client: ClientNo, call: CallId, data: &str) {
        let Some(leg) = self.legs.get_mut(&(client, call)) else { return };
        if leg.stage == Stage::Up {
            leg.said.push(data.to_owned());
            self.speakers.insert(data.to_owned(), (client, call));
        }
    }

    /// A client has heard something.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn note_heard(&mut self, client: ClientNo, heard: &Heard) -> Result<(), Breach> {
        match heard {
            Heard::Registered { .. } => {
                self.reconfigure(client);
                Ok(())
            }
            Heard::Dialling { reference, call, to } => self.dialling(client, reference, *call, to),
            Heard::Refused { verb: "DIAL", .. } => self.refused(client),
            Heard::Busy { to, cause, reference } => self.busy(client, to, *cause, reference.as_ref()),
            Heard::Ring { call, metadata, listens, .. } => {
                self.ring(client, *call, metadata.as_deref().unwrap_or("none"), *listens)
            }
            Heard::Connected { call, to, reference } => {
                self.connected(client, *call, to, reference.as_deref())
            }
            Heard::HungUp { call, from, reason } => {
                self.hung_up(client, *call, from.is_some(), reason == Cause::Admin.name())
            }
            Heard::Message { call, data, .. } => self.message(client, *call, data),
            _ => Ok(()),
        }
    }

    /// A broadcaster that becomes something else ends its session, and hears nothing of that (section 4).
    fn reconfigure(&mut self, client: ClientNo) {
        if self.reconfigured.contains(&client) {
            let legs = self.legs.range_mut((client, CallId::NONE)..).take_while(|((by, _), _)| *by == client);
            legs.filter(|(_, leg)| leg.role == Role::Host).for_each(|(_, leg)| leg.stage = Stage::Over);
        }
    }

    fn dialling(&mut self, client: ClientNo, reference: &str, call: CallId, to: &str) -> Result<(), Breach> {
        let metadata = self.open_dial(client, to, Some(reference)).ok_or_else(|| {
            Breach::new("DIALING answers a dial", format!("client {client} hears of {reference}"))
        })?;
        self.by_call.insert(call, metadata);
        let before = self.legs.insert((client, call), Leg::new(Role::Caller, Stage::Dialling));
        must(before.is_none(), "a call id names one call", || format!("client {client}, {call}"))
    }

    /// A dial of `client` that has not come to its end.
    fn open_dial(&self, client: ClientNo, to: &str, reference: Option<&str>) -> Option<String> {
        let mut dials = self.dials.iter().filter(|(metadata, dial)| {
            dial.open
                && dial.caller == client
                && dial.to == to
                && dial.reference.as_deref() == reference
                && !metadata.is_empty()
        });
        dials.next().map(|(metadata, _)| metadata.clone())
    }

    /// An ERROR does not say which dial it is about; it follows it at once, so it is the last one.
    fn refused(&mut self, client: ClientNo) -> Result<(), Breach> {
        let dials = self.dials.iter_mut().filter(|(_, dial)| dial.open && dial.caller == client);
        let last = dials.max_by_key(|(metadata, _)| (metadata.len(), (*metadata).clone()));
        must(last.is_some(), "a dial ends once", || format!("client {client} hears of an error"))?;
        if let Some((_, dial)) = last {
            dial.open = false;
        }
        Ok(())
    }

    fn end_dial(&mut self, metadata: Option<String>, client: ClientNo, how: &str) -> Result<(), Breach> {
        let metadata = metadata.and_then(|metadata| self.unguess(metadata));
        let dial = metadata.and_then(|metadata| self.dials.get_mut(&metadata));
        let ends = dial.is_some_and(|dial| std::mem::take(&mut dial.open) && dial.caller == client);
        must(ends, "a dial ends once", || format!("client {client}: {how}, but it has no such dial"))
    }

    fn mark_guess(&mut self, metadata: Option<String>, guessed: bool) {
        if let Some(dial) = metadata.and_then(|metadata| self.dials.get_mut(&metadata)) {
            dial.guessed = guessed;
        }
    }

    /// If that dial was taken for one that was BUSY, and another could be the one, it was the other.
    fn unguess(&mut self, metadata: String) -> Option<String> {
        let Dial { caller, to, guessed, .. } = self.dials.get(&metadata)?;
        if !guessed {
            return Some(metadata);
        }
        let (caller, to) = (*caller, to.clone());
        let others = self.dials.iter_mut().filter(|(_, other)| {
            other.open && other.reference.is_none() && other.caller == caller && other.to == to
        });
        // One that has rung is not likely to be the one, unless there is no other.
        let (_, other) = others.min_by_key(|(metadata, _)| self.rung.contains_key(*metadata))?;
        (other.open, other.guessed) = (false, true);
        let dial = self.dials.get_mut(&metadata)?;
        (dial.open, dial.guessed) = (true, false);
        Some(metadata)
    }

    fn busy(
        &mut self,
        client: ClientNo,
        to: &str,
        cause: Cause,
        named: Option<&(String, CallId)>,
    ) -> Result<(), Breach> {
        let metadata = match named {
            Some((reference, _)) => self.open_dial(client, to, Some(reference)),
            None => self.likely_busy(client, to, cause),
        };
        self.end_dial(metadata.clone(), client, "BUSY")?;
        self.mark_guess(metadata, named.is_none());
        if let Some((_, call)) = named {
            let leg = self.legs.get_mut(&(client, *call)).filter(|leg| leg.stage == Stage::Dialling);
            must(leg.is_some(), "BUSY names the call of DIALING", || format!("client {client}, {call}"))?;
            leg.into_iter().for_each(|leg| leg.stage = Stage::Over);
        }
        Ok(())
    }

    /// A BUSY without a reference says only whom it is about. A dial that has rung is the one if it timed out or was cut.
    fn likely_busy(&self, client: ClientNo, to: &str, cause: Cause) -> Option<String> {
        let dials = self.dials.iter().filter(|(_, dial)| {
            dial.open && dial.caller == client && dial.to == to && dial.reference.is_none()
        });
        let over = |&(call, callee): &(CallId, ClientNo)| {
            self.legs.get(&(callee, call)).is_some_and(|leg| leg.stage == Stage::Over)
        };
        let unlikely = |metadata: &String| match self.rung.get(metadata) {
            None => 1,
            Some(rung) if matches!(cause, Cause::Timeout | Cause::Admin) && over(rung) => 0,
            Some(_) => 2,
        };
        dials.map(|(metadata, _)| metadata).min_by_key(|metadata| unlikely(metadata)).cloned()
    }

    fn ring(&mut self, client: ClientNo, call: CallId, dial: &str, listens: bool) -> Result<(), Breach> {
        must(self.dials.contains_key(dial), "RING has a dial", || format!("client {client}, {dial}"))?;
        let before = self.rung.insert(dial.to_owned(), (call, client));
        must(before.is_none(), "a dial rings once", || format!("client {client}, {dial}"))?;
        // If it was thought to have been refused, another one was. If it was given up, the news is on its way.
        let _still_open = self.unguess(dial.to_owned());
        if listens {
            self.sessions.insert(call, client);
            let leg = self.legs.entry((client, call)).or_insert_with(|| Leg::new(Role::Host, Stage::Up));
            leg.ears += 1;
            return must(leg.stage == Stage::Up, "a broadcast that is over does not begin again", || {
                format!("client {client}, {call}")
            });
        }
        self.by_call.insert(call, dial.to_owned());
        let before = self.legs.insert((client, call), Leg::new(Role::Callee, Stage::Ringing));
        must(before.is_none(), "a call rings once", || format!("client {client}, {call}"))
    }

    fn connected(
        &mut self,
        client: ClientNo,
        call: CallId,
        to: &str,
        reference: Option<&str>,
    ) -> Result<(), Breach> {
        if let Some(&host) = self.sessions.get(&call) {
            let dial = self.listening_dial(client, call, to, reference);
            let named = dial.as_ref().and_then(|dial| self.name_of(client, dial));
            self.end_dial(dial.clone(), client, "CONNECTED to a broadcast")?;
            self.mark_guess(dial.filter(|dial| !self.rung.contains_key(dial)), reference.is_none());
            self.enter_session(client, call, host, named);
            return Ok(());
        }
        self.end_dial(self.by_call.get(&call).cloned(), client, "CONNECTED")?;
        let callee = self.by_call.get(&call).and_then(|dial| self.rung.get(dial)).map(|&(_, callee)| callee);
        let answered = callee
            .and_then(|callee| self.legs.get(&(callee, call)))
            .is_some_and(|leg| matches!(leg.stage, Stage::Up | Stage::Over));
        must(answered, "CONNECTED follows ANSWER", || format!("client {client}, {call}"))?;
        let leg = self.legs.entry((client, call)).or_insert_with(|| Leg::new(Role::Caller, Stage::Dialling));
        must(leg.stage == Stage::Dialling, "a call is connected once", || {
            format!("client {client}, {call}")
        })?;
        leg.stage = Stage::Up;
        Ok(())
    }

    /// The dial that made `client` a listener of a session, or one that found that it is one already.
    fn listening_dial(
        &self,
        client: ClientNo,
        call: CallId,
        to: &str,
        reference: Option<&str>,
    ) -> Option<String> {
        let up = self.legs.get(&(client, call)).is_some_and(|leg| leg.stage == Stage::Up);
        let mut dials = self.dials.iter().filter(|(metadata, dial)| {
            let rung = self.rung.get(*metadata).map(|&(session, _)| session);
            dial.open
                && dial.caller == client
                && dial.to == to
                && dial.reference.as_deref() == reference
                && rung == (!up).then_some(call)
        });
        dials.next().map(|(metadata, _)| metadata.clone())
    }

    /// The name that DIALING gave to a dial.
    fn name_of(&self, client: ClientNo, dial: &str) -> Option<CallId> {
        let mut names = self.by_call.iter().filter(|(_, metadata)| *metadata == dial);
        names.find(|(call, _)| self.legs.contains_key(&(client, **call))).map(|(&call, _)| call)
    }

    fn enter_session(&mut self, client: ClientNo, call: CallId, host: ClientNo, named: Option<CallId>) {
        // The dial's own name has done its work.
        let dial = named.and_then(|named| self.legs.get_mut(&(client, named)));
        dial.into_iter().for_each(|leg| leg.stage = Stage::Over);
        let said = self.legs.get(&(host, call)).map_or(0, |leg| leg.said.len());
        let leg = self.legs.entry((client, call)).or_insert_with(|| Leg::new(Role::Listener, Stage::Over));
        if leg.stage != Stage::Up {
            leg.stage = Stage::Up;
            leg.since = said;
            leg.dialled = named;
            leg.heard.remove(&host);
        }
    }

    fn hung_up(
        &mut self,
        client: ClientNo,
        call: CallId,
        names_listener: bool,
        by_operator: bool,
    ) -> Result<(), Breach> {
        if !self.legs.contains_key(&(client, call)) {
            // The callee has turned down a call whose id the caller has not seen before (section 11).
            self.end_dial(self.by_call.get(&call).cloned(), client, "HANGUP")?;
            self.legs.insert((client, call), Leg::new(Role::Caller, Stage::Over));
            return Ok(());
        }
        if self.legs[&(client, call)].stage == Stage::Dialling {
            self.end_dial(self.by_call.get(&call).cloned(), client, "HANGUP")?;
        }
        let Some(leg) = self.legs.get_mut(&(client, call)) else { return Ok(()) };
        must(leg.stage != Stage::Over, "one hang-up a leg", || format!("client {client}, {call}"))?;
        // The operator ends a broadcast for all, which the broadcaster is told as well.
        let ends_for_all = by_operator && leg.role == Role::Host && !names_listener;
        must(
            ends_for_all || names_listener == (leg.role == Role::Host),
            "HANGUP names a listener to a broadcaster only",
            || format!("client {client}, {call}"),
        )?;
        leg.ears = if ends_for_all { 0 } else { leg.ears.saturating_sub(1) };
        if leg.role != Role::Host || leg.ears == 0 {
            leg.stage = Stage::Over;
        }
        Ok(())
    }

    fn message(&mut self, client: ClientNo, call: CallId, data: &str) -> Result<(), Breach> {
        let up = self.legs.get(&(client, call)).is_some_and(|leg| leg.stage == Stage::Up);
        must(up, "messages come between CONNECTED or ANSWER and HANGUP", || {
            format!("client {client}, {call}, {data}")
        })?;
        if let Some((host, session)) = self.whispers.remove(data) {
            return must(session == call && host != client, "a whisper is heard where it belongs", || {
                format!("client {client}, {call}, {data}")
            });
        }
        let speaker = self.speakers.get(data).filter(|&&(speaker, to)| to == call && speaker != client);
        let Some(&(speaker, _)) = speaker else {
            return Err(Breach::new(
                "a message was said in its call",
                format!("client {client}, {call}, {data}"),
            ));
        };
        self.hear_from(client, call, speaker, data)
    }

    fn hear_from(
        &mut self,
        client: ClientNo,
        call: CallId,
        speaker: ClientNo,
        data: &str,
    ) -> Result<(), Breach> {
        let said = &self.legs[&(speaker, call)].said;
        let at = said.iter().position(|said| said == data).unwrap_or(usize::MAX);
        let speaker_role = self.legs[&(speaker, call)].role;
        let Some(leg) = self.legs.get_mut(&(client, call)) else { return Ok(()) };
        must(
            speaker_role == Role::Host || leg.role != Role::Listener,
            "listeners do not hear each other",
            || format!("client {client} hears client {speaker}"),
        )?;
        // What a broadcaster said while a new listener was on its way may be heard or not; from then on it is all.
        let free = leg.role == Role::Listener && !leg.heard.contains_key(&speaker) && at <= leg.since;
        let next = leg.heard.entry(speaker).or_insert(if leg.role == Role::Listener { leg.since } else { 0 });
        must(free || *next == at, "messages come in order, all and once", || {
            format!("client {client} hears {data} ({at}) of client {speaker} instead of number {next}")
        })?;
        *next = at + 1;
        Ok(())
    }

    /// A call record was written.
    ///
    /// # Errors
    /// If there is one for that call already, or it is not in the trace that it was dialled in.
    pub fn note_record(&mut self, record: &CallRecord) -> Result<(), Breach> {
        // Each listener has one of its own under the id that all share.
        let listened = record.mode == CallMode::Broadcast && record.answered.is_some();
        must(listened || self.recorded.insert(record.call), "a call has one record", || {
            format!("{record:?}")
        })?;
        let dial = self.dial_of(record);
        must(dial.is_some(), "a record has the trace of its dial", || format!("{record:?}"))?;
        let is_first = dial.is_some_and(|dial| self.accounted.insert(dial));
        must(is_first, "a dial has one record", || format!("{record:?}"))
    }

    /// The dial that a record says that it is of, by its trace, if what else it says is true of that.
    fn dial_of(&self, record: &CallRecord) -> Option<String> {
        let trace = record.trace.as_deref()?;
        let metadata = std::str::from_utf8(&trace.trace_id).ok()?.trim_end_matches('\0');
        let dial = self.dials.get(metadata)?;
        let dialled = Address::parse(&dial.to).map_or(dial.to.clone(), |address| address.as_str().to_owned());
        let fits = *trace == trace_of(metadata, record.started) && dialled == record.to.as_str();
        fits.then(|| metadata.to_owned())
    }

    /// A client is gone: it ends its dials and calls.
    pub fn bury(&mut self, client: ClientNo) {
        for dial in self.dials.values_mut().filter(|dial| dial.caller == client) {
            dial.open = false;
        }
        for (_, leg) in self.legs.range_mut((client, CallId::NONE)..).take_while(|((by, _), _)| *by == client)
        {
            leg.stage = Stage::Over;
        }
    }

    /// Everybody is gone: every dial has come to its end.
    ///
    /// # Errors
    /// If one has not.
    pub fn judge_end(&self) -> Result<(), Breach> {
        let open = self.dials.iter().find(|(_, dial)| dial.open);
        must(open.is_none(), "every dial ends", || format!("{open:?}"))
    }
}
