//! DIAL, ANSWER, HANGUP and MSG as clients write them (spec sections 9 to 12).
//!
//! A call id is looked at only as far as to say whether it could be one of ours; whether there is such a call, and
//! whose it is, the core knows. `data` and `metadata` are handed on as the exact bytes of the frame.

use std::borrow::Cow;

use crate::dialect::json::{Value, display_js};
use crate::exchange::event::{ContentType, Request};
use crate::exchange::ids::CallId;
use crate::exchange::limits::REFERENCE_BYTES_MAX;
use crate::exchange::trace::TraceParent;

use super::frame::{Frame, key};
use super::refusal::{Bounded, Fault};
use super::{Bounds, WireError};

/// The member of DIAL's metadata that says which trace it belongs to, by the name that W3C has given it.
const TRACEPARENT: &str = "traceparent";

/// DIAL, with the caller's side extension `ref` (issue 2, part 3). An empty `ref` is one.
pub(super) fn read_dial<'f>(frame: Frame<'_, 'f>, bounds: Bounds) -> Result<Request<'f>, WireError> {
    let to = frame.get(key::TO).and_then(|to| to.as_str()).filter(|to| !to.is_empty());
    let Some(to) = to else { return Err(frame.refuse(Fault::ToMissing)) };
    let reference = read_reference(frame)?;
    let metadata = frame.raw(key::METADATA);
    if metadata.is_some_and(|raw| raw.len() > bounds.metadata_bytes_max) {
        let bytes_max = bounds.metadata_bytes_max;
        return Err(frame.refuse(Fault::TooLarge { field: Bounded::Metadata, bytes_max }));
    }
    let trace = read_trace(frame, bounds);
    Ok(Request::Dial { to, metadata, reference, trace })
}

/// The trace that a dial says it belongs to: `metadata.traceparent`, which is relayed like the rest of the metadata. One that
/// cannot be read is none: tracing is no reason to refuse a dial.
pub(super) fn read_trace(frame: Frame<'_, '_>, bounds: Bounds) -> Option<Box<TraceParent>> {
    if !bounds.traces {
        return None;
    }
    let parent = frame.get(key::METADATA)?.member(TRACEPARENT)?.as_str()?;
    TraceParent::parse(&parent).map(Box::new)
}

fn read_reference<'f>(frame: Frame<'_, 'f>) -> Result<Option<Cow<'f, str>>, WireError> {
    let Some(value) = frame.set(key::REF) else { return Ok(None) };
    match value.as_str().filter(|text| text.len() <= REFERENCE_BYTES_MAX) {
        Some(reference) => Ok(Some(reference)),
        None => Err(frame.refuse(Fault::ReferenceInvalid)),
    }
}

/// ANSWER.
pub(super) fn read_answer<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    Ok(Request::Answer { call: read_call_id(frame)? })
}

/// HANGUP. A reason that is no text is relayed as the text of its source.
pub(super) fn read_hang_up<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let call = read_call_id(frame)?;
    let words = |value: Value<'f>| value.as_str().unwrap_or(Cow::Borrowed(value.raw_str()));
    Ok(Request::HangUp { call, reason: frame.set(key::REASON).map(words) })
}

/// MSG, the hot path. The content type is checked even when there is no such call.
pub(super) fn read_message<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let call = read_call_id(frame)?;
    let content_type = read_content_type(frame)?.unwrap_or(ContentType::Text);
    Ok(Request::Message { call, data: frame.raw(key::DATA), content_type })
}

/// Only absence is absence here: `null` is an unsupported type (section 3).
pub(super) fn read_content_type(frame: Frame<'_, '_>) -> Result<Option<ContentType>, WireError> {
    let Some(value) = frame.get(key::CONTENT_TYPE) else { return Ok(None) };
    match value.as_str().as_deref() {
        Some("text") => Ok(Some(ContentType::Text)),
        Some("json") => Ok(Some(ContentType::Json)),
        Some("binary") => Ok(Some(ContentType::Binary)),
        _ => Err(frame.refuse(Fault::UnsupportedContentType(display_js(Some(value))))),
    }
}

/// A text that cannot be an id of ours may be the name that another exchange has given to a call.
pub(super) fn read_call_id(frame: Frame<'_, '_>) -> Result<CallId, WireError> {
    let text = frame.get(key::CALL_ID).and_then(|id| id.as_str()).filter(|id| !id.is_empty());
    match text {
        Some(text) => Ok(CallId::parse(text.as_bytes())),
        None => Err(frame.refuse(Fault::CallIdMissing)),
    }
}
