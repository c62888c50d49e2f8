//! What an audit found, as metrics in a file, for the textfile collector of Prometheus' node exporter.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Finding;
use crate::telemetry::Text;

/// Writes the file whole or not at all: who collects it must not read a half.
pub fn write_metrics(file: &Path, findings: &[Finding]) -> io::Result<()> {
    let mut text = Text::default();
    let breaches = findings.iter().map(|finding| {
        let count: u64 = finding.breaches.iter().map(|breach| breach.count).sum();
        (format!("{{invariant=\"{}\"}}", finding.invariant), count)
    });
    text.family("audit_breaches", "gauge", breaches);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    text.one("audit_last_run_timestamp_seconds", "gauge", now.as_secs());
    // Collectors read files that end in .prom.
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, text.finish())?;
    fs::rename(&unfinished, file)
}
