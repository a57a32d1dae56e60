//! STATUS as clients write it (spec section 6). SLEEP_ACK and HEARTBEAT have no fields.
//!
//! An `auto_sleep` that makes no sense does not spoil the frame: the status counts, and the core refuses the rest.

use crate::dialect::json::{Value, display_js};
use crate::exchange::event::{AutoSleepChange, Request, Status};

use super::WireError;
use super::frame::{Frame, key, members};
use super::refusal::Fault;

const MILLIS_PER_SECOND: f64 = 1000.0;

/// STATUS. An `auto_sleep` of `null` is none.
pub(super) fn read_status<'f>(frame: Frame<'_, 'f>) -> Result<Request<'f>, WireError> {
    let value = frame.get(key::STATUS);
    let status = match value.and_then(|value| value.as_str()).as_deref() {
        Some("available") => Status::Available,
        Some("busy") => Status::Busy,
        Some("dnd") => Status::Dnd,
        Some("away") => Status::Away,
        _ => return Err(frame.refuse(Fault::InvalidStatus(display_js(value)))),
    };
    let auto_sleep = frame.set(key::AUTO_SLEEP).map_or(AutoSleepChange::Absent, read_auto_sleep);
    Ok(Request::Status { status, auto_sleep })
}

fn read_auto_sleep(value: Value<'_>) -> AutoSleepChange {
    let [idle, wake] = members(value, ["idle_timeout_seconds", "wake_on_ring"]);
    let idle_s = idle.and_then(|idle| idle.as_f64()).filter(|&seconds| seconds >= 0.0);
    let wake = wake.and_then(|wake| wake.as_bool());
    match (idle_s, wake) {
        // Casting saturates: the core's own bound on timers cuts the rest.
        (Some(idle_s), Some(true)) => AutoSleepChange::After { idle_ms: (idle_s * MILLIS_PER_SECOND) as u64 },
        (Some(_), Some(false)) => AutoSleepChange::Off,
        _ => AutoSleepChange::Invalid,
    }
}
