//! The limits' only script call.

use std::sync::LazyLock;

use super::{BATCH, BATCHES};
use crate::redis::{Redis, Script};
use crate::store_error::StoreError;

static SHARE: LazyLock<Script> =
    LazyLock::new(|| Script::new("limit.share", &[include_str!("../../lua/limit/share.lua")]));

/// Tells how many requests of whom were let through; returns in how many microseconds each one's bucket is full.
pub(super) async fn share(redis: &Redis, name: &str, cost_ns: u64, told: &[String]) -> Result<Vec<u64>, StoreError> {
    // Never fewer than can be added in the same time.
    let forget = 2 * BATCH * BATCHES;
    let call = SHARE.on(redis.keys().limit(name)).arg(cost_ns).arg(forget).arg(told);
    let mut reply = redis.run(call).await?;
    match reply.take::<String>()?.as_str() {
        "SHARED" => {}
        other => return Err(reply.unexpected(other)),
    }
    reply.rest::<u64>()
}
