//! A client of the simulated exchange: what it asks, what it has heard, and the connection it has.
//!
//! A client is a connection that is never used again; its number is its place in the world's list. [`Heard`] is a
//! notice that owns what it says, so that transcripts can be kept, compared and printed.

use std::collections::VecDeque;

use crate::exchange::cause::Cause;
use crate::exchange::effect::{Notice, Payload};
use crate::exchange::event::{AutoSleepChange, ContentType, Loss, PresenceQuery, Registration, Status, Verb};
use crate::exchange::ids::{CallId, LineId};

/// The number of a client.
pub type ClientNo = usize;

/// What a client asks, with everything it needs.
#[derive(Clone, Debug)]
pub enum Want {
    /// REGISTER.
    Register(Box<Registration>),
    /// UNREGISTER.
    Unregister,
    /// STATUS.
    Status {
        /// The new status.
        status: Status,
        /// What about sleeping.
        auto_sleep: AutoSleepChange,
    },
    /// HEARTBEAT.
    Heartbeat,
    /// DIAL.
    Dial {
        /// Whom.
        to: String,
        /// What the callee is to see; different for each dial.
        metadata: String,
        /// The caller's name for it; different for each dial.
        reference: Option<String>,
    },
    /// ANSWER.
    Answer {
        /// Which.
        call: CallRef,
    },
    /// HANGUP.
    HangUp {
        /// Which.
        call: CallRef,
        /// Why.
        reason: Option<String>,
    },
    /// MSG.
    Message {
        /// Which.
        call: CallRef,
        /// What; different for each message.
        data: String,
    },
    /// A broadcaster's word to one listener.
    Whisper {
        /// The session.
        call: CallRef,
        /// Which of the rings that the client has heard names the listener.
        ring: usize,
        /// What; different for each message.
        data: String,
    },
    /// PRESENCE.
    Presence(Box<PresenceQuery>),
    /// SLEEP_ACK.
    SleepAck,
    /// JOIN.
    Join {
        /// Which.
        party: String,
        /// Whether to make it.
        create_if_missing: bool,
    },
    /// PARTY_MSG.
    PartyMessage {
        /// Which.
        party: String,
        /// What; different for each message.
        data: String,
    },
    /// LEAVE.
    Leave {
        /// Which.
        party: String,
    },
}

impl Want {
    /// Its verb.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Register(_) => Verb::Register,
            Self::Unregister => Verb::Unregister,
            Self::Status { .. } => Verb::Status,
            Self::Heartbeat => Verb::Heartbeat,
            Self::Dial { .. } => Verb::Dial,
            Self::Answer { .. } => Verb::Answer,
            Self::HangUp { .. } => Verb::HangUp,
            Self::Message { .. } => Verb::Message,
            Self::Whisper { .. } => Verb::Whisper,
            Self::Presence(_) => Verb::Presence,
            Self::SleepAck => Verb::SleepAck,
            Self::Join { .. } => Verb::Join,
            Self::PartyMessage { .. } => Verb::PartyMessage,
            Self::Leave { .. } => Verb::Leave,
        }
    }
}

/// A call as a client names it: the same in the world and in the model, whose ids differ.
#[derive(Clone, Copy, Debug)]
pub enum CallRef {
    /// The `nth` call that client `by` has heard of; `by` is not always the client that asks.
    Heard {
        /// Who has heard of it.
        by: ClientNo,
        /// Its number in that client's list.
        nth: usize,
    },
    /// An id that was made up.
    Guessed,
}

/// What a client has heard.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the variants and fields are those of `Notice`, which documents them")]
pub enum Heard {
    Registered { address: String },
    RegisterRefused(Cause),
    Heartbeat { wall_ms: u64 },
    Dialling { reference: String, call: CallId, to: String },
    Ring { from: String, call: CallId, metadata: Option<String>, listens: bool },
    Connected { call: CallId, to: String, reference: Option<String> },
    Busy { to: String, cause: Cause, reference: Option<(String, CallId)> },
    HungUp { call: CallId, reason: String, from: Option<String> },
    Message { call: CallId, from: String, data: String },
    Presence { entries: Vec<(String, &'static str, Option<String>)>, truncated: bool },
    AuthExpiring { expires_ms: u64 },
    SleepPending { seconds: u64 },
    Refused { verb: &'static str, cause: Cause },
    Joined { party: String, participants: Vec<String> },
    PartyMessage { party: String, from: String, data: String },
    Closed(Cause),
}

impl Heard {
    /// The call it names, if it names one.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Self::Dialling { call, .. }
            | Self::Ring { call, .. }
            | Self::Connected { call, .. }
            | Self::HungUp { call, .. }
            | Self::Message { call, .. }
            | Self::Busy { reference: Some((_, call)), .. } => Some(*call),
            _ => None,
        }
    }

    /// The same with `call` in the place of its call.
    #[must_use]
    pub fn with_call(mut self, id: CallId) -> Self {
        match &mut self {
            Self::Dialling { call, .. }
            | Self::Ring { call, .. }
            | Self::Connected { call, .. }
            | Self::HungUp { call, .. }
            | Self::Message { call, .. }
            | Self::Busy { reference: Some((_, call)), .. } => *call = id,
            _ => {}
        }
        self
    }
}

impl From<&Notice<'_>> for Heard {
    fn from(notice: &Notice<'_>) -> Self {
        match notice {
            Notice::Registered { address, .. } => Self::Registered { address: address.to_string() },
            Notice::RegisterRefused(cause) => Self::RegisterRefused(*cause),
            Notice::HeartbeatHeard { wall_ms } => Self::Heartbeat { wall_ms: *wall_ms },
            Notice::Dialling { reference, call, to } => {
                Self::Dialling { reference: reference.to_string(), call: *call, to: to.as_str().to_owned() }
            }
            Notice::Ring { from, call, metadata, listener } => Self::Ring {
                from: from.to_string(),
                call: *call,
                metadata: metadata.bytes().map(text),
                listens: listener.is_some(),
            },
            Notice::Connected { call, to, reference } => Self::Connected {
                call: *call,
                to: to.to_string(),
                reference: reference.as_deref().map(str::to_owned),
            },
            Notice::Busy { to, reason, reference } => Self::Busy {
                to: to.as_str().to_owned(),
                cause: reason.cause().expect("no other exchange speaks here"),
                reference: reference.as_ref().map(|(reference, call)| (reference.to_string(), *call)),
            },
            Notice::HungUp { call, reason, from } => Self::HungUp {
                call: *call,
                reason: reason.as_str().to_owned(),
                from: from.as_ref().map(ToString::to_string),
            },
            Notice::Message { call, from, data, content_type } => {
                Self::Message { call: *call, from: from.to_string(), data: words(data, Some(*content_type)) }
            }
            Notice::Presence { entries, truncated } => {
                let entry = |entry: &crate::exchange::effect::PresenceEntry| {
                    let metadata = entry.metadata.as_ref().map(|bytes| text(bytes));
                    (entry.address.to_string(), status_name(entry.status), metadata)
                };
                let mut entries: Vec<_> = entries.iter().map(entry).collect();
                entries.sort();
                Self::Presence { entries, truncated: *truncated }
            }
            Notice::AuthExpiring { expires_ms } => Self::AuthExpiring { expires_ms: *expires_ms },
            Notice::SleepPending { seconds } => Self::SleepPending { seconds: *seconds },
            Notice::Refused { verb, cause } => Self::Refused { verb: verb_name(*verb), cause: *cause },
            Notice::Joined { party, participants } => Self::Joined {
                party: party.to_string(),
                participants: participants.iter().map(ToString::to_string).collect(),
            },
            Notice::RingBack { .. } | Notice::Tie(_) => panic!("no other exchange speaks here"),
            Notice::PartyMessage { party, from, data, content_type } => Self::PartyMessage {
                party: party.to_string(),
                from: from.to_string(),
                data: words(data, *content_type),
            },
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The data of a message. Its content type is always text in the simulation; any other would show here.
fn words(data: &Payload<'_>, content_type: Option<ContentType>) -> String {
    let data = data.bytes().map_or_else(|| "absent".to_owned(), text);
    match content_type {
        Some(ContentType::Text) => data,
        Some(ContentType::Json) => format!("json {data}"),
        Some(ContentType::Binary) => format!("binary {data}"),
        None => format!("untyped {data}"),
    }
}

/// The word for a status.
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Available => "available",
        Status::Busy => "busy",
        Status::Dnd => "dnd",
        Status::Away => "away",
    }
}

/// The word for a verb.
pub fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Register => "REGISTER",
        Verb::Unregister => "UNREGISTER",
        Verb::Status => "STATUS",
        Verb::Heartbeat => "HEARTBEAT",
        Verb::Dial => "DIAL",
        Verb::Answer => "ANSWER",
        Verb::HangUp => "HANGUP",
        Verb::Message => "MSG",
        Verb::Whisper => "(whisper)",
        Verb::Presence => "PRESENCE",
        Verb::SleepAck => "SLEEP_ACK",
        Verb::Join => "JOIN",
        Verb::PartyMessage => "PARTY_MSG",
        Verb::Leave => "LEAVE",
        Verb::RegisterPbx | Verb::DialForward | Verb::JoinForward | Verb::Tie => "(tie line)",
    }
}

/// Where a client's connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Known to a shard.
    At(LineId),
    /// On its way to another shard.
    Moving,
    /// Gone.
    Gone,
}

/// How far a call is, as a client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It has dialled and been told the call's name.
    Dialling,
    /// It is rung.
    Ringing,
    /// It may speak.
    Up,
    /// It has hung up or been hung up on.
    Over,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Where its connection is.
    pub place: Place,
    /// Whether it is a service of the exchange.
    pub internal: bool,
    /// What it has asked and no shard has been given yet.
    pub pending: VecDeque<Want>,
    /// Whether its shard does not want to hear from it now.
    pub paused: bool,
    /// Whether its output is congested.
    pub congested: bool,
    /// How its connection was lost while it moved.
    pub loss: Option<Loss>,
    /// Everything it has heard.
    pub transcript: Vec<Heard>,
    /// The calls it has heard of, in that order.
    pub calls: Vec<CallId>,
    /// How far each of them is.
    pub stages: Vec<Stage>,
    /// The address it was last told it holds.
    pub address: Option<String>,
    /// The parties it was told it is in, including those that it has left.
    pub parties: Vec<String>,
    /// The listeners that rings have named to it, in that order, each with the session.
    pub listeners: Vec<(CallId, LineId)>,
}

impl Client {
    /// A client that has just connected.
    pub fn new(line: LineId, internal: bool) -> Self {
        Self {
            place: Place::At(line),
            internal,
            pending: VecDeque::new(),
            paused: false,
            congested: false,
            loss: None,
            transcript: Vec::new(),
            calls: Vec::new(),
            stages: Vec::new(),
            address: None,
            parties: Vec::new(),
            listeners: Vec::new(),
        }
    }

    /// Whether it has a connection that has not been lost.
    pub fn is_alive(&self) -> bool {
        self.place != Place::Gone && self.loss.is_none()
    }

    /// How far a call is, as this client sees it.
    pub fn stage(&self, call: CallId) -> Option<Stage> {
        let at = self.calls.iter().position(|&known| known == call)?;
        Some(self.stages[at])
    }

    /// Notes what it has heard.
    pub fn hear(&mut self, heard: Heard) {
        match &heard {
            Heard::Registered { address } => self.address = Some(address.clone()),
            Heard::Closed(_) => self.address = None,
            Heard::Joined { party, .. } if !self.parties.contains(party) => self.parties.push(party.clone()),
            Heard::Dialling { call, .. } => self.set_stage(*call, Stage::Dialling),
            Heard::Ring { call, listens: false, .. } => self.set_stage(*call, Stage::Ringing),
            Heard::Ring { call, .. } | Heard::Connected { call, .. } => self.set_stage(*call, Stage::Up),
            Heard::HungUp { call, from: None, .. } => self.set_stage(*call, Stage::Over),
            Heard::Busy { reference: Some((_, call)), .. } => self.set_stage(*call, Stage::Over),
            _ => {}
        }
        self.transcript.push(heard);
    }

    /// Notes that it has answered.
    pub fn note_answer(&mut self, call: CallId) {
        if self.stage(call) == Some(Stage::Ringing) {
            self.set_stage(call, Stage::Up);
        }
    }

    /// Notes that it has hung up.
    pub fn note_hang_up(&mut self, call: CallId) {
        if self.stage(call).is_some() {
            self.set_stage(call, Stage::Over);
        }
    }

    fn set_stage(&mut self, call: CallId, stage: Stage) {
        match self.calls.iter().position(|&known| known == call) {
            Some(at) => self.stages[at] = stage,
            None => {
                self.calls.push(call);
                self.stages.push(stage);
            }
        }
    }
}
