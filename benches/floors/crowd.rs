//! A crowd that waits: what it costs to have it, to come after it, to ask where one stands in it, and to let in a thousand.

use std::time::{Duration, Instant};

use redis::Value;
use sqlx::{Connection, PgConnection};

use super::call::{Call, median, tell};
use super::programme::{self, CROWD, FEW, FIRST_WAITING};
use super::report::{Ratio, Target};
use super::script::promote_hash;
use super::session::{POLLERS, Session, enter, rank_of};
use super::stage::cost::{float, share};
use super::stage::{Outcome, PATIENCE};

/// How many enter at a time, after which it is told how far it is.
const PORTION: usize = 50_000;

/// How many enter a crowd at a time to be measured, and how often in each round: short turns, since the machine is not equally fast for
/// seconds, and so few in all that a million does not become 2²⁰ in three rounds, where Redis doubles its tables.
const NEXT: usize = 5_000;
const TURNS: usize = 3;

/// How many enter then, in which it does.
const OVER: usize = 50_000;

/// How many are let in at a time, and how often.
const LET_IN: usize = 1000;
const STEPS: usize = 5;

impl Session<'_> {
    pub(super) async fn crowd(&mut self) -> Outcome {
        let waiting = self.fill().await?;
        self.rank(&waiting).await?;
        self.rank_in_turns(&waiting).await?;
        drop(waiting);
        self.enter_in_turns().await?;
        self.promote().await
    }

    /// By way of the API, as they would come.
    async fn fill(&mut self) -> Outcome<Vec<String>> {
        let count = self.arguments.waiting;
        let (before, begun) = (self.meter.redis_memory().await?, Instant::now());
        let mut waiting = Vec::with_capacity(count);
        while waiting.len() < count {
            let portion = PORTION.min(count - waiting.len());
            waiting.extend(enter(&self.stage, portion, FIRST_WAITING + waiting.len(), Some(CROWD))?);
            tell(&format!("{} of {count} wait after {:.0} s", waiting.len(), begun.elapsed().as_secs_f64()));
        }
        // The first is not waiting: it is active.
        waiting.remove(0);
        let bytes = share(self.meter.redis_memory().await?.saturating_sub(before), count as u64);
        let name = format!("bytes of Redis for each of {count} who wait");
        self.crowd.push(Ratio::new(name, bytes, Some(Target::AtMost(250.0))));
        let per_second = float(count as u64) / begun.elapsed().as_secs_f64();
        self.crowd.push(Ratio::new("entered a second", per_second, None));
        Ok(waiting)
    }

    /// CPU µs of a call where few wait, and of one where many do, on the average of so many turns; each is made anew for a turn.
    async fn in_turns<'c>(
        &self,
        turns: usize,
        time: Duration,
        few: impl Fn(usize) -> Call<'c>,
        many: impl Fn(usize) -> Call<'c>,
    ) -> Outcome<(f64, f64)> {
        let (mut of_few, mut of_many) = (0.0, 0.0);
        for turn in 0..turns {
            of_few += few(turn).highest(&self.meter, self.stage.api, time).await?.cpu_us.sum();
            of_many += many(turn).highest(&self.meter, self.stage.api, time).await?.cpu_us.sum();
        }
        Ok((of_few / float(turns as u64), of_many / float(turns as u64)))
    }

    /// Asking for a rank in the crowd, and where a thousand wait.
    async fn rank_in_turns(&mut self, waiting: &[String]) -> Outcome {
        let few = self.few()?;
        let (few, many) =
            self.in_turns(self.arguments.rounds, self.time(), |_| rank_of(&few), |_| rank_of(waiting)).await?;
        let of = format!("rank: CPU against that with {POLLERS} waiting");
        self.crowd.push(Ratio::new(of, many / few, Some(Target::AtMost(1.2))));
        Ok(())
    }

    /// Entering the crowd, and entering where hardly anybody waits.
    async fn enter_in_turns(&mut self) -> Outcome {
        tell("entering");
        let enter = |first: usize, count: usize, concert: u64| {
            Call::once("entering", count, move |at| programme::enter(first + at, Some(concert)))
        };
        let first_of_few = 2 * FIRST_WAITING + POLLERS + 1;
        let first_of_many = FIRST_WAITING + self.arguments.waiting;
        let few = |turn: usize| enter(first_of_few + turn * NEXT, NEXT, FEW);
        let many = |turn: usize| enter(first_of_many + turn * NEXT, NEXT, CROWD);
        let turns = TURNS * self.arguments.rounds;
        let (few, many) = self.in_turns(turns, PATIENCE, few, many).await?;
        let name = "entering: CPU against that where few wait";
        // The same, but for what a measurement is off by.
        self.crowd.push(Ratio::new(name, many / few, Some(Target::AtMost(1.1))));
        self.crowd.push(Ratio::new("entering: CPU, µs", many, None));
        let mut over = enter(first_of_many + turns * NEXT, OVER, CROWD);
        let over = over.highest(&self.meter, self.stage.api, PATIENCE).await?.cpu_us.sum();
        self.crowd.push(Ratio::new(format!("the next {OVER} likewise"), over / few, None));
        Ok(())
    }

    /// Script time of the steps that let in a thousand, by Redis' own clock.
    async fn promote(&mut self) -> Outcome {
        tell("letting in");
        let (mut redis, hash) = (self.meter.connection.clone(), promote_hash()?);
        let configure = [("slowlog-log-slower-than", "0"), ("slowlog-max-len", "20000")];
        for (name, value) in configure {
            redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async::<()>(&mut redis).await?;
        }
        let mut postgres = PgConnection::connect(&self.stage.servers.postgres.url()).await?;
        let mut times_ms = Vec::new();
        for step in 1..=STEPS {
            redis::cmd("SLOWLOG").arg("RESET").query_async::<()>(&mut redis).await?;
            let cap = 1 + step * LET_IN;
            let widen = sqlx::query("UPDATE queue SET max_active = $1 WHERE name = 'crowd'").bind(i32::try_from(cap)?);
            widen.execute(&mut postgres).await?;
            let begun = Instant::now();
            while redis::cmd("ZCARD").arg("onsale:{queue:crowd}:active").query_async::<usize>(&mut redis).await? < cap {
                if begun.elapsed() > PATIENCE {
                    return Err("a thousand were not let in".into());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let log: Vec<Vec<Value>> = redis::cmd("SLOWLOG").arg("GET").arg(-1).query_async(&mut redis).await?;
            let times = log.iter().filter_map(|entry| script_time_us(entry, &hash));
            times_ms.push(float(times.max().ok_or("Redis has run no step")?) / 1000.0);
        }
        postgres.close().await?;
        let name = format!("ms of script for letting in {LET_IN}");
        self.crowd.push(Ratio::new(name, median(times_ms), Some(Target::AtMost(10.0))));
        Ok(())
    }
}

/// Of an entry of the slow log, if it was this script: its number, when, how long, and its arguments.
fn script_time_us(entry: &[Value], hash: &str) -> Option<u64> {
    let [_, _, Value::Int(time), Value::Array(arguments), ..] = entry else { return None };
    let is_it = matches!(arguments.get(1), Some(Value::BulkString(text)) if text == hash.as_bytes());
    is_it.then(|| time.unsigned_abs())
}
