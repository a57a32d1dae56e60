//! What the kernel says about a process: its processor time and its memory.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use crate::fault::Fault;

/// The unit of the times in /proc/PID/stat: sysconf(_SC_CLK_TCK) on every Linux there is.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// All of it, exact.
    pub total: Duration,
    /// In user code, sampled.
    pub user: Duration,
    /// In the kernel, sampled.
    pub system: Duration,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        // A thread that has ended takes its exact time with it.
        Self {
            total: self.total.saturating_sub(before.total),
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

/// Processor time used so far, by all threads that live.
pub fn cpu(pid: u32) -> Result<Cpu, Fault> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may have ended since.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything; times are the 12th and 13th word after it.
    let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut ticks = || words.next()?.parse().ok().map(|ticks: u32| TICK * ticks);
    let (Some(user), Some(system)) = (ticks(), ticks()) else { return Err(Fault::NoFigures("times")) };
    Ok(Cpu { total: Duration::from_nanos(nanos), user, system })
}

/// Processor time that this process has used so far. Threads that have ended count: those of a run may be gone by the
/// time at which the main thread gets to look.
pub fn own_cpu() -> Result<Cpu, Fault> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let total = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
    Ok(Cpu { total, ..cpu(std::process::id())? })
}

/// What programs, and other machines on the same hardware, have used of all this machine's processors so far. Interrupts
/// are left out: much of the work for loopback connections is counted there.
pub fn all_programs() -> Option<Duration> {
    programs(&fs::read_to_string("/proc/stat").ok()?)
}

fn programs(stat: &str) -> Option<Duration> {
    // cpu user nice system idle iowait irq softirq steal ...
    const USED: [usize; 4] = [1, 2, 3, 8];
    let words: Vec<&str> = stat.lines().next()?.split_whitespace().collect();
    let ticks = USED.iter().map(|&at| words.get(at)?.parse::<u32>().ok()).sum::<Option<u32>>()?;
    Some(TICK * ticks)
}

/// Anonymous memory that is resident, in bytes.
pub fn anonymous_bytes(pid: u32) -> Result<u64, Fault> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or(Fault::NoFigures("memory"))
}

/// How many entries a folder of a process has: its descriptors (`fd`) or threads (`task`).
pub fn entries(pid: u32, folder: &str) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{pid}/{folder}")).ok()?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_and_interrupts_are_no_programs() {
        let stat = "cpu  100 20 30 4000 50 60 70 8 9 10\ncpu0 1 2 3\n";
        assert_eq!(programs(stat), Some(TICK * 158));
        assert!(programs("cpu 1 2").is_none() && all_programs() > Some(Duration::ZERO));
    }

    #[test]
    fn what_a_thread_has_used_that_is_gone_is_not_forgotten() {
        let busy = Duration::from_millis(20);
        let before = own_cpu().expect("it lives");
        let work = move || {
            let begun = own_cpu().expect("it lives").total;
            while own_cpu().expect("it lives").total < begun + busy {}
        };
        std::thread::spawn(work).join().expect("it ends");
        assert!((own_cpu().expect("it lives") - before).total >= busy);
    }

    #[test]
    fn this_process_has_figures() {
        let before = cpu(std::process::id()).expect("it lives");
        assert!(anonymous_bytes(std::process::id()).expect("it lives") > 0);
        assert!(entries(std::process::id(), "fd") > Some(2) && entries(std::process::id(), "task") > Some(0));
        let used = cpu(std::process::id()).expect("it lives") - before;
        assert!(before.total > Duration::ZERO && used.total < Duration::from_secs(3600));
    }
}
