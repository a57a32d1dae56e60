//! A complete data message, as its type tells what has been verified of it.
//!
//! The decoder checks a text once; whoever gets it as `str` need not do it again, which counts for large messages.

use std::borrow::Cow;

use super::MessageKind;

/// A complete data message, fragments joined, unmasked; may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'i> {
    /// Text.
    Text(Cow<'i, str>),
    /// Bytes of which nothing is known.
    Binary(Cow<'i, [u8]>),
}

impl Message<'_> {
    /// Which kind it is.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Its payload.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The same with a payload of its own, free of the input's lifetime.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into_owned())),
        }
    }
}
