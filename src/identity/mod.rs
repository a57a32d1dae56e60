//! Identity: who may hold which address, call whom, be woken how, and connect an exchange (spec sections 23, 19.1, 19.8).
//!
//! A [`Rulebook`] is made from the text of an authentication file and never changes; whoever reloads makes another one.
//! Pure: no file, no socket, no clock. Whether a token opens an address is a function of rulebook, time, token and
//! address alone. Invariant: nothing here shows a secret, neither in `Debug` nor in an error; tokens are kept as digests
//! and compared in constant time.

mod der;
mod dial;
mod error;
mod file;
mod index;
mod jwt;
mod keys;
mod rulebook;
mod sign;
mod strict;
#[cfg(test)]
mod tests;
mod token;

pub use dial::Dialler;
pub use error::{KeyError, RuleError};
pub use file::{AUTH_FILE_BYTES_MAX, KEY_FILE_BYTES_MAX, KeySources, parse_file, parse_short};
pub use jwt::{Algorithm, Denial, Inspected, inspect};
pub use keys::KeySet;
pub use rulebook::{Credentials, Expiry, Proof, Rulebook, Rules};
pub use sign::SigningKey;
pub use token::{TOKEN_BYTES_MAX, Token};
