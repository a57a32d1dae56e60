//! A web server for wake handlers: it tells the test of each request, and answers when and how the test says. One
//! thread for each connection; requests are small and closed after the answer, which is all that a webhook needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use serde_json::Value;

use super::LIMIT;

/// A server on a port of its own. Its thread lives as long as this process; nothing waits for it.
pub struct Webhooks {
    address: SocketAddr,
    requests: Receiver<Hook>,
}

/// A server that is not up yet.
pub struct Away(TcpListener);

impl Away {
    /// A URL that will lead there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.local_addr().expect("it is bound"))
    }

    /// Starts to listen.
    pub fn comes_up(self) -> Webhooks {
        const QUEUE_LEN: i32 = 128;
        listen(&self.0, QUEUE_LEN).expect("a bound socket can listen");
        Webhooks::serve(self.0)
    }
}

/// A request that waits for its answer.
pub struct Hook {
    /// Method and path.
    pub line: String,
    /// The headers, in lower case.
    pub headers: Vec<String>,
    /// The body.
    pub body: Value,
    /// The same as it came.
    pub bytes: Vec<u8>,
    stream: TcpStream,
}

impl Webhooks {
    /// Starts to listen.
    pub fn start() -> Self {
        Self::away().comes_up()
    }

    /// One that refuses connections until it comes up. Its port is its own from now on: no other test can get it.
    pub fn away() -> Away {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("there are sockets");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("loopback can be listened on");
        Away(TcpListener::from(socket))
    }

    fn serve(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (tell, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tell = tell.clone();
                // Nobody listens any more when the test has ended.
                std::thread::spawn(move || read_request(stream).map(|hook| tell.send(hook).is_ok()));
            }
        });
        Self { address, requests }
    }

    /// A URL that leads here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request.
    pub fn next(&self) -> Hook {
        self.requests.recv_timeout(LIMIT).expect("a webhook is due")
    }

    /// The next request if one comes at once; for scenarios that ask again.
    pub fn wait_briefly(&self) -> Option<Hook> {
        const BRIEFLY: std::time::Duration = std::time::Duration::from_millis(100);
        self.requests.recv_timeout(BRIEFLY).ok()
    }

    /// Whether nobody has asked for anything more.
    pub fn is_idle(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

impl Hook {
    /// Answers with this status, and a header that may be empty.
    pub fn answer(self, status: u16, header: &str) {
        self.answer_with(status, header, b"");
    }

    /// The same with a body.
    pub fn answer_with(mut self, status: u16, header: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-length: {length}\r\nconnection: close\r\n{header}\r\n"
        );
        // The exchange may have given up; then the test looks at what it does instead.
        let _ = self.stream.write_all(&[head.as_bytes(), body].concat());
    }
}

fn read_request(stream: TcpStream) -> Option<Hook> {
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let line = head.remove(0);
    let headers: Vec<String> = head.iter().map(|header| header.to_lowercase()).collect();
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let bytes = body;
    Some(Hook { line, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), bytes, stream })
}
