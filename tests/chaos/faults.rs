//! What goes wrong: a table of kinds with weights, each begun and healed by itself within seconds, so that the shop goes
//! on between them. When, what, whom and for how long is drawn from the seed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::cluster::Cluster;
use crate::history::{History, Span, lock, now_ms};
use crate::proxy::{Link, Weather};
use crate::stores::Memory;

/// What a fault is done to. Nothing suffers two at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Victim {
    Redis,
    Postgres,
    Instance(usize),
    Link(Way, usize),
}

/// Which of an instance's links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Front,
    Redis,
    Postgres,
}

/// What is done.
#[derive(Debug, Clone, Copy)]
enum Deed {
    KillRedis(Memory),
    StopRedis,
    PauseRedisClients,
    FlushRedis,
    /// Payments are held up on their way to PostgreSQL, and meanwhile Redis forgets that they are under way.
    FlushUnderWay,
    KillPostgres,
    StopPostgres,
    TerminateBackends,
    KillInstance,
    StopInstance,
    Turn(Way, Weather),
}

/// A kind of fault: its name in the report, how often it is drawn, what is done, and for how many milliseconds.
struct Kind {
    name: &'static str,
    weight: u32,
    deed: Deed,
    lasting_ms: std::ops::Range<u64>,
}

const fn kind(name: &'static str, weight: u32, deed: Deed, lasting_ms: std::ops::Range<u64>) -> Kind {
    Kind { name, weight, deed, lasting_ms }
}

const OLDER: Memory = Memory::Older(Duration::from_secs(3));
const SLOW: Weather = Weather::Slow(Duration::from_millis(60));
/// Long enough for others to hold and pay for the same seats, and shorter than the service's patience.
const HELD_UP: Duration = Duration::from_millis(1500);

const KINDS: [Kind; 26] = [
    kind("redis: killed", 3, Deed::KillRedis(Memory::Kept), 10..900),
    kind("redis: killed, comes back empty", 3, Deed::KillRedis(Memory::Lost), 10..900),
    kind("redis: killed, comes back with an older state", 6, Deed::KillRedis(OLDER), 10..900),
    kind("redis: stopped (SIGSTOP)", 4, Deed::StopRedis, 100..2500),
    kind("redis: CLIENT PAUSE", 3, Deed::PauseRedisClients, 100..2000),
    kind("redis: FLUSHALL", 4, Deed::FlushRedis, 0..1),
    kind("redis: FLUSHALL, payments under way", 4, Deed::FlushUnderWay, 1500..2500),
    kind("postgres: killed", 4, Deed::KillPostgres, 10..900),
    kind("postgres: stopped (SIGSTOP)", 4, Deed::StopPostgres, 100..2500),
    kind("postgres: pg_terminate_backend", 5, Deed::TerminateBackends, 0..1),
    kind("instance: killed", 6, Deed::KillInstance, 10..900),
    kind("instance: stopped (SIGSTOP)", 5, Deed::StopInstance, 100..6000),
    kind("to redis: cut before the request", 3, Deed::Turn(Way::Redis, Weather::CutBefore(15)), 300..2000),
    kind("to redis: cut after the request", 4, Deed::Turn(Way::Redis, Weather::CutAfter(15)), 300..2000),
    kind("to redis: slow", 3, Deed::Turn(Way::Redis, SLOW), 300..2500),
    kind("to redis: dark", 3, Deed::Turn(Way::Redis, Weather::Dark), 300..3000),
    kind("to redis: no new connections", 2, Deed::Turn(Way::Redis, Weather::Refusing), 300..2000),
    kind("to postgres: cut before the request", 3, Deed::Turn(Way::Postgres, Weather::CutBefore(4)), 300..2000),
    kind("to postgres: cut after the request", 6, Deed::Turn(Way::Postgres, Weather::CutAfter(4)), 300..2000),
    kind("to postgres: slow", 3, Deed::Turn(Way::Postgres, SLOW), 300..2500),
    kind("to postgres: dark", 4, Deed::Turn(Way::Postgres, Weather::Dark), 300..3000),
    kind("to postgres: no new connections", 2, Deed::Turn(Way::Postgres, Weather::Refusing), 300..2000),
    kind("from clients: cut before the request", 3, Deed::Turn(Way::Front, Weather::CutBefore(5)), 300..3000),
    kind("from clients: cut after the request", 6, Deed::Turn(Way::Front, Weather::CutAfter(5)), 300..3000),
    kind("from clients: dark", 2, Deed::Turn(Way::Front, Weather::Dark), 300..3000),
    kind("from clients: slow", 2, Deed::Turn(Way::Front, SLOW), 300..3000),
];

/// Makes faults until the time is over and all are healed.
pub async fn inject(cluster: &Arc<Cluster>, history: &Arc<History>, arguments: &Arguments) -> Outcome {
    let mut lots = StdRng::seed_from_u64(arguments.seed);
    let duration = Duration::from_secs(arguments.seconds.into());
    let end = Instant::now() + duration;
    let mean_gap_ms = 60_000 / u64::from(arguments.faults_per_minute);
    let busy = Arc::new(Mutex::new(HashSet::new()));
    let mut going_on = JoinSet::new();
    let noting = tokio::spawn(note_lengths(cluster.clone()));
    loop {
        let gap = Duration::from_millis(lots.random_range(0..=2 * mean_gap_ms));
        if Instant::now() + gap >= end {
            break;
        }
        tokio::time::sleep(gap).await;
        // Everything is drawn before it is looked whether the victim is free, so that the rest stays the same if not.
        let kind = KINDS.choose_weighted(&mut lots, |kind| kind.weight)?;
        let instance = lots.random_range(0..cluster.instances.len());
        let lasting = Duration::from_millis(lots.random_range(kind.lasting_ms.clone()));
        // In the last third Redis keeps what it has, so that it shows what the other faults leave behind.
        if kind.deed.loses_redis() && end.saturating_duration_since(Instant::now()) < duration / 3 {
            continue;
        }
        let victim = kind.deed.victim(instance);
        if !lock(&busy).insert(victim) {
            history.count("faults left out, their victim being at another");
            continue;
        }
        *history.records().faults.entry(kind.name).or_default() += 1;
        let (cluster, history, busy, deed) = (cluster.clone(), history.clone(), busy.clone(), kind.deed);
        going_on.spawn(async move {
            let done = deed.carry_out(&cluster, &history, instance, lasting).await;
            lock(&busy).remove(&victim);
            done
        });
        while let Some(healed) = going_on.try_join_next() {
            healed??;
        }
    }
    while let Some(healed) = going_on.join_next().await {
        healed??;
    }
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    noting.abort();
    Ok(())
}

/// So that Redis can come back with an older state.
async fn note_lengths(cluster: Arc<Cluster>) {
    loop {
        cluster.stores.note_length();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

impl Deed {
    fn victim(self, instance: usize) -> Victim {
        match self {
            Self::KillRedis(_) | Self::StopRedis | Self::PauseRedisClients | Self::FlushRedis => Victim::Redis,
            Self::KillPostgres | Self::StopPostgres | Self::TerminateBackends => Victim::Postgres,
            Self::KillInstance | Self::StopInstance => Victim::Instance(instance),
            Self::FlushUnderWay => Victim::Link(Way::Postgres, instance),
            Self::Turn(way, _) => Victim::Link(way, instance),
        }
    }

    fn loses_redis(self) -> bool {
        matches!(self, Self::KillRedis(_) | Self::FlushRedis | Self::FlushUnderWay)
    }

    /// From the fault's beginning to its end.
    async fn carry_out(self, cluster: &Cluster, history: &History, instance: usize, lasting: Duration) -> Outcome {
        let begun = now_ms();
        let stores = &cluster.stores;
        match self {
            Self::KillRedis(memory) => {
                let _loss = Loss { history, begun };
                stores.kill_redis(lasting, memory).await?;
            }
            Self::FlushRedis => {
                let _loss = Loss { history, begun };
                // It may be unreachable for another reason just then.
                let _ = stores.tell_redis(&["FLUSHALL"]).await;
            }
            Self::FlushUnderWay => {
                let _loss = Loss { history, begun };
                let link = Way::Postgres.of(cluster, instance);
                link.turn(Weather::Slow(HELD_UP));
                tokio::time::sleep(HELD_UP / 2).await;
                let _ = stores.tell_redis(&["FLUSHALL"]).await;
                tokio::time::sleep(lasting).await;
                link.turn(Weather::Fair);
            }
            Self::StopRedis => stores.stop_redis(lasting).await,
            Self::PauseRedisClients => {
                let _ = stores.tell_redis(&["CLIENT", "PAUSE", &lasting.as_millis().to_string(), "ALL"]).await;
                tokio::time::sleep(lasting).await;
            }
            Self::KillPostgres => stores.kill_postgres(lasting).await?,
            Self::StopPostgres => stores.stop_postgres(lasting).await,
            Self::TerminateBackends => terminate_backends(cluster).await,
            Self::KillInstance => {
                let _trouble = Trouble { history, instance, begun };
                cluster.instances[instance].kill().await?;
                tokio::time::sleep(lasting).await;
                cluster.instances[instance].start().await?;
            }
            Self::StopInstance => {
                let _trouble = Trouble { history, instance, begun };
                cluster.instances[instance].pause(lasting).await;
            }
            Self::Turn(way, weather) => {
                let _trouble = (way == Way::Front).then_some(Trouble { history, instance, begun });
                let link = way.of(cluster, instance);
                link.turn(weather);
                tokio::time::sleep(lasting).await;
                link.turn(Weather::Fair);
            }
        }
        Ok(())
    }
}

impl Way {
    fn of(self, cluster: &Cluster, instance: usize) -> &Link {
        let instance = &cluster.instances[instance];
        match self {
            Self::Front => &instance.front,
            Self::Redis => &instance.redis,
            Self::Postgres => &instance.postgres,
        }
    }
}

/// Half of the instances' connections to PostgreSQL, whatever they are at.
async fn terminate_backends(cluster: &Cluster) {
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE application_name = 'onsale' AND random() < 0.5";
    // PostgreSQL may be unreachable for another reason just then.
    let _ = sqlx::query(terminate).execute(cluster.stores.admin()).await;
}

/// Writes down when Redis may have forgotten something, in the end and from the beginning.
struct Loss<'a> {
    history: &'a History,
    begun: u64,
}

impl Drop for Loss<'_> {
    fn drop(&mut self) {
        self.history.records().losses.push(Span::since(self.begun));
    }
}

/// Writes down when an instance could not be expected to answer.
struct Trouble<'a> {
    history: &'a History,
    instance: usize,
    begun: u64,
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        self.history.records().troubles.push((self.instance, Span::since(self.begun)));
    }
}
