//! The authentication file (spec section 23) and its short form: text in, rules out, or the place that is wrong.
//!
//! Every value has a path, every mistake names it. Whatever grows has a bound. Invariant: a text that is not understood to the
//! last member makes no rules: a misspelt rule must not leave a door open.

use serde_json::{Map, Value};

use super::error::RuleError;
use super::jwt::{Algorithm, JwtRules};
use super::rulebook::{Rules, TieRule, WakeKinds, WakeRules};
use super::strict;
use super::token::{Token, TokenTable};
use crate::exchange::pattern::{Pattern, fold};

/// Largest authentication file, in bytes: some hundred thousand rules.
pub const AUTH_FILE_BYTES_MAX: usize = 16 << 20;
/// Largest file or answer with keys, in bytes.
pub const KEY_FILE_BYTES_MAX: usize = 1 << 20;
/// Most rules of one section.
const RULES_MAX: usize = 100_000;
/// Most tokens of all rules together.
const TOKENS_MAX: usize = 100_000;
/// Most tokens or routes of one `pbx` rule: each is compared with what the exchange shows.
const TIE_LIST_MAX: usize = 256;
/// Difference of clocks that is overlooked, in seconds, unless the file says otherwise; and the largest that it may say.
const SKEW_SECONDS: u64 = 5;
const SKEW_SECONDS_MAX: u64 = 3600;
/// The claim with the patterns, unless the file says otherwise.
const CLAIM: &str = "addresses";
/// Wrong letters with which a name is still taken for a slip of a known one, and so for no secret.
const SLIPS_MAX: usize = 2;
/// How much of a value a complaint shows, in characters.
const SHOWN_CHARS: usize = 60;

const MEMBERS: &str = "register, pbx, dial, certificates, jwt, wake and default";
const PATTERN: &str = "an address pattern such as bob@corp.test, *@corp.test or *.corp.test";
const TOKEN: &str = "a token: a text of 1 to 16384 bytes";
const PATTERNS: &str = "an address pattern such as *@corp.test, or a list of them";

/// Where the file says that keys of signed tokens come from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KeySources {
    /// A file: PEM or a key set. Relative to the authentication file.
    pub file: Option<String>,
    /// A URL that answers with a key set: https, or http on loopback.
    pub url: Option<String>,
}

/// Reads an authentication file.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse_file(text: &str) -> Result<(Rules, KeySources), RuleError> {
    let json = strict::parse(text.as_bytes()).map_err(RuleError::from)?;
    let root = At { path: "$".into(), value: &json };
    let mut rules = Rules::default();
    let mut sources = KeySources::default();
    for (name, section) in root.members("an object with the sections of the authentication file")? {
        match name {
            "register" => section.rules()?.try_for_each(|rule| read_register(&mut rules, rule))?,
            "certificates" => section.rules()?.try_for_each(|rule| read_certificate(&mut rules, rule))?,
            "pbx" => section.rules()?.try_for_each(|rule| read_tie(&mut rules, rule))?,
            "dial" => section.rules()?.try_for_each(|rule| read_dial(&mut rules, rule))?,
            "wake" => rules.wake = Some(read_wake(section)?),
            "jwt" => {
                let (jwt, keys) = read_jwt(section)?;
                (rules.jwt, sources) = (Some(jwt), keys);
            }
            "default" => {
                rules.is_denied_by_default =
                    section.word(&[("allow", false), ("deny", true)], "\"allow\" or \"deny\"")?
            }
            _ => return Err(section.unknown(MEMBERS)),
        }
    }
    Ok((rules, sources))
}

/// Reads the short form: `token=pattern,token=pattern...`. The text is secret; a mistake is told by the number of its part.
///
/// # Errors
/// The first part that is wrong.
pub fn parse_short(text: &str, rules: &mut Rules) -> Result<(), RuleError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    for (at, part) in parts.enumerate() {
        let path = format!("part {}", at + 1);
        let fault =
            |value: &str, allowed| RuleError::Value { path: path.clone(), value: value.into(), allowed };
        // A token may end with `=`, as base64 does; a pattern never holds one that matters.
        let (token, pattern) = part.rsplit_once('=').ok_or(fault("(hidden)", "token=pattern"))?;
        let token = Token::new(token).ok_or(fault("(hidden)", TOKEN))?;
        let pattern = Pattern::parse(pattern).map_err(|_| fault("(hidden)", "token=pattern"))?;
        let number = protect(rules, &path, &pattern)?;
        add_token(&mut rules.tokens, &path, &token, number)?;
    }
    Ok(())
}

fn protect(rules: &mut Rules, path: &str, pattern: &Pattern) -> Result<u32, RuleError> {
    rules.protected.add(pattern).ok_or_else(|| too_wild(path))
}

fn too_wild(path: &str) -> RuleError {
    let most = super::index::WILD_PATTERNS_MAX;
    RuleError::TooMany {
        path: path.into(),
        what: "patterns that are neither an address nor *@domain nor *.domain",
        most,
    }
}

fn add_token(table: &mut TokenTable, path: &str, token: &Token, number: u32) -> Result<(), RuleError> {
    table.add(token, number);
    if table.len() > TOKENS_MAX {
        return Err(RuleError::TooMany { path: path.into(), what: "tokens", most: TOKENS_MAX });
    }
    Ok(())
}

fn read_register(rules: &mut Rules, rule: At<'_>) -> Result<(), RuleError> {
    let [pattern, tokens] = rule.object(["pattern", "tokens"], "pattern and tokens")?;
    let pattern = rule.need(pattern, "pattern", PATTERN)?;
    let number = protect(rules, &pattern.path, &pattern.pattern()?)?;
    let tokens = rule.need(tokens, "tokens", "a list of tokens")?;
    for token in tokens.list("a list of tokens", TOKENS_MAX)? {
        let read = token.token()?;
        add_token(&mut rules.tokens, &token.path, &read, number)?;
    }
    Ok(())
}

fn read_certificate(rules: &mut Rules, rule: At<'_>) -> Result<(), RuleError> {
    let [name, patterns] = rule.object(["name", "pattern"], "name and pattern")?;
    let name = rule.need(name, "name", "the name in a client certificate")?;
    let text = name.text("the name in a client certificate")?;
    let patterns = rule.need(patterns, "pattern", PATTERNS)?;
    for pattern in patterns.one_or_more(PATTERNS)? {
        let number = protect(rules, &pattern.path, &pattern.pattern()?)?;
        rules.certificates.entry((*fold(text)).into()).or_default().push(number);
    }
    Ok(())
}

fn read_tie(rules: &mut Rules, rule: At<'_>) -> Result<(), RuleError> {
    let [domain, tokens, routes] =
        rule.object(["domain", "tokens", "routes"], "domain, tokens and routes")?;
    let name = rule.need(domain, "domain", "the other exchange's domain")?;
    let name = fold(name.text("the other exchange's domain")?.trim()).into_owned();
    let tokens = rule.need(tokens, "tokens", "a list of tokens")?.list("a list of tokens", TIE_LIST_MAX)?;
    let tokens = tokens.map(|token| token.token().map(|token| token.digest())).collect::<Result<_, _>>()?;
    let routes = rule.need(routes, "routes", "a list of route patterns")?;
    let routes = routes.list("a list of route patterns", TIE_LIST_MAX)?;
    let routes = routes.map(|route| route.pattern()).collect::<Result<_, _>>()?;
    rules.ties.entry(name.into()).or_default().push(TieRule { tokens, routes });
    Ok(())
}

fn read_dial(rules: &mut Rules, rule: At<'_>) -> Result<(), RuleError> {
    let [from, to, allow] = rule.object(["from", "to", "allow"], "from, to and allow")?;
    let from = rule.need(from, "from", PATTERN)?.pattern()?;
    let to = rule.need(to, "to", PATTERN)?.pattern()?;
    let allow = rule.need(allow, "allow", "true or false")?.switch()?;
    if rules.dial.add(&from, &to, allow) { Ok(()) } else { Err(too_wild(&rule.path)) }
}

fn read_wake(section: At<'_>) -> Result<WakeRules, RuleError> {
    let mut wake = WakeRules::default();
    for rule in section.rules()? {
        let [pattern, webhook, spawn] =
            rule.object(["pattern", "webhook", "spawn"], "pattern, webhook and spawn")?;
        let pattern = rule.need(pattern, "pattern", PATTERN)?.pattern()?;
        let switch = |value: Option<At<'_>>| value.map_or(Ok(false), |value| value.switch());
        let kinds = WakeKinds { webhook: switch(webhook)?, spawn: switch(spawn)? };
        let number = wake.patterns.add(&pattern).ok_or_else(|| too_wild(&rule.path))?;
        if number as usize == wake.kinds.len() {
            wake.kinds.push(kinds);
        }
    }
    Ok(wake)
}

fn read_jwt(section: At<'_>) -> Result<(JwtRules, KeySources), RuleError> {
    let names = ["keys", "jwks_url", "issuer", "audience", "skew_seconds", "claim", "algorithms"];
    let allowed = "keys, jwks_url, issuer, audience, skew_seconds, claim and algorithms";
    let [keys, url, issuer, audience, skew, claim, algorithms] = section.object(names, allowed)?;
    let text = |value: Option<At<'_>>| value.map(|value| value.text("a text").map(str::to_owned)).transpose();
    let url = url.map(|url| url.jwks_url()).transpose()?;
    let sources = KeySources { file: text(keys)?, url };
    if sources == KeySources::default() {
        let path = format!("{}.keys", section.path);
        return Err(RuleError::Missing { path, allowed: "a file with keys, or else `jwks_url` is needed" });
    }
    let algorithms = match algorithms {
        None => Algorithm::ALL.to_vec(),
        Some(list) => list
            .list("a list of HS256, RS256, ES256 and EdDSA", Algorithm::ALL.len())?
            .map(|name| name.algorithm())
            .collect::<Result<_, _>>()?,
    };
    let rules = JwtRules {
        issuer: text(issuer)?,
        audience: text(audience)?,
        skew_ms: skew.map_or(Ok(SKEW_SECONDS), |skew| skew.skew())? * 1000,
        claim: text(claim)?.unwrap_or_else(|| CLAIM.into()),
        algorithms,
    };
    Ok((rules, sources))
}

/// A value and where it stands.
struct At<'v> {
    path: String,
    value: &'v Value,
}

impl<'v> At<'v> {
    /// The complaint that something else should stand here.
    fn wrong(&self, allowed: &'static str) -> RuleError {
        let shown: String = match self.value {
            Value::Object(_) => "an object".into(),
            Value::Array(_) => "a list".into(),
            Value::String(_) if self.may_be_secret() => "a text (hidden)".into(),
            plain => plain.to_string().chars().take(SHOWN_CHARS).collect(),
        };
        RuleError::Value { path: self.path.clone(), value: shown, allowed }
    }

    /// Whether tokens are near: a slip may have put one where something else belongs.
    fn may_be_secret(&self) -> bool {
        self.path.starts_with("$.register") || self.path.starts_with("$.pbx")
    }

    /// The complaint about a member of this object that has another name than those that are known.
    fn unknown_member(&self, name: &str, known: &[&str], allowed: &'static str) -> RuleError {
        let is_slip = |known: &&str| strsim::damerau_levenshtein(name, known) <= SLIPS_MAX;
        let is_shown = !self.may_be_secret() || known.iter().any(is_slip);
        let name: String =
            if is_shown { name.chars().take(SHOWN_CHARS).collect() } else { "(hidden)".into() };
        RuleError::Unknown { path: format!("{}.{name}", self.path), allowed }
    }

    fn unknown(&self, allowed: &'static str) -> RuleError {
        RuleError::Unknown { path: self.path.clone(), allowed }
    }

    fn map(&self, allowed: &'static str) -> Result<&'v Map<String, Value>, RuleError> {
        self.value.as_object().ok_or_else(|| self.wrong(allowed))
    }

    fn members(
        &self,
        allowed: &'static str,
    ) -> Result<impl Iterator<Item = (&'v str, At<'v>)> + use<'v>, RuleError> {
        let path = self.path.clone();
        let at = move |(name, value): (&'v String, &'v Value)| {
            (name.as_str(), At { path: format!("{path}.{name}"), value })
        };
        Ok(self.map(allowed)?.iter().map(at))
    }

    /// The named members of an object that has no others.
    fn object<const N: usize>(
        &self,
        names: [&str; N],
        allowed: &'static str,
    ) -> Result<[Option<At<'v>>; N], RuleError> {
        let mut found = [const { None }; N];
        for (name, member) in self.members(allowed)? {
            let at = names.iter().position(|known| *known == name);
            let at = at.ok_or_else(|| self.unknown_member(name, &names, allowed))?;
            found[at] = Some(member);
        }
        Ok(found)
    }

    fn need(&self, member: Option<At<'v>>, name: &str, allowed: &'static str) -> Result<At<'v>, RuleError> {
        let path = || format!("{}.{name}", self.path);
        member.ok_or_else(|| RuleError::Missing { path: path(), allowed })
    }

    fn list(
        &self,
        allowed: &'static str,
        most: usize,
    ) -> Result<impl Iterator<Item = At<'v>> + use<'v>, RuleError> {
        let elements = self.value.as_array().ok_or_else(|| self.wrong(allowed))?;
        if elements.len() > most {
            return Err(RuleError::TooMany { path: self.path.clone(), what: "elements", most });
        }
        let path = self.path.clone();
        Ok(elements.iter().enumerate().map(move |(at, value)| At { path: format!("{path}[{at}]"), value }))
    }

    fn rules(&self) -> Result<impl Iterator<Item = At<'v>> + use<'v>, RuleError> {
        self.list("a list of rules", RULES_MAX)
    }

    /// A list, or the one thing that could be in it.
    fn one_or_more(&self, allowed: &'static str) -> Result<Vec<At<'v>>, RuleError> {
        if self.value.is_string() {
            return Ok(vec![At { path: self.path.clone(), value: self.value }]);
        }
        Ok(self.list(allowed, RULES_MAX)?.collect())
    }

    fn text(&self, allowed: &'static str) -> Result<&'v str, RuleError> {
        self.value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| self.wrong(allowed))
    }

    fn pattern(&self) -> Result<Pattern, RuleError> {
        Pattern::parse(self.text(PATTERN)?).map_err(|_| self.wrong(PATTERN))
    }

    /// A token; what stands in its place may be one with a slip, so it is not shown.
    fn token(&self) -> Result<Token, RuleError> {
        let hidden =
            || RuleError::Value { path: self.path.clone(), value: "(hidden)".into(), allowed: TOKEN };
        self.value.as_str().and_then(Token::new).ok_or_else(hidden)
    }

    fn switch(&self) -> Result<bool, RuleError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    fn word<T: Copy>(&self, words: &[(&str, T)], allowed: &'static str) -> Result<T, RuleError> {
        let text = self.value.as_str().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| self.wrong(allowed))
    }

    fn algorithm(&self) -> Result<Algorithm, RuleError> {
        let name = self.value.as_str().unwrap_or_default();
        Algorithm::of(name).ok_or_else(|| self.wrong("HS256, RS256, ES256 or EdDSA"))
    }

    fn skew(&self) -> Result<u64, RuleError> {
        let seconds = self.value.as_u64().filter(|seconds| *seconds <= SKEW_SECONDS_MAX);
        seconds.ok_or_else(|| self.wrong("a number of seconds from 0 to 3600"))
    }

    /// Keys that come unencrypted from another machine could be anybody's.
    fn jwks_url(&self) -> Result<String, RuleError> {
        const ALLOWED: &str = "an https URL, or an http URL on loopback";
        let url = url::Url::parse(self.text(ALLOWED)?).map_err(|_| self.wrong(ALLOWED))?;
        let is_local = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let has_secret = url.password().is_some() || !url.username().is_empty();
        match url.scheme() {
            _ if has_secret => {
                Err(RuleError::Value { path: self.path.clone(), value: "(hidden)".into(), allowed: ALLOWED })
            }
            "https" => Ok(url.into()),
            "http" if is_local => Ok(url.into()),
            _ => Err(self.wrong(ALLOWED)),
        }
    }
}
