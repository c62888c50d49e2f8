//! What becomes of those who wait when the time for which they may be unseen is shortened.

use super::QueueBench;
use crate::support::block_on;

/// As in lua/queue/token.lua, and a little more, in ms.
const FORMER_FOR: i64 = 15_001;

impl QueueBench {
    /// Its waiting time was shortened so long ago.
    async fn shortened(&self, ms_ago: i64) {
        self.ask(&format!("HSET state shortened {}", self.ago(ms_ago).await)).await;
    }

    async fn ago(&self, ms: i64) -> i64 {
        self.now_us().await / 1000 - ms
    }

    /// Nobody is let in, and users from 1 to this one wait; the scheduler has said that they may be unseen for a minute.
    async fn of_a_minute(last: u64) -> Self {
        let mut queue = Self::opened().await;
        queue.cap = 0;
        queue.enter_all(1..=last).await;
        queue.promote().await;
        queue
    }

    /// Nobody is let in, and users 1 to 4 wait. Ten seconds ago the time became five seconds instead of a minute. They were last
    /// seen: before that and not a minute ago; since, but not in the last five seconds; now; two minutes ago.
    async fn shorter() -> Self {
        let mut queue = Self::of_a_minute(4).await;
        queue.waiting_ttl = 5_000;
        queue.promote().await;
        queue.shortened(10_000).await;
        for (user, ms_ago) in [(1, 20_000), (2, 8_000), (4, 120_000)] {
            queue.last_seen(user, queue.ago(ms_ago).await).await;
        }
        queue
    }

    /// Those are there no more who were not seen since for the new time, nor before for the former one.
    async fn assert_right(&self) {
        let ended = [self.record(2).await.0, self.record(4).await.0];
        assert_eq!(
            (self.waiting().await, ended),
            (vec!["1".to_owned(), "3".to_owned()], ["E", "E"].map(str::to_owned))
        );
    }
}

#[test]
fn who_was_seen_before_has_the_former_time_and_who_was_seen_since_the_new_one() {
    block_on(async {
        let queue = QueueBench::shorter().await;
        let mut words = Vec::new();
        for user in 1..=4 {
            words.extend(queue.check(user, 100 + user).await);
        }
        assert_eq!(words, ["WAITING", "EXPIRED", "WAITING", "EXPIRED"]);
        assert_eq!(queue.audit_page("WAITING", "0").await[4..].iter().step_by(2).collect::<Vec<_>>(), ["101", "103"]);
        assert_eq!(queue.promote().await[4], "2", "walked by slots");
        queue.assert_right().await;
        queue.shortened(FORMER_FOR).await;
        assert_eq!(queue.check(1, 101).await, ["EXPIRED"], "after a while the new time is everybody's");
        assert_eq!(queue.promote().await[4], "1");
        assert_eq!(queue.waiting().await, ["3"]);
    });
}

#[test]
fn nobody_seen_before_has_left_until_redis_is_up_for_the_former_time() {
    block_on(async {
        let queue = QueueBench::shorter().await;
        queue.ask(&format!("HSET state opened {}", queue.ago(30_000).await)).await;
        assert_eq!(queue.check(4, 104).await, ["WAITING"]);
        assert_eq!(queue.promote().await[4], "1");
        assert_eq!(queue.waiting().await, ["1", "3", "4"]);
        queue.shortened(FORMER_FOR).await;
        assert_eq!(queue.check(4, 104).await, ["EXPIRED"]);
    });
}

#[test]
fn it_is_so_where_each_is_looked_up() {
    block_on(async {
        let queue = QueueBench::shorter().await;
        queue.ask("DEL times").await;
        assert_eq!(queue.promote().await[4], "2");
        queue.assert_right().await;
    });
}

#[test]
fn it_is_so_when_they_are_let_in() {
    block_on(async {
        let mut queue = QueueBench::shorter().await;
        queue.cap = 2;
        assert_eq!(queue.promote().await[..6], ["STEPPED", "0", "2", "0", "2", "0"]);
        assert_eq!(queue.active().await, ["1", "3"]);
    });
}

#[test]
fn it_is_so_when_they_come_again() {
    block_on(async {
        let queue = QueueBench::shorter().await;
        let mut answers = Vec::new();
        for user in 1..=4 {
            answers.push(queue.enter(user).await[1..3].join(" "));
        }
        assert_eq!(answers, ["101 0", "105 1", "103 0", "106 1"], "a place, and whether it is new");
    });
}

#[test]
fn a_shorter_time_is_none_before_the_scheduler_has_said_it_and_a_longer_one_is() {
    block_on(async {
        let mut queue = QueueBench::of_a_minute(2).await;
        queue.last_seen(1, queue.ago(20_000).await).await;
        queue.last_seen(2, queue.ago(70_000).await).await;
        queue.waiting_ttl = 5_000;
        assert_eq!([queue.check(1, 101).await, queue.check(2, 102).await], [["WAITING"], ["EXPIRED"]]);
        queue.waiting_ttl = 100_000;
        assert_eq!(queue.check(2, 102).await, ["WAITING"]);
    });
}

#[test]
fn while_instances_differ_and_when_it_is_shortened_twice_nobody_goes_too_soon() {
    block_on(async {
        let mut queue = QueueBench::of_a_minute(2).await;
        queue.last_seen(1, queue.ago(20_000).await).await;
        let mut reaped = Vec::new();
        for waiting_ttl in [5_000, 60_000, 5_000, 60_000, 5_000] {
            queue.shortened(FORMER_FOR).await;
            queue.waiting_ttl = waiting_ttl;
            reaped.push(queue.promote().await[4].clone());
        }
        assert_eq!(reaped, ["0"; 5], "it is shortened when the last has heard of it");
        for waiting_ttl in [4_000, 3_000] {
            queue.waiting_ttl = waiting_ttl;
            assert_eq!(queue.promote().await[4], "0", "the longest that anybody was told");
        }
        queue.shortened(FORMER_FOR).await;
        queue.waiting_ttl = 2_000;
        assert_eq!(queue.promote().await[4], "1", "it was a minute too long ago");
        assert_eq!(queue.one("HGET state former_ttl").await, "3000");
    });
}
