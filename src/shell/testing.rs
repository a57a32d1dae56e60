//! What several tests of the shell need: a pair of connected sockets. Compiled for tests only.

use std::net::{TcpListener, TcpStream};

/// Two ends of a connection over loopback; the first does not block.
pub(super) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
    let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("somebody listens");
    let (far, _) = listener.accept().expect("somebody has connected");
    near.set_nonblocking(true).expect("sockets can");
    (near, far)
}
