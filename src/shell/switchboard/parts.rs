//! What a switchboard is built from, and what others hand to it: freight from its peers, post from the operator.
//!
//! Data only; the operator fills it in, the switchboard takes it apart.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::Poll;
use tracing::info;

use crate::console::Board;
use crate::console::ladder::{StepSink, WatchList};
use crate::exchange::event::{DrainOrder, WakeOutcome};
use crate::exchange::ids::WakeRun;
use crate::exchange::line::Luggage;
use crate::exchange::shard::Setup;
use crate::exchange::signal::Signal;
use crate::exchange::time::Tick;
use crate::identity::Rulebook;
use crate::tls::Credentials;

use super::super::accepting::Entrance;
use super::super::clock::Clock;
use super::super::connection::Connection;
use super::super::depot::Depot;
use super::super::desk::Desk;
use super::super::doorway::Doorway;
use super::super::listener::HandshakeLimits;
use super::super::log_service::LogService;
use super::super::mailer::Mailer;
use super::super::peers::Link;
use super::super::trunk::TrunkPort;
use super::answering::Inquiry;

/// What goes over a trunk.
#[derive(Debug)]
pub enum Freight {
    /// A word from core to core.
    Signal(Signal),
    /// A connection that moves to its line's home shard.
    Connection(Box<Crossing>),
    /// When it was sent: it tells how long what comes before it has waited.
    Stamp(Tick),
}

const _: () = assert!(size_of::<Freight>() <= 64, "a trunk's slots hold 64 bytes");

/// A connection on its way.
#[derive(Debug)]
pub struct Crossing {
    pub(super) connection: Connection,
    pub(super) luggage: Box<Luggage>,
}

/// What the operator tells a switchboard.
#[derive(Debug)]
pub enum Post {
    /// A wake handler came to its end.
    Woken(WakeRun, WakeOutcome),
    /// A link to another exchange has come up.
    Link(Box<Link>),
    /// From now on this is watched.
    Watch(WatchList),
    /// These rules hold from now on.
    Rules(Arc<Rulebook>),
    /// Let nobody in any more, and send away whoever has nothing going on, a few at a time.
    Drain(DrainOrder),
    /// An operator asks something.
    Inquiry(Box<Inquiry>),
    /// Close everything and end.
    Stop,
}

/// Bounds of the shell, in bytes unless the name says otherwise; totals are this shard's share.
#[derive(Clone, Copy, Debug)]
pub struct ByteBounds {
    /// Longest message of a registered line.
    pub message_bytes_max: usize,
    /// Longest message before REGISTER.
    pub unregistered_message_bytes_max: usize,
    /// Incomplete messages of registered lines together.
    pub input_bytes_total: usize,
    /// Incomplete messages of unregistered lines together.
    pub unregistered_bytes_total: usize,
    /// Output of one connection.
    pub output_bytes_max: usize,
    /// Output of all together.
    pub output_bytes_total: usize,
    /// Output at which senders are held.
    pub output_high_water: usize,
    /// Output at which they are released.
    pub output_low_water: usize,
    /// Time without progress after which a congested connection is given up, in seconds.
    pub stalled_seconds_max: u32,
    /// Largest metadata.
    pub metadata_bytes_max: usize,
}

/// What a switchboard is built from.
pub struct Parts {
    /// The core's part.
    pub setup: Setup,
    /// Who may do what, if that is said.
    pub rules: Option<Arc<Rulebook>>,
    /// The trunks to the other shards.
    pub port: TrunkPort<Freight>,
    /// Where spent parcels are left and fetched; shared by all.
    pub depot: Depot,
    /// The poller; peers' wakers are registered with it.
    pub poll: Poll,
    /// What this shard listens on.
    pub entrance: Entrance,
    /// What handshakes may cost.
    pub handshakes: HandshakeLimits,
    /// Who may come in.
    pub door: Arc<Doorway>,
    /// What connections are encrypted with; `None`: they are not.
    pub credentials: Option<Arc<Credentials>>,
    /// Bounds.
    pub bounds: ByteBounds,
    /// Where the shard says how it is.
    pub board: Board,
    /// Where it hands over what is watched.
    pub steps: StepSink,
    /// The operator's words.
    pub mailbox: Receiver<Post>,
    /// Where slow work goes.
    pub desk: Desk,
    /// The exchange's clock.
    pub clock: Clock,
    /// The log stream, on the one shard that serves it.
    pub log_service: Option<LogService>,
    /// Signals that each trunk holds.
    pub trunk_capacity: usize,
    /// Whether to send in batches, if the system can.
    pub io_uring: bool,
    /// How long to poll before sleeping, in microseconds.
    pub spin_us: u64,
    /// How long an orderly stop may take.
    pub stop_timeout: Duration,
    /// How many shards have stopped and will send no more connections; shared by all.
    pub stopped: Arc<AtomicUsize>,
}

impl Parts {
    /// What sends in batches, as far as it is wanted and can be had.
    pub(super) fn mailer(&self) -> Mailer {
        if !self.io_uring {
            return Mailer::idle();
        }
        Mailer::new().unwrap_or_else(|error| {
            info!(shard = self.setup.id.index(), %error, "no io_uring: frames are sent one by one");
            Mailer::idle()
        })
    }
}
