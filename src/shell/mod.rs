//! All side effects of lines and shards: sockets, threads, clocks and the queues between shards.
//!
//! The shell carries values between the world and the pure core and decides nothing about the protocol.
//! Invariant: inside a turn of a shard nothing waits; what cannot be done at once is queued, refused or counted.

pub mod accepting;
pub mod admin;
pub mod admission;
pub mod allocator;
pub mod clock;
pub mod connection;
pub mod depot;
pub mod desk;
pub mod doorway;
pub mod listener;
pub mod lobby;
pub mod log_service;
pub mod mailer;
pub mod operator;
pub mod output;
pub mod overseer;
pub mod peers;
pub mod ramp;
mod recorders;
pub mod rules;
pub mod supervisor;
pub mod switchboard;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod trunk;
