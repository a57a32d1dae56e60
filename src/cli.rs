//! The command line: which program of `systemx` is wanted, with which arguments. Settings are not listed here; they come from
//! the table in `config::settings`. A new program is one variant of [`Program`] and one line in [`Cli::run`]; its
//! arguments and its work live in its own module.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::commands::calls::CallsArgs;
use crate::commands::drain::DrainArgs;
use crate::commands::health::HealthArgs;
use crate::commands::token::TokenArgs;
use crate::config::RawFlags;
use crate::phone::{self, PhoneArgs};
use crate::sim::SimArgs;

/// The arguments of `systemx`. Without a program it serves, so `systemx --port 9000` is `systemx serve --port 9000`.
#[derive(Debug, Parser)]
#[command(name = "systemx", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub program: Option<Program>,
    /// The settings of `serve`.
    #[command(flatten)]
    pub flags: RawFlags,
}

/// The programs.
#[derive(Debug, Subcommand)]
pub enum Program {
    /// Run the exchange (the default)
    Serve(RawFlags),
    /// Print every setting, its value and where it comes from, or what is wrong
    CheckConfig(RawFlags),
    /// Register, dial, answer and talk, at a prompt or from a script
    Phone(PhoneArgs),
    /// Ask a running exchange for a heartbeat; exit code 0 if it answers within 3 seconds
    Health(HealthArgs),
    /// Show, sum up or export the records of ended calls and failed dials
    Calls(CallsArgs),
    /// Have a running exchange send its clients away, let calls end, and go
    Drain(DrainArgs),
    /// Simulate an exchange from a seed and check what must hold in every run
    Sim(SimArgs),
    /// Make and inspect signed tokens, for testing
    Token(TokenArgs),
    /// Print the version
    Version,
}

impl Cli {
    /// Runs the program to its end.
    pub fn run(self) -> ExitCode {
        match self.program.unwrap_or(Program::Serve(self.flags)) {
            Program::Serve(flags) => commands::serve::run(flags),
            Program::CheckConfig(flags) => commands::check_config::run(flags),
            Program::Phone(args) => phone::run(args),
            Program::Health(args) => commands::health::run(args),
            Program::Calls(args) => commands::calls::run(args),
            Program::Drain(args) => commands::drain::run(args),
            Program::Sim(args) => crate::sim::main(&args),
            Program::Token(args) => commands::token::run(args),
            Program::Version => commands::print(&format!("systemx {}\n", env!("CARGO_PKG_VERSION"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn flags(arguments: &[&str]) -> RawFlags {
        let cli = Cli::try_parse_from(arguments).expect("the arguments are right");
        match cli.program {
            None => cli.flags,
            Some(Program::Serve(flags) | Program::CheckConfig(flags)) => flags,
            Some(
                Program::Phone(_)
                | Program::Health(_)
                | Program::Calls(_)
                | Program::Drain(_)
                | Program::Sim(_)
                | Program::Token(_)
                | Program::Version,
            ) => RawFlags::default(),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_program_the_flags_belong_to_serve() {
        for arguments in
            [&["systemx", "--port", "9000", "--pin"][..], &["systemx", "serve", "--pin", "--port=9000"]]
        {
            let flags = flags(arguments);
            assert_eq!(flags.values.get("port").map(String::as_str), Some("9000"));
            assert_eq!(flags.values.get("pin").map(String::as_str), Some("true"));
            assert_eq!(flags.values.len(), 2);
        }
    }

    #[test]
    fn numbers_below_zero_and_switched_off_switches_are_values() {
        let flags =
            flags(&["systemx", "--dial-max-attempts", "-1", "--log-stream=off", "--config", "a.toml"]);
        assert_eq!(flags.values.get("dial_max_attempts").map(String::as_str), Some("-1"));
        assert_eq!(flags.values.get("log_stream").map(String::as_str), Some("off"));
        assert_eq!(flags.config_file.as_deref(), Some(std::path::Path::new("a.toml")));
    }

    #[test]
    fn a_misspelt_flag_is_refused_with_the_one_that_was_meant() {
        let error = Cli::try_parse_from(["systemx", "--prot", "1"]).expect_err("there is no such flag");
        assert!(error.to_string().contains("--port"), "{error}");
    }
}
