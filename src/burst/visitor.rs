//! One visitor, from its arrival to its ticket, or to the reason why it has none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::seq::IndexedRandom;
use tokio::time::{Instant, sleep};

use super::Plan;
use super::figures::{Outcome, Wait};
use super::shop::{Refusal, Shop};
use crate::ids::{ConcertId, ReservationId, ScheduleId, UserId};

/// How often a visitor tries for a seat that somebody else is faster to take.
const TRIES: u32 = 50;
/// What is put into the wallet at first, and ten times as much each time that it does not suffice.
const CHARGE: i64 = 200_000;
const CHARGES: u32 = 3;

/// Lives one visit, counted to its end; cut short when the shop closes.
pub(super) async fn visit(shop: &Shop, plan: Plan) {
    let figures = shop.figures();
    figures.arrives();
    let begun = Instant::now();
    let is_in = AtomicBool::new(false);
    let outcome = tokio::select! {
        biased;
        () = shop.closes() => Outcome::Refused(if shop.is_gone() { Refusal::Unanswered } else { Refusal::Late }),
        outcome = buy(shop, plan, &is_in) => outcome.unwrap_or_else(Outcome::Refused),
    };
    if outcome == Outcome::Sold {
        figures.waited(Wait::Ticket, begun.elapsed());
    }
    figures.ends(outcome, is_in.into_inner());
}

/// Enters a concert's queue, looks for a date with free seats, and leaves.
pub(super) async fn scout(shop: &Shop, user: UserId, concert: ConcertId) -> Result<Option<ScheduleId>, Refusal> {
    let token = shop.enter(user, Some(concert)).await?;
    let found = loop {
        let rank = shop.rank(&token).await?;
        match &*rank.status {
            "ACTIVE" => break shop.first_schedule(&token, concert).await?,
            "WAITING" => sleep(rank.poll_after()).await,
            _ => break None,
        }
    };
    // Or its turn would be somebody else's wait.
    shop.leave(&token).await?;
    Ok(found)
}

async fn buy(shop: &Shop, plan: Plan, is_in: &AtomicBool) -> Result<Outcome, Refusal> {
    let token = shop.enter(plan.user, plan.sale.concert).await?;
    if !comes_in(shop, &token, plan.leaves).await? {
        return Ok(Outcome::Left);
    }
    is_in.store(true, Ordering::Relaxed);
    think(plan.thinks).await;
    let Some(reservation) = takes_a_seat(shop, &token, plan.sale.schedule).await? else {
        // Whoever has nothing to wait for makes room.
        shop.leave(&token).await?;
        return Err(Refusal::Code("SOLD_OUT".to_owned()));
    };
    if plan.lapses {
        return Ok(Outcome::Lapsed);
    }
    think(plan.thinks).await;
    pays(shop, plan.user, &token, reservation).await?;
    Ok(Outcome::Sold)
}

/// As long as it takes, and nobody takes as long as another.
async fn think(most: Duration) {
    sleep(most.mul_f64(rand::random())).await;
}

/// Waits at the pace that the server asks for; false if this one left.
async fn comes_in(shop: &Shop, token: &str, leaves: bool) -> Result<bool, Refusal> {
    let begun = Instant::now();
    loop {
        let rank = shop.rank(token).await?;
        match &*rank.status {
            "ACTIVE" => {
                shop.figures().comes_in(begun.elapsed());
                return Ok(true);
            }
            "WAITING" if leaves => {
                // After a while, or all of them would leave on arrival.
                sleep(rank.poll_after().mul_f64(2.0 * rand::random::<f64>())).await;
                shop.leave(token).await?;
                return Ok(false);
            }
            "WAITING" => sleep(rank.poll_after()).await,
            "SOLD_OUT" => {
                shop.leave(token).await?;
                return Err(Refusal::Code(rank.status));
            }
            _ => return Err(Refusal::Code("TOKEN_EXPIRED".to_owned())),
        }
    }
}

/// Any free seat, another one if somebody was faster; none if there is none left.
async fn takes_a_seat(shop: &Shop, token: &str, schedule: ScheduleId) -> Result<Option<ReservationId>, Refusal> {
    for _ in 0..TRIES {
        let free = shop.seats(token, schedule).await?;
        let Some(seat) = free.choose(&mut rand::rng()).copied() else { return Ok(None) };
        match shop.hold(token, schedule, seat).await {
            Ok(reservation) => return Ok(Some(reservation)),
            Err(refusal) if refusal.is("SEAT_TAKEN") => shop.figures().too_late(),
            Err(refusal) => return Err(refusal),
        }
    }
    Err(Refusal::Code("SEAT_TAKEN".to_owned()))
}

async fn pays(shop: &Shop, user: UserId, token: &str, reservation: ReservationId) -> Result<(), Refusal> {
    let mut amount = CHARGE;
    for _ in 1..CHARGES {
        shop.charge(user, amount).await?;
        match shop.pay(token, reservation).await {
            Err(refusal) if refusal.is("INSUFFICIENT_BALANCE") => amount *= 10,
            paid => return paid.map(|_| ()),
        }
    }
    shop.charge(user, amount).await?;
    shop.pay(token, reservation).await.map(|_| ())
}
