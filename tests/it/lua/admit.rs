//! Letting in: never above the cap, never faster than the rate, always the first who is there.

use futures_util::future::join_all;

use super::{QueueBench, number, pass};
use crate::support::block_on;

const SECOND_US: i64 = 1_000_000;

/// The token bucket's level in millionths of an admission, and when it was counted.
async fn bucket(queue: &QueueBench) -> (i64, i64) {
    let state = queue.ask("HMGET state level refilled").await;
    (number(&state, 0), number(&state, 1))
}

/// How many a step let in.
async fn admitted(queue: &QueueBench) -> usize {
    let step = queue.promote().await;
    assert_eq!(step[0], "STEPPED");
    step.len() - 6
}

/// A queue in which so many wait and nobody was let in yet.
async fn crowd(users: u64) -> QueueBench {
    let mut queue = QueueBench::opened().await;
    queue.cap = 0;
    queue.enter_all(1..=users).await;
    assert_eq!(queue.one("ZCARD waiting").await, users.to_string());
    queue.cap = 1_000;
    queue
}

#[test]
fn promote_reports_its_step() {
    block_on(async {
        let mut queue = QueueBench::unopened().await;
        assert_eq!(queue.promote().await, ["UNOPENED"]);
        assert_eq!(queue.one("EXISTS state").await, "0");
        queue.open(100).await;
        assert_eq!(queue.promote().await, ["STEPPED", "0", "0", "0", "0", "0"], "an empty queue");
        queue.cap = 0;
        queue.enter_all([1, 2, 3]).await;
        queue.ask("HSET state opened 5").await;
        queue.vanish([1]).await;
        pass(5).await;
        queue.cap = 1;
        let step = queue.promote().await;
        assert_eq!(step[..6], ["STEPPED", "1", "1", "0", "1", "0"], "1 waits, 1 active, 1 had left");
        assert!(step.len() == 7 && number(&step, 6) >= 5, "the wait of the one admitted: {step:?}");
        queue.assert_said_all("queue.promote");
    });
}

#[test]
fn a_slot_goes_to_the_first_who_waits_not_to_the_one_who_comes() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([7, 3, 5]).await;
        queue.leave(7, 101).await;
        assert_eq!(queue.enter(9).await[..2], ["WAITING", "104"]);
        assert_eq!((queue.active().await, queue.waiting().await), (vec!["3".into()], vec!["5".into(), "9".into()]));
        queue.leave(3, 102).await;
        queue.promote().await;
        assert_eq!(queue.active().await, ["5"]);
        assert_eq!(queue.check(5, 103).await[0], "ACTIVE");
    });
}

#[test]
fn the_cap_holds_however_many_come_at_once() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 3;
        let entries = join_all((1..=40).map(|user| queue.enter(user))).await;
        assert_eq!(entries.iter().filter(|entry| entry[0] == "ACTIVE").count(), 3);
        let mut places: Vec<_> = entries.iter().map(|entry| number(entry, 1)).collect();
        places.sort_unstable();
        assert_eq!(places, (101..=140).collect::<Vec<_>>(), "each has a place of its own");
        let first_three = ["101", "102", "103"].map(str::to_owned);
        assert!(entries.iter().all(|entry| (entry[0] == "ACTIVE") == first_three.contains(&entry[1])));
        join_all((0..8).map(|_| queue.promote())).await;
        assert_eq!(queue.active().await.len(), 3);
        assert_eq!(queue.audit().await, ["AUDITED", "3", "103", "104", "0"]);
    });
}

#[test]
fn a_lowered_cap_throws_nobody_out_and_lets_nobody_in() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 3;
        queue.enter_all(1..=5).await;
        queue.cap = 1;
        for (user, active) in [(1, 2), (2, 1)] {
            queue.leave(user, 100 + user).await;
            assert_eq!(admitted(&queue).await, 0);
            assert_eq!(queue.active().await.len(), active);
        }
        queue.leave(3, 103).await;
        assert_eq!(admitted(&queue).await, 1);
        assert_eq!(queue.active().await, ["4"]);
    });
}

#[test]
fn the_bucket_gives_a_second_s_worth_then_exactly_the_rate() {
    block_on(async {
        let mut queue = crowd(80).await;
        queue.rate = 20;
        queue.ask("HDEL state level refilled").await;
        assert_eq!(admitted(&queue).await, 20, "the burst");
        let (level, begin) = bucket(&queue).await;
        assert_eq!(level, 0);
        let mut total = 0;
        for _ in 0..25 {
            pass(10).await;
            total += i64::try_from(admitted(&queue).await).unwrap();
            let (level, now) = bucket(&queue).await;
            assert_eq!(total * SECOND_US + level, (now - begin) * 20, "nothing gained, nothing lost");
            assert!(level < SECOND_US, "whoever could come in came in");
        }
        assert!(total >= 5, "250 ms at 20 a second: {total}");
    });
}

#[test]
fn the_bucket_refills_by_the_clock_up_to_full() {
    block_on(async {
        let mut queue = crowd(60).await;
        queue.rate = 10;
        // The call itself may take some of a second.
        for (ago_us, expected) in [(620_000, 6..=8), (3_600 * SECOND_US, 10..=10), (-5 * SECOND_US, 0..=0)] {
            let refilled = queue.now_us().await - ago_us;
            queue.ask(&format!("HSET state level 0 refilled {refilled}")).await;
            let count = admitted(&queue).await;
            assert!(expected.contains(&count), "{count} after {ago_us} µs");
            assert!((0..SECOND_US).contains(&bucket(&queue).await.0), "after {ago_us} µs");
        }
        // A fuller level than the rate allows, as after the rate was lowered, is cut.
        let (_, refilled) = bucket(&queue).await;
        queue.ask(&format!("HSET state level 999999999999 refilled {refilled}")).await;
        assert_eq!(admitted(&queue).await, 10);
    });
}

#[test]
fn entering_takes_from_the_same_bucket() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        (queue.cap, queue.rate) = (1_000, 2);
        let words: Vec<_> = join_all((1..=6).map(|user| queue.enter(user))).await;
        let active = words.iter().filter(|entry| entry[0] == "ACTIVE").count();
        let (level, _) = bucket(&queue).await;
        assert!((2..=3).contains(&active), "a burst of 2, and less than half a second: {active}");
        assert!((0..2 * SECOND_US).contains(&level));
        assert_eq!(queue.enter(1).await[0], "ACTIVE");
        assert_eq!(queue.active().await.len(), active, "one who is active takes nothing more");
    });
}

#[test]
fn those_who_have_left_hold_nobody_up() {
    block_on(async {
        let mut queue = crowd(9).await;
        queue.vanish([1, 2, 3, 5]).await;
        queue.cap = 2;
        let (level, _) = bucket(&queue).await;
        assert_eq!(level, 1_000_000 * SECOND_US);
        let step = queue.promote().await;
        assert_eq!(step[..6], ["STEPPED", "3", "2", "0", "4", "0"]);
        assert_eq!((queue.active().await, queue.waiting().await), (texts([4, 6]), texts([7, 8, 9])));
        assert_eq!(bucket(&queue).await.0, 999_998 * SECOND_US, "they cost no admissions");
        for user in [1, 2, 3, 5] {
            assert_eq!(queue.record(user).await.0, "E");
            assert_eq!(queue.rank(user, 100 + user).await, ["EXPIRED"]);
        }
        queue.vanish([7]).await;
        queue.leave(4, 104).await;
        let entry = queue.enter(10).await;
        assert_eq!(entry[..5], ["WAITING", "110", "1", "0", "1"], "entering passes over them too");
        assert_eq!(queue.active().await, ["6", "8"]);
    });
}

#[test]
fn a_step_is_bounded_and_says_whether_there_is_more() {
    block_on(async {
        let mut queue = crowd(5).await;
        queue.limit = 2;
        for step in [["STEPPED", "3", "2", "0", "0", "1"], ["STEPPED", "1", "4", "0", "0", "1"]] {
            assert_eq!(queue.promote().await[..6], step);
        }
        assert_eq!(queue.promote().await[..6], ["STEPPED", "0", "5", "0", "0", "0"]);
    });
}

#[test]
fn a_jam_of_those_who_have_left_is_cleared_step_by_step() {
    block_on(async {
        let mut queue = crowd(6).await;
        (queue.cap, queue.limit) = (1, 2);
        queue.vanish(1..=5).await;
        let mut steps = 0;
        while queue.active().await.is_empty() {
            let step = queue.promote().await;
            steps += 1;
            assert!(steps <= 3, "jammed: {step:?}");
            assert!(step[5] == "1" || step.len() == 7, "whoever is not through has more to do: {step:?}");
        }
        assert_eq!(queue.active().await, ["6"]);
    });
}

#[test]
fn active_tokens_whose_time_is_over_make_room() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        (queue.cap, queue.limit) = (3, 2);
        queue.enter_all(1..=3).await;
        queue.outlive(1..=3).await;
        queue.cap = 2;
        // Two end at a time.
        assert_eq!(queue.enter(4).await[..4], ["ACTIVE", "104", "1", "2"]);
        assert_eq!(queue.promote().await[..6], ["STEPPED", "0", "1", "1", "0", "0"]);
        assert_eq!(queue.active().await, ["4"]);
        assert_eq!(queue.record(1).await.0, "E");
        assert_eq!(queue.rank(1, 101).await, ["EXPIRED"]);
        assert_eq!(queue.one("ZCARD ended").await, "3");
    });
}

pub(super) fn texts<const N: usize>(users: [u64; N]) -> Vec<String> {
    users.map(|user| user.to_string()).to_vec()
}
