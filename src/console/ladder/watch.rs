//! What is watched, and what a shard hands over of it: steps, by a way that has room for so many and never makes anybody wait.
//!
//! Which frames are watched is the filter's affair (`filter.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::exchange::ids::{CallId, LineId};
use crate::exchange::time::Moment;

use super::filter::Admitted;
use super::sketch::Sketch;

/// Steps that may wait for the console: some 20 ms of a busy shard, a few MiB with what is said.
pub(super) const STEPS_WAITING_MAX: usize = 4096;
/// Of those, what is kept free for frames other than messages.
const STEPS_SPARED: usize = 1024;
/// What is copied of what somebody says, in bytes: enough to tell which message it was.
pub const PAYLOAD_BYTES_MAX: usize = 1024;
/// What is kept of names and words that clients may choose, in bytes.
const WORDS_BYTES_MAX: usize = 320;

/// Whom or what an operator watches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// An address: everything it sends and is sent, and both ends of its calls. A party's name is one too.
    Address(Box<str>),
    /// One call.
    Call {
        /// Its id.
        id: CallId,
        /// What it is called: its id, or the name that another exchange gave it.
        name: Box<str>,
    },
}

impl Subject {
    /// The call of this name, which may be its id; `None` if no call can have it.
    pub fn call(name: &str) -> Option<Self> {
        let id = CallId::parse(name.as_bytes());
        (id != CallId::NONE).then(|| Self::Call { id, name: name.into() })
    }

    /// Its address or name.
    pub fn name(&self) -> &str {
        match self {
            Self::Address(name) | Self::Call { name, .. } => name,
        }
    }
}

/// One order to watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Whom.
    pub subject: Subject,
    /// Whether what is said is to be copied.
    pub payloads: bool,
}

/// Everything that is watched.
pub type WatchList = Arc<[Watch]>;

/// Which way a frame went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From a line to the exchange.
    In,
    /// From the exchange to a line.
    Out,
}

/// A frame that concerns somebody who is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// When it was read, or made.
    pub at: Moment,
    /// Whose connection it went over.
    pub line: LineId,
    /// The line's address, or the exchange that it leads to; empty if it has none.
    pub who: Box<str>,
    /// Which way.
    pub way: Way,
    /// Its type.
    pub frame: &'static str,
    /// The call it is about.
    pub call_id: Option<CallId>,
    /// The same as the parties name it.
    pub call: Option<Box<str>>,
    /// Whom else it names.
    pub peer: Option<Box<str>>,
    /// A reason, a status, a cause.
    pub words: Option<Box<str>>,
    /// What it carries, in bytes.
    pub bytes: usize,
    /// The beginning of that, if the watch asks for it: up to a KiB.
    pub payload: Option<Box<[u8]>>,
    /// Watched frames of the same shard, of whichever watch, that there was no room for just before this one.
    pub left_out: u32,
}

/// A shard's end of the way to the console. Clones are the same way.
#[derive(Clone, Debug)]
pub struct StepSink {
    sender: SyncSender<Step>,
    /// Steps that wait.
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

impl StepSink {
    /// Hands a step over if there is room, and counts it if not; says which. Never waits. What parties say to each other may not
    /// take all of the room: a ladder is looked at for how calls begin and end.
    pub fn give(&self, step: Step) -> bool {
        let is_talk = matches!(step.frame, "MSG" | "PARTY_MSG");
        let most = if is_talk { STEPS_WAITING_MAX - STEPS_SPARED } else { STEPS_WAITING_MAX };
        let is_given = self.waiting.load(Ordering::Relaxed) < most && self.sender.try_send(step).is_ok();
        if is_given {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        is_given
    }

    /// One has been taken.
    pub(super) fn note_taken(&self) {
        // One that is taken before it is counted must not make room for four thousand million.
        let less = |waiting: usize| Some(waiting.saturating_sub(1));
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Steps there was no room for.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The way of the steps. Whoever takes them has to look now and then: it is told nothing, so that giving costs no system call.
pub fn step_channel() -> (StepSink, Receiver<Step>) {
    let (sender, receiver) = sync_channel(STEPS_WAITING_MAX);
    (StepSink { sender, waiting: Arc::default(), lost: Arc::default() }, receiver)
}

impl Step {
    /// A step out of a frame's sketch; `name` is what the parties call its call, if that is no id of ours.
    pub fn new(
        at: Moment,
        line: LineId,
        way: Way,
        sketch: &Sketch<'_>,
        name: Option<&str>,
        admitted: &Admitted,
    ) -> Self {
        let call = |call: CallId| name.map_or_else(|| call.to_string().into_boxed_str(), cut);
        let payload = sketch.payload.filter(|_| admitted.payloads);
        Self {
            at,
            line,
            who: cut(&admitted.who),
            way,
            frame: sketch.frame,
            call_id: admitted.call,
            call: admitted.call.map(call),
            peer: sketch.peer.map(cut),
            words: sketch.words.as_deref().map(cut),
            bytes: sketch.payload.map_or(0, <[u8]>::len),
            left_out: 0,
            payload: payload.map(|bytes| Box::from(&bytes[..bytes.len().min(PAYLOAD_BYTES_MAX)])),
        }
    }
}

fn cut(text: &str) -> Box<str> {
    Box::from(&text[..text.floor_char_boundary(WORDS_BYTES_MAX)])
}
