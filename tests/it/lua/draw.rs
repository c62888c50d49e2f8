//! The opening and its draw: who comes early, who is behind, and that nobody is let in before the order is whole.

use super::QueueBench;
use crate::support::block_on;

/// Never, as far as a test is concerned, and long ago.
const LATER: i64 = 1 << 50;
const OVER: i64 = 1;

/// A queue with a draw under way, to which users 1 to 3 have come as entries 1 to 3.
async fn early() -> QueueBench {
    let mut queue = QueueBench::opened().await;
    queue.cap = 10;
    queue.draw = (1, LATER);
    queue.enter_all([1, 2, 3]).await;
    queue
}

async fn close(queue: &QueueBench) -> Vec<String> {
    queue.run("close_draw", &[&queue.draw.0.to_string(), &queue.draw.1.to_string()]).await
}

#[test]
fn who_comes_early_has_an_entry_and_is_not_let_in() {
    block_on(async {
        let queue = early().await;
        assert_eq!(queue.enter_saying_entry(4).await, ["WAITING", "104", "1", "4", "0", "0"]);
        assert_eq!(queue.enter_saying_entry(4).await, ["WAITING", "104", "0", "4", "0", "0"], "again");
        assert_eq!(queue.promote().await, ["STEPPED", "4", "0", "0", "0", "0"]);
        assert_eq!(queue.rank(2, 102).await[..2], ["WAITING", "3"], "all others may come first");
        assert_eq!(queue.rank(2, 102).await[3..], ["0", "2"]);
        assert_eq!(queue.leave(2, 102).await, ["LEFT", ""]);
        assert_eq!(queue.enter_saying_entry(2).await[..4], ["WAITING", "105", "1", "5"], "no number is given twice");
        assert_eq!((queue.waiting().await.len(), queue.one("ZCARD early").await), (0, "4".to_owned()));
        assert_eq!(queue.audit().await, ["AUDITED", "0", "0", "0", "0"], "nothing is torn");
    });
}

#[test]
fn at_the_opening_the_number_is_fixed_and_who_comes_is_behind() {
    block_on(async {
        let mut queue = QueueBench::unopened().await;
        queue.draw = (1, LATER);
        assert_eq!(close(&queue).await, ["UNOPENED"]);
        queue.open(100).await;
        queue.ask("HSET state opened 5").await;
        queue.cap = 10;
        queue.enter_all([1, 2, 3]).await;
        assert_eq!(close(&queue).await, ["EARLY"]);
        queue.draw.1 = OVER;
        assert_eq!(
            queue.enter_saying_entry(4).await,
            ["WAITING", "107", "1", "0", "0", "0"],
            "orders 104 to 106 are kept"
        );
        assert_eq!(close(&queue).await, ["CLOSED", "100", "3", "103"]);
        queue.draw.1 = LATER;
        assert_eq!(close(&queue).await, ["CLOSED", "100", "3", "103"], "whatever becomes of the opening");
        assert_eq!(queue.enter_saying_entry(5).await[..4], ["WAITING", "108", "1", "0"]);
        assert_eq!(queue.waiting().await, ["4", "5"]);
        queue.assert_said_all("queue.close_draw");
    });
}

#[test]
fn nobody_is_let_in_until_all_are_in_order() {
    block_on(async {
        let mut queue = early().await;
        let shuffle = async |queue: &QueueBench, entry: &str, orders: &[&str]| {
            queue.run("shuffle", &[&["1", entry][..], orders].concat()).await
        };
        assert_eq!(shuffle(&queue, "1", &["105"]).await, ["OTHER"], "not over yet");
        queue.draw.1 = OVER;
        queue.enter_all([4]).await;
        queue.leave(2, 102).await;
        assert_eq!(shuffle(&queue, "1", &["106", "104"]).await, ["SHUFFLED", "1", "3"]);
        assert_eq!(shuffle(&queue, "1", &["106", "104"]).await, ["SHUFFLED", "1", "3"], "again");
        assert_eq!(queue.promote().await, ["STEPPED", "3", "0", "0", "0", "0"]);
        assert_eq!(queue.enter(9).await[0], "WAITING");
        assert_eq!(shuffle(&queue, "3", &["105"]).await, ["SHUFFLED", "0", "0"]);
        assert_eq!(queue.waiting().await, ["3", "1", "4", "9"], "as drawn, then as they came");
        assert_eq!(queue.rank(1, 101).await[3..], ["106", "0"]);
        assert_eq!(queue.audit().await, ["AUDITED", "0", "0", "105", "0"]);
        queue.cap = 2;
        assert_eq!(queue.promote().await[..3], ["STEPPED", "2", "2"]);
        assert_eq!(queue.one("HGET state admitted").await, "106", "an order, not a place");
        assert_eq!(queue.ask("HMGET state let_in left").await, ["2", "0"]);
        queue.draw.0 = 2;
        assert_eq!(queue.run("shuffle", &["2", "1", "1"]).await, ["OTHER"]);
        queue.fail_over();
        assert_eq!(shuffle(&queue, "1", &["1"]).await, ["UNOPENED"]);
        queue.assert_said_all("queue.shuffle");
    });
}

#[test]
fn an_entry_that_the_draw_has_not_got_comes_behind_all() {
    block_on(async {
        let mut queue = early().await;
        queue.draw.1 = OVER;
        queue.enter_all([4]).await;
        assert_eq!(queue.run("shuffle", &["1", "1", "105", "104", "0"]).await, ["SHUFFLED", "0", "0"]);
        assert_eq!(queue.waiting().await, ["2", "1", "4", "3"]);
        assert_eq!(queue.audit().await, ["AUDITED", "0", "0", "104", "0"]);
    });
}

#[test]
fn a_loss_before_the_opening_goes_on_counting() {
    block_on(async {
        let mut queue = early().await;
        queue.leave(3, 103).await;
        queue.fail_over();
        assert_eq!(queue.open(1_000).await, ["OPENED", "1"]);
        assert_eq!(
            queue.enter_saying_entry(4).await[..4],
            ["WAITING", "1001", "1", "4"],
            "of those kept, 3 was the last"
        );
        queue.lose().await;
        queue.calm = 60_000;
        queue.open(2_000).await;
        assert_eq!(queue.restore_as(2, 102, 0).await, ["RESTORED", "0", "0"]);
        assert_eq!(queue.rank(2, 102).await[3..], ["0", "1"], "a new number");
        queue.draw.1 = OVER;
        assert_eq!(close(&queue).await, ["EARLY"], "those who were lost are still coming back");
        assert_eq!(queue.restore_as(1, 101, 0).await, ["RESTORED", "0", "0"]);
        queue.ask("HSET state calm 0").await;
        assert_eq!(close(&queue).await, ["CLOSED", "2000", "2", "2002"]);
        assert_eq!(queue.restore_as(4, 1_001, 0).await, ["RESTORED", "0", "0"]);
        assert_eq!(queue.waiting().await, ["4"], "behind all");
        assert_eq!(queue.rank(4, 1_001).await[3], "2005");
    });
}

#[test]
fn those_who_waited_when_the_opening_was_set_stay_in_front() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all([1, 2]).await;
        queue.cap = 10;
        queue.draw = (1, LATER);
        queue.enter_all([3, 4]).await;
        assert_eq!(queue.promote().await, ["STEPPED", "4", "0", "0", "0", "0"], "nobody is let in before");
        queue.draw.1 = OVER;
        assert_eq!(close(&queue).await, ["CLOSED", "102", "2", "104"]);
        queue.run("shuffle", &["1", "1", "106", "105"]).await;
        assert_eq!(queue.waiting().await, ["1", "2", "4", "3"]);
    });
}

#[test]
fn a_queue_that_is_paused_or_drained() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        queue.leave(1, 101).await;
        queue.paused = true;
        assert_eq!(queue.enter(3).await[0], "WAITING");
        assert_eq!(queue.promote().await[..3], ["STEPPED", "2", "0"]);
        queue.paused = false;
        queue.draining = true;
        assert_eq!(queue.enter(4).await, ["CLOSING"]);
        assert_eq!(queue.one("HGET state places").await, "103", "nothing has changed");
        assert_eq!(queue.enter(3).await[..2], ["WAITING", "103"], "who has a token keeps it");
        assert_eq!(queue.active().await, ["2"], "who waits is let in");
        assert_eq!(queue.enter(2).await[..2], ["ACTIVE", "102"]);
    });
}

#[test]
fn no_more_try_than_there_are_seats_to_try_for() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 10;
        queue.stock = 2;
        queue.enter_all([1, 2, 3, 4]).await;
        assert_eq!(queue.active().await, ["1", "2"]);
        queue.hold_in(1, &[7]).await;
        assert_eq!(queue.promote().await[..3], ["STEPPED", "1", "3"], "a seat was free beside the one held");
        queue.stock = 1;
        assert_eq!(queue.promote().await[..3], ["STEPPED", "1", "3"]);
        queue.stock = 0;
        queue.leave(2, 102).await;
        assert_eq!(queue.promote().await[..3], ["STEPPED", "1", "2"]);
        queue.stock = 2;
        assert_eq!(queue.promote().await[..3], ["STEPPED", "0", "3"]);
    });
}
