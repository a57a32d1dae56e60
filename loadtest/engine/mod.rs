//! The engine of the load generator: threads with many clients each, and the course of a run.
//!
//! A run is: connect and set up, warm up, measure, let end what has begun, say good-bye. Every worker is a thread with
//! its own poller, clients, timers and tally; workers share nothing but the clock and the moment of the start.
//! A scenario is a table of callbacks ([`Scenario`]); it does no I/O and never waits.

pub mod context;
mod entering;
pub mod interrupt;
pub mod link;
mod read;
pub mod run;
mod sources;
pub mod timers;
mod transport;
pub mod wire;
mod worker;

#[cfg(test)]
mod tests;

use mio::Token;

pub use context::{Context, Share};
pub use link::{Client, Closed, Enter};
use timers::{Clock, Nanos};

use crate::frames::client_text;
use crate::measure::tally::Figures;
use crate::target::Target;
use crate::token;

const WAKER: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);

/// What a run is to do, apart from its scenario.
#[derive(Debug)]
pub struct Plan {
    /// What is driven.
    pub target: Target,
    /// Workers.
    pub threads: usize,
    /// Of everything that is left to chance.
    pub seed: u64,
    /// In the names of this run's clients, so that two runs do not meet.
    pub tag: String,
    /// What their names end in.
    pub domain: String,
    /// What opens their addresses, in REGISTER.
    pub token: Option<token::Token>,
    /// Time all workers count from.
    pub clock: Clock,
    /// Load before the measured window.
    pub warm_up: Nanos,
    /// The measured window.
    pub duration: Nanos,
    /// What one operation may take.
    pub op_limit: Nanos,
    /// What connecting may take, up to REGISTERED.
    pub connect_limit: Nanos,
    /// What a close frame's answer may take.
    pub close_limit: Nanos,
    /// Clients of one worker that connect at the same time.
    pub connects_max: usize,
    /// Whether workers poll instead of sleeping, so that their own wake-ups are no part of what they measure.
    pub spin: bool,
    /// Processors for the workers, in turn; empty: wherever the system likes.
    pub cores: Vec<usize>,
}

impl Plan {
    /// A frame to register an address with, ready to send. `extra` are further members, each with a comma in front.
    pub fn register(&self, address: &str, extra: &str) -> Vec<u8> {
        // A token has no control characters; quotes and backslashes it may have.
        let escaped = |token: &token::Token| token.text().replace('\\', r"\\").replace('"', r#"\""#);
        let auth = self.token.as_ref().map(|token| format!(r#","auth":"{}""#, escaped(token)));
        let auth = auth.unwrap_or_default();
        client_text(format!(r#"{{"type":"REGISTER","address":"{address}"{extra}{auth}}}"#).as_bytes())
    }
}

/// One kind of load. Each worker has an instance of its own, with its share of the clients.
///
/// The order of calls is: `start`; then, when all workers are ready, `run`; then `stop`, and `finish` when nothing is
/// in flight or it took too long. The other callbacks come at any time. A scenario that has asked for a client gets
/// either `on_registered` or `on_closed` for it, and `on_closed` at the end; its number may then mean another client.
pub trait Scenario: Send {
    /// What is counted.
    fn figures(&self) -> Figures;
    /// Connects the clients that are there from the beginning.
    fn start(&mut self, ctx: &mut Context);
    /// Whether everything is set up, so that the load may begin.
    fn is_ready(&self) -> bool;
    /// The load begins.
    fn run(&mut self, ctx: &mut Context);
    /// A client is in.
    fn on_registered(&mut self, ctx: &mut Context, client: Client);
    /// A text message came for a client that is in.
    fn on_frame(&mut self, ctx: &mut Context, client: Client, payload: &[u8]);
    /// A time that was asked for by [`Context::at`] has come.
    fn on_timer(&mut self, _ctx: &mut Context, _token: u64) {}
    /// Another worker has used this one's [`Context::waker`], or the run is to go on. Comes also without a reason.
    fn on_woken(&mut self, _ctx: &mut Context) {}
    /// A client is gone, or did not get in.
    fn on_closed(&mut self, ctx: &mut Context, client: Client, why: &Closed);
    /// Once a second: the place to look for what takes too long.
    fn on_second(&mut self, _ctx: &mut Context) {}
    /// The load ends: nothing new is to begin.
    fn stop(&mut self, ctx: &mut Context);
    /// Operations that have begun and not ended.
    fn in_flight(&self) -> usize;
    /// The run is over: count what has not ended, hang up. The engine closes all clients.
    fn finish(&mut self, ctx: &mut Context);
}

impl Closed {
    /// Whether it is how servers end a connection that does not read: with a code for it, or without a word.
    pub fn is_for_slowness(&self) -> bool {
        const SLOW_CONSUMER: u16 = 4000;
        matches!(self, Self::Peer(SLOW_CONSUMER | link::CLOSE_ABNORMAL))
    }

    /// In a word, as errors are counted by.
    pub fn word(&self) -> String {
        match self {
            Self::Local => "cut by the generator".to_owned(),
            Self::Peer(code) => format!("closed:{code}"),
            Self::Refused(what, reason) => format!("{what}:{reason}"),
            Self::Malformed(what) => format!("malformed: {what}"),
        }
    }

    /// Counts it as an error, or as a fault if the server broke the protocol. Not if it was wanted.
    pub fn count(&self, ctx: &mut Context) {
        match self {
            Self::Local => {}
            Self::Peer(code) => ctx.tally.error("closed", &code.to_string()),
            Self::Refused(what, reason) => ctx.tally.error(what, reason),
            Self::Malformed(what) => ctx.tally.fault(|| format!("malformed: the server sent {what}")),
        }
    }
}
