//! A limit on how fast one user may change things, kept by each instance for itself.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{ApiError, ErrorCode};
use crate::ids::UserId;

/// The limits in force.
#[derive(Debug)]
pub struct RateLimits {
    writes: Option<DefaultKeyedRateLimiter<UserId>>,
}

impl RateLimits {
    /// So many changes a second for each user, with a burst of one second's worth; 0 for no limit.
    #[must_use]
    pub fn new(writes_per_second: u32) -> Self {
        let quota = NonZeroU32::new(writes_per_second).map(Quota::per_second);
        Self { writes: quota.map(RateLimiter::keyed) }
    }

    /// Counts a request of this user; GET and HEAD change nothing and are not counted.
    pub fn admit(&self, user: UserId, method: &http::Method) -> Result<(), ApiError> {
        let counted = !method.is_safe();
        match &self.writes {
            Some(writes) if counted && writes.check_key(&user).is_err() => {
                Err(ApiError::new(ErrorCode::RateLimited, "Too many requests; wait as long as Retry-After says."))
            }
            _ => Ok(()),
        }
    }

    /// Forgets users who have been quiet.
    pub fn prune(&self) {
        if let Some(writes) = &self.writes {
            writes.retain_recent();
        }
    }
}
