//! A seat whose money went back: free at once, unless it has passed to another, however late or often it is told.

use super::SeatBench;
use crate::support::block_on;

/// A map in which user 1 has bought seat 0, as reservation 10.
async fn sold() -> SeatBench {
    let seats = SeatBench::of("FFF").await;
    buy(&seats, 1, 10, 0).await;
    seats
}

async fn buy(seats: &SeatBench, user: u64, reservation: u64, position: u64) {
    assert_eq!(seats.hold(user, reservation, position).await[0], "HELD");
    assert_eq!(seats.begin(user, reservation).await[0], "BEGUN");
    assert_eq!(seats.finish(user, reservation, position, "PAID").await[0], "SOLD");
}

#[test]
fn refund_frees_the_seat_of_its_own_reservation() {
    block_on(async {
        let seats = SeatBench::missing().await;
        assert_eq!(seats.refund(10, 0).await, ["MISSING"]);
        assert_eq!(seats.one("EXISTS holds").await, "0", "half a map would be worse than none");
        seats.rebuild("FFFF", &[(1, 11)]).await;
        buy(&seats, 1, 10, 0).await;
        assert_eq!(seats.refund(10, 0).await, ["FREED"]);
        seats.assert_ended(1, 10, "R").await;
        assert_eq!(seats.states().await, "FSFF");
        assert_eq!(seats.refund(11, 1).await, ["FREED"], "one that only Postgres knew");
        seats.assert_ended(1, 11, "R").await;
        assert_eq!(seats.refund(10, 0).await, ["GONE"], "told twice");
        assert_eq!(
            (seats.begin(1, 10).await, seats.release(1, 10).await),
            (vec!["LAPSED".into()], vec!["LAPSED".into()])
        );
        assert_eq!(seats.audit(0).await, ["AUDITED", "FFFF"]);
        seats.assert_said_all("seat.refund");
    });
}

#[test]
fn a_late_refund_leaves_the_seat_of_the_next_one() {
    block_on(async {
        let seats = sold().await;
        seats.refund(10, 0).await;
        let look = seats.look("", 0).await;
        seats.hold(2, 20, 0).await;
        for state in ["H", "P", "S"] {
            assert_eq!(seats.refund(10, 0).await, ["GONE"]);
            assert_eq!(seats.states().await, format!("{state}FF"));
            assert_eq!(seats.one("HGET by_seat 0").await, "20");
            if state == "H" {
                seats.begin(2, 20).await;
            } else {
                seats.finish(2, 20, 0, "PAID").await;
            }
        }
        assert_ne!(seats.look("", 0).await, look);
    });
}

#[test]
fn a_payment_s_end_that_comes_after_the_refund_sells_nothing() {
    block_on(async {
        let seats = SeatBench::of("FFF").await;
        seats.hold(1, 10, 0).await;
        seats.begin(1, 10).await;
        assert_eq!(seats.refund(10, 0).await, ["FREED"], "paid, and refunded, before the payment has told the map");
        seats.assert_ended(1, 10, "R").await;
        seats.hold(2, 20, 0).await;
        for outcome in ["PAID", "REFUSED", "ABORTED", "SOLD_TO_ANOTHER"] {
            assert_eq!(seats.finish(1, 10, 0, outcome).await, ["GONE"], "{outcome}");
        }
        assert_eq!((seats.states().await, seats.one("HGET by_seat 0").await), ("HFF".into(), "20".into()));
        assert_eq!(seats.finish(1, 11, 1, "PAID").await[0], "SOLD", "but one of which nothing is known is believed");
    });
}

#[test]
fn the_mark_of_a_refund_is_forgotten_in_time() {
    block_on(async {
        let mut seats = sold().await;
        seats.refund(10, 0).await;
        assert_eq!(seats.status(10).await, "R");
        seats.retention = 0;
        seats.sweep().await;
        assert_eq!(seats.status(10).await, "nil");
    });
}

#[test]
fn a_sale_names_its_seat_whoever_had_it() {
    block_on(async {
        let seats = sold().await;
        assert_eq!(seats.finish(2, 20, 0, "PAID").await[0], "SOLD", "Postgres says so, and has the last word");
        assert_eq!((seats.one("HGET by_seat 0").await, seats.status(10).await), ("20".into(), "G".into()));
        assert_eq!(seats.refund(10, 0).await, ["GONE"]);
        assert_eq!(seats.states().await, "SFF");
        assert_eq!(seats.refund(20, 0).await, ["FREED"]);
    });
}

#[test]
fn a_seat_sold_to_nobody_known_is_freed_only_as_such() {
    block_on(async {
        let seats = SeatBench::of("FFSS").await;
        seats.hold(1, 10, 0).await;
        buy(&seats, 2, 20, 1).await;
        for position in [0, 1] {
            assert_eq!(seats.refund_nobody(position).await, ["GONE"]);
        }
        assert_eq!(seats.refund_nobody(2).await, ["FREED"]);
        assert_eq!(seats.refund_nobody(2).await, ["GONE"], "free");
        assert_eq!(seats.refund(30, 3).await, ["GONE"], "whose it is must be known");
        assert_eq!(seats.states().await, "HSFS");
    });
}

#[test]
fn whose_tells_some_of_the_seats() {
    block_on(async {
        let seats = SeatBench::missing().await;
        assert_eq!(seats.whose(&[0]).await, ["MISSING"]);
        seats.rebuild("FFFSF", &[(4, 14)]).await;
        seats.hold(1, 10, 0).await;
        seats.hold(1, 11, 1).await;
        seats.begin(1, 11).await;
        let before = seats.snapshot().await;
        assert_eq!(seats.whose(&[]).await, ["WHOSE"]);
        assert_eq!(seats.whose(&[4, 0, 3]).await, ["WHOSE", "S", "14", "H", "10", "S", ""]);
        assert_eq!(seats.whose(&[1, 2, 5]).await, ["WHOSE", "P", "11", "F", "", "", ""]);
        assert_eq!(seats.snapshot().await, before);
        seats.assert_said_all("seat.whose");
    });
}
