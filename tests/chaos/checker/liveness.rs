//! Requests are answered in time under faults, and everything works again when they are over.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::call::{Call, Caller};
use crate::cluster::Cluster;
use crate::history::{History, Records};
use crate::shopper::Crowd;

/// Within this an instance is ready again.
const RECOVERY: Duration = Duration::from_secs(15);
/// What no request may take: the service promises two seconds, the rest is for a busy machine.
const LONGEST_MS: u64 = 5000;

/// Whether every instance says that it is ready, soon.
pub async fn instances_are_ready(cluster: &Cluster, history: &std::sync::Arc<History>) -> bool {
    let fronts = cluster.instances.iter().map(|instance| instance.front.address()).collect();
    let Ok(caller) = Caller::new(fronts, history.clone()) else { return false };
    let late = Instant::now() + RECOVERY;
    let mut all_ready = true;
    for instance in 0..cluster.instances.len() {
        let ready = Call::new("readyz", 0, Method::GET, "/readyz");
        while !caller.ask(&ready, instance).await.is_some_and(|answer| answer.is_ok()) {
            if Instant::now() > late {
                all_ready = false;
                let detail = format!("instance {} is not, {} s after the last fault", instance + 1, RECOVERY.as_secs());
                history.breach("every instance is ready once the faults are over", detail);
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    all_ready
}

/// Whether a ticket can be bought through each of them.
pub async fn everyone_can_buy(crowd: &Crowd, history: &History, instances: u8) {
    for instance in 0..usize::from(instances) {
        let before = history.records().journal.len();
        if !crowd.buy_through(instance).await {
            let came_to = history.records().journal[before..].join("; ");
            let detail = format!("not through instance {}: {came_to}", instance + 1);
            history.breach("a ticket can be bought once the faults are over", detail);
        }
    }
}

/// No request took longer than it may, but where its instance or the way to it was at fault, or the machine stood still.
pub(super) fn check_times(records: &mut Records) {
    let troubled = |records: &Records, index: usize| {
        let slow = &records.slow[index];
        records.troubled_within(slow.instance, slow.span)
    };
    let innocent: Vec<usize> = (0..records.slow.len()).filter(|index| !troubled(records, *index)).collect();
    let slow: Vec<_> = innocent.into_iter().map(|index| records.slow[index].clone()).collect();
    for slow in &slow {
        if slow.span.ms() > LONGEST_MS + records.stalled_within(slow.span) {
            let detail = format!("{} took {} ms: {slow:?}", slow.what, slow.span.ms());
            records.breach("every request is answered in time", detail);
        }
    }
    records.slow = slow;
}
