//! The programs of Redis and Postgres on this machine.
//!
//! Distributions keep Postgres's server programs in folders of their own, one a version,
//! and put scripts in their place on `PATH`; so the folders are looked into by name.

use std::env;
use std::fs::{self, File};
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use super::error::DevError;
use super::install;

/// Folders beside those of `PATH` that may hold programs, for a shell with a short `PATH`.
const USUAL: [&str; 5] = ["usr/local/bin", "usr/bin", "usr/sbin", "opt/homebrew/bin", "home/linuxbrew/.linuxbrew/bin"];

/// Where the folders of Postgres's versions lie: the folder above them, how their names
/// begin, and what is below them.
const VERSIONED: [(&str, &str, &str); 6] = [
    ("usr/lib/postgresql", "", "bin"),
    ("usr", "pgsql-", "bin"),
    ("usr/libexec", "postgresql", ""),
    ("opt/homebrew/opt", "postgresql", "bin"),
    ("usr/local/opt", "postgresql", "bin"),
    ("home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
];

/// The server programs, each with its full path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// `redis-server`, or `valkey-server` in its place.
    pub redis_server: PathBuf,
    /// Postgres's `initdb`.
    pub initdb: PathBuf,
    /// Postgres's server, of the same version.
    pub postgres: PathBuf,
}

/// Finds libfaketime, which gives a program another wall clock, and installs it where it is missing if that is allowed.
/// None on macOS, whose programs do not take it.
pub async fn faketime(install: Install) -> Result<Option<PathBuf>, DevError> {
    if cfg!(target_os = "macos") {
        return Ok(None);
    }
    let machine = Machine::here();
    match machine.faketime() {
        Some(library) => Ok(Some(library)),
        None => install::install_faketime(&machine, install).await.map(Some),
    }
}

/// Finds nginx, before which the gate is tried out, and installs it where it is missing if that is allowed.
pub async fn nginx(install: Install) -> Result<PathBuf, DevError> {
    let machine = Machine::here();
    match machine.nginx() {
        Some(program) => Ok(program),
        None => install::install_nginx(&machine, install).await,
    }
}

/// Finds Node, which plays the k6 scripts in the tests, and installs it where it is missing if that is allowed.
pub async fn node(install: Install) -> Result<PathBuf, DevError> {
    let machine = Machine::here();
    match machine.node() {
        Some(program) => Ok(program),
        None => install::install_node(&machine, install).await,
    }
}

/// Prometheus and its tool, of the same folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// The server.
    pub server: PathBuf,
    /// `promtool`, which checks and tries out its rules.
    pub promtool: PathBuf,
}

/// Finds Prometheus, which reads the metrics in the tests, and installs it where it is missing if that is allowed.
pub async fn prometheus(install: Install) -> Result<Prometheus, DevError> {
    let machine = Machine::here();
    let server = match machine.prometheus() {
        Some(program) => program,
        None => install::install_prometheus(&machine, install).await?,
    };
    Ok(Prometheus { promtool: server.with_file_name("promtool"), server })
}

/// Chromium, and the program that drives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    /// The browser.
    pub chromium: PathBuf,
    /// `chromedriver`, of the same version where one package manager brought both.
    pub driver: PathBuf,
}

/// Finds Chromium and its driver, with which the pages are looked at in the tests, and installs them where they are missing if
/// that is allowed.
pub async fn browser(install: Install) -> Result<Browser, DevError> {
    let machine = Machine::here();
    match machine.browser() {
        Some(browser) => Ok(browser),
        None => install::install_browser(&machine, install).await,
    }
}

/// Finds a Python that can make virtual environments, for tests that play in one, and installs it where it is missing if that is
/// allowed.
pub async fn python(install: Install) -> Result<PathBuf, DevError> {
    let machine = Machine::here();
    match machine.python() {
        Some(program) => Ok(program),
        None => install::install_python(&machine, install).await,
    }
}

/// Whether missing programs may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// With the machine's package manager.
    Allowed,
    /// Not at all: missing programs are an error.
    Forbidden,
}

impl Programs {
    /// Finds the programs, and installs those that are missing if that is allowed.
    ///
    /// Installing takes minutes; what is being done is told through `tracing` as it begins,
    /// and the package manager's own output goes to standard error.
    pub async fn find_or_install(install: Install) -> Result<Self, DevError> {
        let machine = Machine::here();
        match machine.programs() {
            Some(programs) => Ok(programs),
            None => install::install(&machine, install).await,
        }
    }
}

/// What matters about a machine for finding and installing programs.
#[derive(Debug)]
pub(super) struct Machine {
    /// The folders of `PATH`.
    pub(super) path: Vec<PathBuf>,
    /// The root of the file system; another folder in tests.
    pub(super) root: PathBuf,
    /// Whether we may install without asking anybody.
    pub(super) is_root: bool,
    /// Whether somebody is there to type a password.
    pub(super) terminal: bool,
}

impl Machine {
    fn here() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self {
            path: env::split_paths(&path).collect(),
            root: PathBuf::from("/"),
            is_root: geteuid().is_root(),
            terminal: std::io::stdin().is_terminal(),
        }
    }

    /// All programs, or nothing if one is missing.
    pub(super) fn programs(&self) -> Option<Programs> {
        let bindir = self.postgres()?;
        Some(Programs { redis_server: self.redis()?, initdb: bindir.join("initdb"), postgres: bindir.join("postgres") })
    }

    /// The Redis server.
    pub(super) fn redis(&self) -> Option<PathBuf> {
        let names = ["redis-server", "valkey-server"];
        names.iter().find_map(|name| self.find(name))
    }

    /// The folder of Postgres's server programs: the one of `PATH` first, as somebody
    /// chose it, then the highest version.
    pub(super) fn postgres(&self) -> Option<PathBuf> {
        let on_path = self.folders().filter_map(|folder| {
            // A link leads to the real folder; a script in its place leads nowhere.
            let program = fs::canonicalize(folder.join("postgres")).ok()?;
            program.parent().map(Path::to_owned)
        });
        let versioned =
            VERSIONED.iter().flat_map(|(above, prefix, below)| versions(&self.root.join(above), prefix, below));
        on_path
            .chain(versioned)
            .find(|folder| holds_postgres(folder))
            .or_else(|| self.asked().filter(|folder| holds_postgres(folder)))
    }

    /// The library of libfaketime for programs with threads: beside the other libraries, or in the folder of their kind.
    pub(super) fn faketime(&self) -> Option<PathBuf> {
        let libraries = ["usr/lib", "usr/lib64", "usr/local/lib"].map(|folder| self.root.join(folder));
        let kinds = fs::read_dir(&libraries[0]).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut folders = libraries.iter().cloned().chain(kinds);
        folders.find_map(|folder| Some(folder.join("faketime/libfaketimeMT.so.1")).filter(|library| library.is_file()))
    }

    /// nginx.
    pub(super) fn nginx(&self) -> Option<PathBuf> {
        self.find("nginx")
    }

    /// Node, under its own name or Debian's former one.
    pub(super) fn node(&self) -> Option<PathBuf> {
        self.find("node").or_else(|| self.find("nodejs"))
    }

    /// Prometheus, if its tool is beside it.
    pub(super) fn prometheus(&self) -> Option<PathBuf> {
        self.find("prometheus").filter(|server| is_executable(&server.with_file_name("promtool")))
    }

    /// Chromium, under either of its names, and its driver.
    pub(super) fn browser(&self) -> Option<Browser> {
        let chromium = self.find("chromium").or_else(|| self.find("chromium-browser"))?;
        Some(Browser { chromium, driver: self.find("chromedriver")? })
    }

    /// Debian has the part that makes environments in a package of its own.
    pub(super) fn python(&self) -> Option<PathBuf> {
        let makes_environments = |program: &PathBuf| {
            let asked = Command::new(program).args(["-c", "import ensurepip, venv"]).output();
            asked.is_ok_and(|output| output.status.success())
        };
        self.find("python3").filter(makes_environments)
    }

    /// A program of any kind.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders().map(|folder| folder.join(name)).find(|program| is_executable(program))
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let usual = USUAL.iter().map(|folder| self.root.join(folder));
        self.path.iter().cloned().chain(usual)
    }

    /// What Postgres's own `pg_config` says.
    fn asked(&self) -> Option<PathBuf> {
        let program = self.find("pg_config")?;
        let output = Command::new(program).arg("--bindir").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(PathBuf::from(text.trim()))
    }
}

/// The folders `above/prefix*/below`, the highest version first.
fn versions(above: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(above)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.trim_start_matches('@');
            // An unversioned folder comes last; 9.6 counts as 9.
            let digits = version.split('.').next().unwrap_or_default();
            let folder = above.join(&name).join(below);
            Some((digits.parse().unwrap_or(0), folder))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn holds_postgres(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| {
        let program = folder.join(name);
        is_executable(&program) && !is_script(&program)
    })
}

fn is_executable(program: &Path) -> bool {
    fs::metadata(program).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_script(program: &Path) -> bool {
    let mut begin = [0; 2];
    let read = File::open(program).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && &begin == b"#!"
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::Machine;

    type Outcome = Result<(), Box<dyn Error>>;

    fn put(path: &Path, text: &str) -> Outcome {
        fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn machine(root: &Path) -> Machine {
        Machine { path: vec![root.join("bin")], root: root.to_owned(), is_root: true, terminal: false }
    }

    #[test]
    fn the_highest_complete_version_is_taken() -> Outcome {
        let root = tempfile::tempdir()?;
        let lib = root.path().join("usr/lib/postgresql");
        for version in ["9.6", "15", "16"] {
            put(&lib.join(version).join("bin/postgres"), "binary")?;
            put(&lib.join(version).join("bin/initdb"), "binary")?;
        }
        // Of 17, only the clients.
        put(&lib.join("17/bin/psql"), "binary")?;
        let found = machine(root.path()).postgres();
        assert_eq!(found, Some(lib.join("16/bin")));
        Ok(())
    }

    #[test]
    fn a_script_on_the_path_gives_way_and_a_link_is_followed() -> Outcome {
        let root = tempfile::tempdir()?;
        let real = root.path().join("usr/pgsql-16/bin");
        let chosen = root.path().join("chosen/bin");
        for folder in [&real, &chosen] {
            put(&folder.join("postgres"), "binary")?;
            put(&folder.join("initdb"), "binary")?;
        }
        let on_path = root.path().join("bin/postgres");
        put(&on_path, "#!/bin/sh\n")?;
        put(&root.path().join("bin/initdb"), "#!/bin/sh\n")?;
        assert_eq!(machine(root.path()).postgres(), Some(real));

        fs::remove_file(&on_path)?;
        std::os::unix::fs::symlink(chosen.join("postgres"), &on_path)?;
        let chosen = fs::canonicalize(chosen)?;
        assert_eq!(machine(root.path()).postgres(), Some(chosen));
        Ok(())
    }

    #[test]
    fn other_distributions_folders_are_known() -> Outcome {
        for folder in [
            "usr/libexec/postgresql16",
            "usr/libexec/postgresql",
            "opt/homebrew/opt/postgresql@17/bin",
            "usr/local/opt/postgresql@14/bin",
            "usr/bin",
        ] {
            let root = tempfile::tempdir()?;
            let folder = fs::canonicalize(root.path())?.join(folder);
            put(&folder.join("postgres"), "binary")?;
            put(&folder.join("initdb"), "binary")?;
            assert_eq!(machine(&fs::canonicalize(root.path())?).postgres(), Some(folder));
        }
        Ok(())
    }

    #[test]
    fn valkey_stands_in_for_redis() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path());
        assert_eq!(machine.redis(), None);
        let valkey = root.path().join("usr/bin/valkey-server");
        put(&valkey, "binary")?;
        assert_eq!(machine.redis(), Some(valkey));
        let redis = root.path().join("bin/redis-server");
        put(&redis, "binary")?;
        assert_eq!(machine.redis(), Some(redis));
        Ok(())
    }
}
