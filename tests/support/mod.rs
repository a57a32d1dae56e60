//! What the scenarios share: a real exchange in this process ([`Rig`]) or as a process of its own ([`Process`]), a
//! client that was not written by us ([`Phone`], over tungstenite), and a web server for webhooks ([`Webhooks`]).
//! Nothing here sleeps: every wait is for something that must happen, with a limit after which the test fails.

pub mod browser;
pub mod certificates;
pub mod http;
pub mod phone;
pub mod process;
pub mod records;
pub mod rig;
pub mod webhooks;
pub mod wire;

use std::time::{Duration, Instant};

pub use phone::{Phone, id_of, text_frame};
pub use process::{Process, Scratch};
pub use rig::{Rig, address_on};
pub use webhooks::Webhooks;

/// How long anything may take that has to happen. Long, because several builds may share the machine.
pub const LIMIT: Duration = Duration::from_secs(10);

const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Asks again and again until there is an answer; for what cannot tell by itself (files, other processes).
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "{what}: not within {LIMIT:?}");
        // Between two looks only; what is waited for does not depend on its length.
        std::thread::park_timeout(LOOK_AGAIN);
    }
}
