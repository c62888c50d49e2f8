//! A seat while money moves: nobody takes it, no time limit frees it, and the payment's end decides.

use super::seats::token;
use super::{SeatBench, number, pass};
use crate::support::block_on;

/// A map in which user 1 is paying for seat 0, as reservation 10.
async fn paying() -> SeatBench {
    let seats = SeatBench::of("FFF").await;
    seats.hold(1, 10, 0).await;
    assert_eq!(seats.begin(1, 10).await, ["BEGUN", "0", "1"]);
    seats
}

#[test]
fn begin_payment_is_for_the_holder_once_and_in_time() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.begin(1, 10).await, ["MISSING"]);
        seats.rebuild("FFF", &[]).await;
        seats.hold(1, 10, 2).await;
        assert_eq!(seats.begin(2, 10).await, ["UNKNOWN"], "another's");
        assert_eq!(seats.begin(1, 99).await, ["UNKNOWN"]);
        assert_eq!(seats.begin_under("1-7", 1, 10).await, ["OTHER_TOKEN"]);
        assert_eq!(seats.begin_under("1-1", 2, 10).await, ["UNKNOWN"], "nobody pays under another's token");
        assert_eq!(seats.states().await, "FFH");
        assert_eq!(seats.begin_under(&token(1), 1, 10).await, ["BEGUN", "2", "1"]);
        assert_eq!(seats.begin_under("1-7", 1, 10).await, ["PAYING"]);
        seats.finish(1, 10, 2, "REFUSED").await;
        assert_eq!(seats.begin_under("1-7", 1, 10).await, ["OTHER_TOKEN"], "it is what it was");
        assert_eq!(seats.begin(1, 10).await, ["BEGUN", "2", "2"]);
        assert_eq!((seats.states().await, seats.status(10).await), ("FFP".into(), "P".into()));
        assert_eq!(seats.one("EXISTS lapses").await, "0");
        assert_ne!(seats.one("ZSCORE paying 10").await, "nil");
        seats.finish_attempt(2, 1, 10, 2, "PAID").await;
        assert_eq!(seats.begin_under("1-7", 1, 10).await, ["SOLD"]);
        seats.hold_ttl = 1;
        seats.hold(1, 11, 0).await;
        pass(3).await;
        assert_eq!(seats.begin(1, 11).await, ["LAPSED"]);
        seats.assert_ended(1, 11, "L").await;
        assert_eq!(seats.states().await, "FFS");
        seats.fail_over();
        seats.load("b", "FFF").await;
        seats.open_in_doubt("b", 60_000, &[(2, 10)]).await;
        assert_eq!(seats.begin(1, 99).await, ["DOUBTFUL"], "it may have been lost while it was being paid");
        assert_eq!(seats.begin(1, 11).await, ["DOUBTFUL"], "likewise, and this map is from before");
        assert_eq!(seats.begin(1, 10).await, ["SOLD"]);
        seats.hold_ttl = 60_000;
        seats.hold(2, 20, 1).await;
        assert_eq!(seats.begin(1, 20).await, ["UNKNOWN"], "another's for sure");
        assert_eq!(seats.begin(2, 20).await[0], "BEGUN");
        seats.fail_over();
        seats.load("c", "FFF").await;
        seats.open_in_doubt("c", 1, &[(2, 10)]).await;
        pass(3).await;
        assert_eq!(
            (seats.begin(1, 99).await, seats.begin(1, 11).await),
            (vec!["UNKNOWN".into()], vec!["LAPSED".into()])
        );
        seats.assert_said_all("seat.begin_payment");
    });
}

#[test]
fn finish_payment_ends_it_in_every_way() {
    block_on(async {
        let seats = SeatBench::missing().await;
        assert_eq!(seats.finish(1, 10, 0, "REFUSED").await, ["MISSING"]);
        seats.rebuild("FFFFF", &[]).await;
        for (reservation, position) in [(10, 0), (11, 1), (12, 2), (13, 3)] {
            seats.hold(1, reservation, position).await;
        }
        for outcome in ["REFUSED", "ABORTED", "SOLD_TO_ANOTHER"] {
            assert_eq!(seats.finish(1, 99, 4, outcome).await, ["GONE"], "{outcome}");
        }
        assert_eq!(seats.finish(1, 10, 0, "REFUSED").await, ["GONE"], "held, but not being paid");
        for reservation in [10, 11, 12] {
            seats.begin(1, reservation).await;
        }
        assert_eq!(seats.finish(1, 10, 0, "PAID").await, ["SOLD", "1"]);
        assert_eq!(seats.finish(1, 11, 1, "ABORTED").await, ["FREED"]);
        assert_eq!(seats.finish(1, 12, 2, "REFUSED").await, ["HELD"]);
        seats.begin(1, 13).await;
        assert_eq!(seats.finish(1, 13, 3, "SOLD_TO_ANOTHER").await, ["YIELDED"]);
        assert_eq!(seats.states().await, "SFHSF");
        seats.assert_ended(1, 10, "S").await;
        seats.assert_ended(1, 11, "R").await;
        seats.assert_ended(1, 13, "G").await;
        assert_eq!(seats.held(1).await, ["HELD", "12"]);
        assert_eq!(seats.finish(1, 10, 0, "PAID").await, ["SOLD", "1"], "told twice, sold once");
        assert_eq!(seats.finish(1, 10, 0, "REFUSED").await, ["GONE"], "sold is sold");
        assert_eq!(seats.finish(1, 10, 0, "ABORTED").await, ["GONE"]);
        assert_eq!(seats.finish(1, 11, 1, "PAID").await, ["GONE"], "refunded is refunded");
        assert_eq!(seats.states().await, "SFHSF");
        seats.assert_said_all("seat.finish_payment");
    });
}

#[test]
fn the_token_that_paid_ends_with_its_last_seat() {
    block_on(async {
        let mut seats = SeatBench::of("FFFFFF").await;
        for (user, reservation, position) in [(1, 10, 0), (1, 11, 1), (2, 20, 2), (3, 30, 3), (4, 40, 4)] {
            seats.hold(user, reservation, position).await;
            seats.begin(user, reservation).await;
        }
        let status = async |seats: &SeatBench, user: u64| {
            let record = seats.one(&format!("HGET tokens {user}")).await;
            let active = seats.one(&format!("ZSCORE active {user}")).await != "nil";
            (record[..1].to_owned(), active, seats.one(&format!("HEXISTS holding {user}")).await == "1")
        };
        let (live, used) = (("A".to_owned(), true, true), ("C".to_owned(), false, false));
        seats.pays = Some(1);
        assert_eq!(seats.finish(1, 10, 0, "PAID").await, ["SOLD", "0"], "one is held still");
        assert_eq!(status(&seats, 1).await, live);
        assert_eq!(seats.finish(1, 11, 1, "PAID").await, ["SOLD", "1"]);
        assert_eq!(status(&seats, 1).await, used);
        assert_ne!(seats.one("ZSCORE ended 1").await, "nil", "its record is forgotten some day");
        assert_eq!(seats.finish(1, 11, 1, "PAID").await, ["SOLD", "1"], "told twice");

        seats.pays = Some(7);
        assert_eq!(
            seats.finish(2, 20, 2, "PAID").await,
            ["SOLD", "1"],
            "a token that is not the user's, or not any more"
        );
        assert_eq!(status(&seats, 2).await, live);

        let list = redis::cmd("HSET").arg(seats.key("holding")).arg("3").arg("7 70").clone();
        seats.execute(&list).await;
        seats.pays = Some(3);
        assert_eq!(seats.finish(3, 30, 3, "PAID").await, ["SOLD", "0"], "there may be one in another schedule");
        assert_eq!(status(&seats, 3).await, live);

        seats.pays = Some(4);
        for outcome in ["REFUSED", "ABORTED", "SOLD_TO_ANOTHER"] {
            seats.finish(4, 40, 4, outcome).await;
            assert_eq!(status(&seats, 4).await, live, "{outcome}: it has paid nothing");
        }
        seats.queue_is_lost().await;
        assert_eq!(seats.finish(4, 40, 4, "PAID").await, ["SOLD", "0"], "the queue has to be asked first");
        assert_eq!(status(&seats, 4).await, live);
    });
}

#[test]
fn complete_looks_at_what_is_held_in_the_same_moment() {
    block_on(async {
        let mut seats = SeatBench::of("FFFFFF").await;
        let complete = async |seats: &SeatBench, user: u64, schedules: &str, only: &str| {
            let user = user.to_string();
            seats.run_of("queue", "complete", &[&user, &user, schedules, only]).await
        };
        let active = async |seats: &SeatBench, user: u64| seats.one(&format!("ZSCORE active {user}")).await;
        seats.hold(1, 10, 0).await;
        seats.hold_ttl = 30_000;
        seats.hold(1, 11, 1).await;
        assert_eq!(complete(&seats, 1, "", "0").await, ["HOLDING", "7"]);
        assert_eq!(complete(&seats, 1, "5", "0").await, ["HOLDING", "7"]);
        assert_eq!(complete(&seats, 1, "7", "5").await, ["GONE"], "it has nothing to do with 5");
        assert_eq!(complete(&seats, 1, "7", "7").await, ["KEPT"]);
        assert_eq!(active(&seats, 1).await, seats.one("ZSCORE lapses 10").await, "it ends with the last hold");
        seats.release(1, 10).await;
        assert_eq!(complete(&seats, 1, "7", "0").await, ["KEPT"]);
        assert_eq!(active(&seats, 1).await, seats.one("ZSCORE lapses 11").await);
        seats.outlive(11).await;
        assert_eq!(complete(&seats, 1, "7", "0").await, ["COMPLETED"], "what has lapsed, reaped or not, is not held");
        assert_eq!(complete(&seats, 1, "7", "0").await, ["GONE"]);

        seats.hold(2, 20, 2).await;
        seats.begin(2, 20).await;
        seats.outlive(20).await;
        assert_eq!(complete(&seats, 2, "7", "0").await, ["KEPT"], "it may be paid yet");
        let left = active(&seats, 2).await.parse::<i64>().unwrap() - seats.now_us().await / 1000;
        assert!((1_000..=5_000).contains(&left), "{left}");
        seats.finish(2, 20, 2, "PAID").await;
        assert_eq!(complete(&seats, 2, "5 7", "0").await, ["COMPLETED"]);
        seats.let_in(3, 60_000).await;
        seats.ask("HSET map incarnation other").await;
        assert_eq!(complete(&seats, 3, "7", "0").await, ["MISSING", "7"], "a map of another Redis may lack a sale");
        seats.queue_is_lost().await;
        assert_eq!(complete(&seats, 3, "7", "0").await, ["UNOPENED"]);
        seats.assert_said_all("queue.complete");
    });
}

#[test]
fn a_payment_under_way_has_no_time_limit() {
    block_on(async {
        let seats = paying().await;
        seats.outlive(10).await;
        let swept = seats.sweep().await;
        assert_eq!(swept[..3], ["SWEPT", "0", "1"]);
        assert!(number(&swept, 3) > 0, "it is said for how long it has been under way: {swept:?}");
        seats.look("", 0).await;
        assert_eq!(seats.held(1).await, ["HELD", "10"]);
        assert_eq!(seats.hold(2, 20, 0).await, ["TAKEN"]);
        assert_eq!(seats.states().await, "PFF");
        assert_eq!(seats.finish(1, 10, 0, "PAID").await, ["SOLD", "1"]);
    });
}

#[test]
fn a_refused_payment_leaves_the_hold_as_it_was() {
    block_on(async {
        let seats = paying().await;
        let deadline = seats.one("HGET holds 10").await.split(':').nth(3).unwrap().to_owned();
        assert_eq!(seats.finish(1, 10, 0, "REFUSED").await, ["HELD"]);
        assert_eq!(seats.one("ZSCORE lapses 10").await, deadline, "to the same deadline");
        assert_eq!(seats.one("EXISTS paying").await, "0");
        assert_eq!(seats.one("HGET holds 10").await, format!("H:0:1:{deadline}:1:{}", token(1)));
        assert_eq!(seats.audit(0).await, ["AUDITED", "HFF"]);
        assert_eq!(seats.begin(1, 10).await, ["BEGUN", "0", "2"], "and can be paid again");
        for outcome in ["REFUSED", "ABORTED", "SOLD_TO_ANOTHER"] {
            assert_eq!(
                seats.finish(1, 10, 0, outcome).await,
                ["GONE"],
                "the first attempt's end comes late: {outcome}"
            );
        }
        assert_eq!(seats.finish_attempt(2, 1, 10, 0, "REFUSED").await, ["HELD"]);
    });
}

#[test]
fn a_payment_refused_past_the_deadline_frees_the_seat() {
    block_on(async {
        let seats = paying().await;
        seats.outlive(10).await;
        assert_eq!(seats.finish(1, 10, 0, "REFUSED").await, ["FREED"]);
        assert_eq!(seats.states().await, "FFF");
        seats.assert_ended(1, 10, "L").await;
        assert_eq!(seats.begin(1, 10).await, ["LAPSED"]);
        assert_eq!(seats.hold(2, 20, 0).await[0], "HELD");
    });
}

/// A map built anew after Redis lost all, in which user 2 has the seat that user 1 is paying for.
async fn taken_in_a_new_map() -> SeatBench {
    let seats = paying().await;
    seats.lose().await;
    seats.rebuild("FFF", &[]).await;
    assert_eq!(seats.hold(2, 20, 0).await[0], "HELD");
    seats
}

#[test]
fn what_is_paid_evicts_another_s_hold_from_a_map_built_anew() {
    block_on(async {
        let seats = taken_in_a_new_map().await;
        seats.hold(1, 11, 1).await;
        assert_eq!(seats.finish(1, 10, 0, "PAID").await, ["SOLD", "1"]);
        assert_eq!(seats.states().await, "SHF");
        seats.assert_ended(2, 20, "G").await;
        seats.assert_ended(1, 10, "S").await;
        assert_eq!((seats.held(1).await, seats.held(2).await), (vec!["HELD".into(), "11".into()], vec!["HELD".into()]));
        assert_eq!(seats.begin(2, 20).await, ["LAPSED"]);
        assert_eq!(seats.hold(2, 21, 0).await, ["TAKEN"]);
        assert_eq!(seats.release(1, 10).await, ["SOLD"], "its record was written anew");
    });
}

#[test]
fn what_is_paid_evicts_even_another_who_is_paying() {
    block_on(async {
        let seats = taken_in_a_new_map().await;
        seats.begin(2, 20).await;
        assert_eq!(seats.finish(1, 10, 0, "PAID").await, ["SOLD", "1"]);
        seats.assert_ended(2, 20, "G").await;
        for outcome in ["REFUSED", "ABORTED"] {
            assert_eq!(seats.finish(2, 20, 0, outcome).await, ["GONE"]);
            assert_eq!(seats.states().await, "SFF", "{outcome}");
        }
        assert_eq!(seats.audit(0).await, ["AUDITED", "SFF"]);
    });
}

#[test]
fn what_was_not_paid_leaves_another_s_hold_in_a_map_built_anew() {
    block_on(async {
        let seats = taken_in_a_new_map().await;
        let before = seats.snapshot().await;
        for outcome in ["REFUSED", "ABORTED", "SOLD_TO_ANOTHER"] {
            assert_eq!(seats.finish(1, 10, 0, outcome).await, ["GONE"]);
        }
        assert_eq!(seats.snapshot().await, before);
    });
}
