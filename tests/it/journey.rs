//! One visitor buys one ticket, by the seven documented calls.

use serde_json::{Value, json};

use crate::support::{TestApp, block_on};

#[test]
fn a_visitor_buys_a_ticket() {
    block_on(async {
        let app = TestApp::start().await;

        let token = app.enter(1).await;
        assert_eq!(app.enter(1).await, token, "asking again gives the same token");
        assert_eq!(app.rank(&token).await.data()["status"], "ACTIVE");

        let schedules = app.get("/api/v1/concerts/1/schedules", &token).await;
        let ids: Vec<_> = schedules.data()["schedules"].as_array().unwrap().iter().collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(ids[0]["concertScheduleId"], 1);

        let seats = app.get("/api/v1/concerts/schedules/1/seats", &token).await;
        assert_eq!(seats.data()["seats"].as_array().unwrap().len(), 50);
        assert_eq!(seats.data()["seats"][0], json!({"concertSeatId": 1, "seatNumber": 1}));

        let reservation = app.hold(&token, 1, 1).await.reservation();
        assert!(!app.free_seats(&token, 1).await.contains(&1), "a held seat is not free");

        app.pay(&token, reservation).await.assert_error(400, "INSUFFICIENT_BALANCE");
        assert_eq!(app.charge(1, 300_000).await.data(), &Value::Null);
        let payment = app.pay(&token, reservation).await.payment();
        assert_eq!(app.balance(1).await, 100_000);

        assert_eq!(app.pay(&token, reservation).await.payment(), payment, "paying again pays nothing");
        assert_eq!(app.balance(1).await, 100_000);
        assert_eq!(app.rank(&token).await.data()["status"], "COMPLETED");
        app.get("/api/v1/concerts/1/schedules", &token).await.assert_error(401, "TOKEN_EXPIRED");
        app.audit().await;
    });
}
