//! The scripts as text: where they are, how the program joins them, and what their headers promise.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A script of `lua/`, or a shared opening.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// `room.script`, as in `lua/room/script.lua`.
    pub op: String,
    pub text: String,
}

/// What is put before others, and is no script of its own.
const OPENINGS: [&str; 4] = ["each", "queue.token", "queue.admit", "seat.map"];

/// A path within the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file below a folder of the repository.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Every Lua file, the openings too.
pub fn all() -> Vec<Source> {
    let op = |path: &Path| {
        let relative = path.strip_prefix(repository("lua")).unwrap().with_extension("");
        relative.to_str().unwrap().replace('/', ".")
    };
    let lua = files("lua").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "lua"));
    lua.map(|path| Source { op: op(&path), text: fs::read_to_string(&path).unwrap() }).collect()
}

/// Every script, without the openings.
pub fn scripts() -> Vec<Source> {
    all().into_iter().filter(|source| !OPENINGS.contains(&&*source.op)).collect()
}

/// One file by its op.
pub fn named(op: &str) -> Source {
    all().into_iter().find(|source| source.op == op).unwrap_or_else(|| panic!("there is no script {op}"))
}

/// The openings of a script, in order.
pub fn openings(op: &str) -> &'static [&'static str] {
    match op {
        "queue.enter" => &["queue.token", "queue.admit", "each"],
        "queue.check" => &["queue.token", "each"],
        "seat.hold" | "seat.finish_payment" => &["seat.map", "queue.token", "each"],
        "seat.hold_many" => &["seat.map", "queue.token"],
        "seat.begin_payment" => &["seat.map", "each"],
        "queue.promote" | "queue.restore" | "queue.close_draw" => &["queue.token", "queue.admit"],
        _ if op.starts_with("queue.") => &["queue.token"],
        _ if op.starts_with("sample.") || op.starts_with("limit.") => &[],
        _ => &["seat.map"],
    }
}

/// Where a room's keys are listed.
pub fn lists_keys(op: &str) -> Source {
    named(match op.split('.').next() {
        Some("queue") => "queue.token",
        Some("limit") => "limit.share",
        Some("sample") => "sample.lease",
        _ => "seat.map",
    })
}

/// A script's whole source, joined as `src/redis/script.rs` joins it.
pub fn joined(op: &str) -> String {
    let parts = openings(op).iter().copied().chain([op]);
    parts.map(|part| named(part).text).collect::<Vec<_>>().join("\n")
}

impl Source {
    /// Its opening comment, without the dashes.
    pub fn header(&self) -> Vec<&str> {
        self.text.lines().map_while(|line| line.strip_prefix("--")).collect()
    }

    /// All but comments.
    pub fn code(&self) -> String {
        self.text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n")
    }

    /// The words that the header says it returns: the first in each pair of braces after `Returns:`.
    pub fn promised_words(&self) -> BTreeSet<String> {
        let header = self.header().join("\n");
        let (_, returns) = header.split_once("Returns:").unwrap_or_else(|| panic!("{} has no Returns:", self.op));
        let braces = returns.split('{').skip(1).map(|rest| rest.split([',', '}']).next().unwrap());
        braces.flat_map(|words| words.split('|')).map(|word| word.trim().to_owned()).collect()
    }

    /// The names of the keys that an opening lists, in order.
    pub fn listed_keys(&self) -> Vec<String> {
        let numbered = self.header().into_iter().filter_map(|line| {
            let mut words = line.strip_prefix(" KEYS:").unwrap_or(line).split_whitespace();
            words.next()?.parse::<u32>().ok()?;
            words.next().map(|name| name.trim_end_matches(','))
        });
        numbered.map(str::to_owned).collect()
    }
}
