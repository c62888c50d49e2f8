//! Private Redis and Postgres servers for development and for the tests.
//!
//! This module owns everything about running the two servers as child processes of one
//! `onsale`: finding or installing their programs, where their data lies, starting them
//! on free ports, and making sure that they end with the process that started them,
//! however that process ends.  They never touch the servers that a machine runs already.

mod error;
mod guard;
mod home;
mod install;
mod port;
mod postgres;
mod process;
mod programs;
mod redis;
mod run;
mod told;

use std::path::Path;

pub use error::DevError;
pub use guard::{GuardArgs, StopSignal, guard};
pub use home::Home;
pub use port::Port;
pub use postgres::{Durability, PostgresServer};
pub use programs::{Browser, Install, Programs, Prometheus, browser, faketime, nginx, node, prometheus, python};
pub use redis::RedisServer;
pub use run::{RunError, run};

/// One private Redis and one private Postgres, both up and answering.
///
/// Dropping it stops both, without waiting for them; [`Servers::stop`] waits.
#[derive(Debug)]
pub struct Servers {
    /// The Redis server.
    pub redis: RedisServer,
    /// The Postgres server.
    pub postgres: PostgresServer,
}

impl Servers {
    /// Starts both at once, and returns when both answer.
    ///
    /// `guard_exe` is the `onsale` executable, started again as each server's guardian.
    pub async fn start(
        programs: &Programs,
        home: &Home,
        guard_exe: &Path,
        durability: Durability,
    ) -> Result<Self, DevError> {
        let (redis, postgres) = tokio::try_join!(
            RedisServer::start(programs, home, guard_exe),
            PostgresServer::start(programs, home, guard_exe, durability),
        )?;
        Ok(Self { redis, postgres })
    }

    /// Waits for the first of the two to end by itself, and says why it did.
    ///
    /// Cancel safe: meant for one branch of a `select!` beside the program's own work.
    pub async fn died(&mut self) -> DevError {
        tokio::select! {
            error = self.redis.died() => error,
            error = self.postgres.died() => error,
        }
    }

    /// Stops both and waits until they are gone, their data on disk.
    pub async fn stop(self) -> Result<(), DevError> {
        let (redis, postgres) = tokio::join!(self.redis.stop(), self.postgres.stop());
        redis.and(postgres)
    }
}
