//! Findings made readable: on a terminal, as a page, as a file for machines. Also the command `report`, which draws a
//! kept file again.
//!
//! Nothing here measures or judges; everything is a function of [`crate::results::Results`].

pub mod headline;
pub mod html;
pub mod json;
#[cfg(test)]
pub mod sample;
pub mod text;
pub mod units;

use std::path::PathBuf;

use json::FileError;

/// Which file to show, and how.
#[derive(clap::Args)]
pub struct Options {
    /// Findings that --json has written.
    results: PathBuf,
    /// Write the page to this file instead of printing the findings.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Prints kept findings, or writes their page.
pub fn run(options: &Options) -> Result<(), FileError> {
    let results = json::read(&options.results)?;
    match &options.html {
        Some(path) => json::keep(path, &html::page(&results)),
        None => {
            print!("{}", text::text(&results));
            Ok(())
        }
    }
}
