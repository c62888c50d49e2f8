//! What all calls have in common: routes and methods, request ids, limits, what is alive and what is ready.

use std::collections::HashMap;
use std::time::Duration;

use http::Method;
use onsale::http::ErrorCode;
use serde_json::{Value, json};

use crate::admin::OPERATED;
use crate::support::{Answer, SLACK, TestApp, block_on, eventually};

/// The contract's table.
const CODES: [(u16, &str); 25] = [
    (400, "INVALID_REQUEST"),
    (400, "INVALID_AMOUNT"),
    (400, "INSUFFICIENT_BALANCE"),
    (401, "USER_REQUIRED"),
    (401, "INVALID_TOKEN"),
    (401, "TOKEN_EXPIRED"),
    (403, "TOKEN_NOT_ACTIVE"),
    (403, "WRONG_QUEUE"),
    (404, "NOT_FOUND"),
    (404, "CONCERT_NOT_FOUND"),
    (404, "SCHEDULE_NOT_FOUND"),
    (404, "SEAT_NOT_FOUND"),
    (404, "RESERVATION_NOT_FOUND"),
    (405, "METHOD_NOT_ALLOWED"),
    (409, "SEAT_TAKEN"),
    (409, "HOLD_LIMIT"),
    (409, "RESERVATION_EXPIRED"),
    (409, "PAYMENT_IN_PROGRESS"),
    (409, "IDEMPOTENCY_KEY_IN_USE"),
    (413, "PAYLOAD_TOO_LARGE"),
    (415, "UNSUPPORTED_MEDIA_TYPE"),
    (422, "IDEMPOTENCY_KEY_REUSED"),
    (429, "RATE_LIMITED"),
    (500, "INTERNAL"),
    (503, "UNAVAILABLE"),
];

/// Every path, with the methods that it takes.
const ROUTES: [(&str, &[&str]); 11] = [
    ("/api/v1/queues/token", &["POST", "DELETE"]),
    ("/api/v1/queues/token/rank", &["GET", "HEAD"]),
    ("/api/v1/concerts", &["GET", "HEAD"]),
    ("/api/v1/concerts/1/schedules", &["GET", "HEAD"]),
    ("/api/v1/concerts/schedules/1/seats", &["GET", "HEAD"]),
    ("/api/v1/reservations/concert", &["POST"]),
    ("/api/v1/user-wallets/balance", &["GET", "HEAD", "PATCH"]),
    ("/api/v1/payment/concert", &["POST"]),
    ("/api/v1/payments/1/refund", &["POST"]),
    ("/livez", &["GET", "HEAD"]),
    ("/readyz", &["GET", "HEAD"]),
];

#[test]
fn every_code_is_the_contracts() {
    let ours: HashMap<&str, u16> = ErrorCode::ALL.iter().map(|code| (code.as_str(), code.status().as_u16())).collect();
    let contracts: HashMap<&str, u16> = CODES.iter().map(|(status, code)| (*code, *status)).collect();
    for (code, status) in &contracts {
        assert_eq!(ours.get(code), Some(status), "{code}");
    }
    for code in ours.keys() {
        assert!(contracts.contains_key(code), "{code} is not in the contract");
    }
    assert_eq!(ours.len(), ErrorCode::ALL.len(), "no code twice");
}

#[test]
fn there_is_no_such_route() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for path in [
            "/api",
            "/api/v1/queues",
            "/api/v1/queues/token/",
            "/api/v2/concerts",
            "/API/v1/concerts",
            "/api/v1/concerts/",
            "/api/v1/concerts/1",
            "/api/v1/concerts/schedules/1/seats/1",
            "/api/v1//concerts",
            "/metrics",
            "/admin/v1/queues",
        ] {
            for method in ["GET", "POST", "BREW"] {
                app.ask(method, path).send().await.assert_error(404, "NOT_FOUND");
            }
        }
    });
}

#[test]
fn to_people_it_is_told_on_a_page_that_there_is_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for (path, language, words) in
            [("/concerts/", "ko", "페이지가 없습니다"), ("/concerts/x/y", "en-GB", "Nothing here")]
        {
            let ask = app.ask("GET", path).header("accept", "text/html,*/*;q=0.8").header("accept-language", language);
            let answer = ask.send().await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (404, "text/html; charset=utf-8"));
            assert!(std::str::from_utf8(&answer.bytes).unwrap().contains(words), "{answer:?}");
            app.ask("GET", path).header("accept", "*/*").send().await.assert_error(404, "NOT_FOUND");
            app.ask("POST", path).header("accept", "text/html").send().await.assert_error(404, "NOT_FOUND");
            let call = app.ask("GET", "/api/v1/nothing").header("accept", "text/html,*/*");
            call.send().await.assert_error(404, "NOT_FOUND");
        }
    });
}

#[test]
fn a_route_says_which_methods_it_takes() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for (path, methods) in ROUTES {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
                if methods.contains(&method) {
                    continue;
                }
                let answer = app.ask(method, path).send().await;
                answer.assert_error(405, "METHOD_NOT_ALLOWED");
                let mut allowed: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
                allowed.sort_unstable();
                let mut taken = methods.to_vec();
                taken.sort_unstable();
                assert_eq!(allowed, taken, "{method} {path}");
            }
        }
    });
}

#[test]
fn head_is_get_without_its_body() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        for (path, _) in ROUTES.iter().filter(|(_, methods)| methods.contains(&"HEAD")) {
            let ask = |method| app.ask(method, path).header("token", &token).header("userId", "1");
            let (get, head) = (ask("GET").send().await, ask("HEAD").send().await);
            assert_eq!((head.status.as_u16(), &head.body), (200, &Value::Null), "{path}");
            for name in ["content-type", "etag"] {
                assert_eq!(head.header(name), get.header(name), "{path}");
            }
        }
        let answer = app.ask("HEAD", "/api/v1/reservations/concert").send().await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
        assert_eq!(app.ask("HEAD", "/nowhere").send().await.status.as_u16(), 404);
    });
}

#[test]
fn a_sane_request_id_comes_back() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let longest = "x".repeat(128);
        let sane = ["a", "01890a5d-ac96-774b-bcce-b302099a8057", "req_1.2:3/4+5=6@7", &longest];
        for path in ["/livez", "/nowhere", "/api/v1/queues/token/rank"] {
            for id in sane {
                let answer = app.ask("GET", path).header("x-request-id", id).send().await;
                assert_eq!(answer.header("x-request-id"), id, "{path}");
            }
        }
    });
}

#[test]
fn an_insane_request_id_is_replaced() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let too_long = "x".repeat(129);
        let insane: [&[u8]; 8] =
            [b"", b"a b", b"a\"b", b"a\tb", b"{}", b"<script>", "é".as_bytes(), too_long.as_bytes()];
        let mut given = std::collections::HashSet::new();
        for id in insane {
            let answer = app.ask("GET", "/livez").header("x-request-id", id).send().await;
            let ours = answer.header("x-request-id").to_owned();
            assert!(ours.len() >= 16 && ours.as_bytes() != id, "{ours}");
            assert!(given.insert(ours), "each request has its own");
        }
        assert!(given.insert(app.ask("GET", "/livez").send().await.header("x-request-id").to_owned()));
    });
}

/// A dozen of the same call at once; how many were let through.
async fn a_dozen(app: &TestApp, call: impl AsyncFn() -> Answer) -> usize {
    let answers = futures_util::future::join_all((0..12).map(|_| call())).await;
    let (limited, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 429);
    for answer in &limited {
        answer.assert_error(429, "RATE_LIMITED");
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|wait| (1..=2).contains(&wait)));
    }
    assert!(!limited.is_empty(), "a dozen a second are too many");
    assert_eq!(app.ask("GET", "/readyz").send().await.status, 200);
    others.len()
}

#[test]
fn a_user_changes_so_much_a_second_and_no_more() {
    block_on(async {
        let app = TestApp::without_jobs(&["--user-writes-per-second", "2"]).await;
        let charged = a_dozen(&app, || app.charge(1, 10)).await;
        assert!(charged >= 2, "a second's worth is let through at once");
        assert_eq!(app.balance(1).await, 10 * i64::try_from(charged).unwrap(), "and no more is done");

        let token = app.enter(2).await;
        a_dozen(&app, || app.hold(&token, 1, 1)).await;
        a_dozen(&app, || app.pay(&token, 1)).await;
        a_dozen(&app, || app.ask("POST", "/api/v1/queues/token").header("userId", "2").send()).await;
        for _ in 0..20 {
            app.rank(&token).await.data();
            app.balance(2).await;
        }
        a_dozen(&app, || app.leave(&token)).await;
        let again = async || app.charge(1, 10).await.status == 200;
        eventually("waiting helps", Duration::from_secs(1) + SLACK, again).await;
    });
}

#[test]
fn more_than_can_be_served_is_refused_at_once() {
    block_on(async {
        let args = ["--max-in-flight", "1", "--postgres-timeout-ms", "10000", "--request-timeout-ms", "15000"];
        let app = TestApp::without_jobs(&args).await;
        app.charge(1, 10).await.data();
        let lock = app.lock_wallet(1).await;
        let others = async {
            let full = async || app.ask("GET", "/livez").send().await.status == http::StatusCode::SERVICE_UNAVAILABLE;
            eventually("the one place is taken", SLACK, full).await;
            let answer = app.ask("GET", "/api/v1/concerts").header("x-request-id", "mine").send().await;
            answer.assert_error(503, "UNAVAILABLE");
            assert_eq!((answer.header("retry-after"), answer.header("x-request-id")), ("1", "mine"));
            lock.release().await;
        };
        let (charged, ()) = tokio::join!(app.charge(1, 10), others);
        charged.data();
        assert_eq!(app.balance(1).await, 20);
    });
}

#[test]
fn a_body_is_one_json_object_in_utf_8() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, 1_000_000).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let calls = [
            ("PATCH", "/api/v1/user-wallets/balance", "[1000]".to_owned(), r#"{"amount":1000"#.to_owned()),
            (
                "POST",
                "/api/v1/reservations/concert",
                "[1,2]".to_owned(),
                r#"{"concertScheduleId":1,"concertSeatId":2"#.to_owned(),
            ),
            (
                "POST",
                "/api/v1/payment/concert",
                format!("[{reservation}]"),
                format!(r#"{{"concertReservationId":{reservation}"#),
            ),
        ];
        for (method, path, array, open) in calls {
            let ask = || app.ask(method, path).header("token", &token).header("userId", "1");
            ask().json(array).send().await.assert_error(400, "INVALID_REQUEST");
            let latin1 = [open.as_bytes(), b",\"x\":\"\xe9\"}"].concat();
            ask().json(latin1).send().await.assert_error(400, "INVALID_REQUEST");
        }
        assert_eq!((app.balance(1).await, app.free_seats(&token, 1).await.len()), (1_000_000, 49), "nothing was done");
    });
}

#[test]
fn our_own_faults_are_not_told() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        sqlx::query("ALTER TABLE user_wallet RENAME TO gone").execute(app.pool()).await.unwrap();
        let answer = app.charge(1, 10).await;
        answer.assert_error(500, "INTERNAL");
        let told = answer.body.to_string().to_lowercase();
        for inside in ["user_wallet", "relation", "postgres", "sql", "42p01"] {
            assert!(!told.contains(inside), "{told}");
        }
    });
}

#[test]
fn alive_and_ready() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let nothing = json!({"result": "SUCCESS", "data": null, "error": null});
        for path in ["/livez", "/readyz"] {
            let answer = app.ask(Method::GET.as_str(), path).send().await;
            assert_eq!((answer.status.as_u16(), &answer.body), (200, &nothing), "{path}");
        }
        app.app.begin_drain();
        let answer = app.ask("GET", "/readyz").send().await;
        answer.assert_error(503, "UNAVAILABLE");
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(app.ask("GET", "/livez").send().await.status.as_u16(), 200);
        app.enter(1).await;
    });
}

#[test]
fn without_its_migrations_it_is_not_ready() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 3").execute(app.pool()).await.unwrap();
        app.ask("GET", "/readyz").send().await.assert_error(503, "UNAVAILABLE");
    });
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_json() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let token = app.enter(1).await;
        let batch = "/api/v1/reservations/concert/batch";
        for (method, path, body, plain) in [
            ("POST", batch, json!({"concertScheduleId": 1, "concertSeatIds": 5}), "an array"),
            ("POST", batch, json!({"concertScheduleId": 1, "count": "x", "bestAvailable": true}), "a whole number"),
            ("GET", "/api/v1/user-wallets/transactions?size=x", Value::Null, "whole number"),
            ("GET", "/api/v1/concerts?page=99999999999999999999999", Value::Null, "too large"),
        ] {
            let answer = app.call(method, path, &[("userId", "1"), ("token", &token)], body).await;
            answer.assert_error(400, "INVALID_REQUEST");
            let said = answer.body["error"]["message"].as_str().unwrap();
            assert!(said.contains(plain), "{path}: {said}");
            for rust in ["i64", "u32", "usize", "struct", "sequence", "digit", "target type"] {
                assert!(!said.contains(rust), "{path}: {said}");
            }
        }
        let plan = json!({"title": "x", "schedules": [{"date": "2198-01-01", "sections": 7}]});
        let said = app.operate("POST", "/concerts", plan).await.body["error"]["message"].to_string();
        assert!(said.contains("expected an array"), "{said}");
        let plan = json!({"title": "x", "schedules": [7]});
        let said = app.operate("POST", "/concerts", plan).await.body["error"]["message"].to_string();
        assert!(said.contains("expected an object"), "{said}");
    });
}
