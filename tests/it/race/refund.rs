//! Refunds against refunds, payments, sales of the same seat, and what Redis forgets or never hears.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use onsale::ids::ReservationId;
use onsale::seat::{Attempt, Outcome};

use super::{CROWD, two_instances};
use crate::support::{Answer, SLACK, TestApp, WAITING, at_once, block_on, eventually, schedule, user};

const SCHEDULE: i64 = 1;

/// What the demo programme asks for the first ten seats of a schedule.
const PRICE: i64 = 200_000;

/// A sale of seat `seat` of the schedule to a user who had just the money for it.
struct Sale {
    token: String,
    user: i64,
    seat: i64,
    reservation: i64,
    payment: i64,
}

impl Sale {
    async fn make(app: &TestApp, user: i64, seat: i64) -> Self {
        app.charge(user, PRICE).await.data();
        let token = app.enter(user).await;
        let reservation = app.hold(&token, SCHEDULE, seat).await.reservation();
        let payment = app.pay(&token, reservation).await.payment();
        Self { token, user, seat, reservation, payment }
    }

    fn id(&self) -> ReservationId {
        self.reservation.try_into().unwrap()
    }

    fn position(&self) -> u32 {
        u32::try_from(self.seat - 1).unwrap()
    }

    /// The attempt that paid.
    fn attempt(&self) -> Attempt {
        Attempt { reservation: self.id(), user: user(self.user), position: self.position(), number: 1 }
    }

    /// What the API does not: only Postgres' half of the refund, as of an instance that died after it.
    async fn refund_in_postgres_only(&self, app: &TestApp) {
        let refund = "WITH cancelled AS (
                          UPDATE reservation SET status = 'CANCELLED', cancelled_at = now()
                          WHERE id = $1 AND status = 'CONFIRMED' RETURNING price
                      ), credit AS (
                          UPDATE user_wallet SET balance = balance + price FROM cancelled WHERE user_id = $2
                          RETURNING balance, price
                      ), refunded AS (
                          UPDATE payment_history SET status = 'REFUNDED', refunded_at = now() WHERE id = $3
                      )
                      INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
                      SELECT $2, 'REFUND', price, balance, $3 FROM credit";
        let refund = sqlx::query(refund).bind(self.reservation).bind(self.user).bind(self.payment);
        assert_eq!(refund.execute(app.pool()).await.unwrap().rows_affected(), 1);
    }
}

/// A seat's state in the map.
async fn state(app: &TestApp, seat: i64) -> char {
    let map = app.app.seats.audit(schedule(SCHEDULE), Duration::from_hours(1)).await.unwrap().unwrap();
    char::from(map.states[usize::try_from(seat - 1).unwrap()])
}

async fn settle(app: &TestApp) -> u32 {
    app.app.seats.settle(schedule(SCHEDULE), 0).await.unwrap().differed
}

#[test]
fn fifty_refunds_of_one_payment() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for round in 1..=5 {
            let sale = Sale::make(&apps[0], round, round).await;
            let (buyer, payment) = (sale.user, sale.payment);
            let calls = (0..50).map(|number| {
                let app = Arc::clone(&apps[number % 2]);
                async move { app.refund(buyer, payment).await }
            });
            for answer in at_once(calls).await {
                assert_eq!(answer.data()["amount"], PRICE);
            }
            assert_eq!(apps[1].balance(buyer).await, PRICE, "given back once");
            assert_eq!(state(&apps[0], sale.seat).await, 'F');
        }
        assert_eq!(apps[0].number("SELECT count(*) FROM wallet_ledger WHERE kind = 'REFUND'").await, 5);
        apps[0].audit().await;
    });
}

/// Refunds and payments of one wallet, each of which locks a reservation and then the wallet; and refunds and payments
/// of one seat, which wait for each other at its index.
#[test]
fn refunds_and_payments_of_one_wallet() {
    block_on(async {
        let apps = two_instances(&[&CROWD[..], &["--max-holds-per-user", "10"]].concat()).await;
        let mut sales = Vec::new();
        for seat in 1..=5 {
            sales.push(Sale::make(&apps[0], 1, seat).await);
        }
        let token = apps[0].enter(1).await;
        let mut held = Vec::new();
        for seat in 6..=10 {
            held.push(apps[0].hold(&token, SCHEDULE, seat).await.reservation());
        }
        let refunds =
            sales.iter().map(|sale| (sale.payment, None)).chain(held.iter().map(|held| (*held, Some(&token))));
        let calls = refunds.zip(apps.iter().cycle()).map(|((id, token), app)| {
            let (app, token) = (Arc::clone(app), token.cloned());
            async move {
                let Some(token) = token else { return app.refund(1, id).await };
                // Until the money is back there is none to pay with.
                loop {
                    let answer = app.pay(&token, id).await;
                    if answer.code() != "INSUFFICIENT_BALANCE" {
                        return answer;
                    }
                }
            }
        });
        let answers = at_once(calls).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        assert_eq!(apps[0].balance(1).await, 0);
        apps[0].audit().await;
    });
}

#[test]
fn paying_again_while_it_is_refunded() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for round in 1..=10 {
            let sale = Sale::make(&apps[0], round, round).await;
            let calls = (0..20).map(|number| {
                let (app, token) = (Arc::clone(&apps[number % 2]), sale.token.clone());
                let (buyer, reservation, payment) = (sale.user, sale.reservation, sale.payment);
                async move {
                    if number < 10 { app.pay(&token, reservation).await } else { app.refund(buyer, payment).await }
                }
            });
            let answers: HashSet<i64> = at_once(calls).await.iter().map(Answer::payment).collect();
            assert_eq!(answers, HashSet::from([sale.payment]), "one payment, paid and given back");
            assert_eq!((apps[0].balance(sale.user).await, state(&apps[1], sale.seat).await), (PRICE, 'F'));
        }
        apps[0].audit().await;
    });
}

#[test]
fn what_comes_late_leaves_the_seat_of_the_next_one() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let first = Sale::make(&app, 1, 1).await;
        app.refund(1, first.payment).await.data();
        let second = Sale::make(&app, 2, 1).await;

        app.refund(1, first.payment).await.data();
        app.app.seats.refund(schedule(SCHEDULE), first.id(), 0).await.unwrap();
        assert_eq!(state(&app, 1).await, 'S', "a late refund frees nothing");
        app.app.seats.finish_payment(schedule(SCHEDULE), &first.attempt(), Outcome::Paid, None).await.unwrap();
        app.refund(2, second.payment).await.data();
        assert_eq!(state(&app, 1).await, 'F', "nor has the late end of the first payment taken it");
        app.app.seats.finish_payment(schedule(SCHEDULE), &second.attempt(), Outcome::Paid, None).await.unwrap();
        assert_eq!(state(&app, 1).await, 'F');
        assert_eq!(settle(&app).await, 0, "there was nothing to mend");
        app.audit().await;
    });
}

#[test]
fn a_refund_that_redis_never_heard_of_is_settled() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (refunded, kept) = (Sale::make(&app, 1, 1).await, Sale::make(&app, 2, 2).await);
        assert_eq!(settle(&app).await, 0, "nothing is missing");
        refunded.refund_in_postgres_only(&app).await;
        assert_eq!((state(&app, 1).await, state(&app, 2).await), ('S', 'S'));
        assert_eq!(settle(&app).await, 1);
        assert_eq!((state(&app, 1).await, state(&app, 2).await), ('F', 'S'));
        assert_eq!(settle(&app).await, 0);
        app.hold(&app.enter(3).await, SCHEDULE, 1).await.reservation();
        app.refund(2, kept.payment).await.data();
        app.audit().await;
    });
}

#[test]
fn the_scheduler_settles_it_by_itself_or_the_one_who_asks_again_does() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (first, second) = (Sale::make(&app, 1, 1).await, Sale::make(&app, 2, 2).await);
        first.refund_in_postgres_only(&app).await;
        app.refund(1, first.payment).await.data();
        assert_eq!(state(&app, 1).await, 'F', "the lost answer is asked for again");
        second.refund_in_postgres_only(&app).await;
        app.start_jobs().await;
        // One of 30 schedules each quarter of a second.
        let freed = async || state(&app, 2).await == 'F';
        eventually("the job has come round", Duration::from_secs(20) + 2 * SLACK, freed).await;
        assert_eq!((app.balance(1).await, app.balance(2).await), (PRICE, PRICE));
        app.audit().await;
    });
}

#[test]
fn a_map_is_built_anew_with_what_was_refunded_free() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (first, second) = (Sale::make(&app, 1, 1).await, Sale::make(&app, 2, 2).await);
        app.refund(1, first.payment).await.data();
        app.forget_redis().await;
        let free = app.free_seats(&app.enter(3).await, SCHEDULE).await;
        assert_eq!((free.contains(&1), free.contains(&2)), (true, false));
        app.refund(2, second.payment).await.data();
        assert_eq!(state(&app, 2).await, 'F', "the map built anew knew whose it was");
        assert_eq!(settle(&app).await, 0);
        app.audit().await;
    });
}

/// Maps of before the seats' owners were kept, and seats that were marked as sold to somebody else.
#[test]
fn a_map_that_does_not_know_whose_its_seats_are_frees_them_all_the_same() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (first, _, third) =
            (Sale::make(&app, 1, 1).await, Sale::make(&app, 2, 2).await, Sale::make(&app, 3, 3).await);
        first.refund_in_postgres_only(&app).await;
        let keys = app.app.readiness.redis.keys().schedule("default", schedule(SCHEDULE));
        let prefix = format!("{}:", app.settings.stores.key_prefix);
        let by_seat = keys.as_ref()[4].strip_prefix(&prefix).unwrap();
        app.redis(&["DEL", by_seat]).await;
        assert_eq!(settle(&app).await, 1);
        assert_eq!([state(&app, 1).await, state(&app, 2).await], ['F', 'S']);
        app.refund(3, third.payment).await.data();
        assert_eq!(settle(&app).await, 1, "the script did not know that it was that one's");
        assert_eq!([state(&app, 2).await, state(&app, 3).await], ['S', 'F']);
        app.audit().await;
    });
}

/// A Redis gone back to a time when the seat was held, or being paid: the reservation can never be paid again.
#[test]
fn an_older_map_learns_that_what_it_held_was_refunded() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        // Gone back while held: who pays again gets the first answer, and the seat is free.
        let first = Sale::make(&app, 1, 1).await;
        let held = format!("H:0:1:{}:0", i64::MAX / 1_000_000);
        go_back(&app, &first, "H", &held, "lapses").await;
        first.refund_in_postgres_only(&app).await;
        assert_eq!(app.pay(&app.enter(1).await, first.reservation).await.payment(), first.payment);
        assert_eq!((state(&app, 1).await, app.balance(1).await), ('F', PRICE));
        // While being paid: the reconciler frees it.
        let second = Sale::make(&app, 2, 2).await;
        let paying = format!("P:1:2:{}:1", i64::MAX / 1_000_000);
        go_back(&app, &second, "P", &paying, "paying").await;
        second.refund_in_postgres_only(&app).await;
        app.app.payments.reconcile(schedule(SCHEDULE), second.attempt()).await.unwrap();
        assert_eq!((state(&app, 2).await, settle(&app).await), ('F', 0));
        app.audit().await;
    });
}

/// Makes the map what it was before a sale.
async fn go_back(app: &TestApp, sale: &Sale, state: &str, record: &str, ends: &str) {
    let prefix = format!("{}:", app.settings.stores.key_prefix);
    let keys = app.app.readiness.redis.keys().schedule("default", schedule(SCHEDULE));
    let key = |part: &str| {
        let key = keys.as_ref().iter().find(|key| key.ends_with(&format!(":{part}"))).unwrap();
        key.strip_prefix(&prefix).unwrap().to_owned()
    };
    let (position, reservation) = (sale.position().to_string(), sale.reservation.to_string());
    app.redis(&["SETRANGE", &key("seats"), &position, state]).await;
    app.redis(&["HSET", &key("holds"), &reservation, record]).await;
    app.redis(&["HSET", &key("by_user"), &sale.user.to_string(), &reservation]).await;
    app.redis(&["ZADD", &key(ends), "9000000000000", &reservation]).await;
}

/// The refund waits for the wallet while the seat is asked for: nobody gets it before the money is back.
#[test]
fn a_refund_under_way_keeps_the_seat_sold() {
    block_on(async {
        let app = Arc::new(TestApp::with(&CROWD).await);
        let sale = Sale::make(&app, 1, 1).await;
        let lock = app.lock_wallet(1).await;
        let refunding = {
            let app = Arc::clone(&app);
            tokio::spawn(async move { app.refund(1, sale.payment).await })
        };
        let waits = async || app.number(WAITING).await == 1;
        eventually("the refund waits for the wallet", SLACK, waits).await;
        app.hold(&app.enter(2).await, SCHEDULE, 1).await.assert_error(409, "SEAT_TAKEN");
        lock.release().await;
        refunding.await.unwrap().data();
        app.hold(&app.enter(2).await, SCHEDULE, 1).await.reservation();
        app.audit().await;
    });
}

/// One that goes away, and one whose answer is lost for want of time.
#[test]
fn a_client_that_goes_away_does_not_stop_a_refund_half_way() {
    block_on(async {
        let app = TestApp::without_jobs(&CROWD).await;
        let sale = Sale::make(&app, 1, 1).await;
        let lock = app.lock_wallet(1).await;
        let gone = tokio::time::timeout(Duration::from_millis(300), app.refund(1, sale.payment)).await;
        assert!(gone.is_err(), "it waited for the wallet");
        lock.release().await;
        let freed = async || state(&app, 1).await == 'F';
        eventually("it is refunded all the same", SLACK, freed).await;
        app.refund(1, sale.payment).await.data();
        assert_eq!(app.balance(1).await, PRICE);
        app.audit().await;
    });
}

#[test]
fn a_refund_that_ran_out_of_time_can_be_asked_for_again() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let sale = Sale::make(&app, 1, 1).await;
        let lock = app.lock_wallet(1).await;
        let answer = app.refund(1, sale.payment).await;
        answer.assert_error(503, "UNAVAILABLE");
        assert!(!answer.header("retry-after").is_empty());
        lock.release().await;
        app.refund(1, sale.payment).await.data();
        assert_eq!((app.balance(1).await, state(&app, 1).await), (PRICE, 'F'));
        app.audit().await;
    });
}

/// Seats bought, given back and bought again by all at once, on two instances, while the map is settled all the time.
#[test]
fn seats_that_go_round() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let buyers = (1..=8).zip(apps.iter().cycle()).map(|(buyer, app)| go_round(Arc::clone(app), buyer));
        let settling = {
            let app = Arc::clone(&apps[0]);
            tokio::spawn(async move {
                loop {
                    settle(&app).await;
                }
            })
        };
        at_once(buyers).await;
        settling.abort();
        assert_eq!(apps[0].number("SELECT count(*) FROM reservation WHERE status = 'CANCELLED'").await, 8 * 5);
        assert_eq!(settle(&apps[0]).await, 0);
        assert_eq!(apps[0].number("SELECT count(*) FROM reservation WHERE status = 'CONFIRMED'").await, 0);
        for buyer in 1..=8 {
            assert_eq!(apps[0].balance(buyer).await, PRICE);
        }
        // The last may have come back by way of the other instance.
        let token = apps[0].enter(1).await;
        let are_free = async || apps[0].free_seats(&token, SCHEDULE).await.len() == 50;
        eventually("all are free", Duration::from_millis(250) + SLACK, are_free).await;
        apps[0].audit().await;
    });
}

/// Buys one of two seats whenever it is to be had, and gives it back, five times.
async fn go_round(app: Arc<TestApp>, buyer: i64) {
    app.charge(buyer, PRICE).await.data();
    let (mut bought, mut seats) = (0, [1, 2].into_iter().cycle());
    while bought < 5 {
        let token = app.enter(buyer).await;
        let held = app.hold(&token, SCHEDULE, seats.next().unwrap()).await;
        if held.code() == "SEAT_TAKEN" {
            continue;
        }
        let paid = app.pay(&token, held.reservation()).await;
        app.refund(buyer, paid.payment()).await.data();
        bought += 1;
    }
}
