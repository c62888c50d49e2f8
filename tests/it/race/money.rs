//! Many charges and payments of one wallet.

use std::collections::HashSet;
use std::sync::Arc;

use super::{CROWD, two_instances};
use crate::support::{Answer, TestApp, at_once, block_on};

/// What the demo programme asks for the first ten seats of a schedule.
const DEAR: i64 = 200_000;
/// And for the last ten.
const CHEAP: i64 = 50_000;

#[test]
fn two_hundred_charges_of_one_wallet() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let calls = (1..=200).zip(apps.iter().cycle()).map(|(amount, app)| {
            let app = Arc::clone(app);
            async move { app.charge(7, amount).await.data().is_null() }
        });
        assert_eq!(at_once(calls).await, [true; 200]);
        assert_eq!(apps[0].balance(7).await, 200 * 201 / 2);
        assert_eq!(apps[1].number("SELECT count(*) FROM wallet_ledger").await, 200);
        apps[0].audit().await;
    });
}

/// One payment asked for from all sides.
async fn pay_forty_times(apps: &[Arc<TestApp>; 2], token: &str, reservation: i64) -> Vec<Answer> {
    let calls = (0..40).map(|number| {
        let (app, token) = (Arc::clone(&apps[number % 2]), token.to_owned());
        async move { app.pay(&token, reservation).await }
    });
    at_once(calls).await
}

#[test]
fn forty_payments_of_one_reservation() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        apps[0].charge(1, 10 * DEAR).await.data();
        for round in 1..=5 {
            let token = apps[0].enter(1).await;
            let reservation = apps[0].hold(&token, 1, round).await.reservation();
            let answers = pay_forty_times(&apps, &token, reservation).await;
            let (paid, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
            let ids: HashSet<i64> = paid.iter().map(|answer| answer.payment()).collect();
            assert_eq!(ids.len(), 1, "one payment");
            for answer in refused {
                answer.assert_error(409, "PAYMENT_IN_PROGRESS");
            }
            assert_eq!(apps[1].balance(1).await, (10 - round) * DEAR, "taken once");
        }
        apps[0].audit().await;
    });
}

/// Ten holds of the cheapest seats of a schedule, and money for only four of them.
async fn ten_holds(app: &TestApp, user: i64, schedule: i64) -> (String, Vec<i64>) {
    app.charge(user, 4 * CHEAP + CHEAP - 1).await.data();
    let token = app.enter(user).await;
    let mut held = Vec::new();
    for number in 41..=50 {
        held.push(app.hold(&token, schedule, 50 * (schedule - 1) + number).await.reservation());
    }
    (token, held)
}

#[test]
fn money_for_only_some() {
    block_on(async {
        let apps = two_instances(&[&CROWD[..], &["--max-holds-per-user", "10"]].concat()).await;
        let users = [(1, 1), (2, 2)];
        let mut calls = Vec::new();
        for (user, schedule) in users {
            let (token, held) = ten_holds(&apps[0], user, schedule).await;
            for (reservation, app) in held.into_iter().zip(apps.iter().cycle()) {
                let (app, token) = (Arc::clone(app), token.clone());
                calls.push(async move { (user, app.pay(&token, reservation).await) });
            }
        }
        let answers = at_once(calls).await;
        for (user, schedule) in users {
            let answers = || answers.iter().filter(move |(payer, _)| *payer == user).map(|(_, answer)| answer);
            assert_eq!(answers().filter(|answer| answer.status == 200).count(), 4, "user {user}");
            assert_eq!(answers().filter(|answer| answer.code() == "INSUFFICIENT_BALANCE").count(), 6, "user {user}");
            assert_eq!(apps[0].balance(user).await, CHEAP - 1);
            let token = apps[0].enter(user).await;
            assert_eq!(apps[0].free_by_now(&token, schedule).await.len(), 40, "the others are held as before");
            assert_eq!(apps[1].rank(&token).await.data()["status"], "ACTIVE", "the token has seats to pay for yet");
        }
        apps[0].audit().await;
    });
}

#[test]
fn the_token_ends_with_the_last_of_many_payments_at_once() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        apps[0].charge(1, 100_000_000).await.data();
        for round in 0..10 {
            let token = apps[0].enter(1).await;
            let mut held = Vec::new();
            // Schedules 1 to 3, two seats of each.
            for (schedule, seat) in [(1, 1), (1, 2), (2, 51), (2, 52), (3, 101), (3, 102)] {
                held.push(apps[0].hold(&token, schedule, seat + 2 * round).await.reservation());
            }
            let calls = held.into_iter().zip(apps.iter().cycle()).map(|(reservation, app)| {
                let (app, token) = (Arc::clone(app), token.clone());
                async move { app.pay(&token, reservation).await.payment() }
            });
            let payments: HashSet<_> = at_once(calls).await.into_iter().collect();
            assert_eq!(payments.len(), 6);
            assert_eq!(apps[1].rank(&token).await.data()["status"], "COMPLETED");
        }
        apps[0].audit().await;
    });
}
