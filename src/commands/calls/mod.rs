//! `systemx calls`: asks the file of call records, also while the exchange writes to it: who called whom, when, for how long,
//! and why it ended. Shows a table, sums up, or exports. Nothing is ever changed.
//!
//! The file is the one of the configuration that holds here (`SYSTEMX_CALL_RECORDS`), or any other that is named.

mod hints;
mod print;
mod table;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{EXIT_USAGE, complain};
use crate::config::{RawFlags, process};
use crate::shell::clock::unix_ms;
use crate::store::records::query::{Archive, Filter, Kept, Order, QueryError, Summary};
use crate::timestamp::Timestamp;

/// Rows of a table that nobody has limited: a few screens. Exports have no limit of their own.
const TABLE_LIMIT: u64 = 100;

/// The arguments of `systemx calls`.
#[derive(Debug, Args)]
pub struct CallsArgs {
    /// The file of call records [default: SYSTEMX_CALL_RECORDS as configured in this directory and environment]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Calls of this address, on either side
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Calls that this address placed
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Calls to this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Calls with this domain on either side
    #[arg(long)]
    domain: Option<String>,
    /// Calls that ended then or later: a span until now (30s, 15m, 2h, 7d), a date, or a moment (2026-11-21T14:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Calls that ended before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Calls that ended for this reason: normal, timeout, no_such_address ...
    #[arg(long, value_name = "REASON")]
    cause: Option<String>,
    /// Calls that nobody answered
    #[arg(long)]
    failed: bool,
    /// The call of this id
    #[arg(long, value_name = "ID")]
    call: Option<String>,
    /// At most so many, from 1 on [default: 100 in a table, all otherwise]
    #[arg(long, value_name = "COUNT", value_parser = limit)]
    limit: Option<u64>,
    /// The first to end first, instead of the last
    #[arg(long)]
    oldest_first: bool,
    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Sums instead of single calls: how many, answered, why they ended, how long they rang and talked
    #[arg(long, conflicts_with_all = ["limit", "oldest_first"])]
    summary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// Comma-separated values (RFC 4180) with a row of names
    Csv,
    /// One JSON object a line, as in the call log
    Json,
}

/// Why nothing is shown.
#[derive(Debug)]
enum Fault {
    NoFile,
    Query(QueryError),
    Output(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str(
                "no file of call records is configured here; name one with --file, or set SYSTEMX_CALL_RECORDS",
            ),
            Self::Query(error) => error.fmt(f),
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

/// Shows what the arguments ask for.
pub fn run(args: CallsArgs) -> ExitCode {
    match show(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever has closed the pipe has seen enough.
        Err(Fault::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(fault @ Fault::NoFile) => {
            complain([fault]);
            ExitCode::from(EXIT_USAGE)
        }
        Err(fault) => {
            complain([fault]);
            ExitCode::FAILURE
        }
    }
}

fn show(args: CallsArgs) -> Result<(), Fault> {
    let path = args.file.clone().or_else(configured).ok_or(Fault::NoFile)?;
    let archive = Archive::open(&path).map_err(Fault::Query)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let filter = args.filter();
    let shown = if args.summary {
        let summary = archive.summary(&filter).map_err(Fault::Query)?;
        args.sum_up(&summary, &mut out).map_err(Fault::Output)?;
        Shown { is_any: summary.calls > 0, unreadable: summary.unreadable }
    } else {
        args.list(&archive, &filter, &mut out)?
    };
    out.flush().map_err(Fault::Output)?;
    if shown.unreadable > 0 {
        complain([format!("{} records are damaged and left out", shown.unreadable)]);
    }
    if !shown.is_any {
        complain(hints::why_nothing(&filter));
    }
    Ok(())
}

/// What has come of a question.
struct Shown {
    /// Whether there was anything to show.
    is_any: bool,
    /// Records that might be among them, but are damaged.
    unreadable: u64,
}

/// The file that an exchange started here would write to. What else is wrong with its configuration does not matter.
fn configured() -> Option<PathBuf> {
    let raw = process::gather(RawFlags::default());
    let given = raw.given(&crate::config::settings::CALL_RECORDS)?;
    (!given.value.is_empty()).then(|| PathBuf::from(&given.value))
}

impl CallsArgs {
    fn filter(&self) -> Filter {
        Filter {
            address: self.address.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            domain: self.domain.clone(),
            since_ms: self.since.map(|at| at.0),
            until_ms: self.until.map(|at| at.0),
            reason: self.cause.clone(),
            failed: self.failed,
            call_id: self.call.clone(),
        }
    }

    fn sum_up(&self, summary: &Summary, out: &mut impl Write) -> io::Result<()> {
        match self.format {
            Format::Table => out.write_all(table::summary(summary).as_bytes()),
            Format::Csv => print::summary_csv(summary, out),
            Format::Json => print::summary_json(summary, out),
        }
    }

    /// Shows the calls.
    fn list(&self, archive: &Archive, filter: &Filter, out: &mut impl Write) -> Result<Shown, Fault> {
        let order = if self.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
        match self.format {
            Format::Table => {
                // One more is asked for, to know whether there are more.
                let limit = self.limit.unwrap_or(TABLE_LIMIT);
                let mut rows = Vec::new();
                let keep = |kept| {
                    rows.push(kept);
                    true
                };
                let more = Some(limit.saturating_add(1));
                let unreadable = archive.each(filter, order, more, keep).map_err(Fault::Query)?;
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                out.write_all(table::table(&rows, limit).as_bytes()).map_err(Fault::Output)?;
                Ok(Shown { is_any: !rows.is_empty(), unreadable })
            }
            Format::Csv => {
                out.write_all(print::CSV_HEAD.as_bytes()).map_err(Fault::Output)?;
                self.stream(archive, filter, order, |kept| print::csv(kept, out))
            }
            Format::Json => self.stream(archive, filter, order, |kept| print::json(kept, out)),
        }
    }

    /// Writes row by row, until there are no more or the output takes no more.
    fn stream(
        &self,
        archive: &Archive,
        filter: &Filter,
        order: Order,
        mut write: impl FnMut(&Kept) -> io::Result<()>,
    ) -> Result<Shown, Fault> {
        let (mut outcome, mut is_any) = (Ok(()), false);
        let each = |kept| {
            is_any = true;
            outcome = write(&kept);
            outcome.is_ok()
        };
        let unreadable = archive.each(filter, order, self.limit, each).map_err(Fault::Query)?;
        outcome.map_err(Fault::Output).map(|()| Shown { is_any, unreadable })
    }
}

/// How many calls may be asked for.
fn limit(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|&limit| limit > 0).ok_or("not a number of calls; give one from 1 on")
}

/// A span until now, a date or a moment.
fn moment(text: &str) -> Result<Timestamp, &'static str> {
    let span = span_ms(text).map(|span_ms| Timestamp(unix_ms().saturating_sub(span_ms)));
    span.or_else(|| text.parse().ok()).ok_or(
        "not a time; give a span until now (30s, 15m, 2h, 7d, 4w), a date (2026-11-21, from midnight UTC on) or a moment \
         (2026-11-21T14:00:00Z)",
    )
}

/// A number and a unit, in milliseconds.
fn span_ms(text: &str) -> Option<u64> {
    const UNITS: [(char, u64); 5] =
        [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000), ('w', 604_800_000)];
    let (unit, ms) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_count_back_from_now_and_dates_are_dates() {
        let now = unix_ms();
        let ago = |text| now.abs_diff(moment(text).expect("a time").0);
        for (text, ms) in [("90s", 90_000), ("15m", 900_000), ("2h", 7_200_000), ("7d", 604_800_000)] {
            assert!(ago(text).abs_diff(ms) < 60_000, "{text}");
        }
        assert_eq!(moment("2026-11-21"), Ok(Timestamp(1_795_219_200_000)));
        for text in ["", "h", "2y", "-2h", "1.5h", "99999999999999999999w", "18446744073709551615w", "now"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
