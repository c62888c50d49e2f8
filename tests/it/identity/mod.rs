//! Who asks: with a gateway in front, and by bearer tokens of which none but a good one says so.

mod bearer;
mod keys;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, TestApp};

/// Of these tests and nobody else: making one takes long.
const RSA: &str = include_str!("test-key.pem");

const SECRET: &str = "a secret of thirty-two bytes, or more";

/// Every call that takes a user, with a body that it would take.
const CALLS: [(&str, &str, &str); 6] = [
    ("POST", "/api/v1/queues/token", ""),
    ("GET", "/api/v1/user-wallets/balance", ""),
    ("PATCH", "/api/v1/user-wallets/balance", r#"{"amount":1000}"#),
    ("GET", "/api/v1/user-wallets/transactions", ""),
    ("GET", "/api/v1/payments", ""),
    ("POST", "/api/v1/payments/1/refund", ""),
];

/// A file with keys, in a folder that goes with it.
struct KeyFile {
    folder: TempDir,
}

impl KeyFile {
    fn new(contents: impl AsRef<[u8]>) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.write(contents);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Puts other keys there, as one should: whole at once.
    fn write(&self, contents: impl AsRef<[u8]>) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, contents).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }
}

/// An instance that believes bearer tokens of these keys only.
async fn checking(keys: &Path, more: &[&str]) -> TestApp {
    let args = ["--identity", "jwt", "--jwt-key-file", keys.to_str().unwrap()];
    TestApp::without_jobs(&[&args[..], more].concat()).await
}

/// One of the calls as whoever these headers say.
async fn make(app: &TestApp, (method, path, body): (&str, &str, &str), headers: &[(&str, &str)]) -> Answer {
    let mut ask = app.ask(method, path);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    if body.is_empty() { ask.send().await } else { ask.json(body.to_owned()).send().await }
}

/// Asks for a balance with a bearer token.
async fn balance(app: &TestApp, bearer: &str) -> Answer {
    make(app, CALLS[1], &[("authorization", &format!("Bearer {bearer}"))]).await
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_error(401, "USER_REQUIRED");
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// What a sign-in says of a user, good for a minute.
fn claims(user: i64) -> Value {
    json!({ "sub": user.to_string(), "exp": now() + 60 })
}

/// A sign-in that signs with a key, under an id if it has one.
struct SignIn {
    algorithm: Algorithm,
    key: EncodingKey,
    id: Option<&'static str>,
}

impl SignIn {
    fn by_secret(secret: impl AsRef<[u8]>) -> Self {
        Self { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(secret.as_ref()), id: None }
    }

    fn by_rsa() -> Self {
        let der = rsa_key().to_pkcs1_der().unwrap();
        Self { algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(der.as_bytes()), id: None }
    }

    fn by_ed25519(seed: u8) -> Self {
        let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let key = EncodingKey::from_ed_der(&[&head[..], &[seed; 32]].concat());
        Self { algorithm: Algorithm::EdDSA, key, id: None }
    }

    fn named(self, id: &'static str) -> Self {
        Self { id: Some(id), ..self }
    }

    fn header(&self) -> Header {
        Header { kid: self.id.map(str::to_owned), ..Header::new(self.algorithm) }
    }

    fn bearer(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.key).unwrap()
    }

    /// The public key, or the secret, as a set has it.
    fn jwk(&self, more: &Value) -> Value {
        let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        let fields = jwk.as_object_mut().unwrap();
        fields.remove("alg");
        fields.extend(self.id.map(|id| ("kid".to_owned(), json!(id))));
        fields.extend(more.as_object().cloned().unwrap_or_default());
        jwk
    }
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn rsa_key() -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs1_pem(RSA).unwrap()
}

/// The public RSA key, as a set has it.
fn rsa_jwk(more: &Value) -> Value {
    let key = rsa_key();
    let number = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
    let mut jwk = json!({ "kty": "RSA", "n": number(key.n()), "e": number(key.e()) });
    jwk.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    jwk
}
