//! The way from a shard to the operator's thread: slow things are handed over and never waited for.
//!
//! Wake handlers go to their runner, call records to those who keep them. A shard only ever tries to hand something over;
//! what the other side cannot take is counted there or comes back as a failed run.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;

use crate::exchange::address::Address;
use crate::exchange::effect::{CallMode, CallRecord, EndedBy, Way};
use crate::exchange::event::{WakeHandler, WakeKind, WakeOutcome};
use crate::exchange::ids::{ShardId, WakeRun};
use crate::exchange::{call::Volume, time::Tick};
use crate::store::{self, Recorder};
use crate::wake::{self, WakeCommand, WakeJob};

use super::rules::Orders;
use super::switchboard::Post;

/// Bits of a run's number that hold the shard's count; the rest holds the shard.
const RUN_BITS: u32 = 48;

/// A shard's way to the operator's thread.
pub struct Desk {
    /// To the runner of wake handlers.
    pub wakes: mpsc::Sender<WakeCommand>,
    /// To those who keep call records.
    pub recorder: Recorder,
    /// To whoever fetches the keys of signed tokens, if the rules name a place for them.
    pub keys: Option<Orders>,
    /// Back to this shard, for runs that could not be handed over.
    pub answer: SyncSender<Post>,
}

impl Desk {
    /// Has a wake handler run.
    pub fn wake(&self, run: WakeRun, address: &Address, handler: &Arc<WakeHandler>) {
        let job = WakeJob {
            run: run_number(run),
            address: Arc::from(address.as_str()),
            handler: foreign_handler(handler),
            registered_by: handler.registered_by.map(|session| session.to_string().into()),
            limit: Duration::from_millis(handler.timeout_ms),
        };
        if self.wakes.try_send(WakeCommand::Run(job)).is_err() {
            let session = handler.registered_by.map(tracing::field::display);
            warn!(%address, session, "wake handler not run: too many are waiting");
            // If even this is lost, the callers' own timers end their wait.
            drop(self.answer.try_send(Post::Woken(run, WakeOutcome::Failed)));
        }
    }

    /// The agent has come: what the handler started may live on.
    pub fn settle(&self, run: WakeRun) {
        if self.wakes.try_send(WakeCommand::Settled { run: run_number(run) }).is_err() {
            warn!("a woken agent may be ended at its time limit: too many wake commands are waiting");
        }
    }

    /// Has newer keys fetched.
    pub fn want_keys(&self) {
        if let Some(keys) = &self.keys {
            keys.want_keys();
        }
    }

    /// Has a finished call kept, by its name if it has one besides its id.
    pub fn record(&self, record: &CallRecord, name: Option<&str>) {
        if self.recorder.is_on() {
            let id = record.call.text();
            // Canonical ids are ASCII.
            let id = name.unwrap_or_else(|| std::str::from_utf8(&id).unwrap_or_default());
            self.recorder.record(&foreign_record(record, id));
        }
    }
}

fn run_number(run: WakeRun) -> u64 {
    ((run.shard.index() as u64) << RUN_BITS) | run.number
}

/// The run that a number from the runner names.
pub fn run_of(number: u64) -> WakeRun {
    let shard = ShardId::new((number >> RUN_BITS) as usize);
    WakeRun { shard, number: number & ((1 << RUN_BITS) - 1) }
}

/// What the core hears of a runner's outcome; the details are in the log.
pub fn outcome_of(outcome: wake::WakeOutcome) -> WakeOutcome {
    match outcome {
        wake::WakeOutcome::Answered => WakeOutcome::Answered,
        wake::WakeOutcome::Failed(_) => WakeOutcome::Failed,
        wake::WakeOutcome::TimedOut => WakeOutcome::TimedOut,
    }
}

fn foreign_handler(handler: &WakeHandler) -> wake::WakeHandler {
    match &handler.kind {
        WakeKind::Webhook { url, payload } => wake::WakeHandler::Webhook {
            url: url.to_string(),
            payload: payload.clone(),
            source: handler.source.clone(),
        },
        WakeKind::Spawn { command } => {
            wake::WakeHandler::Spawn { command: command.iter().map(|part| part.to_string()).collect() }
        }
    }
}

/// The record as it is kept, under the id by which the parties know the call.
pub fn foreign_record<'r>(record: &'r CallRecord, call_id: &'r str) -> store::CallRecord<&'r str> {
    let since = |from: Tick, to: Tick| to.micros().saturating_sub(from.micros());
    let (started, answered) = (record.started.tick, record.answered.map(|at| at.tick));
    store::CallRecord {
        call_id,
        from: record.from.as_str(),
        to: record.to.as_str(),
        mode: match record.mode {
            CallMode::Single => store::CallMode::Single,
            CallMode::Parallel => store::CallMode::Parallel,
            CallMode::Broadcast => store::CallMode::Broadcast,
            CallMode::Forwarded => store::CallMode::Forwarded,
        },
        started_at_ms: record.started.wall_ms,
        answered_at_ms: record.answered.map(|at| at.wall_ms),
        ended_at_ms: record.ended.wall_ms,
        end_reason: record.reason.as_str(),
        ended_by: match record.ended_by {
            EndedBy::Caller => store::EndedBy::Caller,
            EndedBy::Callee => store::EndedBy::Callee,
            EndedBy::Exchange => store::EndedBy::Exchange,
        },
        dialect: store::Dialect::Systemx,
        ring_us: record.rang.map(|rang| since(started, rang)),
        answer_us: answered.map(|answered| since(started, answered)),
        talk_us: answered.map(|answered| since(answered, record.ended.tick)),
        to_callee: foreign_volume(record.traffic.to_callee),
        to_caller: foreign_volume(record.traffic.to_caller),
        forwarded: record.crossing.as_ref().map(|crossing| match crossing.way {
            Way::In => store::Forwarded::In,
            Way::Out => store::Forwarded::Out,
            Way::Through => store::Forwarded::Through,
        }),
        link: record.crossing.as_ref().and_then(|crossing| crossing.link.as_deref()),
    }
}

fn foreign_volume(volume: Volume) -> store::Volume {
    store::Volume { messages: volume.messages, bytes: volume.bytes }
}
