//! Questions to shards: by mailbox, a few at a time, with a deadline.
//!
//! A shard answers in its turn with a bounded amount of work. However many operators ask however much, a shard has no more than
//! [`UNDER_WAY_MAX`] of these questions before it, and whoever waits too long is told so.

use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::exchange::ids::ShardId;
use crate::shell::operator::Wire;
use crate::shell::switchboard::{Inquiry, Reply};

/// Questions under way at a time, each to one shard or to all: two that are answered while two are read.
const UNDER_WAY_MAX: usize = 4;
/// How long an answer may take, waiting for a turn among the questions included. A shard's turn takes about a millisecond.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// A shard did not answer in time.
#[derive(Debug)]
pub(super) struct Unanswered;

/// The way to the shards.
#[derive(Debug)]
pub(super) struct Inquiries {
    wires: Vec<Wire>,
    places: Semaphore,
}

impl Inquiries {
    pub(super) fn new(wires: Vec<Wire>) -> Self {
        Self { wires, places: Semaphore::new(UNDER_WAY_MAX) }
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.wires.len()
    }

    /// Asks one shard.
    pub(super) async fn ask<T>(
        &self,
        shard: ShardId,
        make: impl FnOnce(Reply<T>) -> Inquiry,
    ) -> Result<T, Unanswered> {
        in_time(async {
            let _place = self.places.acquire().await.map_err(|_| Unanswered)?;
            self.post(shard.index(), make)?.await.map_err(|_| Unanswered)
        })
        .await
    }

    /// Asks every shard at once; the answers come in the shards' order.
    pub(super) async fn ask_all<T>(&self, make: impl Fn(Reply<T>) -> Inquiry) -> Result<Vec<T>, Unanswered> {
        in_time(async {
            let _place = self.places.acquire().await.map_err(|_| Unanswered)?;
            let posted: Result<Vec<_>, _> = (0..self.shards()).map(|shard| self.post(shard, &make)).collect();
            let mut answers = Vec::new();
            for answer in posted? {
                answers.push(answer.await.map_err(|_| Unanswered)?);
            }
            Ok(answers)
        })
        .await
    }

    fn post<T>(
        &self,
        shard: usize,
        make: impl FnOnce(Reply<T>) -> Inquiry,
    ) -> Result<oneshot::Receiver<T>, Unanswered> {
        let (reply, answer) = oneshot::channel();
        let wire = self.wires.get(shard).ok_or(Unanswered)?;
        if wire.ask(make(reply)) { Ok(answer) } else { Err(Unanswered) }
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
    timeout(ANSWER_TIME_MAX, answer).await.unwrap_or(Err(Unanswered))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::shell::switchboard::Post;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the system allows a runtime").block_on(future)
    }

    #[test]
    fn a_shard_that_has_no_room_for_a_question_is_not_waited_for() {
        let poll = mio::Poll::new().expect("the system allows a poller");
        let (mailbox, letters) = sync_channel(1);
        let inquiries = Inquiries::new(vec![Wire::testing(mailbox, &poll)]);
        block_on(async {
            let shard = ShardId::new(0);
            let first = inquiries.ask(shard, Inquiry::Links);
            let mut first = std::pin::pin!(first);
            tokio::select! {
                biased;
                _ = &mut first => panic!("nobody answers"),
                second = inquiries.ask(shard, Inquiry::Links) => assert!(second.is_err(), "there is no room"),
            }
            // The shard forgets the first question without an answer.
            drop(letters.try_recv());
            assert!(first.await.is_err());
            assert!(inquiries.ask(ShardId::new(7), Inquiry::Links).await.is_err(), "there is no such shard");
        });
    }

    #[test]
    fn an_answer_reaches_whoever_asked() {
        let poll = mio::Poll::new().expect("the system allows a poller");
        let (mailbox, letters) = sync_channel(8);
        let inquiries = Inquiries::new(vec![Wire::testing(mailbox, &poll)]);
        let shard = std::thread::spawn(move || {
            let Ok(Post::Inquiry(inquiry)) = letters.recv() else { panic!("a question was due") };
            let Inquiry::Links(reply) = *inquiry else { panic!("another question was due") };
            reply.send(Vec::new()).expect("somebody waits");
        });
        assert!(block_on(inquiries.ask_all(Inquiry::Links)).is_ok_and(|answers| answers == [Vec::new()]));
        shard.join().expect("it answers");
    }
}
