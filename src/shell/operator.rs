//! Starts the exchange, drains it, stops it; `overseer.rs` says when.
//!
//! Start: listeners are bound first, so that a mistake is told before anything runs; then trunks, the operator's
//! thread for slow work, one thread for each shard, then the one that calls other exchanges, and the admin listener. Stop: nobody is
//! called any more, shards close everything and end (within the limit), then the runner of wake handlers, then those who keep
//! call records, and last the admin listener, so that probes are answered until then. What ends later serves what ends earlier.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::config::{Config, SpawnPolicy as ConfiguredSpawn};
use crate::console::ladder::{LadderDesk, Ladders, StepSink, WatchList, step_channel};
use crate::console::readiness::Readiness;
use crate::console::{Board, Report, ServiceState, StateBoard, metrics};
use crate::exchange::address;
use crate::exchange::event::DrainOrder;
use crate::exchange::ids::ShardId;
use crate::exchange::limits::{Limits, SpawnPolicy};
use crate::exchange::shard::Setup;
use crate::identity::Rulebook;
use crate::logging::FeedReader;
use crate::store::{Recorder, Recorders, RecordersError};
use crate::tls::{self, Credentials, TlsError};
use crate::wake;

use super::accepting::Entrance;
use super::admin::{self, Admin, AdminError, Facts};
use super::clock::{Clock, draw_seed, unix_ms};
use super::depot::Depot;
use super::desk::{Desk, outcome_of, run_of};
use super::doorway::Doorway;
use super::listener::HandshakeLimits;
use super::log_service::LogService;
use super::overseer::DrainDesk;
use super::peers::{Dialler, Link, LinkCounts};
use super::ramp::Ramp;
use super::recorders;
use super::rules::{Orders, RuleDesk, RuleSources, RulesError};
use super::switchboard::{ByteBounds, Freight, Inquiry, Parts, Post, Switchboard, WAKER};
use super::trunk;

/// Words from the operator that may wait for one shard; wake results are as many as runs, which are bounded.
const MAILBOX_LEN: usize = 4096;
/// How long a shard may take to set itself up: a fault of it must not leave the start hanging.
const SHARD_START_MAX: Duration = Duration::from_secs(10);
/// The part of a drain's time over which idle clients are spread; those in parties and broadcasts have as much after it, and the rest is
/// for whom either leaves over.
const DRAIN_SPREAD: (u32, u32) = (2, 5);
/// How long the admin listener may take to stop; it waits for nothing.
const ADMIN_STOP_MAX: Duration = Duration::from_millis(500);
/// What stopping may take beyond the shards' own limit, for the threads that serve them.
const STOP_GRACE: Duration = Duration::from_millis(1500);

/// Why the exchange did not start, with what to do about it.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// More sockets were handed over than there are shards to serve them.
    Sockets {
        /// Sockets.
        sockets: usize,
        /// Shards.
        shards: usize,
    },
    /// Call records cannot be kept.
    Records(RecordersError),
    /// The rules are wrong.
    Rules(RulesError),
    /// The files of TLS cannot be used.
    Tls(TlsError),
    /// The admin listener cannot be as it is configured.
    Admin(AdminError),
    /// The system refused something that every start needs.
    System {
        /// What was wanted.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => write!(
                f,
                "cannot listen on {address}: {source}; stop what uses the port, or set SYSTEMX_HOST and SYSTEMX_PORT"
            ),
            Self::Sockets { sockets, shards } => write!(
                f,
                "{sockets} listening sockets were inherited (LISTEN_FDS) and there are {shards} shards: name fewer in the \
                 socket unit, or set SYSTEMX_SHARDS to {sockets}"
            ),
            Self::Records(error) => error.fmt(f),
            Self::Rules(error) => write!(f, "the rules: {error}"),
            Self::Tls(error) => write!(f, "TLS_ENABLED is true, but {error}"),
            Self::Admin(error) => error.fmt(f),
            Self::System { what, source } => write!(f, "the system refused {what}: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::System { source, .. } => Some(source),
            Self::Sockets { .. } => None,
            Self::Records(error) => Some(error),
            Self::Rules(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Admin(error) => Some(error),
        }
    }
}

/// An exchange that runs.
pub struct Running {
    address: SocketAddr,
    shards: Vec<ShardThread>,
    operator: Option<JoinHandle<()>>,
    recorders: Recorders,
    dialler: Option<Dialler>,
    rules: Option<RuleDesk>,
    certificate: Option<tls::Watch>,
    ladders: LadderDesk,
    admin: Option<Admin>,
    readiness: Readiness,
    stop_timeout: Duration,
    drains: Drains,
}

/// What a drain needs.
struct Drains {
    state: StateBoard,
    desk: DrainDesk,
    /// Until somebody takes them.
    orders: Option<mpsc::Receiver<Duration>>,
    retry_ms: u64,
    /// The thread that called other exchanges, when it has been told to end.
    dialler: Option<JoinHandle<()>>,
}

impl Drains {
    fn new(config: &Config) -> Self {
        let state = StateBoard::default();
        let (desk, orders) = DrainDesk::new(config.drain_seconds, state.clone());
        Self { state, desk, orders: Some(orders), retry_ms: config.drain_retry_ms, dialler: None }
    }
}

struct ShardThread {
    wire: Wire,
    board: Board,
    thread: Option<JoinHandle<()>>,
}

/// The way to a shard from other threads.
#[derive(Clone, Debug)]
pub struct Wire {
    mailbox: SyncSender<Post>,
    waker: Arc<Waker>,
}

impl Wire {
    /// As [`Wire::post`], but waits for room, because what is lost would be missed for ever.
    fn deliver(&self, post: Post) {
        if self.mailbox.send(post).is_ok()
            && let Err(error) = self.waker.wake()
        {
            warn!(%error, "a shard cannot be woken");
        }
    }

    /// A way to nobody but whoever holds the other end of the mailbox.
    #[cfg(test)]
    pub(super) fn testing(mailbox: SyncSender<Post>, poll: &Poll) -> Self {
        Self { mailbox, waker: Arc::new(Waker::new(poll.registry(), WAKER).expect("one waker is allowed")) }
    }

    /// Asks the shard something. Says whether there was room for it.
    pub(super) fn ask(&self, inquiry: Inquiry) -> bool {
        let is_posted = self.mailbox.try_send(Post::Inquiry(Box::new(inquiry))).is_ok();
        // A shard that is not woken looks by itself within a second.
        is_posted && self.waker.wake().is_ok()
    }

    /// Hands something over if there is room; whether there was.
    fn post(&self, post: Post) -> bool {
        let is_posted = self.mailbox.try_send(post).is_ok();
        if is_posted && let Err(error) = self.waker.wake() {
            warn!(%error, "a shard cannot be woken");
        }
        is_posted
    }
}

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
    info!(%address, shards = config.shards, is_encrypted, "exchange is up");
    Ok(running)
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin listener listens, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// What must be up for this exchange to be sent clients.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Starts what needs shards that run: links to other exchanges, and the admin listener.
    fn open_doors(
        &mut self,
        config: &Config,
        clock: Clock,
        credentials: Option<Arc<Credentials>>,
        admin: Option<admin::Bound>,
    ) -> Result<(), StartError> {
        let refused = |what| move |source| StartError::System { what, source };
        let links = Arc::<LinkCounts>::default();
        let dialler = start_dialler(config, &self.shards, &links);
        self.dialler = dialler.map_err(refused("the thread that keeps links up"))?;
        if let Some(bound) = admin {
            let facts = self.facts(config, clock, credentials, links);
            self.admin = Some(bound.start(facts).map_err(refused("the admin listener's thread"))?);
        }
        Ok(())
    }

    /// What the admin listener is told at the start.
    fn facts(
        &self,
        config: &Config,
        clock: Clock,
        credentials: Option<Arc<Credentials>>,
        links: Arc<LinkCounts>,
    ) -> Facts {
        let peers = config.federation.peers.iter();
        Facts {
            wires: self.shards.iter().map(|shard| shard.wire.clone()).collect(),
            boards: self.shards.iter().map(|shard| shard.board.clone()).collect(),
            clock,
            readiness: self.readiness.clone(),
            limits: shown_limits(config),
            credentials,
            recorder: self.recorders.recorder(),
            peers: peers.map(|peer| (peer.id.clone(), peer.routes.len())).collect(),
            drains: self.drains.desk.clone(),
            links,
            ladders: self.ladders.clone(),
            may_watch_payloads: config.admin.as_ref().is_some_and(|admin| admin.payloads),
        }
    }

    /// What each shard last said about itself.
    pub fn reports(&self) -> Vec<Report> {
        self.shards.iter().map(|shard| shard.board.read()).collect()
    }

    /// What is watched, and the ladders of it.
    pub fn ladders(&self) -> &LadderDesk {
        &self.ladders
    }

    /// The way to those who keep call records, who also say how they are.
    pub fn recorder(&self) -> Recorder {
        self.recorders.recorder()
    }

    /// What it is up to.
    pub fn state(&self) -> ServiceState {
        self.drains.state.read()
    }

    /// Where any thread may order a drain, and see the state.
    pub fn drain_desk(&self) -> DrainDesk {
        self.drains.desk.clone()
    }

    /// The orders that are given there, once; from the second time on there are none.
    pub fn take_orders(&mut self) -> mpsc::Receiver<Duration> {
        self.drains.orders.take().unwrap_or_else(|| mpsc::channel(1).1)
    }

    /// Lets nobody in any more and sends away whoever has nothing going on, spread over a part of `limit`. The reports say when nobody
    /// is left; that, and the end of the time, are for the caller to see, who then stops the exchange.
    pub fn drain(&mut self, limit: Duration) {
        self.drains.state.advance(ServiceState::Draining);
        self.readiness.part("drain").goes_down("the exchange is draining");
        // Links that are up stay until the stop. One that is lost now would not be let in again.
        let dialler = self.dialler.take().map(Dialler::stop);
        self.drains.dialler = self.drains.dialler.take().or(dialler);
        let (part, of) = DRAIN_SPREAD;
        let spread_ms = u64::try_from((limit * part / of).as_millis()).unwrap_or(u64::MAX);
        let order = DrainOrder { spread_ms, retry_ms: self.drains.retry_ms };
        for (number, shard) in self.shards.iter().enumerate() {
            // Not waited for: whoever sees to the end must not hang because a shard does.
            if !shard.wire.post(Post::Drain(order)) {
                error!(
                    shard = number,
                    "a shard takes no more words, so it does not drain; it is stopped in the end"
                );
            }
        }
    }

    /// Reads anew what may change while it runs (SIGHUP): certificate, key, client authorities and rules. What cannot be
    /// used is told in the log and changes nothing.
    pub fn reload(&mut self) {
        if let Some(certificate) = &mut self.certificate {
            certificate.reload(unix_s());
        }
        if let Some(rules) = &self.rules {
            rules.orders().reload();
        }
    }

    /// The same for files that have changed.
    pub fn look_at_files(&mut self) {
        if let Some(certificate) = &mut self.certificate {
            certificate.look(unix_s());
        }
    }

    /// Stops it in order; returns when everything is done or the time is over.
    pub fn stop(mut self) {
        self.drains.state.advance(ServiceState::Stopping);
        self.readiness.part("stop").goes_down("the exchange is stopping");
        let dialler = self.dialler.take().map(Dialler::stop).or(self.drains.dialler.take());
        for shard in &self.shards {
            shard.wire.post(Post::Stop);
        }
        let deadline = Instant::now() + self.stop_timeout + STOP_GRACE;
        for (number, shard) in self.shards.iter_mut().enumerate() {
            if let Some(thread) = shard.thread.take()
                && !join_until(thread, deadline)
            {
                error!(shard = number, "shard did not stop in time");
            }
        }
        if dialler.is_some_and(|dialler| !join_until(dialler, deadline)) {
            warn!("the thread that keeps links up did not stop in time");
        }
        if let Some(rules) = self.rules.take()
            && !join_until(rules.stop(), deadline)
        {
            warn!("the keeper of the rules did not stop in time");
        }
        if let Some(operator) = self.operator.take()
            && !join_until(operator, deadline)
        {
            warn!("the runner of wake handlers did not stop in time");
        }
        // They have some time even if the shards took all of theirs.
        std::mem::take(&mut self.recorders).stop(deadline.max(Instant::now() + STOP_GRACE));
        // Last, so that probes are answered until all else has ended.
        if let Some(admin) = self.admin.take()
            && !join_until(admin.stop(), deadline.max(Instant::now() + ADMIN_STOP_MAX))
        {
            warn!("the admin listener did not stop in time");
        }
        info!("exchange is down");
    }
}

/// The wall clock in seconds since 1970, as certificates count.
fn unix_s() -> i64 {
    const MS_PER_SECOND: u64 = 1000;
    i64::try_from(unix_ms() / MS_PER_SECOND).unwrap_or(i64::MAX)
}

/// Joins a thread unless it goes on beyond `deadline`.
fn join_until(thread: JoinHandle<()>, deadline: Instant) -> bool {
    const LOOK_AGAIN: Duration = Duration::from_millis(2);
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    thread.join().is_ok()
}

/// What each shard listens on: a socket of its own on the same port, or a handle of one that was opened for the exchange.
fn entrances(config: &Config, inherited: Vec<TcpListener>) -> Result<Vec<Entrance>, StartError> {
    let share = |per_second| Ramp::new(per_second as f64 / config.shards as f64);
    let ramp = config.accept_per_second.map(share);
    if inherited.is_empty() {
        return bind_all(config, ramp);
    }
    let sockets = inherited.len();
    if sockets > config.shards {
        // Whoever connected to one that no shard serves would wait for ever.
        return Err(StartError::Sockets { sockets, shards: config.shards });
    }
    // Shards that have to share a socket are all woken when somebody knocks, and the first takes him: the least busy one.
    let entrance = |shard: usize| -> std::io::Result<Entrance> {
        Ok(Entrance { listener: inherited[shard % sockets].try_clone()?, is_shared: true, ramp })
    };
    let refused = |source| StartError::System { what: "a socket's second handle", source };
    (0..config.shards).map(|shard| entrance(shard).map_err(refused)).collect()
}

/// One listener for each shard, all on the same port.
fn bind_all(config: &Config, ramp: Option<Ramp>) -> Result<Vec<Entrance>, StartError> {
    let mut address = config.listen;
    let taken = |source| StartError::Listen { address, source };
    // The shards share the port, and the system would let another exchange share it too, and take half the callers.
    drop(TcpListener::bind(address).map_err(taken)?);
    let mut entrances = Vec::new();
    for _ in 0..config.shards {
        let entrance =
            Entrance::bind(address, ramp).map_err(|source| StartError::Listen { address, source })?;
        // With port 0 the first listener decides for all.
        address = entrance.listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        entrances.push(entrance);
    }
    Ok(entrances)
}

fn pollers(shards: usize) -> Result<(Vec<Poll>, Vec<Arc<Waker>>), StartError> {
    let refused = |source| StartError::System { what: "a poller", source };
    let pair = || -> std::io::Result<(Poll, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((poll, Arc::new(waker)))
    };
    (0..shards)
        .map(|_| pair().map_err(refused))
        .collect::<Result<Vec<_>, _>>()
        .map(|pairs| pairs.into_iter().unzip())
}

/// The ways to the shards, and where what is sent on them arrives.
fn wires(wakers: Vec<Arc<Waker>>) -> (Vec<Wire>, Vec<Receiver<Post>>) {
    let pair = |waker| {
        let (mailbox, letters) = sync_channel(MAILBOX_LEN);
        (Wire { mailbox, waker }, letters)
    };
    wakers.into_iter().map(pair).unzip()
}

fn peer_wake(waker: Arc<Waker>) -> trunk::Wake {
    Box::new(move || {
        if let Err(error) = waker.wake() {
            warn!(%error, "a shard cannot be woken");
        }
    })
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

/// Starts a shard's thread, which tells `ready` that it runs, or why it cannot.
fn start_shard(
    id: ShardId,
    parts: Parts,
    pin: bool,
    ready: SyncSender<std::io::Result<()>>,
) -> Result<JoinHandle<()>, StartError> {
    let stopped = parts.stopped.clone();
    let body = move || {
        if pin {
            pin_to_core(id);
        }
        // There is room for one word of each shard. Nobody listens any more if another could not start.
        let say = |word| drop(ready.try_send(word));
        if let Err(error) = Switchboard::run(parts, || say(Ok(()))) {
            error!(shard = id.index(), %error, "shard could not run");
            // The others' end waits for the end of all.
            stopped.fetch_add(1, Ordering::SeqCst);
            say(Err(error));
        }
    };
    let thread = std::thread::Builder::new().name(format!("shard-{id}"));
    thread.spawn(body).map_err(|source| StartError::System { what: "a shard's thread", source })
}

/// Binds this thread to the processor that its shard's number picks among those the process may use.
fn pin_to_core(id: ShardId) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    let Some(&core) = cores.get(id.index() % cores.len().max(1)) else { return };
    let mut set = CpuSet::new();
    set.set(core);
    match sched_setaffinity(None, &set) {
        Ok(()) => info!(shard = id.index(), core, "shard pinned"),
        Err(error) => warn!(shard = id.index(), core, %error, "shard not pinned"),
    }
}

/// What all shards are built from alike.
struct Common {
    limits: Arc<Limits>,
    rules: Option<Arc<Rulebook>>,
    keys: Option<Orders>,
    handshakes: HandshakeLimits,
    door: Arc<Doorway>,
    credentials: Option<Arc<Credentials>>,
    bounds: ByteBounds,
    clock: Clock,
    wakes: tokio::sync::mpsc::Sender<wake::WakeCommand>,
    recorder: Recorder,
    steps: StepSink,
    shards: usize,
    seeds: Vec<[u8; 32]>,
    trunk_capacity: usize,
    depot: Depot,
    spin_us: u64,
    io_uring: bool,
    stop_timeout: Duration,
    stopped: Arc<AtomicUsize>,
}

/// Where shards hand over what is watched, and who keeps it. A shard that takes no more words watches what it did: the console
/// must not wait for it.
fn ladders_of(wires: Vec<Wire>) -> (StepSink, LadderDesk) {
    let (sink, steps) = step_channel();
    let publish =
        move |list: WatchList| wires.iter().for_each(|wire| _ = wire.post(Post::Watch(list.clone())));
    (sink.clone(), LadderDesk::new(Ladders::new(sink, steps, Box::new(publish))))
}

/// What is one shard's own.
struct Wiring<'a> {
    entrance: Entrance,
    poll: Poll,
    port: trunk::TrunkPort<Freight>,
    mailbox: Receiver<Post>,
    wire: &'a Wire,
    board: Board,
    log_service: Option<LogService>,
}

impl Common {
    fn new(
        config: &Config,
        wakes: tokio::sync::mpsc::Sender<wake::WakeCommand>,
        recorder: Recorder,
        credentials: Option<Arc<Credentials>>,
        steps: StepSink,
    ) -> Result<Self, StartError> {
        let seeds = (0..config.shards).map(|_| draw_seed()).collect::<Result<_, _>>();
        Ok(Self {
            limits: Arc::new(limits(config)),
            rules: None,
            keys: None,
            handshakes: HandshakeLimits {
                timeout: Duration::from_millis(config.handshake_timeout_ms),
                handshakes_max: config.handshakes_max,
                echo: config.echo_endpoint,
                bearers: config.has_rules(),
            },
            door: Arc::new(Doorway::new(config)),
            credentials,
            bounds: byte_bounds(config),
            clock: Clock::start(),
            wakes,
            recorder,
            steps,
            shards: config.shards,
            seeds: seeds.map_err(|source| StartError::System { what: "random bytes", source })?,
            trunk_capacity: config.trunk_capacity,
            depot: Depot::new(config.shards),
            spin_us: config.spin_us,
            io_uring: config.io_uring,
            stop_timeout: Duration::from_millis(config.stop_timeout_ms),
            stopped: Arc::default(),
        })
    }

    fn parts(&self, id: ShardId, wiring: Wiring<'_>) -> Parts {
        let Wiring { entrance, poll, port, mailbox, wire, board, log_service } = wiring;
        let (seed, limits) = (self.seeds[id.index()], self.limits.clone());
        Parts {
            setup: Setup { id, shards: self.shards, seed, limits },
            rules: self.rules.clone(),
            port,
            depot: self.depot.clone(),
            poll,
            entrance,
            handshakes: self.handshakes,
            door: self.door.clone(),
            credentials: self.credentials.clone(),
            bounds: self.bounds,
            board,
            steps: self.steps.clone(),
            mailbox,
            desk: Desk {
                wakes: self.wakes.clone(),
                recorder: self.recorder.clone(),
                keys: self.keys.clone(),
                answer: wire.mailbox.clone(),
            },
            clock: self.clock,
            log_service,
            trunk_capacity: self.trunk_capacity,
            spin_us: self.spin_us,
            io_uring: self.io_uring,
            stop_timeout: self.stop_timeout,
            stopped: self.stopped.clone(),
        }
    }
}

/// The core's limits, as configured.
fn limits(config: &Config) -> Limits {
    Limits {
        call_timeout_ms: config.call_timeout_ms,
        heartbeat_timeout_ms: config.heartbeat_timeout_ms,
        dial_max_attempts: config.dial_rate.map(|rate| rate.attempts_max),
        dial_window_ms: config.dial_rate.map_or(0, |rate| rate.window_ms),
        calls_per_line_max: u32::try_from(config.calls_per_line_max).unwrap_or(u32::MAX),
        parties_per_line_max: config.parties_per_line_max,
        party_members_max: config.party_members_max,
        presence_limit: config.presence_limit,
        spawn: match &config.spawn_policy {
            ConfiguredSpawn::AllowedAll => SpawnPolicy::Anything,
            ConfiguredSpawn::Disabled => SpawnPolicy::Disabled,
            ConfiguredSpawn::AllowedList(paths) => {
                SpawnPolicy::Listed(paths.iter().map(|path| path.to_string_lossy().into_owned()).collect())
            }
        },
        domain: (*config.federation.domain).into(),
    }
}

/// The limits that the page of metrics shows beside what is used.
fn shown_limits(config: &Config) -> metrics::Limits {
    let input_bytes = config.input_bytes_total.saturating_add(config.unregistered_bytes_total);
    metrics::Limits {
        connections: config.connections_max.unwrap_or_default() as u64,
        input_bytes: input_bytes as u64,
        output_bytes: config.output_bytes_total as u64,
    }
}

/// The shell's bounds; totals are divided among the shards.
fn byte_bounds(config: &Config) -> ByteBounds {
    let share = |total: usize| total / config.shards.max(1);
    ByteBounds {
        message_bytes_max: config.message_bytes_max,
        unregistered_message_bytes_max: config.unregistered_message_bytes_max,
        input_bytes_total: share(config.input_bytes_total),
        unregistered_bytes_total: share(config.unregistered_bytes_total),
        output_bytes_max: config.output_bytes_max,
        output_bytes_total: share(config.output_bytes_total),
        output_high_water: config.output_high_water_bytes,
        output_low_water: config.output_low_water_bytes,
        stalled_seconds_max: u32::try_from(config.slow_consumer_ms.div_ceil(1000)).unwrap_or(u32::MAX),
        metadata_bytes_max: config.metadata_bytes_max,
    }
}
