//! In place of the ring where there is none: on other systems than Linux, and in builds without the feature.

use std::io;

use super::{Attempt, Parcel};

/// Never exists.
pub(super) enum Ring {}

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn send_all<'a>(
        &mut self,
        _: impl Iterator<Item = Parcel<'a>>,
        _: &mut Vec<Attempt>,
    ) -> io::Result<()> {
        match *self {}
    }
}
