//! What the exchange tells those who run it: reports of the shards, and what is made of them.
//!
//! Nothing here sees a shard's state: each shard writes a [`Report`] about itself on its [`Board`] a few times a
//! second, and whoever wants to know reads the boards. A slow reader costs the shards nothing.

pub mod access;
pub mod audit;
pub mod exposition;
pub mod ladder;
pub mod metrics;
pub mod overview;
pub mod page;
pub mod process;
pub mod readiness;
pub mod records;
pub mod report;
pub mod service;
pub mod views;

pub use report::{Board, Handshakes, Meter, Report, TrunkReport};
pub use service::{ServiceState, StateBoard};
