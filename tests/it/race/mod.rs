//! Races. Whoever wins, the contract's invariants hold afterwards, and each test says what else must.

mod batch;
mod idempotency;
mod lapse;
mod loss;
mod many;
mod money;
mod queue;
mod refund;
mod seat;
mod seat_events;
mod sets;

use std::sync::Arc;

use crate::support::{TestApp, at_once};

/// Time-outs that a crowd on a small machine does not reach, and a queue that lets everybody in.
const CROWD: [&str; 10] = [
    "--postgres-timeout-ms",
    "30000",
    "--redis-timeout-ms",
    "30000",
    "--request-timeout-ms",
    "60000",
    "--max-active",
    "100000",
    "--admit-per-second",
    "100000",
];

/// Two instances on the same stores.
async fn two_instances(args: &[&str]) -> [Arc<TestApp>; 2] {
    let first = TestApp::with(args).await;
    let second = first.second().await;
    [Arc::new(first), Arc::new(second)]
}

/// Lets these users in, a token each.
async fn enter_all(app: &Arc<TestApp>, users: impl IntoIterator<Item = i64>) -> Vec<String> {
    let enter = |user| {
        let app = Arc::clone(app);
        async move { app.enter(user).await }
    };
    at_once(users.into_iter().map(enter)).await
}
