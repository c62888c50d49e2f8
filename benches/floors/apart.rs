//! Processors apart: who asks has one to itself, and what is measured has the others, as if the client were on another
//! machine. A read costs the client as much as the service; on shared processors its times would be those of waiting for each
//! other's turn.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::stage::Outcome;
use super::stage::cost::{Meter, family};

/// Who asks, until this is dropped. Each is let onto all processors again then.
pub(super) struct Apart {
    measured: Vec<u32>,
    all: CpuSet,
}

/// The thread that calls.
const ASKS: Pid = Pid::from_raw(0);

impl Apart {
    /// Gives this thread the last processor, and these processes the others. On a single one all stays as it is.
    pub(super) fn from(meter: &Meter) -> Outcome<Self> {
        let all = sched_getaffinity(ASKS)?;
        let mut measured = family(meter.postgres)?;
        measured.extend([meter.server, meter.redis]);
        let apart = Self { measured, all };
        let numbers: Vec<usize> = (0..CpuSet::count()).filter(|at| all.is_set(*at).unwrap_or(false)).collect();
        if let Some((last, others)) = numbers.split_last()
            && !others.is_empty()
        {
            sched_setaffinity(ASKS, &set(&[*last])?)?;
            apart.move_to(&set(others)?);
        }
        Ok(apart)
    }

    /// All threads of all of them; what they start later follows. One that has ended meanwhile is left alone.
    fn move_to(&self, processors: &CpuSet) {
        for process in &self.measured {
            let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
            let ids = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
            for id in ids {
                let _ = sched_setaffinity(Pid::from_raw(id), processors);
            }
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = sched_setaffinity(ASKS, &self.all);
        self.move_to(&self.all);
    }
}

fn set(numbers: &[usize]) -> Outcome<CpuSet> {
    let mut set = CpuSet::new();
    for number in numbers {
        set.set(*number)?;
    }
    Ok(set)
}
