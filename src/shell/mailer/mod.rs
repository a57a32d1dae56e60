//! Many sends in one system call, by io_uring, where the system has it: a sixth less time for a fan-out.
//!
//! A mailer never decides anything: it tries to send, and says what came of it. Whatever it did not try, because there is no
//! io_uring, the batch is small or something went wrong, its user sends in the ordinary way.

#[cfg(all(target_os = "linux", feature = "io-uring"))]
mod ring;
#[cfg(not(all(target_os = "linux", feature = "io-uring")))]
#[path = "no_ring.rs"]
mod ring;

use std::io;
use std::os::fd::BorrowedFd;

use ring::Ring;

/// Most sends of one batch; the ring has room for so many.
pub const BATCH_MAX: usize = 128;
/// Fewer than this are sent one by one: a batch has a price of its own, about that of six system calls.
pub const BATCH_MIN: usize = 8;

/// What came of a send: how many bytes the socket took, or why none; `None` if it was not tried.
pub type Attempt = Option<io::Result<usize>>;

/// Bytes, and the socket that is to get them.
pub type Parcel<'a> = (BorrowedFd<'a>, &'a [u8]);

/// Sends in batches.
pub struct Mailer {
    ring: Option<Ring>,
}

impl Mailer {
    /// A mailer that tries nothing.
    pub fn idle() -> Self {
        Self { ring: None }
    }

    /// A mailer that works.
    ///
    /// # Errors
    /// If the system has no io_uring, or does not let this process use it.
    pub fn new() -> io::Result<Self> {
        Ok(Self { ring: Some(Ring::new()?) })
    }

    /// Whether it sends at all.
    pub fn works(&self) -> bool {
        self.ring.is_some()
    }

    /// Sends each parcel as far as its socket takes it without waiting, the first [`BATCH_MAX`] of them. `attempts` says
    /// in the same order what came of it; those that are missing there were not tried.
    pub fn send_all<'a>(&mut self, parcels: impl Iterator<Item = Parcel<'a>>, attempts: &mut Vec<Attempt>) {
        attempts.clear();
        // Taken out meanwhile: should `parcels` panic, the ring goes, and with it what was begun.
        let Some(mut ring) = self.ring.take() else { return };
        match ring.send_all(parcels.take(BATCH_MAX), attempts) {
            Ok(()) => self.ring = Some(ring),
            Err(error) => tracing::warn!(%error, "io_uring failed: frames are sent one by one from now on"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _};
    use std::os::fd::AsFd as _;

    use crate::shell::testing::pair;

    use super::*;

    /// `None` where the system has no io_uring: then there is nothing to test but that it is said.
    fn mailer() -> Option<Mailer> {
        match Mailer::new() {
            Ok(mailer) => Some(mailer),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied),
                    "{error}"
                );
                None
            }
        }
    }

    #[test]
    fn each_socket_gets_its_own_bytes_batch_after_batch() {
        let Some(mut mailer) = mailer() else { return };
        let mut pairs: Vec<_> = (0..20).map(|_| pair()).collect();
        let mut attempts = Vec::new();
        for round in 0..50_u8 {
            let letters: Vec<Vec<u8>> =
                (0..20_u8).map(|number| vec![number ^ round; 1 + usize::from(number)]).collect();
            let parcels = pairs.iter().zip(&letters).map(|((near, _), bytes)| (near.as_fd(), &bytes[..]));
            mailer.send_all(parcels, &mut attempts);
            for (((_, far), bytes), attempt) in pairs.iter_mut().zip(&letters).zip(attempts.drain(..)) {
                assert_eq!(attempt.unwrap().unwrap(), bytes.len());
                let mut received = vec![0; bytes.len()];
                far.read_exact(&mut received).unwrap();
                assert_eq!(&received, bytes);
            }
        }
    }

    #[test]
    fn a_full_socket_says_so_and_neither_it_nor_a_closed_one_holds_up_others() {
        let Some(mut mailer) = mailer() else { return };
        let (full, closed, open) = (pair(), pair(), pair());
        closed.0.shutdown(std::net::Shutdown::Write).unwrap();
        let (large, small) = (vec![7; 64 << 20], [1]);
        let mut attempts = Vec::new();
        let mut send = |bytes: &[u8]| {
            let parcels = [(full.0.as_fd(), bytes), (closed.0.as_fd(), &small), (open.0.as_fd(), &small)];
            mailer.send_all(parcels.into_iter(), &mut attempts);
            attempts
                .drain(..)
                .map(|attempt| attempt.map(|done| done.map_err(|error| error.kind())))
                .collect::<Vec<_>>()
        };
        let first = send(&large);
        assert!(matches!(first[0], Some(Ok(part)) if 0 < part && part < large.len()), "{first:?}");
        // What it takes in the end depends on the system's buffers; then it takes nothing.
        let last =
            (0..1000).map(|_| send(&large)).find(|sent| sent[0] == Some(Err(ErrorKind::WouldBlock))).unwrap();
        // Why the closed one failed is for whoever sends by itself to find out.
        assert_eq!(last[1..], [None, Some(Ok(1))]);
    }

    #[test]
    fn what_is_beyond_a_batch_is_left_to_the_sender() {
        let Some(mut mailer) = mailer() else { return };
        let (near, mut far) = pair();
        let mut attempts = Vec::new();
        mailer.send_all((0..BATCH_MAX + 5).map(|_| (near.as_fd(), &b"x"[..])), &mut attempts);
        assert_eq!(attempts.len(), BATCH_MAX);
        far.read_exact(&mut [0; BATCH_MAX]).unwrap();
        mailer.send_all(std::iter::empty(), &mut attempts);
        assert!(attempts.is_empty() && mailer.works());
    }

    #[test]
    fn a_batch_whose_maker_panics_sends_nothing_later_either() {
        let Some(mut mailer) = mailer() else { return };
        let (near, far) = pair();
        let mut attempts = Vec::new();
        let broken =
            std::iter::once((near.as_fd(), &b"x"[..])).chain(std::iter::from_fn(|| panic!("on purpose")));
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| mailer.send_all(broken, &mut attempts)));
        assert!(result.is_err() && !mailer.works());
        mailer.send_all(std::iter::once((near.as_fd(), &b"y"[..])), &mut attempts);
        assert!(attempts.is_empty());
        far.set_nonblocking(true).unwrap();
        assert_eq!((&far).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn an_idle_mailer_tries_nothing() {
        let (near, _far) = pair();
        let mut attempts = vec![Some(Ok(3))];
        Mailer::idle().send_all([(near.as_fd(), &b"x"[..])].into_iter(), &mut attempts);
        assert!(attempts.is_empty());
    }
}
