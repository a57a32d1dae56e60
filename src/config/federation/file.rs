//! The JSON file that describes links (spec 21). Read by hand, so that each mistake is told by its place, unknown keys get a
//! hint, and no value of the file reaches a message.

use serde_json::{Map, Value};

use crate::config::error::Warning;
use crate::config::settings::nearest;
use crate::logging::Private;

use super::{
    Mistake, PEERS_MAX, Peer, PeerUrl, TEXT_BYTES_MAX, announcement, heartbeat, patterns, reconnect_delay,
    short,
};

const DOMAIN: &str = "domain";
const EXPORT_ROUTES: &str = "exportRoutes";
const HEARTBEAT: &str = "heartbeatIntervalMs";
const PEERS: &str = "peers";
/// The keys of the file.
const KEYS: [&str; 4] = [DOMAIN, EXPORT_ROUTES, HEARTBEAT, PEERS];

const ID: &str = "id";
const URL: &str = "url";
const ROUTES: &str = "routes";
const AUTH: &str = "auth";
const TRANSPORT: &str = "transport";
const RECONNECT_DELAY: &str = "reconnectDelayMs";
const ANNOUNCE_ROUTES: &str = "announceRoutes";
const PROTOCOLS: &str = "protocols";
/// The keys of a peer.
const PEER_KEYS: [&str; 8] = [ID, URL, ROUTES, AUTH, TRANSPORT, RECONNECT_DELAY, ANNOUNCE_ROUTES, PROTOCOLS];

/// The only transport there is.
const WEBSOCKET: &str = "websocket";
/// What holds where the file says nothing, in ms (spec 21).
const RECONNECT_DELAY_MS: i64 = 5_000;
const HEARTBEAT_MS: i64 = 30_000;
/// A day: no interval makes sense beyond it.
const MS_MAX: f64 = 86_400_000.0;
/// Most subprotocols offered to one exchange.
const PROTOCOLS_MAX: usize = 16;

/// The links that a file describes.
pub(super) fn read(text: &str) -> Result<(Vec<Peer>, Vec<Warning>), Mistake> {
    let text = text.trim_start_matches('\u{feff}');
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Mistake::Syntax { line: error.line(), column: error.column() })?;
    let whole = Fields::of(&value, String::new())?;
    let mut warnings = whole.unknown(&KEYS);
    let given = whole.value(PEERS).and_then(Value::as_array).filter(|peers| !peers.is_empty());
    let given = given.ok_or_else(|| whole.fault(PEERS, "a list of at least one peer"))?;
    if given.len() > PEERS_MAX {
        return Err(Mistake::TooMany { place: PEERS.into(), what: "peers", max: PEERS_MAX });
    }
    let mut peers: Vec<Peer> = Vec::new();
    for (number, value) in given.iter().enumerate() {
        let fields = Fields::of(value, format!("{PEERS}[{number}]"))?;
        warnings.extend(fields.unknown(&PEER_KEYS));
        let mut peer = peer(&whole, &fields)?;
        warnings.extend(rename(&mut peer, &peers));
        peers.push(peer);
    }
    Ok((peers, warnings))
}

fn peer(whole: &Fields<'_>, fields: &Fields<'_>) -> Result<Peer, Mistake> {
    let url = fields.text(URL)?.ok_or_else(|| fields.fault(URL, "a ws:// or wss:// URL"))?;
    let url = PeerUrl::parse(url).map_err(|why| Mistake::Url { place: fields.place(URL), why })?;
    let domain = whole.text(DOMAIN)?.ok_or_else(|| whole.fault(DOMAIN, "a text that is not empty"))?;
    let routes = fields.texts(ROUTES)?;
    if routes.is_empty() {
        return Err(fields.fault(ROUTES, "a list of at least one route"));
    }
    if fields.text(TRANSPORT)?.is_some_and(|transport| transport != WEBSOCKET) {
        return Err(fields.fault(TRANSPORT, "\"websocket\""));
    }
    let own = fields.texts(ANNOUNCE_ROUTES)?;
    let (exported, place) = match own.is_empty() {
        true => (whole.texts(EXPORT_ROUTES)?, whole.place(EXPORT_ROUTES)),
        false => (own, fields.place(ANNOUNCE_ROUTES)),
    };
    let announced = announcement(&exported, domain, &place)?;
    Ok(Peer {
        id: fields.text(ID)?.map_or_else(|| url.authority(), str::to_owned).into(),
        url,
        domain: domain.into(),
        auth: fields.text(AUTH)?.map(|auth| Private::new(auth.to_owned())),
        routes: patterns(&routes, &fields.place(ROUTES))?,
        announced,
        reconnect_delay: reconnect_delay(fields.ms(RECONNECT_DELAY)?.unwrap_or(RECONNECT_DELAY_MS)),
        heartbeat: heartbeat(whole.ms(HEARTBEAT)?.unwrap_or(HEARTBEAT_MS)),
        protocols: protocols(fields)?,
    })
}

fn protocols(fields: &Fields<'_>) -> Result<Box<[Box<str>]>, Mistake> {
    let names = match fields.value(PROTOCOLS) {
        Some(Value::String(name)) => vec![name.as_str()],
        _ => fields.texts(PROTOCOLS)?,
    };
    // What may stand in the header's list: visible characters, no comma.
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if names.len() > PROTOCOLS_MAX || !names.iter().all(is_name) {
        return Err(
            fields.fault(PROTOCOLS, "the names of at most 16 subprotocols, without blanks and commas")
        );
    }
    Ok(names.into_iter().map(Box::from).collect())
}

/// Names are unique, because calls are found by them in logs.
fn rename(peer: &mut Peer, others: &[Peer]) -> Option<Warning> {
    let is_taken = |id: &str| others.iter().any(|other| *other.id == *id);
    if !is_taken(&peer.id) {
        return None;
    }
    let id = peer.id.to_string();
    let renamed = (2..).map(|number| format!("{id}#{number}")).find(|renamed| !is_taken(renamed))?;
    peer.id = renamed.as_str().into();
    Some(Warning::PeerRenamed { id, renamed })
}

/// One JSON object and where it stands.
struct Fields<'v> {
    map: &'v Map<String, Value>,
    place: String,
}

impl<'v> Fields<'v> {
    fn of(value: &'v Value, place: String) -> Result<Self, Mistake> {
        match value {
            Value::Object(map) => Ok(Self { map, place }),
            _ if place.is_empty() => Err(Mistake::Field { place: "the content".into(), must: "an object" }),
            _ => Err(Mistake::Field { place, must: "an object" }),
        }
    }

    fn place(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    fn fault(&self, key: &str, must: &'static str) -> Mistake {
        Mistake::Field { place: self.place(key), must }
    }

    /// What a key says; `null` says nothing.
    fn value(&self, key: &str) -> Option<&'v Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A text. One that is empty says nothing.
    fn text(&self, key: &str) -> Result<Option<&'v str>, Mistake> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let text = value.as_str().filter(|text| text.len() <= TEXT_BYTES_MAX);
        let text = text.ok_or_else(|| self.fault(key, "a text of at most 4096 bytes"))?.trim();
        Ok((!text.is_empty()).then_some(text))
    }

    /// A list of texts; empty if there is none.
    fn texts(&self, key: &str) -> Result<Vec<&'v str>, Mistake> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let text = |value: &'v Value| value.as_str().map(str::trim).filter(|text| !text.is_empty());
        let texts: Option<Vec<_>> = value.as_array().and_then(|items| items.iter().map(text).collect());
        let texts = texts.ok_or_else(|| self.fault(key, "a list of texts that are not empty"))?;
        texts.into_iter().map(|text| short(text, &self.place(key))).collect()
    }

    /// A number of ms.
    fn ms(&self, key: &str) -> Result<Option<i64>, Mistake> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let ms = value.as_f64().filter(|ms| *ms <= MS_MAX);
        ms.map(|ms| Some(ms as i64)).ok_or_else(|| self.fault(key, "a number up to 86400000"))
    }

    fn unknown(&self, known: &[&'static str]) -> Vec<Warning> {
        let unknown = self.map.keys().filter(|key| !known.contains(&key.as_str()));
        let warning = |key: &String| {
            // A key is of any length and not ours: some of it is enough to find it.
            let shown: String = key.chars().take(40).collect();
            Warning::UnknownFederationKey {
                place: self.place(&shown),
                nearest: nearest(&shown, known.iter().copied()),
            }
        };
        unknown.map(warning).collect()
    }
}
