//! What an action means in the world as it is: who it is about, and what they say.
//!
//! Choices lean towards what leads somewhere: dials come from registered clients and go to addresses that are held,
//! answers go to calls that ring. One in a dozen does not, so that refusals are tried as well.

use crate::exchange::event::WakeOutcome;
use crate::sim::client::{CallRef, Client, ClientNo, Stage, Want};
use crate::sim::world::World;

use super::material::{ADDRESSES, PARTIES, presence, register};
use super::{Action, Manner, Meddling, Step, Target, Wake};

/// Most clients at a time.
const CLIENTS_MAX: usize = 12;

/// What an action means in the world as it is; `None` if it means nothing there. `number` makes what is said
/// in this step different from what is said in any other.
pub fn resolve(action: Action, world: &World, number: usize) -> Option<Step> {
    let scene = Scene { world, alive: world.alive() };
    Some(match action {
        Action::Open { shard, internal } => {
            (scene.alive.len() < CLIENTS_MAX).then_some(())?;
            Step::Open { shard: usize::from(shard), internal }
        }
        Action::Lose { who, loss } => Step::Lose(scene.anyone(who)?, loss),
        Action::CutCall { nth, stage } => Step::CutCall(scene.call(nth, stage)?.1),
        Action::CutLine { who } => Step::CutLine(scene.anyone(who)?),
        Action::Congest { who } => Step::Congest(scene.anyone(who)?),
        Action::Deliver { nth, count } => Step::Deliver { nth: usize::from(nth), count: usize::from(count) },
        Action::Wait { millis } => Step::Wait { millis: u64::from(millis) },
        Action::Drain(order) => Step::Drain(order),
        Action::Stop => Step::Stop,
        Action::Deadline => Step::Deadline,
        Action::EndWake { nth, outcome, agent } => scene.end_wake(nth, outcome, agent)?,
        _ => {
            let (client, want) = scene.want(action, number)?;
            Step::Ask(client, want)
        }
    })
}

struct Scene<'a> {
    world: &'a World,
    alive: Vec<ClientNo>,
}

impl Scene<'_> {
    fn client(&self, client: ClientNo) -> &Client {
        &self.world.clients[client]
    }

    fn anyone(&self, who: u8) -> Option<ClientNo> {
        choice(&self.alive, who)
    }

    /// Mostly somebody who is registered.
    fn somebody(&self, who: u8) -> Option<ClientNo> {
        let registered: Vec<_> =
            self.alive.iter().copied().filter(|&client| self.client(client).address.is_some()).collect();
        if who >= 240 || registered.is_empty() { self.anyone(who) } else { choice(&registered, who) }
    }

    /// Mostly somebody who is not registered yet.
    fn newcomer(&self, who: u8) -> Option<ClientNo> {
        let newcomers: Vec<_> =
            self.alive.iter().copied().filter(|&client| self.client(client).address.is_none()).collect();
        if who >= 200 || newcomers.is_empty() { self.anyone(who) } else { choice(&newcomers, who) }
    }

    /// A call in this stage, and whose it is.
    fn call(&self, nth: u8, stage: Stage) -> Option<(ClientNo, CallRef)> {
        let calls = self.alive.iter().flat_map(|&by| {
            let stages = self.client(by).stages.iter().enumerate();
            stages.filter(move |&(_, &at)| at == stage).map(move |(nth, _)| (by, CallRef::Heard { by, nth }))
        });
        choice(&calls.collect::<Vec<_>>(), nth)
    }

    fn want(&self, action: Action, number: usize) -> Option<(ClientNo, Want)> {
        Some(match action {
            Action::Register { who, address, manner, wake, profile } => {
                let address = ADDRESSES[usize::from(address) % ADDRESSES.len()];
                (self.newcomer(who)?, Want::Register(register(address, manner, wake, profile)))
            }
            Action::Refresh { who, manner, wake, profile } => {
                let client = self.somebody(who)?;
                let address = self.client(client).address.as_deref()?;
                (client, Want::Register(register(address, manner, wake, profile)))
            }
            Action::Unregister { who } => (self.anyone(who)?, Want::Unregister),
            Action::Status { who, status, auto_sleep } => {
                (self.somebody(who)?, Want::Status { status, auto_sleep })
            }
            Action::Heartbeat { who } => (self.anyone(who)?, Want::Heartbeat),
            Action::Presence { who, query } => (self.somebody(who)?, Want::Presence(presence(query))),
            Action::SleepAck { who } => (self.somebody(who)?, Want::SleepAck),
            Action::Join { .. } | Action::PartyMessage { .. } | Action::Leave { .. } => {
                self.party_want(action, number)?
            }
            _ => self.call_want(action, number)?,
        })
    }

    fn call_want(&self, action: Action, number: usize) -> Option<(ClientNo, Want)> {
        let data = format!("m{number}");
        Some(match action {
            Action::Dial { who, target, referenced } => {
                let client = self.somebody(who)?;
                let reference = referenced.then(|| format!("r{number}"));
                let to = self.target(client, target)?;
                (client, Want::Dial { to, metadata: format!("d{number}"), reference })
            }
            Action::Answer { nth } => {
                let (client, call) = self.call(nth, Stage::Ringing)?;
                (client, Want::Answer { call })
            }
            Action::HangUp { nth, stage, reason } => {
                let (client, call) = self.call(nth, stage)?;
                (client, Want::HangUp { call, reason: reason.then(|| format!("because {number}")) })
            }
            Action::Message { nth } => {
                let (client, call) = self.call(nth, Stage::Up)?;
                (client, Want::Message { call, data })
            }
            Action::Whisper { nth } => {
                let (client, call) = self.call(nth, Stage::Up)?;
                let id = self.world.call_id(call);
                let ring = self.client(client).listeners.iter().rposition(|&(session, _)| session == id)?;
                (client, Want::Whisper { call, ring, data })
            }
            Action::Meddle { who, whose, nth, how } => self.meddle(who, whose, nth, how, data)?,
            _ => return None,
        })
    }

    fn party_want(&self, action: Action, number: usize) -> Option<(ClientNo, Want)> {
        let party = |party: u8| PARTIES[usize::from(party) % PARTIES.len()].to_owned();
        Some(match action {
            Action::Join { who, party: at, create } => {
                (self.somebody(who)?, Want::Join { party: party(at), create_if_missing: create })
            }
            Action::PartyMessage { who, party: at } => {
                let (client, member_of) = self.member(who, at)?;
                let party = member_of.unwrap_or_else(|| party(at));
                (client, Want::PartyMessage { party, data: format!("p{number}") })
            }
            Action::Leave { who, party: at } => (self.somebody(who)?, Want::Leave { party: party(at) }),
            _ => return None,
        })
    }

    /// Mostly somebody who is in a party, and which one that is.
    fn member(&self, who: u8, party: u8) -> Option<(ClientNo, Option<String>)> {
        let members: Vec<_> =
            self.alive.iter().copied().filter(|&client| !self.client(client).parties.is_empty()).collect();
        if who >= 240 || members.is_empty() {
            return Some((self.anyone(who)?, None));
        }
        let client = choice(&members, who)?;
        let parties = &self.client(client).parties;
        Some((client, parties.get(usize::from(party) % parties.len()).cloned()))
    }

    fn meddle(&self, who: u8, whose: u8, nth: u8, how: Meddling, data: String) -> Option<(ClientNo, Want)> {
        let (client, by) = (self.anyone(who)?, self.anyone(whose)?);
        let nth = usize::from(nth).checked_rem(self.client(by).calls.len()).unwrap_or(0);
        let call = CallRef::Heard { by, nth };
        let want = match how {
            Meddling::Answer => Want::Answer { call },
            Meddling::HangUp => Want::HangUp { call, reason: None },
            Meddling::Message => Want::Message { call, data },
            Meddling::Guess => Want::Message { call: CallRef::Guessed, data },
        };
        Some((client, want))
    }

    fn target(&self, caller: ClientNo, target: Target) -> Option<String> {
        match target {
            Target::Held(nth) => {
                let others = self.alive.iter().filter(|&&client| client != caller);
                let held: Vec<_> =
                    others.filter_map(|&client| self.client(client).address.as_deref()).collect();
                choice(&held, nth).map(str::to_owned)
            }
            Target::Any(nth) => Some(ADDRESSES[usize::from(nth) % ADDRESSES.len()].to_owned()),
            Target::Own => self.client(caller).address.clone(),
            Target::Nonsense => Some("no address".to_owned()),
        }
    }

    fn end_wake(&self, nth: u8, outcome: WakeOutcome, agent: Option<Manner>) -> Option<Step> {
        let tasks = self.world.wakes.iter().enumerate();
        let running: Vec<_> = tasks.filter(|(_, task)| !task.over).map(|(nth, _)| nth).collect();
        let nth = choice(&running, nth)?;
        let comes = outcome == WakeOutcome::Answered && self.alive.len() < CLIENTS_MAX;
        let address = &self.world.wakes[nth].address;
        let agent = agent.filter(|_| comes).map(|manner| register(address, manner, Wake::Absent, 0));
        Some(Step::EndWake { nth, outcome, agent })
    }
}

fn choice<T: Copy>(choices: &[T], nth: u8) -> Option<T> {
    choices.get(usize::from(nth).checked_rem(choices.len())?).copied()
}
