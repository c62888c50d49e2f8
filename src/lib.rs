//! onsale sells a concert in the minute it goes on sale: it puts everybody in a fair queue, lets in as many as the shop
//! can serve, gives each seat to exactly one of them, and takes the money exactly once.
//!
//! One rule carries the design: **Redis decides who may try; Postgres decides who bought.** Redis may lose everything at
//! any moment, and no sold seat, no won and no ticket is lost.
//!
//! The rooms, from the outside in: [`serve`] and [`jobs`] run the [`app`]; the things that the API names are [`queue`],
//! [`concert`], [`seat`], [`reservation`], [`wallet`], [`payment`] and [`gate`], each with its rules in `mod.rs`, its calls in
//! `http.rs` and its only SQL and script calls in `store.rs`; [`admin`] is for operators, [`openapi`] describes all calls,
//! [`pages`] shows them to people, [`identity`] knows who asks; below them are [`idempotency`], [`batch`], [`connection`], [`http`], [`limit`], [`redis`] and
//! [`postgres`], which know nothing of concerts. [`burst`] is a crowd that comes from outside, [`console`] what operators have in
//! a terminal; [`sample`] measures the shop for those who watch it. `docs/architecture.md` follows one purchase through them.

pub mod admin;
pub mod app;
mod argument;
pub mod audit;
pub mod batch;
pub mod burst;
mod complaint;
pub mod concert;
pub mod connection;
pub mod console;
pub mod demo;
pub mod dev;
pub mod gate;
pub mod health;
pub mod http;
pub mod idempotency;
pub mod identity;
pub mod ids;
pub mod jobs;
pub mod limit;
pub mod money;
pub mod openapi;
pub mod pages;
pub mod payment;
pub mod postgres;
pub mod queue;
pub mod redis;
pub mod reservation;
pub mod sample;
pub mod seat;
pub mod secret;
pub mod serve;
pub mod settings;
pub mod shelf;
pub mod store_error;
pub mod tally;
pub mod telemetry;
pub mod veiled;
pub mod wallet;
