//! Installing, on machines that are made up.

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
