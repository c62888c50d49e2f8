//! The scripts of `lua/seat/` and the statements of `src/payment/store.rs`, each as one step that nothing interrupts.

use crate::world::{
    Answer, Decision, Fences, Hold, IDS, Map, Mending, Postgres, Redis, SEATS, Sales, Seat, State, World,
};

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
    Refunded,
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
            Hold::Lapsed | Hold::Gone | Hold::Refunded => Beginning::Lapsed,
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
            if self.fences.refund_marked && state.redis.holds[id] == Hold::Refunded {
                return;
            }
            if let Some(other) = state.redis.by_seat[position].map(usize::from).filter(|other| *other != id) {
                self.end_hold(&mut state.redis, other, Hold::Gone, Seat::Sold);
            }
            self.end_hold(&mut state.redis, id, Hold::Sold, Seat::Sold);
            state.redis.by_seat[position] = u8::try_from(id).ok();
            state.redis.seats[position] = Seat::Sold;
            return;
        }
        let is_other = self.fences.finish_fenced && state.redis.attempts[id] != attempt;
        if state.redis.holds[id] != Hold::Paying || is_other {
            return;
        }
        if outcome == Decision::SeatSold {
            self.end_hold(&mut state.redis, id, Hold::Gone, Seat::Sold);
        } else if outcome == Decision::Refunded {
            self.end_hold(&mut state.redis, id, Hold::Refunded, Seat::Free);
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

    /// `seat.refund`, for a reservation.
    pub fn seat_refund(&self, redis: &mut Redis, id: usize) {
        let position = self.seat(id);
        if redis.map == Map::Missing {
            return;
        }
        self.end_hold(redis, id, Hold::Refunded, Seat::Free);
        if !self.fences.refund_fenced && redis.seats[position] == Seat::Sold {
            redis.by_seat[position] = None;
            redis.seats[position] = Seat::Free;
        }
    }

    /// `seat.load`: false if the map is there already.
    pub fn load(state: &mut State, loader: usize) -> bool {
        if state.redis.map == Map::Open {
            return false;
        }
        let kept = matches!(state.redis.map, Map::Former | Map::Loading(_, true));
        let seats = if kept { state.redis } else { Redis::EMPTY };
        state.redis = Redis { map: Map::Loading(loader, kept), ..seats };
        true
    }

    /// `seat.open`: nothing, if another loading took over.
    pub fn open(&self, state: &mut State, loader: usize, sales: Sales) {
        let redis = &mut state.redis;
        if !matches!(redis.map, Map::Loading(last, _) if last == loader) {
            return;
        }
        for (position, sale) in sales.into_iter().enumerate() {
            let Some(id) = sale else { continue };
            if self.fences.refund_marked && redis.holds[usize::from(id)] == Hold::Refunded {
                continue;
            }
            if redis.seats[position] == Seat::Sold {
                redis.by_seat[position].get_or_insert(id);
                continue;
            }
            if let Some(owner) = redis.by_seat[position] {
                let hold = if owner == id { Hold::Sold } else { Hold::Gone };
                self.end_hold(redis, owner.into(), hold, Seat::Sold);
            }
            redis.seats[position] = Seat::Sold;
            redis.by_seat[position] = Some(id);
        }
        redis.map = Map::Open;
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
        let has_row = fences.primary_key && tables.live[id] + tables.refunds[id] > 0;
        let has_row = has_row || self.is_stopped(tables, id, attempt);
        let is_sold = fences.seat_index && self.sales(tables)[self.seat(id)].is_some();
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
        if self.fences.tombstone && tables.live[id] + tables.refunds[id] == 0 {
            tables.tombstones[id] = tables.tombstones[id].max(attempt);
        }
    }

    /// `payment.refund`, the one statement.
    pub fn refund(&self, tables: &mut Postgres, id: usize) {
        let user = self.user(id);
        if tables.live[id] > 0 {
            tables.live[id] -= 1;
        } else if self.fences.refund_once {
            return;
        }
        tables.refunds[id] += 1;
        tables.balances[user] += 1;
    }

    /// `seat.sales`.
    pub fn sales(&self, tables: &Postgres) -> Sales {
        let mut sales = [None; SEATS];
        for id in (0..self.ids.len()).filter(|id| tables.live[*id] > 0) {
            sales[self.seat(id)] = u8::try_from(id).ok();
        }
        sales
    }

    /// What settling (`Seats::settle`) makes of a seat that Postgres has as sold to this one, or to nobody.
    pub fn mending(&self, redis: &Redis, seat: usize, sale: Option<u8>) -> Option<Mending> {
        if !self.fences.settle || redis.map != Map::Open {
            return None;
        }
        let (state, owner) = (redis.seats[seat], redis.by_seat[seat]);
        match sale {
            Some(_) if state == Seat::Sold || owner == sale && state == Seat::Paying => None,
            Some(id) => Some(Mending::Mark(id)),
            None => (state == Seat::Sold).then_some(Mending::Free(owner)),
        }
    }

    /// What settling does at last.
    pub fn mend(&self, state: &mut State, seat: usize, mending: Mending) {
        match mending {
            Mending::Mark(id) => self.finish_payment(state, id.into(), 0, Decision::Paid),
            Mending::Free(Some(id)) => self.seat_refund(&mut state.redis, id.into()),
            Mending::Free(None) => {
                if state.redis.by_seat[seat].is_none() && state.redis.seats[seat] == Seat::Sold {
                    state.redis.seats[seat] = Seat::Free;
                }
            }
        }
    }
}

/// `payment.find`. Without a primary key a row can have a later one beside it, which is not the one that is read.
pub fn find(tables: &Postgres, id: usize) -> Found {
    debug_assert!(id < IDS);
    if tables.tombstones[id] > 0 {
        Found::Tombstone(tables.tombstones[id])
    } else if tables.live[id] > 0 {
        Found::Paid
    } else if tables.refunds[id] > 0 {
        Found::Refunded
    } else {
        Found::Nothing
    }
}
