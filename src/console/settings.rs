//! What `onsale admin` and `onsale top` take.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Url;
use serde_json::Value;

use crate::argument::whole;
use crate::ids::{ConcertId, ScheduleId};
use crate::queue::is_name;
use crate::secret::{Secret, bearer};

const ADMIN_EXAMPLES: &str = "\
Examples:
  export ONSALE_URL=http://127.0.0.1:8080 ONSALE_ADMIN_TOKEN=…
  onsale admin queues
  onsale admin queue create big maxActive=500 admitPerSecond=100 opensAt=2030-11-24T20:00:00+09:00
  onsale admin queue set big maxActive=800 stockFactor=null    # null: as the server has it
  onsale admin queue pause big
  onsale admin concerts create concert.json
  onsale admin figures 11 --json | jq .totals";

const PLAN_EXAMPLE: &str = "\
Example of a concert:
  {\"title\":\"The Big One\",\"queue\":\"big\",\"schedules\":[{\"date\":\"2030-12-24\",
   \"sections\":[{\"section\":\"R\",\"price\":150000,\"rows\":[\"A\",\"B\"],\"seatsPerRow\":50}]}]}
or, instead of sections: \"seats\":[{\"section\":\"R\",\"row\":\"A\",\"number\":1,\"price\":150000}]";

/// Which server, as whom, and how it is shown.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// The server; for one that is reached by https, the end of a tunnel to it
    #[arg(long, env = "ONSALE_URL", default_value = "http://127.0.0.1:8080", value_name = "URL", value_parser = url, global = true)]
    pub url: Url,
    /// The operator's token, the unnamed one's or one's own: the text that the server was given
    #[arg(long, env = "ONSALE_ADMIN_TOKEN", hide_env_values = true, value_name = "KEY", value_parser = bearer, global = true)]
    pub admin_token: Option<Secret>,
    /// Print what the server answers as JSON instead of tables
    #[arg(long, env = "ONSALE_JSON", global = true)]
    pub json: bool,
}

/// What `onsale admin` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = ADMIN_EXAMPLES)]
pub struct AdminSettings {
    /// Which server, as whom, and how it is shown.
    #[command(flatten)]
    pub reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What an operator can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// All queues: who waits, who is in, how many may be
    Queues,
    /// One queue: look at it, make it, set it, stop it
    #[command(subcommand)]
    Queue(QueueVerb),
    /// The programme: look at it, add to it
    #[command(subcommand)]
    Concerts(ConcertVerb),
    /// How it goes: queues, seats and money
    Figures {
        /// Only this concert's schedules
        #[arg(value_parser = id::<ConcertId>)]
        concert: Option<ConcertId>,
    },
    /// What operators have done, newest first
    Log {
        /// How many acts, at the most
        #[arg(default_value_t = 20, value_parser = whole(1..=100_000))]
        count: u32,
    },
}

/// What can be done with a queue.
#[derive(Debug, Clone, Subcommand)]
pub enum QueueVerb {
    /// Its settings and figures
    Show {
        /// The queue
        #[arg(value_parser = queue)]
        name: String,
    },
    /// Makes it
    Create {
        /// The queue
        #[arg(value_parser = queue)]
        name: String,
        /// As for set
        #[arg(value_name = "SETTING=VALUE", value_parser = setting)]
        settings: Vec<(String, Value)>,
    },
    /// Sets what is named, and leaves the rest; null is for the server's own setting
    Set {
        /// The queue
        #[arg(value_parser = queue)]
        name: String,
        /// maxActive, admitPerSecond, activeTtlSeconds, waitingTtlSeconds, holdTtlSeconds, opensAt, paused, draining,
        /// stockFactor
        #[arg(value_name = "SETTING=VALUE", required = true, value_parser = setting)]
        settings: Vec<(String, Value)>,
    },
    /// Lets nobody in any more; those who are in go on
    Pause {
        /// The queue
        #[arg(value_parser = queue)]
        name: String,
    },
    /// Ends a pause, and draining
    Resume {
        /// The queue
        #[arg(value_parser = queue)]
        name: String,
    },
    /// Gives nobody a new place any more; those who wait are let in
    Drain {
        /// The queue
        #[arg(value_parser = queue)]
        name: String,
    },
}

/// What can be done with the programme.
#[derive(Debug, Clone, Subcommand)]
pub enum ConcertVerb {
    /// All concerts and their schedules, past ones too
    List,
    /// Makes a concert
    #[command(after_help = PLAN_EXAMPLE)]
    Create {
        /// The concert as JSON; - for standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Adds one schedule to a concert
    #[command(after_help = PLAN_EXAMPLE)]
    AddSchedule {
        /// The concert
        #[arg(value_parser = id::<ConcertId>)]
        concert: ConcertId,
        /// The schedule as JSON, as in a concert; - for standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// The seats of a schedule
    Seats {
        /// The schedule
        #[arg(value_parser = id::<ScheduleId>)]
        schedule: ScheduleId,
    },
}

/// What `onsale top` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  onsale top --concert 11\n  onsale top --json | jq -c .totals\n  onsale top --once"
)]
pub struct TopSettings {
    /// Which server, as whom, and how it is shown.
    #[command(flatten)]
    pub reach: Reach,
    /// Seconds from one look to the next
    #[arg(long, env = "ONSALE_TOP_INTERVAL_SECONDS", default_value_t = 1, value_parser = whole(1..=3600))]
    pub interval_seconds: u32,
    /// Only this concert's schedules
    #[arg(long, env = "ONSALE_TOP_CONCERT", value_name = "ID", value_parser = id::<ConcertId>)]
    pub concert: Option<ConcertId>,
    /// Show once how things stand, and what went on for an interval, and end
    #[arg(long, env = "ONSALE_TOP_ONCE")]
    pub once: bool,
}

fn url(text: &str) -> Result<Url, String> {
    let plain = |url: &Url| {
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        url.scheme() == "http" && url.has_host() && is_bare && url.username().is_empty() && url.password().is_none()
    };
    // What is wrong may be a password.
    Url::parse(text).ok().filter(plain).ok_or_else(|| "takes an address such as http://127.0.0.1:8080".to_owned())
}

fn id<T: std::str::FromStr<Err = crate::ids::NotAnId>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("takes a whole number from 1 to {}, not {text:?}", crate::ids::GREATEST))
}

fn queue(text: &str) -> Result<String, String> {
    let takes = || format!("takes a queue's name, 1 to 63 of a-z, 0-9, _ and -, not {text:?}");
    if is_name(text) { Ok(text.to_owned()) } else { Err(takes()) }
}

/// A value is JSON where it can be, else a text; the server knows what each setting takes.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("takes setting=value, not {text:?}"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_is_json_or_a_text() {
        for (text, name, value) in [
            ("maxActive=5", "maxActive", json!(5)),
            ("paused=true", "paused", json!(true)),
            ("opensAt=null", "opensAt", json!(null)),
            ("opensAt=2030-11-24T20:00:00+09:00", "opensAt", json!("2030-11-24T20:00:00+09:00")),
            ("a=b=c", "a", json!("b=c")),
            ("a=", "a", json!("")),
        ] {
            assert_eq!(setting(text), Ok((name.to_owned(), value)), "{text}");
        }
        assert!(setting("maxActive").is_err());
    }

    #[test]
    fn an_address_has_no_password_and_none_is_repeated() {
        assert!(url("http://10.0.0.1:8080").is_ok() && url("http://onsale/").is_ok());
        for bad in ["", "onsale:8080", "https://onsale", "http://a:hunter2@onsale", "http://onsale/hunter2", "http://"]
        {
            assert!(url(bad).is_err_and(|says| !says.contains("hunter2")), "{bad}");
        }
    }
}
