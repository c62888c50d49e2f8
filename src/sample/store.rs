//! The sampler's only script call.

use std::sync::LazyLock;
use std::time::Duration;

use crate::redis::{Redis, Script, millis};
use crate::store_error::StoreError;

static LEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new("sample.lease", &[include_str!("../../lua/sample/lease.lua")]));

/// Whether this instance is the one that measures, for so long.
pub(super) async fn lease(redis: &Redis, me: &str, term: Duration) -> Result<bool, StoreError> {
    let mut reply = redis.run(LEASE.on(redis.keys().sampler()).arg(me).arg(millis(term))).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "MINE" => Ok(true),
        "OTHERS" => Ok(false),
        word => Err(reply.unexpected(word)),
    }
}
