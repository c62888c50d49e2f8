//! A user's own reservations: listed, shown, given up.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NO_IDS, PRICE, assert_fields};
use crate::support::{Answer, SLACK, TestApp, block_on, eventually};

const OWN: &str = "/api/v1/reservations";

const FIELDS: [&str; 11] = [
    "reservationId",
    "concertId",
    "concertScheduleId",
    "date",
    "concertSeatId",
    "section",
    "row",
    "seatNumber",
    "price",
    "status",
    "expiresAt",
];

async fn one(app: &TestApp, token: &str, reservation: i64) -> Answer {
    app.get(&format!("{OWN}/{reservation}"), token).await
}

/// Id and status of each, in order.
async fn listed(app: &TestApp, token: &str) -> Vec<(i64, String)> {
    let answer = app.get(OWN, token).await;
    assert_fields(answer.data(), &["reservations"]);
    let own = answer.data()["reservations"].as_array().unwrap();
    let pair = |own: &Value| (own["reservationId"].as_i64().unwrap(), own["status"].as_str().unwrap().to_owned());
    own.iter().map(pair).collect()
}

fn pairs(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(id, status)| (*id, (*status).to_owned())).collect()
}

#[test]
fn a_reservation_from_the_hold_to_the_refund() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, PRICE).await.data();
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        assert!(listed(&app, &token).await.is_empty());
        let id = app.hold(&token, 4, 152).await.reservation();
        let shown = one(&app, &token, id).await;
        assert_fields(shown.data(), &FIELDS);
        let mut expected = shown.data().clone();
        assert!(expected["expiresAt"].as_str().is_some_and(|at| chrono::DateTime::parse_from_rfc3339(at).is_ok()));
        expected["expiresAt"] = Value::Null;
        let mut fields = json!({
            "reservationId": id, "concertId": 2, "concertScheduleId": 4,
            "date": app.evening(4).await, "concertSeatId": 152, "section": "R", "row": "A", "seatNumber": 2, "price": PRICE, "status": "HELD", "expiresAt": null
        });
        assert_eq!(expected, fields);
        assert_eq!(app.get(OWN, &token).await.data()["reservations"], json!([shown.data()]));
        one(&app, &other, id).await.assert_error(404, "RESERVATION_NOT_FOUND");
        assert!(listed(&app, &other).await.is_empty());

        let payment = app.pay(&token, id).await.payment();
        fields["status"] = "CONFIRMED".into();
        assert_eq!(one(&app, &token, id).await.data(), &fields, "with a token that the payment has ended");
        assert_eq!(app.get(OWN, &token).await.data()["reservations"], json!([fields]));
        one(&app, &other, id).await.assert_error(404, "RESERVATION_NOT_FOUND");

        app.refund(1, payment).await.data();
        fields["status"] = "CANCELLED".into();
        assert_eq!(one(&app, &token, id).await.data(), &fields);
        assert_eq!(app.get(OWN, &token).await.data()["reservations"], json!([fields]));
    });
}

#[test]
fn what_is_being_paid_is_not_held_any_more_nor_bought_yet() {
    block_on(async {
        let app = TestApp::without_jobs(&["--postgres-timeout-ms", "20000", "--request-timeout-ms", "30000"]).await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let id = app.hold(&token, 1, 1).await.reservation();
        let wallet = app.lock_wallet(1).await;
        let watch = async {
            app.one_waits().await;
            let shown = one(&app, &token, id).await;
            assert_eq!(shown.data()["status"], "PAYING");
            assert!(shown.data()["expiresAt"].is_string());
            assert_eq!(listed(&app, &token).await, pairs(&[(id, "PAYING")]));
            app.give_up(&token, id).await.assert_error(409, "PAYMENT_IN_PROGRESS");
            wallet.release().await;
        };
        let (paid, ()) = tokio::join!(app.pay(&token, id), watch);
        paid.payment();
        assert_eq!(listed(&app, &token).await, pairs(&[(id, "CONFIRMED")]));
    });
}

#[test]
fn the_list_is_newest_first_and_all_schedules() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, 5 * PRICE).await.data();
        let token = app.enter(1).await;
        let first = app.hold(&token, 1, 1).await.reservation();
        let second = app.hold(&token, 2, 51).await.reservation();
        app.pay(&token, second).await.payment();
        app.pay(&token, first).await.payment();
        let token = app.enter(1).await;
        let third = app.hold(&token, 3, 101).await.reservation();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let fourth = app.hold(&token, 1, 2).await.reservation();
        let expected = [(fourth, "HELD"), (third, "HELD"), (first, "CONFIRMED"), (second, "CONFIRMED")];
        assert_eq!(listed(&app, &token).await, pairs(&expected));

        app.forget_redis().await;
        assert_eq!(listed(&app, &token).await, pairs(&expected[2..]), "what a loss of Redis has taken is not there");
        one(&app, &token, third).await.assert_error(404, "RESERVATION_NOT_FOUND");
        assert_eq!(one(&app, &token, first).await.data()["status"], "CONFIRMED");
        app.give_up(&token, first).await.assert_error(409, "RESERVATION_EXPIRED");
        app.give_up(&token, third).await.assert_error(404, "RESERVATION_NOT_FOUND");
    });
}

#[test]
fn giving_up_frees_the_seat_at_once() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-holds-per-user", "1"]).await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        let id = app.hold(&token, 1, 1).await.reservation();
        app.give_up(&other, id).await.assert_error(404, "RESERVATION_NOT_FOUND");
        assert_eq!(app.free_seats(&token, 1).await.len(), 49);
        assert_eq!(app.give_up(&token, id).await.data(), &Value::Null);
        assert_eq!(app.free_seats(&token, 1).await.len(), 50);
        app.give_up(&token, id).await.data();
        assert_eq!(one(&app, &token, id).await.data()["status"], "CANCELLED");
        assert_eq!(one(&app, &token, id).await.data()["expiresAt"], Value::Null);
        app.pay(&token, id).await.assert_error(409, "RESERVATION_EXPIRED");

        let others = app.hold(&other, 1, 1).await.reservation();
        app.give_up(&token, id).await.data();
        assert_eq!(app.free_seats(&token, 1).await.len(), 49, "a late repetition frees nothing of another's");
        let next = app.hold(&token, 1, 2).await.reservation();
        assert!(next != id && others != id, "who gives up goes on");
        app.audit().await;
    });
}

#[test]
fn what_cannot_be_given_up() {
    block_on(async {
        let app = TestApp::without_jobs(&["--hold-ttl-seconds", "1"]).await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let lapsing = app.hold(&token, 1, 2).await.reservation();
        let id = app.hold(&token, 1, 1).await.reservation();
        let payment = app.pay(&token, id).await.payment();
        app.give_up(&token, id).await.assert_error(409, "RESERVATION_EXPIRED");
        assert_eq!(one(&app, &token, id).await.data()["status"], "CONFIRMED");
        app.refund(1, payment).await.data();
        app.give_up(&token, id).await.assert_error(409, "RESERVATION_EXPIRED");
        let lapsed = async || one(&app, &token, lapsing).await.data()["status"] == "EXPIRED";
        eventually("it lapses", Duration::from_secs(1) + SLACK, lapsed).await;
        app.give_up(&token, lapsing).await.assert_error(409, "RESERVATION_EXPIRED");
        assert_eq!(listed(&app, &token).await, pairs(&[(id, "CANCELLED")]));

        for method in ["GET", "DELETE"] {
            for bad in NO_IDS {
                let answer = app.call(method, &format!("{OWN}/{bad}"), &[("token", &token)], Value::Null).await;
                answer.assert_error(400, "INVALID_REQUEST");
            }
            for unknown in ["999999", "9007199254740991"] {
                let answer = app.call(method, &format!("{OWN}/{unknown}"), &[("token", &token)], Value::Null).await;
                answer.assert_error(404, "RESERVATION_NOT_FOUND");
            }
            let answer = app.call(method, &format!("{OWN}/{id}"), &[("token", "x")], Value::Null).await;
            answer.assert_error(401, "INVALID_TOKEN");
        }
        app.get(OWN, "x").await.assert_error(401, "INVALID_TOKEN");
    });
}
