//! A message in a call that is up allocates nothing, on one shard and across two (issue 3; design.md, D13).
//!
//! A binary of its own: its allocator counts for the whole process. Clients are plain sockets with frames made
//! before, so that everything counted is the exchange's. Buffers may grow before the counting begins.

#![allow(unsafe_code, reason = "an allocator can only be replaced by an unsafe impl")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[allow(dead_code, unused_imports, reason = "shared with the other tests, which use all of it")]
mod support;

use support::phone::text_frame;
use support::{Phone, Rig, address_on};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, and how often it was asked.
struct Counting;

// SAFETY: every call is passed on as it came; counting touches no memory of the allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`, which is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System` with this layout, as every allocation here does.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests of this file take turns: they count the same thing.
static TURN: Mutex<()> = Mutex::new(());

const MESSAGES: usize = 4_000;
/// Before the counting begins.
const WARM_UP: usize = 4_000;
/// A second's work of the exchange (a look at what has stalled, say) may allocate; a message may not.
const STRAY_MAX: u64 = MESSAGES as u64 / 100;
const IN_FLIGHT: usize = 32;
/// What a shard reads at a time. A message that is cut by the end of a read is put together in memory of its own, so the
/// flood keeps below it.
const READ_BYTES: usize = 64 << 10;

/// Two clients with a call up between them, and what each of them says.
struct Pair {
    caller: Phone,
    callee: Phone,
    frame: Vec<u8>,
    /// Bytes of the frame that arrives for it, at the callee and at the caller.
    lengths: [usize; 2],
    buffer: Vec<u8>,
}

impl Pair {
    fn new(rig: &Rig, shards: [usize; 2], bytes: usize) -> Self {
        let [caller_name, callee_name] =
            [address_on(shards[0], 2, "caller"), address_on(shards[1], 2, "callee")];
        let (mut caller, mut callee) = (rig.registered(&caller_name), rig.registered(&callee_name));
        let call = caller.call(&caller_name, &mut callee, &callee_name);
        let data = "x".repeat(bytes);
        let frame = text_frame(&format!(r#"{{"type":"MSG","call_id":"{call}","data":"{data}"}}"#));
        let length = |from: &str| {
            let text = format!(
                r#"{{"type":"MSG","call_id":"{call}","from":"{from}","data":"{data}","content_type":"text"}}"#
            );
            text.len() + if text.len() < 126 { 2 } else { 4 }
        };
        let lengths = [length(&caller_name), length(&callee_name)];
        Self { caller, callee, frame, lengths, buffer: vec![0; lengths[0].max(lengths[1])] }
    }

    fn caller_says(&mut self) {
        self.caller.stream().write_all(&self.frame).expect("the exchange takes it");
    }

    fn callee_hears(&mut self) {
        let heard = &mut self.buffer[..self.lengths[0]];
        self.callee.stream().read_exact(heard).expect("the message comes");
        assert_eq!(heard.last(), Some(&b'}'), "one whole frame");
    }

    fn say_and_answer(&mut self) {
        self.caller_says();
        self.callee_hears();
        self.callee.stream().write_all(&self.frame).expect("the exchange takes it");
        let heard = &mut self.buffer[..self.lengths[1]];
        self.caller.stream().read_exact(heard).expect("the answer comes");
        assert_eq!(heard.last(), Some(&b'}'), "one whole frame");
    }

    fn flood(&mut self, in_flight: usize) {
        (0..in_flight).for_each(|_| self.caller_says());
        (0..in_flight).for_each(|_| self.callee_hears());
    }
}

/// Allocations of the whole process while `work` is done `times` times.
fn allocations_of(times: usize, mut work: impl FnMut()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    (0..times).for_each(|_| work());
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

fn check(shards: [usize; 2], bytes: usize) {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let rig = Rig::new();
    let mut pair = Pair::new(&rig, shards, bytes);
    (0..WARM_UP / 2).for_each(|_| pair.say_and_answer());
    let answered = allocations_of(MESSAGES / 2, || pair.say_and_answer());
    assert!(answered <= STRAY_MAX, "{answered} allocations for {MESSAGES} messages of {bytes} B to and fro");
    let in_flight = IN_FLIGHT.min(READ_BYTES / 2 / pair.frame.len()).max(1);
    (0..WARM_UP / in_flight).for_each(|_| pair.flood(in_flight));
    let flooded = allocations_of(MESSAGES / in_flight, || pair.flood(in_flight));
    assert!(flooded <= STRAY_MAX, "{flooded} allocations for {MESSAGES} messages of {bytes} B one way");
}

#[test]
fn a_message_on_one_shard_allocates_nothing() {
    [64, 1 << 10, 16 << 10].into_iter().for_each(|bytes| check([0, 0], bytes));
}

#[test]
fn a_message_across_two_shards_allocates_nothing() {
    [64, 1 << 10, 16 << 10].into_iter().for_each(|bytes| check([0, 1], bytes));
}

/// The test itself can fail: a dial allocates, and is seen to.
#[test]
fn what_allocates_is_counted() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let rig = Rig::new();
    let (caller_name, callee_name) = (address_on(0, 2, "caller"), address_on(1, 2, "callee"));
    let (mut caller, mut callee) = (rig.registered(&caller_name), rig.registered(&callee_name));
    let counted = allocations_of(1, || drop(caller.call(&caller_name, &mut callee, &callee_name)));
    assert!(counted > 0);
}
