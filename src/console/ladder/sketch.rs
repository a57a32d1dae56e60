//! What a ladder shows of a frame: its name on the wire, its call, whom it names, a word or two, and how much it carries.
//!
//! Made of what the core was asked or has answered, not of bytes: so it is the same whatever the dialect. Nothing is copied here.

use std::borrow::Cow;

use crate::exchange::effect::Notice;
use crate::exchange::event::Request;
use crate::exchange::ids::CallId;
use crate::exchange::tie::{TieNotice, TieRequest};
use crate::exchange::tie_party::{PartyTalk, PartyWord};

/// The frame by which a line asks for its name.
pub(super) const REGISTER: &str = "REGISTER";

/// What a ladder shows of a frame.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sketch<'f> {
    /// Its type, as on the wire.
    pub frame: &'static str,
    /// The call it is about.
    pub call: Option<CallId>,
    /// The address, party or exchange it names besides its sender.
    pub peer: Option<&'f str>,
    /// A reason, a status, a cause.
    pub words: Option<Cow<'f, str>>,
    /// What a party says to another, as far as there is any.
    pub payload: Option<&'f [u8]>,
    /// Whether it is no frame: that a connection ends, or something is not understood.
    pub is_remark: bool,
}

impl<'f> Sketch<'f> {
    fn new(frame: &'static str) -> Self {
        Self { frame, ..Self::default() }
    }

    fn of(frame: &'static str, call: CallId) -> Self {
        Self { frame, call: Some(call), ..Self::default() }
    }

    fn to(mut self, peer: &'f str) -> Self {
        self.peer = Some(peer);
        self
    }

    fn saying(mut self, words: impl Into<Cow<'f, str>>) -> Self {
        self.words = Some(words.into());
        self
    }

    fn bearing(mut self, payload: Option<&'f [u8]>) -> Self {
        self.payload = payload;
        self
    }

    /// Of what is no frame of the core's: that a connection ends, or something is not understood.
    pub fn remark(frame: &'static str, words: &'f str) -> Self {
        Self { is_remark: true, ..Self::new(frame).saying(words) }
    }

    /// Whether the call that it is about is over for whom it is said to, or who says it.
    pub(super) fn ends_call(&self) -> bool {
        matches!(self.frame, "HANGUP" | "BUSY")
    }

    /// Of what a line asks.
    pub fn of_request(request: &'f Request<'_>) -> Self {
        match request {
            Request::Register(registration) => Self::new(REGISTER).to(registration.address.as_str()),
            Request::Unregister => Self::new("UNREGISTER"),
            Request::Status { status, .. } => Self::new("STATUS").saying(status.name()),
            Request::Heartbeat => Self::new("HEARTBEAT"),
            Request::Dial { to, metadata, .. } => Self::new("DIAL").to(to).bearing(*metadata),
            Request::Answer { call } => Self::of("ANSWER", *call),
            Request::HangUp { call, reason } => {
                Self { words: reason.as_deref().map(Cow::Borrowed), ..Self::of("HANGUP", *call) }
            }
            Request::Message { call, data, .. } => Self::of("MSG", *call).bearing(*data),
            Request::Whisper { call, data, .. } => Self::of("MSG", *call).bearing(Some(data)),
            Request::Presence(_) => Self::new("PRESENCE"),
            Request::SleepAck => Self::new("SLEEP_ACK"),
            Request::Join { party, .. } => Self::new("JOIN").to(party.as_str()),
            Request::PartyMessage { party, data, .. } => Self::new("PARTY_MSG").to(party).bearing(*data),
            Request::Leave { party } => Self::new("LEAVE").to(party),
            Request::Tie(request) => Self::of_tie_request(request),
        }
    }

    fn of_tie_request(request: &'f TieRequest<'_>) -> Self {
        match request {
            TieRequest::Register(registration) => Self::new("REGISTER_PBX").to(&registration.domain),
            TieRequest::DialForward(dial) => {
                Self::of("DIAL_FORWARD", dial.call).to(&dial.to).bearing(dial.metadata)
            }
            TieRequest::Ring { call, metadata } => Self::of("RING", *call).bearing(*metadata),
            TieRequest::Busy { call, reason } => {
                Self { words: reason.as_deref().map(Cow::Borrowed), ..Self::of("BUSY", *call) }
            }
            TieRequest::Message { call, from, data, .. } => {
                Self { peer: from.as_deref(), ..Self::of("MSG", *call).bearing(*data) }
            }
            TieRequest::PresenceQuery(_) => Self::new("PRESENCE_QUERY"),
            TieRequest::PresenceResult(_) => Self::new("PRESENCE_RESULT"),
            TieRequest::Party(talk) => Self::of_talk(talk),
            TieRequest::Welcomed => Self::new("REGISTERED_PBX"),
            TieRequest::TurnedDown { reason } => Self::new("REGISTER_PBX_FAILED").saying(&**reason),
            TieRequest::HeartbeatHeard => Self::new("HEARTBEAT_ACK"),
            TieRequest::Complaint => Self::new("ERROR"),
        }
    }

    fn of_talk(talk: &'f PartyTalk) -> Self {
        let party = talk.party.as_str();
        match &talk.word {
            PartyWord::Join { from, .. } => Self::new("JOIN_FORWARD").to(party).saying(from.as_str()),
            PartyWord::Joined { .. } => Self::new("JOINED").to(party),
            PartyWord::Failed { cause, .. } => Self::new("JOIN_FAILED").to(party).saying(cause.name()),
            PartyWord::Says { from, data, .. } => {
                Self::new("PARTY_MSG").to(party).saying(from.as_str()).bearing(data.as_deref())
            }
            PartyWord::Leave { from } => Self::new("LEAVE").to(party).saying(from.as_str()),
        }
    }

    /// Of what a line is told.
    pub fn of_notice(notice: &'f Notice<'_>) -> Self {
        match notice {
            Notice::Registered { address, .. } => Self::new("REGISTERED").to(address.as_str()),
            Notice::RegisterRefused(cause) => Self::new("REGISTER_FAILED").saying(cause.name()),
            Notice::HeartbeatHeard { .. } => Self::new("HEARTBEAT_ACK"),
            Notice::Dialling { call, to, .. } => Self::of("DIALING", *call).to(to.as_str()),
            Notice::Ring { from, call, metadata, .. } => {
                Self::of("RING", *call).to(from.as_str()).bearing(metadata.bytes())
            }
            Notice::Connected { call, to, .. } => Self::of("CONNECTED", *call).to(to.as_str()),
            Notice::Busy { to, reason, reference } => {
                let call = reference.as_ref().map(|(_, call)| *call);
                Self { call, ..Self::new("BUSY").to(to.as_str()).saying(reason.as_str()) }
            }
            Notice::HungUp { call, reason, from } => {
                let peer = from.as_ref().map(|from| from.as_str());
                Self { peer, ..Self::of("HANGUP", *call).saying(reason.as_str()) }
            }
            Notice::Message { call, from, data, .. } => {
                Self::of("MSG", *call).to(from.as_str()).bearing(data.bytes())
            }
            Notice::Presence { entries, .. } => {
                Self::new("PRESENCE_RESULT").saying(format!("{} entries", entries.len()))
            }
            Notice::AuthExpiring { .. } => Self::new("AUTH_EXPIRING"),
            Notice::SleepPending { .. } => Self::new("SLEEP_PENDING"),
            Notice::Refused { cause, .. } => Self::new("ERROR").saying(cause.name()),
            Notice::Joined { party, participants } => {
                Self::new("JOINED").to(party.as_str()).saying(format!("{} in it", participants.len()))
            }
            Notice::RingBack { call, to, metadata } => {
                Self::of("RING", *call).to(to.as_str()).bearing(metadata.as_deref())
            }
            Notice::PartyMessage { party, from, data, .. } => {
                Self::new("PARTY_MSG").to(party.as_str()).saying(from.as_str()).bearing(data.bytes())
            }
            Notice::Tie(notice) => Self::of_tie_notice(notice),
        }
    }

    fn of_tie_notice(notice: &'f TieNotice<'_>) -> Self {
        match notice {
            TieNotice::Introduction(peer) => Self::new("REGISTER_PBX").to(&peer.domain),
            TieNotice::Heartbeat => Self::new("HEARTBEAT"),
            TieNotice::Registered { domain } => Self::new("REGISTERED_PBX").to(domain),
            TieNotice::Refused(_) => Self::new("REGISTER_PBX_FAILED"),
            TieNotice::DialForward(dial) => {
                let metadata = dial.metadata.as_deref();
                Self::of("DIAL_FORWARD", dial.call).to(dial.to.as_str()).bearing(metadata)
            }
            TieNotice::Ring { call, from, metadata } => {
                Self::of("RING", *call).to(from.as_str()).bearing(metadata.as_deref())
            }
            TieNotice::Answered { call, from } => Self::of("ANSWER", *call).to(from.as_str()),
            TieNotice::PresenceQuery(_) => Self::new("PRESENCE_QUERY"),
            TieNotice::PresenceResult(_) => Self::new("PRESENCE_RESULT"),
            TieNotice::Party(talk) => Self::of_talk(talk),
            TieNotice::Busy { call, to, reason } => Self::of("BUSY", *call).to(to).saying(reason.as_str()),
        }
    }
}
