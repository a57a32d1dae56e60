//! What can happen in a simulation, and the choice of what happens next.
//!
//! An [`Action`] names its subjects by numbers that are cut to size when it is carried out ("the 7th call that
//! rings"), so that any list of actions makes sense in any world and a failing list can be shortened. [`resolve`]
//! turns it into a [`Step`] for the world as it is. Few addresses and parties, so that everything collides.

use bytes::Bytes;

use crate::exchange::Address;
use crate::exchange::address::LOG_SERVICE;
use crate::exchange::event::{
    AutoSleepChange, Concurrency, Location, Loss, Near, PresenceQuery, Profile, Registration, Status,
    WakeHandler, WakeKind, WakeOutcome,
};

use super::client::{CallRef, Client, ClientNo, Place, Stage, Want};
use super::dice::Dice;
use super::world::World;

/// The addresses; the last one is that of a service.
const ADDRESSES: [&str; 7] =
    ["ann@a.test", "bob@a.test", "cid@b.test", "dan@B.test", "eve@b.test", "fay@c.test", LOG_SERVICE];
/// The parties.
const PARTIES: [&str; 3] = ["tea@a.test", "fog@b.test", "ann@a.test"];
/// The command that may be run as a wake handler.
pub const AGENT_COMMAND: &str = "/bin/agent";
/// Most clients at a time.
const CLIENTS_MAX: usize = 12;

/// Something that can happen.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "numbers that are cut to size; `resolve` says what they choose from")]
pub enum Action {
    /// Somebody connects.
    Open {
        shard: u8,
        internal: bool,
    },
    /// A connection is lost.
    Lose {
        who: u8,
        loss: Loss,
    },
    /// A client's output passes a mark.
    Congest {
        who: u8,
    },
    /// Somebody asks for something.
    Register {
        who: u8,
        address: u8,
        manner: Manner,
        wake: Wake,
        profile: u8,
    },
    /// A client registers again what it has.
    Refresh {
        who: u8,
        manner: Manner,
        wake: Wake,
        profile: u8,
    },
    Unregister {
        who: u8,
    },
    Status {
        who: u8,
        status: Status,
        auto_sleep: AutoSleepChange,
    },
    Heartbeat {
        who: u8,
    },
    Dial {
        who: u8,
        target: Target,
        referenced: bool,
    },
    /// A call that rings is answered.
    Answer {
        nth: u8,
    },
    /// A call in the given stage ends.
    HangUp {
        nth: u8,
        stage: Stage,
        reason: bool,
    },
    /// Somebody speaks in a call that is up.
    Message {
        nth: u8,
    },
    /// Somebody names a call that is not its own, or none.
    Meddle {
        who: u8,
        whose: u8,
        nth: u8,
        how: Meddling,
    },
    Whisper {
        nth: u8,
        ring: u8,
    },
    Presence {
        who: u8,
        query: u8,
    },
    SleepAck {
        who: u8,
    },
    Join {
        who: u8,
        party: u8,
        create: bool,
    },
    PartyMessage {
        who: u8,
        party: u8,
    },
    Leave {
        who: u8,
        party: u8,
    },
    /// Parcels arrive.
    Deliver {
        nth: u8,
        count: u8,
    },
    /// Time passes.
    Wait {
        millis: u32,
    },
    /// Time passes until something is due.
    Deadline,
    /// A wake handler ends; if it has answered, the agent may come.
    EndWake {
        nth: u8,
        outcome: WakeOutcome,
        agent: Option<Manner>,
    },
}

/// How a line is registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// One call at a time.
    Single,
    /// Broadcast, for at most so many.
    Broadcast(Option<u32>),
    /// Parallel, for at most so many.
    Parallel(Option<u32>),
    /// Parallel, as one of so many.
    Pool {
        /// Lines.
        size: u32,
        /// Calls for each.
        max_sessions: Option<u32>,
    },
}

/// What a registration says about waking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// Nothing.
    Absent,
    /// A webhook that a caller waits for so long.
    Webhook {
        /// In ms.
        timeout_ms: u32,
    },
    /// The command that may be run.
    Spawn,
    /// A command that may not be run.
    Forbidden,
}

/// Whom a dial is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// An address that somebody holds.
    Held(u8),
    /// Any of the addresses.
    Any(u8),
    /// The caller's own.
    Own,
    /// No address at all.
    Nonsense,
}

/// What is done with a call that is somebody else's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meddling {
    /// ANSWER.
    Answer,
    /// HANGUP.
    HangUp,
    /// MSG.
    Message,
    /// MSG with an id that was made up.
    Guess,
}

/// An action with its subjects.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody connects.
    Open {
        /// Where the connection lands.
        shard: usize,
        /// Whether it is a service of the exchange.
        internal: bool,
    },
    /// A connection is lost.
    Lose(ClientNo, Loss),
    /// A client's output passes a mark.
    Congest(ClientNo),
    /// Somebody asks for something.
    Ask(ClientNo, Want),
    /// Parcels arrive.
    Deliver {
        /// Which of the busy trunks.
        nth: usize,
        /// How many.
        count: usize,
    },
    /// Time passes.
    Wait {
        /// How much.
        millis: u64,
    },
    /// Time passes until something is due.
    Deadline,
    /// A wake handler ends.
    EndWake {
        /// Which of the world's.
        nth: usize,
        /// How.
        outcome: WakeOutcome,
        /// What the agent says when it comes.
        agent: Option<Box<Registration>>,
    },
}

/// What a run of the simulation is to contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// Trunks deliver at once, no output is congested.
    Calm,
    /// Trunks deliver when chance has it.
    Rough,
}

/// Chooses what happens next.
pub fn choose(dice: &mut Dice, weather: Weather) -> Action {
    if weather == Weather::Rough && dice.chance(50) {
        return match dice.below(12) {
            0 => Action::Congest { who: dice.byte() },
            _ => Action::Deliver { nth: dice.byte(), count: dice.pick(&[1, 1, 1, 2, 5, 30]) },
        };
    }
    let family: fn(&mut Dice) -> Action = dice.weighted(&[
        (16, registration as _),
        (22, dialling as _),
        (32, calling as _),
        (12, parties as _),
        (12, presence_and_sleep as _),
        (6, time_and_loss as _),
    ]);
    family(dice)
}

fn registration(dice: &mut Dice) -> Action {
    let (who, address, profile) = (dice.byte(), dice.byte(), dice.byte());
    match dice.below(10) {
        0..4 => Action::Open { shard: dice.byte(), internal: dice.chance(10) },
        4..9 => Action::Register { who, address, manner: manner(dice), wake: wake(dice), profile },
        _ => Action::Refresh { who, manner: manner(dice), wake: wake(dice), profile },
    }
}

fn manner(dice: &mut Dice) -> Manner {
    let max = dice.pick(&[None, Some(1), Some(2)]);
    dice.weighted(&[
        (5, Manner::Single),
        (2, Manner::Broadcast(max)),
        (2, Manner::Parallel(max)),
        (2, Manner::Pool { size: 3, max_sessions: max }),
    ])
}

fn wake(dice: &mut Dice) -> Wake {
    let timeout_ms = dice.pick(&[50, 8_000, 45_000]);
    dice.weighted(&[
        (60, Wake::Absent),
        (35, Wake::Webhook { timeout_ms }),
        (4, Wake::Spawn),
        (1, Wake::Forbidden),
    ])
}

fn dialling(dice: &mut Dice) -> Action {
    let nth = dice.byte();
    let target = dice.weighted(&[
        (75, Target::Held(nth)),
        (20, Target::Any(nth)),
        (3, Target::Own),
        (2, Target::Nonsense),
    ]);
    Action::Dial { who: dice.byte(), target, referenced: dice.chance(50) }
}

fn calling(dice: &mut Dice) -> Action {
    let nth = dice.byte();
    match dice.below(20) {
        0..6 => Action::Answer { nth },
        6..9 => {
            let stage = dice.weighted(&[(2, Stage::Ringing), (2, Stage::Dialling), (5, Stage::Up)]);
            Action::HangUp { nth, stage, reason: dice.chance(30) }
        }
        9..17 => Action::Message { nth },
        17..19 => Action::Meddle {
            who: dice.byte(),
            whose: dice.byte(),
            nth,
            how: dice.pick(&[Meddling::Answer, Meddling::HangUp, Meddling::Message, Meddling::Guess]),
        },
        _ => Action::Whisper { nth, ring: dice.byte() },
    }
}

fn parties(dice: &mut Dice) -> Action {
    let (who, party) = (dice.byte(), dice.byte());
    match dice.below(10) {
        0..4 => Action::Join { who, party, create: dice.chance(80) },
        4..9 => Action::PartyMessage { who, party },
        _ => Action::Leave { who, party },
    }
}

fn presence_and_sleep(dice: &mut Dice) -> Action {
    let who = dice.byte();
    match dice.below(20) {
        0..5 => Action::Presence { who, query: dice.byte() },
        5..7 => Action::SleepAck { who },
        7..11 => Action::EndWake {
            nth: dice.byte(),
            outcome: dice.pick(&[
                WakeOutcome::Answered,
                WakeOutcome::Answered,
                WakeOutcome::Answered,
                WakeOutcome::Failed,
                WakeOutcome::TimedOut,
            ]),
            agent: if dice.chance(70) { Some(agent(dice)) } else { None },
        },
        11..17 => Action::Heartbeat { who },
        _ => Action::Status { who, status: status(dice), auto_sleep: auto_sleep(dice) },
    }
}

/// A woken agent mostly registers bare.
fn agent(dice: &mut Dice) -> Manner {
    if dice.chance(70) { Manner::Single } else { manner(dice) }
}

fn status(dice: &mut Dice) -> Status {
    dice.weighted(&[(6, Status::Available), (1, Status::Busy), (1, Status::Dnd), (1, Status::Away)])
}

fn auto_sleep(dice: &mut Dice) -> AutoSleepChange {
    let idle_ms = dice.pick(&[0, 3_000, 20_000]);
    dice.weighted(&[
        (4, AutoSleepChange::Absent),
        (6, AutoSleepChange::After { idle_ms }),
        (1, AutoSleepChange::Off),
        (1, AutoSleepChange::Invalid),
    ])
}

fn time_and_loss(dice: &mut Dice) -> Action {
    match dice.below(20) {
        0..6 => Action::Deadline,
        6..11 => Action::Wait { millis: dice.below(700) as u32 },
        11..14 => Action::Wait { millis: dice.below(6_000) as u32 },
        14..18 => {
            let loss = dice.pick(&[Loss::Closed, Loss::Vanished, Loss::SlowConsumer]);
            Action::Lose { who: dice.byte(), loss }
        }
        _ => Action::Unregister { who: dice.byte() },
    }
}

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
        Action::Congest { who } => Step::Congest(scene.anyone(who)?),
        Action::Deliver { nth, count } => Step::Deliver { nth: usize::from(nth), count: usize::from(count) },
        Action::Wait { millis } => Step::Wait { millis: u64::from(millis) },
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
            Action::Whisper { nth, ring } => {
                let (client, call) = self.call(nth, Stage::Up)?;
                let ring = usize::from(ring).checked_rem(self.client(client).listeners.len())?;
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

fn register(address: &str, manner: Manner, wake: Wake, profile: u8) -> Box<Registration> {
    let (concurrency, pool_size) = match manner {
        Manner::Single => (Concurrency::Single, None),
        Manner::Broadcast(max_listeners) => (Concurrency::Broadcast { max_listeners }, None),
        Manner::Parallel(max_sessions) => (Concurrency::Parallel { max_sessions }, None),
        Manner::Pool { size, max_sessions } => (Concurrency::Parallel { max_sessions }, Some(size)),
    };
    let address = Address::parse(address).expect("the simulation's addresses are valid");
    Box::new(Registration {
        address,
        profile: self::profile(profile),
        concurrency,
        pool_size,
        wake: handler(wake),
    })
}

fn handler(wake: Wake) -> Option<WakeHandler> {
    let spawn = |command: &str| WakeKind::Spawn { command: [Box::from(command)].into() };
    let (kind, timeout_ms) = match wake {
        Wake::Absent => return None,
        Wake::Webhook { timeout_ms } => {
            (WakeKind::Webhook { url: Box::from("http://127.0.0.1/wake"), payload: None }, timeout_ms)
        }
        Wake::Spawn => (spawn(AGENT_COMMAND), 20_000),
        Wake::Forbidden => (spawn("/bin/other"), 20_000),
    };
    Some(WakeHandler { kind, timeout_ms: u64::from(timeout_ms), source: Bytes::from_static(b"{}") })
}

/// Four kinds of profiles: nothing, metadata, a capability, capabilities and a place.
fn profile(kind: u8) -> Profile {
    let metadata = Some(Bytes::from_static(b"{\"name\":1}"));
    match kind % 4 {
        0 => Profile::default(),
        1 => Profile { metadata, ..Profile::default() },
        2 => Profile { metadata, capabilities: ["chat".into()].into(), location: None },
        _ => Profile {
            metadata,
            capabilities: ["chat".into(), "draw".into()].into(),
            location: Some(Location { lat: 52.5, lon: 13.4 }),
        },
    }
}

/// Seven kinds of questions.
fn presence(kind: u8) -> Box<PresenceQuery> {
    let query = PresenceQuery::default();
    let near = |lat| Some(Near { middle: Location { lat, lon: 13.0 }, radius_km: 200.0 });
    Box::new(match kind % 7 {
        0 => query,
        1 => PresenceQuery { domain: Some("b.test".into()), ..query },
        2 => PresenceQuery { domain: Some("nowhere.test".into()), ..query },
        3 => PresenceQuery { capabilities: vec!["chat".into()], ..query },
        4 => PresenceQuery { capabilities: vec!["draw".into(), "chat".into()], near: near(52.0), ..query },
        5 => PresenceQuery { near: near(48.0), ..query },
        _ => PresenceQuery { limit: Some(1), ..query },
    })
}

/// Whether a client can be told something: it is with a shard.
pub fn is_settled(client: &Client) -> bool {
    matches!(client.place, Place::At(_))
}
