//! The process as the system sees it, under the names that Prometheus' own clients use, and the runtime. What a system does
//! not tell is left out.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use tokio::runtime::Handle;

use super::text::Text;

static BEGAN: OnceLock<SystemTime> = OnceLock::new();

/// From now on the process runs.
pub(super) fn begin() {
    let _ = BEGAN.get_or_init(SystemTime::now);
}

/// All of it, as Prometheus' text. Reads files; to be called within the runtime, but not on its own threads.
pub(super) fn read() -> String {
    let mut text = Text::default();
    if let Some(began) = BEGAN.get().and_then(|began| began.duration_since(UNIX_EPOCH).ok()) {
        text.one("process_start_time_seconds", "gauge", began.as_secs_f64());
    }
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let taken = duration(usage.user_time()) + duration(usage.system_time());
        text.one("process_cpu_seconds_total", "counter", taken.as_secs_f64());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kilobytes) = field(&status, "VmRSS:") {
        text.one("process_resident_memory_bytes", "gauge", kilobytes.saturating_mul(1024));
    }
    if let Some(threads) = field(&status, "Threads:") {
        text.one("process_threads", "gauge", threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        text.one("process_open_fds", "gauge", open.count().saturating_sub(1));
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        text.one("process_max_fds", "gauge", soft);
    }
    read_runtime(&mut text);
    text.finish()
}

fn read_runtime(text: &mut Text) {
    let Ok(runtime) = Handle::try_current() else { return };
    let runtime = runtime.metrics();
    let busy: Duration = (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
    text.one("tokio_busy_seconds_total", "counter", busy.as_secs_f64());
    text.one("tokio_workers", "gauge", runtime.num_workers());
    text.one("tokio_alive_tasks", "gauge", runtime.num_alive_tasks());
    text.one("tokio_global_queue_depth", "gauge", runtime.global_queue_depth());
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_micros(time.num_microseconds().unsigned_abs())
}

/// A number of what Linux says of the process.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
