//! Who takes which step when, and what goes wrong in between.

use crate::action::Action;
use crate::protocol::{Beginning, Found, find};
use crate::world::{Decision, Hold, IDS, Loader, Map, Payer, Reconciler, Redis, Refusal, State, Step, World};

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
                (state.late[id] > 0, Action::PayLate(id)),
                (state.late[id] > 0, Action::PayNever(id)),
            ];
            actions.extend(steps.into_iter().filter_map(|(can, step)| can.then_some(step)));
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
    }

    /// The state after a step; none if nothing changes.
    pub fn after(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::BeginPayment(slot)
            | Action::Pay(slot)
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
                Step::Ask | Step::AskBeforeRefusing(_) | Step::Replay(_) => actions.push(Action::Find(slot)),
                Step::Finish(_) => {
                    actions.push(Action::FinishPayment(slot));
                    actions.extend((left.deaf > 0).then_some(Action::FinishLost(slot)));
                }
            }
            // Before it has begun, or once it only asks, a request that dies is a request that gets no answer.
            if left.crash > 0 && matches!(step, Step::Pay | Step::Ask | Step::Finish(_)) {
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
                Some(Reconciler::Abort) => actions.push(Action::Abort(id)),
                Some(Reconciler::Find) => actions.push(Action::ReconcilerFinds(id)),
                Some(Reconciler::Finish(_)) => actions.push(Action::ReconcilerFinishes(id)),
            }
            actions.extend((left.crash > 0 && reconciler.is_some()).then_some(Action::CrashReconciler(id)));
        }
        for (number, loader) in state.loaders[..self.loaders].iter().enumerate() {
            match loader {
                // Of the places of loaders that are free, one is as good as another.
                None if state.redis.map != Map::Open && state.loaders[..number].iter().all(Option::is_some) => {
                    actions.push(Action::Sold(number));
                }
                None => {}
                Some(Loader::Read(_)) => actions.push(Action::Load(number)),
                Some(Loader::Loaded(_)) => actions.push(Action::SoldAgain(number)),
                Some(Loader::ReadAgain(_)) => actions.push(Action::Open(number)),
            }
            actions.extend((left.crash > 0 && loader.is_some()).then_some(Action::CrashLoader(number)));
        }
    }

    /// A step of the request in this place.
    fn pay_step(&self, state: &mut State, slot: usize, action: Action) -> Option<()> {
        let Payer { id, step } = state.payers[slot]?;
        let next = match (action, step) {
            (Action::BeginPayment(_), _) => match self.begin_payment(state, id) {
                Beginning::Missing => return None,
                Beginning::Begun => Some(Step::Pay),
                Beginning::Paying => None,
                Beginning::Lapsed => Some(Step::Replay(Refusal::Lapsed)),
                Beginning::Unknown | Beginning::Sold => Some(Step::Replay(Refusal::NotFound)),
            },
            (Action::Pay(_), _) => match self.pay(&mut state.postgres, id) {
                None => Some(Step::Ask),
                Some(decision @ (Decision::Insufficient | Decision::SeatSold)) if self.fences.ask_before_refusing => {
                    Some(Step::AskBeforeRefusing(decision))
                }
                Some(decision) => Some(Step::Finish(decision)),
            },
            (Action::AnswerLost(_), _) => {
                state.left.late -= 1;
                state.late[id] += 1;
                Some(Step::Ask)
            }
            (Action::CrashAfterSending(_), _) => {
                state.left.crash -= 1;
                state.late[id] += 1;
                None
            }
            (Action::Crash(_), _) => {
                state.left.crash -= 1;
                None
            }
            (Action::Find(_), Step::Replay(why)) => {
                let doubt = self.fences.doubt_when_young && why == Refusal::NotFound && !state.went_back;
                if find(&state.postgres, id) == Found::Paid {
                    state.told[id].paid();
                } else if !(doubt && is_under_way(state, id)) {
                    state.told[id].refused(why);
                }
                None
            }
            (Action::Find(_), _) => match find(&state.postgres, id) {
                Found::Paid => Some(Step::Finish(Decision::Paid)),
                Found::Tombstone => Some(Step::Finish(Decision::Aborted)),
                Found::Nothing => match step {
                    Step::AskBeforeRefusing(decision) => Some(Step::Finish(decision)),
                    _ => None,
                },
            },
            (_, Step::Finish(decision)) => {
                if action == Action::FinishLost(slot) {
                    state.left.deaf -= 1;
                } else {
                    self.finish_payment(state, id, decision);
                }
                match decision {
                    Decision::Paid => state.told[id].paid(),
                    Decision::Insufficient => state.told[id].refused(Refusal::Insufficient),
                    Decision::SeatSold => state.told[id].refused(Refusal::Taken),
                    Decision::Aborted => state.told[id].refused(Refusal::Lapsed),
                    Decision::NothingHappened => state.told[id].error(),
                }
                None
            }
            _ => return None,
        };
        state.payers[slot] = next.map(|step| Payer { id, step });
        Some(())
    }

    /// Any other step.
    fn step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Hold(id) => state.given[id] = self.hold(state, id),
            Action::Release(id) => {
                state.left.release -= 1;
                self.release(state, id).then_some(())?;
            }
            Action::Request(id) => {
                state.left.retry -= u8::from(state.asked[id]);
                state.asked[id] = true;
                state.payers[Self::free_slot(state)?] = Some(Payer { id, step: Step::Begin });
            }
            Action::Sweep => self.sweep(state),
            Action::SweepNames(id) => {
                let first = if self.fences.tombstone { Reconciler::Abort } else { Reconciler::Find };
                state.reconcilers[id] = Some(first);
            }
            Action::Abort(id) => {
                self.abort(&mut state.postgres, id);
                state.reconcilers[id] = Some(Reconciler::Find);
            }
            Action::ReconcilerFinds(id) => {
                state.reconcilers[id] = Some(Reconciler::Finish(reconciled(find(&state.postgres, id))));
            }
            Action::ReconcilerFinishes(id) => {
                let Some(Reconciler::Finish(outcome)) = state.reconcilers[id].take() else { return None };
                self.finish_payment(state, id, outcome);
            }
            Action::Sold(loader) => state.loaders[loader] = Some(Loader::Read(self.sold(&state.postgres))),
            Action::Load(loader) => {
                let Some(Loader::Read(sold)) = state.loaders[loader].take() else { return None };
                if Self::load(state, loader, sold) {
                    let next = if self.fences.second_reading { Loader::Loaded(sold) } else { Loader::ReadAgain(sold) };
                    state.loaders[loader] = Some(next);
                }
            }
            Action::SoldAgain(loader) => state.loaders[loader] = Some(Loader::ReadAgain(self.sold(&state.postgres))),
            Action::Open(loader) => {
                let Some(Loader::ReadAgain(sold)) = state.loaders[loader].take() else { return None };
                Self::open(state, loader, sold);
            }
            Action::TimePasses(id) => {
                state.left.time -= 1;
                state.overdue[id] = true;
            }
            Action::PayLate(id) => {
                state.late[id] -= 1;
                self.pay(&mut state.postgres, id);
            }
            Action::PayNever(id) => state.late[id] -= 1,
            Action::CrashReconciler(id) => {
                state.left.crash -= 1;
                state.reconcilers[id] = None;
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
                state.went_back = true;
            }
            _ => return None,
        }
        Some(())
    }
}

/// A payment for this reservation is to be sent, or was and has not ended.
fn is_under_way(state: &State, id: usize) -> bool {
    state.late[id] > 0 || state.payers.contains(&Some(Payer { id, step: Step::Pay }))
}

/// What the reconciler makes of what Postgres has.
pub fn reconciled(found: Found) -> Decision {
    if found == Found::Paid { Decision::Paid } else { Decision::Aborted }
}
