//! Holds: taken, given up, lapsed, swept, audited.

use super::seats::{AGE, token};
use super::{SeatBench, number, pass};
use crate::support::block_on;

#[test]
fn hold_says_what_became_of_it() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.hold(1, 10, 0).await, ["MISSING"]);
        seats.rebuild("FFFFS", &[]).await;
        seats.most = 2;
        assert_eq!(seats.hold(1, 10, 5).await, ["NO_SEAT"]);
        assert_eq!(seats.hold(1, 10, 0).await, ["HELD", "10", "60000"]);
        let again = seats.hold(1, 11, 0).await;
        assert_eq!(again[..2], ["AGAIN", "10"]);
        assert!((1..=60_000).contains(&number(&again, 2)));
        assert_eq!(seats.hold(2, 20, 0).await, ["TAKEN"], "held");
        assert_eq!(seats.hold(2, 20, 4).await, ["TAKEN"], "sold");
        assert_eq!(seats.hold(1, 11, 1).await[0], "HELD");
        assert_eq!(seats.hold(1, 12, 2).await, ["LIMIT"]);
        assert_eq!(seats.hold(1, 12, 4).await, ["TAKEN"], "a sold seat is sold, limit or not");
        assert_eq!(seats.hold(1, 12, 1).await[..2], ["AGAIN", "11"], "one's own is one's own, limit or not");
        for (user, word) in seats.let_in_otherwise().await {
            assert_eq!(seats.hold(user, 90, 2).await[0], word);
        }
        assert_eq!(seats.states().await, "HHFFS", "without an active token nothing is held");
        seats.queue_is_lost().await;
        assert_eq!(seats.hold(1, 12, 2).await, ["UNOPENED"]);
        seats.assert_said_all("seat.hold");
    });
}

#[test]
fn a_hold_keeps_its_token_to_its_end_and_never_shortens_it() {
    block_on(async {
        let mut seats = SeatBench::of("FFFF").await;
        seats.let_in(1, 5_000).await;
        seats.hold_ttl = 1_000;
        let short = seats.one("ZSCORE active 1").await;
        assert!((2_000..=5_000).contains(&number(&seats.hold(1, 10, 0).await, 2)));
        assert_eq!(seats.one("ZSCORE active 1").await, short, "the token outlives the hold");
        assert_eq!(seats.one("HGET holding 1").await, "7");
        seats.hold_ttl = 90_000;
        assert_eq!(seats.hold(2, 20, 0).await, ["TAKEN"]);
        assert_eq!(seats.one("HEXISTS holding 2").await, "0", "who gets nothing keeps nothing");
        assert_eq!(seats.hold(1, 11, 1).await, ["HELD", "11", "90000"]);
        assert_eq!(seats.one("ZSCORE active 1").await, seats.one("ZSCORE lapses 11").await);
        pass(3).await;
        assert!(number(&seats.hold(1, 12, 1).await, 2) < 90_000, "holding again prolongs nothing");
        assert_eq!(seats.one("ZSCORE active 1").await, seats.one("ZSCORE lapses 11").await);
        let list = ["HSET", "holding", "1", "15 70"];
        seats.execute(redis::cmd(list[0]).arg(seats.key(list[1])).arg(&list[2..])).await;
        seats.hold(1, 13, 2).await;
        assert_eq!(seats.one("HGET holding 1").await, "15 70 7", "each schedule once, and 7 is not in 70");
        seats.hold(1, 14, 3).await;
        assert_eq!(seats.one("HGET holding 1").await, "15 70 7");
        let before = seats.snapshot().await;
        seats.ask("ZADD active XX 5 1").await;
        assert_eq!(seats.hold(1, 15, 0).await, ["EXPIRED"], "its time was over, reaped or not");
        seats.ask(&format!("ZADD active XX {} 1", seats.one("ZSCORE lapses 14").await)).await;
        assert_eq!(seats.snapshot().await, before);
    });
}

#[test]
fn a_hold_is_written_everywhere_and_a_refusal_nowhere() {
    block_on(async {
        let mut seats = SeatBench::of("FFFS").await;
        seats.most = 2;
        seats.hold(1, 10, 2).await;
        seats.hold(1, 12, 0).await;
        assert_eq!(seats.states().await, "HFHS");
        assert_eq!(seats.ask("HMGET by_seat 0 1 2").await, ["12", "nil", "10"]);
        assert_eq!(seats.one("HGET by_user 1").await, "10 12");
        let deadline = seats.one("ZSCORE lapses 10").await;
        assert_eq!(seats.one("HGET holds 10").await, format!("H:2:1:{deadline}:0:{}", token(1)));
        seats.let_in(2, 60_000).await;
        let before = seats.snapshot().await;
        for (user, position) in [(1, 2), (2, 2), (1, 1), (2, 3), (2, 4)] {
            assert_ne!(seats.hold(user, 30, position).await[0], "HELD");
        }
        assert_eq!(seats.snapshot().await, before);
    });
}

#[test]
fn a_seat_being_paid_is_taken_for_others_and_had_by_its_own() {
    block_on(async {
        let mut seats = SeatBench::of("FFF").await;
        seats.most = 1;
        seats.hold(1, 10, 0).await;
        assert_eq!(seats.begin(1, 10).await, ["BEGUN", "0", "1"]);
        seats.outlive(10).await;
        assert_eq!(seats.hold(2, 20, 0).await, ["TAKEN"]);
        assert_eq!(seats.hold(1, 11, 0).await[..2], ["AGAIN", "10"], "past its time, but being paid");
        assert_eq!(seats.hold(1, 11, 1).await, ["LIMIT"], "what is being paid counts");
    });
}

#[test]
fn a_lapsed_hold_is_freed_by_whoever_wants_its_seat() {
    block_on(async {
        let mut seats = SeatBench::of("FFF").await;
        // No sweeping on the way: only the wanted seat and one's own holds.
        (seats.hold_ttl, seats.limit, seats.most) = (1, 0, 1);
        seats.hold(1, 10, 0).await;
        seats.hold(3, 30, 2).await;
        pass(3).await;
        seats.hold_ttl = 60_000;
        assert_eq!(seats.hold(2, 20, 0).await, ["HELD", "20", "60000"]);
        seats.assert_ended(1, 10, "L").await;
        assert_eq!(seats.status(30).await, "H", "a lapsed hold that concerned nobody");
        assert_eq!(seats.hold(3, 31, 1).await[0], "HELD", "it does not count for the limit");
        seats.assert_ended(3, 30, "L").await;
        assert_eq!(seats.states().await, "HHF");
        assert_eq!(seats.begin(1, 10).await, ["LAPSED"], "a lapsed hold never pays");
    });
}

#[test]
fn one_s_own_lapsed_hold_is_taken_anew_not_again() {
    block_on(async {
        let mut seats = SeatBench::of("F").await;
        (seats.hold_ttl, seats.limit) = (1, 0);
        seats.hold(1, 10, 0).await;
        pass(3).await;
        seats.hold_ttl = 60_000;
        assert_eq!(seats.hold(1, 11, 0).await, ["HELD", "11", "60000"]);
        seats.assert_ended(1, 10, "L").await;
        assert_eq!(seats.held(1).await, ["HELD", "11"]);
    });
}

#[test]
fn a_hold_sweeps_a_bounded_number_of_lapsed_ones_on_its_way() {
    block_on(async {
        let mut seats = SeatBench::of("FFFF").await;
        seats.hold_ttl = 1;
        for (user, position) in [(1, 0), (2, 1), (3, 2)] {
            seats.hold(user, user * 10, position).await;
            pass(2).await;
            // Lapsed as each is, none may free another yet.
            seats.limit = 0;
        }
        (seats.hold_ttl, seats.limit) = (60_000, 2);
        seats.hold(4, 40, 3).await;
        assert_eq!(seats.states().await, "FFHH", "the two that lapsed first");
    });
}

#[test]
fn exactly_one_of_many_gets_the_seat() {
    block_on(async {
        let seats = SeatBench::of("FF").await;
        let answers = futures_util::future::join_all((1..=50).map(|user| seats.hold(user, 100 + user, 1))).await;
        let held: Vec<_> = answers.iter().filter(|answer| answer[0] == "HELD").collect();
        assert_eq!(held.len(), 1);
        assert!(answers.iter().all(|answer| answer[0] == "HELD" || answer == &["TAKEN"]));
        assert_eq!(seats.one("HGET by_seat 1").await, held[0][1]);
        assert_eq!(seats.audit(0).await, ["AUDITED", "FH"]);
    });
}

#[test]
fn release_frees_one_s_own_hold_at_once() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.release(1, 10).await, ["MISSING"]);
        seats.rebuild("FFF", &[]).await;
        seats.hold(1, 10, 0).await;
        seats.hold(1, 101, 1).await;
        seats.hold(1, 12, 2).await;
        assert_eq!(seats.release(2, 10).await, ["UNKNOWN"], "another's");
        assert_eq!(seats.release(1, 99).await, ["UNKNOWN"]);
        assert_eq!(seats.release_under("1-0", 1, 10).await, ["LATER_TOKEN"]);
        assert_eq!(seats.release_under("2-1", 1, 10).await, ["LATER_TOKEN"], "or one of another queue");
        assert_eq!(seats.states().await, "HHH");
        assert_eq!(seats.release(1, 10).await, ["RELEASED"]);
        seats.assert_ended(1, 10, "G").await;
        assert_eq!((seats.states().await, seats.one("HGET by_user 1").await), ("FHH".into(), "101 12".into()));
        assert_eq!(seats.release(1, 10).await, ["GIVEN_UP"]);
        assert_eq!(seats.release_under("1-10", 1, 12).await, ["RELEASED"], "what an earlier one took goes too");
        seats.hold(1, 12, 2).await;
        seats.begin(1, 101).await;
        assert_eq!(seats.release(1, 101).await, ["PAYING"]);
        seats.finish(1, 101, 1, "PAID").await;
        assert_eq!(seats.release(1, 101).await, ["SOLD"]);
        assert_eq!(seats.states().await, "FSH");
        seats.hold_ttl = 1;
        seats.hold(2, 20, 0).await;
        pass(3).await;
        assert_eq!(seats.release(2, 20).await, ["LAPSED"], "its time was over, reaped or not");
        seats.assert_ended(2, 20, "L").await;
        seats.assert_said_all("seat.release");
    });
}

#[test]
fn releasing_late_does_not_free_the_next_one_s_seat() {
    block_on(async {
        let seats = SeatBench::of("F").await;
        seats.hold(1, 10, 0).await;
        seats.release(1, 10).await;
        seats.hold(2, 20, 0).await;
        assert_eq!(seats.release(1, 10).await, ["GIVEN_UP"]);
        assert_eq!(seats.finish(1, 10, 0, "ABORTED").await, ["GONE"]);
        assert_eq!((seats.states().await, seats.one("HGET by_seat 0").await), ("H".into(), "20".into()));
    });
}

#[test]
fn a_hold_s_end_leaves_a_seat_that_has_passed_to_another() {
    block_on(async {
        let seats = SeatBench::of("FF").await;
        seats.hold(1, 10, 0).await;
        seats.outlive(10).await;
        // No script does this. Should one ever, the seat is the other's.
        seats.ask("HSET by_seat 0 20").await;
        assert_eq!(seats.sweep().await[1], "1");
        seats.assert_ended(1, 10, "L").await;
        assert_eq!((seats.states().await, seats.one("HGET by_seat 0").await), ("HF".into(), "20".into()));
    });
}

#[test]
fn held_lists_what_a_user_has_now() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.held(1).await, ["MISSING"]);
        seats.rebuild("FFF", &[]).await;
        assert_eq!(seats.held(1).await, ["HELD"]);
        seats.hold(1, 10, 0).await;
        seats.hold(1, 100, 1).await;
        seats.begin(1, 10).await;
        seats.hold_ttl = 1;
        seats.hold(1, 12, 2).await;
        assert_eq!(seats.held(2).await, ["HELD"]);
        pass(3).await;
        assert_eq!(seats.held(1).await, ["HELD", "10", "100"], "held and being paid, not lapsed");
        seats.assert_ended(1, 12, "L").await;
        seats.assert_said_all("seat.held");
    });
}

#[test]
fn sweep_frees_forgets_and_names_the_suspicious() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.sweep().await, ["MISSING"]);
        seats.rebuild("FFFFF", &[]).await;
        seats.hold(1, 10, 0).await;
        seats.begin(1, 10).await;
        seats.hold(1, 11, 1).await;
        seats.hold_ttl = 1;
        for (user, position) in [(2, 2), (3, 3), (4, 4)] {
            seats.limit = 0;
            seats.hold(user, user * 10, position).await;
        }
        pass(3).await;
        seats.limit = 2;
        assert_eq!(seats.sweep_but_age().await, ["SWEPT", "2", "3", AGE], "two a step");
        assert_eq!(seats.sweep_but_age().await, ["SWEPT", "1", "2", AGE]);
        assert_eq!(seats.sweep_but_age().await, ["SWEPT", "0", "2", AGE]);
        assert_eq!(seats.states().await, "PHFFF");
        seats.assert_ended(4, 40, "L").await;
        seats.suspicious = 1;
        assert_eq!(seats.sweep_but_age().await, ["SWEPT", "0", "2", AGE, "10", "1", "0", "1"]);
        seats.assert_said_all("seat.sweep");

        seats.retention = 1;
        seats.sweep().await;
        assert_eq!(seats.ask("HKEYS holds").await.len(), 3, "two forgotten a step");
        seats.sweep().await;
        assert_eq!(seats.ask("HKEYS holds").await, ["10", "11"]);
        assert_eq!(seats.one("EXISTS past").await, "0");
        assert_eq!(seats.begin(2, 20).await, ["UNKNOWN"]);
    });
}

#[test]
fn sweep_keeps_the_records_of_what_is_sold() {
    block_on(async {
        let mut seats = SeatBench::of("F").await;
        seats.hold(1, 10, 0).await;
        seats.begin(1, 10).await;
        seats.finish(1, 10, 0, "PAID").await;
        seats.retention = 0;
        assert_eq!(seats.sweep().await, ["SWEPT", "0", "0", "0"], "nothing is being paid");
        assert_eq!(seats.begin(1, 10).await, ["SOLD"]);
    });
}

#[test]
fn audit_finds_holds_without_an_end_and_payments_that_are_stuck() {
    block_on(async {
        let seats = SeatBench::missing().await;
        assert_eq!(seats.audit(0).await, ["MISSING"]);
        seats.rebuild("FFFS", &[]).await;
        seats.hold(1, 10, 0).await;
        seats.hold(1, 11, 1).await;
        seats.begin(1, 11).await;
        pass(2).await;
        assert_eq!(seats.audit(60_000).await, ["AUDITED", "HPFS"]);
        assert_eq!(seats.audit(1).await, ["AUDITED", "HPFS", "STUCK", "11"]);
        let before = seats.snapshot().await;
        seats.audit(1).await;
        assert_eq!(seats.snapshot().await, before);
        seats.ask("ZREM lapses 10").await;
        assert_eq!(seats.audit(60_000).await[2..], ["ENDLESS", "0"], "a hold that nothing ends");
        seats.ask("ZREM paying 11").await;
        assert_eq!(seats.audit(60_000).await[4..], ["ENDLESS", "1"], "a payment that nobody looks after");
        seats.ask("SETRANGE seats 2 H").await;
        assert_eq!(seats.audit(60_000).await[6..], ["ENDLESS", "2"], "a seat held by nobody");
        seats.ask("ZADD paying 99999999999999 11").await;
        assert_eq!(seats.audit(60_000).await[2..], ["ENDLESS", "0", "ENDLESS", "2"]);
        seats.ask("HSET holds 11 G:1:1:5:0").await;
        let ended = ["ENDLESS", "0", "ENDLESS", "1", "ENDLESS", "2"];
        assert_eq!(seats.audit(60_000).await[2..], ended, "a hold that has ended, and its seat is not free");
        seats.assert_said_all("seat.audit");
    });
}

#[test]
fn audit_finds_holds_that_have_lost_their_seat_or_outlived_their_time() {
    block_on(async {
        let seats = SeatBench::of("FFF").await;
        for position in 0..3 {
            seats.hold(1, 10 + position, position).await;
        }
        seats.begin(1, 12).await;
        seats.ask("SETRANGE seats 0 F").await;
        assert_eq!(seats.audit(60_000).await, ["AUDITED", "FHP", "LOST", "10"], "its seat is free");
        seats.ask("HSET by_seat 1 77").await;
        seats.ask("HDEL by_seat 2").await;
        let lost = ["LOST", "10", "ENDLESS", "1", "ENDLESS", "2", "LOST", "11", "LOST", "12"];
        assert_eq!(seats.audit(60_000).await[2..], lost, "seats that are another's, or nobody's");

        let seats = SeatBench::of("F").await;
        seats.hold(1, 10, 0).await;
        seats.outlive(10).await;
        assert_eq!(seats.audit(60_000).await, ["AUDITED", "H", "OVERDUE", "10"]);
    });
}

#[test]
fn audit_sees_its_range_only() {
    block_on(async {
        let seats = SeatBench::of("FSFSF").await;
        for position in [0, 2, 4] {
            seats.hold(position, 10 + position, position).await;
            seats.ask(&format!("ZREM lapses {}", 10 + position)).await;
        }
        assert_eq!(seats.audit_range(0, 0, 2).await, ["AUDITED", "HS", "ENDLESS", "0"]);
        assert_eq!(seats.audit_range(0, 2, 2).await, ["AUDITED", "HS", "ENDLESS", "2"]);
        assert_eq!(seats.audit_range(0, 4, 2).await, ["AUDITED", "H", "ENDLESS", "4"]);
        assert_eq!(seats.audit_range(0, 6, 2).await, ["AUDITED", ""]);
    });
}
