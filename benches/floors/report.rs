//! What is told.

use std::fmt::Write;

use serde::Serialize;

use super::stage::Outcome;

/// The machine and what ran on it.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    /// Of an access to 256 MB of memory, each at a random place, one after the other.
    pub(super) memory_ns: f64,
    pub(super) kernel: String,
    pub(super) redis: String,
    pub(super) postgres: String,
}

/// CPU time of a request, by process.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CpuUs {
    pub(super) service: f64,
    pub(super) redis: f64,
    pub(super) postgres: f64,
}

impl CpuUs {
    pub(super) fn sum(self) -> f64 {
        self.service + self.redis + self.postgres
    }
}

/// At which a ratio is well.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure, and what it should be.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ratio {
    pub(super) of: String,
    pub(super) value: f64,
    pub(super) target: Option<Target>,
    pub(super) met: Option<bool>,
}

impl Ratio {
    pub(super) fn new(of: impl Into<String>, value: f64, target: Option<Target>) -> Self {
        let met = target.map(|target| match target {
            Target::AtLeast(least) => value >= least,
            Target::AtMost(most) => value <= most,
        });
        Self { of: of.into(), value, target, met }
    }

    fn wanted(&self) -> String {
        match self.target {
            None => "–".to_owned(),
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.met {
            None => "",
            Some(true) => "met",
            Some(false) => "NOT MET",
        }
    }
}

/// Answered in an open run, in milliseconds from when each request was to be sent.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Latency {
    /// How much longer than usual one in a hundred takes.
    pub(super) fn spread(self) -> f64 {
        self.p99_ms / self.p50_ms
    }
}

/// What a call is measured against.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Floor {
    pub(super) what: &'static str,
    pub(super) per_second: f64,
    pub(super) cpu_us: f64,
}

/// A call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) call: String,
    pub(super) per_second: f64,
    pub(super) cpu_us: CpuUs,
    /// Scripts that Redis ran for a request, on the average.
    pub(super) scripts: f64,
    pub(super) floors: Vec<Floor>,
    pub(super) latency: Option<Latency>,
    pub(super) ratios: Vec<Ratio>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) calls: Vec<Row>,
    pub(super) crowd: Vec<Ratio>,
}

impl Report {
    pub(super) fn text(&self) -> Outcome<String> {
        let mut text = String::new();
        let Machine { cpu, cores, memory_ns, kernel, redis, postgres } = &self.machine;
        writeln!(text, "{cpu}, {cores} cores, Linux {kernel}, Redis {redis}, PostgreSQL {postgres}")?;
        writeln!(text, "A random access to 256 MB of memory takes {memory_ns:.0} ns.\n")?;
        writeln!(text, "| call | requests/s | p50 ms | p99 ms | CPU µs: service | Redis | PostgreSQL | scripts |")?;
        writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
        for row in &self.calls {
            let times = row.latency.as_ref().map(|latency| (latency.p50_ms, latency.p99_ms));
            let (p50, p99) = times
                .map_or(("–".to_owned(), "–".to_owned()), |(p50, p99)| (format!("{p50:.2}"), format!("{p99:.2}")));
            let CpuUs { service, redis, postgres } = row.cpu_us;
            writeln!(
                text,
                "| {} | {:.0} | {p50} | {p99} | {service:.1} | {redis:.1} | {postgres:.1} | {:.2} |",
                row.call, row.per_second, row.scripts
            )?;
        }
        writeln!(
            text,
            "\n| call | floor | floor/s | floor CPU µs | ratio | is | should be | |\n|---|---|--:|--:|---|--:|--:|---|"
        )?;
        for row in &self.calls {
            let mut floors = row.floors.iter();
            let mut ratios = row.ratios.iter();
            loop {
                let (floor, ratio) = (floors.next(), ratios.next());
                if floor.is_none() && ratio.is_none() {
                    break;
                }
                let floor = floor.map_or("| | |".to_owned(), |floor| {
                    format!("{} | {:.0} | {:.1} |", floor.what, floor.per_second, floor.cpu_us)
                });
                let ratio = ratio.map_or("| | |".to_owned(), |ratio| {
                    format!("{} | {:.2} | {} | {}", ratio.of, ratio.value, ratio.wanted(), ratio.verdict())
                });
                writeln!(text, "| {} | {floor} {ratio} |", row.call)?;
            }
        }
        if !self.crowd.is_empty() {
            writeln!(text, "\n| of a crowd | is | should be | |\n|---|--:|--:|---|")?;
            for ratio in &self.crowd {
                writeln!(text, "| {} | {:.2} | {} | {} |", ratio.of, ratio.value, ratio.wanted(), ratio.verdict())?;
            }
        }
        Ok(text.trim_end().to_owned())
    }
}
