//! The waiting room without scripts: a form that takes a place, a cookie that keeps its token, a page that asks again by
//! itself. Scripts, where they run, put their own view in its place.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use http::header::HeaderMap;

use super::http::Asked;
use super::language::{Language, grouped};
use super::template::escaped;
use crate::http::{ApiError, cookies, rfc3339};
use crate::ids::ConcertId;
use crate::queue::{Presented, Queue, Queues, RankView};

/// What a visitor without scripts sees of its place.
pub(super) struct Room {
    /// The part of the page.
    pub(super) html: String,
    /// Seconds until the page is asked for again, where something may have changed by then.
    pub(super) again: Option<u64>,
    /// Whether the browser has a place here.
    pub(super) has_entered: bool,
}

/// The cookie that keeps the token of a queue.
pub(super) fn cookie(queue: &Queue) -> String {
    format!("onsale_room_{}", queue.name)
}

/// The token that a browser without scripts has kept of this queue, if it is authentic.
pub(super) fn kept(queues: &Queues, queue: &Queue, headers: &HeaderMap) -> Option<Presented> {
    let presented =
        cookies(headers, &cookie(queue)).take(4).find_map(|token| Presented::by(Some(token), queues).ok())?;
    (presented.queue.id == queue.id).then_some(presented)
}

impl Room {
    fn new(again: Option<u64>, has_entered: bool, parts: &[String]) -> Self {
        let html = format!("<div class=\"card\">{}</div>", parts.concat());
        Self { html, again, has_entered }
    }

    /// The room of a queue as this browser is to see it.
    pub(super) async fn seen(queues: &Queues, queue: &Queue, concert: ConcertId, asked: &Asked) -> Self {
        let (language, zone) = (asked.language, asked.pages.time_zone);
        let says = Says { queue, concert, language, zone, sold_out: queues.sold_out(queue) };
        let Some(presented) = kept(queues, queue, &asked.headers) else { return says.without_place() };
        match queues.view(&presented).await {
            Ok((_, view)) => says.place(&view),
            // A page that cannot be told comes again; a place that is not known any more is none.
            Err(error) => says.failed(&error),
        }
    }
}

/// An opening that is nearer is also said in days, hours or minutes from now.
const NEAR: TimeDelta = TimeDelta::days(7);

/// How far the sale is of a concert that a queue serves, in a few words. Of an opening, scripts say the time in the visitor's
/// zone, and count on.
pub(super) fn sale(queue: &Queue, is_sold_out: bool, asked: &Asked) -> String {
    let settings = &queue.settings;
    if let Some(at) = opens_at(queue).filter(|_| !settings.draining) {
        return opening(at, asked.language, asked.pages.time_zone);
    }
    let state = if is_sold_out {
        "soldout"
    } else if settings.draining {
        "closing"
    } else if settings.paused {
        "paused"
    } else {
        "open"
    };
    asked.text(&format!("programme.{state}"))
}

/// When sales open, and how long it is until then if that is not long.
fn opening(at: DateTime<Utc>, language: Language, zone: Tz) -> String {
    let opens = escaped(&language.words("programme.opens", None)).replace("{at}", &time(at, language, zone));
    let left = at - Utc::now();
    let soon = if left < NEAR { said_in(language, left) } else { String::new() };
    format!("{opens} <b data-opens=\"{}\">{soon}</b>", rfc3339(at))
}

fn said_in(language: Language, left: TimeDelta) -> String {
    let time = language.duration(u64::try_from(left.num_seconds()).unwrap_or_default());
    escaped(&language.words("programme.in", None).replace("{time}", &time))
}

/// When sales open, unless they have.
fn opens_at(queue: &Queue) -> Option<DateTime<Utc>> {
    queue.settings.opens_at.filter(|at| *at > Utc::now())
}

/// A moment, which scripts show in the visitor's own time zone.
fn time(at: DateTime<Utc>, language: Language, zone: Tz) -> String {
    format!("<time datetime=\"{}\">{}</time>", rfc3339(at), language.moment(at, zone))
}

/// Says things of a queue in a language.
struct Says<'a> {
    queue: &'a Queue,
    concert: ConcertId,
    language: Language,
    zone: Tz,
    sold_out: bool,
}

impl Says<'_> {
    fn text(&self, name: &str) -> String {
        escaped(&self.language.words(name, None))
    }

    fn time(&self, at: DateTime<Utc>) -> String {
        time(at, self.language, self.zone)
    }

    fn form(&self, button: &str) -> String {
        let (concert, button) = (self.concert, self.text(button));
        format!(
            "<form method=\"post\" action=\"/concerts/{concert}/enter\"><button id=\"enter\" class=\"main\">{button}</button></form>"
        )
    }

    fn title(&self, name: &str) -> String {
        format!("<h2>{}</h2>", self.text(name))
    }

    fn line(&self, name: &str) -> String {
        format!("<p>{}</p>", self.text(name))
    }

    /// Before one has a place.
    fn without_place(&self) -> Room {
        if self.queue.settings.draining {
            return Room::new(None, false, &[self.title("closing.title"), self.line("closing.text")]);
        }
        let Some(at) = opens_at(self.queue) else {
            if self.sold_out {
                let parts = [self.title("soldout.title"), self.line("soldout.queue"), self.form("enter")];
                return Room::new(None, false, &parts);
            }
            return Room::new(None, false, &[self.title("none.title"), self.line("none.text"), self.form("enter")]);
        };
        let opens = format!("<h2>{}</h2>", opening(at, self.language, self.zone));
        Room::new(None, false, &[opens, self.line("opens.fair"), self.form("enter.early")])
    }

    fn failed(&self, error: &ApiError) -> Room {
        if error.code().retry_after().is_none() {
            return self.without_place();
        }
        Room::new(Some(5), true, &[self.line("room.offline"), self.line("plain.refreshes")])
    }

    /// A place, whatever has become of it.
    fn place(&self, view: &RankView) -> Room {
        let again = Some(view.poll_after_millis.div_ceil(1000).max(3));
        match view.status {
            "ACTIVE" => {
                let until = view.expires_at.as_deref().and_then(|at| at.parse().ok()).map(|at| self.time(at));
                let until = until.unwrap_or_default();
                let until = self.text("active.until").replace("{at}", &until);
                let parts = [self.title("active.title"), format!("<p>{until}</p>"), self.line("plain.choose")];
                Room::new(Some(30), true, &parts)
            }
            "EXPIRED" => Room::new(None, false, &[self.title("lapsed.title"), self.form("enter.again")]),
            "COMPLETED" => Room::new(None, false, &[self.title("completed.title"), self.form("enter.more")]),
            "SOLD_OUT" => Room::new(Some(30), true, &[self.title("soldout.title"), self.line("soldout.text")]),
            _ => self.waiting(view, again),
        }
    }

    fn waiting(&self, view: &RankView, again: Option<u64>) -> Room {
        if let Some(at) = opens_at(self.queue) {
            let parts = [
                self.title("early.spoken"),
                format!("<p>{}</p>", opening(at, self.language, self.zone)),
                self.line("opens.fair"),
                self.line("plain.refreshes"),
            ];
            // Nothing moves before: often enough to be seen, and to be there at the opening.
            let left = u64::try_from((at - Utc::now()).num_seconds()).unwrap_or(0);
            let seldom = (self.queue.settings.waiting_ttl.as_secs() / 3).clamp(3, 10);
            return Room::new(Some((left / 20).clamp(3, seldom)), true, &parts);
        }
        let ahead = match view.ahead {
            0 => self.text("room.first"),
            count => escaped(&self.language.words("room.ahead", Some(count))),
        };
        let wait = match view.estimated_wait_seconds {
            _ if self.queue.settings.paused => self.text("paused.text"),
            Some(range) => self
                .text("room.wait.range")
                .replace("{low}", &escaped(&self.language.duration(range.low)))
                .replace("{high}", &escaped(&self.language.duration(range.high))),
            None => self.text("room.wait.unknown"),
        };
        let place = grouped(view.ahead + 1);
        let parts = [
            format!("<p class=\"soft\">{}</p><p class=\"figure\">{place}</p>", self.text("place.label")),
            format!("<p class=\"large\">{ahead}</p><p class=\"large\">{wait}</p>"),
            self.line("plain.refreshes"),
            self.line("plain.choose"),
        ];
        Room::new(again, true, &parts)
    }
}
