//! Call records by webhook: batches of JSON, posted to one URL, each until it is taken.
//!
//! What waits is bounded; beyond that, records are lost and counted. A batch that gets no good answer is sent again at growing
//! pauses with jitter, under the same `Idempotency-Key`, so a receiver that has taken it already can tell. A batch that the
//! receiver refuses for what is in it is lost at once, or it would block all that follow. The URL and the token reach no log.

mod post;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::CallRecord;
use super::intake::Intake;
use super::record::encode_object;
use crate::exchange::tie::Secret;
use post::Poster;

pub use post::Rebuff;

/// Records that may wait for the receiver, those on their way not counted; some 8 MiB of memory.
const QUEUE_LEN_MAX: usize = 16 * 1024;
/// Records of one batch at most: some 250 KiB of JSON.
const BATCH_LEN_MAX: usize = 500;
/// How long records are gathered before they are sent, if there are fewer than a batch.
const GATHER: Duration = Duration::from_millis(500);
/// The first pause after a failure, and the longest; each is twice as long as the one before, give or take a quarter.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What the sender is told at the start.
#[derive(Debug)]
pub struct Settings {
    /// Where to: http or https, checked.
    pub url: Secret,
    /// What goes along as a bearer token.
    pub token: Option<Secret>,
    /// What this exchange is called in the records.
    pub node: Box<str>,
    /// The wall clock, in milliseconds since 1970.
    pub clock_unix_ms: fn() -> u64,
    /// Bytes that nobody can guess: names of batches and jitter are made of them.
    pub seed: [u8; 32],
}

/// Why the webhook cannot be used.
#[derive(Debug)]
pub enum WebhookError {
    /// The URL or the token cannot stand in a request.
    Unusable,
    /// The system refused a thread or its runtime.
    Thread(io::Error),
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable => {
                f.write_str("the URL or the token cannot stand in a request; see what characters are in them")
            }
            Self::Thread(source) => write!(f, "its thread cannot be started: {source}"),
        }
    }
}

impl std::error::Error for WebhookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(source) => Some(source),
            Self::Unusable => None,
        }
    }
}

/// How it stands with the webhook. Counts are since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Records that the receiver has taken.
    pub delivered: u64,
    /// Records that it never will: the queue was full, it refused them, or the exchange stopped.
    pub lost: u64,
    /// Records that wait or are on their way.
    pub waiting: u64,
    /// How long ago the call of the oldest record on its way ended, in milliseconds.
    pub lag_ms: u64,
    /// Failed attempts.
    pub failures: u64,
    /// Why records are not taken now; `None`: they are.
    pub trouble: Option<Rebuff>,
}

#[derive(Debug, Default)]
struct Shared {
    delivered: AtomicU64,
    failures: AtomicU64,
    /// Records on their way, and the end of the oldest one's call; 0 = none.
    batched: AtomicU64,
    oldest_ms: AtomicU64,
    trouble: Mutex<Option<Rebuff>>,
    stop: Notify,
}

impl Shared {
    /// Sets how it stands and returns how it stood.
    fn replace_trouble(&self, trouble: Option<Rebuff>) -> Option<Rebuff> {
        std::mem::replace(&mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner), trouble)
    }
}

/// The running sender; the operator owns it.
#[derive(Debug)]
pub struct RecordsWebhook {
    handle: WebhookHandle,
    _thread: JoinHandle<()>,
    /// Closed by the sender when it is done.
    done: Receiver<()>,
}

impl RecordsWebhook {
    /// Starts the sender.
    ///
    /// # Errors
    /// If no request can be made of the settings, or the thread cannot be started.
    pub fn start(settings: Settings) -> Result<Self, WebhookError> {
        let (intake, shared) = (Arc::new(Intake::new(QUEUE_LEN_MAX)), Arc::new(Shared::default()));
        let clock_unix_ms = settings.clock_unix_ms;
        let sender = Sender::new(settings, Arc::clone(&intake), Arc::clone(&shared))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(WebhookError::Thread)?;
        let (finished, done) = mpsc::sync_channel(0);
        let body = move || {
            runtime.block_on(sender.run());
            drop(finished);
        };
        let thread = std::thread::Builder::new().name("records-webhook".to_owned()).spawn(body);
        let thread = thread.map_err(WebhookError::Thread)?;
        Ok(Self { handle: WebhookHandle { intake, shared, clock_unix_ms }, _thread: thread, done })
    }

    /// A handle for a shard, or for whoever wants to know how it stands.
    pub fn handle(&self) -> WebhookHandle {
        self.handle.clone()
    }

    /// Sends what waits, each batch once, and stops, after `limit` at the latest.
    pub fn stop(self, limit: Duration) -> State {
        self.handle.intake.stop();
        self.handle.shared.stop.notify_one();
        // Nothing is ever sent: this ends when the sender drops its side, or at the limit.
        let _ = self.done.recv_timeout(limit);
        self.handle.state()
    }
}

/// The way to the sender.
#[derive(Clone, Debug)]
pub struct WebhookHandle {
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    clock_unix_ms: fn() -> u64,
}

impl WebhookHandle {
    /// Has a record sent. Never waits; what cannot be taken is counted.
    pub fn record(&self, record: Arc<CallRecord>) {
        self.intake.put(record);
    }

    /// How it stands.
    pub fn state(&self) -> State {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let shared = &self.shared;
        let oldest_ms = count(&shared.oldest_ms);
        State {
            delivered: count(&shared.delivered),
            lost: self.intake.lost(),
            waiting: count(&shared.batched) + self.intake.len() as u64,
            lag_ms: if oldest_ms == 0 { 0 } else { (self.clock_unix_ms)().saturating_sub(oldest_ms) },
            failures: count(&shared.failures),
            trouble: shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// What sends.
struct Sender {
    poster: Poster,
    node: Box<str>,
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    /// What the names of this start's batches begin with.
    name: String,
    batches: u64,
    /// State of the generator that jitter comes from.
    dice: u64,
    lost_told: u64,
}

impl Sender {
    fn new(settings: Settings, intake: Arc<Intake>, shared: Arc<Shared>) -> Result<Self, WebhookError> {
        let poster = Poster::new(&settings.url, settings.token.as_ref()).ok_or(WebhookError::Unusable)?;
        let (name, dice) = settings.seed.split_at(NAME_BYTES);
        Ok(Self {
            poster,
            node: settings.node,
            intake,
            shared,
            name: name.iter().map(|byte| format!("{byte:02x}")).collect(),
            batches: 0,
            // Anything but zero, which would stay zero.
            dice: dice.iter().fold(1, |all, byte| (all << 8 | u64::from(*byte)) | 1),
            lost_told: 0,
        })
    }

    /// Sends until nothing more comes and all is sent, or lost.
    async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let is_last = self.intake.is_stopping();
            self.intake.take_into(&mut batch, BATCH_LEN_MAX);
            if !batch.is_empty() {
                self.deliver(&batch).await;
                batch.clear();
            } else if is_last {
                return;
            }
            self.tell_losses();
            if self.intake.len() < BATCH_LEN_MAX && !is_last {
                self.pause(GATHER).await;
            }
        }
    }

    /// Sends one batch until it is taken, or refused for what is in it, or the exchange stops.
    async fn deliver(&mut self, batch: &[Arc<CallRecord>]) {
        self.batches += 1;
        let name = format!("{}-{}", self.name, self.batches);
        let body = self.encode(&name, batch);
        self.shared.batched.store(batch.len() as u64, Ordering::Relaxed);
        self.shared.oldest_ms.store(batch.first().map_or(0, |record| record.ended_at_ms), Ordering::Relaxed);
        let mut pause = PAUSE_MIN;
        loop {
            let is_last = self.intake.is_stopping();
            let Err(rebuff) = self.poster.post(&name, body.clone()).await else {
                self.shared.delivered.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if self.shared.replace_trouble(None).is_some() {
                    info!("webhook of call records: they are taken again");
                }
                break;
            };
            self.note(&rebuff);
            if is_last || rebuff.is_about_content() {
                self.intake.note_lost(batch.len());
                break;
            }
            let wanted = rebuff.wanted_pause().map_or(pause, |wanted| wanted.clamp(pause, PAUSE_MAX));
            self.pause(wanted).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.shared.batched.store(0, Ordering::Relaxed);
        self.shared.oldest_ms.store(0, Ordering::Relaxed);
    }

    fn encode(&self, name: &str, batch: &[Arc<CallRecord>]) -> Bytes {
        // Neither name holds anything that JSON would have to escape, apart from the node's, which goes through serde.
        let node = serde_json::Value::from(&*self.node);
        let mut body = format!("{{\"batch\":\"{name}\",\"node\":{node},\"records\":[").into_bytes();
        for (number, record) in batch.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            encode_object(record, &self.node, &mut body);
        }
        body.extend_from_slice(b"]}");
        Bytes::from(body)
    }

    fn note(&self, rebuff: &Rebuff) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        let before = self.shared.replace_trouble(Some(rebuff.clone()));
        if before.is_none_or(|before| before.to_string() != rebuff.to_string()) {
            warn!(%rebuff, "webhook of call records: they are not taken; calls go on, and it is tried again");
        }
    }

    /// Sleeps for about so long, unless the exchange stops.
    async fn pause(&mut self, span: Duration) {
        let quarter = span / 4;
        let span = span - quarter + (quarter * 2).mul_f64(self.roll());
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = self.shared.stop.notified() => {}
        }
    }

    /// A number from 0 to 1: a shift register, which is good enough to keep exchanges from asking all at once.
    fn roll(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 32) as f64 / f64::from(u32::MAX)
    }

    fn tell_losses(&mut self) {
        let lost_total = self.intake.lost();
        if lost_total != self.lost_told {
            warn!(lost = lost_total - self.lost_told, lost_total, "webhook of call records: records lost");
            self.lost_told = lost_total;
        }
    }
}

/// Bytes of the seed that batches are named by; nobody else's have the same.
const NAME_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::record::tests::{record, refused};
    use super::*;

    fn sender(seed: u8) -> Sender {
        let settings = Settings {
            url: Secret::new("http://127.0.0.1:9/"),
            token: None,
            node: "node \"7\"".into(),
            clock_unix_ms: || 0,
            seed: [seed; 32],
        };
        Sender::new(settings, Arc::new(Intake::new(1)), Arc::default()).expect("it can be used")
    }

    #[test]
    fn a_batch_is_one_json_object_with_the_lines_of_the_call_log() {
        let body = sender(1).encode("b-1", &[Arc::new(record(1)), Arc::new(refused())]);
        let body: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
        assert_eq!((&body["batch"], &body["node"]), (&"b-1".into(), &"node \"7\"".into()));
        let mut line = Vec::new();
        encode_object(&refused(), "node \"7\"", &mut line);
        let line: serde_json::Value = serde_json::from_slice(&line).expect("it is JSON");
        assert_eq!(body["records"][1], line);
    }

    #[test]
    fn jitter_spreads_and_names_differ_from_start_to_start() {
        let mut sender = sender(1);
        let rolls: Vec<f64> = (0..1_000).map(|_| sender.roll()).collect();
        assert!(rolls.iter().all(|roll| (0.0..=1.0).contains(roll)));
        let (low, high) =
            (rolls.iter().filter(|roll| **roll < 0.25), rolls.iter().filter(|roll| **roll > 0.75));
        assert!(low.count() > 150 && high.count() > 150);
        assert_ne!(sender.name, self::sender(2).name);
    }

    #[test]
    fn only_what_is_wrong_with_the_batch_itself_loses_it() {
        for status in [400, 413, 415, 422] {
            assert!(Rebuff::Status(status, None).is_about_content(), "{status}");
        }
        for status in [301, 401, 403, 404, 408, 409, 429, 500, 503] {
            assert!(!Rebuff::Status(status, None).is_about_content(), "{status}");
        }
        assert!(!Rebuff::Unreachable.is_about_content());
    }
}
