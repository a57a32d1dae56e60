//! Signing, for `systemx token`: an exchange itself never signs anything.
//!
//! A key file says by what it holds which algorithm is used: a PKCS#8 private key in PEM, or a key set with one shared
//! secret. Invariant: nothing here prints a key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, alg_id};
use serde_json::{Map, Value, json};

use super::der;
use super::error::KeyError;
use super::jwt::Algorithm;
use super::keys::KeySet;

/// A key that signs.
pub struct SigningKey(Kind);

enum Kind {
    Secret(hmac::Key),
    Rsa(signature::RsaKeyPair),
    P256(signature::EcdsaKeyPair),
    Ed25519(signature::Ed25519KeyPair),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} signing key", self.algorithm())
    }
}

impl SigningKey {
    /// The key of a file.
    ///
    /// # Errors
    /// If it holds none that signs.
    pub fn of_file(text: &str) -> Result<Self, KeyError> {
        let bad = |fault| KeyError::Key { number: 1, fault };
        if text.trim_start().starts_with('{') {
            let keys = KeySet::of_file(text)?;
            let secret =
                keys.only_secret().ok_or(bad("a key set signs only if it is one shared secret (oct)"))?;
            return Ok(Self(Kind::Secret(secret.clone())));
        }
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| bad("no PKCS#8 private key (BEGIN PRIVATE KEY)"))?;
        Self::of_pkcs8(pkcs8.secret_pkcs8_der()).ok_or(bad("only RSA, P-256 and Ed25519 keys are supported"))
    }

    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let algorithm = der::private_key_algorithm(der)?;
        if algorithm == alg_id::RSA_ENCRYPTION.as_ref() {
            return signature::RsaKeyPair::from_pkcs8(der).ok().map(|key| Self(Kind::Rsa(key)));
        }
        if algorithm == alg_id::ECDSA_P256.as_ref() {
            let form = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
            let key = signature::EcdsaKeyPair::from_pkcs8(form, der, &SystemRandom::new());
            return key.ok().map(|key| Self(Kind::P256(key)));
        }
        let is_ed25519 = algorithm == alg_id::ED25519.as_ref();
        let key = is_ed25519.then(|| signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok());
        key.flatten().map(|key| Self(Kind::Ed25519(key)))
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Kind::Secret(_) => Algorithm::Hs256,
            Kind::Rsa(_) => Algorithm::Rs256,
            Kind::P256(_) => Algorithm::Es256,
            Kind::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// A token with these claims; nothing if the system gives no random numbers.
    pub fn sign(&self, claims: &Map<String, Value>, key_id: Option<&str>) -> Option<String> {
        let mut header = json!({"typ": "JWT", "alg": self.algorithm().name()});
        if let Some(id) = key_id {
            header["kid"] = id.into();
        }
        let encode = |value: String| URL_SAFE_NO_PAD.encode(value);
        let claims = Value::Object(claims.clone()).to_string();
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims));
        let signature = self.signature(signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.0 {
            Kind::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Kind::P256(key) => key.sign(&random, message).ok().map(|signature| signature.as_ref().to_vec()),
            Kind::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
        }
    }
}
