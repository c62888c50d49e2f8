//! Every call of the contract and every failure code, as an outside client would try them.

mod batch;
mod concert;
mod events;
mod history;
mod http;
mod idempotency;
mod known;
mod lately;
mod many;
mod once;
mod outage;
mod overload;
mod own;
mod payment;
mod queue;
mod refund;
mod reservation;
mod seat;
mod seat_events;
mod told;
mod wallet;

use serde_json::Value;

/// What stands in a path, or a header, where an id should, and is none.
const NO_IDS: [&str; 8] = ["abc", "0", "-1", "+1", "01", "1.5", "9007199254740992", "99999999999999999999"];

/// What the demo programme asks for seats 1 to 10 of every schedule.
const PRICE: i64 = 200_000;

/// Asserts that these are all the fields there are.
#[track_caller]
fn assert_fields(object: &Value, fields: &[&str]) {
    let mut found: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let mut documented = fields.to_vec();
    found.sort_unstable();
    documented.sort_unstable();
    assert_eq!(found, documented, "{object}");
}
