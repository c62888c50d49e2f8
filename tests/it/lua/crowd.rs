//! The crowd, which tells ranks without a question each, and those who were seen without one.

use super::{QueueBench, number, pass};
use crate::support::block_on;

#[test]
fn the_crowd_is_who_waits() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all(1..=20).await;
        assert_eq!(queue.crowd().await, (102..=120).collect::<Vec<_>>(), "1 was let in");
        queue.leave(5, 105).await;
        queue.vanish([7]).await;
        queue.outlive([1]).await;
        assert_eq!(queue.promote().await[0], "STEPPED", "lets in 2 and reaps 7");
        queue.run("use_up", &["9:109"]).await;
        let waiting = [103, 104, 106, 108].into_iter().chain(110..=120).collect::<Vec<_>>();
        assert_eq!(queue.crowd().await, waiting);
        assert_eq!(queue.ask("HMGET state let_in left").await, ["2", "3"], "5, 7 and 9 will not come");
        queue.leave(5, 105).await;
        queue.leave(2, 102).await;
        assert_eq!(queue.ask("HMGET state let_in left").await, ["2", "3"], "who was let in has not left the line");
    });
}

#[test]
fn a_step_brings_the_crowd_from_the_first_who_waits_on() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.enter_all(1..=18).await;
        queue.cap = 17;
        queue.promote().await;
        let reply = queue.step(true).await;
        // User 18's order is 118, its bit 17, the second of the third byte: 0x40.
        assert_eq!(reply[8..], ["100", "0", "17", "0", "2", "@"]);
        assert_eq!(queue.step(false).await[12..], ["0", ""], "nobody asked for it");
        queue.leave(18, 118).await;
        assert_eq!(queue.step(true).await[11..], ["1", "0", ""], "nobody waits");
    });
}

#[test]
fn an_opening_begins_a_fresh_crowd_and_who_is_given_back_has_no_bit() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2, 3]).await;
        queue.fail_over();
        queue.open(200).await;
        assert_eq!(queue.waiting().await, ["2", "3"], "they are still there");
        assert_eq!(queue.crowd().await, [0; 0]);
        queue.enter(4).await;
        queue.lose().await;
        queue.open(300).await;
        queue.enter_all([8, 9]).await;
        assert_eq!(queue.restore(4, 201).await[0], "RESTORED");
        assert_eq!(queue.crowd().await, [302], "9's");
        assert_eq!(queue.step(true).await[8..10], ["300", "1"], "4 waits before this opening's first");
    });
}

#[test]
fn a_place_that_gives_way_to_an_earlier_one_leaves_no_bit() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        queue.lose().await;
        queue.open(200).await;
        queue.enter_all([8, 2]).await;
        assert_eq!(queue.crowd().await, [202]);
        assert_eq!(queue.restore(2, 102).await[0], "RESTORED");
        assert_eq!(queue.crowd().await, [0; 0]);
    });
}

#[test]
fn who_was_seen_lives_on_and_who_does_not_wait_is_told_of() {
    block_on(async {
        let queue = QueueBench::opened().await;
        assert_eq!(queue.see(&[]).await, ["SEEN"]);
        queue.enter_all(1..=4).await;
        queue.leave(3, 103).await;
        let (_, [_, entered, before]) = queue.record(2).await;
        pass(20).await;
        let mut fates = queue.see(&[(1, 101, 0), (2, 102, 5), (3, 103, 0), (4, 104, 60_000), (9, 999, 0)]).await;
        let active = fates.remove(1);
        let expiry = format!("1:101:ACTIVE:{}:", queue.one("ZSCORE active 1").await);
        assert!(active.starts_with(&expiry), "{active}");
        assert_eq!(fates, ["SEEN", "3:103:EXPIRED:0:0", "9:999:UNKNOWN:0:0"]);
        let (_, [_, still, seen]) = queue.record(2).await;
        assert!(still == entered && (before + 10..before + 10_000).contains(&seen), "{before} {seen}");
        let (_, [_, entered, seen]) = queue.record(4).await;
        assert_eq!(seen, entered, "a sighting of long ago takes nothing away");

        queue.complete(1, 101).await;
        assert_eq!(queue.see(&[(1, 101, 0), (1, 100, 0)]).await, ["SEEN", "1:101:COMPLETED:0:0", "1:100:EXPIRED:0:0"]);
        queue.vanish([2]).await;
        let gone = queue.record(2).await;
        assert_eq!(queue.see(&[(2, 102, 0)]).await, ["SEEN", "2:102:EXPIRED:0:0"]);
        assert_eq!(queue.record(2).await, gone, "who has left is not revived");
        assert_eq!(queue.record(3).await.0, "E");
    });
}

#[test]
fn who_has_no_bit_is_told_its_rank() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2, 3, 4]).await;
        queue.fail_over();
        assert_eq!(queue.see(&[(3, 103, 0)]).await, ["UNOPENED"]);
        queue.open(200).await;
        let reply = queue.see(&[(3, 103, 0)]).await;
        let fields: Vec<&str> = reply[1].split(':').collect();
        let (_, [_, _, seen]) = queue.record(3).await;
        assert_eq!(fields, ["3", "103", "WAITING", "1", &(seen + queue.waiting_ttl).to_string()]);
        queue.lose().await;
        queue.open(300).await;
        assert_eq!(queue.see(&[(3, 103, 0)]).await, ["SEEN", "3:103:LOST:0:0"]);
        assert!(number(&queue.rank(3, 103).await, 1) < 60_000);
        queue.assert_said_all("queue.see");
    });
}
