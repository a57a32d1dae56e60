//! JOIN, PARTY_MSG and LEAVE as clients write them (spec section 17).
//!
//! A party's name has the form of an address, in all three; whether there is such a party, the core knows.

use crate::exchange::address::{Address, is_address};
use crate::exchange::event::Request;

use super::WireError;
use super::calls::read_content_type;
use super::frame::{Frame, key};
use super::refusal::Fault;

/// JOIN. Anything but `false` lets the party be made.
pub(super) fn read_join<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let Some(party) = frame.get(key::PARTY).and_then(|party| Address::parse(&party.as_str()?)) else {
        return Err(frame.refuse(Fault::PartyInvalid));
    };
    let create = frame.get(key::CREATE_IF_MISSING).and_then(|create| create.as_bool());
    Ok(Request::Join { party, create_if_missing: create != Some(false) })
}

/// PARTY_MSG. Its content type is optional, and stays absent if it is.
pub(super) fn read_party_message<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let party = read_name(frame)?;
    let content_type = read_content_type(frame)?;
    Ok(Request::PartyMessage { party, data: frame.raw(key::DATA), content_type })
}

/// LEAVE.
pub(super) fn read_leave<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    Ok(Request::Leave { party: read_name(frame)? })
}

fn read_name<'f>(frame: Frame<'_, 'f>) -> Result<std::borrow::Cow<'f, str>, WireError> {
    let name = frame.get(key::PARTY).and_then(|party| party.as_str()).filter(|party| is_address(party));
    name.ok_or_else(|| frame.refuse(Fault::PartyInvalid))
}
