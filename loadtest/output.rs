//! Where findings go: to the terminal for people, into files for machines and for a browser.

use std::path::Path;

use crate::fault::Fault;
use crate::options::Common;
use crate::report::{html, json, text};
use crate::results::Results;

/// What `--json` without a file means.
const STANDARD_OUTPUT: &str = "-";

/// Finds out before the load begins that a file cannot be written: after hours it would be too late.
pub fn check(common: &Common) -> Result<(), Fault> {
    let json = common.json.as_deref().filter(|path| *path != STANDARD_OUTPUT);
    for path in json.map(Path::new).into_iter().chain(common.report.as_deref()) {
        json::check_writable(path)?;
    }
    Ok(())
}

/// Prints or writes what was asked for. Whoever takes the findings from the standard output gets nothing else there.
/// A file that cannot be written keeps nothing else from being written.
pub fn publish(results: &Results, common: &Common) -> Result<(), Fault> {
    let json = match common.json.as_deref() {
        Some(STANDARD_OUTPUT) => {
            print!("{}", json::text(results));
            Ok(())
        }
        path => {
            print!("{}", text::text(results));
            path.map_or(Ok(()), |path| json::write(path.as_ref(), results))
        }
    };
    let page = common.report.as_ref().map_or(Ok(()), |path| json::keep(path, &html::page(results)));
    Ok(json.and(page)?)
}
