//! What shards are built from: their sockets and pollers, what all have alike and what is each one's own, and their threads.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Poll, Waker};
use tracing::{error, info, warn};

use crate::config::{Config, SpawnPolicy as ConfiguredSpawn};
use crate::console::ladder::{LadderDesk, Ladders, StepSink, WatchList, step_channel};
use crate::console::{Board, metrics};
use crate::exchange::ids::ShardId;
use crate::exchange::limits::{Limits, SpawnPolicy};
use crate::exchange::shard::Setup;
use crate::identity::Rulebook;
use crate::shell::accepting::Entrance;
use crate::shell::clock::{Clock, draw_seed};
use crate::shell::depot::Depot;
use crate::shell::desk::Desk;
use crate::shell::doorway::Doorway;
use crate::shell::listener::HandshakeLimits;
use crate::shell::log_service::LogService;
use crate::shell::ramp::Ramp;
use crate::shell::rules::Orders;
use crate::shell::switchboard::{ByteBounds, Freight, Parts, Post, Switchboard, WAKER};
use crate::shell::trunk;
use crate::store::Recorder;
use crate::tls::Credentials;
use crate::wake;

use super::error::StartError;
use super::wire::Wire;

/// What each shard listens on: a socket of its own on the same port, or a handle of one that was opened for the exchange.
pub(super) fn entrances(config: &Config, inherited: Vec<TcpListener>) -> Result<Vec<Entrance>, StartError> {
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
pub(super) fn bind_all(config: &Config, ramp: Option<Ramp>) -> Result<Vec<Entrance>, StartError> {
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

pub(super) fn pollers(shards: usize) -> Result<(Vec<Poll>, Vec<Arc<Waker>>), StartError> {
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

/// Starts a shard's thread, which tells `ready` that it runs, or why it cannot.
pub(super) fn start_shard(
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
pub(super) fn pin_to_core(id: ShardId) {
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
pub(super) struct Common {
    pub(super) limits: Arc<Limits>,
    pub(super) rules: Option<Arc<Rulebook>>,
    pub(super) keys: Option<Orders>,
    pub(super) handshakes: HandshakeLimits,
    pub(super) door: Arc<Doorway>,
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) bounds: ByteBounds,
    pub(super) clock: Clock,
    pub(super) wakes: tokio::sync::mpsc::Sender<wake::WakeCommand>,
    pub(super) recorder: Recorder,
    pub(super) steps: StepSink,
    pub(super) shards: usize,
    pub(super) seeds: Vec<[u8; 32]>,
    pub(super) trunk_capacity: usize,
    pub(super) depot: Depot,
    pub(super) spin_us: u64,
    pub(super) io_uring: bool,
    pub(super) stop_timeout: Duration,
    pub(super) stopped: Arc<AtomicUsize>,
}

/// Where shards hand over what is watched, and who keeps it. A shard that takes no more words watches what it did: the console
/// must not wait for it.
pub(super) fn ladders_of(wires: Vec<Wire>) -> (StepSink, LadderDesk) {
    let (sink, steps) = step_channel();
    let publish =
        move |list: WatchList| wires.iter().for_each(|wire| _ = wire.post(Post::Watch(list.clone())));
    (sink.clone(), LadderDesk::new(Ladders::new(sink, steps, Box::new(publish))))
}

/// What is one shard's own.
pub(super) struct Wiring<'a> {
    pub(super) entrance: Entrance,
    pub(super) poll: Poll,
    pub(super) port: trunk::TrunkPort<Freight>,
    pub(super) mailbox: Receiver<Post>,
    pub(super) wire: &'a Wire,
    pub(super) board: Board,
    pub(super) log_service: Option<LogService>,
}

impl Common {
    pub(super) fn new(
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

    pub(super) fn parts(&self, id: ShardId, wiring: Wiring<'_>) -> Parts {
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
                recorder: self.recorder.for_shard(),
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
pub(super) fn limits(config: &Config) -> Limits {
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
pub(super) fn shown_limits(config: &Config) -> metrics::Limits {
    let input_bytes = config.input_bytes_total.saturating_add(config.unregistered_bytes_total);
    metrics::Limits {
        connections: config.connections_max.unwrap_or_default() as u64,
        input_bytes: input_bytes as u64,
        output_bytes: config.output_bytes_total as u64,
    }
}

/// The shell's bounds; totals are divided among the shards.
pub(super) fn byte_bounds(config: &Config) -> ByteBounds {
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
