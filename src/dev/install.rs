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
mod tests {
    use std::error::Error;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{
        Install, Machine, install, install_browser, install_faketime, install_nginx, install_node, install_prometheus,
        install_python,
    };

    type Outcome = Result<(), Box<dyn Error>>;

    fn put(path: &Path, text: &str) -> Outcome {
        fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// A machine with a fake `name` that writes down its arguments, and "installs" the
    /// programs of the packages it is told to, but then fails as a service start does.
    fn machine(root: &Path, name: &str) -> Result<Machine, Box<dyn Error>> {
        let script = format!(
            r#"#!/bin/sh
echo "{name} $*" >> {root}/calls
put() {{ mkdir -p "${{1%/*}}"; echo binary > "$1"; chmod 755 "$1"; }}
for last; do :; done
case "$last" in
valkey*) put {root}/usr/bin/valkey-server ;;
postgresql*) put {root}/usr/bin/initdb; put {root}/usr/bin/postgres ;;
libfaketime) put {root}/usr/lib64/faketime/libfaketimeMT.so.1 ;;
nginx) put {root}/usr/sbin/nginx ;;
node*) put {root}/usr/bin/node ;;
*prometheus) put {root}/usr/bin/prometheus; put {root}/usr/bin/promtool ;;
chrom*) put {root}/usr/bin/chromium; put {root}/usr/bin/chromedriver ;;
python*) mkdir -p {root}/usr/bin; printf '#!/bin/sh\n' > {root}/usr/bin/python3; chmod 755 {root}/usr/bin/python3 ;;
esac
exit 1
"#,
            root = root.display()
        );
        put(&root.join("bin").join(name), &script)?;
        put(&root.join("bin/env"), "#!/bin/sh\nexec /usr/bin/env \"$@\"\n")?;
        Ok(Machine { path: vec![root.join("bin")], root: root.to_owned(), is_root: true, terminal: false })
    }

    fn calls(root: &Path) -> String {
        fs::read_to_string(root.join("calls")).unwrap_or_default()
    }

    #[tokio::test]
    async fn each_package_manager_is_told_what_it_understands() -> Outcome {
        let expected = [
            (
                "apt-get",
                "apt-get update\n\
                 apt-get install -y --no-install-recommends redis-server\n\
                 apt-get install -y --no-install-recommends valkey-server\n\
                 apt-get install -y --no-install-recommends postgresql\n",
            ),
            (
                "dnf",
                "dnf install -y redis\ndnf install -y valkey\n\
                 dnf install -y postgresql-server\n",
            ),
            (
                "apk",
                "apk add --no-cache redis\napk add --no-cache valkey\n\
                 apk add --no-cache postgresql\n",
            ),
            ("brew", "brew install redis\nbrew install valkey\nbrew install postgresql@17\n"),
        ];
        for (name, lines) in expected {
            let root = tempfile::tempdir()?;
            let machine = machine(root.path(), name)?;
            // Found although the package manager always fails.
            let programs = install(&machine, Install::Allowed).await?;
            assert_eq!(programs.postgres, fs::canonicalize(root.path())?.join("usr/bin/postgres"));
            assert_eq!(calls(root.path()), lines);
        }
        Ok(())
    }

    #[tokio::test]
    async fn without_leave_or_rights_nothing_runs_and_the_command_is_named() -> Outcome {
        let root = tempfile::tempdir()?;
        let mut machine = machine(root.path(), "apt-get")?;
        let command = "sudo apt-get update && sudo apt-get install -y \
                       --no-install-recommends redis-server postgresql";

        let forbidden = install(&machine, Install::Forbidden).await;
        let forbidden = forbidden.err().ok_or("installed nevertheless")?.to_string();
        assert!(forbidden.ends_with(command), "{forbidden}");
        assert!(forbidden.contains("ONSALE_INSTALL=0"), "{forbidden}");

        machine.is_root = false;
        let powerless = install(&machine, Install::Allowed).await;
        let powerless = powerless.err().ok_or("installed nevertheless")?.to_string();
        assert!(powerless.ends_with(command), "{powerless}");
        assert!(powerless.contains("needs root or sudo"), "{powerless}");
        assert_eq!(calls(root.path()), "");

        put(
            &root.path().join("bin/sudo"),
            &format!("#!/bin/sh\necho sudo $1 >> {}/calls\nshift\nexec \"$@\"\n", root.path().display()),
        )?;
        install(&machine, Install::Allowed).await?;
        assert!(calls(root.path()).starts_with("sudo -n\napt-get update\nsudo -n\n"));
        Ok(())
    }

    #[tokio::test]
    async fn only_what_is_missing_is_installed() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path(), "apk")?;
        put(&root.path().join("bin/redis-server"), "binary")?;
        install(&machine, Install::Allowed).await?;
        assert_eq!(calls(root.path()), "apk add --no-cache postgresql\n");
        Ok(())
    }

    #[tokio::test]
    async fn the_clock_library_is_installed_by_itself() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path(), "dnf")?;
        let forbidden = install_faketime(&machine, Install::Forbidden).await;
        let forbidden = forbidden.err().ok_or("installed nevertheless")?.to_string();
        assert!(forbidden.contains("libfaketime not found") && forbidden.ends_with("sudo dnf install -y libfaketime"));
        let library = install_faketime(&machine, Install::Allowed).await?;
        assert_eq!(library, root.path().join("usr/lib64/faketime/libfaketimeMT.so.1"));
        assert_eq!(install_faketime(&machine, Install::Allowed).await?, library);
        assert_eq!(calls(root.path()), "dnf install -y libfaketime\n");
        Ok(())
    }

    #[tokio::test]
    async fn so_is_nginx() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path(), "apk")?;
        let forbidden = install_nginx(&machine, Install::Forbidden).await;
        let forbidden = forbidden.err().ok_or("installed nevertheless")?.to_string();
        assert!(forbidden.contains("nginx not found") && forbidden.ends_with("sudo apk add --no-cache nginx"));
        let program = install_nginx(&machine, Install::Allowed).await?;
        assert_eq!(program, root.path().join("usr/sbin/nginx"));
        assert_eq!(install_nginx(&machine, Install::Allowed).await?, program);
        assert_eq!(calls(root.path()), "apk add --no-cache nginx\n");
        Ok(())
    }

    #[tokio::test]
    async fn so_is_node() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path(), "dnf")?;
        let forbidden = install_node(&machine, Install::Forbidden).await;
        let forbidden = forbidden.err().ok_or("installed nevertheless")?.to_string();
        assert!(forbidden.contains("node") && forbidden.ends_with("sudo dnf install -y nodejs"));
        let program = install_node(&machine, Install::Allowed).await?;
        assert_eq!(program, root.path().join("usr/bin/node"));
        assert_eq!(calls(root.path()), "dnf install -y nodejs\n");
        Ok(())
    }

    #[tokio::test]
    async fn so_is_prometheus() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path(), "dnf")?;
        let forbidden = install_prometheus(&machine, Install::Forbidden).await;
        let forbidden = forbidden.err().ok_or("installed nevertheless")?.to_string();
        assert!(forbidden.contains("promtool") && forbidden.ends_with("sudo dnf install -y golang-github-prometheus"));
        let program = install_prometheus(&machine, Install::Allowed).await?;
        assert_eq!(program, root.path().join("usr/bin/prometheus"));
        assert_eq!(calls(root.path()), "dnf install -y golang-github-prometheus\n");
        Ok(())
    }

    #[tokio::test]
    async fn so_is_a_browser_with_its_driver() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path(), "apk")?;
        put(&root.path().join("usr/bin/chromium"), "binary")?;
        let forbidden = install_browser(&machine, Install::Forbidden).await;
        let forbidden = forbidden.err().ok_or("installed nevertheless")?.to_string();
        let line = "sudo apk add --no-cache chromium chromium-chromedriver";
        assert!(forbidden.contains("Chromium") && forbidden.ends_with(line), "{forbidden}");
        let browser = install_browser(&machine, Install::Allowed).await?;
        assert_eq!(browser.chromium, root.path().join("usr/bin/chromium"));
        assert_eq!(browser.driver, root.path().join("usr/bin/chromedriver"));
        assert_eq!(calls(root.path()), "apk add --no-cache chromium chromium-chromedriver\n");
        Ok(())
    }

    #[tokio::test]
    async fn so_is_python_where_it_makes_no_environments() -> Outcome {
        let root = tempfile::tempdir()?;
        let machine = machine(root.path(), "apt-get")?;
        put(&root.path().join("usr/bin/python3"), "#!/bin/sh\nexit 1\n")?;
        let forbidden = install_python(&machine, Install::Forbidden).await;
        let forbidden = forbidden.err().ok_or("installed nevertheless")?.to_string();
        assert!(forbidden.contains("Python 3 with venv") && forbidden.ends_with("python3-venv"), "{forbidden}");
        assert_eq!(install_python(&machine, Install::Allowed).await?, root.path().join("usr/bin/python3"));
        let lines = "apt-get update\napt-get install -y --no-install-recommends python3-venv\n";
        assert_eq!(calls(root.path()), lines);
        Ok(())
    }
}
