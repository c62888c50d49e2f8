//! The keys that bearer tokens are checked with, as a file has them: a JSON Web Key Set (RFC 7517), one public key as PEM, or
//! one secret. Each key is for one algorithm, whatever a token says of itself.

use std::collections::HashSet;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::{Document, ObjectIdentifier, SubjectPublicKeyInfoRef};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};
use serde::Deserialize;
use serde_json::Value;

/// A secret that is shorter can be found by trying (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;
const SHORTEST_RSA_BITS: usize = 2048;
const ED25519_BYTES: usize = 32;

/// As a public key names its kind (RFC 8017, appendix A.1; RFC 8410, section 3).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a file has no keys for us. Says nothing of what is in it, which may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Nobody's keys are as long.
    #[error("is over {0} bytes")]
    TooLarge(u64),
    /// A secret that can be guessed.
    #[error("has a secret of under 32 bytes")]
    ShortSecret,
    /// What signs does not belong here.
    #[error("has a private key: put the public one there")]
    Private,
    /// Damaged, or of another kind.
    #[error("has a PEM that is no RSA or Ed25519 public key (nor is a certificate one)")]
    Pem,
    /// Not JSON, or not a set.
    #[error("begins like a JSON Web Key Set and is none")]
    NotASet,
    /// A key of ours that is damaged.
    #[error("has a key that is damaged, the one at {0} in the set")]
    Damaged(usize),
    /// An RSA key that can be broken.
    #[error("has an RSA key of under 2048 bits, or one that is none")]
    WeakRsa,
    /// Nothing in it is for us.
    #[error("has no key for RS256, EdDSA (Ed25519) or HS256")]
    Empty,
    /// Nobody could tell which one a token means.
    #[error("has several keys, and not each has a kid of its own")]
    Ambiguous,
}

/// Something that signatures are checked with.
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verifying: DecodingKey,
}

/// The keys of a file: one, or several that differ by their ids.
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn read(contents: &[u8]) -> Result<Self, KeyFileError> {
        let text = std::str::from_utf8(contents).unwrap_or_default().trim();
        if text.starts_with('{') {
            return Self::of_set(text);
        }
        let key = if text.contains("-----BEGIN ") { of_pem(text)? } else { of_secret(contents)? };
        Ok(Self(vec![key]))
    }

    /// Keys of other kinds, or for other uses, are passed over, as RFC 7517 (section 5) asks.
    fn of_set(text: &str) -> Result<Self, KeyFileError> {
        let set: Value = serde_json::from_str(text).map_err(|_| KeyFileError::NotASet)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeyFileError::NotASet)?;
        let mut keys = Vec::with_capacity(listed.len());
        for (value, at) in listed.iter().zip(0..) {
            let Ok(jwk) = Jwk::deserialize(value) else { continue };
            keys.extend(of_jwk(&jwk, at)?);
        }
        let ids: HashSet<_> = keys.iter().filter_map(|key| key.id.as_deref()).collect();
        match keys.len() {
            0 => Err(KeyFileError::Empty),
            count if count > 1 && ids.len() < count => Err(KeyFileError::Ambiguous),
            _ => Ok(Self(keys)),
        }
    }

    /// The key that a token means: by its id, which a single key need not have.
    pub(super) fn meant(&self, id: Option<&str>) -> Option<&Key> {
        match (self.0.as_slice(), id) {
            ([only], None) => Some(only),
            ([only], Some(_)) if only.id.is_none() => Some(only),
            (_, None) => None,
            (keys, id) => keys.iter().find(|key| key.id.as_deref() == id),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// Everything but what ends the last line is the secret.
fn of_secret(contents: &[u8]) -> Result<Key, KeyFileError> {
    let secret = contents.strip_suffix(b"\n").unwrap_or(contents);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.len() < SHORTEST_SECRET {
        return Err(KeyFileError::ShortSecret);
    }
    Ok(Key { id: None, algorithm: Algorithm::HS256, verifying: DecodingKey::from_secret(secret) })
}

fn of_pem(text: &str) -> Result<Key, KeyFileError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyFileError::Private);
    }
    let (label, document) = Document::from_pem(text).map_err(|_| KeyFileError::Pem)?;
    if label == "RSA PUBLIC KEY" {
        return of_rsa(None, RsaPublicKey::from_pkcs1_der(document.as_bytes()).ok());
    }
    let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes()).ok().filter(|_| label == "PUBLIC KEY");
    let info = info.ok_or(KeyFileError::Pem)?;
    let bytes = info.subject_public_key.as_bytes().unwrap_or_default();
    match info.algorithm.oid {
        RSA => of_rsa(None, RsaPublicKey::from_pkcs1_der(bytes).ok()),
        ED25519 if bytes.len() == ED25519_BYTES => {
            Ok(Key { id: None, algorithm: Algorithm::EdDSA, verifying: DecodingKey::from_ed_der(bytes) })
        }
        _ => Err(KeyFileError::Pem),
    }
}

fn of_rsa(id: Option<String>, public: Option<RsaPublicKey>) -> Result<Key, KeyFileError> {
    let public = public.filter(|public| public.n().bits() >= SHORTEST_RSA_BITS).ok_or(KeyFileError::WeakRsa)?;
    let verifying = DecodingKey::from_rsa_raw_components(&public.n().to_bytes_be(), &public.e().to_bytes_be());
    Ok(Key { id, algorithm: Algorithm::RS256, verifying })
}

/// A key of a set, if it is one for us.
fn of_jwk(jwk: &Jwk, at: usize) -> Result<Option<Key>, KeyFileError> {
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return Ok(None);
    }
    let is_for = |algorithm| common.key_algorithm.is_none_or(|named| named == algorithm);
    let decode = |text: &str| {
        let decoded = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        decoded.map_err(|_| KeyFileError::Damaged(at))
    };
    let id = common.key_id.clone();
    match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if is_for(KeyAlgorithm::RS256) => {
            let [modulus, exponent] = [decode(&rsa.n)?, decode(&rsa.e)?].map(|bytes| BigUint::from_bytes_be(&bytes));
            of_rsa(id, RsaPublicKey::new(modulus, exponent).ok()).map(Some)
        }
        AlgorithmParameters::OctetKeyPair(pair)
            if pair.curve == EllipticCurve::Ed25519 && is_for(KeyAlgorithm::EdDSA) =>
        {
            let point = decode(&pair.x)?;
            if point.len() != ED25519_BYTES {
                return Err(KeyFileError::Damaged(at));
            }
            Ok(Some(Key { id, algorithm: Algorithm::EdDSA, verifying: DecodingKey::from_ed_der(&point) }))
        }
        AlgorithmParameters::OctetKey(secret) if is_for(KeyAlgorithm::HS256) => {
            let secret = decode(&secret.value)?;
            if secret.len() < SHORTEST_SECRET {
                return Err(KeyFileError::ShortSecret);
            }
            Ok(Some(Key { id, algorithm: Algorithm::HS256, verifying: DecodingKey::from_secret(&secret) }))
        }
        _ => Ok(None),
    }
}
