//! What the admin listener answers: a status, a body, and headers that keep browsers from doing anything else with it.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::inquiries::Unanswered;
use crate::console::access::Denial;
use crate::console::ladder;

/// What the Prometheus text format calls itself.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What the page may do: load its own files, ask its own origin, and nothing else. No text becomes HTML or a script, not even by
/// mistake (trusted types), nothing is sent by a form, and nobody may frame it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// What a drawing may do: be drawn, with the one style that all of them have.
static DRAWING_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, ladder::SVG_STYLE.as_bytes()));
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; sandbox");
    HeaderValue::try_from(policy).expect("base64 is visible ASCII")
});
/// A header that hyper has no constant for: other origins may not even embed what is here.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    allow: Option<&'static str>,
    policy: Policy,
    /// What the body is known by. With it a browser may keep the answer, and has to ask whether it is still the same.
    tag: Option<&'static str>,
}

/// What a browser may do with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    /// Nothing.
    Data,
    /// Draw it, with its own style.
    Drawing,
    /// Run it, with scripts and styles of its own origin and from files only.
    Page,
}

impl Policy {
    fn header(self) -> HeaderValue {
        match self {
            Self::Data => HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
            Self::Page => HeaderValue::from_static(PAGE_POLICY),
            Self::Drawing => DRAWING_POLICY.clone(),
        }
    }
}

impl Answer {
    /// What was asked for.
    pub(super) fn json(value: &Value) -> Self {
        Self::with(StatusCode::OK, value)
    }

    /// The same with another status.
    pub(super) fn with(status: StatusCode, value: &Value) -> Self {
        let body = format!("{value}\n").into();
        Self { status, ..Self::holding("application/json", body) }
    }

    fn holding(content_type: &'static str, body: Bytes) -> Self {
        let (status, policy) = (StatusCode::OK, Policy::Data);
        Self { status, content_type, body, allow: None, policy, tag: None }
    }

    /// A page of metrics.
    pub(super) fn metrics(text: String) -> Self {
        Self::holding(METRICS_TYPE, text.into())
    }

    /// Text.
    pub(super) fn text(text: String) -> Self {
        Self::holding("text/plain; charset=utf-8", text.into())
    }

    /// The drawing of a ladder.
    pub(super) fn svg(text: String) -> Self {
        Self { policy: Policy::Drawing, ..Self::holding("image/svg+xml", text.into()) }
    }

    /// There is nothing that is not known already.
    pub(super) fn nothing_new() -> Self {
        Self { status: StatusCode::NO_CONTENT, ..Self::holding("application/json", Bytes::new()) }
    }

    /// A file of the page, or that it has not changed.
    pub(super) fn asset(content_type: &'static str, text: Option<&'static str>, tag: &'static str) -> Self {
        let status = if text.is_some() { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
        let body = Bytes::from_static(text.unwrap_or_default().as_bytes());
        Self { status, policy: Policy::Page, tag: Some(tag), ..Self::holding(content_type, body) }
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

    /// What was sent is too long, or ended early. The rest of it is not read, so the connection is of no use any more.
    pub(super) fn too_large() -> Self {
        Self::error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too long, or ended early")
    }

    /// Only these methods make sense there.
    pub(super) fn wrong_method(allow: &'static str) -> Self {
        let message = format!("allowed is {allow}");
        let answer = Self::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
        Self { allow: Some(allow), ..answer }
    }

    /// The status, for tests.
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The body as text, for tests.
    #[cfg(test)]
    pub(super) fn body(&self) -> &str {
        std::str::from_utf8(&self.body).expect("bodies are text")
    }

    /// The response. hyper leaves the body out if only the head was asked for.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let fixed = [
            (CONTENT_TYPE, self.content_type),
            (CACHE_CONTROL, if self.tag.is_some() { "no-cache" } else { "no-store" }),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (RESOURCE_POLICY, "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.header());
        if let Some(tag) = self.tag {
            headers.insert(ETAG, HeaderValue::from_static(tag));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
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
