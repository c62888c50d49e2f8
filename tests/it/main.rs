//! All integration tests, in one binary, against a real Redis and a real PostgreSQL that the binary itself starts on free
//! ports. Each test has a database and a key prefix of its own.
#![expect(unreachable_pub, reason = "nothing in a test binary is reachable from outside")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod admin;
mod api;
mod audit;
mod burst;
mod connections;
mod deploy;
mod dev;
mod gate;
mod gathered;
mod hardening;
mod identity;
mod journey;
mod k6;
mod lost;
mod lua;
mod migrations;
mod model;
mod monitoring;
mod openapi;
mod opening;
mod pages;
mod program;
mod race;
mod reconcile;
mod security;
mod sql_cache;
mod stale;
mod stock;
mod support;
mod tidy;
