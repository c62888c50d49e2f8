//! Every setting, as a command-line option and an environment variable of one name, with its unit, its default and its
//! range. What is wrong stops the start with one line that names the variable and what it takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::admin::{OperatorKeys, operator_keys};
use crate::argument::{address, whole};
use crate::burst::BurstSettings;
use crate::complaint::complaint;
use crate::connection::ConnectionSettings;
use crate::console::{AdminSettings, TopSettings};
use crate::dev::GuardArgs;
use crate::gate::{GateSettings, WaitingPage};
use crate::health::HealthSettings;
use crate::http::RateSettings;
use crate::identity::IdentitySettings;
use crate::postgres::PostgresSettings;
use crate::queue::QueueSettings;
use crate::redis::RedisSettings;
use crate::secret::{Secret, bearer, secret};
use crate::telemetry::TraceSettings;

/// At two milliseconds a statement, a few connections answer as many well within a time-out; of many more the last would
/// only wait for it.
const POSTGRES_QUEUE: u32 = 256;

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(name = "onsale", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What to log: off, error, warn, info, debug or trace, or a tracing filter such as onsale=debug
    #[arg(long, env = "ONSALE_LOG", default_value = "info", global = true)]
    pub log: String,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve, against DATABASE_URL and REDIS_URL
    Serve(Box<ServeSettings>),
    /// Serve for trying out and developing: with a Redis and a PostgreSQL of its own, migrated and with a demo programme
    Dev(Box<DevSettings>),
    /// Apply the migrations
    Migrate(StoreSettings),
    /// Add the demo programme: concerts 1 to 10, three schedules each from tomorrow on, 50 seats a schedule
    Seed(SeedSettings),
    /// Check every invariant against the live stores; exit 1 if one is broken
    Audit(AuditSettings),
    /// Ask the instance on this machine whether it is ready; exit 1 if it is not
    Health(HealthSettings),
    /// Drive a whole opening against a server: everybody comes at once, waits, chooses, pays; then a table and a picture
    Burst(BurstSettings),
    /// Make an operator's call of a running server, and show what it says
    Admin(AdminSettings),
    /// Show the sale live in a terminal: queues, seats, money; Ctrl-C ends it
    Top(TopSettings),
    /// Check a queue's draw, and print what it gave: exit 1 if it does not hold
    VerifyDraw(VerifyDrawSettings),
    /// Watch over one private server (used by `onsale dev`)
    #[command(hide = true)]
    Guard(GuardArgs),
}

/// Where the stores are.
#[derive(Clone, Args)]
pub struct StoreSettings {
    /// PostgreSQL: postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: String,
    /// Redis: redis://host:port, rediss:// for TLS, several with commas for a cluster
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: String,
    /// What every key in Redis begins with, so that several programs can share one
    #[arg(long, env = "ONSALE_KEY_PREFIX", default_value = "onsale", value_parser = key_prefix)]
    pub key_prefix: String,
}

/// What `onsale seed` takes.
#[derive(Debug, Clone, Args)]
pub struct SeedSettings {
    /// Where the stores are.
    #[command(flatten)]
    pub stores: StoreSettings,
    /// The venue's time zone, for what "tomorrow" is
    #[arg(long, env = "ONSALE_TIME_ZONE", default_value = "Asia/Seoul", value_parser = time_zone)]
    pub time_zone: Tz,
}

/// What `onsale audit` takes.
#[derive(Debug, Clone, Args)]
pub struct AuditSettings {
    /// Where the stores are.
    #[command(flatten)]
    pub stores: StoreSettings,
    /// How queues without settings of their own admit.
    #[command(flatten)]
    pub queue: QueueDefaults,
    /// Print one JSON object a line instead of text
    #[arg(long, env = "ONSALE_JSON")]
    pub json: bool,
    /// Also write what was found as metrics, for the node exporter's textfile collector: a file that ends in .prom
    #[arg(long, env = "ONSALE_AUDIT_METRICS_FILE", value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// What `onsale verify-draw` takes.
#[derive(Debug, Clone, Args)]
pub struct VerifyDrawSettings {
    /// The answer of GET /api/v1/queues/draws/{queueName}, in a file; - for standard input
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub facts: PathBuf,
    /// An entry number whose place to print
    #[arg(long, value_name = "NUMBER")]
    pub entry: Option<u64>,
    /// Print the places of all entries as a JSON array
    #[arg(long)]
    pub json: bool,
}

/// How queues without settings of their own admit.
#[derive(Debug, Clone, Copy, Args)]
pub struct QueueDefaults {
    /// The most active tokens at any time, for queues without a setting of their own
    #[arg(long, env = "ONSALE_MAX_ACTIVE", default_value_t = 1000, value_parser = whole(1..=10_000_000))]
    pub max_active: u32,
    /// The most admissions a second, likewise
    #[arg(long, env = "ONSALE_ADMIT_PER_SECOND", default_value_t = 200, value_parser = whole(1..=1_000_000))]
    pub admit_per_second: u32,
    /// Seconds that a token is active, likewise
    #[arg(long, env = "ONSALE_ACTIVE_TTL_SECONDS", default_value_t = 300, value_parser = whole(1..=86_400))]
    pub active_ttl_seconds: u32,
    /// Seconds that a waiting token lives unseen, likewise
    #[arg(long, env = "ONSALE_WAITING_TTL_SECONDS", default_value_t = 120, value_parser = whole(1..=86_400))]
    pub waiting_ttl_seconds: u32,
    /// Seconds that a seat is held, likewise
    #[arg(long, env = "ONSALE_HOLD_TTL_SECONDS", default_value_t = 300, value_parser = whole(1..=86_400))]
    pub hold_ttl_seconds: u32,
    /// The most people whose places a queue keeps, waiting or active; who comes beyond them is answered 503
    #[arg(long, env = "ONSALE_MAX_WAITING", default_value_t = 2_000_000, value_parser = whole(1..=100_000_000))]
    pub max_waiting: u32,
    /// How many may try for each seat that is free, likewise, such as 1.5; 0: however many seats there are
    #[arg(long, env = "ONSALE_STOCK_FACTOR", default_value = "1", value_parser = stock_factor)]
    pub stock_factor: f64,
}

/// What `onsale serve` takes.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// Where the stores are.
    #[command(flatten)]
    pub stores: StoreSettings,
    /// The rest.
    #[command(flatten)]
    pub service: ServiceSettings,
    /// The key that authenticates tokens: 32 bytes or more, as hex or base64
    #[arg(long, env = "ONSALE_TOKEN_KEY", hide_env_values = true, value_name = "KEY", value_parser = secret)]
    pub token_key: Secret,
}

/// What `onsale dev` takes.
#[derive(Debug, Clone, Args)]
pub struct DevSettings {
    /// Where the private servers keep their data
    #[arg(long, env = "ONSALE_HOME", default_value = ".onsale", value_name = "FOLDER")]
    pub home: PathBuf,
    /// Whether missing programs may be installed with the machine's package manager: 1 or 0
    #[arg(long, env = "ONSALE_INSTALL", default_value = "1", value_parser = PossibleValuesParser::new(["0", "1"]).map(|value| value == "1"))]
    pub install: bool,
    /// The key that authenticates tokens, likewise as for serve; without it one is made and kept with the data
    #[arg(long, env = "ONSALE_TOKEN_KEY", hide_env_values = true, value_name = "KEY", value_parser = secret)]
    pub token_key: Option<Secret>,
    /// End when the program that started this one has ended
    #[arg(long, env = "ONSALE_STOP_WITH_PARENT")]
    pub stop_with_parent: bool,
    /// The rest.
    #[command(flatten)]
    pub service: ServiceSettings,
}

/// How the service behaves, wherever its stores are.
#[derive(Debug, Clone, Args)]
pub struct ServiceSettings {
    /// Where to serve
    #[arg(long, env = "ONSALE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = address)]
    pub listen: SocketAddr,
    /// Where to serve GET /metrics, for Prometheus
    #[arg(long, env = "ONSALE_METRICS_LISTEN", default_value = "127.0.0.1:9100", value_name = "ADDRESS", value_parser = address)]
    pub metrics_listen: SocketAddr,
    /// How the service knows who asks.
    #[command(flatten)]
    pub identity: IdentitySettings,
    /// The operators' token, 32 bytes or more, as hex or base64; without it there are no operators' calls
    #[arg(long, env = "ONSALE_ADMIN_TOKEN", hide_env_values = true, value_name = "KEY", value_parser = bearer)]
    pub admin_token: Option<Secret>,
    /// Operators by name, each with a token likewise: ann=KEY,bob=KEY
    #[arg(long, env = "ONSALE_ADMIN_TOKENS", hide_env_values = true, value_name = "NAME=KEY,…", value_parser = operator_keys)]
    pub admin_tokens: Option<OperatorKeys>,
    /// Other keys whose tokens and passes are accepted too, with commas; new ones are never made with them
    #[arg(long, env = "ONSALE_OLD_TOKEN_KEYS", hide_env_values = true, value_name = "KEYS", value_delimiter = ',', value_parser = secret)]
    pub old_token_keys: Vec<Secret>,
    /// Where the gate sends who may not pass yet: a path or an http(s) URL, in which {queue} and {return} are filled in
    #[arg(long, env = "ONSALE_WAITING_PAGE", default_value = "/", value_name = "URL", value_parser = waiting_page)]
    pub waiting_page: WaitingPage,
    /// Seconds that a pass through the gate is good for, at the most
    #[arg(long, env = "ONSALE_PASS_TTL_SECONDS", default_value_t = 60, value_parser = whole(1..=3600))]
    pub pass_ttl_seconds: u32,
    /// Whether the pages may make up who a visitor is, as nobody stands in front who would know: for trying out only
    #[arg(long, env = "ONSALE_DEMO", hide = true)]
    pub demo: bool,
    /// The operators' token that `onsale dev` has made, which the demo may show.
    #[arg(skip)]
    pub demo_operator: Option<Secret>,
    /// For whom passes are: the claim aud
    #[arg(long, env = "ONSALE_PASS_AUDIENCE", default_value = "onsale", value_name = "NAME", value_parser = audience)]
    pub pass_audience: String,
    /// How queues without settings of their own admit.
    #[command(flatten)]
    pub queue: QueueDefaults,
    /// The most seats of a schedule that a user may hold at a time
    #[arg(long, env = "ONSALE_MAX_HOLDS_PER_USER", default_value_t = 4, value_parser = whole(1..=1000))]
    pub max_holds_per_user: u32,
    /// The venue's time zone
    #[arg(long, env = "ONSALE_TIME_ZONE", default_value = "Asia/Seoul", value_parser = time_zone)]
    pub time_zone: Tz,
    /// How fast users and addresses may go.
    #[command(flatten)]
    pub rates: RateSettings,
    /// How many connections, and how long.
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// Connections to PostgreSQL
    #[arg(long, env = "ONSALE_POSTGRES_CONNECTIONS", default_value_t = 16, value_parser = whole(1..=1000))]
    pub postgres_connections: u32,
    /// Statements that may wait for a connection to PostgreSQL; more are answered 503 at once
    #[arg(long, env = "ONSALE_POSTGRES_QUEUE", default_value_t = POSTGRES_QUEUE, value_parser = whole(0..=100_000))]
    pub postgres_queue: u32,
    /// Milliseconds to wait for a connection to PostgreSQL, and again for a statement
    #[arg(long, env = "ONSALE_POSTGRES_TIMEOUT_MS", default_value_t = 1000, value_parser = whole(50..=60_000))]
    pub postgres_timeout_ms: u32,
    /// Milliseconds to wait for Redis
    #[arg(long, env = "ONSALE_REDIS_TIMEOUT_MS", default_value_t = 800, value_parser = whole(50..=60_000))]
    pub redis_timeout_ms: u32,
    /// Milliseconds after which a request is answered 503
    #[arg(long, env = "ONSALE_REQUEST_TIMEOUT_MS", default_value_t = 1900, value_parser = whole(50..=60_000))]
    pub request_timeout_ms: u32,
    /// Requests under way at a time; more are answered 503 at once
    #[arg(long, env = "ONSALE_MAX_IN_FLIGHT", default_value_t = 20_000, value_parser = whole(1..=1_000_000))]
    pub max_in_flight: u32,
    /// Streams of events open at a time, of tokens as many as of seats; more are answered 503
    #[arg(long, env = "ONSALE_MAX_STREAMS", default_value_t = 20_000, value_parser = whole(1..=10_000_000))]
    pub max_streams: u32,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceSettings,
    /// Milliseconds that a shutdown goes on serving, with /readyz at 503, so that load balancers can see it
    #[arg(long, env = "ONSALE_SHUTDOWN_GRACE_MS", default_value_t = 500, value_parser = whole(0..=60_000))]
    pub shutdown_grace_ms: u32,
    /// Seconds that a shutdown then waits for requests under way
    #[arg(long, env = "ONSALE_SHUTDOWN_TIMEOUT_SECONDS", default_value_t = 10, value_parser = whole(0..=600))]
    pub shutdown_timeout_seconds: u32,
}

impl std::fmt::Debug for StoreSettings {
    /// Without the addresses, which carry passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSettings").field("key_prefix", &self.key_prefix).finish_non_exhaustive()
    }
}

impl StoreSettings {
    /// How to reach Redis.
    #[must_use]
    pub fn redis(&self, timeout_ms: u32) -> RedisSettings {
        RedisSettings {
            url: self.redis_url.clone(),
            timeout: Duration::from_millis(timeout_ms.into()),
            key_prefix: self.key_prefix.clone(),
        }
    }

    /// How to reach Postgres.
    #[must_use]
    pub fn postgres(&self, connections: u32, timeout_ms: u32) -> PostgresSettings {
        PostgresSettings {
            url: self.database_url.clone(),
            connections,
            queue: POSTGRES_QUEUE,
            timeout: Duration::from_millis(timeout_ms.into()),
        }
    }
}

impl ServeSettings {
    /// How the gate lets through.
    #[must_use]
    pub fn gate(&self) -> GateSettings<'_> {
        let service = &self.service;
        GateSettings {
            token_key: self.token_key.expose(),
            old_token_keys: service.old_token_keys.iter().map(Secret::expose).collect(),
            audience: &service.pass_audience,
            pass_ttl: Duration::from_secs(service.pass_ttl_seconds.into()),
            waiting_page: service.waiting_page.clone(),
        }
    }
}

impl From<QueueDefaults> for QueueSettings {
    fn from(defaults: QueueDefaults) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            max_active: defaults.max_active,
            admit_per_second: defaults.admit_per_second,
            active_ttl: seconds(defaults.active_ttl_seconds),
            waiting_ttl: seconds(defaults.waiting_ttl_seconds),
            hold_ttl: seconds(defaults.hold_ttl_seconds),
            max_waiting: defaults.max_waiting,
            opens_at: None,
            paused: false,
            draining: false,
            stock_factor: defaults.stock_factor,
        }
    }
}

impl Cli {
    /// The program's arguments, or what to print and the exit status: help, or one line on what is wrong.
    pub fn read() -> Result<Self, (String, u8)> {
        Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (error.render().to_string(), 0),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => (error.render().to_string(), 2),
            _ => (complaint(&error, &Self::command()), 2),
        })
    }
}

fn stock_factor(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1000.0).contains(number));
    number.ok_or_else(|| format!("takes a number from 0 to 1000, not {text:?}"))
}

fn time_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| format!("takes an IANA time zone, such as Asia/Seoul, not {text:?}"))
}

fn key_prefix(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("takes 1 to 64 letters, digits and _ - . :".to_owned())
    }
}

fn waiting_page(text: &str) -> Result<WaitingPage, String> {
    WaitingPage::new(text).ok_or_else(|| {
        format!("takes a path or an http(s) URL of visible ASCII, with no other braces than {{queue}} and {{return}}, not {text:?}")
    })
}

fn audience(text: &str) -> Result<String, String> {
    if (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("takes 1 to 256 visible ASCII characters, not {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint_about(args: &[&str]) -> String {
        match Cli::try_parse_from(args) {
            Ok(_) => String::new(),
            Err(error) => complaint(&error, &Cli::command()),
        }
    }

    const SERVE: [&str; 8] = [
        "onsale",
        "serve",
        "--database-url",
        "postgres://x",
        "--redis-url",
        "redis://x",
        "--token-key",
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    ];

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        assert_eq!(complaint_about(&SERVE), "");
    }

    #[test]
    fn an_option_that_is_given_twice_is_said_to_be() {
        let twice = [&SERVE[..], &["--max-active", "1", "--max-active", "2"]].concat();
        assert_eq!(complaint_about(&twice), "error: ONSALE_MAX_ACTIVE (--max-active) is given more than once");
    }

    #[test]
    fn a_bad_setting_is_one_line_naming_the_variable_and_what_it_takes() {
        for (option, value, variable, takes) in [
            ("--max-active", "0", "ONSALE_MAX_ACTIVE", "a whole number from 1 to 10000000"),
            ("--admit-per-second", "x", "ONSALE_ADMIT_PER_SECOND", "a whole number from 1 to 1000000"),
            ("--listen", "8080", "ONSALE_LISTEN", "an address with a port"),
            ("--time-zone", "Mars/Phobos", "ONSALE_TIME_ZONE", "an IANA time zone"),
            ("--admin-token", "short", "ONSALE_ADMIN_TOKEN", "32 bytes or more"),
            ("--admin-tokens", "ann=short", "ONSALE_ADMIN_TOKENS", "32 bytes or more"),
            ("--old-token-keys", "0011", "ONSALE_OLD_TOKEN_KEYS", "32 bytes or more"),
            ("--waiting-page", "javascript:0", "ONSALE_WAITING_PAGE", "a path or an http(s) URL"),
            ("--waiting-page", "/{user}", "ONSALE_WAITING_PAGE", "{queue} and {return}"),
            ("--pass-ttl-seconds", "0", "ONSALE_PASS_TTL_SECONDS", "a whole number from 1 to 3600"),
            ("--pass-audience", "", "ONSALE_PASS_AUDIENCE", "visible ASCII"),
        ] {
            let complaint = complaint_about(&[&SERVE[..], &[option, value]].concat());
            assert!(complaint.contains(variable) && complaint.contains(takes), "{complaint}");
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
        }
    }
}
