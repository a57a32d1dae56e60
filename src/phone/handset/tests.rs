//! The whole phone over a real socket, against a few lines of exchange made with tokio-tungstenite.
//! What it prints is checked in the session's tests; here it is what goes over the wire.

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;

/// Every expectation below is met at once; this only keeps a broken test from hanging.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    phone: PhoneArgs,
}

/// The exchange's end of the phone's link.
struct Exchange(WebSocketStream<TcpStream>);

impl Exchange {
    async fn accept(listener: &TcpListener) -> Exchange {
        let accepted = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a connection");
        let mut exchange = Exchange(tokio_tungstenite::accept_async(accepted.0).await.expect("a handshake"));
        exchange.expect(json!({"type": "HEARTBEAT"})).await;
        exchange.expect(json!({"type": "REGISTER", "address": "a@x.test"})).await;
        exchange.send(json!({"type": "REGISTERED", "address": "a@x.test", "session_id": "s"})).await;
        exchange
    }

    async fn expect(&mut self, frame: Value) {
        let text = self.next().await.into_text().expect("a text message");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), frame);
    }

    async fn next(&mut self) -> Message {
        timeout(PATIENCE, self.0.next()).await.expect("in time").expect("a message").expect("no error")
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("sent");
    }

    async fn expect_close(mut self, code: u16) {
        assert!(matches!(self.next().await, Message::Close(Some(frame)) if u16::from(frame.code) == code));
        // Asking once more sends the answer to the close frame.
        self.0.next().await;
    }
}

/// Runs a phone with these flags against the exchange that the other future plays.
async fn check<F>(flags: &str, exchange: impl FnOnce(TcpListener) -> F, expected: Outcome)
where
    F: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let endpoint =
        Endpoint::parse(&format!("ws://{}", listener.local_addr().expect("bound"))).expect("a good URL");
    // `--json` makes it a script also when the tests run in a terminal.
    let flags = format!("phone --json --address a@x.test {flags}");
    let line = Line::try_parse_from(flags.split(' ').filter(|flag| !flag.is_empty())).expect("good flags");
    let (outcome, ()) = tokio::join!(run(&line.phone, endpoint, None, None), exchange(listener));
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn it_registers_dials_talks_and_leaves_when_the_other_end_hangs_up() {
    let exchange = async |listener: TcpListener| {
        let mut exchange = Exchange::accept(&listener).await;
        exchange.expect(json!({"type": "DIAL", "to": "b@x.test", "ref": "phone-1"})).await;
        exchange.send(json!({"type": "DIALING", "to": "b@x.test", "ref": "phone-1", "call_id": "c"})).await;
        exchange.send(json!({"type": "CONNECTED", "to": "b@x.test", "ref": "phone-1", "call_id": "c"})).await;
        for said in ["one", "two"] {
            exchange
                .expect(json!({"type": "MSG", "call_id": "c", "data": said, "content_type": "text"}))
                .await;
        }
        exchange.send(json!({"type": "HANGUP", "call_id": "c", "reason": "normal"})).await;
        exchange.expect_close(1000).await;
    };
    check("--dial b@x.test --message one --message two", exchange, Outcome::Success).await;
}

#[tokio::test]
async fn it_reports_failure_when_the_dial_is_refused() {
    let exchange = async |listener: TcpListener| {
        let mut exchange = Exchange::accept(&listener).await;
        exchange.expect(json!({"type": "DIAL", "to": "b@x.test", "ref": "phone-1"})).await;
        exchange.send(json!({"type": "BUSY", "to": "b@x.test", "reason": "no_such_address"})).await;
        exchange.expect_close(1000).await;
    };
    check("--dial b@x.test", exchange, Outcome::Failure).await;
}

#[tokio::test]
async fn it_answers_hangs_up_when_its_time_is_over_and_reconnects_before_that() {
    let exchange = async |listener: TcpListener| {
        drop(Exchange::accept(&listener).await);
        let mut exchange = Exchange::accept(&listener).await;
        exchange.send(json!({"type": "RING", "from": "b@x.test", "call_id": "c"})).await;
        exchange.expect(json!({"type": "ANSWER", "call_id": "c"})).await;
        exchange.expect(json!({"type": "HANGUP", "call_id": "c"})).await;
        exchange.expect_close(1000).await;
    };
    // The reconnect waits at most one second.
    check("--answer --run-seconds 5", exchange, Outcome::Success).await;
}

#[tokio::test]
async fn without_reconnect_it_ends_with_the_link() {
    let exchange = async |listener: TcpListener| drop(Exchange::accept(&listener).await);
    check("--answer --no-reconnect", exchange, Outcome::Failure).await;
}
