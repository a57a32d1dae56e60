//! The TCP side of webhooks: resolves a host, drops the addresses no webhook may reach, connects to one of the rest.
//!
//! Everything a webhook sends goes through here, redirects included. The check is made on the very socket address
//! that is then connected to, so a name that resolves differently the second time (DNS rebinding) gains nothing, and
//! neither does an odd spelling of an address: it is judged after resolution. No proxy is consulted.
//! Nothing here knows of HTTP or TLS beyond the URI it is given.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::address;

/// Name lookups under way at once. Each holds a thread until the system's resolver gives up, even when its run has
/// long timed out; the bound keeps a dead name server from taking every thread of the runtime's blocking pool.
const LOOKUPS_MAX: usize = 64;

/// How long one address of a host may take to accept before the next is tried; longer than three lost SYNs.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Why no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// The host has no address, or the resolver failed.
    Unresolvable,
    /// Every address of the host is one that webhooks may not reach.
    ForbiddenAddress,
    /// No permitted address accepted; the last attempt's error.
    Unreachable(io::ErrorKind),
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolvable => f.write_str("the host could not be resolved"),
            Self::ForbiddenAddress => f.write_str("the host's address may not be reached by webhooks"),
            Self::Unreachable(kind) => write!(f, "the host did not accept a connection: {kind}"),
        }
    }
}

impl std::error::Error for ConnectFailure {}

/// Opens connections to permitted addresses only. Clones share the bound on lookups.
#[derive(Clone, Debug)]
pub(crate) struct GuardedConnector {
    lookups: Arc<Semaphore>,
}

impl GuardedConnector {
    pub(crate) fn new() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectFailure> {
        let host = uri.host().ok_or(ConnectFailure::Unresolvable)?;
        let candidates = self.resolve(host, port(&uri)).await?;
        let mut failure = io::ErrorKind::NotConnected;
        for address in permitted(&candidates)? {
            match attempt(address).await {
                Ok(stream) => return Ok(TokioIo::new(stream)),
                Err(error) => failure = error.kind(),
            }
        }
        Err(ConnectFailure::Unreachable(failure))
    }

    /// All addresses of `host`, a name or an address in any spelling the system's resolver knows.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectFailure> {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let permit =
            Arc::clone(&self.lookups).acquire_owned().await.map_err(|_| ConnectFailure::Unresolvable)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        match lookup.await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(_)) | Err(_) => Err(ConnectFailure::Unresolvable),
        }
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

fn port(uri: &Uri) -> u16 {
    let default = if uri.scheme_str() == Some("https") { HTTPS_PORT } else { HTTP_PORT };
    uri.port_u16().unwrap_or(default)
}

/// Those of `candidates` that a webhook may reach, in the resolver's order. A host that mixes both kinds is reached on
/// the permitted ones: home networks list a link-local address beside the usable one.
fn permitted(candidates: &[SocketAddr]) -> Result<Vec<SocketAddr>, ConnectFailure> {
    let permitted: Vec<_> =
        candidates.iter().copied().filter(|candidate| address::is_permitted(candidate.ip())).collect();
    match (candidates.is_empty(), permitted.is_empty()) {
        (true, _) => Err(ConnectFailure::Unresolvable),
        (false, true) => Err(ConnectFailure::ForbiddenAddress),
        (false, false) => Ok(permitted),
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(ATTEMPT_TIMEOUT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connect(uri: &str) -> Result<(), ConnectFailure> {
        let uri: Uri = uri.parse().expect("a URI");
        GuardedConnector::new().connect(uri).await.map(|_| ())
    }

    #[tokio::test]
    async fn odd_spellings_of_a_metadata_address_are_refused_after_resolution() {
        for host in ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662", "0xa9.0376.169.254"] {
            let outcome = connect(&format!("http://{host}/latest")).await;
            assert_eq!(outcome, Err(ConnectFailure::ForbiddenAddress), "{host}");
        }
    }

    #[tokio::test]
    async fn literal_addresses_are_checked_too() {
        for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "[::]"] {
            let outcome = connect(&format!("http://{host}/")).await;
            assert_eq!(outcome, Err(ConnectFailure::ForbiddenAddress), "{host}");
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_and_its_next_address_tried_when_one_refuses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(connect(&format!("http://localhost:{port}/")).await, Ok(()));
    }

    #[test]
    fn only_the_permitted_addresses_of_a_mixed_host_are_tried() {
        let metadata: SocketAddr = "169.254.169.254:80".parse().expect("an address");
        let local: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        assert_eq!(permitted(&[metadata, local]), Ok(vec![local]));
        assert_eq!(permitted(&[metadata]), Err(ConnectFailure::ForbiddenAddress));
        assert_eq!(permitted(&[]), Err(ConnectFailure::Unresolvable));
    }
}
