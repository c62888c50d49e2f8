//! No token and no key is ever logged, whatever is logged of what; and what goes wrong is told once.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use super::running::{KEY, Running};
use super::{calls, filled};
use crate::admin::OPERATED;
use crate::support::{ONSALE, Proxy, TestApp, block_on, eventually, servers, user};

const OLD_KEY: &str = "cafe0002cafe0002cafe0002cafe0002cafe0002cafe0002cafe0002cafe0002";
const ADMIN: &str = "cafe0003cafe0003cafe0003cafe0003cafe0003cafe0003cafe0003cafe0003";
const ANN: &str = "cafe0004cafe0004cafe0004cafe0004cafe0004cafe0004cafe0004cafe0004";
const WRONG: &str = "cafe0005cafe0005cafe0005cafe0005cafe0005cafe0005cafe0005cafe0005";
const IDEMPOTENCY_KEY: &str = "canary-idempotency-key";
const REDIS_PASSWORD: &str = "canary-redis-password";

/// What the program is given and must not say, in any of these; tokens and passes come on top.
const CANARIES: [&str; 10] = [
    KEY,
    OLD_KEY,
    ADMIN,
    ANN,
    WRONG,
    IDEMPOTENCY_KEY,
    REDIS_PASSWORD,
    "canary-bad-token",
    "canary-bad-pass",
    "canary-basic",
];

/// That none of these was said.
#[track_caller]
fn assert_unsaid(said: &[String], canaries: &[String]) {
    for canary in canaries {
        let line = said.iter().find(|line| line.contains(canary.as_str()));
        assert!(line.is_none(), "{canary} is in {line:?}");
    }
}

/// A user of Redis with a password, and the address with both.
async fn redis_with_password() -> String {
    let plain = servers().await.redis_url();
    let mut connection: MultiplexedConnection =
        redis::Client::open(plain.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut user = redis::cmd("ACL");
    user.arg(&["SETUSER", "canary", "on", &format!(">{REDIS_PASSWORD}"), "~*", "&*", "+@all"]);
    user.exec_async(&mut connection).await.unwrap();
    plain.replacen("redis://", &format!("redis://canary:{REDIS_PASSWORD}@"), 1)
}

/// The password in an address.
fn password(url: &str) -> String {
    url.split_once('@').unwrap().0.rsplit(':').next().unwrap().to_owned()
}

/// Makes every call there is, with what is right and with what is wrong everywhere.
async fn call_everything(program: &Running, token: &str, pass: &str) {
    let bodies = [
        json!({ "concertScheduleId": 1, "concertSeatId": 1, "amount": 1000, "concertReservationId": 1, "count": 1,
                "concertSeatIds": [1], "concertReservationIds": [1], "bestAvailable": true }),
        json!({ "token": "canary-bad-token", "name": "canary-bad-pass", "amount": "canary-basic" }),
        Value::Null,
    ];
    let cookie = format!("onsale_token={token}; onsale_pass={pass}");
    let right = [
        ("userId", "7"),
        ("token", token),
        ("onsale-pass", pass),
        ("cookie", &cookie),
        ("authorization", &format!("Bearer {ADMIN}")),
        ("idempotency-key", IDEMPOTENCY_KEY),
    ];
    let wrong = [
        ("userId", "canary-basic"),
        ("token", "canary-bad-token"),
        ("onsale-pass", "canary-bad-pass"),
        ("cookie", "onsale_token=canary-bad-token; onsale_pass=canary-bad-pass"),
        ("authorization", &format!("Bearer {WRONG}")),
        ("idempotency-key", "canary-idempotency-key that is too long and has blanks, so that it is none at all"),
    ];
    let basic = [("authorization", "Basic canary-basic"), ("token", &token[1..]), ("x-request-id", "a canary?")];
    for (method, path) in calls() {
        let (there, nowhere) = (filled(&path, "1"), filled(&path, "canary-bad-token"));
        let in_query = format!("{there}?token={token}&page=canary-basic&size=1&cursor=1");
        for path in [&there, &nowhere, &in_query] {
            for headers in [&right[..], &wrong, &basic] {
                // Leaving would end the token that the next call shows.
                if method == "DELETE" && headers == right {
                    continue;
                }
                for body in &bodies {
                    // A stream is let go of as soon as it has begun.
                    drop(program.call(&method, path, headers, body.clone()).await);
                }
            }
        }
    }
}

#[test]
fn no_secret_is_said_whatever_is_logged() {
    block_on(async {
        let (database, redis) = (servers().await.seeded_database().await, redis_with_password().await);
        let (to_postgres, to_redis) = (Proxy::before(&database).await, Proxy::before(&redis).await);
        let program = Running::start(
            &to_postgres.url(&database),
            &to_redis.url(&redis),
            &[
                ("ONSALE_LOG", "debug,onsale=trace"),
                ("ONSALE_OLD_TOKEN_KEYS", OLD_KEY),
                ("ONSALE_ADMIN_TOKEN", ADMIN),
                ("ONSALE_ADMIN_TOKENS", &format!("ann={ANN}")),
                ("ONSALE_POSTGRES_TIMEOUT_MS", "300"),
                ("ONSALE_REDIS_TIMEOUT_MS", "300"),
                // Traces go to nobody, and what is said of that is looked at too.
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://canary:canary-basic@127.0.0.1:1"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary-bad-pass"),
                ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ],
        )
        .await;
        let token = program.enter("7").await;
        let pass = program.data("GET", "/api/v1/queues/token/pass", &[("token", &token)], Value::Null).await;
        let pass = pass["pass"].as_str().unwrap().to_owned();
        call_everything(&program, &token, &pass).await;
        // Once more while the stores come and go.
        for proxy in [&to_postgres, &to_redis] {
            proxy.swallow();
            let ann = format!("Bearer {ANN}");
            for (method, path) in [
                ("GET", "/api/v1/queues/token/rank"),
                ("POST", "/api/v1/reservations/concert"),
                ("PATCH", "/api/v1/user-wallets/balance"),
                ("POST", "/api/v1/payment/concert"),
                ("GET", "/gate/check"),
                ("GET", "/admin/v1/queues"),
            ] {
                let body =
                    json!({ "concertScheduleId": 1, "concertSeatId": 2, "amount": 1, "concertReservationId": 1 });
                let key = ("idempotency-key", IDEMPOTENCY_KEY);
                let headers = [("userId", "7"), ("token", &*token), ("authorization", &*ann), key];
                drop(program.call(method, path, &headers, body).await);
            }
        }
        let failures = |lines: &[Value]| lines.iter().filter(|line| line["level"] == "ERROR").count();
        assert!(failures(&program.lines()) > 0, "a store was away, and somebody was told so");
        let ended = program.end().await;
        assert_eq!(ended.code, Some(0));
        assert!(ended.said.iter().filter(|line| line.contains("request.id")).count() > 500, "everything is logged");
        for line in &ended.said {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
        }
        let given = CANARIES.map(str::to_owned).into_iter();
        let canaries: Vec<String> = given.chain([token, pass, password(&database)]).collect();
        assert_unsaid(&ended.said, &canaries);
    });
}

#[test]
fn nothing_that_a_user_signs_in_with_is_said() {
    block_on(async {
        let (database, redis) = (servers().await.seeded_database().await, servers().await.redis_url());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), WRONG).unwrap();
        let program = Running::start(
            &database,
            &redis,
            &[
                ("ONSALE_LOG", "debug,onsale=trace"),
                ("ONSALE_IDENTITY", "jwt"),
                ("ONSALE_JWT_KEY_FILE", file.path().to_str().unwrap()),
            ],
        )
        .await;
        let claims = |exp: u64| json!({ "sub": "7", "exp": exp });
        let sign = |claims: &Value, key: &str| {
            encode(&Header::default(), claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
        };
        let (good, old, forged) =
            (sign(&claims(4_000_000_000), WRONG), sign(&claims(1), WRONG), sign(&claims(4_000_000_000), ADMIN));
        for (bearer, status) in [(&good, 200), (&old, 401), (&forged, 401)] {
            let authorization = format!("Bearer {bearer}");
            for path in ["/api/v1/user-wallets/balance", "/api/v1/payments", "/api/v1/user-wallets/transactions"] {
                let answer = program.call("GET", path, &[("authorization", &authorization)], Value::Null).await;
                assert_eq!(answer.status(), status, "{path}");
            }
        }
        let ended = program.end().await;
        assert_eq!(ended.code, Some(0));
        // Nor the part that is signed, nor the signature alone.
        let parts = [&good, &old, &forged].into_iter().flat_map(|bearer| bearer.split('.').skip(1)).map(str::to_owned);
        assert_unsaid(&ended.said, &parts.chain([WRONG.to_owned()]).collect::<Vec<_>>());
    });
}

#[test]
fn whoever_shows_all_that_there_is_shows_no_secret() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let token = app.enter(1).await;
        let mut settings = app.settings.clone();
        settings.stores.redis_url = format!("redis://me:{REDIS_PASSWORD}@127.0.0.1:1/");
        let (postgres, redis) = (settings.stores.postgres(1, 1), settings.stores.redis(1));
        let entered = app.app.queues.enter(&app.default_queue(), user(1)).await.unwrap();
        assert_eq!(*entered.token, *token);
        let shown = format!("{settings:?} {postgres:?} {redis:?} {entered:?} {:?} {:?}", app.app, app.signer());
        assert!(shown.contains("key_prefix") && shown.contains("place"), "{shown}");
        let key = hex::encode(settings.token_key.expose());
        let bytes = format!("{:?}", settings.token_key.expose());
        let canaries = [key, bytes, OPERATED[1].to_owned(), token, password(&settings.stores.database_url)];
        assert_unsaid(&[shown], &[&canaries[..], &[REDIS_PASSWORD.to_owned()]].concat());
    });
}

/// What it says when it does not start.
async fn refusal(verb: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut program = tokio::process::Command::new(ONSALE);
    let ran = program.arg(verb).env_clear().envs(variables.iter().copied()).output().await.unwrap();
    assert!(!ran.status.success(), "{verb} {variables:?}");
    [ran.stdout, ran.stderr]
        .iter()
        .flat_map(|bytes| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_secret_that_is_wrong_is_not_repeated() {
    block_on(async {
        let (database, redis) = (servers().await.seeded_database().await, servers().await.redis_url());
        let (canary, wrong) = ("canary-secret", "canary-wrong-secret!");
        let in_database = database.replacen(&password(&database), canary, 1);
        let in_redis = redis.replacen("redis://", &format!("redis://nobody:{canary}@"), 1);
        let bad_redis = format!("redis://me:{canary}@[::1/x y");
        let good = [
            ("DATABASE_URL", &*database),
            ("REDIS_URL", &*redis),
            ("ONSALE_TOKEN_KEY", KEY),
            ("ONSALE_LOG", "trace"),
            ("ONSALE_LISTEN", "127.0.0.1:0"),
            ("ONSALE_METRICS_LISTEN", "127.0.0.1:0"),
        ];
        for (name, value) in [
            ("ONSALE_TOKEN_KEY", wrong),
            ("ONSALE_OLD_TOKEN_KEYS", wrong),
            ("ONSALE_ADMIN_TOKEN", wrong),
            ("ONSALE_ADMIN_TOKENS", "ann=canary-wrong-secret!"),
            ("ONSALE_ADMIN_TOKENS", "canary-wrong-secret!"),
            ("DATABASE_URL", &*in_database),
            ("DATABASE_URL", "postgres://me:canary-secret@127.0.0.1:1/onsale"),
            ("DATABASE_URL", "postgres://me:canary-secret@127.0.0.1:port/onsale"),
            ("DATABASE_URL", "mysql://me:canary-secret@127.0.0.1:1/onsale"),
            ("REDIS_URL", &*in_redis),
            ("REDIS_URL", "redis://me:canary-secret@127.0.0.1:1/"),
            ("REDIS_URL", &*bad_redis),
            ("REDIS_URL", "http://me:canary-secret@127.0.0.1:1/"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:canary-secret@127.0.0.1:1/"),
        ] {
            let mut variables = good.to_vec();
            variables.retain(|(other, _)| *other != name);
            variables.push((name, value));
            let verbs: &[&str] =
                if ["DATABASE_URL", "REDIS_URL"].contains(&name) { &["serve", "audit"] } else { &["serve"] };
            for verb in verbs {
                let said = refusal(verb, &variables).await;
                assert!(said.iter().any(|line| line.contains(name)), "{name}: {said:?}");
                assert_unsaid(&said, &[canary.to_owned(), wrong.to_owned()]);
            }
        }
    });
}

#[test]
fn what_goes_wrong_is_told_once() {
    block_on(async {
        let (database, redis) = (servers().await.seeded_database().await, servers().await.redis_url());
        let (to_postgres, to_redis) = (Proxy::before(&database).await, Proxy::before(&redis).await);
        let times = [
            ("ONSALE_POSTGRES_TIMEOUT_MS", "200"),
            ("ONSALE_REDIS_TIMEOUT_MS", "200"),
            ("ONSALE_POSTGRES_CONNECTIONS", "1"),
        ];
        let program = Running::start(&to_postgres.url(&database), &to_redis.url(&redis), &times).await;
        let token = program.enter("1").await;
        let who = [("userId", "1"), ("token", &*token)];
        program.data("PATCH", "/api/v1/user-wallets/balance", &who, json!({ "amount": 100_000_000 })).await;
        let seat = json!({ "concertScheduleId": 1, "concertSeatId": 1 });
        let held = program.data("POST", "/api/v1/reservations/concert", &who, seat).await;
        let payment = json!({ "concertReservationId": held["reservationId"] });
        for (number, (proxy, method, path, body)) in [
            (&to_postgres, "PATCH", "/api/v1/user-wallets/balance", json!({ "amount": 1 })),
            (&to_postgres, "GET", "/api/v1/user-wallets/balance", Value::Null),
            (&to_postgres, "POST", "/api/v1/payment/concert", payment.clone()),
            (&to_redis, "POST", "/api/v1/reservations/concert", json!({ "concertScheduleId": 1, "concertSeatId": 2 })),
            (&to_redis, "POST", "/api/v1/payment/concert", payment),
        ]
        .into_iter()
        .enumerate()
        {
            // A job may find the way open again first, so more than once if need be.
            let mut tries = 0;
            let id = loop {
                let id = format!("once-{number}-{tries}");
                let headers = [&who[..], &[("x-request-id", &*id)]].concat();
                proxy.swallow();
                let answer = program.call(method, path, &headers, body.clone()).await;
                if answer.status() == 503 {
                    break id;
                }
                tries += 1;
                assert!(tries < 50, "{method} {path} never failed: {}", answer.status());
            };
            let of_call =
                async || program.lines().into_iter().filter(|line| line["request.id"] == *id).collect::<Vec<_>>();
            eventually("it is told", Duration::from_secs(5), async || !of_call().await.is_empty()).await;
            let lines = of_call().await;
            let [line] = &lines[..] else { panic!("{method} {path} is told more than once: {lines:?}") };
            assert_eq!(
                (&line["level"], &line["status"], &line["code"]),
                (&json!("ERROR"), &json!(503), &json!("UNAVAILABLE"))
            );
            assert_eq!((&line["method"], &line["route"]), (&json!(method), &json!(path)), "{line}");
            assert!(line["cause"].as_str().unwrap().contains("is not available"), "the cause is there: {line}");
        }
        assert_eq!(program.end().await.code, Some(0));
    });
}
