//! What must be true of calls when nothing is on its way.

use crate::exchange::ids::CallId;
use crate::sim::client::{ClientNo, Stage};
use crate::sim::judge::{Breach, must};

use super::{Calls, Dial, Leg, Role};

impl Calls {
    /// Nothing is on its way: both ends agree, and everything said has been heard.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn judge_calm(&self, gone: &[bool]) -> Result<(), Breach> {
        for (&(client, call), leg) in self.legs.iter().filter(|((client, _), _)| !gone[*client]) {
            match leg.role {
                Role::Callee => self.judge_call(client, call, leg)?,
                Role::Caller if leg.stage == Stage::Up => self.judge_caller(client, call, leg)?,
                Role::Host if leg.stage == Stage::Up => self.judge_host(client, call, leg)?,
                Role::Listener if leg.stage == Stage::Up => self.judge_listener(client, call, leg)?,
                Role::Caller | Role::Host | Role::Listener => {}
            }
        }
        Ok(())
    }

    /// Whether a client has a call of two that rings for it, or that is up.
    pub fn talks(&self, client: ClientNo) -> bool {
        let mut legs = self.legs.range((client, CallId::NONE)..).take_while(|((by, _), _)| *by == client);
        legs.any(|(_, leg)| {
            matches!((leg.role, leg.stage), (Role::Caller | Role::Callee, Stage::Ringing | Stage::Up))
        })
    }

    /// Whether a client broadcasts to somebody, as far as it knows.
    pub fn broadcasts(&self, client: ClientNo) -> bool {
        let mut legs = self.legs.range((client, CallId::NONE)..).take_while(|((by, _), _)| *by == client);
        legs.any(|(_, leg)| leg.role == Role::Host && leg.stage == Stage::Up)
    }

    /// Whether what a client calls so is a call of two.
    pub fn is_of_two(&self, client: ClientNo, call: CallId) -> bool {
        let role = self.legs.get(&(client, call)).map(|leg| leg.role);
        matches!(role, None | Some(Role::Caller | Role::Callee))
    }

    fn caller_of(&self, call: CallId) -> Option<&Dial> {
        self.by_call.get(&call).and_then(|dial| self.dials.get(dial))
    }

    fn judge_call(&self, client: ClientNo, call: CallId, leg: &Leg) -> Result<(), Breach> {
        let Some(dial) = self.caller_of(call) else { return Ok(()) };
        let stage = self.legs.get(&(dial.caller, call)).map(|leg| leg.stage);
        let agree = match leg.stage {
            Stage::Ringing => dial.open && stage != Some(Stage::Up),
            Stage::Up => stage == Some(Stage::Up),
            Stage::Over | Stage::Dialling => !dial.open && stage != Some(Stage::Up),
        };
        must(agree, "both legs agree", || {
            let caller = dial.caller;
            format!("{call}: callee {client} {:?}, caller {caller} {stage:?}, open {}", leg.stage, dial.open)
        })?;
        if leg.stage == Stage::Up { self.all_heard(client, call, leg, dial.caller) } else { Ok(()) }
    }

    fn judge_caller(&self, client: ClientNo, call: CallId, leg: &Leg) -> Result<(), Breach> {
        let callee = self.by_call.get(&call).and_then(|dial| self.rung.get(dial)).map(|&(_, callee)| callee);
        let other = callee.and_then(|callee| self.legs.get(&(callee, call)));
        must(other.is_some_and(|other| other.stage == Stage::Up), "both legs agree", || {
            format!("{call}: caller {client} is up, callee {callee:?} is not")
        })?;
        callee.map_or(Ok(()), |callee| self.all_heard(client, call, leg, callee))
    }

    fn judge_host(&self, client: ClientNo, call: CallId, leg: &Leg) -> Result<(), Breach> {
        let listeners: Vec<_> = self.listeners(call).collect();
        must(listeners.len() == leg.ears, "a broadcaster knows its listeners", || {
            format!("{call}: {listeners:?} listen to {client}, which knows of {}", leg.ears)
        })?;
        listeners.into_iter().try_for_each(|listener| self.all_heard(client, call, leg, listener))
    }

    fn listeners(&self, call: CallId) -> impl Iterator<Item = ClientNo> {
        let legs = self.legs.iter().filter(move |((_, id), leg)| {
            *id == call && leg.role == Role::Listener && leg.stage == Stage::Up
        });
        legs.map(|(&(client, _), _)| client)
    }

    fn judge_listener(&self, client: ClientNo, call: CallId, leg: &Leg) -> Result<(), Breach> {
        let host = self.sessions[&call];
        let up = self.legs.get(&(host, call)).is_some_and(|host| host.stage == Stage::Up);
        must(up, "both legs agree", || format!("{call}: {client} listens, {host} does not broadcast"))?;
        self.all_heard(client, call, leg, host)
    }

    fn all_heard(&self, client: ClientNo, call: CallId, leg: &Leg, speaker: ClientNo) -> Result<(), Breach> {
        let said = self.legs.get(&(speaker, call)).map_or(0, |leg| leg.said.len());
        let heard = leg.heard.get(&speaker).copied().unwrap_or(leg.since);
        must(heard == said, "messages come in order, all and once", || {
            format!("{call}: client {client} has heard {heard} of {said} messages of client {speaker}")
        })
    }
}
