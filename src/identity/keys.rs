//! Keys that signed tokens are verified with: from PEM or from a JSON Web Key Set (RFC 7517).
//!
//! Each key has one algorithm, which follows from what the key is; a token's header chooses among keys and can never make
//! a key serve another algorithm, so a public key is never taken for a shared secret. Invariant: nothing here prints a key.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::der::{self, PublicKey};
use super::error::KeyError;
use super::jwt::Algorithm;

/// Most keys of a set: those of all tenants of a provider, with room for old and new ones.
const KEYS_MAX: usize = 32;
/// Least length of a shared secret, in bytes (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// Least and largest size of an RSA modulus, in bytes: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// An uncompressed point on P-256: a tag and two coordinates.
const P256_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// Keys.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Key>);

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<Box<str>>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Secret(hmac::Key),
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
    P256(Box<[u8]>),
    Ed25519(Box<[u8]>),
}

/// Where keys come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    /// A file of the operator's, which may hold shared secrets; a key that is no use is a mistake of his.
    File,
    /// A URL. Whatever is published is no secret; keys of other kinds are none of our business.
    Url,
}

impl KeySet {
    /// The keys of a file: PEM or a key set.
    ///
    /// # Errors
    /// If there is none, or one of them cannot be used.
    pub fn of_file(text: &str) -> Result<Self, KeyError> {
        if text.trim_start().starts_with('{') {
            Self::of_jwks(text, Source::File)
        } else {
            Self::of_pem(text)
        }
    }

    /// The keys that a URL gave. Those of kinds that are not supported are left out, and so are shared secrets.
    ///
    /// # Errors
    /// If none is left.
    pub fn of_url(text: &str) -> Result<Self, KeyError> {
        Self::of_jwks(text, Source::Url)
    }

    fn of_pem(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (at, spki) in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()).enumerate() {
            let fault = |fault| KeyError::Key { number: at + 1, fault };
            let spki = spki.map_err(|_| KeyError::Format)?;
            let key =
                der::public_key(&spki).ok_or(fault("only RSA, P-256 and Ed25519 keys are supported"))?;
            keys.push(Key { id: None, kind: Kind::of(key).map_err(fault)? });
        }
        Self::checked(keys)
    }

    fn of_jwks(text: &str, source: Source) -> Result<Self, KeyError> {
        let set: Value = serde_json::from_str(text).map_err(|_| KeyError::Format)?;
        let list = set.get("keys").and_then(Value::as_array).ok_or(KeyError::Format)?;
        let mut keys = Vec::new();
        for (at, jwk) in list.iter().enumerate() {
            match Key::of_jwk(jwk, source) {
                Ok(key) => keys.push(key),
                Err(_) if source == Source::Url => {}
                Err(fault) => return Err(KeyError::Key { number: at + 1, fault }),
            }
        }
        Self::checked(keys)
    }

    fn checked(keys: Vec<Key>) -> Result<Self, KeyError> {
        match keys.len() {
            0 => Err(KeyError::NoKeys),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(KeyError::TooMany { most: KEYS_MAX }),
        }
    }

    /// The same and those of another set.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token with this header: of its algorithm, and of its key id if both have one.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| {
            key.algorithm() == algorithm && (id.is_none() || key.id.is_none() || key.id.as_deref() == id)
        })
    }

    /// The shared secret, if the set is just that: what `systemx token` signs with.
    pub(super) fn only_secret(&self) -> Option<&hmac::Key> {
        match &self.0[..] {
            [Key { kind: Kind::Secret(secret), .. }] => Some(secret),
            _ => None,
        }
    }
}

impl Key {
    fn of_jwk(jwk: &Value, source: Source) -> Result<Self, &'static str> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return Err("it is not for signatures");
        }
        let bytes = |name: &str| {
            let text = text(name).ok_or("a member is missing or no text")?;
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| "a member is not base64url")
        };
        let kind = match (text("kty").unwrap_or_default(), text("crv")) {
            ("oct", _) if source == Source::Url => return Err("a shared secret must not be published"),
            ("oct", _) => Kind::secret(&bytes("k")?)?,
            ("RSA", _) => Kind::of(PublicKey::Rsa {
                n: der::without_zeros(&bytes("n")?),
                e: der::without_zeros(&bytes("e")?),
            })?,
            ("EC", Some("P-256")) => {
                const UNCOMPRESSED: u8 = 4;
                let point = [vec![UNCOMPRESSED], bytes("x")?, bytes("y")?].concat();
                Kind::of(PublicKey::P256(&point))?
            }
            ("OKP", Some("Ed25519")) => Kind::of(PublicKey::Ed25519(&bytes("x")?))?,
            _ => return Err("only oct, RSA, EC P-256 and OKP Ed25519 keys are supported"),
        };
        let key = Self { id: text("kid").map(Into::into), kind };
        match text("alg") {
            Some(name) if Algorithm::of(name) != Some(key.algorithm()) => Err("its `alg` is not supported"),
            _ => Ok(key),
        }
    }

    /// The one algorithm that it is for.
    pub(super) fn algorithm(&self) -> Algorithm {
        match &self.kind {
            Kind::Secret(_) => Algorithm::Hs256,
            Kind::Rsa { .. } => Algorithm::Rs256,
            Kind::P256(_) => Algorithm::Es256,
            Kind::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// What it is called, if it has a name.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it made this signature of this message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let by = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.kind {
            Kind::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Kind::Rsa { n, e } => signature::RsaPublicKeyComponents { n: &**n, e: &**e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Kind::P256(point) => by(&signature::ECDSA_P256_SHA256_FIXED, point),
            Kind::Ed25519(key) => by(&signature::ED25519, key),
        }
    }
}

impl Kind {
    fn secret(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err("a shared secret needs at least 32 bytes");
        }
        Ok(Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    fn of(key: PublicKey<'_>) -> Result<Self, &'static str> {
        match key {
            PublicKey::Rsa { n, e } if RSA_BYTES.contains(&n.len()) && !e.is_empty() => {
                Ok(Self::Rsa { n: n.into(), e: e.into() })
            }
            PublicKey::Rsa { .. } => Err("an RSA key needs 2048 to 8192 bits"),
            PublicKey::P256(point) if point.len() == P256_BYTES => Ok(Self::P256(point.into())),
            PublicKey::P256(_) => Err("no uncompressed point on P-256"),
            PublicKey::Ed25519(bytes) if bytes.len() == ED25519_BYTES => Ok(Self::Ed25519(bytes.into())),
            PublicKey::Ed25519(_) => Err("an Ed25519 key has 32 bytes"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} key", self.algorithm())
    }
}
