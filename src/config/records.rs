//! The settings of call records that can be asked: the file, how long they stay in it, and the webhook.
//!
//! The call log has a setting of its own, which is the specification's. URL and token are secrets: a URL may be all that keeps
//! strangers from a receiver.

use std::path::PathBuf;

use url::{Host, Url};

use super::Secret;
use super::error::Warning;
use super::reader::Reader;
use super::settings;

/// Where call records are kept and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSettings {
    /// The file of SQLite; `None`: none is kept.
    pub file: Option<PathBuf>,
    /// After so many days they are deleted.
    pub days: u64,
    /// The oldest are deleted when the file is larger.
    pub bytes_max: u64,
    /// Where they are posted to: an http or https URL.
    pub webhook: Option<Secret>,
    /// The bearer token that goes along.
    pub webhook_token: Option<Secret>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> RecordSettings {
    let webhook = reader.secret(&settings::CALL_RECORDS_WEBHOOK, |text| receiver(text).is_some());
    let token = reader.secret(&settings::CALL_RECORDS_WEBHOOK_TOKEN, is_token);
    let is_clear = webhook.as_ref().is_some_and(|url| is_in_the_clear(url.reveal()));
    if is_clear && token.is_some() {
        reader.warnings.push(Warning::WebhookTokenInTheClear);
    }
    RecordSettings {
        file: reader.file(&settings::CALL_RECORDS),
        days: reader.amount(&settings::CALL_RECORDS_DAYS),
        bytes_max: reader.amount(&settings::CALL_RECORDS_MAX_BYTES),
        webhook,
        webhook_token: token,
    }
}

/// A URL that can be posted to, without a user: there is a setting for the token.
pub(super) fn receiver(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain).then_some(url)
}

/// What may stand behind `Bearer`: no space, nothing invisible.
fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn is_in_the_clear(text: &str) -> bool {
    let Some(url) = receiver(text) else { return false };
    let is_local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "http" && !is_local
}

/// What may be shown of the URL of a receiver: who it leads to.
pub fn shown_receiver(text: &str) -> Option<String> {
    let url = receiver(text)?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}/...", url.scheme(), url.host_str()?))
}
