//! Ctrl-C and SIGTERM end a run in order, with results; a second one ends the process at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use super::worker::Shared;
use crate::fault::Fault;

/// The exit code of a process that was interrupted.
const INTERRUPTED: i32 = 130;

/// Watches for both on a thread of its own, for as long as the process lives.
pub fn watch(shared: &Arc<Shared>) -> Result<(), Fault> {
    let shared = Arc::clone(shared);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let wait = async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if shared.end_now.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED);
            }
        }
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}
