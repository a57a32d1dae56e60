//! What is kept beyond the life of a process; nothing here is ever waited for by a shard.
//!
//! Call records go to up to four places: the call log (specification, section 22), a file that can be asked (`records`), a
//! webhook, and as spans to a collector of traces. Each has a bounded queue and a thread of its own, so none delays another. A record is handed over without
//! blocking and may be lost only where a counter says so; a full disk, a slow reader or a dead server never touches a call.

mod call_log;
pub mod delivery;
mod intake;
mod record;
mod recorder;
pub mod records;
#[cfg(test)]
pub(crate) mod testing;
pub mod traces;
pub mod webhook;
mod worker;

pub use call_log::{CallLog, CallLogCounts, CallLogError, CallLogHandle};
pub use record::{CallMode, CallRecord, Dialect, EndedBy, Forwarded, Volume, encode_line};
pub use recorder::{Recorder, Recorders, RecordersError, RecordersSettings, Sinks};
