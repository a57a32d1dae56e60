//! The rulebook: every rule of an authentication file, ready to be asked, and the keys of signed tokens beside them.
//!
//! It answers four questions: may somebody hold an address, call another, register a way to be woken, connect an
//! exchange. Invariant: asking changes nothing, and costs what the address touches, not how many rules there are.

use std::collections::HashMap;
use std::sync::Arc;

use super::dial::{DialRules, Dialler};
use super::index::PatternIndex;
use super::jwt::{Denial, JwtRules};
use super::keys::KeySet;
use super::token::{Digest, Token, TokenTable};
use crate::exchange::pattern::{Pattern, Shape, fold};

/// Rules and keys. Cheap to make anew when only the keys have changed.
#[derive(Clone, Debug)]
pub struct Rulebook {
    rules: Arc<Rules>,
    keys: KeySet,
    grace_ms: u64,
}

/// What an authentication file says, without the keys that it names.
#[derive(Debug, Default)]
pub struct Rules {
    /// Patterns of `register` and `certificates`: whoever is named by one needs credentials.
    pub(super) protected: PatternIndex,
    /// What each token opens, by the numbers of those patterns.
    pub(super) tokens: TokenTable,
    /// What each certificate opens, by its folded name.
    pub(super) certificates: HashMap<Box<str>, Vec<u32>, ahash::RandomState>,
    pub(super) jwt: Option<JwtRules>,
    pub(super) ties: HashMap<Box<str>, Vec<TieRule>, ahash::RandomState>,
    pub(super) dial: DialRules,
    pub(super) wake: Option<WakeRules>,
    /// What holds for whoever no rule names.
    pub(super) is_denied_by_default: bool,
}

/// An exchange that may connect.
#[derive(Debug)]
pub(super) struct TieRule {
    pub(super) tokens: Vec<Digest>,
    pub(super) routes: Vec<Pattern>,
}

/// Who may register wake handlers, of which kind.
#[derive(Debug, Default)]
pub(super) struct WakeRules {
    pub(super) patterns: PatternIndex,
    /// By the number of the pattern, which is its place in the file too: the first of equal patterns counts.
    pub(super) kinds: Vec<WakeKinds>,
}

/// Kinds of wake handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WakeKinds {
    pub(super) webhook: bool,
    pub(super) spawn: bool,
}

/// What a client has shown.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Credentials {
    /// A token, from REGISTER or from the handshake.
    pub token: Option<Token>,
    /// The names of its TLS certificate, if it has shown one and the connection's trust anchors vouch for it.
    pub certificate: Option<Arc<[Box<str>]>>,
    /// What the rulebook has found. For the core alone: whatever a dialect says here is overwritten.
    pub proof: Option<Proof>,
}

/// That credentials have opened an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Until when, if not for ever.
    pub expiry: Option<Expiry>,
}

/// The last times of a registration that a token with an end has made, in ms since the epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// When the bearer is told.
    pub told_ms: u64,
    /// When the token expires.
    pub expires_ms: u64,
    /// When the registration ends.
    pub ends_ms: u64,
}

impl Rulebook {
    /// A rulebook. `grace_ms` is how long a registration outlives its token.
    pub fn new(rules: Rules, keys: KeySet, grace_ms: u64) -> Self {
        Self { rules: Arc::new(rules), keys, grace_ms }
    }

    /// The same rules with other keys.
    #[must_use]
    pub fn with_keys(&self, keys: KeySet) -> Self {
        Self { rules: self.rules.clone(), keys, grace_ms: self.grace_ms }
    }

    /// The keys.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Whether whoever shows this may hold `address`, and whether that proves who he is. Everybody may hold what no rule
    /// names, if that is the default; of an address that a rule names it takes a token, a signed token or a certificate.
    ///
    /// # Errors
    /// If he may not.
    pub fn may_register(
        &self,
        now_ms: u64,
        shown: &Credentials,
        address: &str,
    ) -> Result<Option<Proof>, Denial> {
        let rules = &self.rules;
        let named = rules.protected.find(&fold(address));
        let opens = |good_for: &[u32]| good_for.iter().any(|number| named.contains(number));
        if shown.token.as_ref().is_some_and(|token| opens(rules.tokens.find(token))) {
            return Ok(Some(Proof { expiry: None }));
        }
        let signed = self.by_signature(now_ms, shown.token.as_ref(), address);
        if let Ok(proof) = signed {
            return Ok(Some(proof));
        }
        let mut names = shown.certificate.iter().flat_map(|names| names.iter());
        if names.any(|name| rules.certificates.get(&*fold(name)).is_some_and(|good_for| opens(good_for))) {
            return Ok(Some(Proof { expiry: None }));
        }
        if named.is_empty() && !rules.is_denied_by_default { Ok(None) } else { signed.map(Some) }
    }

    fn by_signature(&self, now_ms: u64, token: Option<&Token>, address: &str) -> Result<Proof, Denial> {
        let (Some(jwt), Some(token)) = (&self.rules.jwt, token.filter(|token| token.is_signed())) else {
            return Err(Denial::Refused);
        };
        let expiry = jwt.verify(&self.keys, now_ms, token, address, self.grace_ms)?;
        Ok(Proof { expiry })
    }

    /// Whether it takes credentials to hold `address`.
    pub fn is_protected(&self, address: &str) -> bool {
        self.rules.is_denied_by_default || !self.rules.protected.find(&fold(address)).is_empty()
    }

    /// Whether an exchange that calls itself `domain` is connected only if it shows a token.
    pub fn is_known_tie(&self, domain: &str) -> bool {
        self.rules.ties.contains_key(&*fold(domain))
    }

    /// Whether there is anybody who may not call just everybody.
    pub fn restricts_dials(&self) -> bool {
        self.rules.is_denied_by_default || !self.rules.dial.is_empty()
    }

    /// Whether `from` may call `to`: for DIAL and DIAL_FORWARD alike.
    pub fn may_dial(&self, from: &str, to: &str) -> bool {
        self.dialler(from).may_dial(to)
    }

    /// Somebody of whom it is to be asked more than once whom he may call.
    pub fn dialler(&self, from: &str) -> Dialler<'_> {
        Dialler::new(&self.rules.dial, from, !self.rules.is_denied_by_default)
    }

    /// Whether an exchange that calls itself `domain` and shows this token may announce these routes (REGISTER_PBX).
    pub fn may_tie(&self, domain: &str, routes: &[Pattern], token: Option<&Token>) -> bool {
        let Some(rules) = self.rules.ties.get(&*fold(domain)) else {
            return !self.rules.is_denied_by_default;
        };
        let Some(digest) = token.map(Token::digest) else { return false };
        let allows = |rule: &TieRule| {
            let is_known = rule.tokens.iter().fold(false, |known, token| known | (*token == digest));
            is_known && routes.iter().all(|route| rule.routes.iter().any(|allowed| covers(allowed, route)))
        };
        rules.iter().any(allows)
    }

    /// Whether whoever holds `address` may register a webhook as its wake handler.
    pub fn may_webhook(&self, address: &str) -> bool {
        self.wake_kinds(address).webhook
    }

    /// Whether whoever holds `address` may register a command as its wake handler.
    pub fn may_spawn(&self, address: &str) -> bool {
        self.wake_kinds(address).spawn
    }

    fn wake_kinds(&self, address: &str) -> WakeKinds {
        // Without a section about it, the checks that every handler is put to are enough.
        let Some(rules) = &self.rules.wake else { return WakeKinds { webhook: true, spawn: true } };
        let first = rules.patterns.find(&fold(address)).into_iter().min();
        let is_allowed = !self.rules.is_denied_by_default;
        let default = WakeKinds { webhook: is_allowed, spawn: is_allowed };
        first.and_then(|number| rules.kinds.get(number as usize)).copied().unwrap_or(default)
    }
}

/// Whether every address that `route` holds for is one that `allowed` holds for. A star in the route stands for anything,
/// so only a star can cover it; and the route's own text is then an address as any other.
fn covers(allowed: &Pattern, route: &Pattern) -> bool {
    let domain = match route.shape() {
        // It holds for the domain itself as well.
        Shape::Subdomains => route.as_str().strip_prefix("*.").map(|domain| format!("*@{domain}")),
        Shape::Exact | Shape::Domain | Shape::Wild => None,
    };
    allowed.matches_folded(route.as_str()) && domain.is_none_or(|domain| allowed.matches_folded(&domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_covered_only_by_a_pattern_that_holds_for_all_of_it() {
        let pattern = |text: &str| Pattern::parse(text).expect("a pattern");
        for (allowed, route, expected) in [
            ("*@home.test", "*@home.test", true),
            ("*@home.test", "bob@HOME.test", true),
            ("*@home.test", "b*@home.test", true),
            ("*@home.test", "*.home.test", false),
            ("*@home.test", "*@a.home.test", false),
            ("*@home.test", "*", false),
            ("*@home.test", "*home.test", false),
            ("*.home.test", "*@home.test", true),
            ("*.home.test", "*@a.home.test", true),
            ("*.home.test", "*.a.home.test", true),
            ("*.home.test", "*.home.test", true),
            ("*.home.test", "*home.test", false),
            ("*.h*", "*.home.test", false),
            ("*.test", "*.home.test", true),
            ("b*@home.test", "*@home.test", false),
            ("*", "*a*", true),
        ] {
            assert_eq!(covers(&pattern(allowed), &pattern(route)), expected, "{route} within {allowed}");
        }
    }
}
