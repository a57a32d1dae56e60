//! `systemx serve`: from arguments to a configuration, a log and raised limits, in the order in which a failure can still be
//! told: mistakes of the configuration go to standard error, everything after that to the log. The exchange itself is
//! the operator's.

use std::process::ExitCode;
use std::time::Duration;

use tracing::{error, info, warn};

use super::{EXIT_USAGE, complain, process};
use crate::config::{self, Config, RawFlags, Warning};
use crate::logging::{self, LogSettings, Logging};
use crate::shell::clock::unix_ms;
use crate::shell::overseer::{self, Surroundings};

/// How long the end waits for a blocked standard output to take the last lines.
const LOG_FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// What an exchange starts with.
pub struct Start {
    /// The checked configuration.
    pub config: Config,
    /// The log; keep it until the end, its guard writes the last lines.
    pub logging: Logging,
}

/// Runs the exchange until it is stopped; exit code 0 after an orderly stop.
pub fn run(flags: RawFlags) -> ExitCode {
    // Before there is any other thread.
    let inherited = match config::process::inherited_listeners() {
        Ok(inherited) => inherited,
        Err(error) => {
            complain([format_args!(
                "a socket that was handed over (LISTEN_FDS) is none that listens: {error}"
            )]);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let start = match prepare(flags) {
        Ok(start) => start,
        Err(code) => return code,
    };
    let Start { config, logging: Logging { guard, feed } } = start;
    let surroundings = Surroundings { supervision: config::process::supervision(), inherited };
    let ran = overseer::run(&config, feed, surroundings);
    if let Err(error) = &ran {
        error!("{error}");
    }
    // Whoever reads the log wants the last lines most of all.
    guard.flush(LOG_FLUSH_LIMIT);
    if ran.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Loads the configuration, starts the log, raises the limits of the process, and logs what is odd. On failure everything
/// has been told to the operator and the exit code is returned.
pub fn prepare(flags: RawFlags) -> Result<Start, ExitCode> {
    let (config, warnings) = config::process::load(flags).map_err(|errors| {
        complain(errors);
        ExitCode::from(EXIT_USAGE)
    })?;
    let settings = LogSettings {
        level: config.log_level,
        format: config.log_format,
        stream: config.log_stream,
        clock_unix_ms: unix_ms,
    };
    let logging = logging::init(settings).map_err(|error| {
        complain([error]);
        ExitCode::FAILURE
    })?;
    prepare_process(&config, &warnings);
    Ok(Start { config, logging })
}

fn prepare_process(config: &Config, warnings: &[Warning]) {
    for warning in warnings {
        warn!("{warning}");
    }
    for mistake in &config.federation.mistakes {
        match mistake.is_omission() {
            true => warn!("{mistake}"),
            false => error!("{mistake}"),
        }
    }
    let is_without_huge_pages = process::disable_huge_pages();
    let descriptor_limit = process::raise_descriptor_limit();
    info!(descriptor_limit, is_without_huge_pages, shards = config.shards, "process prepared");
    if let Some(missing) = process::descriptors_missing(config.connections_max, descriptor_limit) {
        warn!(missing, descriptor_limit, "SYSTEMX_CONNECTIONS_MAX is more than the descriptor limit allows");
    }
}
