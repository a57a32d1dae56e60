//! `systemx phone`: an example client of the exchange, for people at a prompt and for scripts.
//! Arguments live here; the main loop is in `handset.rs`, decisions are in `session.rs` (pure), the connection in
//! `link.rs`, the terminal in `prompt.rs`. It speaks the public wire protocol only and uses nothing of the exchange.
//!
//! # Events
//! One line each on stdout; `N` is the phone's own short number of a call. Lines and words are stable.
//! ```text
//! open URL                                 connected to the exchange
//! failed ERROR | lost CODE REASON          could not connect | connection ended (CODE "-": no close frame)
//! retry MS ms                              next attempt follows after this wait
//! registered ADDRESS SESSION_ID | register_failed ADDRESS REASON
//! dialing N ADDRESS | ringing N ADDRESS    a call placed | a call that rings here
//! connected N ADDRESS                      both ends may talk
//! message N FROM CONTENT_TYPE DATA         DATA as text, or as JSON when it is no string
//! hangup N ADDRESS REASON                  the call has ended
//! busy N ADDRESS REASON                    the dial was refused
//! listener N FROM | listener_gone N FROM REASON    broadcast: a listener has come | has gone
//! joined PARTY MEMBER,MEMBER | left PARTY | party PARTY FROM CONTENT_TYPE DATA
//! presence ADDRESS STATUS | presence_end COUNT [truncated]
//! sleep_pending SECONDS | error REASON CONTEXT DETAIL | call N ADDRESS STATE [current] | note TEXT
//! ```
//! Control characters in a line are shown as escapes. With `--json` each line is an object instead: events as
//! `{"event":"connected",...}`, and each frame as `{"in":{...}}` or `{"out":{...}}`.

mod calls;
mod command;
mod frames;
mod handset;
mod link;
mod prompt;
mod report;
mod session;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::tls;

pub use frames::Concurrency;
use link::Endpoint;
use prompt::Prompt;
use session::{Outcome, Plan};

const URL_DEFAULT: &str = "ws://localhost:8080";
/// The environment variable clients take their URL from (spec section 21).
const URL_VARIABLE: &str = "SYSTEMX_URL";
/// Exit status for wrong usage, as clap has it.
const EXIT_USAGE: u8 = 2;
const AFTER_HELP: &str = "\
The phone is interactive when stdin and stdout are a terminal and none of --message, --run-seconds and --json
is given; type `help` at the prompt. Otherwise it follows the flags and prints one line for each event:
  open URL | failed ERROR | lost CODE REASON | retry MS ms
  registered ADDRESS SESSION_ID | register_failed ADDRESS REASON
  dialing N ADDRESS | ringing N ADDRESS | connected N ADDRESS | message N FROM CONTENT_TYPE DATA
  hangup N ADDRESS REASON | busy N ADDRESS REASON | listener N FROM | listener_gone N FROM REASON
  joined PARTY MEMBERS | party PARTY FROM CONTENT_TYPE DATA | presence ADDRESS STATUS | presence_end COUNT
  sleep_pending SECONDS | error REASON CONTEXT DETAIL | note TEXT
It ends after --run-seconds, on SIGINT or SIGTERM, when the dialled call has ended (unless --answer is given),
or, with nothing to do but --presence-domain, after the list.
Exit status: 0 done, 1 the dial, the registration or the connection failed, 2 wrong usage.";

/// The example client: registers an address, dials, answers and talks, at a prompt or from a script
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct PhoneArgs {
    /// The exchange [default: $SYSTEMX_URL, else ws://localhost:8080]
    #[arg(long)]
    url: Option<String>,
    /// Authorities that vouch for a wss:// exchange (PEM) [default: those this machine trusts]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Register this address
    #[arg(long)]
    address: Option<String>,
    /// Call this address once registered
    #[arg(long, value_name = "ADDR", requires = "address")]
    dial: Option<String>,
    /// Answer every call
    #[arg(long, requires = "address")]
    answer: bool,
    /// Say this on each call as soon as it is connected, and on the party line of --join; may be repeated
    #[arg(long = "message", value_name = "TEXT", requires = "address")]
    messages: Vec<String>,
    /// Leave after so many seconds
    #[arg(long, value_name = "N")]
    run_seconds: Option<u64>,
    /// Join this party line
    #[arg(long, value_name = "PARTY", requires = "address")]
    join: Option<String>,
    /// List who is registered under this domain; an empty one lists everybody
    #[arg(long, value_name = "DOMAIN", requires = "address")]
    presence_domain: Option<String>,
    /// Print each event and each frame as one line of JSON
    #[arg(long)]
    json: bool,
    /// How many calls to take at once
    #[arg(long, value_enum)]
    concurrency: Option<Concurrency>,
    /// Leave when the connection is lost
    #[arg(long)]
    no_reconnect: bool,
    /// Time between heartbeats; 0 sends none. The link is given up after twice this time without an answer
    #[arg(long, value_name = "N", default_value_t = 30)]
    heartbeat_seconds: u32,
}

impl PhoneArgs {
    fn scripted(&self) -> bool {
        let script = self.run_seconds.is_some() || !self.messages.is_empty() || self.json;
        script || !io::stdin().is_terminal() || !io::stdout().is_terminal()
    }

    fn plan(&self) -> Plan {
        Plan {
            address: self.address.clone(),
            concurrency: self.concurrency,
            dial: self.dial.clone(),
            answer: self.answer,
            messages: self.messages.clone(),
            join: self.join.clone(),
            presence_domain: self.presence_domain.clone(),
            heartbeat: Duration::from_secs(self.heartbeat_seconds.into()),
            scripted: self.scripted(),
            timed: self.run_seconds.is_some(),
        }
    }
}

/// Runs the phone until it is done, on a runtime of its own. Exit status: 0 done; 1 when the dial, the
/// registration or the connection failed; 2 for wrong usage.
pub fn run(args: PhoneArgs) -> ExitCode {
    let from_environment = || std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty());
    let url = args.url.clone().or_else(from_environment).unwrap_or_else(|| URL_DEFAULT.to_owned());
    let endpoint = match Endpoint::parse(&url) {
        Ok(endpoint) => endpoint,
        Err(error) => return complain(&format!("cannot use {url}: {error}"), ExitCode::from(EXIT_USAGE)),
    };
    let tls = endpoint.is_secure.then(|| tls::client_config(args.ca.as_deref(), None)).transpose();
    let tls = match tls {
        Ok(tls) => tls,
        Err(error) => return complain(&format!("cannot use {url}: {error}"), ExitCode::from(EXIT_USAGE)),
    };
    let prompt = match (!args.scripted()).then(Prompt::start).transpose() {
        Ok(prompt) => prompt,
        Err(error) => return complain(&format!("cannot use this terminal: {error}"), ExitCode::FAILURE),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start: {error}"), ExitCode::FAILURE),
    };
    let outcome = runtime.block_on(handset::run(&args, endpoint, tls, prompt));
    // A name lookup may still be running in the background; it is not waited for.
    runtime.shutdown_background();
    match outcome {
        Outcome::Success => ExitCode::SUCCESS,
        Outcome::Failure => ExitCode::FAILURE,
    }
}

fn complain(text: &str, code: ExitCode) -> ExitCode {
    // Nothing is left to do when stderr is gone too.
    drop(writeln!(io::stderr(), "systemx phone: {text}"));
    code
}
