//! Where connections come from: one Redis, or a cluster of them.

use std::time::Duration;

use deadpool_redis::{Config, Pool, Runtime, cluster};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::connection::RedisSettings;
use super::incarnation::Incarnation;

/// Makes connections.
pub(super) enum Pools {
    Single(Pool),
    Cluster(cluster::Pool),
}

/// A connection, to be cloned by all who use it.
#[derive(Clone)]
pub(super) enum Shared {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Pools {
    /// Connects to nobody yet; fails if an address is none.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, String> {
        let urls: Vec<String> = settings.url.split(',').map(|url| url.trim().to_owned()).collect();
        for url in &urls {
            redis::Client::open(url.as_str()).map_err(|error| error.to_string())?;
        }
        let sizes = deadpool_redis::PoolConfig {
            max_size: 4,
            timeouts: deadpool_redis::Timeouts {
                wait: Some(settings.timeout),
                create: Some(settings.timeout),
                recycle: Some(settings.timeout),
            },
            ..Default::default()
        };
        if let [url] = urls.as_slice() {
            let config = Config { pool: Some(sizes), ..Config::from_url(url) };
            config.create_pool(Some(Runtime::Tokio1)).map(Self::Single).map_err(|error| error.to_string())
        } else {
            let config = cluster::Config { pool: Some(sizes), ..cluster::Config::from_urls(urls) };
            config.create_pool(Some(Runtime::Tokio1)).map(Self::Cluster).map_err(|error| error.to_string())
        }
    }

    /// A connection, and to which Redis it leads. It waits for an answer as long as calls may take.
    pub(super) async fn connect(
        &self,
        patience: Duration,
    ) -> Result<(Shared, Incarnation), Box<dyn std::error::Error + Send + Sync>> {
        let mut connection = match self {
            Self::Single(pool) => {
                let mut connection = deadpool_redis::Connection::take(pool.get().await?);
                connection.set_response_timeout(patience);
                Shared::Single(connection)
            }
            Self::Cluster(pool) => Shared::Cluster(cluster::Connection::take(pool.get().await?)),
        };
        let incarnation = Incarnation::ask(&mut connection).await?;
        Ok((connection, incarnation.ok_or("it is a replica, which takes no writes")?))
    }
}

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Addresses can carry passwords.
        f.write_str(match self {
            Self::Single(_) => "Single",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl ConnectionLike for Shared {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
