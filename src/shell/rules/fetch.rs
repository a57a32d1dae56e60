//! Fetching a key set over HTTP: one GET, bounded in time and size, no redirects.
//!
//! A redirect could lead from https to anywhere, so it is refused. Certificates are checked against Mozilla's roots.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::identity::{KEY_FILE_BYTES_MAX, KeyError, KeySet};

/// Why no keys came.
#[derive(Debug)]
pub(super) enum FetchError {
    /// Nobody answered in time.
    TimedOut,
    /// Nobody could be reached, or what came was not HTTP.
    Unreachable,
    /// The answer had this status.
    Status(StatusCode),
    /// The answer was too large.
    TooLarge,
    /// The answer held no keys.
    Keys(KeyError),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("the key server cannot be reached"),
            Self::Status(status) => write!(f, "the key server answers {status}"),
            Self::TooLarge => write!(f, "the answer is larger than {KEY_FILE_BYTES_MAX} bytes"),
            Self::Keys(error) => write!(f, "the answer: {error}"),
        }
    }
}

/// A client for key sets.
#[derive(Default)]
pub(super) struct Fetcher {
    client: Option<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>,
}

impl Fetcher {
    /// The keys that `url` gives within `limit`.
    pub(super) async fn fetch(&mut self, url: &str, limit: Duration) -> Result<KeySet, FetchError> {
        // Made when first needed: an exchange without such a URL does not load root certificates.
        let client = self.client.get_or_insert_with(|| {
            let https =
                HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https)
        });
        tokio::time::timeout(limit, get(client, url)).await.unwrap_or(Err(FetchError::TimedOut))
    }
}

async fn get(
    client: &Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: &str,
) -> Result<KeySet, FetchError> {
    let uri = Uri::try_from(url).map_err(|_| FetchError::Unreachable)?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    let answer = client.request(request).await.map_err(|_| FetchError::Unreachable)?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    let body = Limited::new(answer.into_body(), KEY_FILE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Unreachable }
    })?;
    KeySet::of_url(&String::from_utf8_lossy(&body.to_bytes())).map_err(FetchError::Keys)
}
