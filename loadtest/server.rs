//! A server under test as a child process, and what the kernel says about it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Sub;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Fault;

/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_secs(10);
/// The unit of the times in /proc/PID/stat: sysconf(_SC_CLK_TCK) on every Linux there is.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process.
#[derive(Clone, Copy, Default, Debug)]
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
        Self {
            total: self.total - before.total,
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }
}

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a program on the processors in `cores` (as taskset writes them) and waits until it listens.
    /// `arguments` gets the port.
    pub fn start(
        program: &Path,
        cores: &str,
        environment: &[(&str, String)],
        arguments: impl FnOnce(u16) -> Vec<String>,
    ) -> Result<Self, Fault> {
        let port = free_port()?;
        let child = Command::new("taskset")
            .args(["-c", cores])
            .arg(program)
            .args(arguments(port))
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > START_MAX {
                return Err(Fault::NotUp(program.display().to_string()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Processor time used so far, by all threads that live.
    pub fn cpu(&self) -> Result<Cpu, Fault> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may have ended since.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanos += text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        }
        let stat = self.read("stat")?;
        // The name in brackets may hold anything; times are the 12th and 13th word after it.
        let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
        let mut ticks = || words.next()?.parse().ok().map(|ticks: u32| TICK * ticks);
        let (Some(user), Some(system)) = (ticks(), ticks()) else { return Err(Fault::NoFigures("times")) };
        Ok(Cpu { total: Duration::from_nanos(nanos), user, system })
    }

    /// Anonymous memory that is resident, in bytes.
    pub fn anonymous_bytes(&self) -> Result<u64, Fault> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or(Fault::NoFigures("memory"))
    }

    fn read(&self, file: &str) -> Result<String, Fault> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> Result<u16, Fault> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
