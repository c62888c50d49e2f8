//! A crowd for somebody who shows it in a way of its own: it says how it stands, and can be sent home.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio_util::sync::CancellationToken;

use super::settings::by_clock;
use super::shop::Shop;
use super::{BurstError, Figures, People, Sale, everybody};
use crate::ids::{ConcertId, ScheduleId};

/// Requests of a crowd under way at a time.
const CONNECTIONS: u32 = 64;

/// How a crowd is.
#[derive(Debug, Clone)]
pub struct CrowdSettings {
    /// Where it goes.
    pub base: Url,
    /// Whose queue it enters.
    pub concert: ConcertId,
    /// Whose seats it wants.
    pub schedule: ScheduleId,
    /// How many they are.
    pub fans: u32,
    /// Within what time all of them arrive.
    pub within: Duration,
    /// Of 100, how many leave while they wait.
    pub leave: u32,
    /// Of 100, how many hold a seat and never pay.
    pub lapse: u32,
    /// How long each thinks before it chooses, and again before it pays, at the most.
    pub thinks: Duration,
}

/// How a crowd stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Who waits.
    pub waiting: u64,
    /// Who was let in so far.
    pub admitted: u64,
    /// Who has a ticket.
    pub sold: u64,
    /// Who is through, with a ticket or without, let in or not.
    pub ended: u64,
    /// Who of those who were let in is through: never more than they.
    pub through: u64,
    /// Calls that had to be made again.
    pub failures: u64,
}

/// A crowd. Dropping what runs it sends everybody home.
#[derive(Debug)]
pub struct Crowd {
    settings: CrowdSettings,
    shop: Arc<Shop>,
    figures: Arc<Figures>,
}

impl Crowd {
    /// One that has not come yet.
    pub fn new(settings: CrowdSettings) -> Result<Self, BurstError> {
        let figures = Arc::new(Figures::new(settings.fans));
        let shop = Shop::new(settings.base.clone(), CONNECTIONS, figures.clone(), CancellationToken::new())?;
        Ok(Self { settings, shop: Arc::new(shop), figures })
    }

    /// Comes, and is there until everybody is through or sent home.
    pub async fn come(&self) -> Result<(), BurstError> {
        let CrowdSettings { concert, schedule, fans, within, leave, lapse, thinks, .. } = self.settings;
        let people = People { first: by_clock()?, count: fans, within, leave, lapse, thinks };
        everybody(&self.shop, people, Sale { concert: Some(concert), schedule }).await;
        Ok(())
    }

    /// Everybody goes home.
    pub fn go_home(&self) {
        self.shop.stop();
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let figures = &self.figures;
        // Read before those who were let in: who is let in and through meanwhile counts as neither.
        let through = figures.ended_inside();
        let now = figures.now();
        let (waiting, admitted, sold) = (now.waiting, now.admitted, now.sold);
        Standing { waiting, admitted, sold, ended: figures.ended(), through, failures: figures.failures() }
    }
}
