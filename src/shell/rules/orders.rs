//! What the keeper of the rules is told to do, by the operator and by shards.
//!
//! Each thing is wanted or not, however often it was said: nothing queues, so whoever says much crowds out nobody, and whoever
//! says something never waits. Invariant: what was said before the keeper looks is done after it has looked.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Wanted {
    /// Everything is to be read anew.
    pub(super) reload: bool,
    /// A token has named a key that is not known.
    pub(super) keys: bool,
    /// The end.
    pub(super) stop: bool,
}

/// The way to the keeper of the rules. Clones lead to the same one.
#[derive(Clone, Default, Debug)]
pub struct Orders(Arc<Shared>);

#[derive(Default, Debug)]
struct Shared {
    wanted: Mutex<Wanted>,
    bell: Notify,
}

impl Orders {
    /// Has everything read anew.
    pub fn reload(&self) {
        self.want(|wanted| wanted.reload = true);
    }

    /// Has newer keys fetched, as soon as it is time.
    pub fn want_keys(&self) {
        self.want(|wanted| wanted.keys = true);
    }

    /// Ends the keeper, whatever it is at.
    pub(super) fn stop(&self) {
        self.want(|wanted| wanted.stop = true);
    }

    fn want(&self, note: impl FnOnce(&mut Wanted)) {
        note(&mut self.0.wanted.lock());
        self.0.bell.notify_one();
    }

    /// Waits until something is wanted, and takes it.
    pub(super) async fn next(&self) -> Wanted {
        loop {
            let wanted = std::mem::take(&mut *self.0.wanted.lock());
            if wanted != Wanted::default() {
                return wanted;
            }
            self.0.bell.notified().await;
        }
    }

    /// Waits until something is wanted that makes a fetch under way pointless, and leaves it wanted.
    pub(super) async fn interruption(&self) {
        loop {
            let Wanted { reload, stop, .. } = *self.0.wanted.lock();
            if reload || stop {
                return;
            }
            self.0.bell.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_often_is_wanted_once_and_crowds_out_nothing() {
        let orders = Orders::default();
        (0..1000).for_each(|_| orders.want_keys());
        orders.reload();
        orders.interruption().await;
        assert_eq!(orders.next().await, Wanted { reload: true, keys: true, stop: false });
        let later = orders.clone();
        let (wanted, ()) = tokio::join!(orders.next(), async { later.stop() });
        assert_eq!(wanted, Wanted { stop: true, ..Wanted::default() });
    }
}
