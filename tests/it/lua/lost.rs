//! What a queue does of which Redis has lost all or the latest: places are claimed by those who had them.

use super::{QueueBench, number};
use crate::support::block_on;

/// Places of the second opening begin after this.
const ANEW: u64 = 1_000;

/// A queue whose users 1 to 3 had places 101 to 103; opened anew, nobody is let in yet.
async fn lost() -> QueueBench {
    let mut queue = QueueBench::opened().await;
    queue.enter_all([1, 2, 3]).await;
    queue.lose().await;
    assert_eq!(queue.open(ANEW).await, ["OPENED", "0"]);
    queue.cap = 0;
    queue
}

#[test]
fn a_lost_place_comes_back_before_all_that_were_given_later() {
    block_on(async {
        let mut queue = lost().await;
        assert_eq!(queue.enter(9).await[..2], ["WAITING", "1001"]);
        for (user, place) in [(3, 103), (1, 101), (2, 102)] {
            assert_eq!(queue.restore(user, place).await, ["RESTORED", "0", "0"]);
        }
        assert_eq!(queue.waiting().await, ["1", "2", "3", "9"]);
        assert_eq!(queue.restore(2, 102).await, ["KNOWN"], "once");
        assert_eq!(queue.rank(2, 102).await[..2], ["WAITING", "1"]);
        assert_eq!(queue.enter(2).await[1], "102", "it is the user's token again");
        queue.cap = 2;
        queue.promote().await;
        assert_eq!(queue.active().await, ["1", "2"]);
        assert_eq!(queue.one("HGET state admitted").await, "102");
        queue.fail_over();
        assert_eq!(queue.restore(3, 103).await, ["UNOPENED"]);
        queue.assert_said_all("queue.restore");
    });
}

#[test]
fn who_is_let_in_while_claiming_is_told_so() {
    block_on(async {
        let mut queue = lost().await;
        queue.cap = 1;
        assert_eq!(queue.restore(2, 102).await, ["RESTORED", "0", "0", "0"]);
        assert_eq!((queue.active().await, queue.restore(1, 101).await.len()), (vec!["2".to_owned()], 3));
    });
}

#[test]
fn nobody_claims_what_is_not_lost() {
    block_on(async {
        let queue = lost().await;
        queue.enter(1).await;
        queue.leave(1, ANEW + 1).await;
        assert_eq!(queue.rank(1, 101).await, ["EXPIRED"], "its user has given up a newer token");
        assert_eq!(queue.restore(1, 101).await, ["KNOWN"]);
        assert_eq!(queue.rank(5, ANEW + 1).await, ["EXPIRED"], "given since the loss");
        assert_eq!(queue.rank(5, ANEW + 2).await, ["UNKNOWN"], "never given");
        queue.ask("HSET state window 0").await;
        super::pass(5).await;
        assert_eq!(queue.rank(2, 102).await, ["EXPIRED"], "the time for it is over");
        assert_eq!(queue.restore(2, 102).await, ["KNOWN"]);
        assert!(queue.waiting().await.is_empty());
    });
}

#[test]
fn a_place_got_since_gives_way_to_the_lost_one() {
    block_on(async {
        let mut queue = lost().await;
        queue.enter_all([9, 2]).await;
        assert_eq!(queue.waiting().await, ["9", "2"]);
        assert_eq!(queue.restore(2, 102).await[0], "RESTORED");
        assert_eq!(queue.waiting().await, ["2", "9"], "one token a user");
        assert_eq!(queue.rank(2, ANEW + 2).await, ["EXPIRED"]);
        assert_eq!(queue.enter(2).await[1], "102");
        queue.cap = 1;
        queue.promote().await;
        assert_eq!(queue.rank(2, 101).await, ["EXPIRED"], "a turn is a turn");
        assert_eq!(queue.restore(2, 101).await, ["KNOWN"]);
    });
}

#[test]
fn what_has_paid_is_used_up_in_a_queue_that_went_back() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 2;
        queue.enter_all(1..=5).await;
        queue.fail_over();
        assert_eq!(queue.run("use_up", &["1:101"]).await, ["UNOPENED"]);
        assert_eq!(queue.open(ANEW).await, ["OPENED", "1"], "something was left of it");
        let paid = ["1:101", "2:99", "3:103", "4:1", "77:107"];
        assert_eq!(queue.run("use_up", &paid).await, ["USED", "1:101"], "active, under this very token");
        assert_eq!(queue.waiting().await, ["4", "5"]);
        assert_eq!((queue.rank(3, 103).await, queue.active().await.len()), (vec!["COMPLETED".to_owned()], 2));
        assert_eq!(queue.record(3).await.1[2], 0, "when it was let in is not known any more");
        queue.assert_said_all("queue.use_up");
    });
}

#[test]
fn a_token_that_ended_after_it_was_restored_stays_ended() {
    block_on(async {
        let queue = lost().await;
        queue.restore(1, 101).await;
        assert_eq!(queue.leave(1, 101).await, ["LEFT", ""]);
        assert_eq!(
            (queue.rank(1, 101).await, queue.restore(1, 101).await),
            (vec!["EXPIRED".into()], vec!["KNOWN".into()])
        );
    });
}

#[test]
fn a_full_queue_does_not_forget_who_has_claimed_and_ended_while_it_could_be_claimed_again() {
    block_on(async {
        let mut queue = lost().await;
        queue.most = 2;
        queue.restore(1, 101).await;
        queue.leave(1, 101).await;
        queue.enter(7).await;
        assert_eq!(queue.enter(8).await, ["FULL"]);
        assert_eq!((queue.rank(1, 101).await, queue.restore(1, 101).await.len()), (vec!["EXPIRED".into()], 1));
        queue.ask("HSET state window 0").await;
        super::pass(5).await;
        assert_eq!(queue.enter(8).await[0], "WAITING", "nobody can claim any more");
        assert_eq!(
            (queue.rank(1, 101).await, queue.restore(1, 101).await),
            (vec!["EXPIRED".into()], vec!["KNOWN".into()])
        );
    });
}

#[test]
fn just_after_a_loss_nobody_is_let_in() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.enter_all([1, 2, 3]).await;
        queue.lose().await;
        queue.calm = 60_000;
        queue.open(ANEW).await;
        (queue.cap, queue.rate) = (10, 1);
        assert_eq!(queue.enter(9).await[0], "WAITING");
        queue.restore(1, 101).await;
        queue.promote().await;
        assert!(queue.active().await.is_empty());
        queue.ask("HSET state calm 0").await;
        queue.promote().await;
        assert_eq!(queue.active().await, ["1"], "and then the first, at the rate");
    });
}

#[test]
fn a_queue_that_went_back_keeps_what_it_has_and_gives_no_place_twice() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        // Users 3 and 4 came after what this replica knows, 4 for the second time.
        queue.enter(4).await;
        queue.leave(4, 103).await;
        queue.fail_over();
        queue.cap = 0;
        for answer in [queue.enter(5).await, queue.rank(1, 101).await, queue.promote().await] {
            assert_eq!(answer, ["UNOPENED"], "it may have forgotten what came last");
        }
        queue.open(ANEW).await;
        assert_eq!((queue.rank(1, 101).await[0].as_str(), queue.rank(2, 102).await[0].as_str()), ("ACTIVE", "WAITING"));
        assert_eq!(queue.enter(5).await[1], (ANEW + 1).to_string());
        for (user, place) in [(3, 104), (4, 105)] {
            assert_eq!(queue.rank(user, place).await[0], "LOST");
            assert_eq!(queue.restore(user, place).await[0], "RESTORED");
        }
        assert_eq!(queue.waiting().await, ["2", "3", "4", "5"]);
        assert_eq!(queue.ask("ZRANGE ended 0 -1").await, Vec::<String>::new(), "4 has come back");
        assert_eq!(queue.rank(6, ANEW + 2).await, ["UNKNOWN"]);
    });
}

#[test]
fn who_waits_is_not_blamed_for_redis_being_away() {
    block_on(async {
        let queue = QueueBench::opened().await;
        queue.enter_all([1, 2]).await;
        queue.vanish([2]).await;
        queue.fail_over();
        queue.open(ANEW).await;
        let waiting = queue.rank(2, 102).await;
        assert!(waiting[0] == "WAITING" && number(&waiting, 1) == 0, "{waiting:?}");
    });
}
