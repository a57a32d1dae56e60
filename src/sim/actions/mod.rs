//! What can happen in a simulation, and the choice of what happens next.
//!
//! An [`Action`] names its subjects by numbers that are cut to size when it is carried out ("the 7th call that
//! rings"), so that any list of actions makes sense in any world and a failing list can be shortened. [`resolve`]
//! turns it into a [`Step`] for the world as it is. Few addresses and parties, so that everything collides.

mod material;
mod scene;

use crate::exchange::event::{AutoSleepChange, DrainOrder, Loss, Registration, Status, WakeOutcome};

use super::client::{CallRef, ClientNo, Stage, Want};
use super::dice::Dice;
pub use material::AGENT_COMMAND;
pub use scene::resolve;

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
    /// The operator ends a call.
    CutCall {
        nth: u8,
        stage: Stage,
    },
    /// The operator closes a line.
    CutLine {
        who: u8,
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
    /// A broadcaster speaks to the listener that came last.
    Whisper {
        nth: u8,
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
    /// The exchange is about to stop.
    Drain(DrainOrder),
    /// It stops.
    Stop,
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

impl Action {
    /// The same without a pool or a wake handler in it.
    #[must_use]
    pub fn without_agents(mut self) -> Self {
        if let Self::Register { wake, .. } | Self::Refresh { wake, .. } = &mut self {
            *wake = Wake::Absent;
        }
        if let Self::Register { manner, .. }
        | Self::Refresh { manner, .. }
        | Self::EndWake { agent: Some(manner), .. } = &mut self
            && let Manner::Pool { max_sessions, .. } = *manner
        {
            *manner = Manner::Parallel(max_sessions);
        }
        self
    }
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
    /// The operator ends a call.
    CutCall(CallRef),
    /// The operator closes a line.
    CutLine(ClientNo),
    /// Somebody asks for something.
    Ask(ClientNo, Want),
    /// Parcels arrive.
    Deliver {
        /// Which of the busy trunks.
        nth: usize,
        /// How many.
        count: usize,
    },
    /// The exchange is about to stop.
    Drain(DrainOrder),
    /// It stops.
    Stop,
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

/// The first client becomes the log service.
pub fn log_service() -> Action {
    let address = material::LOG_ADDRESS;
    Action::Register { who: 0, address, manner: Manner::Broadcast(None), wake: Wake::Absent, profile: 0 }
}

/// Somebody dials it.
pub fn log_reader(dice: &mut Dice) -> Action {
    Action::Dial { who: dice.byte(), target: Target::Any(material::LOG_ADDRESS), referenced: false }
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
    match dice.below(21) {
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
        19 => Action::Whisper { nth },
        _ => {
            let stage = dice.pick(&[Stage::Ringing, Stage::Dialling, Stage::Up, Stage::Up]);
            Action::CutCall { nth, stage }
        }
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
    match dice.below(21) {
        0..6 => Action::Deadline,
        6..11 => Action::Wait { millis: dice.below(700) as u32 },
        11..14 => Action::Wait { millis: dice.below(6_000) as u32 },
        14..18 => {
            let loss = dice.pick(&[Loss::Closed, Loss::Vanished, Loss::SlowConsumer]);
            Action::Lose { who: dice.byte(), loss }
        }
        18..20 => Action::Unregister { who: dice.byte() },
        _ => Action::CutLine { who: dice.byte() },
    }
}
