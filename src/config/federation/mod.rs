//! Which other exchanges this one links with by itself (spec 19.9 and 21): one, described by variables, or several, described by
//! a JSON file, which wins. Nothing here reads a file or the environment.
//!
//! Unlike other mistakes those made here do not stop the start: links are off then, and the log says why. Tokens are kept
//! from every way of printing.

mod file;
mod mistake;
#[cfg(test)]
mod tests;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use crate::exchange::pattern::Pattern;
use crate::logging::Private;

use super::error::Warning;
use super::raw::RawConfig;
use super::settings::{self, Kind, Setting};

pub use mistake::{FileFault, Mistake};
pub use url::{PeerUrl, UrlFault};

/// Most exchanges to link with: each costs a connection attempt every few seconds while it is down.
pub const PEERS_MAX: usize = 64;
/// Most routes of one link, to it and from it: as many as the exchange holds for a tie line.
pub const ROUTES_PER_PEER_MAX: usize = crate::exchange::limits::ROUTES_PER_TIE_MAX;
/// Longest file: all links with all their routes at some 60 bytes each.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// All announced routes of a link together, in bytes: they go out in one message, of which an exchange such as this takes
/// 1 MiB from somebody whom it does not know yet.
pub const ANNOUNCED_BYTES_MAX: usize = 512 << 10;
/// Longest domain, id, token and subprotocol, in bytes: they are said in one short message, or in one line of a handshake.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Shortest wait before the next attempt, whatever is configured: an exchange that is down must not cost a core.
pub const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(50);
/// Shortest time between two heartbeats of a link, for the same reason.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

/// The links to other exchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// The domain of this exchange. It speaks by it for callers that it has verified, whoever calls whom.
    pub domain: Box<str>,
    /// The exchanges to call, in the order of the configuration: of equal routes the first one counts. Empty: there are none,
    /// or links are off because of a mistake.
    pub peers: Vec<Peer>,
    /// What wss:// links are secured with.
    pub tls: PeerTls,
    /// What is wrong. Links are off if it is more than a number, which then stands for its default.
    pub mistakes: Vec<Mistake>,
}

impl Default for Federation {
    fn default() -> Self {
        let (domain, peers) = (settings::DOMAIN_DEFAULT.into(), Vec::new());
        Self { domain, peers, tls: PeerTls::default(), mistakes: Vec::new() }
    }
}

/// What wss:// links are secured with. The files are read when a link is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerTls {
    /// The authorities that other exchanges must be vouched for by; `None`: those of this machine.
    pub ca: Option<PathBuf>,
    /// Certificate chain and key, for exchanges that ask who calls.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// An exchange to link with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name in logs, unique.
    pub id: Box<str>,
    /// Where it is.
    pub url: PeerUrl,
    /// The domain by which this exchange introduces itself.
    pub domain: Box<str>,
    /// The token that goes with it.
    pub auth: Option<Private<String>>,
    /// What is called there; at least one.
    pub routes: Box<[Pattern]>,
    /// What is called here; at least one.
    pub announced: Box<[Pattern]>,
    /// Wait before it is called again.
    pub reconnect_delay: Duration,
    /// How often it is told that this exchange is alive; `None`: never.
    pub heartbeat: Option<Duration>,
    /// Subprotocols to offer, the preferred one first.
    pub protocols: Box<[Box<str>]>,
}

/// What was given about links, checked, and what is odd about it.
pub(super) fn read(raw: &RawConfig) -> (Federation, Vec<Warning>) {
    let mut federation = Federation::default();
    let warnings = match describe(raw, &mut federation) {
        Ok(warnings) => warnings,
        Err(mistake) => {
            federation.mistakes.push(mistake);
            federation.peers.clear();
            Vec::new()
        }
    };
    (federation, warnings)
}

fn describe(raw: &RawConfig, federation: &mut Federation) -> Result<Vec<Warning>, Mistake> {
    if let Some(domain) = text(raw, &settings::FEDERATION_DOMAIN) {
        federation.domain = short(domain, settings::FEDERATION_DOMAIN.env)?.into();
    }
    federation.tls = tls(raw)?;
    if let Some(text) = &raw.federation_file {
        let (peers, warnings) = file::read(text.as_ref().map_err(|fault| Mistake::File(fault.clone()))?)?;
        if let Some(peer) = peers.first() {
            federation.domain = peer.domain.clone();
        }
        federation.peers = peers;
        return Ok(warnings);
    }
    let is_enabled = text(raw, &settings::FEDERATION_ENABLED) == Some("true");
    if !is_enabled {
        let is_meant = text(raw, &settings::FEDERATION_PEER_URL).is_some();
        return Ok(is_meant.then_some(Warning::FederationNotEnabled).into_iter().collect());
    }
    let peer = single_peer(raw, &federation.domain, &mut federation.mistakes)?;
    federation.peers.push(peer);
    Ok(Vec::new())
}

fn text<'r>(raw: &'r RawConfig, setting: &Setting) -> Option<&'r str> {
    raw.given(setting).map(|given| given.value.as_str())
}

fn tls(raw: &RawConfig) -> Result<PeerTls, Mistake> {
    let path = |setting| text(raw, setting).map(PathBuf::from);
    let identity = match (path(&settings::FEDERATION_CERT), path(&settings::FEDERATION_KEY)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(Mistake::Missing(settings::FEDERATION_KEY.env)),
        (None, Some(_)) => return Err(Mistake::Missing(settings::FEDERATION_CERT.env)),
    };
    Ok(PeerTls { ca: path(&settings::FEDERATION_CA), identity })
}

/// The one exchange that the variables describe.
fn single_peer(raw: &RawConfig, domain: &str, mistakes: &mut Vec<Mistake>) -> Result<Peer, Mistake> {
    use settings as s;
    let url = text(raw, &s::FEDERATION_PEER_URL).ok_or(Mistake::Missing(s::FEDERATION_PEER_URL.env))?;
    let url =
        PeerUrl::parse(url).map_err(|why| Mistake::Url { place: s::FEDERATION_PEER_URL.env.into(), why })?;
    let routes = list(text(raw, &s::FEDERATION_ROUTES));
    if routes.is_empty() {
        return Err(Mistake::Missing(s::FEDERATION_ROUTES.env));
    }
    let id = text(raw, &s::FEDERATION_PEER_ID).map(|id| short(id, s::FEDERATION_PEER_ID.env)).transpose()?;
    let auth = text(raw, &s::FEDERATION_AUTH).map(|auth| short(auth, s::FEDERATION_AUTH.env)).transpose()?;
    let announced = list(text(raw, &s::FEDERATION_ANNOUNCE_ROUTES));
    let announced = announcement(&announced, domain, s::FEDERATION_ANNOUNCE_ROUTES.env)?;
    let mut number = |setting| amount(raw, setting, mistakes);
    Ok(Peer {
        id: id.map_or_else(|| url.authority(), str::to_owned).into(),
        url,
        domain: domain.into(),
        auth: auth.map(|auth| Private::new(auth.to_owned())),
        routes: patterns(&routes, s::FEDERATION_ROUTES.env)?,
        announced,
        reconnect_delay: reconnect_delay(number(&s::FEDERATION_RECONNECT_DELAY_MS)),
        heartbeat: heartbeat(number(&s::FEDERATION_HEARTBEAT_MS)),
        protocols: Box::default(),
    })
}

/// A number in its range. Anything else is a mistake and stands for the default: no link is worth losing over it.
fn amount(raw: &RawConfig, setting: &'static Setting, mistakes: &mut Vec<Mistake>) -> i64 {
    let Kind::Integer { min, max } = setting.kind else { return 0 };
    let parse = |text: &str| text.parse::<i64>().ok().filter(|number| (min..=max).contains(number));
    let given = text(raw, setting);
    if let Some(number) = given.and_then(parse) {
        return number;
    }
    if given.is_some() {
        mistakes.push(Mistake::Number(setting));
    }
    parse(setting.default).unwrap_or(0)
}

/// The non-empty members of a comma list.
fn list(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn short<'t>(text: &'t str, place: &str) -> Result<&'t str, Mistake> {
    let fits = text.len() <= TEXT_BYTES_MAX;
    fits.then_some(text).ok_or_else(|| Mistake::TooMany {
        place: place.into(),
        what: "bytes",
        max: TEXT_BYTES_MAX,
    })
}

fn patterns(texts: &[&str], place: &str) -> Result<Box<[Pattern]>, Mistake> {
    if texts.len() > ROUTES_PER_PEER_MAX {
        return Err(Mistake::TooMany { place: place.into(), what: "routes", max: ROUTES_PER_PEER_MAX });
    }
    let pattern =
        |text: &&str| Pattern::parse(text).map_err(|why| Mistake::Pattern { place: place.into(), why });
    texts.iter().map(pattern).collect()
}

/// What is announced: the given routes, else everybody of the domain (spec 21).
fn announcement(given: &[&str], domain: &str, place: &str) -> Result<Box<[Pattern]>, Mistake> {
    let of_domain = if domain.contains('@') {
        domain.to_owned()
    } else {
        format!("*@{}", domain.trim_start_matches("*@").trim_start_matches("*."))
    };
    let texts = if given.is_empty() { &[of_domain.as_str()][..] } else { given };
    if texts.iter().map(|text| text.len()).sum::<usize>() > ANNOUNCED_BYTES_MAX {
        return Err(Mistake::TooMany { place: place.into(), what: "bytes", max: ANNOUNCED_BYTES_MAX });
    }
    patterns(texts, place)
}

fn reconnect_delay(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs()).max(RECONNECT_DELAY_MIN)
}

fn heartbeat(ms: i64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms.unsigned_abs()).max(HEARTBEAT_MIN))
}
