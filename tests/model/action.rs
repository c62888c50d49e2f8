//! The steps there are, and their names: those of the scripts and statements.

use crate::world::{Payer, Reconciler, State, Step, World};

/// A step. Steps of a request carry the place of the request among those under way, others the reservation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Hold(usize),
    Release(usize),
    /// A client asks to pay.
    Request(usize),
    BeginPayment(usize),
    Pay(usize),
    /// The tombstone of a request for its own attempt.
    Abort(usize),
    Find(usize),
    FinishPayment(usize),
    /// Frees what has lapsed.
    Sweep,
    /// Names a payment as suspicious: at any age, since an instance can be stopped for any time.
    SweepNames(usize),
    ReconcilerAborts(usize),
    ReconcilerFinds(usize),
    ReconcilerFinishes(usize),
    /// `payment.refund`, asked for by a client.
    Refund(usize),
    /// `seat.refund`, which follows.
    SeatRefund(usize),
    /// The job that tells the map what it has missed, of one seat: all at one go, or step by step.
    Settle(usize),
    SettlerReads(usize),
    SettlerLooks,
    SettlerReadsAgain,
    SettlerMends,
    Load(usize),
    Sales(usize),
    Open(usize),
    TimePasses(usize),
    Crash(usize),
    CrashAfterSending(usize),
    AnswerLost(usize),
    AbortLost(usize),
    /// Late statements: with the attempt.
    PayLate(usize, u8),
    PayNever(usize, u8),
    AbortLate(usize, u8),
    AbortNever(usize, u8),
    FinishLost(usize),
    CrashReconciler(usize),
    ReconcilerAbortLost(usize),
    CrashLoader(usize),
    CrashRefund(usize),
    RedisLost,
    RedisSaved,
    RedisGoesBack,
}

impl World {
    /// A step by the name that scripts and statements have; of a request, with the reservation that it is for.
    pub fn name(&self, before: &State, action: Action) -> String {
        let of = |slot: usize| match before.payers[slot] {
            Some(Payer { id, attempt: 0, .. }) => id.to_string(),
            Some(Payer { id, attempt, .. }) => format!("{id}#{attempt}"),
            None => String::new(),
        };
        let outcome = |slot: usize| match before.payers[slot].map(|payer| payer.step) {
            Some(Step::Finish(decision)) => format!("{decision:?}"),
            Some(step) => format!("{step:?}"),
            None => String::new(),
        };
        let reconciled = |id: usize| match before.reconcilers[id] {
            Some(Reconciler::Finish(attempt, decision)) => format!("{id}#{attempt} {decision:?}"),
            Some(Reconciler::Abort(attempt) | Reconciler::Find(attempt)) => format!("{id}#{attempt}"),
            None => String::new(),
        };
        match action {
            Action::Hold(id) => format!("seat.hold r{id} (user {}, seat {})", self.user(id), self.seat(id)),
            Action::Release(id) => format!("seat.release r{id}"),
            Action::Request(id) => format!("a client asks to pay r{id}"),
            Action::BeginPayment(slot) => format!("seat.begin_payment r{}", of(slot)),
            Action::Pay(slot) => format!("payment.pay r{}", of(slot)),
            Action::Abort(slot) => format!("payment.abort r{}", of(slot)),
            Action::Find(slot) => format!("payment.find r{}, for {}", of(slot), outcome(slot)),
            Action::FinishPayment(slot) => format!("seat.finish_payment r{} {}, answered", of(slot), outcome(slot)),
            Action::Sweep => "seat.sweep frees what has lapsed".to_owned(),
            Action::SweepNames(id) => format!("seat.sweep names r{id} as suspicious"),
            Action::ReconcilerAborts(id) => format!("reconciler: payment.abort r{}", reconciled(id)),
            Action::ReconcilerFinds(id) => format!("reconciler: payment.find r{}", reconciled(id)),
            Action::ReconcilerFinishes(id) => format!("reconciler: seat.finish_payment r{}", reconciled(id)),
            Action::Refund(id) => format!("payment.refund r{id}"),
            Action::SeatRefund(id) => format!("seat.refund r{id}"),
            Action::Settle(seat) => {
                let mending = self.mending(&before.redis, seat, self.sales(&before.postgres)[seat]);
                format!("the job settles seat {seat}: {mending:?}")
            }
            Action::SettlerReads(seat) => format!("the job, slowly: seat.sales of seat {seat}"),
            Action::SettlerLooks => format!("the job, slowly: seat.whose, after {:?}", before.settler),
            Action::SettlerReadsAgain => format!("the job, slowly: seat.sales again, after {:?}", before.settler),
            Action::SettlerMends => format!("the job, slowly: {:?}", before.settler),
            Action::Load(loader) => format!("loader {loader}: seat.load"),
            Action::Sales(loader) => format!("loader {loader}: seat.sales"),
            Action::Open(loader) => format!("loader {loader}: seat.open"),
            Action::TimePasses(id) => format!("time: the hold of r{id} is over"),
            Action::Crash(slot) => format!("FAULT: crash, in the request for r{} before {}", of(slot), outcome(slot)),
            Action::CrashAfterSending(slot) => format!("FAULT: crash, with payment.pay r{} sent", of(slot)),
            Action::AnswerLost(slot) => format!("FAULT: time-out of payment.pay r{}, which is still to run", of(slot)),
            Action::AbortLost(slot) => format!("FAULT: time-out of payment.abort r{}, which is still to run", of(slot)),
            Action::PayLate(id, attempt) => format!("payment.pay r{id}#{attempt}, late"),
            Action::PayNever(id, attempt) => format!("payment.pay r{id}#{attempt} never runs"),
            Action::AbortLate(id, attempt) => format!("payment.abort r{id}#{attempt}, late"),
            Action::AbortNever(id, attempt) => format!("payment.abort r{id}#{attempt} never runs"),
            Action::FinishLost(slot) => {
                format!("FAULT: seat.finish_payment r{} {} fails, answered", of(slot), outcome(slot))
            }
            Action::CrashReconciler(id) => format!("FAULT: crash, in the reconciler of r{id}"),
            Action::ReconcilerAbortLost(id) => {
                format!("FAULT: reconciler: time-out of payment.abort r{}, which is still to run", reconciled(id))
            }
            Action::CrashLoader(loader) => format!("FAULT: crash, in loader {loader}"),
            Action::CrashRefund(id) => format!("FAULT: crash, before seat.refund r{id}"),
            Action::RedisLost => "FAULT: Redis is emptied".to_owned(),
            Action::RedisSaved => "(what Redis goes back to)".to_owned(),
            Action::RedisGoesBack => "FAULT: Redis goes back to an older state".to_owned(),
        }
    }
}
