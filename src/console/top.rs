//! `onsale top`: a look at the server every interval, until somebody stops it.

use std::io;
use std::time::Duration;

use chrono::Utc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::answers::Queues;
use super::client::{Client, LARGEST_PAGE};
use super::rates::{Look, Looks};
use super::screen::{self, Screen};
use super::{ConsoleError, TopSettings};

/// Shows the sale until `stop` is cancelled or nobody reads it any more. Fails if the first look does; later on it says so and
/// goes on looking.
pub async fn top(settings: &TopSettings, stop: CancellationToken) -> Result<(), ConsoleError> {
    let client = Client::new(&settings.reach)?;
    let mut shown = Shown { json: settings.reach.json, ..Shown::default() };
    let ended = match stop.run_until_cancelled(look(&client, settings, Instant::now())).await {
        None => return Ok(()),
        Some(first) => {
            shown.looks.add(first?);
            shown.watch(&client, settings, stop).await
        }
    };
    // What was seen last stays, where the screen would have taken it along.
    if shown.screen.take().is_some() {
        shown.write()?;
    }
    match ended {
        Err(ConsoleError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

/// What is shown, and where.
#[derive(Default)]
struct Shown {
    looks: Looks,
    /// Why the last look failed, if it did.
    trouble: Option<String>,
    json: bool,
    screen: Option<Screen>,
}

impl Shown {
    async fn watch(
        &mut self,
        client: &Client,
        settings: &TopSettings,
        stop: CancellationToken,
    ) -> Result<(), ConsoleError> {
        let interval = Duration::from_secs(settings.interval_seconds.into());
        let mut next = Instant::now() + interval;
        if settings.once {
            let Some(second) = stop.run_until_cancelled(look(client, settings, next)).await else { return Ok(()) };
            self.looks.add(second?);
            return Ok(self.write()?);
        }
        if !self.json {
            self.screen = Screen::take()?;
        }
        let mut resized = signal(SignalKind::window_change())?;
        self.write()?;
        loop {
            let mut looking = std::pin::pin!(look(client, settings, next));
            let looked = loop {
                tokio::select! {
                    looked = &mut looking => break looked,
                    _ = resized.recv() => if self.screen.is_some() { self.write()? },
                    () = stop.cancelled() => return Ok(()),
                }
            };
            self.take(looked)?;
            // One that took long is not made up for.
            next = (next + interval).max(Instant::now());
        }
    }

    fn take(&mut self, looked: Result<Look, ConsoleError>) -> io::Result<()> {
        self.trouble = looked.map(|look| self.looks.add(look)).err().map(|error| error.to_string());
        match &self.trouble {
            // A program that reads what is written gets no moment twice.
            Some(trouble) if self.screen.is_none() => {
                use io::Write;
                writeln!(io::stderr(), "error: {trouble}")
            }
            _ => self.write(),
        }
    }

    fn write(&self) -> io::Result<()> {
        let Some(view) = self.looks.view() else { return Ok(()) };
        if self.json {
            return screen::write(&format!("{}\n", serde_json::to_string(&view)?));
        }
        match &self.screen {
            Some(screen) => screen.show(&screen::lines(&view, self.trouble.as_deref(), Screen::room())),
            None => screen::write(&format!("{}\n\n", screen::lines(&view, None, None).join("\n"))),
        }
    }
}

/// How things stand at a moment.
async fn look(client: &Client, settings: &TopSettings, at: Instant) -> Result<Look, ConsoleError> {
    sleep_until(at).await;
    let mut query = vec![("size", LARGEST_PAGE.to_string())];
    query.extend(settings.concert.map(|concert| ("concertId", concert.to_string())));
    let (queues, figures) = tokio::try_join!(client.all(&["queues"], "queues"), client.get(&["figures"], &query))?;
    let queues: Queues = serde_json::from_value(queues).map_err(|_| client.strange())?;
    let figures = serde_json::from_value(figures).map_err(|_| client.strange())?;
    Ok(Look { at: Instant::now(), time: Utc::now(), queues: queues.queues, figures })
}
