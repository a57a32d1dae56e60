//! REGISTER as clients write it (spec section 4): its checks in the order of that section, and what is lifted from
//! its metadata so that PRESENCE can search for it.
//!
//! Whether the address is free, and whether this client may have it, is not decided here. Invariant: what a
//! registration keeps is bounded, whatever the frame holds.

use bytes::Bytes;
use compact_str::CompactString;

use crate::dialect::json::{Key, Value, display_js, is_truthy};
use crate::exchange::address::Address;
use crate::exchange::event::{Concurrency, Location, Profile, Registration, Request};
use crate::identity::{Credentials, Token};

use super::frame::{Frame, key, members, positive_whole};
use super::refusal::{Bounded, Count, Fault};
use super::wake_handler::read_wake;
use super::{Bounds, WireError};

/// Most capabilities of a line that can be searched for; further ones are relayed, but not found. Each is an entry
/// in an index, and no agent is good at more.
pub(super) const CAPABILITIES_MAX: usize = 256;

/// REGISTER.
pub(super) fn read_register<'f>(frame: Frame<'_, 'f>, bounds: Bounds) -> Result<Request<'f>, WireError> {
    let Some(address) = frame.get(key::ADDRESS).and_then(|address| address.as_str()) else {
        return Err(frame.refuse(Fault::AddressNotText));
    };
    let Some(address) = Address::parse(&address) else { return Err(WireError::InvalidAddress) };
    let mode = read_mode(frame)?;
    let max_listeners = read_count(frame, key::MAX_LISTENERS, Count::MaxListeners)?;
    let max_sessions = read_count(frame, key::MAX_SESSIONS, Count::MaxSessions)?;
    let pool_size = read_count(frame, key::POOL_SIZE, Count::PoolSize)?;
    if max_listeners.is_some() && mode != Mode::Broadcast {
        return Err(frame.refuse(Fault::ListenersWithoutBroadcast));
    }
    if max_sessions.is_some() && mode != Mode::Parallel {
        return Err(frame.refuse(Fault::SessionsWithoutParallel));
    }
    let wake = read_wake(frame, bounds)?;
    let profile = read_profile(frame, bounds)?;
    let concurrency = match mode {
        Mode::Single => Concurrency::Single,
        Mode::Broadcast => Concurrency::Broadcast { max_listeners },
        Mode::Parallel => Concurrency::Parallel { max_sessions },
    };
    // Text that can be no token opens nothing, as none at all; without rules nobody looks at it.
    let token = frame.get(key::AUTH).and_then(|auth| Token::new(&auth.as_str()?));
    let credentials = Credentials { token, ..Credentials::default() };
    let registration = Registration { address, profile, concurrency, pool_size, wake, credentials };
    Ok(Request::Register(Box::new(registration)))
}

/// The word of `concurrency`, before the numbers that belong to it are known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Single,
    Broadcast,
    Parallel,
}

fn read_mode(frame: Frame<'_, '_>) -> Result<Mode, WireError> {
    let value = frame.get(key::CONCURRENCY);
    let Some(value) = value.filter(|value| is_truthy(Some(*value))) else { return Ok(Mode::Single) };
    match value.as_str().as_deref() {
        Some("single") => Ok(Mode::Single),
        Some("broadcast") => Ok(Mode::Broadcast),
        Some("parallel") => Ok(Mode::Parallel),
        _ => Err(frame.refuse(Fault::UnsupportedConcurrency(display_js(Some(value))))),
    }
}

/// A count of at least 1 if it is given; a fraction that rounds down to 0 is an error as well.
pub(super) fn read_count(frame: Frame<'_, '_>, key: Key, count: Count) -> Result<Option<u32>, WireError> {
    let Some(value) = frame.set(key) else { return Ok(None) };
    match positive_whole(value) {
        Some(whole) => Ok(Some(whole)),
        None => Err(frame.refuse(Fault::NotPositive(count))),
    }
}

/// The metadata and what can be searched for in it. `null` is metadata too, and relayed as such.
fn read_profile(frame: Frame<'_, '_>, bounds: Bounds) -> Result<Profile, WireError> {
    let Some(metadata) = frame.get(key::METADATA) else { return Ok(Profile::default()) };
    let bytes_max = bounds.metadata_bytes_max;
    if metadata.raw().len() > bytes_max {
        return Err(frame.refuse(Fault::TooLarge { field: Bounded::Metadata, bytes_max }));
    }
    let [capabilities, location] = members(metadata, ["capabilities", "location"]);
    Ok(Profile {
        metadata: Some(Bytes::copy_from_slice(metadata.raw())),
        capabilities: capabilities.map(lift_capabilities).unwrap_or_default(),
        location: location.and_then(lift_location),
    })
}

/// The strings of a list; whatever else is in it is nobody's capability.
fn lift_capabilities(value: Value<'_>) -> Box<[CompactString]> {
    let strings = value.elements().into_iter().flatten().filter_map(|element| element.as_str());
    strings.take(CAPABILITIES_MAX).map(CompactString::from).collect()
}

/// A place, if both of its numbers are there.
pub(super) fn lift_location(value: Value<'_>) -> Option<Location> {
    let [lat, lon] = members(value, ["lat", "lon"]);
    Some(Location { lat: lat?.as_f64()?, lon: lon?.as_f64()? })
}
