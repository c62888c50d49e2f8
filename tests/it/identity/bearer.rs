//! Which bearer tokens are believed, and for which calls.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Value, json};

use super::{CALLS, KeyFile, SECRET, SignIn, assert_refused, balance, checking, claims, make, now, rsa_key};
use crate::support::{TestApp, block_on};

#[test]
fn with_a_gateway_the_header_is_believed_and_a_bearer_means_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let forged = SignIn::by_secret(SECRET).bearer(&claims(2));
        for call in CALLS {
            let bearer = ("authorization", &*format!("Bearer {forged}"));
            assert_refused(&make(&app, call, &[bearer]).await);
            let answer = make(&app, call, &[("userId", "1"), bearer]).await;
            assert_ne!(answer.code(), "USER_REQUIRED", "{call:?}");
        }
        assert_eq!(app.balance(1).await, 1000);
        assert_eq!(app.balance(2).await, 0);
    });
}

#[test]
fn the_subject_is_the_user_on_every_call_and_the_header_can_only_agree() {
    block_on(async {
        let keys = KeyFile::new(SECRET);
        let app = checking(&keys.path(), &[]).await;
        let bearer = format!("Bearer {}", SignIn::by_secret(SECRET).bearer(&claims(7)));
        let bearer = ("authorization", &*bearer);
        for call in CALLS {
            for names in [&["8"][..], &["07"], &["7 8"], &["x"], &[""], &["7", "7"], &["7", "8"], &["-7"]] {
                let headers: Vec<_> =
                    std::iter::once(bearer).chain(names.iter().map(|name| ("userId", *name))).collect();
                assert_refused(&make(&app, call, &headers).await);
            }
            assert_refused(&make(&app, call, &[("userId", "7")]).await);
            assert_refused(&make(&app, call, &[]).await);
            assert_refused(&make(&app, call, &[bearer, bearer]).await);
            for good in [&[bearer][..], &[bearer, ("userId", "7")]] {
                assert_ne!(make(&app, call, good).await.code(), "USER_REQUIRED", "{call:?}");
            }
        }
        let answer = make(&app, CALLS[1], &[bearer]).await;
        assert_eq!(answer.data(), &json!({ "userId": 7, "balance": 2000 }), "charged as often as it was believed");
        let wallets = app.number("SELECT count(*) FROM user_wallet WHERE user_id <> 7").await;
        assert_eq!(wallets, 0, "and nobody else");
    });
}

/// A token of the queue is its user's own; whatever else is said on such a call makes nobody else of them.
#[test]
fn calls_with_a_token_go_by_the_token() {
    block_on(async {
        let keys = KeyFile::new(SECRET);
        let app = checking(&keys.path(), &[]).await;
        let sign_in = SignIn::by_secret(SECRET);
        let [mine, theirs] = [7, 8].map(|user| format!("Bearer {}", sign_in.bearer(&claims(user))));
        let entered = make(&app, CALLS[0], &[("authorization", &mine)]).await;
        let token = entered.data()["token"].as_str().unwrap().to_owned();
        make(&app, ("PATCH", CALLS[2].1, r#"{"amount":200000}"#), &[("authorization", &mine)]).await.data();
        let swapped = [("token", &*token), ("userId", "8"), ("authorization", &theirs)];
        for path in [
            "/api/v1/queues/token/rank",
            "/api/v1/concerts/1/schedules",
            "/api/v1/concerts/schedules/1/seats",
            "/api/v1/concerts/schedules/1/seat-map",
            "/api/v1/reservations",
        ] {
            make(&app, ("GET", path, ""), &swapped).await.data();
        }
        let hold = ("POST", "/api/v1/reservations/concert", r#"{"concertScheduleId":1,"concertSeatId":2}"#);
        let reservation = make(&app, hold, &swapped).await.reservation();
        let pay = format!(r#"{{"concertReservationId":{reservation}}}"#);
        make(&app, ("POST", "/api/v1/payment/concert", &pay), &swapped).await.payment();
        let buyers = app.number("SELECT sum(user_id)::bigint FROM payment_history").await;
        assert_eq!(buyers, 7, "whose the token is");
        // Another's token does not come along when one enters as oneself.
        let entered = make(&app, CALLS[0], &[("authorization", &theirs), ("token", &token)]).await;
        assert_ne!(entered.data()["token"], json!(token));
        app.audit().await;
    });
}

#[test]
fn only_a_good_token_is_accepted() {
    block_on(async {
        let keys = KeyFile::new(SECRET);
        let app = checking(&keys.path(), &["--jwt-audience", "onsale", "--jwt-issuer", "https://id.example"]).await;
        let sign_in = SignIn::by_secret(SECRET);
        let good = json!({ "sub": "7", "exp": now() + 60, "aud": "onsale", "iss": "https://id.example" });
        balance(&app, &sign_in.bearer(&good)).await.data();
        let with = |field: &str, value: Value| {
            let mut claims = good.clone();
            claims[field] = value;
            claims
        };
        for also_good in [
            with("aud", json!(["shop", "onsale"])),
            with("nbf", json!(now() - 10)),
            with("exp", json!(now() - 2)),
            with("name", json!({ "any": "thing" })),
        ] {
            balance(&app, &sign_in.bearer(&also_good)).await.data();
        }
        let without = |field: &str| {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(field);
            claims
        };
        let bad = [
            with("exp", json!(now() - 60)),
            with("exp", json!("tomorrow")),
            with("exp", json!(null)),
            with("exp", json!(-1)),
            with("nbf", json!(now() + 60)),
            with("nbf", json!("now")),
            with("aud", json!("shop")),
            with("aud", json!([])),
            with("aud", json!(["shop"])),
            with("aud", json!(7)),
            with("iss", json!("https://id.example.")),
            with("iss", json!(["https://other.example"])),
            with("sub", json!("")),
            with("sub", json!("0")),
            with("sub", json!("-7")),
            with("sub", json!("07")),
            with("sub", json!("7.0")),
            with("sub", json!("ann")),
            with("sub", json!("9007199254740992")),
            with("sub", json!(7)),
            with("sub", json!(null)),
            with("sub", json!(["7"])),
            without("exp"),
            without("aud"),
            without("iss"),
            without("sub"),
            json!([]),
            json!("7"),
        ];
        for claims in bad {
            let answer = balance(&app, &sign_in.bearer(&claims)).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, "USER_REQUIRED"), "{claims}");
        }
        let expired = balance(&app, &sign_in.bearer(&with("exp", json!(now() - 60)))).await;
        assert!(expired.body["error"]["message"].as_str().unwrap().contains("expired"), "{expired:?}");
    });
}

#[test]
fn a_forged_token_is_refused() {
    block_on(async {
        let keys = KeyFile::new(SECRET);
        let app = checking(&keys.path(), &[]).await;
        let good = SignIn::by_secret(SECRET).bearer(&claims(7));
        balance(&app, &good).await.data();
        let [header, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (other, none) = (part(&claims(8)), ["none", "None", "NONE", ""].map(|alg| part(&json!({ "alg": alg }))));
        let mut forged = vec![
            format!("{header}.{other}.{signature}"),
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            format!("{good}."),
            format!("{good}.{signature}"),
            format!("{header}..{signature}"),
            format!("{}.{body}.{signature}", part(&json!({ "alg": "HS512" }))),
            SignIn::by_secret("another secret of thirty-two bytes").bearer(&claims(7)),
            SignIn::by_ed25519(1).bearer(&claims(7)),
            SignIn::by_rsa().bearer(&claims(7)),
            encode(&Header::new(Algorithm::HS512), &claims(7), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap(),
            encode(&Header::new(Algorithm::HS384), &claims(7), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap(),
            String::new(),
            "x".repeat(8000),
            ".".repeat(1000),
        ];
        forged.extend(none.iter().flat_map(|none| [format!("{none}.{body}."), format!("{none}.{body}.{signature}")]));
        let critical = Header { crit: Some(vec!["exp".to_owned()]), ..Header::new(Algorithm::HS256) };
        forged.push(encode(&critical, &claims(7), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap());
        // The last letter has bits that mean nothing: there is one way to write a signature, not four.
        for at in 0..good.len() {
            let mut flipped = good.clone().into_bytes();
            flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
            forged.push(String::from_utf8(flipped).unwrap());
        }
        for forged in &forged {
            let answer = balance(&app, forged).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, "USER_REQUIRED"), "{forged}");
        }
        for scheme in ["Basic", "Token", ""] {
            assert_refused(&make(&app, CALLS[1], &[("authorization", &format!("{scheme} {good}"))]).await);
        }
        make(&app, CALLS[1], &[("authorization", &format!("bearer  {good}"))]).await.data();
    });
}

/// Whoever knows a public key, which is everybody, must not sign with it.
#[test]
fn a_public_key_is_no_secret() {
    block_on(async {
        let public = rsa_key().to_public_key();
        let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
        let keys = KeyFile::new(&pem);
        let app = checking(&keys.path(), &[]).await;
        balance(&app, &SignIn::by_rsa().bearer(&claims(7))).await.data();
        let der = public.to_public_key_der().unwrap();
        let pkcs1 = rsa::pkcs1::EncodeRsaPublicKey::to_pkcs1_der(&public).unwrap();
        let modulus = rsa::traits::PublicKeyParts::n(&public).to_bytes_be();
        for bytes in [pem.as_bytes(), pem.trim_end().as_bytes(), der.as_bytes(), pkcs1.as_bytes(), &modulus] {
            assert_refused(&balance(&app, &SignIn::by_secret(bytes).bearer(&claims(7))).await);
        }
        // The same key, for an algorithm that it is not for.
        let key = SignIn::by_rsa().key;
        for algorithm in [Algorithm::RS512, Algorithm::PS256] {
            let bearer = encode(&Header::new(algorithm), &claims(7), &key).unwrap();
            assert_refused(&balance(&app, &bearer).await);
        }
    });
}
