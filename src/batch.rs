//! Gathers requests: what arrives while a batch is under way forms the next one. No timer is involved, so one that comes
//! alone starts at once, and the more come together, the less each costs. Where several batches may be under way, another
//! begins beside them once as many jobs wait as they have: so batches stay large, and the next one is not kept waiting for a disk.
//!
//! A batch runs in a task of its own: a request that is given up takes nobody with it, and nothing stops half-way.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

/// A batch that takes longer is not waited for by those who come later.
const STUCK: Duration = Duration::from_millis(25);

/// What is done in batches.
pub trait Work: Send + Sync + 'static {
    /// One request's part.
    type Job: Send + 'static;
    /// What becomes of it. One that fails says so here; the others of its batch go on.
    type Answer: Send + 'static;
    /// What two jobs must not share while they are under way.
    type Key: Eq + Hash + Send;

    /// The name in `batch_size{op}`.
    fn op(&self) -> &'static str;

    /// What nobody else may touch while this job is under way; nothing, if jobs do not get in each other's way.
    fn keys(job: &Self::Job) -> impl IntoIterator<Item = Self::Key>;

    /// Does all of them; an answer for each, in their order.
    fn run(&self, jobs: Vec<Self::Job>) -> impl Future<Output = Vec<Self::Answer>> + Send;
}

/// How much is done at a time.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Batches under way at once.
    pub lanes: usize,
    /// Jobs in a batch.
    pub size: usize,
    /// Jobs that may wait for the next; more are refused.
    pub waiting: usize,
    /// The longest that a job may wait for its batch to begin.
    pub patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// Too many wait already. It was certainly not begun.
    #[error("too many requests wait for the next batch")]
    Full,
    /// Its batch did not begin in time. It was certainly not begun.
    #[error("the next batch did not begin in time")]
    Late,
    /// The batch ended without an answer. What it has done is not known.
    #[error("the batch ended without an answer")]
    Lost,
}

/// Gathers jobs into batches. Cheap to clone.
pub struct Batcher<W: Work>(Arc<Shared<W>>);

struct Shared<W: Work> {
    work: W,
    bounds: Bounds,
    state: Mutex<State<W>>,
}

struct State<W: Work> {
    waiting: VecDeque<Waiting<W>>,
    lanes: usize,
    /// Jobs under way.
    under_way: usize,
    /// When the last batch began.
    begun: Instant,
    /// The keys of all that is under way.
    busy: HashSet<W::Key>,
}

struct Waiting<W: Work> {
    job: W::Job,
    since: Instant,
    /// Its caller's, in which it waits.
    span: Span,
    answer: Answer<W>,
}

type Answer<W> = oneshot::Sender<Result<<W as Work>::Answer, NotDone>>;

/// A batch to be run, and who waits for it.
struct Batch<W: Work> {
    jobs: Vec<W::Job>,
    answers: Vec<Answer<W>>,
    keys: Vec<W::Key>,
    /// What is done for all is the first one's to show; the others' spans point to it.
    span: Span,
}

impl<W: Work> Batcher<W> {
    /// With nothing to do yet.
    #[must_use]
    pub fn new(work: W, bounds: Bounds) -> Self {
        let state =
            State { waiting: VecDeque::new(), lanes: 0, under_way: 0, begun: Instant::now(), busy: HashSet::new() };
        Self(Arc::new(Shared { work, bounds, state: Mutex::new(state) }))
    }

    /// Has a job done in the next batch.
    pub async fn submit(&self, job: W::Job) -> Result<W::Answer, NotDone> {
        let (answer, answered) = oneshot::channel();
        let span = tracing::debug_span!("batch", otel.name = self.0.work.op());
        {
            let mut state = self.0.state();
            if state.waiting.len() >= self.0.bounds.waiting {
                return Err(NotDone::Full);
            }
            state.waiting.push_back(Waiting { job, since: Instant::now(), span: span.clone(), answer });
            if state.lanes < self.0.bounds.lanes && state.is_worth_a_lane() {
                state.lanes += 1;
                tokio::spawn(Arc::clone(&self.0).run_lane());
            }
        }
        answered.instrument(span).await.unwrap_or(Err(NotDone::Lost))
    }
}

impl<W: Work> Shared<W> {
    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs batches until nothing waits that could be done.
    async fn run_lane(self: Arc<Self>) {
        loop {
            // Who is ready to submit at this moment comes along.
            tokio::task::yield_now().await;
            let Some(Batch { jobs, answers, keys, span }) = self.next_batch() else { return };
            metrics::histogram!("batch_size", "op" => self.work.op())
                .record(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
            // Of a panic the panic hook tells; those who wait learn that there is no answer.
            let done = AssertUnwindSafe(self.work.run(jobs)).catch_unwind().instrument(span).await.unwrap_or_default();
            self.release(answers.len(), &keys);
            for (answer, done) in answers.into_iter().zip(done) {
                // Who has gone away does not want it.
                let _ = answer.send(Ok(done));
            }
        }
    }

    fn next_batch(&self) -> Option<Batch<W>> {
        let mut state = self.state();
        let batch = if state.is_worth_a_lane() { state.take(self.bounds) } else { None };
        match &batch {
            Some(batch) => {
                state.under_way += batch.jobs.len();
                state.begun = Instant::now();
            }
            None => state.lanes -= 1,
        }
        batch
    }

    fn release(&self, jobs: usize, keys: &[W::Key]) {
        let mut state = self.state();
        state.under_way -= jobs;
        for key in keys {
            state.busy.remove(key);
        }
    }
}

impl<W: Work> State<W> {
    /// Whether as many wait as are under way, or that is stuck. Those that do not begin for that begin with its end.
    fn is_worth_a_lane(&self) -> bool {
        self.waiting.len() >= self.under_way || self.begun.elapsed() > STUCK
    }

    /// The first that wait, but for those that share a key with one under way: they stay for a later batch. Who has gone
    /// away, or has waited too long, is not begun.
    fn take(&mut self, bounds: Bounds) -> Option<Batch<W>> {
        let mut batch = Batch { jobs: Vec::new(), answers: Vec::new(), keys: Vec::new(), span: Span::none() };
        let mut stay = VecDeque::new();
        while batch.jobs.len() < bounds.size
            && let Some(waiting) = self.waiting.pop_front()
        {
            if waiting.answer.is_closed() {
                continue;
            }
            if waiting.since.elapsed() > bounds.patience {
                let _ = waiting.answer.send(Err(NotDone::Late));
                continue;
            }
            if W::keys(&waiting.job).into_iter().any(|key| self.busy.contains(&key)) {
                stay.push_back(waiting);
                continue;
            }
            let Waiting { job, span, answer, .. } = waiting;
            if batch.span.is_disabled() {
                batch.span = span;
            } else {
                span.follows_from(&batch.span);
            }
            self.busy.extend(W::keys(&job));
            batch.keys.extend(W::keys(&job));
            batch.jobs.push(job);
            batch.answers.push(answer);
        }
        if !stay.is_empty() {
            stay.append(&mut self.waiting);
            self.waiting = stay;
        }
        (!batch.jobs.is_empty()).then_some(batch)
    }
}

impl<W: Work> Clone for Batcher<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Work> std::fmt::Debug for Batcher<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher").field("op", &self.0.work.op()).field("bounds", &self.0.bounds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;

    /// Answers each job with the batch it was in; waits for a permit before it does.
    struct Recorder {
        go: Arc<Semaphore>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Work for Recorder {
        type Job = u32;
        type Answer = Result<u32, ()>;
        type Key = u32;

        fn op(&self) -> &'static str {
            "test"
        }

        /// Tens are the key; a zero has none.
        fn keys(job: &u32) -> impl IntoIterator<Item = u32> {
            (job / 10 > 0).then_some(job / 10)
        }

        async fn run(&self, jobs: Vec<u32>) -> Vec<Self::Answer> {
            self.batches.lock().unwrap().push(jobs.clone());
            self.go.acquire().await.unwrap().forget();
            assert!(!jobs.contains(&99), "a panic that is meant");
            jobs.into_iter().map(|job| if job % 10 == 7 { Err(()) } else { Ok(job) }).collect()
        }
    }

    const PATIENCE: Duration = Duration::from_millis(200);

    struct Bench {
        batcher: Batcher<Recorder>,
        go: Arc<Semaphore>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    fn bench(lanes: usize, size: usize, waiting: usize) -> Bench {
        let (go, batches) = (Arc::new(Semaphore::new(0)), Arc::default());
        let work = Recorder { go: Arc::clone(&go), batches: Arc::clone(&batches) };
        Bench { batcher: Batcher::new(work, Bounds { lanes, size, waiting, patience: PATIENCE }), go, batches }
    }

    impl Bench {
        fn submit(&self, jobs: impl IntoIterator<Item = u32>) -> Vec<tokio::task::JoinHandle<Answered>> {
            let submit = |job| {
                let batcher = self.batcher.clone();
                tokio::spawn(async move { batcher.submit(job).await })
            };
            jobs.into_iter().map(submit).collect()
        }

        /// Lets everything run as far as it can.
        async fn settle(&self) {
            for _ in 0..64 {
                yield_now().await;
            }
        }

        fn batches(&self) -> Vec<Vec<u32>> {
            self.batches.lock().unwrap().clone()
        }
    }

    type Answered = Result<Result<u32, ()>, NotDone>;

    async fn all(tasks: Vec<tokio::task::JoinHandle<Answered>>) -> Vec<Answered> {
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap());
        }
        answers
    }

    #[tokio::test]
    async fn what_comes_meanwhile_forms_the_next_batch() {
        let bench = bench(1, 3, 100);
        let mut tasks = bench.submit([1]);
        bench.settle().await;
        tasks.extend(bench.submit([2, 3, 4, 5]));
        bench.settle().await;
        assert_eq!(bench.batches(), [vec![1]], "one that comes alone starts at once, and the others wait for it");
        bench.go.add_permits(3);
        assert_eq!(all(tasks).await, [Ok(Ok(1)), Ok(Ok(2)), Ok(Ok(3)), Ok(Ok(4)), Ok(Ok(5))]);
        assert_eq!(bench.batches(), [vec![1], vec![2, 3, 4], vec![5]]);
    }

    #[tokio::test]
    async fn a_failure_is_its_own() {
        let bench = bench(1, 8, 100);
        bench.go.add_permits(2);
        let answers = all(bench.submit([1, 2, 7, 3])).await;
        assert_eq!(answers, [Ok(Ok(1)), Ok(Ok(2)), Ok(Err(())), Ok(Ok(3))]);
    }

    #[tokio::test]
    async fn jobs_that_share_a_key_are_never_under_way_together() {
        let bench = bench(2, 8, 100);
        let tasks = bench.submit([11, 12, 21, 13, 22, 1]);
        bench.settle().await;
        assert_eq!(bench.batches(), [vec![11, 21, 1]], "the second lane has nothing that it could do");
        bench.go.add_permits(1);
        bench.settle().await;
        assert_eq!(bench.batches()[1..], [vec![12, 22]]);
        bench.go.add_permits(2);
        assert_eq!(all(tasks).await.len(), 6);
        assert_eq!(bench.batches()[2..], [vec![13]]);
    }

    #[tokio::test]
    async fn another_batch_begins_beside_one_once_as_many_wait() {
        let bench = bench(2, 8, 100);
        let mut tasks = bench.submit([1, 2, 3]);
        bench.settle().await;
        tasks.extend(bench.submit([4, 5]));
        bench.settle().await;
        assert_eq!(bench.batches(), [vec![1, 2, 3]]);
        tasks.extend(bench.submit([6]));
        bench.settle().await;
        assert_eq!(bench.batches()[1..], [vec![4, 5, 6]]);
        tasks.extend(bench.submit([8, 9]));
        bench.settle().await;
        bench.go.add_permits(1);
        bench.settle().await;
        assert_eq!(bench.batches().len(), 2, "two wait, and three are under way");
        bench.go.add_permits(2);
        assert_eq!(all(tasks).await.len(), 8);
        assert_eq!(bench.batches()[2..], [vec![8, 9]], "they are not forgotten");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_batch_that_is_stuck() {
        let bench = bench(2, 8, 100);
        let stuck = bench.submit([1, 2, 3]);
        bench.settle().await;
        let mut tasks = bench.submit([4]);
        bench.settle().await;
        assert_eq!(bench.batches().len(), 1);
        tokio::time::sleep(STUCK * 2).await;
        tasks.extend(bench.submit([5]));
        bench.settle().await;
        assert_eq!(bench.batches()[1..], [vec![4, 5]]);
        bench.go.add_permits(2);
        assert_eq!((all(tasks).await.len(), all(stuck).await.len()), (2, 3));
    }

    #[tokio::test]
    async fn more_than_may_wait_are_refused() {
        let bench = bench(1, 1, 2);
        let first = bench.submit([1]);
        bench.settle().await;
        let waiting = bench.submit([2, 3]);
        bench.settle().await;
        assert_eq!(all(bench.submit([4, 5])).await, [Err(NotDone::Full), Err(NotDone::Full)]);
        bench.go.add_permits(3);
        assert_eq!(all(first).await, [Ok(Ok(1))]);
        assert_eq!(all(waiting).await, [Ok(Ok(2)), Ok(Ok(3))]);
    }

    #[tokio::test]
    async fn who_goes_away_takes_nobody_along() {
        let bench = bench(1, 8, 100);
        let first = bench.submit([1]);
        bench.settle().await;
        let rest = bench.submit([2, 3]);
        bench.settle().await;
        first[0].abort();
        bench.go.add_permits(2);
        assert_eq!(all(rest).await, [Ok(Ok(2)), Ok(Ok(3))]);
        assert_eq!(bench.batches(), [vec![1], vec![2, 3]]);
    }

    #[tokio::test]
    async fn who_has_gone_away_or_has_waited_too_long_is_not_begun() {
        let bench = bench(1, 8, 100);
        let first = bench.submit([1]);
        bench.settle().await;
        let rest = bench.submit([2, 3]);
        bench.settle().await;
        rest[0].abort();
        bench.settle().await;
        bench.go.add_permits(2);
        assert_eq!(all(first).await, [Ok(Ok(1))]);
        bench.settle().await;
        assert_eq!(bench.batches(), [vec![1], vec![3]]);

        let first = bench.submit([4]);
        bench.settle().await;
        let late = bench.submit([5]);
        tokio::time::sleep(PATIENCE * 2).await;
        bench.go.add_permits(1);
        assert_eq!(all(first).await, [Ok(Ok(4))]);
        assert_eq!(all(late).await, [Err(NotDone::Late)]);
        assert_eq!(bench.batches()[2..], [vec![4]]);
    }

    #[tokio::test]
    async fn a_panic_ends_its_batch_and_not_the_lane() {
        let bench = bench(1, 8, 100);
        bench.go.add_permits(3);
        assert_eq!(all(bench.submit([99, 12])).await, [Err(NotDone::Lost), Err(NotDone::Lost)]);
        assert_eq!(all(bench.submit([98, 13])).await, [Ok(Ok(98)), Ok(Ok(13))], "the keys are free again");
    }
}
