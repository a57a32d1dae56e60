//! Call records by webhook: batches of JSON, posted to one URL.
//!
//! Each batch has an `Idempotency-Key`, the same each time that it is sent, so a receiver that has taken it already can tell. A
//! batch that the receiver refuses for what is in it is lost at once, or it would block all that follow; how batches are sent
//! is `delivery`'s. The URL and the token reach no log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::CallRecord;
use super::delivery::{Delivery, DeliveryError, Form, Parcel, Rebuff, Receiver, Start};
use super::record::encode_object;
use crate::exchange::tie::Secret;

/// By this header a receiver knows a batch that it has had before.
const BATCH_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// How long the receiver may take for a batch.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What the sender is told at the start.
#[derive(Debug)]
pub struct Settings {
    /// Where to: http or https, checked.
    pub url: Secret,
    /// What goes along as a bearer token.
    pub token: Option<Secret>,
    /// What this exchange is called in the records.
    pub node: Box<str>,
    /// The wall clock, in milliseconds since 1970.
    pub clock_unix_ms: fn() -> u64,
    /// Bytes that nobody can guess: names of batches and jitter are made of them.
    pub seed: [u8; 32],
}

/// Starts the sender.
///
/// # Errors
/// If no request can be made of the settings, or the thread cannot be started.
pub fn start(settings: Settings) -> Result<Delivery, DeliveryError> {
    let Settings { url, token, node, clock_unix_ms, seed } = settings;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, JSON);
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
        let mut value = value.map_err(|_| DeliveryError::Unusable)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let receiver = Receiver { url, headers, answer_limit: ANSWER_LIMIT };
    Delivery::start(Batches::new(node, &seed), Start { receiver, clock_unix_ms, seed })
}

/// The form of batches.
struct Batches {
    node: Box<str>,
    /// What the names of this start's batches begin with.
    name: String,
    count: u64,
}

impl Batches {
    fn new(node: Box<str>, seed: &[u8; 32]) -> Self {
        let name = seed[..NAME_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { node, name, count: 0 }
    }

    fn encode_as(&self, name: &str, batch: &[Arc<CallRecord>]) -> Bytes {
        // Neither name holds anything that JSON would have to escape, apart from the node's, which goes through serde.
        let node = serde_json::Value::from(&*self.node);
        let mut body = format!("{{\"batch\":\"{name}\",\"node\":{node},\"records\":[").into_bytes();
        for (number, record) in batch.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            encode_object(record, &self.node, &mut body);
        }
        body.extend_from_slice(b"]}");
        Bytes::from(body)
    }
}

impl Form for Batches {
    const NAME: &'static str = "webhook of call records";
    const THREAD: &'static str = "records-webhook";

    fn encode(&mut self, batch: &[Arc<CallRecord>]) -> Parcel {
        self.count += 1;
        let name = format!("{}-{}", self.name, self.count);
        let body = self.encode_as(&name, batch);
        let header = HeaderValue::try_from(name).expect("hexadecimal digits, a hyphen and a number");
        Parcel { body, header: Some((BATCH_HEADER, header)) }
    }

    fn is_hopeless(rebuff: &Rebuff) -> bool {
        let refused = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        matches!(rebuff, Rebuff::Status(status, _) if refused.iter().any(|refused| refused.as_u16() == *status))
    }
}

/// Bytes of the seed that batches are named by; nobody else's have the same.
const NAME_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::record::tests::{record, refused};
    use super::*;

    fn batches(seed: u8) -> Batches {
        Batches::new("node \"7\"".into(), &[seed; 32])
    }

    #[test]
    fn a_batch_is_one_json_object_with_the_lines_of_the_call_log() {
        let body = batches(1).encode_as("b-1", &[Arc::new(record(1)), Arc::new(refused())]);
        let body: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
        assert_eq!((&body["batch"], &body["node"]), (&"b-1".into(), &"node \"7\"".into()));
        let mut line = Vec::new();
        encode_object(&refused(), "node \"7\"", &mut line);
        let line: serde_json::Value = serde_json::from_slice(&line).expect("it is JSON");
        assert_eq!(body["records"][1], line);
    }

    #[test]
    fn names_of_batches_differ_from_batch_to_batch_and_from_start_to_start() {
        let mut first = batches(1);
        let name = |batches: &mut Batches| batches.encode(&[Arc::new(record(1))]).header;
        let names = [name(&mut first), name(&mut first), name(&mut batches(2))];
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2], "{names:?}");
    }

    #[test]
    fn only_what_is_wrong_with_the_batch_itself_loses_it() {
        for status in [400, 413, 415, 422] {
            assert!(Batches::is_hopeless(&Rebuff::Status(status, None)), "{status}");
        }
        for status in [301, 401, 403, 404, 408, 409, 429, 500, 503] {
            assert!(!Batches::is_hopeless(&Rebuff::Status(status, None)), "{status}");
        }
        assert!(!Batches::is_hopeless(&Rebuff::Unreachable));
    }
}
