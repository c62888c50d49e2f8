//! Payments that nobody finishes: Postgres' truth decides what becomes of them, and where it has none, a tombstone.

use std::time::Duration;

use onsale::ids::ReservationId;
use onsale::postgres::Connections;
use onsale::seat::{Attempt, Begun};

use crate::support::{SLACK, TestApp, at_once, block_on, eventually, schedule, user};

const PRICE: i64 = 200_000;

/// What the first attempt to pay writes, all or nothing, as its own statement does.
const PAY: &str = "
    WITH confirmed AS (
        INSERT INTO reservation AS had (id, user_id, concert_seat_id, status, price, attempt)
        SELECT $1, $2, $3, 'CONFIRMED', 200000, 1 FROM user_wallet WHERE user_id = $2 AND balance >= 200000
        ON CONFLICT (id) DO UPDATE SET status = 'CONFIRMED', attempt = excluded.attempt
            WHERE had.status = 'ABORTED' AND had.attempt < excluded.attempt
        RETURNING id
    ), debit AS (
        UPDATE user_wallet SET balance = balance - 200000 FROM confirmed WHERE user_id = $2 RETURNING balance
    ), paid AS (
        INSERT INTO payment_history (reservation_id, user_id, amount, queue_id, queue_place)
        SELECT $1, $2, 200000, 1, $4 FROM debit RETURNING id
    )
    INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
    SELECT $2, 'PAYMENT', -200000, debit.balance, paid.id FROM paid, debit";

/// A payment for a seat of schedule 1 that began, and of which nobody knows more.
struct Abandoned {
    token: String,
    place: i64,
    user: i64,
    seat: i64,
    reservation: i64,
}

impl Abandoned {
    async fn begin(app: &TestApp, payer: i64, seat: i64) -> Self {
        app.charge(payer, PRICE).await.data();
        let token = app.enter(payer).await;
        let reservation = app.hold(&token, 1, seat).await.reservation();
        let begun = app.app.seats.begin_payment(schedule(1), user(payer), id(reservation), None).await.unwrap();
        assert!(matches!(begun, Begun::Begun { .. }), "{begun:?}");
        Self { place: app.claim(&token).place.cast_signed(), token, user: payer, seat, reservation }
    }

    /// What the sweep finds.
    fn found(&self) -> Attempt {
        let position = u32::try_from(self.seat - 1).unwrap();
        Attempt { reservation: id(self.reservation), user: user(self.user), position, number: 1 }
    }

    /// The statement of the payment that began; whether it took the money.
    async fn pay_late(&self, pool: &Connections) -> Result<bool, sqlx::Error> {
        let pay = sqlx::query(PAY).bind(self.reservation).bind(self.user).bind(self.seat).bind(self.place);
        pay.execute(pool).await.map(|done| done.rows_affected() == 1)
    }
}

fn id(id: i64) -> ReservationId {
    id.try_into().unwrap()
}

/// The seat's state in the map.
async fn state(app: &TestApp, seat: i64) -> char {
    let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap().unwrap();
    char::from(map.states[usize::try_from(seat - 1).unwrap()])
}

async fn row(app: &TestApp, reservation: i64) -> String {
    let status = sqlx::query_scalar("SELECT status FROM reservation WHERE id = $1").bind(reservation);
    status.fetch_one(app.pool()).await.unwrap()
}

#[test]
fn what_is_paid_is_sold() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let abandoned = Abandoned::begin(&app, 1, 1).await;
        app.pay(&abandoned.token, abandoned.reservation).await.assert_error(409, "PAYMENT_IN_PROGRESS");
        assert_eq!(abandoned.pay_late(app.pool()).await.ok(), Some(true));
        for _ in 0..2 {
            app.app.payments.reconcile(schedule(1), abandoned.found()).await.unwrap();
            assert_eq!((state(&app, 1).await, &*row(&app, abandoned.reservation).await), ('S', "CONFIRMED"));
        }
        assert_eq!(app.balance(1).await, 0);
        assert_eq!(app.rank(&abandoned.token).await.data()["status"], "COMPLETED", "its token has done its work");
        app.pay(&abandoned.token, abandoned.reservation).await.payment();
        app.hold(&app.enter(2).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        app.audit().await;
    });
}

#[test]
fn what_is_not_paid_is_held_again_and_the_late_attempt_takes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let abandoned = Abandoned::begin(&app, 1, 1).await;
        for _ in 0..2 {
            app.app.payments.reconcile(schedule(1), abandoned.found()).await.unwrap();
            assert_eq!((state(&app, 1).await, &*row(&app, abandoned.reservation).await), ('H', "ABORTED"));
        }
        assert_eq!(abandoned.pay_late(app.pool()).await.ok(), Some(false));
        assert_eq!(app.balance(1).await, PRICE, "nothing was taken");
        app.hold(&app.enter(2).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");

        let payment = app.pay(&abandoned.token, abandoned.reservation).await.payment();
        assert_eq!((app.balance(1).await, &*row(&app, abandoned.reservation).await), (0, "CONFIRMED"));
        app.charge(1, PRICE).await.data();
        assert_eq!(abandoned.pay_late(app.pool()).await.ok(), Some(false), "not even now");
        app.app.payments.reconcile(schedule(1), abandoned.found()).await.unwrap();
        assert_eq!(app.pay(&abandoned.token, abandoned.reservation).await.payment(), payment);
        assert_eq!((app.balance(1).await, state(&app, 1).await), (PRICE, 'S'));
        app.audit().await;
    });
}

#[test]
fn payment_or_tombstone_whoever_is_first() {
    block_on(async {
        let app = std::sync::Arc::new(TestApp::without_jobs(&["--user-writes-per-second", "0"]).await);
        let (mut sold, mut held) = (0, 0);
        for round in 1..=10 {
            let abandoned = std::sync::Arc::new(Abandoned::begin(&app, round, round).await);
            let both = [true, false].map(|pays| {
                let (app, abandoned) = (app.clone(), abandoned.clone());
                async move {
                    if pays {
                        // Which of the two is faster varies from round to round.
                        tokio::time::sleep(Duration::from_micros(400 * round.unsigned_abs())).await;
                        return matches!(abandoned.pay_late(app.pool()).await, Ok(true));
                    }
                    app.app.payments.reconcile(schedule(1), abandoned.found()).await.is_ok()
                }
            });
            let answers = at_once(both).await;
            assert!(answers[1], "reconciling never fails");
            let (balance, seat) = (app.balance(round).await, state(&app, round).await);
            if answers[0] {
                sold += 1;
                assert_eq!((balance, seat), (0, 'S'), "round {round}");
            } else {
                held += 1;
                assert_eq!((balance, seat), (PRICE, 'H'), "round {round}");
            }
        }
        assert_eq!(sold + held, 10);
        app.audit().await;
    });
}

#[test]
fn the_scheduler_finds_them() {
    block_on(async {
        let app = TestApp::with(&["--hold-ttl-seconds", "1"]).await;
        let (paid, unpaid) = (Abandoned::begin(&app, 1, 1).await, Abandoned::begin(&app, 2, 2).await);
        paid.pay_late(app.pool()).await.unwrap();
        // However long ago the hold would have lapsed, a payment under way keeps the seat.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(state(&app, 2).await, 'P');
        let settled = async || (state(&app, 1).await, state(&app, 2).await) == ('S', 'F');
        eventually("both are settled", Duration::from_secs(5) + 2 * SLACK, settled).await;
        app.pay(&paid.token, paid.reservation).await.payment();
        app.pay(&unpaid.token, unpaid.reservation).await.assert_error(409, "RESERVATION_EXPIRED");
        app.audit().await;
    });
}
