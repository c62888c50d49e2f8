//! The pages, and their files.

use std::fmt::Write;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::NaiveDate;
use flate2::Compression;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, StatusCode, Uri};

use super::Pages;
use super::asset::{self, VERSION};
use super::language::{self, Language};
use super::template::{escaped, filled};
use super::waiting::{self, Room};
use crate::concert::{Concert, Concerts};
use crate::http::{ApiError, ErrorCode, IdPath, RateLimits, cookies, no_such_route, takes_gzip};
use crate::identity::Identity;
use crate::ids::{self, ConcertId, UserId};
use crate::queue::{Presented, Queues};
use crate::seat::Seats;

/// A page's own scripts and styles run, and it may ask this service; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What is around every page.
const LAYOUT: &str = include_str!("../../web/layout.html");

/// How long a language that was chosen is remembered: a year.
const REMEMBERED: u32 = 31_536_000;

/// The greatest level costs a page of 5 kB a tenth of a millisecond more than the least, and saves a tenth of it.
const LEVEL: Compression = Compression::new(6);

static OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who a visitor without scripts is, where nobody else knows; scripts take it up.
const VISITOR: &str = "onsale_visitor";

/// A page: its part of the layout, and what it loads. The first script is its own.
struct Page {
    body: &'static str,
    title: &'static str,
    styles: &'static [&'static str],
    scripts: &'static [&'static str],
}

const PROGRAMME: Page = Page {
    body: include_str!("../../web/programme.html"),
    title: "programme",
    styles: &[],
    scripts: &["programme.js", "site.js", "api.js"],
};

const CONCERT: Page = Page {
    body: include_str!("../../web/concert.html"),
    title: "room",
    styles: &[],
    scripts: &["concert.js", "site.js", "waiting.js", "api.js"],
};

const ME: Page = Page {
    body: include_str!("../../web/me.html"),
    title: "me",
    styles: &["shop.css"],
    scripts: &["me.js", "site.js", "api.js"],
};

const CONSOLE: Page = Page {
    body: include_str!("../../web/console.html"),
    title: "console",
    styles: &["console.css"],
    scripts: &["console.js", "site.js", "api.js"],
};

const DEMO: Page = Page {
    body: include_str!("../../web/demo.html"),
    title: "demo",
    styles: &["console.css"],
    scripts: &["demo.js", "site.js", "api.js"],
};

const UNDATED: Page =
    Page { body: include_str!("../../web/undated.html"), title: "undated", styles: &[], scripts: &["site.js"] };

const REFUSED: Page =
    Page { body: include_str!("../../web/refused.html"), title: "refused", styles: &[], scripts: &["site.js"] };

const GONE: Page =
    Page { body: include_str!("../../web/gone.html"), title: "gone", styles: &[], scripts: &["site.js"] };

/// The pages, and `/assets/`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Concerts: FromRef<S>,
    &'static Identity: FromRef<S>,
    &'static Pages: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
    &'static Seats: FromRef<S>,
{
    // Put together now, not when somebody waits for it.
    asset::prepare();
    Router::new()
        .route("/", get(programme))
        .route("/concerts/{concertId}", get(concert))
        .route("/concerts/{concertId}/enter", post(enter))
        .route("/me", get(async |asked: Asked| asked.shown(&ME)))
        .route("/console", get(async |asked: Asked| asked.shown(&CONSOLE)))
        .route("/demo", get(demo))
        .route("/assets/{version}/{name}", get(file))
}

/// What is answered where there is nothing: a page to people, the envelope to programs and wherever calls are.
pub async fn nowhere(State(pages): State<&'static Pages>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET || ["/api", "/admin"].iter().any(|calls| uri.path().starts_with(calls)) {
        return no_such_route().into_response();
    }
    let asked = Asked { pages, language: Language::of(&headers), headers };
    if asked.is_for_a_person() { asked.gone() } else { no_such_route().into_response() }
}

async fn file(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, ApiError> {
    asset::answer(&version, &name, &headers).ok_or_else(|| ApiError::new(ErrorCode::NotFound, "There is no such file."))
}

/// A page that is asked for.
pub(super) struct Asked {
    pub(super) pages: &'static Pages,
    pub(super) headers: HeaderMap,
    pub(super) language: Language,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked
where
    &'static Pages: FromRef<S>,
{
    /// The way to the same page in the language that was chosen by `?language=`.
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        let chosen = query.split('&').find_map(|field| field.strip_prefix("language=")).and_then(Language::named);
        if let Some(language) = chosen {
            let cookie =
                format!("{}={}; Path=/; Max-Age={REMEMBERED}; SameSite=Lax", language::COOKIE, language.code());
            let path = parts.uri.path().to_owned();
            return Err((StatusCode::SEE_OTHER, [(LOCATION, path), (SET_COOKIE, cookie)]).into_response());
        }
        let headers = std::mem::take(&mut parts.headers);
        Ok(Self { pages: <&'static Pages>::from_ref(state), language: Language::of(&headers), headers })
    }
}

impl Asked {
    /// A page in which there is nothing to fill in.
    fn shown(&self, page: &Page) -> Response {
        self.filled(StatusCode::OK, page, &self.language.words(&format!("{}.title", page.title), None), &[])
    }

    /// Words of the page's language, as HTML.
    pub(super) fn text(&self, name: &str) -> String {
        escaped(&self.language.words(name, None))
    }

    /// That there is no such thing.
    fn gone(&self) -> Response {
        self.filled(StatusCode::NOT_FOUND, &GONE, &self.language.words("gone.title", None), &[])
    }

    /// Whether who asks looks at pages; a program takes what it knows, or anything.
    fn is_for_a_person(&self) -> bool {
        self.headers.get_all(ACCEPT).iter().any(|kinds| kinds.to_str().is_ok_and(|it| it.contains("text/html")))
    }

    /// Why a place was not taken, with the way back; in the envelope to whoever takes no HTML.
    fn refused(&self, error: ApiError, concert: ConcertId) -> Response {
        let why = if error.code() == ErrorCode::UserRequired { "enter.unknown" } else { "enter.failed" };
        let told = error.into_response();
        if !self.is_for_a_person() {
            return told;
        }
        let (title, why, id) = (self.language.words("refused.title", None), self.text(why), concert.to_string());
        let mut page = self.filled(told.status(), &REFUSED, &title, &[("why", &why), ("concert", &id)]);
        if let Some(after) = told.headers().get(RETRY_AFTER) {
            page.headers_mut().insert(RETRY_AFTER, after.clone());
        }
        page
    }

    /// A page with these values; its title is a text.
    fn filled(&self, status: StatusCode, page: &Page, title: &str, values: &[(&str, &str)]) -> Response {
        let language = self.language;
        let version = VERSION.as_str();
        let body = filled(page.body, language, values);
        let code = language.code();
        let address = |name: &str| format!("/assets/{version}/{name}");
        let mut links = String::new();
        for style in ["site.css"].iter().chain(page.styles) {
            let _ = writeln!(links, "<link rel=\"stylesheet\" href=\"{}\">", address(style));
        }
        let words = format!("{code}.js");
        for script in page.scripts.iter().skip(1).copied().chain(["words.js", &words]) {
            let _ = writeln!(links, "<link rel=\"modulepreload\" href=\"{}\">", address(script));
        }
        let script = page.scripts.first().copied().unwrap_or("site.js");
        let _ = writeln!(links, "<script type=\"module\" src=\"{}\"></script>", address(script));
        let title = escaped(title);
        let around = [
            ("lang", code),
            ("title", &title),
            ("visitor", self.pages.visitor()),
            ("links", &links),
            ("main", &body),
            ("head", values.iter().find(|(name, _)| *name == "head").map_or("", |(_, value)| value)),
        ];
        self.sent(status, filled(LAYOUT, language, &around))
    }

    fn sent(&self, status: StatusCode, page: String) -> Response {
        let about = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "private, no-cache"),
            (VARY, "accept, accept-encoding, accept-language, cookie"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "same-origin"),
            (OPENER_POLICY.clone(), "same-origin"),
        ];
        if takes_gzip(&self.headers) {
            let body = asset::gzipped(page.as_bytes(), LEVEL);
            return (status, about, [(CONTENT_ENCODING, "gzip")], body).into_response();
        }
        (status, about, page).into_response()
    }
}

/// All concerts that are still to come, and how far their sales are. All of it is known here: no store is asked for it.
async fn programme(
    State(concerts): State<&'static Concerts>,
    State(queues): State<&'static Queues>,
    State(seats): State<&'static Seats>,
    asked: Asked,
) -> Response {
    let (programme, today) = (concerts.programme(), concerts.today());
    let mut list = String::new();
    for concert in programme.concerts().values() {
        let dates = dates(concert, today, asked.language);
        let (lines, sale) = match queues.get(concert.queue) {
            _ if concert.schedules.is_empty() => (String::new(), asked.text("programme.undated")),
            Some(queue) if !dates.is_empty() => {
                let is_sold_out = queues.sold_out(&queue) || is_sold_out(concert, today, seats);
                (format!("<p>{dates}</p>"), waiting::sale(&queue, is_sold_out, &asked))
            }
            _ => continue,
        };
        let (id, title) = (concert.id, escaped(&concert.title));
        let _ = writeln!(
            list,
            "<li><a href=\"/concerts/{id}\"><h2>{title}</h2>{lines}<p class=\"sale\">{sale}</p></a></li>"
        );
    }
    asked.filled(StatusCode::OK, &PROGRAMME, &asked.language.words("programme.title", None), &[("concerts", &list)])
}

/// Whether nothing is left of a concert, which may share its queue with others, as far as this instance has seen.
fn is_sold_out(concert: &Concert, today: NaiveDate, seats: &Seats) -> bool {
    let mut coming = concert.upcoming(today);
    coming.all(|schedule| seats.unsold_lately(schedule.id) == Some(0))
}

/// The dates from today on.
fn dates(concert: &Concert, today: NaiveDate, language: Language) -> String {
    let coming = concert.upcoming(today).map(|schedule| schedule.date);
    let times: Vec<String> =
        coming.map(|date| format!("<time datetime=\"{date}\">{}</time>", language.date(date))).collect();
    times.join(" ")
}

/// The waiting room of a concert, in which one then chooses and pays.
async fn concert(
    State(concerts): State<&'static Concerts>,
    State(queues): State<&'static Queues>,
    id: Result<IdPath<ids::Concert>, ApiError>,
    asked: Asked,
) -> Response {
    let Some(concert) = id.ok().and_then(|IdPath(id)| concerts.concert(id)) else { return asked.gone() };
    let Some(queue) = queues.get(concert.queue) else { return asked.gone() };
    let (title, dates) = (escaped(&concert.title), dates(&concert, concerts.today(), asked.language));
    if concert.schedules.is_empty() {
        return asked.filled(StatusCode::OK, &UNDATED, &concert.title, &[("title", &title)]);
    }
    if dates.is_empty() {
        return asked.gone();
    }
    let id = concert.id.to_string();
    let room = Room::seen(queues, &queue, concert.id, &asked).await;
    let refresh = |seconds| format!("<noscript><meta http-equiv=\"refresh\" content=\"{seconds}\"></noscript>");
    let head = room.again.map(refresh).unwrap_or_default();
    let values = [
        ("concert", &*id),
        ("queue", &*queue.name),
        ("title", &*title),
        ("dates", &*dates),
        ("entered", if room.has_entered { "true" } else { "" }),
        ("room", &*room.html),
        ("head", &*head),
    ];
    asked.filled(StatusCode::OK, &CONCERT, &concert.title, &values)
}

/// Takes a place for a browser without scripts. Why there is none is told on a page to whoever looks at pages.
async fn enter(
    State(concerts): State<&'static Concerts>,
    State(queues): State<&'static Queues>,
    State(identity): State<&'static Identity>,
    State(limits): State<&'static RateLimits>,
    IdPath(id): IdPath<ids::Concert>,
    asked: Asked,
) -> Response {
    let taken = take_place(concerts, queues, identity, limits, id, &asked).await;
    taken.unwrap_or_else(|error| asked.refused(error, id))
}

/// The browser keeps the token in a cookie.
async fn take_place(
    concerts: &Concerts,
    queues: &Queues,
    identity: &Identity,
    limits: &RateLimits,
    id: ConcertId,
    asked: &Asked,
) -> Result<Response, ApiError> {
    let headers = &asked.headers;
    // Another site's form would have its visitors queue here unasked.
    if headers.get(&FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(ApiError::invalid("Another site's form takes no place here."));
    }
    let concert = concerts.concert(id);
    let Some(queue) = concert.and_then(|concert| queues.get(concert.queue)) else { return Ok(asked.gone()) };
    let kept = waiting::kept(queues, &queue, headers);
    let user = match identity.user(headers) {
        Ok(user) => user,
        Err(unknown) => asked.pages.demo.then(|| visitor(headers, kept.as_ref())).flatten().ok_or(unknown)?,
    };
    limits.admit(user, &Method::POST)?;
    if let Some(kept) = kept.filter(|kept| kept.claim.user == user) {
        queues.check(&queue, &kept.claim).await?;
    }
    let entered = queues.enter(&queue, user).await?;
    let is_secure = headers.get(&FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    let secure = if is_secure { "; Secure" } else { "" };
    let (name, token) = (waiting::cookie(&queue), &*entered.token);
    let cookie = format!("{name}={token}; Path=/concerts; HttpOnly; SameSite=Lax; Max-Age=86400{secure}");
    let mut response =
        (StatusCode::SEE_OTHER, [(LOCATION, format!("/concerts/{id}")), (SET_COOKIE, cookie)]).into_response();
    if asked.pages.demo
        && let Ok(cookie) = format!("{VISITOR}={user}; Path=/; SameSite=Lax").parse()
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Where nobody knows who comes: who it was before, or somebody new.
fn visitor(headers: &HeaderMap, kept: Option<&Presented>) -> Option<UserId> {
    let named = cookies(headers, VISITOR).find_map(|user| user.parse().ok());
    let known = kept.map(|kept| kept.claim.user);
    named.or(known).or_else(|| rand::random_range(1..=1_000_000_000).try_into().ok())
}

/// A crowd to watch, on a developer's machine only.
async fn demo(asked: Asked) -> Response {
    if asked.pages.demo { asked.shown(&DEMO) } else { asked.gone() }
}
