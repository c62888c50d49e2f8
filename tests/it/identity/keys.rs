//! Which files have keys, which key a token means, and how keys are changed.

use std::time::Duration;

use onsale::app::{App, StartError};
use onsale::identity::{Identity, IdentityError};
use onsale::settings::ServeSettings;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::json;

use super::{KeyFile, RSA, SECRET, SignIn, assert_refused, balance, checking, claims, rsa_jwk, rsa_key, set};
use crate::support::{block_on, eventually, serve_settings};

/// The Ed25519 key of RFC 8410 (section 10.1), as others write one.
const ED_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

/// An RSA key of 1024 bits.
const WEAK_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDly0bd29GZziyFhlEIlxR7XPRl
ckCgopLKEaf93A/wu2Gb1uPhoE1XxGVyQUmD+wvB5nM6QUg+ReN/8vbPkw+UEba+
EajEOhMzuhyCYzPQrc5a09GZfSlpLtwCPixmjU6x8sMXs/utiXpANEOlVa6ResDE
TdoAOgZq0p09awmXuQIDAQAB
-----END PUBLIC KEY-----
";

fn settings(args: &[&str]) -> ServeSettings {
    serve_settings(&[&["--database-url", "x", "--redis-url", "x"], args].concat())
}

/// What is complained of, if these are the keys.
fn complaint(contents: impl AsRef<[u8]>) -> String {
    let keys = KeyFile::new(contents);
    let path = keys.path();
    let settings = settings(&["--identity", "jwt", "--jwt-key-file", path.to_str().unwrap()]);
    match Identity::new(&settings.service.identity) {
        Ok(_) => String::new(),
        Err(error) => {
            let error = error.to_string();
            assert!(error.starts_with("ONSALE_JWT_KEY_FILE") && error.lines().count() == 1, "{error}");
            error
        }
    }
}

#[test]
fn a_key_in_each_form_is_read() {
    block_on(async {
        let public = rsa_key().to_public_key();
        let ed = SignIn::by_ed25519(1);
        let secret = SignIn::by_secret(SECRET);
        for (contents, sign_in) in [
            (SECRET.to_owned(), SignIn::by_secret(SECRET)),
            (format!("{SECRET}\r\n"), SignIn::by_secret(SECRET)),
            (format!(" {SECRET}\n\n"), SignIn::by_secret(format!(" {SECRET}\n"))),
            (public.to_public_key_pem(LineEnding::LF).unwrap(), SignIn::by_rsa()),
            (public.to_public_key_pem(LineEnding::CRLF).unwrap(), SignIn::by_rsa()),
            (public.to_pkcs1_pem(LineEnding::LF).unwrap(), SignIn::by_rsa()),
            (set(&[rsa_jwk(&json!({}))]), SignIn::by_rsa()),
            (set(&[rsa_jwk(&json!({ "alg": "RS256", "use": "sig" }))]), SignIn::by_rsa()),
            (set(&[ed.jwk(&json!({}))]), SignIn::by_ed25519(1)),
            (set(&[ed.jwk(&json!({ "alg": "EdDSA", "key_ops": ["verify"] }))]), SignIn::by_ed25519(1)),
            (set(&[secret.jwk(&json!({}))]), SignIn::by_secret(SECRET)),
        ] {
            let keys = KeyFile::new(&contents);
            let app = checking(&keys.path(), &[]).await;
            let answer = balance(&app, &sign_in.bearer(&claims(7))).await;
            assert_eq!(answer.status, 200, "{contents}");
            // A single key without a name is meant by whatever name.
            let named = sign_in.named("2026");
            assert_eq!(balance(&app, &named.bearer(&claims(7))).await.status, 200, "{contents}");
        }
        assert_eq!(complaint(ED_PEM), "");
    });
}

#[test]
fn a_file_without_a_good_key_stops_the_start_and_is_not_repeated() {
    block_on(async {
        let ed = SignIn::by_ed25519(1);
        let weak = json!({ "kty": "RSA", "n": "1FEMLd40snmI5vQ7Vgjv07bgug", "e": "AQAB" });
        for (contents, says) in [
            (String::new(), "under 32 bytes"),
            ("hunter2".to_owned(), "under 32 bytes"),
            ("x".repeat(300_000), "is over"),
            (RSA.to_owned(), "private key"),
            (WEAK_PEM.to_owned(), "under 2048 bits"),
            (ED_PEM.replace("PUBLIC KEY", "CERTIFICATE"), "no RSA or Ed25519"),
            ("{\"keys\":[hunter2".to_owned(), "is none"),
            (json!({ "kty": "oct", "k": "hunter2" }).to_string(), "is none"),
            (set(&[]), "no key"),
            (set(&[json!(7), json!({ "kty": "EC", "crv": "P-256", "x": "", "y": "" })]), "no key"),
            (set(&[rsa_jwk(&json!({ "alg": "RS512" }))]), "no key"),
            (set(&[rsa_jwk(&json!({ "use": "enc" }))]), "no key"),
            (set(&[ed.jwk(&json!({ "key_ops": ["sign"] }))]), "no key"),
            (set(&[ed.jwk(&json!({ "x": "hunter2!" }))]), "damaged"),
            (set(&[ed.jwk(&json!({ "x": "aHVudGVyMg" }))]), "damaged"),
            (set(&[json!({ "kty": "oct", "k": "aHVudGVyMg" })]), "under 32 bytes"),
            (set(&[weak]), "under 2048 bits"),
            (set(&[ed.jwk(&json!({})), rsa_jwk(&json!({ "kid": "a" }))]), "kid"),
            (set(&[ed.jwk(&json!({ "kid": "a" })), rsa_jwk(&json!({ "kid": "a" }))]), "kid"),
        ] {
            let complaint = complaint(contents);
            assert!(complaint.contains(says) && !complaint.contains("hunter2"), "{says}: {complaint}");
            assert!(!complaint.contains("aHVudGVyMg"), "{complaint}");
        }
        let settings = settings(&["--identity", "jwt", "--jwt-key-file", "/nowhere/keys"]);
        let refused = App::start(&settings).await.unwrap_err();
        let is_about_file = matches!(refused, StartError::Identity(IdentityError::KeyFile { .. }));
        assert!(is_about_file && refused.to_string().contains("/nowhere/keys"), "{refused}");
    });
}

#[test]
fn settings_that_would_do_nothing_are_refused() {
    let refused = |args: &[&str]| Identity::new(&settings(args).service.identity).unwrap_err();
    assert!(matches!(refused(&["--identity", "jwt"]), IdentityError::NoKeyFile));
    for option in ["--jwt-key-file", "--jwt-audience", "--jwt-issuer"] {
        let refused = refused(&[option, "x"]);
        assert!(matches!(refused, IdentityError::NotChecked(_)), "{refused}");
    }
}

#[test]
fn a_set_has_several_keys_and_a_token_names_its_own() {
    block_on(async {
        let (ed, secret, rsa) =
            (SignIn::by_ed25519(1).named("ed"), SignIn::by_secret(SECRET).named("hs"), SignIn::by_rsa().named("rs"));
        let others = json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "ec" });
        let keys = set(&[others, ed.jwk(&json!({})), secret.jwk(&json!({})), rsa_jwk(&json!({ "kid": "rs" }))]);
        let keys = KeyFile::new(keys);
        let app = checking(&keys.path(), &[]).await;
        for sign_in in [&ed, &secret, &rsa] {
            balance(&app, &sign_in.bearer(&claims(7))).await.data();
        }
        for stranger in [
            SignIn::by_ed25519(1),
            SignIn::by_ed25519(1).named("none"),
            SignIn::by_ed25519(1).named("ec"),
            SignIn::by_ed25519(1).named("hs"),
            SignIn::by_ed25519(2).named("ed"),
            SignIn::by_secret(SECRET).named("rs"),
            SignIn::by_secret(SECRET).named("ed"),
            SignIn::by_rsa().named("ed"),
            // The public key, which everybody has, as a secret.
            SignIn::by_secret(ed_public()).named("ed"),
        ] {
            assert_refused(&balance(&app, &stranger.bearer(&claims(7))).await);
        }
    });
}

/// The public key of `by_ed25519(1)`.
fn ed_public() -> Vec<u8> {
    let jwk = SignIn::by_ed25519(1).jwk(&json!({}));
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, jwk["x"].as_str().unwrap()).unwrap()
}

#[test]
fn keys_change_without_a_restart_and_bad_ones_change_nothing() {
    block_on(async {
        let (former, next) = (SignIn::by_ed25519(1).named("1"), SignIn::by_ed25519(2).named("2"));
        let keys = KeyFile::new(set(&[former.jwk(&json!({}))]));
        let app = checking(&keys.path(), &[]).await;
        app.start_jobs().await;
        let accepts = async |sign_in: &SignIn| balance(&app, &sign_in.bearer(&claims(7))).await.status == 200;
        assert!(accepts(&former).await && !accepts(&next).await);

        keys.write(set(&[former.jwk(&json!({})), next.jwk(&json!({}))]));
        eventually("both are accepted", Duration::from_secs(10), async || accepts(&next).await).await;
        assert!(accepts(&former).await);

        for bad in ["", "{", "{\"keys\":[]}"] {
            keys.write(bad);
            app.app.identity.refresh().await;
            assert!(accepts(&former).await && accepts(&next).await, "{bad:?}");
        }
        std::fs::remove_file(keys.path()).unwrap();
        app.app.identity.refresh().await;
        assert!(accepts(&former).await && accepts(&next).await, "without a file");

        keys.write(set(&[next.jwk(&json!({}))]));
        eventually("the former is gone", Duration::from_secs(10), async || !accepts(&former).await).await;
        assert!(accepts(&next).await);
    });
}
