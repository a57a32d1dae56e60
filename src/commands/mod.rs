//! The programs of `systemx` that have no module of their own elsewhere: one file each, with a `run` that returns the exit code.
//! Only these files write to standard output and error, apart from the log writer. Nothing here decides how an exchange
//! behaves.

pub mod calls;
pub mod check_config;
pub mod drain;
pub mod health;
pub mod process;
pub mod serve;
pub mod token;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit code for a configuration or command line that is wrong; clap uses the same.
const EXIT_USAGE: u8 = 2;

/// Writes text to standard output. A reader that went away is a failure, not a panic.
pub fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Tells the operator why the program does not go on: one line each on standard error.
fn complain(reasons: impl IntoIterator<Item: Display>) {
    let mut err = io::stderr().lock();
    for reason in reasons {
        // Nobody is left to tell if this fails; the exit code still says it.
        let _ = writeln!(err, "systemx: {reason}");
    }
}
