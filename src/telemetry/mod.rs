//! What operators see: log lines, metrics on a listener of their own, traces sent to a collector.

mod logs;
mod metrics;
mod names;
mod process;
mod text;
mod traces;

pub use logs::{BadFilter, Output, start_logs};
pub use metrics::{MetricsError, install_metrics, serve_metrics};
pub(crate) use text::Text;
pub use traces::{TraceError, TraceSettings, Traces};
