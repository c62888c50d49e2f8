//! What the tests stand on: real servers, a service for each test, calls and their answers.

mod app;
mod ask;
mod browser;
mod cut;
mod described;
mod keyed;
mod outage;
mod proxy;
mod python;
mod servers;
mod stores;
mod wait;
mod watch;

pub use app::{Answer, TestApp, schedule, serve_settings, user};
pub use ask::LARGEST_BODY;
pub use browser::{Browser, Look, PHONE};
pub use cut::{Cut, CutProxy};
pub use described::fits;
pub use keyed::lock_keys;
pub use outage::{OwnServers, kill_at_once, suspend};
pub use proxy::Proxy;
pub use python::python;
pub use servers::{ONSALE, block_on, servers};
pub use stores::{WAITING, WalletLock};
pub use wait::{SLACK, at_once, eventually};
pub use watch::{Event, Events, Socket, routed};
