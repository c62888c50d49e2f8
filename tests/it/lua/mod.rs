//! Every Lua script for every word that it can return, and what it does to the keys, called directly on a real Redis.
//!
//! The test of a script ends with `assert_said_all("room.script")`: the words that it was seen to return are those that
//! its header promises. Times that must be over are short and waited for; times that must not be over are a minute.

mod admit;
mod bench;
mod crowd;
mod draw;
mod each;
mod limit;
mod load;
mod lost;
mod many;
mod payment;
mod queue;
mod queues;
mod reap;
mod refund;
mod sample;
mod seat;
mod seats;
mod shorter;
pub mod source;
mod times;
mod together;

use bench::{Bench, number, pass};
use queues::QueueBench;
use seats::SeatBench;

#[test]
fn every_script_has_a_test_of_all_its_words() {
    let tests: Vec<String> =
        source::files("tests/it/lua").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let scripts = source::scripts();
    assert!(scripts.len() >= 18, "the scripts were not found");
    for script in scripts {
        let assertion = format!("assert_said_all(\"{}\")", script.op);
        assert!(tests.iter().any(|test| test.contains(&assertion)), "no test has {assertion}");
    }
}
