//! Ctrl-C and SIGTERM end a run, or a profile, in order, with results; a second one ends the process at once.

use std::io;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a process that was interrupted.
const INTERRUPTED: i32 = 130;

/// Watches for both on a thread of its own, for as long as the process lives. `end` notes the wish and tells whether it
/// was known before.
pub fn watch(end: impl Fn() -> bool + Send + 'static) -> io::Result<()> {
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
            if end() {
                std::process::exit(INTERRUPTED);
            }
        }
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}
