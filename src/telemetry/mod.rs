//! What operators see: log lines, and metrics on a listener of their own.

mod logs;
mod metrics;
mod names;
mod process;
mod text;

pub use logs::{BadFilter, Output, start_logs};
pub use metrics::{MetricsError, install_metrics, serve_metrics};
pub(crate) use text::Text;
