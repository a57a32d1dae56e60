//! Starts the exchange; `running.rs` drains and stops it, `overseer.rs` says when.
//!
//! Start: listeners are bound first, so that a mistake is told before anything runs; then trunks, the operator's
//! thread for slow work, one thread for each shard, then the one that calls other exchanges, and the admin listener. Stop: nobody is
//! called any more, shards close everything and end (within the limit), then the runner of wake handlers, then those who keep
//! call records, and last the admin listener, so that probes are answered until then. What ends later serves what ends earlier.

mod error;
mod running;
mod setup;
mod wire;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;
use tracing::info;

use crate::config::Config;
use crate::console::Board;
use crate::console::readiness::Readiness;
use crate::exchange::address;
use crate::exchange::ids::ShardId;
use crate::identity::Rulebook;
use crate::logging::{FeedReader, START_TARGET};
use crate::shell::desk::{outcome_of, run_of};
use crate::shell::log_service::LogService;
use crate::shell::peers::{Dialler, Link, LinkCounts};
use crate::shell::rules::{RuleDesk, RuleSources};
use crate::shell::switchboard::Post;
use crate::shell::{admin, recorders, trunk};
use crate::{tls, wake};

use running::{Drains, ShardThread, unix_s};
use setup::{Common, Wiring, entrances, ladders_of, pollers, start_shard};
use wire::{peer_wake, wires};

pub use error::StartError;
pub use running::Running;
pub use wire::Wire;

/// How long a shard may take to set itself up: a fault of it must not leave the start hanging.
const SHARD_START_MAX: Duration = Duration::from_secs(10);

/// Starts an exchange; it accepts connections when this returns.
///
/// # Errors
/// If the address, the certificate, the call log or the system does not allow it.
pub fn start(config: &Config, feed: Option<FeedReader>) -> Result<Running, StartError> {
    start_on(config, feed, Vec::new())
}

/// The same on sockets that somebody else has opened, if there are any: then the configured address does not count.
///
/// # Errors
/// As [`start`], and if there are more sockets than shards.
pub fn start_on(
    config: &Config,
    feed: Option<FeedReader>,
    inherited: Vec<TcpListener>,
) -> Result<Running, StartError> {
    let watch = |files| tls::Watch::start(files, unix_s()).map_err(StartError::Tls);
    let certificate = config.tls.as_ref().map(watch).transpose()?;
    let entrances = entrances(config, inherited)?;
    let first = entrances.first().and_then(|entrance| entrance.listener.local_addr().ok());
    let address = first.unwrap_or(config.listen);
    let admin = config.admin.as_ref().map(admin::Bound::new).transpose().map_err(StartError::Admin)?;
    let recorders = recorders::start(config)?;
    let (polls, wakers) = pollers(config.shards)?;
    let ports =
        trunk::mesh(config.trunk_capacity, wakers.iter().map(|waker| peer_wake(waker.clone())).collect());
    let (wires, letters) = wires(wakers);
    let (book, rules) = start_rules(config, wires.clone())?.unzip();
    let (wakes, commands) = wake::channel();
    let operator = start_operator(commands, wires.clone())?;
    let mut feed = feed;
    let credentials = certificate.as_ref().map(tls::Watch::credentials);
    let (steps, ladders) = ladders_of(wires.clone());
    let mut common = Common::new(config, wakes, recorders.recorder(), credentials, steps)?;
    (common.rules, common.keys) = (book, rules.as_ref().map(RuleDesk::orders));
    let (ready, up) = sync_channel(config.shards);
    let mut shards = Vec::new();
    let each = entrances.into_iter().zip(polls).zip(ports).zip(letters).zip(wires);
    for (number, ((((entrance, poll), port), mailbox), wire)) in each.enumerate() {
        let id = ShardId::new(number);
        let serves_log = address::home(address::LOG_SERVICE, config.shards) == id;
        let log_service = feed.take_if(|_| serves_log).map(|feed| log_service(feed, wire.waker.clone()));
        let board = Board::default();
        let wiring = Wiring { entrance, poll, port, mailbox, wire: &wire, board: board.clone(), log_service };
        let thread = start_shard(id, common.parts(id, wiring), config.pin, ready.clone())?;
        shards.push(ShardThread { wire, board, thread: Some(thread) });
    }
    let (clock, credentials) = (common.clock, common.credentials.clone());
    let mut running = Running {
        address,
        drains: Drains::new(config),
        shards,
        operator: Some(operator),
        recorders,
        dialler: None,
        rules,
        certificate,
        ladders,
        admin: None,
        readiness: Readiness::default(),
        stop_timeout: Duration::from_millis(config.stop_timeout_ms),
    };
    // What is left of it would keep the threads that serve the shards from ending.
    drop((ready, common));
    let late = |_| Err(std::io::ErrorKind::TimedOut.into());
    let words = (0..config.shards).map(|_| up.recv_timeout(SHARD_START_MAX).unwrap_or_else(late));
    if let Err(source) = words.collect::<std::io::Result<()>>() {
        running.stop();
        return Err(StartError::System { what: "a shard's runtime", source });
    }
    if let Err(error) = running.open_doors(config, clock, credentials, admin) {
        running.stop();
        return Err(error);
    }
    let is_encrypted = config.tls.is_some();
    info!(target: START_TARGET, %address, shards = config.shards, is_encrypted, "exchange is up");
    Ok(running)
}

fn log_service(feed: FeedReader, waker: Arc<Waker>) -> LogService {
    let service = LogService::new(feed);
    // A wake that fails is made up for by the shard's next turn; logging it here would feed on itself.
    service.wake_with(move || drop(waker.wake()));
    service
}

/// The thread that keeps links to other exchanges up. Each link belongs to the shard that its place in the configuration picks.
fn start_dialler(
    config: &Config,
    shards: &[ShardThread],
    counts: &Arc<LinkCounts>,
) -> std::io::Result<Option<Dialler>> {
    let wires: Vec<Wire> = shards.iter().map(|shard| shard.wire.clone()).collect();
    let deliver = move |link: Link| {
        let wire = &wires[link.peer.position as usize % wires.len()];
        // A link that there is no room for is dropped with what was to be posted, and called again.
        wire.post(Post::Link(Box::new(link)));
    };
    Dialler::start(&config.federation, Arc::new(deliver), counts.clone())
}

/// Where the configuration says that rules come from, if it does.
pub fn rule_sources(config: &Config) -> Option<RuleSources> {
    const MS: u64 = 1000;
    config.has_rules().then(|| RuleSources {
        file: config.auth_file.clone(),
        tokens: config.auth_tokens.clone(),
        grace_ms: config.auth_grace_seconds.saturating_mul(MS),
    })
}

/// The rules and the thread that keeps them, if there are any.
fn start_rules(config: &Config, wires: Vec<Wire>) -> Result<Option<(Arc<Rulebook>, RuleDesk)>, StartError> {
    let Some(sources) = rule_sources(config) else { return Ok(None) };
    let spread =
        move |book: &Arc<Rulebook>| wires.iter().for_each(|wire| wire.deliver(Post::Rules(book.clone())));
    RuleDesk::start(sources, Box::new(spread)).map(Some).map_err(StartError::Rules)
}

/// The thread for slow work: wake handlers.
fn start_operator(
    commands: tokio::sync::mpsc::Receiver<wake::WakeCommand>,
    wires: Vec<Wire>,
) -> Result<JoinHandle<()>, StartError> {
    let report: wake::Report = Arc::new(move |result: wake::WakeResult| {
        let run = run_of(result.run);
        if let Some(wire) = wires.get(run.shard.index()) {
            // One that is lost is missed by nobody: the callers' own timers end their wait.
            wire.post(Post::Woken(run, outcome_of(result.outcome)));
        }
    });
    let refused = |source| StartError::System { what: "the operator's thread", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
    let body = move || runtime.block_on(wake::run(commands, report));
    std::thread::Builder::new().name("operator".into()).spawn(body).map_err(refused)
}
