//! Where findings go: to the terminal for people, into files for machines and for a browser.

use crate::fault::Fault;
use crate::options::Common;
use crate::report::{html, json, text};
use crate::results::Results;

/// What `--json` without a file means.
const STANDARD_OUTPUT: &str = "-";

/// Prints or writes what was asked for. Whoever takes the findings from the standard output gets nothing else there.
pub fn publish(results: &Results, common: &Common) -> Result<(), Fault> {
    if let Some(path) = &common.report {
        json::keep(path, &html::page(results))?;
    }
    match common.json.as_deref() {
        Some(STANDARD_OUTPUT) => print!("{}", json::text(results)),
        Some(path) => {
            json::write(path.as_ref(), results)?;
            print!("{}", text::text(results));
        }
        None => print!("{}", text::text(results)),
    }
    Ok(())
}
