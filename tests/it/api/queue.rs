//! Call 1, the rank and leaving: who waits, who may try, and what tokens are worth.

use std::time::Duration;

use onsale::queue::{Claim, QueueId, Signer};
use serde_json::{Value, json};

use super::{NO_IDS, assert_fields};
use crate::support::{Answer, LARGEST_BODY, SLACK, TestApp, block_on, eventually, user};

const TOKEN: &str = "/api/v1/queues/token";
const RANK: &str = "/api/v1/queues/token/rank";

/// One user may try at a time.
const ONE: [&str; 2] = ["--max-active", "1"];

/// The calls that take an active token.
async fn active_calls(app: &TestApp, token: &str) -> [Answer; 4] {
    [
        app.get("/api/v1/concerts/1/schedules", token).await,
        app.get("/api/v1/concerts/schedules/1/seats", token).await,
        app.hold(token, 1, 1).await,
        app.pay(token, 1).await,
    ]
}

async fn status(app: &TestApp, token: &str) -> String {
    app.rank(token).await.data()["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_is_all_that_is_answered() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let answer = app.ask("POST", TOKEN).header("USERID", "9007199254740991").send().await;
        assert_fields(answer.data(), &["token"]);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_ne!(app.enter(1).await, app.enter(2).await);
    });
}

#[test]
fn a_user_is_a_positive_whole_number() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.ask("POST", TOKEN).send().await.assert_error(401, "USER_REQUIRED");
        app.ask("POST", TOKEN)
            .header("userId", "1")
            .header("userId", "1")
            .send()
            .await
            .assert_error(401, "USER_REQUIRED");
        for bad in NO_IDS.map(str::as_bytes).iter().chain(&[&b""[..], b" 1", b"1,1", b"\xff", "１".as_bytes()]) {
            app.ask("POST", TOKEN).header("userId", bad).send().await.assert_error(401, "USER_REQUIRED");
        }
        let audit = app.app.queues.audit(&app.default_queue()).await.unwrap();
        assert_eq!((audit.active, audit.first_waiting), (0, 0), "nobody has entered");
    });
}

#[test]
fn the_form_chooses_the_queue() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.add_queue("of-its-own", 2).await;
        let ask = async |form: &'static str| {
            let kind = "application/x-www-form-urlencoded; charset=utf-8";
            app.ask("POST", TOKEN).header("userId", "7").header("content-type", kind).body(form).send().await
        };
        let token = |answer: &Answer| answer.data()["token"].as_str().unwrap().to_owned();
        let default = token(&ask("").await);
        assert_eq!(token(&ask("concertId=1").await), default, "concert 1 has no queue of its own");
        assert_eq!(token(&ask("concertId=10&colour=red").await), default, "unknown fields are passed over");
        assert_ne!(token(&ask("concertId=2").await), default);
        assert_eq!(token(&ask("concertId=2").await), token(&ask("concertId=2").await));

        ask("concertId=11").await.assert_error(404, "CONCERT_NOT_FOUND");
        for bad in ["concertId=", "concertId=0", "concertId=x", "concertId=1.5", "concertId=1&concertId=2"] {
            ask(bad).await.assert_error(400, "INVALID_REQUEST");
        }
    });
}

#[test]
fn bodies_that_are_no_small_form_are_refused() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let ask = || app.ask("POST", TOKEN).header("userId", "7");
        ask().json(r#"{"concertId":1}"#).send().await.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        let form = |length| format!("concertId=1&padding={}", "x".repeat(length - "concertId=1&padding=".len()));
        let form_type = || ask().header("content-type", "application/x-www-form-urlencoded");
        form_type().body(form(LARGEST_BODY + 1)).send().await.assert_error(413, "PAYLOAD_TOO_LARGE");
        form_type().body(form(LARGEST_BODY)).send().await.data();
    });
}

#[test]
fn only_tokens_of_this_service_are_tokens() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let good = app.enter(1).await;
        let claim = app.claim(&good);
        let other_end = if good.ends_with('A') { "E" } else { "A" };
        let altered = format!("{}{other_end}", &good[..good.len() - 1]);
        let bad = [
            "",
            "token:1",
            &good[1..],
            &altered,
            &Signer::new(&[7; 32]).sign(&claim),
            &app.signer().sign(&Claim { queue: QueueId(99), ..claim }),
            // Authentic, but for places that were never given.
            &app.signer().sign(&Claim { place: claim.place + 1, ..claim }),
            &app.signer().sign(&Claim { user: user(2), place: u64::MAX, ..claim }),
        ];
        for token in bad {
            for answer in active_calls(&app, token).await {
                answer.assert_error(401, "INVALID_TOKEN");
            }
            app.rank(token).await.assert_error(401, "INVALID_TOKEN");
            app.leave(token).await.assert_error(401, "INVALID_TOKEN");
        }
        app.ask("GET", RANK).send().await.assert_error(401, "INVALID_TOKEN");
        app.ask("GET", RANK)
            .header("token", &good)
            .header("token", &good)
            .send()
            .await
            .assert_error(401, "INVALID_TOKEN");
        app.ask("GET", RANK).header("TOKEN", &good).send().await.data();
    });
}

const RANK_FIELDS: [&str; 6] = ["status", "rank", "ahead", "estimatedWaitSeconds", "pollAfterMillis", "expiresAt"];

/// What there is to say of a token that has ended.
#[track_caller]
fn assert_ended(rank: &Value, status: &str) {
    assert_fields(rank, &RANK_FIELDS);
    assert_eq!(rank["status"], status);
    assert_eq!((&rank["rank"], &rank["ahead"]), (&Value::Null, &json!(0)));
    assert_eq!((&rank["estimatedWaitSeconds"], &rank["expiresAt"]), (&Value::Null, &Value::Null));
}

/// That a token's end is so many seconds from now.
#[track_caller]
fn assert_expires_in(rank: &Value, seconds: i64) {
    let expires = chrono::DateTime::parse_from_rfc3339(rank["expiresAt"].as_str().unwrap()).unwrap();
    let left = expires.timestamp_millis() - chrono::Utc::now().timestamp_millis();
    assert!(((seconds - 10) * 1000..=seconds * 1000).contains(&left), "{left} ms left");
}

#[test]
fn the_rank_tells_what_a_token_is() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        let (first, second, third) = (app.enter(1).await, app.enter(2).await, app.enter(3).await);

        let answer = app.rank(&first).await;
        let active = answer.data();
        assert_fields(active, &RANK_FIELDS);
        assert_eq!((&active["status"], &active["rank"], &active["ahead"]), (&json!("ACTIVE"), &Value::Null, &json!(0)));
        assert_eq!(active["estimatedWaitSeconds"], json!({"low": 0, "high": 0}));
        assert_expires_in(active, 300);

        for (token, place) in [(&second, 0), (&third, 1)] {
            let answer = app.rank(token).await;
            let waiting = answer.data();
            assert_fields(waiting, &RANK_FIELDS);
            assert_eq!(waiting["status"], "WAITING");
            assert_eq!((&waiting["rank"], &waiting["ahead"]), (&json!(place), &json!(place)));
            let wait = &waiting["estimatedWaitSeconds"];
            assert_fields(wait, &["low", "high"]);
            assert!(wait["low"].as_u64().unwrap() <= wait["high"].as_u64().unwrap());
            let poll_after = waiting["pollAfterMillis"].as_u64().unwrap();
            assert!((500..=11_000).contains(&poll_after));
            assert_eq!(answer.header("retry-after"), poll_after.div_ceil(1000).to_string());
            assert_expires_in(waiting, 120);
        }

        assert_eq!(app.leave(&first).await.data(), &Value::Null);
        assert_ended(app.rank(&first).await.data(), "EXPIRED");
        app.promote().await;
        app.charge(2, super::PRICE).await.data();
        let reservation = app.hold(&second, 1, 1).await.reservation();
        app.pay(&second, reservation).await.payment();
        assert_ended(app.rank(&second).await.data(), "COMPLETED");
    });
}

#[test]
fn a_waiting_token_opens_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        let (_first, second) = (app.enter(1).await, app.enter(2).await);
        for answer in active_calls(&app, &second).await {
            answer.assert_error(403, "TOKEN_NOT_ACTIVE");
        }
        assert_eq!(app.number("SELECT count(*) FROM reservation_block").await, 0, "no reservation was begun");
    });
}

#[test]
fn one_live_token_a_user_and_queue() {
    block_on(async {
        let app = TestApp::without_jobs(&ONE).await;
        let (active, waiting) = (app.enter(1).await, app.enter(2).await);
        assert_eq!((app.enter(1).await, app.enter(2).await), (active.clone(), waiting.clone()));
        app.leave(&active).await.data();
        let again = app.enter(1).await;
        assert_ne!(again, active, "a token that has ended is not given again");
        assert_eq!(status(&app, &waiting).await, "ACTIVE", "it came earlier");
        assert_eq!(status(&app, &again).await, "WAITING");
        assert_eq!(status(&app, &active).await, "EXPIRED");
    });
}

#[test]
fn an_active_token_ends_with_its_time_and_frees_its_slot() {
    block_on(async {
        let app = TestApp::with(&["--max-active", "1", "--active-ttl-seconds", "1"]).await;
        let (first, second) = (app.enter(1).await, app.enter(2).await);
        let turn = async || status(&app, &second).await == "ACTIVE";
        eventually("the next is let in", Duration::from_secs(2) + SLACK, turn).await;
        assert_eq!(status(&app, &first).await, "EXPIRED");
        for answer in active_calls(&app, &first).await {
            answer.assert_error(401, "TOKEN_EXPIRED");
        }
        assert_ne!(app.enter(1).await, first);
    });
}

#[test]
fn who_is_not_seen_has_left_and_holds_nobody_up() {
    block_on(async {
        let app = TestApp::with(&["--max-active", "1", "--waiting-ttl-seconds", "2"]).await;
        let tokens = [app.enter(1).await, app.enter(2).await, app.enter(3).await, app.enter(4).await];
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(3500) {
            assert_eq!(app.rank(&tokens[2]).await.data()["status"], "WAITING", "asking for the rank is being seen");
            assert_eq!(app.enter(4).await, tokens[3], "entering again is being seen");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(status(&app, &tokens[1]).await, "EXPIRED", "it was not seen");
        assert_eq!(app.rank(&tokens[2]).await.data()["ahead"], 0, "nobody is held up");
        app.get("/api/v1/concerts/1/schedules", &tokens[1]).await.assert_error(401, "TOKEN_EXPIRED");

        app.leave(&tokens[0]).await.data();
        let turn = async || status(&app, &tokens[2]).await == "ACTIVE";
        eventually("the first who is there is let in", Duration::from_secs(1) + SLACK, turn).await;
        assert_ne!(app.enter(2).await, tokens[1]);
    });
}

#[test]
fn leaving_frees_slot_and_seats_at_once() {
    block_on(async {
        let app = TestApp::with(&ONE).await;
        let (first, second, third) = (app.enter(1).await, app.enter(2).await, app.enter(3).await);
        let held = [app.hold(&first, 1, 1).await.reservation(), app.hold(&first, 4, 151).await.reservation()];

        app.leave(&second).await.data();
        assert_eq!(app.rank(&third).await.data()["ahead"], 0, "a place is free at once");
        app.leave(&first).await.data();
        app.leave(&first).await.data();
        let turn = async || status(&app, &third).await == "ACTIVE";
        eventually("the next is let in", Duration::from_secs(1) + SLACK, turn).await;

        assert_eq!(app.free_seats(&third, 1).await.len(), 50, "held seats are given up");
        assert_eq!(app.free_seats(&third, 4).await.len(), 50);
        app.pay(&first, held[0]).await.assert_error(401, "TOKEN_EXPIRED");
        app.leave(&third).await.data();
        assert_eq!(status(&app, &app.enter(1).await).await, "ACTIVE", "room, and nobody waits");
    });
}

#[test]
fn no_faster_than_the_rate() {
    block_on(async {
        let app = TestApp::with(&["--admit-per-second", "1"]).await;
        let (first, second) = (app.enter(1).await, app.enter(2).await);
        assert_eq!(status(&app, &first).await, "ACTIVE");
        assert_eq!(status(&app, &second).await, "WAITING", "entering counts too");
        let turn = async || status(&app, &second).await == "ACTIVE";
        eventually("a second later", Duration::from_secs(2) + SLACK, turn).await;
    });
}
