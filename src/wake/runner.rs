//! The loop that runs wake handlers: takes commands, keeps each run's standing, bounds how many run, reports each once.
//!
//! The loop itself never waits for a handler: each run is a task of its own, and one that finds no free place waits
//! there, its limit already counting. A run reports through a [`Ticket`], which also speaks for it when it is dropped,
//! so no caller of the exchange waits for a result that cannot come. Processes that outlive their run are waited for
//! here. What a webhook or a process is lives next door.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

use super::spawn::{self, SpawnEnd, WokenProcess};
use super::webhook::{self, WebhookClient};
use super::{Report, WakeCommand, WakeFailure, WakeHandler, WakeJob, WakeOutcome, WakeResult};

/// Handlers running at once. Each holds a socket or a process; further ones wait, at most one for each waiting call.
const RUNNING_MAX: usize = 256;

/// Ended runs whose process is waited for here, settled agents in the main. The rest is left to tokio's own reaper,
/// which looks at all of them whenever any child exits.
const SURVIVORS_MAX: usize = 4096;

/// Longest limit taken at its word. Only keeps the arithmetic of instants far from overflow.
const LIMIT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Runs handlers until every sender of `commands` is gone, then drops what still runs: webhooks are cut, processes
/// killed unless settled. Dropping the future does the same. Needs a tokio runtime with I/O, time and signals enabled.
pub async fn run(mut commands: mpsc::Receiver<WakeCommand>, report: Report) {
    let mut runner = Runner::new(report);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => runner.obey(command),
                None => return,
            },
            Some(end) = runner.runs.join_next() => runner.forget(end),
            Some(_) = runner.survivors.join_next() => {}
        }
    }
}

/// What has become of a run's purpose, as far as the shards said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Somebody waits for it.
    Wanted,
    /// The address has been registered.
    Settled,
    /// Nobody waits any more.
    Abandoned,
}

struct Runner {
    shared: Arc<Shared>,
    /// The runs that have not ended.
    standings: HashMap<u64, watch::Sender<Standing>>,
    runs: JoinSet<RunEnd>,
    survivors: JoinSet<()>,
}

/// What all runs use.
struct Shared {
    /// Made at the first webhook: an exchange without any does not load certificates.
    client: OnceLock<WebhookClient>,
    places: Semaphore,
    report: Report,
}

/// What a run leaves behind.
struct RunEnd {
    run: u64,
    survivor: Option<WokenProcess>,
}

impl Runner {
    fn new(report: Report) -> Self {
        let shared = Shared { client: OnceLock::new(), places: Semaphore::new(RUNNING_MAX), report };
        Self {
            shared: Arc::new(shared),
            standings: HashMap::new(),
            runs: JoinSet::new(),
            survivors: JoinSet::new(),
        }
    }

    fn obey(&mut self, command: WakeCommand) {
        match command {
            WakeCommand::Run(job) => self.start(job),
            WakeCommand::Settled { run } => self.set_standing(run, Standing::Settled),
            WakeCommand::Abandoned { run } => self.set_standing(run, Standing::Abandoned),
        }
    }

    fn start(&mut self, job: WakeJob) {
        if self.standings.contains_key(&job.run) {
            error!(run = job.run, "wake run number is in use; the second run is ignored");
            return;
        }
        let (sender, standing) = watch::channel(Standing::Wanted);
        self.standings.insert(job.run, sender);
        let ticket = Ticket::new(&job, Arc::clone(&self.shared));
        self.runs.spawn(perform(job, standing, ticket));
    }

    fn set_standing(&self, run: u64, standing: Standing) {
        let Some(sender) = self.standings.get(&run) else {
            debug!(run, ?standing, "wake run has already ended");
            return;
        };
        // Settled is final: the caller that gave up afterwards must not cost the agent its life.
        sender.send_if_modified(|current| {
            let changes = *current != Standing::Settled;
            if changes {
                *current = standing;
            }
            changes
        });
    }

    fn forget(&mut self, end: Result<RunEnd, JoinError>) {
        let Ok(RunEnd { run, survivor }) = end else {
            // A run panicked; its ticket has reported it. Its number went with it, but its receiver is gone too.
            error!("a wake run panicked");
            self.standings.retain(|_, standing| !standing.is_closed());
            return;
        };
        self.standings.remove(&run);
        let Some(process) = survivor else { return };
        if self.survivors.len() < SURVIVORS_MAX {
            self.survivors.spawn(process.reap());
        }
    }
}

/// One run from its command to its result.
async fn perform(job: WakeJob, mut standing: watch::Receiver<Standing>, ticket: Ticket) -> RunEnd {
    let shared = Arc::clone(&ticket.shared);
    let deadline = ticket.taken_at + job.limit.min(LIMIT_MAX);
    let place = match shared.place(&mut standing, deadline).await {
        Ok(place) => place,
        Err(outcome) => {
            ticket.report(outcome);
            return RunEnd { run: job.run, survivor: None };
        }
    };
    let by = ticket.registered_by.as_deref();
    info!(run = job.run, address = %job.address, session = by, kind = job.handler.kind(), "wake handler started");
    let survivor = match job.handler {
        WakeHandler::Webhook { url, payload, source } => {
            let body = webhook::body(&job.address, &source, payload.as_deref());
            let answer = shared.client.get_or_init(WebhookClient::new).post(&url, body);
            finish_webhook(timeout_at(deadline, answer).await.ok(), deadline, ticket).await;
            None
        }
        WakeHandler::Spawn { command } => {
            let SpawnEnd { outcome, survivor } = spawn::run(command, &mut standing, deadline).await;
            ticket.report(outcome);
            survivor
        }
    };
    drop(place);
    RunEnd { run: job.run, survivor }
}

/// Reports a webhook's answer, `None` being the limit, and only then reads the answer to its end.
async fn finish_webhook(
    answer: Option<Result<hyper::Response<hyper::body::Incoming>, WakeFailure>>,
    deadline: Instant,
    ticket: Ticket,
) {
    match answer {
        Some(Ok(answer)) => {
            ticket.report(WakeOutcome::Answered);
            let _ = timeout_at(deadline, webhook::discard(answer)).await;
        }
        Some(Err(failure)) => ticket.report(WakeOutcome::Failed(failure)),
        None => ticket.report(WakeOutcome::TimedOut),
    }
}

impl Shared {
    /// A place among the running handlers, or what ended the run while it waited for one.
    async fn place(
        &self,
        standing: &mut watch::Receiver<Standing>,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, WakeOutcome> {
        tokio::select! {
            biased;
            Ok(standing) = standing.wait_for(|standing| *standing != Standing::Wanted) => Err(match *standing {
                Standing::Wanted | Standing::Settled => WakeOutcome::Answered,
                Standing::Abandoned => WakeOutcome::Failed(WakeFailure::Abandoned),
            }),
            place = self.places.acquire() => place.map_err(|_| WakeOutcome::Failed(WakeFailure::Stopped)),
            () = sleep_until(deadline) => Err(WakeOutcome::TimedOut),
        }
    }
}

/// The duty to report one run. Dropped unused, it reports that the runner stopped.
struct Ticket {
    run: u64,
    address: Arc<str>,
    kind: &'static str,
    registered_by: Option<Arc<str>>,
    taken_at: Instant,
    shared: Arc<Shared>,
    reported: bool,
}

impl Ticket {
    fn new(job: &WakeJob, shared: Arc<Shared>) -> Self {
        Self {
            run: job.run,
            address: Arc::clone(&job.address),
            kind: job.handler.kind(),
            registered_by: job.registered_by.clone(),
            taken_at: Instant::now(),
            shared,
            reported: false,
        }
    }

    fn report(mut self, outcome: WakeOutcome) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: WakeOutcome) {
        self.reported = true;
        let elapsed_ms = u64::try_from(self.taken_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Self { run, address, kind, .. } = self;
        let session = self.registered_by.as_deref();
        match outcome {
            WakeOutcome::Answered => {
                info!(run, %address, session, kind, %outcome, elapsed_ms, "wake handler ended");
            }
            WakeOutcome::Failed(_) | WakeOutcome::TimedOut => {
                warn!(run, %address, session, kind, %outcome, elapsed_ms, "wake handler ended");
            }
        }
        (self.shared.report)(WakeResult { run: *run, outcome });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.reported {
            self.send(WakeOutcome::Failed(WakeFailure::Stopped));
        }
    }
}

#[cfg(test)]
mod tests;
