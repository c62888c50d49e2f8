//! What operators see of the shop as a whole, measured once for all instances: how full the queues are and how they are
//! set, how many seats are held, for how long a payment has been under way; and, of each instance, how it all went lately. Owns the key `{sampler}:lease` and the script
//! `lua/sample/lease.lua`.
//!
//! The instance that has the lease shows these gauges at its `/metrics`, the others do not have them at all: so a sum over
//! instances is right too, and where an instance stops measuring, its last values do not stay behind. What an instance
//! knows of itself (whether a store answers it, how its pool is used) each one shows.

mod course;
mod store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use uuid::Uuid;

pub use course::{MOST_MOMENTS, Moment};

use crate::postgres::Postgres;
use crate::queue::{QueueGauges, QueueId, Queues};
use crate::redis::Redis;
use crate::seat::{HoldGauges, Seats};
use crate::store_error::StoreError;
use course::Course;

/// For how long an instance measures without asking again: three runs of the job. As old may be what it has measured.
const TERM: Duration = Duration::from_secs(3);

/// Measures, if it is this instance's turn.
#[derive(Debug)]
pub struct Sampler {
    redis: Redis,
    postgres: Postgres,
    /// Names this instance in the lease.
    me: String,
    sample: Mutex<Option<Sample>>,
    course: Course,
    redis_answers: AtomicBool,
    postgres_answers: AtomicBool,
}

/// The shop at a moment.
#[derive(Debug)]
struct Sample {
    at: Instant,
    queues: Vec<QueueGauges>,
    holds: Option<HoldGauges>,
}

impl Sampler {
    /// Over stores that have just answered.
    #[must_use]
    pub fn new(redis: Redis, postgres: Postgres) -> Self {
        Self {
            redis,
            postgres,
            me: Uuid::new_v4().to_string(),
            sample: Mutex::new(None),
            course: Course::default(),
            redis_answers: AtomicBool::new(true),
            postgres_answers: AtomicBool::new(true),
        }
    }

    /// One run of the job: measures the shop if this is the instance that does; returns whether it is.
    ///
    /// Nothing is asked for it but the lease: what this instance's other jobs have just seen is put together.
    pub async fn measure(&self, queues: &Queues, seats: &Seats) -> Result<bool, StoreError> {
        let mine = store::lease(&self.redis, &self.me, TERM).await?;
        let sample =
            mine.then(|| Sample { at: Instant::now(), queues: queues.gauges(TERM), holds: seats.gauges(TERM) });
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = sample;
        Ok(mine)
    }

    /// Notes how the queues stand now, as every instance does for itself: a moment of the course.
    pub async fn note(&self, queues: &Queues, failures: u64) {
        let seen = queues.moments().await;
        self.course.add(Utc::now().timestamp_millis(), seen, failures);
    }

    /// The moments after that time, in milliseconds since 1970, of one queue or of all together.
    #[must_use]
    pub fn course(&self, after: i64, queue: Option<QueueId>) -> Vec<Moment> {
        self.course.after(after, queue)
    }

    /// What names this instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.me
    }

    /// One run of the job that asks both stores whether they answer this instance.
    pub async fn ask_stores(&self) {
        let (redis, postgres) = tokio::join!(self.redis.ping(), self.postgres.require_writable());
        self.redis_answers.store(redis.is_ok(), Ordering::Relaxed);
        self.postgres_answers.store(postgres.is_ok(), Ordering::Relaxed);
    }

    /// Sets every gauge that can be told now. Called when somebody is about to read them: a gauge that is not set again
    /// then is not shown.
    pub fn tell(&self) {
        for (store, answers) in [("redis", &self.redis_answers), ("postgres", &self.postgres_answers)] {
            metrics::gauge!("store_up", "store" => store).set(flag(answers.load(Ordering::Relaxed)));
        }
        let in_use = self.postgres.in_use();
        metrics::gauge!("postgres_connections", "state" => "used").set(f64::from(in_use.used));
        metrics::gauge!("postgres_connections", "state" => "idle").set(f64::from(in_use.idle));
        metrics::gauge!("postgres_connections_max").set(f64::from(in_use.most));
        metrics::gauge!("postgres_statements").set(f64::from(in_use.statements));
        metrics::gauge!("postgres_statements_max").set(f64::from(in_use.most_statements));
        let sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        // A process that was stopped for a while must not go on where it was.
        if let Some(sample) = sample.as_ref().filter(|sample| sample.at.elapsed() <= TERM) {
            sample.tell();
        }
    }
}

impl Sample {
    fn tell(&self) {
        for queue in &self.queues {
            let set = |name: &'static str, value: f64| metrics::gauge!(name, "queue" => queue.name.clone()).set(value);
            if let Some((waiting, active)) = queue.waiting_and_active {
                set("queue_waiting", f64::from(waiting));
                set("queue_active", f64::from(active));
            }
            set("queue_active_max", f64::from(queue.max_active));
            set("queue_admit_per_second", f64::from(queue.admit_per_second));
            set("queue_room", f64::from(queue.room));
            set("queue_open", flag(queue.open));
            set("queue_paused", flag(queue.paused));
            set("queue_draining", flag(queue.draining));
            set("queue_sold_out", flag(queue.sold_out));
            if let Some((free, unsold)) = queue.seats {
                set("queue_seats_free", f64::from(free));
                set("queue_seats_unsold", f64::from(unsold));
            }
        }
        if let Some(holds) = self.holds {
            metrics::gauge!("seat_holds_live").set(f64::from(holds.live));
            metrics::gauge!("payment_under_way_seconds").set(holds.oldest_payment.as_secs_f64());
        }
    }
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
