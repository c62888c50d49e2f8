//! A Redis that has gone back to an older state: a replica that lacked writes and became the master, an append-only file
//! that lost its end. Postgres' truth prevails, and the seat map learns it.

use onsale::ids::ScheduleId;

use crate::support::{TestApp, block_on, schedule};

const PRICE: i64 = 200_000;

/// Schedule 1's keys as they were.
struct Former(Vec<String>);

impl Former {
    async fn keep(app: &TestApp) -> Self {
        let prefix = format!("{}:", app.settings.stores.key_prefix);
        let keys = app.app.readiness.redis.keys().schedule("default", schedule(1));
        let keys = keys.as_ref().iter().map(|key| key.strip_prefix(&prefix).unwrap().to_owned()).collect();
        let former = Self(keys);
        for key in &former.0 {
            app.redis(&["COPY", key, &format!("{prefix}{key}:former"), "REPLACE"]).await;
        }
        former
    }

    async fn bring_back(&self, app: &TestApp) {
        for key in &self.0 {
            app.redis(&["DEL", key]).await;
            let whole = format!("{}:{key}", app.settings.stores.key_prefix);
            app.redis(&["COPY", &format!("{key}:former"), &whole]).await;
        }
    }
}

#[test]
fn what_was_paid_before_is_not_paid_again_nor_refused() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let held = Former::keep(&app).await;
        let payment = app.pay(&token, reservation).await.payment();

        held.bring_back(&app).await;
        let token = app.enter(1).await;
        assert_eq!(
            app.pay(&token, reservation).await.payment(),
            payment,
            "the wallet is empty because of this payment"
        );
        assert_eq!(app.balance(1).await, 0);
        assert!(!app.free_seats(&app.enter(2).await, 1).await.contains(&1));
        app.audit().await;
    });
}

#[test]
fn a_seat_sold_to_another_is_refused_at_the_till_and_learnt() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, PRICE).await.data();
        app.charge(2, PRICE).await.data();
        let token = app.enter(1).await;
        app.free_seats(&token, 1).await;
        let free = Former::keep(&app).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        app.pay(&token, reservation).await.payment();

        free.bring_back(&app).await;
        let other = app.enter(2).await;
        let theirs = app.hold(&other, 1, 1).await.reservation();
        app.pay(&other, theirs).await.assert_error(409, "SEAT_TAKEN");
        assert_eq!(app.balance(2).await, PRICE);
        app.hold(&other, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        app.audit().await;
    });
}

#[test]
fn settling_marks_what_the_map_has_missed() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let one: ScheduleId = schedule(1);
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let other = app.enter(2).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        app.hold(&other, 1, 2).await.reservation();
        let held = Former::keep(&app).await;
        app.pay(&token, reservation).await.payment();
        assert_eq!(app.app.seats.settle(one).await.unwrap(), 0, "nothing is missing");

        held.bring_back(&app).await;
        assert_eq!(app.app.seats.settle(one).await.unwrap(), 1);
        assert_eq!(app.app.seats.settle(one).await.unwrap(), 0);
        assert_eq!(app.free_seats(&other, 1).await.len(), 48, "one sold, one held");
        app.audit().await;
    });
}
