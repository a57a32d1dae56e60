//! One client of the run: what is kept of it from the wish to connect until it is gone.
//!
//! Tens of thousands of them may be idle, so buffers exist only while there is something in them, and what belongs to
//! connecting is dropped once the client is in.

use super::timers::Nanos;
use super::transport::Transport;

/// A client's number in its worker. Valid until its scenario was told that it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Client(pub u32);

impl Client {
    /// For tables beside the engine's.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a client needs to get in.
#[derive(Clone, Debug)]
pub struct Enter {
    /// The frame to register with, ready to send.
    pub register: Vec<u8>,
    /// Which of the target's places it connects to, counted round.
    pub place: usize,
}

/// Why a client is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Closed {
    /// The scenario wanted it.
    Local,
    /// The server sent a close frame with this code, or went without one (1006).
    Peer(u16),
    /// It never got in: `connect`, `tls`, `upgrade` or `register`, and the reason.
    Refused(&'static str, String),
    /// The server broke the protocol; how.
    Malformed(&'static str),
}

/// The close code of a connection that ended without a close frame.
pub const CLOSE_ABNORMAL: u16 = 1006;

/// A client's place in the table of its worker.
pub enum Slot {
    /// Nobody's.
    Free,
    /// It waits until fewer others are connecting.
    Waiting(Box<Enter>),
    /// It has a socket.
    Live(Link),
    /// It is gone, and its scenario is about to be told.
    Gone,
}

/// A client with a socket.
pub struct Link {
    /// Its bytes.
    pub transport: Transport,
    /// How far it is.
    pub state: State,
    /// The beginning of a frame whose end has not come.
    pub kept: Vec<u8>,
    /// The beginning of a message that comes in several frames.
    pub partial: Option<Vec<u8>>,
    /// What the socket has not taken.
    pub out: Vec<u8>,
    /// It is on the list of those who have something to write.
    pub corked: bool,
    /// The socket is full; the poller says when it is not.
    pub blocked: bool,
    /// The scenario does not want its frames now.
    pub paused: bool,
    /// Something may have come while it was paused.
    pub unread: bool,
}

/// How far a client is.
pub enum State {
    /// On its way in.
    Entering(Box<Entering>),
    /// Registered.
    Open,
    /// Our close frame is out; theirs is due.
    Closing,
}

/// What only matters until a client is in.
pub struct Entering {
    /// How far.
    pub stage: Stage,
    /// See [`Enter`].
    pub register: Vec<u8>,
    /// When each step was done.
    pub way: WayIn,
}

/// When a client took each step on its way in.
#[derive(Clone, Copy, Default, Debug)]
pub struct WayIn {
    /// Its socket was made.
    pub begun: Nanos,
    /// TCP had connected.
    pub connected: Nanos,
    /// The answer to the upgrade was there; with wss:// the TLS handshake is a part of this step.
    pub upgraded: Nanos,
}

/// The steps on the way in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// SYN is out.
    Connecting,
    /// The request is out.
    Upgrading,
    /// REGISTER is out.
    Registering,
}

impl Link {
    /// On a socket that connects; `out` is what is said first.
    pub fn new(transport: Transport, entering: Entering, out: Vec<u8>) -> Self {
        Self {
            transport,
            state: State::Entering(Box::new(entering)),
            kept: Vec::new(),
            partial: None,
            out,
            corked: false,
            // Until it has connected.
            blocked: true,
            paused: false,
            unread: false,
        }
    }

    /// How far it is on its way in, if it is.
    pub fn stage(&self) -> Option<Stage> {
        match &self.state {
            State::Entering(entering) => Some(entering.stage),
            State::Open | State::Closing => None,
        }
    }
}
