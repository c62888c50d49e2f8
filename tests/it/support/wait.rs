//! Waiting for what happens by itself, and doing many things at once.

use std::time::{Duration, Instant};

/// What a busy test machine may add to any time that the contract promises.
pub const SLACK: Duration = Duration::from_secs(5);

/// Asks again and again until it is so; fails if it is not so in time. Returns how long it took.
#[track_caller]
pub fn eventually(
    what: &str,
    within: Duration,
    mut is_so: impl AsyncFnMut() -> bool,
) -> impl Future<Output = Duration> {
    let asker = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < within, "{asker}: not so within {within:?}: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed()
    }
}

/// Runs all of them at once, on all threads. The answers are in the order of the calls.
pub async fn at_once<T, Call>(calls: impl IntoIterator<Item = Call>) -> Vec<T>
where
    T: Send + 'static,
    Call: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}
