//! `onsale burst`: a whole opening, driven from outside through the documented calls.
//!
//! Everybody arrives within some seconds, waits at the pace that the server asks for, and once let in looks at the seats,
//! holds one, charges and pays; some leave while they wait, some let their hold lapse. `visitor.rs` is one of them, `shop.rs`
//! the client that all of them share, `figures.rs` what is counted, `report.rs` and `picture.rs` what is shown of it. It knows
//! nothing of the stores: what was sold is the server's word, which `onsale audit` checks.

mod crowd;
mod figures;
mod picture;
mod progress;
mod report;
mod settings;
mod shop;
mod visitor;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use reqwest::Url;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::ids::{ConcertId, NotAnId, ScheduleId, UserId};

pub use crowd::{Crowd, CrowdSettings, Standing};
pub use figures::{Figures, Outcome};
pub use report::Report;
pub use settings::BurstSettings;
pub use shop::Refusal;
use shop::Shop;

/// How long the one who looks for something to sell waits for its turn.
const SCOUT_PATIENCE: Duration = Duration::from_secs(30);

/// Why there was no burst, or none to its end.
#[derive(Debug, thiserror::Error)]
pub enum BurstError {
    /// It is a load tool, and must not hit somebody else by a slip.
    #[error("{0} is another machine: --anywhere allows that")]
    Elsewhere(Url),
    /// Nothing serves there, or not onsale.
    #[error("there is no onsale at {base}: {refusal}")]
    NotThere {
        /// Where.
        base: Url,
        /// What came instead.
        refusal: Refusal,
    },
    /// It could not be found out what is sold.
    #[error("looking for a schedule with free seats: {0}; --concert and --schedule choose one")]
    Scout(Refusal),
    /// There is nothing to sell.
    #[error("no schedule has a free seat: --concert and --schedule choose one")]
    NothingToSell,
    /// The clock is off by ages.
    #[error("the clock gives no users; --first-user does")]
    Users(#[from] NotAnId),
    /// The client could not be made.
    #[error("the client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// The picture could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Picture {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What is sold.
#[derive(Debug, Clone, Copy)]
struct Sale {
    /// Whose queue is entered; the default one if none.
    concert: Option<ConcertId>,
    schedule: ScheduleId,
}

/// What one visitor means to do.
#[derive(Debug, Clone, Copy)]
struct Plan {
    user: UserId,
    sale: Sale,
    leaves: bool,
    lapses: bool,
    /// How long it thinks at each step, at the most.
    thinks: Duration,
}

/// Who comes.
#[derive(Debug, Clone, Copy)]
struct People {
    /// They are this one's successors.
    first: UserId,
    count: u32,
    /// All of them arrive within that time.
    within: Duration,
    /// Of 100, how many leave while they wait.
    leave: u32,
    /// Of 100, how many hold a seat and never pay.
    lapse: u32,
    thinks: Duration,
}

/// Runs until everybody is through, or `closing` ends it early; writes the picture. A server that stops answering is in the
/// report, as people that nobody answered, and is for the caller to call an error ([`Report::complaint`]).
pub async fn run(settings: &BurstSettings, closing: CancellationToken) -> Result<Report, BurstError> {
    let base = &settings.base;
    if !settings.anywhere && !is_loopback(base) {
        return Err(BurstError::Elsewhere(base.clone()));
    }
    let figures = Arc::new(Figures::new(settings.users));
    let shop = Arc::new(Shop::new(base.clone(), settings.connections, figures.clone(), closing)?);
    let first = settings.first_user()?;
    let sale = find_sale(&shop, settings, first).await?;
    figures.begin();

    let watching = CancellationToken::new();
    let watch = tokio::spawn(progress::watch(figures.clone(), watching.clone()));
    let people = People {
        first,
        count: settings.users,
        within: Duration::from_secs(settings.seconds.into()),
        leave: settings.leave,
        lapse: settings.lapse,
        thinks: Duration::ZERO,
    };
    let mut crowd = pin!(everybody(&shop, people, sale));
    tokio::select! {
        () = &mut crowd => {}
        () = sleep(Duration::from_secs(settings.patience.into())) => {
            shop.stop();
            crowd.await;
        }
    }
    watching.cancel();
    let _ = watch.await;

    let report = Report::new(settings, &figures, sale.schedule, shop.is_gone());
    if let Some(path) = settings.picture() {
        let svg = picture::draw(&report.title(), &report.timeline);
        std::fs::write(path, svg).map_err(|source| BurstError::Picture { path: path.to_owned(), source })?;
    }
    Ok(report)
}

/// Every visitor in a task of its own, from its arrival to its end.
async fn everybody(shop: &Arc<Shop>, people: People, sale: Sale) {
    let begun = Instant::now();
    let People { first, count, within, thinks, .. } = people;
    let mut crowd = JoinSet::new();
    for number in 0..count {
        // The range was checked with the settings, so every number is an id.
        let Ok(user) = UserId::try_from(first.get() + 1 + i64::from(number)) else { continue };
        let plan = Plan { user, sale, leaves: happens(people.leave), lapses: happens(people.lapse), thinks };
        let arrives = begun + within.mul_f64(f64::from(number) / f64::from(count));
        let shop = shop.clone();
        crowd.spawn(async move {
            tokio::select! {
                () = sleep_until(arrives) => visitor::visit(&shop, plan).await,
                () = shop.closes() => {}
            }
        });
    }
    while crowd.join_next().await.is_some() {}
}

fn happens(percent: u32) -> bool {
    rand::rng().random_range(0..100) < percent
}

/// What to sell: as told, or the first schedule with a free seat, found by one who enters, looks and leaves.
async fn find_sale(shop: &Shop, settings: &BurstSettings, scout: UserId) -> Result<Sale, BurstError> {
    let base = || shop.base().clone();
    let concerts = shop.concerts().await.map_err(|refusal| BurstError::NotThere { base: base(), refusal })?.into_iter();
    if let Some(schedule) = settings.schedule {
        return Ok(Sale { concert: settings.concert, schedule });
    }
    for concert in settings.concert.map_or_else(|| concerts.collect(), |chosen| vec![chosen]) {
        let looked = timeout(SCOUT_PATIENCE, visitor::scout(shop, scout, concert)).await;
        if let Some(schedule) = looked.unwrap_or(Err(Refusal::Late)).map_err(BurstError::Scout)? {
            return Ok(Sale { concert: Some(concert), schedule });
        }
    }
    Err(BurstError::NothingToSell)
}

/// Whether it is on this machine.
pub(crate) fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_near() {
        for near in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080/", "http://127.8.9.1"] {
            assert!(is_loopback(&near.parse().unwrap()), "{near}");
        }
        for far in ["http://10.0.0.1:8080", "http://onsale.example", "http://localhost.example", "http://[fe80::1]"] {
            assert!(!is_loopback(&far.parse().unwrap()), "{far}");
        }
    }
}
