//! Many for many seats: each gets all it asked for, or nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::{CROWD, enter_all, two_instances};
use crate::support::{at_once, block_on};

#[test]
fn all_or_none_of_overlapping_seats() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let tokens = enter_all(&apps[0], 1..=32).await;
        for schedule in 1..=5 {
            let first = (schedule - 1) * 50;
            // Each wants three of twelve seats, some forwards and some backwards.
            let calls = tokens.iter().zip(0..).map(|(token, number)| {
                let (app, token) = (Arc::clone(&apps[usize::from(number % 2 == 0)]), token.clone());
                let mut seats = [0, 1, 2].map(|step| first + 1 + (number + step) % 12);
                if number % 3 == 0 {
                    seats.reverse();
                }
                async move { (app.hold_many(&token, schedule, &seats).await, seats) }
            });
            let mut held = HashSet::new();
            for (answer, seats) in at_once(calls).await {
                if answer.status == 200 {
                    assert_eq!(answer.held_many().iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), seats);
                    assert!(seats.iter().all(|seat| held.insert(*seat)), "a seat was given twice: {seats:?}");
                } else {
                    answer.assert_error(409, "SEAT_TAKEN");
                }
            }
            assert!(!held.is_empty());
            let free = apps[0].free_seats(&tokens[0], schedule).await;
            assert_eq!(free.len(), 50 - held.len(), "who was refused holds nothing");
            assert!(free.iter().all(|seat| !held.contains(seat)));
        }
        apps[0].audit().await;
    });
}

#[test]
fn the_best_two_for_each_of_too_many() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let tokens = enter_all(&apps[0], 1..=64).await;
        let calls = tokens.iter().zip(apps.iter().cycle()).map(|(token, app)| {
            let (app, token) = (Arc::clone(app), token.clone());
            async move { app.hold_best(&token, 1, 2).await }
        });
        let answers = at_once(calls).await;
        let (held, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((held.len(), refused.len()), (25, 39));
        for answer in &refused {
            answer.assert_error(409, "SEAT_TAKEN");
        }
        let mut seats = HashSet::new();
        for answer in held {
            let [(left, _), (right, _)] = answer.held_many()[..] else { panic!("{answer:?}") };
            assert!(
                right == left + 1 && (left - 1) / 10 == (right - 1) / 10,
                "{left} and {right} are not side by side"
            );
            assert!(seats.insert(left) && seats.insert(right), "{left} or {right} was given twice");
        }
        assert_eq!(apps[1].free_by_now(&tokens[0], 1).await.len(), 0);
        apps[0].audit().await;
    });
}

#[test]
fn holding_many_while_leaving_leaves_nothing_held() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let watcher = apps[0].enter(1000).await;
        for user in 1..=40 {
            let token = apps[0].enter(user).await;
            let holding = {
                let (app, token) = (Arc::clone(&apps[1]), token.clone());
                tokio::spawn(async move { app.hold_best(&token, 2, 3).await })
            };
            apps[usize::from(user % 2 == 0)].leave(&token).await.data();
            let answer = holding.await.unwrap();
            assert!(answer.status == 200 || answer.code() == "TOKEN_EXPIRED", "{answer:?}");
            assert_eq!(apps[0].free_by_now(&watcher, 2).await.len(), 50, "a token that has left holds nothing");
        }
        apps[0].audit().await;
    });
}
