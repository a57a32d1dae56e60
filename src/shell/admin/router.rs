//! Which path means what, who may ask for it, and how long it may take.
//!
//! The order is fixed: the name by which the listener is called, then whether there is such a path, then the token (not for
//! probes), then the method, then what requests that change something have to show. Paths are `/api/v1/...` for programs.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::office::Office;
use super::parameters::{self, Parameters};
use super::reply::Answer;
use super::watches::{self, Form};
use super::{actions, lists, page, pages, records};
use crate::console::ladder::WatchId;
use crate::console::page::Asset;

/// Longest body of a request, in bytes: the longest there is names an address.
const BODY_BYTES_MAX: usize = 4096;
/// Time for a request, its body included, from the end of its head on.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// What the paths of the API begin with.
const API: &str = "/api/v1/";

/// What a path leads to. Texts are decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Page(&'static Asset),
    Health,
    Ready,
    Metrics,
    Overview,
    Lines,
    Line(String),
    Disconnect(String),
    Calls,
    Call(String),
    HangUp(String),
    Parties,
    Links,
    Slow,
    Warnings,
    Audit,
    Records,
    LogLevel,
    Drain,
    Watches,
    Watch(WatchId, Form),
}

/// Answers a request.
pub(super) async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    office: &Office,
) -> Response<Full<Bytes>> {
    let answered = timeout(REQUEST_TIME_MAX, serve(request, peer, office)).await;
    let late = |_| Answer::error(StatusCode::REQUEST_TIMEOUT, "timeout", "it took too long");
    answered.unwrap_or_else(late).into_response()
}

async fn serve(request: Request<Incoming>, peer: SocketAddr, office: &Office) -> Answer {
    match admit(&request, peer, office) {
        Ok((place, _)) if is_action(request.method()) => act(request, &place, peer, office).await,
        Ok((Place::Page(asset), _)) => page::show(asset, request.headers()),
        Ok((place, said)) => show(&place, &said, office).await,
        Err(refusal) => refusal,
    }
}

/// Where a request leads, if whoever asks may go there, and what its query says.
fn admit(
    request: &Request<Incoming>,
    peer: SocketAddr,
    office: &Office,
) -> Result<(Place, Parameters), Answer> {
    let denied = |denial| {
        office.note_denial(peer, denial);
        Answer::from(denial)
    };
    office.access.check_host(request.headers()).map_err(denied)?;
    let path = request.uri().path();
    let place = place_of(path).ok_or_else(|| nowhere(path))?;
    if !place.is_open() {
        office.access.check_token(request.headers()).map_err(denied)?;
    }
    let allowed = place.methods();
    if !allowed.split(", ").any(|method| method == request.method().as_str()) {
        return Err(Answer::wrong_method(allowed));
    }
    if is_action(request.method()) {
        office.access.check_action(request.headers()).map_err(denied)?;
    }
    let query = request.uri().query().unwrap_or_default();
    let said = match place.parameters() {
        Some(_) if is_action(request.method()) => Parameters::of(query, &[])?,
        Some(known) => Parameters::of(query, known)?,
        None => Parameters::default(),
    };
    Ok((place, said))
}

/// Why a path leads nowhere.
fn nowhere(path: &str) -> Answer {
    match parameters::decoded(path) {
        Some(_) => Answer::not_found("no such path"),
        None => Answer::bad_request("the path is not percent-encoded as it should be"),
    }
}

fn is_action(method: &Method) -> bool {
    method == Method::POST || method == Method::PUT || method == Method::DELETE
}

async fn show(place: &Place, said: &Parameters, office: &Office) -> Answer {
    match place {
        Place::Health => pages::health(office),
        Place::Ready => pages::readiness(office),
        Place::Metrics => pages::metrics(office),
        Place::Overview => lists::overview(office),
        Place::Lines => lists::lines(office, said).await.unwrap_or_else(|refusal| refusal),
        Place::Line(address) => lists::line(office, address).await.unwrap_or_else(|refusal| refusal),
        Place::Calls => lists::calls(office, said).await.unwrap_or_else(|refusal| refusal),
        Place::Call(call) => lists::call(office, call).await.unwrap_or_else(|refusal| refusal),
        Place::Parties => lists::parties(office, said).await.unwrap_or_else(|refusal| refusal),
        Place::Links => lists::links(office).await.unwrap_or_else(|refusal| refusal),
        Place::Slow => lists::slow(office).await.unwrap_or_else(|refusal| refusal),
        Place::Warnings => lists::warnings(),
        Place::Audit => lists::audit(office),
        Place::Records => records::records(office, said).await.unwrap_or_else(|refusal| refusal),
        Place::LogLevel => actions::log_level(),
        Place::Drain => actions::drain_state(office),
        Place::Watches => watches::list(office),
        &Place::Watch(id, form) => watches::show(office, id, form, said),
        Place::HangUp(_) | Place::Disconnect(_) | Place::Page(_) => Answer::wrong_method(place.methods()),
    }
}

async fn act(request: Request<Incoming>, place: &Place, peer: SocketAddr, office: &Office) -> Answer {
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    match place {
        Place::HangUp(call) => actions::hang_up(office, peer, call).await,
        Place::Disconnect(address) => actions::disconnect(office, peer, address).await,
        Place::LogLevel => actions::turn_log_level(office, peer, &body),
        Place::Drain => actions::drain(office, peer, &body),
        Place::Watches => watches::begin(office, peer, &body),
        &Place::Watch(id, _) => watches::end(office, peer, id),
        _ => Answer::wrong_method(place.methods()),
    }
}

/// The body as JSON; an empty one is an empty object.
async fn read_body(request: Request<Incoming>) -> Result<Value, Answer> {
    let body = request.into_body();
    // Announced to be too long: nothing of it is waited for.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Answer::too_large());
    }
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = body.map_err(|_| Answer::too_large())?.to_bytes();
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(&bytes).map_err(|_| Answer::bad_request("the body is not JSON"))
}

/// What a path means; `None` if nothing.
fn place_of(path: &str) -> Option<Place> {
    let Some(rest) = path.strip_prefix(API) else {
        return match path {
            "/healthz" => Some(Place::Health),
            "/readyz" => Some(Place::Ready),
            "/metrics" => Some(Place::Metrics),
            _ => Asset::at(path).map(Place::Page),
        };
    };
    let parts: Vec<&str> = rest.split('/').collect();
    Some(match parts.as_slice() {
        ["overview"] => Place::Overview,
        ["lines"] => Place::Lines,
        ["lines", address] => Place::Line(decoded(address)?),
        ["lines", address, "disconnect"] => Place::Disconnect(decoded(address)?),
        ["calls"] => Place::Calls,
        ["calls", call] => Place::Call(decoded(call)?),
        ["calls", call, "hangup"] => Place::HangUp(decoded(call)?),
        ["parties"] => Place::Parties,
        ["links"] => Place::Links,
        ["slow"] => Place::Slow,
        ["warnings"] => Place::Warnings,
        ["audit"] => Place::Audit,
        ["records"] => Place::Records,
        ["log-level"] => Place::LogLevel,
        ["drain"] => Place::Drain,
        ["watches"] => Place::Watches,
        ["watches", name] => watches::parse(name).map(|(id, form)| Place::Watch(id, form))?,
        _ => return None,
    })
}

/// A part of a path; `None` if it is empty or no text.
fn decoded(part: &str) -> Option<String> {
    parameters::decoded(part).filter(|text| !text.is_empty())
}

impl Place {
    /// What those ask for who have no token, yet: probes, who are told nothing but whether the exchange is well, and browsers.
    fn is_open(&self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::Page(_))
    }

    /// What a query may say; `None` where nobody looks at it, because probes, scrapers and browsers may say what they like.
    fn parameters(&self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::Page(_) | Self::Health | Self::Ready | Self::Metrics => return None,
            Self::Lines => &["prefix", "domain", "limit", "cursor"],
            Self::Calls => &["address", "limit", "cursor"],
            Self::Parties => &["limit", "cursor"],
            Self::Records => records::PARAMETERS,
            Self::Watch(..) => &["newest"],
            _ => &[],
        })
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::HangUp(_) | Self::Disconnect(_) => "POST",
            Self::LogLevel => "GET, HEAD, PUT",
            Self::Drain => "GET, HEAD, POST",
            Self::Watches => "GET, HEAD, POST",
            Self::Watch(_, Form::Json) => "GET, HEAD, DELETE",
            _ => "GET, HEAD",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_they_say_and_nothing_else() {
        let line = |address: &str| Some(Place::Line(address.into()));
        assert_eq!(place_of("/api/v1/lines/alice@x.test"), line("alice@x.test"));
        assert_eq!(place_of("/api/v1/lines/a%2Fb%40x.test"), line("a/b@x.test"));
        assert_eq!(place_of("/api/v1/lines/%C3%A9@x.test"), line("é@x.test"));
        assert_eq!(place_of("/api/v1/calls/1/hangup"), Some(Place::HangUp("1".into())));
        assert_eq!(place_of("/metrics"), Some(Place::Metrics));
        assert_eq!(place_of("/api/v1/watches/7"), Some(Place::Watch(7, Form::Json)));
        assert_eq!(place_of("/api/v1/watches/7.svg"), Some(Place::Watch(7, Form::Svg)));
        assert!(matches!(place_of("/"), Some(Place::Page(_))));
        for path in [
            "",
            "/console",
            "/api/v1/watches/+7",
            "/api/v1/watches/.svg",
            "/api/v1/watches/7.pdf",
            "/metrics/",
            "/api/v1",
            "/api/v1/",
            "/api/v2/lines",
            "/api/v1/lines/",
            "/healthz/x",
            "/api/v1/lines/%",
            "/api/v1/lines/%f",
            "/api/v1/lines/%ff",
            "/api/v1/lines/a/b",
            "/api/v1/Lines",
            "/../metrics",
        ] {
            assert_eq!(place_of(path), None, "{path}");
        }
    }
}
