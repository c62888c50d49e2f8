//! Replayed tokens: shown a hundred times at once, on two instances, a token is one slot, one hold, one payment; and after
//! its end, nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, TestApp, at_once, block_on, eventually};

/// Two instances on the same stores, that no crowd makes give up.
async fn two_instances(args: &[&str]) -> [Arc<TestApp>; 2] {
    let patience = ["--postgres-timeout-ms", "30000", "--redis-timeout-ms", "30000", "--request-timeout-ms", "60000"];
    let first = TestApp::with(&[&patience[..], args].concat()).await;
    let second = first.second().await;
    [Arc::new(first), Arc::new(second)]
}

/// A hundred times at once, half of them on either instance.
async fn a_hundred<Asked>(apps: &[Arc<TestApp>; 2], ask: impl Fn(usize, Arc<TestApp>) -> Asked) -> Vec<Answer>
where
    Asked: Future<Output = Answer> + Send + 'static,
{
    at_once((0..100).map(|number| ask(number, Arc::clone(&apps[number % 2])))).await
}

async fn active(app: &TestApp) -> u32 {
    app.app.queues.audit(&app.default_queue()).await.unwrap().active
}

#[test]
fn a_hundred_replays_are_one_slot_also_after_redis_has_lost_it() {
    block_on(async {
        let apps = two_instances(&[]).await;
        let token = apps[0].enter(1).await;
        let enter = |_, app: Arc<TestApp>| {
            let token = token.clone();
            async move { app.call("POST", "/api/v1/queues/token", &[("userId", "1"), ("token", &token)], Value::Null).await }
        };
        let look = |_, app: Arc<TestApp>| {
            let token = token.clone();
            async move { app.rank(&token).await }
        };
        for answer in a_hundred(&apps, enter).await {
            assert_eq!(answer.data()["token"], *token);
        }
        assert_eq!(active(&apps[0]).await, 1);
        for answer in a_hundred(&apps, look).await {
            assert_eq!(answer.data()["status"], "ACTIVE");
        }
        apps[0].app.queues.remember().await.unwrap();
        apps[0].forget_redis().await;
        for answer in a_hundred(&apps, look).await {
            assert!(["ACTIVE", "WAITING"].contains(&answer.data()["status"].as_str().unwrap()), "{answer:?}");
        }
        let again = async || apps[0].rank(&token).await.data()["status"] == "ACTIVE";
        eventually("its turn goes on", Duration::from_secs(15), again).await;
        assert_eq!(active(&apps[0]).await, 1, "one slot, however often it was claimed");
        apps[0].audit().await;
    });
}

#[test]
fn a_hundred_replays_hold_no_more_than_one_may() {
    block_on(async {
        let apps = two_instances(&["--max-holds-per-user", "4"]).await;
        let token = apps[0].enter(1).await;
        let hold = |number: usize, app: Arc<TestApp>| {
            let (token, seat) = (token.clone(), 1 + i64::try_from(number % 10).unwrap());
            async move { app.hold(&token, 1, seat).await }
        };
        let answers = a_hundred(&apps, hold).await;
        let reservations: HashSet<i64> =
            answers.iter().filter(|answer| answer.status == 200).map(Answer::reservation).collect();
        assert_eq!(reservations.len(), 4);
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            refused.assert_error(409, "HOLD_LIMIT");
        }
        apps[0].audit().await;
    });
}

#[test]
fn a_hundred_replays_pay_once_and_the_token_is_used_up() {
    block_on(async {
        let apps = two_instances(&[]).await;
        let token = apps[0].enter(1).await;
        apps[0].charge(1, 1_000_000).await.data();
        let reservation = apps[0].hold(&token, 1, 1).await.reservation();
        let pay = |_, app: Arc<TestApp>| {
            let token = token.clone();
            async move { app.pay(&token, reservation).await }
        };
        let answers = a_hundred(&apps, pay).await;
        let paid: HashSet<i64> = answers.iter().filter(|answer| answer.status == 200).map(Answer::payment).collect();
        assert_eq!(paid.len(), 1);
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            refused.assert_error(409, "PAYMENT_IN_PROGRESS");
        }
        assert_eq!((apps[0].balance(1).await, active(&apps[0]).await), (800_000, 0));
        let hold = |number: usize, app: Arc<TestApp>| {
            let (token, seat) = (token.clone(), 2 + i64::try_from(number % 10).unwrap());
            async move { app.hold(&token, 1, seat).await }
        };
        // An instance that has not heard of the end yet takes a seat, is told, and gives it back: for that moment another
        // replay may meet it.
        for answer in a_hundred(&apps, hold).await {
            let refusals = [(401, "TOKEN_EXPIRED"), (409, "HOLD_LIMIT"), (409, "SEAT_TAKEN")];
            assert!(refusals.contains(&(answer.status.as_u16(), answer.code())), "{answer:?}");
        }
        for number in 0..20 {
            hold(number, Arc::clone(&apps[number % 2])).await.assert_error(401, "TOKEN_EXPIRED");
        }
        let other = apps[0].enter(2).await;
        assert_eq!(apps[1].free_seats(&other, 1).await.len(), 49, "all but what was paid for");
        apps[0].audit().await;
    });
}
