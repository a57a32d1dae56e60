//! A server under test as a child process. What the kernel says about it is read by `measure::procfs`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Fault;

/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_secs(10);
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
        // It ends with us, also if we are ended by a signal and drop nothing.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "-c", cores])
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

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
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
