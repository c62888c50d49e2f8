//! What the scheduler's step does besides letting in, and the queue's audit.

use super::QueueBench;
use super::admit::texts;
use crate::support::block_on;

#[test]
fn the_reaper_walks_everyone_and_begins_again() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all(1..=9).await;
        queue.vanish([1, 3, 5, 7, 9]).await;
        queue.limit = 3;
        let mut reaped = Vec::new();
        for _ in 0..4 {
            reaped.push(queue.promote().await[4].clone());
        }
        assert_eq!(reaped, ["2", "1", "2", "0"], "three a step, from where the last one stopped");
        assert_eq!(queue.waiting().await, texts([2, 4, 6, 8]));
        assert_eq!(queue.record(9).await.0, "E");

        queue.vanish([2]).await;
        assert_eq!(queue.promote().await[4], "1", "and from the beginning again");
        queue.limit = 9;
        queue.promote().await;
        queue.vanish([4]).await;
        assert_eq!(queue.promote().await[4], "1", "at once, where one step saw everyone");
        assert_eq!(queue.waiting().await, texts([6, 8]));
        assert_eq!(queue.active().await, Vec::<String>::new(), "reaping lets nobody in");
    });
}

#[test]
fn the_reaper_s_walk_survives_those_who_leave_under_it() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all(1..=6).await;
        queue.vanish([4, 6]).await;
        queue.limit = 3;
        assert_eq!(queue.promote().await[4], "0");
        // The cursor stands at user 3's place, who is no more.
        queue.leave(3, 103).await;
        assert_eq!(queue.promote().await[4], "2");
        assert_eq!(queue.waiting().await, texts([1, 2, 5]));
    });
}

#[test]
fn a_step_walks_the_fewer_the_more_it_lets_in() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all(1..=9).await;
        queue.vanish([4, 6, 7, 8]).await;
        (queue.cap, queue.limit) = (3, 3);
        let step = queue.promote().await;
        assert_eq!([&step[2], &step[4], &step[5]], ["3", "0", "1"], "as many as it may, and none walked");
        queue.cap = 4;
        let step = queue.promote().await;
        assert_eq!([&step[2], &step[4], &step[5]], ["4", "2", "0"], "one passed over, one walked");
        assert_eq!(queue.promote().await[4], "2", "and three after that one");
        assert_eq!(queue.waiting().await, texts([9]));
    });
}

#[test]
fn a_waiting_token_lives_as_long_as_it_is_seen() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all([1, 2, 3]).await;
        let half_a_minute_ago = queue.now_us().await / 1000 - 30_000;
        for user in 1..=3 {
            queue.last_seen(user, half_a_minute_ago).await;
        }
        queue.enter(1).await;
        queue.rank(2, 102).await;
        queue.check(3, 103).await;
        queue.waiting_ttl = 30_000;
        assert_eq!(queue.promote().await[4], "1", "a check is no sign of life of one who waits");
        assert_eq!(queue.waiting().await, texts([1, 2]));
    });
}

#[test]
fn ended_records_are_forgotten_after_their_time() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 9;
        queue.enter_all(1..=4).await;
        for user in 1..=3 {
            queue.complete(user, 100 + user).await;
        }
        queue.promote().await;
        assert_eq!(queue.rank(3, 103).await, ["COMPLETED"], "not yet");
        (queue.retention, queue.limit) = (0, 2);
        queue.promote().await;
        assert_eq!(queue.ask("HKEYS tokens").await.len(), 2, "two a step");
        queue.promote().await;
        assert_eq!(queue.ask("HKEYS tokens").await, ["4"], "the living stay");
        assert_eq!(queue.one("EXISTS ended").await, "0");
        assert_eq!(queue.rank(3, 103).await, ["EXPIRED"], "what it was is forgotten, not that it was");
    });
}

#[test]
fn a_returned_user_s_record_is_not_forgotten_with_the_old_one() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.enter(1).await;
        queue.leave(1, 101).await;
        queue.enter(1).await;
        queue.retention = 0;
        queue.promote().await;
        assert_eq!(queue.rank(1, 102).await[0], "ACTIVE");
    });
}

#[test]
fn audit_sees_the_order_and_what_is_torn() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        assert_eq!(queue.audit().await, ["AUDITED", "0", "0", "0", "0"]);
        queue.cap = 2;
        queue.enter_all(1..=5).await;
        queue.vanish([3]).await;
        assert_eq!(queue.audit().await, ["AUDITED", "2", "102", "104", "0"], "user 3 has left");
        let before = queue.snapshot().await;
        queue.audit().await;
        assert_eq!(queue.snapshot().await, before);

        queue.ask("ZADD waiting 101 1").await;
        assert_eq!(queue.audit().await[4], "1", "waiting and active at once");
        assert_eq!(queue.audit_page("WAITING", "0").await[3..5], ["1", "1"], "by name");
        queue.ask("ZREM waiting 1").await;
        queue.ask("ZADD waiting 99 4").await;
        assert_eq!(queue.audit().await[4], "1", "a place that is not the token's");
        queue.ask("ZADD waiting 104 4").await;
        queue.ask("HDEL tokens 2").await;
        assert_eq!(queue.audit().await[4], "1", "active without a token");
        queue.ask("ZREM active 2").await;
        queue.ask("ZREM active 1").await;
        queue.ask("ZREM waiting 5").await;
        assert_eq!(queue.audit().await[4], "2", "tokens that are nowhere");
        queue.fail_over();
        assert_eq!(queue.audit_page("ACTIVE", "0").await, ["UNOPENED"]);
        queue.assert_said_all("queue.audit");
    });
}

#[test]
fn audit_goes_through_pages() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 5;
        queue.enter_all(1..=12).await;
        queue.limit = 2;
        let (mut from, mut seen) = ("0".to_owned(), Vec::new());
        while !from.is_empty() {
            let page = queue.audit_page("ACTIVE", &from).await;
            assert!(page.len() <= 4 + 2 * 2, "two a page: {page:?}");
            seen.extend(page[4..].iter().step_by(2).cloned());
            from = page[2].clone();
            if seen.len() == 2 {
                // They end where the pages end: those who are yet to be seen still are.
                queue.leave(1, 101).await;
            }
        }
        seen.sort();
        assert_eq!(seen, ["102", "103", "104", "105"]);
        assert_eq!(queue.audit().await, ["AUDITED", "4", "105", "106", "0"]);
    });
}

#[test]
fn audit_counts_only_those_whose_time_is_not_over() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 2;
        queue.enter_all([1, 2]).await;
        queue.outlive([2]).await;
        assert_eq!(queue.audit().await, ["AUDITED", "1", "101", "0", "0"]);
    });
}
