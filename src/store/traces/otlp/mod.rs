//! Traces in the form of OTLP: protobuf, posted to a collector.
//!
//! The messages are few and are written down in `message.rs`; OpenTelemetry's own crates would bring an SDK with them that keeps
//! spans, threads and settings of its own.

mod message;
mod span;

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;

use super::Settings;
use crate::exchange::tie::Secret;
use crate::store::CallRecord;
use crate::store::delivery::{Delivery, DeliveryError, Form, Parcel, Rebuff, Receiver, Start};
use message::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, InstrumentationScope, Resource, ResourceSpans,
    ScopeSpans,
};
use span::{span_of, text};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What an answer that says which spans were rejected, and why, may take.
const ANSWER_BYTES: usize = 64 << 10;
/// The answers after which the same spans are sent again; OTLP names them, and says that all others are final.
const RETRIED: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// Starts the sender.
///
/// # Errors
/// If no request can be made of the settings, or the thread cannot be started.
pub(super) fn start(settings: Settings) -> Result<Delivery, DeliveryError> {
    let Settings { url, headers, service, node, answer_limit, clock_unix_ms, seed, .. } = settings;
    let mut all = HeaderMap::new();
    for (name, value) in &headers {
        let (name, value) = header(name, value).ok_or(DeliveryError::Unusable)?;
        all.insert(name, value);
    }
    all.insert(CONTENT_TYPE, PROTOBUF);
    let receiver = Receiver { url, headers: all, answer_limit };
    Delivery::start(Spans::new(&service, node), Start { receiver, clock_unix_ms, seed })
}

fn header(name: &str, value: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::try_from(value.reveal()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::try_from(name).ok()?, value))
}

/// The form of spans.
struct Spans {
    resource: Resource,
    node: Box<str>,
}

impl Spans {
    fn new(service: &str, node: Box<str>) -> Self {
        let attributes = vec![
            text("service.name", service),
            text("service.version", VERSION),
            text("service.instance.id", &node),
        ];
        Self { resource: Resource { attributes }, node }
    }
}

impl Form for Spans {
    const NAME: &'static str = "traces";
    const THREAD: &'static str = "traces";
    const ANSWER_BYTES_MAX: usize = ANSWER_BYTES;

    fn encode(&mut self, batch: &[Arc<CallRecord>]) -> Parcel {
        let scope = InstrumentationScope { name: "systemx".to_owned(), version: VERSION.to_owned() };
        let spans = batch.iter().map(|record| span_of(record, &self.node)).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans }];
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        Parcel { body: Bytes::from(body), header: None }
    }

    fn is_hopeless(rebuff: &Rebuff) -> bool {
        matches!(rebuff, Rebuff::Status(status, _) if RETRIED.iter().all(|retried| retried.as_u16() != *status))
    }

    fn turned_down(answer: &[u8]) -> u64 {
        // What cannot be read says nothing of a batch that was taken.
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::ExportTracePartialSuccess;

    #[test]
    fn only_the_answers_that_otlp_names_have_spans_sent_again() {
        for status in [429, 502, 503, 504] {
            assert!(!Spans::is_hopeless(&Rebuff::Status(status, None)), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 408, 413, 500, 501] {
            assert!(Spans::is_hopeless(&Rebuff::Status(status, None)), "{status}");
        }
        assert!(!Spans::is_hopeless(&Rebuff::Unreachable));
    }

    #[test]
    fn spans_that_a_good_answer_rejects_are_known() {
        let answer = |rejected_spans| {
            let partial_success = Some(ExportTracePartialSuccess { rejected_spans });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        };
        assert_eq!(Spans::turned_down(&answer(3)), 3);
        assert_eq!(Spans::turned_down(&answer(-3)), 0);
        assert_eq!(
            (Spans::turned_down(b""), Spans::turned_down(b"{}"), Spans::turned_down(b"\xff")),
            (0, 0, 0)
        );
    }

    #[test]
    fn headers_that_cannot_be_sent_are_noticed_and_no_value_is_shown() {
        let good = header("api-key", &Secret::new("s3cret")).expect("it can be sent");
        assert!(!format!("{good:?}").contains("s3cret"));
        for (name, value) in [("api key", "x"), ("", "x"), ("api-key", "x\r\ny: z")] {
            assert!(header(name, &Secret::new(value)).is_none(), "{name} {value}");
        }
    }
}
