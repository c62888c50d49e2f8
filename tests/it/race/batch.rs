//! Batches against batches, single payments and refunds of the same reservations.

use std::collections::HashSet;
use std::sync::Arc;

use super::{CROWD, two_instances};
use crate::support::{Answer, TestApp, at_once, block_on};

/// What the demo programme asks for the first ten seats of a schedule.
const PRICE: i64 = 200_000;

/// Holds of these seats of schedule 1, for a user with so much money.
async fn holder(app: &TestApp, user: i64, money: i64, seats: &[i64]) -> (String, Vec<i64>) {
    if money > 0 {
        app.charge(user, money).await.data();
    }
    let token = app.enter(user).await;
    let mut held = Vec::new();
    for seat in seats {
        held.push(app.hold(&token, 1, *seat).await.reservation());
    }
    (token, held)
}

/// Repeats a batch, as clients are told to, until it is answered otherwise.
async fn insist(app: &TestApp, token: &str, batch: &[i64]) -> Answer {
    loop {
        let answer = app.pay_many(token, batch).await;
        if answer.code() != "PAYMENT_IN_PROGRESS" {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[test]
fn forty_batches_over_the_same_reservations() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for round in 0..5 {
            let seats = [2 * round + 1, 2 * round + 2];
            let (token, held) = holder(&apps[0], 1, 2 * PRICE, &seats).await;
            let calls = (0..40).map(|number| {
                let (app, token, mut batch) = (Arc::clone(&apps[number % 2]), token.clone(), held.clone());
                if number % 4 < 2 {
                    batch.reverse();
                }
                async move { (batch[0], app.pay_many(&token, &batch).await) }
            });
            let mut paid = HashSet::new();
            for (first, answer) in at_once(calls).await {
                if answer.status != 200 {
                    answer.assert_error(409, "PAYMENT_IN_PROGRESS");
                    continue;
                }
                let mut payments = answer.payments();
                if first != held[0] {
                    payments.reverse();
                }
                paid.insert(payments);
            }
            assert_eq!(paid.len(), 1, "paid once, and answered the same: {paid:?}");
            assert_eq!(apps[1].balance(1).await, 0);
            assert_eq!(apps[1].rank(&token).await.data()["status"], "COMPLETED");
        }
        apps[0].audit().await;
    });
}

/// Every two of four reservations, in both orders, on two instances.
#[test]
fn crossing_batches_never_wait_in_a_circle() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for round in 0..5_i64 {
            let (token, held) = if round % 2 == 0 {
                holder(&apps[0], round + 1, 4 * PRICE, &[1, 2, 3, 4]).await
            } else {
                holder(&apps[0], round + 1, 4 * PRICE, &[4, 3, 2, 1]).await
            };
            let pairs: Vec<[i64; 2]> = held
                .iter()
                .flat_map(|one| held.iter().filter(move |other| *other != one).map(move |other| [*one, *other]))
                .collect();
            let calls = pairs.into_iter().zip(apps.iter().cycle()).map(|(pair, app)| {
                let (app, token) = (Arc::clone(app), token.clone());
                async move { (pair, insist(&app, &token, &pair).await) }
            });
            let mut paid = HashSet::new();
            for (pair, answer) in at_once(calls).await {
                paid.extend(pair.into_iter().zip(answer.payments()));
            }
            assert_eq!(paid.len(), 4, "each once");
            assert_eq!(apps[1].balance(round + 1).await, 0);
            assert_eq!(apps[1].rank(&token).await.data()["status"], "COMPLETED");
            for (_, payment) in paid {
                apps[0].refund(round + 1, payment).await.data();
            }
        }
        apps[0].audit().await;
    });
}

#[test]
fn a_batch_and_a_payment_of_one_of_them() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for round in 0..5 {
            let (token, held) = holder(&apps[0], round + 1, 2 * PRICE, &[2 * round + 1, 2 * round + 2]).await;
            let one = held[usize::try_from(round % 2).unwrap()];
            let calls = (0..8).map(|number| {
                let (app, token, batch) = (Arc::clone(&apps[number % 2]), token.clone(), held.clone());
                async move { if number < 4 { app.pay_many(&token, &batch).await } else { app.pay(&token, one).await } }
            });
            for answer in at_once(calls).await {
                assert!(answer.status == 200 || answer.code() == "PAYMENT_IN_PROGRESS", "{answer:?}");
            }
            let payments = apps[0].pay_many(&token, &held).await.payments();
            let at = held.iter().position(|id| *id == one).unwrap();
            assert_eq!(apps[1].pay(&token, one).await.payment(), payments[at], "one payment");
            assert_eq!(apps[0].balance(round + 1).await, 0, "taken once");
            assert_eq!(apps[0].rank(&token).await.data()["status"], "COMPLETED");
        }
        apps[0].audit().await;
    });
}

#[test]
fn a_batch_while_one_of_them_is_refunded() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for round in 0..5 {
            let seats = [2 * round + 1, 2 * round + 2];
            let (token, held) = holder(&apps[0], round + 1, 2 * PRICE, &seats).await;
            let buyer = round + 1;
            let first = apps[0].pay(&token, held[0]).await.payment();
            let calls = (0..20).map(|number| {
                let (app, token, batch) = (Arc::clone(&apps[number % 2]), token.clone(), held.clone());
                async move {
                    if number < 10 {
                        return (true, insist(&app, &token, &batch).await);
                    }
                    (false, app.refund(buyer, first).await)
                }
            });
            for (is_batch, answer) in at_once(calls).await {
                let payment = if is_batch { answer.payments()[0] } else { answer.payment() };
                assert_eq!(payment, first, "one payment, paid and given back");
            }
            assert_eq!(apps[0].balance(buyer).await, PRICE);
            assert!(apps[1].free_seats(&apps[1].enter(1000).await, 1).await.contains(&seats[0]));
        }
        apps[0].audit().await;
    });
}

#[test]
fn money_for_only_one_of_two_batches() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for round in 0..5 {
            let buyer = round + 1;
            let seats = [1, 2, 3, 4].map(|seat| if round % 2 == 0 { seat } else { seat + 4 });
            let (token, held) = holder(&apps[0], buyer, 3 * PRICE, &seats).await;
            let batches = [held[..2].to_vec(), held[2..].to_vec()];
            let calls = batches.clone().into_iter().zip(apps.iter()).map(|(batch, app)| {
                let (app, token) = (Arc::clone(app), token.clone());
                async move { app.pay_many(&token, &batch).await }
            });
            let answers = at_once(calls).await;
            let paid: Vec<bool> = answers.iter().map(|answer| answer.status == 200).collect();
            assert_eq!(paid.iter().filter(|paid| **paid).count(), 1, "{answers:?}");
            let refused = usize::from(paid[0]);
            answers[refused].assert_error(400, "INSUFFICIENT_BALANCE");
            assert_eq!(apps[0].balance(buyer).await, PRICE, "none in part");
            assert_eq!(apps[0].rank(&token).await.data()["status"], "ACTIVE");
            apps[1].charge(buyer, PRICE).await.data();
            apps[1].pay_many(&token, &batches[refused]).await.payments();
            for answer in [&answers[1 - refused], &apps[1].pay_many(&token, &batches[refused]).await] {
                for payment in answer.payments() {
                    apps[0].refund(buyer, payment).await.data();
                }
            }
            assert_eq!(apps[0].rank(&token).await.data()["status"], "COMPLETED");
        }
        apps[0].audit().await;
    });
}
