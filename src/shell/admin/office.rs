//! What the admin listener knows: boards, clocks, the way to the shards, and what does not change while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::warn;

use super::inquiries::Inquiries;
use super::records::ReadingRoom;
use crate::console::access::{Access, Denial};
use crate::console::audit::Audit;
use crate::console::ladder::LadderDesk;
use crate::console::metrics::{Federation, Limits, Snapshot};
use crate::console::overview::History;
use crate::console::process::Process;
use crate::console::readiness::Readiness;
use crate::console::{Board, Report};
use crate::logging::RateLimited;
use crate::shell::allocator;
use crate::shell::clock::Clock;
use crate::shell::operator::Wire;
use crate::shell::overseer::DrainDesk;
use crate::shell::peers::LinkCounts;
use crate::store::Recorder;
use crate::tls::Credentials;

/// What it is told at the start.
pub struct Facts {
    /// The way to each shard.
    pub wires: Vec<Wire>,
    /// What each shard says about itself.
    pub boards: Vec<Board>,
    /// The exchange's clock.
    pub clock: Clock,
    /// What must be up.
    pub readiness: Readiness,
    /// Limits on memory and connections.
    pub limits: Limits,
    /// What connections are encrypted with.
    pub credentials: Option<Arc<Credentials>>,
    /// Who keeps call records.
    pub recorder: Recorder,
    /// Where the file of call records is, if one is kept.
    pub records_file: Option<PathBuf>,
    /// The exchanges that are to be linked with, by their places in the configuration: name and number of routes.
    pub peers: Vec<(Box<str>, usize)>,
    /// Where a drain is ordered.
    pub drains: DrainDesk,
    /// What came of calling them.
    pub links: Arc<LinkCounts>,
    /// What is watched.
    pub ladders: LadderDesk,
    /// Whether watches may copy what parties say.
    pub may_watch_payloads: bool,
}

/// All of it, shared by the connections.
pub struct Office {
    pub(super) access: Access,
    pub(super) facts: Facts,
    pub(super) inquiries: Inquiries,
    pub(super) audit: Audit,
    pub(super) history: Mutex<History>,
    pub(super) reading_room: ReadingRoom,
    denials: RateLimited,
}

/// Denials that are logged each second: enough to see that somebody tries, and from where.
const DENIALS_PER_SECOND: u32 = 5;

impl Office {
    /// Knows these facts and lets these people in.
    pub fn new(access: Access, mut facts: Facts) -> Self {
        let inquiries = Inquiries::new(std::mem::take(&mut facts.wires));
        let denials = RateLimited::per_second(DENIALS_PER_SECOND);
        let reading_room = ReadingRoom::new(facts.records_file.take());
        let (audit, history) = (Audit::default(), Mutex::default());
        Self { access, facts, inquiries, audit, history, reading_room, denials }
    }

    /// Somebody has asked for what is not theirs.
    pub(super) fn note_denial(&self, peer: SocketAddr, denial: Denial) {
        if let Some(suppressed) = self.denials.admit(self.facts.clock.tick().millis()) {
            warn!(%peer, why = ?denial, suppressed, internal = true, "admin request refused");
        }
    }

    /// What each shard last said.
    pub(super) fn reports(&self) -> Vec<Report> {
        self.facts.boards.iter().map(Board::read).collect()
    }

    /// Notes what rates are made of.
    pub(super) fn sample(&self) {
        let reports = self.reports();
        self.history.lock().note(self.facts.clock.tick(), &reports);
    }

    /// Everything that the page of metrics shows.
    pub(super) fn snapshot(&self) -> Snapshot {
        let facts = &self.facts;
        Snapshot {
            reports: self.reports(),
            process: Process::look(),
            committed_bytes: allocator::committed_bytes(),
            limits: facts.limits,
            certificate_ends_ms: facts.credentials.as_ref().map(|credentials| credentials.expires_unix_ms()),
            records: facts.recorder.sinks(),
            federation: Federation { configured: facts.peers.len() as u64, ..facts.links.now() },
            state: facts.drains.state(),
            now: facts.clock.tick(),
        }
    }
}
