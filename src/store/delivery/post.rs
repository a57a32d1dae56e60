//! One request: what is sent, and what the answer means.
//!
//! As for wake handlers, each request opens its own connection through the guarded connector, which checks the address it
//! connects to, and certificates are checked against the same roots. Redirects are not followed: secrets would go along.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::exchange::tie::Secret;
use crate::wake::{ConnectFailure, GuardedConnector};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("systemx/", env!("CARGO_PKG_VERSION")));

/// Whom batches are sent to.
pub(in crate::store) struct Receiver {
    /// Where: http or https.
    pub(in crate::store) url: Secret,
    /// What goes along with each request; values that are secrets are marked as such.
    pub(in crate::store) headers: HeaderMap,
    /// How long it may take for a batch.
    pub(in crate::store) answer_limit: Duration,
}

/// A batch as it is sent.
pub(in crate::store) struct Parcel {
    /// The body.
    pub(in crate::store) body: Bytes,
    /// A header of its own.
    pub(in crate::store) header: Option<(HeaderName, HeaderValue)>,
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuff {
    /// The receiver answered with this status, and may have said when to come again.
    Status(u16, Option<Duration>),
    /// It did not answer in this time.
    TimedOut(Duration),
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
            Self::TimedOut(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
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
    headers: HeaderMap,
    answer_limit: Duration,
    answer_bytes_max: usize,
}

impl Poster {
    /// `None` if the URL cannot stand in a request. Of good answers so many bytes are read.
    pub(super) fn new(receiver: Receiver, answer_bytes_max: usize) -> Option<Self> {
        let Receiver { url, mut headers, answer_limit } = receiver;
        let uri = Uri::try_from(url.reveal()).ok()?;
        // Whoever sets one of his own means it.
        headers.entry(USER_AGENT).or_insert(AGENT);
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        let https = https.wrap_connector(GuardedConnector::new());
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https);
        Some(Self { client, uri, headers, answer_limit, answer_bytes_max })
    }

    /// Posts a batch; any answer from 200 to 299 means that it is taken. Gives the beginning of such an answer's body.
    pub(super) async fn post(&self, parcel: &Parcel) -> Result<Bytes, Rebuff> {
        let answer = async {
            let answer = self.client.request(self.request(parcel)).await.map_err(|error| rebuff(&error))?;
            if answer.status().is_success() {
                return Ok(self.body_of(answer).await);
            }
            let wanted =
                answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Err(Rebuff::Status(answer.status().as_u16(), wanted.map(Duration::from_secs)))
        };
        tokio::time::timeout(self.answer_limit, answer)
            .await
            .map_err(|_| Rebuff::TimedOut(self.answer_limit))?
    }

    /// What can be read of a good answer; nothing of one that is too long or breaks off, for the batch is taken all the same.
    async fn body_of(&self, answer: Response<hyper::body::Incoming>) -> Bytes {
        if self.answer_bytes_max == 0 {
            return Bytes::new();
        }
        let body = Limited::new(answer.into_body(), self.answer_bytes_max).collect().await;
        body.map_or_else(|_| Bytes::new(), |body| body.to_bytes())
    }

    fn request(&self, parcel: &Parcel) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(parcel.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        if let Some((name, value)) = &parcel.header {
            request.headers_mut().insert(name, value.clone());
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
