//! PRESENCE as clients write it (spec section 16), with `limit` (issue 2, part 3).
//!
//! A `query` that is no object asks for nothing in particular, as with the original. Invariant: what a question
//! makes each shard compare is bounded, whatever the frame holds.

use compact_str::CompactString;

use crate::dialect::json::Value;
use crate::exchange::census::lower;
use crate::exchange::event::{Near, PresenceQuery, Request};

use super::frame::{Frame, given, key, members, positive_whole};
use super::refusal::{Bounded, Count, Fault};
use super::registration::{CAPABILITIES_MAX, lift_location};
use super::{Bounds, WireError};

/// Most different capabilities in one question: nobody is found by more ([`CAPABILITIES_MAX`]), and each is compared
/// with those of every candidate.
const CAPABILITIES_ASKED_MAX: usize = CAPABILITIES_MAX;

/// PRESENCE. The `limit` may stand in the frame or in its `query`; the one in the frame counts first.
pub(super) fn read_presence<'f>(frame: Frame<'_, 'f>, bounds: Bounds) -> Result<Request<'f>, WireError> {
    Ok(Request::Presence(Box::new(read_query(frame, bounds)?)))
}

/// What a PRESENCE, or a PRESENCE_QUERY, asks for.
pub(super) fn read_query(frame: Frame<'_, '_>, bounds: Bounds) -> Result<PresenceQuery, WireError> {
    let mut query = PresenceQuery::default();
    let mut limit = frame.set(key::LIMIT);
    if let Some(value) = frame.set(key::QUERY) {
        let bytes_max = bounds.metadata_bytes_max;
        if value.raw().len() > bytes_max {
            return Err(frame.refuse(Fault::TooLarge { field: Bounded::Query, bytes_max }));
        }
        let [domain, capabilities, near, inner] = members(value, ["domain", "capabilities", "near", "limit"]);
        query = read_filters(domain, capabilities, near).map_err(|fault| frame.refuse(fault))?;
        limit = limit.or(given(inner));
    }
    query.limit = match limit.map(positive_whole) {
        None => None,
        Some(None) => return Err(frame.refuse(Fault::NotPositive(Count::Limit))),
        Some(whole) => whole,
    };
    Ok(query)
}

fn read_filters(
    domain: Option<Value<'_>>,
    capabilities: Option<Value<'_>>,
    near: Option<Value<'_>>,
) -> Result<PresenceQuery, Fault> {
    let domain = domain.map(|domain| domain.as_str().ok_or(Fault::DomainNotText)).transpose()?;
    Ok(PresenceQuery {
        asker: None,
        domain: domain.filter(|domain| !domain.is_empty()).map(|domain| lower(&domain)),
        capabilities: capabilities.map_or(Ok(Vec::new()), read_capabilities)?,
        near: given(near).map(|near| read_near(near).ok_or(Fault::InvalidNear)).transpose()?,
        limit: None,
    })
}

fn read_capabilities(value: Value<'_>) -> Result<Vec<CompactString>, Fault> {
    let Some(elements) = value.elements() else { return Err(Fault::CapabilitiesNotList) };
    let strings = elements.map(|element| element.as_str().map(CompactString::from));
    let wanted: Option<Vec<_>> = strings.collect();
    let Some(mut wanted) = wanted else { return Err(Fault::CapabilityNotText) };
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.len() > CAPABILITIES_ASKED_MAX {
        return Err(Fault::TooManyCapabilities { most: CAPABILITIES_ASKED_MAX });
    }
    Ok(wanted)
}

fn read_near(value: Value<'_>) -> Option<Near> {
    let [radius] = members(value, ["radius_km"]);
    let radius_km = radius?.as_f64().filter(|&radius| radius >= 0.0)?;
    Some(Near { middle: lift_location(value)?, radius_km })
}
