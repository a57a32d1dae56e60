//! `mode` and `wake_handler` of REGISTER (spec sections 3 and 15): how an agent wants to be woken.
//!
//! Only the form is checked here. Whether this exchange runs commands at all is the core's decision, whether a URL
//! may be reached is the runner's. Invariant: the handler is kept as its exact source, which is bounded.

use bytes::Bytes;

use crate::dialect::json::{Kind, Value, display_js, is_truthy};
use crate::exchange::event::{WakeHandler, WakeKind};

use super::frame::{Frame, given, key, members};
use super::refusal::{Bounded, Fault};
use super::{Bounds, WireError};

const MILLIS_PER_SECOND: f64 = 1000.0;

/// The handler, or `None` if the frame has no mode.
pub(super) fn read_wake(frame: Frame<'_, '_>, bounds: Bounds) -> Result<Option<WakeHandler>, WireError> {
    let mode = frame.get(key::MODE);
    let handler = frame.set(key::WAKE_HANDLER);
    if !is_truthy(mode) {
        return if handler.is_some() { Err(frame.refuse(Fault::HandlerWithoutMode)) } else { Ok(None) };
    }
    if mode.and_then(|mode| mode.as_str()).as_deref() != Some("wake_on_ring") {
        return Err(frame.refuse(Fault::UnsupportedMode(display_js(mode))));
    }
    let Some(handler) = handler.filter(|handler| handler.kind() == Kind::Object) else {
        return Err(frame.refuse(Fault::ModeWithoutHandler));
    };
    // Before anything in it is read: whatever follows then costs little.
    let bytes_max = bounds.metadata_bytes_max;
    if handler.raw().len() > bytes_max {
        return Err(frame.refuse(Fault::TooLarge { field: Bounded::WakeHandler, bytes_max }));
    }
    read_handler(handler).map(Some).map_err(|fault| frame.refuse(fault))
}

fn read_handler(handler: Value<'_>) -> Result<WakeHandler, Fault> {
    let names = ["type", "timeout_seconds", "url", "payload", "command"];
    let [kind, timeout, url, payload, command] = members(handler, names);
    let timeout_s = timeout.and_then(|timeout| timeout.as_f64()).filter(|&seconds| seconds > 0.0);
    let Some(timeout_s) = timeout_s else { return Err(Fault::WakeTimeoutNotPositive) };
    let kind = match kind.and_then(|kind| kind.as_str()).as_deref() {
        Some("webhook") => read_webhook(url, payload)?,
        Some("spawn") => read_spawn(command)?,
        _ => return Err(Fault::UnsupportedHandler(display_js(kind))),
    };
    // Casting saturates: a limit of 1e300 seconds becomes the longest there is.
    let timeout_ms = (timeout_s * MILLIS_PER_SECOND) as u64;
    Ok(WakeHandler { kind, timeout_ms, source: Bytes::copy_from_slice(handler.raw()), registered_by: None })
}

/// A `payload` of `null` is none.
fn read_webhook(url: Option<Value<'_>>, payload: Option<Value<'_>>) -> Result<WakeKind, Fault> {
    let Some(url) = non_empty(url) else { return Err(Fault::WebhookUrlMissing) };
    let payload = given(payload);
    if payload.is_some_and(|payload| payload.kind() != Kind::Object) {
        return Err(Fault::WebhookPayloadNotObject);
    }
    Ok(WakeKind::Webhook { url, payload: payload.map(|payload| Bytes::copy_from_slice(payload.raw())) })
}

fn read_spawn(command: Option<Value<'_>>) -> Result<WakeKind, Fault> {
    let entries = command.and_then(|command| command.elements()).into_iter().flatten();
    let command: Option<Box<[Box<str>]>> = entries.map(|entry| non_empty(Some(entry))).collect();
    match command {
        Some(command) if command.is_empty() => Err(Fault::SpawnCommandMissing),
        Some(command) => Ok(WakeKind::Spawn { command }),
        None => Err(Fault::SpawnCommandEntry),
    }
}

fn non_empty(value: Option<Value<'_>>) -> Option<Box<str>> {
    let text = value?.as_str()?;
    (!text.is_empty()).then(|| Box::from(text))
}
