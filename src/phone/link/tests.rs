//! The link and the whole phone against a small exchange made with tokio-tungstenite.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

/// Every expectation below is met at once; this only keeps a broken test from hanging.
const PATIENCE: Duration = Duration::from_secs(20);

type Peer = WebSocketStream<TcpStream>;

struct Rig {
    listener: TcpListener,
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<LinkEvent>,
}

impl Rig {
    async fn start() -> Rig {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let endpoint = endpoint(listener.local_addr().expect("a bound socket has an address"));
        let (orders, taken) = mpsc::channel(16);
        let (sent, events) = mpsc::channel(16);
        tokio::spawn(keep_up(endpoint, None, true, taken, sent));
        Rig { listener, orders, events }
    }

    async fn accept(&mut self) -> Peer {
        let accepted =
            timeout(PATIENCE, self.listener.accept()).await.expect("in time").expect("a connection");
        let peer = tokio_tungstenite::accept_async(accepted.0).await.expect("a handshake");
        self.expect(LinkEvent::Open).await;
        peer
    }

    async fn next(&mut self) -> LinkEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("in time").expect("an event")
    }

    async fn expect(&mut self, expected: LinkEvent) {
        assert_eq!(self.next().await, expected);
    }

    async fn order(&self, text: &str) {
        self.orders.send(Order::Text(text.to_owned())).await.expect("the link takes orders");
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::parse(&format!("ws://{address}/phones?kind=test")).expect("a good URL")
}

async fn receive(peer: &mut Peer) -> Message {
    timeout(PATIENCE, peer.next()).await.expect("in time").expect("a message").expect("no error")
}

#[tokio::test]
async fn messages_pass_both_ways_and_pings_are_answered() {
    let mut rig = Rig::start().await;
    let mut peer = rig.accept().await;
    rig.order("up").await;
    assert_eq!(receive(&mut peer).await, Message::text("up"));
    peer.send(Message::binary(b"down".to_vec())).await.expect("sent");
    rig.expect(LinkEvent::Text("down".to_owned())).await;
    peer.send(Message::Ping(b"there?".to_vec().into())).await.expect("sent");
    assert_eq!(receive(&mut peer).await, Message::Pong(b"there?".to_vec().into()));
}

#[tokio::test]
async fn a_large_message_passes_both_ways() {
    let mut rig = Rig::start().await;
    let mut peer = rig.accept().await;
    let large = "x".repeat(3 * 1024 * 1024);
    rig.order(&large).await;
    assert_eq!(receive(&mut peer).await, Message::text(large.clone()));
    peer.send(Message::text(large.clone())).await.expect("sent");
    rig.expect(LinkEvent::Text(large)).await;
}

#[tokio::test]
async fn after_a_loss_it_connects_again_and_old_orders_are_forgotten() {
    let mut rig = Rig::start().await;
    drop(rig.accept().await);
    assert!(matches!(rig.next().await, LinkEvent::Lost { code: None, .. }));
    rig.order("too late").await;
    assert!(matches!(rig.next().await, LinkEvent::Retry(_)));
    let mut peer = rig.accept().await;
    rig.order("fresh").await;
    assert_eq!(receive(&mut peer).await, Message::text("fresh"));
}

#[tokio::test]
async fn a_close_by_the_exchange_is_answered_and_told_with_its_code() {
    let mut rig = Rig::start().await;
    let mut peer = rig.accept().await;
    let frame = CloseFrame { code: 4000.into(), reason: "replaced".into() };
    peer.send(Message::Close(Some(frame))).await.expect("sent");
    rig.expect(LinkEvent::Lost { code: Some(4000), reason: "replaced".to_owned() }).await;
    assert!(matches!(receive(&mut peer).await, Message::Close(Some(frame)) if u16::from(frame.code) == 4000));
}

#[tokio::test]
async fn its_own_close_carries_the_code_and_ends_the_connection() {
    let mut rig = Rig::start().await;
    let mut peer = rig.accept().await;
    rig.orders.send(Order::Close(4000, "heartbeat_timeout")).await.expect("taken");
    let Message::Close(Some(frame)) = receive(&mut peer).await else { panic!("a close frame was expected") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "heartbeat_timeout"));
    // tungstenite answers a close frame when it is asked for the next message.
    peer.next().await;
    rig.expect(LinkEvent::Lost { code: Some(4000), reason: "heartbeat_timeout".to_owned() }).await;
}

#[tokio::test]
async fn an_exchange_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let endpoint = endpoint(listener.local_addr().expect("a bound socket has an address"));
    drop(listener);
    let (_orders, taken) = mpsc::channel(1);
    let (sent, mut events) = mpsc::channel(1);
    tokio::spawn(keep_up(endpoint, None, true, taken, sent));
    assert!(matches!(events.recv().await, Some(LinkEvent::Failed(_))));
    assert!(matches!(events.recv().await, Some(LinkEvent::Retry(_))));
}

#[test]
fn the_wait_before_a_reconnect_doubles_from_one_second_to_thirty() {
    let ceilings: Vec<u64> = (0..8).map(highest_wait_ms).collect();
    assert_eq!(ceilings, [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert_eq!(highest_wait_ms(u32::MAX), 30_000);
    assert_eq!(backoff(3, 0), Duration::ZERO);
}

/// The jitter takes the random number modulo ceiling + 1, so some number below it gives the ceiling.
fn highest_wait_ms(attempt: u32) -> u64 {
    let waits = (0..=BACKOFF_MS_MAX).map(|random| backoff(attempt, random));
    waits.max().map_or(0, |wait| u64::try_from(wait.as_millis()).expect("a short wait"))
}

#[test]
fn only_plain_websocket_urls_are_taken() {
    let secure = Endpoint::parse("wss://x.test").expect("it is fine");
    assert_eq!((secure.port, secure.is_secure), (443, true));
    assert_eq!(Endpoint::parse("http://x.test"), Err(UrlError::Scheme));
    assert_eq!(Endpoint::parse("localhost:8080"), Err(UrlError::Scheme));
    assert_eq!(Endpoint::parse("ws://"), Err(UrlError::Unreadable));
    let endpoint = Endpoint::parse("ws://[::1]/x").expect("an IPv6 address is fine");
    assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 80));
}
