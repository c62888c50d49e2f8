//! Building a map, and looking at it.

use super::{SeatBench, number, pass};
use crate::support::block_on;

#[test]
fn load_begins_a_map_unless_there_is_one() {
    block_on(async {
        let seats = SeatBench::missing().await;
        for junk in ["HSET holds 9 H:0:1:5", "HSET by_seat 0 9", "HSET by_user 1 9", "ZADD paying 5 9", "ZADD past 5 8"]
        {
            seats.ask(junk).await;
        }
        assert_eq!(seats.load("a", "FFS").await, ["LOADING"]);
        assert_eq!(seats.states().await, "FFS");
        for wiped in ["holds", "by_seat", "by_user", "paying", "past"] {
            assert_eq!(seats.one(&format!("EXISTS {wiped}")).await, "0", "{wiped} of a map that was lost");
        }
        assert_eq!(seats.load("b", "FFF").await, ["LOADING"], "a loading that stopped half-way blocks nobody");
        assert_eq!(seats.open("b", &[]).await, ["OPENED"]);
        let before = seats.snapshot().await;
        assert_eq!(seats.load("c", "SSS").await, ["LOADED"]);
        assert_eq!(seats.snapshot().await, before);
        seats.assert_said_all("seat.load");
    });
}

#[test]
fn open_is_for_the_loading_that_came_last() {
    block_on(async {
        let seats = SeatBench::missing().await;
        assert_eq!(seats.open("a", &[]).await, ["OUTRUN"], "nothing was loaded");
        seats.load("a", "FFFFF").await;
        seats.load("b", "FFSFF").await;
        assert_eq!(seats.open("a", &[(0, 10), (1, 11)]).await, ["OUTRUN"], "the older reading may be too old");
        assert_eq!(seats.states().await, "FFSFF", "and marks nothing");
        assert_eq!(seats.open("b", &[(2, 12), (4, 14)]).await, ["OPENED"]);
        assert_eq!(seats.states().await, "FFSFS");
        assert_eq!(seats.ask("HMGET by_seat 0 2 4").await, ["nil", "12", "14"], "the map knows whose they are");
        assert_eq!(seats.open("b", &[(0, 10)]).await, ["OUTRUN"], "an open map is not opened again");
        assert_eq!(seats.ask("HMGET map loading generation version").await, ["nil", "b", "1"]);
        seats.assert_said_all("seat.open");
    });
}

#[test]
fn a_map_is_closed_until_it_is_opened() {
    block_on(async {
        let seats = SeatBench::missing().await;
        for _ in 0..2 {
            assert_eq!(seats.look("", 0).await, ["MISSING"]);
            assert_eq!(seats.hold(1, 10, 0).await, ["MISSING"]);
            assert_eq!(seats.release(1, 10).await, ["MISSING"]);
            assert_eq!(seats.held(1).await, ["MISSING"]);
            assert_eq!(seats.begin(1, 10).await, ["MISSING"]);
            assert_eq!(seats.sweep().await, ["MISSING"]);
            assert_eq!(seats.whose(&[0]).await, ["MISSING"]);
            assert_eq!(seats.audit(0).await, ["MISSING"]);
            seats.load("a", "FFF").await;
        }
        assert_eq!(seats.states().await, "FFF");
    });
}

#[test]
fn what_is_paid_while_the_map_is_built_stays_sold() {
    block_on(async {
        let seats = SeatBench::missing().await;
        assert_eq!(seats.finish(1, 10, 1, "PAID").await, ["MISSING"]);
        assert_eq!(seats.one("EXISTS seats").await, "0", "half a map would be worse than none");
        seats.load("a", "FFF").await;
        assert_eq!(seats.finish(1, 10, 1, "PAID").await, ["SOLD", "1"]);
        assert_eq!(seats.finish(1, 11, 2, "REFUSED").await, ["GONE"]);
        // Reservation 9 had the seat when Postgres was asked, which is longer ago than the payment.
        seats.open("a", &[(1, 9)]).await;
        assert_eq!(seats.states().await, "FSF");
        assert_eq!(seats.hold(2, 20, 1).await, ["TAKEN"]);
        seats.assert_ended(1, 10, "S").await;
    });
}

#[test]
fn what_is_refunded_while_the_map_is_built_is_free() {
    block_on(async {
        let seats = SeatBench::missing().await;
        seats.load("a", "FFF").await;
        assert_eq!(seats.refund(10, 1).await, ["GONE"], "not marked yet");
        seats.open("a", &[(1, 10), (2, 11)]).await;
        assert_eq!(seats.states().await, "FFS");
        assert_eq!(seats.hold(2, 20, 1).await[0], "HELD");
    });
}

#[test]
fn look_answers_only_what_is_new() {
    block_on(async {
        let mut seats = SeatBench::missing().await;
        assert_eq!(seats.look("", 0).await, ["MISSING"]);
        seats.rebuild("FFF", &[]).await;
        assert_eq!(seats.look("", 0).await, ["SEATS", "nonce", "1", "FFF"]);
        assert_eq!(seats.look("nonce", 1).await, ["SAME"]);
        assert_eq!(seats.look("another", 1).await[0], "SEATS", "the same version of another map");
        seats.hold_ttl = 1;
        seats.hold(1, 10, 1).await;
        pass(3).await;
        // The hold counted to 2; its lapse, found by the look itself, to 3.
        assert_eq!(seats.look("nonce", 2).await, ["SEATS", "nonce", "3", "FFF"]);
        seats.assert_ended(1, 10, "L").await;
        seats.assert_said_all("seat.look");
    });
}

#[test]
fn every_change_of_a_seat_counts_the_version_up() {
    block_on(async {
        let seats = SeatBench::of("FFF").await;
        let mut version = 1;
        let mut assert_changed = async |states: &str| {
            let look = seats.look("nonce", version).await;
            assert_eq!((&*look[0], &*look[3]), ("SEATS", states));
            version = number(&look, 2).try_into().unwrap();
            assert_eq!(seats.look("nonce", version).await, ["SAME"]);
        };
        seats.hold(1, 10, 0).await;
        assert_changed("HFF").await;
        seats.release(1, 10).await;
        assert_changed("FFF").await;
        seats.hold(1, 11, 2).await;
        seats.begin(1, 11).await;
        assert_changed("FFP").await;
        seats.finish(1, 11, 2, "REFUSED").await;
        assert_changed("FFH").await;
        seats.begin(1, 11).await;
        seats.finish(1, 11, 2, "PAID").await;
        assert_changed("FFS").await;
    });
}

#[test]
fn a_map_of_a_former_redis_keeps_its_holds_and_learns_what_was_sold() {
    block_on(async {
        let seats = SeatBench::of("FFFFF").await;
        seats.hold(1, 10, 0).await;
        seats.hold(2, 20, 1).await;
        seats.hold(3, 30, 2).await;
        seats.begin(3, 30).await;
        seats.fail_over();
        assert_eq!(seats.look("", 0).await, ["MISSING"], "it may lack what was sold last");
        assert_eq!(seats.hold(4, 40, 3).await, ["MISSING"]);
        assert_eq!(seats.begin(1, 10).await, ["MISSING"]);

        assert_eq!(seats.load("b", "FFFFF").await, ["LOADING"]);
        assert_eq!(seats.hold(4, 40, 3).await, ["MISSING"], "closed");
        assert_eq!(seats.open("b", &[(1, 99), (4, 98)]).await, ["OPENED"]);
        assert_eq!(seats.states().await, "HSPFS");
        assert_eq!(seats.ask("HMGET by_seat 0 1 2 4").await, ["10", "99", "30", "98"]);
        assert_eq!(seats.begin(1, 10).await[0], "BEGUN");
        assert_eq!(seats.begin(3, 30).await, ["PAYING"]);
        assert_eq!(seats.begin(2, 20).await, ["LAPSED"], "its seat is another's");
        seats.assert_ended(2, 20, "G").await;
        assert_eq!(seats.look("nonce", 0).await[1], "b", "who has seen the former sees that this is another");
    });
}

#[test]
fn a_map_of_a_former_redis_learns_how_its_own_payments_ended() {
    block_on(async {
        let seats = SeatBench::of("FFFF").await;
        for (user, position) in [(1, 0), (2, 1), (3, 2)] {
            seats.hold(user, 10 * user, position).await;
            seats.begin(user, 10 * user).await;
        }
        seats.finish(3, 30, 2, "PAID").await;
        seats.fail_over();
        seats.load("b", "FFFF").await;
        assert_eq!(seats.finish(2, 20, 1, "PAID").await[0], "SOLD", "while it is built");
        assert_eq!(seats.open("b", &[(0, 10), (1, 20), (2, 30)]).await, ["OPENED"]);
        assert_eq!(seats.states().await, "SSSF");
        seats.assert_ended(1, 10, "S").await;
        assert_eq!(seats.begin(1, 10).await, ["SOLD"]);
        assert_eq!(seats.ask("HMGET by_seat 0 1 2").await, ["10", "20", "30"]);
    });
}

#[test]
fn a_torn_map_of_a_former_redis_is_thrown_away() {
    block_on(async {
        let seats = SeatBench::of("FFF").await;
        seats.hold(1, 10, 0).await;
        seats.fail_over();
        seats.ask("SET seats FF").await;
        seats.rebuild("FFF", &[(2, 9)]).await;
        assert_eq!(seats.states().await, "FFS");
        assert_eq!(seats.status(10).await, "nil");
    });
}
