//! Many for one seat, and one for many.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use onsale::queue::Standing;

use super::{CROWD, enter_all, two_instances};
use crate::support::{Answer, at_once, block_on};

/// Splits the answers into the reservations of those that were successes, and the codes of the others.
fn sorted(answers: &[Answer]) -> (Vec<i64>, Vec<&str>) {
    let (held, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    (held.iter().map(|answer| answer.reservation()).collect(), refused.iter().map(|answer| answer.code()).collect())
}

#[test]
fn a_hundred_for_one_seat() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let tokens = enter_all(&apps[0], 1..=100).await;
        for seat in 1..=5 {
            let calls = tokens.iter().zip(apps.iter().cycle()).map(|(token, app)| {
                let (app, token) = (Arc::clone(app), token.clone());
                async move { app.hold(&token, 1, seat).await }
            });
            let answers = at_once(calls).await;
            let (held, refused) = sorted(&answers);
            assert_eq!(held.len(), 1, "exactly one wins seat {seat}");
            assert_eq!(refused, ["SEAT_TAKEN"; 99]);
        }
        assert_eq!(apps[1].free_by_now(&tokens[0], 1).await.len(), 45);
        apps[0].audit().await;
    });
}

#[test]
fn one_user_for_one_seat() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let token = apps[0].enter(1).await;
        let calls = (0..40).map(|number| {
            let (app, token) = (Arc::clone(&apps[number % 2]), token.clone());
            async move { app.hold(&token, 1, 1).await.reservation() }
        });
        let held: HashSet<_> = at_once(calls).await.into_iter().collect();
        assert_eq!(held.len(), 1, "the same seat, the same reservation");
        apps[0].audit().await;
    });
}

#[test]
fn nobody_holds_more_than_one_may() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for user in 1..=5 {
            let token = apps[0].enter(user).await;
            let calls = (1..=50).zip(apps.iter().cycle()).map(|(seat, app)| {
                let (app, token) = (Arc::clone(app), token.clone());
                async move { app.hold(&token, 1, seat).await }
            });
            let answers = at_once(calls).await;
            let (held, refused) = sorted(&answers);
            assert_eq!(held.iter().collect::<HashSet<_>>().len(), 4);
            assert!(refused.iter().all(|code| ["HOLD_LIMIT", "SEAT_TAKEN"].contains(code)), "{refused:?}");
            assert_eq!(apps[1].free_by_now(&token, 1).await.len(), 50 - 4 * usize::try_from(user).unwrap());
        }
        apps[0].audit().await;
    });
}

#[test]
fn holding_while_leaving_leaves_nothing_held() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let watcher = apps[0].enter(1000).await;
        for user in 1..=40 {
            let token = apps[0].enter(user).await;
            let seats = (1..=3).zip(apps.iter().cycle());
            let hold = seats.map(|(seat, app)| {
                let (app, token) = (Arc::clone(app), token.clone());
                tokio::spawn(async move { app.hold(&token, 2, 50 + seat).await })
            });
            let holds: Vec<_> = hold.collect();
            apps[usize::from(user % 2 == 0)].leave(&token).await.data();
            for hold in holds {
                let answer = hold.await.unwrap();
                assert!(answer.status == 200 || answer.code() == "TOKEN_EXPIRED", "{answer:?}");
            }
            assert_eq!(apps[0].free_by_now(&watcher, 2).await.len(), 50, "a token that has left holds nothing");
        }
        apps[0].audit().await;
    });
}

/// Before and after the payment ends the token, and at all moments between.
#[test]
fn a_seat_that_is_held_while_the_token_pays_is_held_under_a_live_token_or_not_at_all() {
    block_on(async {
        const PRICE: i64 = 200_000;
        let apps = two_instances(&CROWD).await;
        let (mut kept, mut refused) = (0, 0);
        for user in 1..=24 {
            let token = apps[0].enter(user).await;
            let claim = apps[0].claim(&token);
            apps[0].charge(user, 2 * PRICE).await.data();
            // Every third time in another schedule.
            let (evening, second) = if user % 3 == 0 { (2, 50 + user) } else { (1, 2 * user) };
            let reservation = apps[0].hold(&token, 1, 2 * user - 1).await.reservation();
            let (pays_after, holds_after) = match user.cast_unsigned() {
                1..=4 => (300_000, 0),
                moment @ 5..=20 => (0, 500 * (moment - 5)),
                _ => (0, 300_000),
            };
            let paying = async {
                tokio::time::sleep(Duration::from_micros(pays_after)).await;
                apps[0].pay(&token, reservation).await
            };
            let holding = async {
                tokio::time::sleep(Duration::from_micros(holds_after)).await;
                apps[1].hold(&token, evening, second).await
            };
            let (paid, held) = tokio::join!(paying, holding);
            paid.payment();
            let standing = apps[0].app.queues.check(&apps[0].default_queue(), &claim).await.unwrap();
            if held.status == 200 {
                kept += 1;
                assert!(matches!(standing, Standing::Active { .. }), "user {user}: {standing:?}");
                apps[1].pay(&token, held.reservation()).await.payment();
            } else {
                refused += 1;
                held.assert_error(401, "TOKEN_EXPIRED");
            }
            let standing = apps[0].app.queues.check(&apps[0].default_queue(), &claim).await.unwrap();
            assert_eq!(standing, Standing::Completed, "user {user}");
        }
        assert!(kept >= 4 && refused >= 4, "{kept} kept, {refused} refused");
        apps[0].audit().await;
    });
}
