//! All places that call records go to, as one: what a shard hands a record to, and what the operator starts, stops and asks.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::delivery::{self, Delivery, DeliveryError, DeliveryHandle};
use super::records::{self, CallRecords, RecordsError, RecordsHandle};
use super::traces::{self, Traces, TracesHandle};
use super::webhook;
use super::{CallLog, CallLogCounts, CallLogError, CallLogHandle, CallRecord};

/// Where records are to go.
#[derive(Debug, Default)]
pub struct RecordersSettings {
    /// The file of the call log.
    pub log: Option<PathBuf>,
    /// The file that can be asked.
    pub file: Option<records::Settings>,
    /// The webhook.
    pub webhook: Option<webhook::Settings>,
    /// The collector of traces.
    pub traces: Option<traces::Settings>,
    /// What this exchange is called in records.
    pub node: Box<str>,
}

/// Why a place cannot be used.
#[derive(Debug)]
pub enum RecordersError {
    /// The call log.
    Log(CallLogError),
    /// The file that can be asked.
    File(RecordsError),
    /// The webhook.
    Webhook(DeliveryError),
    /// The collector of traces.
    Traces(DeliveryError),
}

impl fmt::Display for RecordersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => write!(f, "SYSTEMX_CALL_LOG: {error}"),
            Self::File(error) => write!(f, "SYSTEMX_CALL_RECORDS: {error}"),
            Self::Webhook(error) => write!(f, "SYSTEMX_CALL_RECORDS_WEBHOOK: {error}"),
            Self::Traces(error) => {
                write!(f, "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS: {error}")
            }
        }
    }
}

impl std::error::Error for RecordersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => Some(error),
            Self::File(error) => Some(error),
            Self::Webhook(error) | Self::Traces(error) => Some(error),
        }
    }
}

/// The running threads that keep records; the operator owns them.
#[derive(Debug, Default)]
pub struct Recorders {
    log: Option<CallLog>,
    file: Option<CallRecords>,
    webhook: Option<Delivery>,
    traces: Option<Traces>,
}

impl Recorders {
    /// Starts what the settings name.
    ///
    /// # Errors
    /// If a place can never be used.
    pub fn start(settings: RecordersSettings) -> Result<Self, RecordersError> {
        let RecordersSettings { log, file, webhook, traces, node } = settings;
        let log = log.map(|path| CallLog::start(&path, &node)).transpose().map_err(RecordersError::Log)?;
        let file = file.map(CallRecords::start).transpose().map_err(RecordersError::File)?;
        let webhook = webhook.map(webhook::start).transpose().map_err(RecordersError::Webhook)?;
        let traces = traces.map(Traces::start).transpose().map_err(RecordersError::Traces)?;
        Ok(Self { log, file, webhook, traces })
    }

    /// The way to all of them, for whoever wants to know how they stand; a shard gets [`Recorder::for_shard`] of it.
    pub fn recorder(&self) -> Recorder {
        Recorder {
            log: self.log.as_ref().map(CallLog::handle),
            file: self.file.as_ref().map(CallRecords::handle),
            webhook: self.webhook.as_ref().map(Delivery::handle),
            traces: self.traces.as_ref().map(Traces::handle),
        }
    }

    /// Has each of them keep what waits, until `deadline` at the latest, and says in the log what came of it. What the senders have
    /// not sent by then is lost.
    pub fn stop(self, deadline: Instant) {
        let left = || deadline.saturating_duration_since(Instant::now());
        // All at once: whoever is waited for first may take all of the time.
        self.log.iter().for_each(CallLog::tell_to_stop);
        self.webhook.iter().for_each(Delivery::tell_to_stop);
        self.traces.iter().for_each(Traces::tell_to_stop);
        if let Some(file) = self.file {
            let state = file.stop(left());
            info!(kept = state.kept, lost = state.lost, "call records closed");
        }
        if let Some(log) = self.log {
            let counts = log.stop(left());
            info!(written = counts.written, lost = counts.lost, "call log closed");
        }
        if let Some(webhook) = self.webhook {
            let state = webhook.finish(left());
            info!(delivered = state.delivered, lost = state.lost, "webhook of call records closed");
        }
        if let Some(traces) = self.traces {
            let state = traces.finish(left());
            info!(delivered = state.delivered, lost = state.lost, "traces closed");
        }
    }
}

/// What a shard hands records to. Clones lead to the same places.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    log: Option<CallLogHandle>,
    file: Option<RecordsHandle>,
    webhook: Option<DeliveryHandle>,
    traces: Option<TracesHandle>,
}

impl Recorder {
    /// Whether records go anywhere. If not, none has to be made.
    pub fn is_on(&self) -> bool {
        self.log.is_some() || self.file.is_some() || self.webhook.is_some() || self.traces.is_some()
    }

    /// Whether anybody wants to know which traces calls belong to.
    pub fn wants_traces(&self) -> bool {
        self.traces.is_some()
    }

    /// The way for one more shard.
    pub fn for_shard(&self) -> Self {
        Self { file: self.file.as_ref().map(RecordsHandle::with_own_pad), ..self.clone() }
    }

    /// Hands a record to all places. Never waits, makes no system call.
    pub fn record(&self, record: &CallRecord<&str>) {
        if let Some(file) = &self.file {
            file.record(record);
        }
        let traces = self.traces.as_ref().filter(|traces| traces.keeps(record));
        if self.log.is_none() && self.webhook.is_none() && traces.is_none() {
            return;
        }
        let record = Arc::new(record.to_owned());
        if let Some(log) = &self.log {
            log.record(Arc::clone(&record));
        }
        if let Some(webhook) = &self.webhook {
            webhook.record(Arc::clone(&record));
        }
        if let Some(traces) = traces {
            traces.record(record);
        }
    }

    /// How it stands with each.
    pub fn sinks(&self) -> Sinks {
        Sinks {
            log: self.log.as_ref().map(CallLogHandle::counts),
            file: self.file.as_ref().map(RecordsHandle::state),
            webhook: self.webhook.as_ref().map(DeliveryHandle::state),
            traces: self.traces.as_ref().map(TracesHandle::state),
        }
    }
}

/// How it stands with each place that records go to; `None` where none go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sinks {
    /// The call log.
    pub log: Option<CallLogCounts>,
    /// The file that can be asked.
    pub file: Option<records::State>,
    /// The webhook.
    pub webhook: Option<delivery::State>,
    /// The collector of traces.
    pub traces: Option<delivery::State>,
}

impl Sinks {
    /// What is wrong with the file now, if it is to be kept and cannot be. The webhook is somebody else's affair: that its server is
    /// down makes no exchange unready.
    pub fn file_trouble(&self) -> Option<&records::Trouble> {
        self.file.as_ref()?.trouble.as_ref()
    }
}
