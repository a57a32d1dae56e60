//! The way to a shard from other threads: a bounded mailbox, and the bell that goes with it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

#[cfg(test)]
use mio::Poll;
use mio::Waker;
use tracing::warn;

#[cfg(test)]
use crate::shell::switchboard::WAKER;
use crate::shell::switchboard::{Inquiry, Post};
use crate::shell::trunk;

/// Words from the operator that may wait for one shard; wake results are as many as runs, which are bounded.
const MAILBOX_LEN: usize = 4096;

/// The way to a shard from other threads.
#[derive(Clone, Debug)]
pub struct Wire {
    pub(super) mailbox: SyncSender<Post>,
    pub(super) waker: Arc<Waker>,
}

impl Wire {
    /// As [`Wire::post`], but waits for room, because what is lost would be missed for ever.
    pub(super) fn deliver(&self, post: Post) {
        if self.mailbox.send(post).is_ok()
            && let Err(error) = self.waker.wake()
        {
            warn!(%error, "a shard cannot be woken");
        }
    }

    /// A way to nobody but whoever holds the other end of the mailbox.
    #[cfg(test)]
    pub(in crate::shell) fn testing(mailbox: SyncSender<Post>, poll: &Poll) -> Self {
        Self { mailbox, waker: Arc::new(Waker::new(poll.registry(), WAKER).expect("one waker is allowed")) }
    }

    /// Asks the shard something. Says whether there was room for it.
    pub(in crate::shell) fn ask(&self, inquiry: Inquiry) -> bool {
        let is_posted = self.mailbox.try_send(Post::Inquiry(Box::new(inquiry))).is_ok();
        // A shard that is not woken looks by itself within a second.
        is_posted && self.waker.wake().is_ok()
    }

    /// Hands something over if there is room; whether there was.
    pub(super) fn post(&self, post: Post) -> bool {
        let is_posted = self.mailbox.try_send(post).is_ok();
        if is_posted && let Err(error) = self.waker.wake() {
            warn!(%error, "a shard cannot be woken");
        }
        is_posted
    }
}

/// The ways to the shards, and where what is sent on them arrives.
pub(super) fn wires(wakers: Vec<Arc<Waker>>) -> (Vec<Wire>, Vec<Receiver<Post>>) {
    let pair = |waker| {
        let (mailbox, letters) = sync_channel(MAILBOX_LEN);
        (Wire { mailbox, waker }, letters)
    };
    wakers.into_iter().map(pair).unzip()
}

pub(super) fn peer_wake(waker: Arc<Waker>) -> trunk::Wake {
    Box::new(move || {
        if let Err(error) = waker.wake() {
            warn!(%error, "a shard cannot be woken");
        }
    })
}
