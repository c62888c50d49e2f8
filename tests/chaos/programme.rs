//! What is on sale, and how the shop is set: two queues, one narrow enough that cap, rate and order are really tried, one
//! wide; short times, so that every one of them is over many times in a run.

use std::time::Duration;

use sqlx::PgPool;

use crate::Outcome;

/// How long a hold lives.
pub const HOLD_TTL: Duration = Duration::from_secs(4);
/// How long a waiting token lives unseen.
pub const WAITING_TTL: Duration = Duration::from_secs(10);
/// How long a turn lasts.
pub const ACTIVE_TTL: Duration = Duration::from_secs(15);

/// A queue and the concert that it serves.
#[derive(Debug)]
pub struct Queue {
    /// Its name, in Redis' keys.
    pub name: &'static str,
    /// Its concert's id, which chooses it.
    pub concert: i64,
    /// The most active tokens.
    pub cap: u64,
    /// The most admissions a second.
    pub rate: u64,
    /// The ids of its concert's schedules.
    pub schedules: std::ops::Range<i64>,
}

/// All that is on sale.
#[derive(Debug)]
pub struct Programme {
    /// The narrow one first.
    pub queues: [Queue; 2],
}

/// Seats of each schedule. Their ids follow from the schedule's, so that clients can choose without looking.
pub const SEATS: i64 = 1000;

impl Programme {
    /// Enough seats for a run of this length.
    pub fn of_size(seconds: u32) -> Self {
        let seconds = i64::from(seconds);
        let (gate, hall) = (2 + seconds / 60, 4 + seconds / 10);
        let queues = [
            Queue { name: "gate", concert: 1, cap: 10, rate: 6, schedules: 1..1 + gate },
            Queue { name: "default", concert: 2, cap: 500, rate: 400, schedules: 1 + gate..1 + gate + hall },
        ];
        Self { queues }
    }

    /// A schedule of the wide queue whose seats are left for those who come last.
    pub fn reserve(&self) -> i64 {
        self.queues[1].schedules.end - 1
    }

    /// The seats of a schedule.
    pub fn seats(schedule: i64) -> std::ops::Range<i64> {
        (schedule - 1) * SEATS + 1..schedule * SEATS + 1
    }

    /// A seat's price, which tells one seat from its neighbours.
    pub fn price(seat: i64) -> i64 {
        10_000 + (seat - 1) % SEATS
    }

    /// Puts it into an empty database.
    pub async fn insert(&self, postgres: &PgPool) -> Outcome {
        for queue in &self.queues {
            sqlx::query(
                "INSERT INTO queue (name, max_active, admit_per_second) VALUES ($1, $2, $3)
                 ON CONFLICT (name) DO UPDATE
                     SET max_active = excluded.max_active, admit_per_second = excluded.admit_per_second",
            )
            .bind(queue.name)
            .bind(i32::try_from(queue.cap)?)
            .bind(i32::try_from(queue.rate)?)
            .execute(postgres)
            .await?;
            sqlx::query("INSERT INTO concert (id, title, queue_id) SELECT $1, $2, id FROM queue WHERE name = $2")
                .bind(queue.concert)
                .bind(queue.name)
                .execute(postgres)
                .await?;
            // From the day after tomorrow on, so that it is the same programme by any of the clocks.
            sqlx::query(
                "INSERT INTO concert_schedule (id, concert_id, date)
                 SELECT id, $1, current_date + 2 + (id - $2)::integer FROM generate_series($2, $3) AS id",
            )
            .bind(queue.concert)
            .bind(queue.schedules.start)
            .bind(queue.schedules.end - 1)
            .execute(postgres)
            .await?;
        }
        sqlx::query(
            "INSERT INTO concert_seat (id, concert_schedule_id, position, section, row, number, price)
             SELECT (schedule - 1) * $1 + number, schedule, number - 1, 'A', 'A', number, 9999 + number
             FROM generate_series(1, $2) AS schedule, generate_series(1, $1) AS number",
        )
        .bind(i32::try_from(SEATS)?)
        .bind(i32::try_from(self.queues[1].schedules.end - 1)?)
        .execute(postgres)
        .await?;
        Ok(())
    }
}
