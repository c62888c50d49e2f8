//! What is told.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::house::per;
use super::stage::Outcome;
use super::stage::cost::{Spent, float};

/// All that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) waiting: usize,
    pub(super) streams: u32,
    pub(super) streams_asked_for: u32,
    pub(super) entered_per_second: f64,
    pub(super) redis_bytes_a_token: f64,
    /// In a small crowd and in the whole one.
    pub(super) polling: [Polling; 2],
    pub(super) streams_opened_per_second: f64,
    pub(super) server_bytes_a_stream: f64,
    pub(super) server_peak_bytes: u64,
    pub(super) quiet: Quiet,
    pub(super) activation: Activation,
    pub(super) shutdown_seconds: f64,
}

/// Of times, in milliseconds: half, and 99 of 100, are no longer than these.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TimesMs {
    p50: f64,
    p99: f64,
    max: f64,
}

/// Polls without a pause.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Polling {
    waiting: usize,
    per_second: f64,
    server_cpu_us_a_poll: f64,
    redis_cpu_us_a_poll: f64,
    times_ms: TimesMs,
}

/// Streams of which there is nothing to tell.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quiet {
    spent: Spent,
    comments_per_second: f64,
}

/// Streams while tokens are let in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Activation {
    admitted: usize,
    rate: u32,
    spent: Spent,
    positions_per_second: f64,
    streams_lost: u64,
    /// From being let in, by Redis' clock, to the event at the client.
    delay_ms: TimesMs,
}

impl TimesMs {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        Self { p50: at(50), p99: at(99), max: at(100) }
    }

    fn text(&self) -> String {
        let Self { p50, p99, max } = self;
        format!("p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")
    }
}

impl Polling {
    pub(super) fn new(waiting: usize, spent: &Spent, times: Vec<Duration>) -> Self {
        let polls = float(times.len() as u64).max(1.0);
        Self {
            waiting,
            per_second: polls / spent.seconds,
            server_cpu_us_a_poll: spent.server_cpu_seconds / polls * 1e6,
            redis_cpu_us_a_poll: spent.redis_cpu_seconds / polls * 1e6,
            times_ms: TimesMs::of(times),
        }
    }
}

impl Quiet {
    pub(super) fn new(spent: &Spent, comments: u64) -> Self {
        Self { spent: *spent, comments_per_second: per(comments, Duration::from_secs_f64(spent.seconds)) }
    }
}

impl Activation {
    pub(super) fn new(spent: &Spent, rate: u32, positions: u64, streams_lost: u64, delays: Vec<Duration>) -> Self {
        Self {
            admitted: delays.len(),
            rate,
            spent: *spent,
            positions_per_second: per(positions, Duration::from_secs_f64(spent.seconds)),
            streams_lost,
            delay_ms: TimesMs::of(delays),
        }
    }
}

impl Spent {
    fn text(&self) -> String {
        let percent = |cpu: f64| cpu / self.seconds * 100.0;
        let (server, redis) = (percent(self.server_cpu_seconds), percent(self.redis_cpu_seconds));
        format!("service {server:.1} % of a CPU, Redis {redis:.1} % ({:.1} s)", self.seconds)
    }
}

impl Report {
    /// As JSON, or as a table.
    pub(super) fn text(&self, json: bool) -> Outcome<String> {
        if json { Ok(serde_json::to_string(self)?) } else { self.table() }
    }

    fn table(&self) -> Outcome<String> {
        let mut text = String::new();
        let mut row = |name: &str, value: String| writeln!(text, "{name:<28} {value}");
        row("waiting", format!("{}, entered at {:.0} a second", self.waiting, self.entered_per_second))?;
        row("Redis, a waiting token", format!("{:.0} bytes", self.redis_bytes_a_token))?;
        for polls in &self.polling {
            let (rate, server, redis) = (polls.per_second, polls.server_cpu_us_a_poll, polls.redis_cpu_us_a_poll);
            let cost = format!("{rate:.0} a second, CPU a poll: service {server:.1} µs, Redis {redis:.2} µs");
            row(&format!("polls, {} waiting", polls.waiting), format!("{cost}; {}", polls.times_ms.text()))?;
        }
        let fewer = if self.streams < self.streams_asked_for { " (as many as files may be open)" } else { "" };
        row("streams", format!("{}{fewer}, opened at {:.0} a second", self.streams, self.streams_opened_per_second))?;
        let mebibytes = float(self.server_peak_bytes) / f64::from(1 << 20);
        let bytes = self.server_bytes_a_stream;
        row("service, a stream", format!("{bytes:.0} bytes; {mebibytes:.0} MiB of memory for all at the most"))?;
        let Quiet { spent, comments_per_second } = &self.quiet;
        row("nothing to tell", format!("{}, {comments_per_second:.0} comments a second", spent.text()))?;
        let Activation { admitted, rate, spent, positions_per_second, streams_lost, delay_ms } = &self.activation;
        row("let in", format!("{admitted} at {rate} a second; {streams_lost} streams lost"))?;
        row("  until they hear of it", delay_ms.text())?;
        row("  meanwhile", format!("{}, {positions_per_second:.0} positions a second", spent.text()))?;
        row("shutdown", format!("{:.2} s", self.shutdown_seconds))?;
        Ok(text.trim_end().to_owned())
    }
}
