//! The webhook handler: one POST that says which address is wanted, redirects followed as a browser's fetch does.
//!
//! Knows URLs, methods and statuses; time limits are the runner's, reachable addresses the connector's. Every request,
//! redirected ones included, opens its own connection through the guarded connector; none is kept for later, so no
//! check is ever skipped by reuse. Neither URL nor body may appear in an error or a log line.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use url::Url;

use super::WakeFailure;
use super::connector::{ConnectFailure, GuardedConnector};

/// Redirects followed before the run fails; enough for http to https, a moved host and a login detour.
const REDIRECTS_MAX: usize = 5;

/// How much of an answer is read and thrown away, in bytes, so that the server can finish writing it in peace.
const ANSWER_LEN_MAX: usize = 64 * 1024;

/// Bound on the head of an answer, in bytes; hyper's default would let each run hold 400 KiB.
const ANSWER_HEAD_LEN_MAX: usize = 64 * 1024;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("systemx/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// The HTTP client of all webhooks.
#[derive(Debug)]
pub(super) struct WebhookClient {
    client: Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
}

impl WebhookClient {
    /// A client for http and https that trusts Mozilla's root certificates.
    pub(super) fn new() -> Self {
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        Self::with_connector(https.wrap_connector(GuardedConnector::new()))
    }

    fn with_connector(connector: HttpsConnector<GuardedConnector>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(ANSWER_HEAD_LEN_MAX)
            .build(connector);
        Self { client }
    }

    /// Posts `body` to `url` and follows redirects; returns the answer as soon as its 2xx head is there.
    /// No limit in time: the caller drops the future.
    pub(super) async fn post(&self, url: &str, body: Bytes) -> Result<Response<Incoming>, WakeFailure> {
        let url = Url::parse(url).map_err(|_| WakeFailure::InvalidUrl)?;
        let mut hop = Hop { method: Method::POST, url: checked(url)?, body };
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.client.request(hop.request()?).await.map_err(|error| failure(&error))?;
            if answer.status().is_success() {
                return Ok(answer);
            }
            hop = hop.redirected(&answer)?;
        }
        Err(WakeFailure::TooManyRedirects)
    }
}

/// The JSON that a webhook receives: `{"address":..,"handler":..,"payload":..}`. `handler` and `payload` are JSON already.
pub(super) fn body(address: &str, handler: &[u8], payload: Option<&[u8]>) -> Bytes {
    let address = serde_json::Value::from(address).to_string();
    let payload = payload.unwrap_or(b"null");
    let parts: [&[u8]; 7] =
        [b"{\"address\":", address.as_bytes(), b",\"handler\":", handler, b",\"payload\":", payload, b"}"];
    Bytes::from(parts.concat())
}

/// Reads the rest of an answer to a bound and forgets it. Errors do not matter any more: its head was the answer.
pub(super) async fn discard(answer: Response<Incoming>) {
    let mut body = answer.into_body();
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read >= ANSWER_LEN_MAX {
            return;
        }
    }
}

/// One request of a chain of redirects.
struct Hop {
    method: Method,
    url: Url,
    body: Bytes,
}

impl Hop {
    fn request(&self) -> Result<Request<Full<Bytes>>, WakeFailure> {
        let uri = Uri::try_from(self.url.as_str()).map_err(|_| WakeFailure::InvalidUrl)?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.uri_mut() = uri;
        *request.method_mut() = self.method.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, ANYTHING);
        if self.method == Method::POST {
            headers.insert(CONTENT_TYPE, JSON);
        }
        Ok(request)
    }

    /// The request that follows an answer other than 2xx, by the rules of fetch: 301, 302 and 303 turn the POST into a
    /// GET without a body, 307 and 308 repeat it. Any other status, or a redirect to nowhere, is the run's failure.
    fn redirected(self, answer: &Response<Incoming>) -> Result<Self, WakeFailure> {
        let status = answer.status();
        let (method, body) = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
                (Method::GET, Bytes::new())
            }
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => (self.method, self.body),
            _ => return Err(WakeFailure::Status(status.as_u16())),
        };
        let location = answer.headers().get(LOCATION).ok_or(WakeFailure::Status(status.as_u16()))?;
        let location = std::str::from_utf8(location.as_bytes()).map_err(|_| WakeFailure::InvalidUrl)?;
        let url = self.url.join(location).map_err(|_| WakeFailure::InvalidUrl)?;
        Ok(Self { method, url: checked(url)?, body })
    }
}

/// `url` without its fragment, if it is one that webhooks may use at all.
fn checked(mut url: Url) -> Result<Url, WakeFailure> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(WakeFailure::UnsupportedScheme);
    }
    // Fetch refuses these as well; sending them as Basic would leak them to wherever a redirect points.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(WakeFailure::Credentials);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The client wraps our connector's error in its own; dig it out, or say at which stage the request broke.
fn failure(error: &hyper_util::client::legacy::Error) -> WakeFailure {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        if let Some(failure) = inner.downcast_ref::<ConnectFailure>() {
            return WakeFailure::from(*failure);
        }
        source = inner.source();
    }
    // Connected, but the client calls it a connection error: the TLS handshake.
    if error.is_connect() { WakeFailure::Tls } else { WakeFailure::BrokenAnswer }
}

#[cfg(test)]
mod tests;
