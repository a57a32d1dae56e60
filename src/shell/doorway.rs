//! The doorway: who comes in, before there is a line. It finds out whose connection it is, counts it for that client, and
//! turns away pages of origins that are not allowed.
//!
//! The rules on bytes are pure and live in `proxy` and `websocket`; here they meet the socket and the caps.
//! Invariant: an address that somebody says, instead of having it, counts only if a trusted proxy says it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, ORIGIN};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tracing::debug;

use crate::config::Config;
use crate::proxy::{self, HEADER_LEN_MAX, Malformed, Networks, forwarded};
use crate::websocket::handshake::Refusal;
use crate::websocket::origin::AllowedOrigins;

use super::admission::{Admission, Permit, Refused};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is asked of everybody who connects; shared by all shards.
#[derive(Debug)]
pub struct Doorway {
    admission: Arc<Admission>,
    origins: AllowedOrigins,
    proxies: Networks,
    /// Whether connections from `proxies` begin with a PROXY protocol header.
    proxy_protocol: bool,
}

/// Somebody who has connected and not shaken hands yet.
#[derive(Debug)]
pub struct Visitor {
    /// The client's address, as far as it is known.
    pub client: IpAddr,
    /// Its place in the limits on connections; `None` if there are none.
    pub permit: Option<Box<Permit>>,
    /// The address at the other end of the connection, or the one that its PROXY header has put in its place.
    caller: IpAddr,
}

/// Why a PROXY header was not read.
enum Unread {
    Malformed(Malformed),
    /// The stream ended, or broke, before its end. Those who look whether the port is open do that.
    Ended,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Ended => f.write_str("it ended before its PROXY protocol header did"),
        }
    }
}

impl Doorway {
    /// The doorway of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            admission: Admission::new(config.connections_max, config.connections_per_ip_max),
            origins: config.allowed_origins.clone(),
            proxies: config.trusted_proxies.clone(),
            proxy_protocol: config.proxy_protocol,
        }
    }

    /// Lets a connection in, if there is room for it. One from a trusted proxy counts for nobody until it is known whose
    /// it is: all clients of a proxy would share its allowance.
    pub fn admit(&self, peer: SocketAddr) -> Result<Visitor, Refused> {
        let caller = peer.ip().to_canonical();
        let known = (!self.proxies.contains(caller)).then_some(caller);
        Ok(Visitor { client: caller, permit: self.admission.admit(known)?, caller })
    }

    /// What comes before TLS and HTTP: the PROXY header of a trusted proxy, if they send one. Not a byte behind it is
    /// taken from the stream. `None`: the connection is to be dropped.
    ///
    /// It waits as long as the header does; the caller limits the time.
    pub async fn greet(&self, stream: &mut TcpStream, visitor: &mut Visitor) -> Option<()> {
        if !self.proxy_protocol || !self.proxies.contains(visitor.caller) {
            return Some(());
        }
        let proxy = visitor.caller;
        let source = read_header(stream)
            .await
            .inspect_err(|reason| debug!(%proxy, %reason, "connection dropped"))
            .ok()?;
        let Some(source) = source else { return Some(()) };
        visitor.caller = source.ip().to_canonical();
        if self.proxies.contains(visitor.caller) {
            return Some(());
        }
        let counted = self.count(visitor, visitor.caller);
        counted.inspect_err(|reason| debug!(%proxy, client = %source, ?reason, "connection dropped")).ok()
    }

    /// Finds out from the headers of a handshake whose it is, and says whether it may go on.
    ///
    /// # Errors
    /// If the client has too many connections, or the page that asks is of an origin that is not allowed.
    pub fn examine(&self, headers: &HeaderMap, visitor: &mut Visitor) -> Result<(), Refusal> {
        let values = |name| headers.get_all(name).iter().map(|value| value.as_bytes());
        let client =
            forwarded::client(visitor.caller, &self.proxies, values(X_FORWARDED_FOR), values(FORWARDED));
        self.count(visitor, client).map_err(|_| Refusal::Crowded)?;
        if !self.origins.allow(values(ORIGIN)) {
            let origin = headers.get(ORIGIN);
            debug!(%client, ?origin, "handshake refused: origin");
            return Err(Refusal::Origin);
        }
        Ok(())
    }

    /// Counts the connection for this client from now on.
    fn count(&self, visitor: &mut Visitor, client: IpAddr) -> Result<(), Refused> {
        visitor.permit.as_mut().map_or(Ok(()), |permit| permit.assign(client))?;
        visitor.client = client;
        Ok(())
    }
}

/// Takes a PROXY header off the stream and returns the source that it names.
///
/// It looks at what is there without taking it, and then takes what is the header's, so that no byte behind it is lost
/// and none is looked at twice: the socket's next word is about new bytes.
async fn read_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Unread> {
    let mut held = vec![0; HEADER_LEN_MAX];
    let mut taken = 0;
    loop {
        // There is room: no header is that long without being complete, or too long.
        let seen = taken + stream.peek(&mut held[taken..]).await.map_err(|_| Unread::Ended)?;
        if seen == taken {
            return Err(Unread::Ended);
        }
        let header = proxy::parse(&held[..seen]).map_err(Unread::Malformed)?;
        let end = header.map_or(seen, |header| header.len);
        stream.read_exact(&mut held[taken..end]).await.map_err(|_| Unread::Ended)?;
        if let Some(header) = header {
            return Ok(header.source);
        }
        taken = end;
    }
}
