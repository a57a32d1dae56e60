//! What the API does: hang up a call, disconnect a line, set the log's level, drain. Each leaves an entry in the audit, whatever came
//! of it.

use std::net::SocketAddr;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::inquiries::Unanswered;
use super::lists::home_of;
use super::office::Office;
use super::reply::Answer;
use crate::config::LogLevel;
use crate::console::audit::Deed;
use crate::exchange::cause::brief;
use crate::exchange::ids::CallId;
use crate::logging::{Timestamp, desk};
use crate::shell::overseer::DrainRefused;
use crate::shell::switchboard::Inquiry;

/// What came of an action, as the audit says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Done,
    NotFound,
    Refused,
    Unanswered,
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

pub(super) fn note(office: &Office, who: SocketAddr, what: &'static str, whom: &str, outcome: Outcome) {
    let at = Timestamp(office.facts.clock.now().wall_ms);
    office.audit.note(Deed { at, who: Some(who), what, whom: brief(whom), outcome: outcome.name() });
}

/// POST calls/{id}/hangup.
pub(super) async fn hang_up(office: &Office, who: SocketAddr, name: &str) -> Answer {
    let call = CallId::parse(name.as_bytes());
    let answers = office.inquiries.ask_all(|reply| Inquiry::HangUp(call, reply)).await;
    let outcome = match &answers {
        Ok(answers) if answers.contains(&true) => Outcome::Done,
        Ok(_) => Outcome::NotFound,
        Err(Unanswered) => Outcome::Unanswered,
    };
    note(office, who, "hang_up", name, outcome);
    match answers {
        Ok(_) if outcome == Outcome::Done => Answer::json(&json!({ "hung_up": name })),
        Ok(_) => Answer::not_found("no such call is in progress"),
        Err(unanswered) => unanswered.into(),
    }
}

/// POST lines/{address}/disconnect: every line that holds the address.
pub(super) async fn disconnect(office: &Office, who: SocketAddr, address: &str) -> Answer {
    let cut = cut_lines(office, address).await;
    let (outcome, answer) = match cut {
        Ok((0, 0)) => (Outcome::NotFound, Answer::not_found("nobody holds this address")),
        Ok((_, 0)) => {
            let why = "it is a service of the exchange, or has just gone";
            (Outcome::Refused, Answer::error(StatusCode::CONFLICT, "not_disconnected", why))
        }
        Ok((_, count)) => (Outcome::Done, Answer::json(&json!({ "disconnected": address, "lines": count }))),
        Err(unanswered) => (Outcome::Unanswered, unanswered.into()),
    };
    note(office, who, "disconnect", address, outcome);
    answer
}

/// How many lines hold an address, and how many of them were disconnected.
async fn cut_lines(office: &Office, address: &str) -> Result<(usize, usize), Unanswered> {
    let Some(shard) = home_of(office, address) else { return Ok((0, 0)) };
    let holders = office.inquiries.ask(shard, |reply| Inquiry::Holders(address.into(), reply)).await?;
    let mut cut = 0;
    for &line in &holders.lines {
        let ask = |reply| Inquiry::Disconnect(line, address.into(), reply);
        cut += usize::from(office.inquiries.ask(line.shard(), ask).await?);
    }
    Ok((holders.count, cut))
}

/// GET log-level.
pub(super) fn log_level() -> Answer {
    match desk() {
        Some(desk) => Answer::json(&json!({ "level": name_of(desk.level()) })),
        None => no_log(),
    }
}

/// PUT log-level.
pub(super) fn turn_log_level(office: &Office, who: SocketAddr, body: &Value) -> Answer {
    let wanted = body.get("level").and_then(Value::as_str).unwrap_or_default();
    let Some(level) = LEVELS.into_iter().find(|&level| name_of(level) == wanted) else {
        return Answer::bad_request("needs {\"level\": \"debug\", \"info\", \"warn\" or \"error\"}");
    };
    let Some(desk) = desk() else { return no_log() };
    desk.turn_to(level);
    note(office, who, "log_level", wanted, Outcome::Done);
    log_level()
}

fn no_log() -> Answer {
    Answer::error(StatusCode::SERVICE_UNAVAILABLE, "no_log", "this process does not log")
}

const LEVELS: [LogLevel; 4] = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];

fn name_of(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// GET drain.
pub(super) fn drain_state(office: &Office) -> Answer {
    Answer::json(&json!({ "state": office.facts.drains.state().name() }))
}

/// POST drain.
pub(super) fn drain(office: &Office, who: SocketAddr, body: &Value) -> Answer {
    if body.as_object().is_none_or(|fields| fields.keys().any(|field| field != "seconds")) {
        return Answer::bad_request("the body is to be an object that holds \"seconds\" or nothing");
    }
    let wanted = body.get("seconds");
    let seconds = wanted.and_then(Value::as_u64);
    if wanted.is_some() && seconds.is_none() {
        return Answer::bad_request("\"seconds\" is to be a whole number, or left out");
    }
    let ordered = office.facts.drains.order(seconds);
    let outcome = if ordered.is_ok() { Outcome::Done } else { Outcome::Refused };
    // The time that applies; of an order that was refused, what was asked for.
    let applied = ordered.as_ref().ok().copied().or(seconds);
    note(office, who, "drain", &applied.map(|seconds| format!("{seconds} s")).unwrap_or_default(), outcome);
    match ordered {
        Ok(seconds) => {
            Answer::with(StatusCode::ACCEPTED, &json!({ "state": "draining", "seconds": seconds }))
        }
        Err(refused @ DrainRefused::Already(_)) => {
            Answer::error(StatusCode::CONFLICT, "not_serving", &refused.to_string())
        }
        Err(refused @ DrainRefused::TooLong) => Answer::bad_request(&refused.to_string()),
    }
}
