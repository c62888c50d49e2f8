//! Breaches in Redis, and between the stores.

use super::{Audit, sale};
use crate::support::block_on;

/// The command, the invariants that it breaks, and what is named. Seats 1 and 2 are at positions 0 and 1.
type Breach = (&'static [&'static str], &'static [u64], &'static [&'static str]);

const BREACHES: [Breach; 11] = [
    // A sold seat is free, a free one is sold, a held one is free, a hold has another's seat.
    (&["SETRANGE", "{queue:default}:schedule:1:seats", "0", "F"], &[4], &["schedule 1 seat 1"]),
    (&["SETRANGE", "{queue:default}:schedule:1:seats", "9", "S"], &[4], &["schedule 1 seat 10"]),
    (&["SETRANGE", "{queue:default}:schedule:1:seats", "1", "F"], &[4], &["schedule 1 reservation 2"]),
    (
        &["HSET", "{queue:default}:schedule:1:by_seat", "1", "77"],
        &[4, 7],
        &["schedule 1 reservation 2", "schedule 1 position 1"],
    ),
    // A hold has no end, nobody ended it, and one is paying since 1970.
    (&["DEL", "{queue:default}:schedule:1:lapses"], &[7], &["schedule 1 position 1"]),
    (&["ZADD", "{queue:default}:schedule:1:lapses", "5", "2"], &[7], &["schedule 1 reservation 2"]),
    (&["ZADD", "{queue:default}:schedule:1:paying", "5", "2"], &[7], &["schedule 1 reservation 2"]),
    // Two tokens of one user, two that have ended and are active still or again, one that is active only in its record.
    (&["ZADD", "{queue:default}:waiting", "1", "2"], &[6], &["queue default user 2"]),
    (&["HSET", "{queue:default}:tokens", "2", "E:1:1:1"], &[6], &["queue default user 2"]),
    (&["ZADD", "{queue:default}:active", "99999999999999", "1"], &[6], &["queue default user 1"]),
    (&["DEL", "{queue:default}:active"], &[6], &["queue default user 2"]),
];

#[test]
fn a_breach_in_redis_is_found_and_named() {
    block_on(async {
        for (breach, broken, examples) in BREACHES {
            let app = sale().await;
            Audit::of(&app, &[]).await.assert_broken(&[], &[]);
            app.redis(breach).await;
            Audit::of(&app, &[]).await.assert_broken(broken, examples);
        }
    });
}

#[test]
fn more_active_tokens_than_the_cap_are_found() {
    block_on(async {
        let app = sale().await;
        app.enter(3).await;
        let audit = Audit::of(&app, &["--max-active", "1"]).await;
        audit.assert_broken(&[5], &["queue default: 2 active, cap 1"]);
        Audit::of(&app, &["--max-active", "2"]).await.assert_broken(&[], &[]);
    });
}

#[test]
fn who_is_let_in_before_an_earlier_one_is_found() {
    block_on(async {
        let app = sale().await;
        let active = app.claim(&app.enter(3).await).place;
        let now: u64 = app.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await.unsigned_abs();
        let waits = async |user: &str, place: u64, entered: u64| {
            app.redis(&["ZADD", "{queue:default}:waiting", &place.to_string(), user]).await;
            let record = format!("W:{place}:{entered}:{now}");
            app.redis(&["HSET", "{queue:default}:tokens", user, &record]).await;
        };
        // Far from any place that was given, and not so far that its slot is another's.
        let later = active + 1000;
        app.redis(&["HSET", "{queue:default}:state", "places", &later.to_string()]).await;
        // Later places; an earlier one that was lost with Redis and given back after user 3 was let in.
        waits("7", later, now - 60_000).await;
        waits("8", active - 1, now + 1000).await;
        Audit::of(&app, &[]).await.assert_broken(&[], &[]);
        // One that has left, of a queue opened long ago.
        app.redis(&["HSET", "{queue:default}:state", "opened", "5"]).await;
        app.redis(&["ZADD", "{queue:default}:waiting", "5", "9"]).await;
        app.redis(&["HSET", "{queue:default}:tokens", "9", "W:5:5:5"]).await;
        Audit::of(&app, &[]).await.assert_broken(&[], &[]);
        // One that came before user 3 was let in, and is there.
        waits("8", active - 1, now - 60_000).await;
        let named = format!("queue default place {}", active - 1);
        Audit::of(&app, &[]).await.assert_broken(&[5], &[&named]);
    });
}
