//! What the admin listener answers: a status, a body, and headers that keep browsers from doing anything else with it.

use http_body_util::Full;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::{Value, json};

use super::inquiries::Unanswered;
use crate::console::access::Denial;

/// What the Prometheus text format calls itself.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A header that hyper has no constant for: other origins may not even embed what is here.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    allow: Option<&'static str>,
}

impl Answer {
    /// What was asked for.
    pub(super) fn json(value: &Value) -> Self {
        Self::with(StatusCode::OK, value)
    }

    /// The same with another status.
    pub(super) fn with(status: StatusCode, value: &Value) -> Self {
        let body = format!("{value}\n").into();
        Self { status, content_type: "application/json", body, allow: None }
    }

    /// A page of metrics.
    pub(super) fn metrics(text: String) -> Self {
        Self { status: StatusCode::OK, content_type: METRICS_TYPE, body: text.into(), allow: None }
    }

    /// An error, with a word for programs and a sentence for people.
    pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        Self::with(status, &json!({ "error": { "code": code, "message": message } }))
    }

    /// There is nothing there.
    pub(super) fn not_found(what: &str) -> Self {
        Self::error(StatusCode::NOT_FOUND, "not_found", what)
    }

    /// What was asked makes no sense.
    pub(super) fn bad_request(why: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "bad_request", why)
    }

    /// Only these methods make sense there.
    pub(super) fn wrong_method(allow: &'static str) -> Self {
        let message = format!("allowed is {allow}");
        let answer = Self::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
        Self { allow: Some(allow), ..answer }
    }

    /// The response. hyper leaves the body out if only the head was asked for.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let fixed = [
            (CONTENT_TYPE, self.content_type),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (REFERRER_POLICY, "no-referrer"),
            (RESOURCE_POLICY, "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Unanswered> for Answer {
    fn from(_: Unanswered) -> Self {
        let message = "a shard did not answer in time; try again";
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "unanswered", message)
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Self {
        let (status, code, message) = match denial {
            Denial::Token => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "needs the header Authorization: Bearer TOKEN")
            }
            Denial::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "wrong_host",
                "called by a name that is not its own; SYSTEMX_ADMIN_HOSTS lists more names",
            ),
            Denial::Origin => {
                (StatusCode::FORBIDDEN, "wrong_origin", "asked for by a page of another origin")
            }
            Denial::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "wrong_content_type",
                "needs the header Content-Type: application/json",
            ),
        };
        Self::error(status, code, message)
    }
}
