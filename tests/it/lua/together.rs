//! Calls that come together are decided as if each had come alone: random ones show that their replies, and what is
//! written, are those of the same calls one by one.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::Bench;
use super::queues::QueueBench;
use super::seats::SeatBench;
use crate::support::block_on;

const SHOPS: u64 = 12;
const BATCHES: usize = 8;
const MOST_TOGETHER: usize = 9;

/// A script, what its calls share, and the calls.
struct Batch {
    script: &'static str,
    shared: Vec<String>,
    calls: Vec<Vec<String>>,
}

impl Batch {
    fn random(
        chance: &mut StdRng,
        script: &'static str,
        shared: &[&str],
        call: impl Fn(&mut StdRng) -> String,
    ) -> Self {
        let calls = (0..chance.random_range(2..=MOST_TOGETHER)).map(|_| words(&call(chance))).collect();
        Self { script, shared: shared.iter().map(|word| (*word).to_owned()).collect(), calls }
    }

    /// Has `together` carry out all at once and `apart` each for itself, and compares.
    async fn compare(&self, together: &Bench, apart: &Bench, keys: &Keys) {
        let shared: Vec<&str> = self.shared.iter().map(String::as_str).collect();
        let calls: Vec<Vec<&str>> = self.calls.iter().map(|call| call.iter().map(String::as_str).collect()).collect();
        let own: Vec<&[&str]> = calls.iter().map(Vec::as_slice).collect();
        let at_once = together.run_each(self.script, &shared, &own).await;
        let mut one_by_one = Vec::new();
        for call in own {
            one_by_one.extend(apart.run_each(self.script, &shared, &[call]).await);
        }
        let about = format!("{} {:?} of {:?}", self.script, self.shared, self.calls);
        assert_eq!(self.comparable(&at_once), self.comparable(&one_by_one), "{about}");
        assert_eq!(keys.state(together).await, keys.state(apart).await, "{about}");
    }
}

impl Batch {
    /// Without times, which are what is left of a minute, and without what the first of those who enter is told of others.
    fn comparable(&self, replies: &[Vec<String>]) -> Vec<Vec<String>> {
        let is_left = |word: &str| word.parse::<u64>().is_ok_and(|number| (30_000..=90_000).contains(&number));
        let word = |word: &String| if is_left(word) { "…".to_owned() } else { word.clone() };
        let words = if self.script == "enter" { 4 } else { usize::MAX };
        replies.iter().map(|reply| reply.iter().take(words).map(word).collect()).collect()
    }
}

/// What there is to compare.
struct Keys {
    hashes: &'static [&'static str],
    sorted: &'static [&'static str],
    string: &'static str,
    /// Fields that count or time what batches do at once.
    beside: &'static [&'static str],
}

impl Keys {
    async fn state(&self, bench: &Bench) -> Vec<String> {
        let mut state = Vec::new();
        for (keys, command) in [(self.hashes, "HGETALL"), (self.sorted, "ZRANGE")] {
            for key in keys {
                let range = if command == "ZRANGE" { " 0 -1 WITHSCORES" } else { "" };
                let listed = bench.ask(&format!("{command} {key}{range}")).await;
                let pairs = listed.chunks(2).filter(|pair| !self.beside.contains(&&*pair[0]));
                let mut pairs: Vec<String> = pairs.map(|pair| format!("{key} {}: {}", pair[0], pair[1])).collect();
                pairs.sort();
                state.extend(pairs);
            }
        }
        let bits: usize = bench.one(&format!("STRLEN {}", self.string)).await.parse::<usize>().unwrap() * 8;
        for bit in 0..bits {
            state.push(bench.one(&format!("GETBIT {} {bit}", self.string)).await);
        }
        state.iter().map(|line| no_times(line)).collect()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// Without times, which pass.
fn no_times(text: &str) -> String {
    let word = |word: &str| {
        if word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_digit()) { "…" } else { word }.to_owned()
    };
    text.split(':').map(|part| part.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(":")
}

#[test]
fn holds_and_payments() {
    const KEYS: Keys = Keys {
        hashes: &["holds", "by_seat", "by_user", "tokens", "holding"],
        sorted: &["lapses", "paying", "past", "active", "ended"],
        string: "seats",
        beside: &[],
    };
    block_on(async {
        for seed in 0..SHOPS {
            let mut chance = StdRng::seed_from_u64(seed);
            let benches = [SeatBench::of("FFFFFS").await, SeatBench::of("FFFFFS").await];
            for bench in &benches {
                for user in 1..=3 {
                    bench.let_in(user, 60_000).await;
                }
            }
            let mut next = 10;
            for _ in 0..BATCHES {
                for reservation in 10..next {
                    if chance.random_ratio(1, 6) {
                        for bench in &benches {
                            if bench.status(reservation).await == "H" {
                                bench.outlive(reservation).await;
                            }
                        }
                    }
                }
                let known = next;
                let batch = match chance.random_range(0..3) {
                    0 => {
                        let limit = if chance.random() { "0" } else { "100" };
                        let mut batch = Batch::random(&mut chance, "hold", &["2", limit, "60000", "7"], |chance| {
                            let user = chance.random_range(1..=4);
                            let (place, position) = (user.min(3), chance.random_range(0..8));
                            format!("{user},{place},1-{},ID,{position},60000", chance.random_range(1..=2))
                        });
                        for call in &mut batch.calls {
                            call[3] = next.to_string();
                            next += 1;
                        }
                        batch
                    }
                    1 => Batch::random(&mut chance, "begin_payment", &[], |chance| {
                        format!(
                            "{},{},1-{}",
                            chance.random_range(1..=4),
                            chance.random_range(9..=known),
                            chance.random_range(1..=2)
                        )
                    }),
                    _ => Batch::random(&mut chance, "finish_payment", &["7"], |chance| {
                        let outcome = ["PAID", "PAID", "REFUSED", "ABORTED", "SOLD_TO_ANOTHER"].choose(chance).unwrap();
                        let [user, reservation] = [1..=4, 9..=known].map(|range| chance.random_range(range));
                        let [position, attempt] = [0..=5, 1..=2].map(|range| chance.random_range(range));
                        let place = if chance.random() { user.to_string() } else { String::new() };
                        format!("{user},{reservation},{position},{attempt},{outcome},{place}")
                    }),
                };
                batch.compare(&benches[0], &benches[1], &KEYS).await;
            }
        }
    });
}

#[test]
fn places_and_tokens() {
    const KEYS: Keys = Keys {
        hashes: &["tokens", "holding", "state"],
        sorted: &["waiting", "active", "ended", "early"],
        string: "crowd",
        beside: &["level", "refilled"],
    };
    block_on(async {
        for seed in 0..SHOPS {
            let mut chance = StdRng::seed_from_u64(seed);
            let mut benches = [QueueBench::opened().await, QueueBench::opened().await];
            for bench in &mut benches {
                bench.cap = 3;
                bench.enter_all(1..=5).await;
            }
            for _ in 0..BATCHES {
                let user = chance.random_range(1..=9);
                for bench in &benches {
                    match seed % 3 {
                        0 if bench.active().await.contains(&user.to_string()) => bench.outlive([user]).await,
                        1 if bench.waiting().await.contains(&user.to_string()) => bench.vanish([user]).await,
                        _ if bench.active().await.contains(&user.to_string()) => bench.hold_in(user, &[5, 7]).await,
                        _ => {}
                    }
                }
                let place = |chance: &mut StdRng| {
                    let user = chance.random_range(1..=9);
                    (user, if chance.random_ratio(4, 5) { 100 + user } else { chance.random_range(100..=120) })
                };
                let batch = match chance.random_range(0..2) {
                    // Nobody is let in: who comes together is let in together.
                    0 => {
                        let (draw, opens) = if seed % 4 == 3 { ("1", "9999999999999") } else { ("0", "0") };
                        let draining = if chance.random_ratio(1, 5) { "1" } else { "0" };
                        // Whose time is over makes room only once the first of a batch has ended it.
                        let most = if seed % 3 == 2 { "9" } else { "1000" };
                        let terms = ["3", "1000000", "60000", "60000", "100", "1", "-1", draw, opens, draining, most];
                        Batch::random(&mut chance, "enter", &terms, |chance| chance.random_range(1..=12).to_string())
                    }
                    _ => Batch::random(&mut chance, "check", &["60000"], |chance| {
                        let (user, place) = place(chance);
                        format!("{user},{place}")
                    }),
                };
                batch.compare(&benches[0], &benches[1], &KEYS).await;
            }
        }
    });
}
