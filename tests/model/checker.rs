//! What must hold in every state, and the search through all of them.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model, Path, Property};

use crate::action::Action;
use crate::protocol::find;
use crate::steps::reconciled;
use crate::world::{Hold, IDS, Map, Refusal, Seat, State, USERS, World};

/// What must hold, by name.
pub const ONE_SALE: &str = "a seat has one live reservation";
pub const MONEY: &str = "balance and debits add up, and no balance is below 0";
pub const WHOLE: &str = "a payment is one reservation and one debit, and given back at most once";
pub const STORED: &str = "what was acknowledged is stored";
pub const ENDS: &str = "a seat held or paid for has a hold that ends, and a seat sold has none";
pub const FINISHED: &str = "no payment is left unfinished";
pub const MAP_KNOWS: &str = "what is sold is sold in the map";
pub const MAP_TRUE: &str = "what is sold in the map is sold";
pub const SHORT_TRUE: &str = "INSUFFICIENT_BALANCE is never said of what is paid";
pub const TAKEN_TRUE: &str = "SEAT_TAKEN is never said of what is paid";
pub const LAPSED_TRUE: &str = "RESERVATION_EXPIRED is never said of what is paid";
pub const NOT_FOUND_TRUE: &str = "RESERVATION_NOT_FOUND is never said of what is paid";
/// Not safety but kindness. The first two are looked at while Redis has lost nothing.
pub const KEPT: &str = "a hold within its time ends by nothing but its holder";
pub const PAYABLE: &str = "who holds a seat can pay for it next time";
pub const NO_TILL: &str = "nobody who holds a seat is told at the till that it is taken";

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        self.after(before, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = |name, holds: fn(&Self, &State) -> bool| Property::always(name, holds);
        vec![
            always(ONE_SALE, |world, state| {
                let live = |seat| {
                    (0..world.ids.len()).filter(move |id| world.seat(*id) == seat).map(|id| state.postgres.live[id])
                };
                (0..state.redis.seats.len()).all(|seat| live(seat).sum::<u8>() <= 1)
            }),
            always(MONEY, World::money_adds_up),
            always(WHOLE, |_, state| {
                let tables = &state.postgres;
                tables.payments == tables.debits
                    && (0..IDS).all(|id| tables.payments[id] == tables.live[id] + tables.refunds[id])
                    && tables.payments.iter().all(|payments| *payments <= 1)
            }),
            always(STORED, |_, state| (0..IDS).all(|id| !state.told[id].was_paid() || state.postgres.payments[id] > 0)),
            always(ENDS, |_, state| {
                let redis = &state.redis;
                redis.seats.iter().zip(redis.by_seat).all(|(seat, holder)| {
                    let hold = holder.map(|id| redis.holds[usize::from(id)]);
                    match seat {
                        Seat::Held => hold == Some(Hold::Held),
                        Seat::Paying => hold == Some(Hold::Paying),
                        Seat::Sold => !matches!(hold, Some(Hold::Held | Hold::Paying)),
                        Seat::Free => hold.is_none(),
                    }
                })
            }),
            always(FINISHED, |world, state| {
                let rest = world.at_rest(state);
                rest.is_none_or(|rest| {
                    !rest.redis.holds.contains(&Hold::Paying) && !rest.redis.seats.contains(&Seat::Paying)
                })
            }),
            always(MAP_KNOWS, |world, state| {
                world.at_rest(state).is_none_or(|rest| {
                    let sales = world.sales(&rest.postgres);
                    rest.redis.seats.iter().zip(sales).all(|(seat, sale)| sale.is_none() || *seat == Seat::Sold)
                })
            }),
            always(MAP_TRUE, World::map_is_true),
            always(SHORT_TRUE, |_, state| is_true(state, Refusal::Insufficient)),
            always(TAKEN_TRUE, |_, state| is_true(state, Refusal::Taken)),
            always(LAPSED_TRUE, |_, state| is_true(state, Refusal::Lapsed)),
            always(NOT_FOUND_TRUE, |_, state| is_true(state, Refusal::NotFound)),
            always(KEPT, |world, state| {
                world.has_lost(state)
                    || (0..IDS).filter(|id| !state.overdue[*id] && !state.given_up[*id]).all(|id| {
                        !matches!(state.redis.holds[id], Hold::Lapsed | Hold::Gone)
                            && !state.told[id].was_refused(Refusal::Lapsed)
                    })
            }),
            always(PAYABLE, |world, state| {
                let is_stopped = |id| {
                    let tables = &state.postgres;
                    tables.refunds[id] > 0 || world.is_stopped(tables, id, state.redis.attempts[id] + 1)
                };
                world.has_lost(state) || (0..IDS).all(|id| state.redis.holds[id] != Hold::Held || !is_stopped(id))
            }),
            always(NO_TILL, |_, state| !state.told.iter().any(|told| told.was_refused(Refusal::Taken))),
        ]
    }
}

/// A reservation is never paid whose holder was refused for this reason.
fn is_true(state: &State, why: Refusal) -> bool {
    (0..IDS).all(|id| !state.told[id].was_refused(why) || state.postgres.payments[id] == 0)
}

impl World {
    fn money_adds_up(&self, state: &State) -> bool {
        let tables = &state.postgres;
        let sum = |of: [u8; IDS], user| {
            let of_user = (0..self.ids.len()).filter(|id| self.user(*id) == user).map(|id| of[id]);
            of_user.map(i16::from).sum::<i16>()
        };
        (0..USERS).all(|user| {
            let taken = sum(tables.debits, user) - sum(tables.refunds, user);
            let (before, now) = (i16::from(self.balances[user]), i16::from(tables.balances[user]));
            now >= 0 && taken == before - now
        })
    }

    /// At any time; where there are refunds, of which the map learns a moment later, at rest.
    fn map_is_true(&self, state: &State) -> bool {
        let is_true = |state: State| {
            let sales = self.sales(&state.postgres);
            state.redis.seats.iter().zip(sales).all(|(seat, sale)| sale.is_some() || *seat != Seat::Sold)
        };
        if self.budget.refund == 0 { is_true(*state) } else { self.at_rest(state).is_none_or(is_true) }
    }

    pub fn has_lost(&self, state: &State) -> bool {
        state.went_back || state.left.loss < self.budget.loss
    }

    /// Nothing is under way any more, and the jobs have run: the state then, if that is so.
    fn at_rest(&self, state: &State) -> Option<State> {
        let busy = state.payers.iter().any(Option::is_some)
            || state.late.iter().chain(&state.late_aborts).any(|late| *late > 0)
            || state.reconcilers.iter().any(Option::is_some)
            || state.loaders.iter().any(Option::is_some)
            || state.refunds.contains(&true)
            || state.settler.is_some();
        if busy || state.redis.map != Map::Open {
            return None;
        }
        let mut state = *state;
        self.sweep(&mut state);
        for id in 0..self.ids.len() {
            if state.redis.holds[id] == Hold::Paying {
                let attempt = state.redis.attempts[id];
                self.abort(&mut state.postgres, id, attempt);
                let outcome = reconciled(find(&state.postgres, id));
                self.finish_payment(&mut state, id, attempt, outcome);
            }
        }
        self.sweep(&mut state);
        for (seat, sale) in self.sales(&state.postgres).into_iter().enumerate() {
            if let Some(mending) = self.mending(&state.redis, seat, sale) {
                self.mend(&mut state, seat, mending);
            }
        }
        Some(state)
    }
}

/// Goes through every state that a world can come to, breadth first; tells which properties can be broken.
pub fn explore(world: World) -> BTreeSet<&'static str> {
    let started = Instant::now();
    let checker = world.checker().spawn_bfs().join();
    // Shown by `cargo test --test model -- --nocapture`, and where a test fails.
    eprintln!("{} states, to {} steps, {:.1?}", checker.unique_state_count(), checker.max_depth(), started.elapsed());
    let broken: BTreeSet<_> = checker.discoveries().into_keys().collect();
    for name in &broken {
        tell(world, name);
    }
    broken
}

/// Tells a short way to break a property. The whole search keeps the last that it meets, so this is another, which ends
/// soon after the first.
fn tell(world: World, name: &'static str) {
    let first = HasDiscoveries::AllOf(BTreeSet::from([name]));
    let checker = world.checker().finish_when(first).spawn_bfs().join();
    let holds = world.property(name).condition;
    eprintln!("  broken: {name}");
    for (state, action) in checker.discovery(name).into_iter().flat_map(Path::into_vec) {
        let Some(action) = action.filter(|_| holds(&world, &state)) else { break };
        eprintln!("    {}", world.name(&state, action));
    }
}

/// Goes through all states, where exactly these properties must turn out to be breakable.
#[track_caller]
pub fn expect_broken(world: World, expected: &[&'static str]) {
    assert_eq!(explore(world), expected.iter().copied().collect(), "the properties that can be broken");
}
