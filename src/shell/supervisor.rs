//! What systemd is told (the `sd_notify` protocol), if it, or anything that speaks alike, has started the exchange.
//!
//! A few words in a datagram, sent to a Unix socket that the environment names: nothing that would need libsystemd. Without that socket
//! nothing is said. Nothing waits: a word that the socket does not take is dropped, and whoever listens takes silence for a fault
//! only if it asked for a watchdog, whose beats are sent only while all shards turn.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::config::process::Supervision;
use crate::console::Report;
use crate::exchange::Tick;

use super::clock::monotonic_us;

/// A shard whose last report is so old does not turn: one that has nothing to do reports once a second.
const STANDSTILL: Duration = Duration::from_secs(5);
/// By how much a stop may still last, said each time it is known to go on. Some times the pace at which that is said.
const MORE_TIME: Duration = Duration::from_secs(15);

/// The way to the service manager.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// Between two beats, if the manager waits for them.
    beat: Option<Duration>,
    beaten: Option<Instant>,
    /// What each shard last reported, and when that was new.
    turns: Vec<(Tick, Instant)>,
    stands_still: bool,
    status: String,
}

impl Supervisor {
    /// Whoever the environment names. One that cannot be reached is warned of.
    pub fn reach(supervision: &Supervision) -> Self {
        let socket = supervision.notify_socket.as_ref().and_then(|name| {
            connect(name.as_bytes())
                .inspect_err(|error| warn!(?name, %error, "the service manager's socket (NOTIFY_SOCKET) cannot be reached"))
                .ok()
        });
        // Half of the time, as its manual asks for.
        let beat = supervision.watchdog.map(|limit| limit / 2);
        Self { socket, beat, beaten: None, turns: Vec::new(), stands_still: false, status: String::new() }
    }

    /// The exchange serves, for the first time or again.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// Files are read anew; [`Supervisor::ready`] follows.
    pub fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us()));
    }

    /// The exchange goes.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// The stop goes on and is not stuck.
    pub fn needs_time(&self) {
        self.say(&format!("EXTEND_TIMEOUT_USEC={}", MORE_TIME.as_micros()));
    }

    /// What people are to be shown, in one line.
    pub fn status(&mut self, status: String) {
        if self.status != status {
            self.say(&format!("STATUS={status}"));
            self.status = status;
        }
    }

    /// How long may pass until it is looked again whether a beat is due.
    pub fn patience(&self) -> Duration {
        self.beat.map_or(Duration::MAX, |beat| beat / 2)
    }

    /// Says that all shards turn, when it is time to, and if they do.
    pub fn beat(&mut self, reports: &[Report], now: Instant) {
        let Some(beat) = self.beat else { return };
        if self.beaten.is_some_and(|beaten| now < beaten + beat) {
            return;
        }
        let still = self.standstill(reports, now);
        if let Some(shard) = still {
            if !std::mem::replace(&mut self.stands_still, true) {
                error!(shard, "a shard does not turn any more: the watchdog is told nothing");
            }
            return;
        }
        self.stands_still = false;
        self.beaten = Some(now);
        self.say("WATCHDOG=1");
    }

    /// A shard that has reported nothing new for too long.
    fn standstill(&mut self, reports: &[Report], now: Instant) -> Option<usize> {
        self.turns.resize(reports.len(), (Tick::default(), now));
        for ((at, since), report) in self.turns.iter_mut().zip(reports) {
            if *at != report.at {
                (*at, *since) = (report.at, now);
            }
        }
        self.turns.iter().position(|(_, since)| now.saturating_duration_since(*since) > STANDSTILL)
    }

    fn say(&self, words: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(words.as_bytes()) {
            warn!(%error, "the service manager was not told");
        }
    }
}

/// A socket by its path, or, behind an `@`, by its abstract name.
fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name.split_first() {
        #[cfg(target_os = "linux")]
        Some((b'@', name)) => {
            use std::os::linux::net::SocketAddrExt as _;
            socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
        }
        _ => socket.connect(std::ffi::OsStr::from_bytes(name))?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn words_reach_an_abstract_socket_and_a_status_is_said_once() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("systemx-test-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let supervision = Supervision { notify_socket: Some(format!("@{name}").into()), watchdog: None };
        let mut supervisor = Supervisor::reach(&supervision);
        supervisor.ready();
        supervisor.status("one".to_owned());
        supervisor.status("one".to_owned());
        supervisor.stopping();
        let said = || {
            let mut bytes = [0; 100];
            let len = manager.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..len]).into_owned()
        };
        assert_eq!([said(), said(), said()], ["READY=1", "STATUS=one", "STOPPING=1"]);
    }

    #[test]
    fn a_beat_is_sent_only_while_all_shards_turn() {
        let (own, manager) = UnixDatagram::pair().unwrap();
        manager.set_nonblocking(true).unwrap();
        let supervision = Supervision { notify_socket: None, watchdog: Some(Duration::from_secs(2)) };
        let mut supervisor = Supervisor { socket: Some(own), ..Supervisor::reach(&supervision) };
        let start = Instant::now();
        let mut beats = Vec::new();
        for second in 0..20_u64 {
            let report = |at| Report { at: Tick::from_millis(at), ..Report::default() };
            // The other shard stands still from the fifth second to the fifteenth.
            let other = if (5..15).contains(&second) { 5 } else { second };
            let reports = [report(1000 * second), report(1000 * other)];
            supervisor.beat(&reports, start + Duration::from_secs(second));
            if manager.recv(&mut [0; 20]).is_ok() {
                beats.push(second);
            }
        }
        assert_eq!(beats, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 18, 19]);
    }
}
