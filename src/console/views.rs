//! What operators are shown of lines, calls, parties and links, as JSON. Pure: sights and the time in, values out.
//!
//! Times are milliseconds since 1970, named `..._ms`; sizes are bytes. What is not there is `null`, never left out, so that a
//! reader finds the same fields in every entry. No contents of messages, no metadata, no tokens.

use serde_json::{Value, json};

use crate::exchange::effect::CallMode;
use crate::exchange::event::{Concurrency, Status};
use crate::exchange::survey::{CallSight, CallState, LineSight, LinkSight, PartySight};
use crate::exchange::time::{Moment, Tick};
use crate::logging::LoggedLine;

use super::audit::{Deed, ITSELF};

/// The wall clock at a tick.
fn wall_ms(at: Tick, now: Moment) -> u64 {
    now.wall_ms.saturating_sub(now.tick.millis().saturating_sub(at.millis()))
}

/// A line in a list.
pub fn line(sight: &LineSight, now: Moment) -> Value {
    let (concurrency, most) = match sight.concurrency {
        Concurrency::Single => ("single", None),
        Concurrency::Broadcast { max_listeners } => ("broadcast", max_listeners),
        Concurrency::Parallel { max_sessions } => ("parallel", max_sessions),
    };
    json!({
        "address": sight.address.as_ref().map(|address| address.as_str()),
        "session_id": sight.session.to_string(),
        "shard": sight.line.shard().index(),
        "status": status_name(sight.status),
        "concurrency": concurrency,
        "max_calls": most,
        "connected_since_ms": wall_ms(sight.since, now),
        "heard_ms_ago": u64::from(now.tick.seconds().saturating_sub(sight.heard_s)) * 1000,
        "calls": sight.calls,
        "parties": sight.seats,
        "capabilities": sight.capabilities,
        "can_be_woken": sight.can_be_woken,
        "congested": sight.is_congested,
        "paused": sight.is_paused,
        "service": sight.is_internal,
        "link": sight.is_tie,
    })
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Available => "available",
        Status::Busy => "busy",
        Status::Dnd => "dnd",
        Status::Away => "away",
    }
}

/// A call; `name` is what another exchange calls it, if that is not its id.
pub fn call(sight: &CallSight, name: Option<&str>, now: Moment) -> Value {
    let id = name.map_or_else(|| sight.call.to_string(), str::to_owned);
    let volume =
        |volume: crate::exchange::call::Volume| json!({ "messages": volume.messages, "bytes": volume.bytes });
    json!({
        "call_id": id,
        "from": sight.from.as_str(),
        "to": sight.to.as_str(),
        "mode": mode_name(sight.mode),
        "state": state_name(sight.state),
        "started_ms": sight.started.map(|started| started.wall_ms),
        "rang_ms": sight.rang.map(|rang| wall_ms(rang, now)),
        "answered_ms": sight.answered.map(|answered| answered.wall_ms),
        "caller_shard": sight.caller_shard.index(),
        "callee_shard": sight.callee.map(|callee| callee.shard().index()),
        "to_callee": volume(sight.traffic.to_callee),
        "to_caller": volume(sight.traffic.to_caller),
        "listeners": sight.listeners,
        "held": sight.is_held,
    })
}

fn mode_name(mode: CallMode) -> &'static str {
    match mode {
        CallMode::Single => "single",
        CallMode::Parallel => "parallel",
        CallMode::Broadcast => "broadcast",
        CallMode::Forwarded => "forwarded",
    }
}

fn state_name(state: CallState) -> &'static str {
    match state {
        CallState::Waiting => "waiting",
        CallState::Ringing => "ringing",
        CallState::Connected => "connected",
        CallState::Broadcast => "broadcast",
    }
}

/// A party line.
pub fn party(sight: &PartySight) -> Value {
    json!({
        "party": sight.name.as_str(),
        "members": sight.members,
        "far_members": sight.far_members,
        "hosted_here": sight.host.is_none(),
    })
}

/// A link that is up.
pub fn link(sight: &LinkSight) -> Value {
    json!({
        "domain": &*sight.domain,
        "peer": sight.peer.as_ref().map(|(id, _)| &**id),
        "direction": if sight.peer.is_some() { "out" } else { "in" },
        "up": true,
        "routes": sight.routes,
        "calls_in": sight.calls_in,
        "calls_out": sight.calls_out,
        "heartbeats_unanswered": sight.unanswered,
        "shard": sight.line.shard().index(),
    })
}

/// A link that should be up, and is not.
pub fn missing_link(peer: &str, routes: usize) -> Value {
    json!({
        "domain": null,
        "peer": peer,
        "direction": "out",
        "up": false,
        "routes": routes,
        "calls_in": 0,
        "calls_out": 0,
        "heartbeats_unanswered": 0,
        "shard": null,
    })
}

/// A warning or an error of the log.
pub fn warning(line: &LoggedLine) -> Value {
    // It was made by our own renderer; should it be no JSON, it is shown as text.
    let fields: Value = serde_json::from_str(&line.fields).unwrap_or_else(|_| json!(&*line.fields));
    json!({
        "at_ms": line.at.0,
        "first_ms": line.first.0,
        "count": line.count,
        "of_kind": line.of_kind,
        "level": if line.is_error { "error" } else { "warn" },
        "message": &*line.message,
        "fields": fields,
    })
}

/// Something that an operator did.
pub fn deed(deed: &Deed) -> Value {
    json!({
        "at_ms": deed.at.0,
        "who": deed.who.map_or_else(|| ITSELF.to_owned(), |who| who.to_string()),
        "action": deed.what,
        "whom": &*deed.whom,
        "outcome": deed.outcome,
    })
}
