//! Every key in Redis. Each begins with the prefix, then a hash tag, `{queue:…}`, `{schedule:…}` or `{limit:…}`, so that all the
//! keys of a script are in one slot of a cluster. What each holds is said at the top of `lua/queue/token.lua` and
//! `lua/seat/map.lua`, in the same order. All are written by scripts only. None has a time to live, but for the sampler's
//! lease (`lua/sample/lease.lua`): what ends is removed by the scripts' own bounded sweeps.

use std::fmt;

use crate::ids::ScheduleId;

/// Builds the names.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

/// A queue's keys, in the order of its scripts' KEYS: waiting, active, tokens, ended, holding, state,
/// crowd, early.
#[derive(Debug, Clone)]
pub struct QueueKeys(pub(super) [String; 8]);

/// A schedule's keys, in the order of its scripts' KEYS: seats, map, holds, lapses, `by_seat`, `by_user`, paying, past.
#[derive(Debug, Clone)]
pub struct ScheduleKeys(pub(super) [String; 8]);

/// The sampler's key: lease.
#[derive(Debug, Clone)]
pub struct SamplerKeys([String; 1]);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The keys of the queue of this name.
    #[must_use]
    pub fn queue(&self, name: &str) -> QueueKeys {
        let parts = ["waiting", "active", "tokens", "ended", "holding", "state", "crowd", "early"];
        QueueKeys(parts.map(|part| self.name(format_args!("queue:{name}"), part)))
    }

    /// The keys of a schedule.
    #[must_use]
    pub fn schedule(&self, id: ScheduleId) -> ScheduleKeys {
        let parts = ["seats", "map", "holds", "lapses", "by_seat", "by_user", "paying", "past"];
        ScheduleKeys(parts.map(|part| self.name(format_args!("schedule:{id}"), part)))
    }

    /// The key of the instance that measures the shop.
    #[must_use]
    pub fn sampler(&self) -> SamplerKeys {
        SamplerKeys([self.name(format_args!("sampler"), "lease")])
    }

    /// The one key of a rate limit: `lua/limit/share.lua` says what it holds.
    #[must_use]
    pub fn limit(&self, name: &str) -> [String; 1] {
        [self.name(format_args!("limit:{name}"), "spent")]
    }

    fn name(&self, tag: fmt::Arguments<'_>, part: &str) -> String {
        format!("{}:{{{tag}}}:{part}", self.prefix)
    }
}

impl AsRef<[String]> for QueueKeys {
    fn as_ref(&self) -> &[String] {
        &self.0
    }
}

impl AsRef<[String]> for SamplerKeys {
    fn as_ref(&self) -> &[String] {
        &self.0
    }
}

impl AsRef<[String]> for ScheduleKeys {
    fn as_ref(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_script_share_one_hash_tag() {
        let keys = Keys::new("onsale");
        let queue = keys.queue("default");
        let schedule = "7".parse().map(|id| keys.schedule(id));
        assert!(queue.as_ref().iter().all(|key| key.starts_with("onsale:{queue:default}:")));
        assert!(schedule.is_ok_and(|keys| keys.as_ref().iter().all(|key| key.starts_with("onsale:{schedule:7}:"))));
    }
}
