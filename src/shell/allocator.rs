//! Words with the allocator (mimalloc), which otherwise keeps what it was given back until somebody asks for more.
//!
//! A shard allocates in bursts: handshakes, large messages. Afterwards it may allocate nothing for hours, because messages
//! in calls do not, so nobody would notice that pages are free. The call is the allocator's own C interface, for which
//! there is no safe one: the reason for the `unsafe` here (design decision D14). At 15,000 lines that came 32 at a time a line took
//! 360 bytes before, and 319 twenty seconds later with it (single runs).
#![allow(unsafe_code)]

/// Has the allocator look through what this thread has freed, and give pages that have been free for a while back to the
/// system. Looks at every page that is not full, so it takes the longer the more the thread has freed; to be
/// called about once a second.
pub fn tidy_up() {
    // SAFETY: it may be called at any time from any thread, takes no pointers and frees nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

/// Bytes that the allocator holds of the system for the whole process, in use or not. Takes some microseconds.
pub fn committed_bytes() -> u64 {
    let mut committed = 0;
    let none = std::ptr::null_mut();
    // SAFETY: it may be called at any time from any thread; each pointer is null, which it skips, or leads to a number of ours.
    unsafe { libmimalloc_sys::mi_process_info(none, none, none, none, none, &raw mut committed, none, none) };
    committed as u64
}
