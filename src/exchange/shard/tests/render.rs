//! Notices as short lines of text, so that a test reads like a transcript.
//!
//! Calls are named `#1`, `#2`, ... in the order in which anybody first heard of them.

use bytes::Bytes;

use crate::exchange::effect::{Notice, Payload};
use crate::exchange::event::ContentType;
use crate::exchange::ids::CallId;
use crate::exchange::tie::{ForwardedDial, TieNotice, TieRefusal, Vouch};
use crate::exchange::tie_party::{PartyTalk, PartyWord};

/// Numbers calls.
#[derive(Default)]
pub(super) struct CallNames(Vec<CallId>);

impl CallNames {
    /// The call that was heard of as the `number`-th.
    pub(super) fn call(&self, number: usize) -> CallId {
        self.0[number - 1]
    }

    /// How many calls there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn name(&mut self, call: CallId) -> String {
        let at = self.0.iter().position(|&known| known == call).unwrap_or_else(|| {
            self.0.push(call);
            self.0.len() - 1
        });
        format!("#{}", at + 1)
    }

    pub(super) fn render(&mut self, notice: &Notice<'_>) -> String {
        match notice {
            Notice::Registered { address, .. } => format!("REGISTERED {address}"),
            Notice::RegisterRefused(cause) => format!("REGISTER_FAILED {cause}"),
            Notice::HeartbeatHeard { wall_ms } => format!("HEARTBEAT_ACK {wall_ms}"),
            Notice::Dialling { reference, call, to } => {
                format!("DIALING {reference} {} to {}", self.name(*call), to.as_str())
            }
            Notice::Ring { from, call, metadata, .. } => {
                format!("RING {} from {from}{}", self.name(*call), data(metadata))
            }
            Notice::Connected { call, to, reference } => {
                let reference = reference.as_ref().map_or(String::new(), |text| format!(" ref {text}"));
                format!("CONNECTED {} to {to}{reference}", self.name(*call))
            }
            Notice::Busy { to, reason, reference } => {
                let reference = reference
                    .as_ref()
                    .map_or(String::new(), |(text, call)| format!(" {} ref {text}", self.name(*call)));
                format!("BUSY {} {}{reference}", to.as_str(), reason.as_str())
            }
            Notice::HungUp { call, reason, from } => {
                let from = from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
                format!("HANGUP {} {}{from}", self.name(*call), reason.as_str())
            }
            Notice::Message { call, from, data: payload, content_type } => {
                format!("MSG {} from {from}{}{}", self.name(*call), kind(*content_type), data(payload))
            }
            Notice::Presence { entries, truncated } => {
                let entries = entries.iter().map(|entry| {
                    let metadata = entry
                        .metadata
                        .as_deref()
                        .map_or(String::new(), |metadata| format!(" {}", String::from_utf8_lossy(metadata)));
                    format!("{} {:?}{metadata}", entry.address, entry.status)
                });
                let mut entries: Vec<String> = entries.collect();
                entries.sort();
                format!("PRESENCE [{}]{}", entries.join(", "), if *truncated { " truncated" } else { "" })
            }
            Notice::AuthExpiring { expires_ms } => format!("AUTH_EXPIRING {expires_ms}"),
            Notice::SleepPending { seconds } => format!("SLEEP_PENDING {seconds}"),
            Notice::Refused { verb, cause } => format!("ERROR {verb:?} {cause}"),
            Notice::Joined { party, participants } => {
                let names: Vec<_> = participants.iter().map(|address| address.as_str()).collect();
                format!("JOINED {party} [{}]", names.join(", "))
            }
            Notice::RingBack { call, to, metadata } => {
                format!("RING {} to {to}{}", self.name(*call), bytes(metadata.as_ref()))
            }
            Notice::Tie(notice) => self.render_tie(notice),
            Notice::PartyMessage { party, from, data: payload, content_type } => {
                let kind = content_type.map_or("", kind);
                format!("PARTY_MSG {party} from {from}{kind}{}", data(payload))
            }
        }
    }
}

impl CallNames {
    fn render_tie(&mut self, notice: &TieNotice<'_>) -> String {
        match notice {
            TieNotice::Introduction(peer) => format!("REGISTER_PBX {}", peer.domain),
            TieNotice::Heartbeat => "HEARTBEAT".into(),
            TieNotice::Registered { domain } => format!("REGISTERED_PBX {domain}"),
            TieNotice::Refused(refusal) => match &**refusal {
                TieRefusal::RouteConflict { route, claimed_by } => {
                    format!("REGISTER_PBX_FAILED {route} of {claimed_by}")
                }
                other => format!("REGISTER_PBX_FAILED {other:?}"),
            },
            TieNotice::DialForward(dial) => {
                let ForwardedDial { call, from, to, metadata, vouch, .. } = &**dial;
                let vouch = if *vouch == Vouch::Theirs { " handed on".into() } else { format!(" {vouch:?}") };
                format!(
                    "DIAL_FORWARD {} from {from} to {to}{}{vouch}",
                    self.name(*call),
                    bytes(metadata.as_ref())
                )
            }
            TieNotice::Ring { call, from, metadata } => {
                format!("RING {} from {from}{}", self.name(*call), bytes(metadata.as_ref()))
            }
            TieNotice::PresenceQuery(asked) => {
                format!(
                    "PRESENCE_QUERY {:?} for {} q-{} hop {}",
                    asked.query.domain, asked.reply_to, asked.number, asked.hops
                )
            }
            TieNotice::PresenceResult(answer) => {
                let mut names: Vec<_> = answer.entries.iter().map(|entry| entry.address.as_str()).collect();
                names.sort_unstable();
                let cut = if answer.truncated { " truncated" } else { "" };
                format!(
                    "PRESENCE_RESULT [{}]{cut} to {:?} {:?}",
                    names.join(", "),
                    answer.reply.to,
                    answer.reply.id
                )
            }
            TieNotice::Party(talk) => render_talk(talk),
            TieNotice::Answered { call, from } => format!("ANSWER {} from {from}", self.name(*call)),
            TieNotice::Busy { call, to, reason } => {
                format!("BUSY {} {to} {}", self.name(*call), reason.as_str())
            }
        }
    }
}

fn render_talk(talk: &PartyTalk) -> String {
    let PartyTalk { party, word } = talk;
    match word {
        PartyWord::Join { from, create_if_missing, hops: _ } => {
            format!("JOIN_FORWARD {party} from {from}{}", if *create_if_missing { "" } else { " if there" })
        }
        PartyWord::Joined { to, participants } => {
            let names: Vec<_> = participants.iter().map(|address| address.as_str()).collect();
            let to = to.as_ref().map_or("nobody", |to| to.as_str());
            format!("JOINED {party} [{}] to {to}", names.join(", "))
        }
        PartyWord::Failed { to, cause } => {
            format!("JOIN_FAILED {party} to {} {cause}", to.as_ref().map_or("nobody", |to| to.as_str()))
        }
        PartyWord::Says { from, data, content_type } => {
            let kind = content_type.map_or("", kind);
            format!("PARTY_MSG {party} from {from}{kind}{}", bytes(data.as_ref()))
        }
        PartyWord::Leave { from } => format!("LEAVE {party} from {from}"),
    }
}

fn bytes(bytes: Option<&Bytes>) -> String {
    bytes.map_or(String::new(), |bytes| format!(" {}", String::from_utf8_lossy(bytes)))
}

fn data(payload: &Payload<'_>) -> String {
    payload.bytes().map_or(String::new(), |bytes| format!(" {}", String::from_utf8_lossy(bytes)))
}

/// Text is what messages usually are; only the others are named.
fn kind(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Text => "",
        ContentType::Json => " (json)",
        ContentType::Binary => " (binary)",
    }
}
