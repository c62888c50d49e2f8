//! Who watches the seats while many hold them and give them up: whatever came when, those who apply the events know in the
//! end what the map says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{CROWD, enter_all, two_instances};
use crate::support::{Events, TestApp, at_once, block_on};

const SCHEDULE: i64 = 1;

/// The seats that are not free, as a client knows them that applies every event.
type Known = BTreeMap<i64, String>;

fn apply(known: &mut Known, seats: &Value) {
    for seat in seats.as_array().unwrap() {
        let (id, status) = (seat["concertSeatId"].as_i64().unwrap(), seat["status"].as_str().unwrap());
        if status == "FREE" {
            assert!(known.remove(&id).is_some(), "seat {id} was free already");
        } else {
            assert_ne!(known.insert(id, status.to_owned()).as_deref(), Some(status), "seat {id} was {status} already");
        }
    }
}

/// Applies events until none comes for a second.
async fn follow(mut events: Events) -> Known {
    let mut known = Known::new();
    let mut is_first = true;
    while let Ok(event) = events.next_within(Duration::from_secs(2)).await {
        let event = event.unwrap();
        assert_eq!(event.name, if is_first { "seats" } else { "changes" });
        is_first = false;
        apply(&mut known, &event.data["seats"]);
    }
    known
}

/// Takes a seat and gives it up, again and again; then keeps one, or buys it.
async fn stir(app: Arc<TestApp>, token: String, user: i64) {
    for round in 0..8 {
        let seat = (user * 7 + round * 11) % 50 + 1;
        let held = app.hold(&token, SCHEDULE, seat).await;
        if held.status != 200 {
            held.assert_error(409, "SEAT_TAKEN");
            continue;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        if round == 7 && user % 2 == 0 {
            app.pay(&token, held.reservation()).await.payment();
        } else if round < 7 {
            app.give_up(&token, held.reservation()).await.data();
        }
    }
}

#[test]
fn all_who_watch_know_in_the_end_what_is() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let tokens = enter_all(&apps[0], 1..=40).await;
        let watchers = enter_all(&apps[0], 101..=112).await;
        for user in 1..=40 {
            apps[0].charge(user, 200_000).await.data();
        }
        let stirring = tokens.into_iter().zip(1..).map(|(token, user)| {
            let app = Arc::clone(&apps[usize::from(user % 2 == 0)]);
            tokio::spawn(stir(app, token, user))
        });
        let stirring: Vec<_> = stirring.collect();
        let mut sockets = Vec::new();
        for app in &apps {
            sockets.push(Arc::new(app.serve().await));
        }
        // They come one after the other, in the midst of it.
        let watching = watchers.iter().zip(0..).map(|(token, number)| {
            let (socket, token) = (Arc::clone(&sockets[number % 2]), token.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(40 * u64::try_from(number).unwrap())).await;
                follow(socket.watch_seats(&token, SCHEDULE, "").await).await
            }
        });
        let known = at_once(watching).await;
        for stirred in stirring {
            stirred.await.unwrap();
        }
        let map = apps[1].get(&format!("/api/v1/concerts/schedules/{SCHEDULE}/seat-map"), &watchers[0]).await;
        let seats = map.data()["seats"].as_array().unwrap().iter();
        let is = seats.filter(|seat| seat["status"] != "FREE");
        let is: Known = is
            .map(|seat| (seat["concertSeatId"].as_i64().unwrap(), seat["status"].as_str().unwrap().to_owned()))
            .collect();
        assert!(is.values().any(|status| status == "SOLD") && is.values().any(|status| status == "HELD"), "{is:?}");
        for known in known {
            assert_eq!(known, is);
        }
        apps[0].audit().await;
    });
}
