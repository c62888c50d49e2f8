//! The steps there are, and their names: those of the scripts and statements.

use crate::world::{Reconciler, State, Step, World};

/// A step. Steps of a request carry the place of the request among those under way, others the reservation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Hold(usize),
    Release(usize),
    /// A client asks to pay.
    Request(usize),
    BeginPayment(usize),
    Pay(usize),
    Find(usize),
    FinishPayment(usize),
    /// Frees what has lapsed.
    Sweep,
    /// Names a payment as suspicious: at any age, since an instance can be stopped for any time.
    SweepNames(usize),
    Abort(usize),
    ReconcilerFinds(usize),
    ReconcilerFinishes(usize),
    Sold(usize),
    Load(usize),
    SoldAgain(usize),
    Open(usize),
    TimePasses(usize),
    Crash(usize),
    CrashAfterSending(usize),
    AnswerLost(usize),
    PayLate(usize),
    PayNever(usize),
    FinishLost(usize),
    CrashReconciler(usize),
    CrashLoader(usize),
    RedisLost,
    RedisSaved,
    RedisGoesBack,
}

impl World {
    /// A step by the name that scripts and statements have; of a request, with the reservation that it is for.
    pub fn name(&self, before: &State, action: Action) -> String {
        let of = |slot: usize| before.payers[slot].map_or(0, |payer| payer.id);
        let outcome = |slot: usize| match before.payers[slot].map(|payer| payer.step) {
            Some(Step::Finish(decision)) => format!("{decision:?}"),
            Some(step) => format!("{step:?}"),
            None => String::new(),
        };
        let reconciled = |id: usize| match before.reconcilers[id] {
            Some(Reconciler::Finish(decision)) => format!("{decision:?}"),
            _ => String::new(),
        };
        match action {
            Action::Hold(id) => format!("seat.hold r{id} (user {}, seat {})", self.user(id), self.seat(id)),
            Action::Release(id) => format!("seat.release r{id}"),
            Action::Request(id) => format!("a client asks to pay r{id}"),
            Action::BeginPayment(slot) => format!("seat.begin_payment r{}", of(slot)),
            Action::Pay(slot) => format!("payment.pay r{}", of(slot)),
            Action::Find(slot) => format!("payment.find r{}, for {}", of(slot), outcome(slot)),
            Action::FinishPayment(slot) => format!("seat.finish_payment r{} {}, answered", of(slot), outcome(slot)),
            Action::Sweep => "seat.sweep frees what has lapsed".to_owned(),
            Action::SweepNames(id) => format!("seat.sweep names r{id} as suspicious"),
            Action::Abort(id) => format!("reconciler: payment.abort r{id}"),
            Action::ReconcilerFinds(id) => format!("reconciler: payment.find r{id}"),
            Action::ReconcilerFinishes(id) => {
                format!("reconciler: seat.finish_payment r{id} {}", reconciled(id))
            }
            Action::Sold(loader) => format!("loader {loader}: seat.sold"),
            Action::Load(loader) => format!("loader {loader}: seat.load"),
            Action::SoldAgain(loader) => format!("loader {loader}: seat.sold again"),
            Action::Open(loader) => format!("loader {loader}: seat.open"),
            Action::TimePasses(id) => format!("time: the hold of r{id} is over"),
            Action::Crash(slot) => format!("FAULT: crash, in the request for r{} before {}", of(slot), outcome(slot)),
            Action::CrashAfterSending(slot) => format!("FAULT: crash, with payment.pay r{} sent", of(slot)),
            Action::AnswerLost(slot) => format!("FAULT: time-out of payment.pay r{}, which is still to run", of(slot)),
            Action::PayLate(id) => format!("payment.pay r{id}, late"),
            Action::PayNever(id) => format!("payment.pay r{id} never runs"),
            Action::FinishLost(slot) => {
                format!("FAULT: seat.finish_payment r{} {} fails, answered", of(slot), outcome(slot))
            }
            Action::CrashReconciler(id) => format!("FAULT: crash, in the reconciler of r{id}"),
            Action::CrashLoader(loader) => format!("FAULT: crash, in loader {loader}"),
            Action::RedisLost => "FAULT: Redis is emptied".to_owned(),
            Action::RedisSaved => "(what Redis goes back to)".to_owned(),
            Action::RedisGoesBack => "FAULT: Redis goes back to an older state".to_owned(),
        }
    }
}
