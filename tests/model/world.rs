//! What there is: the fences, the faults that may happen, the state of everything, and how all of it starts.

/// Users; user `n` is the holder of the reservations that a plan gives it.
pub const USERS: usize = 2;
/// Seats, at most.
pub const SEATS: usize = 2;
/// Reservation ids, at most.
pub const IDS: usize = 3;
/// Requests to pay that can be under way at once.
pub const PAYERS: usize = 2;
/// Instances that can build a map at once.
pub const LOADERS: usize = 2;

/// What keeps the protocol right. Each can be taken out, to see what it is for.
#[expect(clippy::struct_excessive_bools, reason = "each fence is there or not")]
#[derive(Debug, Clone, Copy)]
pub struct Fences {
    /// The unique index `reservation_seat_live`.
    pub seat_index: bool,
    /// The reservation id is the row's primary key; and `payment_history_reservation_unique`, which follows from it.
    pub primary_key: bool,
    /// A row that breaks both is found by its id. Postgres does so, unless the other row comes just in between.
    pub primary_key_first: bool,
    /// A tombstone stops its own attempt: `payment.pay` passes those of older attempts only.
    pub pay_fenced: bool,
    /// A tombstone stops no later attempt.
    pub later_may_pass: bool,
    /// `seat.finish_payment` ends no attempt but its own, unless it is paid.
    pub finish_fenced: bool,
    /// `PAYING` has no time limit.
    pub endless_paying: bool,
    /// Whoever does not know what became of an attempt puts a tombstone for it before asking: server and reconciler.
    pub tombstone: bool,
    /// A map is opened with a reading of Postgres that was made after it was put there, closed.
    pub read_after_load: bool,
    /// The bill's `balance >= price`.
    pub conditional_debit: bool,
    /// The wallet's `CHECK (balance >= 0)`, behind the condition.
    pub balance_check: bool,
    /// "Cannot pay" and "sold to another" are said only when `payment.find` finds no payment.
    pub ask_before_refusing: bool,
    /// A job marks seats that Postgres has as sold and the map has not, and frees those that only the map has so.
    pub settle: bool,
    /// Settling reads Postgres again before it acts.
    pub settle_twice_read: bool,
    /// A refund finds its reservation CONFIRMED, or gives nothing back.
    pub refund_once: bool,
    /// `seat.refund` frees a seat only while `by_seat` names its reservation.
    pub refund_fenced: bool,
    /// A reservation that `seat.refund` was run for is never marked as sold again.
    pub refund_marked: bool,
    /// A map that another Redis opened is told apart by its incarnation, and compared with Postgres before it answers.
    pub told_apart: bool,
    /// In a map built again, "no such reservation" and "lapsed" are said only when no statement from before can be under way
    /// any more (the map is older than a statement can get); until then "in progress".
    pub doubt_when_young: bool,
}

impl Fences {
    /// The program as it is.
    pub const AS_BUILT: Self = Self {
        seat_index: true,
        primary_key: true,
        primary_key_first: true,
        pay_fenced: true,
        later_may_pass: true,
        finish_fenced: true,
        endless_paying: true,
        tombstone: true,
        read_after_load: true,
        conditional_debit: true,
        balance_check: true,
        ask_before_refusing: true,
        settle: true,
        settle_twice_read: true,
        refund_once: true,
        refund_fenced: true,
        refund_marked: true,
        told_apart: true,
        doubt_when_young: true,
    };
}

/// How often each thing may happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// An instance dies, between any two steps of anything.
    pub crash: u8,
    /// Postgres' answer, to a payment or a tombstone, does not come; the statement runs later, or never.
    pub late: u8,
    /// Redis' answer to `seat.finish_payment` does not come, nor does the script run.
    pub deaf: u8,
    /// Redis is emptied.
    pub loss: u8,
    /// Redis goes back to an older state.
    pub stale: u8,
    /// A client asks again to pay.
    pub retry: u8,
    /// A holder gives up.
    pub release: u8,
    /// A hold's time is over.
    pub time: u8,
    /// A client asks for a refund.
    pub refund: u8,
    /// Settling acts upon what it read some steps ago. At one go it can be done at any time.
    pub slow: u8,
}

/// One world to explore.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// User and seat of each reservation id.
    pub ids: &'static [(usize, usize)],
    /// What each user has, in prices of a seat.
    pub balances: [i8; USERS],
    /// Instances that can build a map at once: 1 or 2.
    pub loaders: usize,
    pub budget: Budget,
    pub fences: Fences,
}

/// What a seat's byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seat {
    Free,
    Held,
    Paying,
    Sold,
}

/// What a hold's record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    None,
    Held,
    Paying,
    Sold,
    Lapsed,
    Gone,
    Refunded,
}

/// Whether there is a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Map {
    Missing,
    /// Another Redis' map, closed until it has been compared with Postgres.
    Former,
    /// Closed; the loader that put it there, and whether it is a former one that was kept.
    Loading(usize, bool),
    Open,
}

/// A schedule's seat map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Redis {
    pub map: Map,
    pub seats: [Seat; SEATS],
    pub by_seat: [Option<u8>; SEATS],
    pub holds: [Hold; IDS],
    /// How often paying was begun, as the hold's record has it.
    pub attempts: [u8; IDS],
}

/// The tables, by reservation id and by user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Postgres {
    /// Live rows under this id.
    pub live: [u8; IDS],
    /// The attempt that a tombstone is for; 0: there is none.
    pub tombstones: [u8; IDS],
    pub payments: [u8; IDS],
    pub debits: [u8; IDS],
    /// Those of the payments that were given back: their rows are CANCELLED.
    pub refunds: [u8; IDS],
    pub balances: [i8; USERS],
}

/// What `payment.pay` answers, or that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    Paid,
    /// No row: the wallet is short, or the reservation's row is in the way.
    Nothing,
    SeatSold,
    Unknown,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    Paid,
    Insufficient,
    SeatSold,
    /// Nothing is taken nor will be by this attempt: 503, the hold is what it was.
    Aborted,
    /// Paid before, and given back since: answered like paid, and the seat is free.
    Refunded,
}

/// Where a request to pay is, by what it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Begin,
    Pay,
    /// The payment's answer was lost: the tombstone.
    Abort,
    /// Not paid by this answer: what does Postgres have?
    Ask(Answer),
    /// The hold is not there to be paid, or (none) is being paid: was it paid before?
    Replay(Option<Refusal>),
    Finish(Decision),
}

/// A request to pay, in one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payer {
    pub id: usize,
    /// 0 until paying has begun.
    pub attempt: u8,
    pub step: Step,
}

/// A suspicious attempt in a reconciler's hands, by what it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reconciler {
    Abort(u8),
    Find(u8),
    Finish(u8, Decision),
}

/// To whom each seat is sold, as Postgres has it.
pub type Sales = [Option<u8>; SEATS];

/// An instance that builds a map, by what it has done; with the sales that it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loader {
    /// Only without `read_after_load`.
    ReadEarly(Sales),
    Loaded,
    Read(Sales),
}

/// What settling does to a seat of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mending {
    /// `seat.finish_payment`: it is sold to this one.
    Mark(u8),
    /// `seat.refund`, for this one or for nobody whom the map knows.
    Free(Option<u8>),
}

/// A settling of a seat that takes its time, by what it has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settler {
    /// Has read in Postgres to whom the seat is sold.
    Read(Option<u8>),
    /// Has seen the map, which differs.
    AtOdds(Mending),
    /// Has read in Postgres again.
    Decided(Mending),
}

/// A definite answer that is not "paid".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    Insufficient,
    Taken,
    Lapsed,
    NotFound,
}

/// What was ever answered to a request to pay. 503 is not kept: it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Told(u8);

impl Told {
    const PAID: u8 = 1 << 4;

    pub fn paid(&mut self) {
        self.0 |= Self::PAID;
    }

    pub fn refused(&mut self, why: Refusal) {
        self.0 |= 1 << why as u8;
    }

    pub fn was_paid(self) -> bool {
        self.0 & Self::PAID != 0
    }

    pub fn was_refused(self, why: Refusal) -> bool {
        self.0 & (1 << why as u8) != 0
    }
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub redis: Redis,
    /// What Redis may go back to.
    pub older: Option<Redis>,
    pub went_back: bool,
    pub postgres: Postgres,
    pub payers: [Option<Payer>; PAYERS],
    /// Statements that have been sent and whose sender no longer listens: payments, tombstones; a bit for each attempt.
    pub late: [u8; IDS],
    pub late_aborts: [u8; IDS],
    pub reconcilers: [Option<Reconciler>; IDS],
    pub loaders: [Option<Loader>; LOADERS],
    /// Refunds of which Postgres has decided, and the map is yet to be told.
    pub refunds: [bool; IDS],
    /// With the seat that it is about.
    pub settler: Option<(usize, Settler)>,
    /// Ids that `seat.hold` was given; whose time is over; that were given up; for which payment was asked.
    pub given: [bool; IDS],
    pub overdue: [bool; IDS],
    pub given_up: [bool; IDS],
    pub asked: [bool; IDS],
    pub told: [Told; IDS],
    pub left: Budget,
}

impl World {
    /// An open map, nothing sold.
    pub fn start(&self) -> State {
        State {
            redis: Redis { map: Map::Open, ..Redis::EMPTY },
            older: None,
            went_back: false,
            postgres: Postgres {
                live: [0; IDS],
                tombstones: [0; IDS],
                payments: [0; IDS],
                debits: [0; IDS],
                refunds: [0; IDS],
                balances: self.balances,
            },
            payers: [None; PAYERS],
            late: [0; IDS],
            late_aborts: [0; IDS],
            reconcilers: [None; IDS],
            loaders: [None; LOADERS],
            refunds: [false; IDS],
            settler: None,
            given: [false; IDS],
            overdue: [false; IDS],
            given_up: [false; IDS],
            asked: [false; IDS],
            told: [Told::default(); IDS],
            left: self.budget,
        }
    }

    pub fn user(&self, id: usize) -> usize {
        self.ids[id].0
    }

    pub fn seat(&self, id: usize) -> usize {
        self.ids[id].1
    }
}

impl Redis {
    pub const EMPTY: Self = Self {
        map: Map::Missing,
        seats: [Seat::Free; SEATS],
        by_seat: [None; SEATS],
        holds: [Hold::None; IDS],
        attempts: [0; IDS],
    };
}
