//! Connections of the admin listener: few, bounded in every way, and none of them in the way of another.
//!
//! Each is a task. When there are as many as there may be, the one that has moved no byte for longest gives way, so that clients
//! who stopped reading, or never say anything, keep nobody out.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::office::Office;
use super::router;

/// Connections at a time: a scraper, a few consoles, probes, and room for those that hang.
pub const CONNECTIONS_MAX: usize = 64;
/// Longest head of a request, in bytes; the least that the HTTP library allows.
const HEAD_BYTES_MAX: usize = 8192;
/// Most headers of a request; browsers send some twenty.
const HEADERS_MAX: usize = 64;
/// Time for a head, counted from the end of the last answer: so also how long a connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// Time without a byte in either direction after which a connection is dropped: its client does not take the answer.
const STALLED_TIME_MAX: Duration = Duration::from_secs(30);

/// The connections there are.
#[derive(Default)]
pub(super) struct Guests(Vec<Guest>);

struct Guest {
    task: AbortHandle,
    pulse: Rc<Cell<Instant>>,
}

impl Guests {
    /// Serves a connection, if need be instead of another.
    pub(super) fn take_in(&mut self, stream: TcpStream, peer: SocketAddr, office: &Arc<Office>) {
        self.0.retain(|guest| !guest.task.is_finished());
        if self.0.len() >= CONNECTIONS_MAX
            && let Some(idlest) = (0..self.0.len()).min_by_key(|&at| self.0[at].pulse.get())
        {
            self.0.swap_remove(idlest).task.abort();
            debug!("an admin connection gave way to a newer one");
        }
        let pulse = Rc::new(Cell::new(Instant::now()));
        let task = tokio::task::spawn_local(attend(stream, peer, pulse.clone(), office.clone()));
        self.0.push(Guest { task: task.abort_handle(), pulse });
    }
}

/// Serves one connection until its end.
async fn attend(stream: TcpStream, peer: SocketAddr, pulse: Rc<Cell<Instant>>, office: Arc<Office>) {
    // Without it answers are only slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let office = office.clone();
        async move { Ok::<_, Infallible>(router::answer(request, peer, &office).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Watched { stream, pulse: pulse.clone() }), service);
    tokio::select! {
        served = connection => if let Err(error) = served {
            debug!(%error, "admin connection ended");
        },
        () = stalls(&pulse) => debug!("admin connection dropped: nothing moved for too long"),
    }
}

/// Ends when nothing has moved for too long.
async fn stalls(pulse: &Cell<Instant>) {
    loop {
        let until = pulse.get() + STALLED_TIME_MAX;
        sleep_until(until).await;
        if pulse.get() + STALLED_TIME_MAX <= until {
            return;
        }
    }
}

/// A socket that notes when bytes have moved.
struct Watched {
    stream: TcpStream,
    pulse: Rc<Cell<Instant>>,
}

impl Watched {
    fn beat(&self) {
        self.pulse.set(Instant::now());
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.beat();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(polled, Poll::Ready(Ok(written)) if written > 0) {
            self.beat();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
