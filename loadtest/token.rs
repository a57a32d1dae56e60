//! The token that clients show to a server with rules, and where they show it.
//!
//! Invariant: the token itself is in no report, no error and no `Debug`; findings say that there was one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fmt, fs};

use crate::fault::Fault;

/// What servers take in a handshake's header.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Stands in findings where a token was given on the command line.
const HIDDEN: &str = "TOKEN";

/// Where a token is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Place {
    /// As `auth` of every REGISTER.
    #[default]
    Register,
    /// As `Authorization: Bearer` of every handshake.
    Handshake,
}

/// A token that may be shown; hidden wherever it could be seen by mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// One without spaces, of what a header may hold.
    fn new(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        let why = if text.is_empty() {
            "it is empty"
        } else if text.len() > TOKEN_BYTES_MAX {
            "it is longer than 8 KiB, which no server takes"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "it holds what no token may: spaces, line breaks or other than ASCII"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(Fault::BadToken(why.to_owned()))
    }

    /// The token itself, for the wire.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl std::str::FromStr for Token {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::new(text)
    }
}

/// Options of every scenario about tokens.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// Token that opens the clients' addresses, if the server has rules. Others on this machine can see it: prefer --token-file.
    #[arg(long, conflicts_with = "token_file")]
    token: Option<Token>,
    /// File that holds the token and nothing else.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where it is shown: in each REGISTER, or in the handshake.
    #[arg(long, value_enum, default_value = "register", value_name = "PLACE")]
    token_in: Place,
}

/// The token by where it is shown: at most one is there.
#[derive(Clone, Default, Debug)]
pub struct Shown {
    /// In REGISTER.
    pub in_register: Option<Token>,
    /// In the handshake.
    pub in_handshake: Option<Token>,
}

impl Options {
    /// What is to be shown, and where.
    pub fn shown(&self) -> Result<Shown, Fault> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => {
                let bad = |why: String| Fault::BadToken(format!("--token-file {}: {why}", path.display()));
                let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
                Some(Token::new(&text).map_err(|fault| match fault {
                    Fault::BadToken(why) => bad(why),
                    other => other,
                })?)
            }
            (None, None) => None,
        };
        Ok(match self.token_in {
            Place::Register => Shown { in_register: token, in_handshake: None },
            Place::Handshake => Shown { in_register: None, in_handshake: token },
        })
    }

    /// Adds names and values of what held, but for the token.
    pub fn say(&self, found: &mut BTreeMap<String, String>) {
        match (&self.token, &self.token_file) {
            (Some(_), _) => found.insert("token".to_owned(), HIDDEN.to_owned()),
            (None, Some(path)) => found.insert("token-file".to_owned(), path.display().to_string()),
            (None, None) => return,
        };
        if self.token_in == Place::Handshake {
            found.insert("token-in".to_owned(), "handshake".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_header_can_hold_is_a_token_and_none_is_shown_by_mistake() {
        for bad in ["", " \n", "a b", "a\r\nX: y", "ü", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
            let fault = Token::new(bad).expect_err("it is none").to_string();
            assert!(fault.starts_with("it ") && (bad.len() < 3 || !fault.contains(bad)), "{fault}");
        }
        let token = Token::new(" s3cret=\n").expect("it is one");
        assert_eq!((token.text(), format!("{token:?}").contains("s3cret")), ("s3cret=", false));
    }

    #[test]
    fn findings_name_the_file_and_never_the_token() {
        let mut found = BTreeMap::new();
        let token = Token::new("s3cret").ok();
        Options { token, token_file: None, token_in: Place::Handshake }.say(&mut found);
        assert_eq!(found["token"], HIDDEN);
        assert_eq!(found["token-in"], "handshake");
    }
}
