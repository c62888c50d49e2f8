//! What the instances tell each other of those who ask for much.

use super::{Bench, number, pass};
use crate::support::block_on;

/// One request a millisecond.
const COST: &str = "1000000";

#[test]
fn what_all_have_let_through_adds_up_and_wears_off() {
    block_on(async {
        let bench = Bench::new("limit").await;
        let first = bench.run("share", &[COST, "10", "7:100", "8:5000"]).await;
        assert_eq!(first, ["SHARED", "100000", "5000000"]);
        let second = bench.run("share", &[COST, "10", "8:1000", "20010db800010002:1"]).await;
        assert!((5_000_000..=6_000_000).contains(&number(&second, 1)), "{second:?}");
        assert_eq!(number(&second, 2), 1000);
        pass(120).await;
        assert_eq!(bench.run("share", &[COST, "10", "7:100"]).await, ["SHARED", "100000"], "it was full again");
        bench.assert_said_all("limit.share");
    });
}

#[test]
fn a_cost_below_a_microsecond_counts() {
    block_on(async {
        let bench = Bench::new("limit").await;
        assert_eq!(bench.run("share", &["1500", "10", "7:1000", "8:1"]).await, ["SHARED", "1500", "2"]);
    });
}

#[test]
fn full_buckets_are_forgotten_so_many_a_run() {
    block_on(async {
        let bench = Bench::new("limit").await;
        let told: Vec<String> = (1..=50).map(|user| format!("{user}:1")).collect();
        let told: Vec<&str> = [COST, "10"].into_iter().chain(told.iter().map(String::as_str)).collect();
        bench.run("share", &told).await;
        bench.run("share", &[COST, "10", "99:5000"]).await;
        pass(20).await;
        let before: i64 = bench.one("ZCARD spent").await.parse().unwrap();
        bench.run("share", &[COST, "10"]).await;
        let after: i64 = bench.one("ZCARD spent").await.parse().unwrap();
        assert!(before - after == 10, "{before}, then {after}");
        for _ in 0..5 {
            bench.run("share", &[COST, "10"]).await;
        }
        assert_eq!(bench.ask("ZRANGE spent 0 -1").await, ["99"]);
    });
}
