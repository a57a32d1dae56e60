//! What the server under load says about itself: by its process, or by its metrics page.
//!
//! The page is the text form of Prometheus over plain http. It is asked for before, at both ends of the window, and
//! not in between, because answering costs the server time.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use url::Url;

use super::procfs::{self, Cpu};
use crate::fault::Fault;
use crate::target::check_loopback;

/// What the page may take.
const LIMIT: Duration = Duration::from_secs(5);
/// No page is longer.
const PAGE_BYTES_MAX: u64 = 16 << 20;
/// Counters of a SystemX hub.
const OURS: &str = "systemx_";

/// Where the figures come from.
#[derive(Clone, Debug)]
pub enum Probe {
    /// A process on this machine.
    Process(u32),
    /// A page.
    Metrics {
        /// Who serves it.
        address: SocketAddr,
        /// What to ask for.
        request: String,
    },
}

/// Figures of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Processor time so far.
    pub cpu: Cpu,
    /// Memory: anonymous for a process, resident for a page, which knows no other.
    pub memory_bytes: Option<u64>,
    /// Files and sockets it has open.
    pub descriptors: Option<u64>,
    /// Its threads.
    pub threads: Option<u64>,
    /// The hub's own figures by name.
    pub own: BTreeMap<String, f64>,
}

impl Probe {
    /// A page at an http URL, on loopback unless `owned`.
    pub fn metrics(text: &str, owned: bool) -> Result<Self, Fault> {
        let bad = |why: &str| Fault::BadUrl { url: format!("--metrics {text}"), why: why.to_owned() };
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme())
        else {
            return Err(bad("only http:// pages can be read"));
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = (bare, port).to_socket_addrs().map_err(|error| bad(&error.to_string()))?;
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        let address = *found.first().ok_or_else(|| bad("its name has no address"))?;
        check_loopback(text, address, owned)?;
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        // Version 1.0: the answer comes in one piece and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: text/plain\r\n\r\n");
        Ok(Self::Metrics { address, request })
    }

    /// The figures of now.
    pub fn sample(&self) -> Result<Sample, Fault> {
        match self {
            Self::Process(pid) => sample_process(*pid).map_err(|fault| match fault {
                Fault::Io(error) => Fault::NoProcess(*pid, error),
                other => other,
            }),
            Self::Metrics { address, request } => {
                let page = fetch(*address, request).map_err(|fault| match fault {
                    Fault::Io(error) => Fault::NoMetrics(format!("{address}: {error}")),
                    other => other,
                })?;
                read_metrics(&page)
            }
        }
    }

    /// Its memory now, if asking costs the server nothing.
    pub fn memory_for_free(&self) -> Option<u64> {
        match self {
            Self::Process(pid) => procfs::anonymous_bytes(*pid).ok(),
            Self::Metrics { .. } => None,
        }
    }
}

fn sample_process(pid: u32) -> Result<Sample, Fault> {
    Ok(Sample {
        cpu: procfs::cpu(pid)?,
        memory_bytes: Some(procfs::anonymous_bytes(pid)?),
        descriptors: procfs::entries(pid, "fd"),
        threads: procfs::entries(pid, "task"),
        own: BTreeMap::new(),
    })
}

fn fetch(address: SocketAddr, request: &str) -> Result<String, Fault> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| Fault::NoMetrics("no HTTP answer".to_owned()))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(Fault::NoMetrics(status.to_owned()));
    }
    Ok(body.to_owned())
}

/// Reads the text form: `name{labels} value`, comments beside.
fn read_metrics(page: &str) -> Result<Sample, Fault> {
    let mut values: BTreeMap<String, f64> = BTreeMap::new();
    for line in page.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let name_len = line.find(['{', ' ']).unwrap_or(line.len());
        let value = line.rfind('}').map_or(&line[name_len..], |end| &line[end + 1..]);
        // A time stamp may follow the value.
        let Some(value) = value.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()) else {
            continue;
        };
        // Lines that differ in labels only, such as one for each shard, are summed.
        *values.entry(line[..name_len].to_owned()).or_default() += value;
    }
    let Some(seconds) = values.get("process_cpu_seconds_total").filter(|seconds| **seconds >= 0.0) else {
        return Err(Fault::NoMetrics("the page has no process_cpu_seconds_total".to_owned()));
    };
    let total = Duration::try_from_secs_f64(*seconds).unwrap_or_default();
    let level = |name: &str| values.get(name).map(|level| *level as u64);
    let memory_bytes = level("process_resident_memory_bytes");
    let (descriptors, threads) = (level("process_open_fds"), level("process_threads"));
    let own = values.into_iter().filter(|(name, _)| name.starts_with(OURS)).collect();
    Ok(Sample { cpu: Cpu { total, ..Cpu::default() }, memory_bytes, descriptors, threads, own })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Serves one answer and gives the URL and what was asked.
    fn serve(answer: &'static str) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
        let url = format!("http://{}/metrics?x=1", listener.local_addr().expect("it is bound"));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut request = [0; 1024];
            let count = stream.read(&mut request).expect("it can be read");
            stream.write_all(answer.as_bytes()).expect("it can be answered");
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        (url, server)
    }

    #[test]
    fn a_page_gives_time_memory_and_the_hubs_own_figures() {
        let page = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n# HELP x y\n\
            process_cpu_seconds_total 12.5\nprocess_resident_memory_bytes 4.2e6 1700000000\nother 1\n\
            systemx_calls_total{shard=\"0\",why=\"a b\"} 3\nsystemx_calls_total{shard=\"1\"} 4\nbad line\n";
        let (url, server) = serve(page);
        let sample = Probe::metrics(&url, false).and_then(|probe| probe.sample()).expect("the page is right");
        assert_eq!((sample.cpu.total, sample.memory_bytes), (Duration::from_millis(12_500), Some(4_200_000)));
        assert_eq!(sample.own, BTreeMap::from([("systemx_calls_total".to_owned(), 7.0)]));
        let request = server.join().expect("it has answered");
        assert!(request.starts_with("GET /metrics?x=1 HTTP/1.0\r\n"), "{request}");
    }

    #[test]
    fn a_page_that_is_none_is_refused() {
        for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nx 1\n", "hello"] {
            let (url, server) = serve(answer);
            let found = Probe::metrics(&url, false).and_then(|probe| probe.sample());
            assert!(matches!(found, Err(Fault::NoMetrics(_))), "{answer}");
            server.join().expect("it has answered");
        }
        assert!(matches!(Probe::metrics("https://127.0.0.1/", false), Err(Fault::BadUrl { .. })));
        assert!(matches!(Probe::metrics("http://192.0.2.1/", false), Err(Fault::NotLoopback { .. })));
    }
}
