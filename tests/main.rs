//! The one integration binary.

/// Transcripts of whole conversations, bytes to bytes, without sockets.
mod golden;
