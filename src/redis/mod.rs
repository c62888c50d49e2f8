//! The Redis foundation: one connection that many share, the names of all keys, scripts with typed replies. What the
//! scripts mean is the business of the rooms that call them.

mod connection;
mod gathered;
mod incarnation;
mod keys;
mod pools;
mod reply;
mod script;

pub use connection::{ConnectError, Redis, RedisSettings};
pub use gathered::{Arg, Args, Gathered};
pub use keys::{Keys, QueueKeys, SamplerKeys, ScheduleKeys};
pub use reply::Reply;
pub use script::{Call, EACH, Script, millis};
