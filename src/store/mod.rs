//! What is kept beyond the life of a process; nothing here is ever waited for by a shard.
//!
//! So far the call log (specification, section 22). A record is handed over without blocking and may be lost only where
//! a counter says so; a full disk, a slow reader or a rotated file never touches a call.

mod call_log;

pub use call_log::{
    CallLog, CallLogCounts, CallLogError, CallLogHandle, CallMode, CallRecord, EndedBy, encode_line,
};
