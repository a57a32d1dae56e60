//! Links that this exchange keeps up by itself (spec 19.9): for each peer one task, on one thread of its own (design.md, D11),
//! that calls, hands the socket to a shard, waits until the link is gone, and calls again, for ever.
//!
//! A shard never waits for any of it, and says nothing: the permit that goes with the socket tells the task that the link
//! is gone, on whatever shard and for whatever reason it ended. What is said over a link is the core's. Without
//! peers there is no thread.

mod counts;
mod dial;
mod standing;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::federation::{Federation, Peer, PeerTls};
use crate::exchange::tie;

use super::admission::Permit;
use super::transport::Transport;
pub use counts::LinkCounts;
use dial::{DialError, Resolver};
use standing::Standing;

/// Limit of one attempt: name, connection, TLS and upgrade together (spec 19.9).
const DIAL_MAX: Duration = Duration::from_secs(10);
/// A link that lasts so long has come to stay; one that does not is called again with as little noise as if it had failed.
const STEADY: Duration = Duration::from_secs(10);
/// Longest wait that another exchange can ask for: a drain and a restart are long over.
const TOLD_MAX: Duration = Duration::from_secs(600);
/// The part of the wait that is added at most, so that exchanges that lost the same peer do not come back all at once.
const JITTER_PART: u32 = 10;

/// A link that has come up.
#[derive(Debug)]
pub struct Link {
    /// Whose it is, as the core knows it.
    pub peer: Arc<tie::Peer>,
    /// The way there, not blocking.
    pub transport: Transport,
    /// What the other exchange sent after its handshake.
    pub early: Bytes,
    /// To be kept as long as the link is.
    pub permit: Box<Permit>,
}

/// How links reach their shards. One that cannot be delivered is dropped, which is the end of it.
pub type Deliver = Arc<dyn Fn(Link) + Send + Sync>;

/// The thread that keeps links up.
pub struct Dialler {
    thread: JoinHandle<()>,
    // Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Dialler {
    /// Starts to call all peers; does not wait for any. `None` if there are none.
    ///
    /// # Errors
    /// If the system refuses a runtime or a thread.
    pub fn start(
        federation: &Federation,
        deliver: Deliver,
        counts: Arc<LinkCounts>,
    ) -> std::io::Result<Option<Self>> {
        if federation.peers.is_empty() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let tls = Arc::new(federation.tls.clone());
        let peers = federation.peers.clone();
        let body = move || runtime.block_on(keep_all_up(peers, tls, Common { deliver, counts }, stopped));
        let thread = std::thread::Builder::new().name("peers".into()).spawn(body)?;
        Ok(Some(Self { thread, _stop: stop }))
    }

    /// Ends all attempts at once; links that are up are the shards'. To be joined.
    pub fn stop(self) -> JoinHandle<()> {
        self.thread
    }
}

/// What all links have in common.
#[derive(Clone)]
struct Common {
    deliver: Deliver,
    counts: Arc<LinkCounts>,
}

async fn keep_all_up(peers: Vec<Peer>, tls: Arc<PeerTls>, common: Common, stopped: oneshot::Receiver<()>) {
    let mut tasks = JoinSet::new();
    for (position, peer) in (0..).zip(peers) {
        tasks.spawn(keep_up(position, peer, tls.clone(), common.clone()));
    }
    // Never sent, only dropped. The tasks are dropped with their set.
    drop(stopped.await);
}

async fn keep_up(position: u32, peer: Peer, tls: Arc<PeerTls>, common: Common) {
    let Common { deliver, counts } = common;
    let (mut standing, mut resolver) = (Standing::new(), Resolver::default());
    let known = Arc::new(known_to_the_core(position, &peer));
    loop {
        let mut wait = with_jitter(peer.reconnect_delay, random());
        let dialled = timeout(DIAL_MAX, dial::dial(&peer, &tls, &mut resolver)).await;
        match dialled.unwrap_or(Err(DialError::TimedOut)) {
            Ok(called) => {
                let (permit, mut gone) = Permit::of_link();
                standing.is_up(&peer);
                counts.is_up();
                let (transport, early) = (called.transport, called.early);
                deliver(Link { peer: known.clone(), transport, early, permit });
                // An error is the word that is waited for as well: the permit has been dropped.
                let early = timeout(STEADY, &mut gone).await;
                let is_steady = early.is_err();
                let told = match early {
                    Ok(told) => told.ok(),
                    Err(_) => {
                        standing.is_steady(&peer);
                        gone.await.ok()
                    }
                };
                wait = wait_after(wait, told);
                standing.is_lost(&peer, is_steady, wait);
                counts.is_lost();
            }
            Err(error) => {
                standing.cannot_be_reached(&peer, &error);
                counts.has_failed();
            }
        }
        sleep(wait).await;
    }
}

/// What the core has to know of a peer.
fn known_to_the_core(position: u32, peer: &Peer) -> tie::Peer {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    tie::Peer {
        id: peer.id.clone(),
        domain: peer.domain.clone(),
        auth: peer.auth.as_ref().map(|auth| tie::Secret::new(auth.reveal().as_str())),
        routes: peer.routes.clone(),
        announced: peer.announced.clone(),
        position,
        heartbeat_ms: peer.heartbeat.map(ms),
    }
}

/// How long to wait if the other exchange has said how long: at least that, which it has spread already, and never beyond reason.
fn wait_after(usual: Duration, told: Option<Duration>) -> Duration {
    told.map_or(usual, |told| told.min(TOLD_MAX).max(usual))
}

/// A wait, and up to a tenth more.
fn with_jitter(delay: Duration, random: u32) -> Duration {
    delay + (delay / JITTER_PART).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// A number nobody can guess is not needed here, only one that differs between exchanges.
fn random() -> u32 {
    ahash::RandomState::new().hash_one(std::process::id()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_grows_by_a_tenth_at_most() {
        let delay = Duration::from_secs(5);
        assert_eq!(with_jitter(delay, 0), delay);
        assert_eq!(with_jitter(delay, u32::MAX), Duration::from_millis(5_500));
        assert!((delay..=delay * 11 / 10).contains(&with_jitter(delay, random())));
    }

    #[test]
    fn a_wait_that_was_asked_for_is_kept_within_reason() {
        let s = Duration::from_secs;
        assert_eq!(wait_after(s(5), None), s(5));
        assert_eq!(wait_after(s(5), Some(s(1))), s(5));
        assert_eq!(wait_after(s(5), Some(s(30))), s(30));
        assert_eq!(wait_after(s(5), Some(s(1_000_000))), TOLD_MAX);
    }

    #[test]
    fn without_peers_there_is_no_thread() {
        let none = Dialler::start(&Federation::default(), Arc::new(|_| {}), Arc::default());
        assert!(none.expect("nothing is asked of the system").is_none());
    }
}
