//! The scripts of `lua/seat/` and the statements of `src/payment/store.rs`, each as one step that nothing interrupts.

use crate::world::{Answer, Decision, Fences, Hold, IDS, Map, Postgres, Redis, SEATS, Seat, State, World};

/// What `seat.begin_payment` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    Missing,
    Unknown,
    Lapsed,
    Paying,
    Sold,
    /// With the attempt's number.
    Begun(u8),
}

/// What `payment.find` finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// With the attempt that it is for.
    Tombstone(u8),
    Paid,
}

impl World {
    /// `end_hold` of `lua/seat/map.lua`.
    fn end_hold(&self, redis: &mut Redis, id: usize, hold: Hold, seat: Seat) {
        let position = self.seat(id);
        if redis.by_seat[position].is_some_and(|holder| usize::from(holder) == id) {
            redis.by_seat[position] = None;
            redis.seats[position] = seat;
        }
        redis.holds[id] = hold;
    }

    /// `free_if_lapsed` of `lua/seat/map.lua`.
    fn free_if_lapsed(&self, state: &mut State, id: usize) {
        let hold = state.redis.holds[id];
        let can_lapse = hold == Hold::Held || (hold == Hold::Paying && !self.fences.endless_paying);
        if can_lapse && state.overdue[id] {
            self.end_hold(&mut state.redis, id, Hold::Lapsed, Seat::Free);
        }
    }

    /// `seat.hold`: the id must be new; true if it got the seat.
    pub fn hold(&self, state: &mut State, id: usize) -> bool {
        if state.redis.map != Map::Open {
            return false;
        }
        self.sweep(state);
        let position = self.seat(id);
        if state.redis.seats[position] != Seat::Free {
            return false;
        }
        state.redis.seats[position] = Seat::Held;
        state.redis.by_seat[position] = u8::try_from(id).ok();
        state.redis.holds[id] = Hold::Held;
        true
    }

    /// `seat.release`; true if the hold was given up.
    pub fn release(&self, state: &mut State, id: usize) -> bool {
        if state.redis.map != Map::Open {
            return false;
        }
        self.free_if_lapsed(state, id);
        let held = state.redis.holds[id] == Hold::Held;
        if held {
            self.end_hold(&mut state.redis, id, Hold::Gone, Seat::Free);
        }
        held
    }

    /// `seat.begin_payment`.
    pub fn begin_payment(&self, state: &mut State, id: usize) -> Beginning {
        if state.redis.map != Map::Open {
            return Beginning::Missing;
        }
        self.free_if_lapsed(state, id);
        match state.redis.holds[id] {
            Hold::None => Beginning::Unknown,
            Hold::Paying => Beginning::Paying,
            Hold::Sold => Beginning::Sold,
            Hold::Lapsed | Hold::Gone => Beginning::Lapsed,
            Hold::Held => {
                state.redis.holds[id] = Hold::Paying;
                state.redis.seats[self.seat(id)] = Seat::Paying;
                state.redis.attempts[id] += 1;
                Beginning::Begun(state.redis.attempts[id])
            }
        }
    }

    /// `seat.finish_payment`.
    pub fn finish_payment(&self, state: &mut State, id: usize, attempt: u8, outcome: Decision) {
        let position = self.seat(id);
        if state.redis.map == Map::Missing {
            return;
        }
        if outcome == Decision::Paid {
            if let Some(other) = state.redis.by_seat[position].map(usize::from).filter(|other| *other != id) {
                self.end_hold(&mut state.redis, other, Hold::Gone, Seat::Sold);
            }
            self.end_hold(&mut state.redis, id, Hold::Sold, Seat::Sold);
            state.redis.seats[position] = Seat::Sold;
            return;
        }
        let is_other = self.fences.finish_fenced && state.redis.attempts[id] != attempt;
        if state.redis.holds[id] != Hold::Paying || is_other {
            return;
        }
        if outcome == Decision::SeatSold {
            self.end_hold(&mut state.redis, id, Hold::Gone, Seat::Sold);
        } else if state.overdue[id] {
            self.end_hold(&mut state.redis, id, Hold::Lapsed, Seat::Free);
        } else {
            state.redis.holds[id] = Hold::Held;
            state.redis.seats[position] = Seat::Held;
        }
    }

    /// `seat.sweep`, its first half: frees what has lapsed. `seat.hold` and `seat.look` do so too, on their way.
    pub fn sweep(&self, state: &mut State) {
        for id in 0..self.ids.len() {
            self.free_if_lapsed(state, id);
        }
    }

    /// `seat.load`: false if the map is there already.
    pub fn load(state: &mut State, loader: usize, sold: [bool; SEATS]) -> bool {
        if state.redis.map == Map::Open {
            return false;
        }
        state.redis = Redis { map: Map::Loading(loader), ..Redis::EMPTY };
        mark(&mut state.redis, sold);
        true
    }

    /// `seat.open`: nothing, if another loading took over.
    pub fn open(state: &mut State, loader: usize, sold: [bool; SEATS]) {
        if state.redis.map == Map::Loading(loader) {
            mark(&mut state.redis, sold);
            state.redis.map = Map::Open;
        }
    }

    /// Whether a tombstone is in the way of an attempt.
    pub fn is_stopped(&self, tables: &Postgres, id: usize, attempt: u8) -> bool {
        let Fences { primary_key, pay_fenced, later_may_pass, .. } = self.fences;
        let tombstone = tables.tombstones[id];
        primary_key && pay_fenced && tombstone > 0 && (tombstone >= attempt || !later_may_pass)
    }

    /// `payment.pay`, the one statement.
    pub fn pay(&self, tables: &mut Postgres, id: usize, attempt: u8) -> Answer {
        let (fences, user) = (&self.fences, self.user(id));
        let is_short = tables.balances[user] < 1;
        if is_short && fences.conditional_debit {
            return Answer::Nothing;
        }
        let has_row = fences.primary_key && tables.live[id] > 0 || self.is_stopped(tables, id, attempt);
        let is_sold = fences.seat_index && self.sold(tables)[self.seat(id)];
        if has_row && (fences.primary_key_first || !is_sold) {
            return Answer::Nothing;
        }
        if is_sold {
            return Answer::SeatSold;
        }
        if is_short && fences.balance_check {
            return Answer::Nothing;
        }
        if fences.primary_key {
            tables.tombstones[id] = 0;
        }
        tables.balances[user] -= 1;
        tables.live[id] += 1;
        tables.payments[id] += 1;
        tables.debits[id] += 1;
        Answer::Paid
    }

    /// `payment.abort`: the tombstone.
    pub fn abort(&self, tables: &mut Postgres, id: usize, attempt: u8) {
        if self.fences.tombstone && tables.live[id] == 0 {
            tables.tombstones[id] = tables.tombstones[id].max(attempt);
        }
    }

    /// `seat.sold`.
    pub fn sold(&self, tables: &Postgres) -> [bool; SEATS] {
        let mut sold = [false; SEATS];
        for id in 0..self.ids.len() {
            sold[self.seat(id)] |= tables.live[id] > 0;
        }
        sold
    }

    /// A sale that the map has missed, so that settling it (`Seats::settle`) marks it there.
    pub fn is_missed(&self, state: &State, id: usize) -> bool {
        let is_sold = state.postgres.live[id] > 0 && state.redis.seats[self.seat(id)] != Seat::Sold;
        self.fences.settle && is_sold && state.redis.map == Map::Open
    }
}

/// `payment.find`. Without a primary key a row can have a later one beside it, which is not the one that is read.
pub fn find(tables: &Postgres, id: usize) -> Found {
    debug_assert!(id < IDS);
    if tables.tombstones[id] > 0 {
        Found::Tombstone(tables.tombstones[id])
    } else if tables.live[id] > 0 {
        Found::Paid
    } else {
        Found::Nothing
    }
}

fn mark(redis: &mut Redis, sold: [bool; SEATS]) {
    for (seat, sold) in redis.seats.iter_mut().zip(sold) {
        if sold {
            *seat = Seat::Sold;
        }
    }
}
