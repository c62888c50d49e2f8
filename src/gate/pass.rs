//! Passes: what a visitor shows instead of its token, short-lived and good without asking anybody. JSON Web Tokens signed
//! with Ed25519, so that any site can check them with the public keys alone.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use crate::http::ApiError;
use crate::ids::UserId;
use crate::veiled::Veiled;

const ISSUER: &str = "onsale";

/// What comes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7): version 0, the algorithm
/// 1.3.101.112, and the key as an octet string within an octet string.
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why no key for passes could be made of the server's secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not as the library takes it.
    #[error("no key for passes could be made: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// The public keys could not be written down.
    #[error("the public keys for passes could not be written down: {0}")]
    Json(#[from] serde_json::Error),
}

/// A pass that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Its user.
    pub user: UserId,
    /// The name of the queue that let it in.
    pub queue: String,
    /// How long it is good yet.
    pub left: Duration,
}

/// A pass as it is handed out.
#[derive(Debug)]
pub struct Issued {
    /// The JSON Web Token.
    pub text: Veiled,
    /// How long it is good.
    pub life: Duration,
    ends: i64,
}

impl Issued {
    /// When it ends.
    pub(super) fn expires_at(&self) -> Option<String> {
        DateTime::from_timestamp_secs(self.ends).map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The user's id, which is a string in a JSON Web Token.
    sub: String,
    queue: String,
    iat: i64,
    exp: i64,
}

/// Makes and checks passes.
pub(super) struct Passes {
    key: EncodingKey,
    header: Header,
    accepted: Vec<Accepted>,
    validation: Validation,
    audience: String,
    ttl: Duration,
}

struct Accepted {
    id: String,
    key: DecodingKey,
}

/// The public keys, as they are answered.
#[derive(Debug)]
pub(super) struct KeySet {
    pub(super) body: Bytes,
    pub(super) etag: String,
}

/// A JSON Web Key Set in the envelope: RFC 7517 (section 5) has readers pass over members that they do not know.
#[derive(Serialize)]
struct KeySetBody<'a> {
    result: &'static str,
    data: Option<()>,
    error: Option<()>,
    keys: &'a [Jwk],
}

impl Passes {
    /// With the first secret passes are made; those of the others are accepted too.
    pub(super) fn new(
        secret: &[u8],
        others: &[&[u8]],
        audience: &str,
        ttl: Duration,
    ) -> Result<(Self, KeySet), KeyError> {
        let key = signing_key(secret);
        let mut keys = vec![public_key(&key)?];
        for other in others {
            let other = public_key(&signing_key(other))?;
            if !keys.contains(&other) {
                keys.push(other);
            }
        }
        let accept = |jwk: &Jwk| Ok(Accepted { id: key_id(jwk), key: DecodingKey::from_jwk(jwk)? });
        let accepted = keys.iter().map(accept).collect::<Result<Vec<_>, KeyError>>()?;
        let header = Header { kid: keys.first().map(key_id), ..Header::new(Algorithm::EdDSA) };
        let key_set = KeySet::new(&keys)?;
        let validation = validation(audience);
        Ok((Self { key, header, accepted, validation, audience: audience.to_owned(), ttl }, key_set))
    }

    /// A pass for a token that is active so long yet: good no longer than that, and never longer than a pass may be.
    pub(super) fn issue(&self, user: UserId, queue: &str, left: Duration) -> Result<Issued, ApiError> {
        let now = Utc::now();
        let iat = now.timestamp();
        // Rounded down to a whole second, as the standard's times are.
        let exp = (now + left.min(self.ttl)).timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: self.audience.clone(),
            sub: user.get().to_string(),
            queue: queue.to_owned(),
            iat,
            exp,
        };
        let text = encode(&self.header, &claims, &self.key).map_err(ApiError::internal)?;
        Ok(Issued { text: text.into(), life: seconds(exp - iat), ends: exp })
    }

    /// What a pass says, if it is ours and its time is not over. Asks nobody.
    pub(super) fn verify(&self, text: &str) -> Option<Pass> {
        let id = decode_header(text).ok()?.kid?;
        let accepted = self.accepted.iter().find(|accepted| accepted.id == id)?;
        let claims: Claims = decode(text, &accepted.key, &self.validation).ok()?.claims;
        let left = (DateTime::from_timestamp_secs(claims.exp)? - Utc::now()).to_std().ok()?;
        Some(Pass { user: claims.sub.parse().ok()?, queue: claims.queue, left })
    }

    /// Whether so little of a pass is left that it is time for the next.
    pub(super) fn is_old(&self, pass: &Pass) -> bool {
        pass.left < self.ttl / 2
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or_default())
}

/// Our own choice: one algorithm, whatever the pass itself names, and no leeway.
fn validation(audience: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = 0;
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

fn signing_key(secret: &[u8]) -> EncodingKey {
    let seed = blake3::derive_key("onsale 2026-11 gate pass", secret);
    EncodingKey::from_ed_der(&[&PKCS8[..], &seed].concat())
}

/// Named by its thumbprint (RFC 7638), so that every instance with the same secret names it alike.
fn public_key(key: &EncodingKey) -> Result<Jwk, KeyError> {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::EdDSA)?;
    jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256)?);
    jwk.common.key_algorithm = Some(KeyAlgorithm::EdDSA);
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(jwk)
}

fn key_id(jwk: &Jwk) -> String {
    jwk.common.key_id.clone().unwrap_or_default()
}

impl KeySet {
    fn new(keys: &[Jwk]) -> Result<Self, KeyError> {
        let body = serde_json::to_vec(&KeySetBody { result: "SUCCESS", data: None, error: None, keys })?;
        let etag = format!("\"{}\"", blake3::hash(&body).to_hex());
        Ok(Self { body: body.into(), etag })
    }
}

impl std::fmt::Debug for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passes(…)")
    }
}
