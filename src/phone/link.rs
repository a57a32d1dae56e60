//! The phone's connection: connects, carries text messages both ways, and reconnects.
//! It knows WebSocket and nothing of what the messages say.
//! Reading is a task of its own because fastwebsockets' reader is not safe to cancel; it hands whole
//! messages to the link through a channel, which is.
//! Invariant: events come in the order `Open`, messages, `Lost`, and an order given before `Open`
//! is never sent on a later connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError, WebSocketWrite, handshake,
};
use http_body_util::Empty;
use hyper::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// First ceiling of the wait before a reconnect (spec section 25).
const BACKOFF_MS_MIN: u64 = 1_000;
/// Highest ceiling of the wait before a reconnect (spec section 25).
const BACKOFF_MS_MAX: u64 = 30_000;
/// A connection that lasted this long was a good one: the next wait starts small again.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);
/// Limit for connecting and for the handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit for one write; an exchange that takes nothing for so long is as good as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the exchange's answer to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest message the phone takes, as large as the exchange sends (spec section 1), with room for
/// the envelope it adds.
const MESSAGE_BYTES_MAX: usize = 17 * 1024 * 1024;
/// Messages read and not looked at yet. Small, so that a slow terminal slows the exchange down.
const INBOUND_MAX: usize = 16;
/// The ports of `ws://` and `wss://` without one.
const PORTS_DEFAULT: [u16; 2] = [80, 443];

/// A checked `ws://` or `wss://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
    /// Whether it is to be called by TLS.
    pub(super) is_secure: bool,
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlError {
    Unreadable,
    Scheme,
    Host,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Unreadable => "not a URL",
            UrlError::Scheme => "the scheme must be ws:// or wss://",
            UrlError::Host => "the host is missing",
        })
    }
}

impl Endpoint {
    /// Checks a URL such as `ws://localhost:8080`.
    pub(super) fn parse(url: &str) -> Result<Endpoint, UrlError> {
        let uri: Uri = url.parse().map_err(|_| UrlError::Unreadable)?;
        let is_secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(UrlError::Scheme),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let port = uri.port_u16().unwrap_or(PORTS_DEFAULT[usize::from(is_secure)]);
        Ok(Endpoint { uri, host, port, is_secure })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// What the link is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Send one text message.
    Text(String),
    /// Close with this code and reason.
    Close(u16, &'static str),
}

/// What the link tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkEvent {
    Open,
    /// One whole message, text or binary, as text.
    Text(String),
    /// Connected no more. `code` is absent when no close frame came.
    Lost {
        code: Option<u16>,
        reason: String,
    },
    /// Could not connect.
    Failed(String),
    /// The next attempt follows after this wait.
    Retry(Duration),
}

/// Connects, and keeps connecting after each loss if `reconnect`. Returns when the last connection is
/// over, or when nobody gives orders or takes events any more. `tls` is whom a `wss://` endpoint is to be vouched for by.
pub(super) async fn keep_up(
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
    reconnect: bool,
    mut orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<LinkEvent>,
) {
    let mut attempt = 0;
    loop {
        let started = Instant::now();
        let ending = match timeout(CONNECT_TIMEOUT, connect(&endpoint, tls.as_ref())).await {
            Ok(Ok(socket)) => converse(socket, &mut orders, &events).await,
            Ok(Err(error)) => LinkEvent::Failed(error.to_string()),
            Err(_) => LinkEvent::Failed("no answer in time".to_owned()),
        };
        if events.send(ending).await.is_err() || !reconnect || orders.is_closed() {
            return;
        }
        attempt = if started.elapsed() >= GOOD_CONNECTION { 0 } else { attempt + 1 };
        let wait = backoff(attempt, random());
        if events.send(LinkEvent::Retry(wait)).await.is_err() {
            return;
        }
        sleep(wait).await;
    }
}

/// The wait before a reconnect: anything between zero and a ceiling that doubles with each failed attempt,
/// so that a thousand phones do not come back in the same instant.
fn backoff(attempt: u32, random: u64) -> Duration {
    let doubled =
        BACKOFF_MS_MIN.saturating_mul(1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX));
    let ceiling = doubled.min(BACKOFF_MS_MAX);
    Duration::from_millis(random % (ceiling + 1))
}

/// A number nobody can guess is not needed here, only one that differs between phones.
fn random() -> u64 {
    ahash::RandomState::new().hash_one(std::process::id())
}

type Socket = TokioIo<Upgraded>;

async fn connect(
    endpoint: &Endpoint,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<fastwebsockets::WebSocket<Socket>, WebSocketError> {
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    tcp.set_nodelay(true)?;
    let path = endpoint.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = endpoint.uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_KEY, handshake::generate_key())
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|_| WebSocketError::InvalidValue)?;
    let executor = TokioExecutor::new();
    let (socket, _response) = match tls {
        None => handshake::client(&executor, request, tcp).await?,
        Some(tls) => {
            let stream = crate::tls::shake_hands(tls, &endpoint.host, tcp).await?;
            handshake::client(&executor, request, stream).await?
        }
    };
    Ok(socket)
}

/// Carries messages until the connection ends, and says how it ended.
async fn converse(
    socket: fastwebsockets::WebSocket<Socket>,
    orders: &mut mpsc::Receiver<Order>,
    events: &mpsc::Sender<LinkEvent>,
) -> LinkEvent {
    // What was ordered while the last connection was dying has lost its meaning.
    while orders.try_recv().is_ok() {}
    let (mut reader, writer) = socket.split(tokio::io::split::<Socket>);
    // Pings and closes are answered below, by the half that may write.
    reader.set_auto_pong(false);
    reader.set_auto_close(false);
    reader.set_max_message_size(MESSAGE_BYTES_MAX);
    let (inbound_tx, inbound) = mpsc::channel(INBOUND_MAX);
    let reading = tokio::spawn(read_all(FragmentCollectorRead::new(reader), inbound_tx));
    let mut talk = Talk { writer, inbound, events, closing: None };
    let ending = talk.run(orders).await;
    reading.abort();
    ending
}

/// What the reading task hands over.
enum Inbound {
    Message(String),
    Ping(Vec<u8>),
    Closed(Option<u16>, String),
    Broken(String),
}

async fn read_all(mut reader: FragmentCollectorRead<ReadHalf<Socket>>, inbound: mpsc::Sender<Inbound>) {
    // Never called: automatic answers are off.
    let mut answer = |_: Frame<'_>| std::future::ready(Ok::<(), WebSocketError>(()));
    loop {
        let next = match reader.read_frame(&mut answer).await {
            Ok(frame) => match frame.opcode {
                OpCode::Text | OpCode::Binary => {
                    Inbound::Message(String::from_utf8_lossy(&frame.payload).into_owned())
                }
                OpCode::Ping => Inbound::Ping(frame.payload.to_vec()),
                OpCode::Close => closed(&frame.payload),
                OpCode::Pong | OpCode::Continuation => continue,
            },
            Err(error) => Inbound::Broken(error.to_string()),
        };
        let last = matches!(next, Inbound::Closed(..) | Inbound::Broken(_));
        if inbound.send(next).await.is_err() || last {
            return;
        }
    }
}

fn closed(payload: &[u8]) -> Inbound {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            Inbound::Closed(Some(code), String::from_utf8_lossy(reason).into_owned())
        }
        _ => Inbound::Closed(None, "closed".to_owned()),
    }
}

/// One connection while it is up.
struct Talk<'a> {
    writer: WebSocketWrite<WriteHalf<Socket>>,
    inbound: mpsc::Receiver<Inbound>,
    events: &'a mpsc::Sender<LinkEvent>,
    /// The close frame this side sent, and until when the answer may come.
    closing: Option<(u16, &'static str, Instant)>,
}

impl Talk<'_> {
    async fn run(&mut self, orders: &mut mpsc::Receiver<Order>) -> LinkEvent {
        if self.events.send(LinkEvent::Open).await.is_err() {
            return lost(None, "nobody listens");
        }
        loop {
            let patience = self.closing.map_or(Instant::now() + WRITE_TIMEOUT, |(_, _, until)| until);
            let ending = tokio::select! {
                inbound = self.inbound.recv() => self.on_inbound(inbound).await,
                order = orders.recv(), if self.closing.is_none() => self.on_order(order).await,
                () = tokio::time::sleep_until(patience), if self.closing.is_some() => Some(lost(None, "closed")),
            };
            match (ending, self.closing) {
                (None, _) => {}
                // The answer to our own close frame repeats our code; a missing answer does not matter.
                (Some(_), Some((code, reason, _))) => return lost(Some(code), reason),
                (Some(ending), None) => return ending,
            }
        }
    }

    async fn on_inbound(&mut self, inbound: Option<Inbound>) -> Option<LinkEvent> {
        match inbound {
            Some(Inbound::Message(text)) => {
                let taken = self.events.send(LinkEvent::Text(text)).await;
                taken.is_err().then(|| lost(None, "nobody listens"))
            }
            Some(Inbound::Ping(payload)) => self.write(Frame::pong(Payload::Owned(payload))).await,
            Some(Inbound::Closed(code, reason)) => {
                if self.closing.is_none() {
                    let answer = code
                        .map_or(Frame::close_raw(Payload::Owned(Vec::new())), |code| Frame::close(code, b""));
                    // The connection is over, whether this answer still gets out or not.
                    self.write(answer).await;
                }
                Some(lost(code, &reason))
            }
            Some(Inbound::Broken(error)) => Some(lost(None, &error)),
            None => Some(lost(None, "the reader has stopped")),
        }
    }

    async fn on_order(&mut self, order: Option<Order>) -> Option<LinkEvent> {
        match order {
            Some(Order::Text(text)) => self.write(Frame::text(Payload::Owned(text.into_bytes()))).await,
            Some(Order::Close(code, reason)) => {
                self.closing = Some((code, reason, Instant::now() + CLOSE_TIMEOUT));
                self.write(Frame::close(code, reason.as_bytes())).await
            }
            None => Some(lost(None, "nobody gives orders")),
        }
    }

    async fn write(&mut self, frame: Frame<'static>) -> Option<LinkEvent> {
        match timeout(WRITE_TIMEOUT, self.writer.write_frame(frame)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(lost(None, &error.to_string())),
            Err(_) => Some(lost(None, "the exchange takes no data")),
        }
    }
}

fn lost(code: Option<u16>, reason: &str) -> LinkEvent {
    LinkEvent::Lost { code, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
