//! Passes: what they say, who accepts them, when they end, and what becomes of them when keys change.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Value, json};

use super::{CHECK, assert_out, assert_through, check, cookie_of};
use crate::support::{TestApp, block_on, serve_settings};

const KEYS: &str = "/.well-known/jwks.json";
const PASS: &str = "/api/v1/queues/token/pass";

/// The key of the tests' settings, and two others.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NEXT: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddee00";
const STRANGE: &str = "ee112233445566778899aabbccddeeff00112233445566778899aabbccddee00";

/// Another instance on the same stores, with these keys.
async fn with_keys(app: &TestApp, key: &str, old: &str) -> TestApp {
    let mut settings = app.settings.clone();
    let mut args = vec!["--database-url", "x", "--redis-url", "x"];
    if !old.is_empty() {
        args.extend(["--old-token-keys", old]);
    }
    settings.service.old_token_keys = serve_settings(&args).service.old_token_keys;
    settings.token_key = onsale::secret::Secret::new(hex::decode(key).unwrap()).unwrap();
    // There are several of them.
    settings.service.postgres_connections = 2;
    TestApp::from_settings(settings).await
}

/// A key that the tests themselves make passes with, as an outsider could.
fn forger(secret: &str) -> EncodingKey {
    let seed = blake3::derive_key("onsale 2026-11 gate pass", &hex::decode(secret).unwrap());
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    EncodingKey::from_ed_der(&[&head[..], &seed].concat())
}

fn claims(exp: i64) -> Value {
    json!({ "iss": "onsale", "aud": "onsale", "sub": "7", "queue": "default", "iat": exp - 60, "exp": exp })
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// What somebody makes of a pass who has only the public keys.
async fn outside(app: &TestApp, pass: &str) -> Option<Value> {
    let answer = app.call("GET", KEYS, &[], Value::Null).await;
    // As a library for such sets reads it, which knows of no envelope.
    let keys: JwkSet = serde_json::from_slice(&answer.bytes).unwrap();
    let key = keys.find(&decode_header(pass).unwrap().kid?)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["onsale"]);
    validation.set_issuer(&["onsale"]);
    decode(pass, &DecodingKey::from_jwk(key).unwrap(), &validation).ok().map(|token| token.claims)
}

#[test]
fn anybody_can_check_a_pass_with_the_public_keys() {
    block_on(async {
        let app = TestApp::with(&[]).await;
        let token = app.enter_active(7).await;
        let answer = app.get(PASS, &token).await;
        let pass = answer.data()["pass"].as_str().unwrap();
        let header = decode_header(pass).unwrap();
        assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("JWT")));
        let read = outside(&app, pass).await.unwrap();
        assert_eq!((&read["sub"], &read["queue"]), (&json!("7"), &json!("default")));
        let life = read["exp"].as_i64().unwrap() - read["iat"].as_i64().unwrap();
        assert!((59..=60).contains(&life), "{life}");
        let ends = answer.data()["expiresAt"].as_str().unwrap();
        let ends = chrono::DateTime::parse_from_rfc3339(ends).unwrap().timestamp();
        assert_eq!(read["exp"].as_i64(), Some(ends));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_through(&check(&app, CHECK, &[("onsale-pass", pass)]).await, 7);
    });
}

#[test]
fn the_keys_are_in_the_envelope_and_a_key_set_too() {
    block_on(async {
        let app = TestApp::without_jobs(&["--old-token-keys", NEXT]).await;
        let answer = app.call("GET", KEYS, &[], Value::Null).await;
        assert!(answer.data().is_null());
        let keys = answer.body["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            let mut fields: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(fields, ["alg", "crv", "kid", "kty", "use", "x"], "nothing secret, nothing else");
            assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("sig")));
        }
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        let again = app.call("GET", KEYS, &[("if-none-match", answer.header("etag"))], Value::Null).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    });
}

#[test]
fn only_an_active_token_is_given_a_pass() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-active", "1"]).await;
        let (active, waiting) = (app.enter(1).await, app.enter(2).await);
        app.get(PASS, &active).await.data();
        app.get(PASS, &waiting).await.assert_error(403, "TOKEN_NOT_ACTIVE");
        app.get(PASS, "nonsense").await.assert_error(401, "INVALID_TOKEN");
        app.leave(&active).await.data();
        app.get(PASS, &active).await.assert_error(401, "TOKEN_EXPIRED");
    });
}

#[test]
fn forged_passes_open_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let answer = app.get(PASS, &app.enter(7).await).await;
        let good = answer.data()["pass"].as_str().unwrap();
        let header = decode_header(good).unwrap();
        let own = encode(&header, &claims(now() + 30), &forger(KEY)).unwrap();
        assert_through(&check(&app, CHECK, &[("onsale-pass", &own)]).await, 7);

        let altered = |change: &dyn Fn(&mut Value)| {
            let mut claims = claims(now() + 30);
            change(&mut claims);
            encode(&header, &claims, &forger(KEY)).unwrap()
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let [head, body, signature] = *own.split('.').collect::<Vec<_>>() else { panic!("{own}") };
        let none = part(&json!({ "alg": "none", "typ": "JWT", "kid": header.kid }));
        let hmac = Header { alg: Algorithm::HS256, ..header.clone() };
        let public = app.call("GET", KEYS, &[], Value::Null).await.body["keys"][0]["x"].as_str().unwrap().to_owned();
        let public = EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(public).unwrap());
        let nameless = Header { kid: None, ..header.clone() };
        let other_body = part(&json!({ "sub": "8" }));
        let forged = [
            ("another key", encode(&header, &claims(now() + 30), &forger(NEXT)).unwrap()),
            ("no key named", encode(&nameless, &claims(now() + 30), &forger(KEY)).unwrap()),
            ("alg none", format!("{none}.{body}.")),
            ("alg none, signed", format!("{none}.{body}.{signature}")),
            ("signed with the public key", encode(&hmac, &claims(now() + 30), &public).unwrap()),
            ("other claims", format!("{head}.{other_body}.{signature}")),
            ("no signature", format!("{head}.{body}.")),
            ("over", altered(&|claims| claims["exp"] = json!(now() - 1))),
            ("for ever", altered(&|claims| claims["exp"] = Value::Null)),
            ("for somebody else", altered(&|claims| claims["aud"] = json!("other"))),
            ("by somebody else", altered(&|claims| claims["iss"] = json!("other"))),
            ("for nobody", altered(&|claims| claims["sub"] = json!("0"))),
            ("nonsense", "a.b.c".to_owned()),
            ("nothing", String::new()),
        ];
        for (what, pass) in forged {
            for header in [("onsale-pass", pass.clone()), ("cookie", format!("onsale_pass={pass}"))] {
                let answer = check(&app, CHECK, &[(header.0, &header.1)]).await;
                assert!(answer.status == 401 && answer.code() == "INVALID_TOKEN", "{what}: {answer:?}");
                assert_out(&answer, 401, "INVALID_TOKEN");
            }
        }
        // A cookie that somebody planted does not shut the owner out.
        assert_through(&check(&app, CHECK, &[("cookie", &format!("onsale_pass=x; onsale_pass={good}"))]).await, 7);
    });
}

#[test]
fn a_pass_ends_with_the_tokens_time_or_its_own() {
    block_on(async {
        let app = TestApp::without_jobs(&["--active-ttl-seconds", "3"]).await;
        let token = app.enter(7).await;
        let answer = app.get(PASS, &token).await;
        let pass = answer.data()["pass"].as_str().unwrap();
        let read = outside(&app, pass).await.unwrap();
        assert!(read["exp"].as_i64().unwrap() - read["iat"].as_i64().unwrap() <= 3, "{read}");
        tokio::time::sleep(Duration::from_millis(3100)).await;
        assert_out(&check(&app, CHECK, &[("onsale-pass", pass), ("token", &token)]).await, 401, "TOKEN_EXPIRED");
        assert_out(&check(&app, CHECK, &[("onsale-pass", pass)]).await, 401, "INVALID_TOKEN");
    });
}

#[test]
fn who_has_left_is_out_within_the_life_of_a_pass() {
    block_on(async {
        let app = TestApp::without_jobs(&["--pass-ttl-seconds", "2"]).await;
        let token = app.enter(7).await;
        let cookie =
            format!("onsale_token={token}; onsale_pass={}", cookie_of(&check(&app, CHECK, &[("token", &token)]).await));
        app.leave(&token).await.data();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        assert_out(&check(&app, CHECK, &[("cookie", &cookie)]).await, 401, "TOKEN_EXPIRED");
    });
}

#[test]
fn an_old_pass_is_renewed_while_the_token_is_active() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(7).await;
        let header = decode_header(app.get(PASS, &token).await.data()["pass"].as_str().unwrap()).unwrap();
        let with_left = |seconds| encode(&header, &claims(now() + seconds), &forger(KEY)).unwrap();
        let (fresh, old) = (with_left(40), with_left(20));
        let with_token = check(&app, CHECK, &[("token", &token), ("onsale-pass", &fresh)]).await;
        assert_eq!((with_token.header("x-onsale-pass"), cookie_of(&with_token)), (&*fresh, ""));
        let renewed = check(&app, CHECK, &[("token", &token), ("onsale-pass", &old)]).await;
        assert_through(&renewed, 7);
        assert!(cookie_of(&renewed) == renewed.header("x-onsale-pass") && cookie_of(&renewed) != old);
        // Without the token there is nothing to renew it by; with one that is over, it ends at once.
        assert_eq!(check(&app, CHECK, &[("onsale-pass", &old)]).await.header("x-onsale-pass"), old);
        app.leave(&token).await.data();
        assert_out(&check(&app, CHECK, &[("token", &token), ("onsale-pass", &old)]).await, 401, "TOKEN_EXPIRED");
        assert_through(&check(&app, CHECK, &[("token", &token), ("onsale-pass", &fresh)]).await, 7);
    });
}

#[test]
fn keys_change_without_anybody_losing_a_place() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(7).await;
        let pass = app.get(PASS, &token).await.data()["pass"].as_str().unwrap().to_owned();

        // The next key is accepted everywhere before the first instance signs with it.
        let (first, second) = (with_keys(&app, KEY, NEXT).await, with_keys(&app, NEXT, KEY).await);
        let signed_new = second.enter(7).await;
        assert_ne!(signed_new, token, "the same place, signed with the next key");
        assert_eq!(first.enter(7).await, token);
        let pass_new = second.get(PASS, &token).await.data()["pass"].as_str().unwrap().to_owned();
        for app in [&first, &second] {
            for token in [&token, &signed_new] {
                assert_eq!(app.rank(token).await.data()["status"], "ACTIVE");
                assert_through(&check(app, CHECK, &[("token", token)]).await, 7);
            }
            for pass in [&pass, &pass_new] {
                assert_through(&check(app, CHECK, &[("onsale-pass", pass)]).await, 7);
                assert_eq!(outside(app, pass).await.unwrap()["sub"], "7");
            }
        }

        // Once the first is dropped, it opens nothing any more.
        let last = with_keys(&app, NEXT, "").await;
        assert_through(&check(&last, CHECK, &[("token", &signed_new)]).await, 7);
        assert_out(&check(&last, CHECK, &[("token", &token)]).await, 401, "INVALID_TOKEN");
        assert_out(&check(&last, CHECK, &[("onsale-pass", &pass)]).await, 401, "INVALID_TOKEN");
        assert_eq!(outside(&last, &pass).await, None);
        assert_eq!(outside(&with_keys(&app, NEXT, STRANGE).await, &pass).await, None);
    });
}
