//! Where finished handshakes wait for the switchboard, and all that listener and switchboard know of each other.
//!
//! Both run on the shard's thread, so nothing here is locked. The shard's own poller watches the sockets of those who shake hands,
//! so that the runtime needs a turn only when one of them has something to say.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::debug;

use crate::console::Handshakes;
use crate::identity::Token;

use super::admission::Permit;
use super::transport::Transport;

/// What the shard's poller says when somebody who shakes hands has sent something or is gone.
pub const HANDSHAKE: mio::Token = mio::Token(usize::MAX - 2);

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Upgraded {
    /// The way to the client, not blocking; it knows the names that a client's certificate proves.
    pub transport: Transport,
    /// What the client sent after its handshake.
    pub early: Bytes,
    /// Whether it asked for `/echo`, and may.
    pub echo: bool,
    /// The client's address, as far as those who are trusted have told it.
    pub client: IpAddr,
    /// Its place in the limits on connections.
    pub permit: Option<Box<Permit>>,
    /// The token of its `Authorization` header.
    pub token: Option<Token>,
}

/// Where finished handshakes wait for the switchboard, and the bell it is rung with.
#[derive(Clone)]
pub struct Lobby {
    upgraded: Rc<RefCell<VecDeque<Upgraded>>>,
    /// The shard's poller, for the sockets of those who shake hands.
    poller: Rc<mio::Registry>,
    pauses: Rc<Cell<bool>>,
    stirs: Rc<Cell<bool>>,
    handshakes: Rc<Cell<Handshakes>>,
    talks: Rc<Cell<bool>>,
    closing: Rc<Closing>,
    ring: Rc<dyn Fn()>,
}

/// A pause of the listener; it ends with this, also if what it was for is given up.
struct Pause<'a>(&'a Cell<bool>);

impl<'a> Pause<'a> {
    fn begin(pauses: &'a Cell<bool>) -> Self {
        pauses.set(true);
        Self(pauses)
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// How far the listener is with closing.
#[derive(Default)]
struct Closing {
    ordered: Notify,
    is_over: Cell<bool>,
}

impl Lobby {
    /// An empty lobby. `ring` is called when somebody comes in; `poller` says [`HANDSHAKE`] when somebody who shakes hands
    /// is worth a turn of the runtime.
    pub fn new(poller: mio::Registry, ring: Rc<dyn Fn()>) -> Self {
        let (pauses, stirs) = <(Rc<Cell<bool>>, Rc<Cell<bool>>)>::default();
        let (upgraded, handshakes) = <(Rc<RefCell<VecDeque<Upgraded>>>, Rc<Cell<Handshakes>>)>::default();
        let closing = Rc::default();
        Self {
            upgraded,
            poller: Rc::new(poller),
            pauses,
            stirs,
            handshakes,
            talks: Rc::default(),
            closing,
            ring,
        }
    }

    /// Tells the listener to close, which it does once those who have knocked are in.
    pub fn close(&self) {
        self.closing.ordered.notify_one();
    }

    /// Until it is told to.
    pub(super) async fn until_closing(&self) {
        self.closing.ordered.notified().await;
    }

    /// The listener is closed.
    pub(super) fn note_closed(&self) {
        self.closing.is_over.set(true);
    }

    /// Whether it is.
    pub fn is_closed(&self) -> bool {
        self.closing.is_over.get()
    }

    /// Does something while the runtime has the thread's sleep, because it needs a timer.
    pub(super) async fn pausing<T>(&self, doing: impl Future<Output = T>) -> T {
        let _pause = Pause::begin(&self.pauses);
        doing.await
    }

    /// Somebody has knocked.
    pub(super) fn stir(&self) {
        self.stirs.set(true);
    }

    /// A listener is not watched any more. Others may have the same socket.
    pub(super) fn forget(&self, listener: RawFd) {
        drop(self.poller.deregister(&mut mio::unix::SourceFd(&listener)));
    }

    /// Whether the listener pauses: it goes on by a timer of the runtime.
    pub fn is_pausing(&self) -> bool {
        self.pauses.get()
    }

    /// Whether anybody came, or any handshake went on, since this was last asked. If so in a turn of the runtime,
    /// more may come in its next.
    pub fn take_stirred(&self) -> bool {
        self.stirs.take()
    }

    /// Has the poller watch a socket. One that cannot be watched is noticed when the runtime has its turn anyway.
    fn watch(&self, socket: RawFd) {
        let mut source = mio::unix::SourceFd(&socket);
        let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
        if let Err(error) = self.poller.register(&mut source, HANDSHAKE, interest) {
            debug!(%error, "a handshake cannot be watched");
        }
    }

    /// A handshake on `socket`, which is watched if it has to wait.
    pub(super) async fn attend(self, socket: RawFd, shaking: impl Future<Output = ()>) {
        let (mut shaking, mut watched) = (std::pin::pin!(shaking), false);
        std::future::poll_fn(|context| {
            self.stirs.set(true);
            let polled = shaking.as_mut().poll(context);
            if polled.is_pending() && !watched {
                watched = true;
                self.watch(socket);
            } else if polled.is_ready() && watched {
                // Whoever came in is the switchboard's to watch; a socket that is closed is not watched any more.
                drop(self.poller.deregister(&mut mio::unix::SourceFd(&socket)));
            }
            polled
        })
        .await;
    }

    /// Whether the shard has calls, or had some lately: newcomers may not delay those.
    pub fn has_calls(&self) -> bool {
        self.talks.get()
    }

    /// Says whether the shard has calls.
    pub fn note_calls(&self, has_calls: bool) {
        self.talks.set(has_calls);
    }

    /// What became of those who knocked.
    pub fn handshakes(&self) -> Handshakes {
        self.handshakes.get()
    }

    /// Counts what became of one who knocked.
    pub(super) fn count(&self, of: impl FnOnce(&mut Handshakes) -> &mut u64) {
        let mut handshakes = self.handshakes.get();
        *of(&mut handshakes) += 1;
        self.handshakes.set(handshakes);
    }

    /// Whoever has waited longest.
    pub fn next(&self) -> Option<Upgraded> {
        self.upgraded.borrow_mut().pop_front()
    }

    /// Whether anybody waits.
    pub fn is_empty(&self) -> bool {
        self.upgraded.borrow().is_empty()
    }

    pub(super) fn enter(&self, upgraded: Upgraded) {
        self.count(|handshakes| &mut handshakes.accepted);
        self.upgraded.borrow_mut().push_back(upgraded);
        (self.ring)();
    }
}
