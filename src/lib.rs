//! SystemX: a telephone exchange for agents and people over WebSocket.
pub mod config;
pub mod exchange;
pub mod logging;
