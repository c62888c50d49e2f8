//! Several seats at once, and a user's own.

use super::seats::token;
use super::{QueueBench, SeatBench, number, pass};
use crate::support::block_on;

#[test]
fn hold_many_says_what_became_of_it() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.hold_many(1, "10 11", "0 1", "").await, ["MISSING"]);
        seats.rebuild("FFFFFS", &[]).await;
        seats.most = 3;
        assert_eq!(seats.hold_many(1, "10 11", "0 6", "").await, ["NO_SEAT"]);
        assert_eq!(seats.hold_many(1, "10 11", "0 5", "").await, ["TAKEN"]);
        assert_eq!(seats.hold_many(1, "1 2 3 4", "0 1 2 3", "").await, ["LIMIT"]);
        assert_eq!(seats.states().await, "FFFFFS", "all or none");
        let held = seats.hold_many(1, "10 11", "3 1", "").await;
        assert_eq!((&*held[0], &held[3..]), ("HELD", &["3", "10", "1", "11"].map(String::from)[..]));
        let deadline = seats.one("ZSCORE lapses 10").await;
        assert_eq!((&held[1], &*held[2]), (&deadline, "60000"), "and the token lives as long");
        assert_eq!((seats.one("ZSCORE active 1").await, &*seats.one("HGET holding 1").await), (deadline.clone(), "7"));
        assert_eq!(seats.one("HGET holds 11").await, format!("H:1:1:{deadline}:0:{}", token(1)));
        assert_eq!(seats.one("HGET by_user 1").await, "10 11");
        assert_eq!(seats.ask("HMGET by_seat 1 3").await, ["11", "10"]);
        assert_eq!(seats.hold_many(2, "20 21", "0 1", "").await, ["TAKEN"]);
        assert_eq!(seats.hold_many(1, "12 13", "0 2", "").await, ["LIMIT"]);
        assert_eq!(seats.hold_many(2, "20 21", "", "2 2 2").await[0], "HELD");
        assert_eq!(seats.hold_many(3, "30 31", "", "2 2 2").await, ["TAKEN"], "there is one");
        for (user, word) in seats.let_in_otherwise().await {
            assert_eq!(seats.hold_many(user, "90 91", "0 2", "").await[0], word);
        }
        seats.queue_is_lost().await;
        assert_eq!(seats.hold_many(1, "90 91", "0 2", "").await, ["UNOPENED"]);
        seats.assert_said_all("seat.hold_many");
        assert_eq!(seats.audit(60_000).await[0..2], ["AUDITED", &*seats.states().await]);
    });
}

#[test]
fn what_one_has_already_keeps_its_reservation() {
    block_on(async {
        let mut seats = SeatBench::of("FFFF").await;
        seats.most = 3;
        seats.hold(1, 10, 1).await;
        seats.begin(1, 10).await;
        pass(3).await;
        let held = seats.hold_many(1, "20 21 22", "2 1 0", "").await;
        assert_eq!(held[3..], ["2", "20", "1", "10", "0", "22"]);
        let first = number(&held, 1);
        assert!(first < seats.one("ZSCORE lapses 20").await.parse().unwrap(), "the first of them to lapse");
        assert_eq!(seats.states().await, "HPHF");
        let before = seats.snapshot().await;
        let again = seats.hold_many(1, "20 21 22", "2 1 0", "").await;
        assert_eq!((&again[..2], &again[3..]), (&held[..2], &held[3..]), "a repetition, or the same again");
        assert_eq!(seats.snapshot().await, before);
    });
}

#[test]
fn a_repetition_gets_the_best_seats_of_the_first_run() {
    block_on(async {
        let seats = SeatBench::of("FFFFFF").await;
        let held = seats.hold_many(1, "10 11", "", "6").await;
        let before = seats.snapshot().await;
        let again = seats.hold_many(1, "10 11", "", "6").await;
        assert_eq!((&again[..2], &again[3..]), (&held[..2], &held[3..]));
        assert_eq!(seats.snapshot().await, before);
    });
}

#[test]
fn the_best_are_side_by_side_then_in_front() {
    block_on(async {
        let best = async |states: &str, rows: &str, ids: &str| SeatBench::of(states).await.best(1, ids, rows).await;
        assert_eq!(best("FFFFFF", "3 3", "1 2").await, ["0", "1"], "from the front");
        assert_eq!(best("FSFFFF", "3 3", "1 2").await, ["3", "4"], "side by side, if further back");
        assert_eq!(best("FFSFFSFF", "2 4 2", "1 2").await, ["0", "1"]);
        assert_eq!(best("SFFS", "2 2", "1 2").await, ["1", "2"], "singly, over the rows' end, if there is no more");
        assert_eq!(best("SFSSFF", "2 2 2", "1 2").await, ["4", "5"], "not over a row's end");
        assert_eq!(best("FFFSFF", "6", "1 2").await, ["4", "5"], "none is left over alone");
        assert_eq!(best("FFFSFFF", "7", "1 2").await, ["0", "1"], "unless it must be");
        assert_eq!(best("FFFFSFF", "7", "1 2").await, ["0", "1"], "two are left together");
        assert_eq!(best("FSFSF", "5", "1 2 3").await, ["0", "2", "4"], "singly");
        assert_eq!(best("FHPSF", "5", "1").await, ["0"]);
    });
}

#[test]
fn lapsed_holds_are_free_for_the_best_and_for_the_named() {
    block_on(async {
        let mut seats = SeatBench::of("FFF").await;
        (seats.hold_ttl, seats.most) = (1, 2);
        seats.hold_many(1, "10 11", "0 1", "").await;
        pass(3).await;
        seats.hold_ttl = 60_000;
        assert_eq!(seats.best(2, "20 21", "3").await, ["0", "1"]);
        seats.assert_ended(1, 10, "L").await;
        assert_eq!(seats.hold_many(1, "12", "2", "").await[0], "HELD", "nor do they count for the limit");

        let mut seats = SeatBench::of("FF").await;
        (seats.hold_ttl, seats.limit) = (1, 0);
        seats.hold(1, 10, 0).await;
        pass(3).await;
        seats.hold_ttl = 60_000;
        assert_eq!(seats.hold_many(2, "20 21", "0 1", "").await[0], "HELD", "reaped or not");
    });
}

#[test]
fn the_best_of_a_large_hall_are_found_in_no_time() {
    block_on(async {
        // A thousand rows of twenty, in each of which every second seat is sold, but for the last.
        let hall = format!("{}{}", "FS".repeat(9990), "F".repeat(20));
        let seats = SeatBench::of(&hall).await;
        let rows = ["20"; 1000].join(" ");
        // The best of several tries: a machine that is busy with other tests is slow at times.
        let mut fastest = i64::MAX;
        for user in 1..=8 {
            let begun = seats.now_us().await;
            let best = seats.best(user, &format!("{} {}", user * 10, user * 10 + 1), &rows).await;
            fastest = fastest.min(seats.now_us().await - begun);
            assert_eq!(best, [19_978 + 2 * user, 19_979 + 2 * user].map(|position| position.to_string()));
        }
        assert!(fastest < 10_000, "{fastest} us");
    });
}

#[test]
fn find_shows_a_user_its_own() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.find(1, "").await, ["MISSING"]);
        seats.rebuild("FFF", &[]).await;
        assert_eq!(seats.find(1, "").await, ["FOUND"]);
        seats.hold_many(1, "10 11", "0 1", "").await;
        let deadline = seats.one("ZSCORE lapses 10").await;
        seats.begin(1, 11).await;
        let all = ["FOUND", "10", "H", "0", &deadline, "11", "P", "1", &deadline];
        assert_eq!(seats.find(1, "").await, all);
        assert_eq!(seats.find(1, "11").await[1..], all[5..]);
        assert_eq!(seats.find(2, "").await, ["FOUND"]);
        assert_eq!(seats.find(2, "11").await, ["FOUND"], "another's");
        assert_eq!(seats.find(1, "99").await, ["FOUND"]);
        seats.finish(1, 11, 1, "PAID").await;
        assert_eq!(seats.find(1, "11").await[2], "S");
        seats.release(1, 10).await;
        assert_eq!(seats.find(1, "10").await[2], "G");
        seats.hold_ttl = 1;
        seats.hold(1, 12, 2).await;
        pass(3).await;
        assert_eq!(seats.find(1, "12").await[2], "L", "reaped or not");
        assert_eq!(seats.find(1, "").await, ["FOUND"]);
        seats.assert_said_all("seat.find");
    });
}

#[test]
fn holding_lists_the_schedules_where_there_may_be_seats() {
    block_on(async {
        let queue = QueueBench::opened().await;
        assert_eq!(queue.run("holding", &["7"]).await, ["HOLDING", ""]);
        queue.ask("HSET holding 7 5").await;
        assert_eq!(queue.run("holding", &["7"]).await, ["HOLDING", "5"]);
        assert_eq!(queue.run("holding", &["8"]).await, ["HOLDING", ""]);
        queue.assert_said_all("queue.holding");
    });
}
