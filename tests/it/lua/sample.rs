//! The lease of the instance that measures the shop.

use super::{Bench, pass};
use crate::support::{at_once, block_on};

#[test]
fn a_lease_is_one_instances_until_it_ends() {
    block_on(async {
        let sampler = Bench::new("sample").await;
        assert_eq!(sampler.run("lease", &["a", "60000"]).await, ["MINE"]);
        assert_eq!(sampler.run("lease", &["b", "60000"]).await, ["OTHERS"]);
        assert_eq!(sampler.one("GET lease").await, "a", "asking changes nothing");
        assert_eq!(sampler.run("lease", &["a", "50"]).await, ["MINE"], "the time begins anew");
        pass(60).await;
        assert_eq!(sampler.run("lease", &["b", "60000"]).await, ["MINE"], "it has ended");
        assert_eq!(sampler.run("lease", &["a", "60000"]).await, ["OTHERS"], "who was late has lost it");
        sampler.assert_said_all("sample.lease");
    });
}

#[test]
fn of_many_who_ask_at_once_one_gets_it() {
    block_on(async {
        let sampler = std::sync::Arc::new(Bench::new("sample").await);
        let asked = at_once((0..50).map(|who: u32| {
            let sampler = sampler.clone();
            async move { sampler.run("lease", &[&who.to_string(), "60000"]).await }
        }));
        assert_eq!(asked.await.iter().filter(|said| **said == ["MINE"]).count(), 1);
    });
}
