//! One call of another exchange: its name, a connection, TLS if its URL asks for it, and the client's half of the WebSocket
//! handshake. What comes of it is the socket, raw again, with what the other side has sent already.
//!
//! Limits in time are the caller's: a call that is dropped leaves nothing behind but a name that is still looked up.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::federation::{Peer, PeerTls};
use crate::tls::{self, TlsError};
use crate::websocket::upgrade::{BadAnswer, KEY_BYTES, Key};

use super::super::clock::draw_seed;
use super::super::transport::Transport;

/// Largest HTTP head of an answer, in bytes, and most header lines: as much as this exchange takes from its clients.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 100;
/// How long one address of several may take to accept before the next is tried; one lost SYN and its repetition fit.
const ADDRESS_MAX: Duration = Duration::from_secs(4);

/// Why another exchange cannot be linked with.
#[derive(Debug)]
pub(super) enum DialError {
    /// Its name leads nowhere.
    Unresolvable(io::Error),
    /// Nobody accepts there.
    Unreachable(io::Error),
    /// The files of TLS cannot be used.
    Tls(TlsError),
    /// Its name is none that a certificate could be for.
    Name,
    /// It cannot be spoken to in secret: it does not know how, or is not whom it should be.
    Handshake(io::Error),
    /// What was to be asked is no HTTP.
    Request(hyper::http::Error),
    /// What it answers is no HTTP.
    Http(hyper::Error),
    /// It does not speak WebSocket, or not with us.
    Answer(BadAnswer),
    /// The socket cannot be used, or there are no random bytes.
    System(io::Error),
    /// It took too long.
    TimedOut,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolvable(error) => write!(f, "its name cannot be resolved: {error}"),
            Self::Unreachable(error) => write!(f, "it does not accept a connection: {error}"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::Name => f.write_str("TLS: no certificate can be for its name"),
            Self::Handshake(error) => write!(f, "its TLS handshake failed: {error}"),
            Self::Request(error) => write!(f, "its URL cannot be asked for: {error}"),
            Self::Http(error) => write!(f, "it does not answer as a web server does: {error}"),
            Self::Answer(answer) => answer.fmt(f),
            Self::System(error) => write!(f, "the system refused: {error}"),
            Self::TimedOut => f.write_str("it did not answer in time"),
        }
    }
}

impl std::error::Error for DialError {}

/// A connection that speaks WebSocket now.
pub(super) struct Called {
    /// The way there, not blocking.
    pub(super) transport: Transport,
    /// What was received behind the handshake.
    pub(super) early: Bytes,
}

/// Calls a peer once. The files of TLS are read anew each time, so that renewed ones count from the next call on.
pub(super) async fn dial(peer: &Peer, files: &PeerTls, resolver: &mut Resolver) -> Result<Called, DialError> {
    let config = peer.url.is_secure.then(|| tls::link_config(files)).transpose().map_err(DialError::Tls)?;
    let addresses = resolver.resolve(&peer.url.host, peer.url.port).await?;
    let stream = connect(&addresses).await.map_err(DialError::Unreachable)?;
    // Without it each small frame may wait 40 ms for the acknowledgement of the one before.
    stream.set_nodelay(true).map_err(DialError::System)?;
    let Some(config) = config else {
        let (stream, early) = upgrade(peer, stream).await?;
        let stream = stream.into_std().map_err(DialError::System)?;
        return Ok(Called { transport: Transport::plain(stream), early });
    };
    let name = ServerName::try_from(peer.url.host.to_string()).map_err(|_| DialError::Name)?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(DialError::Handshake)?;
    let (stream, early) = upgrade(peer, stream).await?;
    let (stream, session) = stream.into_inner();
    let stream = stream.into_std().map_err(DialError::System)?;
    Ok(Called { transport: Transport::secure(stream, session, Box::default()), early })
}

/// The first address that accepts.
async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for &address in addresses {
        // The only one has all the time there is.
        let most = if addresses.len() > 1 { ADDRESS_MAX } else { Duration::MAX };
        match timeout(most, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

/// Shakes hands; what is left of the stream, and what has been read of it already.
async fn upgrade<S>(peer: &Peer, stream: S) -> Result<(S, Bytes), DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let random = draw_seed().map_err(DialError::System)?;
    let key = Key::new(*random.first_chunk::<KEY_BYTES>().expect("a seed is longer than a key"));
    let request = request(peer, &key).map_err(DialError::Request)?;
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let (mut sender, connection) =
        client.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(DialError::Http)?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(DialError::Http)?;
        let headers = answer.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        key.check(answer.status().as_u16(), headers, &peer.protocols).map_err(DialError::Answer)?;
        hyper::upgrade::on(answer).await.map_err(DialError::Http)
    };
    let driving = async {
        // How it ends is known to whoever asked.
        drop(connection.with_upgrades().await);
        std::future::pending::<std::convert::Infallible>().await
    };
    let upgraded = tokio::select! {
        upgraded = asking => upgraded?,
        never = driving => match never {},
    };
    let parts = upgraded.downcast::<TokioIo<S>>().expect("it was made of such a stream above");
    Ok((parts.io.into_inner(), parts.read_buf))
}

fn request(peer: &Peer, key: &Key) -> hyper::http::Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(peer.url.target())
        .header(HOST, peer.url.host_header())
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, key.as_str());
    if !peer.protocols.is_empty() {
        request = request.header(SEC_WEBSOCKET_PROTOCOL, peer.protocols.join(", "));
    }
    request.body(Empty::new())
}

type Lookup = oneshot::Receiver<io::Result<Vec<SocketAddr>>>;

/// Looks one name up at a time, on a thread that nobody waits for: the system's resolver may take as long as it likes, and
/// neither a stop nor the next attempt may. A lookup that outlives its attempt serves the next.
#[derive(Default)]
pub(super) struct Resolver {
    pending: Option<Lookup>,
}

impl Resolver {
    async fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let lookup = match &mut self.pending {
            Some(lookup) => lookup,
            none => none.insert(look_up(host.to_owned(), port).map_err(DialError::System)?),
        };
        let found = lookup.await;
        self.pending = None;
        found.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(DialError::Unresolvable)
    }
}

fn look_up(host: String, port: u16) -> io::Result<Lookup> {
    let (found, lookup) = oneshot::channel();
    let body = move || {
        let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody may be waiting any more.
        drop(found.send(addresses));
    };
    std::thread::Builder::new().name("peer-name".into()).spawn(body)?;
    Ok(lookup)
}
