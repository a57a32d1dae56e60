//! What exchanges say to each other about party lines (spec section 19.7), read and written: JOIN_FORWARD, JOINED,
//! JOIN_FAILED (ours), and PARTY_MSG and LEAVE with `from`.
//!
//! On a tie line PARTY_MSG and LEAVE without `from` are its own, as those of any line. Invariant: only addresses are taken as
//! names, and no more participants than a party may have by default.

use bytes::Bytes;

use crate::exchange::address::Address;
use crate::exchange::cause::Cause;
use crate::exchange::event::Request;
use crate::exchange::tie::TieRequest;
use crate::exchange::tie_party::{PartyTalk, PartyWord};

use super::WireError;
use super::calls::read_content_type;
use super::encode::{push_bytes, push_joined, push_optional, push_text, push_word, word_of};
use super::frame::{Frame, key};
use super::parties::{read_leave, read_party_message};
use super::refusal::Fault;
use super::ties::read_hops;

/// Most participants taken of a JOINED: as many as a party may have by default.
const PARTICIPANTS_MAX: usize = 10_000;

/// Why a host does not let somebody in; other words than these are taken for the first.
const REFUSALS: [Cause; 9] = [
    Cause::NoSuchParty,
    Cause::PartyFull,
    Cause::PartyLost,
    Cause::TooManyParties,
    Cause::LoopDetected,
    Cause::AddressInUse,
    Cause::Forbidden,
    Cause::Timeout,
    Cause::Unavailable,
];

/// JOIN_FORWARD; `hops` is ours, and left out of a wish that has come through no other exchange.
pub(super) fn read_join_forward<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let party = read_party(frame)?;
    let from = read_from(frame)?;
    let create = frame.get(key::CREATE_IF_MISSING).and_then(|create| create.as_bool());
    let hops = read_hops(frame).unwrap_or(1).max(1);
    Ok(talk(party, PartyWord::Join { from, create_if_missing: create != Some(false), hops }))
}

/// JOINED. Names that are none are left out.
pub(super) fn read_joined<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let party = read_party(frame)?;
    let names = frame.get(key::PARTICIPANTS).and_then(|names| names.elements());
    let names = names.into_iter().flatten().take(PARTICIPANTS_MAX);
    let participants: Vec<Address> = names.filter_map(|name| Address::parse(&name.as_str()?)).collect();
    Ok(talk(party, PartyWord::Joined { to: read_to(frame)?, participants: participants.into() }))
}

/// JOIN_FAILED.
pub(super) fn read_join_failed<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let party = read_party(frame)?;
    let reason = frame.get(key::REASON).and_then(|reason| reason.as_str()).unwrap_or_default();
    let cause = REFUSALS.into_iter().find(|cause| cause.name() == reason).unwrap_or(Cause::NoSuchParty);
    Ok(talk(party, PartyWord::Failed { to: read_to(frame)?, cause }))
}

/// PARTY_MSG of a tie line.
pub(super) fn read_tie_party_message<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    if frame.set(key::FROM).is_none() {
        return read_party_message(frame);
    }
    let (party, from) = (read_party(frame)?, read_from(frame)?);
    let content_type = read_content_type(frame)?;
    let data = frame.raw(key::DATA).map(Bytes::copy_from_slice);
    Ok(talk(party, PartyWord::Says { from, data, content_type }))
}

/// LEAVE of a tie line.
pub(super) fn read_tie_leave<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    if frame.set(key::FROM).is_none() {
        return read_leave(frame);
    }
    Ok(talk(read_party(frame)?, PartyWord::Leave { from: read_from(frame)? }))
}

fn talk<'f>(party: Address, word: PartyWord) -> Request<'f> {
    Request::Tie(TieRequest::Party(Box::new(PartyTalk { party, word })))
}

fn read_party(frame: Frame<'_, '_>) -> Result<Address, WireError> {
    let party = frame.get(key::PARTY).and_then(|party| Address::parse(&party.as_str()?));
    party.ok_or_else(|| frame.refuse(Fault::PartyInvalid))
}

fn read_from(frame: Frame<'_, '_>) -> Result<Address, WireError> {
    let from = frame.get(key::FROM).and_then(|from| Address::parse(&from.as_str()?));
    from.ok_or_else(|| frame.refuse(Fault::FromInvalid))
}

/// For whom an answer is. One for a name that is none is for nobody, and not for whoever waits.
fn read_to(frame: Frame<'_, '_>) -> Result<Option<Address>, WireError> {
    let Some(to) = frame.set(key::TO) else { return Ok(None) };
    let to = to.as_str().and_then(|to| Address::parse(&to));
    to.map(Some).ok_or_else(|| frame.refuse(Fault::AddresseeInvalid))
}

/// Appends all of a frame but the closing brace.
pub(super) fn push_party_talk(out: &mut Vec<u8>, talk: &PartyTalk) {
    let party = talk.party.as_str();
    match &talk.word {
        PartyWord::Join { from, create_if_missing, hops } => {
            push_text(out, r#"{"type":"JOIN_FORWARD","from":"#, from.as_str());
            push_text(out, r#","party":"#, party);
            let create: &[u8] = if *create_if_missing { b"true" } else { b"false" };
            push_bytes(out, r#","create_if_missing":"#, Some(create));
            if *hops > 1 {
                push_bytes(out, r#","hops":"#, Some(hops.to_string().as_bytes()));
            }
        }
        PartyWord::Joined { to, participants } => {
            push_joined(out, &talk.party, participants);
            push_optional(out, r#","to":"#, to.as_ref().map(Address::as_str));
        }
        PartyWord::Failed { to, cause } => {
            push_text(out, r#"{"type":"JOIN_FAILED","party":"#, party);
            push_optional(out, r#","to":"#, to.as_ref().map(Address::as_str));
            push_word(out, r#","reason":"#, cause.name());
        }
        PartyWord::Says { from, data, content_type } => {
            push_text(out, r#"{"type":"PARTY_MSG","party":"#, party);
            push_text(out, r#","from":"#, from.as_str());
            push_bytes(out, r#","data":"#, data.as_deref());
            push_optional(out, r#","content_type":"#, content_type.map(word_of));
        }
        PartyWord::Leave { from } => {
            push_text(out, r#"{"type":"LEAVE","party":"#, party);
            push_text(out, r#","from":"#, from.as_str());
        }
    }
}

/// How long the part of a frame is that may be long.
pub(super) fn party_talk_len(talk: &PartyTalk) -> usize {
    match &talk.word {
        PartyWord::Joined { participants, .. } => {
            participants.iter().map(|name| name.as_str().len() + 3).sum()
        }
        PartyWord::Says { data, .. } => data.as_ref().map_or(0, Bytes::len),
        PartyWord::Join { .. } | PartyWord::Failed { .. } | PartyWord::Leave { .. } => 0,
    }
}
