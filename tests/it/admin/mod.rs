//! Operators' calls: who gets in, what is made and set, and that all of it is in the log.

mod access;
mod concert;
mod figure;
mod log;
mod queue;

use chrono::Days;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

/// The unnamed operator's token.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Ann's, in base64.
const ANN: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

/// Options of an instance that has the unnamed operator and Ann.
pub const OPERATED: [&str; 4] =
    ["--admin-token", KEY, "--admin-tokens", "ann=q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="];

impl TestApp {
    /// An operator's call; a null body sends none.
    pub async fn operate(&self, method: &str, path: &str, body: Value) -> Answer {
        self.operate_as(KEY, method, path, body).await
    }

    async fn operate_as(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        self.call(method, &format!("/admin/v1{path}"), &[("authorization", &format!("Bearer {key}"))], body).await
    }

    /// The venue's date so many days from today, as the API writes it.
    pub fn day(&self, days: u64) -> String {
        self.app.concerts.today().checked_add_days(Days::new(days)).unwrap().to_string()
    }

    /// The rows of the log.
    pub async fn log_rows(&self) -> i64 {
        self.number("SELECT count(*) FROM admin_audit").await
    }
}

/// Two seats.
fn two_seats() -> Value {
    json!([
        { "section": "R", "row": "A", "number": 7, "price": 150_000 },
        { "section": "R", "row": "A", "number": 3, "price": 50_000 },
    ])
}
