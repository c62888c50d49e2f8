//! How fast one user may change things and one address may ask, all instances together.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use http::HeaderMap;
use http::header::HeaderName;

use super::{ApiError, ErrorCode};
use crate::argument::whole;
use crate::ids::UserId;
use crate::limit::{Address, Limit, Proxies, Rate, Visitor};
use crate::redis::Redis;
use crate::store_error::StoreError;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The limits, as they are set.
#[derive(Debug, Clone, Args)]
pub struct RateSettings {
    /// Changes a second that one user may ask of all instances, with a burst of one second's worth; 0 for no limit
    #[arg(long, env = "ONSALE_USER_WRITES_PER_SECOND", default_value_t = 1000, value_parser = whole(0..=1_000_000))]
    pub user_writes_per_second: u32,
    /// Requests a second that one address may make to all instances, an `IPv6` network of 64 bits counting as one; 0 for no
    /// limit. The machine's own loopback has none
    #[arg(long, env = "ONSALE_ADDRESS_REQUESTS_PER_SECOND", default_value_t = 2000, value_parser = whole(0..=1_000_000))]
    pub address_requests_per_second: u32,
    /// Requests that one address may make at once
    #[arg(long, env = "ONSALE_ADDRESS_BURST", default_value_t = 10_000, value_parser = whole(1..=10_000_000))]
    pub address_burst: u32,
    /// Proxies whose X-Forwarded-For is believed, with commas: `10.0.0.0/8,fd00::/8`; of others the address counts from which
    /// they connect
    #[arg(long, env = "ONSALE_TRUSTED_PROXIES", default_value = "", hide_default_value = true, value_name = "NETWORKS", value_parser = Proxies::read)]
    pub trusted_proxies: Proxies,
}

/// The limits in force.
#[derive(Debug)]
pub struct RateLimits {
    writes: Option<Limit<UserId>>,
    addresses: Option<Limit<Address>>,
    proxies: Proxies,
    /// Whether a proxy that is not named was pointed out.
    said: AtomicBool,
}

impl RateLimits {
    /// The limits that are set.
    #[must_use]
    pub fn new(settings: &RateSettings) -> Self {
        let RateSettings { user_writes_per_second: writes, address_requests_per_second: requests, .. } = *settings;
        Self {
            writes: Rate::new(writes, writes).map(|rate| Limit::new("user", rate)),
            addresses: Rate::new(requests, settings.address_burst).map(|rate| Limit::new("address", rate)),
            proxies: settings.trusted_proxies.clone(),
            said: AtomicBool::new(false),
        }
    }

    /// Counts a request of this user; GET and HEAD change nothing and are not counted.
    pub fn admit(&self, user: UserId, method: &http::Method) -> Result<(), ApiError> {
        match &self.writes {
            Some(writes) if !method.is_safe() && !writes.take(user) => Err(too_fast()),
            _ => Ok(()),
        }
    }

    /// Who comes over a connection from this address.
    #[must_use]
    pub fn visitor(&self, peer: IpAddr) -> Visitor {
        self.proxies.visitor(peer)
    }

    /// Counts a request of an address, whatever it asks for. Returns whether it is within its limit.
    #[must_use]
    pub fn admit_address(&self, visitor: &Visitor, headers: &HeaderMap) -> bool {
        let Some(addresses) = &self.addresses else { return true };
        let forwarded = headers.get_all(&FORWARDED_FOR).iter();
        let address = self.proxies.address(visitor, forwarded.map(|value| value.to_str().unwrap_or_default()));
        let is_within = address.is_none_or(|address| addresses.take(address));
        if !is_within && matches!(visitor, Visitor::Client(_)) && headers.contains_key(&FORWARDED_FOR) {
            self.say_who_is_no_proxy(visitor);
        }
        is_within
    }

    /// Once: a proxy that was forgotten in the settings is taken for one client, and everybody behind it is refused.
    fn say_who_is_no_proxy(&self, visitor: &Visitor) {
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                ?visitor,
                "an address over its limit forwards others: is it a proxy for ONSALE_TRUSTED_PROXIES?"
            );
        }
    }

    /// Tells the other instances through Redis, and learns from them.
    pub async fn share(&self, redis: &Redis) -> Result<(), StoreError> {
        if let Some(addresses) = &self.addresses {
            addresses.share(redis).await?;
        }
        match &self.writes {
            Some(writes) => writes.share(redis).await,
            None => Ok(()),
        }
    }

    /// Forgets who has been quiet.
    pub fn prune(&self) {
        if let Some(addresses) = &self.addresses {
            addresses.prune();
        }
        if let Some(writes) = &self.writes {
            writes.prune();
        }
    }
}

/// 429 `RATE_LIMITED`.
pub(crate) fn too_fast() -> ApiError {
    ApiError::new(ErrorCode::RateLimited, "Too many requests; wait as long as Retry-After says.")
}
