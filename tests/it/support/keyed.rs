//! Calls with an `Idempotency-Key`, and what is stored for them.

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::{Answer, SLACK, TestApp, WAITING, eventually};

/// The table of the keys, held: it can be read, and whoever would write waits.
pub struct KeysLock(PgConnection);

/// Holds the table, on a connection that no time-out ends.
pub async fn lock_keys(app: &TestApp) -> KeysLock {
    let mut connection = PgConnection::connect(&app.settings.stores.database_url).await.unwrap();
    connection.execute("BEGIN; LOCK TABLE idempotency_key IN EXCLUSIVE MODE").await.unwrap();
    KeysLock(connection)
}

impl KeysLock {
    /// Lets go of it, with this written.
    pub async fn release_with(mut self, statement: &'static str) {
        self.0.execute(statement).await.unwrap();
        self.0.execute("COMMIT").await.unwrap();
    }
}

impl TestApp {
    async fn keyed(&self, method: &str, path: &str, who: (&str, &str), key: &str, body: Value) -> Answer {
        let ask = self.ask(method, path).header(who.0, who.1).header("Idempotency-Key", key);
        ask.json(body.to_string()).send().await
    }

    pub async fn charge_under(&self, key: &str, user: i64, amount: i64) -> Answer {
        let who = ("userId", &*user.to_string());
        self.keyed("PATCH", "/api/v1/user-wallets/balance", who, key, json!({ "amount": amount })).await
    }

    pub async fn hold_under(&self, key: &str, token: &str, schedule: i64, seat: i64) -> Answer {
        let body = json!({ "concertScheduleId": schedule, "concertSeatId": seat });
        self.keyed("POST", "/api/v1/reservations/concert", ("token", token), key, body).await
    }

    pub async fn batch_under(&self, key: &str, token: &str, body: Value) -> Answer {
        self.keyed("POST", "/api/v1/reservations/concert/batch", ("token", token), key, body).await
    }

    pub async fn pay_under(&self, key: &str, token: &str, reservation: i64) -> Answer {
        let body = json!({ "concertReservationId": reservation });
        self.keyed("POST", "/api/v1/payment/concert", ("token", token), key, body).await
    }

    pub async fn pay_many_under(&self, key: &str, token: &str, reservations: &[i64]) -> Answer {
        let body = json!({ "concertReservationIds": reservations });
        self.keyed("POST", "/api/v1/payment/concert/batch", ("token", token), key, body).await
    }

    /// Until a statement waits for a lock.
    pub async fn one_waits(&self) {
        let waits = async || self.number(WAITING).await == 1;
        eventually("a statement waits for a lock", 2 * SLACK, waits).await;
    }

    /// How many answers are stored.
    pub async fn stored(&self) -> i64 {
        self.number("SELECT count(*) FROM idempotency_key").await
    }
}

impl Answer {
    /// That it was carried out, or refused, now.
    #[track_caller]
    pub fn assert_first(&self) {
        assert!(!self.headers.contains_key("idempotent-replayed"), "{self:?}");
    }

    /// That it is the first answer again, to the byte.
    #[track_caller]
    pub fn assert_replays(&self, first: &Self) {
        assert_eq!(self.header("idempotent-replayed"), "true", "{self:?}");
        assert_eq!((self.status, &self.bytes), (first.status, &first.bytes));
        assert_eq!(self.header("content-type"), "application/json");
    }
}
