//! Calls as spans of distributed traces, one for each record, sent to an OpenTelemetry collector (OTLP over HTTP).
//!
//! Which trace a call belongs to its caller says; otherwise its id does, so that an operator who knows the one finds the other.
//! Whether its span is sent is decided here, at the shard, by arithmetic on the trace's id. How spans look is `otlp`'s, which is built
//! only with the cargo feature of that name; how they are sent is `delivery`'s. A shard never waits for any of it.

#[cfg(feature = "otlp")]
mod otlp;
mod sampling;

use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::CallRecord;
use super::delivery::{Delivery, DeliveryError, DeliveryHandle, State};
use crate::exchange::ids::CallId;
use crate::exchange::tie::Secret;

pub use sampling::{Ratio, Sampling};

/// What the sender is told at the start.
#[derive(Debug)]
pub struct Settings {
    /// Where to: http or https, checked, with its path.
    pub url: Secret,
    /// What goes along: names and values of headers.
    pub headers: Vec<(Box<str>, Secret)>,
    /// What this program is called in traces.
    pub service: Box<str>,
    /// What this exchange is called in traces.
    pub node: Box<str>,
    /// Which traces are sent.
    pub sampling: Sampling,
    /// How long the collector may take for a batch.
    pub answer_limit: Duration,
    /// The wall clock, in milliseconds since 1970.
    pub clock_unix_ms: fn() -> u64,
    /// Bytes that nobody can guess: jitter is made of them.
    pub seed: [u8; 32],
}

/// The running sender; the operator owns it.
#[derive(Debug)]
pub struct Traces {
    delivery: Delivery,
    sampling: Sampling,
}

impl Traces {
    /// Starts the sender.
    ///
    /// # Errors
    /// If no request can be made of the settings, or the thread cannot be started.
    #[cfg(feature = "otlp")]
    pub fn start(settings: Settings) -> Result<Self, DeliveryError> {
        let sampling = settings.sampling;
        Ok(Self { delivery: otlp::start(settings)?, sampling })
    }

    /// Starts nothing.
    ///
    /// # Errors
    /// Always: the form of traces is not part of this program.
    #[cfg(not(feature = "otlp"))]
    pub fn start(_settings: Settings) -> Result<Self, DeliveryError> {
        Err(DeliveryError::NotBuiltIn)
    }

    /// A handle for a shard, or for whoever wants to know how it stands.
    pub fn handle(&self) -> TracesHandle {
        TracesHandle { delivery: self.delivery.handle(), sampling: self.sampling }
    }

    /// As [`Delivery::tell_to_stop`].
    pub fn tell_to_stop(&self) {
        self.delivery.tell_to_stop();
    }

    /// As [`Delivery::finish`].
    pub fn finish(self, limit: Duration) -> State {
        self.delivery.finish(limit)
    }
}

/// The way to the sender.
#[derive(Clone, Debug)]
pub struct TracesHandle {
    delivery: DeliveryHandle,
    sampling: Sampling,
}

impl TracesHandle {
    /// Whether the trace of a call is one of those that are sent.
    pub fn keeps(&self, record: &CallRecord<&str>) -> bool {
        self.sampling.keeps(record.trace.as_ref(), || trace_id(record))
    }

    /// Has a record sent as a span. Never waits; what cannot be taken is counted.
    pub fn record(&self, record: Arc<CallRecord>) {
        self.delivery.record(record);
    }

    /// How it stands with the collector.
    pub fn state(&self) -> State {
        self.delivery.state()
    }
}

/// The trace of a call: the caller's, or else its id without the hyphens. An id that another exchange has made up is hashed. Never
/// all zero, and the same on every exchange that the call goes through.
fn trace_id<Text: AsRef<str>>(record: &CallRecord<Text>) -> [u8; 16] {
    if let Some(parent) = record.trace {
        return parent.trace_id;
    }
    let text = record.call_id.as_ref().as_bytes();
    let call = CallId::parse(text);
    if call != CallId::NONE && !call.is_derived() {
        return call.bits().to_be_bytes();
    }
    let hash = digest(&SHA256, text);
    let mut id = [0; 16];
    id.iter_mut().zip(hash.as_ref()).for_each(|(place, byte)| *place = *byte);
    id
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;
    use crate::exchange::trace::TraceParent;

    #[test]
    fn the_trace_is_the_callers_or_the_calls_id() {
        let id = "3f2b6c1e-7d4a-4a55-9c61-0e9d3a7b8c21";
        let of_call = CallRecord { call_id: id.into(), ..record(1) };
        assert_eq!(u128::from_be_bytes(trace_id(&of_call)), 0x3f2b6c1e7d4a4a559c610e9d3a7b8c21);
        let parent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let of_caller = CallRecord { trace: parent, ..of_call };
        assert_eq!(u128::from_be_bytes(trace_id(&of_caller)), 0x0af7651916cd43dd8448eb211c80319c);
    }

    #[test]
    fn names_that_others_give_to_their_calls_have_traces_of_their_own() {
        let of = |id: &str| trace_id(&CallRecord { call_id: id.into(), ..record(1) });
        let zero = "00000000-0000-0000-0000-000000000000";
        let upper = "3F2B6C1E-7D4A-4A55-9C61-0E9D3A7B8C21";
        let ids = ["call 7", "call 8", zero, upper].map(of);
        for (at, id) in ids.iter().enumerate() {
            assert!(*id != [0; 16] && !ids[..at].contains(id), "{ids:?}");
        }
        // As SHA-256 has it, whatever this program was built with.
        assert_eq!(ids[0][..4], digest(&SHA256, b"call 7").as_ref()[..4]);
    }
}
