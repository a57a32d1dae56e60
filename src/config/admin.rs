//! The settings of the admin listener, which only make sense together: whoever can reach it can hang up calls, so an address that
//! others can reach needs a token, or the start is stopped.
//!
//! A token's file is read by whoever starts the listener ([`crate::shell::admin`]).

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::ConfigError;
use super::reader::Reader;
use super::settings::{self, ADMIN_TOKEN_BYTES_MIN};
use super::{Secret, is_loopback};

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What whoever uses it has to show.
    pub token: AdminToken,
    /// Names by which it may be called, in lower case.
    pub hosts: Box<[Box<str>]>,
    /// Whether watches may copy what parties say.
    pub payloads: bool,
}

/// Where the token of the admin listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminToken {
    /// There is none, and whoever is on this machine may do everything.
    None,
    /// It was given.
    Given(Secret),
    /// It is in a file.
    File(PathBuf),
}

/// Whether a text can be the token: long enough, and a client can send it in a header as it is.
pub fn is_good_token(text: &str) -> bool {
    text.len() >= ADMIN_TOKEN_BYTES_MIN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `None` if it is off, or if something is missing, which is then among the reader's errors.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Admin> {
    let listen = reader.listener(&settings::ADMIN);
    let given = reader.secret(&settings::ADMIN_TOKEN, is_good_token);
    let file = reader.file(&settings::ADMIN_TOKEN_FILE);
    let hosts = reader.hosts(&settings::ADMIN_HOSTS);
    let payloads = reader.switch(&settings::ADMIN_PAYLOADS);
    let listen = listen?;
    let token = match (given, file) {
        (Some(_), Some(_)) => {
            reader.errors.push(ConfigError::AdminTokenTwice);
            return None;
        }
        (Some(token), None) => AdminToken::Given(token),
        (None, Some(file)) => AdminToken::File(file),
        (None, None) => AdminToken::None,
    };
    // A token that was refused is told already.
    if token == AdminToken::None && reader.errors.is_empty() && !is_loopback(listen.ip()) {
        reader.errors.push(ConfigError::AdminTokenMissing { listen });
    }
    Some(Admin { listen, token, hosts, payloads })
}
