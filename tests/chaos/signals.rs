//! Signals to processes of the run.

use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal to processes; one may have ended a moment ago.
pub fn send(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// A process and its children, itself first. PostgreSQL's first process only makes connections; its children serve them.
pub fn family(parent: u32) -> Vec<u32> {
    let children = processes().into_iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid);
    std::iter::once(parent).chain(children).collect()
}

/// Every process with its parent: as `/proc` says, or where there is none, as `ps` does.
fn processes() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output();
        let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        return listed.lines().filter_map(|line| pair(line.split_whitespace())).collect();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which is in parentheses: state, parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    pids.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

fn pair<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<(u32, u32)> {
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}
