//! A user's ledger and payments, by pages, newest first.

use chrono::DateTime;
use serde_json::{Value, json};

use super::{PRICE, assert_fields};
use crate::support::{Answer, TestApp, block_on};

const LEDGER: &str = "/api/v1/user-wallets/transactions";
const PAYMENTS: &str = "/api/v1/payments";

async fn list(app: &TestApp, user: i64, path: &str, query: &str) -> Answer {
    app.call("GET", &format!("{path}{query}"), &[("userId", &user.to_string())], Value::Null).await
}

/// All entries, by pages of this size.
async fn by_pages(app: &TestApp, user: i64, path: &str, list_name: &str, size: usize) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut query = format!("?size={size}");
    loop {
        let answer = list(app, user, path, &query).await;
        assert_fields(answer.data(), &[list_name, "nextCursor"]);
        let page = answer.data()[list_name].as_array().unwrap();
        entries.extend(page.iter().cloned());
        let Some(next) = answer.data()["nextCursor"].as_str() else { return entries };
        assert_eq!(page.len(), size, "only the last page is shorter");
        query = format!("?size={size}&cursor={next}");
    }
}

#[track_caller]
fn assert_time(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.len() == "2025-01-01T00:00:00.000Z".len() && text.ends_with('Z'), "{text}");
    let age = chrono::Utc::now() - DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    assert!(age.num_seconds().abs() < 60, "{text}");
}

/// A charge, two payments in one and one alone, one given back, and a charge.
async fn eventful(app: &TestApp, user: i64) -> (Vec<i64>, i64) {
    app.charge(user, 4 * PRICE).await.data();
    let token = app.enter(user).await;
    let mut held = Vec::new();
    for seat in [1, 2, 3] {
        held.push(app.hold(&token, 1, seat).await.reservation());
    }
    let mut paid = app.pay_many(&token, &held[..2]).await.payments();
    paid.push(app.pay(&token, held[2]).await.payment());
    app.refund(user, paid[1]).await.data();
    app.charge(user, 7).await.data();
    (paid, held[1])
}

#[test]
fn the_ledger_newest_first_with_the_balance_after_every_entry() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (paid, _) = eventful(&app, 1).await;
        app.charge(2, 1).await.data();
        let answer = list(&app, 1, LEDGER, "").await;
        assert_eq!(answer.data()["nextCursor"], Value::Null);
        let entries = answer.data()["transactions"].as_array().unwrap().clone();
        let fields = ["transactionId", "type", "amount", "balanceAfter", "paymentHistoryId", "createdAt"];
        for entry in &entries {
            assert_fields(entry, &fields);
            assert_time(&entry["createdAt"]);
        }
        let told: Vec<_> = entries
            .iter()
            .map(|entry| json!([entry["type"], entry["amount"], entry["balanceAfter"], entry["paymentHistoryId"]]))
            .collect();
        assert_eq!(
            told,
            [
                json!(["CHARGE", 7, 2 * PRICE + 7, null]),
                json!(["REFUND", PRICE, 2 * PRICE, paid[1]]),
                json!(["PAYMENT", -PRICE, PRICE, paid[2]]),
                json!(["PAYMENT", -PRICE, 2 * PRICE, paid[1]]),
                json!(["PAYMENT", -PRICE, 3 * PRICE, paid[0]]),
                json!(["CHARGE", 4 * PRICE, 4 * PRICE, null]),
            ]
        );
        for size in 1..=7 {
            assert_eq!(by_pages(&app, 1, LEDGER, "transactions", size).await, entries, "{size}");
        }
        assert_eq!(list(&app, 3, LEDGER, "").await.data(), &json!({ "transactions": [], "nextCursor": null }));
    });
}

#[test]
fn the_payments_newest_first_with_what_was_bought() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (paid, refunded) = eventful(&app, 1).await;
        let entries = by_pages(&app, 1, PAYMENTS, "payments", 100).await;
        let ids: Vec<_> = entries.iter().map(|entry| entry["paymentHistoryId"].as_i64().unwrap()).collect();
        assert_eq!(ids, [paid[2], paid[1], paid[0]]);
        for entry in &entries {
            assert_time(&entry["paidAt"]);
        }
        assert_time(&entries[1]["refundedAt"]);
        let mut second = entries[1].clone();
        let given_back = second.as_object_mut().unwrap();
        assert!(given_back.remove("paidAt").is_some() && given_back.remove("refundedAt").is_some());
        assert_eq!(
            second,
            json!({
                "paymentHistoryId": paid[1], "concertReservationId": refunded, "concertId": 1, "concertScheduleId": 1,
                "date": app.evening(1).await, "concertSeatId": 2, "section": "R", "row": "A", "seatNumber": 2,
                "amount": PRICE, "status": "REFUNDED",
            })
        );
        assert_eq!((&entries[0]["status"], &entries[0]["refundedAt"]), (&json!("PAID"), &Value::Null));
        for size in 1..=4 {
            assert_eq!(by_pages(&app, 1, PAYMENTS, "payments", size).await, entries, "{size}");
        }
        assert_eq!(list(&app, 2, PAYMENTS, "").await.data(), &json!({ "payments": [], "nextCursor": null }));
    });
}

#[test]
fn what_is_added_at_the_front_moves_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for amount in 1..=45 {
            app.charge(1, amount).await.data();
        }
        let amounts = |answer: &Answer| -> Vec<i64> {
            let entries = answer.data()["transactions"].as_array().unwrap().iter();
            entries.map(|entry| entry["amount"].as_i64().unwrap()).collect()
        };
        let first = list(&app, 1, LEDGER, "").await;
        assert_eq!(amounts(&first), (26..=45).rev().collect::<Vec<_>>(), "twenty unless asked otherwise");
        app.charge(1, 1000).await.data();
        let next = first.data()["nextCursor"].as_str().unwrap();
        let second = list(&app, 1, LEDGER, &format!("?cursor={next}&size=100")).await;
        assert_eq!(amounts(&second), (1..=25).rev().collect::<Vec<_>>());
        assert_eq!(list(&app, 2, LEDGER, &format!("?cursor={next}")).await.data()["transactions"], json!([]));
    });
}

#[test]
fn a_garbled_page_is_none() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for path in [LEDGER, PAYMENTS] {
            for bad in
                ["?size=0", "?size=101", "?size=-1", "?size=many", "?size=", "?cursor=", "?cursor=7", "?cursor=%F0"]
            {
                list(&app, 1, path, bad).await.assert_error(400, "INVALID_REQUEST");
            }
            app.ask("GET", path).send().await.assert_error(401, "USER_REQUIRED");
        }
    });
}
