//! What one user or address may ask for: within a bound however many instances there are, honest to everybody else, and in
//! bounded memory.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use onsale::ids::UserId;
use onsale::limit::{Address, Limit, MOST_BUCKETS, Rate};
use onsale::redis::Redis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Listening, beside, status};
use crate::support::{TestApp, block_on, user};

const PER_SECOND: u32 = 100;

/// How long a limit may be unshared on a busy machine: the job's interval, and more.
const UNSHARED: Duration = Duration::from_secs(1);

/// What `instances` may let through in a time, with these bursts: the rate, and until they have heard of each other a burst
/// and a bit each.
fn bound(instances: u32, burst: u32, time: Duration) -> f64 {
    let until_heard = f64::from(instances) * (f64::from(burst + burst.div_ceil(8)) + per_second(UNSHARED));
    per_second(time) + until_heard
}

fn per_second(time: Duration) -> f64 {
    f64::from(PER_SECOND) * time.as_secs_f64()
}

async fn redis_of(app: &TestApp) -> Redis {
    Redis::connect(&app.settings.stores.redis(5000)).await.unwrap()
}

/// Takes as fast as can be on several instances that share every quarter of a second; how many went through.
async fn flood(app: &TestApp, instances: u32, share: bool, time: Duration) -> (u32, Duration) {
    let burst = 100;
    let redis = redis_of(app).await;
    let limits: Vec<_> =
        (0..instances).map(|_| Limit::<UserId>::new("flood", Rate::new(PER_SECOND, burst).unwrap())).collect();
    let (begun, mut taken, mut shared) = (Instant::now(), 0, Instant::now());
    while begun.elapsed() < time {
        taken += limits.iter().map(|limit| u32::from(limit.take(user(7)))).sum::<u32>();
        if share && shared.elapsed() >= Duration::from_millis(250) {
            for limit in &limits {
                limit.share(&redis).await.unwrap();
            }
            shared = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (taken, begun.elapsed())
}

#[test]
fn four_instances_together_let_a_user_do_as_much_as_one() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (taken, time) = flood(&app, 4, true, Duration::from_secs(8)).await;
        assert!(f64::from(taken) <= bound(4, 100, time), "{taken} in {time:?}");
        assert!(f64::from(taken) >= per_second(time) * 0.8, "nor less: {taken} in {time:?}");
        let (alone, time) = flood(&app, 4, false, Duration::from_secs(4)).await;
        assert!(f64::from(alone) > per_second(time) * 3.0, "they do share: {alone} in {time:?}");
    });
}

#[test]
fn without_redis_each_instance_limits_by_itself() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let redis = redis_of(&app).await;
        let limit = Limit::<UserId>::new("alone", Rate::new(1, 8).unwrap());
        assert_eq!((0..100).filter(|_| limit.take(user(1))).count(), 8);
        limit.share(&redis).await.unwrap();
        assert!(!limit.take(user(1)));
        assert!(limit.take(user(2)), "another's bucket is full");
        limit.prune();
        assert!(!limit.take(user(1)), "who is refused is not forgotten");
    });
}

#[test]
fn a_million_minted_users_and_addresses_take_bounded_memory_and_get_honest_answers() {
    let rate = Rate::new(1, 1000).unwrap();
    let (users, addresses) = (Limit::<UserId>::new("users", rate), Limit::<Address>::new("addresses", rate));
    let address = |number: u128| Address::from(IpAddr::V6(Ipv6Addr::from_bits(number << 64)));
    let begun = Instant::now();
    while users.take(user(9)) {}
    while addresses.take(address(9)) {}
    let mut through = 0;
    for number in 1000..1_001_000_u32 {
        assert!(users.take(user(number.into())), "user {number} has asked for nothing before");
        assert!(addresses.take(address(number.into())), "nor has address {number}");
        if number % 100 == 0 {
            through += u64::from(users.take(user(9))) + u64::from(addresses.take(address(9)));
        }
    }
    assert!(users.len() <= MOST_BUCKETS && addresses.len() <= MOST_BUCKETS);
    assert!(through <= 2 * (begun.elapsed().as_secs() + 1), "who is refused was washed out: {through}");
    let network = (0..2000).map(|low| Address::from(IpAddr::V6(Ipv6Addr::from_bits((77 << 64) | low))));
    let taken = network.filter(|address| addresses.take(*address)).count();
    assert!((1000..1100).contains(&taken), "64 bits of network are one address: {taken}");
}

/// Sends requests over one connection, one after the other; how many were answered how.
async fn send(server: &Listening, from: &str, count: u32) -> (u32, u32) {
    let mut stream = server.connect().await;
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..count {
        let request = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {from}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed");
        }
        let answer = String::from_utf8(answer).unwrap();
        match status(&answer) {
            "200" => passed += 1,
            "429" => {
                assert!(answer.contains("\"RATE_LIMITED\"") && answer.contains("retry-after: 1"), "{answer}");
                assert!(answer.contains("x-request-id: ") && answer.contains("\"result\":\"ERROR\""), "{answer}");
                refused += 1;
            }
            _ => panic!("{answer}"),
        }
    }
    (passed, refused)
}

const LIMITED: [&str; 6] = [
    "--address-requests-per-second",
    "100",
    "--address-burst",
    "50",
    "--trusted-proxies",
    "127.0.0.0/8,198.51.100.0/24",
];

#[test]
fn an_address_is_limited_on_two_instances_together_and_others_are_served() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let settings = beside(&app, &LIMITED);
        let servers = Arc::new([Listening::start(&settings).await, Listening::start(&settings).await]);
        let begun = Instant::now();
        let flood = |at: usize| {
            let servers = servers.clone();
            tokio::spawn(async move {
                let (mut passed, mut refused) = (0, 0);
                while begun.elapsed() < Duration::from_secs(8) {
                    // What is left of what the proxy has added, anybody can have made up.
                    let from = format!("{passed}.{}.1.1, 203.0.113.7, 198.51.100.2", refused % 200);
                    let (more, less) = send(&servers[at], &from, 20).await;
                    (passed, refused) = (passed + more, refused + less);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                (passed, refused)
            })
        };
        let floods = [flood(0), flood(1)];
        assert_eq!(send(&servers[0], "203.0.113.8", 40).await, (40, 0), "another address");
        let mut passed = 0;
        for flood in floods {
            let (some, refused) = flood.await.unwrap();
            assert!(refused > 0);
            passed += some;
        }
        let time = begun.elapsed();
        assert!(f64::from(passed) <= bound(2, 50, time), "{passed} in {time:?}");
        let servers = Arc::into_inner(servers).unwrap();
        for server in servers {
            server.stop().await;
        }
    });
}

#[test]
fn what_comes_from_the_machine_itself_is_not_limited_unless_it_is_a_proxy() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let server = Listening::start(&beside(&app, &LIMITED[..4])).await;
        assert_eq!(send(&server, "203.0.113.7", 300).await, (300, 0));
        server.stop().await;
    });
}
