//! One run: the calls, each in turns with what it is measured against.

use std::time::Duration;

use onsale::dev::Durability;

use super::Arguments;
use super::bare::{Bare, Bodies};
use super::call::{CONNECTIONS, Call, Round, median, middle, tell};
use super::client::{Load, Pace, ask};
use super::pgbench::{Pgbench, Statement};
use super::programme::{
    self, ARENA_SEATS, ARENAS, DOOR, FEW, FIRST_BUYER, FIRST_WAITING, HALL, PAID_ARENAS, VISITORS, datum, get,
};
use super::report::{Floor, Ratio, Row, Target};
use super::script::{Cost, Scripted};
use super::stage::cost::{Meter, float};
use super::stage::{Outcome, PATIENCE, Scene, Stage};

/// A schedule of the demo programme, with 50 seats.
const SMALL: u64 = 1;

/// How many users poll, and look.
pub(super) const POLLERS: usize = 1000;

/// Redis is sent so many calls at a time, or one.
const PIPELINE: usize = 16;

/// More than are paid for in a second.
const PAYMENTS_A_SECOND: usize = 12_000;

/// All processes, and what was found so far.
pub(super) struct Session<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) stage: Stage,
    pub(super) meter: Meter,
    bare: Bare,
    bare_meter: Meter,
    etag: String,
    has_gzip: bool,
    /// Tokens of the visitors, all active.
    active: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) crowd: Vec<Ratio>,
}

impl<'a> Session<'a> {
    /// Starts everything.
    pub(super) async fn begin(arguments: &'a Arguments) -> Outcome<Self> {
        tell("starting Redis, PostgreSQL and the service");
        let (programme, settings) = (programme::sql(), programme::settings());
        let scene = Scene { name: "floors", durability: Durability::Full, programme: &programme, settings: &settings };
        let stage = Stage::set(&scene).await?;
        let visitors = if arguments.wants("hold") { VISITORS } else { POLLERS };
        let active = enter(&stage, visitors, 1, None)?;
        let token = format!("token: {}", active[0]);
        let (head, hall) = ask(stage.api, &get(&seats_path(HALL), &token))?;
        let etag = header(&head, "etag").ok_or("seats without an ETag")?.to_owned();
        let (_, seats) = ask(stage.api, &get(&seats_path(SMALL), &token))?;
        let (_, schedules) = ask(stage.api, &get("/api/v1/concerts/1/schedules", &token))?;
        let mut bodies =
            Bodies { token: active[0].clone(), schedules: String::from_utf8(schedules)?, ..Bodies::default() };
        bodies.seats.insert(HALL, (String::from_utf8(hall)?, etag.clone()));
        bodies.seats.insert(SMALL, (String::from_utf8(seats)?, "\"small\"".to_owned()));
        let (head, hall) = ask(stage.api, &get(&seats_path(HALL), &format!("{token}\r\naccept-encoding: gzip")))?;
        let has_gzip = header(&head, "content-encoding") == Some("gzip");
        if has_gzip {
            bodies.gzip.insert(HALL, hall);
        }
        let bare = Bare::start(&bodies).await?;
        let meter = stage.meter().await?;
        let bare_meter = Meter { server: bare.child.id().ok_or("bare axum has ended")?, ..meter.clone() };
        let (rows, crowd) = (Vec::new(), Vec::new());
        Ok(Self { arguments, stage, meter, bare, bare_meter, etag, has_gzip, active, rows, crowd })
    }

    pub(super) async fn end(self) -> Outcome {
        self.bare.stop().await?;
        self.stage.strike().await
    }

    /// Everything that is asked for.
    pub(super) async fn measure(&mut self) -> Outcome {
        self.reads().await?;
        if self.arguments.wants("token") {
            self.token().await?;
        }
        if self.arguments.wants("hold") {
            self.hold().await?;
        }
        if self.arguments.wants("charge") || self.arguments.wants("payment") {
            self.money().await?;
        }
        if self.arguments.wants("crowd") {
            self.crowd().await?;
        }
        Ok(())
    }

    pub(super) fn time(&self) -> Duration {
        Duration::from_secs(self.arguments.seconds)
    }

    async fn reads(&mut self) -> Outcome {
        let wants = |name| self.arguments.wants(name);
        let tokens: Vec<String> = self.active.iter().take(POLLERS).map(|token| format!("token: {token}")).collect();
        let (etag, has_gzip) = (self.etag.clone(), self.has_gzip);
        let call = |name: &str, path: String, more: String| {
            let tokens = tokens.clone();
            Call::again(name, POLLERS, move |at| get(&path, &format!("{}{more}", tokens[at])))
        };
        let target = Some(Target::AtLeast(0.8));
        let mut calls = Vec::new();
        if wants("schedules") {
            calls.push((call("schedules", "/api/v1/concerts/1/schedules".to_owned(), String::new()), target));
        }
        if wants("seats") {
            calls.push((call("seats of 50", seats_path(SMALL), String::new()), target));
        }
        if wants("hall") {
            calls.push((call("seats of 20,000", seats_path(HALL), String::new()), None));
            if has_gzip {
                calls.push((call("seats of 20,000, gzip", seats_path(HALL), "\r\naccept-encoding: gzip".into()), None));
            }
            let mut known = call("seats of 20,000, 304", seats_path(HALL), format!("\r\nif-none-match: {etag}"));
            known.status = 304;
            calls.push((known, target));
        }
        if wants("balance") {
            let path = "/api/v1/user-wallets/balance";
            calls.push((Call::again("balance", POLLERS, move |at| get(path, &format!("userId: {}", at + 1))), None));
        }
        for (call, target) in calls {
            self.against_bare(call, target).await?;
        }
        if self.arguments.wants("rank") || self.arguments.wants("crowd") {
            let few = self.few()?;
            self.rank(&few).await?;
        }
        Ok(())
    }

    /// A thousand who wait behind one who is let in; the same each time.
    pub(super) fn few(&self) -> Outcome<Vec<String>> {
        Ok(enter(&self.stage, POLLERS + 1, 2 * FIRST_WAITING, Some(FEW))?.split_off(1))
    }

    /// Some of those who wait ask for their rank.
    pub(super) async fn rank(&mut self, waiting: &[String]) -> Outcome {
        self.against_bare(rank_of(waiting), Some(Target::AtLeast(0.7))).await
    }

    /// A call that does what bare axum could do.
    async fn against_bare(&mut self, mut call: Call<'_>, target: Option<Target>) -> Outcome {
        tell(&call.name);
        call.warm_up(self.bare.address)?;
        call.warm_up(self.stage.api)?;
        let (mut floors, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            floors.push(call.round(&self.bare_meter, self.bare.address, self.time()).await?);
            ours.push(call.round(&self.meter, self.stage.api, self.time()).await?);
        }
        let (floor, ours) = (middle(&floors), middle(&ours));
        let mut ratios = vec![Ratio::new("requests/s", ours.per_second / floor.per_second, target)];
        ratios.extend(floor.latency.map(|bare| Ratio::new("p99 / p50 of the floor", bare.spread(), None)));
        self.close(call.name, ours, vec![of_bare(&floor)], ratios);
        Ok(())
    }

    /// Writes a call's row.
    fn close(&mut self, call: String, ours: Round, floors: Vec<Floor>, mut ratios: Vec<Ratio>) {
        let Round { per_second, cpu_us, scripts, latency } = ours;
        ratios.extend(latency.map(|ours| Ratio::new("p99 / p50", ours.spread(), Some(Target::AtMost(10.0)))));
        let told: Vec<String> = ratios.iter().map(|ratio| format!("{} {:.2}", ratio.of, ratio.value)).collect();
        tell(&format!("  {per_second:.0} requests/s; {}", told.join("; ")));
        self.rows.push(Row { call, per_second, cpu_us, scripts, floors, latency, ratios });
    }

    /// A place in a queue that lets in one: what nearly all get who come.
    async fn token(&mut self) -> Outcome {
        let request = |at| programme::enter(3 * FIRST_WAITING + at, Some(DOOR));
        let call = Call::once("token", FIRST_WAITING, request);
        self.against_script(call, Call::again("token", POLLERS, request), Scripted::Enter).await
    }

    async fn hold(&mut self) -> Outcome {
        // The last seat of each, so that all the maps are there.
        let held: Vec<String> =
            (0..ARENAS).map(|arena| programme::hold(&self.active[arena], (arena + 1) * ARENA_SEATS - 1)).collect();
        post(&self.stage, &held)?;
        let tokens = self.active.clone();
        let request = |at: usize| programme::hold(&tokens[at % VISITORS], but_the_last(at));
        let call = Call::once("hold", (ARENAS - PAID_ARENAS) * (ARENA_SEATS - 1), request);
        self.against_script(call, Call::again("hold", POLLERS, request), Scripted::Hold).await
    }

    /// A call that does what bare axum and bare Redis could do.
    async fn against_script(&mut self, mut call: Call<'_>, mut bare: Call<'_>, script: Scripted) -> Outcome {
        tell(&call.name);
        call.share_out(self.arguments.rounds);
        bare.warm_up(self.bare.address)?;
        call.warm_up(self.stage.api)?;
        let (mut floors, mut ours, mut single, mut pipelined) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.arguments.rounds {
            floors.push(bare.highest(&self.bare_meter, self.bare.address, self.time()).await?);
            single.push(script.round(&self.meter, 2 * round, 1, self.time()).await?);
            pipelined.push(script.round(&self.meter, 2 * round + 1, PIPELINE, self.time()).await?);
            ours.push(call.round(&self.meter, self.stage.api, self.time()).await?);
        }
        let (floor, ours) = (middle(&floors), middle(&ours));
        let pipelined = of_cost("script, 16 at a time", &pipelined);
        let least = floor.cpu_us.service + pipelined.cpu_us;
        let ratio = Ratio::new("CPU", ours.cpu_us.sum() / least, Some(Target::AtMost(1.6)));
        let floors = vec![of_bare(&floor), pipelined, of_cost("script, one at a time", &single)];
        self.close(call.name, ours, floors, vec![ratio]);
        Ok(())
    }

    async fn money(&mut self) -> Outcome {
        tell("a database for pgbench");
        let mut pgbench = Pgbench::prepare(&self.stage).await?;
        if self.arguments.wants("charge") {
            let call = Call::again("charge", VISITORS, |at| programme::charge(at + 1));
            self.against_statement(call, &mut pgbench, Statement::Charge, 1.5).await?;
        }
        if self.arguments.wants("payment") {
            let rounds = self.arguments.rounds + 1;
            let seconds = usize::try_from(self.arguments.seconds)?;
            let count = (PAYMENTS_A_SECOND * seconds * rounds + 1000).min(PAID_ARENAS * (ARENA_SEATS - 1));
            tell(&format!("{count} users who hold a seat each"));
            let tokens = enter(&self.stage, count, FIRST_BUYER, None)?;
            let first = (ARENAS - PAID_ARENAS) * ARENA_SEATS;
            let holds: Vec<String> =
                tokens.iter().enumerate().map(|(at, token)| programme::hold(token, first + but_the_last(at))).collect();
            let held = post(&self.stage, &holds)?;
            let ids = held
                .iter()
                .map(|body| datum(body, "reservationId")?.as_u64().ok_or_else(|| "a hold without an id".into()));
            let ids = ids.collect::<Outcome<Vec<u64>>>()?;
            let call = Call::once("payment", count, |at| programme::pay(&tokens[at], ids[at]));
            self.against_statement(call, &mut pgbench, Statement::Payment, 2.0).await?;
        }
        Ok(())
    }

    /// A call that does what one statement could do.
    async fn against_statement(
        &mut self,
        mut call: Call<'_>,
        pgbench: &mut Pgbench,
        statement: Statement,
        least: f64,
    ) -> Outcome {
        tell(&call.name);
        call.share_out(self.arguments.rounds);
        call.warm_up(self.stage.api)?;
        let (mut floors, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            floors.push(pgbench.round(&self.meter, statement, self.time()).await?);
            ours.push(call.round(&self.meter, self.stage.api, self.time()).await?);
        }
        let (floor, ours) = (of_cost("pgbench, one statement", &floors), middle(&ours));
        let ratio = Ratio::new("requests/s", ours.per_second / floor.per_second, Some(Target::AtLeast(least)));
        self.close(call.name, ours, vec![floor], vec![ratio]);
        Ok(())
    }
}

fn of_bare(round: &Round) -> Floor {
    Floor { what: "bare axum", per_second: round.per_second, cpu_us: round.cpu_us.service }
}

fn of_cost(what: &'static str, rounds: &[Cost]) -> Floor {
    let of = |figure: fn(&Cost) -> f64| median(rounds.iter().map(figure).collect());
    Floor { what, per_second: of(|round| round.per_second), cpu_us: of(|round| round.cpu_us) }
}

/// A seat of the arenas, counted over all of them without the last one of each.
fn but_the_last(at: usize) -> usize {
    let seats = ARENA_SEATS - 1;
    at / seats * ARENA_SEATS + at % seats
}

/// As many users ask for their rank, however many wait: what it costs to know that somebody was seen is theirs.
pub(super) fn rank_of(waiting: &[String]) -> Call<'static> {
    let count = waiting.len();
    let polled: Vec<String> = waiting.iter().step_by((count / POLLERS).max(1)).take(POLLERS).cloned().collect();
    let stock = polled.len();
    let request = move |at: usize| get("/api/v1/queues/token/rank", &format!("token: {}", polled[at]));
    Call::again(format!("rank, {count} waiting"), stock, request)
}

fn seats_path(schedule: u64) -> String {
    format!("/api/v1/concerts/schedules/{schedule}/seats")
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Users enter a queue; their tokens in their order.
pub(super) fn enter(stage: &Stage, count: usize, first: usize, concert: Option<u64>) -> Outcome<Vec<String>> {
    let requests: Vec<String> = (first..first + count).map(|user| programme::enter(user, concert)).collect();
    let token = |body: &Vec<u8>| match datum(body, "token")? {
        serde_json::Value::String(token) => Ok(token),
        _ => Err("an answer without a token".into()),
    };
    post(stage, &requests)?.iter().map(token).collect()
}

/// Makes each of these requests once; the answers in their order.
pub(super) fn post(stage: &Stage, requests: &[String]) -> Outcome<Vec<Vec<u8>>> {
    let (address, connections) = (stage.api, CONNECTIONS.min(requests.len()));
    let time = PATIENCE + Duration::from_secs_f64(float(requests.len() as u64) / 500.0);
    let (pace, status) = (Pace::BackToBack, 200);
    let load = Load { address, requests, again: false, connections, pace, time, status, keep: true };
    let mut bodies = load.run()?.bodies;
    if bodies.len() != requests.len() {
        return Err("not all was answered in time".into());
    }
    bodies.sort_unstable_by_key(|(at, _)| *at);
    Ok(bodies.into_iter().map(|(_, body)| body).collect())
}
