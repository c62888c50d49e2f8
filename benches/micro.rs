//! What is done for every call, or for every change of a seat: `cargo bench --bench micro`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use criterion::{Criterion, criterion_group, criterion_main};
use onsale::http::{Pulse, Success, success_body, wrap};
use onsale::money::Won;
use onsale::seat::{Plan, Seat, render_free, render_map};
use tower::ServiceExt;

/// What the layers cost: the same call without them and with them.
fn call(criterion: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let bare = Router::new().route("/call/{id}", get(async || Success(())));
    let around = wrap(bare.clone(), Duration::from_secs(2), 1000, Arc::<Pulse>::default());
    for (name, router) in [("call/bare", bare), ("call/around", around)] {
        let ask = || Request::get("/call/7").header("token", "x").body(Body::empty()).unwrap_or_default();
        criterion.bench_function(name, |bench| {
            bench.iter(|| runtime.block_on(router.clone().oneshot(ask())));
        });
    }
}

fn envelope(criterion: &mut Criterion) {
    let data = serde_json::json!({"reservationId": 1});
    criterion.bench_function("envelope", |bench| bench.iter(|| success_body(black_box(&data))));
}

/// What a change of a seat costs whoever asks next, in a small hall and a large one.
fn seats(criterion: &mut Criterion) {
    for hall in [50, 20_000_u32] {
        let seat = |number: u32| {
            let (row, id) = (format!("R{}", number / 100), i64::from(number) + 1);
            let number = i32::try_from(number % 100).ok()?;
            Some(Seat { id: id.try_into().ok()?, section: "R".to_owned(), row, number, price: Won(150_000) })
        };
        let plan = Plan::new((0..hall).filter_map(seat).collect());
        // Every seventh is held.
        let states: Vec<u8> = (0..hall).map(|at| if at % 7 == 0 { b'H' } else { b'F' }).collect();
        let Ok(schedule) = 1.try_into() else { return };
        criterion.bench_function(&format!("seats/free/{hall}"), |bench| {
            bench.iter(|| render_free(&plan, black_box(&states)));
        });
        criterion.bench_function(&format!("seats/map/{hall}"), |bench| {
            bench.iter(|| render_map(&plan, schedule, black_box(&states)));
        });
    }
}

criterion_group!(benches, call, envelope, seats);
criterion_main!(benches);
