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
        assert_eq!(app.app.seats.settle(one, 0).await.unwrap().differed, 0, "nothing is missing");

        held.bring_back(&app).await;
        assert_eq!(app.app.seats.settle(one, 0).await.unwrap().differed, 1);
        assert_eq!(app.app.seats.settle(one, 0).await.unwrap().differed, 0);
        assert_eq!(app.free_seats(&other, 1).await.len(), 48, "one sold, one held");
        app.audit().await;
    });
}

/// Puts a seat of a schedule into the map as sold, which it is not.
async fn mark_sold(app: &TestApp, id: i64, position: usize) {
    let prefix = format!("{}:", app.settings.stores.key_prefix);
    let keys = app.app.readiness.redis.keys().schedule("default", schedule(id));
    let seats = keys.as_ref().iter().find(|key| key.ends_with(":seats")).unwrap();
    app.redis(&["SETRANGE", seats.strip_prefix(&prefix).unwrap(), &position.to_string(), "S"]).await;
}

#[test]
fn settling_goes_through_every_schedule_a_part_at_a_time() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (large, seats) = app.add_schedule(1, 9, 6000).await;
        let token = app.enter(1).await;
        for id in [1, large] {
            app.free_seats(&token, id).await;
        }
        let unknown = 999_999;
        let next = async || {
            let programme = [1, unknown, large].map(schedule);
            app.app.seats.settle_next(programme.into_iter()).await.ok()
        };
        for (id, positions) in [(1, &[0, 49][..]), (large, &[0, 2499, 2500, 5999])] {
            for position in positions {
                mark_sold(&app, id, *position).await;
            }
        }
        assert_eq!([next().await, next().await], [Some(2), None], "one that there is not keeps nobody waiting");
        assert_eq!([next().await, next().await, next().await], [Some(2), Some(1), Some(1)]);
        assert_eq!(app.free_seats(&token, large).await.len(), seats.len());
        mark_sold(&app, 1, 7).await;
        assert_eq!(next().await, Some(1), "it begins again");
        assert_eq!(app.app.seats.settle_next([].into_iter()).await.unwrap(), 0, "there may be no schedule");
        app.audit().await;
    });
}
