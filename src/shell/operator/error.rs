//! Why an exchange does not start, in words that say what to do.

use std::fmt;
use std::net::SocketAddr;

use crate::shell::admin::AdminError;
use crate::shell::rules::RulesError;
use crate::store::RecordersError;
use crate::tls::TlsError;

/// Why the exchange did not start, with what to do about it.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// More sockets were handed over than there are shards to serve them.
    Sockets {
        /// Sockets.
        sockets: usize,
        /// Shards.
        shards: usize,
    },
    /// Call records cannot be kept.
    Records(RecordersError),
    /// The rules are wrong.
    Rules(RulesError),
    /// The files of TLS cannot be used.
    Tls(TlsError),
    /// The admin listener cannot be as it is configured.
    Admin(AdminError),
    /// The system refused something that every start needs.
    System {
        /// What was wanted.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => write!(
                f,
                "cannot listen on {address}: {source}; stop what uses the port, or set SYSTEMX_HOST and SYSTEMX_PORT"
            ),
            Self::Sockets { sockets, shards } => write!(
                f,
                "{sockets} listening sockets were inherited (LISTEN_FDS) and there are {shards} shards: name fewer in the \
                 socket unit, or set SYSTEMX_SHARDS to {sockets}"
            ),
            Self::Records(error) => error.fmt(f),
            Self::Rules(error) => write!(f, "the rules: {error}"),
            Self::Tls(error) => write!(f, "TLS_ENABLED is true, but {error}"),
            Self::Admin(error) => error.fmt(f),
            Self::System { what, source } => write!(f, "the system refused {what}: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::System { source, .. } => Some(source),
            Self::Sockets { .. } => None,
            Self::Records(error) => Some(error),
            Self::Rules(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Admin(error) => Some(error),
        }
    }
}
