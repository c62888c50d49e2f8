//! One token's life: entering, being asked about, leaving, completing.

use super::{QueueBench, number, pass};
use crate::support::block_on;

#[test]
fn open_opens_once() {
    block_on(async {
        let queue = QueueBench::unopened().await;
        assert_eq!(queue.open(100).await, ["OPENED", "0"], "nothing was left of it");
        assert_eq!(queue.open(500).await, ["OPEN"]);
        assert_eq!(queue.ask("HMGET state places before admitted level").await, ["100", "100", "0", "nil"]);
        queue.assert_said_all("queue.open");
    });
}

#[test]
fn enter_gives_a_place_or_the_one_there_is() {
    block_on(async {
        let mut queue = QueueBench::unopened().await;
        assert_eq!(queue.enter(1).await, ["UNOPENED"]);
        assert_eq!(queue.one("EXISTS tokens").await, "0", "an unopened queue stays untouched");
        queue.open(100).await;
        assert_eq!(queue.enter(1).await, ["ACTIVE", "101", "1", "0", "0", "0"], "admitted at once, after 0 ms");
        assert_eq!(queue.enter(2).await, ["WAITING", "102", "1", "0", "0"]);
        assert_eq!(queue.enter(1).await, ["ACTIVE", "101", "0", "0", "0"]);
        assert_eq!(queue.enter(2).await, ["WAITING", "102", "0", "0", "0"]);
        queue.draining = true;
        assert_eq!(queue.enter(3).await, ["CLOSING"]);
        (queue.draining, queue.most) = (false, 2);
        assert_eq!(queue.enter(3).await, ["FULL"]);
        queue.assert_said_all("queue.enter");

        assert_eq!(queue.ask("ZRANGE waiting 0 -1 WITHSCORES").await, ["2", "102"]);
        assert_eq!(queue.active().await, ["1"]);
        assert_eq!(queue.one("HGET state places").await, "102", "asking again takes no place");
        let (_, [place, entered, _]) = queue.record(1).await;
        assert_eq!((place, queue.slot(101).await), (101, Some([entered, entered])), "let in when it came");
        assert_eq!(queue.one("ZSCORE active 1").await, (entered + queue.active_ttl).to_string());
        let (status, [place, entered, seen]) = queue.record(2).await;
        assert_eq!((&*status, place), ("W", 102));
        assert!(seen >= entered);
    });
}

#[test]
fn a_full_queue_forgets_who_ended_first_and_turns_away_only_where_nobody_has() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.most = 4;
        queue.enter_all([1, 2, 3, 4]).await;
        assert_eq!(queue.enter(5).await, ["FULL"]);
        assert_eq!(queue.enter(4).await, ["WAITING", "104", "0", "0", "0"], "who has a place keeps it");
        assert_eq!(queue.one("HGET state places").await, "104", "who is turned away takes no place");
        queue.leave(2, 102).await;
        pass(2).await;
        queue.leave(3, 103).await;
        assert_eq!(queue.enter(5).await[..2], ["WAITING", "105"]);
        assert_eq!(queue.ask("ZRANGE ended 0 -1").await, ["3"], "who ended first is forgotten");
        assert_eq!(queue.one("HEXISTS tokens 2").await, "0");
        assert_eq!(queue.enter(3).await[..2], ["WAITING", "106"], "one's own former place is no other's");
        assert_eq!(queue.enter(2).await, ["FULL"]);
        for user in 10..200 {
            queue.leave(3, 106).await;
            queue.enter(user).await;
            assert!(queue.one("HLEN tokens").await.parse::<u64>().unwrap() <= 4);
        }
    });
}

#[test]
fn entering_again_counts_as_seen_and_does_not_move_the_entry() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        let (_, [_, entered, _]) = queue.record(2).await;
        pass(5).await;
        queue.enter(2).await;
        let (_, [_, still, seen]) = queue.record(2).await;
        assert_eq!(still, entered);
        assert!(seen >= entered + 5);
    });
}

#[test]
fn whoever_has_ended_gets_a_new_place() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter(1).await;
        queue.outlive([1]).await;
        assert_eq!(queue.enter(1).await[..3], ["ACTIVE", "102", "1"], "an active token whose time was over");
        assert_eq!(queue.leave(1, 102).await, ["LEFT", ""]);
        assert_eq!(queue.enter(1).await[..3], ["ACTIVE", "103", "1"], "a token given up");
        assert_eq!(queue.one("EXISTS ended").await, "0", "a live token's record is not to be forgotten");
        assert_eq!(queue.complete(1, 103).await, ["COMPLETED"]);
        assert_eq!(queue.enter(1).await[..3], ["ACTIVE", "104", "1"], "a token that has paid");
        queue.enter(2).await;
        queue.vanish([2]).await;
        assert_eq!(queue.enter(2).await[..3], ["WAITING", "106", "1"], "a waiting token that was not seen");
        assert_eq!(queue.ask("ZRANGE waiting 0 -1 WITHSCORES").await, ["2", "106"]);
    });
}

#[test]
fn rank_tells_what_a_token_is_and_counts_as_seen() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2, 3]).await;
        let active = queue.rank(1, 101).await;
        assert_eq!(active[..2], ["ACTIVE", &queue.one("ZSCORE active 1").await]);
        assert!((1..=60_000).contains(&number(&active, 2)), "{active:?}");
        let (_, [_, entered, _]) = queue.record(3).await;
        pass(5).await;
        let ranked = queue.rank(3, 103).await;
        let (_, [_, _, seen]) = queue.record(3).await;
        assert!(seen >= entered + 5, "a rank asked is a token seen");
        assert_eq!(ranked, ["WAITING", "1", &(seen + queue.waiting_ttl).to_string(), "103", "0"]);
        queue.leave(2, 102).await;
        assert_eq!(queue.rank(3, 103).await[..2], ["WAITING", "0"]);
        assert_eq!(queue.rank(2, 102).await, ["EXPIRED"]);
        queue.complete(1, 101).await;
        assert_eq!(queue.rank(1, 101).await, ["COMPLETED"]);
        assert_eq!(queue.rank(4, 104).await, ["UNKNOWN"], "a place that was never given");
        queue.lose().await;
        assert_eq!(queue.rank(3, 103).await, ["UNOPENED"]);
        queue.open(200).await;
        let lost = queue.rank(3, 103).await;
        assert!(lost[0] == "LOST" && number(&lost, 1) < 60_000, "{lost:?}");
        queue.assert_said_all("queue.rank");
    });
}

#[test]
fn check_tells_whether_a_token_may_try() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2, 3]).await;
        let left = queue.check(1, 101).await;
        assert_eq!(left[0], "ACTIVE");
        assert!((1..=60_000).contains(&number(&left, 1)), "{left:?}");
        let before = queue.snapshot().await;
        assert_eq!(queue.check(2, 102).await, ["WAITING"]);
        assert_eq!(queue.snapshot().await, before, "a look changes nothing");
        queue.leave(3, 103).await;
        assert_eq!(queue.check(3, 103).await, ["EXPIRED"]);
        queue.complete(1, 101).await;
        assert_eq!(queue.check(1, 101).await, ["COMPLETED"]);
        assert_eq!(queue.check(2, 104).await, ["UNKNOWN"]);
        queue.lose().await;
        assert_eq!(queue.check(2, 102).await, ["UNOPENED"]);
        queue.open(200).await;
        assert_eq!(queue.check(2, 102).await[0], "LOST");
        queue.assert_said_all("queue.check");
    });
}

#[test]
fn leave_ends_a_live_token_at_once() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2, 3]).await;
        queue.hold_in(1, &[7, 9]).await;
        let before = queue.snapshot().await;
        assert_eq!(queue.leave(4, 104).await, ["UNKNOWN"]);
        assert_eq!(queue.leave(4, 101).await, ["GONE"], "another's place is not one's own");
        assert_eq!(queue.snapshot().await, before);
        assert_eq!(queue.leave(1, 101).await, ["LEFT", "7 9"]);
        assert_eq!(queue.leave(2, 102).await, ["LEFT", ""]);
        assert_eq!(queue.leave(1, 101).await, ["GONE"]);

        assert_eq!((queue.waiting().await, queue.one("EXISTS active").await), (vec!["3".to_owned()], "0".to_owned()));
        assert_eq!(queue.one("EXISTS holding").await, "0");
        assert_eq!(queue.record(1).await.0, "E");
        assert_eq!(queue.ask("ZRANGE ended 0 -1").await, ["1", "2"]);

        queue.lose().await;
        assert_eq!(queue.leave(3, 103).await, ["UNOPENED"]);
        queue.open(200).await;
        assert_eq!(queue.leave(3, 103).await[0], "LOST");
        queue.assert_said_all("queue.leave");
    });
}

#[test]
fn complete_ends_a_token_that_holds_nothing_more() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        queue.hold_in(1, &[1, 15, 5]).await;
        assert_eq!(queue.complete(2, 102).await, ["GONE"], "a waiting token cannot have paid");
        assert_eq!(queue.complete(1, 100).await, ["GONE"], "nor an older one of the same user");
        assert_eq!(queue.complete(1, 101).await, ["HOLDING", "1 15 5"], "nobody has looked there");
        assert_eq!((queue.one("HGET holding 1").await, queue.active().await), ("1 15 5".into(), vec!["1".to_owned()]));
        queue.ask("DEL holding").await;
        assert_eq!(queue.complete(1, 101).await, ["COMPLETED"]);
        assert_eq!(queue.complete(1, 101).await, ["GONE"]);

        assert_eq!(queue.one("EXISTS active").await, "0", "the slot is free");
        assert_eq!(queue.one("EXISTS holding").await, "0");
        assert_eq!((queue.record(1).await.0, queue.ask("ZRANGE ended 0 -1").await), ("C".into(), vec!["1".to_owned()]));

        queue.fail_over();
        assert_eq!(queue.complete(2, 102).await, ["UNOPENED"]);
    });
}

#[test]
fn a_token_ends_by_time_even_before_it_is_reaped() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        queue.outlive([1]).await;
        queue.vanish([2]).await;
        for (user, place) in [(1, 101), (2, 102)] {
            assert_eq!(queue.rank(user, place).await, ["EXPIRED"]);
            assert_eq!(queue.check(user, place).await, ["EXPIRED"]);
            assert_eq!(queue.leave(user, place).await, ["GONE"]);
        }
        assert_eq!((queue.active().await, queue.waiting().await), (vec!["1".into()], vec!["2".into()]));
        assert_eq!(queue.audit().await, ["AUDITED", "0", "0", "0", "0"], "it is not live either");
    });
}

#[test]
fn an_older_token_has_expired_and_a_future_place_is_unknown() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter(1).await;
        queue.complete(1, 101).await;
        assert_eq!(queue.rank(1, 101).await, ["COMPLETED"]);
        queue.enter(1).await;
        assert_eq!(queue.rank(1, 101).await, ["EXPIRED"], "the older token");
        assert_eq!(queue.check(1, 101).await, ["EXPIRED"]);
        assert_eq!(queue.leave(1, 101).await, ["GONE"], "and does not end the newer");
        assert_eq!(queue.complete(1, 101).await, ["GONE"]);
        assert_eq!(queue.rank(1, 102).await[0], "ACTIVE");
        assert_eq!(queue.rank(1, 103).await, ["UNKNOWN"]);
        assert_eq!(queue.rank(9, 102).await, ["EXPIRED"], "a place given, to another or long forgotten");
    });
}

#[test]
fn places_go_on_above_all_given_before_when_redis_has_lost_the_queue() {
    block_on(async {
        let last_epoch = 1_048_575_u64 << 32;
        let mut queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        queue.lose().await;
        assert_eq!(queue.enter(1).await, ["UNOPENED"]);
        queue.open(last_epoch).await;
        queue.cap = 0;
        for (user, offset) in [(9, 1), (1, 2), (5, 3)] {
            assert_eq!(queue.enter(user).await[1], (last_epoch + offset).to_string(), "exact up there too");
        }
        assert_eq!(queue.waiting().await, ["9", "1", "5"]);
        assert_eq!(queue.rank(5, last_epoch + 3).await[..2], ["WAITING", "2"]);
        assert_eq!(queue.rank(2, 102).await[0], "LOST", "a token of before the loss");
        assert_eq!(queue.rank(1, 101).await[0], "LOST", "better than the one that its user got since");
        assert_eq!(queue.rank(2, last_epoch + 4).await, ["UNKNOWN"]);
        assert_eq!(queue.audit().await, ["AUDITED", "0", "0", &(last_epoch + 1).to_string(), "0"]);
    });
}
