//! The hold-and-pay protocol, with everything that can go wrong, as a model of which every reachable state is looked at.
//!
//! `world.rs` is what there is, `protocol.rs` the scripts and statements, `action.rs` the steps by name, `steps.rs` who
//! takes which step when and what goes wrong, `checker.rs` what must hold. The model is of the protocol, not of the
//! program: who changes a script, or the order of steps in `payment/`, changes it here too. Each test says exactly which
//! properties can be broken in its world; `cargo test --test model -- --nocapture` tells the states and, for each
//! property broken, a short way to break it.
//!
//! Two users want one seat unless said otherwise. A sweep may name any payment as suspicious at any time: ages are not
//! modelled, since an instance can be stopped for any time. Not modelled: the queue and its tokens, charges.
#![expect(unreachable_pub, reason = "nothing in a test binary is reachable from outside")]

mod action;
mod checker;
mod protocol;
mod steps;
mod world;

use checker::{
    KEPT, LAPSED_TRUE, MAP_KNOWS, MAP_TRUE, MONEY, NO_TILL, NOT_FOUND_TRUE, ONE_SALE, PAYABLE, SHORT_TRUE, TAKEN_TRUE,
    WHOLE, expect_broken,
};
use world::{Budget, Fences, World};

const NONE: Budget =
    Budget { crash: 0, late: 0, deaf: 0, loss: 0, stale: 0, retry: 0, release: 0, time: 0, refund: 0, slow: 0 };
const AS_BUILT: Fences = Fences::AS_BUILT;

/// Two users, a seat, a reservation each; each can pay for one.
fn rivals(fences: Fences, budget: Budget) -> World {
    World { ids: &[(0, 0), (1, 0)], balances: [1, 1], loaders: 1, budget, fences }
}

/// One user, two seats, money for one.
fn one_purse(fences: Fences, budget: Budget) -> World {
    World { ids: &[(0, 0), (0, 1)], balances: [1, 0], loaders: 1, budget, fences }
}

/// One reservation, and nobody else.
fn alone(fences: Fences, budget: Budget) -> World {
    World { ids: &[(0, 0)], ..rivals(fences, budget) }
}

/// Two rivals, and the first comes again after the other: three reservations.
fn in_turn(fences: Fences, budget: Budget) -> World {
    World { ids: &[(0, 0), (1, 0), (0, 0)], ..rivals(fences, budget) }
}

/// A user with money for more than it holds: what it is told is not about its wallet.
fn rich(fences: Fences, budget: Budget) -> World {
    World { balances: [2, 1], ..rivals(fences, budget) }
}

mod all_fences {
    use super::*;

    #[test]
    fn everything_holds_while_redis_keeps_what_it_has() {
        let budget = Budget { crash: 1, late: 1, retry: 1, time: 1, ..NONE };
        expect_broken(rivals(AS_BUILT, budget), &[]);
        let budget = Budget { late: 1, deaf: 1, retry: 1, release: 1, ..NONE };
        expect_broken(rivals(AS_BUILT, budget), &[]);
    }

    /// The tombstone's own answer is lost, too.
    #[test]
    fn everything_holds_while_postgres_is_away() {
        expect_broken(rivals(AS_BUILT, Budget { late: 2, retry: 1, ..NONE }), &[]);
        expect_broken(rivals(AS_BUILT, Budget { late: 2, time: 1, ..NONE }), &[]);
    }

    /// Three attempts, statements of each of which can come late.
    #[test]
    fn everything_holds_for_one_who_asks_again_and_again() {
        let budget = Budget { crash: 1, late: 2, retry: 2, time: 1, ..NONE };
        expect_broken(alone(AS_BUILT, budget), &[]);
    }

    #[test]
    fn everything_holds_for_two_seats_and_money_for_one() {
        expect_broken(one_purse(AS_BUILT, Budget { late: 1, retry: 1, ..NONE }), &[]);
        expect_broken(one_purse(AS_BUILT, Budget { crash: 1, late: 1, time: 1, ..NONE }), &[]);
    }

    #[test]
    fn everything_holds_for_one_who_holds_again() {
        let budget = Budget { late: 1, retry: 1, time: 1, ..NONE };
        expect_broken(World { ids: &[(0, 0), (0, 0), (1, 0)], ..rivals(AS_BUILT, budget) }, &[]);
    }

    /// Refunds asked for as soon as there is a payment, before its end has reached the map; and asked for again.
    #[test]
    fn everything_holds_with_refunds() {
        expect_broken(rivals(AS_BUILT, Budget { crash: 1, retry: 1, refund: 1, ..NONE }), &[]);
        expect_broken(rivals(AS_BUILT, Budget { late: 1, deaf: 1, refund: 1, ..NONE }), &[]);
        expect_broken(rivals(AS_BUILT, Budget { crash: 1, time: 1, refund: 2, ..NONE }), &[]);
    }

    /// The seat is sold again, to be refunded again, while the first refund's end is still to come.
    #[test]
    fn everything_holds_for_a_seat_that_is_sold_again() {
        expect_broken(in_turn(AS_BUILT, Budget { crash: 1, refund: 2, ..NONE }), &[]);
    }

    /// What settling read is old when it acts.
    #[test]
    fn everything_holds_while_settling_is_slow() {
        expect_broken(rivals(AS_BUILT, Budget { crash: 1, slow: 1, refund: 2, ..NONE }), &[]);
        expect_broken(in_turn(AS_BUILT, Budget { slow: 1, refund: 1, ..NONE }), &[]);
    }

    #[test]
    fn a_lost_map_is_right_again_after_refunds() {
        expect_broken(rivals(AS_BUILT, Budget { loss: 1, crash: 1, refund: 2, ..NONE }), &[NO_TILL]);
        expect_broken(rivals(AS_BUILT, Budget { loss: 1, slow: 1, refund: 1, ..NONE }), &[NO_TILL]);
        let budget = Budget { loss: 1, refund: 1, ..NONE };
        expect_broken(World { loaders: 2, ..rivals(AS_BUILT, budget) }, &[NO_TILL]);
    }

    #[test]
    fn an_older_map_is_right_again_after_refunds() {
        expect_broken(rivals(AS_BUILT, Budget { stale: 1, refund: 1, ..NONE }), &[NO_TILL]);
    }

    /// The seat of a payment under way is offered again. Postgres lets one of the two have it.
    #[test]
    fn a_lost_map_can_cost_a_refusal_at_the_till() {
        let budget = Budget { loss: 2, ..NONE };
        expect_broken(World { loaders: 2, ..rivals(AS_BUILT, budget) }, &[NO_TILL]);
        let budget = Budget { loss: 1, crash: 1, late: 1, deaf: 1, ..NONE };
        expect_broken(rivals(AS_BUILT, budget), &[NO_TILL]);
    }

    /// A request that is repeated after the loss, while the first one's statement is under way, is told to wait.
    #[test]
    fn a_lost_map_with_a_payment_under_way_denies_nothing() {
        let budget = Budget { loss: 1, crash: 1, retry: 1, ..NONE };
        expect_broken(rivals(AS_BUILT, budget), &[NO_TILL]);
    }

    /// Who asks again while a statement that Redis has forgotten is under way is told to wait.
    #[test]
    fn an_older_redis_sells_nothing_twice_and_says_nothing_that_is_not_so() {
        let budget = Budget { stale: 1, retry: 1, time: 1, ..NONE };
        expect_broken(rivals(AS_BUILT, budget), &[NO_TILL]);
    }

    /// Attempts are counted again from a lower number: a tombstone from before can stop some, which is told as 503, and a
    /// late statement from before can be taken for one of them.
    #[test]
    fn an_older_redis_counts_attempts_again_and_nobody_pays_twice() {
        let budget = Budget { stale: 1, late: 1, retry: 2, ..NONE };
        expect_broken(World { balances: [2, 0], ..alone(AS_BUILT, budget) }, &[]);
    }
}

mod without {
    use super::*;

    /// A request that is repeated after the loss, while the first one's statement is under way, is told that there is no
    /// such reservation, or that it has lapsed; and then the first one pays for it.
    #[test]
    fn doubt_what_is_being_paid_is_denied() {
        let fences = Fences { doubt_when_young: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { loss: 1, retry: 1, ..NONE }), &[NO_TILL, NOT_FOUND_TRUE]);
        let older = Budget { stale: 1, retry: 1, time: 1, ..NONE };
        expect_broken(rivals(fences, older), &[NO_TILL, LAPSED_TRUE, NOT_FOUND_TRUE]);
    }

    /// It takes a loss of Redis with a payment under way to need it: ordinary faults alone never do.
    #[test]
    fn the_seat_index_a_seat_is_sold_twice() {
        let fences = Fences { seat_index: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { crash: 1, late: 1, time: 1, ..NONE }), &[]);
        expect_broken(rivals(fences, Budget { loss: 1, ..NONE }), &[ONE_SALE]);
    }

    /// A late statement passes the tombstone, which is found in its stead: told that the hold is over, and charged.
    #[test]
    fn the_primary_key_a_tombstone_stops_nothing() {
        let fences = Fences { primary_key: false, ..AS_BUILT };
        let said = [KEPT, NO_TILL, SHORT_TRUE, LAPSED_TRUE, NOT_FOUND_TRUE];
        expect_broken(rivals(fences, Budget { late: 1, retry: 1, time: 1, ..NONE }), &said);
        // Of a payment made twice the seat index alone stops the second, and calls it another's.
        let twice = Budget { stale: 1, retry: 1, ..NONE };
        expect_broken(rich(fences, twice), &[KEPT, NO_TILL, SHORT_TRUE, TAKEN_TRUE, NOT_FOUND_TRUE]);
        // Without both, it is taken twice.
        let neither = Fences { seat_index: false, ..fences };
        expect_broken(rich(neither, twice), &[ONE_SALE, WHOLE, SHORT_TRUE, LAPSED_TRUE, NOT_FOUND_TRUE]);
    }

    /// Likewise, though the row is found as it is: an attempt that was given up arrives, when the seat may be another's.
    #[test]
    fn the_attempt_at_the_tombstone_it_stops_nothing() {
        let fences = Fences { pay_fenced: false, ..AS_BUILT };
        let budget = Budget { late: 1, retry: 1, time: 1, ..NONE };
        expect_broken(rivals(fences, budget), &[KEPT, NO_TILL, LAPSED_TRUE]);
    }

    /// No harm to money or seats, but a hold whose payment's outcome was unknown comes back and can never be paid for.
    #[test]
    fn a_way_for_later_attempts_a_tombstone_stops_them_all() {
        let fences = Fences { later_may_pass: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { late: 1, retry: 1, time: 1, ..NONE }), &[PAYABLE]);
    }

    /// An attempt that was given up ends a later one that is under way: its seat lapses while money moves.
    #[test]
    fn the_attempt_at_the_finish_an_older_one_ends_a_later_one() {
        let fences = Fences { finish_fenced: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { retry: 1, time: 1, ..NONE }), &[KEPT, NO_TILL]);
        expect_broken(rivals(fences, Budget { retry: 2, time: 1, ..NONE }), &[KEPT, NO_TILL, LAPSED_TRUE]);
    }

    /// No harm, since who is refused is asked about: two statements at once for the same reservation can break both.
    #[test]
    fn the_primary_key_being_first_nothing_is_said_that_is_not_so() {
        let fences = Fences { primary_key_first: false, ..AS_BUILT };
        let budget = Budget { stale: 1, retry: 1, ..NONE };
        expect_broken(rich(AS_BUILT, budget), &[NO_TILL]);
        expect_broken(rich(fences, budget), &[NO_TILL]);
    }

    /// An attempt that a tombstone stopped is told that the wallet is short, and the next one pays. And when Redis has gone
    /// back, who has paid is told what is only so because of that.
    #[test]
    fn asking_before_refusing_who_has_paid_is_refused() {
        let fences = Fences { ask_before_refusing: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { retry: 1, ..NONE }), &[SHORT_TRUE]);
        let budget = Budget { stale: 1, retry: 1, ..NONE };
        expect_broken(rivals(fences, budget), &[NO_TILL, SHORT_TRUE]);
        let seat_first = Fences { primary_key_first: false, ..fences };
        expect_broken(rich(seat_first, budget), &[NO_TILL, SHORT_TRUE, TAKEN_TRUE]);
    }

    /// When the instance of a payment dies after a loss, or cannot reach Redis, before it tells the new map, nobody does.
    #[test]
    fn settling_the_map_may_never_learn() {
        let fences = Fences { settle: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { loss: 1, crash: 1, ..NONE }), &[NO_TILL, MAP_KNOWS]);
        // Likewise of a refund: the seat stays sold for ever.
        expect_broken(rivals(fences, Budget { refund: 1, crash: 1, ..NONE }), &[MAP_TRUE]);
    }

    /// Settling stands behind it: a Redis that went back is compared with Postgres before it answers, and if nobody notices
    /// that it did, settling tells it. Without both it offers for ever what is sold.
    #[test]
    fn telling_redis_apart_an_older_map_answers() {
        let older = Budget { stale: 1, ..NONE };
        let fences = Fences { settle: false, ..AS_BUILT };
        expect_broken(rivals(fences, older), &[NO_TILL]);
        expect_broken(rivals(Fences { told_apart: false, ..AS_BUILT }, older), &[NO_TILL]);
        expect_broken(rivals(Fences { told_apart: false, ..fences }, older), &[NO_TILL, MAP_KNOWS]);
    }

    /// What was sold since settling read Postgres looks as if only the map had it, and is marked as refunded besides.
    #[test]
    fn the_second_reading_settling_frees_what_was_just_sold() {
        let fences = Fences { settle_twice_read: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { slow: 1, ..NONE }), &[KEPT, NO_TILL, MAP_KNOWS]);
    }

    /// A refund's end that comes when the seat is sold again offers it to a third.
    #[test]
    fn the_owner_at_the_refund_a_late_one_frees_the_next_one_s_seat() {
        let fences = Fences { refund_fenced: false, ..AS_BUILT };
        expect_broken(in_turn(fences, Budget { refund: 1, ..NONE }), &[KEPT, NO_TILL]);
    }

    /// A payment's end that comes after its refund's throws out who holds the seat by then; settling frees it, in time.
    #[test]
    fn the_mark_of_a_refund_a_late_payment_takes_the_seat_again() {
        let fences = Fences { refund_marked: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { refund: 1, ..NONE }), &[KEPT]);
        let fences = Fences { settle: false, ..fences };
        expect_broken(rivals(fences, Budget { refund: 1, ..NONE }), &[KEPT, MAP_KNOWS, MAP_TRUE]);
    }

    /// Money is given back twice.
    #[test]
    fn the_state_of_the_reservation_a_refund_repeats() {
        let fences = Fences { refund_once: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { refund: 2, ..NONE }), &[WHOLE]);
    }

    /// Safe while Postgres has its fences, but holders are refused at the till with no fault at all; a repeated request is
    /// told that the hold is over while the first one pays.
    #[test]
    fn endless_paying_holders_are_refused_at_the_till() {
        let fences = Fences { endless_paying: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { time: 2, ..NONE }), &[KEPT, NO_TILL]);
        expect_broken(rivals(fences, Budget { time: 2, retry: 1, ..NONE }), &[KEPT, NO_TILL, LAPSED_TRUE]);
        expect_broken(rivals(fences, Budget { time: 2, crash: 1, ..NONE }), &[KEPT, NO_TILL]);
    }

    /// Likewise, with a payment that is only slow.
    #[test]
    fn the_tombstone_a_slow_payment_and_the_next_holder_collide() {
        let fences = Fences { tombstone: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { time: 1, ..NONE }), &[KEPT, NO_TILL]);
        expect_broken(rivals(fences, Budget { time: 1, retry: 1, ..NONE }), &[KEPT, NO_TILL, LAPSED_TRUE]);
    }

    /// With all else well, Redis emptied once is enough: compare `a_lost_map_can_cost_a_refusal_at_the_till`.
    #[test]
    fn reading_after_loading_a_rebuilt_map_offers_what_is_sold() {
        let fences = Fences { read_after_load: false, ..AS_BUILT };
        expect_broken(rivals(fences, Budget { loss: 1, ..NONE }), &[NO_TILL]);
        expect_broken(rivals(Fences { settle: false, ..fences }, Budget { loss: 1, ..NONE }), &[NO_TILL, MAP_KNOWS]);
    }

    /// The wallet's CHECK stands behind the condition, and says the same. Without both, a balance falls below 0.
    #[test]
    fn the_conditional_debit_the_check_refuses_as_well() {
        let budget = Budget { late: 1, time: 1, ..NONE };
        let fences = Fences { conditional_debit: false, ..AS_BUILT };
        expect_broken(one_purse(fences, budget), &[]);
        expect_broken(one_purse(Fences { balance_check: false, ..fences }, budget), &[MONEY]);
    }
}
