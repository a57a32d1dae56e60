//! The WebSocket handshakes of those who were accepted (`accepting.rs`), on the shard's own runtime.
//!
//! If connections are to be encrypted, TLS shakes hands first, within the same limits. hyper speaks HTTP until the 101 is out,
//! within a time limit; then the raw socket goes to the lobby, with whatever the client has sent already. Handshakes are bounded
//! in number: when there are too many, the oldest gives way, so that slow ones cannot lock others out.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL,
    UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::console::Handshakes;
use crate::identity::Token;
use crate::tls::{self, Credentials};
use crate::websocket::handshake::{self, Accepted, HttpVersion, Refusal};

use super::doorway::{Doorway, Visitor};
use super::lobby::{Lobby, Upgraded};
use super::transport::Transport;

/// Largest HTTP head of a handshake, in bytes. Cookies of a few KiB pass, floods do not.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest `Authorization` header that is kept, in bytes: whoever does not register keeps it for as long as he is connected.
const BEARER_BYTES_MAX: usize = 8 << 10;
/// Most header lines of a handshake.
const HEADERS_MAX: usize = 100;
/// The path that echoes, if it is switched on.
const ECHO_PATH: &str = "/echo";

/// What handshakes may cost.
#[derive(Clone, Copy, Debug)]
pub struct HandshakeLimits {
    /// Time from accept to 101.
    pub timeout: Duration,
    /// Most at a time on one shard.
    pub handshakes_max: usize,
    /// Whether `/echo` echoes.
    pub echo: bool,
    /// Whether tokens in the head count; else they are not kept.
    pub bearers: bool,
}

/// Shakes hands with somebody who was accepted; he then waits in the lobby.
pub async fn shake_hands(
    mut stream: TcpStream,
    mut visitor: Visitor,
    limits: HandshakeLimits,
    door: Arc<Doorway>,
    credentials: Option<Arc<Credentials>>,
    lobby: Lobby,
) {
    // Without it each small frame may wait 40 ms for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let agreeing = async {
        door.greet(&mut stream, &mut visitor).await.ok_or(Failure::Other)?;
        match credentials {
            None => agree(stream, limits, &door, &mut visitor).await,
            Some(credentials) => {
                let stream = encrypt(stream, &credentials).await?;
                lobby.count(|handshakes| &mut handshakes.encrypted);
                agree_in_secret(stream, limits, &door, &mut visitor).await
            }
        }
    };
    let (transport, agreed) = match tokio::time::timeout(limits.timeout, agreeing).await {
        Ok(Ok(agreed)) => agreed,
        Ok(Err(failure)) => return lobby.count(|handshakes| failure.count(handshakes)),
        Err(_) => return lobby.count(|handshakes| &mut handshakes.timed_out),
    };
    let Visitor { client, permit, .. } = visitor;
    lobby.enter(Upgraded {
        transport,
        early: agreed.early,
        echo: agreed.echo,
        client,
        permit,
        token: agreed.token,
    });
}

async fn agree(
    stream: TcpStream,
    limits: HandshakeLimits,
    door: &Doorway,
    visitor: &mut Visitor,
) -> Result<(Transport, Agreed), Failure> {
    let (stream, agreed) = speak_http(stream, limits, door, visitor).await?;
    let stream = stream.into_std().map_err(|_| Failure::Other)?;
    Ok((Transport::plain(stream), agreed))
}

/// Shakes hands for TLS.
async fn encrypt(stream: TcpStream, credentials: &Credentials) -> Result<TlsStream<TcpStream>, Failure> {
    let accepted = TlsAcceptor::from(credentials.current()).accept(stream).await;
    let stream = accepted.map_err(|error| {
        debug!(%error, "TLS handshake failed");
        Failure::Tls
    })?;
    acknowledge(stream.get_ref().0);
    Ok(stream)
}

/// The same through TLS, whose session the switchboard goes on with.
async fn agree_in_secret(
    stream: TlsStream<TcpStream>,
    limits: HandshakeLimits,
    door: &Doorway,
    visitor: &mut Visitor,
) -> Result<(Transport, Agreed), Failure> {
    let (stream, agreed) = speak_http(stream, limits, door, visitor).await?;
    let (stream, session) = stream.into_inner();
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let peer_names = shown.map(tls::names_of).unwrap_or_default();
    let stream = stream.into_std().map_err(|_| Failure::Other)?;
    Ok((Transport::secure(stream, session, peer_names), agreed))
}

/// Has what was received acknowledged at once. In TLS 1.3 the client has the last word, and as no ticket answers it, a client
/// with Nagle's algorithm would hold its request back for the 40 ms that the kernel takes over an acknowledgement.
fn acknowledge(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    // Without it, it is slow and nothing worse.
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Why a handshake came to nothing, as far as it is counted.
#[derive(Clone, Copy)]
enum Failure {
    Tls,
    Crowded,
    Origin,
    Other,
}

impl Failure {
    fn count(self, handshakes: &mut Handshakes) -> &mut u64 {
        match self {
            Self::Tls => &mut handshakes.tls,
            Self::Crowded => &mut handshakes.crowded,
            Self::Origin => &mut handshakes.origin,
            Self::Other => &mut handshakes.other,
        }
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Crowded => Self::Crowded,
            Refusal::Origin => Self::Origin,
            _ => Self::Other,
        }
    }
}

/// A handshake that was accepted.
struct Agreed {
    /// What the client sent after it.
    early: Bytes,
    echo: bool,
    token: Option<Token>,
}

/// Speaks HTTP on a connection until it is upgraded or done with.
async fn speak_http<S>(
    stream: S,
    limits: HandshakeLimits,
    door: &Doorway,
    visitor: &mut Visitor,
) -> Result<(S, Agreed), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Requests of one connection are answered one after the other, and never while another is.
    let visitor = RefCell::new(visitor);
    let agreed = RefCell::new(Err(Failure::Other));
    let service = service_fn(|mut request: Request<Incoming>| {
        let response = match answer(&request, door, &mut visitor.borrow_mut()) {
            Ok(accepted) => {
                let echo = limits.echo && request.uri().path() == ECHO_PATH;
                let token = limits.bearers.then(|| bearer(&request)).flatten();
                *agreed.borrow_mut() = Ok((hyper::upgrade::on(&mut request), echo, token));
                switch_protocols(&accepted)
            }
            Err(refusal) => {
                *agreed.borrow_mut() = Err(Failure::from(&refusal));
                refuse(refusal)
            }
        };
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        debug!(%error, "handshake failed");
        return Err(Failure::Other);
    }
    let (upgrade, echo, token) = agreed.into_inner()?;
    let upgraded = upgrade.await.map_err(|_| Failure::Other)?;
    let parts = upgraded.downcast::<TokioIo<S>>().map_err(|_| Failure::Other)?;
    Ok((parts.io.into_inner(), Agreed { early: parts.read_buf, echo, token }))
}

/// The token in the head of a handshake, if it has one that is not too long to keep until REGISTER.
fn bearer(request: &Request<Incoming>) -> Option<Token> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    (value.len() <= BEARER_BYTES_MAX).then(|| Token::of_header(value)).flatten()
}

/// What an HTTP request comes to: a proper handshake, or the refusal that fits.
fn answer(request: &Request<Incoming>, door: &Doorway, visitor: &mut Visitor) -> Result<Accepted, Refusal> {
    door.examine(request.headers(), visitor)?;
    let version =
        if request.version() == Version::HTTP_11 { HttpVersion::Since11 } else { HttpVersion::Before11 };
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    handshake::check(request.method().as_str(), version, headers)
}

fn switch_protocols(accepted: &Accepted) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accepted.accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let subprotocol = accepted.subprotocol.as_deref().and_then(|name| HeaderValue::from_str(name).ok());
    if let Some(subprotocol) = subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response
}

fn refuse(refusal: Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(refusal.body()));
    *response.status_mut() = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some((name, value)) = refusal.header() {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Instant;

    use std::os::fd::AsRawFd as _;
    use tokio::net::TcpListener;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::config::{Config, RawFlags};
    use crate::tls::PeerName;
    use crate::tls::testing::{Authority, Folder};

    use super::super::accepting::{ACCEPTS_AT_A_TIME, Porter, accept, bind};
    use std::rc::Rc;

    use super::super::lobby::HANDSHAKE;
    use super::*;

    const LIMITS: HandshakeLimits =
        HandshakeLimits { timeout: Duration::from_secs(10), handshakes_max: 8, echo: false, bearers: false };
    const HANDSHAKE_BYTES: &[u8] =
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn open_door(connections_max: Option<usize>) -> Arc<Doorway> {
        let (config, _) = Config::load(RawFlags::default(), std::iter::empty(), None, None).unwrap();
        Arc::new(Doorway::new(&Config { connections_max, ..config }))
    }

    fn porter(most: Option<usize>, credentials: Option<Arc<Credentials>>, lobby: &Lobby) -> Porter {
        Porter { limits: LIMITS, door: open_door(most), credentials, lobby: lobby.clone() }
    }

    /// Gives the runtime its turns until nothing has stirred for some.
    async fn visit(lobby: &Lobby) {
        let mut quiet = 0;
        while quiet < 4 {
            tokio::task::yield_now().await;
            quiet = if lobby.take_stirred() { 0 } else { quiet + 1 };
        }
    }

    /// Waits until the poller has word of a handshake, while the runtime has no turn at all.
    fn hear(poll: &mut mio::Poll) {
        let until = Instant::now() + Duration::from_secs(10);
        let mut events = mio::Events::with_capacity(8);
        while events.iter().all(|event| event.token() != HANDSHAKE) {
            assert!(Instant::now() < until, "nothing was heard");
            poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        }
    }

    #[tokio::test]
    async fn the_poller_says_when_a_handshake_wants_the_runtime_and_silence_never_does() {
        let mut poll = mio::Poll::new().unwrap();
        let lobby = Lobby::new(poll.registry().try_clone().unwrap(), Rc::new(|| {}));
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let local = tokio::task::LocalSet::new();
        local.spawn_local(accept(listener, false, None, porter(None, None, &lobby)));
        local
            .run_until(async {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                while !lobby.take_stirred() {
                    tokio::task::yield_now().await;
                }
                visit(&lobby).await;
                hear(&mut poll);
                visit(&lobby).await;
                // It has been let in and is silent: nothing more is heard of it, and nothing holds the runtime.
                let mut events = mio::Events::with_capacity(8);
                poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
                assert!(events.is_empty() && !lobby.is_pausing() && lobby.is_empty());
                let (head, rest) = HANDSHAKE_BYTES.split_at(40);
                client.write_all(head).unwrap();
                hear(&mut poll);
                visit(&lobby).await;
                client.write_all(rest).unwrap();
                hear(&mut poll);
                visit(&lobby).await;
                let upgraded = lobby.next().expect("its handshake is done");
                let mut answer = [0; 12];
                client.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"HTTP/1.1 101");
                // From here on somebody else watches it.
                let mut source = mio::unix::SourceFd(&upgraded.transport.as_raw_fd());
                poll.registry().register(&mut source, mio::Token(1), mio::Interest::READABLE).unwrap();
            })
            .await;
    }

    #[tokio::test]
    async fn the_names_that_a_client_proves_come_in_with_it() {
        let (folder, authority) = (Folder::new(), Authority::new("ca"));
        let issued = authority.server("x.test");
        let ca = folder.write("ca.pem", &authority.pem());
        let files = crate::config::TlsFiles {
            certificate: folder.write("cert.pem", &issued.chain),
            key: folder.write("key.pem", &issued.key),
            client_ca: Some(ca.clone()),
            client_cert_required: false,
        };
        let credentials = tls::Watch::start(&files, 0).unwrap().credentials();
        let own = authority.client("alice.test");
        let (chain, key) = (folder.write("own.pem", &own.chain), folder.write("own.key", &own.key));
        let known = tls::client_config(Some(&ca), Some((&chain, &key))).unwrap();
        let nobody = tls::client_config(Some(&ca), None).unwrap();
        let poll = mio::Poll::new().unwrap();
        let lobby = Lobby::new(poll.registry().try_clone().unwrap(), Rc::new(|| {}));
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let local = tokio::task::LocalSet::new();
        local.spawn_local(accept(listener, false, None, porter(None, Some(credentials), &lobby)));
        local
            .run_until(async {
                let mut found = Vec::new();
                for config in [known, nobody] {
                    let stream = TcpStream::connect(address).await.unwrap();
                    let mut stream = tls::shake_hands(&config, "x.test", stream).await.unwrap();
                    stream.write_all(HANDSHAKE_BYTES).await.unwrap();
                    stream.read_exact(&mut [0; 12]).await.unwrap();
                    visit(&lobby).await;
                    found.push(lobby.next().expect("its handshake is done").transport.peer_names().to_vec());
                }
                let name = Box::<str>::from("alice.test");
                assert_eq!(
                    found,
                    [vec![PeerName::CommonName(name.clone()), PeerName::Dns(name)], Vec::new()]
                );
            })
            .await;
    }

    /// After some that were refused in a row, the others waited for the next to knock.
    #[tokio::test]
    async fn callers_that_are_refused_are_refused_all_at_once() {
        const CALLERS: usize = 10 * ACCEPTS_AT_A_TIME as usize;
        let poll = mio::Poll::new().unwrap();
        let lobby = Lobby::new(poll.registry().try_clone().unwrap(), Rc::new(|| {}));
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let local = tokio::task::LocalSet::new();
        local.spawn_local(accept(listener, false, None, porter(Some(0), None, &lobby)));
        let connect = |_| std::net::TcpStream::connect(address).unwrap();
        let mut callers: Vec<_> = (0..CALLERS).map(connect).collect();
        local.run_until(visit(&lobby)).await;
        for caller in &mut callers {
            caller.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            assert!(matches!(caller.read(&mut [0]), Ok(0)), "it is still at the door");
        }
    }
}
