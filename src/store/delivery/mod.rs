//! Call records to a server: batches, posted to one URL, each until it is taken. What a batch looks like is a `Form`'s affair.
//!
//! What waits is bounded; beyond that, records are lost and counted. A batch that gets no good answer is sent again at growing
//! pauses with jitter; one that the receiver will never take is lost at once, or it would block all that follow. Neither the URL
//! nor a header reaches a log. All of it is a thread's own: nobody waits for it, but for a moment at the stop.

mod post;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use super::CallRecord;
use super::intake::Intake;
use super::worker::Worker;
use post::Poster;

pub use post::Rebuff;
pub(super) use post::{Parcel, Receiver};

/// Records that may wait for the receiver, those on their way not counted; some 8 MiB of memory.
const QUEUE_LEN_MAX: usize = 16 * 1024;
/// Records of one batch at most: some 250 KiB of JSON, as much of protobuf.
const BATCH_LEN_MAX: usize = 500;
/// How long records are gathered before they are sent, if there are fewer than a batch.
const GATHER: Duration = Duration::from_millis(500);
/// The first pause after a failure, and the longest; each is twice as long as the one before, give or take a quarter.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The form in which a receiver takes records, and how its answers are meant.
pub(super) trait Form: Send + 'static {
    /// What it is called in the log.
    const NAME: &'static str;
    /// What its thread is called; the system shows 15 bytes.
    const THREAD: &'static str;
    /// How much is read of a good answer, in bytes; 0: nothing.
    const ANSWER_BYTES_MAX: usize = 0;

    /// A batch as it is sent, each time.
    fn encode(&mut self, batch: &[Arc<CallRecord>]) -> Parcel;

    /// Whether the same batch would be refused each time.
    fn is_hopeless(rebuff: &Rebuff) -> bool;

    /// How many records the receiver has not taken, by its good answer.
    fn turned_down(_answer: &[u8]) -> u64 {
        0
    }
}

/// What a sender is told at the start.
pub(super) struct Start {
    /// Where to.
    pub(super) receiver: Receiver,
    /// The wall clock, in milliseconds since 1970.
    pub(super) clock_unix_ms: fn() -> u64,
    /// Bytes that nobody can guess: jitter is made of the second half.
    pub(super) seed: [u8; 32],
}

/// Why a receiver cannot be used.
#[derive(Debug)]
pub enum DeliveryError {
    /// The URL or a header cannot stand in a request.
    Unusable,
    /// The system refused a thread or its runtime.
    Thread(io::Error),
    /// What sends there is not part of this program.
    NotBuiltIn,
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable => f.write_str(
                "the URL, or what goes along with it, cannot stand in a request; see what characters are in them",
            ),
            Self::Thread(source) => write!(f, "its thread cannot be started: {source}"),
            Self::NotBuiltIn => f.write_str("this systemx was built without it; build it with --features otlp"),
        }
    }
}

impl std::error::Error for DeliveryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(source) => Some(source),
            Self::Unusable | Self::NotBuiltIn => None,
        }
    }
}

/// How it stands with a receiver. Counts are since the start.
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
pub struct Delivery {
    handle: DeliveryHandle,
    worker: Worker,
}

impl Delivery {
    /// Starts the sender.
    ///
    /// # Errors
    /// If no request can be made of the settings, or the thread cannot be started.
    pub(super) fn start<F: Form>(form: F, start: Start) -> Result<Self, DeliveryError> {
        let (intake, shared) = (Arc::new(Intake::new(QUEUE_LEN_MAX)), Arc::new(Shared::default()));
        let clock_unix_ms = start.clock_unix_ms;
        let sender = Sender::new(form, start, Arc::clone(&intake), Arc::clone(&shared))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(DeliveryError::Thread)?;
        let worker = Worker::start(F::THREAD, move || runtime.block_on(sender.run()));
        let worker = worker.map_err(DeliveryError::Thread)?;
        Ok(Self { handle: DeliveryHandle { intake, shared, clock_unix_ms }, worker })
    }

    /// A handle for a shard, or for whoever wants to know how it stands.
    pub fn handle(&self) -> DeliveryHandle {
        self.handle.clone()
    }

    /// Nothing more will come: from now on it sends what waits, each batch once.
    pub fn tell_to_stop(&self) {
        self.handle.intake.stop();
        self.handle.shared.stop.notify_one();
    }

    /// Waits until one that was told to stop has sent what waits, for `limit` at most. What still waits then, or has no answer, is lost.
    pub fn finish(self, limit: Duration) -> State {
        self.worker.finish(limit);
        let state = self.handle.state();
        State { lost: state.lost + state.waiting, waiting: 0, ..state }
    }
}

/// The way to the sender.
#[derive(Clone, Debug)]
pub struct DeliveryHandle {
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    clock_unix_ms: fn() -> u64,
}

impl DeliveryHandle {
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
struct Sender<F> {
    form: F,
    poster: Poster,
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    dice: Dice,
    lost_told: u64,
}

impl<F: Form> Sender<F> {
    fn new(form: F, start: Start, intake: Arc<Intake>, shared: Arc<Shared>) -> Result<Self, DeliveryError> {
        let poster = Poster::new(start.receiver, F::ANSWER_BYTES_MAX).ok_or(DeliveryError::Unusable)?;
        Ok(Self { form, poster, intake, shared, dice: Dice::new(&start.seed), lost_told: 0 })
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

    /// Sends one batch until it is taken, or will never be, or the exchange stops.
    async fn deliver(&mut self, batch: &[Arc<CallRecord>]) {
        // First of all, so that these count as waiting, as they did in the queue.
        self.shared.batched.store(batch.len() as u64, Ordering::Relaxed);
        let parcel = self.form.encode(batch);
        self.shared.oldest_ms.store(batch.first().map_or(0, |record| record.ended_at_ms), Ordering::Relaxed);
        let mut pause = PAUSE_MIN;
        loop {
            let is_last = self.intake.is_stopping();
            let rebuff = match self.poster.post(&parcel).await {
                Ok(answer) => break self.note_taken(batch.len() as u64, &answer),
                Err(rebuff) => rebuff,
            };
            self.note(&rebuff);
            if is_last || F::is_hopeless(&rebuff) {
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

    fn note_taken(&self, count: u64, answer: &[u8]) {
        let turned_down = F::turned_down(answer).min(count);
        self.shared.delivered.fetch_add(count - turned_down, Ordering::Relaxed);
        self.intake.note_lost(turned_down as usize);
        if self.shared.replace_trouble(None).is_some() {
            info!("{}: they are taken again", F::NAME);
        }
    }

    fn note(&self, rebuff: &Rebuff) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        let before = self.shared.replace_trouble(Some(rebuff.clone()));
        if before.is_none_or(|before| before.to_string() != rebuff.to_string()) {
            let next = if F::is_hopeless(rebuff) { "these are lost" } else { "it is tried again" };
            warn!(%rebuff, "{}: they are not taken; calls go on, and {next}", F::NAME);
        }
    }

    /// Sleeps for about so long, unless the exchange stops.
    async fn pause(&mut self, span: Duration) {
        let quarter = span / 4;
        let span = span - quarter + (quarter * 2).mul_f64(self.dice.roll());
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = self.shared.stop.notified() => {}
        }
    }

    fn tell_losses(&mut self) {
        let lost_total = self.intake.lost();
        if lost_total != self.lost_told {
            warn!(lost = lost_total - self.lost_told, lost_total, "{}: records lost", F::NAME);
            self.lost_told = lost_total;
        }
    }
}

/// What jitter comes from: a shift register, which is good enough to keep exchanges from asking all at once.
struct Dice(u64);

impl Dice {
    fn new(seed: &[u8; 32]) -> Self {
        let (_, half) = seed.split_at(seed.len() / 2);
        // Anything but zero, which would stay zero.
        Self(half.iter().fold(1, |all, byte| (all << 8 | u64::from(*byte)) | 1))
    }

    /// A number from 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as f64 / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads() {
        let mut dice = Dice::new(&[1; 32]);
        let rolls: Vec<f64> = (0..1_000).map(|_| dice.roll()).collect();
        assert!(rolls.iter().all(|roll| (0.0..=1.0).contains(roll)));
        let (low, high) =
            (rolls.iter().filter(|roll| **roll < 0.25), rolls.iter().filter(|roll| **roll > 0.75));
        assert!(low.count() > 150 && high.count() > 150);
    }
}
