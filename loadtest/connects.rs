//! Connecting: connect, upgrade, REGISTER, REGISTERED, close. One operation is all of it.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::fleet::enter;
use crate::scenario::{Cost, Target};
use crate::server::Server;

/// Threads that connect at the same time; each has a source address, for its ports.
const THREADS: u8 = 16;

/// Connects for so long, with names that are never used twice.
pub fn measure(target: Target, server: &Server, seconds: f64) -> Result<Cost, Fault> {
    let (begun, cpu) = (Instant::now(), server.cpu()?);
    let until = begun + Duration::from_secs_f64(seconds);
    let threads: Vec<_> =
        (0..THREADS).map(|thread| thread::spawn(move || connect_until(target, thread, until))).collect();
    let mut operations = 0;
    for thread in threads {
        operations += thread.join().expect("a connecting thread does not panic")?;
    }
    Ok(Cost { operations, wall: begun.elapsed(), cpu: server.cpu()? - cpu })
}

fn connect_until(target: Target, thread: u8, until: Instant) -> Result<u64, Fault> {
    let mut done = 0;
    while Instant::now() < until {
        let source = Ipv4Addr::new(127, 0, 2, 1 + thread);
        drop(enter(target.address, source, &format!("guest-{thread}-{done}@load.test"), "")?);
        done += 1;
    }
    Ok(done)
}
