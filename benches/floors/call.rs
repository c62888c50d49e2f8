//! A call, measured in turns with its floor: as many requests as go back to back, and right after that 70 % of it, at random
//! times. The two are compared, so both are with the same connections, and close together: a clock may wander.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::client::{Answers, Load, Pace};
use super::report::{CpuUs, Latency};
use super::stage::Outcome;
use super::stage::cost::{Meter, float};

/// How many ask at a time: as many as pgbench's clients.
pub(super) const CONNECTIONS: usize = super::pgbench::CLIENTS;

/// Of the highest rate, at which times are taken.
const CALM: f64 = 0.7;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// More than any call is answered in a second.
const MOST_A_SECOND: f64 = 40_000.0;

/// A call's requests.
pub(super) struct Call<'a> {
    pub(super) name: String,
    pub(super) request: Box<dyn Fn(usize) -> String + 'a>,
    /// How many different ones there are.
    pub(super) stock: usize,
    /// Whether each may be made but once.
    pub(super) once: bool,
    pub(super) status: u16,
    used: usize,
    /// The most that a run may use.
    share: usize,
}

/// A round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) per_second: f64,
    pub(super) cpu_us: CpuUs,
    pub(super) scripts: f64,
    /// If times were taken.
    pub(super) latency: Option<Latency>,
}

impl<'a> Call<'a> {
    pub(super) fn again(name: impl Into<String>, stock: usize, request: impl Fn(usize) -> String + 'a) -> Self {
        Self { name: name.into(), request: Box::new(request), stock, once: false, status: 200, used: 0, share: stock }
    }

    pub(super) fn once(name: impl Into<String>, stock: usize, request: impl Fn(usize) -> String + 'a) -> Self {
        Self { once: true, ..Self::again(name, stock, request) }
    }

    /// Leaves enough for all of so many rounds, of two runs each: where there is too little for their time, they end sooner.
    pub(super) fn share_out(&mut self, rounds: usize) {
        self.share = self.stock / (2 * rounds.max(1));
    }

    fn run(&mut self, address: SocketAddr, pace: Pace, time: Duration) -> Outcome<Answers> {
        let requests: Vec<String> = if self.once {
            let most = match pace {
                Pace::BackToBack => MOST_A_SECOND,
                Pace::Arrivals(rate) => rate * 1.2 + 100.0,
            };
            let most = Duration::from_secs_f64(time.as_secs_f64() * most / 1000.0).as_millis();
            let next = self.used..self.stock.min(self.used + self.share.min(usize::try_from(most)?));
            next.map(&self.request).collect()
        } else {
            (0..self.stock).map(&self.request).collect()
        };
        if requests.len() < CONNECTIONS {
            return Err(format!("{}: no requests are left", self.name).into());
        }
        let load = Load {
            address,
            requests: &requests,
            again: !self.once,
            connections: CONNECTIONS,
            pace,
            time,
            status: self.status,
            keep: false,
        };
        let answers = load.run().map_err(|error| format!("{}: {error}", self.name))?;
        self.used += answers.count;
        Ok(answers)
    }

    pub(super) fn warm_up(&mut self, address: SocketAddr) -> Outcome {
        self.run(address, Pace::BackToBack, WARM_UP).map(drop)
    }

    /// As many as go.
    pub(super) async fn highest(&mut self, meter: &Meter, address: SocketAddr, time: Duration) -> Outcome<Round> {
        let (scripts, before) = (scripts(meter).await?, meter.read()?);
        let answers = self.run(address, Pace::BackToBack, time)?;
        let spent = meter.since(&before)?;
        let count = float(answers.count as u64);
        let each = |cpu_seconds: f64| cpu_seconds / count * 1e6;
        let cpu_us = CpuUs {
            service: each(spent.server_cpu_seconds),
            redis: each(spent.redis_cpu_seconds),
            postgres: each(spent.postgres_cpu_seconds),
        };
        let scripts = (self::scripts(meter).await? - scripts) / count;
        Ok(Round { per_second: count / answers.seconds, cpu_us, scripts, latency: None })
    }

    /// As many as go, and then times at a part of that rate.
    pub(super) async fn round(&mut self, meter: &Meter, address: SocketAddr, time: Duration) -> Outcome<Round> {
        let mut round = self.highest(meter, address, time).await?;
        let per_second = round.per_second * CALM;
        let mut times = self.run(address, Pace::Arrivals(per_second), time)?.times_us;
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(index).map_or(0.0, |time| f64::from(*time) / 1000.0)
        };
        round.latency = Some(Latency { per_second, p50_ms: at(50), p99_ms: at(99) });
        Ok(round)
    }
}

/// Scripts that Redis has run by now.
async fn scripts(meter: &Meter) -> Outcome<f64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut meter.connection.clone()).await?;
    let calls = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")?.split(',').next());
    Ok(calls.unwrap_or("0").parse()?)
}

/// The middle of several figures.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// The middle of several rounds, figure by figure.
pub(super) fn middle(rounds: &[Round]) -> Round {
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let latencies = || rounds.iter().filter_map(|round| round.latency);
    let time = |figure: fn(Latency) -> f64| median(latencies().map(figure).collect());
    Round {
        per_second: of(|round| round.per_second),
        cpu_us: CpuUs {
            service: of(|round| round.cpu_us.service),
            redis: of(|round| round.cpu_us.redis),
            postgres: of(|round| round.cpu_us.postgres),
        },
        scripts: of(|round| round.scripts),
        latency: latencies().next().map(|_| Latency {
            per_second: time(|latency| latency.per_second),
            p50_ms: time(|latency| latency.p50_ms),
            p99_ms: time(|latency| latency.p99_ms),
        }),
    }
}

/// Tells what is being done.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
