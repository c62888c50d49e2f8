//! Scripts that take many calls at once: each call has a reply of its own, in its place, as if it had come alone.

use super::queues::QueueBench;
use super::seats::SeatBench;
use crate::support::block_on;

#[test]
fn each_hold_is_decided_on_its_own_in_its_turn() {
    block_on(async {
        let seats = SeatBench::of("FFFS").await;
        for user in 1..=3 {
            seats.let_in(user, 60_000).await;
        }
        let terms = ["2", "100", "60000", "7"];
        let calls: [&[&str]; 8] = [
            &["1", "1", "1-1", "10", "0", "60000"],
            &["2", "2", "1-2", "20", "0", "60000"],
            &["1", "1", "1-1", "11", "1", "60000"],
            &["1", "1", "1-1", "12", "2", "60000"],
            &["3", "3", "1-3", "30", "3", "60000"],
            &["3", "3", "1-3", "31", "9", "60000"],
            &["1", "1", "1-1", "13", "0", "60000"],
            &["4", "4", "1-4", "40", "2", "60000"],
        ];
        let replies = seats.run_each("hold", &terms, &calls).await;
        let words: Vec<&str> = replies.iter().map(|reply| &*reply[0]).collect();
        assert_eq!(words, ["HELD", "TAKEN", "HELD", "LIMIT", "TAKEN", "NO_SEAT", "AGAIN", "EXPIRED"]);
        assert_eq!(seats.states().await, "HHFS");
        assert_eq!(replies[6][1], "10");
    });
}

#[test]
fn a_call_that_fails_leaves_its_neighbours_alone() {
    block_on(async {
        let seats = SeatBench::of("FFF").await;
        for user in 1..=3 {
            seats.let_in(user, 60_000).await;
        }
        let calls: [&[&str]; 3] = [
            &["1", "1", "1-1", "10", "0", "60000"],
            &["2", "2", "1-2", "20", "no number", "60000"],
            &["3", "3", "1-3", "30", "2", "60000"],
        ];
        let replies = seats.run_each("hold", &["2", "100", "60000", "7"], &calls).await;
        assert_eq!(replies[0], ["HELD", "10", "60000"]);
        assert_eq!(replies[1][0], "FAILED");
        assert!(replies[1][1].contains("not an integer"), "{replies:?}");
        assert_eq!(replies[2], ["HELD", "30", "60000"]);
        assert_eq!(seats.states().await, "HFH");
    });
}

#[test]
fn payments_begin_and_end_each_on_its_own() {
    block_on(async {
        let seats = SeatBench::of("FFF").await;
        for (user, seat) in [(1, 0), (2, 1), (3, 2)] {
            seats.hold(user, 10 * user, seat).await;
        }
        let calls: [&[&str]; 5] =
            [&["1", "10", ""], &["1", "20", ""], &["2", "20", "1-2"], &["2", "20", ""], &["3", "30", "1-2"]];
        let begun = seats.run_each("begin_payment", &[], &calls).await;
        let (first, third) = (vec!["BEGUN", "0", "1"], vec!["BEGUN", "1", "1"]);
        assert_eq!(begun, [first, vec!["UNKNOWN"], third, vec!["PAYING"], vec!["OTHER_TOKEN"]]);
        let ended: [&[&str]; 3] = [
            &["1", "10", "0", "1", "PAID", "1"],
            &["2", "20", "1", "1", "REFUSED", ""],
            &["3", "30", "2", "1", "REFUSED", ""],
        ];
        let ended = seats.run_each("finish_payment", &["7"], &ended).await;
        assert_eq!(ended, [vec!["SOLD", "1"], vec!["HELD"], vec!["GONE"]]);
        assert_eq!(seats.states().await, "SHH");
    });
}

#[test]
fn many_enter_in_their_order_and_are_let_in_as_far_as_there_is_room() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 2;
        let replies = queue.enter_together(&[7, 3, 9, 7]).await;
        // The first tells whom the batch has let in: how long each of the two had waited.
        assert_eq!(replies[0][..6], ["ACTIVE", "101", "1", "0", "0", "0"]);
        assert_eq!(replies[0].len(), 8);
        assert_eq!(replies[1], ["ACTIVE", "102", "1", "0", "0", "0"]);
        assert_eq!(replies[2], ["WAITING", "103", "1", "0", "0", "0"]);
        assert_eq!(replies[3], ["ACTIVE", "101", "0", "0", "0", "0"], "who comes twice has one place");
        assert_eq!(queue.waiting().await, ["9"]);
    });
}

#[test]
fn a_batch_lets_in_as_many_as_come_with_it() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        (queue.cap, queue.limit) = (100, 2);
        let users: Vec<u64> = (1..=20).collect();
        let replies = queue.enter_together(&users).await;
        assert!(replies.iter().all(|reply| reply[0] == "ACTIVE"), "{replies:?}");
    });
}

#[test]
fn tokens_are_checked_each_on_its_own() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 2;
        queue.enter_all(1..=3).await;
        let ttl = queue.waiting_ttl.to_string();
        let checks: [&[&str]; 4] = [&["1", "101"], &["3", "103"], &["2", "102"], &["9", "999"]];
        let checked = queue.run_each("check", &[&ttl], &checks).await;
        let words: Vec<&str> = checked.iter().map(|reply| &*reply[0]).collect();
        assert_eq!(words, ["ACTIVE", "WAITING", "ACTIVE", "UNKNOWN"]);
    });
}
