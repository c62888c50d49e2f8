//! What is told in the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::arguments::Arguments;
use crate::cluster::Cluster;
use crate::history::{Breach, History, Slow, Verdict};

/// The run in figures, and what must not have been.
#[derive(Debug, Serialize)]
pub struct Report {
    seed: u64,
    broken_on_purpose: Option<String>,
    seconds_under_faults: u64,
    faults: BTreeMap<&'static str, u64>,
    faults_total: u64,
    connections_cut: u64,
    /// How many seconds the last instance's clock is behind; none: no libfaketime, no skew.
    skewed_clock_seconds: Option<i64>,
    answers: BTreeMap<&'static str, BTreeMap<String, u64>>,
    purchases_acknowledged: u64,
    refunds_acknowledged: u64,
    counts: BTreeMap<&'static str, u64>,
    admissions_seen: usize,
    slowest_answer_ms: u64,
    /// Those whose instance, and the way to it, were not at fault.
    slow_requests: Vec<Slow>,
    longest_standstill_ms: u64,
    breaches_by_rule: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub breaches: Vec<Breach>,
    logs: Option<String>,
}

impl Report {
    /// Of a run that is over and checked.
    pub fn of(arguments: &Arguments, cluster: &Cluster, history: &History, under_faults: Duration) -> Self {
        let records = history.records();
        let mut answers: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((what, code), count) in &records.answers {
            answers.entry(*what).or_default().insert(code.clone(), *count);
        }
        let paid = records.payments.iter().filter_map(|payment| match payment.verdict {
            Verdict::Done(id) => Some(id),
            _ => None,
        });
        let refunded = records.refunds.iter().filter(|refund| refund.verdict == Verdict::Done(()));
        let is_sound = records.breaches.is_empty();
        Self {
            seed: arguments.seed,
            broken_on_purpose: arguments.sabotage.map(|sabotage| format!("{sabotage:?}")),
            seconds_under_faults: under_faults.as_secs(),
            faults: records.faults.clone(),
            faults_total: records.faults.values().sum(),
            connections_cut: cluster.cuts(),
            skewed_clock_seconds: cluster.skew,
            answers,
            purchases_acknowledged: count(paid.collect::<std::collections::BTreeSet<_>>().len()),
            refunds_acknowledged: count(refunded.count()),
            counts: records.counts.clone(),
            admissions_seen: records.admissions.len(),
            slowest_answer_ms: records.slowest_ms,
            slow_requests: records.slow.clone(),
            longest_standstill_ms: records.stalls.iter().map(|stall| stall.ms()).max().unwrap_or_default(),
            breaches_by_rule: records.breaches_by_rule.clone(),
            breaches: records.breaches.clone(),
            logs: (!is_sound).then(|| cluster.stores.folder().display().to_string()),
        }
    }

    /// For machines.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string())
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "\nfaults: {} in {} s, {} connections cut",
            self.faults_total, self.seconds_under_faults, self.connections_cut
        )?;
        for (kind, count) in &self.faults {
            writeln!(text, "  {count:>6}  {kind}")?;
        }
        match self.skewed_clock_seconds {
            Some(seconds) => writeln!(text, "  always  clock of the last instance {seconds} s behind")?,
            None => writeln!(text, "  NO CLOCK WAS SKEWED: libfaketime is not to be had on this system")?,
        }
        writeln!(text, "answers:")?;
        for (what, codes) in &self.answers {
            let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{code} {count}")).collect();
            writeln!(text, "  {what:>8}  {}", codes.join(", "))?;
        }
        writeln!(text, "what happened:")?;
        for (what, count) in &self.counts {
            writeln!(text, "  {count:>6}  {what}")?;
        }
        writeln!(text, "  {:>6}  purchases acknowledged", self.purchases_acknowledged)?;
        writeln!(text, "  {:>6}  refunds acknowledged", self.refunds_acknowledged)?;
        writeln!(text, "  {:>6}  admissions seen", self.admissions_seen)?;
        writeln!(text, "  {:>6}  ms: the slowest answer, faults on the way included", self.slowest_answer_ms)?;
        writeln!(text, "  {:>6}  requests over 2.5 s without a fault on the way", self.slow_requests.len())?;
        writeln!(text, "  {:>6}  ms: the longest that the machine stood still", self.longest_standstill_ms)?;
        let total: u64 = self.breaches_by_rule.values().sum();
        writeln!(text, "breaches: {total} (seed {})", self.seed)?;
        for (rule, count) in &self.breaches_by_rule {
            writeln!(text, "  {count:>6}  {rule}")?;
        }
        for Breach { rule, detail } in &self.breaches {
            writeln!(text, "BREACH {rule}: {detail}")?;
        }
        if let Some(logs) = &self.logs {
            writeln!(text, "logs and data: {logs}")?;
        }
        Ok(())
    }
}

fn count(number: usize) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
