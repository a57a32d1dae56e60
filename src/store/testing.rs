//! What the tests of those who keep records share: a folder that is gone afterwards, and patience.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// For what must happen: long enough for a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of one test alone, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("systemx-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where a call log goes.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("calls.jsonl")
    }

    /// Where a file of records goes.
    pub(crate) fn records(&self) -> PathBuf {
        self.0.join("calls.db")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn eventually(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "the condition is met in time");
        std::thread::yield_now();
    }
}
