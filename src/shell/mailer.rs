//! Many sends in one system call: what a flush has for many sockets goes to the kernel as one batch (io_uring).
//!
//! The sends are done before the call returns: they may not wait, so the kernel never keeps one for later. That is what
//! lets them borrow their bytes, and is the reason for the `unsafe` of this file, which design decision D14 allows where
//! it is measured to pay. Where there is no io_uring, there is no mailer and everything is sent one by one.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, types};
use rustix::net::SendFlags;

/// Most sends of one batch.
pub const BATCH_MAX: usize = 128;

/// A ring of the kernel's.
pub struct Mailer {
    ring: IoUring,
}

impl Mailer {
    /// A mailer, if the system has one to give.
    pub fn new() -> io::Result<Self> {
        let ring = IoUring::builder().setup_single_issuer().build(BATCH_MAX as u32)?;
        Ok(Self { ring })
    }

    /// Sends to each socket what it is to get, as far as it takes it without waiting; says of each how many bytes it
    /// took, in the order given. At most [`BATCH_MAX`].
    pub fn send_all<'a>(
        &mut self,
        parcels: impl Iterator<Item = (BorrowedFd<'a>, &'a [u8])>,
        results: &mut Vec<io::Result<usize>>,
    ) -> io::Result<()> {
        results.clear();
        let flags = (SendFlags::NOSIGNAL | SendFlags::DONTWAIT).bits();
        for (index, (socket, bytes)) in parcels.take(BATCH_MAX).enumerate() {
            let entry = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
                .flags(flags as i32)
                .build()
                .user_data(index as u64);
            // SAFETY: the bytes and the socket outlive this call, and the kernel is done with them when it returns.
            unsafe { self.ring.submission().push(&entry) }.map_err(|_| io::ErrorKind::OutOfMemory)?;
            results.push(Ok(0));
        }
        let mut missing = results.len();
        while missing > 0 {
            self.ring.submit_and_wait(missing)?;
            for done in self.ring.completion() {
                results[done.user_data() as usize] = match done.result() {
                    error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
                    count => Ok(count as usize),
                };
                missing -= 1;
            }
        }
        Ok(())
    }
}
