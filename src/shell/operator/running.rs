//! An exchange that runs: what can be asked of it, and how it drains and stops.
//!
//! The order of a stop matters: what ends later serves what ends earlier.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::console::ladder::LadderDesk;
use crate::console::readiness::Readiness;
use crate::console::{Board, Report, ServiceState, StateBoard};
use crate::exchange::event::DrainOrder;
use crate::shell::admin;
use crate::shell::admin::{Admin, Facts};
use crate::shell::clock::{Clock, unix_ms};
use crate::shell::overseer::DrainDesk;
use crate::shell::peers::{Dialler, LinkCounts};
use crate::shell::rules::RuleDesk;
use crate::shell::switchboard::Post;
use crate::store::{Recorder, Recorders};
use crate::tls;
use crate::tls::Credentials;

use super::error::StartError;
use super::setup::shown_limits;
use super::start_dialler;
use super::wire::Wire;

/// The part of a drain's time over which idle clients are spread; those in parties and broadcasts have as much after it, and the rest is
/// for whom either leaves over.
const DRAIN_SPREAD: (u32, u32) = (2, 5);
/// How long the admin listener may take to stop; it waits for nothing.
const ADMIN_STOP_MAX: Duration = Duration::from_millis(500);
/// What stopping may take beyond the shards' own limit, for the threads that serve them.
const STOP_GRACE: Duration = Duration::from_millis(1500);

/// An exchange that runs.
pub struct Running {
    pub(super) address: SocketAddr,
    pub(super) shards: Vec<ShardThread>,
    pub(super) operator: Option<JoinHandle<()>>,
    pub(super) recorders: Recorders,
    pub(super) dialler: Option<Dialler>,
    pub(super) rules: Option<RuleDesk>,
    pub(super) certificate: Option<tls::Watch>,
    pub(super) ladders: LadderDesk,
    pub(super) admin: Option<Admin>,
    pub(super) readiness: Readiness,
    pub(super) stop_timeout: Duration,
    pub(super) drains: Drains,
}

/// What a drain needs.
pub(super) struct Drains {
    pub(super) state: StateBoard,
    pub(super) desk: DrainDesk,
    /// Until somebody takes them.
    pub(super) orders: Option<mpsc::Receiver<Duration>>,
    pub(super) retry_ms: u64,
    /// The thread that called other exchanges, when it has been told to end.
    pub(super) dialler: Option<JoinHandle<()>>,
}

impl Drains {
    pub(super) fn new(config: &Config) -> Self {
        let state = StateBoard::default();
        let (desk, orders) = DrainDesk::new(config.drain_seconds, state.clone());
        Self { state, desk, orders: Some(orders), retry_ms: config.drain_retry_ms, dialler: None }
    }
}

pub(super) struct ShardThread {
    pub(super) wire: Wire,
    pub(super) board: Board,
    pub(super) thread: Option<JoinHandle<()>>,
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
    pub(super) fn open_doors(
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
    pub(super) fn facts(
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
            records_file: config.records.file.clone(),
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
pub(super) fn unix_s() -> i64 {
    const MS_PER_SECOND: u64 = 1000;
    i64::try_from(unix_ms() / MS_PER_SECOND).unwrap_or(i64::MAX)
}

/// Joins a thread unless it goes on beyond `deadline`.
pub(super) fn join_until(thread: JoinHandle<()>, deadline: Instant) -> bool {
    const LOOK_AGAIN: Duration = Duration::from_millis(2);
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    thread.join().is_ok()
}
