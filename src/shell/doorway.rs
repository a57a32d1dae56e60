//! The doorway: who comes in, before there is a line. It counts a connection for the client it belongs to.
//!
//! Pure rules (origins, PROXY headers, forwarded addresses) live elsewhere; here they meet the socket and the caps.
//! Invariant: an address that somebody says, instead of having it, counts only if a trusted proxy says it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;
use tokio::net::TcpStream;

use crate::websocket::handshake::Refusal;

use super::admission::{Admission, Permit, Refused};

/// What is asked of everybody who connects; shared by all shards.
#[derive(Debug)]
pub struct Doorway {
    admission: Arc<Admission>,
}

/// Somebody who has connected and not shaken hands yet.
#[derive(Debug)]
pub struct Visitor {
    /// The client's address, as far as it is known.
    pub client: IpAddr,
    /// Its place in the limits on connections; `None` if there are none.
    pub permit: Option<Box<Permit>>,
}

impl Doorway {
    /// A doorway with these caps.
    pub fn new(admission: Arc<Admission>) -> Self {
        Self { admission }
    }

    /// Lets a connection in, if there is room for it.
    pub fn admit(&self, peer: SocketAddr) -> Result<Visitor, Refused> {
        let client = peer.ip().to_canonical();
        Ok(Visitor { client, permit: self.admission.admit(Some(client))? })
    }

    /// What comes before TLS and HTTP; `None` if the connection is to be dropped.
    #[expect(clippy::unused_async, reason = "PROXY headers are read here")]
    pub async fn greet(&self, _stream: &mut TcpStream, _visitor: &mut Visitor) -> Option<()> {
        Some(())
    }

    /// What the headers of the handshake say about who comes, and whether it may.
    pub fn examine(&self, _headers: &HeaderMap, _visitor: &mut Visitor) -> Result<(), Refusal> {
        Ok(())
    }
}
