//! One request of the webhook: what is sent, and what the answer means.
//!
//! As for wake handlers, each request opens its own connection through the guarded connector, which checks the address it
//! connects to, and certificates are checked against the same roots. Redirects are not followed: the token would go along.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::exchange::tie::Secret;
use crate::wake::{ConnectFailure, GuardedConnector};

/// How long the receiver may take for a batch.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// By this header a receiver knows a batch that it has had before.
const BATCH_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("systemx/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuff {
    /// The receiver answered with this status, and may have said when to come again.
    Status(u16, Option<Duration>),
    /// It did not answer in time.
    TimedOut,
    /// No connection came about.
    Unreachable,
    /// Its address is one that no webhook may reach.
    ForbiddenAddress,
    /// Its certificate is not good, or it does not speak TLS.
    Tls,
    /// What it answered is not HTTP.
    BrokenAnswer,
}

impl Rebuff {
    /// Whether the same batch will be refused each time.
    pub(super) fn is_about_content(&self) -> bool {
        let refused = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        matches!(self, Self::Status(status, _) if refused.iter().any(|refused| refused.as_u16() == *status))
    }

    /// When the receiver wants to be asked again.
    pub(super) fn wanted_pause(&self) -> Option<Duration> {
        match self {
            Self::Status(_, wanted) => *wanted,
            _ => None,
        }
    }
}

impl fmt::Display for Rebuff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, _) => write!(f, "the receiver answers {status}"),
            Self::TimedOut => write!(f, "no answer within {} s", ANSWER_LIMIT.as_secs()),
            Self::Unreachable => f.write_str("the receiver cannot be reached"),
            Self::ForbiddenAddress => f.write_str("the receiver's address may not be reached by webhooks"),
            Self::Tls => f.write_str("the receiver's certificate is not good, or it does not speak TLS"),
            Self::BrokenAnswer => f.write_str("what the receiver answers is not HTTP"),
        }
    }
}

/// What requests are made of.
pub(super) struct Poster {
    client: Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl Poster {
    /// `None` if URL or token cannot stand in a request.
    pub(super) fn new(url: &Secret, token: Option<&Secret>) -> Option<Self> {
        let uri = Uri::try_from(url.reveal()).ok()?;
        let authorization = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        let authorization = match authorization {
            Some(None) => return None,
            Some(value) => value,
            None => None,
        };
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        let https = https.wrap_connector(GuardedConnector::new());
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https);
        Some(Self { client, uri, authorization })
    }

    /// Posts a batch; any answer from 200 to 299 means that it is taken.
    pub(super) async fn post(&self, batch: &str, body: Bytes) -> Result<(), Rebuff> {
        let answer = self.client.request(self.request(batch, body));
        let answer = tokio::time::timeout(ANSWER_LIMIT, answer).await.map_err(|_| Rebuff::TimedOut)?;
        let answer = answer.map_err(|error| rebuff(&error))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let wanted = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Rebuff::Status(answer.status().as_u16(), wanted.map(Duration::from_secs)))
    }

    fn request(&self, batch: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(CONTENT_TYPE, JSON);
        if let Ok(batch) = HeaderValue::try_from(batch) {
            headers.insert(BATCH_HEADER, batch);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

/// The client wraps our connector's error in its own; it is dug out.
fn rebuff(error: &hyper_util::client::legacy::Error) -> Rebuff {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        match inner.downcast_ref::<ConnectFailure>() {
            Some(ConnectFailure::ForbiddenAddress) => return Rebuff::ForbiddenAddress,
            Some(_) => return Rebuff::Unreachable,
            None => source = inner.source(),
        }
    }
    if error.is_connect() { Rebuff::Tls } else { Rebuff::BrokenAnswer }
}
