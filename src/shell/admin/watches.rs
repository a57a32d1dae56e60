//! Watches by way of the API: begun, looked at and ended, each with an entry in the audit; who watches what is said needs the leave
//! of the configuration.
//!
//! A ladder is copied out of what the shards have handed over; no shard is asked anything by a look.

use std::net::SocketAddr;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::actions::{Outcome, note};
use super::office::Office;
use super::parameters::Parameters;
use super::reply::Answer;
use crate::console::audit::Deed;
use crate::console::ladder::{STEPS_MAX, Subject, WATCHES_MAX, Watch, WatchId, WatchView};
use crate::exchange::address::is_address;
use crate::exchange::cause::brief;
use crate::logging::Timestamp;

/// How a ladder is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Json,
    Svg,
    Mermaid,
}

/// A watch, and the form in which its ladder is wanted, out of the last part of a path.
pub(super) fn parse(name: &str) -> Option<(WatchId, Form)> {
    let forms = [(".svg", Form::Svg), (".mmd", Form::Mermaid)];
    let ending = forms.iter().find_map(|&(ending, form)| Some((name.strip_suffix(ending)?, form)));
    let (number, form) = ending.unwrap_or((name, Form::Json));
    // Digits only: `parse` would take a sign as well.
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.parse().ok()).flatten().map(|id| (id, form))
}

/// Ends the watches that nobody looks at any more; to be called every second or so.
pub(super) fn tend(office: &Office) {
    let ended = office.facts.ladders.with(|ladders| ladders.tend(now_ms(office)));
    for watch in ended {
        let at = Timestamp(office.facts.clock.now().wall_ms);
        let whom = brief(watch.subject.name());
        office.audit.note(Deed { at, who: None, what: "unwatch", whom, outcome: "forgotten" });
    }
}

fn now_ms(office: &Office) -> u64 {
    office.facts.clock.tick().millis()
}

/// POST watches.
pub(super) fn begin(office: &Office, who: SocketAddr, body: &Value) -> Answer {
    let watch = match watch_of(body) {
        Ok(watch) => watch,
        Err(refusal) => return refusal,
    };
    let (what, subject) = (deed_of(&watch), watch.subject.clone());
    if watch.payloads && !office.facts.may_watch_payloads {
        note(office, who, what, subject.name(), Outcome::Refused);
        let why = "what parties say may not be watched here; SYSTEMX_ADMIN_PAYLOADS=true would allow it";
        return Answer::error(StatusCode::FORBIDDEN, "payloads_forbidden", why);
    }
    let begun = office.facts.ladders.with(|ladders| ladders.begin(watch.clone(), now_ms(office)));
    let outcome = if begun.is_ok() { Outcome::Done } else { Outcome::Refused };
    note(office, who, what, subject.name(), outcome);
    match begun {
        Ok(id) => Answer::with(StatusCode::CREATED, &view(&WatchView { id, watch, steps: 0, newest: 0 })),
        Err(error) => Answer::error(StatusCode::CONFLICT, "too_many_watches", &error.to_string()),
    }
}

fn deed_of(watch: &Watch) -> &'static str {
    if watch.payloads { "watch_with_payloads" } else { "watch" }
}

/// What is to be watched.
fn watch_of(body: &Value) -> Result<Watch, Answer> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let subject = match (text("address"), text("call_id")) {
        (Some(address), None) if is_address(address) => Some(Subject::Address(address.into())),
        (None, Some(name)) => Subject::call(name),
        _ => None,
    };
    let subject = subject
        .ok_or_else(|| Answer::bad_request("needs {\"address\": \"...\"} or {\"call_id\": \"...\"}"))?;
    match body.get("payloads") {
        None => Ok(Watch { subject, payloads: false }),
        Some(&Value::Bool(payloads)) => Ok(Watch { subject, payloads }),
        Some(_) => Err(Answer::bad_request("payloads must be true or false")),
    }
}

fn view(view: &WatchView) -> Value {
    let (kind, name) = match &view.watch.subject {
        Subject::Address(address) => ("address", address),
        Subject::Call { name, .. } => ("call", name),
    };
    json!({
        "id": view.id,
        "kind": kind,
        "subject": &**name,
        "payloads": view.watch.payloads,
        "steps": view.steps,
        "newest": view.newest,
    })
}

/// GET watches.
pub(super) fn list(office: &Office) -> Answer {
    let views = office.facts.ladders.with(|ladders| ladders.list());
    Answer::json(&json!({
        "watches": views.iter().map(view).collect::<Vec<_>>(),
        "watches_max": WATCHES_MAX,
        "steps_max": STEPS_MAX,
        "payloads_allowed": office.facts.may_watch_payloads,
    }))
}

/// GET watches/{id}, in one of its forms; with `newest` nothing, as long as there is nothing newer.
pub(super) fn show(office: &Office, id: WatchId, form: Form, said: &Parameters) -> Answer {
    let known = match said.read("newest", "newest is a number", |value| value.parse::<u64>().ok()) {
        Ok(known) => known,
        Err(refusal) => return refusal,
    };
    let now_ms = now_ms(office);
    let picture = office.facts.ladders.with(|ladders| {
        let has_news = known.is_none_or(|known| ladders.has_news(id, known, now_ms) != Some(false));
        has_news.then(|| ladders.look(id, now_ms))
    });
    match picture {
        None => Answer::nothing_new(),
        Some(None) => no_such_watch(),
        Some(Some(picture)) => match form {
            Form::Json => Answer::json(&json!(picture)),
            Form::Svg => Answer::svg(picture.to_svg()),
            Form::Mermaid => Answer::text(picture.to_mermaid()),
        },
    }
}

/// DELETE watches/{id}.
pub(super) fn end(office: &Office, who: SocketAddr, id: WatchId) -> Answer {
    match office.facts.ladders.with(|ladders| ladders.end(id)) {
        Some(watch) => {
            note(office, who, "unwatch", watch.subject.name(), Outcome::Done);
            Answer::json(&json!({ "ended": id }))
        }
        None => {
            note(office, who, "unwatch", &id.to_string(), Outcome::NotFound);
            no_such_watch()
        }
    }
}

fn no_such_watch() -> Answer {
    Answer::not_found("no such watch; one that nobody looks at for 15 minutes ends by itself")
}
