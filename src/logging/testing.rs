//! A sink for tests of this folder: it keeps what is written and can be blocked, as a full pipe would be.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// Keeps what is written; clones share it.
#[derive(Clone, Default)]
pub(super) struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    gate: Arc<Mutex<()>>,
}

impl Captured {
    /// What was written so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().clone()).expect("log lines are UTF-8")
    }

    /// Blocks writers until the returned gate is dropped.
    pub(super) fn block(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _passed = self.gate.lock();
        self.bytes.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
