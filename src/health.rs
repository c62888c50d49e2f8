//! `onsale health`: whether the instance beside it is ready, for where nothing else can ask. An image without a shell has no
//! curl either, and a program that asks needs none of the stores itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use crate::argument::{address, whole};

/// What `onsale health` takes.
#[derive(Debug, Clone, Args)]
pub struct HealthSettings {
    /// Where the instance serves; of one that serves on all addresses, this machine's own is asked
    #[arg(long, env = "ONSALE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = address)]
    pub listen: SocketAddr,
    /// Milliseconds to wait for its answer
    #[arg(long, env = "ONSALE_HEALTH_TIMEOUT_MS", default_value_t = 2500, value_parser = whole(50..=60_000))]
    pub timeout_ms: u32,
}

/// Why it is not known to be ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It answered, but not with 200: it is not ready yet, a store is away, or it is shutting down.
    #[error("not ready: {url} answered {status}")]
    NotReady {
        /// What was asked.
        url: String,
        /// What it said.
        status: u16,
    },
    /// It did not answer.
    #[error("no answer from {url}: {source}")]
    Silent {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
}

/// Asks `GET /readyz`. Fails unless the answer is 200, and comes in time.
pub async fn health(settings: &HealthSettings) -> Result<(), HealthError> {
    let url = format!("http://{}/readyz", reached(settings.listen));
    let asked = async {
        // Whatever proxy the environment names, the instance is beside us.
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.get(&url).timeout(Duration::from_millis(settings.timeout_ms.into())).send().await
    };
    match asked.await {
        Ok(answer) if answer.status() == 200 => Ok(()),
        Ok(answer) => Err(HealthError::NotReady { url, status: answer.status().as_u16() }),
        Err(source) => Err(HealthError::Silent { url, source: source.without_url() }),
    }
}

/// Where a listener on this address is reached from the same machine.
fn reached(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_reached_at_ones_own() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("10.1.2.3:8080", "10.1.2.3:8080"),
        ] {
            assert_eq!(listen.parse().map(reached), asked.parse(), "{listen}");
        }
    }
}
