//! What the simulation is made of: few addresses and parties, so that everything collides, and a few profiles.

use bytes::Bytes;

use crate::exchange::Address;
use crate::exchange::address::LOG_SERVICE;
use crate::exchange::event::{
    Concurrency, Location, Near, PresenceQuery, Profile, Registration, WakeHandler, WakeKind,
};
use crate::identity::Credentials;

use super::{Manner, Wake};

/// The addresses; the last one is that of a service.
pub(super) const ADDRESSES: [&str; 7] =
    ["ann@a.test", "bob@a.test", "cid@b.test", "dan@B.test", "eve@b.test", "fay@c.test", LOG_SERVICE];
/// The place of the log service among them.
pub(super) const LOG_ADDRESS: u8 = 6;
/// The parties.
pub(super) const PARTIES: [&str; 3] = ["tea@a.test", "fog@b.test", "ann@a.test"];
/// The command that may be run as a wake handler.
pub const AGENT_COMMAND: &str = "/bin/agent";

/// A registration.
pub(super) fn register(address: &str, manner: Manner, wake: Wake, profile: u8) -> Box<Registration> {
    let (concurrency, pool_size) = match manner {
        Manner::Single => (Concurrency::Single, None),
        Manner::Broadcast(max_listeners) => (Concurrency::Broadcast { max_listeners }, None),
        Manner::Parallel(max_sessions) => (Concurrency::Parallel { max_sessions }, None),
        Manner::Pool { size, max_sessions } => (Concurrency::Parallel { max_sessions }, Some(size)),
    };
    let address = Address::parse(address).expect("the simulation's addresses are valid");
    Box::new(Registration {
        address,
        profile: self::profile(profile),
        concurrency,
        pool_size,
        wake: handler(wake),
        credentials: Credentials::default(),
    })
}

fn handler(wake: Wake) -> Option<WakeHandler> {
    let spawn = |command: &str| WakeKind::Spawn { command: [Box::from(command)].into() };
    let (kind, timeout_ms) = match wake {
        Wake::Absent => return None,
        Wake::Webhook { timeout_ms } => {
            (WakeKind::Webhook { url: Box::from("http://127.0.0.1/wake"), payload: None }, timeout_ms)
        }
        Wake::Spawn => (spawn(AGENT_COMMAND), 20_000),
        Wake::Forbidden => (spawn("/bin/other"), 20_000),
    };
    Some(WakeHandler {
        kind,
        timeout_ms: u64::from(timeout_ms),
        source: Bytes::from_static(b"{}"),
        registered_by: None,
    })
}

/// Four kinds of profiles: nothing, metadata, a capability, capabilities and a place.
fn profile(kind: u8) -> Profile {
    let metadata = Some(Bytes::from_static(b"{\"name\":1}"));
    match kind % 4 {
        0 => Profile::default(),
        1 => Profile { metadata, ..Profile::default() },
        2 => Profile { metadata, capabilities: ["chat".into()].into(), location: None },
        _ => Profile {
            metadata,
            capabilities: ["chat".into(), "draw".into()].into(),
            location: Some(Location { lat: 52.5, lon: 13.4 }),
        },
    }
}

/// Seven kinds of questions.
pub(super) fn presence(kind: u8) -> Box<PresenceQuery> {
    let query = PresenceQuery::default();
    let near = |lat| Some(Near { middle: Location { lat, lon: 13.0 }, radius_km: 200.0 });
    Box::new(match kind % 7 {
        0 => query,
        1 => PresenceQuery { domain: Some("b.test".into()), ..query },
        2 => PresenceQuery { domain: Some("nowhere.test".into()), ..query },
        3 => PresenceQuery { capabilities: vec!["chat".into()], ..query },
        4 => PresenceQuery { capabilities: vec!["draw".into(), "chat".into()], near: near(52.0), ..query },
        5 => PresenceQuery { near: near(48.0), ..query },
        _ => PresenceQuery { limit: Some(1), ..query },
    })
}
