//! A demo: a sale that is seen from both sides within a minute, with a crowd that the server sends itself, over HTTP, like
//! anybody's. For a developer's machine only: without `ONSALE_DEMO`, which `onsale dev` sets, none of its calls are there.
//! Owns no store: the concert that it opens is made as operators make theirs.

mod hall;
mod http;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::Mutex;

pub use http::router;

use crate::burst::{BurstError, Crowd, CrowdSettings, Standing};
use crate::concert::{self, Concerts, ControlError};
use crate::ids::{ConcertId, ScheduleId};
use crate::postgres::{Postgres, Transaction};
use crate::queue::{self, Queues};
use crate::seat::Seats;
use crate::secret::Secret;
use crate::store_error::StoreError;

/// The largest crowd: what one machine plays beside the server, the stores and a browser.
pub const MOST_FANS: u32 = 5_000;

/// The most that come in a second.
pub const MOST_A_SECOND: u32 = 500;

/// After that long whoever is left goes home.
const PATIENCE: Duration = Duration::from_mins(20);

/// Of 100 fans, how many leave while they wait, and how many hold a seat and never pay.
const LEAVE: u32 = 4;
const LAPSE: u32 = 1;

/// How long a fan looks at the seats, and again at the price, at the most.
const THINKS: Duration = Duration::from_secs(6);

/// The crowd, and what it takes to send one.
#[derive(Debug)]
pub struct Demo {
    postgres: Postgres,
    concerts: Arc<Concerts>,
    queues: Arc<Queues>,
    seats: Arc<Seats>,
    /// The operators' token that was made for this machine, if it may be shown.
    operator: Option<Secret>,
    /// Where the server is, once it listens.
    base: OnceLock<Url>,
    sent: Mutex<Option<Sent>>,
}

/// Who is asked to come.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// To which concert; to a new one if none.
    concert: Option<ConcertId>,
    fans: u32,
    per_second: u32,
}

/// A crowd that was sent: it is there, or was.
#[derive(Debug)]
struct Sent {
    wanted: Wanted,
    concert: ConcertId,
    crowd: Arc<Crowd>,
    is_over: Arc<AtomicBool>,
}

/// Why no crowd was sent.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    /// One at a time.
    #[error("a crowd is there already")]
    OneAtATime,
    /// There is no such concert.
    #[error("there is no such concert")]
    NoSuchConcert,
    /// Nothing of it is left.
    #[error("nothing is left of this concert")]
    SoldOut,
    /// The server does not listen yet.
    #[error("the server does not listen yet")]
    NotOpen,
    /// The concert could not be made.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Its queue could not be set.
    #[error(transparent)]
    Queue(#[from] queue::ControlError),
    /// The crowd could not be made.
    #[error(transparent)]
    Crowd(#[from] BurstError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Demo {
    /// With a token to show to whoever sees the demo on this machine, if there is one.
    #[must_use]
    pub fn new(
        postgres: Postgres,
        concerts: Arc<Concerts>,
        queues: Arc<Queues>,
        seats: Arc<Seats>,
        operator: Option<Secret>,
    ) -> Self {
        let (base, sent) = (OnceLock::new(), Mutex::new(None));
        Self { postgres, concerts, queues, seats, operator, base, sent }
    }

    /// Says where the server listens: there the crowd goes.
    pub fn opens_at(&self, address: SocketAddr) {
        let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
        let base = Url::parse(&format!("http://{}", SocketAddr::new(ip, address.port())));
        if let Ok(base) = base {
            let _ = self.base.set(base);
        }
    }

    async fn send(&self, wanted: Wanted) -> Result<(), DemoError> {
        let base = self.base.get().ok_or(DemoError::NotOpen)?.clone();
        let mut sent = self.sent.lock().await;
        if sent.as_ref().is_some_and(|sent| !sent.is_over.load(Ordering::Relaxed)) {
            return Err(DemoError::OneAtATime);
        }
        let (concert, schedule) = match wanted.concert {
            Some(concert) => (concert, self.something_left(concert).await?),
            None => self.open_concert().await?,
        };
        let within = Duration::from_secs(wanted.fans.into()) / wanted.per_second.max(1);
        let fans = wanted.fans;
        let settings =
            CrowdSettings { base, concert, schedule, fans, within, leave: LEAVE, lapse: LAPSE, thinks: THINKS };
        let crowd = Arc::new(Crowd::new(settings)?);
        let is_over = Arc::new(AtomicBool::new(false));
        tokio::spawn(see_through(crowd.clone(), is_over.clone()));
        *sent = Some(Sent { wanted, concert, crowd, is_over });
        Ok(())
    }

    /// Sends the crowd home, and waits until it has gone.
    async fn stop(&self) {
        let sent = self.sent.lock().await;
        let Some(sent) = &*sent else { return };
        sent.crowd.go_home();
        let begun = Instant::now();
        while !sent.is_over.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The first evening of a concert with a free seat.
    async fn something_left(&self, concert: ConcertId) -> Result<ScheduleId, DemoError> {
        let schedules = self.concerts.concert(concert).ok_or(DemoError::NoSuchConcert)?.schedules.clone();
        let today = self.concerts.today();
        for schedule in schedules.iter().filter(|schedule| schedule.date >= today) {
            if self.seats.free(schedule.id, Instant::now()).await? > 0 {
                return Ok(schedule.id);
            }
        }
        Err(DemoError::SoldOut)
    }

    /// A concert of its own, with a queue that lets in slowly enough to be watched.
    async fn open_concert(&self) -> Result<(ConcertId, ScheduleId), DemoError> {
        let mut transaction = Transaction::begin(&self.postgres).await.map_err(StoreError::from)?;
        let concert = hall::concert(self.concerts.today());
        let (id, schedules) = concert::create(&self.postgres, transaction.connection(), &concert).await?;
        queue::set(&self.postgres, transaction.connection(), hall::QUEUE, &hall::settings()).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        self.concerts.refresh(&self.queues).await?;
        let schedule = schedules.first().ok_or(DemoError::SoldOut)?.id;
        Ok((id, schedule))
    }
}

/// To its end; a crowd that nobody sends home goes by itself.
async fn see_through(crowd: Arc<Crowd>, is_over: Arc<AtomicBool>) {
    let visit = crowd.come();
    tokio::pin!(visit);
    let outcome = tokio::select! {
        outcome = &mut visit => outcome,
        () = tokio::time::sleep(PATIENCE) => {
            crowd.go_home();
            visit.await
        }
    };
    if let Err(error) = outcome {
        tracing::warn!(%error, "the demo's crowd did not come");
    }
    is_over.store(true, Ordering::Relaxed);
}

impl Sent {
    fn standing(&self) -> Standing {
        self.crowd.standing()
    }

    fn is_there(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}
