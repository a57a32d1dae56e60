//! SystemX: a telephone exchange for agents and people over WebSocket.
pub mod exchange;
pub mod shell;
pub mod websocket;
