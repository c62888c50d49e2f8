//! How long this machine's memory takes: what looks up a thousand records among a million waits for it more than for anything
//! else, and machines differ by more than in their processors.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::stage::cost::float;

/// What is gone through, in cache lines: 256 MB, about what Redis needs for a crowd of a million.
const LINES: usize = 4 * 1024 * 1024;

/// How often it is looked at.
const STEPS: u64 = 2_000_000;

/// A line of a cache, which names the next.
#[derive(Clone)]
#[repr(align(64))]
struct Line(usize);

/// Nanoseconds of an access whose place is known only from the last one's answer.
pub(super) fn access_ns() -> f64 {
    let mut lines: Vec<Line> = (0..LINES).map(Line).collect();
    // Sattolo's algorithm: one cycle through all of them, in any order.
    let mut chance = StdRng::seed_from_u64(7);
    for last in (1..LINES).rev() {
        lines.swap(last, chance.random_range(0..last));
    }
    let (begun, mut at) = (Instant::now(), 0);
    for _ in 0..STEPS {
        at = lines[at].0;
    }
    std::hint::black_box(at);
    begun.elapsed().as_secs_f64() * 1e9 / float(STEPS)
}
