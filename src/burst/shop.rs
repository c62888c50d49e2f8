//! The shop as its visitors see it: the documented calls over HTTP, tried again where the server says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::figures::{Call, Figures, Wait};
use crate::ids::{ConcertId, PaymentId, ReservationId, ScheduleId, SeatId, UserId};

/// How often a call is made before what it answers is taken for its answer.
const ATTEMPTS: u32 = 8;
/// How long nobody is answered before the server counts as gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Longer than the server itself lets a request take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is waited where the server does not say how long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest that is waited on the server's word.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Of the programme, what one call can show.
const PAGE: &str = "/api/v1/concerts?size=100";

/// What came instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// The server's own word.
    #[error("{0}")]
    Code(String),
    /// No answer.
    #[error("no answer")]
    Unanswered,
    /// An answer that is none of onsale's.
    #[error("not an answer of onsale's")]
    Foreign,
    /// It was not this one's turn in time.
    #[error("it took too long")]
    Late,
}

/// One server, and all that its visitors share.
#[derive(Debug)]
pub(super) struct Shop {
    client: Client,
    base: Url,
    /// As many requests at a time as there may be connections.
    turns: Semaphore,
    figures: Arc<Figures>,
    begun: Instant,
    /// Milliseconds from the beginning to the last answer of any kind.
    answered_ms: AtomicU64,
    stop: CancellationToken,
    gone: CancellationToken,
}

#[derive(Debug, Deserialize)]
struct Success<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
struct Failure {
    error: Cause,
}

#[derive(Debug, Deserialize)]
struct Cause {
    code: String,
}

/// Where a token is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rank {
    pub(super) status: String,
    poll_after_millis: u64,
}

impl Rank {
    pub(super) fn poll_after(&self) -> Duration {
        Duration::from_millis(self.poll_after_millis)
    }
}

/// One answer that was heard.
enum Heard<T> {
    Data(T),
    /// And when to try again, if that makes sense.
    Refused(Refusal, Option<Duration>),
}

impl Shop {
    pub(super) fn new(
        base: Url,
        connections: u32,
        figures: Arc<Figures>,
        stop: CancellationToken,
    ) -> reqwest::Result<Self> {
        let idle = connections as usize;
        let client = Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(idle).build()?;
        let (turns, begun, gone) = (Semaphore::new(idle), Instant::now(), CancellationToken::new());
        Ok(Self { client, base, turns, figures, begun, answered_ms: AtomicU64::new(0), stop, gone })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Everybody goes home.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until everybody is to go home.
    pub(super) async fn closes(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.gone.cancelled() => {}
        }
    }

    /// Whether the server stopped answering anybody.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    pub(super) async fn concerts(&self) -> Result<Vec<ConcertId>, Refusal> {
        #[derive(Debug, Deserialize)]
        struct Programme {
            concerts: Vec<Concert>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Concert {
            concert_id: ConcertId,
        }
        let programme: Programme = self.ask(Call::Look, || self.request(Method::GET, PAGE)).await?;
        Ok(programme.concerts.into_iter().map(|concert| concert.concert_id).collect())
    }

    pub(super) async fn enter(&self, user: UserId, concert: Option<ConcertId>) -> Result<String, Refusal> {
        #[derive(Debug, Deserialize)]
        struct Issued {
            token: String,
        }
        let enter = || {
            let request = self.request(Method::POST, "/api/v1/queues/token").header("userId", user.get());
            let form = |concert: ConcertId| ("application/x-www-form-urlencoded", format!("concertId={concert}"));
            match concert.map(form) {
                Some((kind, form)) => request.header("content-type", kind).body(form),
                None => request,
            }
        };
        Ok(self.ask::<Issued>(Call::Enter, enter).await?.token)
    }

    pub(super) async fn rank(&self, token: &str) -> Result<Rank, Refusal> {
        self.ask(Call::Poll, || self.request(Method::GET, "/api/v1/queues/token/rank").header("token", token)).await
    }

    pub(super) async fn leave(&self, token: &str) -> Result<(), Refusal> {
        self.ask(Call::Leave, || self.request(Method::DELETE, "/api/v1/queues/token").header("token", token)).await
    }

    /// The first date that can still be booked.
    pub(super) async fn first_schedule(&self, token: &str, concert: ConcertId) -> Result<Option<ScheduleId>, Refusal> {
        #[derive(Debug, Deserialize)]
        struct Dates {
            schedules: Vec<Date>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Date {
            concert_schedule_id: ScheduleId,
        }
        let path = format!("/api/v1/concerts/{concert}/schedules");
        let dates: Dates = self.ask(Call::Look, || self.request(Method::GET, &path).header("token", token)).await?;
        Ok(dates.schedules.first().map(|date| date.concert_schedule_id))
    }

    /// The seats that are free now.
    pub(super) async fn seats(&self, token: &str, schedule: ScheduleId) -> Result<Vec<SeatId>, Refusal> {
        #[derive(Debug, Deserialize)]
        struct Free {
            seats: Vec<Seat>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Seat {
            concert_seat_id: SeatId,
        }
        let path = format!("/api/v1/concerts/schedules/{schedule}/seats");
        let free: Free = self.ask(Call::Look, || self.request(Method::GET, &path).header("token", token)).await?;
        Ok(free.seats.into_iter().map(|seat| seat.concert_seat_id).collect())
    }

    pub(super) async fn hold(&self, token: &str, schedule: ScheduleId, seat: SeatId) -> Result<ReservationId, Refusal> {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Held {
            reservation_id: ReservationId,
        }
        let body = json!({ "concertScheduleId": schedule, "concertSeatId": seat });
        let hold = || self.request(Method::POST, "/api/v1/reservations/concert").header("token", token).json(&body);
        Ok(self.ask::<Held>(Call::Hold, hold).await?.reservation_id)
    }

    /// Tried again, it may charge twice: nobody minds here.
    pub(super) async fn charge(&self, user: UserId, amount: i64) -> Result<(), Refusal> {
        let body = json!({ "amount": amount });
        let request = || self.request(Method::PATCH, "/api/v1/user-wallets/balance").header("userId", user.get());
        self.ask(Call::Charge, || request().json(&body)).await
    }

    pub(super) async fn pay(&self, token: &str, reservation: ReservationId) -> Result<PaymentId, Refusal> {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Paid {
            payment_history_id: PaymentId,
        }
        let body = json!({ "concertReservationId": reservation });
        let pay = || self.request(Method::POST, "/api/v1/payment/concert").header("token", token).json(&body);
        Ok(self.ask::<Paid>(Call::Pay, pay).await?.payment_history_id)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // The base is an address without a path, so this is the whole of it.
        let url = format!("{}{}", self.base.as_str().trim_end_matches('/'), path);
        self.client.request(method, url)
    }

    /// Makes a call, again for as long as the server says so or does not answer, within reason.
    async fn ask<T: DeserializeOwned>(&self, call: Call, request: impl Fn() -> RequestBuilder) -> Result<T, Refusal> {
        let mut attempt = 1;
        loop {
            match self.hear(call, request()).await {
                Heard::Data(data) => return Ok(data),
                Heard::Refused(_, Some(pause)) if attempt < ATTEMPTS => {
                    self.figures.failed();
                    // Not all at the same moment again.
                    sleep(pause.mul_f64(1.0 + rand::random::<f64>() / 2.0)).await;
                }
                Heard::Refused(refusal, _) => return Err(refusal),
            }
            attempt += 1;
        }
    }

    async fn hear<T: DeserializeOwned>(&self, call: Call, request: RequestBuilder) -> Heard<T> {
        let asked = Instant::now();
        let Ok(_turn) = self.turns.acquire().await else { return Heard::Refused(Refusal::Unanswered, None) };
        self.figures.waited(Wait::Connection, asked.elapsed());
        let begun = Instant::now();
        let answer = match request.send().await {
            Ok(response) => heard(response).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(heard) => {
                self.figures.answered(call, begun.elapsed());
                self.answered_ms.store(self.now_ms(), Ordering::Relaxed);
                heard
            }
            Err(error) => {
                tracing::debug!(%error, "no answer");
                let silent = self.now_ms().saturating_sub(self.answered_ms.load(Ordering::Relaxed));
                if u128::from(silent) > SILENCE.as_millis() {
                    self.gone.cancel();
                }
                Heard::Refused(Refusal::Unanswered, Some(PAUSE))
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An error only where there was no whole answer.
async fn heard<T: DeserializeOwned>(response: Response) -> reqwest::Result<Heard<T>> {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let again = after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
    let body = response.bytes().await?;
    if status.is_success() {
        let read = serde_json::from_slice::<Success<T>>(&body);
        return Ok(read.map_or(Heard::Refused(Refusal::Foreign, None), |success| Heard::Data(success.data)));
    }
    let code = serde_json::from_slice::<Failure>(&body).map(|failure| failure.error.code);
    Ok(Heard::Refused(code.map_or(Refusal::Foreign, Refusal::Code), again))
}

impl Refusal {
    /// Whether the server said just this.
    pub(super) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Code(said) if said == code)
    }

    /// As it is counted.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Code(code) => code.clone(),
            Self::Unanswered => "no answer".to_owned(),
            Self::Foreign => "not onsale's".to_owned(),
            Self::Late => "late".to_owned(),
        }
    }
}
