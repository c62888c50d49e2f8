//! Script calls that are gathered: what comes while a batch is under way goes out together, and each call has its own reply.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::join_all;
use onsale::redis::{Args, EACH, Gathered, Redis, RedisSettings, Script};
use onsale::store_error::StoreError;

use crate::support::{Proxy, block_on, servers};

/// Says which call of its run each is, and what it was given.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    let body = "local run, shared = 0, ARGV[1]
        return each(1, 2, function(number, word)
            if word == 'fail' then return redis.call('GETRANGE', KEYS[1], 'x', 'y') end
            run = run + 1
            return { 'COUNTED', run, shared, number, word }
        end)";
    Script::new("test.count", &[EACH, body])
});

/// Says the same to all.
static CLOSED: LazyLock<Script> = LazyLock::new(|| Script::new("test.closed", &["return { 'CLOSED', #ARGV }"]));

async fn connect(url: String, timeout: Duration) -> Redis {
    Redis::connect(&RedisSettings { url, timeout, key_prefix: "gathered".to_owned() }).await.unwrap()
}

async fn gathered(script: &'static Script) -> Gathered {
    Gathered::new(
        connect(servers().await.redis_url(), Duration::from_secs(5)).await,
        script,
        ["gathered:{test}:key".to_owned()],
    )
}

fn args(number: u32, word: &'static str) -> Args {
    Args { shared: vec![7_u32.into()], own: vec![number.into(), word.into()] }
}

#[test]
fn what_comes_together_goes_out_together_and_each_has_its_own_reply() {
    block_on(async {
        let gathered = gathered(&COUNT).await;
        let calls = (0..500).map(|number| gathered.call(args(number, "go")));
        let mut longest = 0;
        for (number, reply) in join_all(calls).await.into_iter().enumerate() {
            let mut reply = reply.unwrap();
            assert_eq!(reply.take::<String>().unwrap(), "COUNTED");
            longest = longest.max(reply.take::<u64>().unwrap());
            let rest: Vec<String> = reply.rest().unwrap();
            assert_eq!(rest, ["7", &number.to_string(), "go"]);
        }
        assert!(longest > 1, "no two calls went out together");
        assert!(longest <= 128, "a run of {longest}");
    });
}

#[test]
fn a_call_that_fails_fails_alone() {
    block_on(async {
        let gathered = gathered(&COUNT).await;
        let words = (0..100).map(|number| if number % 10 == 3 { "fail" } else { "go" });
        let calls = words.enumerate().map(|(number, word)| gathered.call(args(number.try_into().unwrap(), word)));
        for (number, reply) in join_all(calls).await.into_iter().enumerate() {
            match reply {
                Ok(_) => assert_ne!(number % 10, 3),
                Err(error) => {
                    assert_eq!(number % 10, 3, "{error}");
                    let StoreError::Unexpected { store: "redis", source } = error else { panic!("{error:?}") };
                    assert!(source.to_string().contains("not an integer"), "{source}");
                }
            }
        }
    });
}

#[test]
fn a_reply_to_all_is_everybodys() {
    block_on(async {
        let gathered = gathered(&CLOSED).await;
        for reply in join_all((0..50).map(|number| gathered.call(args(number, "go")))).await {
            assert_eq!(reply.unwrap().take::<String>().unwrap(), "CLOSED");
        }
    });
}

#[test]
fn a_silent_redis_keeps_nobody_for_long_and_the_next_calls_find_a_new_way() {
    block_on(async {
        let url = servers().await.redis_url();
        let proxy = Proxy::before(&url).await;
        let redis = connect(proxy.url(&url), Duration::from_millis(500)).await;
        let gathered = Gathered::new(redis, &COUNT, ["gathered:{test}:key".to_owned()]);
        gathered.call(args(1, "go")).await.unwrap();
        proxy.swallow();
        let calls = join_all((0..300).map(|number| gathered.call(args(number, "go"))));
        let replies = tokio::time::timeout(Duration::from_secs(20), calls).await.unwrap();
        let errors: Vec<StoreError> = replies.into_iter().filter_map(Result::err).collect();
        assert!(!errors.is_empty());
        for error in errors {
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
            assert!(std::error::Error::source(&error).is_some());
        }
        gathered.call(args(1, "go")).await.unwrap();
    });
}
