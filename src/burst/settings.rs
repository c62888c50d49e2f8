//! What `onsale burst` takes.

use std::path::Path;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use reqwest::Url;

use crate::argument::whole;
use crate::ids::{ConcertId, GREATEST, NotAnId, ScheduleId, UserId};

/// The most visitors, and so how far apart the first users of two bursts must be.
const MOST_USERS: u32 = 1_000_000;

/// What `onsale burst` takes.
#[derive(Debug, Clone, Args)]
pub struct BurstSettings {
    /// How many people come
    #[arg(long, env = "ONSALE_BURST_USERS", default_value_t = 1000, value_parser = whole(1..=MOST_USERS))]
    pub users: u32,
    /// The server
    #[arg(long, env = "ONSALE_BURST_BASE", default_value = "http://127.0.0.1:8080", value_name = "URL", value_parser = base)]
    pub base: Url,
    /// The concert whose queue they enter; without --schedule its first date with free seats is sold
    #[arg(long, env = "ONSALE_BURST_CONCERT", value_name = "ID", value_parser = id::<ConcertId>)]
    pub concert: Option<ConcertId>,
    /// The schedule whose seats they want; without --concert they enter the default queue
    #[arg(long, env = "ONSALE_BURST_SCHEDULE", value_name = "ID", value_parser = id::<ScheduleId>)]
    pub schedule: Option<ScheduleId>,
    /// Seconds within which all of them arrive
    #[arg(long, env = "ONSALE_BURST_SECONDS", default_value_t = 10, value_parser = whole(0..=3600))]
    pub seconds: u32,
    /// Of 100, how many leave while they wait
    #[arg(long, env = "ONSALE_BURST_LEAVE", default_value_t = 0, value_name = "PERCENT", value_parser = whole(0..=100))]
    pub leave: u32,
    /// Of 100, how many hold a seat and never pay
    #[arg(long, env = "ONSALE_BURST_LAPSE", default_value_t = 0, value_name = "PERCENT", value_parser = whole(0..=100))]
    pub lapse: u32,
    /// Seconds after which whoever is not through is given up
    #[arg(long, env = "ONSALE_BURST_PATIENCE", default_value_t = 600, value_name = "SECONDS", value_parser = whole(1..=86_400))]
    pub patience: u32,
    /// Connections to the server, and so requests under way, at the most
    #[arg(long, env = "ONSALE_BURST_CONNECTIONS", default_value_t = 256, value_parser = whole(1..=60_000))]
    pub connections: u32,
    /// The users are this one's successors; by the clock unless given, so that each burst has others
    #[arg(long, env = "ONSALE_BURST_FIRST_USER", value_name = "ID", value_parser = first_user)]
    pub first_user: Option<UserId>,
    /// Where to draw what happened; an empty name draws nothing
    #[arg(long, env = "ONSALE_BURST_SVG", default_value = "burst.svg", value_name = "FILE")]
    pub svg: String,
    /// Print one JSON object instead of a table
    #[arg(long, env = "ONSALE_JSON")]
    pub json: bool,
    /// Allow a server on another machine: this is a load tool
    #[arg(long, env = "ONSALE_BURST_ANYWHERE")]
    pub anywhere: bool,
}

impl BurstSettings {
    /// Who looks for something to sell; the visitors are those after it. An error only if the clock is off by ages.
    pub(super) fn first_user(&self) -> Result<UserId, NotAnId> {
        self.first_user.map_or_else(by_clock, Ok)
    }

    /// Where to draw.
    pub(super) fn picture(&self) -> Option<&Path> {
        Some(Path::new(&self.svg)).filter(|_| !self.svg.is_empty())
    }
}

/// The users of each crowd are others. A thousand numbers a millisecond: as many as the largest burst has users in a second.
pub(super) fn by_clock() -> Result<UserId, NotAnId> {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |passed| passed.as_millis() * 1000);
    i64::try_from(passed).map_err(|_| NotAnId)?.try_into()
}

fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host() && url.path() == "/");
    url.ok_or_else(|| format!("takes an address such as http://127.0.0.1:8080, not {text:?}"))
}

fn id<T: FromStr<Err = NotAnId>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("takes a whole number from 1 to {GREATEST}, not {text:?}"))
}

/// One with room for all that come after.
fn first_user(text: &str) -> Result<UserId, String> {
    let last = GREATEST - i64::from(MOST_USERS);
    let user = text.parse::<UserId>().ok().filter(|user| user.get() <= last);
    user.ok_or_else(|| format!("takes a whole number from 1 to {last}, not {text:?}"))
}
