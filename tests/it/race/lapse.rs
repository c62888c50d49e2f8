//! A hold that lapses at the moment in which it is paid, while another user waits for the seat.

use std::sync::Arc;
use std::time::Duration;

use onsale::ids::ReservationId;

use super::{CROWD, two_instances};
use crate::support::{Answer, SLACK, TestApp, WAITING, block_on, eventually};

const PRICE: i64 = 200_000;
const SCHEDULE: i64 = 1;

/// How long a hold lives, and after which time it is paid for, in milliseconds: from what surely pays in time, by what may
/// or may not, to what surely does not.
const ROUNDS: [(u64, u64); 10] =
    [(5000, 0), (20, 10), (20, 14), (20, 15), (20, 16), (20, 17), (20, 18), (20, 19), (20, 20), (20, 30)];

/// Asks for the seat until it is had, or the holder's payment is decided and it was asked for once more.
async fn snatch(
    app: Arc<TestApp>,
    token: String,
    seat: i64,
    decided: tokio::sync::watch::Receiver<bool>,
) -> Option<i64> {
    loop {
        let last = *decided.borrow();
        let answer = app.hold(&token, SCHEDULE, seat).await;
        if answer.status == 200 {
            return Some(answer.reservation());
        }
        answer.assert_error(409, "SEAT_TAKEN");
        if last {
            return None;
        }
    }
}

/// One round: the holder pays, the rival snatches. Returns the holder's answer, and the rival's reservation and token.
async fn round(
    apps: &[Arc<TestApp>; 2],
    holder: i64,
    seat: i64,
    id: ReservationId,
    (life, delay): (u64, u64),
) -> (Answer, Option<i64>, String) {
    let rival = holder + 1000;
    for user in [holder, rival] {
        apps[0].charge(user, PRICE).await.data();
    }
    let (token, rivals) = (apps[0].enter(holder).await, apps[1].enter(rival).await);
    let (decided, watch) = tokio::sync::watch::channel(false);
    // For milliseconds, which the API cannot.
    apps[0].hold_named(&token, "1-0", seat, id, Duration::from_millis(life)).await;
    let snatch = tokio::spawn(snatch(Arc::clone(&apps[1]), rivals.clone(), seat, watch));
    tokio::time::sleep(Duration::from_millis(delay)).await;
    let answer = apps[0].pay(&token, id.get()).await;
    decided.send_replace(true);
    let snatched = snatch.await.unwrap();
    if snatched.is_some() {
        apps[0].pay(&token, id.get()).await.assert_error(409, "RESERVATION_EXPIRED");
    }
    (answer, snatched, rivals)
}

#[test]
fn a_hold_lapses_or_is_paid_but_never_both() {
    block_on(async {
        let apps = two_instances(&[&CROWD[..], &["--max-holds-per-user", "100"]].concat()).await;
        let mut ids = apps[0].unused_reservations(SCHEDULE).await;
        let (mut paid, mut lapsed) = (0, 0);
        for (seat, times) in (1..=30).zip(ROUNDS.into_iter().cycle()) {
            // Dearer seats first: those from 11 on cost less.
            let price = [200_000, 160_000, 120_000][usize::try_from((seat - 1) / 10).unwrap()];
            let (answer, snatched, rivals) = round(&apps, seat, seat, ids.next().unwrap(), times).await;
            let (holder, rival) = (seat, seat + 1000);
            if answer.status == 200 {
                paid += 1;
                assert_eq!(snatched, None, "seat {seat} was sold and then held");
                assert_eq!((apps[0].balance(holder).await, apps[0].balance(rival).await), (PRICE - price, PRICE));
            } else {
                lapsed += 1;
                answer.assert_error(409, "RESERVATION_EXPIRED");
                let reservation = snatched.expect("a lapsed seat is to be had");
                apps[1].pay(&rivals, reservation).await.payment();
                assert_eq!((apps[0].balance(holder).await, apps[0].balance(rival).await), (PRICE, PRICE - price));
            }
        }
        assert!(paid >= 3 && lapsed >= 3, "both happen: {paid} paid, {lapsed} lapsed");
        assert_eq!(apps[0].number("SELECT count(*) FROM reservation WHERE status = 'CONFIRMED'").await, 30);
        apps[0].audit().await;
    });
}

#[test]
fn a_token_that_ends_while_it_pays_is_not_told_that_nothing_was_paid() {
    block_on(async {
        let [app, other] = two_instances(&CROWD).await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, SCHEDULE, 1).await.reservation();
        let lock = app.lock_wallet(1).await;
        let paying = {
            let (app, token) = (Arc::clone(&app), token.clone());
            tokio::spawn(async move { app.pay(&token, reservation).await })
        };
        eventually("the payment waits", 2 * SLACK, async || app.number(WAITING).await == 1).await;
        other.leave(&token).await.data();
        other.pay(&token, reservation).await.assert_error(409, "PAYMENT_IN_PROGRESS");
        lock.release().await;
        let payment = paying.await.unwrap().payment();
        assert_eq!(other.pay(&token, reservation).await.payment(), payment);
        app.audit().await;
    });
}
