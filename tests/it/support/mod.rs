//! What the tests stand on: real servers, a service for each test, calls and their answers.

mod app;
mod servers;

pub use app::{Answer, TestApp, schedule, serve_settings, user};
pub use servers::{block_on, servers};
