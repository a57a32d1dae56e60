//! SystemX: a telephone exchange for agents and people over WebSocket.
pub mod dialect;
pub mod exchange;
