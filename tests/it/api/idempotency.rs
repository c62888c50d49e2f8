//! `Idempotency-Key` on calls 4, 6 and 7: carried out once, answered the same for 24 hours.

use std::time::Duration;

use onsale::seat::Begun;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::PRICE;
use crate::support::{Answer, SLACK, TestApp, block_on, eventually, schedule, user};

const CHARGE: &str = "/api/v1/user-wallets/balance";
const HOLD: &str = "/api/v1/reservations/concert";
const PAY: &str = "/api/v1/payment/concert";

/// Time-outs that outlast what these tests let a request wait for.
const PATIENT: [&str; 4] = ["--postgres-timeout-ms", "10000", "--request-timeout-ms", "15000"];

/// An active user with money for one seat, and a hold on seat 1.
pub async fn holder(app: &TestApp, user: i64) -> (String, i64) {
    app.charge(user, PRICE).await.data();
    let token = app.enter(user).await;
    let reservation = app.hold(&token, 1, 1).await.reservation();
    (token, reservation)
}

pub async fn entries(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM wallet_ledger").await
}

pub async fn run(app: &TestApp, statement: &'static str) {
    app.pool().execute(statement).await.unwrap();
}

#[test]
fn a_repeated_charge_adds_once() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let first = app.charge_under("k", 1, 1000).await;
        first.data();
        first.assert_first();
        app.charge_under("k", 1, 1000).await.assert_replays(&first);
        second.charge_under("k", 1, 1000).await.assert_replays(&first);
        let ask = app.ask("PATCH", CHARGE).header("userId", "1").header("IDEMPOTENCY-KEY", "k");
        ask.json(" {\"note\":[1], \"amount\" : 1000 }\n").send().await.assert_replays(&first);
        app.charge_under("K", 1, 1000).await.assert_first();
        app.charge(1, 1000).await.assert_first();
        assert_eq!((app.balance(1).await, entries(&app).await, app.stored().await), (3000, 3, 2));
        app.audit().await;
    });
}

#[test]
fn a_repeated_hold_holds_once_and_is_answered_after_the_token_has_ended() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let token = app.enter(1).await;
        let first = app.hold_under("k", &token, 1, 1).await;
        first.reservation();
        first.assert_first();
        app.hold_under("k", &token, 1, 1).await.assert_replays(&first);
        let ask = app.ask("POST", HOLD).header("token", &token).header("Idempotency-Key", "k");
        ask.json(r#"{"concertSeatId":1,"x":{},"concertScheduleId":1}"#).send().await.assert_replays(&first);
        app.leave(&token).await.data();
        second.hold_under("k", &token, 1, 1).await.assert_replays(&first);
        app.hold(&token, 1, 1).await.assert_error(401, "TOKEN_EXPIRED");
        app.hold_under("other", &token, 1, 1).await.assert_error(401, "TOKEN_EXPIRED");
        let newer = app.enter(1).await;
        app.hold_under("k", &newer, 1, 1).await.assert_replays(&first);
        assert_eq!(app.free_seats(&newer, 1).await.len(), 50, "nothing is held anew");
        assert_eq!(app.stored().await, 1);
    });
}

#[test]
fn a_repeated_payment_takes_once_and_is_answered_after_the_token_has_ended() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let (token, reservation) = holder(&app, 1).await;
        app.charge(1, PRICE).await.data();
        let first = app.pay_under("k", &token, reservation).await;
        first.payment();
        first.assert_first();
        app.rank(&token).await.assert_first();
        app.pay_under("k", &token, reservation).await.assert_replays(&first);
        second.pay_under("k", &token, reservation).await.assert_replays(&first);
        app.forget_redis().await;
        app.pay_under("k", &token, reservation).await.assert_replays(&first);

        // Paid already: answered so, and that is kept too.
        for key in ["new", "newer"] {
            let again = app.pay_under(key, &token, reservation).await;
            assert_eq!(again.payment(), first.payment());
            again.assert_first();
            app.pay_under(key, &token, reservation).await.assert_replays(&again);
        }
        assert_eq!((app.balance(1).await, app.stored().await), (PRICE, 3));
        app.audit().await;
    });
}

#[test]
fn a_key_is_for_one_request() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, reservation) = holder(&app, 1).await;
        let other = app.hold_under("hold", &token, 1, 2).await.reservation();
        app.charge_under("charge", 1, PRICE).await.data();
        app.pay_under("pay", &token, reservation).await.payment();
        let before = (app.balance(1).await, entries(&app).await, app.stored().await);
        for _ in 0..2 {
            app.charge_under("charge", 1, PRICE + 1).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
            app.hold_under("hold", &token, 1, 3).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
            app.hold_under("hold", &token, 2, 2).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
            app.pay_under("pay", &token, other).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        }
        assert_eq!((app.balance(1).await, entries(&app).await, app.stored().await), before);
        assert_eq!(app.free_seats(&token, 1).await.len(), 48);
        app.audit().await;
    });
}

#[test]
fn a_key_is_a_users_and_a_calls_own() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for (user, seat) in [(1, 1), (2, 2)] {
            app.charge_under("!", user, PRICE).await.assert_first();
            let token = app.enter(user).await;
            let held = app.hold_under("!", &token, 1, seat).await;
            held.assert_first();
            let paid = app.pay_under("!", &token, held.reservation()).await;
            paid.payment();
            paid.assert_first();
        }
        assert_eq!((app.balance(1).await, app.balance(2).await, app.stored().await), (0, 0, 6));
        app.audit().await;
    });
}

#[test]
fn a_key_is_one_header_of_visible_ascii() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, reservation) = holder(&app, 1).await;
        let bodies = [
            ("PATCH", CHARGE, json!({"amount": 1000})),
            ("POST", HOLD, json!({"concertScheduleId": 1, "concertSeatId": 2})),
            ("POST", PAY, json!({"concertReservationId": reservation})),
        ];
        let visible: Vec<u8> = (0x21..=0x7E).collect();
        for key in [&visible[..64], &visible[visible.len() - 64..]] {
            let ask = || app.ask("PATCH", CHARGE).header("userId", "2").header("Idempotency-Key", key);
            let first = ask().json(r#"{"amount":7}"#).send().await;
            first.data();
            ask().json(r#"{"amount":7}"#).send().await.assert_replays(&first);
        }
        let too_long = [b'k'; 65];
        let bad: [&[u8]; 7] = [b"", b" ", b"a b", b"a\tb", b"k ", "é".as_bytes(), &too_long];
        for (method, path, body) in bodies {
            let ask = || app.ask(method, path).header("userId", "1").header("token", &token);
            for key in bad {
                let answer = ask().header("Idempotency-Key", key).json(body.to_string()).send().await;
                answer.assert_error(400, "INVALID_REQUEST");
            }
            for keys in [["k", "k"], ["k", "l"]] {
                let twice = ask().header("Idempotency-Key", keys[0]).header("Idempotency-Key", keys[1]);
                twice.json(body.to_string()).send().await.assert_error(400, "INVALID_REQUEST");
            }
        }
        assert_eq!((app.balance(1).await, app.stored().await), (PRICE, 2), "nothing changed");
        assert_eq!(app.free_seats(&token, 1).await.len(), 49);

        // Calls that change nothing of that kind do not look at it.
        let odd = |method, path: &str| {
            app.ask(method, path).header("Idempotency-Key", "a b").header("token", &token).header("userId", "1")
        };
        odd("GET", CHARGE).send().await.data();
        odd("GET", "/api/v1/concerts/schedules/1/seats").send().await.data();
        odd("POST", "/api/v1/queues/token").send().await.data();
        odd("DELETE", "/api/v1/queues/token").send().await.data();
    });
}

/// That a refusal is answered again even though the same request would now be granted.
async fn assert_kept(answer: Answer, code: &str, again: impl AsyncFn() -> Answer) {
    assert_eq!(answer.code(), code, "{answer:?}");
    answer.assert_first();
    again().await.assert_replays(&answer);
}

#[test]
fn refusals_of_charges_and_payments_are_kept() {
    block_on(async {
        let app = TestApp::with(&["--hold-ttl-seconds", "2"]).await;
        for amount in [0, -1, 100_000_001, i64::MAX] {
            let charge = async || app.charge_under(&format!("a{amount}"), 1, amount).await;
            assert_kept(charge().await, "INVALID_AMOUNT", charge).await;
        }
        run(&app, "INSERT INTO user_wallet VALUES (7, 1000000000000)").await;
        let charge = async || app.charge_under("limit", 7, 1).await;
        let refused = charge().await;
        run(&app, "DELETE FROM user_wallet WHERE user_id = 7").await;
        assert_kept(refused, "INVALID_AMOUNT", charge).await;
        assert_eq!(entries(&app).await, 0);

        let token = app.enter(1).await;
        let unknown = async || app.pay_under("unknown", &token, 999_999).await;
        assert_kept(unknown().await, "RESERVATION_NOT_FOUND", unknown).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let poor = async || app.pay_under("poor", &token, reservation).await;
        let refused = poor().await;
        app.charge(1, PRICE).await.data();
        assert_kept(refused, "INSUFFICIENT_BALANCE", poor).await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let token = app.enter(1).await;
        let late = async || app.pay_under("late", &token, reservation).await;
        assert_kept(late().await, "RESERVATION_EXPIRED", late).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        app.pay_under("rich", &token, reservation).await.payment();
        app.audit().await;
    });
}

#[test]
fn refusals_of_holds_are_kept() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-holds-per-user", "1"]).await;
        let (token, rival) = (app.enter(1).await, app.enter(2).await);
        app.add_queue("own", 2).await;
        let hold = async |key, schedule, seat| app.hold_under(key, &token, schedule, seat).await;
        assert_kept(hold("a", 999, 1).await, "SCHEDULE_NOT_FOUND", async || hold("a", 999, 1).await).await;
        assert_kept(hold("b", 1, 51).await, "SEAT_NOT_FOUND", async || hold("b", 1, 51).await).await;
        assert_kept(hold("c", 4, 151).await, "WRONG_QUEUE", async || hold("c", 4, 151).await).await;
        app.hold(&rival, 1, 1).await.reservation();
        let refused = hold("d", 1, 1).await;
        app.leave(&rival).await.data();
        assert_kept(refused, "SEAT_TAKEN", async || hold("d", 1, 1).await).await;
        app.hold(&token, 1, 2).await.reservation();
        assert_kept(hold("e", 1, 3).await, "HOLD_LIMIT", async || hold("e", 1, 3).await).await;
        assert_eq!((app.stored().await, app.free_seats(&token, 1).await.len()), (5, 49));
    });
}

#[test]
fn what_a_retry_could_cure_is_not_kept() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-active", "1", "--admit-per-second", "1000"]).await;
        // A body that is none.
        let ask = app.ask("PATCH", CHARGE).header("userId", "1").header("Idempotency-Key", "k");
        ask.json("{").send().await.assert_error(400, "INVALID_REQUEST");
        app.charge(1, PRICE).await.data();
        // A store that does not answer in time.
        let lock = app.lock_wallet(1).await;
        app.charge_under("k", 1, 1).await.assert_error(503, "UNAVAILABLE");
        lock.release().await;
        app.charge_under("k", 1, 2).await.assert_first();
        // A token that has to wait, and one that has ended.
        let (token, next) = (app.enter(1).await, app.enter(2).await);
        app.hold_under("k", &next, 1, 2).await.assert_error(403, "TOKEN_NOT_ACTIVE");
        app.pay_under("k", &next, 1).await.assert_error(403, "TOKEN_NOT_ACTIVE");
        let ask = || app.ask("POST", HOLD).header("token", &next);
        ask().json("{").send().await.assert_error(403, "TOKEN_NOT_ACTIVE");
        ask().header("Idempotency-Key", "k").json("{").send().await.assert_error(403, "TOKEN_NOT_ACTIVE");
        // A payment of the same reservation under way.
        let reservation = app.hold_under("k", &token, 1, 1).await.reservation();
        let id = reservation.try_into().unwrap();
        let begun = app.app.seats.begin_payment(schedule(1), user(1), id, None).await.unwrap();
        let Begun::Begun { position, attempt: number } = begun else { panic!("{begun:?}") };
        app.pay_under("k", &token, reservation).await.assert_error(409, "PAYMENT_IN_PROGRESS");
        let attempt = onsale::seat::Attempt { reservation: id, user: user(1), position, number };
        app.app.payments.reconcile(schedule(1), attempt).await.unwrap();
        let paid = app.pay_under("k", &token, reservation).await;
        paid.payment();
        paid.assert_first();
        app.pay_under("l", &token, 1_000_000).await.assert_error(401, "TOKEN_EXPIRED");
        app.promote().await;
        let held = app.hold_under("k", &next, 1, 2).await;
        held.reservation();
        held.assert_first();
        assert_eq!((app.balance(1).await, app.stored().await), (2, 4));
    });
}

#[test]
fn too_many_requests_are_not_kept() {
    block_on(async {
        let app = TestApp::without_jobs(&["--user-writes-per-second", "1"]).await;
        app.charge_under("a", 1, 1).await.data();
        app.charge_under("b", 1, 1).await.assert_error(429, "RATE_LIMITED");
        let admitted = async || app.charge_under("b", 1, 1).await.status == 200;
        eventually("admitted", Duration::from_secs(1) + SLACK, admitted).await;
        assert_eq!((app.balance(1).await, app.stored().await), (2, 2));
    });
}

#[test]
fn an_answer_is_kept_for_24_hours() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let first = app.charge_under("k", 1, 1000).await;
        run(&app, "UPDATE idempotency_key SET created_at = now() - interval '23 hours 59 minutes'").await;
        app.charge_under("k", 1, 1000).await.assert_replays(&first);
        app.charge_under("k", 1, 500).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        run(&app, "UPDATE idempotency_key SET created_at = now() - interval '24 hours 1 second'").await;
        let second = app.charge_under("k", 1, 500).await;
        second.assert_first();
        app.charge_under("k", 1, 500).await.assert_replays(&second);
        app.charge_under("k", 1, 1000).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!((app.balance(1).await, app.stored().await), (1500, 1));
        app.audit().await;
    });
}

/// So many answers of users from 1 on, this old.
async fn fill(app: &TestApp, from: i64, number: i64, age: &'static str) {
    sqlx::query(
        "INSERT INTO idempotency_key (user_id, call, key, fingerprint, status, body, created_at)
         SELECT id, 'CHARGE', 'k', decode(repeat('00', 32), 'hex'), 200, '{}', now() - $3::text::interval
         FROM generate_series($1, $1 + $2 - 1) AS id",
    )
    .bind(from)
    .bind(number)
    .bind(age)
    .execute(app.pool())
    .await
    .unwrap();
}

#[test]
fn what_is_older_is_swept_in_bounded_steps() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        fill(&app, 1, 2500, "24 hours").await;
        fill(&app, 10_001, 3, "23 hours 59 minutes").await;
        // What another sweep is at is passed over.
        let mut other = PgConnection::connect(&app.settings.stores.database_url).await.unwrap();
        other.execute("BEGIN; SELECT FROM idempotency_key WHERE user_id BETWEEN 1 AND 100 FOR UPDATE").await.unwrap();
        for deleted in [1000, 1000, 400, 0] {
            assert_eq!(app.app.idempotency.sweep().await.unwrap(), deleted);
        }
        other.execute("ROLLBACK").await.unwrap();
        assert_eq!(app.stored().await, 103);
        app.start_jobs().await;
        let swept = async || app.stored().await == 3;
        eventually("the scheduler sweeps", Duration::from_secs(2) + SLACK, swept).await;
    });
}

#[test]
fn a_key_is_in_use_while_its_first_request_runs() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let second = app.second().await;
        let (token, reservation) = holder(&app, 1).await;
        let lock = app.lock_wallet(1).await;
        let others = async {
            app.one_waits().await;
            for instance in [&app, &second] {
                for amount in [1000, 2000] {
                    let answer = instance.charge_under("k", 1, amount).await;
                    answer.assert_error(409, "IDEMPOTENCY_KEY_IN_USE");
                    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
                }
            }
            lock.release().await;
        };
        let (first, ()) = tokio::join!(app.charge_under("k", 1, 1000), others);
        first.data();
        second.charge_under("k", 1, 1000).await.assert_replays(&first);
        assert_eq!(app.balance(1).await, PRICE + 1000);

        let lock = app.lock_wallet(1).await;
        let others = async {
            app.one_waits().await;
            app.pay_under("k", &token, reservation).await.assert_error(409, "IDEMPOTENCY_KEY_IN_USE");
            second.pay_under("k", &token, reservation).await.assert_error(409, "PAYMENT_IN_PROGRESS");
            lock.release().await;
        };
        let (first, ()) = tokio::join!(app.pay_under("k", &token, reservation), others);
        first.payment();
        second.pay_under("k", &token, reservation).await.assert_replays(&first);
        assert_eq!(app.balance(1).await, 1000);
        app.audit().await;
    });
}

#[test]
fn a_client_that_goes_away_finds_its_answer_later() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        app.charge(1, 1).await.data();
        let lock = app.lock_wallet(1).await;
        let gone = tokio::time::timeout(Duration::from_millis(300), app.charge_under("k", 1, 1000)).await;
        assert!(gone.is_err(), "it waited for the wallet");
        app.charge_under("k", 1, 1000).await.assert_error(409, "IDEMPOTENCY_KEY_IN_USE");
        lock.release().await;
        let charged = async || app.balance(1).await == 1001;
        eventually("it is charged all the same", 2 * SLACK, charged).await;
        let answered = async || app.charge_under("k", 1, 1000).await.header("idempotent-replayed") == "true";
        eventually("its answer is there", SLACK, answered).await;
        assert_eq!(app.balance(1).await, 1001);
        app.audit().await;
    });
}
