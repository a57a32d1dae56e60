//! The dialects: translators between one wire protocol each and the exchange's own vocabulary. They work on buffers
//! only: no I/O, no clock, no access to a shard. The choice among dialects will live here once there are two.
pub mod json;
pub mod systemx;
