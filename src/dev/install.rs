//! Installing Redis, Postgres, libfaketime, nginx, Node, Prometheus, Python and a browser with the machine's own package manager.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::Mutex;

use super::error::DevError;
use super::programs::{Browser, Install, Machine, Programs};

/// One installation at a time: package managers lock each other out.
static INSTALLING: Mutex<()> = Mutex::const_new(());

/// A package manager, and what its packages are called.
#[derive(Debug)]
struct Manager {
    program: &'static str,
    /// Arguments that bring its lists up to date, where it does not do that by itself.
    refresh: &'static [&'static str],
    /// Arguments before the names of packages.
    install: &'static [&'static str],
    /// Packages with a Redis, the better ones first.
    redis: &'static [&'static str],
    /// Packages with a Postgres server, the better ones first.
    postgres: &'static [&'static str],
    /// The package with libfaketime.
    faketime: &'static str,
    /// The package with nginx.
    nginx: &'static str,
    /// The package with Node.
    node: &'static str,
    /// The package with Prometheus and promtool.
    prometheus: &'static str,
    /// The package with Python's environments, and Python.
    python: &'static str,
    /// The packages with Chromium and its driver.
    browser: &'static [&'static str],
    /// Whether it must be run as root.
    as_root: bool,
}

const MANAGERS: [Manager; 4] = [
    Manager {
        program: "apt-get",
        refresh: &["update"],
        install: &["install", "-y", "--no-install-recommends"],
        redis: &["redis-server", "valkey-server"],
        postgres: &["postgresql"],
        faketime: "libfaketime",
        nginx: "nginx",
        node: "nodejs",
        prometheus: "prometheus",
        python: "python3-venv",
        browser: &["chromium", "chromium-driver"],
        as_root: true,
    },
    Manager {
        program: "dnf",
        refresh: &[],
        install: &["install", "-y"],
        redis: &["redis", "valkey"],
        postgres: &["postgresql-server"],
        faketime: "libfaketime",
        nginx: "nginx",
        node: "nodejs",
        prometheus: "golang-github-prometheus",
        python: "python3",
        browser: &["chromium", "chromedriver"],
        as_root: true,
    },
    Manager {
        program: "apk",
        refresh: &[],
        install: &["add", "--no-cache"],
        redis: &["redis", "valkey"],
        postgres: &["postgresql"],
        faketime: "libfaketime",
        nginx: "nginx",
        node: "nodejs",
        prometheus: "prometheus",
        python: "python3",
        browser: &["chromium", "chromium-chromedriver"],
        as_root: true,
    },
    Manager {
        program: "brew",
        refresh: &[],
        install: &["install"],
        redis: &["redis", "valkey"],
        postgres: &["postgresql@17", "postgresql"],
        faketime: "libfaketime",
        nginx: "nginx",
        node: "node",
        prometheus: "prometheus",
        python: "python",
        browser: &["chromium", "chromedriver"],
        as_root: false,
    },
];

/// Installs what is missing.
///
/// Whether that worked is told by the programs being there afterwards, not by the package
/// manager: it also fails where the new service could not be started, which nobody needs.
pub(super) async fn install(machine: &Machine, allowed: Install) -> Result<Programs, DevError> {
    let _one_at_a_time = INSTALLING.lock().await;
    if let Some(programs) = machine.programs() {
        return Ok(programs);
    }
    let (manager, before) =
        permitted(machine, allowed).map_err(|(manager, because)| missing(machine, manager, because))?;
    if !manager.refresh.is_empty() {
        run(machine, &before, manager.refresh).await;
    }
    for package in manager.redis {
        if machine.redis().is_none() {
            run(machine, &before, &[manager.install, &[package]].concat()).await;
        }
    }
    for package in manager.postgres {
        if machine.postgres().is_none() {
            run(machine, &before, &[manager.install, &[package]].concat()).await;
        }
    }
    machine.programs().ok_or_else(|| missing(machine, Some(manager), ", and installing failed"))
}

/// What only some tests need, installed by itself.
struct Extra<T> {
    name: &'static str,
    packages: fn(&'static Manager) -> &'static [&'static str],
    find: fn(&Machine) -> Option<T>,
}

/// Likewise for libfaketime alone.
pub(super) async fn install_faketime(machine: &Machine, allowed: Install) -> Result<PathBuf, DevError> {
    let faketime =
        Extra { name: "libfaketime", packages: |manager| one(&manager.faketime), find: |machine| machine.faketime() };
    install_extra(machine, allowed, &faketime).await
}

/// Likewise for nginx alone.
pub(super) async fn install_nginx(machine: &Machine, allowed: Install) -> Result<PathBuf, DevError> {
    let nginx = Extra { name: "nginx", packages: |manager| one(&manager.nginx), find: |machine| machine.nginx() };
    install_extra(machine, allowed, &nginx).await
}

/// Likewise for Node alone.
pub(super) async fn install_node(machine: &Machine, allowed: Install) -> Result<PathBuf, DevError> {
    let node = Extra { name: "Node (node)", packages: |manager| one(&manager.node), find: |machine| machine.node() };
    install_extra(machine, allowed, &node).await
}

/// Likewise for Prometheus alone.
pub(super) async fn install_prometheus(machine: &Machine, allowed: Install) -> Result<PathBuf, DevError> {
    let prometheus = Extra {
        name: "Prometheus (prometheus and promtool)",
        packages: |manager| one(&manager.prometheus),
        find: |machine| machine.prometheus(),
    };
    install_extra(machine, allowed, &prometheus).await
}

/// Likewise for Python alone.
pub(super) async fn install_python(machine: &Machine, allowed: Install) -> Result<PathBuf, DevError> {
    let python = Extra {
        name: "Python 3 with venv (python3)",
        packages: |manager| one(&manager.python),
        find: |machine| machine.python(),
    };
    install_extra(machine, allowed, &python).await
}

/// Likewise for Chromium and its driver.
pub(super) async fn install_browser(machine: &Machine, allowed: Install) -> Result<Browser, DevError> {
    let browser = Extra {
        name: "Chromium (chromium and chromedriver)",
        packages: |manager| manager.browser,
        find: |machine| machine.browser(),
    };
    install_extra(machine, allowed, &browser).await
}

fn one(package: &'static &'static str) -> &'static [&'static str] {
    std::slice::from_ref(package)
}

async fn install_extra<T>(machine: &Machine, allowed: Install, extra: &Extra<T>) -> Result<T, DevError> {
    let _one_at_a_time = INSTALLING.lock().await;
    if let Some(found) = (extra.find)(machine) {
        return Ok(found);
    }
    let missing = |manager: Option<&'static Manager>, because: &str| DevError::Missing {
        missing: extra.name.to_owned(),
        because: because.to_owned(),
        command: manager.map_or_else(
            || format!("your system's package of {}", extra.name),
            |manager| line_by_hand(manager, (extra.packages)(manager)),
        ),
    };
    let (manager, before) = permitted(machine, allowed).map_err(|(manager, because)| missing(manager, because))?;
    if !manager.refresh.is_empty() {
        run(machine, &before, manager.refresh).await;
    }
    run(machine, &before, &[manager.install, (extra.packages)(manager)].concat()).await;
    (extra.find)(machine).ok_or_else(|| missing(Some(manager), ", and installing failed"))
}

/// Why nothing may be installed: the manager that there is, and a reason that begins with a comma.
type Refusal = (Option<&'static Manager>, &'static str);

/// The machine's package manager and how it is run.
fn permitted(machine: &Machine, allowed: Install) -> Result<(&'static Manager, Vec<PathBuf>), Refusal> {
    let known = MANAGERS.iter().find_map(|manager| Some((manager, machine.find(manager.program)?)));
    let (manager, program) = known.ok_or((None, ", nor a package manager that onsale knows"))?;
    if allowed == Install::Forbidden {
        return Err((Some(manager), ", and installing is forbidden (ONSALE_INSTALL=0)"));
    }
    let elevated = elevation(machine, manager);
    let mut before = elevated.ok_or((Some(manager), ", and installing needs root or sudo"))?;
    before.push(program);
    Ok((manager, before))
}

/// What comes before the package manager on the command line; `None` if we may not run it.
fn elevation(machine: &Machine, manager: &Manager) -> Option<Vec<PathBuf>> {
    let mut before = Vec::new();
    if manager.as_root && !machine.is_root {
        before.push(machine.find("sudo")?);
        if !machine.terminal {
            // Nobody would see it ask for the password.
            before.push(PathBuf::from("-n"));
        }
    }
    if manager.program == "apt-get" {
        // Through `env`, as sudo does not pass the environment on.
        before.push(machine.find("env")?);
        before.push(PathBuf::from("DEBIAN_FRONTEND=noninteractive"));
    }
    Some(before)
}

/// Runs one command to its end; its failure shows in what is missing afterwards.
async fn run(machine: &Machine, before: &[PathBuf], arguments: &[&str]) {
    let Some((program, rest)) = before.split_first() else {
        return;
    };
    let words = before.iter().map(|part| part.display().to_string());
    let line: Vec<String> = words.chain(arguments.iter().map(ToString::to_string)).collect();
    let line = line.join(" ");
    tracing::info!("installing what is missing, which may take minutes: {line}");
    let input = if machine.terminal { Stdio::inherit() } else { Stdio::null() };
    // Standard output is for what the program itself has to say.
    let output = io::stderr().as_fd().try_clone_to_owned();
    let status = Command::new(program)
        .args(rest)
        .args(arguments)
        .stdin(input)
        .stdout(output.map_or_else(|_| Stdio::null(), Stdio::from))
        .status()
        .await;
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!("{line} failed ({status})"),
        Err(error) => tracing::warn!("{line} could not be run: {error}"),
    }
}

fn missing(machine: &Machine, manager: Option<&Manager>, because: &str) -> DevError {
    let redis = machine.redis().is_none();
    let postgres = machine.postgres().is_none();
    let names = [(redis, "Redis (redis-server)"), (postgres, "PostgreSQL (initdb and postgres)")];
    let names = names.iter().filter(|(missing, _)| *missing);
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    DevError::Missing {
        missing: names.join(" and "),
        because: because.to_owned(),
        command: manager.map_or_else(
            || "your system's packages of Redis 7 and PostgreSQL 14 or later".to_owned(),
            |manager| by_hand(manager, redis, postgres),
        ),
    }
}

/// What a person would type.
fn by_hand(manager: &Manager, redis: bool, postgres: bool) -> String {
    let redis = manager.redis.iter().take(usize::from(redis));
    let postgres = manager.postgres.iter().take(usize::from(postgres));
    let packages: Vec<&str> = redis.chain(postgres).copied().collect();
    line_by_hand(manager, &packages)
}

fn line_by_hand(manager: &Manager, packages: &[&str]) -> String {
    let sudo = if manager.as_root { "sudo " } else { "" };
    let begin = format!("{sudo}{}", Path::new(manager.program).display());
    let mut line = String::new();
    if !manager.refresh.is_empty() {
        line = format!("{begin} {} && ", manager.refresh.join(" "));
    }
    let install = manager.install.join(" ");
    format!("{line}{begin} {install} {}", packages.join(" "))
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
