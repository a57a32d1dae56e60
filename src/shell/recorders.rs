//! Starts those who keep call records, as configured: from settings to what `crate::store` is told.
//!
//! The wall clock and the random bytes that they need are handed over here; nothing else of the shell is known to them.

use std::time::Duration;

use crate::config::{Config, RecordSettings, TraceSettings};
use crate::store::{self, Recorders, RecordersSettings};

use super::clock::{draw_seed, unix_ms};
use super::operator::StartError;

/// Those who keep call records, as configured.
///
/// # Errors
/// If a place can never be used, or the system gives no random bytes.
pub(super) fn start(config: &Config) -> Result<Recorders, StartError> {
    let node: Box<str> = (*config.federation.domain).into();
    let RecordSettings { file, days, bytes_max, webhook, webhook_token } = config.records.clone();
    let file = file.map(|path| store::records::Settings {
        path,
        node: node.clone(),
        retention: store::records::Retention { days, bytes_max },
        clock_unix_ms: unix_ms,
    });
    let webhook = webhook
        .map(|url| {
            let (token, node, seed) = (webhook_token, node.clone(), random_bytes()?);
            Ok(store::webhook::Settings { url, token, node, clock_unix_ms: unix_ms, seed })
        })
        .transpose()?;
    let traces = config.traces.clone().map(|traces| trace_settings(traces, &node)).transpose()?;
    let settings = RecordersSettings { log: config.call_log.clone(), file, webhook, traces, node };
    Recorders::start(settings).map_err(StartError::Records)
}

fn trace_settings(traces: TraceSettings, node: &str) -> Result<store::traces::Settings, StartError> {
    let TraceSettings { url, headers, service, sampling, timeout_ms } = traces;
    Ok(store::traces::Settings {
        url,
        headers,
        service,
        node: node.into(),
        sampling,
        answer_limit: Duration::from_millis(timeout_ms),
        clock_unix_ms: unix_ms,
        seed: random_bytes()?,
    })
}

fn random_bytes() -> Result<[u8; 32], StartError> {
    draw_seed().map_err(|source| StartError::System { what: "random bytes", source })
}
