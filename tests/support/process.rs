//! The real program as a process of its own: started in an empty folder with an environment that says nothing, its log
//! collected line by line, ended by the signals a service manager sends. Also for the programs beside `serve`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{LIMIT, Phone, eventually};

/// A folder that is gone when the test is.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty one.
    pub fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// A new, empty one in memory, if this machine has such a place: others who are busy with the disk do not matter there.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::within(memory) } else { Self::new() }
    }

    fn within(parent: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("systemx-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it and returns the path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the temporary folder can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program with these arguments, in this folder, knowing nothing of our environment's settings.
pub fn systemx(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_systemx"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name_shown = name.to_string_lossy();
        if ["SYSTEMX_", "FEDERATION_", "OTEL_"].iter().any(|prefix| name_shown.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    // Many run at a time, and all would listen on the same port.
    command.env("SYSTEMX_ADMIN", "127.0.0.1:0");
    command
}

/// Lines that a process has written so far.
#[derive(Clone, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Lines {
    /// Collects what is read, on a thread that ends with it.
    pub fn collect(&self, from: impl std::io::Read + Send + 'static) {
        let shared = self.shared.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                shared.0.lock().expect("no collector panics").push(line);
                shared.1.notify_all();
            }
        });
    }

    /// The first line that has `part` in it; waits for it.
    pub fn wait_for(&self, part: &str) -> String {
        let (lock, changed) = &*self.shared;
        let until = Instant::now() + LIMIT;
        let mut lines = lock.lock().expect("no collector panics");
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with {part:?} in {lines:#?}");
            lines = changed.wait_timeout(lines, left).expect("no collector panics").0;
        }
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.shared.0.lock().expect("no collector panics").clone()
    }
}

/// An exchange as a process.
pub struct Process {
    child: Child,
    address: SocketAddr,
    /// What it has logged, standard error included.
    pub log: Lines,
    /// Where it runs; removed after it.
    _folder: Scratch,
}

impl Process {
    /// Starts `systemx` with these flags on a free loopback port and waits until it is up.
    pub fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, &[])
    }

    /// The same with variables in its environment.
    pub fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = Scratch::new();
        let base = ["--host", "127.0.0.1", "--port", "0", "--shards", "2", "--dial-max-attempts", "0"];
        // Given flags come in place of ours: a flag may be said once.
        let kept = base.chunks(2).filter(|pair| !flags.contains(&pair[0])).flatten().copied();
        let arguments: Vec<&str> = kept.chain(flags.iter().copied()).collect();
        let mut command = systemx(&arguments, folder.path());
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::run(command, folder)
    }

    /// Starts it with a log that nobody reads, on a port that was free a moment ago.
    pub fn start_quiet(level: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let folder = Scratch::new();
        let port = address.port().to_string();
        let mut command =
            systemx(&["--host", "127.0.0.1", "--port", &port, "--log-level", level], folder.path());
        let child =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program can be run");
        let exchange = Self { child, address, log: Lines::default(), _folder: folder };
        eventually("it accepts", || std::net::TcpStream::connect(address).ok());
        exchange
    }

    /// Waits until this command has an exchange up.
    pub fn run(mut command: Command, folder: Scratch) -> Self {
        let mut child = command.spawn().expect("the program is built and can be run");
        let log = Lines::default();
        log.collect(child.stdout.take().expect("it is piped"));
        log.collect(child.stderr.take().expect("it is piped"));
        let line = log.wait_for("exchange is up");
        let address = address_in(&line);
        let address = SocketAddr::new([127, 0, 0, 1].into(), address.port());
        Self { child, address, log, _folder: folder }
    }

    /// Where it can be reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener listens.
    pub fn admin(&self) -> SocketAddr {
        let log = self.log.wait_for("admin listener is up");
        address_in(&log)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// A client that is connected and nothing more.
    pub fn phone(&self) -> Phone {
        Phone::connect(self.address)
    }

    /// A client that holds `address`.
    pub fn registered(&self, address: &str) -> Phone {
        let mut phone = self.phone();
        phone.register(address);
        phone
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }

    /// Bytes of anonymous memory it has in use.
    pub fn anonymous_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux tells");
        let kibibytes: usize = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
        kibibytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; both calls are right then too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address that a log line names.
fn address_in(line: &str) -> SocketAddr {
    let context = &line[line.find('{').expect("log lines carry their fields")..];
    let context: Value = serde_json::from_str(context).expect("fields are JSON");
    context["address"].as_str().expect("the address is text").parse().expect("it is an address")
}

/// Waits for the end of a process.
pub fn wait_for(child: &mut Child) -> ExitStatus {
    eventually("the process ends", || child.try_wait().expect("it is our child"))
}
