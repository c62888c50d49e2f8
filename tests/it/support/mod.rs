//! What the tests stand on: real servers, a service for each test, calls and their answers.

mod app;
mod ask;
mod outage;
mod servers;
mod stores;
mod wait;

pub use app::{Answer, TestApp, schedule, serve_settings, user};
pub use ask::LARGEST_BODY;
pub use outage::{OwnServers, kill_at_once};
pub use servers::{ONSALE, block_on, servers};
pub use stores::{WAITING, WalletLock};
pub use wait::{SLACK, at_once, eventually};
