//! What the process takes from the system, as the system says it. Only Linux says it; elsewhere it is 0.

use std::fs;

/// The process, at one moment. What the system does not tell is 0.
#[derive(Clone, Copy, Default, Debug)]
pub struct Process {
    /// When it started, in seconds since the epoch.
    pub started_s: f64,
    /// Processor time so far, user and system.
    pub cpu_s: f64,
    /// Memory held, in bytes.
    pub resident_bytes: u64,
    /// File descriptors in use.
    pub open_fds: u64,
    /// File descriptors that may be in use.
    pub max_fds: u64,
}

/// The unit of times in `/proc`: sysconf(_SC_CLK_TCK) on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    /// How it is now. Reads a few files of `/proc`.
    pub fn look() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted_s: f64 = line_of(&system, "btime").unwrap_or_default();
        Self {
            started_s: booted_s + field(&stat, 22) / TICKS_PER_SECOND,
            cpu_s: (field(&stat, 14) + field(&stat, 15)) / TICKS_PER_SECOND,
            resident_bytes: field(&stat, 24) as u64 * rustix::param::page_size() as u64,
            open_fds: open_fds(),
            max_fds: rustix::process::getrlimit(rustix::process::Resource::Nofile)
                .current
                .unwrap_or_default(),
        }
    }
}

/// Descriptors in use. Since Linux 6.2 the folder's size tells; before, a million of them have to be counted one by one.
fn open_fds() -> u64 {
    const FDS: &str = "/proc/self/fd";
    let told = fs::metadata(FDS).map_or(0, |folder| folder.len());
    if told > 0 { told } else { fs::read_dir(FDS).map_or(0, |fds| fds.count() as u64) }
}

/// A field of `/proc/PID/stat` by its number in proc(5). The second, the program's name, may hold anything.
fn field(stat: &str, number: usize) -> f64 {
    const FIRST_AFTER_NAME: usize = 3;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = after_name.split_whitespace().nth(number - FIRST_AFTER_NAME);
    field.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The number in the line that begins with `name`.
fn line_of(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 900 1000 3 rest";
        assert_eq!((field(stat, 14), field(stat, 15)), (250.0, 50.0));
        assert_eq!((field(stat, 22), field(stat, 24)), (900.0, 3.0));
        assert_eq!(field("", 14), 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let process = Process::look();
        assert!(process.resident_bytes > 1 << 20 && process.open_fds >= 3, "{process:?}");
        assert!(process.max_fds >= process.open_fds && process.started_s > 1.6e9, "{process:?}");
    }
}
