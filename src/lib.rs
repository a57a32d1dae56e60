//! SystemX: a telephone exchange for agents and people over WebSocket.
pub mod cli;
pub mod commands;
pub mod config;
pub mod exchange;
pub mod logging;
