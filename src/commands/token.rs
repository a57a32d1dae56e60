//! `systemx token`: makes signed tokens for testing, and shows what is in one and whether an exchange would take it.
//!
//! An exchange never makes tokens; whoever runs one has an identity provider for that. Keys come from files only, so that
//! they stand in no list of processes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{EXIT_USAGE, complain, print};
use crate::identity::{KEY_FILE_BYTES_MAX, KeySet, SigningKey, TOKEN_BYTES_MAX, inspect};

/// The arguments of `systemx token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Sign a token; the key decides the algorithm
    Make(Make),
    /// Show a token's content, times and signer
    Inspect(Inspect),
}

#[derive(Debug, Args)]
struct Make {
    /// PKCS#8 private key in PEM (RSA, P-256, Ed25519), or a JSON Web Key Set with one shared secret
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Address pattern that the bearer may register; may be repeated
    #[arg(long = "address", value_name = "PATTERN")]
    addresses: Vec<String>,
    /// Name of the claim with the patterns
    #[arg(long, value_name = "NAME", default_value = "addresses")]
    claim: String,
    /// Seconds until it expires; negative for one that has expired [default: never]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    expires_in: Option<i64>,
    /// Seconds until it begins to count
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    begins_in: Option<i64>,
    /// `iss`
    #[arg(long)]
    issuer: Option<String>,
    /// `aud`
    #[arg(long)]
    audience: Option<String>,
    /// `sub`
    #[arg(long)]
    subject: Option<String>,
    /// `kid` of the header
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// Any other claim, its value as JSON or else as text; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    claims: Vec<String>,
}

#[derive(Debug, Args)]
struct Inspect {
    /// The token [default: read from standard input]
    token: Option<String>,
    /// Keys to verify it with: PEM or a JSON Web Key Set
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Why there is no token, or nothing to show.
#[derive(Debug)]
enum Fault {
    Unreadable(PathBuf, std::io::Error),
    Keys(PathBuf, crate::identity::KeyError),
    Claim(String),
    NotAToken,
    NoRandom,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Keys(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Claim(text) => write!(f, "--set {text}: it must be NAME=VALUE"),
            Self::NotAToken => {
                f.write_str("this is not a signed token (three parts in base64url with dots between)")
            }
            Self::NoRandom => f.write_str("the system gives no random numbers"),
        }
    }
}

/// Makes or shows a token. Exit code 1 for one that was shown and does not count.
pub fn run(args: TokenArgs) -> ExitCode {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs());
    let said = match args.action {
        Action::Make(make) => make.token(now_s).map(|token| (token, true)),
        Action::Inspect(args) => args.report(now_s),
    };
    match said {
        Ok((text, true)) => print(&text),
        Ok((text, false)) => {
            print(&text);
            ExitCode::FAILURE
        }
        Err(fault) => {
            complain([fault]);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn read(path: &Path) -> Result<String, Fault> {
    let unreadable = |error| Fault::Unreadable(path.to_owned(), error);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(KEY_FILE_BYTES_MAX as u64).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

impl Make {
    fn token(&self, now_s: u64) -> Result<String, Fault> {
        let key =
            SigningKey::of_file(&read(&self.key)?).map_err(|error| Fault::Keys(self.key.clone(), error))?;
        let token = key.sign(&self.all_claims(now_s)?, self.key_id.as_deref()).ok_or(Fault::NoRandom)?;
        Ok(format!("{token}\n"))
    }

    fn all_claims(&self, now_s: u64) -> Result<Map<String, Value>, Fault> {
        let mut claims = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value);
            }
        };
        set("iat", Some(json!(now_s)));
        set("exp", self.expires_in.map(|span| json!(now_s.saturating_add_signed(span))));
        set("nbf", self.begins_in.map(|span| json!(now_s.saturating_add_signed(span))));
        set("iss", self.issuer.as_ref().map(|text| json!(text)));
        set("aud", self.audience.as_ref().map(|text| json!(text)));
        set("sub", self.subject.as_ref().map(|text| json!(text)));
        set(&self.claim, (!self.addresses.is_empty()).then(|| json!(self.addresses)));
        for text in &self.claims {
            let (name, value) = text.split_once('=').ok_or_else(|| Fault::Claim(text.clone()))?;
            set(name, Some(serde_json::from_str(value).unwrap_or_else(|_| json!(value))));
        }
        Ok(claims)
    }
}

impl Inspect {
    /// What is in the token, and whether it counts.
    fn report(self, now_s: u64) -> Result<(String, bool), Fault> {
        let keys = match &self.keys {
            None => None,
            Some(path) => {
                Some(KeySet::of_file(&read(path)?).map_err(|error| Fault::Keys(path.clone(), error))?)
            }
        };
        let text = match self.token {
            Some(text) => text,
            None => {
                let mut text = String::new();
                let input = std::io::stdin().take(TOKEN_BYTES_MAX as u64).read_to_string(&mut text);
                input.map_err(|error| Fault::Unreadable("standard input".into(), error))?;
                text
            }
        };
        report(&text, keys.as_ref(), now_s).ok_or(Fault::NotAToken)
    }
}

fn report(text: &str, keys: Option<&KeySet>, now_s: u64) -> Option<(String, bool)> {
    const MS: u64 = 1000;
    let token = inspect(text, keys.unwrap_or(&KeySet::default()))?;
    let (signature, is_signed) = match (&token.signer, keys) {
        (Some((algorithm, Some(id))), _) => (format!("valid, {} by key {id}", algorithm.name()), true),
        (Some((algorithm, None)), _) => (format!("valid, {}", algorithm.name()), true),
        (None, Some(_)) => ("not by any of these keys".to_owned(), false),
        (None, None) => ("not checked: no --keys".to_owned(), true),
    };
    let from_now = |time_ms: u64| (time_ms / MS).cast_signed() - now_s.cast_signed();
    let (time, is_due) = match (token.begins_ms.map(from_now), token.ends_ms.map(from_now)) {
        (_, Some(ends)) if ends <= 0 => (format!("expired {} s ago", -ends), false),
        (Some(begins), _) if begins > 0 => (format!("counts in {begins} s"), false),
        (_, Some(ends)) => (format!("expires in {ends} s"), true),
        (_, None) => ("never expires".to_owned(), true),
    };
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let (header, claims) = (pretty(&token.header), pretty(&token.claims));
    let text = format!("header {header}\nclaims {claims}\nsignature: {signature}\ntime: {time}\n");
    Some((text, is_signed && is_due))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#"{"keys":[{"kty":"oct","k":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}]}"#;
    const OTHER: &str = r#"{"keys":[{"kty":"oct","k":"CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg"}]}"#;

    fn make(more: impl Fn(&mut Make)) -> String {
        let mut make = Make {
            key: PathBuf::new(),
            addresses: vec!["*@corp.test".into()],
            claim: "addresses".into(),
            expires_in: None,
            begins_in: None,
            issuer: Some("idp".into()),
            audience: None,
            subject: None,
            key_id: None,
            claims: vec!["roles=[1]".into(), "name=Bob".into()],
        };
        more(&mut make);
        let claims = make.all_claims(1000).expect("claims");
        SigningKey::of_file(KEYS).expect("a key").sign(&claims, None).expect("random numbers")
    }

    #[test]
    fn a_token_shows_its_content_its_time_and_its_signer() {
        let keys = KeySet::of_file(KEYS).expect("keys");
        let other = KeySet::of_file(OTHER).expect("keys");
        for (token, keys, signature, time, counts) in [
            (make(|make| make.expires_in = Some(9)), Some(&keys), "valid, HS256", "expires in 9 s", true),
            (make(|make| make.expires_in = Some(-9)), Some(&keys), "valid, HS256", "expired 9 s ago", false),
            (make(|make| make.begins_in = Some(5)), Some(&keys), "valid, HS256", "counts in 5 s", false),
            (make(|_| {}), Some(&other), "not by any of these keys", "never expires", false),
            (make(|_| {}), None, "not checked: no --keys", "never expires", true),
        ] {
            let (text, is_good) = report(&token, keys, 1000).expect("it is a token");
            assert!(text.ends_with(&format!("signature: {signature}\ntime: {time}\n")), "{text}");
            assert!(text.contains("\"name\": \"Bob\"") && text.contains("\"iss\": \"idp\""), "{text}");
            assert_eq!(is_good, counts, "{text}");
        }
        assert!(report("hello", None, 0).is_none());
    }
}
