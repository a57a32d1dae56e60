//! Accepting connections, on the shard's own runtime: as many at a time as leaves others their turn, no more in a second than a
//! storm may bring (`ramp.rs`), and none any more once the exchange is about to go.
//!
//! Each shard has a listener of its own on the same port (SO_REUSEPORT), or a handle of one that the service manager holds; the
//! kernel spreads connections over them. Handshakes are bounded in number: when there are too many, the oldest gives way, so that slow
//! ones cannot lock others out. Invariant: whoever the kernel has told that he is connected is served, told to come back, or left to
//! the next exchange on the same socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use crate::tls::Credentials;

use super::doorway::Doorway;
use super::listener::{HandshakeLimits, shake_hands};
use super::lobby::Lobby;
use super::ramp::Ramp;

/// Connections that the kernel holds for a listener until they are accepted; the system's own limit (`net.core.somaxconn`) may be lower.
const BACKLOG: i32 = 4096;
/// Wait after the system refused to accept (out of descriptors): whatever it lacks will not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections accepted before others have their turn. Below the runtime's own budget for a task, which would end the
/// turn without a word: the shard would go to sleep with callers at the door, as nothing says that they are there.
pub(super) const ACCEPTS_AT_A_TIME: u64 = 64;
/// How long a listener that lets no new ones in waits for those whose connection is half made: a way round the world and back. Shorter than
/// the second after which the kernel of one who was not let in tries again.
const HALF_OPEN_MAX: Duration = Duration::from_millis(500);

/// What a shard listens on.
#[derive(Debug)]
pub struct Entrance {
    /// The socket, not blocking.
    pub listener: std::net::TcpListener,
    /// Whether others hold the same socket: what waits in its queue is then theirs when this exchange accepts no more.
    pub is_shared: bool,
    /// How many are let in, if that is limited.
    pub ramp: Option<Ramp>,
}

impl Entrance {
    /// Binds a listener that shares its port with those of the other shards.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub fn bind(address: SocketAddr, ramp: Option<Ramp>) -> std::io::Result<Self> {
        Ok(Self { listener: bind(address)?, is_shared: false, ramp })
    }

    /// The same by another handle.
    ///
    /// # Errors
    /// If the system has no more.
    pub fn again(&self) -> std::io::Result<Self> {
        Ok(Self { listener: self.listener.try_clone()?, ..*self })
    }
}

/// Binds a listener that shares its port with those of the other shards.
pub fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whoever lets people in, and what it needs for that.
pub struct Porter {
    /// What handshakes may cost.
    pub limits: HandshakeLimits,
    /// Who may come in.
    pub door: Arc<Doorway>,
    /// What connections are encrypted with; `None`: they are not.
    pub credentials: Option<Arc<Credentials>>,
    /// Where they go.
    pub lobby: Lobby,
}

/// Accepts until the lobby is closed, or the task is dropped.
pub async fn accept(listener: TcpListener, is_shared: bool, mut ramp: Option<Ramp>, porter: Porter) {
    let mut pending = Pending { handles: VecDeque::new(), max: porter.limits.handshakes_max };
    let lobby = porter.lobby.clone();
    let mut closing = std::pin::pin!(lobby.until_closing());
    for number in 1_u64.. {
        if number % ACCEPTS_AT_A_TIME == 0 {
            tokio::task::yield_now().await;
        }
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = next(&listener, &mut ramp, &lobby) => accepted,
        };
        lobby.stir();
        porter.receive(accepted, &mut pending).await;
    }
    if !is_shared {
        lobby.pausing(porter.empty_queue(&listener, &mut pending)).await;
    }
    lobby.forget(listener.as_raw_fd());
    drop(listener);
    lobby.note_closed();
    // Their handshakes go on by themselves; the lobby has to be looked at once more.
    lobby.stir();
}

/// The next one, when there is leave for one. Without calls, there is nobody whom a storm could delay.
async fn next(
    listener: &TcpListener,
    ramp: &mut Option<Ramp>,
    lobby: &Lobby,
) -> std::io::Result<(TcpStream, SocketAddr)> {
    while let Some(ramp) = ramp.as_mut().filter(|_| lobby.has_calls())
        && let Some(wait) = ramp.wait(Instant::now())
    {
        lobby.pausing(sleep(wait)).await;
    }
    let accepted = listener.accept().await;
    if let Some(ramp) = ramp.as_mut().filter(|_| accepted.is_ok() && lobby.has_calls()) {
        ramp.take(Instant::now());
    }
    accepted
}

impl Porter {
    async fn receive(&self, accepted: std::io::Result<(TcpStream, SocketAddr)>, pending: &mut Pending) {
        match accepted {
            Ok((stream, peer)) => self.welcome(stream, peer, pending),
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                warn!(%error, "connections cannot be accepted: raise the limit on descriptors (ulimit -n), or set SYSTEMX_CONNECTIONS_MAX below it");
                self.lobby.pausing(sleep(ACCEPT_PAUSE)).await;
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr, pending: &mut Pending) {
        let (door, lobby) = (&self.door, &self.lobby);
        match door.admit(peer) {
            Ok(visitor) => {
                let (socket, credentials) = (stream.as_raw_fd(), self.credentials.clone());
                let shaking =
                    shake_hands(stream, visitor, self.limits, door.clone(), credentials, lobby.clone());
                pending.add(tokio::task::spawn_local(lobby.clone().attend(socket, shaking)));
            }
            Err(refused) => {
                lobby.count(|handshakes| &mut handshakes.crowded);
                debug!(%peer, ?refused, "connection not admitted");
            }
        }
    }

    /// A socket that is closed with connections in its queue resets them: their clients were told that they are connected, and
    /// would hear nothing else. So new ones are not answered from now on, as if this listener were gone already (the client's kernel tries
    /// again after a second, and finds another listener of the port, or none), and whoever is in the queue, or half way there, is taken.
    async fn empty_queue(&self, listener: &TcpListener, pending: &mut Pending) {
        if let Err(error) = ignore_callers(listener) {
            warn!(%error, "a few who connect at this moment may be cut off without a word");
        }
        let until = Instant::now() + HALF_OPEN_MAX;
        while let Ok(accepted) = timeout_at(until, listener.accept()).await {
            self.lobby.stir();
            self.receive(accepted, pending).await;
        }
    }
}

/// Has the kernel drop each packet to a listener that asks for a connection.
#[cfg(target_os = "linux")]
fn ignore_callers(listener: &TcpListener) -> std::io::Result<()> {
    use socket2::SockFilter;
    // A classic filter, which sees a packet from its TCP header on: load the byte of flags; if SYN is among them keep 0 bytes, else all.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_ANY: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    let drop_syn = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(JUMP_IF_ANY, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    socket2::SockRef::from(listener).attach_filter(&drop_syn)
}

#[cfg(not(target_os = "linux"))]
fn ignore_callers(_: &TcpListener) -> std::io::Result<()> {
    Ok(())
}

/// Whether accepting failed because of the connection that was to be accepted.
fn is_of_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The handshakes under way, oldest first.
struct Pending {
    handles: VecDeque<AbortHandle>,
    max: usize,
}

impl Pending {
    fn add(&mut self, task: tokio::task::JoinHandle<()>) {
        while self.handles.front().is_some_and(AbortHandle::is_finished) {
            self.handles.pop_front();
        }
        if self.handles.len() >= self.max {
            self.handles.retain(|handle| !handle.is_finished());
        }
        if self.handles.len() >= self.max
            && let Some(oldest) = self.handles.pop_front()
        {
            oldest.abort();
        }
        self.handles.push_back(task.abort_handle());
    }
}
