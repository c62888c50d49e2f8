//! Random courses of events against simple models: what the queue and the wallets do is what a few lines say they do.

mod queue;
mod wallet;

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{TestApp, block_on};

/// Tries so many courses of events on one service; of those that fail, tells the shortest.
#[track_caller]
fn try_courses<S: Strategy>(cases: u32, courses: &S, app: TestApp, run: impl AsyncFn(&TestApp, S::Value))
where
    S::Value: Debug,
{
    // The service ends where it lived, in the runtime, whatever becomes of the courses.
    block_on(async move {
        tokio::task::block_in_place(|| try_all(cases, courses, |course| block_on(run(&app, course))));
        app.audit().await;
    });
}

fn try_all<S: Strategy>(cases: u32, courses: &S, run: impl Fn(S::Value))
where
    S::Value: Debug,
{
    let config = Config { cases, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(courses, |course| {
        run(course);
        Ok(())
    });
    if let Err(failure) = tried {
        panic!("{failure}");
    }
}
