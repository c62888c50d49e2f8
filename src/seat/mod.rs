//! The seats of a schedule: the plan (what there is, from Postgres, unchanging) and the map (who has what now, in Redis).
//! Owns the `…:schedule:…` keys, which have their queue's hash tag, the scripts `lua/seat/*` and Postgres' tables
//! `concert_seat` and `seat_map`.
//!
//! The map is a ration card, not the truth: Postgres says what is sold. A map that Redis does not have, or has lost, is
//! built from Postgres before anything is answered from it.

mod answers;
mod audit;
mod board;
mod control;
mod http;
mod hub;
mod plan;
mod render;
mod settle;
mod store;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

pub use answers::{
    Attempt, Begun, Finished, Found, Held, Hold, HoldMany, HoldStatus, Holder, Outcome, Released, Sweep,
};
pub use audit::MapAudit;
pub use board::{FreeList, SeatMap};
pub use control::{Counts, HoldGauges, NewSeat, PlannedSeat, create};
pub use http::{calls, router, shortcut};
pub use plan::{Plan, Seat};
pub use render::{render_free, render_map};
pub use settle::Settled;

use crate::http::MAX_STREAMS;
use crate::ids::{ReservationId, ScheduleId, SeatId, UserId};
use crate::postgres::Postgres;
use crate::queue::Asked;
use crate::redis::Redis;
use crate::shelf::Shelf;
use crate::store_error::StoreError;
use board::{Board, Renewing};
use hub::Hub;
use settle::Turn;

/// How often a call rebuilds a map that vanishes under it before it gives up.
const LOAD_TRIES: u32 = 8;

/// What a call waits at most, times its number of tries, before it builds a map again that did not stay: instances that
/// outrun each other would do so again.
const OUTRUN_PAUSE: Duration = Duration::from_millis(20);

/// Longer than anything that is well can be under way: waiting for a batch is bounded at 1 s; waiting for a connection and
/// for the statement, once for the batch, should that fail once alone, and once for a tombstone, at 2 s each. A payment of
/// this age is looked into; a map that was built again knows after this time all that was
/// under way before.
pub const UNDER_WAY: Duration = Duration::from_secs(8);

/// What was seen no longer ago can be told to who only looks around.
const LATELY: Duration = Duration::from_secs(10);

/// The seats of all schedules.
#[derive(Debug)]
pub struct Seats {
    redis: Redis,
    postgres: Postgres,
    boards: Shelf<ScheduleId, OnceCell<Arc<Board>>>,
    hub: Hub,
    /// What was seen when all maps were last swept.
    swept: Mutex<Option<(Instant, HoldGauges)>>,
    /// Where settling has come to.
    turn: Mutex<Turn>,
}

/// How a hold is to be taken.
#[derive(Debug, Clone, Copy)]
pub struct HoldTerms {
    /// How long it lives.
    pub ttl: Duration,
    /// The most that a user may hold of a schedule.
    pub most: u32,
    /// After how long a token that waits, and was not seen, has left.
    pub waiting_ttl: Duration,
}

/// Which seats are to be held together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// These.
    Seats(Vec<SeatId>),
    /// So many, side by side if there are such.
    Best(usize),
}

impl Wanted {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Seats(seats) => seats.len(),
            Self::Best(count) => *count,
        }
    }
}

impl Seats {
    /// Asks nobody yet: plans and maps are read at their first use.
    #[must_use]
    pub fn new(redis: Redis, postgres: Postgres) -> Self {
        let (boards, hub) = (Shelf::default(), Hub::new(MAX_STREAMS));
        Self { redis, postgres, boards, hub, swept: Mutex::default(), turn: Mutex::default() }
    }

    /// With at most so many streams of events at a time.
    #[must_use]
    pub fn with_max_streams(self, most: u32) -> Self {
        Self { hub: Hub::new(most), ..self }
    }

    /// The board of a schedule, which the caller knows to exist.
    async fn board(&self, schedule: ScheduleId) -> Result<Arc<Board>, StoreError> {
        if let Some(board) = self.known_board(schedule, |board| Some(Arc::clone(board))) {
            return Ok(board);
        }
        let board = self.boards.get(schedule, OnceCell::new);
        let new = async || {
            let queue = store::queue_of(&self.postgres, schedule).await?;
            Ok(Arc::new(Board::new(schedule, &queue, &self.redis)))
        };
        board.get_or_try_init(new).await.cloned()
    }

    /// Shows the board of a schedule, if this instance has one.
    fn known_board<T>(&self, schedule: ScheduleId, show: impl FnOnce(&Arc<Board>) -> Option<T>) -> Option<T> {
        self.boards.see(schedule, |board| board.get().and_then(show))
    }

    /// What seats a schedule has.
    pub async fn plan(&self, schedule: ScheduleId) -> Result<Arc<Plan>, StoreError> {
        self.board(schedule).await?.plan(&self.postgres).await
    }

    /// The seats that are free now, rendered.
    pub async fn free_list(&self, schedule: ScheduleId) -> Result<Arc<FreeList>, StoreError> {
        match self.known(schedule, Instant::now(), Arc::clone) {
            Some(list) => Ok(list),
            // Apart, so that who does not need it does not carry it along.
            None => Box::pin(self.ask_for_list(schedule)).await,
        }
    }

    /// How many seats are free now.
    pub async fn free(&self, schedule: ScheduleId, now: Instant) -> Result<usize, StoreError> {
        match self.known(schedule, now, |list| list.free) {
            Some(free) => Ok(free),
            None => Ok(Box::pin(self.ask_for_list(schedule)).await?.free),
        }
    }

    /// What the list shows, if it is fresh. Waits for nobody: who finds it ageing first has it read again meanwhile.
    pub(crate) fn at_once<T>(
        &'static self,
        schedule: ScheduleId,
        now: Instant,
        show: impl FnOnce(&Arc<FreeList>) -> T,
    ) -> Option<T> {
        self.known_board(schedule, |board| {
            let shown = board.fresh(now, show)?;
            if board.is_to_be_renewed(now) {
                tokio::spawn(self.renew(Renewing(Arc::clone(board))));
            }
            Some(shown)
        })
    }

    async fn renew(&self, renewing: Renewing) {
        let board = &renewing.0;
        let _one_at_a_time = board.refreshing().await;
        if board.is_ageing(Instant::now())
            && let Err(error) = self.read_list(board).await
        {
            // Who asks when it is old is told.
            tracing::debug!(schedule.id = %board.schedule, %error, "a list of free seats could not be read again");
        }
    }

    /// How many are not sold, if this instance has seen it within the last moments; asks nobody.
    #[must_use]
    pub fn unsold_lately(&self, schedule: ScheduleId) -> Option<usize> {
        self.known_board(schedule, |board| board.unsold(LATELY))
    }

    /// What the list shows, if it is fresh.
    fn known<T>(&self, schedule: ScheduleId, now: Instant, show: impl FnOnce(&Arc<FreeList>) -> T) -> Option<T> {
        self.known_board(schedule, |board| board.fresh(now, show))
    }

    /// Of those who find the list old, one asks and the others wait for what it gets.
    async fn ask_for_list(&self, schedule: ScheduleId) -> Result<Arc<FreeList>, StoreError> {
        let board = self.board(schedule).await?;
        let _one_at_a_time = board.refreshing().await;
        match board.fresh(Instant::now(), Arc::clone) {
            Some(list) => Ok(list),
            None => self.read_list(&board).await,
        }
    }

    async fn read_list(&self, board: &Board) -> Result<Arc<FreeList>, StoreError> {
        let plan = board.plan(&self.postgres).await?;
        let asking = board.ask();
        let look = self.on_map(board, || store::look(&self.redis, &board.keys, asking.known())).await?;
        board.learn(asking, &plan, look)
    }

    /// All seats and what each is now, rendered.
    pub async fn seat_map(&self, schedule: ScheduleId) -> Result<Arc<SeatMap>, StoreError> {
        let list = self.free_list(schedule).await?;
        let board = self.board(schedule).await?;
        Ok(board.map(&*board.plan(&self.postgres).await?, &list))
    }

    /// Takes a seat for a while, if the holder's token is active, and keeps that alive to the hold's end.
    pub async fn hold(
        &self,
        schedule: ScheduleId,
        seat: SeatId,
        holder: &Holder,
        reservation: ReservationId,
        terms: HoldTerms,
    ) -> Result<Asked<Hold>, StoreError> {
        let board = self.board(schedule).await?;
        let Some(position) = board.plan(&self.postgres).await?.position(seat) else {
            return Ok(Asked::Answer(Hold::NoSeat));
        };
        let _changes = board.changing();
        self.on_map(&board, || store::hold(&board, holder, reservation, position, terms)).await
    }

    /// Likewise several seats, all or none, under as many of `ids` as are needed: there must be one for each.
    pub async fn hold_many(
        &self,
        schedule: ScheduleId,
        wanted: &Wanted,
        holder: &Holder,
        ids: &[ReservationId],
        terms: HoldTerms,
    ) -> Result<Asked<HoldMany>, StoreError> {
        let board = self.board(schedule).await?;
        let plan = board.plan(&self.postgres).await?;
        let (positions, rows) = match wanted {
            Wanted::Seats(seats) => match seats.iter().map(|seat| plan.position(*seat)).collect::<Option<Vec<u32>>>() {
                Some(positions) => (positions, ""),
                None => return Ok(Asked::Answer(HoldMany::NoSeat)),
            },
            Wanted::Best(_) => (Vec::new(), plan.rows()),
        };
        let _changes = board.changing();
        self.on_map(&board, || store::hold_many(&self.redis, &board, holder, ids, &positions, rows, terms)).await
    }

    /// One reservation of a user's, or all that it holds or is paying for in a schedule.
    pub async fn find(
        &self,
        schedule: ScheduleId,
        user: UserId,
        reservation: Option<ReservationId>,
    ) -> Result<Vec<Found>, StoreError> {
        let board = self.board(schedule).await?;
        self.on_map(&board, || store::find(&self.redis, &board.keys, user, reservation)).await
    }

    /// Gives up a hold at its owner's wish; for a token, if one is named, unless it is held under a later one.
    pub async fn release(
        &self,
        schedule: ScheduleId,
        user: UserId,
        reservation: ReservationId,
        token: Option<&str>,
    ) -> Result<Released, StoreError> {
        let board = self.board(schedule).await?;
        let _changes = board.changing();
        self.on_map(&board, || store::release(&self.redis, &board.keys, user, reservation, token)).await
    }

    /// The reservations that a user holds, or is paying for, in a schedule.
    pub async fn held(&self, schedule: ScheduleId, user: UserId) -> Result<Vec<Held>, StoreError> {
        let board = self.board(schedule).await?;
        self.on_map(&board, || store::held(&self.redis, &board.keys, user)).await
    }

    /// From here on nobody else takes the seat while money moves. It must be held under this token, if one is named.
    pub async fn begin_payment(
        &self,
        schedule: ScheduleId,
        user: UserId,
        reservation: ReservationId,
        token: Option<&str>,
    ) -> Result<Begun, StoreError> {
        let board = self.board(schedule).await?;
        let begin = || store::begin_payment(&board.calls, user, reservation, token);
        self.on_map(&board, begin).await
    }

    /// Tells the map how an attempt to pay ended. If it is sold, the token of this place ends, unless its user holds more.
    pub async fn finish_payment(
        &self,
        schedule: ScheduleId,
        attempt: &Attempt,
        outcome: Outcome,
        place: Option<u64>,
    ) -> Result<Finished, StoreError> {
        let board = self.board(schedule).await?;
        let _changes = board.changing();
        store::finish_payment(&board, attempt, outcome, place).await
    }

    /// Frees the seat of a reservation that was refunded, unless it has passed to another since.
    pub async fn refund(
        &self,
        schedule: ScheduleId,
        reservation: ReservationId,
        position: u32,
    ) -> Result<(), StoreError> {
        let board = self.board(schedule).await?;
        let _changes = board.changing();
        store::refund(&self.redis, &board.keys, Some(reservation), position).await
    }

    /// One bounded step of the scheduler for one schedule; none if its map is not in Redis.
    pub async fn sweep(&self, schedule: ScheduleId, suspicious: Duration) -> Result<Option<Sweep>, StoreError> {
        let board = self.board(schedule).await?;
        let swept = store::sweep(&self.redis, &board.keys, suspicious).await?;
        if swept.as_ref().is_some_and(|sweep| sweep.freed > 0) {
            board.changing();
        }
        Ok(swept)
    }

    /// Runs a script that needs the map; builds the map first where Redis has not got it.
    async fn on_map<T, Ran: Future<Output = Result<Option<T>, StoreError>>>(
        &self,
        board: &Board,
        run: impl Fn() -> Ran,
    ) -> Result<T, StoreError> {
        for tries in 0..LOAD_TRIES {
            if let Some(answer) = run().await? {
                return Ok(answer);
            }
            if tries > 0 {
                tokio::time::sleep(OUTRUN_PAUSE.mul_f64(f64::from(tries) * rand::random::<f64>())).await;
            }
            self.load(board).await?;
        }
        let source = format!("the seat map of schedule {} does not stay", board.schedule).into();
        Err(StoreError::Unavailable { store: "redis", source })
    }

    /// Builds a map: into Redis, closed; then from Postgres what is sold; then it is open. A payment or refund that commits
    /// before the reading is in it; one that commits later finds the map and leaves its own mark.
    async fn load(&self, board: &Board) -> Result<(), StoreError> {
        let _one_at_a_time = board.loading().await;
        let plan = board.plan(&self.postgres).await?;
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        if store::load(&self.redis, &board.keys, &nonce, plan.all_free()).await? {
            let again = store::count_building(&self.postgres, board.schedule).await?;
            let doubt = if again { UNDER_WAY } else { Duration::ZERO };
            let sold = store::sales(&self.postgres, board.schedule, &(0..u32::MAX)).await?;
            store::open(&self.redis, &board.keys, &nonce, doubt, &sold).await?;
            tracing::info!(schedule.id = %board.schedule, sold = sold.len(), "the seat map was built from Postgres");
        }
        Ok(())
    }
}
