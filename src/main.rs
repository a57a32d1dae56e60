//! The program `systemx`: the allocator, the arguments, the exit code. Everything else is in the library, so that tests and
//! tools can reach it.

use std::process::ExitCode;

use clap::Parser;
use systemx::cli::Cli;

/// mimalloc, because an exchange allocates in one thread per shard and frees mostly in the same one: its per-thread heaps need
/// no lock there, and memory freed after a flood goes back to the system, where glibc's arenas keep it.
///
/// Huge pages must be off for its arenas (D13): peers that announce long messages and send a few bytes touch one page in each
/// huge page, and resident memory grows tenfold. Three ways exist. mimalloc's own option `allow_thp` can be set from outside
/// (`MIMALLOC_ALLOW_THP=0`), which relies on whoever starts us, or by `mi_option_set`, which is FFI and too late for the first
/// arena (`MIMALLOC_ALLOW_LARGE_OS_PAGES` is another thing, explicit huge pages, off by default). The crate's feature `no_thp`
/// compiles the request for them (`madvise`) out, but on systems set to `always` the kernel gives them unasked. So `serve` also
/// calls `prctl(PR_SET_THP_DISABLE)` for the process, which is what mimalloc does for `allow_thp=0`: both together cover all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
