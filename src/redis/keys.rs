//! Every key in Redis. Each begins with the prefix, then a hash tag, `{queue:…}`, `{limit:…}` or `{sampler}`, so that all the
//! keys of a script are in one slot of a cluster: a queue's schedules are with their queue, since a seat is taken, and a token
//! used up, in one step. What each holds is said at the top of `lua/queue/token.lua` and
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
/// crowd, early, times.
#[derive(Debug, Clone)]
pub struct QueueKeys(pub(super) [String; 9]);

/// A schedule's keys, in the order of its scripts' KEYS: seats, map, holds, lapses, `by_seat`, `by_user`, paying, past.
#[derive(Debug, Clone)]
pub struct ScheduleKeys {
    /// Its own, then its queue's.
    all: Vec<String>,
    own: usize,
}

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
        let parts = ["waiting", "active", "tokens", "ended", "holding", "state", "crowd", "early", "times"];
        QueueKeys(parts.map(|part| self.name(format_args!("queue:{name}"), part)))
    }

    /// The keys of a schedule that the queue of this name serves.
    #[must_use]
    pub fn schedule(&self, queue: &str, id: ScheduleId) -> ScheduleKeys {
        let parts = ["seats", "map", "holds", "lapses", "by_seat", "by_user", "paying", "past"];
        let own = parts.map(|part| self.name(format_args!("queue:{queue}"), &format!("schedule:{id}:{part}")));
        ScheduleKeys { own: own.len(), all: own.into_iter().chain(self.queue(queue).0).collect() }
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
        &self.all[..self.own]
    }
}

impl ScheduleKeys {
    /// Map, holds and `by_user`: what a script takes that looks into what a user holds.
    #[must_use]
    pub fn of_users(&self) -> [String; 3] {
        [1, 2, 5].map(|at| self.all[at].clone())
    }

    /// Its keys, then its queue's: what a script takes that changes both.
    #[must_use]
    pub fn with_queue(&self) -> &[String] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_script_share_one_hash_tag() {
        let keys = Keys::new("onsale");
        let queue = keys.queue("default");
        let schedule = "7".parse().map(|id| keys.schedule("default", id)).unwrap();
        assert!(queue.as_ref().iter().all(|key| key.starts_with("onsale:{queue:default}:")));
        assert!(schedule.as_ref().iter().all(|key| key.starts_with("onsale:{queue:default}:schedule:7:")));
        assert_eq!(schedule.with_queue(), [schedule.as_ref(), queue.as_ref()].concat());
    }
}
