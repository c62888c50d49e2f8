//! What tests do behind the service's back: in its database by SQL, in its part of Redis by deleting all of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use onsale::ids::ReservationId;
use onsale::queue::{Asked, Claim, Queue, Signer};
use onsale::seat::{Hold, HoldTerms, Holder};
use sqlx::{Connection, Executor, PgConnection};

use super::{TestApp, eventually, schedule};

/// Redis is emptied in one script, as by FLUSHALL, but only of one app's keys.
const FORGET: &str = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";

/// Statements of this database that wait for a lock.
pub const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A wallet's row, held.
pub struct WalletLock(PgConnection);

impl WalletLock {
    pub async fn release(mut self) {
        self.0.execute("ROLLBACK").await.unwrap();
    }
}

impl TestApp {
    /// Adds a schedule to a concert, so many days from today, with seats at 50,000 won; the first position has the
    /// greatest number. Returns its id and the seats' ids in the order of their numbers.
    pub async fn add_schedule(&self, concert: i64, days: i32, seats: i32) -> (i64, Vec<i64>) {
        let today = self.app.concerts.today();
        let by = Days::new(days.unsigned_abs().into());
        let date = if days < 0 { today - by } else { today + by };
        let schedule: i64 =
            sqlx::query_scalar("INSERT INTO concert_schedule (concert_id, date) VALUES ($1, $2) RETURNING id")
                .bind(concert)
                .bind(date)
                .fetch_one(self.pool())
                .await
                .unwrap();
        let added: Vec<(i32, i64)> = sqlx::query_as(
            "INSERT INTO concert_seat (concert_schedule_id, position, section, row, number, price)
             SELECT $1, $2 - number, 'T', 'A', number, 50000 FROM generate_series(1, $2) AS number
             RETURNING number, id",
        )
        .bind(schedule)
        .bind(seats)
        .fetch_all(self.pool())
        .await
        .unwrap();
        self.refresh().await;
        let mut added = added;
        added.sort_unstable();
        (schedule, added.into_iter().map(|(_, id)| id).collect())
    }

    /// The date of a schedule.
    pub async fn evening(&self, schedule: i64) -> NaiveDate {
        let date = sqlx::query_scalar("SELECT date FROM concert_schedule WHERE id = $1").bind(schedule);
        date.fetch_one(self.pool()).await.unwrap()
    }

    /// Gives a concert a queue of its own.
    pub async fn add_queue(&self, name: &str, concert: i64) {
        sqlx::query(
            "WITH added AS (INSERT INTO queue (name) VALUES ($1) RETURNING id)
             UPDATE concert SET queue_id = added.id FROM added WHERE concert.id = $2",
        )
        .bind(name)
        .bind(concert)
        .execute(self.pool())
        .await
        .unwrap();
        self.refresh().await;
    }

    /// Has the instance read the programme again, as it does four times a second by itself; on a busy machine again.
    pub async fn refresh(&self) {
        eventually("the programme is read", Duration::from_secs(30), async || {
            self.app.concerts.refresh(&self.app.queues).await.is_ok()
        })
        .await;
    }

    /// The one number that a query answers with.
    pub async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.unwrap()
    }

    /// Holds a wallet's row, on a connection that no time-out ends: what would change it waits.
    pub async fn lock_wallet(&self, user: i64) -> WalletLock {
        let mut connection = PgConnection::connect(&self.settings.stores.database_url).await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        let lock = sqlx::query("SELECT balance FROM user_wallet WHERE user_id = $1 FOR UPDATE").bind(user);
        lock.fetch_one(&mut connection).await.unwrap();
        WalletLock(connection)
    }

    /// Reservation ids of a schedule that nobody uses, 1000 of them.
    pub async fn unused_reservations(&self, schedule: i64) -> impl Iterator<Item = ReservationId> + use<> {
        let block: i64 =
            sqlx::query_scalar("INSERT INTO reservation_block (concert_schedule_id) VALUES ($1) RETURNING id")
                .bind(schedule)
                .fetch_one(self.pool())
                .await
                .unwrap();
        ((block - 1) * 1000 + 1..=block * 1000).map(|id| id.try_into().unwrap())
    }

    /// Writes to Redis past the service; the key, the command's first argument, is without this app's prefix.
    pub async fn redis(&self, command: &[&str]) {
        let mut write = redis::cmd(command[0]);
        write.arg(format!("{}:{}", self.settings.stores.key_prefix, command[1])).arg(&command[2..]);
        write.exec_async(&mut self.redis_connection().await).await.unwrap();
    }

    async fn redis_connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.settings.stores.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Redis loses all that this app's instances have there.
    pub async fn forget_redis(&self) {
        let pattern = format!("{}:*", self.settings.stores.key_prefix);
        let mut forget = redis::cmd("EVAL");
        forget.arg(FORGET).arg(0).arg(pattern).exec_async(&mut self.redis_connection().await).await.unwrap();
    }

    /// One step of the scheduler for the default queue.
    pub async fn promote(&self) {
        self.app.queues.promote_step(&self.default_queue()).await.unwrap();
    }

    /// What signs this app's tokens.
    pub fn signer(&self) -> Signer {
        Signer::new(self.settings.token_key.expose())
    }

    /// What a token says.
    pub fn claim(&self, token: &str) -> Claim {
        self.signer().verify(token).unwrap()
    }

    /// Holds a seat of schedule 1 in Redis for as long, by an active token that gives itself this name.
    pub async fn hold_named(&self, token: &str, name: &str, seat: i64, id: ReservationId, ttl: Duration) {
        let terms = HoldTerms { ttl, most: 100, waiting_ttl: Duration::from_mins(1) };
        let holder = Holder { token: name.to_owned(), ..self.claim(token).holder() };
        let seat = seat.try_into().unwrap();
        let held = self.app.seats.hold(schedule(1), seat, &holder, id, terms).await.unwrap();
        assert!(matches!(held, Asked::Answer(Hold::Held { reservation, .. }) if reservation == id), "{held:?}");
    }

    /// The queue that serves concerts without one of their own.
    pub fn default_queue(&self) -> Arc<Queue> {
        self.app.queues.serving(None).unwrap()
    }
}
