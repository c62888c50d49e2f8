//! Who takes which step when, and what goes wrong in between.

use crate::action::Action;
use crate::protocol::{Beginning, Found, find};
use crate::world::{
    Answer, Decision, Hold, IDS, Loader, Map, Mending, Payer, Reconciler, Redis, Refusal, Settler, State, Step, World,
};

impl World {
    fn free_slot(state: &State) -> Option<usize> {
        state.payers.iter().position(Option::is_none)
    }

    /// Every step that can be taken now.
    pub fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for id in 0..self.ids.len() {
            let asks = state.given[id] && (!state.asked[id] || left.retry > 0);
            let steps = [
                (!state.given[id] && state.redis.map == Map::Open, Action::Hold(id)),
                (state.redis.holds[id] == Hold::Held && left.release > 0, Action::Release(id)),
                (asks && Self::free_slot(state).is_some(), Action::Request(id)),
                (state.given[id] && !state.overdue[id] && left.time > 0, Action::TimePasses(id)),
                (state.postgres.payments[id] > 0 && !state.refunds[id] && left.refund > 0, Action::Refund(id)),
                (state.refunds[id], Action::SeatRefund(id)),
                (state.refunds[id] && left.crash > 0, Action::CrashRefund(id)),
            ];
            actions.extend(steps.into_iter().filter_map(|(can, step)| can.then_some(step)));
            for attempt in 1..8 {
                if is_sent(state.late[id], attempt) {
                    actions.extend([Action::PayLate(id, attempt), Action::PayNever(id, attempt)]);
                }
                if is_sent(state.late_aborts[id], attempt) {
                    actions.extend([Action::AbortLate(id, attempt), Action::AbortNever(id, attempt)]);
                }
            }
        }
        let steps = [
            (state.redis.map == Map::Open && state.overdue != [false; IDS], Action::Sweep),
            (left.loss > 0 && state.redis.map != Map::Missing, Action::RedisLost),
            (left.stale > 0 && state.redis.map == Map::Open, Action::RedisSaved),
            (left.stale > 0 && state.older.is_some(), Action::RedisGoesBack),
        ];
        actions.extend(steps.into_iter().filter_map(|(can, step)| can.then_some(step)));
        Self::payer_actions(state, actions);
        self.job_actions(state, actions);
        self.settling_actions(state, actions);
    }

    /// The state after a step; none if nothing changes.
    pub fn after(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::BeginPayment(slot)
            | Action::Pay(slot)
            | Action::Abort(slot)
            | Action::AbortLost(slot)
            | Action::Find(slot)
            | Action::FinishPayment(slot)
            | Action::FinishLost(slot)
            | Action::Crash(slot)
            | Action::CrashAfterSending(slot)
            | Action::AnswerLost(slot) => self.pay_step(&mut state, slot, action)?,
            _ => self.step(&mut state, action)?,
        }
        // Which place a request has does not matter, nor what Redis cannot go back to any more.
        state.payers.sort_unstable();
        if state.left.stale == 0 {
            state.older = None;
        }
        (state != *before).then_some(state)
    }

    fn payer_actions(state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for (slot, payer) in state.payers.iter().enumerate() {
            let Some(Payer { step, .. }) = payer else { continue };
            match step {
                Step::Begin if state.redis.map != Map::Open => {}
                Step::Begin => actions.push(Action::BeginPayment(slot)),
                Step::Pay => {
                    actions.push(Action::Pay(slot));
                    actions.extend((left.crash > 0).then_some(Action::CrashAfterSending(slot)));
                    actions.extend((left.late > 0).then_some(Action::AnswerLost(slot)));
                }
                Step::Abort => {
                    actions.push(Action::Abort(slot));
                    actions.extend((left.late > 0).then_some(Action::AbortLost(slot)));
                }
                Step::Ask(_) | Step::Replay(_) => actions.push(Action::Find(slot)),
                Step::Finish(_) => {
                    actions.push(Action::FinishPayment(slot));
                    actions.extend((left.deaf > 0).then_some(Action::FinishLost(slot)));
                }
            }
            // Before it has begun, or once it only asks, a request that dies is a request that gets no answer.
            if left.crash > 0 && matches!(step, Step::Pay | Step::Abort | Step::Ask(_) | Step::Finish(_)) {
                actions.push(Action::Crash(slot));
            }
        }
    }

    fn job_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for (id, reconciler) in state.reconcilers.iter().enumerate() {
            match reconciler {
                None if state.redis.map == Map::Open && state.redis.holds[id] == Hold::Paying => {
                    actions.push(Action::SweepNames(id));
                }
                None => {}
                Some(Reconciler::Abort(_)) => {
                    actions.push(Action::ReconcilerAborts(id));
                    actions.extend((left.late > 0).then_some(Action::ReconcilerAbortLost(id)));
                }
                Some(Reconciler::Find(_)) => actions.push(Action::ReconcilerFinds(id)),
                Some(Reconciler::Finish(..)) => actions.push(Action::ReconcilerFinishes(id)),
            }
            actions.extend((left.crash > 0 && reconciler.is_some()).then_some(Action::CrashReconciler(id)));
        }
        for (number, loader) in state.loaders[..self.loaders].iter().enumerate() {
            match loader {
                // Of the places of loaders that are free, one is as good as another.
                None if state.redis.map != Map::Open && state.loaders[..number].iter().all(Option::is_some) => {
                    let first = if self.fences.read_after_load { Action::Load } else { Action::Sales };
                    actions.push(first(number));
                }
                None => {}
                Some(Loader::ReadEarly(_)) => actions.push(Action::Load(number)),
                Some(Loader::Loaded) => actions.push(Action::Sales(number)),
                Some(Loader::Read(_)) => actions.push(Action::Open(number)),
            }
            actions.extend((left.crash > 0 && loader.is_some()).then_some(Action::CrashLoader(number)));
        }
    }

    fn settling_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let sales = self.sales(&state.postgres);
        for id in 0..self.ids.len() {
            let seat = self.seat(id);
            let is_first = (0..id).all(|other| self.seat(other) != seat);
            if is_first && self.mending(&state.redis, seat, sales[seat]).is_some() {
                actions.push(Action::Settle(seat));
            }
            if is_first && self.fences.settle && state.left.slow > 0 && state.settler.is_none() {
                actions.push(Action::SettlerReads(seat));
            }
        }
        actions.extend(state.settler.map(|(_, settler)| match settler {
            Settler::Read(_) => Action::SettlerLooks,
            Settler::AtOdds(_) => Action::SettlerReadsAgain,
            Settler::Decided(_) => Action::SettlerMends,
        }));
    }

    /// A step of the request in this place.
    fn pay_step(&self, state: &mut State, slot: usize, action: Action) -> Option<()> {
        let Payer { id, mut attempt, step } = state.payers[slot]?;
        let next = match (action, step) {
            (Action::BeginPayment(_), _) => match self.begin_payment(state, id) {
                Beginning::Missing => return None,
                Beginning::Begun(number) => {
                    attempt = number;
                    Some(Step::Pay)
                }
                Beginning::Paying => Some(Step::Replay(None)),
                Beginning::Lapsed => Some(Step::Replay(Some(Refusal::Lapsed))),
                Beginning::Unknown | Beginning::Sold => Some(Step::Replay(Some(Refusal::NotFound))),
            },
            (Action::Pay(_), _) => Some(match self.pay(&mut state.postgres, id, attempt) {
                Answer::Paid => Step::Finish(Decision::Paid),
                answer if self.fences.ask_before_refusing => Step::Ask(answer),
                answer => Step::Finish(refused(answer, Found::Nothing, attempt)),
            }),
            (Action::AnswerLost(_), _) => {
                state.left.late -= 1;
                state.late[id] |= 1 << attempt;
                Some(if self.fences.tombstone { Step::Abort } else { Step::Ask(Answer::Unknown) })
            }
            (Action::Abort(_), _) => {
                self.abort(&mut state.postgres, id, attempt);
                Some(Step::Ask(Answer::Unknown))
            }
            // Answered with 503; the seat stays as it is, for the reconciler.
            (Action::AbortLost(_), _) => {
                state.left.late -= 1;
                state.late_aborts[id] |= 1 << attempt;
                None
            }
            (Action::CrashAfterSending(_), _) => {
                state.left.crash -= 1;
                state.late[id] |= 1 << attempt;
                None
            }
            (Action::Crash(_), _) => {
                state.left.crash -= 1;
                None
            }
            (Action::Find(_), Step::Replay(why)) => {
                self.replay(state, id, why);
                None
            }
            (Action::Find(_), Step::Ask(answer)) => Some(Step::Finish(match find(&state.postgres, id) {
                Found::Paid => Decision::Paid,
                Found::Refunded => Decision::Refunded,
                found => refused(answer, found, attempt),
            })),
            (_, Step::Finish(decision)) => {
                if action == Action::FinishLost(slot) {
                    state.left.deaf -= 1;
                } else {
                    self.finish_payment(state, id, attempt, decision);
                }
                match decision {
                    Decision::Paid | Decision::Refunded => state.told[id].paid(),
                    Decision::Insufficient => state.told[id].refused(Refusal::Insufficient),
                    Decision::SeatSold => state.told[id].refused(Refusal::Taken),
                    Decision::Aborted => {}
                }
                None
            }
            _ => return None,
        };
        state.payers[slot] = next.map(|step| Payer { id, attempt, step });
        Some(())
    }

    /// What a request is told that finds nothing to be paid.
    fn replay(&self, state: &mut State, id: usize, why: Option<Refusal>) {
        let is_denial = matches!(why, Some(Refusal::NotFound | Refusal::Lapsed));
        let doubt = self.fences.doubt_when_young && is_denial && self.has_lost(state);
        if matches!(find(&state.postgres, id), Found::Paid | Found::Refunded) {
            state.told[id].paid();
        } else if let Some(why) = why.filter(|_| !(doubt && is_under_way(state, id))) {
            state.told[id].refused(why);
        }
    }

    /// Any other step.
    fn step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Hold(id) => state.given[id] = self.hold(state, id),
            Action::Release(id) => {
                state.left.release -= 1;
                self.release(state, id).then_some(())?;
                state.given_up[id] = true;
            }
            Action::Request(id) => {
                state.left.retry -= u8::from(state.asked[id]);
                state.asked[id] = true;
                state.payers[Self::free_slot(state)?] = Some(Payer { id, attempt: 0, step: Step::Begin });
            }
            Action::Sweep => self.sweep(state),
            Action::Refund(id) => {
                state.left.refund -= 1;
                self.refund(&mut state.postgres, id);
                state.refunds[id] = true;
            }
            Action::SeatRefund(id) => {
                state.refunds[id] = false;
                self.seat_refund(&mut state.redis, id);
            }
            Action::CrashRefund(id) => {
                state.left.crash -= 1;
                state.refunds[id] = false;
            }
            Action::Load(loader) => {
                let read = state.loaders[loader].take();
                if Self::load(state, loader) {
                    let early = |read| if let Loader::ReadEarly(sales) = read { Some(sales) } else { None };
                    state.loaders[loader] = Some(read.and_then(early).map_or(Loader::Loaded, Loader::Read));
                }
            }
            Action::Sales(loader) => {
                let sales = self.sales(&state.postgres);
                let is_early = state.loaders[loader].is_none();
                state.loaders[loader] = Some(if is_early { Loader::ReadEarly(sales) } else { Loader::Read(sales) });
            }
            Action::Open(loader) => {
                let Some(Loader::Read(sales)) = state.loaders[loader].take() else { return None };
                self.open(state, loader, sales);
            }
            Action::TimePasses(id) => {
                state.left.time -= 1;
                state.overdue[id] = true;
            }
            Action::CrashLoader(loader) => {
                state.left.crash -= 1;
                state.loaders[loader] = None;
            }
            Action::RedisLost => {
                state.left.loss -= 1;
                state.redis = Redis::EMPTY;
            }
            Action::RedisSaved => state.older = Some(state.redis),
            Action::RedisGoesBack => {
                state.left.stale -= 1;
                state.redis = state.older.take()?;
                state.redis.map = if self.fences.told_apart { Map::Former } else { Map::Open };
                state.went_back = true;
            }
            Action::Settle(_)
            | Action::SettlerReads(_)
            | Action::SettlerLooks
            | Action::SettlerReadsAgain
            | Action::SettlerMends => self.settling_step(state, action)?,
            _ => self.deciding_step(state, action)?,
        }
        Some(())
    }

    /// A step of the job that settles a seat.
    fn settling_step(&self, state: &mut State, action: Action) -> Option<()> {
        let sale = |state: &State, seat: usize| self.sales(&state.postgres)[seat];
        match (action, state.settler.take()) {
            (Action::Settle(seat), other) => {
                state.settler = other;
                let mending = self.mending(&state.redis, seat, sale(state, seat))?;
                self.mend(state, seat, mending);
            }
            (Action::SettlerReads(seat), None) => {
                state.left.slow -= 1;
                state.settler = Some((seat, Settler::Read(sale(state, seat))));
            }
            (Action::SettlerLooks, Some((seat, Settler::Read(sale)))) => {
                let mending = self.mending(&state.redis, seat, sale);
                let next = if self.fences.settle_twice_read { Settler::AtOdds } else { Settler::Decided };
                state.settler = mending.map(|mending| (seat, next(mending)));
            }
            (Action::SettlerReadsAgain, Some((seat, Settler::AtOdds(mending)))) => {
                let is_still_so = match mending {
                    Mending::Mark(id) => sale(state, seat) == Some(id),
                    Mending::Free(_) => sale(state, seat).is_none(),
                };
                state.settler = is_still_so.then_some((seat, Settler::Decided(mending)));
            }
            (Action::SettlerMends, Some((seat, Settler::Decided(mending)))) => self.mend(state, seat, mending),
            _ => return None,
        }
        Some(())
    }

    /// A step that decides an attempt whose sender does not: a late statement, the reconciler.
    fn deciding_step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::PayLate(id, attempt) => {
                state.late[id] &= !(1 << attempt);
                self.pay(&mut state.postgres, id, attempt);
            }
            Action::PayNever(id, attempt) => state.late[id] &= !(1 << attempt),
            Action::AbortLate(id, attempt) => {
                state.late_aborts[id] &= !(1 << attempt);
                self.abort(&mut state.postgres, id, attempt);
            }
            Action::AbortNever(id, attempt) => state.late_aborts[id] &= !(1 << attempt),
            Action::SweepNames(id) => {
                let first = if self.fences.tombstone { Reconciler::Abort } else { Reconciler::Find };
                state.reconcilers[id] = Some(first(state.redis.attempts[id]));
            }
            Action::ReconcilerAborts(id) => {
                let Some(Reconciler::Abort(attempt)) = state.reconcilers[id] else { return None };
                self.abort(&mut state.postgres, id, attempt);
                state.reconcilers[id] = Some(Reconciler::Find(attempt));
            }
            Action::ReconcilerAbortLost(id) => {
                let Some(Reconciler::Abort(attempt)) = state.reconcilers[id].take() else { return None };
                state.left.late -= 1;
                state.late_aborts[id] |= 1 << attempt;
            }
            Action::ReconcilerFinds(id) => {
                let Some(Reconciler::Find(attempt)) = state.reconcilers[id] else { return None };
                state.reconcilers[id] = Some(Reconciler::Finish(attempt, reconciled(find(&state.postgres, id))));
            }
            Action::ReconcilerFinishes(id) => {
                let Some(Reconciler::Finish(attempt, outcome)) = state.reconcilers[id].take() else { return None };
                self.finish_payment(state, id, attempt, outcome);
            }
            Action::CrashReconciler(id) => {
                state.left.crash -= 1;
                state.reconcilers[id] = None;
            }
            _ => return None,
        }
        Some(())
    }
}

/// A payment for this reservation is to be sent, or was and has not ended.
fn is_under_way(state: &State, id: usize) -> bool {
    let is_to_pay = |payer: &Payer| payer.id == id && payer.step == Step::Pay;
    state.late[id] > 0 || state.payers.iter().flatten().any(is_to_pay)
}

fn is_sent(late: u8, attempt: u8) -> bool {
    late & 1 << attempt != 0
}

/// What the server makes of an attempt for which Postgres has no payment.
fn refused(answer: Answer, found: Found, attempt: u8) -> Decision {
    match (answer, found) {
        (Answer::SeatSold, _) => Decision::SeatSold,
        (Answer::Nothing, Found::Tombstone(number)) if number >= attempt => Decision::Aborted,
        (Answer::Nothing, _) => Decision::Insufficient,
        (Answer::Unknown | Answer::Paid, _) => Decision::Aborted,
    }
}

/// What the reconciler makes of what Postgres has.
pub fn reconciled(found: Found) -> Decision {
    match found {
        Found::Paid => Decision::Paid,
        Found::Refunded => Decision::Refunded,
        Found::Tombstone(_) | Found::Nothing => Decision::Aborted,
    }
}
