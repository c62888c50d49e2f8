//! Redis loses everything, again and again, while seats are held and paid for.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinHandle;

use super::{CROWD, two_instances};
use crate::support::{Answer, SLACK, TestApp, WAITING, WalletLock, at_once, block_on, eventually, schedule};

const BUYERS: i64 = 12;
const SCHEDULE: i64 = 1;

/// What the demo programme asks for seat 1.
const PRICE: i64 = 200_000;

/// Seat 1 sold to somebody else.
const THIRD: &str = "INSERT INTO reservation (id, user_id, concert_seat_id, status, price)
                     SELECT 9000000000000000, 9, id, 'CONFIRMED', price FROM concert_seat WHERE id = 1";

/// What another instance's change may take to show.
const SHOWS_WITHIN: Duration = Duration::from_millis(250);

/// What a client may be told while Redis forgets what it was told. None of it is a fault of ours (500), and all of it
/// tells the client what to do next.
const EXPECTED: [&str; 8] = [
    "SEAT_TAKEN",
    "HOLD_LIMIT",
    "TOKEN_EXPIRED",
    "TOKEN_NOT_ACTIVE",
    "RESERVATION_NOT_FOUND",
    "RESERVATION_EXPIRED",
    "PAYMENT_IN_PROGRESS",
    "UNAVAILABLE",
];

/// The answer of a success; none if it was refused as it may be.
fn expected(answer: Answer) -> Option<Answer> {
    if answer.status == 200 {
        return Some(answer);
    }
    assert!(EXPECTED.contains(&answer.code()), "{answer:?}");
    None
}

/// Buys seats, from the first on, until there are none; returns which it has paid for, and the payments.
async fn buy(app: Arc<TestApp>, user: i64) -> Vec<(i64, i64)> {
    let mut bought = Vec::new();
    for seat in (1..=50).cycle().skip(usize::try_from(4 * user).unwrap()).take(100) {
        let token = app.enter(user).await;
        let Some(held) = expected(app.hold(&token, SCHEDULE, seat).await) else { continue };
        if let Some(paid) = expected(app.pay(&token, held.reservation()).await) {
            bought.push((seat, paid.payment()));
        }
    }
    bought
}

/// Forgets until told to stop, now in the middle of a purchase, now between two, however slow the machine; returns how often.
async fn saboteur(app: Arc<TestApp>, stop: Arc<AtomicBool>) -> u32 {
    let mut times = 0;
    while !stop.load(Ordering::SeqCst) {
        app.forget_redis().await;
        times += 1;
        tokio::time::sleep(Duration::from_millis(15 * u64::from(1 + times % 8))).await;
    }
    times
}

#[test]
fn no_seat_is_sold_twice_whatever_redis_forgets() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for user in 1..=BUYERS {
            apps[0].charge(user, 100_000_000).await.data();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let saboteur = tokio::spawn(saboteur(Arc::clone(&apps[0]), Arc::clone(&stop)));
        let buyers = (1..=BUYERS).zip(apps.iter().cycle()).map(|(user, app)| buy(Arc::clone(app), user));
        let bought: Vec<(i64, i64)> = at_once(buyers).await.concat();
        stop.store(true, Ordering::SeqCst);
        assert!(saboteur.await.unwrap() > 5, "Redis has forgotten often");

        let seats: HashSet<i64> = bought.iter().map(|(seat, _)| *seat).collect();
        let payments: HashSet<i64> = bought.iter().map(|(_, payment)| *payment).collect();
        assert_eq!((seats.len(), payments.len()), (bought.len(), bought.len()), "a seat and a payment each");
        assert!(bought.len() > 20, "many were sold all the same: {}", bought.len());
        let confirmed = "SELECT concert_seat_id FROM reservation WHERE status = 'CONFIRMED'";
        let sold: Vec<i64> = sqlx::query_scalar(confirmed).fetch_all(apps[0].pool()).await.unwrap();
        assert!(seats.is_subset(&sold.iter().copied().collect()), "no payment that was acknowledged is lost");

        tokio::time::sleep(SHOWS_WITHIN).await;
        for app in &apps {
            let token = app.enter_active(1000).await;
            let free = app.free_seats(&token, SCHEDULE).await;
            assert!(free.iter().all(|seat| !sold.contains(seat)), "no sold seat is offered");
            for seat in &sold {
                app.hold(&token, SCHEDULE, *seat).await.assert_error(409, "SEAT_TAKEN");
            }
        }
        apps[0].audit().await;
    });
}

#[test]
fn a_map_is_built_anew_with_what_is_sold() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        apps[0].charge(1, 100_000_000).await.data();
        for seat in 1..=10 {
            let token = apps[0].enter_active(1).await;
            let reservation = apps[0].hold(&token, SCHEDULE, seat).await.reservation();
            apps[0].hold(&token, SCHEDULE, seat + 10).await.reservation();
            apps[0].pay(&token, reservation).await.payment();
            apps[0].forget_redis().await;
            let tokens = [apps[0].enter_active(2).await, apps[1].enter_active(3).await];
            tokio::time::sleep(SHOWS_WITHIN).await;
            for (app, token) in apps.iter().zip(&tokens) {
                let free = app.free_seats(token, SCHEDULE).await;
                assert_eq!(free, (seat + 1..=50).collect::<Vec<_>>(), "sold seats are sold, holds are forgotten");
            }
            assert!(apps[0].claim(&tokens[0]).place > apps[0].claim(&token).place, "places never repeat");
        }
        apps[0].audit().await;
    });
}

/// Two users with money and tokens for the same seat: the first's payment waits for its wallet, Redis forgets, and the
/// second holds the seat too. Returns the first's payment under way, the lock that it waits for, and the second's token
/// and reservation.
async fn two_hold_one_seat(app: &Arc<TestApp>) -> (JoinHandle<Answer>, WalletLock, String, i64) {
    for user in [1, 2] {
        app.charge(user, PRICE).await.data();
    }
    let first = app.enter(1).await;
    let reservation = app.hold(&first, SCHEDULE, 1).await.reservation();
    let lock = app.lock_wallet(1).await;
    let paying = {
        let app = Arc::clone(app);
        tokio::spawn(async move { app.pay(&first, reservation).await })
    };
    let begun = async || state(app).await == 'P';
    eventually("the first pays", 2 * SLACK, begun).await;
    app.one_waits().await;
    app.forget_redis().await;
    let second = app.enter_active(2).await;
    let held = app.hold(&second, SCHEDULE, 1).await.reservation();
    (paying, lock, second, held)
}

/// What the map says of seat 1.
async fn state(app: &TestApp) -> char {
    let map = app.app.seats.audit(schedule(SCHEDULE), Duration::from_hours(1)).await.unwrap();
    char::from(map.unwrap().states[0])
}

#[test]
fn a_payment_under_way_wins_over_a_hold_that_came_after_the_loss() {
    block_on(async {
        // The second pays at once, or not before its hold is over, which must not free what is sold.
        for wait in [Duration::ZERO, Duration::from_millis(2600)] {
            let app = Arc::new(TestApp::with(&[&CROWD[..], &["--hold-ttl-seconds", "2"]].concat()).await);
            let (paying, lock, second, held) = two_hold_one_seat(&app).await;
            lock.release().await;
            paying.await.unwrap().payment();
            tokio::time::sleep(wait).await;
            assert_eq!(state(&app).await, 'S');
            let refused = app.pay(&second, held).await;
            assert!(
                ["SEAT_TAKEN", "RESERVATION_EXPIRED", "PAYMENT_IN_PROGRESS"].contains(&refused.code()),
                "{refused:?}"
            );
            assert_eq!((app.balance(1).await, app.balance(2).await, state(&app).await), (0, PRICE, 'S'));
            app.audit().await;
        }
    });
}

#[test]
fn a_payment_that_came_after_the_loss_may_overtake_the_one_under_way() {
    block_on(async {
        let app = Arc::new(TestApp::with(&CROWD).await);
        let (paying, lock, second, held) = two_hold_one_seat(&app).await;
        // The first waits for its wallet and has nothing yet that anybody else could wait for.
        app.pay(&second, held).await.payment();
        lock.release().await;
        paying.await.unwrap().assert_error(409, "SEAT_TAKEN");
        assert_eq!((app.balance(1).await, app.balance(2).await, state(&app).await), (PRICE, 0, 'S'));
        app.audit().await;
    });
}

#[test]
fn of_two_payments_for_a_seat_that_wait_for_a_third_one_is_made() {
    block_on(async {
        let app = Arc::new(TestApp::with(&CROWD).await);
        let mut third = PgConnection::connect(&app.settings.stores.database_url).await.unwrap();
        let (paying, lock, second, held) = two_hold_one_seat(&app).await;
        third.execute("BEGIN").await.unwrap();
        third.execute(THIRD).await.unwrap();
        lock.release().await;
        // By itself and in a set: two statements that could wait for each other in a circle.
        eventually("the first waits for the seat", SLACK, async || app.number(WAITING).await == 1).await;
        let undo = async {
            eventually("both wait for the seat", SLACK, async || app.number(WAITING).await == 2).await;
            third.execute("ROLLBACK").await.unwrap();
        };
        let (second, ()) = tokio::join!(app.pay(&second, held), undo);
        let answers = [paying.await.unwrap(), second];
        let paid = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(paid, 1, "{answers:?}");
        assert!(answers.iter().any(|answer| answer.code() == "SEAT_TAKEN"), "{answers:?}");
        assert_eq!(app.balance(1).await + app.balance(2).await, PRICE);
        app.audit().await;
    });
}
