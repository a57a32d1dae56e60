//! The core: a deterministic state machine for one shard of an exchange.
//!
//! Events go in with an explicit `Moment`, effects come out in an `Outbox`. There is no clock here, no socket, no
//! thread, no lock, no file, no JSON, and no randomness but what the seed gives. The core knows nobody: not the
//! shell that feeds it, not the dialects that translate for it, not the simulation that torments it.
//!
//! - Total: any event in any state is answered with effects; no input can make it panic or return an error.
//! - Deterministic: the same limits, seed and events give the same effects in the same order.
//! - Bounded: each event does work proportional to what it was given; everything that grows has a limit.
//! - One owner: a listing lives on its address's home shard, a call's record on the callee's shard, the caller's
//!   leg on the caller's, a party line on its name's home shard. The other side holds a handle, never a copy.

pub mod address;
pub mod call;
pub mod cause;
pub mod census;
pub mod directory;
pub mod effect;
pub mod event;
pub mod given_up;
pub mod globe;
pub mod ids;
pub mod limits;
pub mod line;
pub mod liveness;
pub mod party;
pub mod pattern;
pub mod press;
pub mod question;
pub mod rack;
pub mod rate;
pub mod routes;
pub mod shard;
pub mod signal;
pub mod slot_set;
pub mod survey;
pub mod table;
pub mod tally;
pub mod tie;
pub mod tie_party;
pub mod time;
pub mod timers;
pub mod trace;

pub use address::Address;
pub use cause::{Cause, Reason};
pub use effect::{Effect, Notice, Outbox};
pub use event::{Event, Request};
pub use ids::{CallId, LineId, ShardId};
pub use limits::Limits;
pub use shard::Shard;
pub use time::{Moment, Tick};
