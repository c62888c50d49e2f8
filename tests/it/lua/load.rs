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
        assert_eq!(seats.open("a", &[0, 1]).await, ["OUTRUN"], "the older reading may be too old");
        assert_eq!(seats.states().await, "FFSFF", "and marks nothing");
        assert_eq!(seats.open("b", &[2, 4]).await, ["OPENED"]);
        assert_eq!(seats.states().await, "FFSFS");
        assert_eq!(seats.open("b", &[0]).await, ["OUTRUN"], "an open map is not opened again");
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
        assert_eq!(seats.finish(1, 10, 1, "PAID").await, ["SOLD", "0"]);
        assert_eq!(seats.finish(1, 11, 2, "REFUSED").await, ["GONE"]);
        seats.open("a", &[]).await;
        assert_eq!(seats.states().await, "FSF");
        assert_eq!(seats.hold(2, 20, 1).await, ["TAKEN"]);
        seats.assert_ended(1, 10, "S").await;
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
