//! SystemX: a telephone exchange for agents and people over WebSocket.
pub mod exchange;
pub mod store;
pub mod wake;
