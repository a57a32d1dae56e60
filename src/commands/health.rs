//! `systemx health`: asks a running exchange for one HEARTBEAT_ACK over a real WebSocket, as a container's health check. A process
//! that listens and does not switch calls any more must fail it, so a TCP connect or a HTTP answer is not enough. Needs no
//! registration (spec 7), leaves no trace but a closed connection, and says in one line what it found.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use fastwebsockets::{Frame, OpCode, Payload, WebSocket, WebSocketError, handshake};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{complain, print};
use crate::config::{RawFlags, process};
use crate::proxy::{self, Networks};
use crate::tls::{self, TlsError};

/// An exchange that needs longer does not serve anybody well. Container health checks allow more than this.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// The port if neither a URL nor a readable configuration names one (spec 21).
const PORT_DEFAULT: u16 = 8080;
/// The ports of `ws://` and `wss://` URLs that name none (RFC 6455).
const WS_PORT: u16 = 80;
const WSS_PORT: u16 = 443;
const HEARTBEAT: &[u8] = br#"{"type":"HEARTBEAT"}"#;

/// The arguments of `systemx health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The exchange to ask [default: ws://127.0.0.1:PORT with the port this directory and environment configure]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Certificate chain to show to an exchange that demands one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// How an exchange is asked.
#[derive(Debug)]
struct Way {
    trust: Trust,
    /// Chain and key that are shown to an exchange that demands a certificate.
    identity: Option<(PathBuf, PathBuf)>,
    /// Who has to begin with a PROXY protocol header.
    proxies: Networks,
}

/// Asks the exchange that the arguments name, or the one that is configured here; exit code 0 if it answers in time.
pub fn run(args: HealthArgs) -> ExitCode {
    let identity = args.cert.zip(args.key);
    let (url, trust, proxies) = match args.url {
        Some(url) => (url, Trust::Machine, Networks::default()),
        None => {
            let (url, proxies) = configured();
            (url, Trust::Anybody, proxies)
        }
    };
    match check(&url, &Way { trust, identity, proxies }, ANSWER_LIMIT) {
        Ok(()) => print(&format!("healthy: {url} answered HEARTBEAT\n")),
        Err(error) => {
            complain([format_args!("unhealthy: {url} {error}")]);
            ExitCode::FAILURE
        }
    }
}

/// Who has to vouch for an exchange that is asked by TLS.
#[derive(Clone, Copy, Debug)]
enum Trust {
    /// An authority that this machine trusts.
    Machine,
    /// Nobody: it is this machine's own, asked at its loopback, and its certificate is for another name.
    Anybody,
}

/// Why an exchange is not healthy. Completes the sentence that begins with its URL.
#[derive(Debug)]
enum HealthError {
    Url,
    Tls(TlsError),
    Runtime(io::Error),
    Connect(io::Error),
    Handshake(WebSocketError),
    Conversation(WebSocketError),
    Closed,
    Late(Duration),
}

impl fmt::Display for HealthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthError::Url => f.write_str("is not of the form ws://HOST[:PORT][/PATH] or wss://..."),
            HealthError::Tls(error) => write!(f, "cannot be asked: {error}"),
            HealthError::Runtime(error) => write!(f, "cannot be asked: {error}"),
            HealthError::Connect(error) => write!(f, "cannot be reached: {error}"),
            HealthError::Handshake(error) => write!(f, "does not take a WebSocket: {error}"),
            HealthError::Conversation(error) => write!(f, "broke the connection: {error}"),
            HealthError::Closed => f.write_str("closed the connection before it answered HEARTBEAT"),
            HealthError::Late(limit) => write!(f, "did not answer within {} ms", limit.as_millis()),
        }
    }
}

/// The exchange that would be started here, as it is reached from this machine, and whom it takes for proxies that send headers.
fn configured() -> (String, Networks) {
    let Ok((config, _)) = process::load(RawFlags::default()) else {
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT_DEFAULT);
        return (format!("ws://{local}"), Networks::default());
    };
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    let proxies = if config.proxy_protocol { config.trusted_proxies } else { Networks::default() };
    (format!("{scheme}://{}", reachable(config.listen)), proxies)
}

/// "Any address" is no address to connect to; the loopback of its family is.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Everything, within a limit.
fn check(url: &str, way: &Way, limit: Duration) -> Result<(), HealthError> {
    let uri: Uri = url.parse().map_err(|_| HealthError::Url)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HealthError::Runtime)?;
    let answer = runtime.block_on(async { tokio::time::timeout(limit, converse(&uri, way)).await });
    answer.map_err(|_| HealthError::Late(limit))?
}

async fn converse(uri: &Uri, way: &Way) -> Result<(), HealthError> {
    let mut socket = connect(uri, way).await?;
    socket.write_frame(Frame::text(Payload::Borrowed(HEARTBEAT))).await.map_err(HealthError::Conversation)?;
    loop {
        let frame = socket.read_frame().await.map_err(HealthError::Conversation)?;
        match frame.opcode {
            OpCode::Text if is_heartbeat_ack(&frame.payload) => break,
            OpCode::Close => return Err(HealthError::Closed),
            OpCode::Text | OpCode::Binary | OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
        }
    }
    const NORMAL_CLOSURE: u16 = 1000;
    // The answer is what counts; an exchange that is gone by now was healthy when it was asked.
    let _ = socket.write_frame(Frame::close(NORMAL_CLOSURE, b"")).await;
    Ok(())
}

async fn connect(uri: &Uri, way: &Way) -> Result<WebSocket<TokioIo<Upgraded>>, HealthError> {
    let (Some(scheme @ ("ws" | "wss")), Some(host), Some(authority)) =
        (uri.scheme_str(), uri.host(), uri.authority())
    else {
        return Err(HealthError::Url);
    };
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let port = if scheme == "wss" { WSS_PORT } else { WS_PORT };
    let address = (bare_host, uri.port_u16().unwrap_or(port));
    let stream = reach(address, &way.proxies).await.map_err(HealthError::Connect)?;
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority.as_str())
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_KEY, handshake::generate_key())
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())
        .map_err(|_| HealthError::Url)?;
    let executor = TokioExecutor::new();
    let upgraded = if scheme == "wss" {
        let identity = way.identity.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
        let config = match way.trust {
            Trust::Machine => tls::client_config(None, identity),
            Trust::Anybody => tls::unverified_client_config(identity),
        };
        let stream = tls::shake_hands(&config.map_err(HealthError::Tls)?, bare_host, stream).await;
        handshake::client(&executor, request, stream.map_err(HealthError::Connect)?).await
    } else {
        handshake::client(&executor, request, stream).await
    };
    upgraded.map(|(socket, _response)| socket).map_err(HealthError::Handshake)
}

/// Connects. If this machine counts as a proxy that sends headers, it sends one: it speaks for itself.
async fn reach(address: (&str, u16), proxies: &Networks) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    if proxies.contains(stream.local_addr()?.ip()) {
        stream.write_all(&proxy::LOCAL_HEADER).await?;
    }
    Ok(stream)
}

fn is_heartbeat_ack(payload: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Typed<'a> {
        r#type: &'a str,
    }
    serde_json::from_slice::<Typed<'_>>(payload).is_ok_and(|frame| frame.r#type == "HEARTBEAT_ACK")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    fn plain() -> Way {
        Way { trust: Trust::Machine, identity: None, proxies: Networks::default() }
    }

    /// Long enough for a busy machine; a healthy answer does not wait for it.
    const LIMIT: Duration = Duration::from_secs(20);

    /// An independent server that takes one WebSocket, expects HEARTBEAT, sends the answers, and waits for the end.
    fn server(answers: &'static [&'static str]) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
        let url = format!("ws://{}/any?path", listener.local_addr().expect("it is bound"));
        let serve = async move || {
            listener.set_nonblocking(true).expect("a socket can be made non-blocking");
            let listener = tokio::net::TcpListener::from_std(listener).expect("inside a runtime");
            let (stream, _) = listener.accept().await.expect("the check connects");
            let mut socket =
                tokio_tungstenite::accept_async(stream).await.expect("the check sends a handshake");
            let asked = socket.next().await.expect("a frame").expect("a valid frame");
            for answer in answers {
                socket.send(Message::text(*answer)).await.expect("the check listens");
            }
            socket.next().await;
            asked.to_string()
        };
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(serve())
        };
        (url, thread::spawn(run))
    }

    #[test]
    fn an_exchange_that_answers_is_healthy() {
        let (url, server) = server(&["{\"type\":\"OTHER\"}", "{\"type\":\"HEARTBEAT_ACK\",\"timestamp\":1}"]);
        check(&url, &plain(), LIMIT).expect("the server answers");
        assert_eq!(server.join().expect("the server ends"), "{\"type\":\"HEARTBEAT\"}");
    }

    #[test]
    fn an_exchange_that_says_something_else_is_not() {
        let (url, server) = server(&["{\"type\":\"ERROR\",\"reason\":\"HEARTBEAT_ACK\"}"]);
        let error = check(&url, &plain(), Duration::from_millis(300)).expect_err("the answer never comes");
        assert!(matches!(error, HealthError::Late(_)), "{error}");
        server.join().expect("the server ends");
    }

    #[test]
    fn a_port_nobody_listens_on_is_not_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
        let url = format!("ws://{}", listener.local_addr().expect("it is bound"));
        drop(listener);
        assert!(matches!(check(&url, &plain(), LIMIT), Err(HealthError::Connect(_))));
    }

    #[test]
    fn other_urls_are_refused_before_anything_is_sent() {
        for url in ["wsx://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1", "", "ws://"] {
            assert!(matches!(check(url, &plain(), LIMIT), Err(HealthError::Url)), "{url}");
        }
    }

    #[test]
    fn any_address_is_asked_at_its_loopback() {
        for (listen, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), asked);
        }
    }
}
