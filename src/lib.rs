//! SystemX: a telephone exchange for agents and people over WebSocket.
//!
//! Bytes come in at the edge, meaning goes in at the middle, and arrows point inward only:
//!
//! ```text
//! bytes -> shell/socket -> dialect (decode) -> Event -> exchange::Shard -> Effect -> dialect (encode) -> bytes
//!                                                            |  Signal over a Trunk, to and from other shards
//! ```
//!
//! [`exchange`] is the core, a pure state machine for one shard; [`dialect`] translates wire protocols at the edge;
//! [`websocket`] is RFC 6455 framing on bytes, [`proxy`] what load balancers say, [`identity`] who may do what; [`shell`] owns sockets, threads and
//! clocks. Around them: [`config`], [`cli`] with its [`commands`], [`logging`], [`tls`] for certificates, [`wake`] for
//! handlers, [`store`] for the call log, and [`phone`], the example client. `docs/ARCHITECTURE.md` is the map.

pub mod cli;
pub mod commands;
pub mod config;
pub mod console;
pub mod dialect;
pub mod exchange;
pub mod identity;
pub mod logging;
pub mod phone;
pub mod proxy;
pub mod shell;
pub mod sim;
pub mod store;
pub mod timestamp;
pub mod tls;
pub mod wake;
pub mod websocket;
