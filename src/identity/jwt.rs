//! Signed tokens: JSON Web Tokens (RFC 7519) with HS256, RS256, ES256 or EdDSA.
//!
//! The signature is checked before a claim is looked at. `none` and every other algorithm have no name here, so they
//! cannot be asked for. Invariant: the same token, keys, rules and time give the same answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::keys::{Key, KeySet};
use super::rulebook::Expiry;
use super::strict;
use super::token::Token;
use crate::exchange::pattern::{Pattern, fold};

/// Most patterns of a token's claim that are looked at.
const CLAIM_PATTERNS_MAX: usize = 256;
/// Most keys that a token without key id is tried with, at up to 0.1 ms each.
const KEYS_TRIED_MAX: usize = 8;
/// A bearer is told at most so long before the token expires, in ms.
const NOTICE_MS_MAX: u64 = 60_000;
/// And at most this part of the token's life before.
const NOTICE_PART: u64 = 10;

/// How a token is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// A shared secret with SHA-256.
    Hs256,
    /// RSA with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Why credentials do not open an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// They do not, or there are none.
    Refused,
    /// The token names a key that is not known: a newer set of keys may have it.
    UnknownKey,
}

/// What the exchange demands of signed tokens (`jwt` of the authentication file).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct JwtRules {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) skew_ms: u64,
    /// The claim that lists address patterns.
    pub(super) claim: String,
    pub(super) algorithms: Vec<Algorithm>,
}

/// A token taken apart; nothing of it is checked.
struct Parts<'t> {
    signed: &'t str,
    header: Map<String, Value>,
    claims: &'t str,
    signature: Vec<u8>,
}

fn take_apart(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    Some(Parts { signed, header: decode_object(header)?, claims, signature })
}

fn decode_object(text: &str) -> Option<Map<String, Value>> {
    match strict::parse(&URL_SAFE_NO_PAD.decode(text).ok()?) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

impl JwtRules {
    /// Whether `token` opens `address` at `now_ms`, and until when.
    pub(super) fn verify(
        &self,
        keys: &KeySet,
        now_ms: u64,
        token: &Token,
        address: &str,
        grace_ms: u64,
    ) -> Result<Option<Expiry>, Denial> {
        let parts = take_apart(token.text()).ok_or(Denial::Refused)?;
        let key = signer(keys, &parts)?;
        if !self.algorithms.contains(&key.algorithm()) {
            return Err(Denial::Refused);
        }
        let claims = decode_object(parts.claims).ok_or(Denial::Refused)?;
        let is_due = self.is_in_time(&claims, now_ms) && self.is_for_us(&claims);
        if !is_due || !self.opens(&claims, address) {
            return Err(Denial::Refused);
        }
        Ok(time_of(&claims, "exp").map(|expires_ms| self.expiry(&claims, expires_ms, now_ms, grace_ms)))
    }

    /// `exp` and `nbf`. A claim that is there and no time at all is never met.
    fn is_in_time(&self, claims: &Map<String, Value>, now_ms: u64) -> bool {
        let meets = |name: &str, is_met: &dyn Fn(u64) -> bool| match claims.get(name) {
            None => true,
            Some(_) => time_of(claims, name).is_some_and(is_met),
        };
        meets("exp", &|exp| now_ms < exp.saturating_add(self.skew_ms))
            && meets("nbf", &|nbf| nbf <= now_ms.saturating_add(self.skew_ms))
    }

    /// `iss` and `aud`. A token that names its audience is for nobody else (RFC 7519, 4.1.3).
    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let issuer = claims.get("iss").and_then(Value::as_str);
        let is_ours = |name: &Value| name.as_str().is_some_and(|name| Some(name) == self.audience.as_deref());
        let audience = match claims.get("aud") {
            None => self.audience.is_none(),
            Some(Value::Array(names)) => names.iter().any(is_ours),
            Some(name) => is_ours(name),
        };
        audience && (self.issuer.is_none() || issuer == self.issuer.as_deref())
    }

    fn opens(&self, claims: &Map<String, Value>, address: &str) -> bool {
        let address = fold(address);
        let holds = |text: &Value| {
            let pattern = text.as_str().and_then(|text| Pattern::parse(text).ok());
            pattern.is_some_and(|pattern| pattern.matches_folded(&address))
        };
        match claims.get(&self.claim) {
            Some(Value::Array(texts)) => texts.iter().take(CLAIM_PATTERNS_MAX).any(holds),
            Some(text) => holds(text),
            None => false,
        }
    }

    /// The times of a registration that such a token makes.
    fn expiry(&self, claims: &Map<String, Value>, expires_ms: u64, now_ms: u64, grace_ms: u64) -> Expiry {
        let life_ms = expires_ms.saturating_sub(time_of(claims, "iat").unwrap_or(now_ms));
        let notice_ms = NOTICE_MS_MAX.min(life_ms / NOTICE_PART);
        let end_ms = expires_ms.saturating_add(grace_ms);
        // One that is taken only because clocks differ is good for as long as they may.
        let ends_ms = if end_ms > now_ms { end_ms } else { expires_ms.saturating_add(self.skew_ms) };
        Expiry { told_ms: expires_ms.saturating_sub(notice_ms), expires_ms, ends_ms }
    }
}

/// The key that signed a token.
fn signer<'k>(keys: &'k KeySet, parts: &Parts<'_>) -> Result<&'k Key, Denial> {
    let text = |name: &str| parts.header.get(name).and_then(Value::as_str);
    let algorithm = text("alg").and_then(Algorithm::of).ok_or(Denial::Refused)?;
    // What must be understood (`crit`) is not.
    if parts.header.contains_key("crit") {
        return Err(Denial::Refused);
    }
    let id = text("kid");
    let mut candidates = keys.candidates(algorithm, id).peekable();
    if candidates.peek().is_none() {
        return Err(if id.is_some() || keys.is_empty() { Denial::UnknownKey } else { Denial::Refused });
    }
    let mut candidates = candidates.take(KEYS_TRIED_MAX);
    candidates.find(|key| key.verifies(parts.signed.as_bytes(), &parts.signature)).ok_or(Denial::Refused)
}

/// A time claim in ms; RFC 7519 allows fractions of seconds.
fn time_of(claims: &Map<String, Value>, name: &str) -> Option<u64> {
    const MS: f64 = 1000.0;
    let seconds = claims.get(name)?.as_f64().filter(|seconds| *seconds >= 0.0)?;
    Some((seconds * MS) as u64)
}

/// What `systemx token inspect` shows. Nothing of it is checked but the signature.
#[derive(Debug)]
pub struct Inspected {
    /// The header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
    /// The key that signed it, if it is among those given: its algorithm and name.
    pub signer: Option<(Algorithm, Option<String>)>,
    /// When it begins to count, in ms since the epoch, if it says so.
    pub begins_ms: Option<u64>,
    /// When it ends, if it does.
    pub ends_ms: Option<u64>,
}

/// Takes a token apart; nothing if it has not the form of one.
pub fn inspect(text: &str, keys: &KeySet) -> Option<Inspected> {
    let parts = take_apart(text.trim())?;
    let claims = decode_object(parts.claims)?;
    let signer = signer(keys, &parts).ok().map(|key| (key.algorithm(), key.id().map(str::to_owned)));
    Some(Inspected {
        begins_ms: time_of(&claims, "nbf"),
        ends_ms: time_of(&claims, "exp"),
        signer,
        header: Value::Object(parts.header),
        claims: Value::Object(claims),
    })
}
