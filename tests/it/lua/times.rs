//! Slots: what records say of times, by order, so that who is let in is not looked up one by one. They only ever repeat
//! records, and where one is missing the record serves.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::queues::SLOTS;
use super::{QueueBench, number, pass};
use crate::support::block_on;

impl QueueBench {
    /// Asserts of all who wait that their slots say what their records say; returns how many have one.
    async fn slots(&self) -> usize {
        let mut slots = 0;
        for user in self.waiting().await {
            let (status, [place, entered, seen]) = self.record(user.parse().unwrap()).await;
            assert_eq!(status, "W");
            if let Some(slot) = self.slot(place).await {
                assert_eq!(slot, [entered, seen], "user {user}, place {place}");
                slots += 1;
            }
        }
        slots
    }

    /// Since when an active token is let in, as the audit has it.
    async fn since(&self, place: u64) -> Option<i64> {
        let page = self.audit_page("ACTIVE", "0").await;
        assert_eq!(page[3], "0", "torn: {page:?}");
        page[4..].chunks(2).find(|alive| alive[0] == place.to_string()).map(|alive| alive[1].parse().unwrap())
    }
}

#[test]
fn slots_say_what_records_say() {
    block_on(async {
        for seed in 0..6 {
            let mut chance = StdRng::seed_from_u64(seed);
            let mut queue = QueueBench::opened().await;
            for step in 0..60 {
                let user = chance.random_range(1..=12);
                let place = match queue.one(&format!("HEXISTS tokens {user}")).await.as_str() {
                    "1" => queue.record(user).await.1[0],
                    _ => 101,
                };
                match chance.random_range(0..8) {
                    0 => _ = queue.leave(user, place).await,
                    1 => _ = queue.rank(user, place).await,
                    2 => _ = queue.see(&[(user, place, chance.random_range(0..3))]).await,
                    3 => {
                        queue.cap += u64::from(step % 4 == 0);
                        queue.promote().await;
                        for user in queue.waiting().await {
                            assert_ne!(queue.record(user.parse().unwrap()).await.1[2], 0, "user {user} has left");
                        }
                    }
                    5 if queue.waiting().await.contains(&user.to_string()) => queue.vanish([user]).await,
                    4 => _ = queue.enter_together(&[user, user % 12 + 1, user, user % 5 + 1]).await,
                    _ => _ = queue.enter(user).await,
                }
                let waiting = queue.waiting().await.len();
                assert_eq!(queue.slots().await, waiting, "each has one");
                assert_eq!(queue.audit().await[4], "0", "nothing is torn");
                pass(chance.random_range(0..3)).await;
            }
        }
    });
}

#[test]
fn who_is_let_in_by_its_slot_is_active_in_all_that_is_asked() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all(1..=6).await;
        queue.leave(3, 103).await;
        pass(5).await;
        queue.cap = 5;
        assert_eq!(queue.promote().await[..6], ["STEPPED", "0", "5", "0", "0", "0"]);
        let mut since = Vec::new();
        for user in [1, 2, 4, 5, 6] {
            let (status, [place, entered, _]) = queue.record(user).await;
            assert_eq!((&*status, place), ("W", 100 + user), "nobody has looked it up");
            since.push(queue.since(place).await.unwrap());
            assert!(since.last().is_some_and(|since| *since >= i64::try_from(entered).unwrap() + 5), "{entered}");
            assert_eq!(queue.rank(user, place).await[0], "ACTIVE");
            assert_eq!(queue.check(user, place).await[0], "ACTIVE");
        }
        assert_eq!(queue.rank(3, 103).await, ["EXPIRED"], "who is between has left");
        assert!(queue.see(&[(1, 101, 0)]).await[1].starts_with("1:101:ACTIVE:"));
        assert_eq!(queue.enter(1).await[..3], ["ACTIVE", "101", "0"], "it has its token still");
        assert_eq!(queue.rank(2, 200).await, ["UNKNOWN"]);

        queue.ask("ZADD early 1 6").await;
        assert_eq!(queue.audit().await[4], "1", "in and to be drawn");
        queue.ask("ZREM early 6").await;
        assert_eq!(queue.run("use_up", &["1:101"]).await, ["USED", "1:101"], "active, so it is named");
        assert_eq!(queue.complete(1, 101).await, ["COMPLETED"]);
        assert_eq!(queue.leave(2, 102).await[0], "LEFT");
        queue.outlive([4]).await;
        assert_eq!(queue.check(4, 104).await, ["EXPIRED"], "though nobody has ended it yet");
        assert_eq!(queue.enter(4).await[1..4], ["107", "1", "1"], "another token, and one that has ended by its time");
        queue.outlive([5]).await;
        queue.promote().await;
        let ends: Vec<String> = [queue.record(1).await.0, queue.record(2).await.0, queue.record(5).await.0].into();
        assert_eq!(ends, ["C", "E", "E"]);
        for (user, since) in [(1, since[0]), (2, since[1]), (5, since[3])] {
            assert_eq!(i64::try_from(queue.record(user).await.1[2]).unwrap(), since, "it was let in");
        }
        assert_eq!(queue.ask("HMGET state let_in left").await, ["6", "1"], "nobody of them has left the line");
    });
}

#[test]
fn the_time_of_letting_in_is_kept_whatever_its_bytes_are() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        let users: Vec<u64> = (1..=4000).collect();
        queue.most = 10_000;
        for users in users.chunks(500) {
            queue.enter_together(users).await;
        }
        // A percent sign means something in what a pattern is replaced by.
        let mut percents = 0;
        while percents < 3 {
            queue.cap += 1;
            let [from, step, to] = [queue.now_us().await, number(&queue.promote().await, 2), queue.now_us().await];
            let last = u64::try_from(step).unwrap();
            assert_eq!(last, queue.cap, "one more");
            let [_, since] = queue.slot(100 + last).await.unwrap();
            assert!((from / 1000..=to / 1000).contains(&i64::try_from(since).unwrap()), "{from} {since} {to}");
            percents += usize::from(since.to_be_bytes().contains(&b'%'));
        }
        let next = queue.record(queue.cap + 1).await.1;
        assert_eq!(queue.slot(next[0]).await, Some([next[1], next[2]]), "the next one's is whole");
    });
}

#[test]
fn who_has_left_is_told_by_its_slot() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all(1..=5).await;
        queue.vanish([1, 3]).await;
        queue.cap = 2;
        assert_eq!(queue.promote().await[..6], ["STEPPED", "1", "2", "0", "2", "0"], "two had left");
        assert_eq!(queue.active().await, ["2", "4"]);
        assert_eq!(queue.waiting().await, ["5"]);
        assert_eq!([queue.record(1).await.0, queue.record(3).await.0], ["E", "E"]);
    });
}

#[test]
fn who_has_no_slot_is_let_in_by_its_record() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all([1, 2, 3]).await;
        queue.fail_over();
        queue.open(200).await;
        queue.enter_all([4, 5]).await;
        assert_eq!(queue.slots().await, 2, "those of a former Redis have none");
        pass(5).await;
        assert_eq!(queue.rank(2, 102).await[0], "WAITING");
        assert_eq!((queue.slots().await, queue.one("STRLEN times").await), (2, "36".to_owned()));
        queue.cap = 4;
        assert_eq!(queue.promote().await[..6], ["STEPPED", "1", "4", "0", "0", "0"]);
        let records = [queue.record(1).await.0, queue.record(2).await.0, queue.record(4).await.0];
        assert_eq!(records, ["A", "A", "A"], "one without and all of its batch are looked up");
        for place in [101, 102, 103, 201] {
            assert!(queue.since(place).await.unwrap() > 0);
        }
        assert_eq!(queue.check(1, 101).await[0], "ACTIVE");

        // Who is active in a Redis that comes back is so still; since when, only its record could say.
        queue.cap = 5;
        queue.promote().await;
        queue.fail_over();
        queue.open(300).await;
        assert_eq!(queue.check(5, 202).await[0], "ACTIVE");
        assert_eq!((queue.since(202).await, queue.since(201).await.is_some_and(|since| since > 0)), (Some(0), true));
    });
}

#[test]
fn who_was_drawn_is_let_in_by_its_record() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.draw = (1, queue.now_us().await / 1000 + 60_000);
        queue.enter_all([1, 2, 3]).await;
        assert_eq!(queue.one("EXISTS times").await, "0", "its order is not known yet");
        queue.draw.1 = 0;
        queue.enter(4).await;
        assert_eq!(queue.one("STRLEN times").await, "18", "as if it were the first");
        queue.run("shuffle", &["1", "1", "106", "105", "104"]).await;
        assert_eq!(queue.waiting().await, ["3", "2", "1", "4"]);
        assert_eq!(queue.rank(1, 101).await[0], "WAITING");
        assert_eq!(queue.slots().await, 1, "who came behind");
        assert_eq!(queue.slot(106).await, None, "its place is another");
        queue.cap = 3;
        queue.promote().await;
        assert_eq!([queue.record(1).await.0, queue.record(3).await.0], ["A", "A"]);
        assert_eq!(queue.slots().await, 1);
        queue.cap = 4;
        queue.promote().await;
        assert_eq!((&*queue.record(4).await.0, queue.check(4, 107).await.remove(0)), ("W", "ACTIVE".to_owned()));
        assert_eq!(queue.audit().await, ["AUDITED", "4", "107", "0", "0"]);
    });
}

#[test]
fn slots_go_round() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.enter_all([1, 2, 3]).await;
        assert!(queue.since(101).await.unwrap() > 0);
        queue.cap = 0;
        queue.ask(&format!("HSET state places {}", 100 + SLOTS - 2)).await;
        // The last two, and the first two once more.
        queue.enter_together(&[4, 5, 6, 7]).await;
        assert_eq!(queue.one("STRLEN times").await, (18 * SLOTS).to_string());
        assert_eq!((queue.slot(101).await, queue.slot(102).await), (None, None), "others have them");
        assert_eq!((queue.slots().await, queue.since(101).await), (5, Some(0)));
        queue.cap = 7;
        queue.promote().await;
        assert_eq!(queue.active().await, ["1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!((queue.waiting().await.len(), queue.audit().await.remove(4)), (0, "0".to_owned()));
    });
}

#[test]
fn letting_in_leaves_a_slot_alone_that_has_gone_to_a_later_one() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all([1, 2, 3]).await;
        queue.leave(2, 102).await;
        queue.ask(&format!("HSET state places {}", 100 + SLOTS)).await;
        queue.enter_all([4, 5]).await;
        let later = queue.slot(102 + SLOTS).await;
        assert!(later.is_some(), "it was that of one who has left");
        pass(5).await;
        queue.rank(1, 101).await;
        assert!(queue.slot(101).await.is_some(), "its own again");
        queue.cap = 2;
        queue.promote().await;
        assert_eq!(queue.active().await, ["1", "3"]);
        assert_eq!(queue.slot(102 + SLOTS).await, later);
    });
}

#[test]
fn an_entry_number_is_not_taken_for_an_order() {
    block_on(async {
        let mut queue = QueueBench::unopened().await;
        queue.open(0).await;
        queue.cap = 3;
        queue.enter_all([1, 2, 3]).await;
        queue.ask("HSET state opened 5").await;
        queue.draw = (1, queue.now_us().await / 1000 + 60_000);
        queue.enter_all([4, 5, 6]).await;
        assert_eq!(queue.one("STRLEN times").await, "54", "whoever came before the draw");
        assert_eq!(queue.ask("ZRANGE early 0 -1 WITHSCORES").await, ["4", "1", "5", "2", "6", "3"]);
        queue.vanish([4, 6]).await;
        assert_eq!(queue.promote().await[..6], ["STEPPED", "1", "3", "0", "2", "0"], "two had left");
        assert_eq!(queue.ask("ZRANGE early 0 -1").await, ["5"]);
    });
}

#[test]
fn who_waits_as_a_draw_ends_is_let_in_by_its_record() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all([1, 2]).await;
        queue.draw = (1, queue.now_us().await / 1000 + 60_000);
        queue.enter(3).await;
        assert_eq!(queue.slots().await, 2);
        queue.draw.1 = 0;
        queue.enter(4).await;
        queue.run("shuffle", &["1", "1", "104"]).await;
        assert_eq!(queue.rank(1, 101).await[0], "WAITING");
        assert_eq!((queue.waiting().await.len(), queue.slots().await), (4, 1), "only who came since has one");
        queue.cap = 4;
        queue.promote().await;
        assert_eq!(queue.active().await, ["1", "2", "3", "4"]);
        assert_eq!(queue.audit().await, ["AUDITED", "4", "105", "0", "0"]);

        // A draw without entries takes nothing away.
        queue.enter(5).await;
        queue.draw = (2, 0);
        queue.enter(6).await;
        assert_eq!(queue.slots().await, 2);
    });
}

/// Those who have left among the next who wait, as a step that lets in nobody finds them.
async fn walk(queue: &QueueBench) -> String {
    queue.promote().await.remove(4)
}

#[test]
fn who_waits_is_walked_in_turn_by_slots() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        (queue.cap, queue.limit) = (0, 3);
        queue.enter_all(1..=10).await;
        queue.leave(6, 106).await;
        assert_eq!(queue.slot(106).await, None, "it is nobody's");
        for user in [2, 7, 10] {
            let (_, [place, entered, seen]) = queue.record(user).await;
            queue.vanish([user]).await;
            // Nobody is looked up but those whose slots say that they have left.
            queue.ask(&format!("HSET tokens {user} W:{place}:{entered}:{seen}")).await;
        }
        let mut found = Vec::new();
        for _ in 0..4 {
            found.push(walk(&queue).await);
        }
        assert_eq!(found, ["1", "1", "1", "0"], "three at a time; behind the last is nobody");
        queue.vanish([4]).await;
        assert_eq!((walk(&queue).await, queue.slot(102).await), ("1".to_owned(), None), "it begins again");
        assert_eq!(queue.waiting().await, ["1", "3", "5", "8", "9"]);
        queue.vanish([9]).await;
        queue.limit = 100;
        assert_eq!(walk(&queue).await, "1", "behind those walked");
        queue.vanish([1]).await;
        assert_eq!(walk(&queue).await, "1", "it has come to the end, so it begins again at once");
    });
}

#[test]
fn who_has_no_slot_or_waits_far_apart_is_walked_too() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        (queue.cap, queue.limit) = (0, 3);
        queue.enter_all(1..=20).await;
        for user in 2..=19 {
            queue.leave(user, 100 + user).await;
        }
        queue.vanish([20]).await;
        assert_eq!(walk(&queue).await, "1");
        queue.fail_over();
        queue.open(200).await;
        // One that comes back behind all has a place there, and no slot.
        queue.limit = 100;
        assert_eq!(queue.restore_as(30, 110, 0).await[0], "RESTORED");
        queue.ask("HSET state opened 5").await;
        queue.enter_all([21, 22]).await;
        queue.vanish([1, 22]).await;
        assert_eq!(walk(&queue).await, "2", "one of them has an order of before");
        queue.enter(23).await;
        queue.vanish([23]).await;
        assert_eq!(walk(&queue).await, "1");
        queue.vanish([30]).await;
        assert_eq!(walk(&queue).await, "1");
        assert_eq!(queue.waiting().await, ["21"]);
    });
}

#[test]
fn who_leaves_leaves_a_slot_alone_that_has_gone_to_a_later_one() {
    block_on(async {
        let mut queue = QueueBench::opened().await;
        queue.cap = 0;
        queue.enter_all([1, 2]).await;
        queue.ask(&format!("HSET state places {}", 100 + SLOTS)).await;
        queue.enter(3).await;
        queue.leave(1, 101).await;
        queue.leave(2, 102).await;
        assert!(queue.slot(101 + SLOTS).await.is_some(), "its slot was that of the first");
        assert_eq!(queue.slot(102).await, None, "nobody has taken this one");
        queue.vanish([3]).await;
        assert_eq!(walk(&queue).await, "1");
    });
}
